//! Chunks whose address was checked.
use crate::{ChunkAddress, EthAddress};
use alloc::vec::Vec;

/// Bytes of the span in front of every payload.
pub const SPAN_BYTES: usize = 8;
/// Largest payload of a chunk.
pub const CHUNK_PAYLOAD_BYTES_MAX: usize = 4096;
/// Largest chunk on the wire: a single-owner chunk (id 32, signature 65, span 8, payload 4096).
pub const CHUNK_DATA_BYTES_MAX: usize = 4201;

/// How a chunk's address was derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Content-addressed chunk.
    Content,
    /// Single-owner chunk.
    SingleOwner {
        /// Identifier chosen by the owner.
        id: [u8; 32],
        /// Owner recovered from the signature.
        owner: EthAddress,
        /// Content address of the wrapped chunk.
        wrapped: ChunkAddress,
    },
}

/// Why bytes are not the chunk that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Neither 8 to 4104 bytes nor a single-owner chunk's size.
    #[error("chunk of {len} bytes: a chunk has 8 to 4201 bytes")]
    Length {
        /// Bytes received.
        len: usize,
    },
    /// The bytes hash to another address.
    #[error("chunk bytes do not hash to the address asked for")]
    Address,
}

/// A chunk whose bytes hash to its address. Only [`VerifiedChunk::verify`] and the constructors that compute the address make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChunk {
    address: ChunkAddress,
    kind: ChunkKind,
    data: Vec<u8>,
}

impl VerifiedChunk {
    /// Checks that `data` (span ‖ payload, or a whole single-owner chunk) belongs to `address`: content-addressed first, then single-owner.
    pub fn verify(address: ChunkAddress, data: Vec<u8>) -> Result<Self, ChunkError> {
        let _ = (address, data);
        todo!()
    }
    /// Makes a content-addressed chunk from span and payload (at most 4096 bytes).
    pub fn content(span: [u8; 8], payload: &[u8]) -> Result<Self, ChunkError> {
        let _ = (span, payload);
        todo!()
    }
    /// The address.
    pub fn address(&self) -> ChunkAddress {
        self.address
    }
    /// How the address was derived.
    pub fn kind(&self) -> ChunkKind {
        self.kind
    }
    /// The raw span (of the wrapped chunk for a single-owner chunk); byte 7 may carry a redundancy level.
    pub fn span_bytes(&self) -> [u8; 8] {
        todo!()
    }
    /// The payload (of the wrapped chunk for a single-owner chunk).
    pub fn payload(&self) -> &[u8] {
        todo!()
    }
    /// The bytes as they go over the wire and into a store.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
    /// Gives back the buffer.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}
