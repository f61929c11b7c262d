use super::*;
use std::string::ToString;
use std::vec;

const GOOD: &str = r#"{
  "schema": "deboot/host-configuration/1",
  "name": "example-host",
  "version": "2026.11.3",
  "sequence": 17,
  "architecture": "x86_64",
  "kernel": { "reference": "27913f1bdb6e8e52cbd5a5fd4ab577c857287edf6969b41efe926b51de0f4f23", "size": 8123456 },
  "initramfs": [
    { "reference": "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48", "size": 20123456 }
  ],
  "cmdline": "console=ttyS0 quiet",
  "update": { "feed": "2f63cbeb054ce76050827e42dd75268f6b9d87c5/example-host", "ens": "example.eth" }
}
"#;

fn parse(text: &str) -> Result<HostConfiguration, ManifestError> {
    HostConfiguration::parse(text.as_bytes())
}

/// The error after one replacement in a good manifest.
fn error_with(from: &str, to: &str) -> ManifestError {
    assert!(GOOD.contains(from), "{from}");
    parse(&GOOD.replacen(from, to, 1)).unwrap_err()
}

/// What the error says, and its id.
fn report(from: &str, to: &str) -> (std::string::String, &'static str) {
    let error = error_with(from, to);
    (error.to_string(), error.id())
}

#[test]
fn the_example_of_the_specification_is_read() {
    let manifest = parse(GOOD).unwrap();
    assert_eq!(manifest.name, "example-host");
    assert_eq!(manifest.version, "2026.11.3");
    assert_eq!(manifest.sequence, 17);
    assert_eq!(manifest.architecture, Architecture::X86_64);
    assert_eq!(manifest.kernel.size, 8_123_456);
    assert_eq!(manifest.initramfs.len(), 1);
    assert_eq!(manifest.cmdline, "console=ttyS0 quiet");
    assert_eq!(manifest.update.unwrap().ens.unwrap(), "example.eth");
}

#[test]
fn canonical_form_is_stable() {
    let manifest = parse(GOOD).unwrap();
    assert_eq!(manifest.to_json(), GOOD);
    let mut bare = manifest;
    bare.update = None;
    bare.initramfs = vec![];
    bare.cmdline = "quote=\"a b\" back\\slash ü".to_string();
    bare.architecture = Architecture::Aarch64;
    assert_eq!(parse(&bare.to_json()), Ok(bare));
}

#[test]
fn every_field_is_required_but_update() {
    for field in [
        "schema",
        "name",
        "version",
        "sequence",
        "architecture",
        "kernel",
        "initramfs",
        "cmdline",
    ] {
        let start = GOOD.find(&std::format!("  \"{field}\"")).unwrap();
        let rest = &GOOD[start..];
        let end = start
            + if field == "initramfs" {
                rest.find("],\n").unwrap() + 3
            } else {
                rest.find(",\n").unwrap() + 2
            };
        let without = std::format!("{}{}", &GOOD[..start], &GOOD[end..]);
        let error = parse(&without).unwrap_err();
        assert_eq!(
            error.to_string(),
            std::format!("line 1, column 1: field {field} is missing")
        );
        assert_eq!(error.id(), "DB0407");
    }
    let (message, _) = report(", \"size\": 8123456", "");
    assert_eq!(message, "line 7, column 13: field kernel.size is missing");
    let end = GOOD.find(",\n  \"update\"").unwrap();
    assert_eq!(
        parse(&std::format!("{}\n}}", &GOOD[..end])).unwrap().update,
        None
    );
}

