//! Cuts files and directories into chunks: `publish` into a chunk set or a bee node, `hash` for the reference alone.
//!
//! Publishing reads its input twice. A chunk set names the root in front of every chunk, an upload wants to know what
//! it has room for, and the root is known only at the end; a second reading keeps memory small, and proves that nothing changed in
//! between.
mod keys;
mod plan;
mod release_check;
mod sink;
mod to_bee;

use crate::feed::{Announce, FeedUpdateError, Memory};
use crate::output::{OutputError, OutputFile};
use crate::pe::PeError;
use crate::secret::Secret;
use crate::tree::{TreeError, TreeFile};
use bmt::VerifiedChunk;
use chunkset::{TarError, TarWriter};
use content::mantaray::MantarayError;
use content::{RedundancyLevel, Reference};
use plan::{Meter, Plan};
use release::manifest::{
    Architecture, HostConfiguration, MANIFEST_BYTES_MAX, MANIFEST_PATH, ManifestError, Update,
};
use sink::Sink;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

pub use release_check::ReleaseCheckError;
pub use to_bee::{BeeOptions, BeePublished, BeeStep, ToBeeError, publish_to_bee};

/// Buffer in front of an archive.
const WRITE_BYTES: usize = 128 * 1024;

/// What is published, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// File served for the directory itself.
    pub index_document: Option<String>,
    /// File served for missing paths.
    pub error_document: Option<String>,
    /// Writes the host configuration manifest into the directory.
    pub release: Option<ReleaseOptions>,
    /// The files of a directory that is put together by a description (which is then the input).
    pub files: Option<Vec<TreeFile>>,
    /// Parity chunks and replicas of the root, for every file and for the directory.
    pub level: RedundancyLevel,
    /// Encrypts everything with keys made from this secret. Input is then read once more.
    pub encrypt: Option<Secret>,
}

/// What goes into a generated host configuration manifest; the architecture comes from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// Path of the kernel inside the directory.
    pub kernel: String,
    /// Paths of the initramfs archives inside the directory, in order.
    pub initramfs: Vec<String>,
    /// Kernel command line.
    pub cmdline: String,
    /// Host or fleet name.
    pub name: String,
    /// Version for people.
    pub version: String,
    /// Only rises.
    pub sequence: u64,
    /// Where newer releases are announced.
    pub update: Option<Update>,
    /// What the kernel must be for, if that is to be checked.
    pub architecture: Option<Architecture>,
}

/// One file of what was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Path inside the directory, or the name of a single file.
    pub path: String,
    /// Its file tree.
    pub reference: Reference,
    /// Bytes.
    pub size: u64,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The file tree, or the directory.
    pub reference: Reference,
    /// Bytes of all files.
    pub bytes: u64,
    /// Chunks written; one that occurs again within the last 4096 counts once.
    pub chunks: u64,
    /// The files.
    pub files: Vec<PublishedFile>,
    /// The host configuration manifest, if the directory has one.
    pub manifest: Option<HostConfiguration>,
}

