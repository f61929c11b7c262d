//! Which addresses of a record are worth a dial.
use super::ADDRESSES_MAX;
use crate::messages::AddressRecord;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use p2p::PeerId;

/// Reach of an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Loopback,
    Private,
    Public,
}

fn scope(ip: &IpAddr) -> Scope {
    let (loopback, private) = match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (b & 0xc0) == 64;
            (
                ip.is_loopback(),
                ip.is_private() || ip.is_link_local() || shared,
            )
        }
        IpAddr::V6(ip) => {
            let [a, ..] = ip.segments();
            (
                ip.is_loopback(),
                a & 0xfe00 == 0xfc00 || a & 0xffc0 == 0xfe80,
            )
        }
    };
    match (loopback, private) {
        (true, _) => Scope::Loopback,
        (false, true) => Scope::Private,
        (false, false) => Scope::Public,
    }
}

/// Picks the addresses of a record that are worth a dial: TCP, no farther inside than the sender itself is (a public node has no
/// business with our loopback or our local network), IPv4 first.
pub(super) fn usable_addresses(
    record: &AddressRecord,
    sender: IpAddr,
) -> (Vec<SocketAddr>, Option<PeerId>) {
    let sender_scope = scope(&sender);
    let mut found: Vec<(SocketAddr, Option<PeerId>)> = record
        .underlays()
        .filter_map(|underlay| {
            let address = underlay.tcp_socket_addr()?;
            let ip = address.ip();
            let dialable = address.port() != 0
                && !ip.is_unspecified()
                && !ip.is_multicast()
                && scope(&ip) >= sender_scope;
            dialable.then(|| (address, underlay.peer_id().cloned()))
        })
        .collect();
    found.sort_by_key(|(address, _)| (address.is_ipv6(), scope(&address.ip()) != sender_scope));
    let peer = found.first().and_then(|(_, peer)| peer.clone());
    found.retain(|(_, other)| *other == peer);
    found.truncate(ADDRESSES_MAX);
    (
        found.into_iter().map(|(address, _)| address).collect(),
        peer,
    )
}
