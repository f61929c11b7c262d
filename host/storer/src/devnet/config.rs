//! What a network is made from, and how it is described.
use crate::{Fault, Generation, Profile};
use bmt::VerifiedChunk;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Where chunks come from.
#[derive(Debug)]
pub enum ChunkSource {
    /// A tar in bee's pinning export form ([`chunkset`]).
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
