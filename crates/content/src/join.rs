//! Reads a file tree: asks for chunks, gives verified pieces.
use crate::Reference;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

/// Limits of a joiner.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// Largest file accepted, in bytes.
    pub size_max: u64,
    /// Chunks wanted and not yet received, at most.
    pub in_flight_max: usize,
    /// Give pieces in file order (buffering at most `in_flight_max` chunks), or as they come.
    pub ordered: bool,
}

/// One verified piece of a file.
pub struct Piece {
    offset: u64,
    chunk: VerifiedChunk,
}

impl Piece {
    /// Where it belongs in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.chunk.payload()
    }
}

/// Why a file cannot be read. (The owner of this crate completes this.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A chunk is nowhere to be had.
    #[error("chunk {0:?} is not available")]
    Unavailable(ChunkAddress),
}

/// Reads one file. Constant memory: the open intermediate chunks and what is in flight.
pub struct Join {}

impl Join {
    /// Starts reading `root`.
    pub fn new(root: Reference, config: JoinConfig) -> Self {
        let _ = (root, config);
        todo!()
    }
    /// Size of the file, known once the root chunk is here.
    pub fn size(&self) -> Option<u64> {
        todo!()
    }
    /// Returns the next piece.
    pub fn poll_piece(&mut self) -> Option<Piece> {
        todo!()
    }
}

impl ChunkConsumer for Join {
    type Error = JoinError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        todo!()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let _ = chunk;
        todo!()
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        let _ = address;
        todo!()
    }
    fn is_done(&self) -> bool {
        todo!()
    }
}
