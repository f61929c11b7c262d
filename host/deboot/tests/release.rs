//! `deboot publish` of encrypted and redundant content, of release descriptions, and with feeds.
mod common;

use bmt::{ChunkAddress, VerifiedChunk};
use common::fake_bee::{FakeBee, Fault};
use common::{expect, pattern, release_directory};
use content::tree::Place;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const BATCH: &str = "1111111111111111111111111111111111111111111111111111111111111111";

fn json(directory: &Path, arguments: &[&str]) -> Value {
    let (stdout, _) = expect(directory, 0, arguments);
    serde_json::from_str(&stdout).unwrap()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn release() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    release_directory(dir.path());
    let description = r#"schema = "deboot/release/1"
name = "example"
version = "1.2"
sequence = 3
kernel = "release/vmlinuz"
initramfs = ["release/initramfs.img"]
cmdline = "console=ttyS0"

[[file]]
source = "release/docs/index.html"
path = "docs/index.html"
"#;
    fs::write(dir.path().join("release.toml"), description).unwrap();
    dir
}

#[test]
fn a_description_gives_the_same_release_as_the_directory_with_options() {
    let dir = release();
    let described = json(
        dir.path(),
        &words("publish release.toml --output a.tar --json"),
    );
    let options = "publish release --output b.tar --json --kernel vmlinuz --initramfs initramfs.img \
         --cmdline console=ttyS0 --name example --version 1.2 --sequence 3";
    let given = json(dir.path(), &words(options));
    assert_eq!(described["reference"], given["reference"]);
    assert_eq!(described["release"]["sequence"], 3);
    let reference = described["reference"].as_str().unwrap();
    let target = format!("{reference}/host-configuration-manifest.json");
    expect(
        dir.path(),
        0,
        &["fetch", &target, "--chunks", "a.tar", "-o", "m.json"],
    );
    expect(dir.path(), 0, &["check", "m.json"]);
    // Options beside a description would contradict it; as a file it is published like any other.
    expect(
        dir.path(),
        2,
        &words("publish release.toml --output c.tar --index-document x"),
    );
    let plain = json(
        dir.path(),
        &words("publish release.toml --plain --output c.tar --json"),
    );
    let (hash, _) = expect(dir.path(), 0, &["hash", "release.toml"]);
    assert_eq!(plain["reference"], hash.trim());
}

#[test]
fn a_mistake_in_a_description_is_named_with_its_line() {
    let dir = release();
    let text = fs::read_to_string(dir.path().join("release.toml")).unwrap();
    fs::write(
        dir.path().join("release.toml"),
        text.replace("kernel =", "kernal ="),
    )
    .unwrap();
    let (_, stderr) = expect(dir.path(), 1, &words("publish release.toml --output a.tar"));
    assert!(
        stderr.contains("release.toml:5:1: unknown key \"kernal\""),
        "{stderr}"
    );
    assert!(!dir.path().join("a.tar").exists());
    // The kernel says what it is for.
    let wrong = text.replace("sequence = 3", "sequence = 3\narchitecture = \"aarch64\"");
    fs::write(dir.path().join("release.toml"), wrong).unwrap();
    let (_, stderr) = expect(dir.path(), 1, &words("publish release.toml --output a.tar"));
    assert!(
        stderr.contains("is for x86_64, the release for aarch64"),
        "{stderr}"
    );
}

#[test]
fn encrypted_content_has_the_same_reference_again_here_and_another_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), pattern(600_000, 5)).unwrap();
    let publish = |state: &str, extra: &str| {
        let line =
            format!("publish file --encrypt --state {state} --output {state}.tar --json {extra}");
        let value = json(dir.path(), &words(&line));
        value["reference"].as_str().unwrap().to_owned()
    };
    let first = publish("a", "");
    assert_eq!(first.len(), 128);
    assert_eq!(first, publish("a", ""));
    assert_ne!(first, publish("b", ""));
    assert_ne!(first, publish("a", "--redundancy-level 1"));
    // Nothing of the content is in the set.
    let tar = fs::read(dir.path().join("a.tar")).unwrap();
    let piece = &pattern(600_000, 5)[100..132];
    assert!(!tar.windows(32).any(|window| window == piece));
}

