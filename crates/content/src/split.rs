//! Cuts a file into chunks.
use crate::encryption::{self, Key};
use crate::erasure::{self, SHARD_BYTES};
use crate::shape::{ADDRESS_BYTES, LEAF_BYTES, Layout, Span};
use crate::{RedundancyLevel, Reference, replica};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, SPAN_BYTES, VerifiedChunk};

/// Where the keys of an encrypted file come from: 32 random bytes at each call, once for each chunk.
pub type KeySource = Box<dyn FnMut() -> [u8; 32] + Send>;

/// Splits a stream into a file tree, in constant memory: one unfinished chunk per level, and with redundancy the group of chunks
/// below it, at most 119 of them. A file of 8 PiB has seven levels (with redundancy up to twelve).
#[derive(Default)]
pub struct Splitter {
    layout: Layout,
    keys: Option<KeySource>,
    /// Bytes of the unfinished leaf, fewer than 4096.
    leaf: Vec<u8>,
    /// Unfinished intermediate chunks, the lowest first.
    levels: Vec<Level>,
}

/// References waiting for their parent, fewer than fit into it.
#[derive(Default)]
struct Level {
    /// Span (filled in at the end) and references: the data of the future chunk.
    data: Vec<u8>,
    references: usize,
    /// Bytes of the file below them.
    size: u64,
    /// With redundancy, the chunks referred to, each padded to a whole shard.
    shards: Vec<u8>,
}

/// What a parent needs to know of a chunk.
struct Child<'a> {
    reference: Reference,
    /// Bytes of the file below it.
    size: u64,
    /// Its bytes as they are stored.
    data: &'a [u8],
}

impl Splitter {
    /// Starts an empty file: plain, without redundancy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds parity chunks, and replicas of the root, at this level. To be called before the first byte.
    #[must_use]
    pub fn with_level(mut self, level: RedundancyLevel) -> Self {
        self.layout.level = level;
        self
    }

    /// Encrypts every chunk with a key of its own. To be called before the first byte.
    #[must_use]
    pub fn with_keys(mut self, keys: KeySource) -> Self {
        self.layout.encrypted = true;
        self.keys = Some(keys);
        self
    }

    /// Takes more bytes; every finished chunk goes to `sink`, children (with their parities) before parents.
    pub fn update(&mut self, bytes: &[u8], sink: &mut dyn FnMut(VerifiedChunk)) {
        let mut rest = bytes;
        if !self.leaf.is_empty() {
            let room = CHUNK_PAYLOAD_BYTES_MAX.saturating_sub(self.leaf.len());
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.leaf.extend_from_slice(now);
            rest = later;
            if self.leaf.len() < CHUNK_PAYLOAD_BYTES_MAX {
                return;
            }
            let leaf = core::mem::take(&mut self.leaf);
            self.finish_leaf(&leaf, sink);
            self.leaf = leaf;
            self.leaf.clear();
        }
        // Whole leaves are hashed where they lie.
        while let Some((leaf, later)) = rest.split_first_chunk::<CHUNK_PAYLOAD_BYTES_MAX>() {
            self.finish_leaf(leaf, sink);
            rest = later;
        }
        self.leaf.extend_from_slice(rest);
    }

    /// Ends the file and returns its reference. The root comes last, but for its replicas.
    pub fn finish(mut self, sink: &mut dyn FnMut(VerifiedChunk)) -> Reference {
        if !self.leaf.is_empty() || self.levels.is_empty() {
            let leaf = core::mem::take(&mut self.leaf);
            self.finish_leaf(&leaf, sink);
        }
        let mut depth: usize = 0;
        loop {
            let above = depth.saturating_add(1);
            let top = above >= self.levels.len();
            let Some(level) = self.levels.get_mut(depth) else {
                // Not reached: the top level always holds a reference.
                debug_assert!(false, "a finished file has a root");
                return Reference::plain(bmt::ChunkAddress([0; ADDRESS_BYTES]));
            };
            match level.references {
                0 => {}
                // SPEC swarm-wire 8.3: a single leftover reference is carried up unchanged, never wrapped.
                1 => {
                    let level = core::mem::take(level);
                    let reference = level.data.get(SPAN_BYTES..).and_then(Reference::from_bytes);
                    let Some(reference) = reference else {
                        debug_assert!(false, "one reference and nothing else");
                        return Reference::plain(bmt::ChunkAddress([0; ADDRESS_BYTES]));
                    };
                    if top {
                        self.replicate(reference, &level.shards, sink);
                        return reference;
                    }
                    let child = Child {
                        reference,
                        size: level.size,
                        data: &level.shards,
                    };
                    self.add(above, &child, sink);
                }
                _ => self.close(depth, sink),
            }
            depth = above;
        }
    }

