//! Handshake 14.0.0 and 15.0.0, from both ends, and what follows it.
use super::{Inner, ProtocolError, Session, hive, lock, now_ms, peers, settle};
use crate::frame::Framed;
use crate::net::Connection;
use crate::record::{self, Record, Source};
use crate::wire::{Ack, Syn, SynAck, Version};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(15);

/// Answers a handshake stream. Any failure closes the connection, as in bee.
pub(crate) async fn accept(
    node: Arc<Inner>,
    connection: Arc<Connection>,
    version: Version,
    framed: Framed,
) {
    match answer(&node, &connection, version, framed).await {
        Ok(true) => introduce(&node, &connection).await,
        Ok(false) => {}
        Err(error) => {
            tracing::debug!(?connection, %error, "handshake failed");
            node.close(&connection);
        }
    }
}

/// Listener's side; returns whether the peer is new.
async fn answer(
    node: &Arc<Inner>,
    connection: &Arc<Connection>,
    version: Version,
    mut framed: Framed,
) -> Result<bool, ProtocolError> {
    let exchange = async {
        let syn: Syn = framed.read().await?;
        record::decode_underlays(&syn.observed_underlay)?;
        framed
            .write(&SynAck {
                syn: Some(observed(connection)),
                ack: Some(own_ack(node, version)?),
            })
            .await?;
        Ok::<Ack, ProtocolError>(framed.read().await?)
    };
    let ack = tokio::time::timeout(TIMEOUT, exchange).await??;
    let (record, full) = check_ack(node, version, &ack)?;
    let new = register(node, connection, version, record, full)?;
    framed.full_close().await?;
    Ok(new)
}

/// Makes a handshake on a connection we dialed: with the newest generation both know and, when this node has both, with the
/// other one as well, so that each side holds a signed record it can pass on to peers of that generation.
pub(crate) async fn dial(
    node: &Arc<Inner>,
    connection: &Arc<Connection>,
) -> Result<(), ProtocolError> {
    let protocols: Vec<_> = node.versions().iter().map(|v| v.handshake()).collect();
    let (stream, agreed) = connection.open(protocols).await?;
    let version = if agreed == Version::V14.handshake() {
        Version::V14
    } else {
        Version::V15
    };
    let new = propose(node, connection, version, Framed::new(stream)).await?;
    for other in node.versions().iter().filter(|v| **v != version) {
        if let Ok((stream, _)) = connection.open(vec![other.handshake()]).await {
            propose(node, connection, *other, Framed::new(stream)).await?;
        }
    }
    if new {
        introduce(node, connection).await;
    }
    Ok(())
}

/// Dialer's side; returns whether the peer is new.
async fn propose(
    node: &Arc<Inner>,
    connection: &Arc<Connection>,
    version: Version,
    mut framed: Framed,
) -> Result<bool, ProtocolError> {
    let exchange = async {
        framed.write(&observed(connection)).await?;
        framed.read::<SynAck>().await
    };
    // bee may first wait up to 10 s for an address of ours.
    let answer: SynAck =
        tokio::time::timeout(TIMEOUT + Duration::from_secs(10), exchange).await??;
    let syn = answer
        .syn
        .ok_or(ProtocolError::Refused("SynAck without Syn"))?;
    let ack = answer
        .ack
        .ok_or(ProtocolError::Refused("SynAck without Ack"))?;
    for address in record::decode_underlays(&syn.observed_underlay)? {
        if peer_of(&address) != Some(node.peer_id) {
            return Err(ProtocolError::Refused(
                "observed address is not of this node",
            ));
        }
    }
    let (record, full) = check_ack(node, version, &ack)?;
    if !full {
        return Err(ProtocolError::Refused("dialed a light node"));
    }
    // Registered before the Ack is written: the other side may open streams as soon as it has it.
    let new = register(node, connection, version, record, full)?;
    framed.write(&own_ack(node, version)?).await?;
    framed.full_close().await?;
    Ok(new)
}

/// What we saw of the other side: exactly one multiaddr with its peer id, the form every bee reads.
fn observed(connection: &Connection) -> Syn {
    let mut address: Multiaddr = connection
        .remote
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect();
    address.push(Protocol::P2p(connection.peer));
    Syn {
        observed_underlay: address.to_vec(),
    }
}

fn own_ack(node: &Inner, version: Version) -> Result<Ack, ProtocolError> {
    let record = node
        .record(version)
        .ok_or(ProtocolError::Refused("not listening yet"))?;
    let mut address = record.wire.clone();
    let mut nonce = Vec::new();
    if version == Version::V14 {
        nonce = std::mem::take(&mut address.nonce);
    }
    Ok(Ack {
        address: Some(address),
        network_id: node.network_id(),
        full_node: true,
        nonce,
        welcome_message: String::new(),
    })
}

