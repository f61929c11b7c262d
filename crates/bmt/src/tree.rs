//! The binary Merkle tree over one chunk.
use crate::ChunkAddress;

/// Returns the BMT root of `payload` (at most 4096 bytes; longer input is cut, debug builds panic).
pub fn bmt_root(payload: &[u8]) -> [u8; 32] {
    let _ = payload;
    todo!()
}

/// Returns the content address keccak256(span ‖ BMT root).
pub fn content_address(span: &[u8; 8], payload: &[u8]) -> ChunkAddress {
    let _ = (span, payload);
    todo!()
}
