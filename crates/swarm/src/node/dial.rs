//! Whom to dial, and when.
use super::peer::{Conn, State};
use super::{Node, Timer};
use crate::book::Candidate;
use crate::types::{BootstrapStage, Command, ConnId, Event};
use alloc::string::String;
use core::time::Duration;
use p2p::{Instant, Multiaddr};

/// Time for others to appear before a bootnode is asked for chunks: bee's own bootnodes serve none.
const LAST_RESORT_SOON: Duration = Duration::from_millis(300);
/// After this, whoever is there is asked.
const LAST_RESORT_LATE: Duration = Duration::from_secs(3);

impl Node {
    /// Dials as long as there is reason to.
    pub(super) fn dial(&mut self, now: Instant) {
        if !core::mem::take(&mut self.dial_wanted) && !self.is_hungry() {
            return;
        }
        while self.connecting < self.config.dials_max
            && self.conns.len() < self.config.connections_max
        {
            let peers = self.serving_normal.saturating_add(self.connecting);
            let hungry = self.is_hungry() || self.wanted.is_some();
            if peers >= self.config.peers_min && !hungry {
                self.timers.set(Timer::Dial, None);
                return;
            }
            let boot_allowed = self.serving_normal < self.config.peers_min;
            let wanted = self.wanted.take();
            let candidate = self.book.next(
                now,
                &self.taken,
                wanted.as_ref(),
                boot_allowed,
                &mut self.rng,
            );
            let Some(candidate) = candidate else {
                self.nobody_to_dial(now);
                return;
            };
            self.new_conn(now, candidate);
        }
    }

    /// Says whether more peers would make it faster: requests wait although every peer is used up to its credit.
    fn is_hungry(&self) -> bool {
        self.available.is_empty() && self.credit_blocked > 0 && self.requests.waiting_len() > 0
    }

    fn nobody_to_dial(&mut self, now: Instant) {
        let next = self.book.next_at();
        self.timers.set(Timer::Dial, next);
        if !self.conns.is_empty() {
            return;
        }
        if let Some(failures) = self.book.bootnode_failures() {
            let retry_in = next.map_or(Duration::ZERO, |at| at.saturating_since(now));
            self.tell(Event::Bootstrap(BootstrapStage::BootnodesDown {
                failures,
                retry_in,
            }));
            // Their names may mean other addresses by now.
            self.bootstrap.refresh(now);
            self.bootstrap_steps(now);
        }
    }

    /// A bootnode is there: it may be asked later, if nobody else is.
    pub(super) fn arm_last_resort(&mut self, now: Instant) {
        if self.last_resort_since.is_none() {
            self.last_resort_since = Some(now);
            self.timers
                .set(Timer::LastResort, Some(now + LAST_RESORT_SOON));
        }
    }

    /// Says whether bootnodes may be asked for chunks although others have not been.
    pub(super) fn may_use_last_resort(&mut self, now: Instant) -> bool {
        let Some(since) = self.last_resort_since else {
            return false;
        };
        if self.serving_normal > 0 {
            return false;
        }
        let waited = now.saturating_since(since);
        let all_serve = || {
            let mut ready = self.ready.iter();
            ready.all(|(_, conn)| {
                let peer = self.conns.get(conn).and_then(|c| c.peer.as_ref());
                peer.is_some_and(|peer| peer.serving)
            })
        };
        let alone = self.connecting == 0 && all_serve();
        if waited >= LAST_RESORT_LATE || (waited >= LAST_RESORT_SOON && alone) {
            return true;
        }
        let next = if waited < LAST_RESORT_SOON {
            LAST_RESORT_SOON
        } else {
            LAST_RESORT_LATE
        };
        self.timers.set(Timer::LastResort, Some(since + next));
        false
    }

    /// A new connection for the driver to make.
    fn new_conn(&mut self, now: Instant, candidate: Candidate) {
        let id = ConnId(self.next_conn);
        self.next_conn = self.next_conn.saturating_add(1);
        let mut dialed = Multiaddr::from_tcp(candidate.address);
        if let Some(peer) = &candidate.peer {
            dialed = dialed.with_peer_id(peer);
        }
        if let Some(overlay) = self.book.overlay(candidate.entry) {
            self.taken.insert(overlay, id);
        }
        let conn = Conn {
            address: candidate.address,
            dialed,
            entry: candidate.entry,
            agent: String::new(),
            threshold: None,
            state: State::Dialing,
            peer: None,
        };
        self.conns.insert(id, conn);
        self.connecting = self.connecting.saturating_add(1);
        self.timers
            .set(Timer::Conn(id), Some(now + self.config.dial_timeout));
        let address = candidate.address;
        self.commands.push_back(Command::Dial { conn: id, address });
    }
}
