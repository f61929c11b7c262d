//! Starts a bridge and keeps it running.
use crate::backend::Backend;
use crate::disk::Disk;
use crate::net::{self, Behaviour};
use crate::serve::Server;
use crate::{Config, Fault, Metrics, Store};
use fetch::PROTOCOL;
use futures::StreamExt;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

/// Time for all listeners to come up.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for all connections to be closed.
const PART_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a bridge that is being stopped looks whether its streams have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Clients of the metrics endpoint at once.
const SCRAPERS_MAX: usize = 8;

/// Why a bridge cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No libp2p node.
    #[error("libp2p: {0}")]
    Transport(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Which.
        address: Multiaddr,
        /// What libp2p or the operating system says.
        why: String,
    },
    /// The cache cannot be used.
    #[error("cache {}: {source}", .directory.display())]
    Cache {
        /// Where.
        directory: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The metrics endpoint cannot be opened.
    #[error("metrics on {address}: {source}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// A running bridge. Dropping it stops it at once; [`stop`](Self::stop) lets streams end.
pub struct Running {
    /// Its peer id.
    pub peer: PeerId,
    /// Where it listens, peer id included.
    pub addresses: Vec<Multiaddr>,
    /// Where Prometheus asks.
    pub metrics_address: Option<SocketAddr>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    node: JoinHandle<()>,
}

/// Starts a bridge; to be called inside a tokio runtime.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config, backend: Arc<dyn Backend>) -> Result<Running, StartError> {
    let metrics = Arc::new(Metrics::new());
    let disk = config.cache.as_ref().map(|cache| {
        Disk::open(cache).map_err(|source| StartError::Cache {
            directory: cache.directory.clone(),
            source,
        })
    });
    let store = Store::new(backend, disk.transpose()?, &config.limits, metrics.clone());
    let server = Arc::new(Server::new(
        store,
        config.limits.clone(),
        metrics.clone(),
        config.fault,
    ));
    let (stop, stopped) = watch::channel(false);
    let metrics_address = match config.metrics {
        Some(address) => Some(expose(address, metrics.clone(), stopped.clone()).await?),
        None => None,
    };
    let shared = server.clone();
    let streams_stopped = stopped.clone();
    let sink: net::Sink = Arc::new(move |peer, stream| {
        let server = shared.clone();
        let mut stopped = streams_stopped.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = server.serve(peer, stream) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    });
    let protocol = StreamProtocol::new(match config.fault {
        Some(Fault::OtherVersion) => "/deboot/fetch/2.0.0",
        _ => PROTOCOL,
    });
    let mut swarm = net::swarm(&config, protocol, sink)?;
    for address in &config.listen {
        swarm
            .listen_on(address.clone())
            .map_err(|error| StartError::Listen {
                address: address.clone(),
                why: error.to_string(),
            })?;
    }
    let peer = *swarm.local_peer_id();
    let (ready, listening) = oneshot::channel();
    let wanted = config.listen.clone();
    let node = tokio::spawn(drive(swarm, wanted, ready, metrics.clone(), stopped));
    let addresses = match listening.await {
        Ok(result) => result?,
        Err(_) => return Err(StartError::Transport("the node ended".into())),
    };
    let addresses = addresses
        .into_iter()
        .map(|address| address.with_p2p(peer).unwrap_or_else(|address| address));
    Ok(Running {
        peer,
        addresses: addresses.collect(),
        metrics_address,
        metrics,
        server,
        stop,
        node,
    })
}

