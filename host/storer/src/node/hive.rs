//! hive 1.1.0 and 2.0.0: telling peers about peers.
use super::{Inner, ProtocolError, Session, junk, lock, now_ms, peers::Known, topology};
use crate::Fault;
use crate::frame::Framed;
use crate::record::{self, Source};
use crate::wire::{BzzAddress, Peers, Version};
use bmt::{Overlay, proximity};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Records in one message.
const BATCH: usize = 30;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tells a new peer about the others, and, when it is a full node that dialed us, the others about it.
pub(crate) async fn introduce(
    node: &Arc<Inner>,
    session: &Arc<Session>,
    inbound: bool,
) -> Result<(), ProtocolError> {
    let faults = node.faults();
    for version in node.versions() {
        if !session.speaks(*version) {
            continue;
        }
        let records = selection(node, session, *version);
        for batch in records.chunks(BATCH) {
            if !lock(&session.hive_out).take(batch.len()) {
                break;
            }
            send(node, session, *version, batch.to_vec()).await?;
        }
        for fault in faults.iter() {
            if let Fault::JunkPeers { count } = fault {
                junk::announce(node, session, *version, *count).await?;
            }
        }
    }
    if session.full && inbound {
        announce_to_others(node, session);
    }
    Ok(())
}

/// Records worth telling `to`: connected storers, spread over the bins so that a cut list still covers the address space.
fn selection(node: &Inner, to: &Session, version: Version) -> Vec<BzzAddress> {
    let fellows = lock(&node.config.fellows).clone();
    let to_fellow = fellows.contains(&to.overlay);
    let state = lock(&node.state);
    let mut bins: BTreeMap<u8, Vec<&BzzAddress>> = BTreeMap::new();
    for (overlay, peer) in &state.peers {
        let told = to_fellow && fellows.contains(overlay);
        if !peer.session.full
            || *overlay == to.overlay
            || told
            || state.is_boot(&peer.session.peer_id)
        {
            continue;
        }
        if let Some(record) = &peer.records[version.index()] {
            bins.entry(proximity(&node.overlay.0, &overlay.0))
                .or_default()
                .push(&record.wire);
        }
    }
    let deepest = bins.values().map(Vec::len).max().unwrap_or(0);
    (0..deepest)
        .flat_map(|i| bins.values().filter_map(move |bin| bin.get(i).copied()))
        .take(node.config.limits.announced)
        .cloned()
        .collect()
}

/// SPEC swarm-wire 4: a full node that connects inbound is announced to the others, one record per message.
fn announce_to_others(node: &Arc<Inner>, new: &Arc<Session>) {
    let fellows = lock(&node.config.fellows).clone();
    let new_is_fellow = fellows.contains(&new.overlay);
    let state = lock(&node.state);
    let Some(peer) = state.peers.get(&new.overlay) else {
        return;
    };
    for (overlay, other) in &state.peers {
        if *overlay == new.overlay || (new_is_fellow && fellows.contains(overlay)) {
            continue;
        }
        for version in node.versions() {
            let Some(record) = peer.records[version.index()].as_ref() else {
                continue;
            };
            if !other.session.speaks(*version) || !lock(&other.session.hive_out).take(1) {
                continue;
            }
            let (node, to, version) = (node.clone(), other.session.clone(), *version);
            let wire = record.wire.clone();
            node.clone().cancel.spawn(async move {
                if let Err(error) = send(&node, &to, version, vec![wire]).await {
                    tracing::debug!(%error, "peer was not announced");
                }
            });
        }
    }
}

/// Sends one message.
pub(crate) async fn send(
    node: &Inner,
    session: &Session,
    version: Version,
    peers: Vec<BzzAddress>,
) -> Result<(), ProtocolError> {
    let count = peers.len() as u64;
    let framed = tokio::time::timeout(TIMEOUT, async {
        let mut framed = node.open(session, version.hive()).await?;
        framed.write(&Peers { peers }).await?;
        framed.close_write().await?;
        Ok::<_, ProtocolError>(framed)
    })
    .await??;
    node.counters().peers_announced.add(count);
    // The receiver full-closes; nobody has to wait for it.
    let mut framed = framed;
    let _ = tokio::time::timeout(TIMEOUT, framed.drain()).await;
    Ok(())
}

/// Takes records a peer sends. Over its allowance the stream is reset.
pub(crate) async fn accept(
    node: &Arc<Inner>,
    session: &Session,
    version: Version,
    mut framed: Framed,
) -> Result<(), ProtocolError> {
    framed.accept_headers().await?;
    let message: Peers = tokio::time::timeout(TIMEOUT, framed.read()).await??;
    if !lock(&session.hive_in).take(message.peers.len()) {
        node.counters()
            .peers_refused
            .add(message.peers.len() as u64);
        return Err(ProtocolError::Refused("too many peers announced"));
    }
    if node.config.neighbours_per_bin > 0 {
        let mut news = false;
        for wire in &message.peers {
            news |= learn(node, version, wire);
        }
        if news {
            node.topology.notify_one();
        }
    }
    Ok(framed.full_close().await?)
}

/// Remembers a gossiped record if it is good; returns whether it is new.
fn learn(node: &Inner, version: Version, wire: &BzzAddress) -> bool {
    let Ok(overlay) = <[u8; 32]>::try_from(wire.overlay.as_slice()).map(Overlay) else {
        return false;
    };
    let known_timestamp = lock(&node.state)
        .known
        .values()
        .find(|known| known.overlay == Some(overlay))
        .map(|known| known.timestamp);
    let checked = record::check(
        version,
        Source::Gossip,
        wire,
        &[],
        node.network_id(),
        known_timestamp,
        now_ms() / 1000,
    );
    let Ok(record) = checked else {
        return false;
    };
    let dialable = record.underlays.iter().find_map(topology::dialable);
    let Some((peer, address)) = dialable.filter(|_| record.overlay != node.overlay) else {
        return false;
    };
    let mut state = lock(&node.state);
    let full = state.known.len() >= node.config.limits.known_peers;
    match state.known.entry(peer) {
        std::collections::btree_map::Entry::Vacant(entry) if !full => {
            let known = entry.insert(Known::new(address, false, false));
            known.overlay = Some(overlay);
            known.timestamp = record.timestamp;
            true
        }
        std::collections::btree_map::Entry::Vacant(_) => false,
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            let known = entry.get_mut();
            if !known.fixed {
                known.address = address;
            }
            known.timestamp = record.timestamp;
            false
        }
    }
}
