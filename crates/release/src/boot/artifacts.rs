//! Kernel and initramfs archives, fetched into their final buffers.
use super::kernel::{KernelDefect, check_kernel};
use super::{BootError, BootLimits, Part};
use crate::manifest::{Architecture, Artifact, HostConfiguration};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::collect::{allocate, place};
use content::{Join, JoinConfig, Reference};

/// Archives begin at multiples of this. SPEC Linux Documentation/driver-api/early-userspace/buffer-format.rst: padding with zeros
/// between archives is skipped.
const ALIGNMENT: u64 = 4;

/// All files of a release.
pub(super) struct Artifacts {
    /// The kernel first, then the archives.
    files: Vec<File>,
    /// Asked for and not received. Files may share chunks.
    outstanding: BTreeSet<ChunkAddress>,
    /// Those of them that are hard to get: others are wanted in their place.
    delayed: BTreeSet<ChunkAddress>,
    in_flight_max: usize,
    architecture: Architecture,
    total_bytes: u64,
    /// Sum of the padded archives.
    initrd_bytes: u64,
    /// The buffers, once every file's size has been seen to be the manifest's.
    buffers: Option<Buffers>,
    kernel_checked: bool,
}

struct Buffers {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

struct File {
    part: Part,
    reference: Reference,
    size: u64,
    join: Join,
    /// Where it begins in its buffer.
    start: usize,
}

impl Artifacts {
    /// Starts fetching what `manifest` names.
    pub(super) fn new(
        manifest: &HostConfiguration,
        limits: &BootLimits,
    ) -> Result<Self, BootError> {
        if manifest.architecture != limits.architecture {
            return Err(BootError::Architecture {
                expected: limits.architecture,
                found: manifest.architecture,
            });
        }
        let kernel = &manifest.kernel;
        if kernel.size > limits.kernel_bytes_max {
            return Err(BootError::KernelTooLarge {
                size: kernel.size,
                max: limits.kernel_bytes_max,
            });
        }
        let mut files = Vec::from([File::new(Part::Kernel, kernel, 0, limits)?]);
        let mut initrd_bytes: u64 = 0;
        let mut total_bytes = kernel.size;
        for (index, archive) in manifest.initramfs.iter().enumerate() {
            let part = Part::Initramfs(index.saturating_add(1));
            files.push(File::new(part, archive, initrd_bytes, limits)?);
            total_bytes = total_bytes.saturating_add(archive.size);
            let end = initrd_bytes.saturating_add(archive.size);
            initrd_bytes = end.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX);
        }
        if initrd_bytes > limits.initramfs_bytes_max {
            return Err(BootError::InitramfsTooLarge {
                size: initrd_bytes,
                max: limits.initramfs_bytes_max,
            });
        }
        Ok(Self {
            files,
            outstanding: BTreeSet::new(),
            delayed: BTreeSet::new(),
            in_flight_max: limits.in_flight_max.max(1),
            architecture: limits.architecture,
            total_bytes,
            initrd_bytes,
            buffers: None,
            kernel_checked: false,
        })
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.files
            .iter()
            .map(|file| file.join.received_bytes())
            .fold(0, u64::saturating_add)
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(super) fn is_done(&self) -> bool {
        self.buffers.is_some() && self.files.iter().all(|file| file.join.is_done())
    }

    /// Gives kernel and initrd, once done.
    pub(super) fn into_buffers(self) -> Option<(Vec<u8>, Vec<u8>)> {
        if !self.is_done() {
            return None;
        }
        let Buffers { kernel, initrd } = self.buffers?;
        Some((kernel, initrd))
    }

    pub(super) fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        self.files.iter().find_map(|file| file.join.key(address))
    }

    /// Returns the next chunk: first the root of every file, then the kernel in file order, then the archives.
    pub(super) fn poll_want(&mut self) -> Option<ChunkAddress> {
        let in_flight = self.outstanding.len().saturating_sub(self.delayed.len());
        if in_flight >= self.in_flight_max {
            return None;
        }
        for file in &mut self.files {
            while let Some(address) = file.join.poll_want() {
                if self.outstanding.insert(address) {
                    return Some(address);
                }
            }
        }
        None
    }

