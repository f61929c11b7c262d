//! Swarm file trees, mantaray directories and feeds over verified chunks.
//!
//! Architecture invariant: no I/O, no clock, no network types. Only bytes whose chunks were checked leave this crate.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod collect;
mod encryption;
mod erasure;
pub mod feed;
pub mod join;
pub mod mantaray;
mod redundancy;
pub mod reference;
mod replica;
mod shape;
pub mod split;
#[cfg(test)]
mod testing;
pub mod tree;

pub use collect::Collect;
pub use join::{Join, JoinConfig, JoinError, Piece, Strategy, TreeDefect};
pub use redundancy::RedundancyLevel;
pub use reference::{Reference, ReferenceError};
pub use shape::FILE_BYTES_MAX;
pub use split::{KeySource, Splitter, split};
