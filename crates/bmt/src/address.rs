//! Addresses in Swarm's 256-bit space.

/// Address of a chunk: BMT hash (content-addressed) or keccak256(id ‖ owner) (single-owner).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkAddress(pub [u8; 32]);

/// Overlay address of a node: keccak256(eth address ‖ network id u64 LE ‖ nonce).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overlay(pub [u8; 32]);

/// Returns the proximity order: the number of equal leading bits, at most 31.
pub fn proximity(a: &[u8; 32], b: &[u8; 32]) -> u8 {
    let _ = (a, b);
    todo!()
}
