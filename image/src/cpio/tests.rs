use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn an_archive_of_one_file_is_these_bytes() {
    let mut archive = Archive::default();
    archive.file("a", 0o644, b"hello".to_vec()).unwrap();
    let expected = concat!(
        "070701",
        "00000001",
        "000081a4",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000005",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "a\0",
        "hello\0\0\0", //
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
            "-rwxr-xr-x 1 0 0 4097 Jan 1 1970 bin/tool",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
            "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 proc",
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
