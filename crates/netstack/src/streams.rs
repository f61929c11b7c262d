//! What the pump needs of the node.
use core::net::IpAddr;
use p2p::Instant;
use swarm::{Command, ConnId, DialError, DnsAnswer, DnsQueryId, Node};

/// The driver's side of [`Node`]: byte streams, names and time. Each method is documented there. It is a trait so that the pump can
/// be tested, and measured, without a Swarm behind it.
#[expect(missing_docs, reason = "each method is documented at Node")]
pub trait Streams {
    fn poll_command(&mut self) -> Option<Command>;
    fn handle_local_address(&mut self, address: IpAddr);
    fn handle_connected(&mut self, now: Instant, conn: ConnId);
    fn handle_dial_failed(&mut self, now: Instant, conn: ConnId, error: DialError);
    fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize;
    fn handle_closed(&mut self, now: Instant, conn: ConnId);
    fn poll_transmit(&mut self, now: Instant, conn: ConnId, room: &mut [u8]) -> usize;
    fn poll_writable(&mut self) -> Option<ConnId>;
    fn handle_dns(&mut self, now: Instant, id: DnsQueryId, answer: DnsAnswer);
    fn poll_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant);
    fn handle_network_lost(&mut self, now: Instant);
}

impl Streams for Node {
    fn poll_command(&mut self) -> Option<Command> {
        Self::poll_command(self)
    }
    fn handle_local_address(&mut self, address: IpAddr) {
        Self::handle_local_address(self, address);
    }
    fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        Self::handle_connected(self, now, conn);
    }
    fn handle_dial_failed(&mut self, now: Instant, conn: ConnId, error: DialError) {
        Self::handle_dial_failed(self, now, conn, error);
    }
    fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        Self::handle_received(self, now, conn, bytes)
    }
    fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        Self::handle_closed(self, now, conn);
    }
    fn poll_transmit(&mut self, now: Instant, conn: ConnId, room: &mut [u8]) -> usize {
        Self::poll_transmit(self, now, conn, room)
    }
    fn poll_writable(&mut self) -> Option<ConnId> {
        Self::poll_writable(self)
    }
    fn handle_dns(&mut self, now: Instant, id: DnsQueryId, answer: DnsAnswer) {
        Self::handle_dns(self, now, id, answer);
    }
    fn poll_timeout(&self) -> Option<Instant> {
        Self::poll_timeout(self).map(|(at, _)| at)
    }
    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }
    fn handle_network_lost(&mut self, now: Instant) {
        Self::handle_network_lost(self, now);
    }
}
