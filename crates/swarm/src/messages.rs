//! The messages of the Swarm protocols: bytes to types and back, with a limit for each.
//!
//! Every message on the wire is a varint length followed by a protobuf body. `decode` takes the bytes received so far and returns
//! `None` while the message is incomplete; limits are checked as soon as the length is known.
//!
//! SPEC swarm-wire 2 to 6.
mod handshake;
mod hive;
mod payments;
mod record;
mod retrieval;
mod status;
#[cfg(test)]
mod tests;

pub use handshake::{Ack, Syn, SynAck};
pub use hive::Peers;
pub use payments::{AnnouncePaymentThreshold, Payment, PaymentAck};
pub use record::{AddressRecord, RecordError, decode_underlays, encode_underlays};
pub use retrieval::{Delivery, Request};
pub use status::{Snapshot, StatusGet};

use alloc::vec::Vec;
use p2p::wire::{self, DecodeError};

/// Stream ids, as they are negotiated by multistream-select.
pub mod protocol {
    /// Handshake of bee up to 2.7.
    pub const HANDSHAKE_14: &str = "/swarm/handshake/14.0.0/handshake";
    /// Handshake of bee from 2.8.
    pub const HANDSHAKE_15: &str = "/swarm/handshake/15.0.0/handshake";
    /// Peer gossip of bee up to 2.7.
    pub const HIVE_1: &str = "/swarm/hive/1.1.0/peers";
    /// Peer gossip of bee from 2.8.
    pub const HIVE_2: &str = "/swarm/hive/2.0.0/peers";
    /// Payment threshold announcements.
    pub const PRICING: &str = "/swarm/pricing/1.0.0/pricing";
    /// Time-based settlement.
    pub const PSEUDOSETTLE: &str = "/swarm/pseudosettle/1.0.0/pseudosettle";
    /// Chunk retrieval.
    pub const RETRIEVAL: &str = "/swarm/retrieval/1.4.0/retrieval";
    /// Status snapshots.
    pub const STATUS: &str = "/swarm/status/1.1.3/status";
}

/// Largest headers message accepted; bee sends none or one tracing header.
pub const HEADERS_BYTES_MAX: usize = 4 * 1024;
/// Largest handshake message accepted: two underlay lists of 2048 bytes, a record, a welcome message.
pub const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;
/// Largest hive message accepted, bee's own limit for every message.
pub const HIVE_BYTES_MAX: usize = 128 * 1024;
/// Largest pricing or settlement message accepted: a big integer and a timestamp.
pub const PAYMENT_BYTES_MAX: usize = 256;
/// Largest delivery accepted: a single-owner chunk of 4201 bytes, a postage stamp, an error text.
pub const DELIVERY_BYTES_MAX: usize = 8 * 1024;
/// Largest status message accepted.
pub const STATUS_BYTES_MAX: usize = 16 * 1024;

/// The empty headers message that opens every stream but the handshake.
pub const EMPTY_HEADERS: [u8; 1] = [0];

/// Handshake version agreed on with a peer; hive follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Handshake 14.0.0, hive 1.1.0: bee up to 2.7.
    V14,
    /// Handshake 15.0.0, hive 2.0.0: bee from 2.8.
    V15,
}

impl Version {
    /// The major number of the handshake.
    pub const fn number(self) -> u8 {
        match self {
            Self::V14 => 14,
            Self::V15 => 15,
        }
    }
    /// The stream id of the handshake.
    pub const fn handshake(self) -> &'static str {
        match self {
            Self::V14 => protocol::HANDSHAKE_14,
            Self::V15 => protocol::HANDSHAKE_15,
        }
    }
    /// The stream id of hive.
    pub const fn hive(self) -> &'static str {
        match self {
            Self::V14 => protocol::HIVE_1,
            Self::V15 => protocol::HIVE_2,
        }
    }
}

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not a protobuf message within the limit.
    #[error("not a protobuf message: {0}")]
    Wire(#[from] DecodeError),
    /// A field that must be there is not.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A field has the wrong number of bytes.
    #[error("field {field} has {len} bytes")]
    Length {
        /// Which field.
        field: &'static str,
        /// Its bytes.
        len: usize,
    },
}

/// Skips one headers message and returns the bytes it took: nothing in it concerns a client.
///
/// # Errors
/// [`MessageError::Wire`] when the message is over [`HEADERS_BYTES_MAX`].
pub fn decode_headers(bytes: &[u8]) -> Result<Option<usize>, MessageError> {
    Ok(wire::decode_delimited(bytes, HEADERS_BYTES_MAX)?.map(|(_, used)| used))
}

/// Copies `bytes` into an array.
fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], MessageError> {
    bytes.try_into().map_err(|_| MessageError::Length {
        field,
        len: bytes.len(),
    })
}

/// Builds a body with `fields` and returns it with its length in front.
fn delimited(fields: impl FnOnce(&mut wire::Writer<'_>)) -> Vec<u8> {
    let body = message(fields);
    let mut out = Vec::with_capacity(body.len().saturating_add(wire::VARINT_BYTES_MAX));
    wire::encode_delimited(&body, &mut out);
    out
}

/// Builds a body with `fields`.
fn message(fields: impl FnOnce(&mut wire::Writer<'_>)) -> Vec<u8> {
    let mut body = Vec::new();
    fields(&mut wire::Writer::new(&mut body));
    body
}
