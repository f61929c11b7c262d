//! Builds a directory.
use super::node::{KEY_BYTES, PREFIX_BYTES_MAX, VERSION_02, kind, unmask};
use super::{MantarayError, PATH_BYTES_MAX};
use crate::{KeySource, RedundancyLevel, Reference, Splitter};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, VerifiedChunk, keccak256};

/// Bytes of a reference without and with key.
const PLAIN_BYTES: usize = 32;
const ENCRYPTED_BYTES: usize = 64;

/// Builds a directory of version 0.2, node for node as bee builds it from the same additions in the same order. Without encryption
/// nothing is obfuscated and the reference is bee's; with it, every node has an obfuscation key of its own and is encrypted.
///
/// The order matters to bee in two places: whether a node without references has reference size 0 or 32, and which nodes on the
/// way are marked as having a path separator. Equal additions in another order give a directory that reads the same and may have
/// another reference.
#[derive(Default)]
pub struct Builder {
    root: Draft,
    level: RedundancyLevel,
    keys: Option<KeySource>,
    error: Option<MantarayError>,
}

/// A node under construction.
#[derive(Default)]
struct Draft {
    kind: u8,
    /// 0 until an entry or the parent sets it, then 32 or 64.
    reference_bytes: usize,
    entry: Option<Reference>,
    metadata: BTreeMap<String, String>,
    forks: BTreeMap<u8, DraftFork>,
}

struct DraftFork {
    prefix: Vec<u8>,
    node: Box<Draft>,
}

impl Builder {
    /// Starts an empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores the nodes with parity chunks and replicas of this level. Bee's references are equal then, too.
    #[must_use]
    pub fn with_level(mut self, level: RedundancyLevel) -> Self {
        self.level = level;
        self
    }

    /// Encrypts the directory: every entry then needs a reference with a key. To be called before the first addition.
    #[must_use]
    pub fn with_keys(mut self, keys: KeySource) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Adds a file; a later entry with the same path replaces the earlier one.
    pub fn add(&mut self, path: &str, reference: Reference, metadata: BTreeMap<String, String>) {
        let (expected, found) = (self.reference_bytes(), bytes_of(&reference));
        if expected != found {
            self.fail(MantarayError::ReferenceSize { expected, found });
            return;
        }
        self.add_entry(path, Some(reference), metadata);
    }

    /// Adds an entry that is no file, such as `/` with `website-index-document`.
    pub fn add_metadata(&mut self, path: &str, metadata: BTreeMap<String, String>) {
        self.add_entry(path, None, metadata);
    }

    /// Adds an entry whose reference is all zero, as bee makes it in feed manifests; it reads like one that is no file.
    pub(crate) fn add_zero(&mut self, path: &str, metadata: BTreeMap<String, String>) {
        self.add_entry(
            path,
            Some(Reference::plain(ChunkAddress([0; 32]))),
            metadata,
        );
    }

    /// Writes the nodes as chunks, children first, and returns the directory's reference, equal to bee's for the same additions.
    ///
    /// # Errors
    /// Returns the first error of an addition, or [`MantarayError::MetadataTooLarge`].
    pub fn finish(self, sink: &mut dyn FnMut(VerifiedChunk)) -> Result<Reference, MantarayError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut saver = Saver {
            level: self.level,
            keys: self.keys,
            sink,
        };
        self.root.save(&mut saver)
    }

    /// Bytes of every reference in this directory.
    fn reference_bytes(&self) -> usize {
        match self.keys {
            Some(_) => ENCRYPTED_BYTES,
            None => PLAIN_BYTES,
        }
    }

    fn add_entry(
        &mut self,
        path: &str,
        entry: Option<Reference>,
        metadata: BTreeMap<String, String>,
    ) {
        let len = path.len();
        if len > PATH_BYTES_MAX {
            self.fail(MantarayError::PathTooLong { len });
            return;
        }
        self.root.add(path.as_bytes(), entry, metadata);
    }

    fn fail(&mut self, error: MantarayError) {
        self.error.get_or_insert(error);
    }
}