#[test]
fn levels_change_the_reference_and_hash_agrees_with_publish() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), pattern(600_000, 5)).unwrap();
    let mut seen = Vec::new();
    for level in ["0", "1", "2", "3", "4"] {
        let line = format!("publish file --redundancy-level {level} --output a.tar --json");
        let published = json(dir.path(), &words(&line));
        let line = format!("hash file --redundancy-level {level} --json");
        let hashed = json(dir.path(), &words(&line));
        assert_eq!(
            (&published["reference"], &published["chunks"]),
            (&hashed["reference"], &hashed["chunks"])
        );
        let set = fs::read(dir.path().join("a.tar")).unwrap();
        assert!(!seen.contains(&published["reference"]));
        seen.push(published["reference"].clone());
        assert!(set.len() > 600_000);
    }
    expect(dir.path(), 2, &words("hash file --redundancy-level 5"));
}

#[test]
fn a_release_is_published_and_announced_in_one_command() {
    let dir = release();
    let node = FakeBee::start(Fault::None);
    let (owner, _) = expect(dir.path(), 0, &words("feed key key --new"));
    let owner = owner.trim();
    let line = format!(
        "publish release.toml --bee-url {} --batch {BATCH} --state s --key key --feed-topic releases --redundancy-level 1 --json",
        node.url()
    );
    let first = json(dir.path(), &words(&line));
    assert_eq!(
        (&first["feed"]["index"], &first["feed"]["owner"]),
        (&0.into(), &owner.into())
    );
    // The replicas of the roots, and at last the update, went as single-owner chunks.
    let sent = node.single_owner_chunks();
    let last = sent.last().unwrap();
    assert!(last.starts_with(&format!("/soc/{owner}/")), "{last}");
    let update = first["feed"]["address"].as_str().unwrap();
    assert!(node.holds(update) && node.holds(first["feed"]["manifest"].as_str().unwrap()));
    assert!(sent.len() > 2);
    // Again: the same update. Another release: the next one.
    let again = json(dir.path(), &words(&line));
    assert_eq!(first["feed"], again["feed"]);
    let text = fs::read_to_string(dir.path().join("release.toml")).unwrap();
    fs::write(
        dir.path().join("release.toml"),
        text.replace("sequence = 3", "sequence = 4"),
    )
    .unwrap();
    let second = json(dir.path(), &words(&line));
    assert_eq!(second["feed"]["index"], 1);
    assert_eq!(second["feed"]["manifest"], first["feed"]["manifest"]);
    assert!(second["bee"]["stored_before"].as_u64() > second["bee"]["uploaded"].as_u64());
}

#[test]
fn a_node_that_cannot_look_a_feed_up_makes_no_index_be_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let node = FakeBee::start(Fault::FeedLookUpFails);
    expect(dir.path(), 0, &words("feed key key --new"));
    let update = |digit: &str, extra: &str, status: i32| {
        let reference = digit.repeat(64);
        let line = format!(
            "feed update t {reference} --key key --state s --bee-url {} --batch {BATCH} --json {extra}",
            node.url()
        );
        expect(dir.path(), status, &words(&line))
    };
    let (_, stderr) = update("1", "", 3);
    assert!(
        stderr.contains("it is not known which updates") && stderr.contains("index 0"),
        "{stderr}"
    );
    assert_eq!(node.uploads(), 0);
    update("1", "--index 0", 0);
    // From then on it is remembered.
    let (stdout, _) = update("2", "", 0);
    let value: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(value["index"], 1);
}

