//! The program against everything that bee's vectors say: references of 107 files, and the bytes of files, directories and feeds that
//! bee cut, encrypted and made redundant, whole and with chunks missing.
#[path = "common/bee_chunks.rs"]
mod bee_chunks;
mod common;

use bee_chunks::{Bee, Chunks, Group, Tree, sha256, text};
use bmt::{ChunkAddress, ChunkKind, VerifiedChunk};
use chunkset::TarWriter;
use common::{expect, pattern, run};
use content::mantaray::Builder;
use content::{RedundancyLevel, Reference};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufWriter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

/// `NotFound` of the program's documented exit status.
const NOT_FOUND: i32 = 3;
/// Lengths of `bytes` of which chunks exist, at levels 1 and 3.
const STORED_LENGTHS: [u64; 5] = [4097, 12_293, 487_424, 487_425, 491_520];
/// Directories of which bee's set has no chunk at all.
const NOT_STORED: [&str; 2] = ["index-and-error", "long-paths"];

static BEE: LazyLock<Bee> = LazyLock::new(Bee::load);

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

fn reference(value: &Value) -> Reference {
    text(value).parse().unwrap()
}

/// Works on every item, two at a time.
fn two_at_a_time<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}

/// A set on disk, and what the program makes of it.
struct Set {
    dir: tempfile::TempDir,
    /// Fetches so far.
    count: AtomicUsize,
}

impl Set {
    fn new(root: ChunkAddress, chunks: &Chunks) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = BufWriter::new(File::create(dir.path().join("set.tar")).unwrap());
        let mut writer = TarWriter::new(file);
        for chunk in chunks.values() {
            writer.append(root, chunk).unwrap();
        }
        writer.finish().unwrap();
        Self {
            dir,
            count: AtomicUsize::new(0),
        }
    }

    fn run(&self, status: i32, verb: &[&str]) -> Value {
        let arguments = [verb, &["--chunks", "set.tar", "--json"]].concat();
        let (stdout, _) = expect(self.dir.path(), status, &arguments);
        serde_json::from_str(&stdout).unwrap()
    }

    /// Fetches; returns the bytes and what the program says of them.
    fn fetch(&self, target: &str, strategy: &str) -> (Vec<u8>, Value) {
        let name = format!("out-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let said = self.run(0, &["fetch", target, "-o", &name, "--strategy", strategy]);
        let bytes = fs::read(self.dir.path().join(name)).unwrap();
        (bytes, said)
    }

    /// Demands that a chunk or path is not found; returns the message.
    fn refuse(&self, target: &str) -> String {
        let said = self.run(NOT_FOUND, &["fetch", target, "-o", "out"]);
        assert_eq!(said["error"]["status"], NOT_FOUND);
        assert!(!self.dir.path().join("out").exists());
        text(&said["error"]["message"]).to_owned()
    }
}

/// A file of which all chunks exist, and where they come from.
struct Case {
    name: String,
    level: RedundancyLevel,
    tree: Tree,
    bytes: Vec<u8>,
}

impl Case {
    fn of(case: &Value) -> Self {
        let length = number(&case["length"]);
        let level = number(&case["redundancy_level"]);
        let root = reference(&case["reference"]);
        let bytes = pattern(usize::try_from(length).unwrap(), number(&case["seed"]));
        let encrypted = if root.key.is_some() {
            "encrypted, "
        } else {
            ""
        };
        Self {
            name: format!("{length} bytes, {encrypted}level {level}"),
            level: RedundancyLevel::from_number(level.try_into().unwrap()).unwrap(),
            tree: BEE.tree(root, Some(&bytes)),
            bytes,
        }
    }
}

