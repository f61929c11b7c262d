//! The multiaddrs deboot understands: ip4, ip6, dns, dns4, dns6, dnsaddr, tcp, p2p, and tls/sni/ws/wss enough to skip them.
//!
//! Spec: multiformats/multiaddr, table of codes in multiformats/multicodec.
use crate::PeerId;
use crate::wire::{decode_varint, encode_delimited, encode_varint};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most parts of one multiaddr: a longer one is nobody's address but somebody's attack.
pub const PARTS_MAX: usize = 16;
/// Most bytes of the binary form, and of the text form.
pub const BYTES_MAX: usize = 1024;
/// Most bytes of a name in `/dns…` and `/sni`.
// SPEC RFC 1035 2.3.4: 255 octets.
pub const NAME_BYTES_MAX: usize = 255;

/// One part of a multiaddr.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// `/ip4/..`
    Ip4(Ipv4Addr),
    /// `/ip6/..`
    Ip6(Ipv6Addr),
    /// `/dns/..`
    Dns(String),
    /// `/dns4/..`
    Dns4(String),
    /// `/dns6/..`
    Dns6(String),
    /// `/dnsaddr/..`
    Dnsaddr(String),
    /// `/tcp/..`
    Tcp(u16),
    /// `/udp/..`
    Udp(u16),
    /// `/p2p/..`
    P2p(PeerId),
    /// `/tls`
    Tls,
    /// `/sni/..`
    Sni(String),
    /// `/ws`
    Ws,
    /// `/wss`
    Wss,
    /// `/quic-v1`
    QuicV1,
}

/// A parsed multiaddr: at most 16 parts, at most 1024 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiaddr {
    parts: Vec<Protocol>,
}

/// Why a multiaddr is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultiaddrError {
    /// No parts at all.
    #[error("multiaddr is empty")]
    Empty,
    /// More than [`BYTES_MAX`] bytes.
    #[error("multiaddr is longer than 1024 bytes")]
    TooLong,
    /// More than [`PARTS_MAX`] parts.
    #[error("multiaddr has more than 16 parts")]
    TooManyParts,
    /// The bytes end in the middle of a part.
    #[error("multiaddr ends in the middle of a part")]
    Truncated,
    /// A protocol code that is not supported (its length is unknown, so nothing after it can be read).
    #[error("multiaddr protocol code {0:#x} is not supported")]
    UnknownCode(u64),
    /// A protocol name that is not supported.
    #[error("multiaddr protocol name of part {part} is not supported")]
    UnknownName {
        /// Which part, counted from zero.
        part: usize,
    },
    /// Text that does not begin with `/`.
    #[error("multiaddr text must begin with '/'")]
    NoLeadingSlash,
    /// A value that is no IP address, port, name or peer id, or is missing.
    #[error("multiaddr part {part} has a malformed or missing value")]
    Value {
        /// Which part, counted from zero.
        part: usize,
    },
}

// SPEC multicodec table, tag "multiaddr".
mod code {
    pub(super) const IP4: u64 = 0x04;
    pub(super) const TCP: u64 = 0x06;
    pub(super) const IP6: u64 = 0x29;
    pub(super) const DNS: u64 = 0x35;
    pub(super) const DNS4: u64 = 0x36;
    pub(super) const DNS6: u64 = 0x37;
    pub(super) const DNSADDR: u64 = 0x38;
    pub(super) const UDP: u64 = 0x0111;
    pub(super) const P2P: u64 = 0x01a5;
    pub(super) const TLS: u64 = 0x01c0;
    pub(super) const SNI: u64 = 0x01c1;
    pub(super) const QUIC_V1: u64 = 0x01cd;
    pub(super) const WS: u64 = 0x01dd;
    pub(super) const WSS: u64 = 0x01de;
}

impl Multiaddr {
    /// Makes a multiaddr of these parts.
    pub const fn new(parts: Vec<Protocol>) -> Self {
        Self { parts }
    }