#[test]
fn an_update_whose_content_is_missing_is_never_written_as_if_it_were_the_content() {
    let dir = tempfile::tempdir().unwrap();
    let (owner, _) = expect(dir.path(), 0, &words("feed key key --new"));
    let owner = owner.trim();
    for (digits, topic) in [("ab".repeat(32), "plain"), ("ab".repeat(64), "encrypted")] {
        let line = format!(
            "feed update {topic} {digits} --key key --index 0 --output {topic}.tar --state s"
        );
        let (_, stderr) = expect(dir.path(), 0, &words(&line));
        assert_eq!(stderr.contains("gets the key"), topic == "encrypted");
        for path in ["", "/vmlinuz"] {
            let line = format!("fetch feed:{owner}/{topic}{path} --chunks {topic}.tar -o out");
            let (_, stderr) = expect(dir.path(), 3, &words(&line));
            assert!(stderr.contains(&"ab".repeat(32)), "{stderr}");
            assert!(!dir.path().join("out").exists());
        }
    }
}

#[test]
fn feeds_are_updated_and_looked_up_in_a_chunk_set() {
    let dir = tempfile::tempdir().unwrap();
    let (owner, _) = expect(dir.path(), 0, &words("feed key key --new"));
    let owner = owner.trim();
    assert_eq!(
        expect(dir.path(), 0, &words("feed key key")).0.trim(),
        owner
    );
    for (i, digit) in ["1", "2", "3"].iter().enumerate() {
        let reference = digit.repeat(64);
        let mut index = "";
        if i == 0 {
            // With neither memory nor node nothing is guessed.
            let line = format!("feed update news {reference} --key key --output 0.tar --state s");
            let (_, stderr) = expect(dir.path(), 2, &words(&line));
            assert!(stderr.contains("--index"), "{stderr}");
            assert!(!dir.path().join("0.tar").exists());
            index = "--index 0";
        }
        let line = format!(
            "feed update news {reference} --key key --output {i}.tar --state s --json {index}"
        );
        assert_eq!(json(dir.path(), &words(&line))["index"], i);
    }
    let feed = format!("{owner}/news");
    let line = format!("feed show {feed} --chunks 0.tar --chunks 1.tar --chunks 2.tar --json");
    let shown = json(dir.path(), &words(&line));
    assert_eq!(
        (&shown["index"], &shown["reference"]),
        (&2.into(), &"3".repeat(64).into())
    );
    assert_eq!(shown["certain"], true);
    assert!(shown["age_seconds"].as_u64().unwrap() < 3600);
    // What was seen before is not forgotten; a feed without updates is not found; nor is another owner's to be updated.
    let line = format!("feed show {feed} --chunks 0.tar --at-least 1");
    let (_, stderr) = expect(dir.path(), 6, &words(&line));
    assert!(stderr.contains("index 1 was seen before"), "{stderr}");
    let (_, stderr) = expect(
        dir.path(),
        3,
        &words(&format!("feed show {owner}/other --chunks 0.tar")),
    );
    assert!(stderr.contains("has no update"), "{stderr}");
    let reference = "4".repeat(64);
    let foreign = format!("{}/news", "ab".repeat(20));
    let line = format!("feed update {foreign} {reference} --key key --output x.tar --state s");
    let (_, stderr) = expect(dir.path(), 1, &words(&line));
    assert!(stderr.contains("another owner"), "{stderr}");
    let line = format!("feed update news {reference} --key key --index 1 --output x.tar --state s");
    let (_, stderr) = expect(dir.path(), 1, &words(&line));
    assert!(stderr.contains("index 1 of"), "{stderr}");
}

