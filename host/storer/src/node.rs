//! One storer: its peers, its books, its chunks, and the protocols it speaks.
mod forward;
mod handshake;
mod hive;
mod junk;
mod peers;
mod retrieval;
mod settle;
mod small;
mod topology;

pub(crate) use peers::Session;

use crate::accounting::Account;
use crate::counters::{Counters, Live};
use crate::frame::{FrameError, Framed};
use crate::identity::Identity;
use crate::net::{self, Cancel, Command, Connection, Host, Listening, Network, OpenError};
use crate::record::{self, Record};
use crate::store::ChunkStore;
use crate::wire::{self, Version};
use crate::{Fault, Generation, Profile};
use bmt::Overlay;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, multiaddr::Protocol};
use peers::State;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// Accounts kept; those of peers that are gone are forgotten first.
const ACCOUNTS_MAX: usize = 10_000;

/// Another node this one keeps a connection to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Multiaddr to dial, with `/p2p/` suffix.
    pub address: String,
    /// A boot node: told about, but never asked for chunks.
    pub boot: bool,
}

/// What may be used at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, in and out.
    pub connections: usize,
    /// Streams one connection may have open towards us.
    pub streams_per_connection: usize,
    /// Light nodes; one more makes a random other one leave, as in bee.
    pub light_nodes: usize,
    /// Peers announced to a new peer.
    pub announced: usize,
    /// Peers learnt by hive and remembered.
    pub known_peers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams_per_connection: 1024,
            light_nodes: 100,
            announced: 120,
            known_peers: 4096,
        }
    }
}

/// Everything a node is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Keys.
    pub identity: Identity,
    /// Handshake generations.
    pub generation: Generation,
    /// Debt limits.
    pub profile: Profile,
    /// Address to listen on; port 0 lets the operating system choose.
    pub listen: SocketAddr,
    /// Host announced instead of the listen address.
    pub announce_host: Option<IpAddr>,
    /// Chunks.
    pub store: Arc<dyn ChunkStore>,
    /// Nodes to stay connected to.
    pub contacts: Vec<Contact>,
    /// Peers wanted per bin among those learnt by hive; 0 keeps to `contacts`.
    pub neighbours_per_bin: usize,
    /// Overlays of nodes that know each other already and are not announced to one another.
    pub fellows: Arc<Mutex<std::collections::BTreeSet<Overlay>>>,
    /// Keeps forwarded chunks.
    pub cache_forwarded: bool,
    /// Misbehaviour (test equipment).
    pub faults: Vec<Fault>,
    /// Bounds.
    pub limits: Limits,
    /// What survives a restart of the node: books, blocklist, counters.
    pub memory: Arc<NodeMemory>,
}

/// Books, blocklist and counters of a node; shared by its successive runs.
///
/// In memory only, even where chunks are on disk. bee writes the time of each peer's last settlement to its state store, so that a
/// restart does not give a peer its first, unlimited settlement again. Here that would protect nothing: storers live as long as the
/// process that holds their memory, and clients such as ours come with a new overlay at each start, which no record could match.
#[derive(Debug, Default)]
pub struct NodeMemory {
    accounts: Mutex<BTreeMap<Overlay, Arc<Mutex<Account>>>>,
    blocklist: Mutex<BTreeMap<Overlay, Instant>>,
    pub(crate) counters: Live,
}

impl NodeMemory {
    /// What the node has done so far.
    pub fn counters(&self) -> Counters {
        self.counters.read()
    }

    fn account(&self, overlay: Overlay, profile: Profile) -> Arc<Mutex<Account>> {
        let mut accounts = lock(&self.accounts);
        if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(&overlay) {
            accounts.retain(|_, account| lock(account).is_connected());
        }
        accounts
            .entry(overlay)
            .or_insert_with(|| Arc::new(Mutex::new(Account::new(profile))))
            .clone()
    }

    fn is_blocked(&self, overlay: &Overlay) -> bool {
        let mut list = lock(&self.blocklist);
        list.retain(|_, until| *until > Instant::now());
        list.contains_key(overlay)
    }
}

/// A running node. Dropping it closes every connection and the listener.
#[derive(Debug)]
pub struct Node {
    inner: Arc<Inner>,
    listening: Listening,
    _stop: watch::Sender<bool>,
}

pub(crate) struct Inner {
    config: NodeConfig,
    overlay: Overlay,
    peer_id: PeerId,
    /// Own records, by [`Version::index`]; set once the address is known.
    records: std::sync::OnceLock<[Record; 2]>,
    faults: Mutex<Arc<[Fault]>>,
    state: Mutex<State>,
    commands: mpsc::UnboundedSender<Command>,
    cancel: Cancel,
    topology: Notify,
    junk: junk::Junk,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", hex(&self.overlay.0))
    }
}