impl Running {
    /// Stops it: new streams are refused, running ones get [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout) to end, and
    /// then all connections are closed.
    pub async fn stop(self) {
        self.server.stopping.send_replace(true);
        let end = tokio::time::Instant::now() + self.server.limits.shutdown_timeout;
        // A client that has everything ends its side; closing the connection earlier would take from it what is on its way.
        while self.server.open_streams() > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let left = self.server.streams();
        if left > 0 {
            tracing::warn!(streams = left, "stopping in the middle of streams");
        }
        self.stop.send_replace(true);
        // A panic of that task was reported by the runtime.
        drop(self.node.await);
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

type Listening = Result<Vec<Multiaddr>, StartError>;

/// Owns the libp2p node until it is told to stop.
async fn drive(
    mut swarm: Swarm<Behaviour>,
    wanted: Vec<Multiaddr>,
    ready: oneshot::Sender<Listening>,
    metrics: Arc<Metrics>,
    mut stopped: watch::Receiver<bool>,
) {
    let listening = tokio::time::timeout(LISTEN_TIMEOUT, listen(&mut swarm, &wanted)).await;
    let listening = listening
        .unwrap_or_else(|_| Err(StartError::Transport("the listeners do not come up".into())));
    let has_failed = listening.is_err();
    if ready.send(listening).is_err() || has_failed {
        return;
    }
    loop {
        tokio::select! {
            is_told = async { stopped.wait_for(|stop| *stop).await.is_ok() } => {
                // Else the sender is gone: nobody waits.
                if is_told {
                    part(&mut swarm, &metrics).await;
                }
                return;
            }
            event = swarm.select_next_some() => note(&metrics, event),
        }
    }
}

/// Closes all connections: a QUIC client that is not told waits for half a minute.
async fn part(swarm: &mut Swarm<Behaviour>, metrics: &Metrics) {
    let peers: Vec<PeerId> = swarm.connected_peers().copied().collect();
    for peer in peers {
        // Who has gone meanwhile need not be told.
        swarm.disconnect_peer_id(peer).unwrap_or_default();
    }
    let all = async {
        while swarm.network_info().num_peers() > 0 {
            note(metrics, swarm.select_next_some().await);
        }
    };
    drop(tokio::time::timeout(PART_TIMEOUT, all).await);
    // A connection counts as closed when its last packet is handed over, not when it is sent.
    tokio::time::sleep(LOOK_EVERY).await;
}

/// Waits until every listener has an address. One on `0.0.0.0` may have several: those that come at once are told.
async fn listen(swarm: &mut Swarm<Behaviour>, wanted: &[Multiaddr]) -> Listening {
    let mut found = Vec::new();
    let mut listeners = std::collections::HashSet::new();
    while listeners.len() < wanted.len() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr {
                address,
                listener_id,
            } => {
                listeners.insert(listener_id);
                found.push(address);
            }
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                let address = addresses.first().or(wanted.first());
                return Err(StartError::Listen {
                    address: address.cloned().unwrap_or_else(Multiaddr::empty),
                    why: match reason {
                        Ok(()) => "the listener closed".into(),
                        Err(error) => error.to_string(),
                    },
                });
            }
            _ => {}
        }
    }
    let pause = tokio::time::sleep(Duration::from_millis(50));
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => return Ok(found),
            event = swarm.select_next_some() => {
                if let SwarmEvent::NewListenAddr { address, .. } = event {
                    found.push(address);
                }
            }
        }
    }
}

fn note(metrics: &Metrics, event: SwarmEvent<crate::net::BehaviourEvent>) {
    match event {
        SwarmEvent::ConnectionEstablished {
            peer_id, endpoint, ..
        } => {
            metrics.connections.inc();
            tracing::info!(peer = %peer_id, from = %endpoint.get_remote_address(), "connected");
        }
        SwarmEvent::ConnectionClosed { peer_id, cause, .. } => {
            metrics.connections.dec();
            let cause = cause.map_or_else(|| "closed".to_owned(), |cause| cause.to_string());
            tracing::info!(peer = %peer_id, cause, "disconnected");
        }
        SwarmEvent::IncomingConnectionError {
            send_back_addr,
            error,
            ..
        } => tracing::info!(from = %send_back_addr, %error, "connection failed"),
        SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening"),
        SwarmEvent::ExpiredListenAddr { address, .. } => tracing::info!(%address, "address gone"),
        SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
        SwarmEvent::ListenerClosed { reason, .. } => tracing::error!(?reason, "listener closed"),
        _ => {}
    }
}

/// Opens the metrics endpoint.
async fn expose(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    mut stopped: watch::Receiver<bool>,
) -> Result<SocketAddr, StartError> {
    let failed = |source| StartError::Metrics { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let places = Arc::new(Semaphore::new(SCRAPERS_MAX));
    tokio::spawn(async move {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                continue;
            };
            let metrics = metrics.clone();
            tokio::spawn(async move {
                let service = service_fn(|request: Request<hyper::body::Incoming>| {
                    std::future::ready(Ok::<_, Infallible>(scrape(&metrics, &request)))
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(10))
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                if let Err(error) = served {
                    tracing::debug!(%error, "metrics client");
                }
                drop(place);
            });
        }
    });
    Ok(bound)
}

fn scrape<B>(metrics: &Metrics, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() = Full::from("try GET /metrics\n");
        return response;
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(kind),
    );
    *response.body_mut() = Full::from(metrics.render());
    response
}
