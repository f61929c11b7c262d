//! Host configuration manifest, version 1: JSON, UTF-8, at most 64 KiB.
use alloc::string::String;
use alloc::vec::Vec;
use content::Reference;

/// Path of the manifest inside a release directory.
pub const MANIFEST_PATH: &str = "host-configuration-manifest.json";
/// Largest manifest, bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// Processor architecture of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`
    X86_64,
    /// `aarch64`
    Aarch64,
}

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// File tree.
    pub reference: Reference,
    /// Bytes.
    pub size: u64,
}

/// Where newer releases are announced.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Update {
    /// `<owner>/<topic>`
    pub feed: Option<String>,
    /// ENS name.
    pub ens: Option<String>,
}

/// A valid manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfiguration {
    /// Host or fleet name.
    pub name: String,
    /// Version for people.
    pub version: String,
    /// Only rises.
    pub sequence: u64,
    /// Architecture of the kernel.
    pub architecture: Architecture,
    /// Linux kernel, a PE image with the EFI stub.
    pub kernel: Artifact,
    /// initramfs archives, in order.
    pub initramfs: Vec<Artifact>,
    /// Kernel command line.
    pub cmdline: String,
    /// Where newer releases are announced.
    pub update: Option<Update>,
}

/// Why a manifest is refused. (The owner of this crate replaces this with one variant per cause, each with line, field and fix.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad manifest")]
pub struct ManifestError;

impl HostConfiguration {
    /// Parses and checks a manifest.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        let _ = json;
        todo!()
    }
    /// Writes the manifest in its canonical form (two-space indent, fields in the order of the specification, newline at the end).
    pub fn to_json(&self) -> String {
        todo!()
    }
}
