use super::*;
use crate::manifest::Artifact;
use crate::manifest::MANIFEST_PATH;
use content::mantaray::Builder;
use content::split;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::string::{String, ToString};
use std::vec;

#[derive(Default, Clone)]
struct Store {
    chunks: BTreeMap<ChunkAddress, VerifiedChunk>,
}

impl Store {
    fn add_file(&mut self, bytes: &[u8]) -> Reference {
        split(bytes, &mut |chunk| {
            self.chunks.insert(chunk.address(), chunk);
        })
    }

    fn add_directory(&mut self, files: &[(&str, Reference)]) -> Reference {
        let mut builder = Builder::new();
        for (path, reference) in files {
            builder.add(path, *reference, BTreeMap::new());
        }
        let sink = &mut |chunk: VerifiedChunk| {
            self.chunks.insert(chunk.address(), chunk);
        };
        builder.finish(sink).unwrap()
    }
}

/// What is not a chunk of any other: bytes of a generator.
fn bytes(len: usize, seed: u32) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9) | 1;
    let step = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (x >> 24) as u8
    };
    (0..len).map(step).collect()
}

/// A PE image as far as firmware's loader looks: header at `pe_at`.
fn kernel(len: usize, pe_at: usize, machine: u16, subsystem: u16) -> Vec<u8> {
    let mut image = bytes(len, 42);
    image[..2].copy_from_slice(b"MZ");
    image[0x3c..0x40].copy_from_slice(&(pe_at as u32).to_le_bytes());
    image[pe_at..pe_at + 4].copy_from_slice(b"PE\0\0");
    image[pe_at + 4..pe_at + 6].copy_from_slice(&machine.to_le_bytes());
    image[pe_at + 24..pe_at + 26].copy_from_slice(&0x20bu16.to_le_bytes());
    image[pe_at + 92..pe_at + 94].copy_from_slice(&subsystem.to_le_bytes());
    image
}

fn good_kernel() -> Vec<u8> {
    kernel(300_000, 0x40, 0x8664, 10)
}

fn limits() -> BootLimits {
    BootLimits {
        architecture: Architecture::X86_64,
        kernel_bytes_max: 1 << 20,
        initramfs_bytes_max: 1 << 21,
        in_flight_max: 16,
        feeds: FeedMemory::default(),
        patience: Patience::Refused,
    }
}

/// A release in a store, and how to change it before it is written.
struct Release {
    store: Store,
    kernel: Vec<u8>,
    archives: Vec<Vec<u8>>,
    manifest: HostConfiguration,
}

impl Release {
    fn new(kernel: Vec<u8>, archives: Vec<Vec<u8>>) -> Self {
        let mut store = Store::default();
        let mut artifact = |bytes: &[u8]| Artifact {
            reference: store.add_file(bytes),
            size: bytes.len() as u64,
        };
        let manifest = HostConfiguration {
            name: "test".to_string(),
            version: "1".to_string(),
            sequence: 1,
            architecture: Architecture::X86_64,
            kernel: artifact(&kernel),
            initramfs: archives.iter().map(|archive| artifact(archive)).collect(),
            cmdline: String::new(),
            update: None,
        };
        Self {
            store,
            kernel,
            archives,
            manifest,
        }
    }

    fn usual() -> Self {
        Self::new(good_kernel(), vec![bytes(600_001, 1), bytes(5, 2)])
    }

    fn manifest_reference(&mut self) -> Reference {
        let json = self.manifest.to_json();
        self.store.add_file(json.as_bytes())
    }

    fn directory(&mut self) -> Reference {
        let manifest = self.manifest_reference();
        let kernel = self.manifest.kernel.reference;
        self.store
            .add_directory(&[("vmlinuz", kernel), (MANIFEST_PATH, manifest)])
    }

    fn error(&mut self) -> BootError {
        let directory = self.directory();
        run(Boot::new(Target::of(directory), limits()), &self.store, 0)
            .0
            .err()
            .unwrap()
    }

