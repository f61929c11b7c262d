//! A caller that wants a list of chunks.
use crate::{Dice, World};
use bmt::{ChunkAddress, VerifiedChunk};
use p2p::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use swarm::{ChunkFailure, Event};

/// Makes `count` random chunks.
pub fn chunks(seed: u64, count: usize) -> BTreeMap<ChunkAddress, Vec<u8>> {
    let mut dice = Dice::new(seed ^ 0x00c0_ffee);
    let mut out = BTreeMap::new();
    while out.len() < count {
        // One in eight is short.
        let len = if dice.once_in(8) {
            1 + dice.below(4096)
        } else {
            4096
        };
        let mut payload = Vec::new();
        while payload.len() < usize::try_from(len).expect("small") {
            payload.extend_from_slice(&dice.throw().to_le_bytes());
        }
        payload.truncate(usize::try_from(len).expect("small"));
        let chunk = VerifiedChunk::content(len.to_le_bytes(), &payload).expect("within limits");
        out.insert(chunk.address(), chunk.into_data());
    }
    out
}

/// Fetches a list of chunks and checks every byte.
pub struct Fetch {
    wanted: VecDeque<ChunkAddress>,
    chunks: BTreeMap<ChunkAddress, Vec<u8>>,
    /// Requests open at once.
    window: usize,
    open: usize,
    /// Chunks received.
    pub received: usize,
    /// Chunks that could not be had.
    pub failed: Vec<(ChunkAddress, ChunkFailure)>,
    /// When the last one came.
    pub finished: Option<Instant>,
}

impl Fetch {
    /// Wants all of `chunks`, `window` at a time.
    pub fn new(chunks: &BTreeMap<ChunkAddress, Vec<u8>>, window: usize) -> Self {
        // Neighbours in a file are not neighbours in the address space.
        let mut wanted: Vec<ChunkAddress> = chunks.keys().copied().collect();
        let mut dice = Dice::new(wanted.len() as u64);
        for last in (1..wanted.len()).rev() {
            let other = usize::try_from(dice.below(last as u64 + 1)).expect("an index");
            wanted.swap(last, other);
        }
        Self {
            wanted: wanted.into(),
            chunks: chunks.clone(),
            window,
            open: 0,
            received: 0,
            failed: Vec::new(),
            finished: None,
        }
    }

    /// Wants something that is nowhere.
    pub fn want_missing(&mut self, address: ChunkAddress) {
        self.wanted.push_front(address);
    }

    /// Says whether every chunk was received or given up.
    pub fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.open == 0
    }

    /// Runs the world until the fetch is done; false when `limit` passes before.
    ///
    /// # Panics
    /// When a chunk has wrong bytes, or comes twice.
    pub fn run(&mut self, world: &mut World, limit: Duration) -> bool {
        let until = world.now + limit;
        loop {
            while self.open < self.window
                && world.node.request_room() > 0
                && let Some(address) = self.wanted.pop_front()
            {
                world.node.request(world.now, address);
                self.open += 1;
            }
            let went_on = world.step(until);
            let now = world.now;
            let mut rest = Vec::new();
            for (at, event) in std::mem::take(&mut world.log) {
                match event {
                    Event::Chunk { chunk, .. } => {
                        let right = self.chunks.remove(&chunk.address());
                        let right = right.expect("each chunk comes once");
                        assert_eq!(chunk.data(), right, "only right bytes come out");
                        self.received += 1;
                        self.open -= 1;
                    }
                    Event::ChunkFailed { address, failure } => {
                        self.failed.push((address, failure));
                        self.open -= 1;
                    }
                    other => rest.push((at, other)),
                }
            }
            world.log = rest;
            if self.is_done() {
                self.finished.get_or_insert(now);
                return true;
            }
            if !went_on {
                return false;
            }
        }
    }
}
