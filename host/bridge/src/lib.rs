//! The development bridge: content from Swarm over `/deboot/fetch/1.0.0` (docs/fetch-protocol.md), for firmware that shall not, or
//! cannot, join Swarm itself.
//!
//! A stream's way: [`net`] (rust-libp2p: TCP and QUIC) hands it to [`serve`], which reads one request, walks the tree that was asked
//! for, and writes it. Chunks come from the [`store`]: memory, disk, then one of the [`backend`]s.
//!
//! Architecture invariant: nobody trusts a bridge, so it need not be trustworthy, only polite: every buffer, queue and wait has a limit
//! in [`Limits`], and one client cannot take another's share. The libp2p under it is not ours (crates/p2p) on purpose: the client of
//! this protocol is tested against a foreign implementation.
#![forbid(unsafe_code)]

pub mod backend;
mod config;
mod disk;
mod fault;
mod identity;
mod memory;
mod metrics;
mod net;
mod runtime;
mod serve;
mod store;

pub use config::{Cache, Config, Limits};
pub use fault::Fault;
pub use identity::{IdentityError, load as load_identity};
pub use metrics::Metrics;
pub use runtime::{Running, StartError, start};
pub use store::{FetchError, Store};
