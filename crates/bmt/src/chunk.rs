//! Chunks whose address was checked.
use crate::tree::content_address;
use crate::{ChunkAddress, EthAddress, SecretKey, Signature, keccak256};
use alloc::vec::Vec;

/// Bytes of the span in front of every payload.
pub const SPAN_BYTES: usize = 8;
/// Largest payload of a chunk.
pub const CHUNK_PAYLOAD_BYTES_MAX: usize = 4096;
/// Largest chunk on the wire: a single-owner chunk (id 32, signature 65, span 8, payload 4096).
pub const CHUNK_DATA_BYTES_MAX: usize = SOC_HEADER_BYTES + SPAN_BYTES + CHUNK_PAYLOAD_BYTES_MAX;

/// Identifier and signature in front of the wrapped chunk.
const SOC_HEADER_BYTES: usize = 32 + 65;
/// Largest content-addressed chunk.
const CONTENT_DATA_BYTES_MAX: usize = SPAN_BYTES + CHUNK_PAYLOAD_BYTES_MAX;
/// Owner of dispersed replicas: its secret key (01 and 31 zero bytes) is public, so its chunks prove nothing but their content.
pub const REPLICA_OWNER: EthAddress = EthAddress([
    0xdc, 0x5b, 0x20, 0x84, 0x7f, 0x43, 0xd6, 0x79, 0x28, 0xf4, 0x9c, 0xd4, 0xf8, 0x5d, 0x69, 0x6b,
    0x5a, 0x76, 0x17, 0xb5,
]);

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
    ///
    /// # Errors
    /// Returns [`ChunkError::Length`] when no chunk has that many bytes, [`ChunkError::Address`] when the bytes are another chunk's.
    pub fn verify(address: ChunkAddress, data: Vec<u8>) -> Result<Self, ChunkError> {
        if data.len() > CHUNK_DATA_BYTES_MAX {
            return Err(ChunkError::Length { len: data.len() });
        }
        let Some((span, payload)) = data.split_first_chunk::<SPAN_BYTES>() else {
            return Err(ChunkError::Length { len: data.len() });
        };
        if data.len() <= CONTENT_DATA_BYTES_MAX && content_address(span, payload) == address {
            return Ok(Self {
                address,
                kind: ChunkKind::Content,
                data,
            });
        }
        match single_owner(&data) {
            Some((found, kind)) if found == address => Ok(Self {
                address,
                kind,
                data,
            }),
            _ => Err(ChunkError::Address),
        }
    }

    /// Makes a content-addressed chunk from span and payload (at most 4096 bytes).
    ///
    /// # Errors
    /// Returns [`ChunkError::Length`] when the payload is longer.
    pub fn content(span: [u8; 8], payload: &[u8]) -> Result<Self, ChunkError> {
        let mut data = Vec::with_capacity(SPAN_BYTES.saturating_add(payload.len()));
        data.extend_from_slice(&span);
        data.extend_from_slice(payload);
        Self::content_data(data)
    }

    /// Makes a content-addressed chunk from `data` = span ‖ payload, without copying it.
    ///
    /// # Errors
    /// Returns [`ChunkError::Length`] when it has fewer than 8 or more than 4104 bytes.
    pub fn content_data(data: Vec<u8>) -> Result<Self, ChunkError> {
        let address = match data.split_first_chunk::<SPAN_BYTES>() {
            Some((span, payload)) if payload.len() <= CHUNK_PAYLOAD_BYTES_MAX => {
                content_address(span, payload)
            }
            _ => return Err(ChunkError::Length { len: data.len() }),
        };
        Ok(Self {
            address,
            kind: ChunkKind::Content,
            data,
        })
    }

    /// Signs span and payload (at most 4096 bytes) as a single-owner chunk with identifier `id`.
    ///
    /// # Errors
    /// Returns [`ChunkError::Length`] when the payload is longer, [`ChunkError::Address`] when the key is the public replica key
    /// and `id` is not the one of a replica of this content.
    pub fn single_owner(
        id: [u8; 32],
        key: &SecretKey,
        span: [u8; 8],
        payload: &[u8],
    ) -> Result<Self, ChunkError> {
        if payload.len() > CHUNK_PAYLOAD_BYTES_MAX {
            return Err(ChunkError::Length {
                len: SOC_HEADER_BYTES
                    .saturating_add(SPAN_BYTES)
                    .saturating_add(payload.len()),
            });
        }
        let wrapped = content_address(&span, payload);
        let signature = key.sign(&keccak_of_pair(&id, &wrapped.0));
        let mut data = Vec::with_capacity(CHUNK_DATA_BYTES_MAX);
        data.extend_from_slice(&id);
        data.extend_from_slice(&signature.0);
        data.extend_from_slice(&span);
        data.extend_from_slice(payload);
        let owner = key.address();
        if !replica_rule(&id, &owner, &wrapped) {
            return Err(ChunkError::Address);
        }
        Ok(Self {
            address: single_owner_address(&id, &owner),
            kind: ChunkKind::SingleOwner { id, owner, wrapped },
            data,
        })
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
        self.content_part().first_chunk().copied().unwrap_or([0; 8])
    }

    /// The payload (of the wrapped chunk for a single-owner chunk).
    pub fn payload(&self) -> &[u8] {
        self.content_part().get(SPAN_BYTES..).unwrap_or(&[])
    }

    /// The bytes as they go over the wire and into a store.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Gives back the buffer.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Takes the content-addressed chunk out of a single-owner chunk; returns any other chunk unchanged.
    pub fn into_wrapped(mut self) -> Self {
        if let ChunkKind::SingleOwner { wrapped, .. } = self.kind {
            self.data.drain(..SOC_HEADER_BYTES.min(self.data.len()));
            self.address = wrapped;
            self.kind = ChunkKind::Content;
        }
        self
    }

    fn content_part(&self) -> &[u8] {
        let start = match self.kind {
            ChunkKind::Content => 0,
            ChunkKind::SingleOwner { .. } => SOC_HEADER_BYTES,
        };
        self.data.get(start..).unwrap_or(&[])
    }
}

