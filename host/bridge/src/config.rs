//! Settings of a bridge.
use crate::Fault;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A disk cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Its directory; made if it is not there. Nothing else should be in it.
    pub directory: PathBuf,
    /// Most bytes of chunks in it.
    pub bytes_max: u64,
}

/// Settings of a bridge. Make one with [`Config::new`] and change what should differ.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub identity: Keypair,
    /// Where it listens.
    pub listen: Vec<Multiaddr>,
    /// Disk cache. Default: none.
    pub cache: Option<Cache>,
    /// Where Prometheus asks. Default: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Bounds of time and memory.
    pub limits: Limits,
    /// Misbehaves, for tests of clients. Default: does not.
    pub fault: Option<Fault>,
}

impl Config {
    /// Makes the default settings.
    pub fn new(identity: Keypair, listen: Vec<Multiaddr>) -> Self {
        Self {
            identity,
            listen,
            cache: None,
            metrics: None,
            limits: Limits::default(),
            fault: None,
        }
    }
}

/// Bounds of time and memory. At the defaults a bridge needs less than 256 MiB, and for each QUIC connection besides what its client
/// has room for and has not yet acknowledged, at most 10 MiB: libp2p-quic has no setting for that.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more are refused. Default 256.
    pub connections_max: u32,
    /// Streams of one peer that are served at once; more are answered `busy`. Default 32.
    pub streams_per_peer_max: usize,
    /// Streams of all peers that are served at once; more are answered `busy`. Default 512.
    pub streams_max: usize,
    /// Time for a request to arrive. Default 10 s.
    pub request_timeout: Duration,
    /// Time in which a client must take 32 KiB; one that is slower loses its stream. Default 60 s.
    pub reader_timeout: Duration,
    /// Chunks fetched in advance for one stream. Default 64.
    pub ahead_max: usize,
    /// Chunks asked of the back end at once, for all streams. Default 256.
    pub backend_max: usize,
    /// Time for one chunk to come from the back end. Default 60 s.
    pub backend_timeout: Duration,
    /// Time for an answer to begin: whatever replicas and directories need. Default 90 s, so that replicas have half a minute.
    pub answer_timeout: Duration,
    /// Chunks kept in memory, in bytes. Default 64 MiB.
    pub memory_bytes_max: usize,
    /// Time for running streams to end when the bridge is stopped. Default 5 s.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            streams_per_peer_max: 32,
            streams_max: 512,
            request_timeout: Duration::from_secs(10),
            reader_timeout: Duration::from_secs(60),
            ahead_max: 64,
            backend_max: 256,
            backend_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(90),
            memory_bytes_max: 64 * 1024 * 1024,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}
