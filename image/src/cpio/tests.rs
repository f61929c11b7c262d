use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn an_archive_of_one_file_is_these_bytes() {
    let mut archive = Archive::default();
    archive.file("a", 0o644, b"hello".to_vec()).unwrap();
    let header = concat!(
        "070701", "e40c292c", "000081a4", "00000000", "00000000", "00000001", "00000000",
        "00000005", "00000000", "00000000", "00000000", "00000000", "00000f92", "00000000",
    );
    let trailer = concat!(
        "070701",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "0000000b",
        "00000000",
        "TRAILER!!!\0",
        "\0\0\0",
    );
    let name = format!("a{}", "\0".repeat(4096 - 110 - 1));
    let expected = format!("{header}{name}hello\0\0\0{trailer}");
    assert_eq!(String::from_utf8(archive.to_bytes()).unwrap(), expected);
}

fn sample(order: &[usize]) -> Archive {
    let mut archive = Archive::default();
    for step in order {
        match step {
            0 => archive.file("bin/tool", 0o755, vec![7; 4097]).unwrap(),
            1 => archive.symlink("bin/sh", "tool").unwrap(),
            2 => archive
                .character_device("dev/console", 0o600, 5, 1)
                .unwrap(),
            3 => archive.directory("proc").unwrap(),
            _ => archive.file("bin-like", 0o600, vec![]).unwrap(),
        }
    }
    archive
}

#[test]
fn the_order_of_additions_does_not_matter_and_directories_come_before_their_files() {
    let archive = sample(&[0, 1, 2, 3, 4]).to_bytes();
    assert_eq!(archive, sample(&[4, 3, 2, 1, 0]).to_bytes());
    assert_eq!(archive, sample(&[2, 4, 0, 3, 1]).to_bytes());
    let position = |name: &str| {
        let name = format!("{name}\0");
        archive
            .windows(name.len())
            .position(|window| window == name.as_bytes())
            .unwrap()
    };
    assert!(position("bin") < position("bin/sh") && position("dev") < position("dev/console"));
}

#[test]
fn cpio_itself_lists_the_archive_as_it_was_meant() {
    // GNU cpio is an independent reader; without it the literal bytes above have to do.
    let Ok(mut child) = Command::new("cpio")
        .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    else {
        eprintln!("cpio is not installed: archive not compared with it");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&sample(&[0, 1, 2, 3, 4]).to_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let listing: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(words)
        .collect();
    assert_eq!(
        listing,
        [
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 bin",
            "-rw------- 1 0 0 0 Jan 1 1970 bin-like",
            "lrwxrwxrwx 1 0 0 4 Jan 1 1970 bin/sh -> tool",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
            "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 proc",
            "-rwxr-xr-x 1 0 0 4097 Jan 1 1970 bin/tool",
        ]
    );
}

#[test]
fn paths_that_are_not_plain_and_paths_used_twice_are_refused() {
    for path in [
        "",
        "/a",
        "a/",
        "a//b",
        "./a",
        "a/../b",
        "a\0b",
        "TRAILER!!!",
    ] {
        assert_eq!(
            Archive::default().file(path, 0, vec![]),
            Err(CpioError::Path(path.into())),
            "{path:?}"
        );
    }
    let mut archive = Archive::default();
    archive.file("a", 0, vec![]).unwrap();
    assert_eq!(
        archive.file("a", 0, vec![]),
        Err(CpioError::Twice("a".into()))
    );
    assert_eq!(
        archive.file("a/b", 0, vec![]),
        Err(CpioError::Twice("a".into()))
    );
    assert_eq!(archive.directory("a"), Err(CpioError::Twice("a".into())));
}

/// Reads an archive the way Linux does (init/initramfs.c): entries as name, namesize, mode, inode, offset of the data, data.
fn read(archive: &[u8]) -> Vec<(String, usize, u32, u32, usize, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut at = 0;
    loop {
        assert_eq!(&archive[at..at + 6], b"070701", "{at}");
        let field = |n: usize| {
            let text = std::str::from_utf8(&archive[at + 6 + 8 * n..][..8]).unwrap();
            u32::from_str_radix(text, 16).unwrap()
        };
        let (size, name_bytes) = (field(6) as usize, field(11) as usize);
        assert!(name_bytes <= 4096, "{name_bytes}");
        let name = &archive[at + 110..][..name_bytes];
        assert_eq!(name.last(), Some(&0));
        let end = name.iter().position(|byte| *byte == 0).unwrap();
        assert!(name[end..].iter().all(|byte| *byte == 0));
        let name = String::from_utf8(name[..end].to_vec()).unwrap();
        let data = (at + 110 + name_bytes).next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert_eq!(data, archive.len());
            return entries;
        }
        entries.push((
            name,
            name_bytes,
            field(1),
            field(0),
            data,
            archive[data..data + size].to_vec(),
        ));
        at = (data + size).next_multiple_of(4);
    }
}