    pub(super) fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), BootError> {
        let address = chunk.address();
        if !self.forget(address) {
            return Ok(());
        }
        let waiting = |file: &File| file.join.is_waiting_for(address);
        let mut count = self.files.iter().filter(|file| waiting(file)).count();
        let mut chunk = Some(chunk);
        for file in &mut self.files {
            if !file.join.is_waiting_for(address) {
                continue;
            }
            // Only a chunk that several files share is copied.
            count = count.saturating_sub(1);
            let given = if count == 0 {
                chunk.take()
            } else {
                chunk.clone()
            };
            if let Some(given) = given {
                file.take(given)?;
            }
        }
        if self.buffers.is_none() {
            if self.files.iter().any(|file| file.join.size().is_none()) {
                return Ok(());
            }
            self.allocate()?;
        }
        self.drain()
    }

    /// Stops waiting for a chunk; says whether it was waited for.
    fn forget(&mut self, address: ChunkAddress) -> bool {
        self.delayed.remove(&address);
        self.outstanding.remove(&address)
    }

    pub(super) fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        self.forget(address);
        for file in &mut self.files {
            file.join
                .handle_unavailable(address)
                .map_err(|error| BootError::in_part(file.part, &file.reference, error))?;
        }
        self.drain()
    }

    pub(super) fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        if self.outstanding.contains(&address) {
            self.delayed.insert(address);
        }
        for file in &mut self.files {
            file.join
                .handle_delayed(address)
                .map_err(|error| BootError::in_part(file.part, &file.reference, error))?;
        }
        self.drain()
    }

    /// Returns a chunk that no file needs any more.
    pub(super) fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        loop {
            let mut files = self.files.iter_mut();
            let address = files.find_map(|file| file.join.poll_obsolete())?;
            let mut files = self.files.iter();
            if !files.any(|file| file.join.is_waiting_for(address)) {
                self.forget(address);
                return Some(address);
            }
        }
    }

    fn allocate(&mut self) -> Result<(), BootError> {
        let buffer = |part, size| allocate(size).map_err(|_| BootError::OutOfMemory { part, size });
        let kernel_bytes = self.files.first().map_or(0, |kernel| kernel.size);
        self.buffers = Some(Buffers {
            kernel: buffer(Part::Kernel, kernel_bytes)?,
            initrd: buffer(Part::Initramfs(1), self.initrd_bytes)?,
        });
        Ok(())
    }

    /// Copies what has arrived to its place.
    fn drain(&mut self) -> Result<(), BootError> {
        let Some(buffers) = &mut self.buffers else {
            return Ok(());
        };
        for file in &mut self.files {
            let is_kernel = file.part == Part::Kernel;
            let buffer = if is_kernel {
                &mut buffers.kernel
            } else {
                &mut buffers.initrd
            };
            while let Some(piece) = file.join.poll_piece() {
                place(buffer, file.start, &piece);
                // A file that is no kernel is refused with its first chunk, not after all of it.
                if is_kernel
                    && piece.offset() == 0
                    && let Some(result) = check_kernel(piece.bytes(), self.architecture)
                {
                    result.map_err(BootError::Kernel)?;
                    self.kernel_checked = true;
                }
            }
            if is_kernel && !self.kernel_checked && file.join.is_done() {
                // The header lies far inside the file, or nowhere.
                check_kernel(buffer, self.architecture)
                    .unwrap_or(Err(KernelDefect::NotPe))
                    .map_err(BootError::Kernel)?;
                self.kernel_checked = true;
            }
        }
        Ok(())
    }
}

impl File {
    fn new(
        part: Part,
        artifact: &Artifact,
        start: u64,
        limits: &BootLimits,
    ) -> Result<Self, BootError> {
        let size = artifact.size;
        let config = JoinConfig {
            size_max: size,
            in_flight_max: limits.in_flight_max,
            ordered: false,
        };
        Ok(Self {
            part,
            reference: artifact.reference,
            size,
            join: Join::new(artifact.reference, config),
            start: usize::try_from(start).map_err(|_| BootError::OutOfMemory { part, size })?,
        })
    }

    fn take(&mut self, chunk: VerifiedChunk) -> Result<(), BootError> {
        let part = self.part;
        self.join
            .handle_chunk(chunk)
            .map_err(|error| BootError::in_part(part, &self.reference, error))?;
        match self.join.size() {
            Some(found) if found != self.size => Err(BootError::Size {
                part,
                expected: self.size,
                found,
            }),
            _ => Ok(()),
        }
    }
}
