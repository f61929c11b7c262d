//! libp2p over one reliable byte stream, as a sans-IO state machine: multistream-select, Noise XX, Yamux, identify, ping.
//!
//! Specs: libp2p `connections`, `noise`, `yamux`, `identify`, `ping`, `peer-ids`, `addressing`; facts about bee in swarm-wire 1.
//!
//! Architecture invariant: no sockets, no clock, no randomness of its own, no threads, no logging. Bytes, time and entropy come in
//! as arguments; bytes and events go out. Nothing here knows about Swarm.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod connection;
pub mod identity;
pub mod multiaddr;
pub mod time;

pub use connection::{Config, Connection, Error, Event, Role, StreamId, TimeoutReason};
pub use identity::{Keypair, PeerId, PublicKey};
pub use multiaddr::{Multiaddr, Protocol};
pub use time::Instant;
