//! A whole boot as one chunk consumer: manifest look-up, manifest, kernel and initramfs, each checked against the manifest.
mod artifacts;
mod kernel;

use crate::help::Help;
use crate::manifest::{
    Architecture, HostConfiguration, MANIFEST_BYTES_MAX, MANIFEST_PATH, ManifestError,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use artifacts::Artifacts;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::mantaray::{Lookup, MantarayError, NODE_BYTES_MAX, NodeDefect, is_directory};
use content::{Collect, JoinError, Reference, TreeDefect};
use core::fmt;

pub use kernel::{KernelDefect, check_kernel};

/// Limits of a boot.
#[derive(Clone, Debug)]
pub struct BootLimits {
    /// Architecture of this machine.
    pub architecture: Architecture,
    /// Largest kernel, bytes.
    pub kernel_bytes_max: u64,
    /// Largest sum of initramfs archives, bytes.
    pub initramfs_bytes_max: u64,
    /// Chunks wanted at once (0 counts as 1).
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

/// A part of a release, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the reference itself names.
    Root,
    /// The directory of the release.
    Directory,
    /// The manifest.
    Manifest,
    /// The kernel.
    Kernel,
    /// An initramfs archive, counted from 1.
    Initramfs(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the content of the reference"),
            Self::Directory => f.write_str("the release's directory"),
            Self::Manifest => f.write_str("the manifest"),
            Self::Kernel => f.write_str("the kernel"),
            Self::Initramfs(number) => write!(f, "initramfs {number}"),
        }
    }
}

/// Why a boot cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// A chunk is nowhere to be had.
    #[error("{part} cannot be fetched: chunk {address} is not available")]
    Unavailable {
        /// What needs it.
        part: Part,
        /// The chunk.
        address: ChunkAddress,
    },
    /// Authentic chunks that are no file tree.
    #[error("{part} is not a valid file: chunk {address} at offset {offset}: {defect}")]
    Malformed {
        /// Which file.
        part: Part,
        /// The chunk.
        address: ChunkAddress,
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        defect: TreeDefect,
    },
    /// A directory node that is none.
    #[error("the release's directory is broken: node {address}: {defect}")]
    Directory {
        /// The node.
        address: ChunkAddress,
        /// What is wrong.
        defect: NodeDefect,
    },
    /// A directory node that is too large.
    #[error(
        "the release's directory is broken: node {address} has {size} bytes, at most {NODE_BYTES_MAX} are read"
    )]
    DirectoryTooLarge {
        /// The node.
        address: ChunkAddress,
        /// Its bytes.
        size: u64,
    },
    /// A reference with a key.
    #[error("{part} is encrypted (a reference of 128 digits), which is not supported yet")]
    EncryptionUnsupported {
        /// What is.
        part: Part,
    },
    /// A directory without manifest.
    #[error("the directory has no file \"{MANIFEST_PATH}\"")]
    NoManifest,
    /// Neither directory nor manifest.
    #[error(
        "the reference names a file of {size} bytes that is neither a directory nor a manifest"
    )]
    NotARelease {
        /// Its bytes.
        size: u64,
    },
    /// A manifest of impossible size.
    #[error("the manifest has {size} bytes, at most {MANIFEST_BYTES_MAX} are read")]
    ManifestTooLarge {
        /// Its bytes.
        size: u64,
    },
    /// A bad manifest.
    #[error("{0}")]
    Manifest(ManifestError),
    /// A release for other machines.
    #[error("the release is for {found}, this machine is {expected}")]
    Architecture {
        /// This machine's.
        expected: Architecture,
        /// The manifest's.
        found: Architecture,
    },
    /// A kernel above the limit.
    #[error("the kernel has {size} bytes, the limit kernel_bytes_max is {max}")]
    KernelTooLarge {
        /// The manifest's size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// Archives above the limit.
    #[error(
        "the initramfs archives have {size} bytes together, the limit initramfs_bytes_max is {max}"
    )]
    InitramfsTooLarge {
        /// Sum of the manifest's sizes.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// A file whose size is not the manifest's.
    #[error("{part} has {found} bytes, the manifest says {expected}")]
    Size {
        /// Which.
        part: Part,
        /// The manifest's.
        expected: u64,
        /// The file's.
        found: u64,
    },
    /// No memory for a file.
    #[error("no memory for {part}: {size} bytes are needed in one piece")]
    OutOfMemory {
        /// Which.
        part: Part,
        /// Bytes needed.
        size: u64,
    },
    /// A kernel that cannot be started.
    #[error("the kernel cannot be started: {0}")]
    Kernel(KernelDefect),
}

