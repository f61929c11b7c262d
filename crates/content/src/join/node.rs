//! Open intermediate chunks, and the groups of shards below them.
use crate::Reference;
use crate::encryption::KEY_BYTES;
use crate::shape::{ADDRESS_BYTES, LEAF_BYTES, Layout, Shape};
use alloc::vec::Vec;
use bmt::{ChunkAddress, VerifiedChunk};
use core::ops::Range;
use litemap::LiteMap;

/// The part of the file below an intermediate chunk, which identifies it. In this order inner parts come before those around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    end: u64,
    size: u64,
}

/// An intermediate chunk whose children are being asked for.
pub(super) struct Node {
    /// The references, data before parity, decrypted.
    references: Vec<u8>,
    layout: Layout,
    offset: u64,
    size: u64,
    pub(super) shape: Shape,
    /// Index of the next child whose turn it is.
    pub(super) next: usize,
    /// Index behind the last child in the range that is read.
    pub(super) end: usize,
    pub(super) group: Option<Group>,
}

/// A part of the file, and the chunk that fills it.
pub(super) struct Child {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) reference: Reference,
}

/// Chunks that can be recovered from each other: the children of one chunk and the parities behind them.
pub(super) struct Group {
    /// Chunks that are here.
    pub(super) held: LiteMap<u8, VerifiedChunk>,
    pub(super) here: Shards,
    /// Asked for.
    pub(super) asked: Shards,
    /// About to be asked for.
    pub(super) queued: Shards,
    /// Hard to get.
    pub(super) slow: Shards,
    /// Not to be had.
    pub(super) gone: Shards,
    /// Data shards in the range that did not take their places yet.
    pub(super) needed: Shards,
    /// Shards are asked for in place of others.
    pub(super) recovering: bool,
    /// The parities turned out not to belong to the data.
    pub(super) broken: bool,
}

/// A set of shards of one group: at most 128, so their indices are bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shards(u128);

impl Node {
    /// Opens a chunk; `references` must have as many bytes as its shape says.
    pub(super) fn new(
        references: Vec<u8>,
        layout: Layout,
        offset: u64,
        size: u64,
        range: &Range<u64>,
    ) -> Self {
        let shape = Shape::of(size, layout);
        let index = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let before = range.start.saturating_sub(offset) / shape.child_bytes.max(1);
        let until = range.end.saturating_sub(offset).min(size);
        let empty = range.is_empty();
        Self {
            references,
            layout,
            offset,
            size,
            shape,
            next: index(before),
            end: if empty {
                0
            } else {
                index(until.div_ceil(shape.child_bytes.max(1)))
            },
            group: None,
        }
    }

    pub(super) fn position(&self) -> Position {
        Position {
            end: self.offset.saturating_add(self.size),
            size: self.size,
        }
    }

    pub(super) fn is_over_leaves(&self) -> bool {
        self.shape.child_bytes == LEAF_BYTES
    }

    /// Returns where the next child starts.
    pub(super) fn next_offset(&self) -> u64 {
        self.offset.saturating_add(self.start_of(self.next))
    }

    /// Returns the bytes below the children whose turn is to come.
    pub(super) fn unasked_bytes(&self) -> u64 {
        let end = self.start_of(self.end).min(self.size);
        end.saturating_sub(self.start_of(self.next))
    }

    fn start_of(&self, index: usize) -> u64 {
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        index.saturating_mul(self.shape.child_bytes)
    }

    pub(super) fn child(&self, index: usize) -> Option<Child> {
        if index >= self.shape.children {
            return None;
        }
        let bytes = self.layout.reference_bytes();
        let start = index.checked_mul(bytes)?;
        let reference = self.references.get(start..)?.get(..bytes)?;
        let (address, key) = reference.split_first_chunk::<ADDRESS_BYTES>()?;
        let from = self.start_of(index);
        Some(Child {
            offset: self.offset.saturating_add(from),
            size: self.size.saturating_sub(from).min(self.shape.child_bytes),
            reference: Reference {
                address: ChunkAddress(*address),
                key: key.first_chunk::<KEY_BYTES>().copied(),
            },
        })
    }

    /// Returns the address of a data or parity chunk.
    pub(super) fn address(&self, index: usize) -> Option<ChunkAddress> {
        if let Some(child) = self.child(index) {
            return Some(child.reference.address);
        }
        let data = self
            .shape
            .children
            .checked_mul(self.layout.reference_bytes())?;
        let parity = index.checked_sub(self.shape.children)?;
        let start = data.checked_add(parity.checked_mul(ADDRESS_BYTES)?)?;
        let address = self.references.get(start..)?.first_chunk()?;
        Some(ChunkAddress(*address))
    }

    /// Returns the number of shards, data and parity.
    pub(super) fn shards(&self) -> usize {
        self.shape.children.saturating_add(self.shape.parities)
    }

    /// Makes the children recoverable.
    pub(super) fn start_group(&mut self) {
        self.group = Some(Group {
            held: LiteMap::new_vec(),
            here: Shards::default(),
            asked: Shards::default(),
            queued: Shards::default(),
            slow: Shards::default(),
            gone: Shards::default(),
            needed: (self.next..self.end).filter_map(index).collect(),
            recovering: false,
            broken: false,
        });
    }
}

/// Returns an index as it is kept in a set.
pub(super) fn index(index: usize) -> Option<u8> {
    u8::try_from(index).ok().filter(|index| *index < 128)
}

impl Group {
    /// Says whether a shard is here or asked for.
    pub(super) fn is_known(&self, shard: u8) -> bool {
        self.asked.with(self.here).contains(shard)
    }

    /// Returns the needed data shards that are not here.
    pub(super) fn missing(&self) -> Shards {
        self.needed.without(self.here)
    }

    /// Returns the shards that can be expected to come.
    pub(super) fn expected(&self) -> Shards {
        let lost = self.here.with(self.gone).with(self.slow);
        self.asked.with(self.queued).without(lost)
    }
}

impl Shards {
    pub(super) fn insert(&mut self, shard: u8) {
        self.0 |= Self::bit(shard);
    }

    pub(super) fn remove(&mut self, shard: u8) {
        self.0 &= !Self::bit(shard);
    }

    pub(super) fn contains(self, shard: u8) -> bool {
        self.0 & Self::bit(shard) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn len(self) -> usize {
        usize::try_from(self.0.count_ones()).unwrap_or(0)
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns its members, the lowest first.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..128).filter(move |shard| self.contains(*shard))
    }

    fn bit(shard: u8) -> u128 {
        1u128.checked_shl(u32::from(shard)).unwrap_or(0)
    }
}

impl FromIterator<u8> for Shards {
    fn from_iter<T: IntoIterator<Item = u8>>(shards: T) -> Self {
        let mut set = Self::default();
        for shard in shards {
            set.insert(shard);
        }
        set
    }
}
