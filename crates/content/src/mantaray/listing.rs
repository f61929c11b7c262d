//! Lists every path of a directory.
use super::lookup::read_node;
use super::node::Node;
use super::{Entry, MantarayError, PATH_BYTES_MAX};
use crate::{Collect, Reference};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

/// Limits of a listing.
#[derive(Clone, Debug)]
pub struct ListingConfig {
    /// Nodes read, at most: a directory of n files has at most 2n of them, unless paths are longer than 30 bytes. Stops a
    /// directory whose nodes are shared so often that it has more paths than atoms.
    pub nodes_max: usize,
    /// Nodes read at once (0 counts as 1).
    pub in_flight_max: usize,
}

impl Default for ListingConfig {
    /// 200,000 nodes, 32 at once.
    fn default() -> Self {
        Self {
            nodes_max: 200_000,
            in_flight_max: 32,
        }
    }
}

/// One path of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The path: bytes, not always text.
    pub path: Vec<u8>,
    /// What it leads to.
    pub entry: Entry,
}

/// Lists every path of a directory in ascending order of bytes.
///
/// Nodes are read in the order of their paths, a few at a time. Because every path below a node starts with the node's own, a path
/// is given as soon as nothing before it is unread.
pub struct Listing {
    config: ListingConfig,
    unread: BTreeMap<Vec<u8>, Found>,
    reading: BTreeMap<Vec<u8>, (Found, Collect)>,
    ready: BTreeMap<Vec<u8>, Entry>,
    /// Asked for and not received: two nodes may share chunks.
    outstanding: BTreeSet<ChunkAddress>,
    /// Nodes found so far.
    nodes: usize,
}

/// A node that was found in its parent.
struct Found {
    node: Reference,
    is_value: bool,
    metadata: BTreeMap<String, String>,
}

impl Listing {
    /// Starts listing `root`.
    pub fn new(root: Reference, config: ListingConfig) -> Self {
        let found = Found {
            node: root,
            // The directory itself is listed only when it has an entry of its own.
            is_value: false,
            metadata: BTreeMap::new(),
        };
        Self {
            config,
            unread: BTreeMap::from([(Vec::new(), found)]),
            reading: BTreeMap::new(),
            ready: BTreeMap::new(),
            outstanding: BTreeSet::new(),
            nodes: 1,
        }
    }

    /// Returns the next path, in order.
    pub fn poll_listed(&mut self) -> Option<Listed> {
        let first = self.ready.first_entry()?;
        let unread = self.unread.first_key_value().map(|(path, _)| path);
        let reading = self.reading.first_key_value().map(|(path, _)| path);
        if unread
            .into_iter()
            .chain(reading)
            .any(|path| path < first.key())
        {
            return None;
        }
        let (path, entry) = first.remove_entry();
        Some(Listed { path, entry })
    }

    /// Replaces a node that was read by its entry and its children.
    fn open(&mut self, path: Vec<u8>, found: Found, bytes: Vec<u8>) -> Result<(), MantarayError> {
        let address = found.node.address;
        let node = match Node::decode(bytes) {
            Some(node) => node.map_err(|defect| MantarayError::Malformed { address, defect })?,
            None => return Err(MantarayError::NotADirectory { address }),
        };
        self.nodes = self.nodes.saturating_add(node.forks.len());
        if self.nodes > self.config.nodes_max {
            let max = self.config.nodes_max;
            return Err(MantarayError::TooManyNodes { max });
        }
        for fork in node.forks {
            let mut below = path.clone();
            below.extend_from_slice(&fork.prefix);
            if below.len() > PATH_BYTES_MAX {
                return Err(MantarayError::PathTooLong { len: below.len() });
            }
            let found = Found {
                node: fork.child,
                is_value: fork.is_value(),
                metadata: fork.metadata,
            };
            self.unread.insert(below, found);
        }
        if found.is_value || node.entry.is_some() {
            let entry = Entry {
                reference: node.entry,
                metadata: found.metadata,
            };
            self.ready.insert(path, entry);
        }
        Ok(())
    }
}

impl ChunkConsumer for Listing {
    type Error = MantarayError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        while self.reading.len() < self.config.in_flight_max.max(1)
            && let Some((path, found)) = self.unread.pop_first()
        {
            let node = read_node(found.node);
            self.reading.insert(path, (found, node));
        }
        for (_, node) in self.reading.values_mut() {
            while let Some(address) = node.poll_want() {
                if self.outstanding.insert(address) {
                    return Some(address);
                }
            }
        }
        None
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), MantarayError> {
        if !self.outstanding.remove(&chunk.address()) {
            return Ok(());
        }
        let mut done = Vec::new();
        for (path, (found, node)) in &mut self.reading {
            if !node.is_waiting_for(chunk.address()) {
                continue;
            }
            let address = found.node.address;
            node.handle_chunk(chunk.clone())
                .map_err(|error| MantarayError::Node { address, error })?;
            if node.is_done() {
                done.push(path.clone());
            }
        }
        for path in done {
            if let Some((found, node)) = self.reading.remove(&path)
                && let Some(bytes) = node.into_bytes()
            {
                self.open(path, found, bytes)?;
            }
        }
        Ok(())
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        for (found, node) in self.reading.values_mut() {
            let in_node = found.node.address;
            node.handle_unavailable(address)
                .map_err(|error| MantarayError::Node {
                    address: in_node,
                    error,
                })?;
        }
        Ok(())
    }

    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        for (found, node) in self.reading.values_mut() {
            let in_node = found.node.address;
            node.handle_delayed(address)
                .map_err(|error| MantarayError::Node {
                    address: in_node,
                    error,
                })?;
        }
        Ok(())
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        loop {
            let mut readers = self.reading.values_mut();
            let address = readers.find_map(|(_, node)| node.poll_obsolete())?;
            // Another node may still need it.
            let mut readers = self.reading.values();
            if !readers.any(|(_, node)| node.is_waiting_for(address)) {
                self.outstanding.remove(&address);
                return Some(address);
            }
        }
    }

    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        let mut readers = self.reading.values();
        readers.find_map(|(_, node)| node.key(address))
    }

    fn is_done(&self) -> bool {
        self.unread.is_empty() && self.reading.is_empty()
    }
}
