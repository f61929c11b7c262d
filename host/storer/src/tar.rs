//! Chunk sets in bee's pinning export form.
//!
//! A tar whose entries are named `<root hex>/<chunk hex>`; the body is the chunk's length as u32 BE, the chunk (span ‖ payload,
//! or a whole single-owner chunk), and, in exports from a bee with postage, a stamp of 113 bytes, which is skipped.
//! Streaming in both directions: one chunk is in memory at a time, whatever the archive claims.
use bmt::{ChunkAddress, VerifiedChunk};
use std::io::{Read, Write};

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The reader or writer failed.
    #[error("chunk archive: {0}")]
    Io(#[from] std::io::Error),
    /// Bytes that are not a tar header.
    #[error("chunk archive: entry {entry}: {what}")]
    Malformed {
        /// Number of the entry, from 0.
        entry: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A chunk that does not hash to the name of its entry.
    #[error("chunk archive: entry {entry}: {source}")]
    Chunk {
        /// Number of the entry, from 0.
        entry: u64,
        /// What is wrong.
        source: bmt::ChunkError,
    },
}

/// One entry: a verified chunk and the root it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Address of the root chunk the chunk was exported for.
    pub root: ChunkAddress,
    /// The chunk.
    pub chunk: VerifiedChunk,
}

/// Writes an archive. [`finish`](Self::finish) must be called, else it has no end mark.
#[derive(Debug)]
pub struct TarWriter<W: Write> {
    inner: W,
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive. Bytes are the same for the same chunks in the same order (no times, no owners).
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Adds a chunk that belongs to `root`. Writing the same chunk twice is allowed (readers take the first).
    pub fn append(&mut self, root: ChunkAddress, chunk: &VerifiedChunk) -> Result<(), TarError> {
        let _ = (root, chunk, &mut self.inner);
        todo!()
    }

    /// Writes the end mark, flushes, gives the writer back.
    pub fn finish(self) -> Result<W, TarError> {
        todo!()
    }
}

/// Reads an archive entry by entry: an iterator of verified chunks. After an error it ends.
#[derive(Debug)]
pub struct TarReader<R: Read> {
    inner: R,
}

impl<R: Read> TarReader<R> {
    /// Starts reading.
    pub fn new(inner: R) -> Self {
        Self { inner }
    }
}

impl<R: Read> Iterator for TarReader<R> {
    type Item = Result<Entry, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = &mut self.inner;
        todo!()
    }
}
