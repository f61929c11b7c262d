//! The program's verbs without a network: what they print, what they write, how they fail.
mod common;

use common::{
    NO_SUCH_REFERENCE, efi_application, expect, pattern, program, release_directory, run,
};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn publish(directory: &Path, extra: &[&str]) -> Value {
    let mut arguments = vec!["publish", "release", "--output", "chunks.tar", "--json"];
    arguments.extend(extra);
    json(&expect(directory, 0, &arguments).0)
}

const RELEASE: [&str; 12] = [
    "--kernel",
    "vmlinuz",
    "--initramfs",
    "initramfs.img",
    "--cmdline",
    "console=ttyS0",
    "--name",
    "example",
    "--version",
    "1.2",
    "--sequence",
    "3",
];

#[test]
fn help_lists_every_verb_and_every_exit_status() {
    let (help, _) = expect(Path::new("."), 0, &["--help"]);
    for word in [
        "publish", "fetch", "hash", "ls", "feed", "disk", "check", "devnet", "130",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    expect(Path::new("."), 0, &["--version"]);
    for verb in ["publish", "fetch", "hash", "ls", "disk", "check", "devnet"] {
        expect(Path::new("."), 0, &[verb, "--help"]);
    }
}

#[test]
fn completions_and_manual_pages_know_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = expect(dir.path(), 0, &["completions", shell]);
        for word in ["publish", "devnet", "bee-url", "redundancy-level"] {
            assert!(script.contains(word), "{shell} {word}");
        }
    }
    let (pages, _) = expect(dir.path(), 0, &["man", "pages"]);
    for page in ["deboot.1", "deboot-publish.1", "deboot-feed-show.1"] {
        assert!(pages.lines().any(|line| line == page), "{page}: {pages}");
    }
    let page = fs::read_to_string(dir.path().join("pages/deboot-publish.1")).unwrap();
    assert!(page.contains("bee\\-url"), "{page}");
    expect(dir.path(), 2, &["completions", "tcsh"]);
}

#[test]
fn a_wrong_command_line_is_status_2() {
    let dir = tempfile::tempdir().unwrap();
    let bad_fault = ["devnet", "--fault", "1=sleepy"];
    let bad_peer = ["fetch", NO_SUCH_REFERENCE, "--peer", "1.2.3.4"];
    let both = [
        "fetch",
        NO_SUCH_REFERENCE,
        "--chunks",
        "a",
        "--peer",
        "/ip4/1.2.3.4/tcp/1",
    ];
    let cases: [&[&str]; 9] = [
        &[],
        &["frob"],
        &["hash"],
        &["fetch", "12ab"],
        &["fetch", "feed:aa/bb"],
        &["publish", "x"],
        &bad_fault,
        &bad_peer,
        &both,
    ];
    for arguments in cases {
        let (stdout, stderr) = expect(dir.path(), 2, arguments);
        assert!(stdout.is_empty() && !stderr.is_empty(), "{arguments:?}");
    }
    let (_, stderr) = expect(dir.path(), 2, &["fetch", "12ab"]);
    assert!(
        stderr.contains("64 or 128 hexadecimal digits, this has 4"),
        "{stderr}"
    );
}

#[test]
fn hash_prints_the_reference_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("foo"), "foo").unwrap();
    let (stdout, stderr) = expect(dir.path(), 0, &["hash", "foo"]);
    let expected = "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48";
    assert_eq!(
        (stdout.as_str(), stderr.as_str()),
        (&*format!("{expected}\n"), "")
    );
    let value = json(&expect(dir.path(), 0, &["hash", "foo", "--json"]).0);
    assert_eq!(value["reference"], expected);
    assert_eq!((&value["bytes"], &value["chunks"]), (&3.into(), &1.into()));
}

