//! A node's signed address, as handshake and hive carry it.
//!
//! SPEC swarm-wire 3.2 to 3.4.
use super::{MessageError, Version, array};
use alloc::vec::Vec;
use bmt::{EthAddress, Overlay, SecretKey, Signature, SignatureError};
use p2p::Multiaddr;
use p2p::wire::{Fields, Writer, decode_varint, encode_delimited};

/// Underlays in one record, bee's limit.
pub(super) const UNDERLAYS_MAX: usize = 20;
/// Bytes of all underlays of one record, bee's limit.
pub(super) const UNDERLAY_BYTES_MAX: usize = 2048;
/// First byte of an underlay list; no multiaddr starts with it.
const UNDERLAY_LIST: u8 = 0x99;
/// What every signed address starts with.
const SIGN_PREFIX: &[u8] = b"bee-handshake-";

/// A node's addresses, bound to its overlay by a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRecord {
    /// Serialized underlays, at most 2048 bytes, exactly as signed.
    pub underlay: Vec<u8>,
    /// Signature over everything else.
    pub signature: Signature,
    /// Overlay.
    pub overlay: Overlay,
    /// Overlay nonce. Absent means zeros.
    pub nonce: [u8; 32],
    /// Unix seconds (generation B).
    pub timestamp: i64,
    /// Chequebook contract (generation B); zeros when there is none.
    pub chequebook: [u8; 20],
    /// Whether the message had a nonce: generation B must.
    has_nonce: bool,
}

/// Why a record is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The signature is malformed.
    #[error("address record: {0}")]
    Signature(#[from] SignatureError),
    /// The signer's overlay is another one.
    #[error("address record is not signed by the owner of its overlay")]
    Overlay,
    /// Generation B records carry the second they were signed.
    #[error("address record without a timestamp")]
    Timestamp,
    /// The underlays cannot be parsed, or there are none.
    #[error("address record without a usable underlay")]
    Underlay,
}

impl AddressRecord {
    /// Makes and signs a record.
    pub fn sign(
        version: Version,
        key: &SecretKey,
        network_id: u64,
        nonce: [u8; 32],
        timestamp: i64,
        underlay: Vec<u8>,
    ) -> Self {
        let mut record = Self {
            underlay,
            signature: Signature([0; 65]),
            overlay: key.address().overlay(network_id, &nonce),
            nonce,
            timestamp,
            chequebook: [0; 20],
            has_nonce: true,
        };
        record.signature = key.sign(&record.sign_data(version, network_id));
        record
    }

    /// Checks that the owner of the overlay signed this record.
    ///
    /// # Errors
    /// [`RecordError`], one variant per cause.
    pub fn verify(&self, version: Version, network_id: u64) -> Result<EthAddress, RecordError> {
        if version == Version::V15 && self.timestamp <= 0 {
            return Err(RecordError::Timestamp);
        }
        if self.underlays().next().is_none() {
            return Err(RecordError::Underlay);
        }
        let owner = self
            .signature
            .recover(&self.sign_data(version, network_id))?;
        if owner.overlay(network_id, &self.nonce) != self.overlay {
            return Err(RecordError::Overlay);
        }
        Ok(owner)
    }

    /// The underlays that deboot can parse.
    pub fn underlays(&self) -> impl Iterator<Item = Multiaddr> + '_ {
        decode_underlays(&self.underlay)
    }

    /// What the signature covers.
    fn sign_data(&self, version: Version, network_id: u64) -> Vec<u8> {
        // SPEC swarm-wire 3.4: network id big-endian here, little-endian inside the overlay.
        let mut data = Vec::with_capacity(SIGN_PREFIX.len().saturating_add(128));
        data.extend_from_slice(SIGN_PREFIX);
        data.extend_from_slice(&self.underlay);
        data.extend_from_slice(&self.overlay.0);
        data.extend_from_slice(&network_id.to_be_bytes());
        if version == Version::V15 {
            data.extend_from_slice(&self.nonce);
            data.extend_from_slice(&self.timestamp.to_be_bytes());
            data.extend_from_slice(&self.chequebook);
        }
        data
    }

    /// Refuses a generation B record without a nonce.
    pub(super) const fn require_nonce(&self) -> Result<(), MessageError> {
        if self.has_nonce {
            Ok(())
        } else {
            Err(MessageError::Missing("nonce"))
        }
    }

    /// Decodes the body of a BzzAddress message.
    pub(super) fn from_body(body: &[u8]) -> Result<Self, MessageError> {
        let (mut underlay, mut signature, mut overlay, mut nonce) = (None, None, None, None);
        let (mut timestamp, mut chequebook) = (0, [0; 20]);
        for field in Fields::new(body) {
            let field = field?;
            match field.number {
                1 => underlay = Some(field.bytes()?),
                2 => signature = Some(Signature(array("signature", field.bytes()?)?)),
                3 => overlay = Some(Overlay(array("overlay", field.bytes()?)?)),
                4 if field.bytes()?.is_empty() => {}
                4 => nonce = Some(array("nonce", field.bytes()?)?),
                5 => timestamp = field.int64()?,
                6 if field.bytes()?.is_empty() => {}
                6 => chequebook = array("chequebook address", field.bytes()?)?,
                _ => {}
            }
        }
        let underlay = underlay.ok_or(MessageError::Missing("underlay"))?;
        if underlay.is_empty() || underlay.len() > UNDERLAY_BYTES_MAX {
            let len = underlay.len();
            let field = "underlay";
            return Err(MessageError::Length { field, len });
        }
        Ok(Self {
            underlay: underlay.to_vec(),
            signature: signature.ok_or(MessageError::Missing("signature"))?,
            overlay: overlay.ok_or(MessageError::Missing("overlay"))?,
            nonce: nonce.unwrap_or_default(),
            timestamp,
            chequebook,
            has_nonce: nonce.is_some(),
        })
    }

    /// Writes the fields of a BzzAddress message; hive always carries the nonce, a generation A handshake has it elsewhere.
    pub(super) fn write(&self, version: Version, hive: bool, w: &mut Writer<'_>) {
        w.bytes(1, &self.underlay);
        w.bytes(2, &self.signature.0);
        w.bytes(3, &self.overlay.0);
        if hive || version == Version::V15 {
            w.bytes(4, &self.nonce);
        }
        if version == Version::V15 {
            if self.timestamp != 0 {
                w.int64(5, self.timestamp);
            }
            w.bytes(6, &self.chequebook);
        }
    }
}

/// Serializes underlays: one as it is, more as a list.
pub fn encode_underlays(underlays: &[Multiaddr]) -> Vec<u8> {
    if let [one] = underlays {
        return one.encode();
    }
    let mut out = alloc::vec![UNDERLAY_LIST];
    for underlay in underlays {
        encode_delimited(&underlay.encode(), &mut out);
    }
    out
}

/// Iterates over serialized underlays, at most 20; those that deboot cannot parse are skipped.
pub fn decode_underlays(bytes: &[u8]) -> impl Iterator<Item = Multiaddr> + '_ {
    let (single, mut list) = match bytes.split_first() {
        Some((&UNDERLAY_LIST, list)) => (None, list),
        _ => (Some(bytes), &[][..]),
    };
    let listed = core::iter::from_fn(move || {
        let (len, used) = decode_varint(list).ok()??;
        let len = usize::try_from(len).ok()?;
        let (one, rest) = list.get(used..)?.split_at_checked(len)?;
        list = rest;
        Some(one)
    });
    single
        .into_iter()
        .chain(listed)
        .take(UNDERLAYS_MAX)
        .filter_map(|one| Multiaddr::decode(one).ok())
}
