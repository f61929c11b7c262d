//! Chunk sets on disk.
use super::Backend;
use crate::FetchError;
use bmt::{ChunkAddress, VerifiedChunk};
use chunkset::{TarError, TarReader};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chunks of all sets together; the index takes 48 bytes for each.
const CHUNKS_MAX: usize = 16 * 1024 * 1024;

/// Why a chunk set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// It cannot be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is damaged.
    #[error("{}: {source}", .path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Where and how.
        source: TarError,
    },
    /// There is nothing in it.
    #[error("{}: there is no chunk set (.tar) in this directory", .0.display())]
    Empty(PathBuf),
    /// It is too large.
    #[error("{}: more than {CHUNKS_MAX} chunks", .0.display())]
    TooLarge(PathBuf),
}

/// Chunk sets in bee's pinning export form. Only the index is in memory.
#[derive(Debug)]
pub struct Set(Arc<Index>);

#[derive(Debug, Default)]
struct Index {
    files: Vec<(PathBuf, File)>,
    /// Sorted.
    places: Vec<(ChunkAddress, Place)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    offset: u64,
    file: u16,
    length: u16,
}

impl Set {
    /// Reads and checks a set, or every `.tar` of a directory.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn open(path: &Path) -> Result<Self, SetError> {
        let mut index = Index::default();
        if path.is_dir() {
            for tar in archives(path)? {
                index.add(&tar)?;
            }
            if index.files.is_empty() {
                return Err(SetError::Empty(path.to_owned()));
            }
        } else {
            index.add(path)?;
        }
        index.places.sort_unstable();
        index.places.dedup_by_key(|(address, _)| *address);
        index.places.shrink_to_fit();
        Ok(Self(Arc::new(index)))
    }

    /// Returns the number of chunks.
    pub fn len(&self) -> usize {
        self.0.places.len()
    }

    /// Says whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn archives(directory: &Path) -> Result<Vec<PathBuf>, SetError> {
    let failed = |source| SetError::Io {
        path: directory.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

impl Index {
    fn add(&mut self, path: &Path) -> Result<(), SetError> {
        let file = File::open(path).map_err(|source| SetError::Io {
            path: path.to_owned(),
            source,
        })?;
        let too_large = || SetError::TooLarge(path.to_owned());
        let number = u16::try_from(self.files.len()).map_err(|_| too_large())?;
        let mut reader = TarReader::new(BufReader::new(&file));
        while let Some(entry) = reader.next() {
            let entry = entry.map_err(|source| SetError::Archive {
                path: path.to_owned(),
                source,
            })?;
            if self.places.len() >= CHUNKS_MAX {
                return Err(too_large());
            }
            let place = Place {
                offset: reader.body_offset(),
                file: number,
                // A chunk has at most 4201 bytes.
                length: u16::try_from(entry.chunk.data().len()).unwrap_or(u16::MAX),
            };
            self.places.push((entry.chunk.address(), place));
        }
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    fn read(&self, address: ChunkAddress) -> Result<VerifiedChunk, FetchError> {
        let found = self
            .places
            .binary_search_by_key(&address, |(address, _)| *address);
        let place = found.ok().and_then(|index| self.places.get(index));
        let (_, place) = place.ok_or(FetchError::NotFound)?;
        let file = self.files.get(usize::from(place.file));
        let (path, file) = file.ok_or(FetchError::NotFound)?;
        let failed = |what: &dyn std::fmt::Display| {
            FetchError::Unavailable(format!("{}: {what}", path.display()))
        };
        let mut data = vec![0; usize::from(place.length)];
        file.read_exact_at(&mut data, place.offset)
            .map_err(|error| failed(&error))?;
        // Checked when it was indexed, and again now: the file may have changed.
        VerifiedChunk::verify(address, data).map_err(|error| failed(&error))
    }
}

impl Backend for Set {
    fn chunk(&self, address: ChunkAddress) -> BoxFuture<'_, Result<VerifiedChunk, FetchError>> {
        // One read of 4 KiB, nearly always from the page cache: handing it to another thread costs more.
        std::future::ready(self.0.read(address)).boxed()
    }
}
