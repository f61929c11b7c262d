//! Publishes what `deboot publish` refuses to: releases that are broken on purpose, for tests.
use anyhow::{Context, Result};
use bmt::{ChunkAddress, VerifiedChunk};
use chunkset::TarWriter;
use content::mantaray::Builder;
use content::{Reference, Splitter};
use std::collections::BTreeMap;
use std::path::Path;

/// Chunks by address, and a directory over them.
#[derive(Default)]
pub(crate) struct ChunkSet {
    chunks: BTreeMap<ChunkAddress, VerifiedChunk>,
    directory: Builder,
}

impl ChunkSet {
    /// Adds a file and returns its reference.
    pub(crate) fn add(&mut self, path: &str, bytes: &[u8]) -> Reference {
        let mut splitter = Splitter::new();
        let mut sink = |chunk: VerifiedChunk| drop(self.chunks.insert(chunk.address(), chunk));
        splitter.update(bytes, &mut sink);
        let reference = splitter.finish(&mut sink);
        self.directory.add(path, reference, BTreeMap::new());
        reference
    }

    /// Writes the set and returns the reference of the directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(mut self, path: &Path) -> Result<String> {
        let directory = std::mem::take(&mut self.directory);
        let mut sink = |chunk: VerifiedChunk| drop(self.chunks.insert(chunk.address(), chunk));
        let root = directory.finish(&mut sink)?;
        let cannot = || format!("cannot write {}", path.display());
        let mut writer = TarWriter::new(Vec::new());
        for chunk in self.chunks.values() {
            writer.append(root.address, chunk).with_context(cannot)?;
        }
        std::fs::write(path, writer.finish()?).with_context(cannot)?;
        Ok(root.to_hex())
    }
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
