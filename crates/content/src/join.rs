//! Reads a file tree: asks for chunks, gives verified pieces.
use crate::RedundancyLevel;
use crate::Reference;
use crate::shape::{ADDRESS_BYTES, LEAF_BYTES, Layout, Shape, Span};
use alloc::collections::{BTreeMap, VecDeque, btree_map::Entry};
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

pub use crate::shape::FILE_BYTES_MAX;

/// Limits of a joiner.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// Largest file accepted, in bytes; never more than [`FILE_BYTES_MAX`]. Checked on the root, before anything else is fetched.
    pub size_max: u64,
    /// Chunks wanted and not yet received, at most (0 counts as 1).
    pub in_flight_max: usize,
    /// Give pieces in file order (buffering at most `in_flight_max` chunks), or as they come.
    pub ordered: bool,
}

/// One verified piece of a file.
#[derive(Debug)]
pub struct Piece {
    offset: u64,
    len: usize,
    chunk: VerifiedChunk,
}

impl Piece {
    /// Returns where it belongs in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the bytes, at least 1 and at most 4096.
    pub fn bytes(&self) -> &[u8] {
        let payload = self.chunk.payload();
        payload.get(..self.len).unwrap_or(payload)
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A chunk is nowhere to be had.
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
    /// The reference carries a key.
    #[error(
        "reading encrypted content (a reference of 128 digits) is not supported yet: publish without encryption"
    )]
    EncryptionUnsupported,
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

/// Reads one file in constant memory: the open intermediate chunks and what is in flight.
///
/// Chunks are asked for in file order; intermediate chunks early enough that leaves never run out, and no earlier. An address is
/// asked for once while it is outstanding, however many places of the file it fills.
pub struct Join {
    config: JoinConfig,
    encrypted: bool,
    /// Size and level, once the root chunk is here.
    root: Option<Span>,
    /// Places waiting for a chunk, by its address.
    outstanding: BTreeMap<ChunkAddress, Waiting>,
    /// Places in `outstanding`.
    places: usize,
    /// Open intermediate chunks over leaves, by the end of their part of the file.
    leaf_parents: BTreeMap<u64, Node>,
    /// Open intermediate chunks over intermediate chunks, by the end of their part of the file: an inner one comes before its
    /// ancestors, and earlier parts come before later ones.
    branch_parents: BTreeMap<u64, Node>,
    /// Bytes below `leaf_parents` not asked for yet and below outstanding intermediate chunks: the work in sight.
    ahead_bytes: u64,
    /// The root was asked for.
    started: bool,
    /// Pieces received before their turn (ordered).
    early: BTreeMap<u64, Piece>,
    /// Pieces to hand out.
    ready: VecDeque<Piece>,
    /// Everything before this offset has been moved to `ready` (ordered).
    next_offset: u64,
    received_bytes: u64,
}

/// A part of the file that some chunk has to fill.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    /// Bytes it covers; `None` for the root, which tells.
    size: Option<u64>,
}

/// The places one chunk fills: nearly always one, which then needs no allocation.
struct Waiting {
    first: Place,
    more: Vec<Place>,
}

/// An intermediate chunk whose children are being asked for.
struct Node {
    chunk: VerifiedChunk,
    offset: u64,
    size: u64,
    shape: Shape,
    /// Index of the next child to ask for.
    next: usize,
}

impl Join {
    /// Starts reading `root`.
    pub fn new(root: Reference, config: JoinConfig) -> Self {
        let mut join = Self {
            config,
            encrypted: root.key.is_some(),
            root: None,
            outstanding: BTreeMap::new(),
            places: 1,
            leaf_parents: BTreeMap::new(),
            branch_parents: BTreeMap::new(),
            ahead_bytes: 0,
            started: false,
            early: BTreeMap::new(),
            ready: VecDeque::new(),
            next_offset: 0,
            received_bytes: 0,
        };
        let first = Place {
            offset: 0,
            size: None,
        };
        let more = Vec::new();
        join.outstanding
            .insert(root.address, Waiting { first, more });
        join
    }

