//! Boot configuration `EFI/deboot/deboot.toml`.
use alloc::string::String;
use alloc::vec::Vec;
use content::Reference;
use core::net::Ipv4Addr;
use core::time::Duration;
use p2p::Multiaddr;
use swarm::Generation;

/// Where the configuration lies on the ESP.
pub const CONFIG_PATH: &str = "EFI/deboot/deboot.toml";

/// Static IPv4 settings; without them DHCP is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticAddress {
    /// Own address.
    pub address: Ipv4Addr,
    /// Prefix length, 0 to 32.
    pub prefix_length: u8,
    /// Router.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers, at most 3.
    pub dns: Vec<Ipv4Addr>,
}

/// What `[network]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Static address, or DHCP.
    pub static_address: Option<StaticAddress>,
    /// How long to wait for a link.
    pub link_timeout: Duration,
    /// How long to keep asking for a lease (switch ports may forward only after 50 s).
    pub dhcp_timeout: Duration,
    /// One DNS question.
    pub dns_timeout: Duration,
}

/// What `[swarm]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmConfig {
    /// 1 main network, 10 test network.
    pub network_id: u64,
    /// `"auto"`, `"14"`, `"15"`.
    pub generation: Generation,
    /// Bootnodes.
    pub bootnodes: Vec<Multiaddr>,
    /// Connections at once.
    pub connections_max: usize,
    /// TCP connect.
    pub dial_timeout: Duration,
    /// Security and Swarm handshake.
    pub handshake_timeout: Duration,
    /// One attempt for one chunk.
    pub attempt_timeout: Duration,
    /// Silence before a second peer is asked.
    pub hedge_after: Duration,
    /// A chunk nobody delivers.
    pub chunk_timeout: Duration,
    /// Until the first peer is ready.
    pub bootstrap_timeout: Duration,
}

/// A valid boot configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootConfig {
    /// What to boot: 64 hex digits.
    pub reference: Reference,
    /// Appended to the manifest's command line.
    pub cmdline_append: String,
    /// `[network]`
    pub network: NetworkConfig,
    /// `[swarm]`
    pub swarm: SwarmConfig,
    /// Whole boot, from application start to kernel hand-over; zero: no limit.
    pub boot_timeout: Duration,
    /// Largest kernel, bytes.
    pub kernel_bytes_max: u64,
    /// Largest sum of initramfs archives, bytes.
    pub initramfs_bytes_max: u64,
    /// What to do when the boot fails and nobody answers the prompt: retry after this long (zero: return to firmware at once).
    pub retry_after: Duration,
    /// Retries without a person before returning to the firmware's boot order.
    pub retries_max: u32,
}

/// Why a configuration is refused. (The owner of this crate replaces this with one variant per cause, each with line, field and fix.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad configuration")]
pub struct ConfigError;

impl BootConfig {
    /// Parses and checks a configuration.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let _ = text;
        todo!()
    }
}
