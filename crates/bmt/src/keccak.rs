//! Keccak-256 with the legacy (pre-NIST) padding.

/// Streaming Keccak-256.
#[derive(Clone)]
pub struct Keccak256 {}

impl Keccak256 {
    /// Creates an empty hasher.
    pub fn new() -> Self {
        todo!()
    }
    /// Absorbs `data`.
    pub fn update(&mut self, data: &[u8]) {
        let _ = data;
        todo!()
    }
    /// Returns the digest.
    pub fn finalize(self) -> [u8; 32] {
        todo!()
    }
}

/// Returns the Keccak-256 digest of `data`.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    let _ = data;
    todo!()
}
