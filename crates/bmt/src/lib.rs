//! Keccak-256, the binary Merkle tree of Swarm chunks, content-addressed and single-owner chunks, proximity.
//!
//! Architecture invariant: no I/O, no clock, no randomness, no network types. Everything else in deboot may depend on this
//! crate; it depends on nothing of deboot.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
mod chunk;
mod consumer;
mod eth;
mod keccak;
mod tree;
#[cfg(all(
    target_arch = "x86_64",
    not(any(target_os = "none", target_os = "uefi"))
))]
mod wide;

pub use address::{ChunkAddress, Overlay, PROXIMITY_MAX, proximity};
pub use chunk::{
    CHUNK_DATA_BYTES_MAX, CHUNK_PAYLOAD_BYTES_MAX, ChunkError, ChunkKind, REPLICA_OWNER,
    SPAN_BYTES, VerifiedChunk, single_owner_address,
};
pub use consumer::ChunkConsumer;
pub use eth::{EthAddress, SecretKey, Signature, SignatureError};
pub use keccak::{Keccak256, keccak256};
pub use tree::{bmt_root, content_address};
