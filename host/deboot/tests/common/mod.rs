//! What the tests of the program share.
#![allow(dead_code, reason = "each test binary uses a part")]
pub(crate) mod fake_bee;
pub(crate) mod lab;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const NO_SUCH_REFERENCE: &str =
    "00000000000000000000000000000000000000000000000000000000deadbeef";

/// Bytes that look random and are the same in every run.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
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

/// Makes an EFI application as far as checks can see.
pub(crate) fn efi_application() -> Vec<u8> {
    deboot::pe::sample(0x8664, 10)
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deboot"));
    command.env_remove("RUST_BACKTRACE");
    command
}

pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    program()
        .current_dir(directory)
        .args(arguments)
        .output()
        .expect("the program can be started")
}

/// Runs the program and demands an exit status.
pub(crate) fn expect(directory: &Path, status: i32, arguments: &[&str]) -> (String, String) {
    let output = run(directory, arguments);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}\n{stdout}\n{stderr}"
    );
    (stdout, stderr)
}

/// A release directory: kernel, initramfs, a page.
pub(crate) fn release_directory(directory: &Path) -> PathBuf {
    let release = directory.join("release");
    std::fs::create_dir_all(release.join("docs")).unwrap();
    let mut kernel = efi_application();
    kernel.extend(pattern(300_000, 1));
    std::fs::write(release.join("vmlinuz"), kernel).unwrap();
    std::fs::write(release.join("initramfs.img"), pattern(1_200_003, 2)).unwrap();
    std::fs::write(release.join("docs/index.html"), "<h1>boot").unwrap();
    release
}
