//! Cuts a file into chunks.
use crate::Reference;
use crate::shape::{BRANCHES, LEAF_BYTES, REFERENCE_BYTES};
use alloc::vec::Vec;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, ChunkAddress, SPAN_BYTES, VerifiedChunk};

/// Splits a stream into a plain file tree, in constant memory: one unfinished chunk per level, and a file of 8 PiB has seven.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// Bytes of the unfinished leaf, fewer than 4096.
    leaf: Vec<u8>,
    /// Unfinished intermediate chunks, the lowest first.
    levels: Vec<Level>,
}

/// References waiting for their parent, fewer than 128.
#[derive(Clone, Debug, Default)]
struct Level {
    /// Span (filled in at the end) and references: the data of the future chunk.
    data: Vec<u8>,
    references: usize,
    /// Bytes of the file below them.
    size: u64,
}

impl Splitter {
    /// Starts an empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes more bytes; every finished chunk goes to `sink`, children before parents.
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

    /// Ends the file and returns its reference.
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
                return Reference::plain(ChunkAddress([0; 32]));
            };
            match level.references {
                0 => {}
                // SPEC swarm-wire 8.3: a single leftover reference is carried up unchanged, never wrapped.
                1 => {
                    let level = core::mem::take(level);
                    let reference = level.data.last_chunk::<REFERENCE_BYTES>().copied();
                    let address = ChunkAddress(reference.unwrap_or_default());
                    if top {
                        return Reference::plain(address);
                    }
                    self.add(above, address, level.size, sink);
                }
                _ => self.close(depth, sink),
            }
            depth = above;
        }
    }

    fn finish_leaf(&mut self, payload: &[u8], sink: &mut dyn FnMut(VerifiedChunk)) {
        debug_assert!(payload.len() <= CHUNK_PAYLOAD_BYTES_MAX);
        let size = u64::try_from(payload.len()).unwrap_or(LEAF_BYTES);
        let Ok(chunk) = VerifiedChunk::content(size.to_le_bytes(), payload) else {
            return;
        };
        let address = chunk.address();
        sink(chunk);
        self.add(0, address, size, sink);
    }

    /// Adds a reference to a level and closes the level when it is full.
    fn add(
        &mut self,
        depth: usize,
        address: ChunkAddress,
        size: u64,
        sink: &mut dyn FnMut(VerifiedChunk),
    ) {
        if depth >= self.levels.len() {
            self.levels.push(Level::default());
        }
        let Some(level) = self.levels.get_mut(depth) else {
            return;
        };
        if level.references == 0 {
            level
                .data
                .reserve_exact(SPAN_BYTES.saturating_add(CHUNK_PAYLOAD_BYTES_MAX));
            level.data.extend_from_slice(&[0; SPAN_BYTES]);
        }
        level.data.extend_from_slice(&address.0);
        level.references = level.references.saturating_add(1);
        level.size = level.size.saturating_add(size);
        if level.references >= BRANCHES {
            self.close(depth, sink);
        }
    }

    /// Makes a chunk of a level's references and adds it to the level above.
    fn close(&mut self, depth: usize, sink: &mut dyn FnMut(VerifiedChunk)) {
        let Some(level) = self.levels.get_mut(depth) else {
            return;
        };
        let mut level = core::mem::take(level);
        if let Some(span) = level.data.first_chunk_mut::<SPAN_BYTES>() {
            *span = level.size.to_le_bytes();
        }
        let Ok(chunk) = VerifiedChunk::content_data(level.data) else {
            return;
        };
        let address = chunk.address();
        sink(chunk);
        self.add(depth.saturating_add(1), address, level.size, sink);
    }
}

/// Splits bytes that are all in memory and returns the file's reference.
pub fn split(bytes: &[u8], sink: &mut dyn FnMut(VerifiedChunk)) -> Reference {
    let mut splitter = Splitter::new();
    splitter.update(bytes, sink);
    splitter.finish(sink)
}

#[cfg(test)]
mod tests;
