//! A Swarm on one machine: a boot node and N storers in this process, with real connections between them.
//!
//! ```no_run
//! use storer::devnet::{ChunkSource, Devnet, DevnetConfig};
//!
//! let devnet = Devnet::start(DevnetConfig {
//!     storers: 24,
//!     chunks: vec![ChunkSource::Tar("image.tar".into())],
//!     ..DevnetConfig::default()
//! })?;
//! println!("{}", devnet.bootnode()); // /ip4/127.0.0.1/tcp/40123/p2p/Qm...
//! println!("{}", devnet.describe().to_json());
//! devnet.restart(3)?; // same identity, same port, same chunks
//! devnet.stop_all();
//! devnet.start_all()?;
//! drop(devnet); // closes every socket
//! # Ok::<(), storer::devnet::DevnetError>(())
//! ```
//!
//! All calls block and may be made from any thread; the network runs on a runtime of its own. Node 0 is the boot node: it
//! knows every storer and announces them by hive, and holds no chunk. Nodes 1 to N are the storers. Their overlays are spread
//! evenly over the address space, every chunk is put on the [`DevnetConfig::replication`] storers closest to it, and nowhere else.
//! Up to 15 storers are all connected to each other; larger networks get a few neighbours per bin, so that a request at a far
//! storer is really forwarded, hop by hop, as in the public network.
mod plan;

pub use crate::counters::Counters;

use crate::identity::{Identity, IdentityError, KeyKind, Prefix};
use crate::node::{Contact, Limits, Node, NodeConfig, NodeMemory, hex, lock};
use crate::store::{ChunkStore, DiskStore, MemoryStore, StoreError, WhenFull};
use crate::tar::{TarError, TarReader};
use crate::{Fault, Generation, Profile};
use bmt::{VerifiedChunk, keccak256};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Where chunks come from.
#[derive(Debug)]
pub enum ChunkSource {
    /// A tar in bee's pinning export form ([`crate::tar`]).
    Tar(PathBuf),
    /// Chunks in memory.
    Chunks(Vec<VerifiedChunk>),
}

/// What kind of network to start.
#[derive(Debug)]
pub struct DevnetConfig {
    /// Storers beside the boot node (1 to 1000). Default 24.
    pub storers: usize,
    /// What the network stores. Default nothing.
    pub chunks: Vec<ChunkSource>,
    /// How many storers get each chunk: the closest ones. Default 2.
    pub replication: usize,
    /// Debt limits. Default [`Profile::Lan`].
    pub profile: Profile,
    /// Handshake generations. Default [`Generation::Both`].
    pub generation: Generation,
    /// Swarm network id. Default 10, the public test network's.
    pub network_id: u64,
    /// Address to listen on. Default 127.0.0.1.
    pub listen_ip: IpAddr,
    /// Port of node 0; node i listens on `base_port + i`. 0 (default): ports chosen by the operating system, kept over restarts.
    pub base_port: u16,
    /// Host told to peers instead of `listen_ip`. A QEMU guest behind user networking reaches the host's loopback as 10.0.2.2, so
    /// a network for it announces that. The storers reach each other by `listen_ip` all the same.
    pub announce_host: Option<IpAddr>,
    /// Misbehaviour per node index (0 is the boot node).
    pub faults: BTreeMap<usize, Vec<Fault>>,
    /// Neighbours per bin for storers. Default `None`: everybody up to 15 storers, 2 per bin above.
    pub neighbours_per_bin: Option<usize>,
    /// Lets storers keep chunks they forwarded. Default false, so that routes are used again and again.
    pub cache_forwarded: bool,
    /// Keeps chunks in files below this directory instead of memory. Default `None`.
    pub data_dir: Option<PathBuf>,
    /// Identities are derived from this, so equal seeds give equal overlays and chunk placement. Default 1.
    pub seed: u64,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self {
            storers: 24,
            chunks: Vec::new(),
            replication: 2,
            profile: Profile::Lan,
            generation: Generation::Both,
            network_id: 10,
            listen_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            base_port: 0,
            announce_host: None,
            faults: BTreeMap::new(),
            neighbours_per_bin: None,
            cache_forwarded: false,
            data_dir: None,
            seed: 1,
        }
    }
}

