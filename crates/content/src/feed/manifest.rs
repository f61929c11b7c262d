//! Feed manifests: directories that stand for a feed.
use super::Feed;
use crate::Reference;
use crate::mantaray::{Builder, MantarayError};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use bmt::VerifiedChunk;

/// Metadata of the path `/` that makes a directory a feed manifest.
const OWNER: &str = "swarm-feed-owner";
const TOPIC: &str = "swarm-feed-topic";
const TYPE: &str = "swarm-feed-type";

/// How a feed counts its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedType {
    /// From 0 upwards: what everybody uses.
    Sequence,
    /// In a tree of times.
    Epoch,
}

/// A directory that stands for a feed: its path `/` says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedManifest {
    /// The feed.
    pub feed: Feed,
    /// How its updates are counted.
    pub kind: FeedType,
}

/// Why a feed manifest cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedManifestDefect {
    /// Owner or topic.
    #[error("swarm-feed-owner is not 40, or swarm-feed-topic not 64 hexadecimal digits")]
    Name,
    /// Neither sequence nor epoch.
    #[error("swarm-feed-type is neither \"Sequence\" nor \"Epoch\"")]
    Type,
}

impl FeedManifest {
    /// Reads the metadata of a directory's path `/`; `None` when the directory is no feed manifest.
    ///
    /// # Errors
    /// Returns a defect when it is one that cannot be used.
    pub fn from_metadata(
        metadata: &BTreeMap<String, String>,
    ) -> Option<Result<Self, FeedManifestDefect>> {
        // SPEC bee pkg/api/bzz.go manifestFeed: without owner or topic it is an ordinary directory; without type, a sequence.
        let value = |name| metadata.get(name).filter(|value| !value.is_empty());
        let (owner, topic) = (value(OWNER)?, value(TOPIC)?);
        let kind = match value(TYPE).map(|name| name.to_ascii_lowercase()).as_deref() {
            None | Some("sequence") => FeedType::Sequence,
            Some("epoch") => FeedType::Epoch,
            Some(_) => return Some(Err(FeedManifestDefect::Type)),
        };
        let feed = Feed::from_hex(owner, topic).ok_or(FeedManifestDefect::Name);
        Some(feed.map(|feed| Self { feed, kind }))
    }

    /// Writes it as chunks and returns its reference, equal to the one that bee's `POST /feeds` returns.
    ///
    /// # Errors
    /// Returns the builder's; none is known.
    pub fn build(&self, sink: &mut dyn FnMut(VerifiedChunk)) -> Result<Reference, MantarayError> {
        let kind = match self.kind {
            FeedType::Sequence => "Sequence",
            FeedType::Epoch => "Epoch",
        };
        let metadata = BTreeMap::from([
            (OWNER.to_string(), self.feed.owner.to_string()),
            (TOPIC.to_string(), self.feed.topic.to_string()),
            (TYPE.to_string(), kind.to_string()),
        ]);
        let mut builder = Builder::new();
        builder.add_zero("/", metadata);
        builder.finish(sink)
    }
}
