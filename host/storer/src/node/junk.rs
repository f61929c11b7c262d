//! Made-up peers, for [`Fault::JunkPeers`](crate::Fault::JunkPeers).
use super::{Inner, ProtocolError, Session, hive, lock, now_ms};
use crate::record;
use crate::wire::{BzzAddress, Version};
use bmt::{SecretKey, keccak256};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

const BATCH: usize = 30;

/// Junk records made so far, per generation; made once and shown to everybody.
#[derive(Default)]
pub(crate) struct Junk([Mutex<Vec<BzzAddress>>; 2]);

/// Announces `count` made-up peers, without regard to the sender's allowance.
pub(crate) async fn announce(
    node: &Arc<Inner>,
    session: &Arc<Session>,
    version: Version,
    count: usize,
) -> Result<(), ProtocolError> {
    for start in (0..count).step_by(BATCH) {
        let batch = batch(node, version, start, count.min(start + BATCH));
        // A client may well refuse most of it.
        if let Err(error) = hive::send(node, session, version, batch).await {
            tracing::debug!(%error, "junk refused");
        }
        if session_is_gone(node, session) {
            return Err(ProtocolError::Refused("peer left"));
        }
    }
    Ok(())
}

fn session_is_gone(node: &Inner, session: &Session) -> bool {
    !lock(&node.state).peers.contains_key(&session.overlay)
}

fn batch(node: &Inner, version: Version, start: usize, end: usize) -> Vec<BzzAddress> {
    let mut made = lock(&node.junk.0[version.index()]);
    while made.len() < end {
        let record = make(node, version, made.len());
        made.push(record);
    }
    made.get(start..end).unwrap_or_default().to_vec()
}

fn make(node: &Inner, version: Version, n: usize) -> BzzAddress {
    let seed = keccak256(&[&node.overlay.0[..], &n.to_be_bytes()].concat());
    // About one hash in 2^128 is no valid key; the node's own is as good then.
    let key = SecretKey::from_bytes(&seed).unwrap_or_else(|_| node.config.identity.swarm.clone());
    let mut record = record::sign(
        version,
        &key,
        &[address(node, &seed)],
        node.network_id(),
        seed,
        now_ms() / 1000,
    );
    if version == Version::V14 {
        record.wire.signature = vec![0; 65];
    }
    record.wire
}

/// An address nobody listens at. Ports below 1024 on the announced host, or anywhere in 127/8: dialing never leaves the machine.
fn address(node: &Inner, seed: &[u8; 32]) -> Multiaddr {
    let host = match node.config.announce_host {
        Some(host) if !host.is_loopback() => host,
        _ => IpAddr::V4(Ipv4Addr::new(127, seed[0] | 1, seed[1], seed[2])),
    };
    let peer = identity::ed25519::SecretKey::try_from_bytes(*seed)
        .map(|secret| {
            identity::PublicKey::from(identity::ed25519::Keypair::from(secret).public().clone())
                .to_peer_id()
        })
        .unwrap_or_else(|_| PeerId::random());
    let port = u16::from_be_bytes([seed[3], seed[4]]) % 1000 + 1;
    super::tcp_address(host, port).with(Protocol::P2p(peer))
}
