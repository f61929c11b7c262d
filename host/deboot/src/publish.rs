//! Cuts files and directories into chunks: `publish` into a chunk set, `hash` for the reference alone.
//!
//! Publishing reads its input twice. A chunk set names the root in front of every chunk, and the root is known only at the end; a
//! second reading keeps memory constant, and proves that nothing changed in between.
mod release_check;

use crate::mime::content_type;
use crate::output::{OutputError, OutputFile};
use crate::pe::{self, PeError};
use crate::tree::{self, TreeError, TreeFile};
use bmt::{ChunkAddress, VerifiedChunk};
use content::mantaray::{Builder, MantarayError};
use content::{Reference, Splitter};
use release::manifest::{
    Artifact, HostConfiguration, MANIFEST_BYTES_MAX, MANIFEST_PATH, ManifestError, Update,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use storer::tar::{TarError, TarWriter};

pub use release_check::ReleaseCheckError;

const READ_BYTES: usize = 128 * 1024;
/// Addresses remembered to leave out chunks that were written a moment ago (runs of zeros), whatever the size of the input.
const RECENT_MAX: usize = 4096;
/// Metadata keys. SPEC swarm-wire 9 "Well-known".
const KEY_CONTENT_TYPE: &str = "Content-Type";
const KEY_FILENAME: &str = "Filename";
const KEY_INDEX_DOCUMENT: &str = "website-index-document";
const KEY_ERROR_DOCUMENT: &str = "website-error-document";

/// What a directory is published as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// File served for the directory itself.
    pub index_document: Option<String>,
    /// File served for missing paths.
    pub error_document: Option<String>,
    /// Writes the host configuration manifest into the directory.
    pub release: Option<ReleaseOptions>,
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
    /// A manifest that no loader would accept.
    #[error("{MANIFEST_PATH}: {0}")]
    Manifest(ManifestError),
    /// A manifest over the limit.
    #[error("{MANIFEST_PATH}: {0} bytes; at most {MANIFEST_BYTES_MAX} are allowed")]
    ManifestSize(u64),
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
    plan.run(&mut Sink::<std::io::Sink>::new(None), &mut meter)
}

/// Cuts `input` into chunks and writes them to `output` in bee's pinning export form.
///
/// # Errors
/// See [`PublishError`]; `output` is then untouched.
pub fn publish(
    input: &Path,
    options: &Options,
    output: &Path,
    progress: Progress<'_>,
) -> Result<Published, PublishError> {
    let plan = Plan::new(input, options)?;
    let mut meter = Meter::new(plan.bytes * 2, progress);
    let expected = plan.run(&mut Sink::<std::io::Sink>::new(None), &mut meter)?;
    let archive = |source| PublishError::Archive {
        path: output.to_owned(),
        source,
    };
    let mut file = OutputFile::create(output)?;
    let writer = TarWriter::new(BufWriter::with_capacity(READ_BYTES, &mut file));
    let mut sink = Sink::new(Some((expected.reference.address, writer)));
    let written = plan.run(&mut sink, &mut meter)?;
    let writer = sink.finish().map_err(archive)?;
    let flushed = writer.map(|mut writer| writer.flush()).transpose();
    flushed.map_err(|e| archive(TarError::Io(e)))?;
    if written != expected {
        return Err(PublishError::Changed(input.to_owned()));
    }
    file.commit()?;
    Ok(written)
}

/// What is to be read, in order.
struct Plan<'a> {
    input: &'a Path,
    directory: bool,
    files: Vec<TreeFile>,
    bytes: u64,
    options: &'a Options,
}

impl<'a> Plan<'a> {
    fn new(input: &'a Path, options: &'a Options) -> Result<Self, PublishError> {
        let metadata = std::fs::metadata(input).map_err(|source| PublishError::Read {
            path: input.to_owned(),
            source,
        })?;
        let directory = metadata.is_dir();
        let files = if directory {
            tree::list(input)?
        } else {
            refuse_directory_options(input, options)?;
            let name = input.file_name().unwrap_or(input.as_os_str());
            vec![TreeFile {
                path: name.to_string_lossy().into_owned(),
                source: input.to_owned(),
                size: metadata.len(),
            }]
        };
        let bytes = files.iter().map(|f| f.size).sum();
        let plan = Self {
            input,
            directory,
            files,
            bytes,
            options,
        };
        plan.check_options()?;
        Ok(plan)
    }

