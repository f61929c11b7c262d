use super::node::{Fork, Node, kind, unmask};
use super::*;
use crate::testing::{Answers, Store, drive, pattern};
use crate::{Join, JoinConfig, RedundancyLevel};
use bmt::ChunkConsumer;
use sha2::Digest;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../testdata/vectors.json")).unwrap()
}

fn bee_store() -> Store {
    Store::load(include_bytes!("../../testdata/chunks.bin"))
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

fn file_metadata(content_type: &str, path: &str) -> BTreeMap<String, String> {
    let name = path.rsplit('/').next().unwrap();
    metadata(&[("Content-Type", content_type), ("Filename", name)])
}

fn look_up(store: &Store, root: Reference, path: &str) -> Result<Entry, MantarayError> {
    let mut lookup = Lookup::new(root, path);
    drive(&mut lookup, store, Answers::FirstAskedFirst, |_| {})?;
    Ok(lookup.entry().unwrap().clone())
}

fn list(store: &Store, root: Reference, answers: Answers) -> Result<Vec<Listed>, MantarayError> {
    let mut listing = Listing::new(root, ListingConfig::default());
    let mut listed = Vec::new();
    drive(&mut listing, store, answers, |listing| {
        while let Some(item) = listing.poll_listed() {
            listed.push(item);
        }
    })?;
    Ok(listed)
}

fn read_file(store: &Store, root: Reference) -> Vec<u8> {
    let config = JoinConfig {
        size_max: 1 << 30,
        in_flight_max: 16,
        ordered: true,
    };
    let mut join = Join::new(root, config);
    let mut file = Vec::new();
    drive(&mut join, store, Answers::LastAskedFirst, |join| {
        while let Some(piece) = join.poll_piece() {
            file.extend_from_slice(piece.bytes());
        }
    })
    .unwrap();
    file
}

#[test]
fn every_path_of_bees_directories_is_found_with_its_file() {
    let store = bee_store();
    let mut directories = 0;
    for case in vectors()["directories"].as_array().unwrap() {
        let root: Reference = text(&case["reference"]).parse().unwrap();
        if root.key.is_some() || store.get(root.address).is_none() {
            continue;
        }
        directories += 1;
        for file in case["files"].as_array().unwrap() {
            let path = text(&file["path"]);
            let entry = look_up(&store, root, path).unwrap();
            let name = path.rsplit('/').next().unwrap();
            assert_eq!(entry.metadata["Filename"], name);
            assert!(entry.metadata.contains_key("Content-Type"));
            let size = read_file(&store, entry.reference.unwrap()).len();
            assert_eq!(size as u64, file["length"].as_u64().unwrap(), "{path}");
            for wrong in [format!("{path}x"), path[..path.len() - 1].to_string()] {
                assert_eq!(
                    look_up(&store, root, &wrong),
                    Err(MantarayError::NotFound),
                    "{wrong}"
                );
            }
        }
    }
    // boot-level0, -level1 and -level3, many-files, single-file.
    assert_eq!(directories, 5);
}

#[test]
fn redundant_trees_are_read_and_their_parities_skipped() {
    let store = bee_store();
    let mut cases = 0;
    for case in vectors()["bytes"].as_array().unwrap() {
        let root: Reference = text(&case["reference"]).parse().unwrap();
        let length = case["length"].as_u64().unwrap() as usize;
        if case["redundancy_level"] == 0 || ![12_293, 487_425].contains(&length) {
            continue;
        }
        if store.get(root.address).is_none() {
            continue;
        }
        cases += 1;
        let expected = pattern(length, case["seed"].as_u64().unwrap());
        assert!(read_file(&store, root) == expected, "{case}");
    }
    assert_eq!(cases, 4);
}

#[test]
fn listing_gives_every_path_once_in_order() {
    let store = bee_store();
    for case in vectors()["directories"].as_array().unwrap() {
        let root: Reference = text(&case["reference"]).parse().unwrap();
        if root.key.is_some() || store.get(root.address).is_none() {
            continue;
        }
        let mut expected: Vec<_> = case["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| text(&file["path"]).as_bytes().to_vec())
            .collect();
        if case["name"] == "single-file" {
            expected.push(b"/".to_vec());
        }
        expected.sort();
        for answers in [
            Answers::FirstAskedFirst,
            Answers::LastAskedFirst,
            Answers::Shuffled(3),
        ] {
            let listed = list(&store, root, answers).unwrap();
            let paths: Vec<_> = listed.iter().map(|item| item.path.clone()).collect();
            assert_eq!(paths, expected, "{}", case["name"]);
            for item in listed {
                let path = std::str::from_utf8(&item.path).unwrap();
                assert_eq!(look_up(&store, root, path), Ok(item.entry));
            }
        }
    }
}

/// Adds what is listed in a directory again, in the order of its upload, and compares the reference.
#[test]
fn builder_gives_bees_reference_for_the_same_additions() {
    let store = bee_store();
    let mut directories = 0;
    for case in vectors()["directories"].as_array().unwrap() {
        let name = text(&case["name"]);
        let root: Reference = text(&case["reference"]).parse().unwrap();
        if root.key.is_some() || store.get(root.address).is_none() {
            continue;
        }
        let level = case["options"]["Swarm-Redundancy-Level"].as_u64();
        let level = RedundancyLevel::from_number(level.unwrap_or(1) as u8).unwrap();
        let mut builder = Builder::new().with_level(level);
        if name == "single-file" {
            let index = look_up(&store, root, "/").unwrap();
            assert_eq!(index.reference, None);
            builder.add_metadata("/", index.metadata);
        }
        for file in case["files"].as_array().unwrap() {
            let path = text(&file["path"]);
            let entry = look_up(&store, root, path).unwrap();
            builder.add(path, entry.reference.unwrap(), entry.metadata);
        }
        let mut made = Store::default();
        let reference = builder.finish(&mut |chunk| made.put(chunk)).unwrap();
        assert_eq!(reference, root, "{name}");
        // Replicas of the nodes were not copied into this repository.
        let nodes = made
            .chunks
            .iter()
            .filter(|(_, data)| data.len() != 97 + 8 + 4096);
        for (address, _) in nodes {
            assert!(store.chunks.contains_key(address), "a chunk bee has not");
        }
        directories += 1;
    }
    assert_eq!(directories, 5);
}

fn build(files: &[(&str, &[u8], &str)], root_metadata: &[(&str, &str)]) -> Reference {
    let mut builder = Builder::new();
    for (path, content, content_type) in files {
        let reference = crate::split(content, &mut |_| {});
        builder.add(path, reference, file_metadata(content_type, path));
    }
    if !root_metadata.is_empty() {
        builder.add_metadata("/", metadata(root_metadata));
    }
    builder.finish(&mut |_| {}).unwrap()
}

/// Keys for tests: a counter, hashed.
fn keys() -> crate::KeySource {
    let mut count = 0u64;
    std::boxed::Box::new(move || {
        count += 1;
        bmt::keccak256(&count.to_be_bytes())
    })
}

#[test]
fn an_encrypted_directory_is_built_with_a_key_for_every_node() {
    let mut store = Store::default();
    let mut builder = Builder::new()
        .with_keys(keys())
        .with_level(RedundancyLevel::Medium);
    let mut files = Vec::new();
    for number in 0..100u8 {
        let address = ChunkAddress([number + 1; 32]);
        let key = Some([number + 1; 32]);
        let path = format!("dir-{}/{number}.bin", number % 7);
        builder.add(&path, Reference { address, key }, metadata(&[("n", "x")]));
        files.push(path);
    }
    builder.add_metadata("/", metadata(&[("website-index-document", "i")]));
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    assert!(root.key.is_some());
    // Nothing of it can be read in the chunks.
    for data in store.chunks.values() {
        assert!(
            !data
                .windows(4)
                .any(|window| window == b"dir-" || window == b".bin")
        );
    }
    files.sort();
    let listed = list(&store, root, Answers::Shuffled(2)).unwrap();
    let paths: Vec<_> = listed.iter().map(|item| item.path.clone()).collect();
    let expected = [b"/".to_vec()]
        .into_iter()
        .chain(files.iter().map(|path| path.clone().into_bytes()));
    assert_eq!(paths, expected.collect::<Vec<_>>());
    for path in files {
        let number: u8 = path.split(['/', '.']).nth(1).unwrap().parse().unwrap();
        let entry = look_up(&store, root, &path).unwrap();
        assert_eq!(entry.reference.unwrap().key, Some([number + 1; 32]));
    }
    assert_eq!(look_up(&store, root, "/").unwrap().reference, None);
    // Obfuscation keys differ from node to node.
    let obfuscated: std::collections::BTreeSet<_> =
        listed.iter().map(|item| item.entry.reference).collect();
    assert_eq!(obfuscated.len(), 101);
}

#[test]
fn every_path_of_bees_encrypted_directories_is_found() {
    let store = Store::load(include_bytes!("../../testdata/directories.bin"));
    let mut directories = 0;
    for case in vectors()["directories"].as_array().unwrap() {
        let root: Reference = text(&case["reference"]).parse().unwrap();
        if root.key.is_none() {
            continue;
        }
        directories += 1;
        let listed = list(&store, root, Answers::Shuffled(5)).unwrap();
        let files = case["files"].as_array().unwrap();
        assert_eq!(listed.len(), files.len());
        for file in files {
            let path = text(&file["path"]);
            let entry = look_up(&store, root, path).unwrap();
            let reference = entry.reference.unwrap();
            assert!(reference.key.is_some());
            assert_eq!(entry.metadata["Filename"], path.rsplit('/').next().unwrap());
            assert_eq!(
                look_up(&store, root, &format!("{path}x")),
                Err(MantarayError::NotFound)
            );
            if file["length"].as_u64().unwrap() > 4096 {
                continue;
            }
            let hash = sha2::Sha256::digest(read_file(&store, reference));
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, text(&file["sha256"]), "{path}");
        }
        // Without its key, or with another, it is no directory.
        let mut wrong = root;
        wrong.key = Some([1; 32]);
        assert!(look_up(&store, wrong, "vmlinuz").is_err());
        assert!(look_up(&store, Reference::plain(root.address), "vmlinuz").is_err());
    }
    assert_eq!(directories, 2);
}

/// 10,000 files: how many chunks one look-up reads. Numbers in one flat directory are the worst case, one node for each digit.
#[test]
fn a_directory_of_10_000_files_is_looked_up_in_four_reads_per_component() {
    type Name = fn(usize) -> String;
    let flat: Name = |number| format!("{number:04}.bin");
    let nested: Name = |number| format!("share/{:03}/file-{:02}.dat", number / 40, number % 40);
    let hashed: Name = |number| {
        let hash = bmt::keccak256(&number.to_be_bytes());
        format!(
            "objects/{:02x}/{:02x}{:02x}{:02x}{:02x}",
            hash[0], hash[1], hash[2], hash[3], hash[4]
        )
    };
    let worded: Name = |number| {
        let word = |n: usize| {
            [
                "alpha", "beta", "boot", "lib", "linux", "modules", "net", "usr", "var", "zone",
            ][n % 10]
        };
        let (a, b, c) = (word(number), word(number / 10), word(number / 100));
        format!("{a}/{b}-{c}/{}", word(number / 1000))
    };
    for (name, reads_max) in [(flat, 5), (nested, 4), (hashed, 4), (worded, 4)] {
        let mut store = Store::default();
        let mut builder = Builder::new();
        let file = Reference::plain(ChunkAddress([7; 32]));
        for number in 0..10_000 {
            builder.add(
                &name(number),
                file,
                file_metadata("application/octet-stream", &name(number)),
            );
        }
        let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
        for number in (0..10_000).step_by(97) {
            let path = name(number);
            let mut lookup = Lookup::new(root, &path);
            let seen = drive(&mut lookup, &store, Answers::FirstAskedFirst, |_| {}).unwrap();
            assert_eq!(lookup.entry().unwrap().reference, Some(file));
            let components = path.split('/').count();
            assert!(
                seen.asked.len() <= reads_max * components,
                "{path}: {} reads",
                seen.asked.len()
            );
        }
    }
}

#[test]
fn a_second_path_reads_only_what_the_first_did_not() {
    let mut store = Store::default();
    let mut builder = Builder::new();
    for path in ["a/one/x", "a/one/y", "a/two", "b"] {
        let file = store.add_file(path.as_bytes());
        builder.add(path, file, BTreeMap::new());
    }
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    let mut lookup = Lookup::new(root, "a/one/x");
    let first = drive(&mut lookup, &store, Answers::FirstAskedFirst, |_| {}).unwrap();
    assert_eq!(first.asked.len(), 4);
    lookup.restart("a/one/y").unwrap();
    assert!(lookup.entry().is_none());
    let second = drive(&mut lookup, &store, Answers::FirstAskedFirst, |_| {}).unwrap();
    assert_eq!(second.asked.len(), 1);
    let file = lookup.entry().unwrap().reference.unwrap();
    assert_eq!(read_file(&store, file), b"a/one/y");
    lookup.restart("a/one/x").unwrap();
    assert!(lookup.is_done());
    assert_eq!(lookup.restart("a/three"), Err(MantarayError::NotFound));
    assert_eq!(
        lookup.restart(&"x".repeat(1025)),
        Err(MantarayError::PathTooLong { len: 1025 })
    );
}

#[test]
fn builder_gives_bees_reference_for_long_and_foreign_paths() {
    let bin = "application/octet-stream";
    let base = "very-long-directory-name-that-exceeds-thirty-bytes/";
    let long = format!("{base}and-another-level-which-is-long-too/file-with-a-long-name.bin");
    let signature = format!("{long}.sig");
    let other = format!("{base}other");
    let files: [(&str, &[u8], &str); 6] = [
        (&long, b"1", bin),
        (&signature, b"2", "application/pgp-signature"),
        (&other, b"3", ""),
        ("v", b"4", ""),
        ("ve", b"5", ""),
        ("ümläut/中", b"6", ""),
    ];
    assert_eq!(
        build(&files, &[]).to_hex(),
        "826a31b2d2716bbe3680e98da5de9860f20b014a72dfe1a1d34d8ef5a6478b96"
    );
}

#[test]
fn builder_gives_bees_reference_with_index_and_error_document() {
    let html = "text/html; charset=utf-8";
    assert_eq!(
        build(
            &[
                ("index.html", b"<h1>boot", html),
                ("404.html", b"none", html),
                ("a/index.html", b"A", html),
            ],
            &[
                ("website-index-document", "index.html"),
                ("website-error-document", "404.html"),
            ],
        )
        .to_hex(),
        "0bb26f57199beb52b5ce4e6da538a6aa8b80f205cc3c1084809acca15a347922"
    );
}

#[test]
fn builder_gives_the_published_references() {
    let html = "text/html; charset=utf-8";
    let index = ("index.html", &b"<h1>Swarm"[..], html);
    assert_eq!(
        build(&[index], &[]).to_hex(),
        "9e178dbd1ed4b748379e25144e28dfb29c07a4b5114896ef454480115a56b237"
    );
    assert_eq!(
        build(&[index], &[("website-index-document", "index.html")]).to_hex(),
        "a58484e3d77bbdb40323ddc9020c6e96e5eb5deb52015d3e0f63cce629ac1aa6"
    );
    assert_eq!(
        build(
            &[
                ("robots.txt", b"robots text", "text/plain; charset=utf-8"),
                ("img/1.png", b"image 1", "image/png"),
                ("img/2.png", b"image 2", "image/png"),
            ],
            &[],
        )
        .to_hex(),
        "4c9c76d63856102e54092c38a7cd227d769752d768b7adc8c3542e3dd9fcf295"
    );
    assert_eq!(
        build(
            &[
                ("file1", b"first file data", ""),
                ("file2", b"second file data", "")
            ],
            &[],
        )
        .to_hex(),
        "f3312af64715d26b5e1a3dc90f012d2c9cc74a167899dab1d07cdee8c107f939"
    );
}

#[test]
fn what_is_built_is_found_and_listed_again() {
    let mut store = Store::default();
    let mut builder = Builder::new();
    let mut expected = Vec::new();
    // More than a chunk of forks in the root, prefixes of prefixes, paths of 1, 30, 31, 60, 61 and 1024 bytes.
    for first in 0..120u8 {
        expected.push(format!("{}-{}", char::from(first % 90 + 33), first));
    }
    for len in [1, 29, 30, 31, 60, 61, 1024] {
        expected.push("p".repeat(len));
        expected.push(format!("q/{}", "x".repeat(len.min(1000))));
    }
    let reference = store.add_file(b"content");
    for (number, path) in expected.iter().enumerate() {
        builder.add(path, reference, metadata(&[("n", &number.to_string())]));
    }
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    assert!(u64::from_le_bytes(store.get(root.address).unwrap().span_bytes()) > 4096);
    for (number, path) in expected.iter().enumerate() {
        let entry = look_up(&store, root, path).unwrap();
        assert_eq!(entry.reference, Some(reference));
        assert_eq!(entry.metadata["n"], number.to_string(), "{path}");
    }
    let mut sorted: Vec<_> = expected
        .iter()
        .map(|path| path.clone().into_bytes())
        .collect();
    sorted.sort();
    let listed = list(&store, root, Answers::Shuffled(7)).unwrap();
    let paths: Vec<_> = listed.into_iter().map(|item| item.path).collect();
    assert_eq!(paths, sorted);
}

#[test]
fn a_later_addition_replaces_an_earlier_one() {
    let one = Reference::plain(ChunkAddress([1; 32]));
    let two = Reference::plain(ChunkAddress([2; 32]));
    let mut store = Store::default();
    let mut builder = Builder::new();
    builder.add("a/b", one, metadata(&[("k", "old")]));
    builder.add("a/b", two, metadata(&[("k", "new")]));
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    let entry = look_up(&store, root, "a/b").unwrap();
    assert_eq!(entry.reference, Some(two));
    assert_eq!(entry.metadata["k"], "new");
}

#[test]
fn metadata_survives_with_every_kind_of_character() {
    let odd = metadata(&[
        ("html", "<a href=\"x\">&amp;</a>"),
        ("control", "\0\u{1}\u{8}\t\n\u{c}\r\u{1f}\u{7f}"),
        ("separators", "\u{2028}\u{2029}\\/"),
        ("ü", "中\u{1f980}"),
        ("", ""),
    ]);
    let mut store = Store::default();
    let mut builder = Builder::new();
    builder.add_metadata("x", odd.clone());
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    assert_eq!(look_up(&store, root, "x").unwrap().metadata, odd);
}

#[test]
fn metadata_of_every_length_fills_whole_blocks() {
    for len in 0..100 {
        let mut store = Store::default();
        let mut builder = Builder::new();
        builder.add_metadata("x", metadata(&[("k", &"v".repeat(len))]));
        let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
        let node = read_file(&store, root);
        // Header 64, entry 32, index 32, fork 64: the metadata block follows.
        let block = &node[64 + 32 + 32 + 64..];
        assert_eq!(block.len() % 32, 0);
        let json = len + r#"{"k":""}"#.len() + 2;
        let expected = if json <= 32 { 32 } else { json / 32 * 32 + 32 };
        assert_eq!(block.len(), expected, "value of {len} bytes");
    }
}

#[test]
fn builder_refuses_what_does_not_fit() {
    let plain = Reference::plain(ChunkAddress([1; 32]));
    let mut builder = Builder::new();
    builder.add(&"x".repeat(1025), plain, BTreeMap::new());
    assert_eq!(
        builder.finish(&mut |_| {}),
        Err(MantarayError::PathTooLong { len: 1025 })
    );
    let mut builder = Builder::new();
    builder.add("x", plain, metadata(&[("k", &"v".repeat(70_000))]));
    assert!(matches!(
        builder.finish(&mut |_| {}),
        Err(MantarayError::MetadataTooLarge { .. })
    ));
    let mut builder = Builder::new();
    let mut encrypted = plain;
    encrypted.key = Some([2; 32]);
    builder.add("x", encrypted, BTreeMap::new());
    assert_eq!(
        builder.finish(&mut |_| {}),
        Err(MantarayError::ReferenceSize {
            expected: 32,
            found: 64
        })
    );
    let mut builder = Builder::new().with_keys(std::boxed::Box::new(|| [3; 32]));
    builder.add("x", plain, BTreeMap::new());
    assert_eq!(
        builder.finish(&mut |_| {}),
        Err(MantarayError::ReferenceSize {
            expected: 64,
            found: 32
        })
    );
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.trim().len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn sample(version: &str) -> Vec<u8> {
    unhex(match version {
        "0.1" => include_str!("../../testdata/mantaray-0.1.hex"),
        _ => include_str!("../../testdata/mantaray-0.2.hex"),
    })
}

#[test]
fn obfuscated_nodes_of_both_versions_are_read() {
    for version in ["0.1", "0.2"] {
        let bytes = sample(version);
        assert!(is_directory(&bytes));
        let node = Node::decode(bytes).unwrap().unwrap();
        let paths: Vec<_> = node
            .forks
            .iter()
            .map(|fork| fork.prefix.as_slice())
            .collect();
        assert_eq!(paths, [&b"/"[..], b"aaaaa", b"cc", b"d", b"ee"]);
        assert!(node.forks.iter().all(Fork::is_value));
        assert_eq!(node.entry, None);
        let expected = match version {
            "0.2" => metadata(&[("index-document", "aaaaa")]),
            _ => BTreeMap::new(),
        };
        assert_eq!(node.forks[0].metadata, expected);
    }
}

#[test]
fn look_ups_work_in_version_0_1_and_behind_an_obfuscation_key() {
    for version in ["0.1", "0.2"] {
        let mut store = Store::default();
        let file = store.add_file(b"the file");
        // The child: header, entry, empty index.
        let mut child = sample(version)[..32].to_vec();
        let mut plain = sample(version);
        unmask(&mut plain);
        child.extend_from_slice(&plain[32..64]);
        child.extend_from_slice(&file.address.0);
        child.extend_from_slice(&[0; 32]);
        unmask(&mut child);
        let child = store.add_file(&child);
        // The sample's fork `d` has the fork header 02 01 'd'; its reference is put in.
        let at = plain
            .windows(4)
            .position(|window| window == [2, 1, b'd', 0])
            .unwrap();
        plain[at + 32..at + 64].copy_from_slice(&child.address.0);
        unmask(&mut plain);
        let root = store.add_file(&plain);
        let entry = look_up(&store, root, "d").unwrap();
        assert_eq!(entry.reference, Some(file), "version {version}");
        assert_eq!(look_up(&store, root, "x"), Err(MantarayError::NotFound));
    }
}

/// An unmasked node of version 0.2.
fn raw_node(reference_bytes: u8, entry: &[u8], forks: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes.extend_from_slice(&super::node::VERSION_02);
    bytes.push(reference_bytes);
    bytes.extend_from_slice(entry);
    let mut index = [0u8; 32];
    for (byte, _) in forks {
        index[usize::from(byte / 8)] |= 1 << (byte % 8);
    }
    bytes.extend_from_slice(&index);
    for (_, fork) in forks {
        bytes.extend_from_slice(fork);
    }
    bytes
}

fn raw_fork(kind: u8, prefix: &[u8], child: ChunkAddress) -> Vec<u8> {
    let mut bytes = vec![kind, prefix.len() as u8];
    bytes.extend_from_slice(prefix);
    bytes.resize(32, 0);
    bytes.extend_from_slice(&child.0);
    bytes
}

#[test]
fn malformed_nodes_are_refused_with_their_defect() {
    let address = ChunkAddress([9; 32]);
    let good = raw_node(
        32,
        &[0; 32],
        &[(b'a', raw_fork(kind::VALUE, b"ab", address))],
    );
    assert!(Node::decode(good.clone()).unwrap().is_ok());
    // Shorter than version and key: not a node at all. From there on: a broken one.
    for len in 0..63 {
        assert_eq!(Node::decode(good[..len].to_vec()), None, "{len} bytes");
    }
    for len in 63..good.len() {
        assert_eq!(
            Node::decode(good[..len].to_vec()),
            Some(Err(NodeDefect::Truncated { at: len }))
        );
    }
    for size in [1, 31, 33, 63, 65, 128, 255] {
        let node = raw_node(size, &vec![1; usize::from(size)], &[]);
        assert_eq!(
            Node::decode(node),
            Some(Err(NodeDefect::ReferenceSize(size)))
        );
    }
    for length in [0, 31, 255] {
        let mut fork = raw_fork(kind::VALUE, b"ab", address);
        fork[1] = length;
        let node = raw_node(32, &[0; 32], &[(b'a', fork)]);
        assert_eq!(
            Node::decode(node),
            Some(Err(NodeDefect::PrefixLength(length)))
        );
    }
    let node = raw_node(
        32,
        &[0; 32],
        &[(b'b', raw_fork(kind::VALUE, b"ab", address))],
    );
    let defect = NodeDefect::PrefixByte {
        listed: b'b',
        found: b'a',
    };
    assert_eq!(Node::decode(node), Some(Err(defect)));
    for json in ["", "{", "[]", "{\"a\":1}", "{\"a\":{}}", "null", "{} x"] {
        let mut fork = raw_fork(kind::VALUE | kind::METADATA, b"ab", address);
        fork.extend_from_slice(&(json.len() as u16).to_be_bytes());
        fork.extend_from_slice(json.as_bytes());
        let node = Node::decode(raw_node(32, &[0; 32], &[(b'a', fork)])).unwrap();
        if json.is_empty() {
            assert!(node.is_ok(), "no metadata at all is bee's empty block");
        } else {
            assert_eq!(node, Err(NodeDefect::Metadata), "{json}");
        }
    }
}

#[test]
fn errors_name_the_node() {
    let mut store = Store::default();
    let file = store.add_file(b"just text, and long enough to be looked at as a node: 0123456789");
    assert_eq!(
        look_up(&store, file, "x"),
        Err(MantarayError::NotADirectory {
            address: file.address
        })
    );
    assert!(matches!(
        list(&store, file, Answers::FirstAskedFirst),
        Err(MantarayError::NotADirectory { .. })
    ));
    let huge = store.add_raw(NODE_BYTES_MAX + 1, &[1; 64]);
    assert_eq!(
        look_up(&store, Reference::plain(huge), "x"),
        Err(MantarayError::Node {
            address: huge,
            error: JoinError::TooLarge {
                size: NODE_BYTES_MAX + 1,
                max: NODE_BYTES_MAX
            },
        })
    );
    let nowhere = ChunkAddress([3; 32]);
    let fork = (b'a', raw_fork(kind::VALUE, b"a", nowhere));
    let root = store.add_file(&raw_node(32, &[0; 32], &[fork]));
    let missing = MantarayError::Node {
        address: nowhere,
        error: JoinError::Unavailable(nowhere),
    };
    assert_eq!(look_up(&store, root, "a"), Err(missing.clone()));
    assert_eq!(list(&store, root, Answers::FirstAskedFirst), Err(missing));
    assert_eq!(
        look_up(&store, root, &"x".repeat(1025)),
        Err(MantarayError::PathTooLong { len: 1025 })
    );
}

#[test]
fn a_node_on_the_way_is_no_file() {
    let mut store = Store::default();
    let mut builder = Builder::new();
    let reference = store.add_file(b"1");
    builder.add("dir/one", reference, BTreeMap::new());
    builder.add("dir/two", reference, BTreeMap::new());
    let root = builder.finish(&mut |chunk| store.put(chunk)).unwrap();
    assert_eq!(look_up(&store, root, "dir/"), Err(MantarayError::NotFound));
    assert_eq!(look_up(&store, root, "dir"), Err(MantarayError::NotFound));
    assert_eq!(look_up(&store, root, "").unwrap(), Entry::default());
}

/// Every node points twice at the same next one: 2^40 paths from 41 nodes.
#[test]
fn a_directory_with_more_paths_than_nodes_is_stopped() {
    let mut store = Store::default();
    let mut next = store.add_file(&raw_node(32, &[1; 32], &[]));
    for _ in 0..40 {
        let forks = [b'a', b'b'].map(|byte| (byte, raw_fork(kind::EDGE, &[byte], next.address)));
        next = store.add_file(&raw_node(32, &[0; 32], &forks));
    }
    let config = ListingConfig {
        nodes_max: 1000,
        in_flight_max: 8,
    };
    let mut listing = Listing::new(next, config);
    let error = drive(&mut listing, &store, Answers::Shuffled(5), |listing| {
        while listing.poll_listed().is_some() {}
    })
    .unwrap_err();
    assert_eq!(error, MantarayError::TooManyNodes { max: 1000 });
}
