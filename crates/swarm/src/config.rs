//! Settings of the node.
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use p2p::Multiaddr;

/// Which protocol generation to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Generation {
    /// Propose 15.0.0, fall back to 14.0.0 on the same stream.
    #[default]
    Auto,
    /// Only handshake 14.0.0 and hive 1.1.0 (bee up to 2.7).
    V14,
    /// Only handshake 15.0.0 and hive 2.0.0 (bee from 2.8).
    V15,
}

/// Settings of the node. Every field has a documented default in [`Config::new`].
#[derive(Clone)]
pub struct Config {
    /// 1 is the main network, 10 the test network.
    pub network_id: u64,
    /// Protocol generation.
    pub generation: Generation,
    /// Where to start: `/ip4/../tcp/../p2p/..`, `/dns4/..`, `/dnsaddr/..`.
    pub bootnodes: Vec<Multiaddr>,
    /// 32 random bytes: libp2p identity, Swarm key and every later random choice derive from it.
    pub seed: [u8; 32],
    /// Wall time in Unix seconds (only the order of magnitude matters to a light client).
    pub wall_time_s: u64,
    /// agentVersion told to peers.
    pub agent_version: String,
    /// Connections at once, dials included.
    pub connections_max: usize,
    /// Dials at once.
    pub dials_max: usize,
    /// Peers remembered from hive.
    pub known_peers_max: usize,
    /// TCP connect, then security and Swarm handshake, each.
    pub dial_timeout: Duration,
    /// See `dial_timeout`.
    pub handshake_timeout: Duration,
    /// One attempt for one chunk at one peer.
    pub attempt_timeout: Duration,
    /// Silence after which a second peer is asked for the same chunk.
    pub hedge_after: Duration,
    /// Time after which a chunk that nobody delivered is given up.
    pub chunk_timeout: Duration,
    /// Chunks requested by the caller and not yet answered.
    pub requests_max: usize,
    // The owner of this crate adds what is missing.
}

impl Config {
    /// The defaults: see each field.
    pub fn new(
        network_id: u64,
        bootnodes: Vec<Multiaddr>,
        seed: [u8; 32],
        wall_time_s: u64,
    ) -> Self {
        Self {
            network_id,
            generation: Generation::Auto,
            bootnodes,
            seed,
            wall_time_s,
            agent_version: String::from(concat!("deboot/", env!("CARGO_PKG_VERSION"))),
            connections_max: 48,
            dials_max: 16,
            known_peers_max: 1024,
            dial_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(25),
            attempt_timeout: Duration::from_secs(30),
            hedge_after: Duration::from_secs(1),
            chunk_timeout: Duration::from_secs(60),
            requests_max: 1024,
        }
    }
}