    fn initrd(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for archive in &self.archives {
            all.extend_from_slice(archive);
            all.resize(all.len().next_multiple_of(4), 0);
        }
        all
    }
}

/// Runs a boot to its end. `order` 0: first asked, first answered; 1: last asked first; others: shuffled by this seed.
fn run(
    mut boot: Boot,
    store: &Store,
    order: u64,
) -> (Result<Payload, BootError>, Vec<ChunkAddress>) {
    let mut asked = Vec::new();
    let mut waiting = VecDeque::new();
    let mut outstanding = BTreeSet::new();
    let mut random = order | 1;
    let mut last = 0;
    while !boot.is_done() {
        while let Some(address) = boot.poll_want() {
            assert!(outstanding.insert(address), "asked twice while outstanding");
            asked.push(address);
            waiting.push_back(address);
        }
        assert!(waiting.len() <= boot.limits.in_flight_max);
        let next = match order {
            0 => waiting.pop_front(),
            1 => waiting.pop_back(),
            _ => {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                waiting.remove(random as usize % waiting.len().max(1))
            }
        };
        let address = next.expect("not done, and nothing is wanted: it would hang");
        outstanding.remove(&address);
        let result = match store.chunks.get(&address) {
            Some(chunk) => boot.handle_chunk(chunk.clone()),
            None => boot.handle_unavailable(address),
        };
        if let Err(error) = result {
            return (Err(error), asked);
        }
        let (received, total) = boot.progress();
        assert!(received >= last && total.is_none_or(|total| received <= total));
        last = received;
    }
    (Ok(boot.into_payload().unwrap()), asked)
}

#[test]
fn a_release_is_fetched_in_any_order_of_answers() {
    let mut release = Release::usual();
    let directory = release.directory();
    for order in 0..20 {
        for in_flight_max in [0, 1, 2, 16, 1000] {
            let limits = BootLimits {
                in_flight_max: in_flight_max.max(1),
                ..limits()
            };
            let (result, _) = run(
                Boot::new(Target::of(directory), limits),
                &release.store,
                order,
            );
            let payload = result.unwrap();
            assert!(payload.kernel == release.kernel);
            assert!(payload.initrd == release.initrd());
            assert_eq!(payload.manifest, release.manifest);
        }
    }
}

#[test]
fn phases_and_progress_follow_the_boot() {
    let mut release = Release::usual();
    let directory = release.directory();
    let mut boot = Boot::new(Target::of(directory), limits());
    let mut phases = vec![boot.phase()];
    assert_eq!(boot.progress(), (0, None));
    while !boot.is_done() {
        let address = boot.poll_want().unwrap();
        boot.handle_chunk(release.store.chunks[&address].clone())
            .unwrap();
        if phases.last() != Some(&boot.phase()) {
            phases.push(boot.phase());
        }
        assert_eq!(boot.manifest().is_some(), boot.progress().1.is_some());
    }
    use BootPhase as P;
    assert_eq!(phases, [P::Directory, P::Manifest, P::Artifacts, P::Done]);
    let total = 300_000 + 600_001 + 5;
    assert_eq!(boot.progress(), (total, Some(total)));
}

#[test]
fn a_manifest_can_be_booted_by_its_own_reference() {
    let mut release = Release::usual();
    let reference = release.manifest_reference();
    let (result, asked) = run(
        Boot::new(Target::of(reference), limits()),
        &release.store,
        0,
    );
    assert!(result.unwrap().kernel == release.kernel);
    let manifest_chunks = asked.iter().filter(|asked| **asked == reference.address);
    assert_eq!(
        manifest_chunks.count(),
        1,
        "the manifest is not fetched twice"
    );
}

