//! Fetches one file: finds it in its directory if need be, then writes verified pieces as they come.
use crate::output::{OutputError, OutputFile};
use crate::source::{Source, SourceError};
use crate::target::Target;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use client::{Observer, RunError};
use content::mantaray::{Entry, Lookup, MantarayError};
use content::{Join, JoinConfig, JoinError, Piece, Reference};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Chunks wanted at once: 4 MiB in flight, and the most a stream in order ever holds back.
const IN_FLIGHT_MAX: usize = 1024;
/// Metadata key of a directory's index document.
const KEY_INDEX_DOCUMENT: &str = "website-index-document";

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file: a temporary one beside it, renamed when complete.
    File(PathBuf),
    /// Standard output, in order.
    Stdout,
}

/// Limits of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Whole fetch; `None`: none.
    pub timeout: Option<Duration>,
    /// Largest file accepted, bytes.
    pub size_max: u64,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The file tree, after the directory look-up.
    pub reference: Reference,
    /// Bytes.
    pub bytes: u64,
    /// Chunks received, tree nodes and directory included.
    pub chunks: u64,
    /// Peers that delivered at least one chunk.
    pub peers_used: usize,
    /// Time from the first request to the last byte.
    pub elapsed: Duration,
    /// Whether the file looks like a directory (its bytes are a mantaray node).
    pub is_directory: bool,
}

/// Why a download stopped.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The file tree is wrong or too large.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The bytes cannot be written.
    #[error("cannot be written: {0}")]
    Write(io::Error),
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The path could not be looked up.
    #[error("looking up {path:?}: {source}")]
    Lookup {
        /// Path in the directory.
        path: String,
        /// Why.
        source: Box<SourceError<MantarayError>>,
    },
    /// The path names no file.
    #[error("{path:?} is in the directory but has no content; `deboot ls` shows what does")]
    NoContent {
        /// Path in the directory.
        path: String,
    },
    /// No index document.
    #[error("the directory has no index document; name a path, `deboot ls` shows them")]
    NoIndexDocument,
    /// The file could not be fetched.
    #[error(transparent)]
    Download(Box<SourceError<DownloadError>>),
    /// The output cannot be made or finished.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Standard output refused bytes.
    #[error("standard output: {0}")]
    Stdout(io::Error),
}

impl FetchError {
    /// Says whether the directory was read and does not have the path.
    pub fn is_path_not_found(&self) -> bool {
        let Self::Lookup { source, .. } = self else {
            return false;
        };
        matches!(
            **source,
            SourceError::Consumer(MantarayError::NotFound)
                | SourceError::Network(RunError::Consumer(MantarayError::NotFound))
        )
    }
}

/// How far a fetch is, for whoever shows it: the fetch writes, an [`Observer`] reads.
#[derive(Debug, Default)]
pub struct Gauge {
    done: AtomicU64,
    /// Size plus one; zero while unknown.
    total: AtomicU64,
}

impl Gauge {
    /// Verified bytes written so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Size of the file, once its root chunk is here.
    pub fn total(&self) -> Option<u64> {
        self.total.load(Ordering::Relaxed).checked_sub(1)
    }

    fn set(&self, done: u64, total: Option<u64>) {
        self.done.store(done, Ordering::Relaxed);
        let total = total.map_or(0, |t| t.saturating_add(1));
        self.total.store(total, Ordering::Relaxed);
    }
}

/// Fetches `target` from `source` into `destination`.
///
/// # Errors
/// See [`FetchError`]; a destination file is then as it was before.
pub fn fetch(
    source: &mut Source,
    target: &Target,
    destination: &Destination,
    limits: Limits,
    gauge: &Gauge,
    observer: &mut dyn Observer,
) -> Result<Fetched, FetchError> {
    let start = Instant::now();
    let mut chunks = 0;
    let (reference, left) = match &target.path {
        None => (target.reference, limits.timeout),
        Some(path) => {
            let reference = resolve(source, target, path, limits, &mut chunks, observer)?;
            let left = limits.timeout.map(|t| t.saturating_sub(start.elapsed()));
            (reference, left)
        }
    };
    let limits = Limits {
        timeout: left,
        ..limits
    };
    let mut fetched = download(source, reference, destination, limits, gauge, observer)?;
    fetched.chunks += chunks;
    fetched.elapsed = start.elapsed();
    Ok(fetched)
}

