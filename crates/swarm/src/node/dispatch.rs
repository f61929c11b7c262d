//! Which request goes to which peer.
//!
//! Requests go out in the order they were made, each to the XOR-closest peer that may be asked now. When peers are scarcer than
//! requests, the peer chooses among the oldest requests the one closest to it: that is where the chunk most probably is, and
//! it is cheaper.
use super::peer::{Block, Class};
use super::{Node, Timer};
use crate::account::price;
use crate::error::ChunkFailure;
use crate::session::Attempt;
use crate::types::ConnId;
use bmt::ChunkAddress;
use core::time::Duration;
use p2p::Instant;

/// With this few peers free, peers choose requests instead of requests peers.
const SCARCE: usize = 4;
/// Oldest requests that a peer may choose from: few when it is only busy, many when credit is what limits and time is not.
const CHOICE_BUSY: usize = 16;
/// See `CHOICE_BUSY`.
const CHOICE_CREDIT: usize = 128;
/// The oldest request is passed over at most this often.
const PASSED_OVER_MAX: u32 = 64;
/// Requests looked at in vain before dispatching gives up until something changes.
const MISSES_MAX: usize = 16;
/// When to look again at a request whose peers are all busy or asked.
const PARK: Duration = Duration::from_millis(50);
/// Pause between rounds of asking everybody; it doubles up to eight times this.
const ROUND_PAUSE: Duration = Duration::from_millis(500);
/// Pause of a peer on which no stream can be opened.
const STREAMS_PAUSE: Duration = Duration::from_millis(200);

impl Node {
    /// Hands out requests while there are peers to ask.
    pub(super) fn dispatch(&mut self, now: Instant) {
        self.dispatch_hedges(now);
        let open_max = self.open_max(now);
        let mut misses = 0usize;
        while misses < MISSES_MAX
            && self.requests.waiting_len() > 0
            && self.requests.live() < open_max
        {
            if self.available.is_empty() && !self.lend_last_resort(now) {
                break;
            }
            if let Some((id, conn)) = self.pair() {
                self.note_passed_over(id);
                if !self.start_attempt(now, id, conn, false) {
                    misses = misses.saturating_add(1);
                }
            } else {
                misses = misses.saturating_add(1);
                self.park_first(now);
            }
        }
    }

    /// Counts how often the oldest request had to wait for a younger one.
    fn note_passed_over(&mut self, chosen: u64) {
        let first = self.requests.waiting().next().map_or(chosen, |(id, _)| id);
        let (id, count) = self.passed_over;
        self.passed_over = match (first == chosen, first == id) {
            (true, _) => (0, 0),
            (false, true) => (first, count.saturating_add(1).min(PASSED_OVER_MAX)),
            (false, false) => (first, 1),
        };
    }

    /// Chooses a request and a peer.
    fn pair(&self) -> Option<(u64, ConnId)> {
        let (first, address) = self.requests.waiting().next()?;
        let request = self.requests.get(first)?;
        if request.asked > 0
            && let Some(conn) = self.best_for(request)
        {
            return Some((first, conn));
        }
        let scarce =
            self.available.len() <= SCARCE && self.requests.waiting_len() > self.available.len();
        if scarce {
            let chosen = self
                .available
                .iter()
                .find_map(|(overlay, conn)| Some((self.choose_for(&overlay.0, *conn)?, *conn)));
            if chosen.is_some() {
                return chosen;
            }
        }
        let (_, conn) = self.available.closest(&address.0).find(|(_, conn)| {
            !request.has_tried(*conn) && self.is_worth(*conn, &request.address)
        })?;
        Some((first, *conn))
    }

    /// Says whether it makes sense to ask a peer for a chunk: one that refuses most is asked only for what should be its own.
    pub(super) fn is_worth(&self, conn: ConnId, chunk: &ChunkAddress) -> bool {
        let peer = self.conns.get(&conn).and_then(|c| c.peer.as_ref());
        peer.is_some_and(|peer| {
            let closest = || self.ready.closest(&chunk.0).next();
            !peer.is_home_only() || closest().is_some_and(|(_, first)| *first == conn)
        })
    }

