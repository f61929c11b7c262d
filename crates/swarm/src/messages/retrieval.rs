//! Chunk retrieval.
//!
//! SPEC swarm-wire 5.
use super::{DELIVERY_BYTES_MAX, MessageError, array, delimited};
use alloc::vec::Vec;
use bmt::ChunkAddress;
use p2p::wire::{Fields, decode_delimited};

/// Asks for one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which.
    pub address: ChunkAddress,
}

impl Request {
    /// Bytes of an encoded request.
    pub const BYTES: usize = 35;

    /// Decodes one delimited message.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no request or the address has not 32 bytes.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some((body, used)) = decode_delimited(bytes, super::PAYMENT_BYTES_MAX)? else {
            return Ok(None);
        };
        let mut address = None;
        for field in Fields::new(body) {
            let field = field?;
            if field.number == 1 {
                address = Some(ChunkAddress(array("address", field.bytes()?)?));
            }
        }
        let address = address.ok_or(MessageError::Missing("address"))?;
        Ok(Some((Self { address }, used)))
    }

    /// Encodes with the length in front, without allocating: one goes out for every chunk.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let (head, address) = out.split_at_mut(3);
        head.copy_from_slice(&[0x22, 0x0a, 0x20]);
        address.copy_from_slice(&self.address.0);
        out
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// span ‖ payload, or a single-owner chunk. Empty in a refusal.
    pub data: &'a [u8],
    /// Why there is no chunk; empty in a delivery. Not trusted, not shown unfiltered.
    pub error: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// Decodes one delimited message.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no delivery or over [`DELIVERY_BYTES_MAX`].
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some((body, used)) = decode_delimited(bytes, DELIVERY_BYTES_MAX)? else {
            return Ok(None);
        };
        let mut delivery = Self {
            data: &[],
            error: &[],
        };
        for field in Fields::new(body) {
            let field = field?;
            match field.number {
                1 => delivery.data = field.bytes()?,
                3 => delivery.error = field.bytes()?,
                _ => {}
            }
        }
        Ok(Some((delivery, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self) -> Vec<u8> {
        delimited(|w| {
            if !self.data.is_empty() {
                w.bytes(1, self.data);
            }
            if !self.error.is_empty() {
                w.bytes(3, self.error);
            }
        })
    }
}
