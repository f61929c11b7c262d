//! One libp2p connection: negotiation, encryption, multiplexing, and the two protocols every connection answers (identify, ping).
use crate::{Instant, Keypair, Multiaddr, PeerId, PublicKey};
use alloc::string::String;
use alloc::vec::Vec;

/// Which side opened the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We connected.
    Dialer,
    /// We accepted.
    Listener,
}

/// Settings of one connection.
#[derive(Clone)]
pub struct Config {
    /// Our identity.
    pub keypair: Keypair,
    /// Secret X25519 key of the Noise handshake, fresh random bytes for each connection.
    pub noise_secret: [u8; 32],
    /// Fresh random bytes for each connection (the Noise ephemeral key).
    pub noise_ephemeral: [u8; 32],
    /// The peer we expect; a dialer refuses another identity.
    pub expected_peer: Option<PeerId>,
    /// Protocols served on inbound streams, in the order of preference; listed in identify too.
    pub protocols: Vec<String>,
    /// Addresses told to the peer in identify.
    pub listen_addrs: Vec<Multiaddr>,
    /// The address the peer connects from or is reached at, told to it in identify.
    pub observed_addr: Option<Multiaddr>,
    /// identify's agentVersion.
    pub agent_version: String,
    // The owner of this crate adds limits here: handshake timeout, keepalive interval, receive window, streams, buffers.
}

/// Id of a stream within one connection; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Secured and multiplexed; streams may be opened.
    Connected {
        /// Authenticated peer.
        peer: PeerId,
    },
    /// The peer answered our identify request.
    Identified {
        /// agentVersion, at most 256 bytes.
        agent: String,
        /// Protocols the peer serves.
        protocols: Vec<String>,
        /// Addresses it listens on (unparsable ones skipped).
        listen_addrs: Vec<Multiaddr>,
        /// How it sees us.
        observed_addr: Option<Multiaddr>,
    },
    /// An outbound stream's protocol was accepted: index into the list given to [`Connection::open`].
    Negotiated {
        /// The stream.
        stream: StreamId,
        /// Which of the proposals.
        index: usize,
    },
    /// The peer accepts none of the proposals; the stream is gone.
    NotSupported {
        /// The stream.
        stream: StreamId,
    },
    /// The peer opened a stream for `protocols[index]` of the [`Config`].
    Incoming {
        /// The stream.
        stream: StreamId,
        /// Which of our protocols.
        index: usize,
    },
    /// New bytes in [`Connection::received`].
    Readable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer half-closed; what is in [`Connection::received`] is all.
    Finished {
        /// The stream.
        stream: StreamId,
    },
    /// The peer reset the stream; it is gone.
    Reset {
        /// The stream.
        stream: StreamId,
    },
    /// The connection is over. Last event.
    Closed {
        /// Why.
        error: Error,
    },
}

/// Why a connection ended. (The owner of this crate adds variants, one per cause.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Placeholder.
    #[error("internal error")]
    Internal,
}

impl Error {
    /// Says whether the peer broke the protocol (as opposed to time, network, or our own limits).
    pub fn is_peer_fault(&self) -> bool {
        todo!()
    }
}

/// Why a connection wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReason {
    /// Handshake deadline.
    Handshake,
    /// Next keepalive ping.
    Keepalive,
    /// Keepalive answer deadline.
    KeepaliveLost,
    /// Negotiation deadline of a stream.
    Negotiation,
}

/// One libp2p connection as a state machine.
pub struct Connection {}

impl Connection {
    /// Starts a connection over a fresh byte stream.
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        let _ = (role, config, now);
        todo!()
    }
    /// Takes received bytes; returns how many it consumed (all, unless its own output buffer is full: then transmit first and call again).
    /// Every error closes the connection and is also the last event.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, Error> {
        let _ = (now, bytes);
        todo!()
    }
    /// Fills `room` with bytes to send; returns how many. Zero: nothing to send now.
    pub fn poll_output(&mut self, now: Instant, room: &mut [u8]) -> usize {
        let _ = (now, room);
        todo!()
    }
    /// Says whether [`poll_output`](Self::poll_output) would give bytes.
    pub fn wants_output(&self) -> bool {
        todo!()
    }
    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, TimeoutReason)> {
        todo!()
    }
    /// Lets deadlines act.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }
    /// Opens a stream, proposing `protocols` one after the other; `initial` goes out in the same packet as the first proposal when
    /// there is exactly one (one-packet negotiation) and after the negotiation otherwise.
    pub fn open(
        &mut self,
        now: Instant,
        protocols: &[&str],
        initial: &[u8],
    ) -> Result<StreamId, Error> {
        let _ = (now, protocols, initial);
        todo!()
    }
    /// Bytes received on a stream and not yet consumed, contiguous.
    pub fn received(&self, stream: StreamId) -> &[u8] {
        let _ = stream;
        todo!()
    }
    /// Drops the first `count` received bytes and grants the peer window for them.
    pub fn consume(&mut self, stream: StreamId, count: usize) {
        let _ = (stream, count);
        todo!()
    }
    /// Says whether the peer has half-closed and everything was received.
    pub fn is_finished(&self, stream: StreamId) -> bool {
        let _ = stream;
        todo!()
    }
    /// Queues bytes on a stream. Fails when the stream is gone, half-closed by us, or its send buffer would exceed its limit.
    pub fn write(&mut self, stream: StreamId, bytes: &[u8]) -> Result<(), Error> {
        let _ = (stream, bytes);
        todo!()
    }
    /// Half-closes our side after what is queued. When the peer has too, the stream is gone.
    pub fn close_write(&mut self, stream: StreamId) {
        let _ = stream;
        todo!()
    }
    /// Resets a stream.
    pub fn reset(&mut self, stream: StreamId) {
        let _ = stream;
        todo!()
    }
    /// The authenticated peer, after [`Event::Connected`].
    pub fn peer(&self) -> Option<&PublicKey> {
        todo!()
    }
    /// Round-trip time of the last keepalive or negotiation, when known.
    pub fn round_trip(&self) -> Option<core::time::Duration> {
        todo!()
    }
    /// Queues a Yamux go-away; the driver closes the byte stream after the output is sent.
    pub fn close(&mut self) {
        todo!()
    }
}
