//! What the driver and the node exchange.
use crate::error::{ChunkFailure, DialError, DropReason};
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, Overlay, VerifiedChunk};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use p2p::Multiaddr;

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

/// How joining the network goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootstrapStage {
    /// A bootnode's name is being looked up.
    Resolving {
        /// The name.
        name: String,
    },
    /// A look-up gave no usable address; it will be tried again.
    ResolveFailed {
        /// The bootnode as configured.
        bootnode: Multiaddr,
        /// When again.
        retry_in: Duration,
    },
    /// A configured bootnode has a form that cannot be dialled.
    Unusable {
        /// The bootnode as configured.
        bootnode: Multiaddr,
    },
    /// No peer is left and every bootnode was tried in vain; they will be tried again.
    BootnodesDown {
        /// Failed dials since the last success.
        failures: u32,
        /// When again.
        retry_in: Duration,
    },
    /// The first peer that can serve is there.
    Joined {
        /// Since the node was started.
        elapsed: Duration,
    },
}

/// Facts for the driver: chunks for whoever wants them, and everything worth a log line.
#[derive(Clone, Debug)]
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
    /// A requested chunk is hard to get: peers refused it, or the second one does not answer in time either. Told at most once per
    /// request, which goes on.
    ChunkDelayed {
        /// Which.
        address: ChunkAddress,
        /// Peers that said that they cannot find it.
        refusals: usize,
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
        /// Records that are new and well-formed. Those known already are counted nowhere.
        new: usize,
        /// Refused records: malformed, undialable, banned, or more than one peer or one address may fill the table with.
        refused: usize,
    },
    /// A peer announced how much we may owe, at first or when it raised the limit.
    ThresholdAnnounced {
        /// Its overlay.
        overlay: Overlay,
        /// Accounting units.
        threshold: u64,
    },
    /// A peer refused to settle. Harmless when rare: it refuses twice in one second of its clock.
    SettlementRefused {
        /// Its overlay.
        overlay: Overlay,
        /// What was offered.
        amount: u64,
    },
    /// How joining the network goes.
    Bootstrap(BootstrapStage),
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
    /// Deliveries that nobody waited for any more: another peer was faster, or the request was cancelled. They are paid for too.
    pub duplicates: u64,
    /// Deliveries refused because they did not verify.
    pub wrong_chunks: u64,
    /// Different peers (overlays) that delivered at least one chunk.
    pub peers_used: usize,
    /// Requests that wait because no peer has credit now.
    pub waiting_for_credit: usize,
    /// Requests sent again because an answer took too long.
    pub hedges: u64,
    /// Accounting units paid for chunks, duplicates included.
    pub units_spent: u64,
    /// Settlements that peers accepted.
    pub settlements: u64,
    /// Settlements that peers refused.
    pub settlements_refused: u64,
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
    /// Usual time from request to delivery, when known.
    pub latency: Option<Duration>,
}

/// Why the node wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeTimeout {
    /// A connection's own deadline.
    Connection(ConnId),
    /// A dial, redial, settlement, hedge or chunk deadline.
    Schedule,
}
