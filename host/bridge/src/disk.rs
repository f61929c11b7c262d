//! Chunks kept on disk: one file for each, named by its address.
use crate::Cache;
use bmt::{ChunkAddress, VerifiedChunk};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// Bytes a file takes on disk beside the chunk's own, roughly.
const OVERHEAD_BYTES: u64 = 512;

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
            if !directory.file_type()?.is_dir() {
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
                    None if name.to_string_lossy().ends_with(".part") => {
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
        match fs::write(&part, chunk.data()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
                fs::write(&part, chunk.data())?;
            }
            other => other?,
        }
        let is_new = !path.exists();
        fs::rename(&part, &path)?;
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
            order.bytes += u64::from(length) + OVERHEAD_BYTES;
            while order.bytes > self.bytes_max
                && let Some((oldest, length)) = order.files.pop_front()
            {
                order.bytes -= u64::from(length) + OVERHEAD_BYTES;
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
            bytes_max: 10 * (408 + OVERHEAD_BYTES),
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
            bytes_max: 2000,
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