impl Node {
    /// Starts a node on the current tokio runtime; returns when it listens.
    ///
    /// # Errors
    /// The address cannot be bound, or a contact's address cannot be parsed.
    pub async fn start(config: NodeConfig) -> io::Result<Self> {
        let (commands, orders) = mpsc::unbounded_channel();
        let (stop, cancel) = Cancel::new();
        let contacts = topology::parse_contacts(&config.contacts)?;
        let inner = Arc::new(Inner {
            overlay: config.identity.overlay(),
            peer_id: config.identity.libp2p.public().to_peer_id(),
            records: std::sync::OnceLock::new(),
            faults: Mutex::new(config.faults.clone().into()),
            state: Mutex::new(State::new(contacts)),
            commands,
            cancel: cancel.clone(),
            topology: Notify::new(),
            junk: junk::Junk::default(),
            config,
        });
        let peer_id = inner.peer_id;
        let announce_host = inner.config.announce_host;
        let network = Network {
            key: inner.config.identity.libp2p.clone(),
            protocols: protocols(inner.config.generation),
            listen: tcp_address(inner.config.listen.ip(), inner.config.listen.port()),
            announce: Box::new(move |listen| announced(listen, announce_host)),
            agent: concat!("deboot-storer/", env!("CARGO_PKG_VERSION")).into(),
            connections_max: inner.config.limits.connections,
        };
        let host: Arc<dyn Host> = inner.clone();
        let mut listening = net::start(network, Arc::downgrade(&host), orders, &cancel).await?;
        listening.listen.push(Protocol::P2p(peer_id));
        listening.announced.push(Protocol::P2p(peer_id));
        let sign = |version| {
            record::sign(
                version,
                &inner.config.identity.swarm,
                std::slice::from_ref(&listening.announced),
                inner.config.identity.network_id,
                inner.config.identity.nonce,
                now_ms() / 1000,
            )
        };
        let _ = inner.records.set([sign(Version::V14), sign(Version::V15)]);
        cancel.spawn(topology::run(Arc::downgrade(&inner)));
        Ok(Self {
            inner,
            listening,
            _stop: stop,
        })
    }

    /// The overlay address.
    pub fn overlay(&self) -> Overlay {
        self.inner.overlay
    }

    /// Multiaddr announced to peers, with `/p2p/` suffix.
    pub fn underlay(&self) -> String {
        self.listening.announced.to_string()
    }

    /// Multiaddr really listened on, with `/p2p/` suffix.
    pub fn listen(&self) -> String {
        self.listening.listen.to_string()
    }

    /// Port listened on.
    pub fn port(&self) -> u16 {
        self.listening
            .listen
            .iter()
            .find_map(|part| match part {
                Protocol::Tcp(port) => Some(port),
                _ => None,
            })
            .unwrap_or(0)
    }

    /// Overlays of the peers whose handshake is finished.
    pub fn connected(&self) -> Vec<Overlay> {
        lock(&self.inner.state).peers.keys().copied().collect()
    }

    /// What the node has done so far.
    pub fn counters(&self) -> Counters {
        self.inner.config.memory.counters()
    }

    /// Adds nodes to stay connected to.
    ///
    /// # Errors
    /// An address that is no multiaddr with `/p2p/` suffix.
    pub fn add_contacts(&self, contacts: &[Contact]) -> io::Result<()> {
        let contacts = topology::parse_contacts(contacts)?;
        lock(&self.inner.state).add_contacts(contacts);
        self.inner.topology.notify_one();
        Ok(())
    }

    /// Replaces the faults, from the next stream on.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        *lock(&self.inner.faults) = faults.into();
    }
}

impl Inner {
    fn counters(&self) -> &Live {
        &self.config.memory.counters
    }

    fn faults(&self) -> Arc<[Fault]> {
        lock(&self.faults).clone()
    }

    fn network_id(&self) -> u64 {
        self.config.identity.network_id
    }

    /// Own record of a generation.
    fn record(&self, version: Version) -> Option<&Record> {
        self.records.get().map(|r| &r[version.index()])
    }

