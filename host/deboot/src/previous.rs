//! What somebody already has who has a release from before: chunks of a set, or those behind a reference or feed.
//!
//! Of a reference only the chunks are read that name others (intermediate chunks and directory nodes), about one in a hundred: they say
//! the addresses of all the rest.
use crate::locate::{LocateError, WithRoot, locate_directory};
use crate::source::{ChunkSet, Source, SourceError};
use crate::target::{Name, Target};
use bmt::{ChunkAddress, ChunkConsumer, ChunkKind, REPLICA_OWNER, VerifiedChunk};
use client::{Observer, RunError};
use content::feed::Root;
use content::mantaray::{Listing, ListingConfig, MantarayError, NODE_BYTES_MAX};
use content::tree::{Place, open, parities};
use content::{Reference, TreeDefect};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Chunks asked for at once.
const IN_FLIGHT_MAX: usize = 256;
/// Addresses remembered, at most: at some 50 bytes each, below 1 GB. Stops a hostile tree from filling memory.
const CHUNKS_MAX: usize = 16 * 1024 * 1024;

/// Chunks that are known.
#[derive(Debug)]
pub struct Previous {
    set: ChunkSet,
    addresses: BTreeSet<ChunkAddress>,
    /// Parities were found: then known roots have replicas, too.
    is_redundant: bool,
    read: u64,
}

/// Why it cannot be said which chunks are known.
#[derive(Debug, thiserror::Error)]
pub enum PreviousError {
    /// The name leads nowhere.
    #[error("the release before: {0}")]
    Locate(#[from] LocateError),
    /// Its directory cannot be read.
    #[error("the release before: {0}")]
    Directory(Box<SourceError<MantarayError>>),
    /// One of its files cannot be read.
    #[error("the release before: {0}")]
    File(Box<SourceError<ChunksError>>),
}

/// Why the chunks of a file cannot be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunksError {
    /// An intermediate chunk is nowhere to be had.
    #[error("chunk {0} is not available")]
    Unavailable(ChunkAddress),
    /// A chunk is not what its parent says.
    #[error("chunk {address} is malformed: {defect}")]
    Malformed {
        /// Which.
        address: ChunkAddress,
        /// What is wrong.
        defect: TreeDefect,
    },
    /// More than anybody compares.
    #[error("the release before has more than {CHUNKS_MAX} chunks")]
    TooLarge,
}

impl Previous {
    /// Knows the chunks of a set, which may be empty.
    pub fn of_set(set: ChunkSet) -> Self {
        Self {
            set,
            addresses: BTreeSet::new(),
            is_redundant: false,
            read: 0,
        }
    }

    /// Chunks read so far, feed updates included.
    pub fn chunks_read(&self) -> u64 {
        self.read
    }

    /// Says whether a chunk is known.
    ///
    /// A single chunk does not say how many replicas it has, so all replicas of a known root count as known when anything there is
    /// redundant: as if the level had not changed.
    pub fn has(&self, chunk: &VerifiedChunk) -> bool {
        let address = chunk.address();
        if self.set.contains(address) || self.addresses.contains(&address) {
            return true;
        }
        match chunk.kind() {
            ChunkKind::SingleOwner { owner, wrapped, .. } if owner == REPLICA_OWNER => {
                self.is_redundant && self.addresses.contains(&wrapped)
            }
            ChunkKind::SingleOwner { .. } | ChunkKind::Content => false,
        }
    }

