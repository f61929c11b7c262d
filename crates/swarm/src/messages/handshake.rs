//! Syn, SynAck, Ack.
//!
//! SPEC swarm-wire 3.2.
use super::{AddressRecord, HANDSHAKE_BYTES_MAX, MessageError, Version, array, delimited, message};
use alloc::string::String;
use alloc::vec::Vec;
use p2p::wire::{Fields, Writer, decode_delimited};

/// Longest welcome message kept; bee sends at most 140 bytes.
const WELCOME_BYTES_MAX: usize = 140;

/// The first message of the dialer: where it sees the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syn {
    /// Underlays as serialized by [`encode_underlays`](super::encode_underlays).
    pub observed_underlay: Vec<u8>,
}

impl Syn {
    /// Decodes one delimited message.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no Syn.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some((body, used)) = decode_delimited(bytes, HANDSHAKE_BYTES_MAX)? else {
            return Ok(None);
        };
        Ok(Some((Self::from_body(body)?, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self) -> Vec<u8> {
        delimited(|w| self.write(w))
    }

    fn from_body(body: &[u8]) -> Result<Self, MessageError> {
        let mut observed_underlay = Vec::new();
        for field in Fields::new(body) {
            let field = field?;
            if field.number == 1 {
                observed_underlay = field.bytes()?.to_vec();
            }
        }
        Ok(Self { observed_underlay })
    }

    fn write(&self, w: &mut Writer<'_>) {
        if !self.observed_underlay.is_empty() {
            w.bytes(1, &self.observed_underlay);
        }
    }
}

/// Who a node says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The signed address.
    pub record: AddressRecord,
    /// 1 main network, 10 test network.
    pub network_id: u64,
    /// False for light nodes.
    pub full_node: bool,
    /// A greeting, cut to 140 bytes.
    pub welcome: String,
}

impl Ack {
    /// Decodes one delimited message of `version`.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no Ack or the address is missing or malformed.
    pub fn decode(version: Version, bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some((body, used)) = decode_delimited(bytes, HANDSHAKE_BYTES_MAX)? else {
            return Ok(None);
        };
        Ok(Some((Self::from_body(version, body)?, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        delimited(|w| self.write(version, w))
    }

    fn from_body(version: Version, body: &[u8]) -> Result<Self, MessageError> {
        let (mut record, mut nonce) = (None, None);
        let (mut network_id, mut full_node, mut welcome) = (0, false, String::new());
        for field in Fields::new(body) {
            let field = field?;
            match field.number {
                1 => record = Some(field.bytes()?),
                2 => network_id = field.varint()?,
                3 => full_node = field.bool()?,
                4 => nonce = Some(array("nonce", field.bytes()?)?),
                99 => {
                    let text = field.text()?;
                    let end = text.floor_char_boundary(WELCOME_BYTES_MAX);
                    welcome = String::from(text.get(..end).unwrap_or_default());
                }
                _ => {}
            }
        }
        let mut record = AddressRecord::from_body(record.ok_or(MessageError::Missing("address"))?)?;
        // SPEC swarm-wire 3.2: generation A carries the nonce in the Ack, generation B in the address.
        match version {
            Version::V14 => record.nonce = nonce.unwrap_or_default(),
            Version::V15 => record.require_nonce()?,
        }
        Ok(Self {
            record,
            network_id,
            full_node,
            welcome,
        })
    }

    fn write(&self, version: Version, w: &mut Writer<'_>) {
        w.bytes(1, &message(|w| self.record.write(version, false, w)));
        if self.network_id != 0 {
            w.varint(2, self.network_id);
        }
        if self.full_node {
            w.varint(3, 1);
        }
        if version == Version::V14 {
            w.bytes(4, &self.record.nonce);
        }
        if !self.welcome.is_empty() {
            w.bytes(99, self.welcome.as_bytes());
        }
    }
}

/// The listener's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynAck {
    /// Where the listener sees the dialer.
    pub syn: Syn,
    /// Who the listener is.
    pub ack: Ack,
}

impl SynAck {
    /// Decodes one delimited message of `version`.
    ///
    /// # Errors
    /// [`MessageError`] when the bytes are no SynAck or a part is missing.
    pub fn decode(version: Version, bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some((body, used)) = decode_delimited(bytes, HANDSHAKE_BYTES_MAX)? else {
            return Ok(None);
        };
        let (mut syn, mut ack) = (None, None);
        for field in Fields::new(body) {
            let field = field?;
            match field.number {
                1 => syn = Some(Syn::from_body(field.bytes()?)?),
                2 => ack = Some(Ack::from_body(version, field.bytes()?)?),
                _ => {}
            }
        }
        let message = Self {
            syn: syn.ok_or(MessageError::Missing("syn"))?,
            ack: ack.ok_or(MessageError::Missing("ack"))?,
        };
        Ok(Some((message, used)))
    }

    /// Encodes with the length in front.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        delimited(|w| {
            w.bytes(1, &message(|w| self.syn.write(w)));
            w.bytes(2, &message(|w| self.ack.write(version, w)));
        })
    }
}
