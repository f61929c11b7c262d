//! Boot configuration `EFI/deboot/deboot.toml`.
//!
//! `docs/deboot.toml` documents every key with its default and its range, and a test keeps it true.
mod keys;
mod parse;

use crate::help::Help;
use crate::place::Place;
use crate::target::{Target, TargetError};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use p2p::{Multiaddr, MultiaddrError, PeerId};
use swarm::Generation;

pub use keys::Key;

/// Where the configuration lies on the ESP.
pub const CONFIG_PATH: &str = "EFI/deboot/deboot.toml";
/// Largest configuration, bytes.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;
/// Longest `cmdline_append`, bytes.
pub const CMDLINE_APPEND_BYTES_MAX: usize = 512;
/// Most bootnodes.
pub const BOOTNODES_MAX: usize = 64;
/// Most DNS servers.
pub const DNS_SERVERS_MAX: usize = 3;

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

/// Where chunks come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// `"swarm"`: the network itself.
    #[default]
    Swarm,
    /// `"bridge"`: a development bridge.
    Bridge,
}

/// `[bridge]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Where it listens for TCP.
    pub address: SocketAddrV4,
    /// The identity it must have.
    pub peer: Option<PeerId>,
}

/// A valid boot configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootConfig {
    /// What to boot.
    pub target: Target,
    /// How long newer updates of a feed are waited for after the peers nearest to them have refused them.
    pub feed_patience: Duration,
    /// Appended to the manifest's command line.
    pub cmdline_append: String,
    /// `[network]`
    pub network: NetworkConfig,
    /// `[swarm]`
    pub swarm: SwarmConfig,
    /// `"swarm"` or `"bridge"`.
    pub source: Source,
    /// `[bridge]`
    pub bridge: BridgeConfig,
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

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// More than [`CONFIG_BYTES_MAX`].
    #[error("the configuration has {len} bytes, at most {CONFIG_BYTES_MAX} are read")]
    TooLarge {
        /// Bytes it has.
        len: usize,
    },
    /// Not TOML.
    #[error("{at}: not TOML: {message}")]
    Syntax {
        /// Where reading stopped.
        at: Place,
        /// What the TOML reader expected.
        message: String,
    },
    /// A key nobody defined.
    #[error("{at}: unknown key {key:?}{}", did_you_mean(.suggestion))]
    UnknownKey {
        /// The key.
        at: Place,
        /// Its name, cut to 64 characters.
        key: String,
        /// The key it resembles.
        suggestion: Option<Key>,
    },
    /// A required key is not there.
    #[error("{key} is missing; add a line such as: {example}")]
    Missing {
        /// Which.
        key: Key,
        /// What could be written.
        example: &'static str,
    },
    /// A value of the wrong kind.
    #[error("{at}: {key} is {found}, it must be {expected}")]
    Kind {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Not a reference, or not a feed.
    #[error("{at}: {key}: {error}")]
    Target {
        /// The value.
        at: Place,
        /// `reference` or `feed`.
        key: Key,
        /// Why.
        error: TargetError,
    },
    /// A reference and a feed.
    #[error("{at}: feed and reference are both there; remove one of them")]
    TwoTargets {
        /// The feed.
        at: Place,
    },
    /// Neither swarm nor bridge.
    #[error("{at}: source is {found:?}, expected \"swarm\" or \"bridge\"")]
    Source {
        /// The value.
        at: Place,
        /// What it is, cut to 64 characters.
        found: String,
    },
    /// Not an address of a bridge.
    #[error("{at}: {key} is {found:?}, expected something like {example:?}")]
    Bridge {
        /// The value.
        at: Place,
        /// Which.
        key: Key,
        /// What it is, cut to 64 characters.
        found: String,
        /// A value that would do.
        example: &'static str,
    },
    /// Not a length of time.
    #[error(
        "{at}: {key} must be a whole number with a unit, such as \"1500ms\", \"75s\", \"10min\" or \"2h\""
    )]
    Duration {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
    },
    /// A length of time outside its range.
    #[error("{at}: {key} must be from {} to {}", Span(*.min), Span(*.max))]
    DurationRange {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// A number outside its range.
    #[error("{at}: {key} must be a whole number from {min} to {max}")]
    Range {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// An unknown generation.
    #[error("{at}: swarm.generation {found:?} is unknown; write \"auto\", \"14\" or \"15\"")]
    Generation {
        /// The value.
        at: Place,
        /// What it says, cut to 64 characters.
        found: String,
    },
    /// A bootnode that is no multiaddr.
    #[error(
        "{at}: swarm.bootnodes: {error}; write it like \"/ip4/192.0.2.1/tcp/1634/p2p/16Uiu2...\" or \"/dnsaddr/mainnet.ethswarm.org\""
    )]
    Bootnode {
        /// The item.
        at: Place,
        /// Why.
        error: MultiaddrError,
    },
    /// No bootnode at all.
    #[error(
        "swarm.bootnodes is missing, and network {network_id} has no public ones; add a line such as: bootnodes = [\"/ip4/192.0.2.1/tcp/1634/p2p/16Uiu2...\"]"
    )]
    NoBootnode {
        /// The network.
        network_id: u64,
    },
    /// A list that is too long.
    #[error("{at}: {key} has {count} items, at most {max} are allowed")]
    TooMany {
        /// The list.
        at: Place,
        /// Which key.
        key: Key,
        /// Items it has.
        count: usize,
        /// Most.
        max: usize,
    },
    /// Not an IPv4 address.
    #[error("{at}: {key} {found:?} is no IPv4 address; write it like {example:?}")]
    Address {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
        /// What it says, cut to 64 characters.
        found: String,
        /// The form.
        example: &'static str,
    },
    /// A gateway or DNS servers without an address.
    #[error("{at}: {key} needs network.address too; add it, or remove {key} and DHCP is used")]
    WithoutAddress {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
    },
    /// A text that is too long.
    #[error("{at}: {key} has {len} bytes, at most {max} are allowed")]
    Length {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
        /// Bytes it has.
        len: usize,
        /// Most.
        max: usize,
    },
    /// A line break or another control character.
    #[error("{at}: {key} contains the control character U+{code:04X}; remove it")]
    Control {
        /// The value.
        at: Place,
        /// Which key.
        key: Key,
        /// Which character.
        code: u32,
    },
}

