//! The keys of the configuration with their defaults and ranges.
use crate::suggest::nearest;
use core::fmt;
use core::time::Duration;

/// A key and its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Table, empty for keys before the first table.
    pub table: &'static str,
    /// Name inside the table.
    pub name: &'static str,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.table.is_empty() {
            write!(f, "{}.", self.table)?;
        }
        f.write_str(self.name)
    }
}

/// A time with its default and range.
pub(super) struct Time {
    pub(super) key: Key,
    pub(super) default: Duration,
    pub(super) min: Duration,
    pub(super) max: Duration,
}

/// A number with its default and range.
pub(super) struct Number {
    pub(super) key: Key,
    pub(super) default: u64,
    pub(super) min: u64,
    pub(super) max: u64,
}

const fn key(table: &'static str, name: &'static str) -> Key {
    Key { table, name }
}

const fn time(key: Key, default_ms: u64, min_ms: u64, max_ms: u64) -> Time {
    Time {
        key,
        default: Duration::from_millis(default_ms),
        min: Duration::from_millis(min_ms),
        max: Duration::from_millis(max_ms),
    }
}

const fn number(key: Key, default: u64, min: u64, max: u64) -> Number {
    Number {
        key,
        default,
        min,
        max,
    }
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(super) const REFERENCE: Key = key("", "reference");
pub(super) const FEED: Key = key("", "feed");
pub(super) const FEED_PATIENCE: Time = time(key("", "feed_patience"), 2 * SECOND, 0, 10 * MINUTE);
pub(super) const SOURCE: Key = key("", "source");
pub(super) const CMDLINE_APPEND: Key = key("", "cmdline_append");
pub(super) const BOOT_TIMEOUT: Time = time(key("", "boot_timeout"), 30 * MINUTE, 0, 24 * HOUR);
pub(super) const RETRY_AFTER: Time = time(key("", "retry_after"), 30 * SECOND, 0, 24 * HOUR);
pub(super) const RETRIES_MAX: Number = number(key("", "retries_max"), 5, 0, 1_000_000);
pub(super) const KERNEL_BYTES_MAX: Number =
    number(key("", "kernel_bytes_max"), 256 * MIB, MIB, 4 * GIB);
pub(super) const INITRAMFS_BYTES_MAX: Number =
    number(key("", "initramfs_bytes_max"), GIB, 0, 64 * GIB);
/// Tables are keys of the root as well.
pub(super) const NETWORK: Key = key("", "network");
pub(super) const SWARM: Key = key("", "swarm");
pub(super) const BRIDGE: Key = key("", "bridge");

pub(super) const ADDRESS: Key = key("network", "address");
pub(super) const GATEWAY: Key = key("network", "gateway");
pub(super) const DNS: Key = key("network", "dns");
pub(super) const LINK_TIMEOUT: Time = time(key("network", "link_timeout"), 30 * SECOND, 0, HOUR);
pub(super) const DHCP_TIMEOUT: Time =
    time(key("network", "dhcp_timeout"), 90 * SECOND, SECOND, HOUR);
pub(super) const DNS_TIMEOUT: Time =
    time(key("network", "dns_timeout"), 5 * SECOND, 100, 5 * MINUTE);

pub(super) const NETWORK_ID: Number = number(key("swarm", "network_id"), 1, 0, u64::MAX >> 1);
pub(super) const GENERATION: Key = key("swarm", "generation");
pub(super) const BOOTNODES: Key = key("swarm", "bootnodes");
pub(super) const CONNECTIONS_MAX: Number = number(key("swarm", "connections_max"), 48, 1, 1024);
pub(super) const DIAL_TIMEOUT: Time =
    time(key("swarm", "dial_timeout"), 5 * SECOND, 100, 5 * MINUTE);
pub(super) const HANDSHAKE_TIMEOUT: Time = time(
    key("swarm", "handshake_timeout"),
    25 * SECOND,
    100,
    5 * MINUTE,
);
pub(super) const ATTEMPT_TIMEOUT: Time = time(
    key("swarm", "attempt_timeout"),
    30 * SECOND,
    100,
    10 * MINUTE,
);
pub(super) const HEDGE_AFTER: Time = time(key("swarm", "hedge_after"), SECOND, 10, 5 * MINUTE);
pub(super) const CHUNK_TIMEOUT: Time = time(key("swarm", "chunk_timeout"), MINUTE, SECOND, HOUR);
pub(super) const BOOTSTRAP_TIMEOUT: Time =
    time(key("swarm", "bootstrap_timeout"), MINUTE, SECOND, HOUR);

pub(super) const BRIDGE_ADDRESS: Key = key("bridge", "address");
pub(super) const BRIDGE_PEER: Key = key("bridge", "peer");

/// Every key, by table.
pub(super) const ALL: [Key; 31] = [
    REFERENCE,
    FEED,
    FEED_PATIENCE.key,
    SOURCE,
    CMDLINE_APPEND,
    BOOT_TIMEOUT.key,
    RETRY_AFTER.key,
    RETRIES_MAX.key,
    KERNEL_BYTES_MAX.key,
    INITRAMFS_BYTES_MAX.key,
    NETWORK,
    SWARM,
    BRIDGE,
    ADDRESS,
    GATEWAY,
    DNS,
    LINK_TIMEOUT.key,
    DHCP_TIMEOUT.key,
    DNS_TIMEOUT.key,
    NETWORK_ID.key,
    GENERATION,
    BOOTNODES,
    CONNECTIONS_MAX.key,
    DIAL_TIMEOUT.key,
    HANDSHAKE_TIMEOUT.key,
    ATTEMPT_TIMEOUT.key,
    HEDGE_AFTER.key,
    CHUNK_TIMEOUT.key,
    BOOTSTRAP_TIMEOUT.key,
    BRIDGE_ADDRESS,
    BRIDGE_PEER,
];

/// Finds the key that an unknown name in `table` probably means: the same name in another table, a near one in the same table, a
/// near one in another.
pub(super) fn suggest(table: &str, name: &str) -> Option<Key> {
    let near = |key: &&Key| nearest(name, &[key.name]).is_some();
    let keys = || ALL.iter();
    keys()
        .find(|key| key.name == name)
        .or_else(|| keys().filter(|key| key.table == table).find(near))
        .or_else(|| keys().find(near))
        .copied()
}
