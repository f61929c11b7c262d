use super::*;
use crate::pe;
use chunkset::TarReader;
use std::fs;

/// Content of bee's vectors (`crates/content/testdata/README.md`).
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        bytes.extend_from_slice(&x.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn hash(path: &Path, options: &Options) -> Result<Published, PublishError> {
    super::hash(path, options, &mut |_, _| {})
}

fn publish(path: &Path, options: &Options, output: &Path) -> Result<Published, PublishError> {
    let to = Archive {
        output,
        announce: None,
    };
    super::publish(path, options, &to, &mut |_, _| {})
}

fn release_options() -> Options {
    Options {
        release: Some(ReleaseOptions {
            kernel: "vmlinuz".into(),
            initramfs: vec!["boot/initramfs.img".into()],
            cmdline: "console=ttyS0".into(),
            name: "example".into(),
            version: "1".into(),
            sequence: 7,
            update: None,
            architecture: None,
        }),
        ..Options::default()
    }
}

fn release_directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut kernel = pe::sample(0x8664, 10);
    kernel.extend(pattern(70_000, 1));
    fs::write(dir.path().join("vmlinuz"), kernel).unwrap();
    fs::create_dir(dir.path().join("boot")).unwrap();
    fs::write(dir.path().join("boot/initramfs.img"), pattern(40_003, 2)).unwrap();
    dir
}

#[test]
fn files_have_bees_references() {
    let vectors = include_str!("../../../../crates/content/testdata/vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let mut cases = 0;
    for case in vectors["bytes"].as_array().unwrap() {
        let length = usize::try_from(case["length"].as_u64().unwrap()).unwrap();
        if case["redundancy_level"] != 0 || length > 2_000_000 {
            continue;
        }
        fs::write(&path, pattern(length, case["seed"].as_u64().unwrap())).unwrap();
        let published = hash(&path, &Options::default()).unwrap();
        assert_eq!(published.reference.to_hex(), case["reference"], "{length}");
        assert_eq!(published.bytes, length as u64);
        cases += 1;
    }
    assert!(cases >= 20, "only {cases} cases");
}

/// `POST /bzz` of a tar with these files and headers gave this reference on bee 2.8.1.
#[test]
fn a_directory_has_bees_reference() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    for (path, content) in [
        ("index.html", "<h1>boot"),
        ("404.html", "none"),
        ("a/index.html", "A"),
    ] {
        fs::write(dir.path().join(path), content).unwrap();
    }
    let options = Options {
        index_document: Some("index.html".into()),
        error_document: Some("404.html".into()),
        release: None,
        ..Options::default()
    };
    let published = hash(dir.path(), &options).unwrap();
    assert_eq!(
        published.reference.to_hex(),
        "0bb26f57199beb52b5ce4e6da538a6aa8b80f205cc3c1084809acca15a347922"
    );
    assert_eq!(published.files.len(), 3);
}

#[test]
fn the_chunk_set_holds_every_chunk_under_the_root_and_hash_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    fs::create_dir(&input).unwrap();
    fs::write(input.join("a"), pattern(600_000, 3)).unwrap();
    fs::write(input.join("b"), b"").unwrap();
    let output = dir.path().join("chunks.tar");
    let published = publish(&input, &Options::default(), &output).unwrap();
    assert_eq!(published, hash(&input, &Options::default()).unwrap());
    let entries: Vec<_> = TarReader::new(fs::File::open(&output).unwrap())
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(entries.len() as u64, published.chunks);
    let root = published.reference.address;
    assert!(entries.iter().all(|e| e.root == root));
    assert!(entries.iter().any(|e| e.chunk.address() == root));
    // 600,000 bytes are 147 leaves, 2 nodes, 1 root; the empty file is one chunk; the directory is not empty.
    assert!(published.chunks > 151, "{}", published.chunks);
}