/// The encrypted files, and those of the others that were stored.
fn cases() -> Vec<Case> {
    let stored = |case: &&Value| {
        STORED_LENGTHS.contains(&number(&case["length"]))
            && [1, 3].contains(&number(&case["redundancy_level"]))
    };
    let plain = BEE.cases("bytes").iter().filter(stored);
    let cases: Vec<_> = BEE.cases("encrypted").iter().chain(plain).collect();
    assert_eq!(cases.len(), 14 + 2 * STORED_LENGTHS.len());
    cases.into_iter().map(Case::of).collect()
}

#[test]
fn hash_prints_bees_reference_for_all_107_files() {
    let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for case in BEE.cases("bytes") {
        let file = (number(&case["length"]), number(&case["seed"]));
        let level = number(&case["redundancy_level"]).to_string();
        let of_file = files.entry(file).or_default();
        of_file.push((level, text(&case["reference"])));
    }
    let asked: usize = files.values().map(Vec::len).sum();
    assert_eq!((files.len(), asked), (24, 107));
    let dir = tempfile::tempdir().unwrap();
    // The largest first, so that the threads end together.
    two_at_a_time(
        files.into_iter().rev().collect(),
        |((length, seed), cases)| {
            let name = format!("{length}-{seed}");
            let content = pattern(usize::try_from(length).unwrap(), seed);
            fs::write(dir.path().join(&name), content).unwrap();
            for (level, reference) in cases {
                let hash = ["hash", &name, "--redundancy-level", &level];
                let (stdout, _) = expect(dir.path(), 0, &hash);
                assert_eq!(stdout, format!("{reference}\n"), "{name} at level {level}");
            }
        },
    );
}

#[test]
fn every_file_that_bee_encrypted_or_made_redundant_is_fetched() {
    for case in cases() {
        let Case { name, tree, .. } = &case;
        assert_eq!(tree.replicas.len(), case.level.replicas(), "{name}");
        let set = Set::new(tree.root.address, &tree.chunks);
        for strategy in ["data", "data-then-parity", "race"] {
            let (bytes, said) = set.fetch(&tree.root.to_hex(), strategy);
            assert!(bytes == case.bytes, "{name}, {strategy}");
            assert_eq!(said["bytes"], case.bytes.len(), "{name}");
        }
    }
}

#[test]
fn every_file_of_every_directory_is_listed_and_fetched() {
    let directories = BEE.directories();
    let mut fetched = 0;
    for directory in &directories {
        let set = Set::new(directory.root.address, &directory.chunks());
        let root = directory.root.to_hex();
        let listed = set.run(0, &["ls", &root]);
        let listed = listed["files"].as_array().unwrap().iter();
        let listed = listed.filter(|item| !item["reference"].is_null());
        let listed: BTreeSet<_> = listed.map(|item| text(&item["path"])).collect();
        let paths = directory.files.iter().map(|(path, ..)| path.as_str());
        assert_eq!(listed, paths.collect(), "{}", directory.name);
        two_at_a_time(directory.files.iter().collect(), |(path, hash, _)| {
            let (bytes, said) = set.fetch(&format!("{root}/{path}"), "data-then-parity");
            assert_eq!(sha256(&bytes), *hash, "{}/{path}", directory.name);
            assert_eq!(said["path"], **path);
        });
        fetched += directory.files.len();
    }
    let names = directories.iter().map(|directory| directory.name.as_str());
    let names: BTreeSet<_> = names.chain(NOT_STORED).collect();
    let cases = BEE.cases("directories").iter();
    assert_eq!(names, cases.map(|case| text(&case["name"])).collect());
    // The nine files of the other two are those of the next test.
    assert_eq!((directories.len(), fetched), (7, 5 * 4 + 300 + 1));
}