    /// Returns the size of the file, known once the root chunk is here.
    pub fn size(&self) -> Option<u64> {
        self.root.map(|span| span.size)
    }

    /// Returns the bytes received so far, handed out or not.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Returns the chunks buffered now: open intermediate chunks and pieces not handed out.
    pub fn buffered_chunks(&self) -> usize {
        self.leaf_parents
            .len()
            .saturating_add(self.branch_parents.len())
            .saturating_add(self.early.len())
            .saturating_add(self.ready.len())
    }

    /// Says whether `address` was asked for and is not here yet.
    pub fn is_waiting_for(&self, address: ChunkAddress) -> bool {
        self.outstanding.contains_key(&address)
    }

    /// Returns the next piece.
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

    /// Takes the next place to fill, with the address that fills it.
    fn next_place(&mut self) -> Option<(ChunkAddress, Place)> {
        let window = self.window_bytes();
        if self.ahead_bytes < window || self.places == 0 {
            // More leaves will be needed soon: open the next intermediate chunk first.
            if let Some(found) = take_child(&mut self.branch_parents) {
                // A lone last leaf may hang directly below an intermediate parent: it opens nothing.
                let size = found.1.size.filter(|size| *size > LEAF_BYTES);
                self.ahead_bytes = self.ahead_bytes.saturating_add(size.unwrap_or(0));
                return Some(found);
            }
        }
        let entry = self.leaf_parents.first_entry()?;
        // In order: only what fits into the window, so that the leaf everything waits for always has room.
        if self.config.ordered
            && entry.get().next_offset() >= self.next_offset.saturating_add(window)
        {
            return None;
        }
        let found = take_child(&mut self.leaf_parents)?;
        self.ahead_bytes = self.ahead_bytes.saturating_sub(found.1.size.unwrap_or(0));
        Some(found)
    }

    /// Checks a chunk against its place and files it.
    fn fill(&mut self, place: Place, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let address = chunk.address();
        let malformed = |defect| JoinError::Malformed {
            address,
            offset: place.offset,
            defect,
        };
        let size = match place.size {
            None => {
                let span = Span::decode(chunk.span_bytes()).map_err(malformed)?;
                self.accept_root(span)?;
                span.size
            }
            Some(expected) => {
                let level = self.root.map_or(RedundancyLevel::None, |root| root.level);
                check_span(&chunk, expected, level).map_err(malformed)?;
                if expected > LEAF_BYTES {
                    self.ahead_bytes = self.ahead_bytes.saturating_sub(expected);
                }
                expected
            }
        };
        if size <= LEAF_BYTES {
            let len = usize::try_from(size).unwrap_or(usize::MAX);
            let found = chunk.payload().len();
            if found < len {
                return Err(malformed(TreeDefect::PayloadShort {
                    expected: len,
                    found,
                }));
            }
            self.file_leaf(Piece {
                offset: place.offset,
                len,
                chunk,
            });
            return Ok(());
        }
        let level = self.root.map_or(RedundancyLevel::None, |root| root.level);
        let shape = Shape::of(
            size,
            Layout {
                level,
                encrypted: false,
            },
        );
        check_references(&chunk, shape, level).map_err(malformed)?;
        let node = Node {
            chunk,
            offset: place.offset,
            size,
            shape,
            next: 0,
        };
        let end = place.offset.saturating_add(size);
        if shape.child_bytes == LEAF_BYTES {
            self.ahead_bytes = self.ahead_bytes.saturating_add(size);
            self.leaf_parents.insert(end, node);
        } else {
            self.branch_parents.insert(end, node);
        }
        Ok(())
    }

    fn accept_root(&mut self, span: Span) -> Result<(), JoinError> {
        let max = self.config.size_max.min(FILE_BYTES_MAX);
        if span.size > max {
            return Err(JoinError::TooLarge {
                size: span.size,
                max,
            });
        }
        self.root = Some(span);
        Ok(())
    }

    fn file_leaf(&mut self, piece: Piece) {
        let len = u64::try_from(piece.len).unwrap_or(0);
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
            self.next_offset = self
                .next_offset
                .saturating_add(u64::try_from(piece.len).unwrap_or(0));
            self.ready.push_back(piece);
        }
    }
}

