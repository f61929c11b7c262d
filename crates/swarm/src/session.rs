//! One peer: the libp2p connection and the Swarm streams on it.
//!
//! Securing -> handshake (Syn, SynAck, Ack, wait for the end of the stream) -> ready. From the first millisecond on, inbound streams
//! are served: pricing, hive, status; identify and ping are answered by `p2p`.
mod handshake;
mod inbound;
mod outbound;

use crate::config::Generation;
use crate::error::DropReason;
use crate::messages::{Peers, Version, protocol};
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{Overlay, SecretKey};
use core::time::Duration;
use litemap::LiteMap;
use p2p::{Connection, Instant, Multiaddr, PeerId, StreamId};

pub(crate) use outbound::{Attempt, Outcome};

/// Inbound streams a peer may have open; bee opens one or two at a time.
const INBOUND_MAX: usize = 16;
/// Time for an inbound stream from its opening to its message (bee's own limit for headers).
const INBOUND_TIMEOUT: Duration = Duration::from_secs(10);

/// Inbound protocols, in the order in which `p2p` reports their index.
const SERVED: [&str; 4] = [
    protocol::PRICING,
    protocol::HIVE_2,
    protocol::HIVE_1,
    protocol::STATUS,
];

/// What is the same for every session of a node.
pub(crate) struct Local {
    pub(crate) key: SecretKey,
    pub(crate) network_id: u64,
    pub(crate) generation: Generation,
    pub(crate) peer_id: PeerId,
}

impl Local {
    /// Protocols to list in identify and to serve.
    pub(crate) fn served() -> Vec<String> {
        SERVED.iter().map(|id| String::from(*id)).collect()
    }
}

/// What a session tells the node.
pub(crate) enum SessionEvent {
    /// The handshake is complete: streams may be opened.
    Handshaken {
        overlay: Overlay,
        version: Version,
        observed: Option<Multiaddr>,
    },
    /// The peer announced how much we may owe.
    Threshold(u64),
    /// identify was answered.
    Identified {
        agent: String,
        observed: Option<Multiaddr>,
    },
    /// The peer told us of others.
    Peers { version: Version, peers: Peers },
    /// A retrieval ended.
    Retrieved { attempt: Attempt, outcome: Outcome },
    /// A settlement was accepted, at least in part.
    Settled { accepted: u64 },
    /// A settlement was refused.
    SettlementRefused,
    /// The session is over.
    Failed(DropReason),
}

/// One peer.
pub(crate) struct Session {
    link: Connection,
    dialed: Multiaddr,
    handshake: handshake::Handshake,
    version: Option<Version>,
    /// Open retrievals; stream ids rise, so the first is the oldest.
    attempts: LiteMap<StreamId, outbound::Retrieval>,
    settlement: Option<outbound::Settlement>,
    inbound: LiteMap<StreamId, inbound::Inbound>,
    attempt_timeout: Duration,
    handshake_deadline: Option<Instant>,
    connected_peers: u64,
    failed: bool,
}

impl Session {
    /// Starts a session over a connected byte stream.
    pub(crate) fn new(
        link: p2p::Config,
        dialed: Multiaddr,
        config: &crate::Config,
        now: Instant,
    ) -> Self {
        Self {
            link: Connection::new(p2p::Role::Dialer, link, now),
            dialed,
            handshake: handshake::Handshake::Securing,
            version: None,
            attempts: LiteMap::new_vec(),
            settlement: None,
            inbound: LiteMap::new_vec(),
            attempt_timeout: config.attempt_timeout,
            handshake_deadline: Some(now + config.handshake_timeout),
            connected_peers: 0,
            failed: false,
        }
    }

