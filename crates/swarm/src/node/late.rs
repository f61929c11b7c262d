//! Answers that do not come: which are overdue, whose fault that is, and when a second peer is asked.
//!
//! An answer is overdue when the peer has answered nothing at all for longer than it usually takes, or when it has answered what it
//! was asked later. One that only queues behind other answers of the same peer is not: to ask again would lengthen the queue. A peer
//! that answers nothing is asked for little until it does; one that merely hangs with some requests (it waits for peers of its own)
//! goes on with the others.
use super::peer::{Block, Class};
use super::{Node, Timer};
use crate::error::ChunkFailure;
use crate::requests::Request;
use crate::types::{ConnId, Event};
use alloc::vec::Vec;
use core::time::Duration;
use p2p::Instant;

/// No answer is overdue earlier than this, however fast a peer usually is.
const PATIENCE_MIN: Duration = Duration::from_millis(250);
/// Where answers usually take long, patience grows up to this many times `Config::hedge_after`.
const PATIENCE_GROWTH: u32 = 4;
/// Second attempts that may be open beside those that replace a peer known to be silent; or one in `HEDGE_SHARE`, if that is more.
const HEDGES_MIN: usize = 8;
/// See `HEDGES_MIN`.
const HEDGE_SHARE: usize = 8;
/// Requests that want a second peer and are looked at in one go.
const HEDGES_LOOKED_AT: usize = 32;
/// Attempts open per peer in any case, so that the credit of many peers is used at once.
const OPEN_PER_PEER: usize = 2;
/// Failed attempts after which a chunk is called hard to get.
const DELAYED_ERRORS: u32 = 3;

impl Node {
    /// Attempts that may be under way, those overdue not counted.
    pub(super) fn open_max(&mut self, now: Instant) -> usize {
        let each = self.ready.len().saturating_mul(OPEN_PER_PEER);
        self.pace.open_max(now).max(each)
    }

    /// How long an answer of a peer may take, or how long the peer may be silent. Credit that is short is not spent on impatience.
    pub(super) fn patience(&self, conn: ConnId) -> Duration {
        let longest = self.config.hedge_after;
        let window = (self.conns.get(&conn).and_then(|c| c.peer.as_ref())).map(|peer| &peer.window);
        let usual = window.and_then(|w| w.latency()).or(self.pace.usual());
        let slow = longest.saturating_mul(PATIENCE_GROWTH);
        let longest = usual.map_or(longest, |usual| {
            usual.saturating_mul(2).min(slow).max(longest)
        });
        if self.available.is_empty() && self.requests.waiting_len() > 0 {
            return longest;
        }
        let patience = window.and_then(|w| w.patience());
        patience.map_or(longest, |usual| usual.max(PATIENCE_MIN).min(longest))
    }

