//! Assembles one small file in memory.
use crate::{Join, JoinConfig, JoinError, Reference};
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

/// Reads a whole file into one buffer, with a limit on its size. For manifests and directory nodes; a kernel is placed by `Boot`.
pub struct Collect {
    join: Join,
    bytes: Vec<u8>,
}

impl Collect {
    /// Starts reading `root`, a file of at most `size_max` bytes, with at most `in_flight_max` chunks wanted at once.
    pub fn new(root: Reference, size_max: u64, in_flight_max: usize) -> Self {
        Self {
            join: Join::new(
                root,
                JoinConfig {
                    size_max,
                    in_flight_max,
                    ordered: false,
                },
            ),
            bytes: Vec::new(),
        }
    }

    /// Returns the size of the file, known once the root chunk is here.
    pub fn size(&self) -> Option<u64> {
        self.join.size()
    }

    /// Says whether `address` was asked for and is not here yet.
    pub fn is_waiting_for(&self, address: ChunkAddress) -> bool {
        self.join.is_waiting_for(address)
    }

    /// Returns the file once it is complete.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        self.is_done().then_some(self.bytes)
    }

    /// Returns the file once it is complete, and leaves an empty buffer behind.
    pub fn take_bytes(&mut self) -> Option<Vec<u8>> {
        self.is_done().then(|| core::mem::take(&mut self.bytes))
    }
}

impl ChunkConsumer for Collect {
    type Error = JoinError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.join.poll_want()
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let known = self.join.size().is_some();
        self.join.handle_chunk(chunk)?;
        if !known && let Some(size) = self.join.size() {
            self.bytes = allocate(size)?;
        }
        while let Some(piece) = self.join.poll_piece() {
            place(&mut self.bytes, 0, &piece);
        }
        Ok(())
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.join.handle_unavailable(address)
    }

    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.join.handle_delayed(address)
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.join.poll_obsolete()
    }

    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        self.join.key(address)
    }

    fn is_done(&self) -> bool {
        self.join.is_done()
    }
}

/// Returns a buffer of `size` zero bytes, or an error instead of an abort.
///
/// # Errors
/// Returns [`JoinError::OutOfMemory`].
pub fn allocate(size: u64) -> Result<Vec<u8>, JoinError> {
    let failed = JoinError::OutOfMemory { size };
    let len = usize::try_from(size).map_err(|_| failed.clone())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| failed)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// Copies a piece to its place in `buffer`, in which the file starts at `start`. A piece outside is ignored.
pub fn place(buffer: &mut [u8], start: usize, piece: &crate::Piece) {
    let bytes = piece.bytes();
    let target = usize::try_from(piece.offset())
        .ok()
        .and_then(|offset| start.checked_add(offset))
        .and_then(|from| buffer.get_mut(from..)?.get_mut(..bytes.len()));
    debug_assert!(target.is_some(), "the joiner's offsets are inside the file");
    if let Some(target) = target {
        target.copy_from_slice(bytes);
    }
}
