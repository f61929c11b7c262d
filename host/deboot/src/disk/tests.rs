use super::*;
use fatfs::{FatType, FileSystem, FsOptions};
use std::fs;
use std::io::{Read, Write};
use std::process::Command;

const REFERENCE: &str = "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48";

struct Case {
    dir: tempfile::TempDir,
    contents: Contents,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let efi = dir.path().join("SWFETCH.EFI");
        let mut image = pe::sample(0x8664, 10);
        image.resize(300_000, 0x5a);
        fs::write(&efi, image).unwrap();
        let config = format!("reference = \"{REFERENCE}\"\n");
        let contents = Contents {
            efi,
            config: Some(config),
            add: Vec::new(),
            size: None,
        };
        Self { dir, contents }
    }

    fn add(&mut self, path: &str, bytes: &[u8]) {
        let local = self
            .dir
            .path()
            .join(format!("add{}", self.contents.add.len()));
        fs::write(&local, bytes).unwrap();
        self.contents.add.push((local, path.to_owned()));
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("disk.img")
    }

    fn make(&self) -> Result<Made, DiskError> {
        make(&self.contents, &self.image())
    }
}

/// Reads one file of the partition with the independent readers of gpt and fatfs.
fn read_back(image: &Path, path: &str) -> Vec<u8> {
    let table = gpt::GptConfig::new()
        .only_valid_headers(true)
        .open(image)
        .unwrap();
    let partition = &table.partitions()[&1];
    let start = partition.bytes_start(*table.logical_block_size()).unwrap();
    let length = partition.bytes_len(*table.logical_block_size()).unwrap();
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)
        .unwrap();
    let mut window = window::Window::new(&mut file, start, length);
    let file_system = FileSystem::new(&mut window, FsOptions::new()).unwrap();
    assert_eq!(file_system.fat_type(), FatType::Fat32);
    let mut bytes = Vec::new();
    let mut file = file_system.root_dir().open_file(path).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_file_is_read_back_from_a_valid_table_and_file_system() {
    let mut case = Case::new();
    case.add("some/long directory name/With Spaces ü.bin", &[7; 100_001]);
    let made = case.make().unwrap();
    assert_eq!(made.bytes, 64 << 20);
    assert_eq!(fs::metadata(case.image()).unwrap().len(), 64 << 20);
    let image = case.image();
    assert_eq!(
        read_back(&image, "EFI/BOOT/BOOTX64.EFI"),
        fs::read(&case.contents.efi).unwrap()
    );
    assert_eq!(
        read_back(&image, CONFIG_PATH),
        case.contents.config.clone().unwrap().into_bytes()
    );
    assert_eq!(
        read_back(&image, "some/long directory name/With Spaces ü.bin"),
        [7; 100_001]
    );
    let table = gpt::GptConfig::new().open(&image).unwrap();
    assert_eq!(*table.guid(), made.disk_guid);
    let partition = &table.partitions()[&1];
    assert_eq!(partition.part_type_guid, gpt::partition_types::EFI);
    assert_eq!(partition.part_guid, made.partition_guid);
    assert_eq!(partition.first_lba, 2048);
}

