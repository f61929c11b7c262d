//! Where a storer keeps its chunks.
mod disk;

pub use disk::{DiskStore, WhenFull};

use bmt::{ChunkAddress, VerifiedChunk};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Why a chunk was not stored or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store holds as much as it may.
    #[error("chunk store is full: {limit} bytes")]
    Full {
        /// The limit.
        limit: u64,
    },
    /// A stored chunk no longer hashes to its address.
    #[error("stored chunk is damaged")]
    Damaged,
    /// The file system failed.
    #[error("chunk store: {0}")]
    Io(#[from] io::Error),
}

/// A set of chunks. Calls may block on the file system when [`blocks`](Self::blocks) says so.
pub trait ChunkStore: Send + Sync + std::fmt::Debug {
    /// Returns a chunk's bytes (span ‖ payload, or a whole single-owner chunk).
    fn get(&self, address: &ChunkAddress) -> Result<Option<Bytes>, StoreError>;
    /// Adds a chunk; one that is there already is left alone.
    fn put(&self, chunk: VerifiedChunk) -> Result<(), StoreError>;
    /// Number of chunks.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether calls may wait for a disk.
    fn blocks(&self) -> bool;
}

/// Chunks in memory, up to a number of bytes. Chunks are handed out without copying.
#[derive(Debug)]
pub struct MemoryStore {
    limit_bytes: u64,
    inner: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    chunks: HashMap<ChunkAddress, Bytes>,
    bytes: u64,
}

impl MemoryStore {
    /// Makes an empty store for at most `limit_bytes` of chunks.
    pub fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChunkStore for MemoryStore {
    fn get(&self, address: &ChunkAddress) -> Result<Option<Bytes>, StoreError> {
        Ok(self.lock().chunks.get(address).cloned())
    }

    fn put(&self, chunk: VerifiedChunk) -> Result<(), StoreError> {
        let mut memory = self.lock();
        let size = chunk.data().len() as u64;
        if memory.chunks.contains_key(&chunk.address()) {
            return Ok(());
        }
        if memory.bytes + size > self.limit_bytes {
            return Err(StoreError::Full {
                limit: self.limit_bytes,
            });
        }
        memory.bytes += size;
        memory
            .chunks
            .insert(chunk.address(), chunk.into_data().into());
        Ok(())
    }

    fn len(&self) -> usize {
        self.lock().chunks.len()
    }

    fn blocks(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
