//! Swarm file trees and mantaray directories over verified chunks.
//!
//! Architecture invariant: no I/O, no clock, no network types. Only bytes whose chunks were checked leave this crate.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod join;
pub mod mantaray;
pub mod reference;
pub mod split;

pub use join::{Join, JoinConfig, JoinError, Piece};
pub use reference::{Reference, ReferenceError};
pub use split::Splitter;
