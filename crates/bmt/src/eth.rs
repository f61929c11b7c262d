//! Ethereum keys and EIP-191 signatures, as Swarm uses them for overlays, handshakes and single-owner chunks.
use crate::Overlay;

/// Ethereum address: last 20 bytes of keccak256 of the uncompressed public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EthAddress(pub [u8; 20]);

impl EthAddress {
    /// Returns keccak256(address ‖ network id u64 LE ‖ nonce).
    pub fn overlay(&self, network_id: u64, nonce: &[u8; 32]) -> Overlay {
        let _ = (network_id, nonce);
        todo!()
    }
}

/// r ‖ s ‖ v with v = 27 or 28.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 65]);

/// Why a signature or key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a scalar in range, or a v other than 27 and 28.
    #[error("malformed secp256k1 key or signature")]
    Malformed,
    /// No public key can be recovered.
    #[error("no secp256k1 public key can be recovered from the signature")]
    Unrecoverable,
}

impl Signature {
    /// Recovers the signer of `message` (EIP-191 prefixed here).
    pub fn recover(&self, message: &[u8]) -> Result<EthAddress, SignatureError> {
        let _ = message;
        todo!()
    }
}

/// A secp256k1 secret key (the Swarm key).
#[derive(Clone)]
pub struct SecretKey {}

impl SecretKey {
    /// Takes a 32-byte scalar; zero and values above the group order are refused.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureError> {
        let _ = bytes;
        todo!()
    }
    /// The address of this key.
    pub fn address(&self) -> EthAddress {
        todo!()
    }
    /// Signs `message` with the EIP-191 prefix, RFC 6979, low S.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let _ = message;
        todo!()
    }
}
