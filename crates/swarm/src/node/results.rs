//! What comes back: chunks, refusals, settlements.
use super::Node;
use super::peer::{Block, Class};
use crate::error::{ChunkFailure, DropReason};
use crate::session::{Attempt, Outcome};
use crate::types::{ConnId, Event};
use alloc::vec::Vec;
use bmt::VerifiedChunk;
use core::time::Duration;
use p2p::Instant;

/// bee's account with us opens a moment after its handshake.
const NOT_READY_PAUSE: Duration = Duration::from_millis(300);
/// Requests broken off in a row after which a peer is dropped.
const BROKEN_MAX: u32 = 8;
/// Peers counted as used at most.
const USED_MAX: usize = 4096;

impl Node {
    pub(super) fn retrieved(
        &mut self,
        now: Instant,
        id: ConnId,
        attempt: Attempt,
        outcome: Outcome,
    ) {
        self.stats.attempts_open = self.stats.attempts_open.saturating_sub(1);
        let Some(peer) = self.conns.get_mut(&id).and_then(|c| c.peer.as_mut()) else {
            // Dropped for something that came in the same packet.
            return self.attempt_lost(attempt.request, id);
        };
        let price = attempt.price;
        self.hedges_open = self.hedges_open.saturating_sub(peer.ended(&attempt));
        match outcome {
            Outcome::Data(data) => {
                // One that hung (its peer had to ask others) says nothing about those that just queue.
                let elapsed = now.saturating_since(attempt.started);
                let elapsed = (!peer.is_overtaken(attempt.started)).then_some(elapsed);
                peer.answered(now, &attempt);
                peer.account.charge(price);
                peer.window.deliver(now, elapsed);
                self.pace.deliver(now, elapsed);
                self.stats.units_spent = self.stats.units_spent.saturating_add(price);
                self.delivered(now, id, &attempt, data);
            }
            Outcome::NotFound => {
                peer.answered(now, &attempt);
                peer.account.release(price);
                peer.window.abandon();
                peer.note_refusal();
                self.refused(now, attempt.request, id);
            }
            Outcome::NotReady => {
                peer.account.release(price);
                peer.window.abandon();
                self.attempt_lost(attempt.request, id);
                self.pause(now, id, NOT_READY_PAUSE);
            }
            Outcome::Reset | Outcome::Truncated => {
                if outcome == Outcome::Truncated {
                    peer.account.charge_uncertain(price);
                } else {
                    peer.account.release(price);
                }
                peer.answered(now, &attempt);
                peer.window.abandon();
                self.broken(now, id, attempt.request);
            }
            Outcome::TimedOut => {
                peer.account.charge_uncertain(price);
                peer.window.abandon();
                let silent = peer.last_answer <= attempt.started;
                self.attempt_failed(attempt.request, id);
                if silent {
                    let waited = now.saturating_since(attempt.started);
                    self.drop_conn(now, id, DropReason::Unresponsive(waited));
                }
            }
        }
    }

    fn delivered(&mut self, now: Instant, id: ConnId, attempt: &Attempt, data: Vec<u8>) {
        let Some(opened) = self.requests.get(attempt.request).map(|r| r.opened) else {
            // Another peer was faster. It is paid for, and not worth the time to hash.
            self.stats.duplicates = self.stats.duplicates.saturating_add(1);
            return;
        };
        let Ok(chunk) = VerifiedChunk::verify(attempt.address, data) else {
            self.stats.wrong_chunks = self.stats.wrong_chunks.saturating_add(1);
            self.attempt_failed(attempt.request, id);
            return self.drop_conn(now, id, DropReason::WrongChunk(attempt.address));
        };
        self.requests.close(attempt.request);
        self.timers
            .set(super::Timer::Request(attempt.request), None);
        self.last_progress = now;
        let bytes = u64::try_from(chunk.data().len()).unwrap_or(0);
        self.stats.chunks = self.stats.chunks.saturating_add(1);
        self.stats.chunk_bytes = self.stats.chunk_bytes.saturating_add(bytes);
        let Some(peer) = self.conns.get_mut(&id).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        peer.chunks = peer.chunks.saturating_add(1);
        peer.broken = 0;
        peer.refused = peer.refused.saturating_sub(1);
        let from = peer.overlay;
        if self.used.len() < USED_MAX {
            self.used.insert(from, ());
        }
        self.promote(id);
        self.events.push_back(Event::Chunk {
            chunk,
            from,
            elapsed: now.saturating_since(opened),
        });
    }

