//! Looks one path up.
use super::node::Node;
use super::{Entry, MantarayError, NODE_BYTES_MAX, NODE_IN_FLIGHT_MAX, PATH_BYTES_MAX};
use crate::{Collect, Reference};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

/// Looks one path up.
pub struct Lookup {
    /// The node being read.
    address: ChunkAddress,
    node: Collect,
    /// Bytes of the path below that node.
    rest: Vec<u8>,
    /// What the fork that led to that node says about it.
    is_value: bool,
    metadata: BTreeMap<String, String>,
    entry: Option<Entry>,
}

impl Lookup {
    /// Starts the look-up of `path` (no leading slash) below `root`. The empty path is the directory itself.
    pub fn new(root: Reference, path: &str) -> Self {
        Self {
            address: root.address,
            node: read_node(root),
            rest: Vec::from(path.as_bytes()),
            // SPEC swarm-wire 9: the root's own type is not stored.
            is_value: true,
            metadata: BTreeMap::new(),
            entry: None,
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
        lookup.check_path()?;
        lookup.enter(node)?;
        Ok(lookup)
    }

    /// Returns the result, once [`ChunkConsumer::is_done`].
    pub fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    fn check_path(&self) -> Result<(), MantarayError> {
        let len = self.rest.len();
        if len > PATH_BYTES_MAX {
            return Err(MantarayError::PathTooLong { len });
        }
        Ok(())
    }

    /// Follows the path through a node that is complete.
    fn enter(&mut self, bytes: Vec<u8>) -> Result<(), MantarayError> {
        let address = self.address;
        let node = match Node::decode(bytes) {
            Some(node) => node.map_err(|defect| MantarayError::Malformed { address, defect })?,
            None => return Err(MantarayError::NotADirectory { address }),
        };
        let Some(first) = self.rest.first() else {
            if !self.is_value {
                return Err(MantarayError::NotFound);
            }
            self.entry = Some(Entry {
                reference: node.entry,
                metadata: core::mem::take(&mut self.metadata),
            });
            return Ok(());
        };
        let fork = node
            .forks
            .into_iter()
            .find(|fork| fork.prefix.first() == Some(first))
            .ok_or(MantarayError::NotFound)?;
        self.rest = match self.rest.strip_prefix(fork.prefix.as_slice()) {
            Some(rest) => rest.to_vec(),
            None => return Err(MantarayError::NotFound),
        };
        self.is_value = fork.is_value();
        self.metadata = fork.metadata;
        self.address = fork.child.address;
        self.node = read_node(fork.child);
        Ok(())
    }
}

impl ChunkConsumer for Lookup {
    type Error = MantarayError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        if self.entry.is_some() {
            return None;
        }
        self.node.poll_want()
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), MantarayError> {
        if self.entry.is_some() {
            return Ok(());
        }
        self.check_path()?;
        let address = self.address;
        self.node
            .handle_chunk(chunk)
            .map_err(|error| MantarayError::Node { address, error })?;
        match self.node.take_bytes() {
            Some(bytes) => self.enter(bytes),
            None => Ok(()),
        }
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        let node = self.address;
        self.node
            .handle_unavailable(address)
            .map_err(|error| MantarayError::Node {
                address: node,
                error,
            })
    }

    fn is_done(&self) -> bool {
        self.entry.is_some()
    }
}

/// Reads the file of one node.
pub(super) fn read_node(reference: Reference) -> Collect {
    Collect::new(reference, NODE_BYTES_MAX, NODE_IN_FLIGHT_MAX)
}