    /// Makes `/ip4|ip6/../tcp/..` of a socket address.
    pub fn from_tcp(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => Protocol::Ip4(ip),
            IpAddr::V6(ip) => Protocol::Ip6(ip),
        };
        Self::new(alloc::vec![host, Protocol::Tcp(address.port())])
    }

    /// Appends `/p2p/<peer>` unless the address ends in one already.
    #[must_use]
    pub fn with_peer_id(mut self, peer: &PeerId) -> Self {
        if !matches!(self.parts.last(), Some(Protocol::P2p(_))) {
            self.parts.push(Protocol::P2p(peer.clone()));
        }
        self
    }

    /// Decodes the binary form; the whole input must be used.
    ///
    /// # Errors
    /// One [`MultiaddrError`] per cause.
    pub fn decode(bytes: &[u8]) -> Result<Self, MultiaddrError> {
        if bytes.len() > BYTES_MAX {
            return Err(MultiaddrError::TooLong);
        }
        let mut reader = Reader {
            rest: bytes,
            part: 0,
        };
        let mut parts = Vec::with_capacity(3);
        while !reader.rest.is_empty() {
            if reader.part >= PARTS_MAX {
                return Err(MultiaddrError::TooManyParts);
            }
            parts.push(reader.protocol()?);
            reader.part = reader.part.saturating_add(1);
        }
        if parts.is_empty() {
            return Err(MultiaddrError::Empty);
        }
        Ok(Self { parts })
    }

    /// Encodes the binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        for part in &self.parts {
            part.encode(&mut out);
        }
        out
    }

    /// The parts.
    pub fn parts(&self) -> &[Protocol] {
        &self.parts
    }

    /// The socket address of `/ip4|ip6/../tcp/..[/p2p/..]` and of nothing else (no ws, no tls).
    pub fn tcp_socket_addr(&self) -> Option<SocketAddr> {
        let (host, port) = match self.parts.as_slice() {
            [host, Protocol::Tcp(port)] | [host, Protocol::Tcp(port), Protocol::P2p(_)] => {
                (host, *port)
            }
            _ => return None,
        };
        let ip = match host {
            Protocol::Ip4(ip) => IpAddr::V4(*ip),
            Protocol::Ip6(ip) => IpAddr::V6(*ip),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// The last `/p2p/` part.
    pub fn peer_id(&self) -> Option<&PeerId> {
        self.parts.iter().rev().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        })
    }
}

impl Protocol {
    fn encode(&self, out: &mut Vec<u8>) {
        let (code, name) = match self {
            Self::Ip4(ip) => {
                encode_varint(code::IP4, out);
                return out.extend_from_slice(&ip.octets());
            }
            Self::Ip6(ip) => {
                encode_varint(code::IP6, out);
                return out.extend_from_slice(&ip.octets());
            }
            Self::Tcp(port) => {
                encode_varint(code::TCP, out);
                return out.extend_from_slice(&port.to_be_bytes());
            }
            Self::Udp(port) => {
                encode_varint(code::UDP, out);
                return out.extend_from_slice(&port.to_be_bytes());
            }
            Self::Tls => return encode_varint(code::TLS, out),
            Self::Ws => return encode_varint(code::WS, out),
            Self::Wss => return encode_varint(code::WSS, out),
            Self::QuicV1 => return encode_varint(code::QUIC_V1, out),
            Self::P2p(peer) => (code::P2P, peer.as_bytes()),
            Self::Dns(name) => (code::DNS, name.as_bytes()),
            Self::Dns4(name) => (code::DNS4, name.as_bytes()),
            Self::Dns6(name) => (code::DNS6, name.as_bytes()),
            Self::Dnsaddr(name) => (code::DNSADDR, name.as_bytes()),
            Self::Sni(name) => (code::SNI, name.as_bytes()),
        };
        encode_varint(code, out);
        encode_delimited(name, out);
    }
}

/// Reads parts of the binary form.
struct Reader<'a> {
    rest: &'a [u8],
    part: usize,
}

impl<'a> Reader<'a> {
    fn protocol(&mut self) -> Result<Protocol, MultiaddrError> {
        Ok(match self.varint()? {
            code::IP4 => Protocol::Ip4(Ipv4Addr::from(self.array::<4>()?)),
            code::IP6 => Protocol::Ip6(Ipv6Addr::from(self.array::<16>()?)),
            code::TCP => Protocol::Tcp(u16::from_be_bytes(self.array()?)),
            code::UDP => Protocol::Udp(u16::from_be_bytes(self.array()?)),
            code::DNS => Protocol::Dns(self.name()?),
            code::DNS4 => Protocol::Dns4(self.name()?),
            code::DNS6 => Protocol::Dns6(self.name()?),
            code::DNSADDR => Protocol::Dnsaddr(self.name()?),
            code::SNI => Protocol::Sni(self.name()?),
            code::P2P => {
                let part = self.part;
                let peer = PeerId::from_bytes(self.delimited()?);
                Protocol::P2p(peer.ok_or(MultiaddrError::Value { part })?)
            }
            code::TLS => Protocol::Tls,
            code::WS => Protocol::Ws,
            code::WSS => Protocol::Wss,
            code::QUIC_V1 => Protocol::QuicV1,
            other => return Err(MultiaddrError::UnknownCode(other)),
        })
    }

