use super::*;

const GOOD: &str = r#"schema = "deboot/release/1"
name = "host"
version = "2026.11"
sequence = 7
kernel = "build/vmlinuz"
initramfs = ["initramfs.img", { source = "more/initramfs.img", path = "extra.img" }]
cmdline = "console=ttyS0"
redundancy_level = 1

[update]
feed = "0x8d3766440f0d7b949a5e32995d09619a7f86e632/releases"

[[file]]
source = "README"
path = "docs/readme.txt"
"#;

fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in [
        "build/vmlinuz",
        "initramfs.img",
        "more/initramfs.img",
        "README",
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, path.to_string_lossy().as_bytes()).unwrap();
    }
    dir
}

fn read_text(dir: &Path, text: &str) -> Result<Description, String> {
    let path = dir.join("release.toml");
    std::fs::write(&path, text).unwrap();
    read(&path).map_err(|e| {
        let text = e.to_string();
        text.replace(&*dir.to_string_lossy(), "")
    })
}

#[test]
fn everything_a_description_says_is_read() {
    let dir = directory();
    let description = read_text(dir.path(), GOOD).unwrap();
    assert_eq!(description.redundancy_level, Some(1));
    assert!(!description.encrypt);
    let files = description.options.files.unwrap();
    let paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(
        paths,
        ["docs/readme.txt", "extra.img", "initramfs.img", "vmlinuz"]
    );
    assert_eq!(files[1].source, dir.path().join("more/initramfs.img"));
    let release = description.options.release.unwrap();
    assert_eq!((release.kernel.as_str(), release.sequence), ("vmlinuz", 7));
    assert_eq!(release.initramfs, ["initramfs.img", "extra.img"]);
    assert_eq!(
        (release.name.as_str(), release.version.as_str()),
        ("host", "2026.11")
    );
    assert_eq!(release.cmdline, "console=ttyS0");
    assert_eq!(
        release.update.unwrap().feed.unwrap(),
        "8d3766440f0d7b949a5e32995d09619a7f86e632/releases",
        "manifests have no 0x"
    );
}

#[test]
fn every_mistake_is_named_with_its_line_and_what_to_write() {
    let dir = directory();
    let cases = [
        (
            "schema = \"deboot/release/1\"",
            "schema = \"x\"",
            "/release.toml:1:10: schema is \"x\"; this version reads",
        ),
        (
            "name = \"host\"",
            "nmae = \"host\"",
            ":2:1: unknown key \"nmae\"; here may have schema, name",
        ),
        (
            "name = \"host\"\n",
            "",
            ":1:1: name is missing; write name = \"...\"",
        ),
        (
            "sequence = 7",
            "sequence = \"7\"",
            ":4:12: sequence is a text; write a whole number without quotes",
        ),
        (
            "sequence = 7",
            "sequence = -7",
            ":4:12: sequence is not between 0 and",
        ),
        ("sequence = 7", "sequence = ", ":4:12: this is no TOML"),
        (
            "\"build/vmlinuz\"",
            "\"vmlinux\"",
            ":5:10: kernel: /vmlinux: No such file",
        ),
        (
            "\"build/vmlinuz\"",
            "\"build\"",
            ":5:10: kernel: /build is no regular file",
        ),
        (
            "\"build/vmlinuz\"",
            "7",
            ":5:10: kernel is a whole number; write a path in quotes",
        ),
        (
            "path = \"extra.img\"",
            "path = \"/extra\"",
            ":6:71: initramfs: \"/extra\" is no path inside a directory",
        ),
        (
            ", path = \"extra.img\"",
            "",
            ":6:42: initramfs: there is a file \"initramfs.img\" already",
        ),
        (
            "path = \"extra.img\"",
            "size = 3",
            ":6:64: unknown key \"size\"; initramfs may have source, path",
        ),
        (
            "redundancy_level = 1",
            "redundancy_level = 5",
            ":8:20: redundancy_level is not between 0 and 4",
        ),
        (
            "redundancy_level = 1",
            "encrypt = 1",
            ":8:11: encrypt is a whole number; write true or false",
        ),
        (
            "redundancy_level = 1",
            "architecture = \"i386\"",
            ":8:16: architecture is \"i386\"; write \"x86_64\"",
        ),
        ("/releases", "", ":11:8: update.feed: a feed is written"),
        (
            "/releases",
            "/releases/x86",
            ":11:8: update.feed: a manifest's topic has at most 128 bytes, no slash",
        ),
        (
            "[update]\nfeed",
            "update",
            "update is a text; write a table: [update]",
        ),
        (
            "[[file]]\nsource = \"README\"",
            "[[file]]",
            ":13:1: file.source is missing",
        ),
    ];
    for (good, bad, words) in cases {
        assert!(GOOD.contains(good), "{good}");
        let error = read_text(dir.path(), &GOOD.replacen(good, bad, 1)).unwrap_err();
        assert!(error.contains(words), "{error}\ninstead of: {words}");
    }
}

#[test]
fn what_is_no_description_is_refused() {
    let dir = directory();
    let large = format!("# {}\n{GOOD}", "x".repeat(70_000));
    assert!(
        read_text(dir.path(), &large)
            .unwrap_err()
            .contains("larger than")
    );
    assert!(read(&dir.path().join("missing.toml")).is_err());
    assert!(
        read_text(dir.path(), "")
            .unwrap_err()
            .contains("schema is missing")
    );
}
