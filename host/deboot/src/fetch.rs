//! Fetches one file: finds it in its directory if need be, then writes verified pieces as they come.
use crate::locate::{FeedSeen, LocateError, WithRoot, locate};
use crate::output::{OutputError, OutputFile};
use crate::source::{Source, SourceError};
use crate::target::Target;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use client::{Observer, RunError};
use content::feed::Root;
use content::{Join, JoinConfig, JoinError, Piece, Reference, Strategy};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use swarm::ChunkFailure;

/// Chunks wanted at once: 4 MiB in flight, and the most a stream in order ever holds back.
const IN_FLIGHT_MAX: usize = 1024;

/// Times that updates are made at, seconds since 1970: from 2015 to 2100.
const TIMES: Range<u64> = 1_420_070_400..4_102_444_800;

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
    /// Bytes of the whole file.
    pub size: u64,
    /// Data chunks that were lost and computed from others.
    pub recovered: u64,
    /// Chunks received, tree nodes and directory included.
    pub chunks: u64,
    /// Peers that delivered at least one chunk.
    pub peers_used: usize,
    /// Time from the first request to the last byte.
    pub elapsed: Duration,
    /// Whether the file looks like a directory (its bytes are a mantaray node).
    pub is_directory: bool,
    /// Path inside the directory that was answered.
    pub path: Option<String>,
    /// The feed, if one led here.
    pub feed: Option<FeedSeen>,
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
    /// It could not be located.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// Nothing is there.
    #[error("the file has {size} bytes; the range begins at {start}, behind its end")]
    Range {
        /// First byte wanted.
        start: u64,
        /// Bytes of the file.
        size: u64,
    },
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
        matches!(self, Self::Locate(error) if error.is_path_not_found())
    }

    /// Says whether the root was looked for and is not there; that nobody answered in time proves nothing.
    fn is_root_missing(&self, root: &Root) -> bool {
        let Self::Download(source) = self else {
            return false;
        };
        match &**source {
            SourceError::Missing(address, _)
            | SourceError::Network(RunError::Unavailable {
                address,
                failure: ChunkFailure::NotFound { .. },
                ..
            }) => *address == root.reference.address,
            _ => false,
        }
    }
}

/// Says whether an update can only be meant as time and reference: read as a file of 40 or 72 bytes it would begin with a time.
fn begins_with_time(root: &Root) -> bool {
    let payload = root.chunk.as_ref().map_or(&[][..], VerifiedChunk::payload);
    let time = payload.first_chunk().map(|time| u64::from_be_bytes(*time));
    matches!(payload.len(), 40 | 72) && time.is_some_and(|time| TIMES.contains(&time))
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

/// What is read, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The bytes of the file that are wanted; what lies beyond its end is left out.
    pub range: Option<Range<u64>>,
    /// How redundancy is used.
    pub strategy: Strategy,
}

/// Fetches `target` from `source` into `destination`.
///
/// # Errors
/// See [`FetchError`]; a destination file is then as it was before.
pub fn fetch(
    source: &mut Source,
    target: &Target,
    (part, destination): (&Part, &Destination),
    limits: Limits,
    gauge: &Gauge,
    observer: &mut dyn Observer,
) -> Result<Fetched, FetchError> {
    let start = Instant::now();
    let located = locate(source, target, limits.timeout, observer)?;
    let left = || Limits {
        timeout: limits.timeout.map(|t| t.saturating_sub(start.elapsed())),
        ..limits
    };
    let mut result = download(
        source,
        &located.root,
        part,
        destination,
        left(),
        gauge,
        observer,
    );
    if let (Err(error), Some(other)) = (&result, &located.alternative)
        && error.is_root_missing(&located.root)
        && !begins_with_time(other)
    {
        result = download(source, other, part, destination, left(), gauge, observer);
    }
    let mut fetched = result?;
    fetched.chunks += located.chunks;
    fetched.elapsed = start.elapsed();
    fetched.path = located.path;
    fetched.feed = located.feed;
    Ok(fetched)
}

fn download(
    source: &mut Source,
    root: &Root,
    part: &Part,
    destination: &Destination,
    limits: Limits,
    gauge: &Gauge,
    observer: &mut dyn Observer,
) -> Result<Fetched, FetchError> {
    match destination {
        Destination::Stdout => {
            let mut sink = Sink::Stream(Box::new(io::stdout().lock()));
            download_into(source, root, part, &mut sink, limits, gauge, observer)
        }
        Destination::File(path) => {
            download_to_file(source, root, part, path, limits, gauge, observer)
        }
    }
}

fn download_to_file(
    source: &mut Source,
    root: &Root,
    part: &Part,
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
    let fetched = download_into(source, root, part, &mut sink, limits, gauge, observer)?;
    output.commit()?;
    Ok(fetched)
}

fn download_into(
    source: &mut Source,
    root: &Root,
    part: &Part,
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
    let range = part.range.clone().unwrap_or(0..u64::MAX);
    let join = Join::range(root.reference, range.clone(), config).with_strategy(part.strategy);
    let mut download = Download {
        join,
        sink,
        start: range.start,
        written: 0,
        is_directory: false,
        gauge,
    };
    let failed = |error| FetchError::Download(Box::new(error));
    let reader = WithRoot::new(&mut download, root.chunk.clone());
    let reader = reader.map_err(|error| failed(SourceError::Consumer(error)))?;
    let mut counted = Counted::new(reader);
    source
        .run(&mut counted, limits.timeout, observer)
        .map_err(failed)?;
    let chunks = counted.chunks;
    let size = download.join.size().unwrap_or(0);
    if range.start > 0 && range.start >= size {
        let start = range.start;
        return Err(FetchError::Range { start, size });
    }
    let fetched = Fetched {
        reference: root.reference,
        bytes: download.written,
        size,
        chunks,
        recovered: download.join.recovered_chunks(),
        peers_used: source.peers_used(),
        elapsed: Duration::ZERO,
        is_directory: download.is_directory,
        path: None,
        feed: None,
    };
    download.sink.flush().map_err(FetchError::Stdout)?;
    Ok(fetched)
}

/// Where pieces go.
enum Sink {
    /// At their offsets, as they come.
    File(std::fs::File),
    /// One after the other.
    Stream(Box<dyn Write>),
}

impl Sink {
    fn write(&mut self, piece: &Piece, start: u64) -> io::Result<()> {
        match self {
            Self::File(file) => {
                // Pieces of a part begin with the part.
                file.write_all_at(piece.bytes(), piece.offset().saturating_sub(start))
            }
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
    /// First byte that is wanted.
    start: u64,
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
            self.sink
                .write(&piece, self.start)
                .map_err(DownloadError::Write)?;
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