/// Makes a directory of which bee's set has nothing, from contents that the vectors know by their SHA-256, as bee made it.
///
/// Bee takes content types from tables of the machine it runs on, so they are given here.
fn built_again(name: &str, files: &[(&str, &str, &str)], documents: &[(&str, &str)]) -> Set {
    let mut cases = BEE.cases("directories").iter();
    let case = cases.find(|case| case["name"] == name).unwrap();
    let root = reference(&case["reference"]);
    assert!(!BEE.has(root.address), "{name} is stored");
    let known = case["files"].as_array().unwrap();
    assert_eq!(known.len(), files.len());
    let mut chunks = Chunks::new();
    let mut builder = Builder::new();
    for (known, (path, content, content_type)) in known.iter().zip(files) {
        assert_eq!(text(&known["path"]), *path);
        assert_eq!(text(&known["sha256"]), sha256(content.as_bytes()));
        let reference = content::split(content.as_bytes(), &mut |chunk| {
            chunks.insert(chunk.address(), chunk);
        });
        let file_name = path.rsplit('/').next().unwrap();
        let metadata = [("Content-Type", *content_type), ("Filename", file_name)];
        builder.add(path, reference, metadata_of(&metadata));
    }
    if !documents.is_empty() {
        builder.add_metadata("/", metadata_of(documents));
    }
    let made = builder.finish(&mut |chunk| {
        chunks.insert(chunk.address(), chunk);
    });
    assert_eq!(made.unwrap(), root, "{name}");
    let set = Set::new(root.address, &chunks);
    for (path, content, _) in files {
        let (bytes, said) = set.fetch(&format!("{}/{path}", root.to_hex()), "data");
        assert_eq!(bytes, content.as_bytes(), "{name}/{path}");
        assert_eq!(said["path"], *path);
    }
    set
}

fn metadata_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn files_of_the_two_directories_that_were_not_stored_are_fetched_from_equal_ones() {
    let html = "text/html; charset=utf-8";
    let site = built_again(
        "index-and-error",
        &[
            ("index.html", "<h1>boot", html),
            ("404.html", "none", html),
            ("a/index.html", "A", html),
        ],
        &[
            ("website-index-document", "index.html"),
            ("website-error-document", "404.html"),
        ],
    );
    let root = "0bb26f57199beb52b5ce4e6da538a6aa8b80f205cc3c1084809acca15a347922";
    for (path, content) in [("", "<h1>boot"), ("a/", "A"), ("a", "A")] {
        let (bytes, _) = site.fetch(&format!("{root}/{path}"), "data");
        assert_eq!(bytes, content.as_bytes(), "{path:?}");
    }
    let message = site.refuse(&format!("{root}/none"));
    assert!(message.contains("404.html"), "{message}");
    let bin = "application/octet-stream";
    let long = "very-long-directory-name-that-exceeds-thirty-bytes";
    let file = format!("{long}/and-another-level-which-is-long-too/file-with-a-long-name.bin");
    built_again(
        "long-paths",
        &[
            (&file, "1", bin),
            (&format!("{file}.sig"), "2", "application/pgp-signature"),
            (&format!("{long}/other"), "3", ""),
            ("v", "4", ""),
            ("ve", "5", ""),
            ("ümläut/中", "6", ""),
        ],
        &[],
    );
}

#[test]
fn the_newest_update_of_every_feed_is_fetched() {
    let boot = BEE.directories().into_iter();
    let mut boot = boot.filter(|directory| directory.name == "boot-level1");
    let boot = boot.next().unwrap();
    let kernel = boot.files.iter().find(|(path, ..)| path == "vmlinuz");
    let (_, vmlinuz, _) = kernel.unwrap();
    let mut chunks = Bee::feeds();
    chunks.extend(boot.chunks());
    let set = Set::new(ChunkAddress([0; 32]), &chunks);
    let mut fetched = 0;
    for case in BEE.cases("feeds") {
        let name = text(&case["name"]);
        let feed = format!("feed:{}/{}", text(&case["owner"]), text(&case["topic"]));
        let updates = number(&case["updates"]);
        if updates == 0 {
            let message = set.refuse(&feed);
            assert!(message.contains(text(&case["topic"])), "{message}");
            continue;
        }
        let is_directory = name == "bzz-feed";
        let path = if is_directory { "/vmlinuz" } else { "" };
        let (bytes, said) = set.fetch(&format!("{feed}{path}"), "data-then-parity");
        assert_eq!(said["feed"]["index"], (updates - 1).to_string(), "{name}");
        assert_eq!(said["feed"]["certain"], true, "{name}");
        if is_directory {
            assert_eq!(sha256(&bytes), *vmlinuz, "{name}");
            let manifest = format!("{}{path}", text(&case["manifest"]));
            assert!(set.fetch(&manifest, "data-then-parity").0 == bytes);
        } else {
            assert_eq!(sha256(&bytes), text(&case["latest_content_sha256"]));
            assert_eq!(said["reference"], case["latest_reference"], "{name}");
        }
        fetched += 1;
    }
    assert_eq!(fetched, 10);
}

