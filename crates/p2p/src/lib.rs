//! libp2p over one reliable byte stream, as a sans-IO state machine: multistream-select, Noise XX, Yamux, identify, ping.
//!
//! Specs: libp2p `connections`, `noise`, `yamux`, `identify`, `ping`, `peer-ids`, `addressing`; facts about bee in swarm-wire 1.
//!
//! Architecture invariant: no sockets, no clock, no randomness of its own, no threads, no logging. Bytes, time and entropy come in
//! as arguments; bytes and events go out. Nothing here knows about Swarm.
#![no_std]
#![forbid(unsafe_code)]
// Everything here reads bytes of strangers: no way to panic, cast or overflow by accident.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic,
        clippy::unreachable,
        clippy::std_instead_of_core,
        clippy::alloc_instead_of_core
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod base58;
mod buffer;
pub mod connection;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod identify;
pub mod identity;
pub mod multiaddr;
pub mod multistream;
pub mod noise;
pub mod time;
pub mod wire;
pub mod yamux;

pub use connection::{Config, Connection, Error, Event, Limits, Role, StreamId, TimeoutReason};
pub use identity::{Keypair, PeerId, PublicKey};
pub use multiaddr::{Multiaddr, MultiaddrError, Protocol};
pub use noise::{CipherState, StaticKey};
pub use time::Instant;
