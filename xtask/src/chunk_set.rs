//! Publishes what `deboot publish` refuses to: releases that are broken or incomplete on purpose, for tests.
use anyhow::{Context, Result};
use bmt::{ChunkAddress, VerifiedChunk};
use chunkset::TarWriter;
use content::mantaray::Builder;
use content::{KeySource, RedundancyLevel, Reference, Splitter};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Chunks in the order in which they were made, and a directory over them.
#[derive(Default)]
pub(crate) struct ChunkSet {
    chunks: Vec<VerifiedChunk>,
    known: BTreeSet<ChunkAddress>,
    directory: Builder,
    level: RedundancyLevel,
    is_encrypted: bool,
    files: u64,
}

impl ChunkSet {
    /// Starts a set whose files and directory are encrypted.
    pub(crate) fn encrypted() -> Self {
        Self {
            directory: Builder::new().with_keys(keys(u64::MAX)),
            is_encrypted: true,
            ..Self::default()
        }
    }

    /// Starts a set whose files and directory have parity chunks and replicas.
    pub(crate) fn redundant(level: RedundancyLevel) -> Self {
        Self {
            directory: Builder::new().with_level(level),
            level,
            ..Self::default()
        }
    }

    /// Adds a chunk.
    pub(crate) fn put(&mut self, chunk: VerifiedChunk) {
        if self.known.insert(chunk.address()) {
            self.chunks.push(chunk);
        }
    }

    /// Takes one chunk out of the set.
    pub(crate) fn take(&mut self, address: ChunkAddress) -> Option<VerifiedChunk> {
        let found = self
            .chunks
            .iter()
            .position(|chunk| chunk.address() == address)?;
        self.known.remove(&address);
        Some(self.chunks.remove(found))
    }

    /// Adds a file and returns its reference.
    pub(crate) fn add(&mut self, path: &str, bytes: &[u8]) -> Reference {
        let mut splitter = Splitter::new().with_level(self.level);
        if self.is_encrypted {
            self.files += 1;
            splitter = splitter.with_keys(keys(self.files));
        }
        splitter.update(bytes, &mut |chunk| self.put(chunk));
        let reference = splitter.finish(&mut |chunk| self.put(chunk));
        self.directory.add(path, reference, BTreeMap::new());
        reference
    }

    /// Adds the directory over all files and returns its reference.
    ///
    /// # Errors
    /// An entry does not fit into a directory.
    pub(crate) fn add_directory(&mut self) -> Result<Reference> {
        let directory = std::mem::take(&mut self.directory);
        Ok(directory.finish(&mut |chunk| self.put(chunk))?)
    }

    /// Takes every `nth` chunk away, whatever it is: data, parity, root or replica. Returns how many.
    pub(crate) fn remove_every(&mut self, nth: usize) -> usize {
        let before = self.chunks.len();
        let mut number = 0usize;
        self.chunks.retain(|_| {
            number += 1;
            !number.is_multiple_of(nth)
        });
        before - self.chunks.len()
    }

    /// Writes the set and returns the reference of the directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(mut self, path: &Path) -> Result<String> {
        let root = self.add_directory()?;
        self.write_below(root.address, path)?;
        Ok(root.to_hex())
    }

    /// Writes the set as one that belongs to `root`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_below(&self, root: ChunkAddress, path: &Path) -> Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let mut writer = TarWriter::new(Vec::new());
        for chunk in &self.chunks {
            writer.append(root, chunk).with_context(cannot)?;
        }
        std::fs::write(path, writer.finish()?).with_context(cannot)
    }
}

/// Keys that are the same in every run: nothing here is secret.
fn keys(file: u64) -> KeySource {
    let mut count = 0u64;
    Box::new(move || {
        count += 1;
        let seed = [file.to_le_bytes(), count.to_le_bytes()].concat();
        bmt::keccak256(&seed)
    })
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the addresses of a file's chunks, children before parents.
pub(crate) fn addresses(bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    let mut splitter = Splitter::new();
    let mut sink = |chunk: VerifiedChunk| all.push(hex(&chunk.address().0));
    splitter.update(bytes, &mut sink);
    splitter.finish(&mut sink);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_tar_that_tar_itself_lists() {
        let directory =
            std::env::temp_dir().join(format!("deboot-chunk-set-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("set.tar");
        let mut set = ChunkSet::default();
        let bytes = vec![7; 10_000];
        let reference = set.add("a/b", &bytes);
        let root = set.write(&path).unwrap();
        let mut tar = crate::process::command("tar");
        let list =
            crate::process::capture(tar.arg("tf").arg(&path), std::time::Duration::from_secs(20))
                .unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        let names: Vec<_> = list.lines().collect();
        // Two equal whole chunks count once, one short one, their parent, and at least one node of the directory.
        assert!(names.len() >= 4, "{list}");
        assert!(
            names
                .iter()
                .all(|name| name.starts_with(&format!("{root}/"))),
            "{list}"
        );
        assert!(
            names.contains(&&*format!("{root}/{}", reference.to_hex())),
            "{list}"
        );
        let all = addresses(&bytes);
        assert_eq!((all.len(), all.last()), (4, Some(&reference.to_hex())));
    }
}