/// Ids of [`BootError`], without those of the manifest.
pub const HELP: [Help; 14] = [
    Help::new(
        "DB0302",
        "The content was never uploaded completely, its storage has expired, or this network has no peer that holds it.",
        "Check the reference and the network id; publish the content again; add a bootnode that is near the content.",
    ),
    Help::new(
        "DB0304",
        "The content was made by a broken or hostile publisher: its chunks are authentic, but they form no file.",
        "Publish the content again with `deboot publish` or bee, and use the new reference.",
    ),
    Help::new(
        "DB0310",
        "The directory was made by a broken or hostile publisher.",
        "Publish the directory again and use the new reference.",
    ),
    Help::new(
        "DB0311",
        "The release was published encrypted.",
        "Publish it without encryption; encrypted releases come with a later version.",
    ),
    Help::new(
        "DB0430",
        "The reference names a directory, but not one that `deboot publish` made of a release.",
        "Publish a directory that has the manifest at its top level.",
    ),
    Help::new(
        "DB0431",
        "The reference names a single file, such as the kernel, instead of the release.",
        "Use the reference that `deboot publish` prints last.",
    ),
    Help::new(
        "DB0432",
        "The release was built for another kind of machine.",
        "Publish a release for this architecture, or boot the machine it was made for.",
    ),
    Help::new(
        "DB0433",
        "The kernel is larger than this machine's configuration allows.",
        "Raise `kernel_bytes_max` in deboot.toml, or publish a smaller kernel.",
    ),
    Help::new(
        "DB0434",
        "The initramfs is larger than this machine's configuration allows.",
        "Raise `initramfs_bytes_max` in deboot.toml, or publish a smaller initramfs.",
    ),
    Help::new(
        "DB0435",
        "The manifest was written for another build of this file.",
        "Publish kernel, initramfs and manifest together.",
    ),
    Help::new(
        "DB0436",
        "The machine has too little memory for this release, or it is too fragmented.",
        "Give the machine more memory, or publish a smaller initramfs.",
    ),
    Help::new(
        "DB0437",
        "The file named as kernel is not a Linux kernel image: a compressed vmlinux, a script, or something else.",
        "Publish the `vmlinuz` (bzImage, or Image on arm64) of a kernel built with CONFIG_EFI_STUB.",
    ),
    Help::new(
        "DB0438",
        "The kernel was built for another architecture than the manifest says.",
        "Publish the kernel for this architecture.",
    ),
    Help::new(
        "DB0439",
        "The file named as kernel is a PE image for something else: a driver, or a program for Windows.",
        "Publish the `vmlinuz` of a kernel built with CONFIG_EFI_STUB.",
    ),
];

