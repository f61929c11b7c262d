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
use core::time::Duration;
use p2p::Instant;

/// With this few peers free, peers choose requests instead of requests peers.
const SCARCE: usize = 4;
/// Oldest requests that a peer may choose from.
const CHOICE: usize = 48;
/// A request older than this is not passed over.
const PASS_OVER_MAX: Duration = Duration::from_secs(2);
/// Requests looked at in vain before dispatching gives up until something changes.
const MISSES_MAX: usize = 16;
/// When to look again at a request whose peers are all busy or asked.
const PARK: Duration = Duration::from_millis(50);
/// Pause between rounds of asking everybody; it doubles up to eight times this.
const ROUND_PAUSE: Duration = Duration::from_millis(500);
/// No hedge earlier than this, however fast a peer usually is.
const HEDGE_MIN: Duration = Duration::from_millis(250);
/// Pause of a peer on which no stream can be opened.
const STREAMS_PAUSE: Duration = Duration::from_millis(200);

impl Node {
    /// Hands out requests while there are peers to ask.
    pub(super) fn dispatch(&mut self, now: Instant) {
        let mut misses = 0usize;
        while misses < MISSES_MAX && self.requests.waiting_len() > 0 {
            if self.available.is_empty() && !self.lend_last_resort(now) {
                break;
            }
            if let Some((id, conn)) = self.pair() {
                if !self.start_attempt(now, id, conn) {
                    misses = misses.saturating_add(1);
                }
            } else {
                misses = misses.saturating_add(1);
                self.park_first(now);
            }
        }
    }

    /// Chooses a request and a peer.
    fn pair(&self) -> Option<(u64, ConnId)> {
        let (first, address) = self.requests.waiting().next()?;
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
        let request = self.requests.get(first)?;
        let (_, conn) = self
            .available
            .closest(&address.0)
            .find(|(_, conn)| !request.has_tried(*conn))?;
        Some((first, *conn))
    }

    /// The request closest to a peer, among the oldest ones.
    fn choose_for(&self, overlay: &[u8; 32], conn: ConnId) -> Option<u64> {
        let mut best: Option<(u8, u64)> = None;
        for (index, (id, address)) in self.requests.waiting().take(CHOICE).enumerate() {
            let order = bmt::proximity(overlay, &address.0);
            if best.is_some_and(|(other, _)| order <= other) {
                continue;
            }
            let Some(request) = self.requests.get(id).filter(|r| !r.has_tried(conn)) else {
                continue;
            };
            let aged = self.last_received.saturating_since(request.opened) > PASS_OVER_MAX;
            if index == 0 && (aged || request.asked > 0) {
                return Some(id);
            }
            best = Some((order, id));
        }
        best.map(|(_, id)| id)
    }

    /// Asks one peer for one chunk; false when that is not possible.
    fn start_attempt(&mut self, now: Instant, id: u64, conn: ConnId) -> bool {
        let Some(request) = self.requests.get_mut(id) else {
            self.requests.rest(id);
            return false;
        };
        let address = request.address;
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
        let patience = peer.window.patience();
        let opened = found.session().is_some_and(|s| s.retrieve(now, attempt));
        if !opened {
            self.undo_attempt(now, conn, price);
            return false;
        }
        let hedge = request.pending() > 0;
        request.start(now, conn);
        self.stats.hedges = self.stats.hedges.saturating_add(u64::from(hedge));
        self.stats.attempts_open = self.stats.attempts_open.saturating_add(1);
        self.requests.rest(id);
        self.last_progress = now;
        self.after_session(now, conn);
        self.refresh(now, conn);
        let hedge_in = self.hedge_delay(patience);
        self.timers.set(Timer::Request(id), Some(now + hedge_in));
        true
    }

    fn undo_attempt(&mut self, now: Instant, conn: ConnId, price: u64) {
        if let Some(peer) = self.conns.get_mut(&conn).and_then(|c| c.peer.as_mut()) {
            peer.account.release(price);
            peer.window.abandon();
        }
        self.pause(now, conn, STREAMS_PAUSE);
    }

    /// When to ask a second peer. Credit that is short is not spent on impatience.
    fn hedge_delay(&self, patience: Option<Duration>) -> Duration {
        let longest = self.config.hedge_after;
        if self.available.is_empty() && self.requests.waiting_len() > 0 {
            return longest;
        }
        patience.map_or(longest, |usual| usual.max(HEDGE_MIN).min(longest))
    }

    /// The oldest waiting request cannot go to any free peer: it has asked them all.
    fn park_first(&mut self, now: Instant) {
        let Some((id, _)) = self.requests.waiting().next() else {
            return;
        };
        let Some(request) = self.requests.get(id) else {
            return self.requests.rest(id);
        };
        let untried = |class: Class| {
            self.ready.iter().any(|(_, conn)| {
                let peer = self.conns.get(conn).and_then(|c| c.peer.as_ref());
                peer.is_some_and(|peer| {
                    peer.class == class
                        && peer.serving
                        && !peer.lagging
                        && !request.has_tried(*conn)
                })
            })
        };
        if untried(Class::Normal) {
            // Busy or without credit: look again soon.
            self.requests.rest(id);
            return self.timers.set_earlier(Timer::Request(id), now + PARK);
        }
        let resort = self
            .last_resort
            .closest(&request.address.0)
            .find(|(_, conn)| !request.has_tried(*conn))
            .map(|(_, conn)| *conn);
        if let Some(conn) = resort {
            if !self.start_attempt(now, id, conn) {
                self.requests.rest(id);
                self.timers.set_earlier(Timer::Request(id), now + PARK);
            }
            return;
        }
        if untried(Class::LastResort) {
            self.requests.rest(id);
            return self.timers.set_earlier(Timer::Request(id), now + PARK);
        }
        self.round_over(now, id);
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
        // Somebody closer may know.
        self.wanted = Some(request.address);
        self.dial_wanted = true;
        let doublings = request.rounds.min(3);
        let pause = ROUND_PAUSE.saturating_mul(1u32.checked_shl(doublings).unwrap_or(1));
        self.timers.set(Timer::Request(id), Some(now + pause));
    }

    /// A request's deadline: gives it up, hedges it, or puts it back among those that wait.
    pub(super) fn request_timeout(&mut self, now: Instant, id: u64) {
        let Some(request) = self.requests.get(id) else {
            return;
        };
        let give_up = request
            .first_attempt
            .map(|at| at + self.config.chunk_timeout);
        if give_up.is_some_and(|at| at <= now) {
            let peers_asked = request.asked;
            return self.fail_request(id, ChunkFailure::TimedOut { peers_asked });
        }
        let pending = request.pending();
        let late: alloc::vec::Vec<(ConnId, Instant)> = request.pending_at().collect();
        for (conn, since) in late {
            self.note_late(now, conn, since);
        }
        if pending < self.config.attempts_parallel_max {
            self.requests.wait(id);
        }
        let next = now + self.config.hedge_after;
        let next = give_up.map_or(next, |at| at.min(next));
        self.timers.set_earlier(Timer::Request(id), next);
    }

    /// A peer has not answered a request that is due. If it has answered nothing else since, it gets no new ones until it does.
    fn note_late(&mut self, now: Instant, conn: ConnId, since: Instant) {
        let Some(peer) = self.conns.get_mut(&conn).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        if peer.last_answer <= since && !peer.lagging {
            peer.lagging = true;
            peer.window.shrink();
            self.refresh(now, conn);
        }
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
            peer.paused_until = Some(now + pause);
            self.timers.set(Timer::Pause(conn), Some(now + pause));
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
