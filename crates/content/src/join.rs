//! Reads a file tree: asks for chunks, gives verified pieces.
mod node;
mod open;
mod recovery;
mod root;
mod wants;

use crate::Reference;
use crate::encryption::Key;
use crate::shape::{LEAF_BYTES, Layout, Shape};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, ChunkAddress, ChunkConsumer, VerifiedChunk};
use core::ops::Range;
use litemap::LiteMap;
use node::{Node, Position};
use root::Root;
use wants::{Added, Place, Wants};

pub use crate::shape::FILE_BYTES_MAX;

/// Limits of a joiner.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// Largest file accepted, in bytes; never more than [`FILE_BYTES_MAX`]. Checked on the root, before anything else is fetched.
    pub size_max: u64,
    /// Chunks wanted and not yet received, at most (0 counts as 1). Chunks that are hard to get and have stand-ins do not count.
    pub in_flight_max: usize,
    /// Give pieces in file order (buffering at most `in_flight_max` chunks), or as they come.
    pub ordered: bool,
}

/// What to do about chunks that do not come, where the publisher added redundancy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Ask for data chunks only; one that cannot be had is an error.
    Data,
    /// Ask for data chunks, and for as many parity chunks (replicas, for the root) as data chunks are delayed or lost.
    #[default]
    DataThenParity,
    /// Ask for all chunks of a group at once and take whichever come first. Costs up to the parities' share of traffic.
    Race,
}

/// One verified piece of a file.
#[derive(Debug)]
pub struct Piece {
    offset: u64,
    data: Vec<u8>,
    /// The file's part of `data`.
    part: Range<usize>,
}

impl Piece {
    /// Returns where it belongs in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the bytes, at least 1 and at most 4096.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(self.part.clone()).unwrap_or(&[])
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A data chunk is nowhere to be had, and what redundancy there is does not bring it back.
    #[error("chunk {0} is not available")]
    Unavailable(ChunkAddress),
    /// The root announces more than the reader accepts.
    #[error("the file has {size} bytes, more than the limit of {max}")]
    TooLarge {
        /// Bytes announced.
        size: u64,
        /// [`JoinConfig::size_max`].
        max: u64,
    },
    /// The memory for the whole file cannot be had.
    #[error("no memory for a file of {size} bytes")]
    OutOfMemory {
        /// Bytes needed.
        size: u64,
    },
    /// The chunks are authentic, but whoever made them did not make a file tree.
    #[error("chunk {address} at offset {offset} is not part of a valid file tree: {defect}")]
    Malformed {
        /// The chunk.
        address: ChunkAddress,
        /// Where in the file its part starts.
        offset: u64,
        /// What is wrong with it.
        defect: TreeDefect,
    },
}

/// What makes a chunk unfit for its place in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeDefect {
    /// The chunk covers another number of bytes than its place needs.
    #[error("its span is {found}, its place needs {expected}")]
    Span {
        /// Bytes its place covers.
        expected: u64,
        /// Bytes it claims.
        found: u64,
    },
    /// Fewer payload bytes than the span needs.
    #[error("its payload has {found} bytes, its span needs {expected}")]
    PayloadShort {
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// More references than the span needs.
    #[error("it has more than the {children} references its span needs")]
    TooManyReferences {
        /// References needed.
        children: usize,
    },
    /// An encrypted chunk is always full.
    #[error("it has {found} bytes of payload, an encrypted chunk has 4096")]
    EncryptedLength {
        /// Bytes there.
        found: usize,
    },
    /// The group's parity chunks were not made from the group's data chunks.
    #[error("it is lost, and the parity chunks behind it give back another chunk")]
    WrongParity,
    /// Another redundancy level than the root's.
    #[error("its redundancy level differs from the root's")]
    LevelDiffers,
    /// A level above 4.
    #[error("redundancy level {level} does not exist")]
    UnknownLevel {
        /// The level found.
        level: u8,
    },
}