/// Returns keccak256(id ‖ owner): where a single-owner chunk lives.
pub fn single_owner_address(id: &[u8; 32], owner: &EthAddress) -> ChunkAddress {
    let mut bytes = [0; 52];
    for (to, from) in bytes.iter_mut().zip(id.iter().chain(&owner.0)) {
        *to = *from;
    }
    ChunkAddress(keccak256(&bytes))
}

/// Reads `data` as a single-owner chunk: its address and its parts.
fn single_owner(data: &[u8]) -> Option<(ChunkAddress, ChunkKind)> {
    let (id, rest) = data.split_first_chunk::<32>()?;
    let (signature, rest) = rest.split_first_chunk::<65>()?;
    let (span, payload) = rest.split_first_chunk::<SPAN_BYTES>()?;
    if payload.len() > CHUNK_PAYLOAD_BYTES_MAX {
        return None;
    }
    let wrapped = content_address(span, payload);
    let owner = Signature(*signature)
        .recover(&keccak_of_pair(id, &wrapped.0))
        .ok()?;
    if !replica_rule(id, &owner, &wrapped) {
        return None;
    }
    let kind = ChunkKind::SingleOwner {
        id: *id,
        owner,
        wrapped,
    };
    Some((single_owner_address(id, &owner), kind))
}

/// Anybody can sign as the replica owner, so such a chunk must name its content: all of the wrapped address but byte 0.
fn replica_rule(id: &[u8; 32], owner: &EthAddress, wrapped: &ChunkAddress) -> bool {
    let ([_, id @ ..], [_, content @ ..]) = (id, &wrapped.0);
    *owner != REPLICA_OWNER || id == content
}

fn keccak_of_pair(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 64];
    for (to, from) in bytes.iter_mut().zip(left.iter().chain(right)) {
        *to = *from;
    }
    keccak256(&bytes)
}

#[cfg(test)]
mod tests;
