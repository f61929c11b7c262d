//! A Swarm storer on rust-libp2p (TCP, Noise, Yamux), and networks of them on one machine.
//!
//! Second implementation on purpose: neither deboot's own libp2p (`crates/p2p`) nor its Swarm codec (`crates/swarm`) is used
//! here, so that a test of the client against this storer compares two independent readings of the protocol. Only hashes,
//! signatures and chunk validity are shared (`crates/bmt`).
//!
//! Architecture invariant: nothing in this crate depends on `p2p`, `swarm` or `client`, and no type of rust-libp2p appears in
//! its API.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod config;
mod counters;
pub mod devnet;
mod frame;
pub mod identity;
mod net;
pub mod node;
mod record;
pub mod store;
#[cfg(test)]
mod testing;
mod wire;

pub use config::{Fault, Generation, Profile};
pub use counters::Counters;
