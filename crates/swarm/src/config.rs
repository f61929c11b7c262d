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
///
/// Memory: about `known_peers_max` × 0.4 KiB (2.4 KiB for records as large as they may be) for the book of peers,
/// `requests_max` × (0.3 KiB + 4.3 KiB for a chunk that nobody has taken yet), and per connection what `p2p` buffers.
#[derive(Clone)]
pub struct Config {
    /// 1 is the main network, 10 the test network.
    pub network_id: u64,
    /// Protocol generation. Default: both.
    pub generation: Generation,
    /// Where to start: `/ip4/../tcp/../p2p/..`, `/dns4/..`, `/dnsaddr/..`.
    pub bootnodes: Vec<Multiaddr>,
    /// 32 random bytes: libp2p identity, Swarm key and every later random choice derive from it.
    pub seed: [u8; 32],
    /// Wall time in Unix seconds. Mixed into the seed, so that a machine whose random bytes repeat still gets a new identity at
    /// each start; nothing on the wire depends on it, so a wrong clock does no harm.
    pub wall_time_s: u64,
    /// agentVersion told to peers. Default `deboot/<version>`.
    pub agent_version: String,
    /// Connections at once, dials included. Default 48.
    pub connections_max: usize,
    /// Dials and handshakes at once. Default 16.
    pub dials_max: usize,
    /// Peers remembered from hive. One sender may fill at most a quarter. Default 1024.
    pub known_peers_max: usize,
    /// Peers to be connected to in any case; more are dialled only while credit or chunks are short. Default 8.
    pub peers_min: usize,
    /// TCP connect. Default 5 s.
    pub dial_timeout: Duration,
    /// Security and Swarm handshake together; bee may need 10 s before it even looks at us. Default 25 s.
    pub handshake_timeout: Duration,
    /// One attempt for one chunk at one peer, bee's own limit. Default 30 s.
    pub attempt_timeout: Duration,
    /// Silence after which a second peer is asked for the same chunk; less for peers that usually answer faster. Default 1 s.
    pub hedge_after: Duration,
    /// Attempts for one chunk at once. Default 4.
    pub attempts_parallel_max: usize,
    /// Time from the first attempt for a chunk to giving it up; also the time without any peer to ask after which every open
    /// request fails. The clock runs while the network is away: a caller that wants to wait longer requests again. Default 60 s.
    pub chunk_timeout: Duration,
    /// Peers that must say "not found" in one round of asking. Default 8 (or all there are).
    pub not_found_peers: usize,
    /// No chunk is called "not found" earlier than this after its first attempt. Default 5 s.
    pub not_found_after: Duration,
    /// Failed attempts after which a chunk is given up, as in bee. Default 32.
    pub chunk_errors_max: u32,
    /// Chunks requested by the caller and not yet answered. Default 1024.
    pub requests_max: usize,
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
            peers_min: 8,
            dial_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(25),
            attempt_timeout: Duration::from_secs(30),
            hedge_after: Duration::from_secs(1),
            attempts_parallel_max: 4,
            chunk_timeout: Duration::from_secs(60),
            not_found_peers: 8,
            not_found_after: Duration::from_secs(5),
            chunk_errors_max: 32,
            requests_max: 1024,
        }
    }
}
