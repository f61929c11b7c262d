//! smoltcp over one network device: DHCP, DNS, a bounded pool of TCP sockets, and the pump between sockets and the Swarm node.
//!
//! Architecture invariant: no clock and no randomness of its own; generic over smoltcp's `Device`, so that the same loop runs in
//! firmware and in host tests.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use p2p::Instant;
use smoltcp::phy::Device;
use swarm::Node;

/// Settings of the stack; every field has a documented default in [`Config::new`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Hardware address.
    pub mac: [u8; 6],
    /// Random seed for ports and initial sequence numbers.
    pub seed: u64,
    /// Static settings: own address, prefix length, router, DNS servers. `None`: DHCP.
    pub static_address: Option<(Ipv4Addr, u8, Option<Ipv4Addr>, Vec<Ipv4Addr>)>,
    /// TCP sockets at once.
    pub sockets_max: usize,
    /// Receive buffer of each socket, bytes.
    pub receive_bytes: usize,
    /// Send buffer of each socket, bytes.
    pub send_bytes: usize,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A DHCP attempt began (1 is the first).
    DhcpAttempt(u32),
    /// Addresses are set.
    Configured {
        /// Own address.
        address: Ipv4Addr,
        /// Prefix length.
        prefix_length: u8,
        /// Router.
        gateway: Option<Ipv4Addr>,
        /// DNS servers.
        dns: Vec<Ipv4Addr>,
    },
    /// The lease was lost.
    Deconfigured,
}

/// The stack over one device.
pub struct Stack<D: Device> {
    device: D,
}

impl<D: Device> Stack<D> {
    /// Brings the stack up; DHCP starts with the first [`poll`](Self::poll).
    pub fn new(device: D, config: Config, now: Instant) -> Self {
        let _ = (config, now);
        let _ = &device;
        todo!()
    }
    /// Says whether an address is set.
    pub fn is_configured(&self) -> bool {
        todo!()
    }
    /// The link went away or came back.
    pub fn handle_link(&mut self, now: Instant, up: bool) {
        let _ = (now, up);
        todo!()
    }
    /// One turn without a node (address configuration only).
    pub fn poll_idle(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }
    /// One turn: frames in, sockets to node, node's commands, node to sockets, frames out. Returns whether anything moved.
    pub fn poll(&mut self, now: Instant, node: &mut Node) -> bool {
        let _ = (now, node);
        todo!()
    }
    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// When to call `poll` at the latest if no frame arrives.
    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let _ = now;
        todo!()
    }
    /// The device.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }
}