/// Looks `path` up in the directory `target`.
fn resolve(
    source: &mut Source,
    target: &Target,
    path: &str,
    limits: Limits,
    chunks: &mut u64,
    observer: &mut dyn Observer,
) -> Result<Reference, FetchError> {
    let mut look_up = |path: &str| -> Result<Option<Entry>, FetchError> {
        let mut lookup = Counted::new(Lookup::new(target.reference, path));
        let result = source.run(&mut lookup, limits.timeout, observer);
        *chunks += lookup.chunks;
        result.map_err(|source| FetchError::Lookup {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(lookup.inner.entry().cloned())
    };
    if path.is_empty() {
        // SPEC swarm-wire 9.1 step 2: the directory's own metadata names the document.
        let root = match look_up("/") {
            Err(error) if error.is_path_not_found() => return Err(FetchError::NoIndexDocument),
            result => result?,
        };
        let index = root
            .and_then(|root| root.metadata.get(KEY_INDEX_DOCUMENT).cloned())
            .ok_or(FetchError::NoIndexDocument)?;
        return content_of(look_up(&index)?, &index);
    }
    content_of(look_up(path)?, path)
}

fn content_of(entry: Option<Entry>, path: &str) -> Result<Reference, FetchError> {
    entry
        .and_then(|entry| entry.reference)
        .ok_or_else(|| FetchError::NoContent {
            path: path.to_owned(),
        })
}

fn download(
    source: &mut Source,
    reference: Reference,
    destination: &Destination,
    limits: Limits,
    gauge: &Gauge,
    observer: &mut dyn Observer,
) -> Result<Fetched, FetchError> {
    match destination {
        Destination::Stdout => {
            let mut sink = Sink::Stream(Box::new(io::stdout().lock()));
            download_into(source, reference, &mut sink, limits, gauge, observer)
        }
        Destination::File(path) => {
            download_to_file(source, reference, path, limits, gauge, observer)
        }
    }
}

fn download_to_file(
    source: &mut Source,
    reference: Reference,
    path: &Path,
    limits: Limits,
    gauge: &Gauge,
    observer: &mut dyn Observer,
) -> Result<Fetched, FetchError> {
    let output = OutputFile::create(path)?;
    let file = output.file().try_clone().map_err(|e| output.error(e))?;
    let mut sink = if output.is_regular() {
        Sink::File(file)
    } else {
        Sink::Stream(Box::new(file))
    };
    let fetched = download_into(source, reference, &mut sink, limits, gauge, observer)?;
    output.commit()?;
    Ok(fetched)
}

fn download_into(
    source: &mut Source,
    reference: Reference,
    sink: &mut Sink,
    limits: Limits,
    gauge: &Gauge,
    observer: &mut dyn Observer,
) -> Result<Fetched, FetchError> {
    let config = JoinConfig {
        size_max: limits.size_max,
        in_flight_max: IN_FLIGHT_MAX,
        ordered: matches!(sink, Sink::Stream(_)),
    };
    let mut download = Download {
        join: Join::new(reference, config),
        sink,
        written: 0,
        is_directory: false,
        gauge,
    };
    let mut counted = Counted::new(&mut download);
    source
        .run(&mut counted, limits.timeout, observer)
        .map_err(|error| FetchError::Download(Box::new(error)))?;
    let chunks = counted.chunks;
    let bytes = download.written;
    let is_directory = download.is_directory;
    download.sink.flush().map_err(FetchError::Stdout)?;
    Ok(Fetched {
        reference,
        bytes,
        chunks,
        peers_used: source.peers_used(),
        elapsed: Duration::ZERO,
        is_directory,
    })
}

/// Where pieces go.
enum Sink {
    /// At their offsets, as they come.
    File(std::fs::File),
    /// One after the other.
    Stream(Box<dyn Write>),
}

impl Sink {
    fn write(&mut self, piece: &Piece) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all_at(piece.bytes(), piece.offset()),
            Self::Stream(stream) => stream.write_all(piece.bytes()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

/// A join whose pieces are written as soon as they are verified.
struct Download<'a> {
    join: Join,
    sink: &'a mut Sink,
    written: u64,
    is_directory: bool,
    gauge: &'a Gauge,
}

impl ChunkConsumer for &mut Download<'_> {
    type Error = DownloadError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.join.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), DownloadError> {
        self.join.handle_chunk(chunk)?;
        while let Some(piece) = self.join.poll_piece() {
            if piece.offset() == 0 {
                self.is_directory = looks_like_directory(piece.bytes());
            }
            self.sink.write(&piece).map_err(DownloadError::Write)?;
            self.written += piece.bytes().len() as u64;
        }
        self.gauge.set(self.written, self.join.size());
        Ok(())
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), DownloadError> {
        Ok(self.join.handle_unavailable(address)?)
    }
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), DownloadError> {
        Ok(self.join.handle_delayed(address)?)
    }
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.join.poll_obsolete()
    }
    fn is_done(&self) -> bool {
        self.join.is_done()
    }
}

/// Says whether a file begins like a mantaray node. SPEC swarm-wire 9: an obfuscation key, then the version hash under it.
fn looks_like_directory(bytes: &[u8]) -> bool {
    const VERSIONS: [&str; 2] = ["mantaray:0.1", "mantaray:0.2"];
    let (Some(key), Some(hidden)) = (bytes.get(..32), bytes.get(32..63)) else {
        return false;
    };
    let plain: Vec<u8> = hidden.iter().zip(key).map(|(b, k)| b ^ k).collect();
    VERSIONS
        .iter()
        .any(|version| bmt::keccak256(version.as_bytes())[..31] == plain)
}

/// Counts the chunks a consumer gets.
pub(crate) struct Counted<C> {
    pub(crate) inner: C,
    pub(crate) chunks: u64,
}

impl<C> Counted<C> {
    pub(crate) fn new(inner: C) -> Self {
        Self { inner, chunks: 0 }
    }
}

impl<C: ChunkConsumer> ChunkConsumer for Counted<C> {
    type Error = C::Error;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.inner.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), C::Error> {
        self.chunks += 1;
        self.inner.handle_chunk(chunk)
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), C::Error> {
        self.inner.handle_unavailable(address)
    }
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), C::Error> {
        self.inner.handle_delayed(address)
    }
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.inner.poll_obsolete()
    }
    fn is_done(&self) -> bool {
        self.inner.is_done()
    }
}