    /// Signs the replicas of the root, padded as bee pads them.
    fn replicate(&self, root: Reference, shard: &[u8], sink: &mut dyn FnMut(VerifiedChunk)) {
        if let Some((span, payload)) = shard.split_first_chunk() {
            replica::sign(root.address, self.layout.level, *span, payload, sink);
        }
    }

    fn finish_leaf(&mut self, payload: &[u8], sink: &mut dyn FnMut(VerifiedChunk)) {
        debug_assert!(payload.len() <= CHUNK_PAYLOAD_BYTES_MAX);
        let size = u64::try_from(payload.len()).unwrap_or(LEAF_BYTES);
        let mut data = Vec::with_capacity(SHARD_BYTES);
        data.extend_from_slice(&size.to_le_bytes());
        data.extend_from_slice(payload);
        self.store(0, data, size, sink);
    }

    /// Makes a chunk of span and payload, gives it away, and adds it to the level above.
    fn store(
        &mut self,
        depth: usize,
        mut data: Vec<u8>,
        size: u64,
        sink: &mut dyn FnMut(VerifiedChunk),
    ) {
        let key: Option<Key> = self.keys.as_mut().map(|keys| keys());
        if let Some(key) = &key {
            encryption::encrypt(key, &mut data);
        }
        let Ok(chunk) = VerifiedChunk::content_data(data) else {
            debug_assert!(false, "a chunk holds 4096 bytes");
            return;
        };
        let child = Child {
            reference: Reference {
                address: chunk.address(),
                key,
            },
            size,
            data: chunk.data(),
        };
        // A parent can only be finished by this, so it goes to the sink after its child.
        let full = self.keep(depth, &child);
        sink(chunk);
        if full {
            self.close(depth, sink);
        }
    }

    /// Adds a chunk that was given away before to a level, and closes the level when it is full.
    fn add(&mut self, depth: usize, child: &Child<'_>, sink: &mut dyn FnMut(VerifiedChunk)) {
        if self.keep(depth, child) {
            self.close(depth, sink);
        }
    }

    /// Adds a reference to a level; returns whether the level is full now.
    fn keep(&mut self, depth: usize, child: &Child<'_>) -> bool {
        if depth >= self.levels.len() {
            self.levels.push(Level::default());
        }
        let layout = self.layout;
        let Some(level) = self.levels.get_mut(depth) else {
            return false;
        };
        if level.references == 0 {
            level.data.reserve_exact(SHARD_BYTES);
            level.data.extend_from_slice(&[0; SPAN_BYTES]);
        }
        level.data.extend_from_slice(&child.reference.address.0);
        if let Some(key) = &child.reference.key {
            level.data.extend_from_slice(key);
        }
        level.references = level.references.saturating_add(1);
        level.size = level.size.saturating_add(child.size);
        if layout.level != RedundancyLevel::None {
            level.shards.extend_from_slice(child.data);
            let whole = level.references.saturating_mul(SHARD_BYTES);
            level.shards.resize(whole, 0);
        }
        level.references >= layout.branches()
    }

    /// Makes a chunk of a level's references and adds it to the level above.
    fn close(&mut self, depth: usize, sink: &mut dyn FnMut(VerifiedChunk)) {
        let Some(level) = self.levels.get_mut(depth) else {
            return;
        };
        let mut data = core::mem::take(&mut level.data);
        let parities = self.layout.parities(level.references);
        debug_assert!(parities == 0 || !level.shards.is_empty());
        for parity in erasure::parities(&level.shards, parities) {
            if let Ok(parity) = VerifiedChunk::content_data(parity) {
                data.extend_from_slice(&parity.address().0);
                sink(parity);
            }
        }
        let size = level.size;
        let span = Span {
            size,
            level: self.layout.level,
        };
        if let Some(bytes) = data.first_chunk_mut::<SPAN_BYTES>() {
            *bytes = span.encode();
        }
        level.shards.clear();
        level.references = 0;
        level.size = 0;
        self.store(depth.saturating_add(1), data, size, sink);
    }
}

/// Splits bytes that are all in memory, plain and without redundancy, and returns the file's reference.
pub fn split(bytes: &[u8], sink: &mut dyn FnMut(VerifiedChunk)) -> Reference {
    let mut splitter = Splitter::new();
    splitter.update(bytes, sink);
    splitter.finish(sink)
}

impl core::fmt::Debug for Splitter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Splitter")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
