//! Mantaray directories, versions 0.1 and 0.2: look-up and building.
use crate::Reference;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file, or `None` for an entry that only carries metadata.
    pub reference: Option<Reference>,
    /// Metadata such as `Content-Type`, `Filename`.
    pub metadata: BTreeMap<String, String>,
}

/// Why a directory cannot be used. (The owner of this crate completes this.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MantarayError {
    /// The path is not in the directory.
    #[error("path not found in the directory")]
    NotFound,
}

/// Looks one path up.
pub struct Lookup {}

impl Lookup {
    /// Starts the look-up of `path` (no leading slash) below `root`.
    pub fn new(root: Reference, path: &str) -> Self {
        let _ = (root, path);
        todo!()
    }
    /// The result, once [`ChunkConsumer::is_done`].
    pub fn entry(&self) -> Option<&Entry> {
        todo!()
    }
}

impl ChunkConsumer for Lookup {
    type Error = MantarayError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        todo!()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), MantarayError> {
        let _ = chunk;
        todo!()
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        let _ = address;
        todo!()
    }
    fn is_done(&self) -> bool {
        todo!()
    }
}

/// Builds a directory.
#[derive(Default)]
pub struct Builder {}

impl Builder {
    /// Adds a file; a later entry with the same path replaces the earlier one.
    pub fn add(&mut self, path: &str, reference: Reference, metadata: BTreeMap<String, String>) {
        let _ = (path, reference, metadata);
        todo!()
    }
    /// Writes the nodes as chunks, children first, and returns the directory's reference, equal to bee's for the same additions.
    pub fn finish(self, sink: &mut dyn FnMut(VerifiedChunk)) -> Result<Reference, MantarayError> {
        let _: Vec<u8>;
        let _ = sink;
        todo!()
    }
}