/// One node, as it is described to others.
#[derive(Clone, Debug, Serialize)]
pub struct NodeInfo {
    /// 0 for the boot node.
    pub index: usize,
    /// `boot` or `storer`.
    pub kind: &'static str,
    /// Overlay address, hex.
    pub overlay: String,
    /// Multiaddr with `/p2p/` suffix, as announced.
    pub underlay: String,
    /// The same with the address really listened on.
    pub listen: String,
    /// Chunks in its store.
    pub chunks: usize,
    /// Peers with a finished handshake.
    pub connected: usize,
    /// Whether it runs at the moment.
    pub running: bool,
}

/// The network as one JSON object, like bee-lab's `lab.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Swarm network id.
    pub network_id: u64,
    /// `public` or `lan`.
    pub profile: &'static str,
    /// `14`, `15` or `both`.
    pub generation: &'static str,
    /// Multiaddr of the boot node.
    pub bootnode: String,
    /// All nodes.
    pub nodes: Vec<NodeInfo>,
}

impl Description {
    /// Returns the JSON text, indented.
    pub fn to_json(&self) -> String {
        // Numbers and strings only: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// Why a network cannot be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// A number in the configuration makes no sense.
    #[error("devnet configuration: {0}")]
    Config(&'static str),
    /// A node index that does not exist.
    #[error("there is no node {index}: the network has nodes 0 to {last}")]
    NoSuchNode {
        /// Index asked for.
        index: usize,
        /// Highest index.
        last: usize,
    },
    /// A node does not start: most often its port is taken.
    #[error("node {index} does not start on {listen}: {source}")]
    Start {
        /// The node.
        index: usize,
        /// Address it was to listen on.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The runtime cannot be made.
    #[error("cannot start threads: {0}")]
    Runtime(io::Error),
    /// A chunk archive cannot be opened.
    #[error("{path}: {source}")]
    Open {
        /// The archive.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A chunk archive cannot be read.
    #[error("{path}: {source}")]
    Tar {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        source: TarError,
    },
    /// A chunk cannot be stored.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No identity could be made.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The nodes did not connect to each other in time.
    #[error("not connected after {seconds} s: {connected} of {wanted} links")]
    Timeout {
        /// Seconds waited.
        seconds: u64,
        /// Links that exist.
        connected: usize,
        /// Links there should be.
        wanted: usize,
    },
}

/// Storers in one network at most.
const STORERS_MAX: usize = 1000;
/// Chunks one node may keep, in bytes.
const STORE_BYTES_MAX: u64 = 64 << 30;
/// How long nodes may take to connect to each other.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// How long a port may stay taken after the node that had it was stopped.
const REBIND_WITHIN: Duration = Duration::from_secs(5);

/// A running network. Dropping it stops everything.
pub struct Devnet {
    runtime: Option<Runtime>,
    slots: Vec<Slot>,
    network_id: u64,
    profile: Profile,
    generation: Generation,
}

/// One node: what it is started from, and its present run.
struct Slot {
    config: Mutex<NodeConfig>,
    /// Nodes it has a link to, whoever dials.
    links: BTreeSet<usize>,
    node: Mutex<Option<Node>>,
    /// As last started: announced and real address.
    addresses: Mutex<(String, String)>,
}

impl std::fmt::Debug for Devnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Devnet({} nodes, {})", self.slots.len(), self.bootnode())
    }
}

impl Devnet {
    /// Starts the network and returns when every storer is connected to its neighbours and to the boot node.
    ///
    /// # Errors
    /// A socket that cannot be bound, chunks that cannot be read, a node that does not come up within 30 s.
    pub fn start(config: DevnetConfig) -> Result<Self, DevnetError> {
        check(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)))
            .thread_name("devnet")
            .enable_all()
            .build()
            .map_err(DevnetError::Runtime)?;
        let mut devnet = Self {
            runtime: Some(runtime),
            slots: Vec::new(),
            network_id: config.network_id,
            profile: config.profile,
            generation: config.generation,
        };
        let configs = node_configs(&config)?;
        load(&config, &configs)?;
        let overlays: Vec<_> = configs.iter().map(|c| c.identity.overlay()).collect();
        let per_bin =
            config
                .neighbours_per_bin
                .unwrap_or(if config.storers < 16 { usize::MAX } else { 2 });
        let links = plan::links(&overlays, per_bin);
        devnet.slots = configs
            .into_iter()
            .zip(links)
            .map(|(config, links)| Slot {
                config: Mutex::new(config),
                links,
                node: Mutex::new(None),
                addresses: Mutex::default(),
            })
            .collect();
        devnet.first_start()?;
        Ok(devnet)
    }

