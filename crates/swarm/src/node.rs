//! The client node.
use crate::Config;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, Overlay, VerifiedChunk};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use p2p::Instant;

/// A byte stream the driver keeps for the node. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A DNS question. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsQueryId(pub u64);

/// What to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsQuery {
    /// TXT records of this name (`_dnsaddr.…`).
    Txt(String),
    /// Addresses of this name.
    Addresses(String),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    /// TXT strings.
    Txt(Vec<String>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// No such name, no server, no answer.
    Failed,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a TCP connection; answer with `handle_connected` or `handle_dial_failed`.
    Dial {
        /// Id for the new stream.
        conn: ConnId,
        /// Where to.
        address: SocketAddr,
    },
    /// Close the stream (after sending what `poll_transmit` still gives) and forget it; no `handle_closed` needed.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Ask DNS; answer with `handle_dns`.
    Resolve {
        /// Id for the answer.
        id: DnsQueryId,
        /// What to ask.
        query: DnsQuery,
    },
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialError {
    /// Reset or refused.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No route, no socket.
    Unreachable,
}

/// Why a peer was dropped. (The owner of this crate completes this.)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// It sent bytes that are not the chunk asked for.
    WrongChunk(ChunkAddress),
    /// Its connection ended.
    Connection(p2p::Error),
    /// The byte stream ended.
    Closed,
}

/// Why a chunk could not be had. (The owner of this crate completes this.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkFailure {
    /// Enough peers said that they cannot find it.
    NotFound {
        /// Peers asked.
        peers_asked: u32,
    },
    /// Nobody delivered it in time.
    TimedOut {
        /// Peers asked.
        peers_asked: u32,
    },
}

/// Facts for the driver: chunks for whoever wants them, and everything worth a log line.
#[derive(Clone)]
#[non_exhaustive]
pub enum Event {
    /// A requested chunk, verified.
    Chunk {
        /// The chunk.
        chunk: VerifiedChunk,
        /// Who delivered it.
        from: Overlay,
        /// From request to delivery.
        elapsed: Duration,
    },
    /// A requested chunk that could not be had.
    ChunkFailed {
        /// Which.
        address: ChunkAddress,
        /// Why.
        failure: ChunkFailure,
    },
    /// A peer is ready to serve.
    PeerUp {
        /// Its overlay.
        overlay: Overlay,
        /// Where it is.
        address: SocketAddr,
        /// 14 or 15.
        generation: u8,
        /// Its agent, when identify told us.
        agent: String,
    },
    /// A connected or connecting peer is gone.
    PeerDown {
        /// Its overlay, when the handshake got that far.
        overlay: Option<Overlay>,
        /// Where it is.
        address: SocketAddr,
        /// Why.
        reason: DropReason,
    },
    /// A dial did not succeed.
    DialFailed {
        /// Where to.
        address: SocketAddr,
        /// Why.
        error: DialError,
    },
    /// hive told us of peers.
    PeersLearnt {
        /// New valid records.
        new: usize,
        /// Refused records.
        refused: usize,
    },
}

/// Figures for progress lines and reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Peers ready to serve.
    pub peers_ready: usize,
    /// Connections being set up.
    pub peers_connecting: usize,
    /// Peers known and not connected.
    pub peers_known: usize,
    /// Chunks requested and not yet answered.
    pub requests_open: usize,
    /// Retrieval streams open.
    pub attempts_open: usize,
    /// Chunks delivered to the caller.
    pub chunks: u64,
    /// Bytes of those chunks.
    pub chunk_bytes: u64,
    /// Deliveries that came after another peer's (hedges).
    pub duplicates: u64,
    /// Deliveries refused because they did not verify.
    pub wrong_chunks: u64,
    /// Peers that delivered at least one chunk.
    pub peers_used: usize,
    /// Requests that wait because no peer has credit now.
    pub waiting_for_credit: usize,
}

/// One peer, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Overlay.
    pub overlay: Overlay,
    /// Address.
    pub address: SocketAddr,
    /// agentVersion.
    pub agent: String,
    /// Chunks delivered.
    pub chunks: u64,
    /// Debt in accounting units, as we count it.
    pub debt: u64,
    /// Announced payment threshold.
    pub threshold: u64,
    /// Round trip, when known.
    pub round_trip: Option<Duration>,
}

/// Why the node wants to be called again. (The owner of this crate completes this.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeTimeout {
    /// A connection's own deadline.
    Connection(ConnId),
    /// A dial, redial, settlement, hedge or chunk deadline.
    Schedule,
}

/// The client node.
pub struct Node {}

impl Node {
    /// Starts a node; the first commands dial or resolve the bootnodes.
    pub fn new(config: Config, now: Instant) -> Self {
        let _ = (config, now);
        todo!()
    }

    /// Returns the next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        todo!()
    }
    /// The dial of `conn` succeeded.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        let _ = (now, conn);
        todo!()
    }
    /// The dial of `conn` failed.
    pub fn handle_dial_failed(&mut self, now: Instant, conn: ConnId, error: DialError) {
        let _ = (now, conn, error);
        todo!()
    }
    /// Bytes arrived; returns how many were consumed (the driver keeps the rest and calls again after transmitting).
    pub fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        let _ = (now, conn, bytes);
        todo!()
    }
    /// The remote end closed or reset the stream.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        let _ = (now, conn);
        todo!()
    }
    /// Fills `room` with bytes for `conn`.
    pub fn poll_transmit(&mut self, now: Instant, conn: ConnId, room: &mut [u8]) -> usize {
        let _ = (now, conn, room);
        todo!()
    }
    /// Returns a connection that has bytes to send, so that drivers with many sockets need not ask each. Cleared by transmitting until zero.
    pub fn poll_writable(&mut self) -> Option<ConnId> {
        todo!()
    }
    /// Answers a [`Command::Resolve`].
    pub fn handle_dns(&mut self, now: Instant, id: DnsQueryId, answer: DnsAnswer) {
        let _ = (now, id, answer);
        todo!()
    }
    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, NodeTimeout)> {
        todo!()
    }
    /// Lets deadlines act.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }
    /// The network was away (link down, address lost): drops every connection and forgets dial failures, keeps peers and requests.
    pub fn handle_network_lost(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// How many more chunks may be requested now.
    pub fn request_room(&self) -> usize {
        todo!()
    }
    /// Requests a chunk. Earlier requests go first. A second request for an open address is ignored.
    pub fn request(&mut self, now: Instant, address: ChunkAddress) {
        let _ = (now, address);
        todo!()
    }
    /// Forgets a request.
    pub fn cancel(&mut self, address: ChunkAddress) {
        let _ = address;
        todo!()
    }
    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// Figures.
    pub fn stats(&self) -> Stats {
        todo!()
    }
    /// Peers ready to serve.
    pub fn peers(&self) -> Vec<PeerInfo> {
        todo!()
    }
    /// Settles what can be settled and closes every connection politely; the driver pumps until there is nothing to transmit.
    pub fn close(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }
}
