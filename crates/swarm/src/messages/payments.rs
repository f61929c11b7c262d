//! Payment thresholds and time-based settlement.
//!
//! SPEC swarm-wire 6.2, 6.3. Amounts are big integers, big-endian without leading zeros; zero is the absent field.
use super::{MessageError, PAYMENT_BYTES_MAX, delimited};
use alloc::vec::Vec;
use p2p::wire::{Fields, decode_delimited};

/// How much a peer lets us owe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncePaymentThreshold {
    /// Accounting units; amounts over 64 bits saturate.
    pub threshold: u64,
}

/// An offer to settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Accounting units.
    pub amount: u64,
}

/// What the peer accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentAck {
    /// Accounting units.
    pub amount: u64,
    /// The peer's clock, Unix seconds.
    pub timestamp: i64,
}

impl AnnouncePaymentThreshold {
    /// Decodes one delimited message.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no such message.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        Ok(decode_payment(bytes)?
            .map(|(PaymentAck { amount, .. }, used)| (Self { threshold: amount }, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self) -> Vec<u8> {
        encode_payment(self.threshold, 0)
    }
}

impl Payment {
    /// Decodes one delimited message.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no such message.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        Ok(decode_payment(bytes)?.map(|(PaymentAck { amount, .. }, used)| (Self { amount }, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self) -> Vec<u8> {
        encode_payment(self.amount, 0)
    }
}

impl PaymentAck {
    /// Decodes one delimited message.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no such message.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        decode_payment(bytes)
    }

    /// Encodes with the length in front.
    pub fn encode(&self) -> Vec<u8> {
        encode_payment(self.amount, self.timestamp)
    }
}

fn decode_payment(bytes: &[u8]) -> Result<Option<(PaymentAck, usize)>, MessageError> {
    let Some((body, used)) = decode_delimited(bytes, PAYMENT_BYTES_MAX)? else {
        return Ok(None);
    };
    let (mut amount, mut timestamp) = (0, 0);
    for field in Fields::new(body) {
        let field = field?;
        match field.number {
            1 => amount = big_endian(field.bytes()?),
            2 => timestamp = field.int64()?,
            _ => {}
        }
    }
    Ok(Some((PaymentAck { amount, timestamp }, used)))
}

fn encode_payment(amount: u64, timestamp: i64) -> Vec<u8> {
    delimited(|w| {
        if amount != 0 {
            let bytes = amount.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            w.bytes(1, bytes.get(zeros..).unwrap_or_default());
        }
        if timestamp != 0 {
            w.int64(2, timestamp);
        }
    })
}

/// Reads a big-endian integer; values over 64 bits become `u64::MAX`.
fn big_endian(bytes: &[u8]) -> u64 {
    let mut value = 0u64;
    for byte in bytes {
        if value >> 56 != 0 {
            return u64::MAX;
        }
        value = (value << 8) | u64::from(*byte);
    }
    value
}
