//! Chunks kept in memory.
use bmt::{ChunkAddress, VerifiedChunk};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes a chunk costs beside its own.
const OVERHEAD_BYTES: usize = 160;

/// A bounded cache in two generations: what is used moves to the young one, and when that is full the old one is forgotten.
#[derive(Debug)]
pub(crate) struct Memory {
    young: HashMap<ChunkAddress, Arc<VerifiedChunk>>,
    old: HashMap<ChunkAddress, Arc<VerifiedChunk>>,
    young_bytes: usize,
    generation_bytes_max: usize,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            generation_bytes_max: bytes_max / 2,
        }
    }

    pub(crate) fn get(&mut self, address: ChunkAddress) -> Option<Arc<VerifiedChunk>> {
        if let Some(chunk) = self.young.get(&address) {
            return Some(chunk.clone());
        }
        let chunk = self.old.remove(&address)?;
        self.put(chunk.clone());
        Some(chunk)
    }

    pub(crate) fn put(&mut self, chunk: Arc<VerifiedChunk>) {
        let bytes = chunk.data().len() + OVERHEAD_BYTES;
        if self.young_bytes + bytes > self.generation_bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if bytes <= self.generation_bytes_max && self.young.insert(chunk.address(), chunk).is_none()
        {
            self.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n: u8) -> Arc<VerifiedChunk> {
        Arc::new(VerifiedChunk::content([1, 0, 0, 0, 0, 0, 0, 0], &[n; 840]).unwrap())
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten_within_the_limit() {
        // Four chunks of 1008 bytes in each generation.
        let mut memory = Memory::new(2 * 4 * 1008);
        let kept = chunk(0);
        for n in 0..100 {
            memory.put(chunk(n));
            assert!(memory.get(kept.address()).is_some(), "after {n}");
            assert!(memory.young.len() <= 4 && memory.old.len() <= 4);
        }
        assert!(memory.get(chunk(99).address()).is_some());
        assert!(memory.get(chunk(50).address()).is_none());
        let mut none = Memory::new(0);
        none.put(chunk(1));
        assert!(none.get(chunk(1).address()).is_none());
    }
}