#[test]
fn a_disk_that_holds_the_key_of_its_content_is_for_its_owner_only() {
    let mut case = Case::new();
    case.contents.config = Some(format!("reference = \"{}\"\n", "ab".repeat(64)));
    case.make().unwrap();
    let metadata = fs::metadata(case.image()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn equal_content_gives_equal_disks_and_other_content_other_guids() {
    let case = Case::new();
    let first = case.make().unwrap();
    let bytes = fs::read(case.image()).unwrap();
    // Times must not come from the clock: FAT counts in steps of two seconds.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(case.make().unwrap(), first);
    assert!(fs::read(case.image()).unwrap() == bytes, "the disks differ");
    let mut other = Case::new();
    other.add("x", b"y");
    assert_ne!(other.make().unwrap().disk_guid, first.disk_guid);
}

/// mtools checks what fatfs may be lenient about. Debian's package; skipped loudly where it is missing.
#[test]
fn mtools_reads_the_partition_too() {
    let case = Case::new();
    case.make().unwrap();
    let drive = format!("{}@@1M", case.image().display());
    let run = Command::new("mtype")
        .arg("-i")
        .arg(&drive)
        .arg("::/EFI/deboot/deboot.toml")
        .output();
    let Ok(output) = run else {
        // Not by eprintln: the test harness would swallow it.
        writeln!(std::io::stderr(), "NOT RUN: mtools is not installed").unwrap();
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, case.contents.config.clone().unwrap(), "{output:?}");
    let info = Command::new("minfo")
        .arg("-i")
        .arg(&drive)
        .arg("::")
        .output()
        .unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains("disk type=\"FAT32   \""), "{info}");
}

#[test]
fn the_protective_mbr_covers_the_disk() {
    let case = Case::new();
    case.make().unwrap();
    let image = fs::read(case.image()).unwrap();
    assert_eq!(&image[510..512], [0x55, 0xaa]);
    assert_eq!(image[450], 0xee);
    let sectors = u32::from_le_bytes(image[458..462].try_into().unwrap());
    assert_eq!(u64::from(sectors), (64 << 20) / 512 - 1);
}

#[test]
fn large_content_makes_a_larger_disk_and_a_size_that_cannot_hold_it_is_refused() {
    let mut case = Case::new();
    case.add("big", &vec![1; 80 << 20]);
    let made = case.make().unwrap();
    assert!(made.bytes > 80 << 20);
    assert_eq!(read_back(&case.image(), "big").len(), 80 << 20);
    case.contents.size = Some(70 << 20);
    assert!(matches!(case.make(), Err(DiskError::TooSmall { needed, .. }) if needed > 80 << 20));
}

#[test]
fn the_smallest_and_a_large_disk_have_fat32() {
    let mut case = Case::new();
    for size in [DISK_BYTES_MIN, 261 << 20, 1 << 30] {
        case.contents.size = Some(size);
        assert_eq!(case.make().unwrap().bytes, size);
        assert!(!read_back(&case.image(), CONFIG_PATH).is_empty());
    }
    case.contents.size = Some(DISK_BYTES_MIN - 1);
    assert!(matches!(case.make(), Err(DiskError::TooSmall { .. })));
}

#[test]
fn what_cannot_boot_is_not_put_on_a_disk() {
    let mut case = Case::new();
    case.contents.config = Some("reference = \"12\"\n".into());
    assert!(matches!(case.make(), Err(DiskError::Config(_))));
    case.contents.config = None;
    fs::write(&case.contents.efi, b"\x7fELF").unwrap();
    assert!(matches!(case.make(), Err(DiskError::Efi { .. })));
    assert!(!case.image().exists());
}

#[test]
fn paths_that_fat_cannot_hold_or_that_clash_are_refused() {
    for bad in [
        "/a",
        "a//b",
        "a/",
        "../a",
        "a:b",
        "a\u{7}",
        &"x".repeat(256),
    ] {
        let mut case = Case::new();
        case.add(bad, b"");
        assert!(matches!(case.make(), Err(DiskError::Path { .. })), "{bad}");
    }
    let mut case = Case::new();
    case.add("efi/boot/bootx64.efi", b"");
    assert!(matches!(case.make(), Err(DiskError::PathTwice(_))));
}

fn config_text(target: &str) -> ConfigText {
    ConfigText {
        target: target.parse().unwrap(),
        cmdline_append: None,
        network_id: None,
        generation: None,
        bootnodes: Vec::new(),
        static_address: None,
    }
}

#[test]
fn a_written_configuration_is_one_the_firmware_reads() {
    let text = ConfigText {
        cmdline_append: Some("quiet \"x\"".into()),
        network_id: Some(10),
        generation: Some("14".into()),
        bootnodes: vec!["/ip4/10.0.2.2/tcp/1634".parse().unwrap()],
        static_address: Some(
            parse_static_address("192.0.2.10/24,gateway=192.0.2.1,dns=192.0.2.2").unwrap(),
        ),
        ..config_text(REFERENCE)
    };
    let config = BootConfig::parse(&text.to_string()).unwrap();
    let reference = REFERENCE.parse().unwrap();
    assert_eq!(config.target, release::Target::of(reference));
    assert_eq!(config.cmdline_append, "quiet \"x\"");
    assert_eq!(config.swarm.network_id, 10);
    assert_eq!(config.swarm.generation, swarm::Generation::V14);
    assert_eq!(config.swarm.bootnodes, text.bootnodes);
    assert_eq!(config.network.static_address, text.static_address);
}

#[test]
fn the_firmware_reads_the_same_target_from_the_configuration_as_from_its_options() {
    let feed = "feed:2f63cbeb054ce76050827e42dd75268f6b9d87c5/my-hosts";
    for target in [
        REFERENCE.to_owned(),
        format!("{REFERENCE}{REFERENCE}"),
        format!("bzz://{REFERENCE}/x86/stable"),
        format!("{REFERENCE}/\"odd\\ path\""),
        format!("{REFERENCE}/"),
        feed.to_owned(),
        format!("{feed}/x86/stable"),
    ] {
        let text = config_text(&target).to_string();
        let config = BootConfig::parse(&text);
        let config = config.unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(Ok(config.target), target.parse(), "{text}");
    }
}