/// Why something cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A directory cannot be listed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The chunk set cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The chunk set cannot be written.
    #[error("{}: {source}", .path.display())]
    Archive {
        /// Where.
        path: PathBuf,
        /// Why.
        source: TarError,
    },
    /// A path does not fit into a directory.
    #[error("the directory cannot be made: {0}")]
    Directory(#[from] MantarayError),
    /// The input changed between the two readings.
    #[error("{}: changed while it was published; publish a copy that nobody writes to", .0.display())]
    Changed(PathBuf),
    /// Directory options for a file.
    #[error("{}: is a file; {option} needs a directory", .path.display())]
    NotADirectory {
        /// What was given.
        path: PathBuf,
        /// Which option.
        option: &'static str,
    },
    /// bee refuses slashes there, and so do we.
    #[error(
        "the index document {0:?} has a slash; name a file that every directory may have, such as index.html"
    )]
    IndexDocument(String),
    /// A document that is not there.
    #[error("the directory has no file {0:?}")]
    NoSuchFile(String),
    /// A manifest to be made, and one that is there.
    #[error(
        "the directory already holds {MANIFEST_PATH}; remove it, or publish without --kernel to keep it"
    )]
    ManifestExists,
    /// The kernel is not an EFI application.
    #[error(
        "kernel {path:?} is {source}; SWFETCH starts kernels with an EFI stub (bzImage of a current distribution)"
    )]
    Kernel {
        /// Path inside the directory.
        path: String,
        /// What it is.
        source: PeError,
    },
    /// A kernel for other machines than the release.
    #[error("kernel {path:?} is for {found}, the release for {expected}")]
    Architecture {
        /// Path inside the directory.
        path: String,
        /// What the kernel is for.
        found: Architecture,
        /// What was asked for.
        expected: Architecture,
    },
    /// A manifest that no loader would accept.
    #[error("{MANIFEST_PATH}: {0}")]
    Manifest(ManifestError),
    /// A manifest over the limit.
    #[error("{MANIFEST_PATH}: {0} bytes; at most {MANIFEST_BYTES_MAX} are allowed")]
    ManifestSize(u64),
    /// The reference cannot be announced.
    #[error(transparent)]
    Announce(#[from] Box<FeedUpdateError>),
    /// A manifest that does not fit the files beside it.
    #[error("{MANIFEST_PATH}: {0}")]
    ReleaseCheck(#[from] ReleaseCheckError),
}

/// Hears how many bytes of how many are through.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Computes what [`publish`] would publish and stores nothing.
///
/// # Errors
/// See [`PublishError`].
pub fn hash(
    input: &Path,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Published, PublishError> {
    let plan = Plan::new(input, options)?;
    let mut meter = Meter::new(plan.bytes, progress);
    plan.run(&mut Sink::recent(None), &mut meter)
}

/// How much of a publication is new to somebody who has other chunks already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Novelty {
    /// Chunks that are new.
    pub new: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Chunks that are known.
    pub known: u64,
}

/// Counts the chunks that are not `known`.
///
/// # Errors
/// See [`PublishError`].
pub fn novelty(
    input: &Path,
    options: &Options,
    known: &dyn Fn(&VerifiedChunk) -> bool,
    progress: Progress<'_>,
) -> Result<Novelty, PublishError> {
    let plan = Plan::new(input, options)?;
    let mut novelty = Novelty {
        new: 0,
        new_bytes: 0,
        known: 0,
    };
    let mut count = |chunk: &VerifiedChunk| {
        if known(chunk) {
            novelty.known += 1;
        } else {
            novelty.new += 1;
            novelty.new_bytes += chunk.data().len() as u64;
        }
        true
    };
    plan.run(
        &mut Sink::exact(Some(&mut count)),
        &mut Meter::new(plan.bytes, progress),
    )?;
    Ok(novelty)
}

/// A chunk set to be written, in bee's pinning export form.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    /// The file.
    pub output: &'a Path,
    /// An update that announces the reference; its chunks go into the set, too. It is remembered before the set appears.
    pub announce: Option<(&'a Announce, &'a Memory)>,
}

/// Cuts `input` into chunks and writes them to a chunk set.
///
/// # Errors
/// See [`PublishError`]; the output is then untouched.
pub fn publish(
    input: &Path,
    options: &Options,
    to: &Archive<'_>,
    progress: Progress<'_>,
) -> Result<Published, PublishError> {
    let output = to.output;
    let plan = Plan::new(input, options)?;
    let mut meter = Meter::new(plan.bytes * 2, progress);
    let expected = plan.run(&mut Sink::recent(None), &mut meter)?;
    let archive = |source| PublishError::Archive {
        path: output.to_owned(),
        source,
    };
    let mut file = OutputFile::create(output)?;
    let mut writer = TarWriter::new(BufWriter::with_capacity(WRITE_BYTES, &mut file));
    let mut failure = None;
    let mut append = |chunk: &_| {
        failure = writer.append(expected.reference.address, chunk).err();
        failure.is_none()
    };
    let written = plan.run(&mut Sink::recent(Some(&mut append)), &mut meter);
    if let Some(error) = failure {
        return Err(archive(error));
    }
    if let Some((announce, _)) = to.announce {
        let (chunks, _) = announce.chunks(&expected.reference).map_err(Box::new)?;
        for chunk in &chunks {
            writer
                .append(expected.reference.address, chunk)
                .map_err(archive)?;
        }
    }
    let mut writer = writer.finish().map_err(archive)?;
    writer.flush().map_err(|e| archive(TarError::Io(e)))?;
    drop(writer);
    if written? != expected {
        return Err(PublishError::Changed(input.to_owned()));
    }
    if let Some((announce, memory)) = to.announce {
        let update = announce.about(&expected.reference);
        memory
            .remember(announce.feed(), &update)
            .map_err(Box::new)?;
    }
    file.commit()?;
    Ok(expected)
}

#[cfg(test)]
mod tests;