    /// A peer says that it cannot find a chunk.
    fn refused(&mut self, now: Instant, request: u64, conn: ConnId) {
        let enough = self.config.not_found_peers;
        let Some(open) = self.requests.get_mut(request) else {
            return;
        };
        open.refusals = open.refusals.saturating_add(1);
        open.refusals_total = open.refusals_total.saturating_add(1);
        let round_over = open.refusals >= enough;
        self.attempt_failed(request, conn);
        if round_over {
            self.round_over(now, request);
        }
    }

    /// A peer broke a request off.
    fn broken(&mut self, now: Instant, id: ConnId, request: u64) {
        self.attempt_failed(request, id);
        let Some(peer) = self.conns.get_mut(&id).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        peer.broken = peer.broken.saturating_add(1);
        if peer.broken >= BROKEN_MAX {
            let count = peer.broken;
            self.drop_conn(now, id, DropReason::Failing(count));
        }
    }

    /// An attempt failed: the next peer is asked at once.
    fn attempt_failed(&mut self, request: u64, conn: ConnId) {
        let Some(open) = self.requests.get_mut(request) else {
            return;
        };
        open.errors = open.errors.saturating_add(1);
        let (errors, peers_asked, refusals) = (open.errors, open.asked, open.refusals_total);
        self.requests.end(request, conn, false);
        let alone = (self.requests.get(request)).is_some_and(|open| open.pending() == 0);
        if errors >= self.config.chunk_errors_max && alone {
            let failure = if refusals > 0 {
                ChunkFailure::NotFound { peers_asked }
            } else {
                ChunkFailure::Failing { errors }
            };
            return self.fail_request(request, failure);
        }
        self.note_failed_attempt(request, errors);
        self.requests.wait(request);
    }

    /// An attempt ended through nobody's fault: it does not count, and the peer may be asked again.
    pub(super) fn attempt_lost(&mut self, request: u64, conn: ConnId) {
        self.requests.end(request, conn, true);
        self.requests.wait(request);
    }

    /// A bootnode that delivers is like everybody else.
    fn promote(&mut self, id: ConnId) {
        let Some(peer) = self.conns.get_mut(&id).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        if core::mem::replace(&mut peer.class, Class::Normal) == Class::Normal {
            return;
        }
        self.last_resort.remove(&peer.overlay);
        if peer.block == Block::Free {
            self.available.insert(peer.overlay, id);
        }
        if peer.serving {
            self.serving_normal = self.serving_normal.saturating_add(1);
        }
    }

    /// Starts a settlement when it is time, and sets the clock for the next look.
    pub(super) fn settle_if_due(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let Some(peer) = &mut conn.peer else {
            return;
        };
        if peer.account.is_short() {
            peer.account.note_blocked(now);
        }
        if let Some(amount) = peer.account.start_settlement(now) {
            peer.settling = amount;
            let opened = conn.session().is_some_and(|s| s.settle(now, amount));
            if !opened && let Some(peer) = &mut conn.peer {
                peer.account.fail_settlement(now);
            }
            self.after_session(id);
        }
        let at = self
            .conns
            .get(&id)
            .and_then(|c| c.peer.as_ref())
            .and_then(|peer| peer.account.settle_at());
        self.timers.set(super::Timer::Settle(id), at);
    }

    pub(super) fn settled(&mut self, now: Instant, id: ConnId, accepted: u64) {
        self.stats.settlements = self.stats.settlements.saturating_add(1);
        let Some(peer) = self.conns.get_mut(&id).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        if !peer.account.finish_settlement(now, accepted) {
            return self.drop_conn(now, id, DropReason::Settlement);
        }
        if self.closing {
            self.drop_conn(now, id, DropReason::Shutdown);
        }
    }

    pub(super) fn settlement_refused(&mut self, now: Instant, id: ConnId) {
        self.stats.settlements_refused = self.stats.settlements_refused.saturating_add(1);
        let Some(peer) = self.conns.get_mut(&id).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        peer.account.fail_settlement(now);
        let (overlay, amount) = (peer.overlay, peer.settling);
        self.tell(Event::SettlementRefused { overlay, amount });
        if self.closing {
            self.drop_conn(now, id, DropReason::Shutdown);
        }
    }

    /// Pays what is owed before the end; false when there is nothing to wait for.
    pub(super) fn start_last_settlement(&mut self, now: Instant, id: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else {
            return false;
        };
        let Some(peer) = &mut conn.peer else {
            return false;
        };
        if let Some(amount) = peer.account.force_settlement(now) {
            peer.settling = amount;
            if !conn.session().is_some_and(|s| s.settle(now, amount)) {
                return false;
            }
            self.after_session(id);
            return true;
        }
        conn.session().is_some_and(|s| s.is_settling())
    }
}
