//! smoltcp over one network device: DHCP, DNS, a bounded pool of TCP sockets, and the pump between sockets and the Swarm node.
//!
//! IPv4 only for now: dialling an IPv6 address fails as unreachable.
//!
//! Architecture invariant: no clock and no randomness of its own; generic over smoltcp's `Device`, so that the same loop runs in
//! firmware and in host tests.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
mod dhcp;
pub mod dns;
mod event;
mod neighbours;
mod pool;
mod pump;
mod random;
mod route;
mod stack;
mod streams;
mod time;
mod watch;

pub use config::Config;
pub use event::Event;
pub use stack::Stack;
pub use streams::Streams;
