//! Behaviour and connection handler that hand out raw streams.
use super::Host;
use crate::node::Session;
use futures::channel::{mpsc, oneshot};
use futures::future::{Ready, ready};
use futures::{FutureExt, StreamExt};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

/// Why no stream could be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the connection is closed")]
    Closed,
    #[error("the peer does not support the protocol")]
    Unsupported,
    #[error("no agreement on a protocol in time")]
    Timeout,
    #[error("stream: {0}")]
    Io(std::io::Error),
}

struct OpenRequest {
    protocols: Vec<StreamProtocol>,
    answer: oneshot::Sender<Result<(Stream, StreamProtocol), OpenError>>,
}

/// One connection, as the rest of the storer sees it.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerId,
    /// Address of the other side: observed for inbound, dialed for outbound connections.
    pub(crate) remote: Multiaddr,
    /// Whether we made the connection.
    pub(crate) dialed: bool,
    pub(crate) since: Instant,
    /// Set by the handshake.
    pub(crate) session: OnceLock<Arc<Session>>,
    /// Chunks delivered on this connection.
    pub(crate) delivered: AtomicU64,
    open: mpsc::UnboundedSender<OpenRequest>,
    inbound: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.id, self.peer, self.remote)
    }
}

impl Connection {
    /// Opens a stream with the first of `protocols` the other side knows.
    pub(crate) async fn open(
        &self,
        protocols: Vec<StreamProtocol>,
    ) -> Result<(Stream, StreamProtocol), OpenError> {
        let (answer, receive) = oneshot::channel();
        self.open
            .unbounded_send(OpenRequest { protocols, answer })
            .map_err(|_| OpenError::Closed)?;
        receive.await.map_err(|_| OpenError::Closed)?
    }

    /// Counts an inbound stream; `None` when there are `max` already. Dropping the guard gives the place back.
    pub(crate) fn admit(&self, max: usize) -> Option<StreamGuard> {
        let guard = StreamGuard(self.inbound.clone());
        (self.inbound.fetch_add(1, Ordering::Relaxed) < max).then_some(guard)
    }
}

/// A place among the inbound streams of a connection.
pub(crate) struct StreamGuard(Arc<AtomicUsize>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The behaviour: one [`Connection`] per connection.
pub(crate) struct Streams {
    protocols: Arc<[StreamProtocol]>,
    host: Weak<dyn Host>,
    connections: HashMap<ConnectionId, Arc<Connection>>,
    connections_max: usize,
}

impl Streams {
    pub(crate) fn new(
        protocols: Vec<StreamProtocol>,
        host: Weak<dyn Host>,
        connections_max: usize,
    ) -> Self {
        Self {
            protocols: protocols.into(),
            host,
            connections: HashMap::new(),
            connections_max,
        }
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.connections.get(&id).cloned()
    }

    fn handler(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        dialed: bool,
    ) -> Handler {
        let (open, requests) = mpsc::unbounded();
        let connection = Arc::new(Connection {
            id,
            peer,
            remote: remote.clone(),
            dialed,
            since: Instant::now(),
            session: OnceLock::new(),
            delivered: AtomicU64::new(0),
            open,
            inbound: Arc::new(AtomicUsize::new(0)),
        });
        self.connections.insert(id, connection.clone());
        Handler {
            protocols: self.protocols.clone(),
            host: self.host.clone(),
            connection: Arc::downgrade(&connection),
            requests,
        }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.connections.len() >= self.connections_max {
            return Err(ConnectionDenied::new(std::io::Error::other(
                "too many connections",
            )));
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(id, peer, remote, false))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(id, peer, remote, true))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(e) => {
                if let (Some(host), Some(connection)) =
                    (self.host.upgrade(), self.connections.get(&e.connection_id))
                {
                    host.handle_connected(connection.clone());
                }
            }
            FromSwarm::ConnectionClosed(e) => {
                if let (Some(host), Some(connection)) = (
                    self.host.upgrade(),
                    self.connections.remove(&e.connection_id),
                ) {
                    host.handle_disconnected(connection);
                }
            }
            FromSwarm::DialFailure(e) => {
                self.connections.remove(&e.connection_id);
            }
            FromSwarm::ListenFailure(e) => {
                self.connections.remove(&e.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Negotiates one of several protocol ids and yields the raw stream.
#[derive(Clone)]
pub(crate) struct Upgrade(Arc<[StreamProtocol]>);

impl UpgradeInfo for Upgrade {
    type Info = StreamProtocol;
    type InfoIter = Protocols;

    fn protocol_info(&self) -> Self::InfoIter {
        Protocols {
            all: self.0.clone(),
            next: 0,
        }
    }
}

/// Iterates over shared protocol ids: negotiating a stream copies no list.
pub(crate) struct Protocols {
    all: Arc<[StreamProtocol]>,
    next: usize,
}

impl Iterator for Protocols {
    type Item = StreamProtocol;

    fn next(&mut self) -> Option<StreamProtocol> {
        let protocol = self.all.get(self.next).cloned();
        self.next += 1;
        protocol
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

/// Handler of one connection.
pub(crate) struct Handler {
    protocols: Arc<[StreamProtocol]>,
    host: Weak<dyn Host>,
    connection: Weak<Connection>,
    requests: mpsc::UnboundedReceiver<OpenRequest>,
}

type Answer = oneshot::Sender<Result<(Stream, StreamProtocol), OpenError>>;

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Answer;

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade(self.protocols.clone()), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, Answer, Infallible>> {
        match self.requests.next().poll_unpin(cx) {
            Poll::Ready(Some(request)) => {
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: SubstreamProtocol::new(
                        Upgrade(request.protocols.into()),
                        request.answer,
                    ),
                })
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, Upgrade, (), Answer>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => {
                if let (Some(host), Some(connection)) =
                    (self.host.upgrade(), self.connection.upgrade())
                {
                    host.handle_stream(connection, protocol, stream);
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info,
            }) => {
                let _ = info.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => OpenError::Timeout,
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Io(e) => OpenError::Io(e),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.send(Err(error));
            }
            _ => {}
        }
    }
}
