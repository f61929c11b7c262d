//! What the peer does with streams: proposals, answers, identify, pings, half-closes.
use super::{INTERNAL, Mux, PING_QUEUE_BYTES_MAX, Use};
use crate::Instant;
use crate::connection::{Config, Event, StreamId};
use crate::identify;
use crate::multistream::Answer;
use alloc::collections::VecDeque;
use alloc::string::String;

impl Mux {
    pub(super) fn put(&mut self, id: u32, value: Use) {
        if let Some(user) = self.session.user(id) {
            *user = value;
        }
    }

    pub(super) fn handle_data(
        &mut self,
        id: u32,
        now: Instant,
        config: &Config,
        events: &mut VecDeque<Event>,
    ) {
        let Some(user) = self.session.user(id) else {
            return;
        };
        match user {
            Use::Owner { readable_queued } => {
                if !core::mem::replace(readable_queued, true) {
                    let stream = StreamId(id);
                    events.push_back(Event::Readable { stream });
                }
            }
            Use::Done => {
                let count = self.session.received(id).len();
                self.session.consume(id, now, count);
            }
            Use::Dialing { .. } => self.handle_answer(id, now, config, events),
            Use::Listening { .. } => self.handle_proposal(id, now, config, events),
            Use::Identify { .. } => self.handle_identify(id, now),
            Use::Ping => self.handle_ping(id, now),
        }
    }

    /// The peer answers our proposal.
    fn handle_answer(
        &mut self,
        id: u32,
        now: Instant,
        config: &Config,
        events: &mut VecDeque<Event>,
    ) {
        let Some(user) = self.session.user(id) else {
            return;
        };
        let Use::Dialing {
            mut dialer,
            waiting,
            close,
            for_identify,
            deadline,
        } = core::mem::take(user)
        else {
            return;
        };
        self.scratch.clear();
        let result = dialer.handle_input(self.session.received(id), &mut self.scratch);
        let used = result.map_or(0, |(used, _)| used);
        let answer = result.map(|(_, answer)| answer);
        if answer == Ok(Answer::Pending) {
            self.put(
                id,
                Use::Dialing {
                    dialer,
                    waiting,
                    close,
                    for_identify,
                    deadline,
                },
            );
            self.session.consume(id, now, used);
            self.send_scratch(id, events);
            return;
        }
        let stream = StreamId(id);
        self.deadlines.remove(&(deadline, id));
        let Ok(Answer::Accepted(index)) = answer else {
            self.session.reset(id);
            match answer {
                _ if for_identify => {}
                Ok(_) => events.push_back(Event::NotSupported { stream }),
                Err(_) => events.push_back(Event::Reset { stream }),
            }
            return;
        };
        self.session.consume(id, now, used);
        if for_identify {
            let reader = identify::Reader::default();
            self.deadlines.insert((deadline, id), ());
            self.put(id, Use::Identify { reader, deadline });
            self.session.close_write(id);
        } else if self.hand_to_owner(id, waiting.as_deref(), close, events) {
            events.push_back(Event::Negotiated { stream, index });
        } else {
            return;
        }
        if !self.session.received(id).is_empty() {
            self.handle_data(id, now, config, events);
        }
    }

    /// Gives a negotiated stream to its owner and sends what waited for that; `false` when the stream had to be given up.
    fn hand_to_owner(
        &mut self,
        id: u32,
        waiting: Option<&[u8]>,
        close: bool,
        events: &mut VecDeque<Event>,
    ) -> bool {
        self.put(
            id,
            Use::Owner {
                readable_queued: false,
            },
        );
        let Some(waiting) = waiting else {
            return true;
        };
        // There is room: the proposals have left the buffer before they are answered. An answer in advance may break that.
        if self.session.write(id, waiting).is_err() {
            self.abandon(id, events);
            return false;
        }
        if close {
            self.session.close_write(id);
        }
        true
    }

