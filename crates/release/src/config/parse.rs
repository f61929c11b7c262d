//! From TOML to a checked configuration.
use super::keys::{self, Key, Number, Time};
use super::{
    BOOTNODES_MAX, BootConfig, BridgeConfig, CMDLINE_APPEND_BYTES_MAX, CONFIG_BYTES_MAX,
    ConfigError, DNS_SERVERS_MAX, NetworkConfig, Source, StaticAddress, SwarmConfig,
};
use crate::place::Place;
use crate::target::Target;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::ops::Range;
use core::time::Duration;
use p2p::{Multiaddr, PeerId};
use swarm::Generation;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Units of time and their milliseconds, ascending.
pub(super) const UNITS: [(&str, u64); 4] =
    [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000)];
/// Longest piece of the input repeated in an error, characters.
const QUOTED_CHARS_MAX: usize = 64;
const MAIN_NETWORK: u64 = 1;
const TEST_NETWORK: u64 = 10;

pub(super) fn parse(text: &str) -> Result<BootConfig, ConfigError> {
    if text.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge { len: text.len() });
    }
    let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        at: Place::of(text, error.span().map_or(0, |span| span.start)),
        message: String::from(error.message()),
    })?;
    let root = Table {
        text,
        name: "",
        table: Some(document.get_ref()),
    };
    root.check_keys()?;
    let network = root.table(keys::NETWORK)?;
    let swarm = root.table(keys::SWARM)?;
    network.check_keys()?;
    swarm.check_keys()?;
    let bridge = root.table(keys::BRIDGE)?;
    bridge.check_keys()?;
    Ok(BootConfig {
        target: root.target()?,
        feed_patience: root.time(keys::FEED_PATIENCE)?,
        cmdline_append: root.cmdline_append()?,
        network: network.network()?,
        swarm: swarm.swarm()?,
        source: root.source()?,
        bridge: bridge.bridge()?,
        boot_timeout: root.time(keys::BOOT_TIMEOUT)?,
        kernel_bytes_max: root.number(keys::KERNEL_BYTES_MAX)?,
        initramfs_bytes_max: root.number(keys::INITRAMFS_BYTES_MAX)?,
        retry_after: root.time(keys::RETRY_AFTER)?,
        retries_max: u32::try_from(root.number(keys::RETRIES_MAX)?).unwrap_or(u32::MAX),
    })
}

/// Where a bridge is unless it is said: on the host of QEMU's user network.
const BRIDGE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 2), 4001);

/// A table, or the absence of one: then every key has its default.
struct Table<'a> {
    text: &'a str,
    name: &'static str,
    table: Option<&'a DeTable<'a>>,
}

