//! Boots in virtual machines, good and bad ones. Each is named after the claim that holds when it passes.
mod release;
mod run;
mod table;

pub(crate) use release::Releases;
pub(crate) use run::{Tools, run_all};
pub(crate) use table::all;

use std::time::Duration;

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// The demonstration's release.
    Good,
    /// The same, encrypted.
    Encrypted,
    /// The same, as the fourth update of a feed that the disk names.
    Feed,
    /// The same, as an update that wraps the root chunk of the directory; the disk names a feed manifest.
    FeedManifest,
    /// The same with redundancy level 1, and one chunk in twenty gone from the network.
    OneInTwentyGone,
    /// The same feed as somebody shows it who withholds the newest update; the one before boots, too.
    WithheldFeed,
    /// A feed that nobody has published in.
    EmptyFeed,
    /// The same, and the disk asks for something else.
    WrongReference,
    /// A manifest that is no JSON.
    GarbageManifest,
    /// A directory without a manifest.
    NoManifest,
    /// A manifest that names a file that was never published.
    MissingFile,
    /// A manifest whose kernel has another size than the one published.
    WrongSize,
    /// A manifest for another processor.
    WrongArchitecture,
    /// A kernel that is text.
    NotAKernel,
}

/// What happens while the boot runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    /// Nothing.
    None,
    /// The cable is pulled in the middle of the fetch and comes back after this long.
    CablePulled(Duration),
    /// What the chunks come from stops in the middle of the fetch and comes back after this long: all storers and the boot node, or
    /// the bridge.
    NetworkRestarted(Duration),
}

/// Where the disk says that chunks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The devnet.
    Swarm,
    /// A bridge over the chunk set, perhaps one that misbehaves in this way.
    Bridge(Option<&'static str>),
    /// A bridge that is not there.
    NoBridge,
}

/// How the boot has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// `debootd ready`, with the reference that was asked for.
    Ready,
    /// SWFETCH shows an error with one of these ids, and no kernel was started.
    Error(&'static [&'static str]),
}

/// What the network card is plugged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Card {
    /// A network with a DHCP server and the devnet behind it.
    Working,
    /// A link, and nobody there.
    Silent,
    /// There is none.
    Missing,
}

/// One boot.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The claim.
    pub(crate) claim: &'static str,
    /// What is published.
    pub(crate) content: Content,
    /// What the same machine has booted before.
    pub(crate) after: Option<Content>,
    /// Where chunks come from.
    pub(crate) origin: Origin,
    /// Storers beside the boot node.
    pub(crate) storers: usize,
    /// Storers that get each chunk.
    pub(crate) replication: usize,
    /// `14`, `15` or `both`.
    pub(crate) generation: &'static str,
    /// `public` or `lan`.
    pub(crate) profile: &'static str,
    /// Misbehaviour, `INDEX=KIND`; `*` stands for every storer, `{chunk}` for the address of a chunk in the middle of the kernel.
    pub(crate) faults: &'static [&'static str],
    /// What the card is plugged into.
    pub(crate) card: Card,
    /// Whether the disk names a boot node that is there.
    pub(crate) bootnode_exists: bool,
    /// What happens meanwhile.
    pub(crate) incident: Incident,
    /// How it ends.
    pub(crate) expected: Expected,
    /// What the console must have said.
    pub(crate) said: &'static [&'static str],
    /// From power-on to the end.
    pub(crate) limit: Duration,
}
