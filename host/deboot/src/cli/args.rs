//! The command line. Its words are part of the interface: scripts depend on them.
mod publish;

pub(super) use publish::{
    BeeArgs, DirectoryArgs, FeedArgs, FeedKeyArgs, FeedShowArgs, FeedUpdateArgs, FeedVerb,
    HashArgs, PublishArgs,
};

use crate::devnet::parse_fault;
use crate::disk::parse_static_address;
use crate::target::{Target, TargetError};
use clap::{Args, Parser, Subcommand, ValueEnum};
use content::RedundancyLevel;
use content::feed::Topic;
use p2p::Multiaddr;
use release::config::StaticAddress;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use storer::Fault;

const EXIT_STATUS_HELP: &str = "\
Exit status:
  0    done
  1    failed: the input is wrong, or the operating system refuses
  2    the command line is wrong
  3    not found: a chunk or a path is not there
  4    no peer could be reached
  5    a deadline passed
  6    bad content: what is there is not what it claims to be, or over a limit
  130  stopped by a signal";

/// Boot Linux from Swarm: publish, fetch, list, make disks, run a test network.
#[derive(Debug, Parser)]
#[command(name = "deboot", version, after_help = EXIT_STATUS_HELP, max_term_width = 120)]
pub struct Arguments {
    /// Print the result (and errors) as one JSON object on standard output.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Show progress on standard error even when it is no terminal (one line per second).
    #[arg(long, global = true)]
    pub(super) progress: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Cut a directory or file into chunks and put them into a chunk set or a bee node.
    Publish(Box<PublishArgs>),
    /// Fetch one file, every chunk verified.
    Fetch(FetchArgs),
    /// Print the reference of a file or directory; nothing is stored.
    Hash(HashArgs),
    /// List paths, sizes and references of a directory.
    Ls(LsArgs),
    /// Look up, sign and publish feed updates.
    Feed(FeedArgs),
    /// Make a bootable disk image; no root needed.
    Disk(DiskArgs),
    /// Validate a boot configuration (deboot.toml) or a host configuration manifest.
    Check(CheckArgs),
    /// Run a Swarm on loopback until interrupted.
    Devnet(DevnetArgs),
    /// Print completions for a shell.
    Completions(CompletionsArgs),
    /// Write manual pages, one for each verb.
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Directory to write to, for example /usr/local/share/man/man1.
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
}

/// Where chunks come from.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// Node to start from instead of the network's public bootnodes; repeatable.
    #[arg(long, value_name = "MULTIADDR")]
    pub(super) peer: Vec<Multiaddr>,
    /// 1 is the main network, 10 the test network.
    #[arg(long, value_name = "N", default_value_t = client::MAINNET_ID)]
    pub(super) network_id: u64,
    /// Protocol generation to speak.
    #[arg(long, value_enum, default_value_t = GenerationArg::Auto)]
    pub(super) generation: GenerationArg,
    /// Read a local chunk set instead of asking peers; repeatable.
    #[arg(long, value_name = "CHUNKS.TAR", conflicts_with_all = ["peer", "network_id", "generation"])]
    pub(super) chunks: Vec<PathBuf>,
    /// Give up after this long, for example 90, 90s, 5m, 1h; 0: never.
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "0")]
    pub(super) timeout: Duration,
    /// Say on standard error which peers come and go.
    #[arg(long, short)]
    pub(super) verbose: bool,
}

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// 64 or 128 hexadecimal digits, optionally bzz:// in front, or feed:OWNER/TOPIC; with a path: a file of that directory.
    #[arg(value_name = "REF[/PATH]")]
    pub(super) target: Target,
    /// File to write (appears when complete), or - for standard output. Default: the last part of PATH, or REF.
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Only these bytes of the file, the first is 0: FIRST-LAST or FIRST-.
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_range)]
    pub(super) range: Option<std::ops::Range<u64>>,
    /// Where the publisher added redundancy: ask for it never, when chunks are late or lost, or at once.
    #[arg(long, value_enum, default_value_t = StrategyArg::DataThenParity)]
    pub(super) strategy: StrategyArg,
    /// Largest file accepted, for example 64M or 2G.
    #[arg(long, value_name = "BYTES", value_parser = parse_size, default_value = "1T")]
    pub(super) size_max: u64,
    #[command(flatten)]
    pub(super) source: SourceArgs,
}

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// Directory: 64 or 128 hexadecimal digits, optionally bzz:// in front, or feed:OWNER/TOPIC.
    #[arg(value_name = "REF")]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) source: SourceArgs,
}

