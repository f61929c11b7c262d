//! Why a boot cannot go on.
use super::KernelDefect;
use crate::help::Help;
use crate::manifest::{Architecture, MANIFEST_BYTES_MAX, MANIFEST_PATH, ManifestError};
use alloc::string::String;
use bmt::ChunkAddress;
use content::feed::{Feed, FeedError, FeedManifestDefect};
use content::mantaray::{MantarayError, NODE_BYTES_MAX, NodeDefect};
use content::{FILE_BYTES_MAX, JoinError, Reference, TreeDefect};
use core::fmt;

/// A part of a release, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the reference itself names.
    Root,
    /// What the newest update of a feed holds, or points to.
    Update,
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
            Self::Update => f.write_str("the content of the feed's newest update"),
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
    /// A root chunk without a sensible span.
    #[error(
        "{part} is no file: its first chunk {address} is random bytes, as encrypted content is without its key"
    )]
    NoKey {
        /// What is.
        part: Part,
        /// Its root chunk.
        address: ChunkAddress,
    },
    /// A file that cannot be read for a reason of its own.
    #[error("{part} cannot be read: {error}")]
    Unreadable {
        /// Which.
        part: Part,
        /// Why.
        error: JoinError,
    },
    /// A directory without manifest.
    #[error("the directory has no file \"{}\"{}", ManifestPath(.path), Alternative(.path))]
    NoManifest {
        /// Path inside the directory that was named.
        path: String,
    },
    /// A feed without the update that is wanted.
    #[error("{0}")]
    Feed(FeedError),
    /// A feed manifest that names no feed.
    #[error("{address} is a feed manifest that cannot be used: {defect}")]
    FeedManifest {
        /// Root chunk of the manifest.
        address: ChunkAddress,
        /// What is wrong.
        defect: FeedManifestDefect,
    },
    /// A feed whose updates are not counted.
    #[error(
        "{feed} is an epoch feed: nothing in it tells an older update from a newer one, so none is booted"
    )]
    EpochFeed {
        /// The feed.
        feed: Feed,
    },
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
pub const HELP: [Help; 19] = [
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
        "DB0312",
        "The content was published encrypted, and the reference was cut to its first 64 digits; or it is no file at all.",
        "Use the whole reference of 128 hexadecimal digits.",
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
    Help::new(
        "DB0440",
        "The owner of the feed has not published yet, owner or topic is mistyped, or the storage of the updates has expired.",
        "Check owner and topic with `deboot feed show`, and the network id; publish an update.",
    ),
    Help::new(
        "DB0441",
        "Newer updates of the feed have expired, or somebody between this machine and the network withholds them.",
        "Try again through another network, or publish a new update; clear the EFI variable `DebootFeeds` to accept older releases again.",
    ),
    Help::new(
        "DB0442",
        "A chunk that claims to be an update was not signed by the owner of the feed.",
        "Report it with the log of this boot: peers that deliver such chunks are dropped before this is reached.",
    ),
    Help::new(
        "DB0443",
        "The newest update is neither a reference nor the root of a file: something else was published in this feed.",
        "Publish an update with `deboot publish` or `deboot feed update`; check that the topic is the one meant.",
    ),
    Help::new(
        "DB0444",
        "The feed manifest was made by a broken publisher, or for a kind of feed that cannot be booted.",
        "Name the feed itself, or make a manifest for a sequence feed.",
    ),
];

impl BootError {
    /// Returns the stable id, cause and next step.
    pub fn help(&self) -> &'static Help {
        let [
            unavailable,
            malformed,
            directory,
            no_key,
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
            no_update,
            older,
            foreign,
            bad_update,
            bad_feed,
        ] = &HELP;
        match self {
            Self::Unavailable { .. } => unavailable,
            Self::Malformed {
                part: Part::Update, ..
            }
            | Self::NoKey {
                part: Part::Update, ..
            } => bad_update,
            Self::Malformed { .. } | Self::Unreadable { .. } => malformed,
            Self::Directory { .. } | Self::DirectoryTooLarge { .. } => directory,
            Self::NoKey { .. } => no_key,
            Self::NoManifest { .. } => no_manifest,
            Self::Feed(FeedError::Older { .. } | FeedError::Gone { .. }) => older,
            Self::Feed(FeedError::Foreign { .. }) => foreign,
            Self::Feed(_) => no_update,
            Self::FeedManifest { .. } | Self::EpochFeed { .. } => bad_feed,
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

    /// Says which part of the release an error of the file behind `root` concerns.
    pub(super) fn in_part(part: Part, root: &Reference, error: JoinError) -> Self {
        match error {
            JoinError::Unavailable(address) => Self::Unavailable { part, address },
            JoinError::TooLarge { size, .. } if size > FILE_BYTES_MAX && root.key.is_none() => {
                let address = root.address;
                Self::NoKey { part, address }
            }
            JoinError::Malformed {
                address,
                defect: TreeDefect::UnknownLevel { .. },
                ..
            } if address == root.address && root.key.is_none() => Self::NoKey { part, address },
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
                Part::Root | Part::Update | Part::Directory => Self::NotARelease { size },
                Part::Manifest => Self::ManifestTooLarge { size },
                Part::Kernel | Part::Initramfs(_) => Self::Size {
                    part,
                    expected: max,
                    found: size,
                },
            },
            error => Self::Unreadable { part, error },
        }
    }

    pub(super) fn in_directory(error: MantarayError, path: &str) -> Self {
        match error {
            MantarayError::Malformed { address, defect } => Self::Directory { address, defect },
            MantarayError::Node {
                address,
                error: JoinError::TooLarge { size, .. },
            } => Self::DirectoryTooLarge { address, size },
            MantarayError::Node { address, error } => {
                Self::in_part(Part::Directory, &Reference::plain(address), error)
            }
            MantarayError::NotADirectory { address } => Self::Directory {
                address,
                defect: NodeDefect::Version,
            },
            MantarayError::FeedManifest { address, defect } => {
                Self::FeedManifest { address, defect }
            }
            _ => Self::NoManifest {
                path: String::from(path),
            },
        }
    }
}

/// Path of the manifest below a path.
pub(super) struct ManifestPath<'a>(pub(super) &'a str);

impl fmt::Display for ManifestPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.0.is_empty() { "" } else { "/" };
        write!(f, "{}{slash}{MANIFEST_PATH}", self.0)
    }
}

/// What else was looked for.
struct Alternative<'a>(&'a str);

impl fmt::Display for Alternative<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " and no file \"{}\"", self.0)
    }
}
