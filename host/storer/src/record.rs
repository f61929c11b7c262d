//! Signed address records (`BzzAddress`) of both generations, and the two forms of underlays.
use crate::wire::{BzzAddress, Version};
use bmt::{EthAddress, Overlay, SecretKey, Signature};
use libp2p::Multiaddr;

/// Most underlays in one record.
pub(crate) const UNDERLAYS_MAX: usize = 20;
/// Most bytes of all underlays of one record.
pub(crate) const UNDERLAY_BYTES_MAX: usize = 2048;
/// How far in the future a timestamp may be, in seconds.
const CLOCK_SKEW_S: i64 = 60;
/// How much newer than the known one a gossiped record must be, in seconds.
const UPDATE_INTERVAL_S: i64 = 300;
const LIST_PREFIX: u8 = 0x99;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(
        "no underlay address, more than {UNDERLAYS_MAX} or more than {UNDERLAY_BYTES_MAX} bytes"
    )]
    UnderlayCount,
    #[error("an underlay is not a multiaddr")]
    Underlay,
    #[error("overlay is not 32 bytes")]
    Overlay,
    #[error("nonce is not 32 bytes")]
    Nonce,
    #[error("chequebook address is neither empty nor 20 bytes")]
    Chequebook,
    #[error("timestamp is not positive, in the future, or older than the known record")]
    Timestamp,
    #[error("signature is not 65 bytes or recovers no key")]
    Signature,
    #[error("the signer's key does not give the overlay")]
    Signer,
}

/// A record whose signature was checked (see [`check`] for the exception).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) overlay: Overlay,
    pub(crate) underlays: Vec<Multiaddr>,
    pub(crate) timestamp: i64,
    /// As received, to be passed on unchanged.
    pub(crate) wire: BzzAddress,
}

/// Encodes underlays: one address raw, several as a list.
pub(crate) fn encode_underlays(addresses: &[Multiaddr]) -> Vec<u8> {
    if let [only] = addresses {
        return only.to_vec();
    }
    let mut out = vec![LIST_PREFIX];
    for address in addresses {
        let bytes = address.to_vec();
        prost::encode_length_delimiter(bytes.len(), &mut out).ok();
        out.extend_from_slice(&bytes);
    }
    out
}

/// Decodes both forms of underlays; at least one address.
pub(crate) fn decode_underlays(bytes: &[u8]) -> Result<Vec<Multiaddr>, RecordError> {
    if bytes.is_empty() || bytes.len() > UNDERLAY_BYTES_MAX {
        return Err(RecordError::UnderlayCount);
    }
    let parse = |b: &[u8]| Multiaddr::try_from(b.to_vec()).map_err(|_| RecordError::Underlay);
    if bytes[0] != LIST_PREFIX {
        return Ok(vec![parse(bytes)?]);
    }
    let mut rest = &bytes[1..];
    let mut out = Vec::new();
    while !rest.is_empty() {
        let len = prost::decode_length_delimiter(&mut rest).map_err(|_| RecordError::Underlay)?;
        let (address, tail) = rest.split_at_checked(len).ok_or(RecordError::Underlay)?;
        if out.len() == UNDERLAYS_MAX {
            return Err(RecordError::UnderlayCount);
        }
        out.push(parse(address)?);
        rest = tail;
    }
    if out.is_empty() {
        return Err(RecordError::UnderlayCount);
    }
    Ok(out)
}

/// The bytes a record's signature covers (before the EIP-191 prefix).
fn sign_data(version: Version, record: &BzzAddress, network_id: u64) -> Vec<u8> {
    let mut data = b"bee-handshake-".to_vec();
    data.extend_from_slice(&record.underlay);
    data.extend_from_slice(&record.overlay);
    data.extend_from_slice(&network_id.to_be_bytes());
    if version == Version::V15 {
        data.extend_from_slice(&record.nonce);
        data.extend_from_slice(&record.timestamp.to_be_bytes());
        if record.chequebook.is_empty() {
            data.extend_from_slice(&[0; 20]);
        } else {
            data.extend_from_slice(&record.chequebook);
        }
    }
    data
}

