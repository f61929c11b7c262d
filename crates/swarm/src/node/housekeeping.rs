//! What every entry point needs.
use super::{EVENTS_MAX, Node, Timer};
use crate::bootstrap::Step;
use crate::error::ChunkFailure;
use crate::types::{BootstrapStage, Command, ConnId, Event};
use p2p::Instant;

impl Node {
    /// Does what became possible: hands out requests, dials. Called once at the end of every entry point.
    pub(super) fn settle_down(&mut self, now: Instant) {
        if !self.closing {
            self.dispatch(now);
            self.dial(now);
        }
    }

    pub(super) fn bootstrap_steps(&mut self, now: Instant) {
        while let Some(step) = self.bootstrap.poll_step() {
            match step {
                Step::Resolve(id, query) => self.commands.push_back(Command::Resolve { id, query }),
                Step::Tell(stage) => self.tell(Event::Bootstrap(stage)),
                Step::Found(found) => {
                    self.book.add_bootnode(now, found.address, found.peer);
                    self.dial_wanted = true;
                }
            }
        }
        self.timers
            .set(Timer::Bootstrap, self.bootstrap.poll_timeout());
    }

    /// Queues a fact that only informs; when nobody takes events, it is lost.
    pub(super) fn tell(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }

    pub(super) fn joined(&mut self, now: Instant) {
        if !core::mem::replace(&mut self.joined, true) {
            let elapsed = now.saturating_since(self.started);
            self.tell(Event::Bootstrap(BootstrapStage::Joined { elapsed }));
        }
    }

    pub(super) fn fail_request(&mut self, id: u64, failure: ChunkFailure) {
        self.timers.set(Timer::Request(id), None);
        if let Some(request) = self.requests.close(id) {
            let address = request.address;
            self.events
                .push_back(Event::ChunkFailed { address, failure });
        }
    }

    pub(super) fn mark_writable(&mut self, conn: ConnId) {
        if self.writable_set.insert(conn, ()).is_none() {
            self.writable.push_back(conn);
        }
    }

    pub(super) fn unmark_writable(&mut self, conn: ConnId) {
        if self.writable_set.remove(&conn).is_some() {
            self.writable.retain(|other| *other != conn);
        }
    }
}