#[test]
fn a_missing_file_is_named_in_text_and_json() {
    let dir = tempfile::tempdir().unwrap();
    for verb in [
        &["hash", "none"][..],
        &["publish", "none", "--output", "x"],
        &["check", "none"],
        &["fetch", NO_SUCH_REFERENCE, "--chunks", "none"],
    ] {
        let mut arguments = verb.to_vec();
        arguments.push("--json");
        let (stdout, stderr) = expect(dir.path(), 1, &arguments);
        let message = "none: cannot be read: No such file";
        assert!(stderr.contains(message), "{stderr}");
        let value = json(&stdout);
        assert_eq!(value["error"]["status"], 1);
        assert!(
            value["error"]["message"]
                .as_str()
                .unwrap()
                .contains(message)
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_is_published_is_listed_and_fetched_from_the_chunk_set() {
    let dir = tempfile::tempdir().unwrap();
    let release = release_directory(dir.path());
    let published = publish(dir.path(), &RELEASE);
    let reference = published["reference"].as_str().unwrap();
    assert_eq!(published["release"]["sequence"], 3);

    let chunks = ["--chunks", "chunks.tar"];
    let listed = expect(
        dir.path(),
        0,
        &["ls", reference, chunks[0], chunks[1], "--json"],
    )
    .0;
    let listed = json(&listed);
    let paths: Vec<&str> = listed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "docs/index.html",
            "host-configuration-manifest.json",
            "initramfs.img",
            "vmlinuz"
        ]
    );
    assert_eq!(listed["files"][2]["size"], 1_200_003);
    assert_eq!(
        listed["files"][0]["metadata"]["Content-Type"],
        "text/html; charset=utf-8"
    );

    let target = format!("{reference}/initramfs.img");
    let (stdout, stderr) = expect(dir.path(), 0, &["fetch", &target, chunks[0], chunks[1]]);
    assert_eq!(stdout, "initramfs.img\n");
    assert!(stderr.contains("1.2 MB in"), "{stderr}");
    let fetched = fs::read(dir.path().join("initramfs.img")).unwrap();
    assert!(fetched == pattern(1_200_003, 2), "other bytes");

    let target = format!("bzz://{reference}/vmlinuz");
    let output = run(
        dir.path(),
        &["fetch", &target, "-o", "-", chunks[0], chunks[1]],
    );
    assert!(
        output.stdout == fs::read(release.join("vmlinuz")).unwrap(),
        "other bytes"
    );

    let target = format!("{reference}/host-configuration-manifest.json");
    let value = expect(
        dir.path(),
        0,
        &[
            "fetch", &target, "-o", "m.json", chunks[0], chunks[1], "--json",
        ],
    )
    .0;
    assert_eq!(json(&value)["output"], "m.json");
    let (stdout, _) = expect(dir.path(), 0, &["check", "m.json"]);
    assert!(stdout.contains("example 1.2 (sequence 3)"), "{stdout}");
}

#[test]
fn a_directory_fetched_as_bytes_is_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    release_directory(dir.path());
    let published = publish(dir.path(), &[]);
    let reference = published["reference"].as_str().unwrap();
    let (_, stderr) = expect(
        dir.path(),
        0,
        &["fetch", reference, "--chunks", "chunks.tar"],
    );
    assert!(stderr.contains("this is a directory"), "{stderr}");
    assert!(dir.path().join(reference).is_file());
}

#[test]
fn the_index_document_is_found_and_its_absence_told() {
    let dir = tempfile::tempdir().unwrap();
    release_directory(dir.path());
    let plain = publish(dir.path(), &[]);
    let target = format!("{}/", plain["reference"].as_str().unwrap());
    let fetch = ["fetch", &target, "-o", "x", "--chunks", "chunks.tar"];
    let (_, stderr) = expect(dir.path(), 3, &fetch);
    assert!(stderr.contains("no index document"), "{stderr}");

    let indexed = publish(dir.path(), &["--index-document", "vmlinuz"]);
    let target = format!("{}/", indexed["reference"].as_str().unwrap());
    expect(
        dir.path(),
        0,
        &["fetch", &target, "-o", "x", "--chunks", "chunks.tar"],
    );
    assert_eq!(fs::read(dir.path().join("x")).unwrap().len(), 300_512);
}

#[test]
fn what_is_not_there_is_status_3_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    release_directory(dir.path());
    let published = publish(dir.path(), &[]);
    let reference = published["reference"].as_str().unwrap();
    let missing_path = format!("{reference}/vmlinux");
    let file = published["files"][0]["reference"].as_str().unwrap();
    let not_a_directory = format!("{file}/x");
    for (status, target, message) in [
        (3, missing_path.as_str(), "path not found"),
        (3, NO_SUCH_REFERENCE, "is not in the chunk set"),
        (6, not_a_directory.as_str(), "is not a directory"),
    ] {
        let fetch = ["fetch", target, "-o", "out", "--chunks", "chunks.tar"];
        let (_, stderr) = expect(dir.path(), status, &fetch);
        assert!(stderr.contains(message), "{stderr}");
    }
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    expect(
        dir.path(),
        2,
        &["ls", &missing_path, "--chunks", "chunks.tar"],
    );
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    release_directory(dir.path());
    let published = publish(dir.path(), &[]);
    let target = format!("{}/initramfs.img", published["reference"].as_str().unwrap());
    let fetch = [
        "fetch",
        &target,
        "-o",
        "out",
        "--chunks",
        "chunks.tar",
        "--size-max",
        "1M",
    ];
    let (_, stderr) = expect(dir.path(), 6, &fetch);
    assert!(
        stderr.contains("more than the limit of 1048576"),
        "{stderr}"
    );
}

