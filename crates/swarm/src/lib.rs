//! A Swarm light client as a sans-IO state machine: it finds peers, keeps within their credit, and fetches verified chunks from
//! many of them at once.
//!
//! Architecture invariant: no sockets, no clock, no randomness of its own, no threads, no logging. The driver owns the byte streams
//! and the time; facts leave as [`Event`]s.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod node;

pub use config::{Config, Generation};
pub use node::{
    ChunkFailure, Command, ConnId, DialError, DnsAnswer, DnsQuery, DnsQueryId, DropReason, Event,
    Node, NodeTimeout, PeerInfo, Stats,
};