impl Draft {
    /// Adds an entry below this node. Recursion is bounded by [`PATH_BYTES_MAX`].
    fn add(&mut self, path: &[u8], entry: Option<Reference>, metadata: BTreeMap<String, String>) {
        if let Some(entry) = &entry {
            self.reference_bytes = bytes_of(entry);
        }
        let Some(first) = path.first().copied() else {
            self.set(entry, metadata);
            return;
        };
        self.kind |= kind::EDGE;
        let Some(fork) = self.forks.remove(&first) else {
            let fork = self.new_fork(path, entry, metadata);
            self.forks.insert(first, fork);
            return;
        };
        let DraftFork {
            mut prefix,
            mut node,
        } = fork;
        let common = common_len(&prefix, path);
        let rest = prefix.split_off(common);
        if let Some(next) = rest.first().copied() {
            // The prefixes part inside the fork: a new node takes the common part.
            node.mark_separator(&rest);
            let mut split = self.child();
            split.forks.insert(next, DraftFork { prefix: rest, node });
            split.kind |= kind::EDGE;
            node = Box::new(split);
        }
        node.mark_separator(path);
        node.add(path.get(common..).unwrap_or(&[]), entry, metadata);
        self.forks.insert(first, DraftFork { prefix, node });
    }

    /// Makes the chain of nodes for a path of which nothing is there yet.
    fn new_fork(
        &self,
        path: &[u8],
        entry: Option<Reference>,
        metadata: BTreeMap<String, String>,
    ) -> DraftFork {
        let mut node = self.child();
        let prefix = match path.split_at_checked(PREFIX_BYTES_MAX) {
            Some((prefix, rest)) if !rest.is_empty() => {
                node.add(rest, entry, metadata);
                prefix
            }
            _ => {
                node.set(entry, metadata);
                path
            }
        };
        node.mark_separator(prefix);
        DraftFork {
            prefix: prefix.to_vec(),
            node: Box::new(node),
        }
    }

    fn child(&self) -> Self {
        Self {
            reference_bytes: self.reference_bytes,
            ..Self::default()
        }
    }

    fn set(&mut self, entry: Option<Reference>, metadata: BTreeMap<String, String>) {
        self.entry = entry;
        self.kind |= kind::VALUE;
        if !metadata.is_empty() {
            self.metadata = metadata;
            self.kind |= kind::METADATA;
        }
    }

    /// Sets the separator bit as bee does: by a `/` behind the first byte of `path`, which on the way down is the whole path still to
    /// be added and not only this node's prefix.
    fn mark_separator(&mut self, path: &[u8]) {
        if path.iter().skip(1).any(|byte| *byte == b'/') && path.first() != Some(&b'/') {
            self.kind |= kind::SEPARATOR;
        } else {
            self.kind &= !kind::SEPARATOR;
        }
    }

    fn save(mut self, saver: &mut Saver<'_>) -> Result<Reference, MantarayError> {
        // SPEC swarm-wire 9: only a node without entry and without forks keeps reference size 0.
        if self.entry.is_some() || !self.forks.is_empty() {
            self.reference_bytes = saver.reference_bytes();
        }
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&saver.obfuscation_key());
        bytes.extend_from_slice(&VERSION_02);
        bytes.push(u8::try_from(self.reference_bytes).unwrap_or(u8::MAX));
        let entry_end = bytes.len().saturating_add(self.reference_bytes);
        if let Some(entry) = &self.entry {
            push_reference(&mut bytes, entry);
        }
        bytes.resize(entry_end, 0);
        let mut index = [0u8; 32];
        for byte in self.forks.keys() {
            if let Some(bits) = index.get_mut(usize::from(byte / 8)) {
                *bits |= 1 << (byte % 8);
            }
        }
        bytes.extend_from_slice(&index);
        for fork in self.forks.into_values() {
            fork.save(&mut bytes, saver)?;
        }
        unmask(&mut bytes);
        Ok(saver.split(&bytes))
    }
}