    fn versions(&self) -> &'static [Version] {
        match self.config.generation {
            Generation::Fourteen => &[Version::V14],
            Generation::Fifteen => &[Version::V15],
            Generation::Both => &[Version::V15, Version::V14],
        }
    }

    fn close(&self, connection: &Connection) {
        let _ = self.commands.send(Command::Close(connection.id));
    }

    /// Closes every connection of a peer.
    fn disconnect(&self, overlay: &Overlay, why: &str) {
        tracing::info!(node = ?self, peer = hex(&overlay.0), why, "disconnecting");
        let connections = lock(&self.state)
            .peers
            .get(overlay)
            .map(|peer| peer.connections.clone())
            .unwrap_or_default();
        for connection in connections {
            self.close(&connection);
        }
    }

    /// Disconnects a peer and refuses its handshakes for some time.
    fn blocklist(&self, overlay: &Overlay, duration: Duration, why: &str) {
        self.counters().blocklistings.one();
        lock(&self.config.memory.blocklist).insert(*overlay, Instant::now() + duration);
        self.disconnect(overlay, why);
    }

    /// Opens a stream of a protocol on the peer's newest connection and exchanges headers.
    async fn open(
        &self,
        session: &Session,
        protocol: StreamProtocol,
    ) -> Result<Framed, ProtocolError> {
        let connection = lock(&self.state)
            .peers
            .get(&session.overlay)
            .and_then(|peer| peer.connections.last().cloned())
            .ok_or(OpenError::Closed)?;
        let (stream, _) = connection.open(vec![protocol]).await?;
        let mut framed = Framed::new(stream);
        framed.open_headers().await?;
        Ok(framed)
    }

    async fn dial(&self, address: Multiaddr) -> Result<Arc<Connection>, ProtocolError> {
        let (answer, receive) = oneshot::channel();
        let _ = self.commands.send(Command::Dial(address, answer));
        receive
            .await
            .map_err(|_| OpenError::Closed)?
            .map_err(ProtocolError::Dial)
    }
}

impl Host for Inner {
    fn handle_stream(
        self: Arc<Self>,
        connection: Arc<Connection>,
        protocol: StreamProtocol,
        stream: Stream,
    ) {
        let Some(guard) = connection.admit(self.config.limits.streams_per_connection) else {
            tracing::debug!(?connection, "too many streams");
            return;
        };
        let framed = Framed::new(stream);
        let node = self.clone();
        if protocol == wire::HANDSHAKE_14 || protocol == wire::HANDSHAKE_15 {
            let version = if protocol == wire::HANDSHAKE_14 {
                Version::V14
            } else {
                Version::V15
            };
            self.cancel.spawn(async move {
                handshake::accept(node, connection, version, framed).await;
                drop(guard);
            });
            return;
        }
        // As in bee, a stream opened before the handshake is reset.
        let Some(session) = connection.session.get().cloned() else {
            return;
        };
        self.cancel.spawn(async move {
            let name = protocol.clone();
            let result = if protocol == wire::RETRIEVAL {
                retrieval::serve(node, connection, session, framed).await
            } else if protocol == wire::PSEUDOSETTLE {
                settle::accept(&node, &session, framed).await
            } else if protocol == wire::PRICING {
                settle::accept_threshold(&node, &session, framed).await
            } else if protocol == wire::HIVE_14 {
                hive::accept(&node, &session, Version::V14, framed).await
            } else if protocol == wire::HIVE_15 {
                hive::accept(&node, &session, Version::V15, framed).await
            } else if protocol == wire::STATUS {
                small::status(&node, framed).await
            } else {
                small::pingpong(framed).await
            };
            if let Err(error) = result {
                tracing::debug!(%name, %error, "stream failed");
            }
            drop(guard);
        });
    }

    fn handle_connected(self: Arc<Self>, connection: Arc<Connection>) {
        lock(&self.state).pending.insert(connection.id, connection);
    }

    fn handle_disconnected(self: Arc<Self>, connection: Arc<Connection>) {
        lock(&self.state).remove_connection(&connection);
        self.topology.notify_one();
    }
}

/// Why an exchange with a peer failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("dial: {0}")]
    Dial(String),
    #[error("record: {0}")]
    Record(#[from] record::RecordError),
    #[error("{0}")]
    Refused(&'static str),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

fn protocols(generation: Generation) -> Vec<StreamProtocol> {
    let mut out = vec![
        wire::RETRIEVAL,
        wire::PSEUDOSETTLE,
        wire::PRICING,
        wire::STATUS,
        wire::PINGPONG,
    ];
    if generation != Generation::Fourteen {
        out.extend([wire::HANDSHAKE_15, wire::HIVE_15]);
    }
    if generation != Generation::Fifteen {
        out.extend([wire::HANDSHAKE_14, wire::HIVE_14]);
    }
    out
}

fn tcp_address(ip: IpAddr, port: u16) -> Multiaddr {
    Multiaddr::empty()
        .with(Protocol::from(ip))
        .with(Protocol::Tcp(port))
}

/// The address told to others: that of the listener with another host, if one is configured.
fn announced(listen: &Multiaddr, host: Option<IpAddr>) -> Multiaddr {
    let Some(host) = host else {
        return listen.clone();
    };
    listen
        .iter()
        .map(|part| match part {
            Protocol::Ip4(_) | Protocol::Ip6(_) => Protocol::from(host),
            other => other,
        })
        .collect()
}

/// Unix milliseconds.
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(0))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