#[test]
fn equal_chunks_close_to_each_other_are_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("zeros");
    fs::write(&input, vec![0; 4096 * 1000]).unwrap();
    let published = publish(&input, &Options::default(), &dir.path().join("c.tar")).unwrap();
    // One leaf, one full node, one partial node, the root.
    assert_eq!(published.chunks, 4);
}

#[test]
fn a_generated_manifest_names_what_lies_beside_it() {
    let dir = release_directory();
    let published = hash(dir.path(), &release_options()).unwrap();
    let manifest = published.manifest.unwrap();
    let file = |path: &str| published.files.iter().find(|f| f.path == path).unwrap();
    assert_eq!(manifest.kernel.reference, file("vmlinuz").reference);
    assert_eq!(manifest.initramfs[0].size, 40_003);
    assert_eq!((manifest.name.as_str(), manifest.sequence), ("example", 7));
    // Written to a file, it is the same release.
    fs::write(dir.path().join(MANIFEST_PATH), manifest.to_json()).unwrap();
    let again = hash(dir.path(), &Options::default()).unwrap();
    assert_eq!(again.reference, published.reference);
    assert_eq!(again.manifest, Some(manifest));
}

#[test]
fn a_manifest_that_does_not_fit_its_files_is_not_published() {
    let dir = release_directory();
    let manifest = hash(dir.path(), &release_options())
        .unwrap()
        .manifest
        .unwrap();
    let path = dir.path().join(MANIFEST_PATH);
    let output = dir.path().with_extension("tar");
    let refused = |manifest: &HostConfiguration| {
        fs::write(&path, manifest.to_json()).unwrap();
        let error = publish(dir.path(), &Options::default(), &output).unwrap_err();
        assert!(!output.exists());
        error.to_string()
    };
    let mut wrong = manifest.clone();
    wrong.kernel.reference.address.0[0] ^= 1;
    assert!(refused(&wrong).contains("kernel: no file in the directory has the reference"));
    let mut wrong = manifest.clone();
    wrong.initramfs[0].size += 1;
    let message = refused(&wrong);
    let expected =
        "initramfs[0]: size is 40004, but boot/initramfs.img with that reference has 40003 bytes";
    assert!(message.contains(expected), "{message}");
    fs::write(&path, "{}").unwrap();
    let error = hash(dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(error, PublishError::Manifest(_)), "{error}");
}

#[test]
fn what_no_loader_could_boot_is_not_made_a_release() {
    let dir = release_directory();
    let change = |change: fn(&mut ReleaseOptions)| {
        let mut options = release_options();
        change(options.release.as_mut().unwrap());
        hash(dir.path(), &options).unwrap_err()
    };
    assert!(matches!(
        change(|r| r.kernel = "boot/initramfs.img".into()),
        PublishError::Kernel { .. }
    ));
    assert!(matches!(
        change(|r| r.initramfs = vec!["missing".into()]),
        PublishError::NoSuchFile(name) if name == "missing"
    ));
    assert!(matches!(
        change(|r| r.cmdline = "x".repeat(5000)),
        PublishError::Manifest(_)
    ));
    fs::write(dir.path().join(MANIFEST_PATH), "{}").unwrap();
    assert!(matches!(change(|_| {}), PublishError::ManifestExists));
}

#[test]
fn directory_options_need_a_directory() {
    let dir = release_directory();
    let file = dir.path().join("vmlinuz");
    let error = hash(&file, &release_options()).unwrap_err();
    assert!(matches!(error, PublishError::NotADirectory { .. }));
    let options = Options {
        index_document: Some("a/b".into()),
        ..Options::default()
    };
    let error = hash(dir.path(), &options).unwrap_err();
    assert!(matches!(error, PublishError::IndexDocument(_)));
}

#[test]
fn a_full_disk_is_an_error_that_names_the_output() {
    let dir = release_directory();
    let error = publish(dir.path(), &Options::default(), Path::new("/dev/full")).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("/dev/full: "), "{message}");
    assert!(message.contains("No space left"), "{message}");
}
