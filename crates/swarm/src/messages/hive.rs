//! Peer gossip.
//!
//! SPEC swarm-wire 4.
use super::{AddressRecord, HIVE_BYTES_MAX, MessageError, Version, delimited, message};
use alloc::vec::Vec;
use p2p::wire::{Fields, decode_delimited};

/// Records kept of one message: bee sends at most 30. More would let one message fill the table.
const RECORDS_MAX: usize = 64;

/// Peers that a peer knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Well-formed records; nothing is verified yet.
    pub records: Vec<AddressRecord>,
    /// Records that were malformed, or too many.
    pub refused: usize,
}

impl Peers {
    /// Decodes one delimited message. A malformed record is counted and skipped, so that one bad entry does not hide the others.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no Peers message.
    pub fn decode(version: Version, bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some((body, used)) = decode_delimited(bytes, HIVE_BYTES_MAX)? else {
            return Ok(None);
        };
        let mut peers = Self::default();
        for field in Fields::new(body) {
            let field = field?;
            if field.number != 1 {
                continue;
            }
            let record = AddressRecord::from_body(field.bytes()?);
            match record {
                Ok(record)
                    if peers.records.len() < RECORDS_MAX
                        && (version == Version::V14 || record.require_nonce().is_ok()) =>
                {
                    peers.records.push(record);
                }
                Ok(_) | Err(_) => peers.refused = peers.refused.saturating_add(1),
            }
        }
        Ok(Some((peers, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        delimited(|w| {
            for record in &self.records {
                w.bytes(1, &message(|w| record.write(version, true, w)));
            }
        })
    }
}
