//! status and pingpong.
use super::{Inner, ProtocolError, lock};
use crate::frame::Framed;
use crate::wire::{Get, Ping, Pong, Snapshot};

/// Answers a status request. A light bee retrieves nothing before a peer told it that it is a full node.
pub(crate) async fn status(node: &Inner, mut framed: Framed) -> Result<(), ProtocolError> {
    framed.accept_headers().await?;
    let _: Get = framed.read().await?;
    let connected = lock(&node.state).peers.len() as u64;
    let chunks = node.config.store.len() as u64;
    framed
        .write(&Snapshot {
            reserve_size: chunks,
            reserve_size_within_radius: chunks,
            connected_peers: connected,
            neighborhood_size: connected,
            bee_mode: "full".into(),
            is_reachable: true,
            ..Snapshot::default()
        })
        .await?;
    Ok(framed.full_close().await?)
}

/// Answers pings until the other side ends the stream.
pub(crate) async fn pingpong(mut framed: Framed) -> Result<(), ProtocolError> {
    framed.accept_headers().await?;
    let ping: Ping = framed.read().await?;
    framed
        .write(&Pong {
            response: format!("{{{}}}", ping.greeting),
        })
        .await?;
    Ok(framed.full_close().await?)
}
