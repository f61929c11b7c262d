//! Publishes what `deboot publish` refuses to: releases that are broken on purpose, for tests.
//!
//! A chunk set has bee's pinning export form: a tar with entries `<root hex>/<chunk hex>`, the body being the chunk's length as
//! u32, big-endian, and the chunk.
use anyhow::{Context, Result};
use bmt::VerifiedChunk;
use content::mantaray::Builder;
use content::{Reference, Splitter};
use std::collections::BTreeMap;
use std::path::Path;

const BLOCK: usize = 512;

/// Chunks by address, and a directory over them.
#[derive(Default)]
pub(crate) struct ChunkSet {
    chunks: BTreeMap<[u8; 32], Vec<u8>>,
    directory: Builder,
}

impl ChunkSet {
    /// Adds a file and returns its reference.
    pub(crate) fn add(&mut self, path: &str, bytes: &[u8]) -> Reference {
        let mut splitter = Splitter::new();
        let mut sink =
            |chunk: VerifiedChunk| drop(self.chunks.insert(chunk.address().0, chunk.into_data()));
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
        let mut sink =
            |chunk: VerifiedChunk| drop(self.chunks.insert(chunk.address().0, chunk.into_data()));
        let root = directory.finish(&mut sink)?.to_hex();
        let mut tar = Vec::new();
        for (address, data) in &self.chunks {
            entry(&mut tar, &root, &hex(address), data)?;
        }
        tar.resize(tar.len() + 2 * BLOCK, 0);
        std::fs::write(path, tar).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(root)
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

fn entry(tar: &mut Vec<u8>, root: &str, chunk: &str, data: &[u8]) -> Result<()> {
    // SPEC POSIX.1-1988 "ustar Interchange Format": the name in two fields, numbers in octal.
    let size = data.len() + 4;
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| -> Result<()> {
        let field = header.get_mut(at..at + text.len()).context("tar header")?;
        field.copy_from_slice(text.as_bytes());
        Ok(())
    };
    put(0, chunk)?;
    put(100, "0000644")?;
    put(108, "0000000")?;
    put(116, "0000000")?;
    put(124, &format!("{size:011o}"))?;
    put(136, "00000000000")?;
    put(148, "        ")?;
    put(156, "0")?;
    put(257, "ustar\x0000")?;
    put(345, root)?;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header
        .get_mut(148..156)
        .context("tar header")?
        .copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(&u32::try_from(data.len())?.to_be_bytes());
    tar.extend_from_slice(data);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    Ok(())
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