    fn check_options(&self) -> Result<(), PublishError> {
        if let Some(name) = &self.options.index_document
            && name.contains('/')
        {
            return Err(PublishError::IndexDocument(name.clone()));
        }
        let documents = [&self.options.index_document, &self.options.error_document];
        for name in documents.into_iter().flatten() {
            self.file(name)?;
        }
        if let Some(release) = &self.options.release {
            self.file(&release.kernel)?;
            for path in &release.initramfs {
                self.file(path)?;
            }
            if self.file(MANIFEST_PATH).is_ok() {
                return Err(PublishError::ManifestExists);
            }
        }
        Ok(())
    }

    fn file(&self, path: &str) -> Result<&TreeFile, PublishError> {
        self.files
            .iter()
            .find(|f| f.path == path)
            .ok_or_else(|| PublishError::NoSuchFile(path.to_owned()))
    }

    /// Reads everything once; every chunk goes to `sink`.
    fn run<W: Write>(
        &self,
        sink: &mut Sink<W>,
        meter: &mut Meter<'_>,
    ) -> Result<Published, PublishError> {
        let mut files = Vec::with_capacity(self.files.len() + 1);
        for file in &self.files {
            let (reference, size) = split_file(&file.source, sink, meter)?;
            let path = file.path.clone();
            files.push(PublishedFile {
                path,
                reference,
                size,
            });
        }
        let mut manifest = None;
        let mut reference = files.first().map(|f| f.reference);
        if self.directory {
            manifest = match &self.options.release {
                Some(release) => Some(self.write_manifest(release, &mut files, sink)?),
                None => self.read_manifest(&files)?,
            };
            reference = Some(self.build_directory(&files, sink)?);
        }
        // `Plan::new` lists at least one file.
        let Some(reference) = reference else {
            return Err(TreeError::Empty(self.input.to_owned()).into());
        };
        Ok(Published {
            reference,
            bytes: files.iter().map(|f| f.size).sum(),
            chunks: sink.chunks,
            files,
            manifest,
        })
    }

    /// Makes the manifest of a release and adds it to the files.
    fn write_manifest<W: Write>(
        &self,
        release: &ReleaseOptions,
        files: &mut Vec<PublishedFile>,
        sink: &mut Sink<W>,
    ) -> Result<HostConfiguration, PublishError> {
        let kernel = self.file(&release.kernel)?;
        let head = read_head(&kernel.source)?;
        let architecture = pe::efi_application(&head).map_err(|source| PublishError::Kernel {
            path: release.kernel.clone(),
            source,
        })?;
        let artifact = |path: &str| {
            files
                .iter()
                .find(|f| f.path == path)
                .map(|f| Artifact {
                    reference: f.reference,
                    size: f.size,
                })
                .ok_or_else(|| PublishError::NoSuchFile(path.to_owned()))
        };
        let manifest = HostConfiguration {
            name: release.name.clone(),
            version: release.version.clone(),
            sequence: release.sequence,
            architecture,
            kernel: artifact(&release.kernel)?,
            initramfs: release
                .initramfs
                .iter()
                .map(|path| artifact(path))
                .collect::<Result<_, _>>()?,
            cmdline: release.cmdline.clone(),
            update: release.update.clone(),
        };
        let json = manifest.to_json();
        // What the loader would refuse must not be published.
        HostConfiguration::parse(json.as_bytes()).map_err(PublishError::Manifest)?;
        let mut splitter = Splitter::new();
        splitter.update(json.as_bytes(), &mut |chunk| sink.put(&chunk));
        let reference = splitter.finish(&mut |chunk| sink.put(&chunk));
        files.push(PublishedFile {
            path: MANIFEST_PATH.to_owned(),
            reference,
            size: json.len() as u64,
        });
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(manifest)
    }

    /// Reads and checks the manifest that lies in the directory, if one does.
    fn read_manifest(
        &self,
        files: &[PublishedFile],
    ) -> Result<Option<HostConfiguration>, PublishError> {
        let Ok(file) = self.file(MANIFEST_PATH) else {
            return Ok(None);
        };
        if file.size > MANIFEST_BYTES_MAX as u64 {
            return Err(PublishError::ManifestSize(file.size));
        }
        let json = std::fs::read(&file.source).map_err(|source| PublishError::Read {
            path: file.source.clone(),
            source,
        })?;
        let manifest = HostConfiguration::parse(&json).map_err(PublishError::Manifest)?;
        release_check::check(&manifest, files)?;
        Ok(Some(manifest))
    }

