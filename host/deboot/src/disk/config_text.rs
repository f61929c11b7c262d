//! Writes a boot configuration from command line options.
use crate::target::{Name, Target};
use p2p::Multiaddr;
use release::config::StaticAddress;
use std::fmt::{self, Write};
use std::net::Ipv4Addr;

/// The settings that have options; everything else keeps its documented default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigText {
    /// What to boot; a path leads to the release inside the directory.
    pub target: Target,
    /// Appended to the manifest's command line.
    pub cmdline_append: Option<String>,
    /// 1 main network, 10 test network.
    pub network_id: Option<u64>,
    /// `auto`, `14` or `15`.
    pub generation: Option<String>,
    /// Bootnodes; empty: the network's public ones.
    pub bootnodes: Vec<Multiaddr>,
    /// Static address; `None`: DHCP.
    pub static_address: Option<StaticAddress>,
}

/// Why text is not a static address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigTextError {
    /// The first part.
    #[error("{0:?} is no IPv4 address with prefix length; write it like 192.0.2.10/24")]
    Address(String),
    /// A later part.
    #[error(
        "{0:?}: after the address come gateway=ADDRESS and dns=ADDRESS (up to three), between commas"
    )]
    Part(String),
}

/// Reads `ADDRESS/PREFIX[,gateway=ADDRESS][,dns=ADDRESS]...`.
///
/// # Errors
/// Names the part that is wrong.
pub fn parse_static_address(text: &str) -> Result<StaticAddress, ConfigTextError> {
    let mut parts = text.split(',');
    let first = parts.next().unwrap_or_default();
    let bad_address = || ConfigTextError::Address(first.to_owned());
    let (address, prefix) = first.split_once('/').ok_or_else(bad_address)?;
    let mut parsed = StaticAddress {
        address: address.parse().map_err(|_| bad_address())?,
        prefix_length: prefix.parse().map_err(|_| bad_address())?,
        gateway: None,
        dns: Vec::new(),
    };
    if parsed.prefix_length > 32 {
        return Err(bad_address());
    }
    for part in parts {
        let bad_part = || ConfigTextError::Part(part.to_owned());
        let (key, value) = part.split_once('=').ok_or_else(bad_part)?;
        let value: Ipv4Addr = value.parse().map_err(|_| bad_part())?;
        match key {
            "gateway" if parsed.gateway.is_none() => parsed.gateway = Some(value),
            "dns" if parsed.dns.len() < 3 => parsed.dns.push(value),
            _ => return Err(bad_part()),
        }
    }
    Ok(parsed)
}

impl fmt::Display for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_target(f)?;
        if let Some(text) = &self.cmdline_append {
            writeln!(f, "cmdline_append = {}", quote(text))?;
        }
        self.write_network(f)?;
        self.write_swarm(f)
    }
}

impl ConfigText {
    fn write_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, mut value) = match self.target.name {
            Name::Reference(reference) => ("reference", reference.to_hex()),
            Name::Feed(feed) => ("feed", feed.to_string()),
        };
        let path = self.target.path.as_deref().unwrap_or_default();
        if !path.is_empty() {
            value.push('/');
            value.push_str(path);
        }
        writeln!(f, "{key} = {}", quote(&value))
    }

    fn write_network(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(address) = &self.static_address else {
            return Ok(());
        };
        writeln!(f, "\n[network]")?;
        writeln!(
            f,
            "address = \"{}/{}\"",
            address.address, address.prefix_length
        )?;
        if let Some(gateway) = address.gateway {
            writeln!(f, "gateway = \"{gateway}\"")?;
        }
        if !address.dns.is_empty() {
            writeln!(f, "dns = {}", list(&address.dns))?;
        }
        Ok(())
    }

    fn write_swarm(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.network_id.is_none() && self.generation.is_none() && self.bootnodes.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n[swarm]")?;
        if let Some(id) = self.network_id {
            writeln!(f, "network_id = {id}")?;
        }
        if let Some(generation) = &self.generation {
            writeln!(f, "generation = {}", quote(generation))?;
        }
        if !self.bootnodes.is_empty() {
            writeln!(f, "bootnodes = {}", list(&self.bootnodes))?;
        }
        Ok(())
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quote(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// Quotes a basic string. SPEC TOML 1.0 "String".
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_addresses_are_read_and_bad_parts_named() {
        let full =
            parse_static_address("192.0.2.10/24,gateway=192.0.2.1,dns=192.0.2.2,dns=192.0.2.3");
        let full = full.unwrap();
        assert_eq!(full.address, Ipv4Addr::new(192, 0, 2, 10));
        assert_eq!((full.prefix_length, full.dns.len()), (24, 2));
        assert_eq!(full.gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
        for bad in ["", "192.0.2.10", "192.0.2.10/33", "192.0.2/24", "x/24"] {
            let error = parse_static_address(bad);
            assert_eq!(error, Err(ConfigTextError::Address(bad.to_owned())));
        }
        for bad in ["gw=192.0.2.1", "dns", "dns=x", "gateway=1.2.3"] {
            let error = parse_static_address(&format!("192.0.2.10/24,{bad}"));
            assert_eq!(error, Err(ConfigTextError::Part(bad.to_owned())));
        }
    }

    #[test]
    fn quoting_survives_a_toml_parser() {
        let text = "a \"b\" \\ \u{1} ü";
        assert_eq!(quote(text), "\"a \\\"b\\\" \\\\ \\u0001 ü\"");
    }
}