#[derive(Debug, Args)]
pub(super) struct DiskArgs {
    /// What to boot: a release directory, a manifest or a feed manifest. 64 or 128 hexadecimal digits, optionally bzz:// in front;
    /// with a path: the release in that part of the directory.
    #[arg(long, value_name = "REF[/PATH]", required_unless_present_any = ["feed", "config", "no_config"])]
    pub(super) reference: Option<Target>,
    /// Boot what this feed announces at that time, instead of one release for ever.
    #[arg(long, value_name = "OWNER/TOPIC[/PATH]", conflicts_with = "reference", value_parser = parse_feed)]
    pub(super) feed: Option<Target>,
    /// Disk image to write.
    #[arg(long, value_name = "DISK.IMG")]
    pub(super) output: PathBuf,
    /// EFI application to start. Default: SWFETCH.EFI beside this program.
    #[arg(long, value_name = "SWFETCH.EFI")]
    pub(super) efi: Option<PathBuf>,
    /// Node to start from instead of the network's public bootnodes; repeatable.
    #[arg(long, value_name = "MULTIADDR")]
    pub(super) bootnode: Vec<Multiaddr>,
    /// 1 is the main network, 10 the test network.
    #[arg(long, value_name = "N")]
    pub(super) network_id: Option<u64>,
    /// Protocol generation to speak.
    #[arg(long, value_enum)]
    pub(super) generation: Option<GenerationArg>,
    /// Static address instead of DHCP, for example 192.0.2.10/24,gateway=192.0.2.1,dns=192.0.2.1.
    #[arg(long = "static", value_name = "ADDRESS/PREFIX[,gateway=..][,dns=..]", value_parser = parse_static_address)]
    pub(super) static_address: Option<StaticAddress>,
    /// Appended to the kernel command line of the release.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(super) cmdline_append: Option<String>,
    /// Boot configuration to put on the disk as it is, after checking it.
    #[arg(
        long,
        value_name = "DEBOOT.TOML",
        conflicts_with_all = ["reference", "feed", "bootnode", "network_id", "generation", "static_address", "cmdline_append", "no_config"]
    )]
    pub(super) config: Option<PathBuf>,
    /// No boot configuration: for an EFI application that is not SWFETCH.
    #[arg(
        long,
        conflicts_with_all = ["reference", "feed", "bootnode", "network_id", "generation", "static_address", "cmdline_append"]
    )]
    pub(super) no_config: bool,
    /// Size of the disk, for example 512M. Default: what fits, at least 64M.
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    pub(super) size: Option<u64>,
    /// Another file for the partition; repeatable.
    #[arg(long, value_name = "LOCAL:PATH/ON/ESP", value_parser = parse_add)]
    pub(super) add: Vec<(PathBuf, String)>,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// deboot.toml, or a manifest (its name ends in .json, or it starts with a brace).
    pub(super) file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct DevnetArgs {
    /// Storers beside the boot node.
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(super) storers: usize,
    /// Chunk set to spread over the storers; repeatable.
    #[arg(long, value_name = "CHUNKS.TAR")]
    pub(super) chunks: Vec<PathBuf>,
    /// Storers that get each chunk: the closest ones.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(super) replication: usize,
    /// public: bee's own limits. lan: the same protocol with a large announced threshold, so that nothing is throttled.
    #[arg(long, value_enum, default_value_t = ProfileArg::Lan)]
    pub(super) profile: ProfileArg,
    /// Protocol generations the storers speak.
    #[arg(long, value_enum, default_value_t = DevnetGenerationArg::Both)]
    pub(super) generation: DevnetGenerationArg,
    /// 1 is the main network's, 10 the test network's.
    #[arg(long, value_name = "N", default_value_t = client::TESTNET_ID)]
    pub(super) network_id: u64,
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) listen: IpAddr,
    /// Address told to peers instead (a guest behind QEMU's user network reaches the host's loopback as 10.0.2.2).
    #[arg(long, value_name = "IP")]
    pub(super) announce_host: Option<IpAddr>,
    /// Port of the boot node; storer i listens on this plus i. 0: ports chosen by the operating system.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(super) base_port: u16,
    /// Misbehaviour of a node (0 is the boot node), for tests: lies, never-answers, resets-after:CHUNKS, truncates,
    /// huge-length, junk-peers:COUNT, slow:MILLISECONDS[:BYTES_PER_SECOND], drops:ADDRESS[+ADDRESS]...; repeatable.
    #[arg(long, value_name = "INDEX=KIND", value_parser = parse_fault)]
    pub(super) fault: Vec<(usize, Fault)>,
    /// Seed of identities and so of chunk placement.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Write the description to this file, too.
    #[arg(long, value_name = "FILE")]
    pub(super) description: Option<PathBuf>,
    /// End when standard input ends, so that a killed parent leaves nothing behind.
    #[arg(long)]
    pub(super) stop_on_stdin_close: bool,
    /// Print a line of statistics every few seconds while something happens.
    #[arg(long, short)]
    pub(super) verbose: bool,
}

