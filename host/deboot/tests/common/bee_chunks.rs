//! The chunks behind bee's vectors, put together from what is committed of them (`crates/content/testdata/README.md`).
//!
//! Committed are the chunks that nothing else determines. The others are made again, without the code that the tests are about: leaves
//! from their content, key streams with Keccak-256 alone, parities with the crate reed-solomon-erasure. Each must have the address
//! that a chunk of bee's says, up to the references that bee returned.
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk, keccak256};
use content::mantaray::{Listed, Listing, ListingConfig};
use content::tree::{Place, open};
use content::{RedundancyLevel, Reference};
use reed_solomon_erasure::galois_8::ReedSolomon;
use serde_json::Value;
use sha2::Digest;
use std::collections::BTreeMap;

/// Bytes of the largest content-addressed chunk: what parities are computed over.
const SHARD_BYTES: usize = 8 + 4096;

pub(crate) type Chunks = BTreeMap<ChunkAddress, VerifiedChunk>;

/// What is committed.
pub(crate) struct Bee {
    pub(crate) vectors: Value,
    kept: Chunks,
    /// By root: the replicas' addresses, and what stands before the root's bytes in them (identifier, signature).
    replicas: BTreeMap<ChunkAddress, Vec<(ChunkAddress, Vec<u8>)>>,
}

/// A whole file tree.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) root: Reference,
    pub(crate) level: RedundancyLevel,
    /// All of it: data, parities, replicas of the root.
    pub(crate) chunks: Chunks,
    pub(crate) groups: Vec<Group>,
    pub(crate) replicas: Vec<ChunkAddress>,
    pub(crate) bytes: Vec<u8>,
}

/// The shards below one intermediate chunk.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) data: Vec<ChunkAddress>,
    pub(crate) parities: Vec<ChunkAddress>,
}

/// A whole directory.
pub(crate) struct Directory {
    pub(crate) name: String,
    pub(crate) root: Reference,
    /// Its nodes, with their replicas.
    pub(crate) nodes: Chunks,
    /// Files by path, with the SHA-256 that bee's vectors have for each.
    pub(crate) files: Vec<(String, String, Tree)>,
}

