//! Chunks kept on disk: one file for each, named by its address.
use crate::Cache;
use bmt::{ChunkAddress, VerifiedChunk};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// Bytes a file takes on disk beside its blocks, roughly.
const OVERHEAD_BYTES: u64 = 512;
/// What file systems usually give away at least: a full chunk, with its span, takes two of them.
const BLOCK_BYTES: u64 = 4096;

/// A bounded cache. The oldest chunks are removed first.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    bytes_max: u64,
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    files: VecDeque<(ChunkAddress, u32)>,
    bytes: u64,
}

impl Disk {
    /// Opens the cache and counts what is there.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub(crate) fn open(cache: &Cache) -> io::Result<Self> {
        fs::create_dir_all(&cache.directory)?;
        let mut found: Vec<(SystemTime, ChunkAddress, u32)> = Vec::new();
        for directory in fs::read_dir(&cache.directory)? {
            let directory = directory?;
            // What else is in it (`lost+found` of a volume) is not ours.
            let is_ours = directory.file_name().to_str().is_some_and(is_shelf);
            if !is_ours || !directory.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(directory.path())? {
                let file = file?;
                let metadata = file.metadata()?;
                let name = file.file_name();
                match name.to_str().and_then(parse) {
                    Some(address) => {
                        let length = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
                        found.push((metadata.modified()?, address, length));
                    }
                    // Left over from a write that was cut off.
                    None if is_part(&name.to_string_lossy()) => {
                        fs::remove_file(file.path())?;
                    }
                    None => {}
                }
            }
        }
        found.sort_unstable_by_key(|(time, address, _)| (*time, *address));
        let disk = Self {
            directory: cache.directory.clone(),
            bytes_max: cache.bytes_max,
            order: Mutex::default(),
        };
        for (_, address, length) in found {
            disk.account(address, length);
        }
        Ok(disk)
    }

    /// Reads a chunk. A file that does not hold it any more is removed.
    pub(crate) fn get(&self, address: ChunkAddress) -> Option<VerifiedChunk> {
        let path = self.path(address);
        let bytes = fs::read(&path).ok()?;
        match VerifiedChunk::verify(address, bytes) {
            Ok(chunk) => Some(chunk),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cached chunk is damaged, removing it");
                drop(fs::remove_file(&path));
                None
            }
        }
    }

    /// Writes a chunk, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn put(&self, chunk: &VerifiedChunk) -> io::Result<()> {
        let path = self.path(chunk.address());
        let part = path.with_extension("part");
        let is_new = !path.exists();
        let written = match fs::write(&part, chunk.data()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
                fs::write(&part, chunk.data())
            }
            other => other,
        };
        if let Err(error) = written.and_then(|()| fs::rename(&part, &path)) {
            // On a full disk even a part takes room.
            drop(fs::remove_file(&part));
            return Err(error);
        }
        if is_new {
            let length = u32::try_from(chunk.data().len()).unwrap_or(u32::MAX);
            self.account(chunk.address(), length);
        }
        Ok(())
    }

    /// Counts a file, and removes the oldest while there are too many bytes.
    fn account(&self, address: ChunkAddress, length: u32) {
        let mut removed = Vec::new();
        {
            let mut order = self.order.lock().unwrap_or_else(|e| e.into_inner());
            order.files.push_back((address, length));
            order.bytes += on_disk(length);
            while order.bytes > self.bytes_max
                && let Some((oldest, length)) = order.files.pop_front()
            {
                order.bytes -= on_disk(length);
                removed.push(oldest);
            }
        }
        for oldest in removed {
            // A file that is gone already was damaged.
            drop(fs::remove_file(self.path(oldest)));
        }
    }

    fn path(&self, address: ChunkAddress) -> PathBuf {
        let name = address.to_string();
        Path::new(&self.directory).join(&name[..2]).join(&name)
    }
}

/// Bytes that a file of this length takes.
fn on_disk(length: u32) -> u64 {
    u64::from(length).next_multiple_of(BLOCK_BYTES) + OVERHEAD_BYTES
}

/// Says whether this is the name of a directory of the cache: the first two digits of the addresses in it.
fn is_shelf(name: &str) -> bool {
    name.len() == 2
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Says whether this is what a write leaves that was cut off.
fn is_part(name: &str) -> bool {
    name.strip_suffix(".part").and_then(parse).is_some()
}

fn parse(name: &str) -> Option<ChunkAddress> {
    let reference: content::Reference = name.parse().ok()?;
    (reference.key.is_none() && reference.to_hex() == name).then_some(reference.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n: u32) -> VerifiedChunk {
        VerifiedChunk::content([4, 0, 0, 0, 0, 0, 0, 0], &n.to_le_bytes().repeat(100)).unwrap()
    }

    #[test]
    fn chunks_are_kept_over_a_restart_and_the_oldest_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache {
            directory: directory.path().join("cache"),
            bytes_max: 10 * on_disk(408),
        };
        let disk = Disk::open(&cache).unwrap();
        for n in 0..15 {
            disk.put(&chunk(n)).unwrap();
            disk.put(&chunk(n)).unwrap();
        }
        for disk in [disk, Disk::open(&cache).unwrap()] {
            let there: Vec<u32> = (0..15)
                .filter(|n| disk.get(chunk(*n).address()).is_some())
                .collect();
            assert_eq!(there, (5..15).collect::<Vec<_>>());
        }
        let small = Cache {
            bytes_max: 2 * on_disk(408) + 1,
            ..cache
        };
        let disk = Disk::open(&small).unwrap();
        assert_eq!(
            (0..15)
                .filter(|n| disk.get(chunk(*n).address()).is_some())
                .count(),
            2
        );
    }

    #[test]
    fn what_is_not_of_the_cache_stays() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache {
            directory: directory.path().to_owned(),
            bytes_max: 1 << 20,
        };
        let mine = Disk::open(&cache).unwrap().path(chunk(1).address());
        fs::create_dir_all(mine.parent().unwrap()).unwrap();
        let part = mine.with_extension("part");
        let foreign = ["Downloads/film.part", "lost+found/x", "ab/notes.part"];
        let foreign = foreign.map(|name| directory.path().join(name));
        for path in foreign.iter().chain([&part]) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        Disk::open(&cache).unwrap();
        assert!(foreign.iter().all(|path| path.exists()));
        assert!(!part.exists(), "a write that was cut off");
    }

    #[test]
    fn a_damaged_file_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache {
            directory: directory.path().to_owned(),
            bytes_max: 1 << 20,
        };
        let disk = Disk::open(&cache).unwrap();
        disk.put(&chunk(1)).unwrap();
        let path = disk.path(chunk(1).address());
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(disk.get(chunk(1).address()), None);
        assert!(!path.exists());
        disk.put(&chunk(1)).unwrap();
        assert_eq!(disk.get(chunk(1).address()), Some(chunk(1)));
    }
}
