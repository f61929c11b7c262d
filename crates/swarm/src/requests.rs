//! Open requests for chunks: who was asked, what is under way, what waits.
use crate::types::ConnId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bmt::ChunkAddress;
use litemap::LiteMap;
use p2p::Instant;

/// One peer asked for one chunk.
#[derive(Clone, Copy, Debug)]
struct Try {
    conn: ConnId,
    /// When, while the answer is open.
    pending: Option<Instant>,
    /// The answer is overdue.
    late: bool,
}

/// One chunk somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) address: ChunkAddress,
    pub(crate) opened: Instant,
    pub(crate) first_attempt: Option<Instant>,
    /// Peers asked in this round.
    tries: Vec<Try>,
    /// Attempts in all rounds.
    pub(crate) asked: u32,
    pub(crate) errors: u32,
    /// "Not found" answers in this round and in all.
    pub(crate) refusals: usize,
    pub(crate) refusals_total: usize,
    pub(crate) rounds: u32,
    /// Its consumer knows that it is hard to get.
    pub(crate) told: bool,
}

impl Request {
    /// Says whether a peer was asked in this round.
    pub(crate) fn has_tried(&self, conn: ConnId) -> bool {
        self.tries.iter().any(|one| one.conn == conn)
    }
    /// Attempts under way.
    pub(crate) fn pending(&self) -> usize {
        self.tries
            .iter()
            .filter(|one| one.pending.is_some())
            .count()
    }
    /// Attempts under way whose answers are not overdue.
    pub(crate) fn live(&self) -> usize {
        self.in_time().count()
    }
    /// Peers whose answers are open and not overdue, with the time they were asked.
    pub(crate) fn in_time(&self) -> impl Iterator<Item = (ConnId, Instant)> {
        (self.tries.iter().filter(|one| !one.late)).filter_map(|one| Some((one.conn, one.pending?)))
    }
    /// Peers whose answers are overdue.
    pub(crate) fn late(&self) -> impl Iterator<Item = ConnId> {
        (self
            .tries
            .iter()
            .filter(|one| one.late && one.pending.is_some()))
        .map(|one| one.conn)
    }
    /// Starts a new round: those who answered may be asked again.
    pub(crate) fn next_round(&mut self) {
        self.tries.retain(|one| one.pending.is_some());
        self.refusals = 0;
        self.rounds = self.rounds.saturating_add(1);
    }
}

/// All open requests, in the order they were made.
#[derive(Default)]
pub(crate) struct Requests {
    open: BTreeMap<u64, Request>,
    by_address: BTreeMap<ChunkAddress, u64>,
    /// Those that want an attempt now.
    waiting: BTreeMap<u64, ChunkAddress>,
    /// Those whose answers are overdue and that want a second peer when there may be another.
    hedging: LiteMap<u64, ()>,
    /// Attempts for open requests whose answers are not overdue.
    live: usize,
    next: u64,
}

impl Requests {
    /// Number of open requests.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
    /// Opens a request; `None` when the address is open already.
    pub(crate) fn open(&mut self, now: Instant, address: ChunkAddress) -> Option<u64> {
        if self.by_address.contains_key(&address) {
            return None;
        }
        let id = self.next;
        self.next = self.next.saturating_add(1);
        let request = Request {
            address,
            opened: now,
            first_attempt: None,
            tries: Vec::new(),
            asked: 0,
            errors: 0,
            refusals: 0,
            refusals_total: 0,
            rounds: 0,
            told: false,
        };
        self.open.insert(id, request);
        self.by_address.insert(address, id);
        self.waiting.insert(id, address);
        Some(id)
    }
    /// Looks up a request.
    pub(crate) fn get(&self, id: u64) -> Option<&Request> {
        self.open.get(&id)
    }
    /// Looks up a request to change it.
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Request> {
        self.open.get_mut(&id)
    }
    /// Finds the request for an address.
    pub(crate) fn find(&self, address: &ChunkAddress) -> Option<u64> {
        self.by_address.get(address).copied()
    }
    /// Ends a request.
    pub(crate) fn close(&mut self, id: u64) -> Option<Request> {
        let request = self.open.remove(&id)?;
        self.by_address.remove(&request.address);
        self.waiting.remove(&id);
        self.hedging.remove(&id);
        self.live = self.live.saturating_sub(request.live());
        Some(request)
    }
    /// An attempt starts.
    pub(crate) fn start(&mut self, id: u64, now: Instant, conn: ConnId) {
        let Some(request) = self.open.get_mut(&id) else {
            return;
        };
        request.first_attempt.get_or_insert(now);
        request.asked = request.asked.saturating_add(1);
        request.tries.push(Try {
            conn,
            pending: Some(now),
            late: false,
        });
        self.live = self.live.saturating_add(1);
        self.waiting.remove(&id);
        self.hedging.remove(&id);
    }
    /// An answer is overdue.
    pub(crate) fn mark_late(&mut self, id: u64, conn: ConnId) {
        let tries = self.open.get_mut(&id).map(|request| &mut request.tries);
        let mut tries = tries.into_iter().flatten();
        if let Some(one) = tries.find(|one| one.conn == conn && one.pending.is_some() && !one.late)
        {
            one.late = true;
            self.live = self.live.saturating_sub(1);
        }
    }
    /// An attempt ended without the chunk; with `again`, the peer may be asked again in this round.
    pub(crate) fn end(&mut self, id: u64, conn: ConnId, again: bool) {
        let Some(request) = self.open.get_mut(&id) else {
            return;
        };
        let before = request.live();
        if again {
            request.tries.retain(|one| one.conn != conn);
        }
        for one in request.tries.iter_mut().filter(|one| one.conn == conn) {
            one.pending = None;
        }
        self.live = (self.live.saturating_add(request.live())).saturating_sub(before);
    }
    /// Attempts for open requests whose answers are not overdue.
    pub(crate) const fn live(&self) -> usize {
        self.live
    }
    /// A request's answers are overdue: it wants a second peer.
    pub(crate) fn want_hedge(&mut self, id: u64) {
        if self.open.contains_key(&id) {
            self.hedging.insert(id, ());
        }
    }
    /// Those that want a second peer, oldest first.
    pub(crate) fn hedging(&self) -> impl Iterator<Item = u64> {
        self.hedging.keys().copied()
    }
    /// Takes a request from those that want a second peer.
    pub(crate) fn forget_hedge(&mut self, id: u64) {
        self.hedging.remove(&id);
    }
    /// The oldest open request.
    pub(crate) fn first(&self) -> Option<u64> {
        self.open.first_key_value().map(|(id, _)| *id)
    }
    /// Puts an open request among those that want an attempt now.
    pub(crate) fn wait(&mut self, id: u64) {
        if let Some(request) = self.open.get(&id) {
            self.waiting.insert(id, request.address);
        }
    }
    /// Takes a request from those that want an attempt now.
    pub(crate) fn rest(&mut self, id: u64) {
        self.waiting.remove(&id);
    }
    /// Those that want an attempt now, oldest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (u64, &ChunkAddress)> {
        self.waiting.iter().map(|(id, address)| (*id, address))
    }
    /// Number of those that want an attempt now.
    pub(crate) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }
}
