//! What several tests need.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test file uses its own part of this module"
)]
use bmt::{ChunkAddress, VerifiedChunk};
use std::path::{Path, PathBuf};

/// `count` different chunks of 4096 bytes.
pub fn chunks(count: u32) -> Vec<VerifiedChunk> {
    (0..count)
        .map(|n| {
            let payload = n.to_le_bytes().repeat(1024);
            VerifiedChunk::content(4096u64.to_le_bytes(), &payload).unwrap()
        })
        .collect()
}

/// A file of 2 to 128 leaves of 4096 bytes: its bytes, its reference, its chunks.
pub fn file(leaves: u32) -> (Vec<u8>, ChunkAddress, Vec<VerifiedChunk>) {
    assert!((2..=128).contains(&leaves));
    let mut chunks = chunks(leaves);
    let bytes: Vec<u8> = chunks.iter().flat_map(|c| c.payload().to_vec()).collect();
    let addresses: Vec<u8> = chunks.iter().flat_map(|c| c.address().0).collect();
    let root = VerifiedChunk::content((bytes.len() as u64).to_le_bytes(), &addresses).unwrap();
    let reference = root.address();
    chunks.push(root);
    (bytes, reference, chunks)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A directory of its own, removed when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("storer-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