/// Leaves of the newest update's tree, which lies around its root inside the update itself.
#[test]
fn a_lost_leaf_below_a_root_inside_an_update_is_named() {
    let mut feeds = BEE.cases("feeds").iter();
    let case = feeds.find(|case| case["name"] == "v2-tree").unwrap();
    let feed = format!("feed:{}/{}", text(&case["owner"]), text(&case["topic"]));
    let chunks = Bee::feeds();
    let is_leaf = |chunk: &&VerifiedChunk| {
        let span = u64::from_le_bytes(chunk.span_bytes());
        chunk.kind() == ChunkKind::Content && [4096, 8500 % 4096].contains(&span)
    };
    let leaves: Vec<_> = chunks.values().filter(is_leaf).collect();
    assert_eq!(leaves.len(), 9, "three of each of the three updates");
    let needed = leaves.iter().filter(|leaf| {
        let mut lossy = chunks.clone();
        lossy.remove(&leaf.address());
        let set = Set::new(leaf.address(), &lossy);
        let output = run(
            set.dir.path(),
            &["fetch", &feed, "-o", "out", "--chunks", "set.tar"],
        );
        if output.status.success() {
            let bytes = fs::read(set.dir.path().join("out")).unwrap();
            assert_eq!(sha256(&bytes), text(&case["latest_content_sha256"]));
            return false;
        }
        assert_unavailable(&set.refuse(&feed), leaf.address());
        true
    });
    assert_eq!(needed.count(), 3);
}

/// Demands that a message names the chunk that the file cannot do without.
fn assert_unavailable(message: &str, address: ChunkAddress) {
    let named = format!("chunk {address} is not available");
    assert!(message.contains(&named), "{named}, not: {message}");
}

/// A seeded choice of `count` chunks of a group.
fn choose(group: &Group, count: usize, seed: u64) -> Vec<ChunkAddress> {
    let mut left = [&group.data[..], &group.parities].concat();
    let noise = pattern(8 * count, seed);
    let words = noise.as_chunks::<8>().0.iter();
    words
        .map(|word| left.swap_remove(u64::from_le_bytes(*word) as usize % left.len()))
        .collect()
}

/// All files of which bee's set has parities or replicas: the ones above and those of directories.
fn redundant_trees() -> Vec<(String, Tree)> {
    let files = cases().into_iter().map(|case| (case.name, case.tree));
    let directories = BEE.directories();
    let in_directories = directories.into_iter().flat_map(|directory| {
        let name = directory.name;
        let files = directory.files.into_iter();
        files.map(move |(path, _, tree)| (format!("{name}/{path}"), tree))
    });
    let all = files.chain(in_directories);
    let is_redundant =
        |tree: &Tree| tree.level != RedundancyLevel::None || !tree.replicas.is_empty();
    all.filter(|(_, tree)| is_redundant(tree)).collect()
}