/// Makes a signed record. `timestamp` is Unix seconds; 14.0.0 does not carry it.
pub(crate) fn sign(
    version: Version,
    key: &SecretKey,
    underlays: &[Multiaddr],
    network_id: u64,
    nonce: [u8; 32],
    timestamp: i64,
) -> Record {
    let overlay = key.address().overlay(network_id, &nonce);
    let mut wire = BzzAddress {
        underlay: encode_underlays(underlays),
        overlay: overlay.0.to_vec(),
        nonce: nonce.to_vec(),
        ..BzzAddress::default()
    };
    if version == Version::V15 {
        wire.timestamp = timestamp;
    }
    wire.signature = key.sign(&sign_data(version, &wire, network_id)).0.to_vec();
    Record {
        overlay,
        underlays: underlays.to_vec(),
        timestamp,
        wire,
    }
}

/// Where a record came from; decides which checks apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The peer itself, in a handshake.
    Handshake,
    /// Somebody else, by hive.
    Gossip,
}

/// Checks a record as bee does. `known` is the timestamp of the stored record of the same overlay.
///
/// Records gossiped on hive 1.1.0 are taken without a signature check, as every bee of that generation does (its senders may
/// leave underlays out, and then the signature cannot match): the later handshake is the proof.
pub(crate) fn check(
    version: Version,
    source: Source,
    wire: &BzzAddress,
    ack_nonce: &[u8],
    network_id: u64,
    known: Option<i64>,
    now_s: i64,
) -> Result<Record, RecordError> {
    let underlays = decode_underlays(&wire.underlay)?;
    let overlay = Overlay(
        wire.overlay
            .as_slice()
            .try_into()
            .map_err(|_| RecordError::Overlay)?,
    );
    let mut wire = wire.clone();
    if version == Version::V14 && source == Source::Handshake {
        // SPEC swarm-wire 3.2: in 14.0.0 the nonce is a field of the Ack.
        wire.nonce = ack_nonce.to_vec();
    }
    if version == Version::V15 {
        if !matches!(wire.chequebook.len(), 0 | 20) {
            return Err(RecordError::Chequebook);
        }
        check_timestamp(source, wire.timestamp, known, now_s)?;
    }
    if version == Version::V15 || source == Source::Handshake {
        let nonce: [u8; 32] = wire
            .nonce
            .as_slice()
            .try_into()
            .map_err(|_| RecordError::Nonce)?;
        let signer = signer(version, &wire, network_id)?;
        if signer.overlay(network_id, &nonce) != overlay {
            return Err(RecordError::Signer);
        }
    }
    Ok(Record {
        overlay,
        underlays,
        timestamp: wire.timestamp,
        wire,
    })
}

fn signer(version: Version, wire: &BzzAddress, network_id: u64) -> Result<EthAddress, RecordError> {
    let signature: [u8; 65] = wire
        .signature
        .as_slice()
        .try_into()
        .map_err(|_| RecordError::Signature)?;
    Signature(signature)
        .recover(&sign_data(version, wire, network_id))
        .map_err(|_| RecordError::Signature)
}

fn check_timestamp(
    source: Source,
    timestamp: i64,
    known: Option<i64>,
    now_s: i64,
) -> Result<(), RecordError> {
    let fresh = match (source, known) {
        (_, None | Some(0)) => true,
        (Source::Handshake, Some(known)) => timestamp >= known,
        (Source::Gossip, Some(known)) => timestamp > known.saturating_add(UPDATE_INTERVAL_S),
    };
    if timestamp <= 0 || timestamp > now_s.saturating_add(CLOCK_SKEW_S) || !fresh {
        return Err(RecordError::Timestamp);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
