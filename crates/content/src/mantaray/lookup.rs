//! Looks paths up.
use super::node::{Fork, Node};
use super::{Entry, MantarayError, NODE_BYTES_MAX, NODE_IN_FLIGHT_MAX, PATH_BYTES_MAX};
use crate::feed::FeedManifest;
use crate::{Collect, Reference};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use litemap::LiteMap;

/// Bytes of nodes kept for the next path of the same look-up.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Looks one path up; with [`Lookup::restart`], others after it.
pub struct Lookup {
    root: Reference,
    /// Nodes that were read: a second path shares its beginning with the first.
    kept: LiteMap<Reference, Node>,
    /// Bytes that may still be kept.
    room: usize,
    walk: Walk,
    /// The node being read.
    reading: Collect,
    found: Option<Found>,
}

/// How far a path was followed.
struct Walk {
    node: Reference,
    /// Bytes of the path below that node.
    rest: Vec<u8>,
    /// What the fork that led to that node says about it.
    is_value: bool,
    metadata: BTreeMap<String, String>,
    /// Any node below the path will do.
    is_prefix: bool,
}

enum Found {
    Entry(Entry),
    /// Something begins with the path.
    Prefix,
}

impl Lookup {
    /// Starts the look-up of `path` (no leading slash) below `root`. The empty path is the directory itself.
    pub fn new(root: Reference, path: &str) -> Self {
        Self {
            root,
            kept: LiteMap::new_vec(),
            room: KEPT_BYTES_MAX,
            walk: Walk::new(root, path, false),
            reading: read_node(root),
            found: None,
        }
    }

    /// Starts like [`Lookup::new`] when the bytes of the directory's root node are here already.
    ///
    /// # Errors
    /// Returns an error when they are no node, or when the path does not begin in it.
    pub fn with_root_node(
        root: Reference,
        node: Vec<u8>,
        path: &str,
    ) -> Result<Self, MantarayError> {
        let mut lookup = Self::new(root, path);
        lookup.walk.check()?;
        lookup.keep(node)?;
        lookup.advance()?;
        Ok(lookup)
    }

    /// Starts again with another path in the same directory; nodes that were read are not asked for again.
    ///
    /// # Errors
    /// Returns an error when the path is not below the nodes known already.
    pub fn restart(&mut self, path: &str) -> Result<(), MantarayError> {
        self.begin(path, false)
    }

    /// Starts again, looking for anything whose path begins with `prefix`; [`Lookup::entry`] then stays `None`.
    ///
    /// # Errors
    /// Returns [`MantarayError::NotFound`] when nothing does.
    pub(super) fn restart_prefix(&mut self, prefix: &str) -> Result<(), MantarayError> {
        self.begin(prefix, true)
    }

    fn begin(&mut self, path: &str, is_prefix: bool) -> Result<(), MantarayError> {
        self.found = None;
        self.walk = Walk::new(self.root, path, is_prefix);
        self.reading = read_node(self.root);
        self.walk.check()?;
        self.advance()
    }

    /// Returns the result, once [`ChunkConsumer::is_done`].
    pub fn entry(&self) -> Option<&Entry> {
        match &self.found {
            Some(Found::Entry(entry)) => Some(entry),
            Some(Found::Prefix) | None => None,
        }
    }

    /// Returns the metadata of the path `/`, which says what is true of the whole directory; `None` before the root node is here,
    /// and when there is no such path.
    pub fn root_metadata(&self) -> Option<&BTreeMap<String, String>> {
        let mut forks = self.kept.get(&self.root)?.forks.iter();
        let fork = forks.find(|fork| fork.prefix == b"/" && fork.is_value())?;
        Some(&fork.metadata)
    }

    /// Returns the feed that the directory stands for, if it does; `None` before the root node is here.
    ///
    /// # Errors
    /// Returns [`MantarayError::FeedManifest`] when it does, but not so that a feed could be looked up.
    pub fn feed_manifest(&self) -> Result<Option<FeedManifest>, MantarayError> {
        let manifest = self.root_metadata().and_then(FeedManifest::from_metadata);
        let address = self.root.address;
        manifest
            .transpose()
            .map_err(|defect| MantarayError::FeedManifest { address, defect })
    }