impl BootError {
    /// Returns the stable id, cause and next step.
    pub fn help(&self) -> &'static Help {
        let [
            unavailable,
            malformed,
            directory,
            encrypted,
            no_manifest,
            not_a_release,
            architecture,
            kernel_large,
            initramfs_large,
            size,
            memory,
            not_pe,
            machine,
            not_efi,
        ] = &HELP;
        match self {
            Self::Unavailable { .. } => unavailable,
            Self::Malformed { .. } => malformed,
            Self::Directory { .. } | Self::DirectoryTooLarge { .. } => directory,
            Self::EncryptionUnsupported { .. } => encrypted,
            Self::NoManifest => no_manifest,
            Self::NotARelease { .. } => not_a_release,
            Self::ManifestTooLarge { .. } => ManifestError::TooLarge { len: 0 }.help(),
            Self::Manifest(error) => error.help(),
            Self::Architecture { .. } => architecture,
            Self::KernelTooLarge { .. } => kernel_large,
            Self::InitramfsTooLarge { .. } => initramfs_large,
            Self::Size { .. } => size,
            Self::OutOfMemory { .. } => memory,
            Self::Kernel(KernelDefect::NotPe) => not_pe,
            Self::Kernel(KernelDefect::Machine { .. }) => machine,
            Self::Kernel(KernelDefect::NotApplication) => not_efi,
        }
    }

    /// Returns the stable id, such as `DB0302`.
    pub fn id(&self) -> &'static str {
        self.help().id
    }

    /// Says which part of the release an error of its file concerns.
    fn in_part(part: Part, error: JoinError) -> Self {
        match error {
            JoinError::Unavailable(address) => Self::Unavailable { part, address },
            JoinError::Malformed {
                address,
                offset,
                defect,
            } => Self::Malformed {
                part,
                address,
                offset,
                defect,
            },
            JoinError::OutOfMemory { size } => Self::OutOfMemory { part, size },
            JoinError::TooLarge { size, max } => match part {
                Part::Root | Part::Directory => Self::NotARelease { size },
                Part::Manifest => Self::ManifestTooLarge { size },
                Part::Kernel | Part::Initramfs(_) => Self::Size {
                    part,
                    expected: max,
                    found: size,
                },
            },
            // `JoinError` may grow; what it cannot read is, for a boot, not supported.
            _ => Self::EncryptionUnsupported { part },
        }
    }

    fn in_directory(error: MantarayError) -> Self {
        match error {
            MantarayError::Malformed { address, defect } => Self::Directory { address, defect },
            MantarayError::Node {
                address,
                error: JoinError::TooLarge { size, .. },
            } => Self::DirectoryTooLarge { address, size },
            MantarayError::Node { error, .. } => Self::in_part(Part::Directory, error),
            MantarayError::NotADirectory { address } => Self::Directory {
                address,
                defect: NodeDefect::Version,
            },
            _ => Self::NoManifest,
        }
    }
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

/// Fetches one release: directory, manifest, kernel and initramfs.
///
/// Every chunk is copied once, to its place in a buffer whose size was agreed between manifest and file before it was allocated.
pub struct Boot {
    reference: Reference,
    limits: BootLimits,
    state: State,
    manifest: Option<HostConfiguration>,
}

enum State {
    /// Reading what the reference names: the root node of a directory, or a manifest.
    Root(Box<Collect>),
    Directory(Box<Lookup>),
    Manifest(Box<Collect>),
    Artifacts(Box<Artifacts>),
}

impl Boot {
    /// Starts with a directory that holds `host-configuration-manifest.json`, or with the manifest's own reference.
    pub fn new(reference: Reference, limits: BootLimits) -> Self {
        let root = Collect::new(reference, NODE_BYTES_MAX, limits.in_flight_max);
        Self {
            reference,
            limits,
            state: State::Root(Box::new(root)),
            manifest: None,
        }
    }

    /// Returns where it is.
    pub fn phase(&self) -> BootPhase {
        match &self.state {
            State::Root(_) | State::Directory(_) => BootPhase::Directory,
            State::Manifest(_) => BootPhase::Manifest,
            State::Artifacts(artifacts) if artifacts.is_done() => BootPhase::Done,
            State::Artifacts(_) => BootPhase::Artifacts,
        }
    }

    /// Returns the manifest, once read.
    pub fn manifest(&self) -> Option<&HostConfiguration> {
        self.manifest.as_ref()
    }

