//! Where chunks go while they are cut.
use bmt::{ChunkAddress, VerifiedChunk};
use std::collections::{BTreeSet, VecDeque};

/// Addresses remembered to leave out chunks that were written a moment ago (runs of zeros), whatever the size of the input.
const RECENT_MAX: usize = 4096;

/// Takes a chunk and returns whether to go on.
pub(super) type Out<'a> = &'a mut dyn FnMut(&VerifiedChunk) -> bool;

/// Counts chunks that are new and passes them on.
pub(super) struct Sink<'a> {
    seen: BTreeSet<ChunkAddress>,
    /// The order in which addresses are forgotten; `None`: never.
    recent: Option<VecDeque<ChunkAddress>>,
    chunks: u64,
    out: Option<Out<'a>>,
    stopped: bool,
}

impl<'a> Sink<'a> {
    /// Leaves out chunks that occurred among the last 4096: constant memory.
    pub(super) fn recent(out: Option<Out<'a>>) -> Self {
        Self {
            recent: Some(VecDeque::new()),
            ..Self::exact(out)
        }
    }

    /// Leaves out every chunk that occurred before: 50 bytes of memory per chunk.
    pub(super) fn exact(out: Option<Out<'a>>) -> Self {
        Self {
            seen: BTreeSet::new(),
            recent: None,
            chunks: 0,
            out,
            stopped: false,
        }
    }

    /// Takes a chunk. After a refusal further ones are ignored, because splitters cannot be interrupted.
    pub(super) fn put(&mut self, chunk: &VerifiedChunk) {
        if self.stopped || !self.seen.insert(chunk.address()) {
            return;
        }
        if let Some(recent) = &mut self.recent {
            recent.push_back(chunk.address());
            if recent.len() > RECENT_MAX
                && let Some(oldest) = recent.pop_front()
            {
                self.seen.remove(&oldest);
            }
        }
        self.chunks += 1;
        if let Some(out) = &mut self.out {
            self.stopped = !out(chunk);
        }
    }

    /// Chunks taken.
    pub(super) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Says whether nothing more is wanted.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Addresses taken.
    pub(super) fn into_addresses(self) -> BTreeSet<ChunkAddress> {
        self.seen
    }
}