/// Reads one file, or a part of it, in bounded memory: open intermediate chunks and what is in flight; with redundancy also the
/// chunks of unfinished groups, at most two windows of them and one group for each level of the tree.
///
/// Chunks are asked for in file order; intermediate chunks early enough that leaves never run out, and no earlier. An address is
/// asked for once while it is outstanding, however many places of the file it fills.
pub struct Join {
    config: JoinConfig,
    strategy: Strategy,
    root: Root,
    /// What the root says about the whole tree.
    layout: Layout,
    /// Size of the file, once the root chunk is here.
    size: Option<u64>,
    /// The part of the file that is read; inside the file once the root chunk is here.
    range: Range<u64>,
    wants: Wants,
    /// Open intermediate chunks.
    nodes: LiteMap<Position, Box<Node>>,
    /// Those over leaves that have children left to ask for.
    leaf_parents: LiteMap<Position, ()>,
    /// The others that have: an inner one comes before its ancestors, and earlier parts come before later ones.
    branch_parents: LiteMap<Position, ()>,
    /// Shards to ask for before anything else.
    urgent: VecDeque<(Position, u8)>,
    /// Bytes below `leaf_parents` not asked for yet and below intermediate chunks to come: the work in sight.
    ahead_bytes: u64,
    /// Intermediate chunks whose turn it is and that are not here yet.
    opening: usize,
    /// Pieces received before their turn (ordered).
    early: BTreeMap<u64, Piece>,
    /// Pieces to hand out.
    ready: VecDeque<Piece>,
    /// Everything before this offset has been moved to `ready` (ordered).
    next_offset: u64,
    received_bytes: u64,
    recovered_chunks: u64,
}

impl Join {
    /// Starts reading `root`.
    pub fn new(root: Reference, config: JoinConfig) -> Self {
        Self::range(root, 0..u64::MAX, config)
    }

    /// Starts reading a part of `root`: only the chunks that are needed for it are asked for. What lies beyond the end is left out.
    pub fn range(root: Reference, range: Range<u64>, config: JoinConfig) -> Self {
        Self {
            config,
            strategy: Strategy::default(),
            root: Root::new(root),
            layout: Layout::default(),
            size: None,
            range,
            wants: Wants::default(),
            nodes: LiteMap::new_vec(),
            leaf_parents: LiteMap::new_vec(),
            branch_parents: LiteMap::new_vec(),
            urgent: VecDeque::new(),
            ahead_bytes: 0,
            opening: 0,
            early: BTreeMap::new(),
            ready: VecDeque::new(),
            next_offset: 0,
            received_bytes: 0,
            recovered_chunks: 0,
        }
    }

    /// Chooses how to use redundancy. To be called before anything is asked for.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Returns the size of the file, known once the root chunk is here.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the bytes received so far, handed out or not.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Returns the data chunks computed from others so far.
    pub fn recovered_chunks(&self) -> u64 {
        self.recovered_chunks
    }

    /// Returns the chunks buffered now: open intermediate chunks, chunks of unfinished groups, pieces not handed out.
    pub fn buffered_chunks(&self) -> usize {
        let nodes = self.nodes.values().map(|node| {
            let held = node.group.as_ref().map_or(0, |group| group.held.len());
            held.saturating_add(1)
        });
        nodes
            .fold(self.early.len(), usize::saturating_add)
            .saturating_add(self.ready.len())
    }

    /// Says whether `address` was asked for and is not here yet.
    pub fn is_waiting_for(&self, address: ChunkAddress) -> bool {
        self.wants.contains(address)
    }