#[test]
fn the_kernel_comes_before_the_initramfs() {
    let mut release = Release::usual();
    let directory = release.directory();
    let (_, asked) = run(
        Boot::new(Target::of(directory), limits()),
        &release.store,
        0,
    );
    let leaf = |file: &[u8], index: usize| {
        let part = &file[index * 4096..(index + 1) * 4096];
        VerifiedChunk::content(4096u64.to_le_bytes(), part)
            .unwrap()
            .address()
    };
    let asked_at = |address| asked.iter().position(|asked| *asked == address).unwrap();
    let kernel_last = asked_at(leaf(&release.kernel, 72));
    assert!(asked_at(leaf(&release.kernel, 0)) < kernel_last);
    assert!(kernel_last < asked_at(leaf(&release.archives[0], 0)));
    // The sizes of all files are known before the first byte of any is stored.
    let roots = release
        .manifest
        .initramfs
        .iter()
        .map(|archive| archive.reference.address);
    for root in roots {
        assert!(asked_at(root) < asked_at(leaf(&release.kernel, 0)));
    }
}

#[test]
fn odd_releases_are_fetched_too() {
    let same = bytes(9000, 5);
    for archives in [
        vec![],
        vec![bytes(1, 1)],
        vec![same.clone(), same.clone(), same],
        vec![vec![0; 400_000]],
        vec![good_kernel()],
    ] {
        // A kernel of one chunk, and one whose header lies behind its first chunk.
        for image in [
            kernel(4096, 0x80, 0x8664, 10),
            kernel(20_000, 9000, 0x8664, 10),
        ] {
            let mut release = Release::new(image, archives.clone());
            let directory = release.directory();
            for order in 0..4 {
                let (result, _) = run(
                    Boot::new(Target::of(directory), limits()),
                    &release.store,
                    order,
                );
                let payload = result.unwrap();
                assert!(payload.kernel == release.kernel);
                assert!(payload.initrd == release.initrd());
            }
        }
    }
}

