//! Puts the demonstration image together: packages and programs in, a release directory out.
use crate::packages::{self, Kernel};
use crate::paths::{self, read};
use crate::programs;
use anyhow::{Context, Result};
use image::{Initramfs, Release, write_release};
use std::path::{Path, PathBuf};

/// Name in the manifest.
pub(crate) const NAME: &str = "deboot-demo";
/// Version in the manifest.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Sequence in the manifest.
pub(crate) const SEQUENCE: u64 = 1;
/// Kernel command line: everything on the serial port, from the first line on; a panic restarts, which ends QEMU.
pub(crate) const CMDLINE: &str =
    "console=ttyS0 earlycon=uart8250,io,0x3f8,115200 loglevel=5 panic=-1";

/// A release directory on disk, and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// Where it lies.
    pub(crate) directory: PathBuf,
    /// `uname -r`
    pub(crate) kernel_release: String,
    /// Bytes of the kernel.
    pub(crate) kernel_bytes: u64,
    /// Bytes of the initramfs.
    pub(crate) initramfs_bytes: u64,
}

/// Builds the release and writes it into `directory`.
///
/// # Errors
/// A package or program cannot be had, or the parts do not fit.
pub(crate) fn build(directory: &Path, cmdline: &str) -> Result<Built> {
    let kernel = packages::kernel()?;
    let busybox = packages::busybox()?;
    let debootd = programs::debootd()?;
    build_from(&kernel, &busybox, &debootd, directory, cmdline)
}

/// Builds a release from these parts.
///
/// # Errors
/// A file cannot be read, or the parts do not fit.
pub(crate) fn build_from(
    kernel: &Kernel,
    busybox: &Path,
    debootd: &Path,
    directory: &Path,
    cmdline: &str,
) -> Result<Built> {
    let initramfs = initramfs(kernel, busybox, debootd)?;
    let release = Release {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        sequence: SEQUENCE,
        cmdline: cmdline.to_owned(),
        kernel: read(&kernel.image)?,
        initramfs,
    };
    let manifest = write_release(&release, directory)?;
    let initramfs = manifest
        .initramfs
        .first()
        .context("a manifest without initramfs")?;
    Ok(Built {
        directory: directory.to_owned(),
        kernel_release: kernel.release.clone(),
        kernel_bytes: manifest.kernel.size,
        initramfs_bytes: initramfs.size,
    })
}

/// Builds the release of the demonstration.
///
/// # Errors
/// As [`build`].
pub(crate) fn demo() -> Result<Built> {
    build(&paths::work("release")?, CMDLINE)
}

/// Returns the bytes of the initramfs.
///
/// # Errors
/// A file cannot be read, or the parts do not fit.
pub(crate) fn initramfs(kernel: &Kernel, busybox: &Path, debootd: &Path) -> Result<Vec<u8>> {
    let modules: Result<Vec<_>> = kernel
        .modules
        .iter()
        .map(|(name, path)| Ok((name.clone(), read(path)?)))
        .collect();
    let initramfs = Initramfs {
        busybox: read(busybox)?,
        debootd: read(debootd)?,
        modules: modules?,
        kernel_release: kernel.release.clone(),
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        sequence: SEQUENCE,
    };
    Ok(initramfs.build()?)
}