    /// Returns the next piece. Pieces come of chunks: to look after [`ChunkConsumer::handle_chunk`] is enough.
    pub fn poll_piece(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    fn in_flight_max(&self) -> usize {
        self.config.in_flight_max.max(1)
    }

    /// Bytes that a full window of leaves covers.
    fn window_bytes(&self) -> u64 {
        u64::try_from(self.in_flight_max())
            .unwrap_or(u64::MAX)
            .saturating_mul(LEAF_BYTES)
    }

    /// Says whether one more intermediate chunk may be opened: unfinished groups hold their chunks, so they must not pile up.
    fn may_open(&self) -> bool {
        let groups = self.in_flight_max() / self.layout.branches().max(1);
        // Those of two windows, and a path to the root: no tree has more than twelve levels.
        let most = groups.saturating_mul(2).saturating_add(16);
        !self.has_groups() || self.nodes.len().saturating_add(self.opening) < most
    }

    /// Takes the next place to fill, with the address that fills it.
    fn next_place(&mut self) -> Option<(ChunkAddress, Place)> {
        let window = self.window_bytes();
        loop {
            let short = self.ahead_bytes < window || self.wants.is_empty();
            // More leaves will be needed soon: open the next intermediate chunk first.
            let branch = (short && self.may_open())
                .then(|| self.branch_parents.first().map(|(position, ())| *position));
            let position = match branch.flatten() {
                Some(position) => position,
                None => {
                    let position = *self.leaf_parents.first()?.0;
                    let next = self.nodes.get(&position)?.next_offset();
                    // In order: only what fits into the window, so that the leaf everything waits for always has room.
                    if self.config.ordered && next >= self.next_offset.saturating_add(window) {
                        return None;
                    }
                    position
                }
            };
            if let Some(found) = self.turn(position) {
                return Some(found);
            }
        }
    }

    /// It is the next child's turn: returns what to ask for, unless the child is here already or on its way.
    fn turn(&mut self, position: Position) -> Option<(ChunkAddress, Place)> {
        let node = self.nodes.get_mut(&position)?;
        let index = node.next;
        node.next = node.next.saturating_add(1);
        let (last, over_leaves) = (node.next >= node.end, node.is_over_leaves());
        let child = node.child(index);
        let known = node.group.as_ref().map(|group| {
            let shard = node::index(index);
            shard.is_some_and(|shard| group.is_known(shard))
        });
        if last {
            self.leaf_parents.remove(&position);
            self.branch_parents.remove(&position);
            if known.is_none() {
                self.nodes.remove(&position);
            }
        }
        let child = child?;
        if !over_leaves && child.size > LEAF_BYTES {
            // A lone last leaf may hang directly below an intermediate parent: it opens nothing.
            self.ahead_bytes = self.ahead_bytes.saturating_add(child.size);
            self.opening = self.opening.saturating_add(1);
        }
        match known {
            None => {
                if over_leaves {
                    self.ahead_bytes = self.ahead_bytes.saturating_sub(child.size);
                }
                let place = Place::Child {
                    offset: child.offset,
                    size: child.size,
                    key: child.reference.key,
                };
                Some((child.reference.address, place))
            }
            Some(false) => self.shard_place(position, node::index(index)?),
            Some(true) => {
                self.use_held(position, node::index(index)?);
                None
            }
        }
    }

    /// Checks a chunk against its place and files it.
    fn fill(
        &mut self,
        offset: u64,
        size: u64,
        key: Option<Key>,
        chunk: VerifiedChunk,
    ) -> Result<(), JoinError> {
        let address = chunk.address();
        let malformed = |defect| JoinError::Malformed {
            address,
            offset,
            defect,
        };
        let chunk = chunk.into_wrapped();
        if size <= LEAF_BYTES {
            let piece = open::leaf(chunk, key, offset, size).map_err(malformed)?;
            self.file_leaf(piece.within(&self.range));
            return Ok(());
        }
        let shape = Shape::of(size, self.layout);
        let references = open::references(&chunk, key, shape, self.layout).map_err(malformed)?;
        self.open_node(Node::new(
            references,
            self.layout,
            offset,
            size,
            &self.range,
        ));
        Ok(())
    }

    /// Checks a chunk that is no root: it has to cover its place exactly.
    fn fill_child(
        &mut self,
        offset: u64,
        size: u64,
        key: Option<Key>,
        chunk: VerifiedChunk,
    ) -> Result<(), JoinError> {
        if let Err(defect) = open::check_span(&chunk, key, size, self.layout) {
            return Err(JoinError::Malformed {
                address: chunk.address(),
                offset,
                defect,
            });
        }
        if size > LEAF_BYTES {
            self.ahead_bytes = self.ahead_bytes.saturating_sub(size);
            self.opening = self.opening.saturating_sub(1);
        }
        self.fill(offset, size, key, chunk)
    }

    fn open_node(&mut self, mut node: Node) {
        if node.next >= node.end {
            // An empty part of the file was asked for.
            return;
        }
        let position = node.position();
        if self.has_groups() {
            node.start_group();
        }
        if node.is_over_leaves() {
            self.ahead_bytes = self.ahead_bytes.saturating_add(node.unasked_bytes());
            self.leaf_parents.insert(position, ());
        } else {
            self.branch_parents.insert(position, ());
        }
        self.nodes.insert(position, Box::new(node));
        if self.strategy == Strategy::Race {
            self.want_all(position);
        }
    }

    fn file_leaf(&mut self, piece: Piece) {
        let len = piece.len();
        self.received_bytes = self.received_bytes.saturating_add(len);
        if len == 0 {
            return;
        }
        if !self.config.ordered {
            self.ready.push_back(piece);
            return;
        }
        if piece.offset != self.next_offset {
            self.early.insert(piece.offset, piece);
            return;
        }
        self.next_offset = self.next_offset.saturating_add(len);
        self.ready.push_back(piece);
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() != self.next_offset {
                break;
            }
            let piece = entry.remove();
            self.next_offset = self.next_offset.saturating_add(piece.len());
            self.ready.push_back(piece);
        }
    }