#[test]
fn any_missing_chunk_ends_the_boot_with_its_name() {
    let mut release = Release::new(kernel(30_000, 0x40, 0x8664, 10), vec![bytes(20_000, 1)]);
    let directory = release.directory();
    // `vmlinuz` in the directory is not read; everything else is.
    let (_, asked) = run(
        Boot::new(Target::of(directory), limits()),
        &release.store,
        0,
    );
    let mut parts = BTreeSet::new();
    for missing in asked {
        let mut store = release.store.clone();
        store.chunks.remove(&missing);
        for order in 0..3 {
            let error = run(Boot::new(Target::of(directory), limits()), &store, order)
                .0
                .err()
                .unwrap();
            let BootError::Unavailable { part, address } = &error else {
                panic!("{error}");
            };
            assert_eq!(*address, missing);
            assert_eq!(error.id(), "DB0302");
            parts.insert(part.to_string());
        }
    }
    let expected = [
        "initramfs 1",
        "the content of the reference",
        "the kernel",
        "the manifest",
        "the release's directory",
    ];
    assert_eq!(parts.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_reference_that_names_no_release_is_refused() {
    let mut release = Release::usual();
    let kernel = release.manifest.kernel.reference;
    let archive = release.manifest.initramfs[1].reference;
    let error_of = |store: &Store, root| {
        run(Boot::new(Target::of(root), limits()), store, 0)
            .0
            .err()
            .unwrap()
    };
    assert_eq!(
        error_of(&release.store, kernel),
        BootError::NotARelease { size: 300_000 }
    );
    assert_eq!(
        error_of(&release.store, archive),
        BootError::NotARelease { size: 5 }
    );
    let empty = release.store.add_file(b"");
    assert_eq!(
        error_of(&release.store, empty),
        BootError::NotARelease { size: 0 }
    );
    let huge = release
        .store
        .add_file(&vec![0; (NODE_BYTES_MAX + 1) as usize]);
    let error = error_of(&release.store, huge);
    assert_eq!(
        error,
        BootError::NotARelease {
            size: NODE_BYTES_MAX + 1
        }
    );
    assert_eq!(error.id(), "DB0431");
    let other = release.store.add_directory(&[("vmlinuz", kernel)]);
    let error = error_of(&release.store, other);
    let path = String::new();
    assert_eq!(error, BootError::NoManifest { path });
    assert_eq!(error.id(), "DB0430");
}

#[test]
fn bad_manifests_end_the_boot_with_the_manifests_own_error() {
    let mut release = Release::usual();
    for (json, id) in [
        (&b"garbage"[..], "DB0403"),
        (b"{}", "DB0407"),
        (&[0xff; 10], "DB0402"),
        (&[b' '; MANIFEST_BYTES_MAX + 1], "DB0401"),
    ] {
        let manifest = release.store.add_file(json);
        let directory = release.store.add_directory(&[(MANIFEST_PATH, manifest)]);
        let error = run(
            Boot::new(Target::of(directory), limits()),
            &release.store,
            0,
        )
        .0
        .err()
        .unwrap();
        assert_eq!(error.id(), id, "{error}");
    }
    // By its own reference, what begins like an object is taken for a manifest.
    let manifest = release.store.add_file(b" {\"schema\": 1}");
    let error = run(Boot::new(Target::of(manifest), limits()), &release.store, 0)
        .0
        .err()
        .unwrap();
    assert_eq!(error.id(), "DB0408");
}

#[test]
fn sizes_must_be_those_of_the_manifest_before_anything_is_allocated() {
    for (index, change) in [(0, -1i64), (0, 1), (1, -1), (1, 500_000), (2, 3)] {
        let mut release = Release::usual();
        let artifact = match index {
            0 => &mut release.manifest.kernel,
            _ => &mut release.manifest.initramfs[index - 1],
        };
        let found = artifact.size;
        artifact.size = found.checked_add_signed(change).unwrap();
        let expected = artifact.size;
        let part = match index {
            0 => Part::Kernel,
            number => Part::Initramfs(number),
        };
        let directory = release.directory();
        let (result, asked) = run(
            Boot::new(Target::of(directory), limits()),
            &release.store,
            0,
        );
        let error = result.err().unwrap();
        assert_eq!(
            error,
            BootError::Size {
                part,
                expected,
                found
            }
        );
        assert_eq!(error.id(), "DB0435");
        assert!(asked.len() < 40, "{} chunks for a refusal", asked.len());
    }
}

#[test]
fn limits_of_this_machine_are_kept() {
    let mut release = Release::usual();
    release.manifest.kernel.size = (1 << 20) + 1;
    let error = release.error();
    assert_eq!(
        error,
        BootError::KernelTooLarge {
            size: (1 << 20) + 1,
            max: 1 << 20
        }
    );
    assert_eq!(error.id(), "DB0433");
    let mut release = Release::usual();
    release.manifest.initramfs[1].size = (1 << 21) - 600_004;
    assert!(matches!(
        release.error(),
        BootError::Size {
            part: Part::Initramfs(2),
            ..
        }
    ));
    release.manifest.initramfs[1].size += 1;
    let error = release.error();
    assert_eq!(
        error,
        BootError::InitramfsTooLarge {
            size: (1 << 21) + 4,
            max: 1 << 21
        }
    );
    assert_eq!(error.id(), "DB0434");
    // Sums beyond 64 bits are no way around.
    release.manifest.initramfs = vec![release.manifest.initramfs[0].clone(); 16];
    for archive in &mut release.manifest.initramfs {
        archive.size = crate::manifest::NUMBER_MAX;
    }
    assert!(matches!(
        release.error(),
        BootError::InitramfsTooLarge { .. }
    ));
}

#[test]
fn a_release_for_other_machines_is_refused_before_it_is_fetched() {
    let mut release = Release::usual();
    release.manifest.architecture = Architecture::Aarch64;
    let error = release.error();
    assert_eq!(
        error.to_string(),
        "the release is for aarch64, this machine is x86_64"
    );
    assert_eq!(error.id(), "DB0432");
}

#[test]
fn a_kernel_that_is_none_is_refused_with_its_first_chunk() {
    for (image, id) in [
        (bytes(300_000, 3), "DB0437"),
        (kernel(300_000, 0x40, 0xaa64, 10), "DB0438"),
        (kernel(300_000, 0x40, 0x014c, 10), "DB0438"),
        (kernel(300_000, 0x40, 0x8664, 3), "DB0439"),
    ] {
        let mut release = Release::new(image, vec![bytes(10, 1)]);
        let directory = release.directory();
        let (result, asked) = run(
            Boot::new(Target::of(directory), limits()),
            &release.store,
            0,
        );
        let error = result.err().unwrap();
        assert_eq!(error.id(), id, "{error}");
        assert!(asked.len() < 30, "{} chunks for a refusal", asked.len());
    }
    // The header is said to be behind the end.
    let mut image = good_kernel();
    image[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Release::new(image, vec![]).error();
    assert_eq!(error, BootError::Kernel(KernelDefect::NotPe));
    // Too short for any header.
    for len in [1, 2, 0x3f, 0x40] {
        let mut image = bytes(len, 9);
        if len >= 2 {
            image[..2].copy_from_slice(b"MZ");
        }
        let error = Release::new(image, vec![]).error();
        assert_eq!(error.id(), "DB0437", "{len} bytes");
    }
}

#[test]
fn kernel_headers_are_read_without_panic_whatever_is_cut_or_changed() {
    let image = kernel(200, 0x40, 0x8664, 10);
    assert_eq!(check_kernel(&image, Architecture::X86_64), Some(Ok(())));
    for len in 0..0x40 + 94 {
        let result = check_kernel(&image[..len], Architecture::X86_64);
        assert_eq!(result, None, "{len} bytes decide nothing");
    }
    for at in 0..image.len() {
        let mut changed = image.clone();
        changed[at] = !changed[at];
        let _ = check_kernel(&changed, Architecture::X86_64);
    }
    let wrong = check_kernel(&image, Architecture::Aarch64)
        .unwrap()
        .unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "it is a PE image for machine type 0x8664, aarch64 needs 0xaa64"
    );
}

#[test]
fn malformed_trees_name_their_file() {
    let mut release = Release::usual();
    let broken = VerifiedChunk::content(5000u64.to_le_bytes(), &[1; 32]).unwrap();
    release.manifest.initramfs[0] = Artifact {
        reference: Reference::plain(broken.address()),
        size: 5000,
    };
    release.store.chunks.insert(broken.address(), broken);
    let error = release.error();
    assert!(matches!(
        error,
        BootError::Malformed {
            part: Part::Initramfs(1),
            offset: 0,
            ..
        }
    ));
    assert_eq!(error.id(), "DB0304");
}

#[test]
fn encrypted_content_named_without_its_key_is_told_from_a_broken_tree() {
    let mut release = Release::usual();
    // What encryption leaves: random bytes everywhere, in the span too.
    for seed in 1..50 {
        let noise = bytes(8 + 4096, seed);
        let span: [u8; 8] = noise[..8].try_into().unwrap();
        let chunk = VerifiedChunk::content(span, &noise[8..]).unwrap();
        let address = chunk.address();
        release.store.chunks.insert(address, chunk);
        let root = Reference::plain(address);
        let error = run(Boot::new(Target::of(root), limits()), &release.store, 0)
            .0
            .err()
            .unwrap();
        let part = Part::Root;
        assert_eq!(error, BootError::NoKey { part, address }, "seed {seed}");
        assert_eq!(error.id(), "DB0312");
        release.manifest.kernel.reference = root;
        let part = Part::Kernel;
        assert_eq!(release.error(), BootError::NoKey { part, address });
    }
}

mod names;