#[test]
fn errors_name_place_field_and_fix() {
    for (from, to, message, id) in [
        (
            "1\",\n  \"name",
            "2\",\n  \"name",
            "line 2, column 13: schema is \"deboot/host-configuration/2\", this program reads \"deboot/host-configuration/1\"",
            "DB0404",
        ),
        (
            "\"version\"",
            "\"versoin\"",
            "line 4, column 3: unknown field \"versoin\"; did you mean \"version\"?",
            "DB0405",
        ),
        (
            "\"cmdline\"",
            "\"zzz\": 1, \"cmdline\"",
            "line 11, column 3: unknown field \"zzz\"; remove it",
            "DB0405",
        ),
        (
            "\"size\": 8",
            "\"sice\": 8",
            "line 7, column 96: unknown field \"sice\"; did you mean \"size\"?",
            "DB0405",
        ),
        (
            "\"cmdline\"",
            "\"name\": \"x\", \"cmdline\"",
            "line 11, column 3: field name is given twice; remove one",
            "DB0406",
        ),
        (
            "17",
            "\"17\"",
            "line 5, column 15: sequence is a text, it must be a whole number without quotes",
            "DB0408",
        ),
        (
            "17",
            "-1",
            "line 5, column 15: sequence must be a whole number from 0 to 9007199254740991",
            "DB0410",
        ),
        (
            "17",
            "1.5",
            "line 5, column 15: sequence must be a whole number from 0 to 9007199254740991",
            "DB0410",
        ),
        (
            "17",
            "9007199254740992",
            "line 5, column 15: sequence must be a whole number from 0 to 9007199254740991",
            "DB0410",
        ),
        (
            "8123456",
            "0",
            "line 7, column 104: kernel.size must be a whole number from 1 to 9007199254740991",
            "DB0410",
        ),
        (
            "\"x86_64\"",
            "\"amd64\"",
            "line 6, column 19: architecture \"amd64\" is unknown; write \"x86_64\" or \"aarch64\"",
            "DB0413",
        ),
        (
            "\"x86_64\"",
            "null",
            "line 6, column 19: architecture is null, it must be a text in double quotes",
            "DB0408",
        ),
        (
            "27913",
            "2791",
            "line 7, column 28: kernel.reference: a reference has 64 or 128 hexadecimal digits, this has 63 characters",
            "DB0409",
        ),
        (
            "2387e",
            "2387x",
            "line 9, column 20: initramfs.reference: character 5 of the reference is not a hexadecimal digit",
            "DB0409",
        ),
        (
            "example-host",
            "",
            "line 3, column 11: name has 0 bytes, it must have 1 to 253",
            "DB0411",
        ),
        (
            "ttyS0 ",
            "ttyS0\\n",
            "line 11, column 14: cmdline contains the control character U+000A; remove it",
            "DB0412",
        ),
        (
            "2f63cbeb",
            "2f63cbe",
            "line 12, column 23: update.feed must be \"<owner>/<topic>\": 40 hexadecimal digits, a slash, and a topic of 1 to 128 bytes without slash",
            "DB0415",
        ),
        (
            "/example-host",
            "/a/b",
            "line 12, column 23: update.feed must be \"<owner>/<topic>\": 40 hexadecimal digits, a slash, and a topic of 1 to 128 bytes without slash",
            "DB0415",
        ),
        (
            "example.eth",
            "example",
            "line 12, column 87: update.ens must be a name with a dot and without spaces, such as \"host.example.eth\"",
            "DB0416",
        ),
        (
            "\"sequence\": 17,",
            "\"sequence\": 17",
            "the manifest is not JSON: line 6, column 3: expected a comma or a closing brace",
            "DB0403",
        ),
        (
            "\n}",
            "\n} x",
            "the manifest is not JSON: line 13, column 3: expected the end of the text after the closing brace",
            "DB0403",
        ),
    ] {
        assert_eq!(
            report(from, to),
            (message.to_string(), id),
            "{from} -> {to}"
        );
    }
    let end = GOOD.find("{ \"feed\"").unwrap();
    let error = parse(&std::format!("{}{{}} }}", &GOOD[..end])).unwrap_err();
    assert!(matches!(error, ManifestError::EmptyUpdate { .. }));
    assert_eq!(
        parse("[]").unwrap_err().to_string(),
        "line 1, column 1: the manifest is a list, it must be an object in braces"
    );
}

#[test]
fn limits_are_kept_to_the_byte() {
    let with = |from: &str, to: &str| parse(&GOOD.replacen(from, to, 1));
    for (from, field, max) in [
        ("example-host", "name", NAME_BYTES_MAX),
        ("2026.11.3", "version", VERSION_BYTES_MAX),
        ("console=ttyS0 quiet", "cmdline", CMDLINE_BYTES_MAX),
    ] {
        assert!(with(from, &"x".repeat(max)).is_ok(), "{field}");
        let error = with(from, &"x".repeat(max + 1)).unwrap_err();
        assert!(
            matches!(error, ManifestError::Length { field: found, len, .. } if found == field && len == max + 1)
        );
    }
    let item = &GOOD[GOOD.find("{ \"reference\": \"2387").unwrap()..GOOD.find("\n  ],").unwrap()];
    let list = |count: usize| with(item, &vec![item; count].join(","));
    assert_eq!(list(16).unwrap().initramfs.len(), 16);
    assert!(matches!(
        list(17),
        Err(ManifestError::TooManyArchives { count: 17, .. })
    ));
    let mut padded = GOOD.to_string();
    padded.push_str(&" ".repeat(MANIFEST_BYTES_MAX - GOOD.len()));
    assert!(parse(&padded).is_ok());
    padded.push(' ');
    assert_eq!(
        parse(&padded),
        Err(ManifestError::TooLarge {
            len: MANIFEST_BYTES_MAX + 1
        })
    );
}

#[test]
fn garbage_is_an_error_and_no_panic() {
    let mut bytes = GOOD.as_bytes().to_vec();
    bytes[40] = 0xff;
    let error = HostConfiguration::parse(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manifest is not UTF-8 text: line 2, column 39"
    );
    for at in 0..GOOD.len() {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = b'!';
        let _ = HostConfiguration::parse(&bytes);
        // Without its last line feed it is complete.
        let cut = &GOOD.as_bytes()[..at];
        assert_eq!(HostConfiguration::parse(cut).is_ok(), at == GOOD.len() - 1);
    }
    assert!(HostConfiguration::parse(b"").is_err());
}