#[test]
fn as_many_chunks_of_every_group_as_there_are_parities_may_be_missing_and_the_root_too() {
    let trees = redundant_trees();
    let groups: usize = trees.iter().map(|(_, tree)| tree.groups.len()).sum();
    assert_eq!((trees.len(), groups), (31, 37));
    two_at_a_time(trees, |(name, tree)| {
        for (round, strategy) in (0..4).zip(["data-then-parity", "race"].iter().cycle()) {
            let mut lossy = tree.chunks.clone();
            let mut lost_data = 0;
            for (group, seed) in tree.groups.iter().zip(10 * round..) {
                let parities = group.parities.len();
                let lost = match round {
                    0 => choose(group, 1, seed),
                    1 => choose(group, parities / 2, seed),
                    2 => choose(group, parities, seed),
                    // The first ones: intermediate chunks among them.
                    _ => group.data.iter().copied().take(parities).collect(),
                };
                for address in lost {
                    lossy.remove(&address).unwrap();
                    lost_data += u64::from(group.data.contains(&address));
                }
            }
            if round % 2 == 1 {
                lossy.remove(&tree.root.address).unwrap();
            }
            let set = Set::new(tree.root.address, &lossy);
            let (bytes, said) = set.fetch(&tree.root.to_hex(), strategy);
            assert!(bytes == tree.bytes, "{name}, round {round}");
            let recovered = number(&said["recovered_chunks"]);
            assert!(recovered >= lost_data, "{name}, round {round}: {said}");
        }
    });
}

#[test]
fn files_of_redundant_directories_are_fetched_without_the_roots_of_files_and_nodes() {
    let directories = BEE.directories().into_iter();
    let named = ["boot-level1", "boot-level3", "boot-encrypted-level1"];
    let directories: Vec<_> = directories
        .filter(|directory| named.contains(&directory.name.as_str()))
        .collect();
    assert_eq!(directories.len(), named.len());
    two_at_a_time(directories, |directory| {
        let mut lossy = directory.chunks();
        let is_node = |chunk: &&VerifiedChunk| chunk.kind() == ChunkKind::Content;
        let nodes: Vec<_> = directory.nodes.values().filter(is_node).collect();
        assert!(nodes.len() >= 6, "{}", directory.name);
        for node in nodes {
            lossy.remove(&node.address()).unwrap();
        }
        for (_, _, tree) in &directory.files {
            lossy.remove(&tree.root.address).unwrap();
            for (group, seed) in tree.groups.iter().zip(1..) {
                for address in choose(group, group.parities.len(), seed) {
                    lossy.remove(&address).unwrap();
                }
            }
        }
        let set = Set::new(directory.root.address, &lossy);
        for (path, hash, _) in &directory.files {
            let target = format!("{}/{path}", directory.root.to_hex());
            let (bytes, _) = set.fetch(&target, "data-then-parity");
            assert_eq!(sha256(&bytes), *hash, "{}/{path}", directory.name);
        }
    });
}

#[test]
fn one_chunk_more_missing_than_there_are_parities_is_an_error_that_names_it() {
    let mut trees = redundant_trees();
    let plain = cases().into_iter().map(|case| (case.name, case.tree));
    trees.extend(plain.filter(|(_, tree)| tree.level == RedundancyLevel::None));
    two_at_a_time(trees, |(name, tree)| {
        let target = tree.root.to_hex();
        for (group, seed) in tree.groups.iter().zip(7..) {
            let lost = choose(group, group.parities.len() + 1, seed);
            let mut lossy = tree.chunks.clone();
            for address in &lost {
                lossy.remove(address).unwrap();
            }
            // The first in the file of those that cannot be computed.
            let mut data = group.data.iter();
            let first = data.find(|address| lost.contains(address)).unwrap();
            let message = Set::new(tree.root.address, &lossy).refuse(&target);
            assert_unavailable(&message, *first);
        }
        let mut lossy = tree.chunks.clone();
        lossy.remove(&tree.root.address).unwrap();
        for replica in &tree.replicas {
            lossy.remove(replica).unwrap();
        }
        let message = Set::new(tree.root.address, &lossy).refuse(&target);
        assert_unavailable(&message, tree.root.address);
        assert!(
            message.contains("is not in the chunk set"),
            "{name}: {message}"
        );
    });
}
