//! Drives [`swarm::Node`] over the operating system's TCP sockets.
//!
//! One thread, no async: [`Session::run`] pumps one loop (wants of a [`bmt::ChunkConsumer`] to the node, the node's commands to
//! sockets, sockets to the node, chunks back to the consumer) until the consumer is done, a deadline passes or somebody asks to
//! stop. The same loop in the same order runs in firmware over smoltcp. The node stays warm between runs: a directory
//! look-up and the download that follows use the same peers and the same credit.
//!
//! Architecture invariant: no protocol decisions. Which peer is dialled, asked, believed or dropped is decided in `swarm`; this
//! crate owns file descriptors, the clock, entropy and DNS, and nothing else.
#![forbid(unsafe_code)]

mod config;
mod observer;
mod resolver;
mod session;
mod socket;

pub use config::{
    Config, ConfigError, MAINNET_BOOTNODE, MAINNET_ID, TESTNET_BOOTNODE, TESTNET_ID,
    default_bootnodes,
};
pub use observer::{Diagnosis, Observer};
pub use session::{RunError, Session, SessionError, StopHandle};
