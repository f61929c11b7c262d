//! Mantaray directories, versions 0.1 and 0.2: look-up, listing and building.
//!
//! A directory is a trie; each of its nodes is a file of its own, so every step of a look-up reads one small file.
mod builder;
mod listing;
mod lookup;
mod node;
mod resolve;

use crate::feed::FeedManifestDefect;
use crate::{JoinError, Reference};
use alloc::collections::BTreeMap;
use alloc::string::String;
use bmt::ChunkAddress;

pub use builder::Builder;
pub use listing::{Listed, Listing, ListingConfig};
pub use lookup::Lookup;
pub use node::{NodeDefect, is_directory};
pub use resolve::{Document, Resolution, Resolve};

/// Largest node read, in bytes. A node of 256 forks with ordinary metadata has 60 KiB; a hostile directory must not fill the memory.
pub const NODE_BYTES_MAX: u64 = 1 << 20;
/// Longest path, in bytes. Each node on the way uses up at least one, so this also bounds the number of nodes one look-up reads.
pub const PATH_BYTES_MAX: usize = 1024;
/// Chunks of one node wanted at once.
const NODE_IN_FLIGHT_MAX: usize = 32;

/// What a path leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The file, or `None` for an entry that only carries metadata.
    pub reference: Option<Reference>,
    /// Metadata such as `Content-Type`, `Filename`.
    pub metadata: BTreeMap<String, String>,
}

/// Why a directory cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MantarayError {
    /// The path is not in the directory.
    #[error("path not found in the directory")]
    NotFound,
    /// The reference is a file of another kind.
    #[error("{address} is not a directory: its bytes are no mantaray node of version 0.1 or 0.2")]
    NotADirectory {
        /// Root chunk of the file.
        address: ChunkAddress,
    },
    /// A node claims to be one and is not.
    #[error("directory node {address} is malformed: {defect}")]
    Malformed {
        /// Root chunk of the node.
        address: ChunkAddress,
        /// What is wrong.
        defect: NodeDefect,
    },
    /// A node cannot be read.
    #[error("directory node {address} cannot be read: {error}")]
    Node {
        /// Root chunk of the node.
        address: ChunkAddress,
        /// Why.
        error: JoinError,
    },
    /// The path is longer than any directory entry.
    #[error("the path has {len} bytes, a directory has paths of at most {PATH_BYTES_MAX}")]
    PathTooLong {
        /// Bytes of the path.
        len: usize,
    },
    /// The directory is larger than the caller wants to see.
    #[error("the directory has more than {max} nodes")]
    TooManyNodes {
        /// [`ListingConfig::nodes_max`].
        max: usize,
    },
    /// The metadata of one entry does not fit into a node.
    #[error("the metadata of one entry has {len} bytes as JSON, at most 65535 fit")]
    MetadataTooLarge {
        /// Bytes needed.
        len: usize,
    },
    /// An entry to add has no key and the directory is encrypted, or the other way round.
    #[error(
        "a directory holds references of one size: this one of {expected} bytes, the entry's has {found}"
    )]
    ReferenceSize {
        /// Bytes of the directory's references.
        expected: usize,
        /// Bytes of the entry's.
        found: usize,
    },
    /// A feed manifest that names no feed.
    #[error("{address} is a feed manifest that cannot be used: {defect}")]
    FeedManifest {
        /// Root chunk of the manifest.
        address: ChunkAddress,
        /// What is wrong.
        defect: FeedManifestDefect,
    },
}

#[cfg(test)]
mod tests;
