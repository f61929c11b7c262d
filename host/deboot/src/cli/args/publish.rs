//! Arguments of `publish` and `hash`.
use super::{parse_hours, parse_time};
use crate::bee::{BatchId, BeeUrl};
use clap::{ArgGroup, Args};
use std::path::PathBuf;
use std::time::Duration;

const PUBLISH_HELP: &str = "\
Where to:
  --output CHUNKS.TAR           a chunk set: for `deboot devnet --chunks`, `deboot fetch --chunks` and `bee db import pinning`
  --bee-url URL --batch ID      a bee node with a postage batch. A command that was interrupted goes on where it stopped
There is no upload to a storer by multiaddr: the client speaks no push-sync. Give a storer its chunks as a set.";

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("to").required(true).multiple(true).args(["output", "bee_url"]),
    after_help = PUBLISH_HELP
)]
pub(in crate::cli) struct PublishArgs {
    /// Directory (published with its paths) or file.
    #[arg(value_name = "DIR|FILE")]
    pub(in crate::cli) input: PathBuf,
    /// Chunk set to write, in bee's pinning export form.
    #[arg(long, value_name = "CHUNKS.TAR")]
    pub(in crate::cli) output: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Bee node")]
    pub(in crate::cli) bee: BeeArgs,
    #[command(flatten)]
    pub(in crate::cli) directory: DirectoryArgs,
}

/// A bee node to upload to.
#[derive(Debug, Args)]
pub(in crate::cli) struct BeeArgs {
    /// HTTP API of a bee node, for example http://localhost:1633.
    #[arg(long, value_name = "URL", requires = "batch")]
    pub(in crate::cli) bee_url: Option<BeeUrl>,
    /// Postage batch of that node.
    #[arg(long, value_name = "ID", requires = "bee_url")]
    pub(in crate::cli) batch: Option<BatchId>,
    /// Requests in flight.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=128), requires = "bee_url")]
    pub(in crate::cli) parallel: u8,
    /// Try a chunk again for this long after errors that may pass.
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "60s", requires = "bee_url")]
    pub(in crate::cli) retry_for: Duration,
    /// Refuse a batch that ends before this time, for example 30d.
    #[arg(long, value_name = "TIME", value_parser = parse_hours, default_value = "1d", requires = "bee_url")]
    pub(in crate::cli) min_ttl: Duration,
    /// Allow older chunks of a mutable batch to be overwritten when it is full.
    #[arg(long, requires = "bee_url")]
    pub(in crate::cli) overwrite: bool,
    /// Wait until storers have confirmed every chunk, at most this long.
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "bee_url")]
    pub(in crate::cli) wait: Option<Duration>,
    /// Where to remember what the node took. Default: $XDG_STATE_HOME/deboot/publish or ~/.local/state/deboot/publish.
    #[arg(long, value_name = "DIR", requires = "bee_url")]
    pub(in crate::cli) state: Option<PathBuf>,
    /// Forget what the node took before and send everything (its data was lost).
    #[arg(long, requires = "bee_url")]
    pub(in crate::cli) fresh: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HashArgs {
    /// Directory or file.
    #[arg(value_name = "DIR|FILE")]
    pub(in crate::cli) input: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) directory: DirectoryArgs,
}

/// How a directory is published.
#[derive(Debug, Args)]
pub(in crate::cli) struct DirectoryArgs {
    /// File served for the directory itself.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) index_document: Option<String>,
    /// File served for missing paths.
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) error_document: Option<String>,
    #[command(flatten, next_help_heading = "Release")]
    pub(in crate::cli) release: ReleaseArgs,
}

/// What makes a directory a release.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReleaseArgs {
    /// Make DIR a bootable release: write host-configuration-manifest.json with this file of DIR as kernel.
    #[arg(long, value_name = "PATH", requires_all = ["name", "version", "sequence"])]
    pub(in crate::cli) kernel: Option<String>,
    /// initramfs archive, a file of DIR; repeat for several, in order.
    #[arg(long, value_name = "PATH", requires = "kernel")]
    pub(in crate::cli) initramfs: Vec<String>,
    /// Kernel command line.
    #[arg(
        long,
        value_name = "TEXT",
        requires = "kernel",
        allow_hyphen_values = true
    )]
    pub(in crate::cli) cmdline: Option<String>,
    /// Host or fleet name.
    #[arg(long, value_name = "NAME", requires = "kernel")]
    pub(in crate::cli) name: Option<String>,
    /// Version for people.
    #[arg(long, value_name = "TEXT", requires = "kernel")]
    pub(in crate::cli) version: Option<String>,
    /// Number that only rises from release to release.
    #[arg(long, value_name = "N", requires = "kernel")]
    pub(in crate::cli) sequence: Option<u64>,
    /// Feed that announces newer releases.
    #[arg(long, value_name = "OWNER/TOPIC", requires = "kernel")]
    pub(in crate::cli) update_feed: Option<String>,
    /// ENS name that announces newer releases.
    #[arg(long, value_name = "NAME.ETH", requires = "kernel")]
    pub(in crate::cli) update_ens: Option<String>,
}