    /// Takes the bytes of the node being read.
    fn keep(&mut self, bytes: Vec<u8>) -> Result<(), MantarayError> {
        let address = self.walk.node.address;
        let len = bytes.len();
        let node = match Node::decode(bytes) {
            Some(node) => node.map_err(|defect| MantarayError::Malformed { address, defect })?,
            None => return Err(MantarayError::NotADirectory { address }),
        };
        if len > self.room {
            // A hostile directory: read everything again rather than hold more. The root is worth most.
            self.kept.retain(|kept, _| *kept == self.root);
        }
        self.room = self.room.saturating_sub(len);
        self.kept.insert(self.walk.node, node);
        Ok(())
    }

    /// Follows the path through the nodes that are here.
    fn advance(&mut self) -> Result<(), MantarayError> {
        while self.found.is_none()
            && let Some(node) = self.kept.get(&self.walk.node)
        {
            self.found = self.walk.step(node)?;
        }
        if self.found.is_none() {
            self.reading = read_node(self.walk.node);
        }
        Ok(())
    }
}

impl Walk {
    fn new(root: Reference, path: &str, is_prefix: bool) -> Self {
        Self {
            node: root,
            rest: Vec::from(path.as_bytes()),
            // SPEC swarm-wire 9: the root's own type is not stored.
            is_value: true,
            metadata: BTreeMap::new(),
            is_prefix,
        }
    }

    fn check(&self) -> Result<(), MantarayError> {
        let len = self.rest.len();
        if len > PATH_BYTES_MAX {
            return Err(MantarayError::PathTooLong { len });
        }
        Ok(())
    }

    /// Goes one node further. The path gets shorter with every step, so there are at most as many as it has bytes.
    fn step(&mut self, node: &Node) -> Result<Option<Found>, MantarayError> {
        let Some(first) = self.rest.first() else {
            if self.is_prefix {
                return Ok(Some(Found::Prefix));
            }
            if !self.is_value {
                return Err(MantarayError::NotFound);
            }
            return Ok(Some(Found::Entry(Entry {
                reference: node.entry,
                metadata: core::mem::take(&mut self.metadata),
            })));
        };
        let mut forks = node.forks.iter();
        let fork = forks
            .find(|fork| fork.prefix.first() == Some(first))
            .ok_or(MantarayError::NotFound)?;
        match self.rest.strip_prefix(fork.prefix.as_slice()) {
            Some(rest) => self.descend(fork, rest.to_vec()),
            None if self.is_prefix && fork.prefix.starts_with(&self.rest) => {
                return Ok(Some(Found::Prefix));
            }
            None => return Err(MantarayError::NotFound),
        }
        // What lies behind the fork need not be read to know that it is there.
        Ok((self.is_prefix && self.rest.is_empty()).then_some(Found::Prefix))
    }

    fn descend(&mut self, fork: &Fork, rest: Vec<u8>) {
        self.rest = rest;
        self.is_value = fork.is_value();
        self.metadata = fork.metadata.clone();
        self.node = fork.child;
    }
}

impl ChunkConsumer for Lookup {
    type Error = MantarayError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        if self.is_done() {
            return None;
        }
        self.reading.poll_want()
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), MantarayError> {
        if self.is_done() {
            return Ok(());
        }
        self.walk.check()?;
        let address = self.walk.node.address;
        self.reading
            .handle_chunk(chunk)
            .map_err(|error| MantarayError::Node { address, error })?;
        match self.reading.take_bytes() {
            Some(bytes) => {
                self.keep(bytes)?;
                self.advance()
            }
            None => Ok(()),
        }
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        let node = self.walk.node.address;
        self.reading
            .handle_unavailable(address)
            .map_err(|error| MantarayError::Node {
                address: node,
                error,
            })
    }

    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        let node = self.walk.node.address;
        self.reading
            .handle_delayed(address)
            .map_err(|error| MantarayError::Node {
                address: node,
                error,
            })
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.reading.poll_obsolete()
    }

    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        self.reading.key(address)
    }

    fn is_done(&self) -> bool {
        self.found.is_some()
    }
}

/// Reads the file of one node.
pub(super) fn read_node(reference: Reference) -> Collect {
    Collect::new(reference, NODE_BYTES_MAX, NODE_IN_FLIGHT_MAX)
}
