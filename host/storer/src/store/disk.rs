//! Chunks on disk: append-only segment files and an index in memory.
//!
//! A segment is a sequence of records `length u16 BE ‖ address 32 ‖ chunk`. Segments are scanned when the store is opened; a
//! record cut off by a crash ends its segment, which is truncated there. Every chunk read is hashed again before it is given
//! out, so bytes that changed on disk are an error and never a wrong chunk.
use super::{ChunkStore, StoreError};
use bmt::{CHUNK_DATA_BYTES_MAX, ChunkAddress, SPAN_BYTES, VerifiedChunk};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const HEADER_BYTES: usize = 34;
/// Segments are this long at most, or an eighth of the limit if that is less.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// What a full store does with a new chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuses it.
    Refuse,
    /// Drops the oldest segment.
    DropOldest,
}

/// A bounded chunk store in a directory of its own.
#[derive(Debug)]
pub struct DiskStore {
    directory: PathBuf,
    limit_bytes: u64,
    segment_bytes: u64,
    when_full: WhenFull,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    index: HashMap<ChunkAddress, Place>,
    segments: BTreeMap<u64, Segment>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    offset: u64,
    len: u16,
}

#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    bytes: u64,
}

impl DiskStore {
    /// Opens or makes a store of at most `limit_bytes` in `directory`, which must hold nothing else.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(directory: &Path, limit_bytes: u64, when_full: WhenFull) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut inner = Inner::default();
        let mut numbers: Vec<u64> = fs::read_dir(directory)?
            .filter_map(|entry| {
                entry
                    .ok()?
                    .file_name()
                    .to_str()?
                    .strip_suffix(".seg")?
                    .parse()
                    .ok()
            })
            .collect();
        numbers.sort_unstable();
        for number in numbers {
            let segment = scan(&segment_path(directory, number), number, &mut inner.index)?;
            inner.bytes += segment.bytes;
            inner.segments.insert(number, segment);
        }
        Ok(Self {
            directory: directory.to_owned(),
            limit_bytes,
            segment_bytes: SEGMENT_BYTES_MAX.min(limit_bytes / 8),
            when_full,
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for `need` bytes.
    fn make_room(&self, inner: &mut Inner, need: u64) -> Result<(), StoreError> {
        while inner.bytes + need > self.limit_bytes {
            let full = StoreError::Full {
                limit: self.limit_bytes,
            };
            if self.when_full == WhenFull::Refuse {
                return Err(full);
            }
            let Some((number, segment)) = inner.segments.pop_first() else {
                return Err(full);
            };
            inner.bytes -= segment.bytes;
            inner.index.retain(|_, place| place.segment != number);
            fs::remove_file(segment_path(&self.directory, number))?;
        }
        Ok(())
    }

    /// Returns the number of a segment with room for one more record.
    fn open_segment(&self, inner: &mut Inner) -> Result<u64, StoreError> {
        if let Some((number, segment)) = inner.segments.last_key_value()
            && segment.bytes < self.segment_bytes
        {
            return Ok(*number);
        }
        let number = inner.segments.last_key_value().map_or(0, |(n, _)| n + 1);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(segment_path(&self.directory, number))?;
        inner.segments.insert(
            number,
            Segment {
                file: Arc::new(file),
                bytes: 0,
            },
        );
        Ok(number)
    }
}

impl ChunkStore for DiskStore {
    fn get(&self, address: &ChunkAddress) -> Result<Option<Bytes>, StoreError> {
        let (file, place) = {
            let inner = self.lock();
            let Some(place) = inner.index.get(address).copied() else {
                return Ok(None);
            };
            let Some(segment) = inner.segments.get(&place.segment) else {
                return Ok(None);
            };
            (segment.file.clone(), place)
        };
        let mut data = vec![0; usize::from(place.len)];
        file.read_exact_at(&mut data, place.offset)?;
        let chunk = VerifiedChunk::verify(*address, data).map_err(|_| StoreError::Damaged)?;
        Ok(Some(chunk.into_data().into()))
    }

    fn put(&self, chunk: VerifiedChunk) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.index.contains_key(&chunk.address()) {
            return Ok(());
        }
        let len = u16::try_from(chunk.data().len()).map_err(|_| StoreError::Damaged)?;
        let mut record = Vec::with_capacity(HEADER_BYTES + chunk.data().len());
        record.extend_from_slice(&len.to_be_bytes());
        record.extend_from_slice(&chunk.address().0);
        record.extend_from_slice(chunk.data());
        let size = record.len() as u64;
        self.make_room(&mut inner, size)?;
        let number = self.open_segment(&mut inner)?;
        let Some(segment) = inner.segments.get_mut(&number) else {
            return Err(StoreError::Damaged);
        };
        let offset = segment.bytes + HEADER_BYTES as u64;
        if let Err(error) = (&*segment.file).write_all(&record) {
            // A torn record must not be followed by good ones.
            segment.file.set_len(segment.bytes)?;
            return Err(error.into());
        }
        segment.bytes += size;
        inner.bytes += size;
        inner.index.insert(
            chunk.address(),
            Place {
                segment: number,
                offset,
                len,
            },
        );
        Ok(())
    }

    fn len(&self) -> usize {
        self.lock().index.len()
    }

    fn blocks(&self) -> bool {
        true
    }
}

fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}.seg"))
}

/// Reads the headers of a segment into the index and cuts off a torn record.
fn scan(path: &Path, number: u64, index: &mut HashMap<ChunkAddress, Place>) -> io::Result<Segment> {
    let file = OpenOptions::new().read(true).append(true).open(path)?;
    let end = file.metadata()?.len();
    let mut reader = BufReader::new(&file);
    let mut at = 0;
    while end - at >= HEADER_BYTES as u64 {
        let mut header = [0; HEADER_BYTES];
        reader.read_exact(&mut header)?;
        let len = u16::from_be_bytes([header[0], header[1]]);
        let next = at + HEADER_BYTES as u64 + u64::from(len);
        if next > end || !(SPAN_BYTES..=CHUNK_DATA_BYTES_MAX).contains(&usize::from(len)) {
            break;
        }
        let mut address = [0; 32];
        address.copy_from_slice(&header[2..]);
        index.insert(
            ChunkAddress(address),
            Place {
                segment: number,
                offset: at + HEADER_BYTES as u64,
                len,
            },
        );
        reader.seek_relative(i64::from(len))?;
        at = next;
    }
    if at < end {
        tracing::warn!(path = %path.display(), bytes = end - at, "cut off a torn record");
        file.set_len(at)?;
    }
    Ok(Segment {
        file: Arc::new(file),
        bytes: at,
    })
}