#[test]
fn damaged_chunk_sets_are_refused_with_the_entry() {
    let dir = tempfile::tempdir().unwrap();
    release_directory(dir.path());
    publish(dir.path(), &[]);
    let whole = fs::read(dir.path().join("chunks.tar")).unwrap();
    fs::write(dir.path().join("cut.tar"), &whole[..5000]).unwrap();
    let mut flipped = whole;
    flipped[512 + 4 + 8 + 3] ^= 0x10;
    fs::write(dir.path().join("flipped.tar"), flipped).unwrap();
    fs::write(dir.path().join("text.tar"), "x".repeat(2000)).unwrap();
    for (set, message) in [
        ("cut.tar", "entry 1: the archive ends inside"),
        ("flipped.tar", "entry 0: chunk bytes do not hash"),
        ("text.tar", "entry 0: no tar header"),
    ] {
        let fetch = ["fetch", NO_SUCH_REFERENCE, "-o", "out", "--chunks", set];
        let (_, stderr) = expect(dir.path(), 6, &fetch);
        assert!(stderr.contains(message), "{set}: {stderr}");
    }
}

#[test]
fn a_full_disk_is_status_1_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    release_directory(dir.path());
    let published = publish(dir.path(), &[]);
    let target = format!("{}/initramfs.img", published["reference"].as_str().unwrap());
    let fetch = [
        "fetch",
        &target,
        "-o",
        "/dev/full",
        "--chunks",
        "chunks.tar",
    ];
    let (_, stderr) = expect(dir.path(), 1, &fetch);
    assert!(stderr.contains("No space left on device"), "{stderr}");
    let (_, stderr) = expect(
        dir.path(),
        1,
        &["publish", "release", "--output", "/dev/full"],
    );
    assert!(stderr.contains("No space left on device"), "{stderr}");
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = program()
        .args(["hash", "release"])
        .current_dir(dir.path())
        .stdout(Stdio::from(full))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    // Remarks are not the result: that nobody can read them is no failure.
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = program()
        .args(["publish", "release", "--output", "again.tar", "--progress"])
        .current_dir(dir.path())
        .stderr(Stdio::from(full))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn check_prints_the_line_and_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let good = format!("reference = \"{NO_SUCH_REFERENCE}\"\n");
    fs::write(dir.path().join("deboot.toml"), &good).unwrap();
    let (stdout, _) = expect(dir.path(), 0, &["check", "deboot.toml"]);
    assert!(stdout.contains("a valid boot configuration"), "{stdout}");
    fs::write(dir.path().join("bad.toml"), good + "boot_timeot = \"5s\"\n").unwrap();
    let (_, stderr) = expect(dir.path(), 1, &["check", "bad.toml"]);
    assert!(stderr.contains("bad.toml: line 2"), "{stderr}");
    assert!(stderr.contains("boot_timeout"), "{stderr}");
    fs::write(dir.path().join("bad.json"), "{\n \"schema\": 1\n}").unwrap();
    let (_, stderr) = expect(dir.path(), 1, &["check", "bad.json"]);
    assert!(stderr.contains("bad.json: line 2"), "{stderr}");
    fs::write(dir.path().join("bad.bin"), [b'a', 0xff]).unwrap();
    let (_, stderr) = expect(dir.path(), 1, &["check", "bad.bin"]);
    assert!(stderr.contains("not UTF-8 text at byte 1"), "{stderr}");
}

#[test]
fn disk_makes_the_same_image_twice_and_writes_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("SWFETCH.EFI"), efi_application()).unwrap();
    let arguments = [
        "disk",
        "--reference",
        NO_SUCH_REFERENCE,
        "--output",
        "disk.img",
        "--efi",
        "SWFETCH.EFI",
        "--bootnode",
        "/ip4/10.0.2.2/tcp/1634",
        "--network-id",
        "10",
        "--generation",
        "15",
        "--add",
        "SWFETCH.EFI:tools/copy.efi",
        "--json",
    ];
    let value = json(&expect(dir.path(), 0, &arguments).0);
    assert_eq!(value["files"].as_array().unwrap().len(), 3);
    assert_eq!(value["bytes"], 64 << 20);
    let config = value["config"].as_str().unwrap();
    fs::write(dir.path().join("c.toml"), config).unwrap();
    expect(dir.path(), 0, &["check", "c.toml"]);
    let first = fs::read(dir.path().join("disk.img")).unwrap();
    expect(dir.path(), 0, &arguments);
    assert!(
        first == fs::read(dir.path().join("disk.img")).unwrap(),
        "the images differ"
    );
    let other = [
        "disk",
        "--config",
        "c.toml",
        "--output",
        "d2.img",
        "--efi",
        "SWFETCH.EFI",
        "--add",
        "SWFETCH.EFI:tools/copy.efi",
    ];
    expect(dir.path(), 0, &other);
    assert!(
        first == fs::read(dir.path().join("d2.img")).unwrap(),
        "--config gives another image"
    );
}

