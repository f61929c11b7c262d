//! The release directory: `vmlinuz`, `initramfs.img` and the manifest that pins both.
use crate::kernel::{KernelError, check_kernel};
use content::{Reference, Splitter};
use release::manifest::{Architecture, Artifact, HostConfiguration, MANIFEST_PATH};
use std::path::{Path, PathBuf};

/// File name of the kernel.
pub const KERNEL_PATH: &str = "vmlinuz";
/// File name of the initramfs.
pub const INITRAMFS_PATH: &str = "initramfs.img";

/// What is released.
#[derive(Clone, Debug)]
pub struct Release {
    /// Host or fleet name.
    pub name: String,
    /// Version for people.
    pub version: String,
    /// Only rises.
    pub sequence: u64,
    /// Kernel command line.
    pub cmdline: String,
    /// The kernel, a PE image.
    pub kernel: Vec<u8>,
    /// The initramfs.
    pub initramfs: Vec<u8>,
}

/// Why a release cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// SWFETCH could not start it.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The disk said no.
    #[error("{path}: {error}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
}

/// Writes the release into `directory`, which is made when missing, and returns the manifest.
///
/// # Errors
/// [`ReleaseError`]
pub fn write_release(
    release: &Release,
    directory: &Path,
) -> Result<HostConfiguration, ReleaseError> {
    check_kernel(&release.kernel)?;
    let manifest = HostConfiguration {
        name: release.name.clone(),
        version: release.version.clone(),
        sequence: release.sequence,
        architecture: Architecture::X86_64,
        kernel: artifact(&release.kernel),
        initramfs: vec![artifact(&release.initramfs)],
        cmdline: release.cmdline.clone(),
        update: None,
    };
    std::fs::create_dir_all(directory).map_err(|error| ReleaseError::Write {
        path: directory.to_owned(),
        error,
    })?;
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).map_err(|error| ReleaseError::Write { path, error })
    };
    write(KERNEL_PATH, &release.kernel)?;
    write(INITRAMFS_PATH, &release.initramfs)?;
    // The manifest comes last: a directory that has one is whole.
    write(MANIFEST_PATH, manifest.to_json().as_bytes())?;
    Ok(manifest)
}

fn artifact(bytes: &[u8]) -> Artifact {
    Artifact {
        reference: reference(bytes),
        size: bytes.len().try_into().unwrap_or(u64::MAX),
    }
}

/// Returns the reference under which these bytes will be published.
pub fn reference(bytes: &[u8]) -> Reference {
    let mut splitter = Splitter::new();
    splitter.update(bytes, &mut drop);
    splitter.finish(&mut drop)
}
