//! The seam between what needs chunks (file joiners, directory look-ups, a whole boot) and what can get them (a node, a tar file).
use crate::{ChunkAddress, VerifiedChunk};

/// A computation that asks for chunks and is fed with them, in any order.
///
/// The driver's loop: while the source has room, [`poll_want`](Self::poll_want); give every arriving chunk to
/// [`handle_chunk`](Self::handle_chunk), every definitive failure to [`handle_unavailable`](Self::handle_unavailable); stop when
/// [`is_done`](Self::is_done).
pub trait ChunkConsumer {
    /// What can go wrong.
    type Error;
    /// Returns the next chunk to fetch. Each wanted chunk is returned once; `None` means nothing now (it may want more after the next chunk).
    fn poll_want(&mut self) -> Option<ChunkAddress>;
    /// Takes a chunk it asked for. A chunk that was never wanted is ignored.
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), Self::Error>;
    /// Learns that the source cannot get `address`.
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), Self::Error>;
    /// Learns that `address` is hard to get: the peers most likely to have it said no or do not answer. The source goes on trying; a
    /// consumer that can do without the chunk (redundancy) may want others in its place. Told at most once per wanted chunk.
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), Self::Error> {
        let _ = address;
        Ok(())
    }
    /// Returns a chunk that was wanted and is needed no longer, so that the source may stop trying. Each is returned once.
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        None
    }
    /// Returns the key of a wanted chunk that is encrypted, where it is known: a source that reads ahead needs it to find what is below.
    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        let _ = address;
        None
    }
    /// Says whether everything wanted has been received.
    fn is_done(&self) -> bool;
}