    /// Learns all chunks of a directory or file, or of what a feed announces. Returns what was found there.
    ///
    /// # Errors
    /// See [`PreviousError`].
    pub fn learn(
        &mut self,
        source: &mut Source,
        name: Name,
        timeout: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<Reference, PreviousError> {
        let target = Target { name, path: None };
        let located = locate_directory(source, &target, timeout, observer)?;
        self.read += located.chunks;
        let Root { reference, chunk } = located.root;
        let size = self.learn_trees(source, [reference], chunk.clone(), timeout, observer)?;
        // What is larger is no directory, and need not be read to find that out.
        if size <= NODE_BYTES_MAX {
            let files = self.learn_nodes(source, reference, chunk, timeout, observer)?;
            self.learn_trees(source, files, None, timeout, observer)?;
        }
        Ok(reference)
    }

    /// Learns the nodes of a directory; returns its files, none when it is no directory.
    fn learn_nodes(
        &mut self,
        source: &mut Source,
        root: Reference,
        chunk: Option<VerifiedChunk>,
        timeout: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Reference>, PreviousError> {
        let nodes = Nodes {
            listing: Listing::new(root, ListingConfig::default()),
            known: self,
            files: Vec::new(),
        };
        let failed = |error| PreviousError::Directory(Box::new(error));
        let nodes = WithRoot::new(nodes, chunk).map_err(|e| failed(SourceError::Consumer(e)));
        let mut nodes = match nodes {
            Err(PreviousError::Directory(error)) if is_no_directory(&error, root) => {
                return Ok(Vec::new());
            }
            nodes => nodes?,
        };
        match source.run(&mut nodes, timeout, observer) {
            Ok(()) => Ok(nodes.inner.files),
            Err(error) if is_no_directory(&error, root) => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Learns the chunks of file trees; returns the size of the largest.
    fn learn_trees(
        &mut self,
        source: &mut Source,
        roots: impl IntoIterator<Item = Reference>,
        chunk: Option<VerifiedChunk>,
        timeout: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<u64, PreviousError> {
        let failed = |error| PreviousError::File(Box::new(error));
        let trees = Trees {
            wanted: roots.into_iter().map(Place::root).collect(),
            open: BTreeMap::new(),
            seen: BTreeSet::new(),
            known: self,
            size: 0,
        };
        let trees = WithRoot::new(trees, chunk);
        let mut trees = trees.map_err(|error| failed(SourceError::Consumer(error)))?;
        let run = source.run(&mut trees, timeout, observer);
        run.map_err(failed)?;
        Ok(trees.inner.size)
    }

    /// Takes note of a chunk and of its parities; says how many bytes are below it and which data chunks.
    fn note(
        &mut self,
        place: &Place,
        chunk: &VerifiedChunk,
    ) -> Result<(u64, Vec<Place>), ChunksError> {
        let address = chunk.address();
        let malformed = |defect| ChunksError::Malformed { address, defect };
        let opened = open(place, chunk).map_err(malformed)?;
        let parities = parities(place, chunk).map_err(malformed)?;
        self.read += 1;
        self.is_redundant |= !parities.is_empty();
        let children = opened.children.iter();
        let children = children.map(|child| child.reference().address);
        self.addresses.insert(address);
        self.addresses.extend(children.chain(parities));
        if self.addresses.len() > CHUNKS_MAX {
            return Err(ChunksError::TooLarge);
        }
        Ok((opened.size, opened.children))
    }
}

/// Says whether a listing failed because the root itself is a file of another kind.
fn is_no_directory(error: &SourceError<MantarayError>, root: Reference) -> bool {
    let (SourceError::Consumer(error) | SourceError::Network(RunError::Consumer(error))) = error
    else {
        return false;
    };
    matches!(error, MantarayError::NotADirectory { address } if *address == root.address)
}

/// A listing of which the nodes' chunks are remembered.
struct Nodes<'a> {
    listing: Listing,
    known: &'a mut Previous,
    files: Vec<Reference>,
}

impl ChunkConsumer for Nodes<'_> {
    type Error = MantarayError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.listing.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), MantarayError> {
        let address = chunk.address();
        let key = self.listing.key(address);
        // Every intermediate chunk says itself what it covers, as a root does. What is wrong with one the listing says better.
        let place = Place::root(Reference { address, key });
        let _ = self.known.note(&place, &chunk);
        self.listing.handle_chunk(chunk)?;
        while let Some(listed) = self.listing.poll_listed() {
            self.files.extend(listed.entry.reference);
        }
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

/// Reads the intermediate chunks of file trees; of leaves only those that are roots, because nobody says that they are leaves.
struct Trees<'a> {
    wanted: VecDeque<Place>,
    open: BTreeMap<ChunkAddress, Place>,
    /// Equal trees are read once.
    seen: BTreeSet<ChunkAddress>,
    known: &'a mut Previous,
    size: u64,
}

impl ChunkConsumer for Trees<'_> {
    type Error = ChunksError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        while self.open.len() < IN_FLIGHT_MAX {
            let place = self.wanted.pop_front()?;
            let address = place.reference().address;
            if self.seen.insert(address) {
                self.open.insert(address, place);
                return Some(address);
            }
        }
        None
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), ChunksError> {
        let Some(place) = self.open.remove(&chunk.address()) else {
            return Ok(());
        };
        let (size, children) = self.known.note(&place, &chunk)?;
        self.size = self.size.max(size);
        let branches = children.into_iter().filter(Place::is_branch);
        // Depth first, so that what is wanted stays short.
        for branch in branches.rev() {
            self.wanted.push_front(branch);
        }
        Ok(())
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), ChunksError> {
        match self.open.contains_key(&address) {
            true => Err(ChunksError::Unavailable(address)),
            false => Ok(()),
        }
    }
    fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.open.is_empty()
    }
}