    fn varint(&mut self) -> Result<u64, MultiaddrError> {
        let part = self.part;
        let (value, used) = decode_varint(self.rest)
            .map_err(|_| MultiaddrError::Value { part })?
            .ok_or(MultiaddrError::Truncated)?;
        self.take(used)?;
        Ok(value)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], MultiaddrError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(MultiaddrError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MultiaddrError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(MultiaddrError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn delimited(&mut self) -> Result<&'a [u8], MultiaddrError> {
        let length = usize::try_from(self.varint()?).map_err(|_| MultiaddrError::Truncated)?;
        self.take(length)
    }

    fn name(&mut self) -> Result<String, MultiaddrError> {
        let part = self.part;
        let bytes = self.delimited()?;
        core::str::from_utf8(bytes)
            .ok()
            .and_then(parse_name)
            .ok_or(MultiaddrError::Value { part })
    }
}

/// A name that can be printed in a multiaddr: not empty, bounded, no `/`, no control characters or spaces.
fn parse_name(text: &str) -> Option<String> {
    let printable = text
        .chars()
        .all(|c| c != '/' && !c.is_control() && !c.is_whitespace());
    (!text.is_empty() && text.len() <= NAME_BYTES_MAX && printable).then(|| text.to_string())
}

impl core::str::FromStr for Multiaddr {
    type Err = MultiaddrError;

    fn from_str(text: &str) -> Result<Self, MultiaddrError> {
        if text.len() > BYTES_MAX {
            return Err(MultiaddrError::TooLong);
        }
        let mut words = match text.strip_prefix('/') {
            Some("") => return Err(MultiaddrError::Empty),
            // A trailing slash is tolerated, as everywhere else.
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest).split('/'),
            None if text.is_empty() => return Err(MultiaddrError::Empty),
            None => return Err(MultiaddrError::NoLeadingSlash),
        };
        let mut parts = Vec::with_capacity(3);
        while let Some(name) = words.next() {
            let part = parts.len();
            if part >= PARTS_MAX {
                return Err(MultiaddrError::TooManyParts);
            }
            parts.push(parse_part(name, &mut words, part)?);
        }
        Ok(Self { parts })
    }
}

fn parse_part<'a>(
    name: &str,
    words: &mut impl Iterator<Item = &'a str>,
    part: usize,
) -> Result<Protocol, MultiaddrError> {
    let bare = match name {
        "tls" => Some(Protocol::Tls),
        "ws" => Some(Protocol::Ws),
        "wss" => Some(Protocol::Wss),
        "quic-v1" => Some(Protocol::QuicV1),
        "ip4" | "ip6" | "tcp" | "udp" | "dns" | "dns4" | "dns6" | "dnsaddr" | "sni" | "p2p"
        | "ipfs" => None,
        _ => return Err(MultiaddrError::UnknownName { part }),
    };
    if let Some(bare) = bare {
        return Ok(bare);
    }
    let value = words.next().ok_or(MultiaddrError::Value { part })?;
    let parsed = match name {
        "ip4" => value.parse().ok().map(Protocol::Ip4),
        "ip6" => value.parse().ok().map(Protocol::Ip6),
        "tcp" => parse_port(value).map(Protocol::Tcp),
        "udp" => parse_port(value).map(Protocol::Udp),
        "dns" => parse_name(value).map(Protocol::Dns),
        "dns4" => parse_name(value).map(Protocol::Dns4),
        "dns6" => parse_name(value).map(Protocol::Dns6),
        "dnsaddr" => parse_name(value).map(Protocol::Dnsaddr),
        "sni" => parse_name(value).map(Protocol::Sni),
        // "ipfs" is the old name of "p2p"; it is read, never written.
        _ => PeerId::from_base58(value).map(Protocol::P2p),
    };
    parsed.ok_or(MultiaddrError::Value { part })
}

/// Decimal digits only: `u16::from_str` would also take a plus sign.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Protocol::Ip4(ip) => write!(f, "/ip4/{ip}")?,
                Protocol::Ip6(ip) => write!(f, "/ip6/{ip}")?,
                Protocol::Dns(name) => write!(f, "/dns/{name}")?,
                Protocol::Dns4(name) => write!(f, "/dns4/{name}")?,
                Protocol::Dns6(name) => write!(f, "/dns6/{name}")?,
                Protocol::Dnsaddr(name) => write!(f, "/dnsaddr/{name}")?,
                Protocol::Tcp(port) => write!(f, "/tcp/{port}")?,
                Protocol::Udp(port) => write!(f, "/udp/{port}")?,
                Protocol::P2p(peer) => write!(f, "/p2p/{peer}")?,
                Protocol::Tls => f.write_str("/tls")?,
                Protocol::Sni(name) => write!(f, "/sni/{name}")?,
                Protocol::Ws => f.write_str("/ws")?,
                Protocol::Wss => f.write_str("/wss")?,
                Protocol::QuicV1 => f.write_str("/quic-v1")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Multiaddr({self})")
    }
}

#[cfg(test)]
mod tests;