impl DraftFork {
    /// Writes the node as chunks and the fork into the bytes of its parent.
    fn save(self, bytes: &mut Vec<u8>, saver: &mut Saver<'_>) -> Result<(), MantarayError> {
        let kind = self.node.kind;
        let metadata = metadata_bytes(&self.node.metadata);
        let child = self.node.save(saver)?;
        bytes.push(kind);
        bytes.push(u8::try_from(self.prefix.len()).unwrap_or(u8::MAX));
        let mut padded = [0; PREFIX_BYTES_MAX];
        for (to, from) in padded.iter_mut().zip(&self.prefix) {
            *to = *from;
        }
        bytes.extend_from_slice(&padded);
        push_reference(bytes, &child);
        if kind & kind::METADATA != 0 {
            let too_large = |_| MantarayError::MetadataTooLarge {
                len: metadata.len(),
            };
            let len = u16::try_from(metadata.len()).map_err(too_large)?;
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(&metadata);
        }
        Ok(())
    }
}

/// Where the bytes of nodes go.
struct Saver<'a> {
    level: RedundancyLevel,
    keys: Option<KeySource>,
    sink: &'a mut dyn FnMut(VerifiedChunk),
}

impl Saver<'_> {
    fn reference_bytes(&self) -> usize {
        match self.keys {
            Some(_) => ENCRYPTED_BYTES,
            None => PLAIN_BYTES,
        }
    }

    /// SPEC swarm-wire 9: zero when the directory is not encrypted, random for every node when it is.
    fn obfuscation_key(&mut self) -> [u8; KEY_BYTES] {
        match &mut self.keys {
            Some(keys) => keys(),
            None => [0; KEY_BYTES],
        }
    }

    fn split(&mut self, bytes: &[u8]) -> Reference {
        let mut splitter = Splitter::new().with_level(self.level);
        if let Some(keys) = &mut self.keys {
            splitter = splitter.with_keys(keys_of_one_file(keys()));
        }
        splitter.update(bytes, self.sink);
        splitter.finish(self.sink)
    }
}

/// Derives the keys of one file from a random seed.
fn keys_of_one_file(mut seed: [u8; 32]) -> KeySource {
    Box::new(move || {
        let mut material = [0; 33];
        let mut derive = |purpose: u8| {
            for (to, from) in material.iter_mut().zip([purpose].iter().chain(&seed)) {
                *to = *from;
            }
            keccak256(&material)
        };
        let key = derive(b'k');
        seed = derive(b's');
        key
    })
}

fn bytes_of(reference: &Reference) -> usize {
    match reference.key {
        Some(_) => ENCRYPTED_BYTES,
        None => PLAIN_BYTES,
    }
}

fn push_reference(bytes: &mut Vec<u8>, reference: &Reference) {
    bytes.extend_from_slice(&reference.address.0);
    bytes.extend(reference.key.iter().flatten());
}

/// Writes metadata as Go's `encoding/json` does, padded with line feeds.
///
/// SPEC swarm-wire 9: size field and text together fill blocks of 32; a text that would fill the last one exactly gets one more,
/// unless it is the first.
fn metadata_bytes(metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut text = String::from("{");
    for (key, value) in metadata {
        if text.len() > 1 {
            text.push(',');
        }
        push_json_string(&mut text, key);
        text.push(':');
        push_json_string(&mut text, value);
    }
    text.push('}');
    let mut bytes = text.into_bytes();
    let used = bytes.len().saturating_add(2);
    let target = match used {
        0..=32 => 32,
        _ => (used / 32).saturating_add(1).saturating_mul(32),
    };
    bytes.resize(target.saturating_sub(2), b'\n');
    bytes
}

/// Go escapes what HTML could take for markup, too.
fn push_json_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&alloc::format!("\\u{:04x}", u32::from(character)));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
}

fn common_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