impl ChunkConsumer for Join {
    type Error = JoinError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        if !self.started {
            self.started = true;
            return self.outstanding.keys().next().copied();
        }
        while self.places.saturating_add(self.ready.len()) < self.in_flight_max() {
            let (address, place) = self.next_place()?;
            self.places = self.places.saturating_add(1);
            match self.outstanding.entry(address) {
                Entry::Occupied(mut waiting) => waiting.get_mut().more.push(place),
                Entry::Vacant(vacant) => {
                    vacant.insert(Waiting {
                        first: place,
                        more: Vec::new(),
                    });
                    return Some(address);
                }
            }
        }
        None
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let Some(waiting) = self.outstanding.remove(&chunk.address()) else {
            return Ok(());
        };
        if self.encrypted {
            return Err(JoinError::EncryptionUnsupported);
        }
        let places = waiting.more.len().saturating_add(1);
        self.places = self.places.saturating_sub(places);
        for place in waiting.more {
            self.fill(place, chunk.clone())?;
        }
        self.fill(waiting.first, chunk)
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        if self.outstanding.contains_key(&address) {
            return Err(JoinError::Unavailable(address));
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.root
            .is_some_and(|root| root.size == self.received_bytes)
    }
}

impl Node {
    fn next_offset(&self) -> u64 {
        let index = u64::try_from(self.next).unwrap_or(u64::MAX);
        self.offset
            .saturating_add(index.saturating_mul(self.shape.child_bytes))
    }

    fn next_child(&self) -> Option<(ChunkAddress, Place)> {
        if self.next >= self.shape.children {
            return None;
        }
        let start = self.next.checked_mul(ADDRESS_BYTES)?;
        let reference = self.chunk.payload().get(start..)?.first_chunk()?;
        let offset = self.next_offset();
        let end = self.offset.saturating_add(self.size);
        let place = Place {
            offset,
            size: Some(self.shape.child_bytes.min(end.saturating_sub(offset))),
        };
        Some((ChunkAddress(*reference), place))
    }
}

/// Takes the next child of the first node, and closes the node with its last one.
fn take_child(nodes: &mut BTreeMap<u64, Node>) -> Option<(ChunkAddress, Place)> {
    let mut entry = nodes.first_entry()?;
    let node = entry.get_mut();
    let child = node.next_child();
    node.next = node.next.saturating_add(1);
    if node.next >= node.shape.children {
        entry.remove();
    }
    child
}

/// Checks that a chunk below the root covers exactly its place.
fn check_span(
    chunk: &VerifiedChunk,
    expected: u64,
    level: RedundancyLevel,
) -> Result<(), TreeDefect> {
    let bytes = chunk.span_bytes();
    // SPEC swarm-wire 8.5: only intermediate chunks of a tree whose root carries a level carry one.
    let leveled = level != RedundancyLevel::None && expected > LEAF_BYTES;
    let span = if leveled {
        Span::decode(bytes)?
    } else {
        Span::plain(bytes)
    };
    if leveled && span.level != level {
        return Err(TreeDefect::LevelDiffers);
    }
    if span.size != expected {
        return Err(TreeDefect::Span {
            expected,
            found: span.size,
        });
    }
    Ok(())
}

/// Checks that an intermediate chunk has the references its shape needs, and after them nothing but padding or parity references.
fn check_references(
    chunk: &VerifiedChunk,
    shape: Shape,
    level: RedundancyLevel,
) -> Result<(), TreeDefect> {
    let payload = chunk.payload();
    let expected = shape.children.saturating_mul(ADDRESS_BYTES);
    let Some((_, rest)) = payload.split_at_checked(expected) else {
        return Err(TreeDefect::PayloadShort {
            expected,
            found: payload.len(),
        });
    };
    if level == RedundancyLevel::None && rest.iter().any(|byte| *byte != 0) {
        return Err(TreeDefect::TooManyReferences {
            children: shape.children,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
