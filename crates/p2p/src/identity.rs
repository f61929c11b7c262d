//! Peer keys and peer ids.
use alloc::string::String;
use alloc::vec::Vec;

/// sha2-256 or identity multihash of the protobuf-encoded public key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    bytes: Vec<u8>,
}

impl PeerId {
    /// Parses multihash bytes (`12 20 ..` or `00 24 ..`; at most 44 bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let _ = bytes;
        todo!()
    }
    /// Parses base58btc ("Qm…", "12D3Koo…", "16Uiu2…").
    pub fn from_base58(text: &str) -> Option<Self> {
        let _ = text;
        todo!()
    }
    /// The multihash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// base58btc text.
    pub fn to_base58(&self) -> String {
        todo!()
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
    /// Decodes the libp2p PublicKey protobuf.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let _ = bytes;
        todo!()
    }
    /// Encodes the libp2p PublicKey protobuf.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
    /// The peer id of this key.
    pub fn peer_id(&self) -> PeerId {
        todo!()
    }
    /// Checks `signature` over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let _ = (message, signature);
        todo!()
    }
}

/// Our own identity: Ed25519 from a 32-byte seed.
#[derive(Clone)]
pub struct Keypair {}

impl Keypair {
    /// Makes the identity of `seed`.
    pub fn ed25519(seed: &[u8; 32]) -> Self {
        let _ = seed;
        todo!()
    }
    /// The public key.
    pub fn public(&self) -> PublicKey {
        todo!()
    }
    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let _ = message;
        todo!()
    }
}
