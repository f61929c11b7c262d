//! Where chunks come from: peers, or a local chunk set.
use bmt::{ChunkAddress, ChunkConsumer, ChunkError, VerifiedChunk};
use chunkset::{TarError, TarReader};
use client::{Observer, RunError, Session};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Chunks of one set, at most: an index entry takes about 60 bytes, so the index stays below 1 GB (64 GiB of content).
const CHUNKS_MAX: usize = 16 * 1024 * 1024;

/// Why a chunk set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChunkSetError {
    /// It cannot be opened.
    #[error("{}: cannot be read: {source}", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is damaged.
    #[error("{}: {source}", .path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Where and how.
        source: TarError,
    },
    /// It is too large.
    #[error("{}: more than {CHUNKS_MAX} chunks", .0.display())]
    TooLarge(PathBuf),
}

/// A chunk set on disk with an index; only the index is in memory.
#[derive(Debug)]
pub struct ChunkSet {
    files: Vec<(PathBuf, File)>,
    index: BTreeMap<ChunkAddress, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    offset: u64,
    length: usize,
}

impl ChunkSet {
    /// Reads and checks whole sets in bee's pinning export form.
    ///
    /// # Errors
    /// When a set cannot be read or one of its chunks does not have the address it is filed under.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ChunkSetError> {
        let mut set = Self {
            files: Vec::new(),
            index: BTreeMap::new(),
        };
        for path in paths {
            set.add(path)?;
        }
        Ok(set)
    }

    /// Chunks in the set.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Says whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Says whether the set holds a chunk.
    pub fn contains(&self, address: ChunkAddress) -> bool {
        self.index.contains_key(&address)
    }

    fn add(&mut self, path: &Path) -> Result<(), ChunkSetError> {
        let open = |source| ChunkSetError::Open {
            path: path.to_owned(),
            source,
        };
        let archive = |source| ChunkSetError::Archive {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open)?;
        let number = self.files.len();
        let mut reader = TarReader::new(BufReader::new(&file));
        while let Some(entry) = reader.next() {
            let chunk = entry.map_err(archive)?.chunk;
            if self.index.len() == CHUNKS_MAX {
                return Err(ChunkSetError::TooLarge(path.to_owned()));
            }
            let place = Place {
                file: number,
                offset: reader.body_offset(),
                length: chunk.data().len(),
            };
            self.index.entry(chunk.address()).or_insert(place);
        }
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    fn read(&self, address: ChunkAddress) -> Result<Option<VerifiedChunk>, LocalError> {
        let Some(place) = self.index.get(&address) else {
            return Ok(None);
        };
        let Some((path, file)) = self.files.get(place.file) else {
            return Ok(None);
        };
        let mut data = vec![0; place.length];
        file.read_exact_at(&mut data, place.offset)
            .map_err(|source| LocalError::Read {
                path: path.clone(),
                source,
            })?;
        // Checked when it was indexed, and again now: the bytes that are used are the bytes that were verified.
        let chunk = VerifiedChunk::verify(address, data).map_err(|source| LocalError::Changed {
            path: path.clone(),
            source,
        })?;
        Ok(Some(chunk))
    }
}

/// Why a local chunk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// Which set.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is not what was indexed.
    #[error("{}: changed while it was read: {source}", .path.display())]
    Changed {
        /// Which set.
        path: PathBuf,
        /// What is wrong.
        source: ChunkError,
    },
}

/// Why a source could not feed a consumer to its end.
#[derive(Debug, thiserror::Error)]
pub enum SourceError<E> {
    /// A run over the network failed.
    #[error(transparent)]
    Network(RunError<E>),
    /// The consumer refused a verified chunk of a local set.
    #[error(transparent)]
    Consumer(E),
    /// The set does not hold a chunk that is needed.
    ///
    /// The consumer says what it cannot do without; the chunk is the last one it asked for in its place (a parity, a replica).
    #[error("{1}: chunk {0} is not in the chunk set")]
    Missing(ChunkAddress, E),
    /// The set cannot be read.
    #[error(transparent)]
    Local(LocalError),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Stopped,
    /// The consumer wants nothing more and is not done.
    #[error("the download cannot go on: nothing is left to ask for")]
    Starved,
}

/// A place to get chunks from.
pub enum Source {
    /// Peers.
    Network(Box<Session>),
    /// A local set; the flag stops a run.
    Local(ChunkSet, Arc<AtomicBool>),
}

impl Source {
    /// Feeds `consumer` until it is done.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn run<C: ChunkConsumer>(
        &mut self,
        consumer: &mut C,
        deadline: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<(), SourceError<C::Error>> {
        match self {
            Self::Network(session) => session
                .run(consumer, deadline, observer)
                .map_err(SourceError::Network),
            Self::Local(set, stop) => run_local(set, stop, consumer),
        }
    }

    /// Peers that delivered at least one chunk so far.
    pub fn peers_used(&self) -> usize {
        match self {
            Self::Network(session) => session.stats().peers_used,
            Self::Local(..) => 0,
        }
    }

    /// Settles and closes connections politely.
    pub fn close(self) {
        if let Self::Network(session) = self {
            // What was asked for is complete; a farewell that fails changes nothing for the caller.
            let _ = session.close(Duration::from_secs(2));
        }
    }
}

fn run_local<C: ChunkConsumer>(
    set: &ChunkSet,
    stop: &AtomicBool,
    consumer: &mut C,
) -> Result<(), SourceError<C::Error>> {
    loop {
        let want = consumer.poll_want();
        if want.is_none() && consumer.is_done() {
            return Ok(());
        }
        if stop.load(Ordering::Relaxed) {
            return Err(SourceError::Stopped);
        }
        let Some(address) = want else {
            return Err(SourceError::Starved);
        };
        match set.read(address).map_err(SourceError::Local)? {
            Some(chunk) => consumer
                .handle_chunk(chunk)
                .map_err(SourceError::Consumer)?,
            None => {
                let taken = consumer.handle_unavailable(address);
                taken.map_err(|error| SourceError::Missing(address, error))?;
            }
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