    /// A request's deadline: gives it up, asks a second peer, or puts it back among those that wait.
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
        let in_time: Vec<(ConnId, Instant)> = request.in_time().collect();
        let mut next = None;
        for (conn, started) in in_time {
            match self.due(conn, started) {
                Some(due) if due > now => {
                    next = Some(next.map_or(due, |other: Instant| other.min(due)));
                }
                _ => self.note_late(now, id, conn),
            }
        }
        if next.is_none() {
            self.ask_another(id);
        }
        let next = next.unwrap_or(now + self.config.hedge_after);
        let next = give_up.map_or(next, |at| at.min(next));
        self.timers.set_earlier(Timer::Request(id), next);
    }

    /// When the answer of a peer to an attempt is overdue, as far as one can say now.
    fn due(&self, conn: ConnId, started: Instant) -> Option<Instant> {
        let peer = self.conns.get(&conn)?.peer.as_ref()?;
        let since = if peer.is_overtaken(started) {
            started
        } else {
            started.max(peer.last_answer)
        };
        Some(since + self.patience(conn))
    }

    /// An answer is overdue. If the peer has answered nothing else either, it gets hardly any new requests until it does.
    fn note_late(&mut self, now: Instant, id: u64, conn: ConnId) {
        self.requests.mark_late(id, conn);
        let patience = self.patience(conn);
        let Some(found) = self.conns.get_mut(&conn) else {
            return;
        };
        let Some(peer) = &mut found.peer else {
            return;
        };
        let mut freed = peer.stick(id);
        let is_silent = peer.last_answer + patience <= now;
        let is_paused = peer.paused_until.is_some_and(|until| now < until);
        if is_silent && !is_paused {
            let until = peer.fall_silent(now);
            let hanging: Vec<u64> = found
                .session()
                .map(|s| s.open_requests().collect())
                .unwrap_or_default();
            if let Some(peer) = &mut found.peer {
                for request in hanging {
                    freed = freed.saturating_add(peer.stick(request));
                }
            }
            self.hedges_open = self.hedges_open.saturating_sub(freed);
            return self.pause(now, conn, until.saturating_since(now));
        }
        self.hedges_open = self.hedges_open.saturating_sub(freed);
        self.refresh(now, conn);
    }

    /// A second attempt starts, on the budget for them.
    pub(super) fn add_hedge(&mut self, id: u64, conn: ConnId) {
        if let Some(peer) = self.conns.get_mut(&conn).and_then(|c| c.peer.as_mut())
            && peer.hedges.insert(id, ()).is_none()
        {
            self.hedges_open = self.hedges_open.saturating_add(1);
        }
    }

    /// Every answer to a request is overdue, or there is none to wait for.
    fn ask_another(&mut self, id: u64) {
        let Some(request) = self.requests.get(id) else {
            return;
        };
        let pending = request.pending();
        if pending == 0 {
            return self.requests.wait(id);
        }
        if pending >= 2 {
            self.tell_delayed(id);
        }
        if pending < self.config.attempts_parallel_max {
            self.requests.want_hedge(id);
        }
    }

    /// Asks second peers, the oldest requests first, as far as the budget for that goes.
    pub(super) fn dispatch_hedges(&mut self, now: Instant) {
        let live = self.requests.live();
        let mut budget = (live / HEDGE_SHARE).max(HEDGES_MIN);
        if self.requests.waiting_len() == 0 {
            // Towards the end there is room that nothing else needs.
            budget = budget.max(self.open_max(now).saturating_sub(live) / 2);
        }
        let wanting: Vec<u64> = self.requests.hedging().take(HEDGES_LOOKED_AT).collect();
        for id in wanting {
            let Some(request) = self.requests.get(id) else {
                continue;
            };
            let replaces = request.late().all(|conn| {
                let peer = self.conns.get(&conn).and_then(|c| c.peer.as_ref());
                peer.is_none_or(|peer| peer.lagging)
            });
            if !replaces && self.hedges_open >= budget {
                continue;
            }
            let best = self.best_for(request);
            self.requests.forget_hedge(id);
            match best {
                Some(conn) => {
                    self.start_attempt(now, id, conn, !replaces);
                }
                // Silent peers, and nobody else to ask.
                None if replaces => self.tell_delayed(id),
                None => {}
            }
        }
    }

    /// The closest peer that a request has not asked. One whose window is full will do: it probably has the chunk, while others would
    /// have to ask around, and there are not many such requests.
    pub(super) fn best_for(&self, request: &Request) -> Option<ConnId> {
        let mut closest = self.ready.closest(&request.address.0);
        let found = closest.find(|(_, conn)| {
            let peer = self.conns.get(conn).and_then(|c| c.peer.as_ref());
            let can = peer.is_some_and(|peer| {
                peer.class == Class::Normal
                    && (peer.block == Block::Free
                        || peer.block == Block::Window && peer.window.has_spare())
            });
            can && !request.has_tried(*conn) && self.is_worth(*conn, &request.address)
        });
        found.map(|(_, conn)| *conn)
    }

    /// Tells, once, that a chunk is hard to get.
    pub(super) fn tell_delayed(&mut self, id: u64) {
        if let Some(request) = self.requests.get_mut(id)
            && !core::mem::replace(&mut request.told, true)
        {
            let (address, refusals) = (request.address, request.refusals_total);
            // Once per request, so `requests_max` bounds these too.
            self.events
                .push_back(Event::ChunkDelayed { address, refusals });
        }
    }

    /// Tells that a chunk is hard to get, when enough attempts for it have failed.
    pub(super) fn note_failed_attempt(&mut self, id: u64, errors: u32) {
        if errors >= DELAYED_ERRORS {
            self.tell_delayed(id);
        }
    }
}
