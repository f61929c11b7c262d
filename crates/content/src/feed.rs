//! Feeds: names whose owner signs one update after the other, each a single-owner chunk at an address anybody can compute.
//!
//! - [`Find`] looks for the newest update of a sequence feed, [`FindEpoch`] for the update of an epoch feed that was valid at a time.
//! - [`Update`] is what was found; its [`Payload`] is a reference (v1) or the root chunk of the content itself (v2).
//! - [`sign_reference`] and [`sign_root`] make updates; [`FeedManifest`] is the directory that stands for a feed.
//!
//! An update cannot be forged, but it can be withheld: nobody can prove that there is no newer one. So a look-up says how sure it
//! is ([`Certainty`]), and refuses whatever is older than what its caller has seen before ([`FindConfig::at_least`]).
mod epoch;
mod find;
mod manifest;
mod name;
mod probes;
mod update;

use bmt::ChunkAddress;
use core::fmt;

pub use epoch::{Epoch, FindEpoch};
pub use find::{Find, FindConfig};
pub use manifest::{FeedManifest, FeedManifestDefect, FeedType};
pub use name::{Feed, FeedNameError, Topic};
pub use probes::{Answer, Certainty, Probed};
pub use update::{Payload, Root, Update, preload, sign_reference, sign_root};

/// Which update of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Index {
    /// Updates are counted from 0.
    Sequence(u64),
    /// Updates lie in a tree of times.
    Epoch(Epoch),
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence(number) => write!(f, "{number}"),
            Self::Epoch(epoch) => write!(f, "{epoch}"),
        }
    }
}

/// When a look-up takes an update for absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Patience {
    /// As soon as the peers nearest to it refused it ([`bmt::ChunkConsumer::handle_delayed`]): well under a second. That no update
    /// exists at all is believed only as with [`Patience::Absent`].
    #[default]
    Refused,
    /// When the source gave it up ([`bmt::ChunkConsumer::handle_unavailable`]), or the driver's time is over (`settle`).
    Absent,
}

/// Why a look-up gives no update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// None was ever made, or none can be found in this network.
    #[error(
        "feed {feed} has no update: {asked} indices were asked for, and no peer has any of them"
    )]
    NoUpdate {
        /// The feed.
        feed: Feed,
        /// Indices asked for.
        asked: usize,
    },
    /// The newest update found is older than one seen before.
    #[error(
        "feed {feed}: the newest update found has index {found}, but index {at_least} was seen before: newer updates are withheld or lost"
    )]
    Older {
        /// The feed.
        feed: Feed,
        /// Index found.
        found: u64,
        /// [`FindConfig::at_least`].
        at_least: u64,
    },
    /// The update seen before is gone, and with it every other.
    #[error(
        "feed {feed}: no update is found, but index {at_least} was seen before: updates are withheld or lost"
    )]
    Gone {
        /// The feed.
        feed: Feed,
        /// [`FindConfig::at_least`].
        at_least: u64,
    },
    /// A chunk at the address of an update that is not signed by the owner of the feed.
    #[error("feed {feed}: chunk {address} at index {index} is not signed by the feed's owner")]
    Foreign {
        /// The feed.
        feed: Feed,
        /// The index.
        index: Index,
        /// Its chunk.
        address: ChunkAddress,
    },
}

#[cfg(test)]
mod tests;
