//! Ethereum keys and EIP-191 signatures, as Swarm uses them for overlays, handshakes and single-owner chunks.
use crate::address::write_hex;
use crate::{Keccak256, Overlay, keccak256};
use core::fmt;
use k256::ecdsa::{RecoveryId, SigningKey, VerifyingKey};

/// Ethereum address: last 20 bytes of keccak256 of the uncompressed public key. Displayed as 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EthAddress(pub [u8; 20]);

impl EthAddress {
    /// Returns keccak256(address ‖ network id u64 LE ‖ nonce).
    pub fn overlay(&self, network_id: u64, nonce: &[u8; 32]) -> Overlay {
        let mut hasher = Keccak256::new();
        hasher.update(&self.0);
        hasher.update(&network_id.to_le_bytes());
        hasher.update(nonce);
        Overlay(hasher.finalize())
    }
}

impl fmt::Display for EthAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for EthAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// r ‖ s ‖ v with v = 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 65]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

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
    ///
    /// A signature with a high S is accepted, as bee accepts it: recovery yields the signer either way.
    ///
    /// # Errors
    /// Returns [`SignatureError::Malformed`] for r or s out of range and for v other than 27 and 28,
    /// [`SignatureError::Unrecoverable`] when no key belongs to it.
    pub fn recover(&self, message: &[u8]) -> Result<EthAddress, SignatureError> {
        let [scalars @ .., v] = &self.0;
        let recovery = match v {
            27 | 28 => RecoveryId::from_byte(v.wrapping_sub(27)),
            _ => None,
        }
        .ok_or(SignatureError::Malformed)?;
        let signature =
            k256::ecdsa::Signature::from_slice(scalars).map_err(|_| SignatureError::Malformed)?;
        let key = VerifyingKey::recover_from_prehash(&eip191_digest(message), &signature, recovery)
            .map_err(|_| SignatureError::Unrecoverable)?;
        address_of(&key).ok_or(SignatureError::Unrecoverable)
    }
}

/// A secp256k1 secret key (the Swarm key).
#[derive(Clone)]
pub struct SecretKey {
    key: SigningKey,
    address: EthAddress,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.address)
    }
}

impl SecretKey {
    /// Takes a 32-byte scalar; zero and values above the group order are refused.
    ///
    /// # Errors
    /// Returns [`SignatureError::Malformed`] for those.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureError> {
        let key = SigningKey::from_slice(bytes).map_err(|_| SignatureError::Malformed)?;
        let address = address_of(key.verifying_key()).ok_or(SignatureError::Malformed)?;
        Ok(Self { key, address })
    }

    /// The address of this key.
    pub fn address(&self) -> EthAddress {
        self.address
    }

    /// Signs `message` with the EIP-191 prefix, RFC 6979, low S.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let (signature, recovery) = self.key.sign_prehash_recoverable(&eip191_digest(message));
        let v = recovery.to_byte().wrapping_add(27);
        let mut bytes = [0; 65];
        for (to, from) in bytes
            .iter_mut()
            .zip(signature.to_bytes().iter().chain(&[v]))
        {
            *to = *from;
        }
        Signature(bytes)
    }
}

/// SPEC EIP-191 version 0x45: the length is decimal text.
fn eip191_digest(message: &[u8]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update(b"\x19Ethereum Signed Message:\n");
    let mut digits = [0u8; 20];
    let mut value = message.len();
    let mut used: usize = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.wrapping_add(u8::try_from(value % 10).unwrap_or(0));
        value /= 10;
        used = used.saturating_add(1);
        if value == 0 {
            break;
        }
    }
    hasher.update(
        digits
            .get(digits.len().saturating_sub(used)..)
            .unwrap_or(&[]),
    );
    hasher.update(message);
    hasher.finalize()
}

fn address_of(key: &VerifyingKey) -> Option<EthAddress> {
    let point = key.to_sec1_point(false);
    let (_, coordinates) = point.as_bytes().split_first()?;
    keccak256(coordinates).last_chunk().copied().map(EthAddress)
}

#[cfg(test)]
mod tests;
