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
mod config;
mod error;
mod plan;
mod setup;

pub use crate::counters::Counters;
pub use config::{ChunkSource, Description, DevnetConfig, NodeInfo};
pub use error::DevnetError;

use crate::node::{Contact, Node, NodeConfig, hex, lock};
use crate::{Fault, Generation, Profile};
use setup::{check, load, node_configs};
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

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

#[cfg(test)]
mod tests;
