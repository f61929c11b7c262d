//! Status snapshots.
//!
//! SPEC swarm-wire 6.6. Only the fields that mean something to a light client or to those who ask one.
use super::{MessageError, STATUS_BYTES_MAX, delimited};
use alloc::string::String;
use alloc::vec::Vec;
use p2p::wire::{Fields, decode_delimited};

/// The (empty) question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusGet;

impl StatusGet {
    /// Decodes one delimited message; its fields, if any, are ignored.
    ///
    /// # Errors
    /// [`MessageError::Wire`] when the message is over [`STATUS_BYTES_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        Ok(decode_delimited(bytes, STATUS_BYTES_MAX)?.map(|(_, used)| (Self, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self) -> Vec<u8> {
        delimited(|_| ())
    }
}

/// What a node says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `full`, `light`, `ultra-light` or `unknown`.
    pub bee_mode: String,
    /// Peers connected.
    pub connected_peers: u64,
    /// Postage commitment of the batch store.
    pub batch_commitment: u64,
    /// Storage depth of a full node.
    pub committed_depth: u32,
}

impl Snapshot {
    /// Decodes one delimited message.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some((body, used)) = decode_delimited(bytes, STATUS_BYTES_MAX)? else {
            return Ok(None);
        };
        let mut snapshot = Self::default();
        for field in Fields::new(body) {
            let field = field?;
            match field.number {
                4 => snapshot.connected_peers = field.varint()?,
                6 => snapshot.bee_mode = String::from(field.text()?),
                7 => snapshot.batch_commitment = field.varint()?,
                11 => {
                    snapshot.committed_depth = u32::try_from(field.varint()?).unwrap_or(u32::MAX);
                }
                _ => {}
            }
        }
        Ok(Some((snapshot, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self) -> Vec<u8> {
        delimited(|w| {
            if self.connected_peers != 0 {
                w.varint(4, self.connected_peers);
            }
            if !self.bee_mode.is_empty() {
                w.bytes(6, self.bee_mode.as_bytes());
            }
            if self.batch_commitment != 0 {
                w.varint(7, self.batch_commitment);
            }
            if self.committed_depth != 0 {
                w.varint(11, u64::from(self.committed_depth));
            }
        })
    }
}