    /// Gives a chunk to one of the places that wait for it.
    fn take(&mut self, place: Place, chunk: VerifiedChunk) -> Result<(), JoinError> {
        match place {
            Place::Root => self.take_root(chunk),
            Place::Replica => self.take_replica(chunk),
            Place::Child { offset, size, key } => self.fill_child(offset, size, key, chunk),
            Place::Shard { parent, index } => self.take_shard(parent, index, chunk),
        }
    }

    /// Registers a want; returns the address if the source has to be asked.
    fn want(&mut self, address: ChunkAddress, place: Place) -> Option<ChunkAddress> {
        match self.wants.add(address, place) {
            Added::New => Some(address),
            Added::Known { slow } => {
                if slow && let Place::Shard { parent, index } = place {
                    self.mark_slow(parent, index);
                }
                None
            }
        }
    }
}

impl ChunkConsumer for Join {
    type Error = JoinError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        while self.wants.active().saturating_add(self.ready.len()) < self.in_flight_max() {
            let (address, place) = if let Some(found) = self.root_place() {
                found
            } else if let Some((parent, index)) = self.urgent.pop_front() {
                match self.urgent_place(parent, index) {
                    Some(found) => found,
                    None => continue,
                }
            } else if self.wants.slow() >= self.in_flight_max() {
                return None;
            } else if let Some(found) = self.next_place() {
                found
            } else if self.urgent.is_empty() {
                return None;
            } else {
                // The search opened a chunk that was here already.
                continue;
            };
            if let Some(address) = self.want(address, place) {
                return Some(address);
            }
        }
        None
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let Some((first, more)) = self.wants.take(chunk.address()) else {
            return Ok(());
        };
        for place in more {
            self.take(place, chunk.clone())?;
        }
        self.take(first, chunk)
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        let Some((first, more)) = self.wants.take(address) else {
            return Ok(());
        };
        for place in core::iter::once(first).chain(more) {
            match place {
                Place::Root => self.lose_root()?,
                Place::Replica => self.lose_replica(address)?,
                Place::Child { .. } => return Err(JoinError::Unavailable(address)),
                Place::Shard { parent, index } => self.lose_shard(parent, index)?,
            }
        }
        Ok(())
    }

    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        if self.strategy == Strategy::Data || (self.size.is_some() && !self.has_groups()) {
            return Ok(());
        }
        for place in self.wants.mark_slow(address) {
            match place {
                Place::Root | Place::Replica => self.want_more_replicas(),
                Place::Child { .. } => {}
                Place::Shard { parent, index } => self.mark_slow(parent, index),
            }
        }
        Ok(())
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.wants.poll_obsolete()
    }

    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        let root = self.root.reference();
        match root.address == address {
            true => root.key,
            false => self.wants.key(address),
        }
    }

    fn is_done(&self) -> bool {
        let wanted = self.range.end.saturating_sub(self.range.start);
        self.size.is_some() && self.received_bytes == wanted
    }
}

impl Piece {
    fn len(&self) -> u64 {
        u64::try_from(self.part.len()).unwrap_or(0)
    }

    /// Cuts off what lies outside `range`.
    fn within(mut self, range: &Range<u64>) -> Self {
        let end = self.offset.saturating_add(self.len());
        let before = range
            .start
            .clamp(self.offset, end)
            .saturating_sub(self.offset);
        let behind = end.saturating_sub(range.end.clamp(self.offset, end));
        // Both are at most 4096.
        let cut = |bytes| usize::try_from(bytes).unwrap_or(CHUNK_PAYLOAD_BYTES_MAX);
        self.offset = self.offset.saturating_add(before);
        self.part.start = self.part.start.saturating_add(cut(before));
        self.part.end = self
            .part
            .end
            .saturating_sub(cut(behind))
            .max(self.part.start);
        self
    }
}

#[cfg(test)]
mod tests;