impl Directory {
    /// Its nodes and all of its files.
    pub(crate) fn chunks(&self) -> Chunks {
        let files = self.files.iter().map(|(_, _, tree)| &tree.chunks);
        let all = std::iter::once(&self.nodes).chain(files);
        all.flat_map(Chunks::clone).collect()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads records address 32 ‖ length u16 LE ‖ data.
fn load(mut records: &[u8], into: &mut Chunks) {
    while !records.is_empty() {
        let (address, rest) = records.split_first_chunk::<32>().unwrap();
        let (length, rest) = rest.split_first_chunk::<2>().unwrap();
        let (data, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
        let address = ChunkAddress(*address);
        let chunk = VerifiedChunk::verify(address, data.to_vec()).unwrap();
        into.insert(address, chunk);
        records = rest;
    }
}

impl Bee {
    pub(crate) fn load() -> Self {
        let vectors = include_str!("../../../../crates/content/testdata/vectors.json");
        let mut bee = Self {
            vectors: serde_json::from_str(vectors).unwrap(),
            kept: Chunks::new(),
            replicas: BTreeMap::new(),
        };
        for records in [
            &include_bytes!("../../../../crates/content/testdata/chunks.bin")[..],
            include_bytes!("../../../../crates/content/testdata/directories.bin"),
            include_bytes!("../../../../crates/content/testdata/encrypted.bin"),
            include_bytes!("../../../../crates/content/testdata/feeds.bin"),
            include_bytes!("../../../../crates/content/testdata/trees.bin"),
        ] {
            load(records, &mut bee.kept);
        }
        let replicas = include_bytes!("../../../../crates/content/testdata/replicas.bin");
        let (replicas, rest) = replicas.as_chunks::<{ 32 + 32 + 65 + 32 }>();
        assert!(rest.is_empty());
        for record in replicas {
            let (address, rest) = record.split_first_chunk::<32>().unwrap();
            let (header, root) = rest.split_at(32 + 65);
            let root = ChunkAddress(root.try_into().unwrap());
            let of_root = bee.replicas.entry(root).or_default();
            of_root.push((ChunkAddress(*address), header.to_vec()));
        }
        bee
    }

    /// The cases of one kind in `vectors.json`.
    pub(crate) fn cases(&self, kind: &str) -> &[Value] {
        self.vectors[kind].as_array().unwrap()
    }

    /// All chunks of `feeds.bin`.
    pub(crate) fn feeds() -> Chunks {
        let mut chunks = Chunks::new();
        let records = include_bytes!("../../../../crates/content/testdata/feeds.bin");
        load(records, &mut chunks);
        chunks
    }

    /// Says whether a chunk is committed.
    pub(crate) fn has(&self, address: ChunkAddress) -> bool {
        self.kept.contains_key(&address)
    }

    /// Puts a file tree together; its content must be given where not all of its leaves are committed.
    pub(crate) fn tree(&self, root: Reference, content: Option<&[u8]>) -> Tree {
        let mut tree = Tree {
            root,
            level: RedundancyLevel::None,
            chunks: Chunks::new(),
            groups: Vec::new(),
            replicas: Vec::new(),
            bytes: Vec::new(),
        };
        let place = Place::root(root);
        let chunk = self.grow(&place, content, &mut tree);
        tree.replicas = self.add_replicas(&chunk, &mut tree.chunks);
        tree
    }

    /// Adds bee's replicas of a root to a set; returns where they are.
    fn add_replicas(&self, root: &VerifiedChunk, to: &mut Chunks) -> Vec<ChunkAddress> {
        let of_root = self.replicas.get(&root.address());
        let of_root = of_root.map_or(&[][..], Vec::as_slice);
        for (address, header) in of_root {
            let data = [header, root.data()].concat();
            let replica = VerifiedChunk::verify(*address, data).unwrap();
            to.insert(*address, replica);
        }
        of_root.iter().map(|(address, _)| *address).collect()
    }

    fn grow(&self, place: &Place, content: Option<&[u8]>, tree: &mut Tree) -> VerifiedChunk {
        let Reference { address, key } = place.reference();
        let chunk = match self.kept.get(&address) {
            Some(chunk) => chunk.clone(),
            None => {
                let content = content.unwrap_or_else(|| panic!("{address} is not committed"));
                let rest = &content[tree.bytes.len()..];
                leaf(&rest[..rest.len().min(4096)], key)
            }
        };
        assert_eq!(chunk.address(), address);
        let is_root = tree.chunks.is_empty();
        tree.chunks.insert(address, chunk.clone());
        let plain = decrypted(&chunk, key);
        if is_root && plain[7] > 128 {
            tree.level = RedundancyLevel::from_number(plain[7] & 0x7f).unwrap();
        }
        let opened = open(place, &chunk).unwrap();
        if opened.children.is_empty() {
            let size = usize::try_from(opened.size).unwrap();
            tree.bytes.extend_from_slice(&plain[8..][..size]);
            return chunk;
        }
        let children = opened.children.iter();
        let children: Vec<_> = children
            .map(|child| self.grow(child, content, tree))
            .collect();
        let references = children.len() * if key.is_some() { 64 } else { 32 };
        let count = tree.level.parities(children.len(), key.is_some());
        let names = plain[8 + references..].as_chunks::<32>().0;
        let parities = parities(&children, count);
        for (parity, name) in parities.iter().zip(names) {
            assert_eq!(parity.address().0, *name, "a parity that bee does not name");
        }
        let address = VerifiedChunk::address;
        tree.groups.push(Group {
            data: children.iter().map(address).collect(),
            parities: parities.iter().map(address).collect(),
        });
        let parities = parities.into_iter();
        tree.chunks
            .extend(parities.map(|parity| (parity.address(), parity)));
        chunk
    }

    /// Puts all directories together but those of which not even the root is committed.
    pub(crate) fn directories(&self) -> Vec<Directory> {
        // By SHA-256: the encrypted directories have the files of those before them.
        let mut contents = BTreeMap::new();
        let cases = self.cases("directories").iter();
        cases
            .filter_map(|case| self.directory(case, &mut contents))
            .collect()
    }

    fn directory(
        &self,
        case: &Value,
        contents: &mut BTreeMap<String, Vec<u8>>,
    ) -> Option<Directory> {
        let root: Reference = text(&case["reference"]).parse().unwrap();
        if !self.has(root.address) {
            return None;
        }
        let mut directory = Directory {
            name: text(&case["name"]).to_owned(),
            root,
            nodes: Chunks::new(),
            files: Vec::new(),
        };
        let listed = self.list(root, &mut directory.nodes);
        for node in directory.nodes.clone().values() {
            self.add_replicas(node, &mut directory.nodes);
        }
        for file in case["files"].as_array().unwrap() {
            let (path, sha256) = (text(&file["path"]), text(&file["sha256"]));
            let listed = listed.iter().find(|item| item.path == path.as_bytes());
            let reference = listed.unwrap().entry.reference.unwrap();
            let content = contents.get(sha256).map(Vec::as_slice);
            let tree = self.tree(reference, content);
            contents
                .entry(sha256.to_owned())
                .or_insert_with(|| tree.bytes.clone());
            let file = (path.to_owned(), sha256.to_owned(), tree);
            directory.files.push(file);
        }
        Some(directory)
    }

    /// Lists a directory, and collects its nodes.
    fn list(&self, root: Reference, nodes: &mut Chunks) -> Vec<Listed> {
        let mut listing = Listing::new(root, ListingConfig::default());
        let mut listed = Vec::new();
        while !listing.is_done() {
            let address = listing.poll_want().unwrap();
            let chunk = self.kept.get(&address);
            let chunk = chunk.unwrap_or_else(|| panic!("{address} is not committed"));
            nodes.insert(address, chunk.clone());
            listing.handle_chunk(chunk.clone()).unwrap();
            listed.extend(std::iter::from_fn(|| listing.poll_listed()));
        }
        listed
    }
}

/// Makes the leaf of some content.
fn leaf(content: &[u8], key: Option<[u8; 32]>) -> VerifiedChunk {
    let span = u64::try_from(content.len()).unwrap().to_le_bytes();
    let Some(key) = key else {
        return VerifiedChunk::content(span, content).unwrap();
    };
    assert_eq!(content.len(), 4096, "bee pads with random bytes");
    let mut data = [&span, content].concat();
    apply_key(&key, &mut data);
    VerifiedChunk::content_data(data).unwrap()
}

/// Returns span ‖ payload, decrypted.
fn decrypted(chunk: &VerifiedChunk, key: Option<[u8; 32]>) -> Vec<u8> {
    let mut data = chunk.data().to_vec();
    if let Some(key) = &key {
        apply_key(key, &mut data);
    }
    data
}

/// Encrypts or decrypts span ‖ payload.
///
/// SPEC bee pkg/encryption: segment i of the payload is XORed with keccak256(keccak256(key ‖ u32 LE i)), the span with segment 128.
fn apply_key(key: &[u8; 32], data: &mut [u8]) {
    let (span, payload) = data.split_at_mut(8);
    let segments = payload.chunks_mut(32).zip(0u32..);
    for (segment, number) in segments.chain([(span, 128)]) {
        let stream = keccak256(&keccak256(&[&key[..], &number.to_le_bytes()].concat()));
        for (byte, mask) in segment.iter_mut().zip(stream) {
            *byte ^= mask;
        }
    }
}

/// Computes the parity chunks of a group, shorter chunks padded with zeros.
fn parities(children: &[VerifiedChunk], count: usize) -> Vec<VerifiedChunk> {
    if count == 0 {
        return Vec::new();
    }
    let mut shards: Vec<Vec<u8>> = children
        .iter()
        .map(|child| child.data().to_vec())
        .chain((0..count).map(|_| Vec::new()))
        .collect();
    for shard in &mut shards {
        shard.resize(SHARD_BYTES, 0);
    }
    let code = ReedSolomon::new(children.len(), count).unwrap();
    code.encode(&mut shards).unwrap();
    shards
        .drain(children.len()..)
        .map(|parity| VerifiedChunk::content_data(parity).unwrap())
        .collect()
}
