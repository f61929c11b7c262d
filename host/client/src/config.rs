//! Settings of a session.
use p2p::Multiaddr;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Network id of the main network.
pub const MAINNET_ID: u64 = 1;
/// Network id of the test network.
pub const TESTNET_ID: u64 = 10;
/// Public entry to the main network.
pub const MAINNET_BOOTNODE: &str = "/dnsaddr/mainnet.ethswarm.org";
/// Public entry to the test network.
pub const TESTNET_BOOTNODE: &str = "/dnsaddr/testnet.ethswarm.org";

/// Returns the public bootnodes of a network; empty for networks that have none.
pub fn default_bootnodes(network_id: u64) -> Vec<Multiaddr> {
    let text = match network_id {
        MAINNET_ID => MAINNET_BOOTNODE,
        TESTNET_ID => TESTNET_BOOTNODE,
        _ => return Vec::new(),
    };
    text.parse().into_iter().collect()
}

/// Settings of a [`Session`](crate::Session).
#[derive(Clone)]
pub struct Config {
    /// Settings of the node.
    pub node: swarm::Config,
    /// Time without a single peer that can serve, after which a run gives up. Default 30 s.
    pub bootstrap_timeout: Duration,
    /// Servers for TXT questions; empty: those of `/etc/resolv.conf`. Default empty.
    pub nameservers: Vec<SocketAddr>,
    /// One DNS question to one server; each server is asked twice. Default 3 s.
    pub dns_timeout: Duration,
    /// How often an observer hears of progress. Default 200 ms.
    pub progress_interval: Duration,
}

/// Why a configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Entropy(getrandom::Error),
}

impl Config {
    /// Makes the default settings: seed from the operating system, wall time from its clock.
    ///
    /// # Errors
    /// When the operating system gives no random bytes: an identity must never come from a constant.
    pub fn new(network_id: u64, bootnodes: Vec<Multiaddr>) -> Result<Self, ConfigError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(ConfigError::Entropy)?;
        let wall_time_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        Ok(Self {
            node: swarm::Config::new(network_id, bootnodes, seed, wall_time_s),
            bootstrap_timeout: Duration::from_secs(30),
            nameservers: Vec::new(),
            dns_timeout: Duration::from_secs(3),
            progress_interval: Duration::from_millis(200),
        })
    }
}