    /// The request closest to a peer, among the oldest ones.
    fn choose_for(&self, overlay: &[u8; 32], conn: ConnId) -> Option<u64> {
        let choice = if self.credit_blocked > 0 {
            CHOICE_CREDIT
        } else {
            CHOICE_BUSY
        };
        let mut best: Option<(u8, u64)> = None;
        for (index, (id, address)) in self.requests.waiting().take(choice).enumerate() {
            let order = bmt::proximity(overlay, &address.0);
            if best.is_some_and(|(other, _)| order <= other) {
                continue;
            }
            let Some(request) = self.requests.get(id).filter(|r| !r.has_tried(conn)) else {
                continue;
            };
            if !self.is_worth(conn, address) {
                continue;
            }
            let aged = self.passed_over == (id, PASSED_OVER_MAX);
            if index == 0 && (aged || request.asked > 0) {
                return Some(id);
            }
            best = Some((order, id));
        }
        best.map(|(_, id)| id)
    }

    /// Asks one peer for one chunk; false when that is not possible.
    pub(super) fn start_attempt(
        &mut self,
        now: Instant,
        id: u64,
        conn: ConnId,
        hedge: bool,
    ) -> bool {
        let Some(request) = self.requests.get(id) else {
            self.requests.rest(id);
            return false;
        };
        let (address, repeated) = (request.address, request.pending() > 0);
        let Some(found) = self.conns.get_mut(&conn) else {
            return false;
        };
        let Some(peer) = &mut found.peer else {
            return false;
        };
        let price = price(&peer.overlay, &address);
        if !peer.account.reserve(price) {
            self.refresh(now, conn);
            return false;
        }
        let attempt = Attempt {
            request: id,
            address,
            price,
            started: now,
        };
        peer.window.open();
        let opened = found.session().is_some_and(|s| s.retrieve(now, attempt));
        if !opened {
            self.undo_attempt(now, conn, price);
            return false;
        }
        self.requests.start(id, now, conn);
        self.stats.hedges = self.stats.hedges.saturating_add(u64::from(repeated));
        self.stats.attempts_open = self.stats.attempts_open.saturating_add(1);
        if hedge {
            self.add_hedge(id, conn);
        }
        self.last_progress = now;
        self.after_session(conn);
        self.refresh(now, conn);
        let look_in = self.patience(conn);
        self.timers.set(Timer::Request(id), Some(now + look_in));
        true
    }

    fn undo_attempt(&mut self, now: Instant, conn: ConnId, price: u64) {
        if let Some(peer) = self.conns.get_mut(&conn).and_then(|c| c.peer.as_mut()) {
            peer.account.release(price);
            peer.window.abandon();
        }
        self.pause(now, conn, STREAMS_PAUSE);
    }

    /// The oldest waiting request cannot go to any free peer: it has asked them all.
    fn park_first(&mut self, now: Instant) {
        let Some((id, _)) = self.requests.waiting().next() else {
            return;
        };
        let Some(request) = self.requests.get(id) else {
            return self.requests.rest(id);
        };
        let address = request.address;
        let untried = |class: Class, worth: bool| {
            self.ready.iter().any(|(_, conn)| {
                let peer = self.conns.get(conn).and_then(|c| c.peer.as_ref());
                peer.is_some_and(|peer| {
                    peer.class == class
                        && peer.serving
                        && !peer.lagging
                        && !request.has_tried(*conn)
                }) && (!worth || self.is_worth(*conn, &address))
            })
        };
        if untried(Class::Normal, true) {
            return self.park(now, id);
        }
        let others = self.available.closest(&address.0);
        let others = others.chain(self.last_resort.closest(&address.0));
        let next = others
            .map(|(_, conn)| *conn)
            .find(|conn| !request.has_tried(*conn));
        if let Some(conn) = next {
            if !self.start_attempt(now, id, conn, false) {
                self.park(now, id);
            }
            return;
        }
        if untried(Class::Normal, false) || untried(Class::LastResort, false) {
            return self.park(now, id);
        }
        self.round_over(now, id);
    }

