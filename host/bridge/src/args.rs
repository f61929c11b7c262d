//! The command line.
use bridge::Fault;
use clap::{ArgAction, ArgGroup, Args as Group, Parser};
use libp2p::Multiaddr;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Serves content from Swarm to machines that boot with deboot, over one TCP or QUIC connection.
///
/// A machine with `source = "bridge"` in its deboot.toml asks this program for chunks instead of joining Swarm itself. It hashes every
/// chunk it gets, so a bridge can delay a boot, but not change what is booted. Production needs no bridge.
///
/// Say what is behind the bridge with exactly one of --bee-url, --native and --chunks.
#[derive(Parser, Debug)]
#[command(
    name = "deboot-bridge",
    version,
    group = ArgGroup::new("source").args(["bee_url", "native", "chunks"]).required(true),
    after_help = "Examples:\n  \
        deboot-bridge --bee-url http://localhost:1633          a bee node on this machine\n  \
        deboot-bridge --native --cache /var/cache/deboot       Swarm itself, with a cache\n  \
        deboot-bridge --chunks release.tar                     offline, from `deboot publish --output release.tar`\n\n\
        A guest in QEMU with user networking reaches this machine as 10.0.2.2:4001."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) behind: Behind,

    /// Where to listen; may be given several times
    #[arg(
        long,
        value_name = "MULTIADDR",
        default_values = [
            "/ip4/0.0.0.0/tcp/4001",
            "/ip4/0.0.0.0/udp/4001/quic-v1",
            "/ip6/::/tcp/4001",
            "/ip6/::/udp/4001/quic-v1",
        ]
    )]
    pub(crate) listen: Vec<Multiaddr>,
    /// File with the bridge's private key; made if it is not there [default: identity in $STATE_DIRECTORY, or in
    /// ~/.local/state/deboot-bridge]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Directory of a disk cache [default: none]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Most bytes in the disk cache: a number with K, M, G or T behind it
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = bytes)]
    pub(crate) cache_size: u64,
    /// Most bytes of chunks kept in memory
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = bytes)]
    pub(crate) memory: u64,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) connections_max: u32,
    /// Streams of one client at once
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) streams_per_peer: usize,
    /// Address for Prometheus, such as 127.0.0.1:9401 [default: none]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Says more: -v debug, -vv everything (or set RUST_LOG)
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Misbehaves, for tests of clients
    #[arg(long, hide = true)]
    pub(crate) fault: Option<Fault>,
}

/// What is behind the bridge.
#[derive(Group, Debug)]
pub(crate) struct Behind {
    /// The HTTP API of a bee node, such as http://localhost:1633
    #[arg(long, value_name = "URL")]
    pub(crate) bee_url: Option<String>,
    /// Swarm itself, as a light client
    #[arg(long)]
    pub(crate) native: bool,
    /// A chunk set (.tar), or a directory of them
    #[arg(long, value_name = "PATH")]
    pub(crate) chunks: Option<PathBuf>,
    /// With --native: 1 is the main network, 10 the test network
    #[arg(long, value_name = "ID", default_value_t = 1, conflicts_with_all = ["bee_url", "chunks"])]
    pub(crate) network_id: u64,
    /// With --native: where to start; may be given several times [default: the network's public ones]
    #[arg(long = "bootnode", value_name = "MULTIADDR", conflicts_with_all = ["bee_url", "chunks"])]
    pub(crate) bootnodes: Vec<p2p::Multiaddr>,
}

/// Reads a number of bytes with an optional unit.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        Some((at, 'T' | 't')) => (&text[..at], 1 << 40),
        _ => (text, 1u64),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a number, with K, M, G or T behind it or not".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "that is more than 64 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn exactly_one_back_end_is_asked_for() {
        Args::command().debug_assert();
        let parse = |words: &str| {
            let words = ["deboot-bridge"]
                .into_iter()
                .chain(words.split_whitespace());
            Args::try_parse_from(words)
        };
        let words = parse("").unwrap_err().to_string();
        for source in ["--bee-url", "--native", "--chunks"] {
            assert!(words.contains(source), "{words}");
        }
        assert!(parse("--native --bee-url http://a").is_err());
        assert!(parse("--native --chunks x").is_err());
        assert!(parse("--bee-url http://a --chunks x").is_err());
        assert!(parse("--chunks x --bootnode /ip4/1.2.3.4/tcp/1").is_err());
        let args = parse("--native --network-id 10 --cache-size 3M").unwrap();
        assert_eq!((args.cache_size, args.listen.len()), (3 << 20, 4));
        assert!(parse("--chunks x --memory 3X").is_err());
        assert!(parse("--chunks x --memory 99999999T").is_err());
        assert!(parse("--chunks x").is_ok() && parse("--bee-url http://a").is_ok());
    }
}
