//! Keeps the wanted connections up.
use super::{Contact, Inner, handshake, lock, peers::Known, peers::State};
use bmt::proximity;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often the wanted connections are looked over when nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// Connections being made at the same time.
const DIALS_MAX: usize = 16;
/// A connection without a handshake is closed after this.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(30);
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_FIXED_MAX: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Failed dials after which a node learnt by hive is forgotten.
const FAILURES_MAX: u32 = 4;

/// Parses configured contacts.
pub(crate) fn parse_contacts(contacts: &[Contact]) -> io::Result<Vec<(PeerId, Known)>> {
    contacts
        .iter()
        .map(|contact| {
            let address: Multiaddr = contact.address.parse().map_err(io::Error::other)?;
            let peer = handshake::peer_of(&address)
                .ok_or_else(|| io::Error::other("address without /p2p/ suffix"))?;
            Ok((peer, Known::new(address, true, contact.boot)))
        })
        .collect()
}

/// Returns peer and address if this node can dial it: IP, TCP, peer id and nothing else.
pub(crate) fn dialable(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (
            Some(Protocol::Ip4(_) | Protocol::Ip6(_)),
            Some(Protocol::Tcp(_)),
            Some(Protocol::P2p(peer)),
            None,
        ) => Some((peer, address.clone())),
        _ => None,
    }
}

/// Runs until the node is gone.
pub(crate) async fn run(node: Weak<Inner>) {
    loop {
        let Some(node) = node.upgrade() else {
            return;
        };
        close_silent(&node);
        let wanted = wanted(&node, &mut lock(&node.state));
        let next = next_try(&node);
        for (peer, address) in wanted {
            let dialer = node.clone();
            node.cancel
                .spawn(async move { dial(dialer, peer, address).await });
        }
        let wait = next.saturating_duration_since(Instant::now()).min(TICK);
        let _ = tokio::time::timeout(
            wait.max(Duration::from_millis(10)),
            node.topology.notified(),
        )
        .await;
    }
}

/// Closes connections whose handshake does not come.
fn close_silent(node: &Inner) {
    for connection in lock(&node.state).pending.values() {
        if connection.since.elapsed() > HANDSHAKE_WITHIN {
            node.close(connection);
        }
    }
}

/// When the next node may be dialed again.
fn next_try(node: &Inner) -> Instant {
    let state = lock(&node.state);
    let connected = |peer: &PeerId| state.peers.values().any(|p| p.session.peer_id == *peer);
    state
        .known
        .iter()
        .filter(|(peer, known)| known.fixed && !known.dialing && !connected(peer))
        .map(|(_, known)| known.next)
        .min()
        .unwrap_or_else(|| Instant::now() + TICK)
}

/// Chooses what to dial now and marks it as being dialed.
fn wanted(node: &Inner, state: &mut State) -> Vec<(PeerId, Multiaddr)> {
    let now = Instant::now();
    let per_bin = node.config.neighbours_per_bin;
    let mut bins = [0usize; 32];
    let mut connected = std::collections::BTreeSet::new();
    for (overlay, peer) in &state.peers {
        connected.insert(peer.session.peer_id);
        if peer.session.full {
            bins[usize::from(proximity(&node.overlay.0, &overlay.0).min(31))] += 1;
        }
    }
    let mut room = DIALS_MAX.saturating_sub(state.known.values().filter(|k| k.dialing).count());
    let mut out = Vec::new();
    for (peer, known) in &mut state.known {
        if room == 0 {
            break;
        }
        if known.dialing || known.next > now || connected.contains(peer) || *peer == node.peer_id {
            continue;
        }
        if !known.fixed {
            let Some(overlay) = known.overlay else {
                continue;
            };
            let bin = usize::from(proximity(&node.overlay.0, &overlay.0).min(31));
            if bins[bin] >= per_bin {
                continue;
            }
            bins[bin] += 1;
        }
        known.dialing = true;
        room -= 1;
        out.push((*peer, known.address.clone()));
    }
    out
}

async fn dial(node: Arc<Inner>, peer: PeerId, address: Multiaddr) {
    let result = match node.dial(address.clone()).await {
        Ok(connection) => {
            let done = handshake::dial(&node, &connection).await;
            if done.is_err() {
                node.close(&connection);
            }
            done
        }
        Err(error) => Err(error),
    };
    let mut state = lock(&node.state);
    let Some(known) = state.known.get_mut(&peer) else {
        return;
    };
    known.dialing = false;
    match result {
        Ok(()) => known.failures = 0,
        Err(error) => {
            tracing::debug!(?node, %address, %error, "dial failed");
            known.failures += 1;
            let max = if known.fixed {
                RETRY_FIXED_MAX
            } else {
                RETRY_MAX
            };
            known.next = Instant::now() + (RETRY_MIN * (1 << known.failures.min(8))).min(max);
            if !known.fixed && known.failures >= FAILURES_MAX {
                state.known.remove(&peer);
            }
        }
    }
    drop(state);
    node.topology.notify_one();
}