/// Ids of [`ConfigError`].
pub const HELP: [Help; 16] = [
    Help::new(
        "DB0501",
        "Another file was copied over the configuration.",
        "Write the configuration again; `deboot disk` makes one, and `docs/deboot.toml` shows every key.",
    ),
    Help::new(
        "DB0502",
        "A typing error: often a missing quote or bracket.",
        "Correct the place named; `deboot check FILE` finds the next one.",
    ),
    Help::new(
        "DB0503",
        "A typing error in a key, a key in the wrong table, or a key of a later version.",
        "Correct or remove it. Unknown keys are refused so that a setting never silently does nothing.",
    ),
    Help::new(
        "DB0504",
        "A key without which nothing can be booted is not there.",
        "Add the line the message shows.",
    ),
    Help::new(
        "DB0505",
        "A value of another kind than the key has, such as a number without unit for a time.",
        "Write the value in the form the message names.",
    ),
    Help::new(
        "DB0506",
        "A reference was cut or mistyped.",
        "Copy the whole reference: 64 hexadecimal digits, or 128 for encrypted content.",
    ),
    Help::new(
        "DB0507",
        "A number or time outside the range of its key.",
        "Write a value within the range.",
    ),
    Help::new(
        "DB0508",
        "A generation of the protocol that does not exist.",
        "Leave the key out: `auto` speaks both generations.",
    ),
    Help::new(
        "DB0509",
        "A bootnode is missing or mistyped.",
        "Copy the multiaddr that the node prints when it starts.",
    ),
    Help::new(
        "DB0510",
        "More items than are allowed.",
        "Keep the ones that matter.",
    ),
    Help::new(
        "DB0511",
        "The static address is mistyped or incomplete.",
        "Give address, prefix length and what goes with them, or remove all of it and use DHCP.",
    ),
    Help::new(
        "DB0512",
        "A kernel command line that is too long or not a single line.",
        "Shorten it; put what all machines need into the manifest.",
    ),
    Help::new(
        "DB0513",
        "The feed is not given as owner and topic.",
        "Write the owner's 40 hexadecimal digits, a slash, and the topic: 64 hexadecimal digits or a text without slash.",
    ),
    Help::new(
        "DB0514",
        "A feed was added and the reference was not removed, or the other way round.",
        "Keep `feed` to boot whatever its owner published last, or `reference` to boot one release for ever.",
    ),
    Help::new(
        "DB0515",
        "A source that does not exist, or a typing error.",
        "Write `source = \"swarm\"`, or `source = \"bridge\"` for development.",
    ),
    Help::new(
        "DB0516",
        "A name instead of an address, or no port.",
        "Write the bridge's IPv4 address and port, such as 10.0.2.2:4001; `bridge.peer` is the peer id the bridge prints.",
    ),
];

impl ConfigError {
    /// Returns the stable id, cause and next step.
    pub fn help(&self) -> &'static Help {
        let [
            too_large,
            syntax,
            unknown,
            missing,
            kind,
            reference,
            range,
            generation,
            bootnode,
            too_many,
            address,
            cmdline,
            feed,
            two_targets,
            source,
            bridge,
        ] = &HELP;
        match self {
            Self::TooLarge { .. } => too_large,
            Self::Syntax { .. } => syntax,
            Self::UnknownKey { .. } => unknown,
            Self::Missing { .. } => missing,
            Self::Kind { .. } | Self::Duration { .. } => kind,
            Self::Target {
                error: TargetError::Feed(_),
                ..
            } => feed,
            Self::Target { .. } => reference,
            Self::TwoTargets { .. } => two_targets,
            Self::Source { .. } => source,
            Self::Bridge { .. } => bridge,
            Self::Range { .. } | Self::DurationRange { .. } => range,
            Self::Generation { .. } => generation,
            Self::Bootnode { .. } | Self::NoBootnode { .. } => bootnode,
            Self::TooMany { .. } => too_many,
            Self::Address { .. } | Self::WithoutAddress { .. } => address,
            Self::Length { .. } | Self::Control { .. } => cmdline,
        }
    }

    /// Returns the stable id, such as `DB0503`.
    pub fn id(&self) -> &'static str {
        self.help().id
    }
}

impl BootConfig {
    /// Parses and checks a configuration.
    ///
    /// # Errors
    /// Returns the first thing that is wrong, with its place and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        parse::parse(text)
    }
}

/// Writes a time in its largest whole unit, as the configuration does.
struct Span(Duration);

impl core::fmt::Display for Span {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let milliseconds = self.0.as_millis();
        for (unit, size) in parse::UNITS.iter().rev() {
            if milliseconds.is_multiple_of(u128::from(*size)) && milliseconds > 0 {
                return write!(f, "{}{unit}", milliseconds / u128::from(*size));
            }
        }
        f.write_str("0s")
    }
}

fn did_you_mean(suggestion: &Option<Key>) -> String {
    match suggestion {
        Some(key) => format!("; did you mean {key}?"),
        None => String::from("; remove it"),
    }
}

#[cfg(test)]
mod tests;
