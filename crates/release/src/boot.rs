//! A whole boot as one chunk consumer: manifest look-up, manifest, kernel and initramfs, each checked against the manifest.
use crate::manifest::{Architecture, HostConfiguration};
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::Reference;

/// Limits of a boot.
#[derive(Clone, Debug)]
pub struct BootLimits {
    /// Architecture of this machine.
    pub architecture: Architecture,
    /// Largest kernel, bytes.
    pub kernel_bytes_max: u64,
    /// Largest sum of initramfs archives, bytes.
    pub initramfs_bytes_max: u64,
    /// Chunks wanted at once.
    pub in_flight_max: usize,
}

/// Where a boot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootPhase {
    /// Looking the manifest up.
    Directory,
    /// Reading the manifest.
    Manifest,
    /// Fetching kernel and initramfs, interleaved.
    Artifacts,
    /// Everything is here.
    Done,
}

/// Why a boot cannot go on. (The owner of this crate completes this: one variant per cause, with a stable id such as `DB0301`.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// Placeholder.
    #[error("not a release")]
    NotARelease,
}

/// Everything needed to start Linux; the bytes are the ones that were verified.
pub struct Payload {
    /// The manifest.
    pub manifest: HostConfiguration,
    /// The kernel image.
    pub kernel: Vec<u8>,
    /// All initramfs archives one after the other, each padded with zeros to four bytes.
    pub initrd: Vec<u8>,
}

/// Fetches one release.
pub struct Boot {}

impl Boot {
    /// Starts with a directory that holds `host-configuration-manifest.json`, or with the manifest's own reference.
    pub fn new(reference: Reference, limits: BootLimits) -> Self {
        let _ = (reference, limits);
        todo!()
    }
    /// Where it is.
    pub fn phase(&self) -> BootPhase {
        todo!()
    }
    /// The manifest, once read.
    pub fn manifest(&self) -> Option<&HostConfiguration> {
        todo!()
    }
    /// Verified bytes of kernel and initramfs so far, and their total once the manifest is read.
    pub fn progress(&self) -> (u64, Option<u64>) {
        todo!()
    }
    /// The result, once done.
    pub fn into_payload(self) -> Option<Payload> {
        todo!()
    }
}

impl ChunkConsumer for Boot {
    type Error = BootError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        todo!()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), BootError> {
        let _ = chunk;
        todo!()
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        let _ = address;
        todo!()
    }
    fn is_done(&self) -> bool {
        todo!()
    }
}