    /// Takes received bytes; returns how many were used.
    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        bytes: &[u8],
        local: &Local,
        out: &mut Vec<SessionEvent>,
    ) -> usize {
        let mut rest = bytes;
        loop {
            // The error comes as the last event too.
            let used = self.link.handle_input(now, rest).unwrap_or(rest.len());
            self.drain(now, local, out);
            rest = rest.get(used..).unwrap_or_default();
            // Not all is taken when events have piled up, or when answers must be sent first.
            if rest.is_empty() || used == 0 {
                return bytes.len().saturating_sub(rest.len());
            }
        }
    }

    /// Fills `room` with bytes to send.
    pub(crate) fn poll_output(&mut self, now: Instant, room: &mut [u8]) -> usize {
        self.link.poll_output(now, room)
    }

    /// Says whether there are bytes to send.
    pub(crate) fn wants_output(&self) -> bool {
        self.link.wants_output()
    }

    /// The next deadline.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let oldest = self.attempts.first();
        [
            self.link.poll_timeout().map(|(at, _)| at),
            self.handshake_deadline,
            oldest.map(|(_, retrieval)| retrieval.attempt.started + self.attempt_timeout),
            self.settlement.as_ref().map(|s| s.deadline),
            self.inbound.first().map(|(_, s)| s.deadline),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Lets deadlines act.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        local: &Local,
        out: &mut Vec<SessionEvent>,
    ) {
        self.link.handle_timeout(now);
        self.drain(now, local, out);
        if self.handshake_deadline.is_some_and(|at| at <= now) {
            self.fail(DropReason::HandshakeTimedOut, out);
        }
        self.expire_outbound(now, out);
        self.expire_inbound(now);
    }

    /// Round trip, when known.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.link.round_trip()
    }

    /// Number to answer status questions with.
    pub(crate) const fn set_connected_peers(&mut self, count: u64) {
        self.connected_peers = count;
    }

    /// Says goodbye; what is queued is still sent.
    pub(crate) fn close(&mut self) {
        self.link.close();
    }

    /// Ends every open retrieval, for a session that is over.
    pub(crate) fn take_attempts(&mut self) -> impl Iterator<Item = Attempt> {
        core::mem::take(&mut self.attempts)
            .into_iter()
            .map(|(_, retrieval)| retrieval.attempt)
    }

    fn fail(&mut self, reason: DropReason, out: &mut Vec<SessionEvent>) {
        if !self.failed {
            self.failed = true;
            self.handshake_deadline = None;
            out.push(SessionEvent::Failed(reason));
        }
    }

    fn drain(&mut self, now: Instant, local: &Local, out: &mut Vec<SessionEvent>) {
        while let Some(event) = self.link.poll_event() {
            if self.failed {
                continue;
            }
            self.handle_event(now, event, local, out);
        }
    }

    fn handle_event(
        &mut self,
        now: Instant,
        event: p2p::Event,
        local: &Local,
        out: &mut Vec<SessionEvent>,
    ) {
        match event {
            p2p::Event::Readable { stream } => self.stream_progress(stream, local, out),
            p2p::Event::Finished { stream } => {
                self.stream_progress(stream, local, out);
                self.stream_ended(stream, false, out);
            }
            p2p::Event::Reset { stream } => self.stream_ended(stream, true, out),
            p2p::Event::Incoming { stream, index } => self.accept(now, stream, index, out),
            p2p::Event::Negotiated { stream, index } => {
                if self.handshake.stream() == Some(stream) {
                    self.handshake_negotiated(index, local);
                }
            }
            p2p::Event::NotSupported { stream } => {
                if self.handshake.stream() == Some(stream) {
                    self.fail(DropReason::NoCommonHandshake, out);
                } else {
                    self.stream_ended(stream, true, out);
                }
            }
            p2p::Event::Connected { peer } => self.start_handshake(now, peer, local, out),
            p2p::Event::Identified {
                agent,
                observed_addr: observed,
                ..
            } => out.push(SessionEvent::Identified { agent, observed }),
            p2p::Event::Closed { error } => self.fail(DropReason::Connection(error), out),
        }
    }

    /// Reads what it can from a stream.
    fn stream_progress(&mut self, stream: StreamId, local: &Local, out: &mut Vec<SessionEvent>) {
        if self.attempts.contains_key(&stream) {
            self.retrieval_progress(stream, out);
        } else if self.settlement.as_ref().map(|s| s.stream) == Some(stream) {
            self.settlement_progress(out);
        } else if self.inbound.contains_key(&stream) {
            self.inbound_progress(stream, out);
        } else if self.handshake.stream() == Some(stream) {
            self.handshake_progress(local, out);
        } else {
            // Nothing is expected after a delivery; take it so that the window does not fill.
            let extra = self.link.received(stream).len();
            self.link.consume(stream, extra);
        }
    }

    /// The peer will send nothing more on a stream.
    fn stream_ended(&mut self, stream: StreamId, reset: bool, out: &mut Vec<SessionEvent>) {
        if let Some(retrieval) = self.attempts.remove(&stream) {
            self.retrieval_ended(stream, retrieval, reset, out);
        } else if self.settlement.as_ref().map(|s| s.stream) == Some(stream) {
            self.settlement = None;
            self.link.close_write(stream);
            out.push(SessionEvent::SettlementRefused);
        } else if self.inbound.remove(&stream).is_some() {
            if !reset {
                self.link.reset(stream);
            }
        } else if self.handshake.stream() == Some(stream) {
            self.handshake_ended(reset, out);
        }
    }
}
