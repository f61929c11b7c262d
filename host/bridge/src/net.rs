//! The libp2p half: listens, and hands inbound streams over.
//!
//! A small behaviour of our own instead of `libp2p-stream`: an inbound stream goes straight from the connection's task to a task of its
//! own, without a queue that all connections share and that drops streams when it is full.
use futures::future::{Ready, ready};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, InboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, identify, noise, ping, tcp, yamux};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::{Config, StartError};

/// Streams of one connection, served or not; more end the connection.
const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// Streams of one connection whose protocol is still being agreed on.
const NEGOTIATING_MAX: usize = 64;
/// A connection without streams is closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Connections of one peer.
const CONNECTIONS_PER_PEER_MAX: u32 = 16;

/// Takes inbound streams.
pub(crate) type Sink = Arc<dyn Fn(PeerId, Stream) + Send + Sync>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    streams: Streams,
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// Makes the node; nothing listens yet.
pub(crate) fn swarm(
    config: &Config,
    protocol: StreamProtocol,
    sink: Sink,
) -> Result<Swarm<Behaviour>, StartError> {
    let limits = ConnectionLimits::default()
        .with_max_established_incoming(Some(config.limits.connections_max))
        .with_max_pending_incoming(Some(config.limits.connections_max))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
    let identity = config.identity.clone();
    let failed = |error: &dyn std::fmt::Display| StartError::Transport(error.to_string());
    let swarm = libp2p::SwarmBuilder::with_existing_identity(identity)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            || {
                let mut config = yamux::Config::default();
                config.set_max_num_streams(STREAMS_PER_CONNECTION_MAX as usize);
                config
            },
        )
        .map_err(|error| failed(&error))?
        .with_quic_config(|mut config| {
            config.max_concurrent_stream_limit = STREAMS_PER_CONNECTION_MAX;
            config.handshake_timeout = Duration::from_secs(10);
            config.max_idle_timeout = 30_000;
            // Requests are short: what clients may send unread is memory of ours.
            config.max_stream_data = 128 * 1024;
            config.max_connection_data = 1024 * 1024;
            config
        })
        .with_behaviour(|key| Behaviour {
            streams: Streams { protocol, sink },
            limits: connection_limits::Behaviour::new(limits),
            identify: identify::Behaviour::new(
                identify::Config::new("/deboot/1".into(), key.public())
                    .with_agent_version(concat!("deboot-bridge/", env!("CARGO_PKG_VERSION")).into())
                    .with_cache_size(0)
                    .with_interval(Duration::from_secs(24 * 3600)),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(30))),
        })
        .map_err(|error| failed(&error))?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(NEGOTIATING_MAX)
        })
        .build();
    Ok(swarm)
}

/// The behaviour: inbound streams of one protocol.
pub(crate) struct Streams {
    protocol: StreamProtocol,
    sink: Sink,
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

impl Streams {
    fn handler(&self, peer: PeerId) -> Handler {
        Handler {
            peer,
            protocol: self.protocol.clone(),
            sink: self.sink.clone(),
        }
    }
}

/// Handler of one connection.
pub(crate) struct Handler {
    peer: PeerId,
    protocol: StreamProtocol,
    sink: Sink,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade(self.protocol.clone()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, DeniedUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: stream,
            ..
        }) = event
        {
            (self.sink)(self.peer, stream);
        }
    }
}

/// Yields the raw stream.
#[derive(Clone)]
pub(crate) struct Upgrade(StreamProtocol);

impl UpgradeInfo for Upgrade {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.0.clone())
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
