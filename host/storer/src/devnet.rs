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
use crate::{Fault, Generation, Profile};
use bmt::VerifiedChunk;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

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
    /// Neighbours per bin for storers. Default `None`: everybody up to 15 storers, 3 per bin above.
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

/// What a node has done since it was made; restarts do not reset it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Handshakes that succeeded, in both directions.
    pub handshakes: u64,
    /// Retrieval requests received.
    pub requests: u64,
    /// Chunks delivered, from the own store or forwarded.
    pub chunks_served: u64,
    /// Of these, chunks fetched from a closer storer for the occasion.
    pub chunks_forwarded: u64,
    /// Requests answered with an error.
    pub not_found: u64,
    /// Settlements accepted from peers.
    pub settlements: u64,
    /// Settlements refused (same second).
    pub settlements_refused: u64,
    /// Units accepted in settlements.
    pub units_settled: u64,
    /// Peers disconnected because their debt reached the limit.
    pub disconnects_for_debt: u64,
    /// Peers put on the blocklist, for whatever reason.
    pub blocklistings: u64,
    /// Hive records sent.
    pub peers_announced: u64,
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
        todo!()
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
    /// The storers did not find each other in time.
    #[error("the storers were not connected after {seconds} s: {connected} of {wanted} links")]
    Timeout {
        /// Seconds waited.
        seconds: u64,
        /// Links that exist.
        connected: usize,
        /// Links there should be.
        wanted: usize,
    },
}

/// A running network. Dropping it stops everything.
#[derive(Debug)]
pub struct Devnet {}

impl Devnet {
    /// Starts the network and returns when every storer is connected to its neighbours and to the boot node.
    ///
    /// # Errors
    /// A socket that cannot be bound, chunks that cannot be read, a node that does not come up within 30 s.
    pub fn start(config: DevnetConfig) -> Result<Self, DevnetError> {
        let _ = config;
        todo!()
    }

    /// Multiaddr of the boot node, with `/p2p/` suffix, as announced.
    pub fn bootnode(&self) -> String {
        todo!()
    }

    /// Describes all nodes, boot node first.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        todo!()
    }

    /// Describes the network.
    pub fn describe(&self) -> Description {
        todo!()
    }

    /// What node `index` has done so far (zeros for an index that does not exist).
    pub fn counters(&self, index: usize) -> Counters {
        let _ = index;
        todo!()
    }

    /// The sum over all nodes.
    pub fn totals(&self) -> Counters {
        todo!()
    }

    /// Stops one node: its connections break, its port is closed. Does nothing when it is stopped already.
    pub fn stop(&self, index: usize) -> Result<(), DevnetError> {
        let _ = index;
        todo!()
    }

    /// Starts a stopped node again with the same identity, port and chunks, and waits until it is connected.
    pub fn start_node(&self, index: usize) -> Result<(), DevnetError> {
        let _ = index;
        todo!()
    }

    /// Stops and starts one node.
    pub fn restart(&self, index: usize) -> Result<(), DevnetError> {
        let _ = index;
        todo!()
    }

    /// Stops all nodes.
    pub fn stop_all(&self) {
        todo!()
    }

    /// Starts all stopped nodes.
    pub fn start_all(&self) -> Result<(), DevnetError> {
        todo!()
    }

    /// Replaces the faults of a node from its next stream on; an empty list makes it honest.
    pub fn set_faults(&self, index: usize, faults: Vec<Fault>) -> Result<(), DevnetError> {
        let _ = (index, faults);
        todo!()
    }
}