/// `--generation` of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GenerationArg {
    /// Propose 15, fall back to 14.
    Auto,
    /// Only handshake 14.0.0 (bee up to 2.7).
    #[value(name = "14")]
    V14,
    /// Only handshake 15.0.0 (bee from 2.8).
    #[value(name = "15")]
    V15,
}

/// `--generation` of the devnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DevnetGenerationArg {
    /// Both generations.
    Both,
    /// As bee up to 2.7.
    #[value(name = "14")]
    V14,
    /// As bee from 2.8.
    #[value(name = "15")]
    V15,
}

/// `--strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyArg {
    /// Data chunks only.
    Data,
    /// Parity chunks and replicas in place of what is late or lost.
    DataThenParity,
    /// Everything at once.
    Race,
}

/// `--profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileArg {
    /// bee's own limits.
    Public,
    /// Unthrottled.
    Lan,
}

/// Reads a feed where nothing else makes sense: `feed:` in front may be left out.
fn parse_feed(text: &str) -> Result<Target, TargetError> {
    let feed = text.strip_prefix("feed:").unwrap_or(text);
    format!("feed:{feed}").parse()
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "write a number of seconds, or a number with s, m or h";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return Err(FORM),
    };
    let number: u64 = digits.parse().map_err(|_| FORM)?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

fn parse_level(text: &str) -> Result<RedundancyLevel, &'static str> {
    let number = text.parse().ok();
    number
        .and_then(RedundancyLevel::from_number)
        .ok_or("write a level from 0 to 4")
}

fn parse_topic(text: &str) -> Result<Topic, &'static str> {
    if text.is_empty() {
        return Err("write 64 hexadecimal digits or any text");
    }
    Ok(Topic::from_hex(text).unwrap_or_else(|| Topic::of_text(text)))
}

/// As [`parse_time`], but days may be given and a number alone is refused: seconds would be a mistake.
fn parse_hours(text: &str) -> Result<Duration, &'static str> {
    if let Some(days) = text.strip_suffix('d') {
        let days: u64 = days.parse().map_err(|_| "write a number with d, h or m")?;
        return Ok(Duration::from_secs(days.saturating_mul(86_400)));
    }
    match text {
        "0" => Ok(Duration::ZERO),
        _ if text.ends_with(|c: char| c.is_ascii_digit()) => Err("write a number with d, h or m"),
        _ => parse_time(text),
    }
}

fn parse_size(text: &str) -> Result<u64, &'static str> {
    const FORM: &str = "write a number of bytes, or a number with K, M, G or T";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err(FORM),
    };
    let number = digits.parse::<u64>().map_err(|_| FORM)?;
    number.checked_mul(factor).ok_or(FORM)
}

fn parse_range(text: &str) -> Result<std::ops::Range<u64>, &'static str> {
    const FORM: &str = "write FIRST-LAST or FIRST-, for example 0-1023";
    let (first, last) = text.split_once('-').ok_or(FORM)?;
    let first: u64 = first.parse().map_err(|_| FORM)?;
    let end = match last {
        "" => u64::MAX,
        last => last
            .parse::<u64>()
            .ok()
            .and_then(|last| last.checked_add(1))
            .ok_or(FORM)?,
    };
    if end <= first {
        return Err("the last byte comes before the first");
    }
    Ok(first..end)
}

fn parse_add(text: &str) -> Result<(PathBuf, String), &'static str> {
    match text.rsplit_once(':') {
        Some((local, path)) if !local.is_empty() && !path.is_empty() => {
            Ok((PathBuf::from(local), path.to_owned()))
        }
        _ => Err("write LOCAL:PATH/ON/ESP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(parse_time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("1T"), Ok(1 << 40));
        for bad in ["", "m", "-1", "5x", "1.5G", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        for bad in ["", "s", "-1", "5d"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_hours("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_hours("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_hours("0"), Ok(Duration::ZERO));
        for bad in ["", "30", "d", "-1d"] {
            assert!(parse_hours(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_first_and_last_byte() {
        assert_eq!(parse_range("0-0"), Ok(0..1));
        assert_eq!(parse_range("5-9"), Ok(5..10));
        assert_eq!(parse_range("5-"), Ok(5..u64::MAX));
        for bad in [
            "",
            "-",
            "5",
            "9-5",
            "-5",
            "a-b",
            "0-18446744073709551615",
            "1-2-3",
        ] {
            assert!(parse_range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_release_needs_name_version_and_sequence() {
        let parse = |extra: &[&str]| {
            let base = ["deboot", "publish", "d", "--output", "c", "--kernel", "k"];
            Arguments::try_parse_from(base.iter().chain(extra))
        };
        assert!(parse(&[]).is_err());
        assert!(parse(&["--name", "n", "--version", "1"]).is_err());
        assert!(parse(&["--name", "n", "--version", "1", "--sequence", "1"]).is_ok());
    }
}