#[test]
fn disk_of_a_feed_names_the_feed_in_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("SWFETCH.EFI"), efi_application()).unwrap();
    let disk = |status, more: &[&str]| {
        let fixed = [
            "disk",
            "--output",
            "d.img",
            "--efi",
            "SWFETCH.EFI",
            "--json",
        ];
        expect(dir.path(), status, &[&fixed[..], more].concat())
    };
    let owner = "1f7d61b4691cc363486616adf9dce367632b9226";
    let topic = "9c3d9bb07e3fa5ba4889a0fdf60d7f86c79c6b811cf11a683f57ecca9733c21c";
    for (feed, path) in [
        (format!("{owner}/{topic}"), ""),
        (format!("feed:0x{owner}/{topic}/x86/stable"), "/x86/stable"),
    ] {
        let made = json(&disk(0, &["--feed", &feed]).0);
        let config = made["config"].as_str().unwrap();
        assert_eq!(config, format!("feed = \"{owner}/{topic}{path}\"\n"));
        fs::write(dir.path().join("c.toml"), config).unwrap();
        let checked = json(&expect(dir.path(), 0, &["check", "c.toml", "--json"]).0);
        assert_eq!(checked["feed"], format!("feed:{owner}/{topic}{path}"));
        // What is shown is what the disk has.
        let image = fs::read(dir.path().join("d.img")).unwrap();
        let text = config.as_bytes();
        assert!(image.windows(text.len()).any(|window| window == text));
    }
    let named = format!("{owner}/stable");
    let both = ["--feed", &named, "--reference", NO_SUCH_REFERENCE];
    let (_, stderr) = disk(2, &both);
    assert!(stderr.contains("cannot be used with"), "{stderr}");
    let (_, stderr) = disk(2, &["--feed", owner]);
    assert!(stderr.contains("OWNER/TOPIC"), "{stderr}");
    let (_, stderr) = disk(2, &["--feed", NO_SUCH_REFERENCE]);
    assert!(stderr.contains("OWNER/TOPIC"), "{stderr}");
}

#[test]
fn disk_refuses_what_would_not_boot() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.efi"), "no program").unwrap();
    fs::write(dir.path().join("SWFETCH.EFI"), efi_application()).unwrap();
    fs::write(dir.path().join("bad.toml"), "reference = 1\n").unwrap();
    for (status, extra, message) in [
        (
            1,
            &["--reference", NO_SUCH_REFERENCE, "--efi", "x.efi"][..],
            "not a PE image",
        ),
        (
            2,
            &["--reference", NO_SUCH_REFERENCE][..],
            "name it with --efi",
        ),
        (2, &["--efi", "SWFETCH.EFI"][..], "--reference"),
        (
            1,
            &["--config", "bad.toml", "--efi", "SWFETCH.EFI"][..],
            "line 1",
        ),
        (
            1,
            &["--no-config", "--efi", "SWFETCH.EFI", "--size", "1M"][..],
            "too small",
        ),
    ] {
        let mut arguments = vec!["disk", "--output", "disk.img"];
        arguments.extend(extra);
        let (_, stderr) = expect(dir.path(), status, &arguments);
        assert!(stderr.contains(message), "{extra:?}: {stderr}");
        assert!(!dir.path().join("disk.img").exists());
    }
}

#[test]
fn json_and_stdout_output_cannot_be_mixed() {
    let dir = tempfile::tempdir().unwrap();
    let fetch = [
        "fetch",
        NO_SUCH_REFERENCE,
        "-o",
        "-",
        "--json",
        "--chunks",
        "x",
    ];
    let (_, stderr) = expect(dir.path(), 2, &fetch);
    assert!(stderr.contains("both write to standard output"), "{stderr}");
    let (_, stderr) = expect(
        dir.path(),
        2,
        &["fetch", NO_SUCH_REFERENCE, "--network-id", "77"],
    );
    assert!(
        stderr.contains("network 77 has no public bootnodes"),
        "{stderr}"
    );
}
