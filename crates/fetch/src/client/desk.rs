//! What is wanted, and what was given.
use alloc::collections::{BTreeMap, VecDeque};
use bmt::{ChunkAddress, VerifiedChunk};
use content::Reference;
use core::time::Duration;
use p2p::Instant;

/// Chunks remembered, so that those a file repeats (zeros, mostly) are known again.
const GIVEN_MAX: usize = 64;

/// The open requests.
pub(super) struct Desk {
    pub(super) now: Instant,
    pub(super) answer_timeout: Duration,
    pub(super) file_bytes_max: u64,
    wants: BTreeMap<ChunkAddress, Want>,
    /// Wants that no stream is going to bring, the oldest first.
    orphans: BTreeMap<u64, ChunkAddress>,
    next: u64,
    given: VecDeque<ChunkAddress>,
    /// Since when wants are open without progress.
    since: Option<Instant>,
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

struct Want {
    number: u64,
    key: Option<[u8; 32]>,
}

impl Desk {
    pub(super) const fn new(now: Instant, answer_timeout: Duration, file_bytes_max: u64) -> Self {
        Self {
            now,
            answer_timeout,
            file_bytes_max,
            wants: BTreeMap::new(),
            orphans: BTreeMap::new(),
            next: 0,
            given: VecDeque::new(),
            since: None,
            chunks: 0,
            bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.wants.len()
    }

    pub(super) fn is_wanted(&self, address: ChunkAddress) -> bool {
        self.wants.contains_key(&address)
    }

    /// Adds a want; false when it is there already.
    pub(super) fn add(&mut self, reference: Reference, is_covered: bool) -> bool {
        let Reference { address, key } = reference;
        if self.wants.contains_key(&address) {
            return false;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        self.wants.insert(address, Want { number, key });
        if !is_covered {
            self.orphans.insert(number, address);
        }
        self.since.get_or_insert(self.now);
        true
    }

    /// Ends a want; false when there is none.
    pub(super) fn take(&mut self, address: ChunkAddress) -> bool {
        let Some(want) = self.wants.remove(&address) else {
            return false;
        };
        self.orphans.remove(&want.number);
        if self.wants.is_empty() {
            self.since = None;
        }
        if self.given.len() >= GIVEN_MAX {
            self.given.pop_front();
        }
        self.given.push_back(address);
        true
    }

    /// Ends the first want that a source has.
    pub(super) fn take_from(
        &mut self,
        mut source: impl FnMut(ChunkAddress) -> Option<VerifiedChunk>,
    ) -> Option<VerifiedChunk> {
        let chunk = self.wants.keys().find_map(|address| source(*address))?;
        self.take(chunk.address());
        Some(chunk)
    }

    /// Says whether a chunk was given not long ago.
    pub(super) fn was_given(&self, address: ChunkAddress) -> bool {
        self.given.contains(&address)
    }

    pub(super) fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// Takes the oldest want that no stream is going to bring.
    pub(super) fn take_orphan(&mut self) -> Option<Reference> {
        let (_, address) = self.orphans.pop_first()?;
        let key = self.wants.get(&address).and_then(|want| want.key);
        Some(Reference { address, key })
    }

    /// Finds anew which wants no stream is going to bring.
    pub(super) fn find_orphans(&mut self, is_covered: impl Fn(ChunkAddress) -> bool) {
        let orphans = self
            .wants
            .iter()
            .filter(|(address, _)| !is_covered(**address));
        self.orphans = orphans
            .map(|(address, want)| (want.number, *address))
            .collect();
    }

    /// Verified bytes came.
    pub(super) fn progress(&mut self) {
        if self.since.is_some() {
            self.since = Some(self.now);
        }
    }

    pub(super) fn count(&mut self, bytes: usize) {
        self.chunks = self.chunks.saturating_add(1);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Since when wants are open without progress.
    pub(super) const fn waiting_since(&self) -> Option<Instant> {
        self.since
    }
}
