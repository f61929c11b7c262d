//! Peer keys and peer ids.
//!
//! Spec: libp2p "Peer Ids and Keys".
use crate::base58;
use crate::wire::{Fields, Writer};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use ed25519_dalek::Signer;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256};

/// Multihash code and digest length of an identity hash are followed by at most this many bytes.
// SPEC peer-ids "Peer Ids": keys whose encoding is at most 42 bytes are inlined.
const INLINE_KEY_BYTES_MAX: usize = 42;
const SHA2_256: u8 = 0x12;
const IDENTITY: u8 = 0x00;
/// Longest accepted libp2p PublicKey protobuf; a P-256 key takes 95 bytes.
const KEY_BYTES_MAX: usize = 1024;

// SPEC peer-ids "Keys": KeyType of the PublicKey protobuf.
const KEY_TYPE_ED25519: u64 = 1;
const KEY_TYPE_SECP256K1: u64 = 2;
const KEY_TYPE_ECDSA: u64 = 3;

/// What precedes the 64 bytes of X and Y in the DER SubjectPublicKeyInfo of a P-256 key.
const P256_SPKI_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// sha2-256 or identity multihash of the protobuf-encoded public key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    bytes: Vec<u8>,
}

impl PeerId {
    /// Parses multihash bytes (`12 20 ..` or `00 24 ..`; at most 44 bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[code, length], digest) = bytes.split_first_chunk::<2>()?;
        let right_length = match code {
            SHA2_256 => digest.len() == 32,
            IDENTITY => (1..=INLINE_KEY_BYTES_MAX).contains(&digest.len()),
            _ => false,
        };
        (right_length && usize::from(length) == digest.len()).then(|| Self {
            bytes: bytes.to_vec(),
        })
    }

    /// Parses base58btc ("Qm…", "12D3Koo…", "16Uiu2…").
    pub fn from_base58(text: &str) -> Option<Self> {
        Self::from_bytes(&base58::decode(text)?)
    }

    /// The multihash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// base58btc text.
    pub fn to_base58(&self) -> String {
        base58::encode(&self.bytes)
    }

    /// The peer id of an encoded PublicKey protobuf.
    fn of_encoded_key(key: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(44);
        match u8::try_from(key.len()) {
            Ok(length) if key.len() <= INLINE_KEY_BYTES_MAX => {
                bytes.extend_from_slice(&[IDENTITY, length]);
                bytes.extend_from_slice(key);
            }
            _ => {
                bytes.extend_from_slice(&[SHA2_256, 32]);
                bytes.extend_from_slice(&Sha256::digest(key));
            }
        }
        Self { bytes }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base58())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// A public key as it appears in libp2p: Ed25519, secp256k1 or ECDSA P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Raw 32 bytes.
    Ed25519([u8; 32]),
    /// Compressed SEC1, 33 bytes.
    Secp256k1([u8; 33]),
    /// DER SubjectPublicKeyInfo as received (P-256).
    P256(Vec<u8>),
}

impl PublicKey {
    /// Decodes the libp2p PublicKey protobuf; `None` for other key types and other encodings.
    ///
    /// Whether the bytes are a point of the curve is found out by [`verify`](Self::verify).
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > KEY_BYTES_MAX {
            return None;
        }
        let mut key_type = None;
        let mut data = None;
        for field in Fields::new(bytes) {
            let field = field.ok()?;
            match field.number {
                1 => key_type = Some(field.varint().ok()?),
                2 => data = Some(field.bytes().ok()?),
                _ => {}
            }
        }
        let data = data?;
        match key_type? {
            KEY_TYPE_ED25519 => data.try_into().ok().map(Self::Ed25519),
            KEY_TYPE_SECP256K1 => data.try_into().ok().map(Self::Secp256k1),
            KEY_TYPE_ECDSA => p256_point(data).map(|_| Self::P256(data.to_vec())),
            _ => None,
        }
    }

    /// Encodes the libp2p PublicKey protobuf.
    pub fn encode(&self) -> Vec<u8> {
        let (key_type, data) = match self {
            Self::Ed25519(data) => (KEY_TYPE_ED25519, &data[..]),
            Self::Secp256k1(data) => (KEY_TYPE_SECP256K1, &data[..]),
            Self::P256(data) => (KEY_TYPE_ECDSA, &data[..]),
        };
        let mut out = Vec::with_capacity(data.len().saturating_add(4));
        let mut writer = Writer::new(&mut out);
        // SPEC peer-ids "Keys": deterministic encoding, type first, then data, no other fields.
        writer.varint(1, key_type);
        writer.bytes(2, data);
        out
    }

    /// The peer id of this key.
    pub fn peer_id(&self) -> PeerId {
        PeerId::of_encoded_key(&self.encode())
    }

    /// Checks `signature` over `message`; false as well when the key is not a point of its curve.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => verify_ed25519(key, message, signature),
            Self::Secp256k1(key) => verify_secp256k1(key, message, signature),
            Self::P256(key) => verify_p256(key, message, signature),
        }
    }
}

fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(key) else {
        return false;
    };
    let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else {
        return false;
    };
    // Strict: small-order keys would let one signature fit every message.
    key.verify_strict(message, &signature).is_ok()
}

fn verify_secp256k1(key: &[u8; 33], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = k256::ecdsa::VerifyingKey::from_sec1_bytes(key) else {
        return false;
    };
    let Ok(signature) = k256::ecdsa::Signature::from_der(signature) else {
        return false;
    };
    // libp2p has no low-S rule; k256 has one.
    key.verify_prehash(&Sha256::digest(message), &signature.normalize_s())
        .is_ok()
}

fn verify_p256(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Some(point) = p256_point(spki) else {
        return false;
    };
    let Ok(key) = p256::ecdsa::VerifyingKey::from_sec1_bytes(point) else {
        return false;
    };
    let Ok(signature) = p256::ecdsa::Signature::from_der(signature) else {
        return false;
    };
    key.verify_prehash(&Sha256::digest(message), &signature)
        .is_ok()
}

/// The uncompressed SEC1 point (65 bytes) inside a P-256 SubjectPublicKeyInfo.
fn p256_point(spki: &[u8]) -> Option<&[u8]> {
    let head = P256_SPKI_PREFIX.len();
    if spki.len() != head.saturating_add(64) || !spki.starts_with(&P256_SPKI_PREFIX) {
        return None;
    }
    spki.get(head.saturating_sub(1)..)
}

/// Our own identity: Ed25519 from a 32-byte seed.
#[derive(Clone)]
pub struct Keypair {
    signing: ed25519_dalek::SigningKey,
}

impl Keypair {
    /// Makes the identity of `seed`.
    pub fn ed25519(seed: &[u8; 32]) -> Self {
        Self {
            signing: ed25519_dalek::SigningKey::from_bytes(seed),
        }
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey::Ed25519(self.signing.verifying_key().to_bytes())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.signing.sign(message).to_bytes().to_vec()
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({})", self.public().peer_id())
    }
}

#[cfg(test)]
mod tests;
