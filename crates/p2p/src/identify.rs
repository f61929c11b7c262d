//! identify: who each side is, what it serves and where it listens.
//!
//! Spec: libp2p "identify v1.0.0". A message is length-delimited and may come in several parts that are merged.
use crate::connection::Config;
use crate::multiaddr::Multiaddr;
use crate::wire::{DecodeError, Fields, Writer, decode_delimited, encode_delimited};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Protocol id.
pub(crate) const PROTOCOL: &str = "/ipfs/id/1.0.0";
/// identify's protocolVersion; names the network family, nothing depends on it.
const PROTOCOL_VERSION: &[u8] = b"ipfs/0.1.0";

/// Longest part of a message.
pub(crate) const PART_BYTES_MAX: usize = 8 * 1024;
/// Most parts of a message.
pub(crate) const PARTS_MAX: u8 = 10;
/// Most protocols kept; bee serves about 20.
pub(crate) const PROTOCOLS_MAX: usize = 128;
/// Longest protocol id kept.
pub(crate) const PROTOCOL_BYTES_MAX: usize = 256;
/// Most addresses kept.
pub(crate) const ADDRS_MAX: usize = 64;
/// Longest agent version kept; a longer one is cut.
pub(crate) const AGENT_BYTES_MAX: usize = 256;

/// Why an identify message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    Malformed(DecodeError),
    TooManyParts,
}

/// What a peer says about itself; limited, the rest is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) agent: String,
    pub(crate) protocols: Vec<String>,
    pub(crate) listen_addrs: Vec<Multiaddr>,
    pub(crate) observed_addr: Option<Multiaddr>,
}

/// Encodes our answer, delimited.
pub(crate) fn encode<'p>(config: &'p Config, internal: impl Iterator<Item = &'p str>) -> Vec<u8> {
    let mut body = Vec::with_capacity(512);
    let mut writer = Writer::new(&mut body);
    writer.bytes(1, &config.keypair.public().encode());
    for address in &config.listen_addrs {
        writer.bytes(2, &address.encode());
    }
    for protocol in internal.chain(config.protocols.iter().map(String::as_str)) {
        writer.bytes(3, protocol.as_bytes());
    }
    if let Some(observed) = &config.observed_addr {
        writer.bytes(4, &observed.encode());
    }
    writer.bytes(5, PROTOCOL_VERSION);
    writer.bytes(6, config.agent_version.as_bytes());
    let mut out = Vec::with_capacity(body.len().saturating_add(2));
    encode_delimited(&body, &mut out);
    out
}

/// Collects the parts of a peer's answer.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    info: Info,
    parts: u8,
}

impl Reader {
    /// Reads whole parts from the front of `input`; returns the bytes used.
    pub(crate) fn handle_input(&mut self, input: &[u8]) -> Result<usize, Error> {
        let mut used = 0usize;
        loop {
            let rest = input.get(used..).unwrap_or(&[]);
            let part = decode_delimited(rest, PART_BYTES_MAX).map_err(Error::Malformed)?;
            let Some((body, length)) = part else {
                return Ok(used);
            };
            if self.parts >= PARTS_MAX {
                return Err(Error::TooManyParts);
            }
            self.parts = self.parts.saturating_add(1);
            used = used.saturating_add(length);
            self.merge(body).map_err(Error::Malformed)?;
        }
    }

    fn merge(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let info = &mut self.info;
        for field in Fields::new(body) {
            let field = field?;
            match field.number {
                2 if info.listen_addrs.len() < ADDRS_MAX => {
                    // Transports we do not know are no reason to refuse the rest.
                    info.listen_addrs
                        .extend(Multiaddr::decode(field.bytes()?).ok());
                }
                3 if info.protocols.len() < PROTOCOLS_MAX => {
                    let protocol = field.text()?;
                    if protocol.len() <= PROTOCOL_BYTES_MAX {
                        info.protocols.push(protocol.to_string());
                    }
                }
                4 => info.observed_addr = Multiaddr::decode(field.bytes()?).ok(),
                6 => {
                    let agent = field.text()?;
                    let end = agent.floor_char_boundary(AGENT_BYTES_MAX);
                    info.agent = agent.get(..end).unwrap_or("").to_string();
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What was read, once the peer has half-closed; `None` if nothing was.
    pub(crate) fn finish(self) -> Option<Info> {
        (self.parts > 0).then_some(self.info)
    }
}

#[cfg(test)]
mod tests;