#[test]
fn what_is_new_against_the_release_before_is_counted() {
    let dir = release();
    expect(dir.path(), 0, &words("publish release.toml --output a.tar"));
    let same = json(
        dir.path(),
        &words("publish release.toml --output b.tar --previous a.tar --json"),
    );
    assert_eq!(same["previous"]["new"], 0);
    assert_eq!(same["previous"]["known"], same["chunks"]);
    let path = dir.path().join("release/initramfs.img");
    let mut bytes = fs::read(&path).unwrap();
    bytes[600_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_, stderr) = expect(
        dir.path(),
        0,
        &words("publish release.toml --output c.tar --previous a.tar"),
    );
    assert!(
        stderr.contains("chunks (") && stderr.contains("are new against"),
        "{stderr}"
    );
    let changed = json(
        dir.path(),
        &words("publish release.toml --output c.tar --previous a.tar --json"),
    );
    // The page, its parent, the root of the file; the manifest; nodes of the directory.
    let new = changed["previous"]["new"].as_u64().unwrap();
    assert!((5..=12).contains(&new), "{new}");
}

/// What `--previous` says, without what differs between a set and a reference.
fn counts(said: &Value) -> [u64; 3] {
    let previous = &said["previous"];
    ["new", "new_bytes", "known"].map(|key| previous[key].as_u64().unwrap())
}

#[test]
fn a_reference_or_feed_tells_what_is_new_as_well_as_the_whole_set() {
    for extra in [
        "",
        "--redundancy-level 1",
        "--redundancy-level 3",
        "--encrypt",
        "--encrypt --redundancy-level 2",
    ] {
        let dir = release();
        let publish = |output: &str, more: &str| {
            let line =
                format!("publish release.toml --output {output} --state s --json {extra} {more}");
            json(dir.path(), &words(&line))
        };
        expect(dir.path(), 0, &words("feed key key --new"));
        let first = publish("a.tar", "--key key --feed-topic t --feed-index 0");
        let reference = first["reference"].as_str().unwrap();
        let feed = format!("feed:{}/t", first["feed"]["owner"].as_str().unwrap());
        let manifest = first["feed"]["manifest"].as_str().unwrap();
        change(dir.path());
        let by_set = publish("b.tar", "--previous a.tar");
        assert!(counts(&by_set)[0] > 0 && counts(&by_set)[2] > 0, "{by_set}");
        assert_eq!(by_set["previous"]["chunks_read"], 0);
        for name in [reference, &feed, manifest] {
            let by_name = publish("c.tar", &format!("--previous {name} --chunks a.tar"));
            assert_eq!(counts(&by_name), counts(&by_set), "{extra}, {name}");
            assert_eq!(by_name["previous"]["references"][0], reference);
            // The files alone have 368 leaves.
            let read = by_name["previous"]["chunks_read"].as_u64().unwrap();
            assert!(read < 60, "{extra}, {name}: {read} chunks read");
        }
    }
}