    /// The peer proposes a protocol.
    fn handle_proposal(
        &mut self,
        id: u32,
        now: Instant,
        config: &Config,
        events: &mut VecDeque<Event>,
    ) {
        let Some(user) = self.session.user(id) else {
            return;
        };
        let Use::Listening {
            mut listener,
            deadline,
        } = core::mem::take(user)
        else {
            return;
        };
        self.scratch.clear();
        let protocols = INTERNAL
            .into_iter()
            .chain(config.protocols.iter().map(String::as_str));
        let received = self.session.received(id);
        let Ok((used, chosen)) = listener.handle_input(received, protocols, &mut self.scratch)
        else {
            self.deadlines.remove(&(deadline, id));
            self.session.reset(id);
            return;
        };
        self.session.consume(id, now, used);
        let Some(chosen) = chosen else {
            self.put(id, Use::Listening { listener, deadline });
            self.send_scratch(id, events);
            return;
        };
        self.deadlines.remove(&(deadline, id));
        match chosen.checked_sub(INTERNAL.len()) {
            Some(index) => {
                self.put(
                    id,
                    Use::Owner {
                        readable_queued: false,
                    },
                );
                let stream = StreamId(id);
                events.push_back(Event::Incoming { stream, index });
            }
            None if chosen == 0 => {
                let info = identify::encode(config, INTERNAL.into_iter());
                self.scratch.extend_from_slice(&info);
            }
            None => self.put(id, Use::Ping),
        }
        self.send_scratch(id, events);
        if chosen == 0 {
            // SPEC identify: the answer is all there is, then the stream is closed.
            self.session.close_write(id);
        }
        if !self.session.received(id).is_empty() {
            self.handle_data(id, now, config, events);
        }
    }

    /// Sends what a negotiation wrote; a stream whose buffer has no room for that is reset.
    fn send_scratch(&mut self, id: u32, events: &mut VecDeque<Event>) {
        if !self.scratch.is_empty() && self.session.write(id, &self.scratch).is_err() {
            self.abandon(id, events);
        }
    }

    fn handle_ping(&mut self, id: u32, now: Instant) {
        let count = self.session.received(id).len();
        if self.session.queued(id).saturating_add(count) > PING_QUEUE_BYTES_MAX {
            self.session.reset(id);
            return;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(self.session.received(id));
        let _ = self.session.write(id, &self.scratch);
        self.session.consume(id, now, count);
    }

    fn handle_identify(&mut self, id: u32, now: Instant) {
        let Some(user) = self.session.user(id) else {
            return;
        };
        let Use::Identify {
            mut reader,
            deadline,
        } = core::mem::take(user)
        else {
            return;
        };
        match reader.handle_input(self.session.received(id)) {
            Ok(used) => {
                self.put(id, Use::Identify { reader, deadline });
                self.session.consume(id, now, used);
            }
            Err(_) => {
                self.deadlines.remove(&(deadline, id));
                self.session.reset(id);
            }
        }
    }

    /// The peer half-closed a stream.
    pub(super) fn handle_end(&mut self, id: u32, events: &mut VecDeque<Event>) {
        let Some(user) = self.session.user(id) else {
            return;
        };
        let stream = StreamId(id);
        match user {
            Use::Owner { .. } => events.push_back(Event::Finished { stream }),
            // Nobody can agree on anything any more.
            Use::Dialing { .. } | Use::Listening { .. } => self.abandon(id, events),
            Use::Done => self.session.finish_told(id),
            Use::Ping => {
                self.session.close_write(id);
                self.session.finish_told(id);
            }
            Use::Identify { .. } => {
                if let Use::Identify { reader, deadline } = core::mem::take(user) {
                    self.deadlines.remove(&(deadline, id));
                    if let Some(info) = reader.finish() {
                        events.push_back(Event::Identified {
                            agent: info.agent,
                            protocols: info.protocols,
                            listen_addrs: info.listen_addrs,
                            observed_addr: info.observed_addr,
                        });
                    }
                }
                // An unfinished part may be left over; nobody reads it.
                self.session.reset(id);
            }
        }
    }

    /// Gives a negotiation, or an identify answer we wait for, up.
    pub(super) fn abandon(&mut self, id: u32, events: &mut VecDeque<Event>) {
        if let Some(used_for) = self.session.reset(id) {
            self.forget(id, &used_for, Some(events));
        }
    }

    /// Cleans up behind a stream that is gone; its owner, if it has one, is told through `events`.
    pub(super) fn forget(&mut self, id: u32, used_for: &Use, events: Option<&mut VecDeque<Event>>) {
        let owned = match used_for {
            Use::Dialing {
                deadline,
                for_identify,
                ..
            } => {
                self.deadlines.remove(&(*deadline, id));
                !for_identify
            }
            Use::Listening { deadline, .. } | Use::Identify { deadline, .. } => {
                self.deadlines.remove(&(*deadline, id));
                false
            }
            Use::Owner { .. } => true,
            Use::Done | Use::Ping => false,
        };
        if let Some(events) = events
            && owned
        {
            let stream = StreamId(id);
            events.push_back(Event::Reset { stream });
        }
    }
}