    /// Whom a request could ask is busy or without credit: looks again soon.
    fn park(&mut self, now: Instant, id: u64) {
        self.requests.rest(id);
        self.timers.set_earlier(Timer::Request(id), now + PARK);
    }

    /// Everybody there is was asked for a chunk, or enough said no: gives it up, or asks again later.
    pub(super) fn round_over(&mut self, now: Instant, id: u64) {
        self.requests.rest(id);
        let Some(request) = self.requests.get_mut(id) else {
            return;
        };
        if request.pending() > 0 {
            // The answer that is still open decides; its hedge timer looks here again.
            return;
        }
        let refused = request.refusals > 0;
        let age = request
            .first_attempt
            .map_or(Duration::ZERO, |at| now.saturating_since(at));
        if request.refusals > 0 {
            request.next_round();
        } else {
            request.next_round();
            request.rounds = request.rounds.saturating_sub(1);
        }
        if request.rounds >= 2 && request.refusals_total > 0 && age >= self.config.not_found_after {
            let peers_asked = request.asked;
            return self.fail_request(id, ChunkFailure::NotFound { peers_asked });
        }
        if refused {
            self.tell_delayed(id);
        }
        let Some(request) = self.requests.get(id) else {
            return;
        };
        // Somebody closer may know.
        self.wanted = Some(request.address);
        self.dial_wanted = true;
        let doublings = request.rounds.min(3);
        let pause = ROUND_PAUSE.saturating_mul(1u32.checked_shl(doublings).unwrap_or(1));
        self.timers.set(Timer::Request(id), Some(now + pause));
    }

    /// Recomputes whether a peer may be asked, and when to settle with it. Called after everything that may change that.
    pub(super) fn refresh(&mut self, now: Instant, conn: ConnId) {
        self.settle_if_due(now, conn);
        let Some(peer) = self.conns.get_mut(&conn).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        let block = peer.current_block(now);
        let old = core::mem::replace(&mut peer.block, block);
        if block == old {
            return;
        }
        let (overlay, class) = (peer.overlay, peer.class);
        if old == Block::Credit {
            self.credit_blocked = self.credit_blocked.saturating_sub(1);
        }
        if block == Block::Credit {
            self.credit_blocked = self.credit_blocked.saturating_add(1);
        }
        let table = match class {
            Class::Normal => &mut self.available,
            Class::LastResort => &mut self.last_resort,
        };
        if block == Block::Free {
            table.insert(overlay, conn);
        } else {
            table.remove(&overlay);
            if class == Class::LastResort {
                self.available.remove(&overlay);
            }
        }
    }

    /// When nobody else is there, bootnodes are asked like everybody: moves the free ones over.
    fn lend_last_resort(&mut self, now: Instant) -> bool {
        if self.last_resort.is_empty() || !self.may_use_last_resort(now) {
            return false;
        }
        let free: alloc::vec::Vec<_> = self.last_resort.iter().copied().collect();
        for (overlay, conn) in free {
            self.available.insert(overlay, conn);
        }
        true
    }

    /// Leaves a peer alone for a while.
    pub(super) fn pause(&mut self, now: Instant, conn: ConnId, pause: Duration) {
        if let Some(peer) = self.conns.get_mut(&conn).and_then(|c| c.peer.as_mut()) {
            let until = peer
                .paused_until
                .map_or(now, |at| at.max(now))
                .max(now + pause);
            peer.paused_until = Some(until);
            self.timers.set(Timer::Pause(conn), Some(until));
            self.refresh(now, conn);
        }
    }

    /// Fails requests that nothing has happened for: no peer, or none that could ever be asked.
    pub(super) fn watchdog(&mut self, now: Instant) {
        if self.requests.len() == 0 {
            return;
        }
        let at = self.last_progress + self.config.chunk_timeout;
        if at > now {
            return self.timers.set(Timer::Watchdog, Some(at));
        }
        while let Some(id) = self.requests.first() {
            self.fail_request(id, ChunkFailure::NoPeers);
        }
    }
}
