//! Lists a directory, with the sizes of its files.
use crate::fetch::Counted;
use crate::locate::WithRoot;
use crate::source::{Source, SourceError};
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use client::Observer;
use content::Reference;
use content::feed::Root;
use content::mantaray::{Listing, ListingConfig, MantarayError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

/// Root chunks asked for at once when sizes are read.
const IN_FLIGHT_MAX: usize = 256;

/// One path of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// The file, or `None` for an entry that only carries metadata.
    pub reference: Option<Reference>,
    /// Bytes of the file; `None` when its root chunk could not be had or it is encrypted.
    pub size: Option<u64>,
    /// Metadata such as `Content-Type`.
    pub metadata: BTreeMap<String, String>,
}

/// A listed directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// All paths, in order.
    pub items: Vec<Item>,
    /// Chunks received.
    pub chunks: u64,
}

/// Why a directory cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Its nodes cannot be read.
    #[error(transparent)]
    Directory(Box<SourceError<MantarayError>>),
    /// The sizes cannot be read.
    #[error("reading sizes: {0}")]
    Sizes(Box<SourceError<Infallible>>),
}

/// Lists every path below the directory `root`, and reads the size of each file from its root chunk.
///
/// # Errors
/// See [`ListError`]. A root chunk that cannot be had is no error: that file has no size.
pub fn list(
    source: &mut Source,
    root: &Root,
    timeout: Option<Duration>,
    observer: &mut dyn Observer,
) -> Result<Listed, ListError> {
    let failed = |error| ListError::Directory(Box::new(error));
    let paths = Paths {
        listing: Listing::new(root.reference, ListingConfig::default()),
        items: Vec::new(),
    };
    let paths = WithRoot::new(paths, root.chunk.clone());
    let paths = paths.map_err(|error| failed(SourceError::Consumer(error)))?;
    let mut listing = Counted::new(paths);
    source
        .run(&mut listing, timeout, observer)
        .map_err(failed)?;
    let mut chunks = listing.chunks;
    let mut items = listing.inner.inner.items;
    let roots = items
        .iter()
        .filter_map(|item| item.reference)
        .filter(|reference| reference.key.is_none())
        .map(|reference| reference.address);
    let mut sizes = Counted::new(Sizes::new(roots));
    source
        .run(&mut sizes, timeout, observer)
        .map_err(|error| ListError::Sizes(Box::new(error)))?;
    chunks += sizes.chunks;
    for item in &mut items {
        let root = item.reference.map(|reference| reference.address);
        item.size = root.and_then(|root| sizes.inner.found.get(&root).copied());
    }
    Ok(Listed { items, chunks })
}

/// Takes paths out of the listing as they come.
struct Paths {
    listing: Listing,
    items: Vec<Item>,
}

impl Paths {
    fn drain(&mut self) {
        while let Some(listed) = self.listing.poll_listed() {
            self.items.push(Item {
                path: String::from_utf8_lossy(&listed.path).into_owned(),
                reference: listed.entry.reference,
                size: None,
                metadata: listed.entry.metadata,
            });
        }
    }
}

impl ChunkConsumer for Paths {
    type Error = MantarayError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.listing.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), MantarayError> {
        self.listing.handle_chunk(chunk)?;
        self.drain();
        Ok(())
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        self.listing.handle_unavailable(address)
    }
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        self.listing.handle_delayed(address)
    }
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.listing.poll_obsolete()
    }
    fn is_done(&self) -> bool {
        self.listing.is_done()
    }
}

/// Reads root chunks for the spans in them.
struct Sizes {
    wanted: VecDeque<ChunkAddress>,
    open: BTreeSet<ChunkAddress>,
    found: BTreeMap<ChunkAddress, u64>,
}

impl Sizes {
    fn new(roots: impl Iterator<Item = ChunkAddress>) -> Self {
        // Equal files share their root: each is asked for once.
        let unique: BTreeSet<ChunkAddress> = roots.collect();
        Self {
            wanted: unique.into_iter().collect(),
            open: BTreeSet::new(),
            found: BTreeMap::new(),
        }
    }
}

impl ChunkConsumer for Sizes {
    type Error = Infallible;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        if self.open.len() >= IN_FLIGHT_MAX {
            return None;
        }
        let address = self.wanted.pop_front()?;
        self.open.insert(address);
        Some(address)
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), Infallible> {
        if self.open.remove(&chunk.address()) {
            self.found.insert(chunk.address(), span(chunk.span_bytes()));
        }
        Ok(())
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), Infallible> {
        self.open.remove(&address);
        Ok(())
    }
    fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.open.is_empty()
    }
}

/// SPEC swarm-wire 8.5: above 128 the top byte is a redundancy level and not part of the size.
fn span(mut bytes: [u8; 8]) -> u64 {
    if bytes[7] > 128 {
        bytes[7] = 0;
    }
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_redundancy_level_is_not_part_of_the_size() {
        assert_eq!(span([1, 2, 0, 0, 0, 0, 0, 0]), 0x0201);
        assert_eq!(span([1, 2, 0, 0, 0, 0, 0, 0x81]), 0x0201);
    }
}