/// Changes one byte of the release.
fn change(directory: &Path) {
    let path = directory.join("release/initramfs.img");
    let mut bytes = fs::read(&path).unwrap();
    bytes[600_000] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn of_a_release_before_only_chunks_that_name_others_are_read() {
    let dir = release();
    let line = "publish release.toml --redundancy-level 1 --json --output";
    let publish = |more: &str| json(dir.path(), &words(&format!("{line} {more}")));
    let first = publish("a.tar");
    let reference = first["reference"].as_str().unwrap();
    change(dir.path());
    let by_set = publish("b.tar --previous a.tar");
    let (whole, few) = (dir.path().join("a.tar"), dir.path().join("few.tar"));
    let files = first["files"].as_array().unwrap().iter();
    let roots = files.map(|file| Place::root(file["reference"].as_str().unwrap().parse().unwrap()));
    let inner = intermediate(&whole, roots.collect());
    // The roots of kernel and initramfs, and the initramfs' groups of 119, 119 and 55 leaves.
    assert_eq!(inner.len(), 5);
    // Full leaves, parities and replicas are not looked at.
    let gone = without(&whole, &few, |_, chunk| {
        chunk.payload().len() == 4096 && !inner.contains(&chunk.address())
    });
    assert!(gone > 360, "{gone}");
    let by_name = publish(&format!("c.tar --previous {reference} --chunks few.tar"));
    assert_eq!(counts(&by_name), counts(&by_set));
    // One of them missing: nothing is guessed, and nothing published.
    for lost in inner {
        let fewer = dir.path().join("fewer.tar");
        let count = without(&few, &fewer, |_, chunk| chunk.address() == lost);
        assert_eq!(count, 1);
        let line = format!("{line} d.tar --previous {reference} --chunks fewer.tar");
        let (_, stderr) = expect(dir.path(), 3, &words(&line));
        let message = format!("chunk {lost} is not available");
        assert!(stderr.contains(&message), "{stderr}");
        assert!(!dir.path().join("d.tar").exists());
    }
}
/// Finds the chunks of file trees that have others below them.
fn intermediate(set: &Path, mut places: Vec<Place>) -> Vec<ChunkAddress> {
    let chunks = chunkset::TarReader::new(fs::File::open(set).unwrap());
    let chunks: BTreeMap<_, _> = chunks
        .map(|entry| entry.unwrap().chunk)
        .map(|chunk| (chunk.address(), chunk))
        .collect();
    let mut found = Vec::new();
    while let Some(place) = places.pop() {
        let address = place.reference().address;
        let opened = content::tree::open(&place, &chunks[&address]).unwrap();
        if !opened.children.is_empty() {
            found.push(address);
            places.extend(opened.children);
        }
    }
    found
}

#[test]
fn a_file_may_be_the_release_before_and_what_names_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // Larger than any directory node, smaller, and of one chunk.
    for length in [1_500_000, 300_000, 100] {
        let mut bytes = pattern(length, 3);
        fs::write(dir.path().join("file"), &bytes).unwrap();
        let line = "publish file --json --output";
        let first = json(dir.path(), &words(&format!("{line} a.tar")));
        let reference = first["reference"].as_str().unwrap();
        let line = format!("{line} b.tar --previous bzz://{reference}/ --chunks a.tar");
        let same = json(dir.path(), &words(&line));
        let all = first["chunks"].as_u64().unwrap();
        assert_eq!(counts(&same), [0, 0, all]);
        bytes[0] ^= 1;
        fs::write(dir.path().join("file"), &bytes).unwrap();
        let changed = json(dir.path(), &words(&line));
        // A leaf, its parent if it has one, and the root if that is another.
        let new = match length {
            1_500_000 => 3,
            300_000 => 2,
            _ => 1,
        };
        assert_eq!(counts(&changed)[0], new);
        assert_eq!(counts(&changed)[2], all - new);
    }
    let reference = "4".repeat(64);
    let path = format!("--previous {reference}/a/b --chunks a.tar");
    for (previous, message) in [
        ("--chunks a.tar", "there is none"),
        (
            "--previous a.tar --peer /ip4/127.0.0.1/tcp/1",
            "there is none",
        ),
        (path.as_str(), "no path"),
        (
            "--previous feed:zz/t --chunks a.tar",
            "40 hexadecimal digits",
        ),
    ] {
        let line = format!("publish file --output c.tar {previous}");
        let (_, stderr) = expect(dir.path(), 2, &words(&line));
        assert!(stderr.contains(message), "{previous}: {stderr}");
        assert!(!dir.path().join("c.tar").exists());
    }
}

/// Deletes entries of a chunk set.
fn without(set: &Path, output: &Path, gone: impl Fn(usize, &VerifiedChunk) -> bool) -> usize {
    let mut writer = chunkset::TarWriter::new(fs::File::create(output).unwrap());
    let mut count = 0;
    let reader = chunkset::TarReader::new(fs::File::open(set).unwrap());
    for (i, entry) in reader.enumerate() {
        let entry = entry.unwrap();
        if gone(i, &entry.chunk) {
            count += 1;
        } else {
            writer.append(entry.root, &entry.chunk).unwrap();
        }
    }
    writer.finish().unwrap();
    count
}