/// Bytes that look random and are the same in every run.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()[3]
    });
    next.take(length).collect()
}

#[test]
fn bytes_of_files_begin_at_pages_whatever_lies_before_them() {
    // Every remainder of a page before every length of name that matters for it.
    for length in (1..=4096).step_by(3) {
        for path in [
            "b",
            "d/some/where/deep/down/with/a/name",
            &format!("d/{}", "n".repeat(250)),
        ] {
            let mut archive = Archive::default();
            archive.file("a", 0o644, noise(length, 1)).unwrap();
            archive.file(path, 0o755, noise(10, 2)).unwrap();
            let bytes = archive.to_bytes();
            let entries = read(&bytes);
            let files: Vec<_> = entries
                .iter()
                .filter(|e| e.2 & 0o170_000 == 0o100_000)
                .collect();
            assert_eq!(files.len(), 2);
            assert!(
                files.iter().all(|e| e.4 % PAGE_BYTES == 0),
                "{length} {path}"
            );
            assert_eq!((files[1].0.as_str(), &files[1].5), (path, &noise(10, 2)));
            // One page for the first header, at most one more between the files, one for the second.
            assert!(bytes.len() <= 4 * PAGE_BYTES + 256, "{}", bytes.len());
        }
    }
}

fn chunks(archive: &Archive) -> std::collections::BTreeSet<[u8; 32]> {
    let mut addresses = std::collections::BTreeSet::new();
    content::split(&archive.to_bytes(), &mut |chunk| {
        addresses.insert(chunk.address().0);
    });
    addresses
}

/// 300 files of up to 40 KB in six directories; `change` may alter, add or leave out some.
fn tree(change: impl Fn(u64, Vec<u8>) -> Option<Vec<u8>>) -> Archive {
    let mut archive = Archive::default();
    for n in 0..300_u64 {
        let length = usize::try_from(n.wrapping_mul(7919) % 40_000).unwrap() + 1;
        if let Some(bytes) = change(n, noise(length, n)) {
            archive
                .file(&format!("d{}/file-{n}", n % 6), 0o644, bytes)
                .unwrap();
        }
    }
    archive
}

#[test]
fn one_percent_of_changed_files_is_about_one_percent_of_changed_chunks() {
    let before = chunks(&tree(|_, bytes| Some(bytes)));
    let total = before.len();
    assert!(total > 1500, "{total}");
    let parents = total / 128 + 2;
    let new = |archive: &Archive| chunks(archive).difference(&before).count();
    let pages = |n: u64| (usize::try_from(n * 7919 % 40_000).unwrap() + 1).div_ceil(PAGE_BYTES);
    // Three of three hundred files change completely, of the same size: their pages, a page with each header, and parents.
    let changed = [50, 150, 250];
    let own: usize = changed.iter().map(|n| pages(*n)).sum();
    let same_size = tree(|n, bytes| {
        Some(if changed.contains(&n) {
            noise(bytes.len(), n + 1000)
        } else {
            bytes
        })
    });
    let count = new(&same_size);
    assert!(
        count >= own && count <= own + 3 + parents,
        "{count} new chunks for {own} pages"
    );
    // They grow by 5000 bytes: whatever follows moves by whole pages.
    let grown = tree(|n, mut bytes| {
        if changed.contains(&n) {
            bytes.extend(noise(5000, n));
        }
        Some(bytes)
    });
    let count = new(&grown);
    // Of a grown file only the last page and what follows it is new, and a header.
    assert!(
        count <= 3 * 4 + parents,
        "{count} new chunks for three files that grew"
    );
    // One file more, one less: no other header changes.
    let fewer = tree(|n, bytes| (n != 77).then_some(bytes));
    assert!(new(&fewer) <= 2 + parents, "{}", new(&fewer));
    let mut more = tree(|_, bytes| Some(bytes));
    more.file("d3/one-more", 0o644, noise(10, 9)).unwrap();
    assert!(new(&more) <= 3 + parents, "{}", new(&more));
}

#[test]
fn a_path_that_is_too_long_is_refused_and_the_longest_is_aligned() {
    let long = format!("d/{}", "n".repeat(1023));
    let refused = Archive::default().file(&long, 0, vec![1]);
    assert_eq!(refused, Err(CpioError::Long(long)));
    let longest = format!("{}/n", "d".repeat(1022));
    for length in (1..=4096).step_by(5) {
        let mut archive = Archive::default();
        archive.file("a", 0, vec![1; length]).unwrap();
        archive.file(&longest, 0, vec![1]).unwrap();
        let bytes = archive.to_bytes();
        let entries = read(&bytes);
        let mut files = entries.iter().filter(|e| e.0 == longest);
        assert!(files.all(|e| e.4 % PAGE_BYTES == 0));
        assert_eq!(entries.last().map(|e| e.0.as_str()), Some(&*longest));
    }
}