    /// Starts all nodes, then, when every port is known, tells each whom to dial.
    fn first_start(&self) -> Result<(), DevnetError> {
        for index in 0..self.slots.len() {
            self.launch(index)?;
        }
        for (index, slot) in self.slots.iter().enumerate() {
            // Of two neighbours the one with the higher index dials; the boot node (0) dials nobody.
            let contacts: Vec<Contact> = slot
                .links
                .range(..index)
                .map(|to| Contact {
                    address: lock(&self.slots[*to].addresses).1.clone(),
                    boot: *to == 0,
                })
                .collect();
            if let Some(node) = &*lock(&slot.node) {
                node.add_contacts(&contacts)
                    .map_err(|source| self.start_error(index, source))?;
            }
            lock(&slot.config).contacts = contacts;
        }
        self.wait_for_links()
    }

    /// Starts one node without waiting for its links.
    fn launch(&self, index: usize) -> Result<(), DevnetError> {
        let slot = &self.slots[index];
        if lock(&slot.node).is_some() {
            return Ok(());
        }
        let config = lock(&slot.config).clone();
        let deadline = Instant::now() + REBIND_WITHIN;
        let node = loop {
            match self.block_on(Node::start(config.clone())) {
                Ok(node) => break node,
                Err(source) => {
                    let taken = source.to_string().contains("in use")
                        || source.kind() == io::ErrorKind::AddrInUse;
                    if !taken || config.listen.port() == 0 || Instant::now() > deadline {
                        return Err(self.start_error(index, source));
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        };
        lock(&slot.config).listen.set_port(node.port());
        *lock(&slot.addresses) = (node.underlay(), node.listen());
        *lock(&slot.node) = Some(node);
        Ok(())
    }

    fn start_error(&self, index: usize, source: io::Error) -> DevnetError {
        DevnetError::Start {
            index,
            listen: lock(&self.slots[index].config).listen,
            source,
        }
    }

    /// Runs a future on the network's runtime, from whatever thread.
    fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let stopped = || io::Error::other("the network was stopped");
        let runtime = self.runtime.as_ref().ok_or_else(stopped)?;
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move {
            let _ = send.send(future.await);
        });
        receive.recv().map_err(|_| stopped())?
    }

    /// Waits until every link between running nodes exists.
    fn wait_for_links(&self) -> Result<(), DevnetError> {
        let deadline = Instant::now() + CONNECT_WITHIN;
        loop {
            let (connected, wanted) = self.count_links();
            if connected == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(DevnetError::Timeout {
                    seconds: CONNECT_WITHIN.as_secs(),
                    connected,
                    wanted,
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Links that exist, seen from both ends, and links there should be.
    fn count_links(&self) -> (usize, usize) {
        let state: Vec<_> = self
            .slots
            .iter()
            .map(|slot| {
                let node = lock(&slot.node);
                let node = node.as_ref()?;
                let connected: BTreeSet<_> = node.connected().into_iter().collect();
                Some((node.overlay(), connected))
            })
            .collect();
        let (mut connected, mut wanted) = (0, 0);
        for (slot, own) in self.slots.iter().zip(&state) {
            let Some((_, own)) = own else {
                continue;
            };
            for other in &slot.links {
                if let Some((overlay, _)) = &state[*other] {
                    wanted += 1;
                    connected += usize::from(own.contains(overlay));
                }
            }
        }
        (connected, wanted)
    }

    fn slot(&self, index: usize) -> Result<&Slot, DevnetError> {
        self.slots.get(index).ok_or(DevnetError::NoSuchNode {
            index,
            last: self.slots.len() - 1,
        })
    }

    /// Multiaddr of the boot node, with `/p2p/` suffix, as announced.
    pub fn bootnode(&self) -> String {
        self.slots
            .first()
            .map(|slot| lock(&slot.addresses).0.clone())
            .unwrap_or_default()
    }

    /// Describes all nodes, boot node first.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.slots
            .iter()
            .enumerate()
            .map(|(index, slot)| {
                let config = lock(&slot.config).clone();
                let node = lock(&slot.node);
                let (underlay, listen) = lock(&slot.addresses).clone();
                NodeInfo {
                    index,
                    kind: if index == 0 { "boot" } else { "storer" },
                    overlay: hex(&config.identity.overlay().0),
                    underlay,
                    listen,
                    chunks: config.store.len(),
                    connected: node.as_ref().map_or(0, |node| node.connected().len()),
                    running: node.is_some(),
                }
            })
            .collect()
    }

    /// Describes the network.
    pub fn describe(&self) -> Description {
        Description {
            network_id: self.network_id,
            profile: self.profile.name(),
            generation: self.generation.name(),
            bootnode: self.bootnode(),
            nodes: self.nodes(),
        }
    }

    /// What node `index` has done so far (zeros for an index that does not exist).
    pub fn counters(&self, index: usize) -> Counters {
        self.slots
            .get(index)
            .map(|slot| lock(&slot.config).memory.counters())
            .unwrap_or_default()
    }

    /// The sum over all nodes.
    pub fn totals(&self) -> Counters {
        (0..self.slots.len()).fold(Counters::default(), |sum, index| {
            sum.plus(self.counters(index))
        })
    }

    /// Stops one node: its connections break, its port is closed. Does nothing when it is stopped already.
    pub fn stop(&self, index: usize) -> Result<(), DevnetError> {
        *lock(&self.slot(index)?.node) = None;
        Ok(())
    }

    /// Starts a stopped node again with the same identity, port and chunks, and waits until it is connected.
    pub fn start_node(&self, index: usize) -> Result<(), DevnetError> {
        self.slot(index)?;
        self.launch(index)?;
        self.wait_for_links()
    }

    /// Stops and starts one node.
    pub fn restart(&self, index: usize) -> Result<(), DevnetError> {
        self.stop(index)?;
        self.start_node(index)
    }

    /// Stops all nodes.
    pub fn stop_all(&self) {
        for slot in &self.slots {
            *lock(&slot.node) = None;
        }
    }

    /// Starts all stopped nodes and waits until they are connected.
    pub fn start_all(&self) -> Result<(), DevnetError> {
        for index in 0..self.slots.len() {
            self.launch(index)?;
        }
        self.wait_for_links()
    }

    /// Replaces the faults of a node from its next stream on; an empty list makes it honest.
    pub fn set_faults(&self, index: usize, faults: Vec<Fault>) -> Result<(), DevnetError> {
        let slot = self.slot(index)?;
        if let Some(node) = &*lock(&slot.node) {
            node.set_faults(faults.clone());
        }
        lock(&slot.config).faults = faults;
        Ok(())
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.stop_all();
        if let Some(runtime) = self.runtime.take() {
            // Not the blocking shutdown: a network may be dropped inside another runtime.
            runtime.shutdown_background();
        }
    }
}

fn check(config: &DevnetConfig) -> Result<(), DevnetError> {
    if !(1..=STORERS_MAX).contains(&config.storers) {
        return Err(DevnetError::Config("storers must be 1 to 1000"));
    }
    if config.replication == 0 {
        return Err(DevnetError::Config("replication must be at least 1"));
    }
    if config.neighbours_per_bin == Some(0) {
        return Err(DevnetError::Config("neighbours_per_bin must be at least 1"));
    }
    if config.base_port != 0 && usize::from(config.base_port) + config.storers > 65535 {
        return Err(DevnetError::Config(
            "base_port is too high for so many nodes",
        ));
    }
    if config.faults.keys().any(|index| *index > config.storers) {
        return Err(DevnetError::Config(
            "a fault names a node that does not exist",
        ));
    }
    Ok(())
}

fn node_configs(config: &DevnetConfig) -> Result<Vec<NodeConfig>, DevnetError> {
    let fellows = Arc::new(Mutex::new(BTreeSet::new()));
    let mut out = Vec::new();
    for index in 0..=config.storers {
        let seed = keccak256(
            &[
                &b"deboot devnet"[..],
                &config.seed.to_be_bytes(),
                &index.to_be_bytes(),
            ]
            .concat(),
        );
        let prefix = if index == 0 {
            Prefix::default()
        } else {
            plan::prefix(index - 1, config.storers)
        };
        let identity = Identity::derive(&seed, KeyKind::P256, config.network_id, prefix)?;
        lock(&fellows).insert(identity.overlay());
        let port = match config.base_port {
            0 => 0,
            base => base + index as u16,
        };
        out.push(NodeConfig {
            identity,
            generation: config.generation,
            profile: config.profile,
            listen: SocketAddr::new(config.listen_ip, port),
            announce_host: config.announce_host,
            store: store(config, index)?,
            contacts: Vec::new(),
            neighbours_per_bin: 0,
            fellows: fellows.clone(),
            cache_forwarded: config.cache_forwarded,
            faults: config.faults.get(&index).cloned().unwrap_or_default(),
            limits: Limits::default(),
            memory: Arc::new(NodeMemory::default()),
        });
    }
    Ok(out)
}

fn store(config: &DevnetConfig, index: usize) -> Result<Arc<dyn ChunkStore>, DevnetError> {
    Ok(match &config.data_dir {
        None => Arc::new(MemoryStore::new(STORE_BYTES_MAX)),
        Some(dir) => {
            let dir = dir.join(format!("node{index}"));
            let store = DiskStore::open(&dir, STORE_BYTES_MAX, WhenFull::Refuse);
            Arc::new(store.map_err(StoreError::from)?)
        }
    })
}

/// Puts every chunk on the storers closest to it.
fn load(config: &DevnetConfig, nodes: &[NodeConfig]) -> Result<(), DevnetError> {
    let storers: Vec<_> = nodes[1..]
        .iter()
        .map(|node| (node.identity.overlay(), &node.store))
        .collect();
    let place = |chunk: &VerifiedChunk| -> Result<(), DevnetError> {
        for holder in plan::closest(&storers, &chunk.address(), config.replication) {
            holder.put(chunk.clone())?;
        }
        Ok(())
    };
    for source in &config.chunks {
        match source {
            ChunkSource::Chunks(chunks) => chunks.iter().try_for_each(place)?,
            ChunkSource::Tar(path) => {
                let file = File::open(path).map_err(|source| DevnetError::Open {
                    path: path.clone(),
                    source,
                })?;
                for entry in TarReader::new(io::BufReader::new(file)) {
                    let entry = entry.map_err(|source| DevnetError::Tar {
                        path: path.clone(),
                        source,
                    })?;
                    place(&entry.chunk)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
