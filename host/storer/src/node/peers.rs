//! Peers with a finished handshake, and the nodes a storer wants to be connected to.
use super::lock;
use crate::accounting::Account;
use crate::net::Connection;
use crate::record::Record;
use crate::wire::Version;
use bmt::Overlay;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Records a peer may send, or is sent, at once.
const HIVE_BURST: f64 = 128.0;
/// Records per second after that: one per minute.
const HIVE_REFILL: f64 = 1.0 / 60.0;

/// What streams need to know about a peer; shared by its connections.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) overlay: Overlay,
    pub(crate) peer_id: PeerId,
    pub(crate) full: bool,
    pub(crate) account: Arc<Mutex<Account>>,
    /// Held while a settlement of the peer is answered.
    pub(crate) settling: tokio::sync::Mutex<()>,
    /// Held while a slow delivery is written.
    pub(crate) pace: tokio::sync::Mutex<()>,
    pub(crate) hive_in: Mutex<Bucket>,
    pub(crate) hive_out: Mutex<Bucket>,
    versions: AtomicU8,
}

impl Session {
    pub(crate) fn new(
        overlay: Overlay,
        peer_id: PeerId,
        full: bool,
        account: Arc<Mutex<Account>>,
    ) -> Self {
        Self {
            overlay,
            peer_id,
            full,
            account,
            settling: tokio::sync::Mutex::default(),
            pace: tokio::sync::Mutex::default(),
            hive_in: Mutex::default(),
            hive_out: Mutex::default(),
            versions: AtomicU8::new(0),
        }
    }

    /// Notes that a handshake of this generation was finished.
    pub(crate) fn add_version(&self, version: Version) {
        self.versions
            .fetch_or(1 << version.index(), Ordering::Relaxed);
    }

    pub(crate) fn speaks(&self, version: Version) -> bool {
        self.versions.load(Ordering::Relaxed) & (1 << version.index()) != 0
    }
}

/// Token bucket of hive: 128 at once, then one per minute.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            tokens: HIVE_BURST,
            at: Instant::now(),
        }
    }
}

impl Bucket {
    /// Takes `count` tokens if they are all there.
    pub(crate) fn take(&mut self, count: usize) -> bool {
        let now = Instant::now();
        let refill = now.duration_since(self.at).as_secs_f64() * HIVE_REFILL;
        self.tokens = (self.tokens + refill).min(HIVE_BURST);
        self.at = now;
        let count = count as f64;
        let enough = self.tokens >= count;
        if enough {
            self.tokens -= count;
        }
        enough
    }
}

/// A connected peer.
pub(crate) struct Peer {
    pub(crate) session: Arc<Session>,
    pub(crate) connections: Vec<Arc<Connection>>,
    /// Its signed record per generation; light nodes' are not kept.
    pub(crate) records: [Option<Record>; 2],
}

/// A node to stay connected to, or one heard of.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) address: Multiaddr,
    /// Unknown for configured contacts until they are connected.
    pub(crate) overlay: Option<Overlay>,
    /// Configured: kept for ever, dialed whatever the bins hold.
    pub(crate) fixed: bool,
    pub(crate) boot: bool,
    pub(crate) failures: u32,
    pub(crate) next: Instant,
    pub(crate) dialing: bool,
    /// Timestamp of its newest record.
    pub(crate) timestamp: i64,
}

impl Known {
    pub(crate) fn new(address: Multiaddr, fixed: bool, boot: bool) -> Self {
        Self {
            address,
            overlay: None,
            fixed,
            boot,
            failures: 0,
            next: Instant::now(),
            dialing: false,
            timestamp: 0,
        }
    }
}

/// The part of a node that changes.
pub(crate) struct State {
    pub(crate) peers: BTreeMap<Overlay, Peer>,
    /// Connections without a handshake.
    pub(crate) pending: HashMap<ConnectionId, Arc<Connection>>,
    pub(crate) known: BTreeMap<PeerId, Known>,
}

impl State {
    pub(crate) fn new(contacts: Vec<(PeerId, Known)>) -> Self {
        Self {
            peers: BTreeMap::new(),
            pending: HashMap::new(),
            known: contacts.into_iter().collect(),
        }
    }

    pub(crate) fn add_contacts(&mut self, contacts: Vec<(PeerId, Known)>) {
        for (peer, known) in contacts {
            let entry = self.known.entry(peer).or_insert(known);
            entry.fixed = true;
        }
    }

    pub(crate) fn is_boot(&self, peer: &PeerId) -> bool {
        self.known.get(peer).is_some_and(|known| known.boot)
    }

    /// Forgets a connection, and the peer with its last one.
    pub(crate) fn remove_connection(&mut self, connection: &Connection) {
        self.pending.remove(&connection.id);
        let Some(session) = connection.session.get() else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&session.overlay) else {
            return;
        };
        peer.connections.retain(|c| c.id != connection.id);
        if peer.connections.is_empty() {
            lock(&peer.session.account).disconnect();
            self.peers.remove(&session.overlay);
            if let Some(known) = self.known.get_mut(&connection.peer) {
                known.next = Instant::now() + Duration::from_millis(200);
            }
        }
    }
}