    fn build_directory<W: Write>(
        &self,
        files: &[PublishedFile],
        sink: &mut Sink<W>,
    ) -> Result<Reference, PublishError> {
        let mut builder = Builder::new();
        for file in files {
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            let metadata = BTreeMap::from([
                (KEY_CONTENT_TYPE.to_owned(), content_type(name).to_owned()),
                (KEY_FILENAME.to_owned(), name.to_owned()),
            ]);
            builder.add(&file.path, file.reference, metadata);
        }
        let documents = [
            (KEY_INDEX_DOCUMENT, &self.options.index_document),
            (KEY_ERROR_DOCUMENT, &self.options.error_document),
        ];
        let metadata: BTreeMap<String, String> = documents
            .into_iter()
            .filter_map(|(key, name)| Some((key.to_owned(), name.clone()?)))
            .collect();
        if !metadata.is_empty() {
            // SPEC swarm-wire 9: the directory's own metadata lies on `/`. bee adds it last, which its reference depends on.
            builder.add_metadata("/", metadata);
        }
        Ok(builder.finish(&mut |chunk| sink.put(&chunk))?)
    }
}

fn refuse_directory_options(input: &Path, options: &Options) -> Result<(), PublishError> {
    let given = [
        (options.index_document.is_some(), "--index-document"),
        (options.error_document.is_some(), "--error-document"),
        (options.release.is_some(), "--kernel"),
    ];
    for (given, option) in given {
        if given {
            return Err(PublishError::NotADirectory {
                path: input.to_owned(),
                option,
            });
        }
    }
    Ok(())
}

fn split_file<W: Write>(
    path: &Path,
    sink: &mut Sink<W>,
    meter: &mut Meter<'_>,
) -> Result<(Reference, u64), PublishError> {
    let fail = |source| PublishError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(fail)?;
    let mut splitter = Splitter::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        let received = match file.read(&mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(fail(error)),
        };
        if received == 0 || sink.error.is_some() {
            break;
        }
        splitter.update(&buffer[..received], &mut |chunk| sink.put(&chunk));
        size += received as u64;
        meter.add(received as u64);
    }
    let reference = splitter.finish(&mut |chunk| sink.put(&chunk));
    Ok((reference, size))
}

fn read_head(path: &Path) -> Result<Vec<u8>, PublishError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64 * 1024).read_to_end(&mut head))
        .map_err(|source| PublishError::Read {
            path: path.to_owned(),
            source,
        })?;
    Ok(head)
}

/// Where chunks go: counted, and written when there is an archive.
struct Sink<W: Write> {
    archive: Option<(ChunkAddress, TarWriter<W>)>,
    chunks: u64,
    error: Option<TarError>,
    recent: BTreeSet<ChunkAddress>,
    recent_order: VecDeque<ChunkAddress>,
}

impl<W: Write> Sink<W> {
    fn new(archive: Option<(ChunkAddress, TarWriter<W>)>) -> Self {
        Self {
            archive,
            chunks: 0,
            error: None,
            recent: BTreeSet::new(),
            recent_order: VecDeque::new(),
        }
    }

    /// Takes a chunk. The first error is kept for [`finish`](Self::finish), because splitters cannot be interrupted.
    fn put(&mut self, chunk: &VerifiedChunk) {
        if !self.recent.insert(chunk.address()) {
            return;
        }
        self.recent_order.push_back(chunk.address());
        if self.recent_order.len() > RECENT_MAX
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        self.chunks += 1;
        if let (Some((root, writer)), None) = (&mut self.archive, &self.error) {
            self.error = writer.append(*root, chunk).err();
        }
    }

    fn finish(self) -> Result<Option<W>, TarError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.archive.map(|(_, writer)| writer.finish()).transpose()
    }
}

struct Meter<'a> {
    done: u64,
    total: u64,
    progress: Progress<'a>,
}

impl<'a> Meter<'a> {
    fn new(total: u64, progress: Progress<'a>) -> Self {
        Self {
            done: 0,
            total,
            progress,
        }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        (self.progress)(self.done, self.total);
    }
}

#[cfg(test)]
mod tests;
