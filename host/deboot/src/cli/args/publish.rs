//! Arguments of `publish`, `hash` and `feed`.
use super::SourceArgs;
use super::{parse_hours, parse_level, parse_time, parse_topic};
use crate::bee::{BatchId, BeeUrl};
use clap::{ArgGroup, Args, Subcommand};
use content::feed::{Feed, Topic};
use content::{RedundancyLevel, Reference};
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
    /// Directory (published with its paths), file, or release description (docs/publish.md).
    #[arg(value_name = "DIR|FILE|RELEASE.TOML")]
    pub(in crate::cli) input: PathBuf,
    /// Chunk set to write, in bee's pinning export form.
    #[arg(long, value_name = "CHUNKS.TAR")]
    pub(in crate::cli) output: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Bee node")]
    pub(in crate::cli) bee: BeeArgs,
    #[command(flatten, next_help_heading = "Feed")]
    pub(in crate::cli) feed: AnnounceArgs,
    #[command(flatten, next_help_heading = "Content")]
    pub(in crate::cli) directory: DirectoryArgs,
    /// Encrypt; the reference then has 128 digits. Keys come from a secret in the state directory, so that the same input has the
    /// same reference on this machine.
    #[arg(long, help_heading = "Content")]
    pub(in crate::cli) encrypt: bool,
    /// Say how many chunks are new to somebody who has this, the release before: a chunk set, a reference, or feed:OWNER/TOPIC;
    /// repeatable. Of references and feeds only the chunks are read that name others, from peers or from --chunks.
    #[arg(long, value_name = "CHUNKS.TAR|REF", help_heading = "Content")]
    pub(in crate::cli) previous: Vec<PathBuf>,
    /// Publish a file whose name ends in .toml as it is: it is no release description.
    #[arg(long, help_heading = "Content")]
    pub(in crate::cli) plain: bool,
    /// Where to remember what nodes took and what feeds announced, and where the secret of encryption lies.
    /// Default: $XDG_STATE_HOME/deboot/publish or ~/.local/state/deboot/publish.
    #[arg(long, value_name = "DIR", help_heading = "Content")]
    pub(in crate::cli) state: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Reading --previous REF")]
    pub(in crate::cli) source: SourceArgs,
}

/// A feed that announces what was published.
#[derive(Debug, Args)]
pub(in crate::cli) struct AnnounceArgs {
    /// Announce the reference in a feed, signed with the key in this file (64 hexadecimal digits; `deboot feed key` makes one).
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
    /// Topic of that feed: 64 hexadecimal digits or any text. Default: the update feed of the release.
    #[arg(long, value_name = "TOPIC", requires = "key", value_parser = parse_topic)]
    pub(in crate::cli) feed_topic: Option<Topic>,
    /// Number of the update. Default: the one behind the last that the node finds or that was made here.
    #[arg(long, value_name = "N", requires = "key")]
    pub(in crate::cli) feed_index: Option<u64>,
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

/// How something is published.
#[derive(Debug, Args)]
pub(in crate::cli) struct DirectoryArgs {
    /// Add parity chunks and replicas: 0 (none) to 4. With level 1 about one chunk in twenty may be lost.
    #[arg(long, value_name = "N", value_parser = parse_level)]
    pub(in crate::cli) redundancy_level: Option<RedundancyLevel>,
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

#[derive(Debug, Args)]
pub(in crate::cli) struct FeedArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: FeedVerb,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum FeedVerb {
    /// Look up the newest update of a feed: its index, age, what it points to, and how sure that is.
    Show(FeedShowArgs),
    /// Sign an update that points to a reference, and publish it.
    Update(FeedUpdateArgs),
    /// Print the owner that a key file belongs to, or make a new key.
    Key(FeedKeyArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FeedShowArgs {
    /// Owner (40 hexadecimal digits) and topic (64 hexadecimal digits or any text).
    #[arg(value_name = "OWNER/TOPIC")]
    pub(in crate::cli) feed: Feed,
    /// Refuse an update older than this index, which was seen before.
    #[arg(long, value_name = "N")]
    pub(in crate::cli) at_least: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) source: SourceArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("to").required(true).multiple(true).args(["output", "bee_url"]))]
pub(in crate::cli) struct FeedUpdateArgs {
    /// Topic: 64 hexadecimal digits or any text; or OWNER/TOPIC, which must be the key's.
    #[arg(value_name = "TOPIC")]
    pub(in crate::cli) topic: String,
    /// What the feed points to from now on: 64 or 128 hexadecimal digits.
    #[arg(value_name = "REF")]
    pub(in crate::cli) reference: Reference,
    /// File with the owner's key: 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: PathBuf,
    /// Number of the update. Default: the one behind the last that the node finds or that was made here.
    #[arg(long, value_name = "N")]
    pub(in crate::cli) index: Option<u64>,
    /// Chunk set to write: the update and the feed's manifest.
    #[arg(long, value_name = "CHUNKS.TAR")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Where to remember what was announced. Default as in `deboot publish`.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) state: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Bee node")]
    pub(in crate::cli) bee: BeeArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FeedKeyArgs {
    /// File with 64 hexadecimal digits, readable by its owner alone.
    pub(in crate::cli) file: PathBuf,
    /// Make a new key; the file must not exist.
    #[arg(long)]
    pub(in crate::cli) new: bool,
}
