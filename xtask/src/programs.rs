//! Builds the programs that the other verbs use.
use crate::paths::{target, workspace};
use crate::process::{capture, cargo, command, find, run};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);
const QUICK: Duration = Duration::from_secs(60);

/// Target of SWFETCH.
pub(crate) const UEFI: &str = "x86_64-unknown-uefi";
/// Target of the program in the image.
pub(crate) const MUSL: &str = "x86_64-unknown-linux-musl";

/// Sees to it that rustc has the standard library for these targets.
///
/// # Errors
/// A target is missing and rustup cannot add it.
pub(crate) fn ensure_targets(targets: &[&str]) -> Result<()> {
    let mut missing = Vec::new();
    for name in targets {
        let print = ["--print", "target-libdir", "--target", name];
        let directory = capture(command("rustc").args(print).current_dir(workspace()), QUICK)?;
        if !Path::new(directory.trim()).is_dir() {
            missing.push(*name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if find("rustup").is_none() {
        bail!(
            "rustc has no standard library for {}, and there is no rustup to add it",
            missing.join(", ")
        );
    }
    println!(
        "Adding Rust targets: rustup target add {}",
        missing.join(" ")
    );
    run(
        command("rustup")
            .args(["target", "add"])
            .args(&missing)
            .current_dir(workspace()),
        BUILD_LIMIT,
    )
}

/// Builds SWFETCH.EFI as it is released and returns its path.
///
/// # Errors
/// It does not build.
pub(crate) fn swfetch() -> Result<PathBuf> {
    ensure_targets(&[UEFI])?;
    build(cargo().args([
        "build",
        "--quiet",
        "--package",
        "swfetch",
        "--profile",
        "firmware",
        "--target",
        UEFI,
    ]))?;
    existing(target().join(UEFI).join("firmware/swfetch.efi"))
}

/// Builds a host program whose binary has the name of its package, and returns its path.
///
/// The dev profile optimises dependencies and hashing, so measurements with it are fair, and one build serves all verbs.
///
/// # Errors
/// It does not build.
pub(crate) fn host(package: &str) -> Result<PathBuf> {
    build(cargo().args(["build", "--quiet", "--package", package]))?;
    existing(target().join("debug").join(package))
}

/// Builds an example of a package, and returns its path.
///
/// # Errors
/// It does not build.
pub(crate) fn example(package: &str, name: &str) -> Result<PathBuf> {
    build(cargo().args(["build", "--quiet", "--package", package, "--example", name]))?;
    existing(target().join("debug/examples").join(name))
}

/// Builds a static `debootd` for the image and returns its path.
///
/// # Errors
/// It does not build.
pub(crate) fn debootd() -> Result<PathBuf> {
    debootd_in(workspace(), &target().join("image"))
}

/// Builds `debootd` from the clone at `root`, with a target directory of its own.
///
/// Paths are cut down to what is the same everywhere, and the linker writes no build id, so that equal sources give equal bytes.
///
/// # Errors
/// It does not build.
pub(crate) fn debootd_in(root: &Path, target: &Path) -> Result<PathBuf> {
    ensure_targets(&[MUSL])?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let sysroot = capture(
        command("rustc")
            .args(["--print", "sysroot"])
            .current_dir(root),
        QUICK,
    )?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        remap(root, "/deboot"),
        remap(&home, "/cargo"),
        remap(Path::new(sysroot.trim()), "/rust"),
        "-Clink-arg=-Wl,--build-id=none".to_owned(),
    ];
    let mut cargo = cargo();
    cargo.current_dir(root).args([
        "build",
        "--quiet",
        "--package",
        "debootd",
        "--profile",
        "image",
        "--target",
        MUSL,
    ]);
    cargo.arg("--target-dir").arg(target);
    // Separated by 0x1f, so that paths may have spaces.
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTFLAGS");
    build(&mut cargo)?;
    existing(target.join(MUSL).join("image/debootd"))
}

fn build(command: &mut Command) -> Result<()> {
    println!("Building: {}", crate::process::display(command));
    run(command, BUILD_LIMIT)
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() {
        Ok(path)
    } else {
        bail!("cargo built no {}", path.display())
    }
}
