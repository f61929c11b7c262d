//! Cuts a file into chunks.
use crate::Reference;
use bmt::VerifiedChunk;

/// Splits a stream into a plain file tree, in constant memory.
pub struct Splitter {}

impl Splitter {
    /// Starts an empty file.
    pub fn new() -> Self {
        todo!()
    }
    /// Takes more bytes; every finished chunk goes to `sink`, children before parents.
    pub fn update(&mut self, bytes: &[u8], sink: &mut dyn FnMut(VerifiedChunk)) {
        let _ = (bytes, sink);
        todo!()
    }
    /// Ends the file and returns its reference.
    pub fn finish(self, sink: &mut dyn FnMut(VerifiedChunk)) -> Reference {
        let _ = sink;
        todo!()
    }
}
