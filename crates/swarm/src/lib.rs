//! A Swarm light client as a sans-IO state machine: it finds peers, keeps within their credit, and fetches verified chunks from
//! many of them at once.
//!
//! Architecture invariant: no sockets, no clock, no randomness of its own, no threads, no logging. The driver owns the byte streams
//! and the time; facts leave as [`Event`]s.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
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

mod account;
mod book;
mod bootstrap;
pub mod config;
mod error;
pub mod messages;
pub mod node;
mod pace;
mod requests;
mod rng;
mod session;
mod table;
mod timers;
mod types;
mod window;

pub use config::{Config, Generation};
pub use error::{ChunkFailure, DialError, DropReason};
pub use node::Node;
pub use types::{
    BootstrapStage, Command, ConnId, DnsAnswer, DnsQuery, DnsQueryId, Event, NodeTimeout, PeerInfo,
    Stats,
};
