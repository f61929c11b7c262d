//! Keys of encrypted content, the same in every run on this machine.
//!
//! Swarm encrypts each chunk with a key of its own, which lies in the reference above it. bee draws them at random, so publishing twice
//! gives two references. Here they come from a secret that stays on the publishing machine and from what is encrypted: an upload can be
//! taken up again, and a file that did not change keeps its chunks from release to release. A key never meets two texts: whatever changes
//! the text (content, redundancy level, the parts of a directory) is hashed into it.
use super::{PublishedFile, Secret};
use bmt::{Keccak256, keccak256};
use content::{KeySource, RedundancyLevel, Reference};
use std::collections::BTreeMap;

/// Makes the keys of a file from the reference it has without encryption.
pub(super) fn of_file(secret: &Secret, level: RedundancyLevel, plain: &Reference) -> KeySource {
    let mut hasher = begin(secret, b"deboot/file-keys/1", level);
    hasher.update(&plain.address.0);
    source(hasher.finalize())
}

/// Makes the keys of a directory from everything that is in it.
pub(super) fn of_directory(
    secret: &Secret,
    level: RedundancyLevel,
    files: &[PublishedFile],
    metadata: &BTreeMap<String, String>,
) -> KeySource {
    let mut hasher = begin(secret, b"deboot/directory-keys/1", level);
    let mut part = |bytes: &[u8]| hasher.update(&keccak256(bytes));
    for file in files {
        part(file.path.as_bytes());
        part(file.reference.to_hex().as_bytes());
    }
    for (key, value) in metadata {
        part(key.as_bytes());
        part(value.as_bytes());
    }
    source(hasher.finalize())
}

fn begin(secret: &Secret, purpose: &[u8], level: RedundancyLevel) -> Keccak256 {
    let mut hasher = Keccak256::new();
    hasher.update(&secret.0);
    hasher.update(&keccak256(purpose));
    hasher.update(&[level.number()]);
    hasher
}

fn source(seed: [u8; 32]) -> KeySource {
    let mut count = 0_u64;
    Box::new(move || {
        count += 1;
        let mut hasher = Keccak256::new();
        hasher.update(&seed);
        hasher.update(&count.to_le_bytes());
        hasher.finalize()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bmt::ChunkAddress;

    #[test]
    fn keys_depend_on_secret_content_and_level_and_on_nothing_else() {
        let plain = |n| Reference::plain(ChunkAddress([n; 32]));
        let first = |secret: u8, level, n| of_file(&Secret([secret; 32]), level, &plain(n))();
        let base = first(1, RedundancyLevel::None, 1);
        assert_eq!(base, first(1, RedundancyLevel::None, 1));
        assert_ne!(base, first(2, RedundancyLevel::None, 1));
        assert_ne!(base, first(1, RedundancyLevel::Medium, 1));
        assert_ne!(base, first(1, RedundancyLevel::None, 2));
        let mut keys = of_file(&Secret([1; 32]), RedundancyLevel::None, &plain(1));
        assert_eq!(keys(), base);
        assert_ne!(keys(), base);
    }
}