type Item<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Table<'a> {
    fn place(&self, span: Range<usize>) -> Place {
        Place::of(self.text, span.start)
    }

    fn check_keys(&self) -> Result<(), ConfigError> {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !keys::ALL
                .iter()
                .any(|known| known.table == self.name && known.name == name)
            {
                return Err(ConfigError::UnknownKey {
                    at: self.place(key.span()),
                    key: cut(name),
                    suggestion: keys::suggest(self.name, name),
                });
            }
        }
        Ok(())
    }

    fn get(&self, key: Key) -> Option<Item<'a>> {
        let items = self.table?.iter();
        items
            .filter(|(name, _)| name.get_ref() == key.name)
            .map(|(_, item)| item)
            .next()
    }

    fn table(&self, key: Key) -> Result<Table<'a>, ConfigError> {
        let table = match self.get(key).map(|item| (item, item.get_ref())) {
            None => None,
            Some((_, DeValue::Table(table))) => Some(table),
            Some((item, _)) => return Err(self.wrong_kind(key, item, "a table: [name]")),
        };
        Ok(Table {
            text: self.text,
            name: key.name,
            table,
        })
    }

    fn wrong_kind(&self, key: Key, item: Item<'_>, expected: &'static str) -> ConfigError {
        ConfigError::Kind {
            at: self.place(item.span()),
            key,
            expected,
            found: match item.get_ref() {
                DeValue::String(_) => "a text",
                DeValue::Integer(_) => "a whole number",
                DeValue::Float(_) => "a fraction",
                DeValue::Boolean(_) => "a boolean",
                DeValue::Datetime(_) => "a date",
                DeValue::Array(_) => "a list",
                DeValue::Table(_) => "a table",
            },
        }
    }

    fn text_of(&self, key: Key, item: Item<'a>) -> Result<&'a str, ConfigError> {
        match item.get_ref() {
            DeValue::String(Cow::Borrowed(text)) => Ok(text),
            DeValue::String(Cow::Owned(text)) => Ok(text),
            _ => Err(self.wrong_kind(key, item, "a text in quotes")),
        }
    }

    fn list(&self, key: Key, max: usize) -> Result<Option<&'a DeArray<'a>>, ConfigError> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        let DeValue::Array(list) = item.get_ref() else {
            return Err(self.wrong_kind(key, item, "a list in brackets"));
        };
        let count = list.len();
        if count > max {
            return Err(ConfigError::TooMany {
                at: self.place(item.span()),
                key,
                count,
                max,
            });
        }
        Ok(Some(list))
    }

    fn time(&self, time: Time) -> Result<Duration, ConfigError> {
        let Some(item) = self.get(time.key) else {
            return Ok(time.default);
        };
        let at = self.place(item.span());
        let key = time.key;
        let text = match item.get_ref() {
            DeValue::String(text) => text,
            _ => return Err(self.wrong_kind(key, item, "a text with a unit, such as \"75s\"")),
        };
        let value = duration(text).ok_or(ConfigError::Duration { at, key })?;
        if value < time.min || value > time.max {
            return Err(ConfigError::DurationRange {
                at,
                key,
                min: time.min,
                max: time.max,
            });
        }
        Ok(value)
    }

    fn number(&self, number: Number) -> Result<u64, ConfigError> {
        let Some(item) = self.get(number.key) else {
            return Ok(number.default);
        };
        let DeValue::Integer(integer) = item.get_ref() else {
            return Err(self.wrong_kind(number.key, item, "a whole number without quotes"));
        };
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|value| (number.min..=number.max).contains(value))
            .ok_or(ConfigError::Range {
                at: self.place(item.span()),
                key: number.key,
                min: number.min,
                max: number.max,
            })
    }

    fn target(&self) -> Result<Target, ConfigError> {
        let (reference, feed) = (self.get(keys::REFERENCE), self.get(keys::FEED));
        let (key, item) = match (reference, feed) {
            (Some(item), None) => (keys::REFERENCE, item),
            (None, Some(item)) => (keys::FEED, item),
            (Some(_), Some(item)) => {
                let at = self.place(item.span());
                return Err(ConfigError::TwoTargets { at });
            }
            (None, None) => {
                return Err(ConfigError::Missing {
                    key: keys::REFERENCE,
                    example: "reference = \"<64 hexadecimal digits>\"",
                });
            }
        };
        let text = self.text_of(key, item)?;
        let target = if key == keys::FEED {
            Target::from_feed(text)
        } else {
            Target::from_reference(text)
        };
        target.map_err(|error| ConfigError::Target {
            at: self.place(item.span()),
            key,
            error,
        })
    }

    fn cmdline_append(&self) -> Result<String, ConfigError> {
        let key = keys::CMDLINE_APPEND;
        let Some(item) = self.get(key) else {
            return Ok(String::new());
        };
        let text = self.text_of(key, item)?;
        let at = self.place(item.span());
        if text.len() > CMDLINE_APPEND_BYTES_MAX {
            return Err(ConfigError::Length {
                at,
                key,
                len: text.len(),
                max: CMDLINE_APPEND_BYTES_MAX,
            });
        }
        if let Some(control) = text.chars().find(|character| character.is_control()) {
            let code = u32::from(control);
            return Err(ConfigError::Control { at, key, code });
        }
        Ok(String::from(text))
    }

    fn network(&self) -> Result<NetworkConfig, ConfigError> {
        Ok(NetworkConfig {
            static_address: self.static_address()?,
            link_timeout: self.time(keys::LINK_TIMEOUT)?,
            dhcp_timeout: self.time(keys::DHCP_TIMEOUT)?,
            dns_timeout: self.time(keys::DNS_TIMEOUT)?,
        })
    }

    fn static_address(&self) -> Result<Option<StaticAddress>, ConfigError> {
        let gateway = self
            .get(keys::GATEWAY)
            .map(|item| self.address(keys::GATEWAY, item))
            .transpose()?;
        let servers = self.list(keys::DNS, DNS_SERVERS_MAX)?;
        let dns = servers
            .into_iter()
            .flatten()
            .map(|item| self.address(keys::DNS, item))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(item) = self.get(keys::ADDRESS) else {
            for key in [keys::GATEWAY, keys::DNS] {
                if let Some(item) = self.get(key) {
                    let at = self.place(item.span());
                    return Err(ConfigError::WithoutAddress { at, key });
                }
            }
            return Ok(None);
        };
        let text = self.text_of(keys::ADDRESS, item)?;
        let parsed = text.split_once('/').and_then(|(address, length)| {
            let length = length.parse::<u8>().ok().filter(|length| *length <= 32)?;
            Some((address.parse::<Ipv4Addr>().ok()?, length))
        });
        let (address, prefix_length) = parsed.ok_or_else(|| ConfigError::Address {
            at: self.place(item.span()),
            key: keys::ADDRESS,
            found: cut(text),
            example: "192.0.2.10/24",
        })?;
        Ok(Some(StaticAddress {
            address,
            prefix_length,
            gateway,
            dns,
        }))
    }

    fn address(&self, key: Key, item: Item<'a>) -> Result<Ipv4Addr, ConfigError> {
        let text = self.text_of(key, item)?;
        text.parse().map_err(|_| ConfigError::Address {
            at: self.place(item.span()),
            key,
            found: cut(text),
            example: "192.0.2.1",
        })
    }

    fn source(&self) -> Result<Source, ConfigError> {
        let Some(item) = self.get(keys::SOURCE) else {
            return Ok(Source::Swarm);
        };
        match self.text_of(keys::SOURCE, item)? {
            "swarm" => Ok(Source::Swarm),
            "bridge" => Ok(Source::Bridge),
            found => Err(ConfigError::Source {
                at: self.place(item.span()),
                found: cut(found),
            }),
        }
    }

    fn bridge(&self) -> Result<BridgeConfig, ConfigError> {
        let wrong = |key: Key, item: Item<'a>, found: &str, example| ConfigError::Bridge {
            at: self.place(item.span()),
            key,
            found: cut(found),
            example,
        };
        let mut address = BRIDGE;
        if let Some(item) = self.get(keys::BRIDGE_ADDRESS) {
            let text = self.text_of(keys::BRIDGE_ADDRESS, item)?;
            let parsed: Option<SocketAddrV4> = text.parse().ok();
            address = parsed
                .filter(|address| address.port() != 0)
                .ok_or_else(|| wrong(keys::BRIDGE_ADDRESS, item, text, "10.0.2.2:4001"))?;
        }
        let mut peer = None;
        if let Some(item) = self.get(keys::BRIDGE_PEER) {
            let text = self.text_of(keys::BRIDGE_PEER, item)?;
            let parsed = PeerId::from_base58(text);
            let example = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
            peer = Some(parsed.ok_or_else(|| wrong(keys::BRIDGE_PEER, item, text, example))?);
        }
        Ok(BridgeConfig { address, peer })
    }

    fn swarm(&self) -> Result<SwarmConfig, ConfigError> {
        let network_id = self.number(keys::NETWORK_ID)?;
        let connections_max = self.number(keys::CONNECTIONS_MAX)?;
        Ok(SwarmConfig {
            network_id,
            generation: self.generation()?,
            bootnodes: self.bootnodes(network_id)?,
            connections_max: usize::try_from(connections_max).unwrap_or(usize::MAX),
            dial_timeout: self.time(keys::DIAL_TIMEOUT)?,
            handshake_timeout: self.time(keys::HANDSHAKE_TIMEOUT)?,
            attempt_timeout: self.time(keys::ATTEMPT_TIMEOUT)?,
            hedge_after: self.time(keys::HEDGE_AFTER)?,
            chunk_timeout: self.time(keys::CHUNK_TIMEOUT)?,
            bootstrap_timeout: self.time(keys::BOOTSTRAP_TIMEOUT)?,
        })
    }

    fn generation(&self) -> Result<Generation, ConfigError> {
        let Some(item) = self.get(keys::GENERATION) else {
            return Ok(Generation::Auto);
        };
        match self.text_of(keys::GENERATION, item)? {
            "auto" => Ok(Generation::Auto),
            "14" => Ok(Generation::V14),
            "15" => Ok(Generation::V15),
            found => Err(ConfigError::Generation {
                at: self.place(item.span()),
                found: cut(found),
            }),
        }
    }

    fn bootnodes(&self, network_id: u64) -> Result<Vec<Multiaddr>, ConfigError> {
        let list = self.list(keys::BOOTNODES, BOOTNODES_MAX)?;
        let mut bootnodes = Vec::new();
        for item in list.into_iter().flatten() {
            let text = self.text_of(keys::BOOTNODES, item)?;
            let at = self.place(item.span());
            bootnodes.push(
                text.parse()
                    .map_err(|error| ConfigError::Bootnode { at, error })?,
            );
        }
        if !bootnodes.is_empty() {
            return Ok(bootnodes);
        }
        // An empty list is as good as none: a boot without bootnodes cannot begin.
        let public = match network_id {
            MAIN_NETWORK => "/dnsaddr/mainnet.ethswarm.org",
            TEST_NETWORK => "/dnsaddr/testnet.ethswarm.org",
            _ => return Err(ConfigError::NoBootnode { network_id }),
        };
        let bootnode = public
            .parse()
            .map_err(|_| ConfigError::NoBootnode { network_id })?;
        Ok(Vec::from([bootnode]))
    }
}

/// Reads digits, perhaps a space, and a unit.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(unit_at)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let milliseconds = digits.parse::<u64>().ok()?.checked_mul(*size)?;
    Some(Duration::from_millis(milliseconds))
}

fn cut(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}