/// SPEC swarm-wire 3.5: the checks bee makes, in its order.
fn check_ack(node: &Inner, version: Version, ack: &Ack) -> Result<(Record, bool), ProtocolError> {
    let address = ack
        .address
        .as_ref()
        .ok_or(ProtocolError::Refused("Ack without address"))?;
    if ack.network_id != node.network_id() {
        return Err(ProtocolError::Refused("other network id"));
    }
    let known = <[u8; 32]>::try_from(address.overlay.as_slice())
        .ok()
        .and_then(|overlay| known_timestamp(node, bmt::Overlay(overlay)));
    let record = record::check(
        version,
        Source::Handshake,
        address,
        &ack.nonce,
        node.network_id(),
        known,
        now_ms() / 1000,
    )?;
    if record.overlay == node.overlay {
        return Err(ProtocolError::Refused("own overlay"));
    }
    Ok((record, ack.full_node))
}

fn known_timestamp(node: &Inner, overlay: bmt::Overlay) -> Option<i64> {
    let state = lock(&node.state);
    let record = state.peers.get(&overlay)?.records[Version::V15.index()].as_ref()?;
    Some(record.timestamp)
}

/// Enters a peer whose handshake is good; returns whether it was not connected before.
fn register(
    node: &Inner,
    connection: &Arc<Connection>,
    version: Version,
    record: Record,
    full: bool,
) -> Result<bool, ProtocolError> {
    if node.config.memory.is_blocked(&record.overlay) {
        return Err(ProtocolError::Refused("peer is blocklisted"));
    }
    let mut state = lock(&node.state);
    if let Some(session) = connection.session.get() {
        // The other generation on a connection that has one already.
        if session.overlay != record.overlay || session.full != full {
            return Err(ProtocolError::Refused(
                "another overlay on the same connection",
            ));
        }
        session.add_version(version);
        if let Some(peer) = state.peers.get_mut(&record.overlay).filter(|_| full) {
            peer.records[version.index()] = Some(record);
        }
        return Ok(false);
    }
    node.counters().handshakes.one();
    let overlay = record.overlay;
    // A full node on a second connection (both sides dialed) shares the session. Another libp2p identity with the same overlay is
    // the node after a restart, and a light client that connects again lost the old connection without our noticing: both start
    // afresh, threshold and peers included, and what is left of the old connection is closed.
    if let Some(old) = state.peers.get(&overlay)
        && (old.session.peer_id != connection.peer || old.session.full != full || !full)
    {
        for stale in &old.connections {
            node.close(stale);
        }
        state.peers.remove(&overlay);
    }
    let new = !state.peers.contains_key(&overlay);
    let peer = state.peers.entry(overlay).or_insert_with(|| {
        let account = node.config.memory.account(overlay, node.config.profile);
        lock(&account).connect(full);
        peers::Peer {
            session: Arc::new(Session::new(overlay, connection.peer, full, account)),
            connections: Vec::new(),
            records: [None, None],
        }
    });
    peer.session.add_version(version);
    peer.connections.push(connection.clone());
    if full {
        peer.records[version.index()] = Some(record);
    }
    let _ = connection.session.set(peer.session.clone());
    state.pending.remove(&connection.id);
    if let Some(known) = state.known.get_mut(&connection.peer) {
        known.overlay = Some(overlay);
    }
    tracing::debug!(
        ?node,
        peer = super::hex(&overlay.0),
        full,
        ?version,
        new,
        "connected"
    );
    if !full {
        make_room_for_light_nodes(node, &state, &overlay);
    }
    Ok(new)
}

/// SPEC swarm-wire 3.7: over the limit, another light node has to go.
fn make_room_for_light_nodes(node: &Inner, state: &peers::State, newest: &bmt::Overlay) {
    let light: Vec<_> = state.peers.values().filter(|p| !p.session.full).collect();
    if light.len() <= node.config.limits.light_nodes {
        return;
    }
    let pick = now_ms().unsigned_abs() as usize % light.len();
    let other = light[pick..]
        .iter()
        .chain(&light)
        .find(|p| p.session.overlay != *newest);
    for connection in other.iter().flat_map(|peer| &peer.connections) {
        node.close(connection);
    }
}

/// After the handshake, in this order: payment threshold, then hive.
async fn introduce(node: &Arc<Inner>, connection: &Arc<Connection>) {
    let Some(session) = connection.session.get().cloned() else {
        return;
    };
    let threshold = lock(&session.account).threshold_for_peer();
    if let Err(error) = settle::announce_threshold(node, &session, threshold).await {
        tracing::debug!(?connection, %error, "peer does not take the payment threshold");
        node.disconnect(&session.overlay, "payment threshold not taken");
        return;
    }
    if let Err(error) = hive::introduce(node, &session, !connection.dialed).await {
        tracing::debug!(?connection, %error, "peer does not take peers");
        node.disconnect(&session.overlay, "failed broadcasting to peer");
    }
}

/// The peer id an address ends in.
pub(crate) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}