#[test]
fn what_is_published_is_fetched_encrypted_redundant_by_feed_and_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    fs::create_dir(&site).unwrap();
    let bytes = pattern(900_000, 6);
    fs::write(site.join("file"), &bytes).unwrap();
    expect(dir.path(), 0, &words("feed key key --new"));
    for options in [
        "--feed-index 0",
        "--encrypt",
        "--redundancy-level 2",
        "--encrypt --redundancy-level 1",
    ] {
        let line = format!(
            "publish site --state s --output set.tar --key key --feed-topic t --json {options}"
        );
        let done = json(dir.path(), &words(&line));
        let (owner, manifest) = (&done["feed"]["owner"], &done["feed"]["manifest"]);
        let (owner, manifest) = (owner.as_str().unwrap(), manifest.as_str().unwrap());
        let reference = done["reference"].as_str().unwrap();
        let feed = format!("feed:{owner}/t");
        for target in [reference, &feed, manifest] {
            let line = format!("fetch {target}/file --chunks set.tar -o out --json");
            // Each round announces in the same feed, but a set has its own update only.
            let fetched = json(dir.path(), &words(&line));
            assert_eq!(fetched["bytes"], 900_000);
            assert!(
                fs::read(dir.path().join("out")).unwrap() == bytes,
                "{options} {target}"
            );
            let listed = json(
                dir.path(),
                &words(&format!("ls {target} --chunks set.tar --json")),
            );
            assert_eq!(listed["files"][0]["path"], "file", "{options} {target}");
        }
        let line =
            format!("fetch {reference}/file --range 5000-14999 --chunks set.tar -o out --json");
        let part = json(dir.path(), &words(&line));
        assert_eq!(
            (&part["bytes"], &part["size"]),
            (&10_000.into(), &900_000.into())
        );
        assert!(
            fs::read(dir.path().join("out")).unwrap() == bytes[5000..15_000],
            "{options}"
        );
        let line = format!("fetch {reference}/file --range 899999- --chunks set.tar -o out");
        expect(dir.path(), 0, &words(&line));
        assert_eq!(fs::read(dir.path().join("out")).unwrap(), bytes[899_999..]);
        let line = format!("fetch {reference}/file --range 900000- --chunks set.tar -o out");
        let (_, stderr) = expect(dir.path(), 3, &words(&line));
        assert!(stderr.contains("900000 bytes"), "{stderr}");
    }
}

#[test]
fn lost_chunks_are_computed_and_too_many_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = pattern(900_000, 7);
    fs::write(dir.path().join("file"), &bytes).unwrap();
    let done = json(
        dir.path(),
        &words("publish file --redundancy-level 1 --output set.tar --json"),
    );
    let reference = done["reference"].as_str().unwrap();
    let (set, some) = (dir.path().join("set.tar"), dir.path().join("some.tar"));
    // One in twenty, the root among them: replicas stand for it.
    let gone = without(&set, &some, |i, chunk| {
        i % 20 == 7 || chunk.address().to_string() == reference
    });
    assert!(gone >= 11, "{gone}");
    let line = format!("fetch {reference} --chunks some.tar -o out --json");
    let fetched = json(dir.path(), &words(&line));
    assert!(fs::read(dir.path().join("out")).unwrap() == bytes);
    assert!(
        fetched["recovered_chunks"].as_u64().unwrap() > 0,
        "{fetched}"
    );
    let line = format!("fetch {reference} --chunks some.tar -o out --strategy data");
    let (_, stderr) = expect(dir.path(), 3, &words(&line));
    assert!(stderr.contains("is not in the chunk set"), "{stderr}");
    without(&set, &some, |i, _| i < 20);
    let line = format!("fetch {reference} --chunks some.tar -o out");
    let (_, stderr) = expect(dir.path(), 3, &words(&line));
    assert!(
        stderr.contains("chunk ") && stderr.contains("is not in the chunk set"),
        "{stderr}"
    );
}