    /// Returns the verified bytes of kernel and initramfs so far, and their total once the manifest is read.
    pub fn progress(&self) -> (u64, Option<u64>) {
        match &self.state {
            State::Artifacts(artifacts) => {
                (artifacts.received_bytes(), Some(artifacts.total_bytes()))
            }
            State::Root(_) | State::Directory(_) | State::Manifest(_) => (0, None),
        }
    }

    /// Returns the result, once done.
    pub fn into_payload(self) -> Option<Payload> {
        let manifest = self.manifest?;
        let State::Artifacts(artifacts) = self.state else {
            return None;
        };
        let (kernel, initrd) = artifacts.into_buffers()?;
        Some(Payload {
            manifest,
            kernel,
            initrd,
        })
    }

    /// The file the reference names is complete.
    fn enter_root(&mut self, bytes: Vec<u8>) -> Result<(), BootError> {
        if is_directory(&bytes) {
            let lookup = Lookup::with_root_node(self.reference, bytes, MANIFEST_PATH)
                .map_err(BootError::in_directory)?;
            self.state = State::Directory(Box::new(lookup));
            return Ok(());
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(BootError::NotARelease { size });
        }
        self.enter_manifest(&bytes)
    }

    /// The look-up is complete.
    fn enter_directory(&mut self, manifest: Option<Reference>) -> Result<(), BootError> {
        let reference = manifest.ok_or(BootError::NoManifest)?;
        let size_max = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
        let collect = Collect::new(reference, size_max, self.limits.in_flight_max);
        self.state = State::Manifest(Box::new(collect));
        Ok(())
    }

    /// The manifest is complete.
    fn enter_manifest(&mut self, json: &[u8]) -> Result<(), BootError> {
        let manifest = HostConfiguration::parse(json).map_err(BootError::Manifest)?;
        let artifacts = Artifacts::new(&manifest, &self.limits)?;
        self.manifest = Some(manifest);
        self.state = State::Artifacts(Box::new(artifacts));
        Ok(())
    }
}

impl ChunkConsumer for Boot {
    type Error = BootError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        match &mut self.state {
            State::Root(collect) | State::Manifest(collect) => collect.poll_want(),
            State::Directory(lookup) => lookup.poll_want(),
            State::Artifacts(artifacts) => artifacts.poll_want(),
        }
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), BootError> {
        match &mut self.state {
            State::Artifacts(artifacts) => artifacts.handle_chunk(chunk),
            State::Root(collect) => {
                collect
                    .handle_chunk(chunk)
                    .map_err(|error| BootError::in_part(Part::Root, error))?;
                match collect.take_bytes() {
                    Some(bytes) => self.enter_root(bytes),
                    None => Ok(()),
                }
            }
            State::Directory(lookup) => {
                lookup
                    .handle_chunk(chunk)
                    .map_err(BootError::in_directory)?;
                match lookup.entry().map(|entry| entry.reference) {
                    Some(reference) => self.enter_directory(reference),
                    None => Ok(()),
                }
            }
            State::Manifest(collect) => {
                collect
                    .handle_chunk(chunk)
                    .map_err(|error| BootError::in_part(Part::Manifest, error))?;
                match collect.take_bytes() {
                    Some(bytes) => self.enter_manifest(&bytes),
                    None => Ok(()),
                }
            }
        }
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        match &mut self.state {
            State::Artifacts(artifacts) => artifacts.handle_unavailable(address),
            State::Root(collect) => collect
                .handle_unavailable(address)
                .map_err(|error| BootError::in_part(Part::Root, error)),
            State::Directory(lookup) => lookup
                .handle_unavailable(address)
                .map_err(BootError::in_directory),
            State::Manifest(collect) => collect
                .handle_unavailable(address)
                .map_err(|error| BootError::in_part(Part::Manifest, error)),
        }
    }

    fn is_done(&self) -> bool {
        self.phase() == BootPhase::Done
    }
}

#[cfg(test)]
mod tests;
