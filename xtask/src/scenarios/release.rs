//! The releases that the boots ask for.
mod names;

use super::Content;
use crate::chunk_set::{ChunkSet, addresses};
use crate::image::{Built, NAME, VERSION};
use crate::paths::read;
use crate::stage;
use anyhow::{Context, Result};
use content::Reference;
use release::manifest::{Architecture, Artifact, HostConfiguration, MANIFEST_PATH};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Kernels that are never started have this many bytes.
const SHORT_KERNEL_BYTES: usize = 256 * 1024;
/// A reference that nothing has.
const NOTHING: &str = "deb0070000000000000000000000000000000000000000000000000000000000";

/// One release.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The line of `deboot.toml` that names it.
    pub(crate) line: String,
    /// What the booted system must report: 64 digits.
    pub(crate) reference: String,
    /// Its chunk set.
    pub(crate) chunks: PathBuf,
}

impl Published {
    /// A release named by its reference; the key of an encrypted one is not reported.
    fn by_reference(reference: &str, chunks: &Path) -> Self {
        Self {
            line: format!("reference = \"{reference}\""),
            reference: reference.chars().take(64).collect(),
            chunks: chunks.to_owned(),
        }
    }
}

/// All releases, published once for all boots.
#[derive(Clone, Debug)]
pub(crate) struct Releases {
    by_content: BTreeMap<Content, Published>,
    /// Address of a chunk in the middle of the good kernel.
    pub(crate) middle_chunk: String,
}

impl Releases {
    /// Publishes them below `directory`.
    ///
    /// # Errors
    /// A file cannot be read or written, or `deboot publish` fails.
    pub(crate) fn publish(deboot: &Path, good: &Built, directory: &Path) -> Result<Self> {
        let kernel = read(&good.directory.join(image::release_directory::KERNEL_PATH))?;
        let chunks = addresses(&kernel);
        let middle_chunk = chunks
            .get(chunks.len() / 2)
            .context("a kernel without chunks")?
            .clone();
        let set = directory.join("good.tar");
        let published = stage::publish(deboot, &good.directory, &set)?;
        let mut by_content = BTreeMap::new();
        let by_reference = |reference: &str| Published::by_reference(reference, &set);
        by_content.insert(Content::Good, by_reference(&published.reference));
        by_content.insert(Content::WrongReference, by_reference(NOTHING));
        for content in names::CONTENTS {
            let set = directory.join(format!("{content:?}.tar"));
            by_content.insert(content, names::publish(content, good, set)?);
        }
        let short = kernel
            .get(..SHORT_KERNEL_BYTES)
            .context("a kernel of less than 256 KiB")?;
        for content in [
            Content::GarbageManifest,
            Content::NoManifest,
            Content::MissingFile,
            Content::WrongSize,
            Content::WrongArchitecture,
            Content::NotAKernel,
        ] {
            let set = directory.join(format!("{content:?}.tar"));
            let reference = bad(content, short, &set)?;
            by_content.insert(content, Published::by_reference(&reference, &set));
        }
        Ok(Self {
            by_content,
            middle_chunk,
        })
    }

    /// Returns what to ask for.
    ///
    /// # Errors
    /// Never for contents that [`publish`](Self::publish) knows.
    pub(crate) fn find(&self, content: Content) -> Result<&Published> {
        self.by_content
            .get(&content)
            .with_context(|| format!("no release {content:?}"))
    }
}

/// Publishes one bad release and returns the reference of its directory.
fn bad(content: Content, short_kernel: &[u8], path: &Path) -> Result<String> {
    let mut set = ChunkSet::default();
    let text = b"#!/bin/sh\n# not a kernel\n".repeat(400);
    let kernel = if content == Content::NotAKernel {
        &text
    } else {
        short_kernel
    };
    let artifact = |reference: Reference, bytes: &[u8]| Artifact {
        reference,
        size: bytes.len() as u64,
    };
    let initramfs = b"initramfs".repeat(1000);
    let mut manifest = HostConfiguration {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        sequence: 1,
        architecture: Architecture::X86_64,
        kernel: artifact(set.add("vmlinuz", kernel), kernel),
        initramfs: vec![artifact(set.add("initramfs.img", &initramfs), &initramfs)],
        cmdline: "console=ttyS0".to_owned(),
        update: None,
    };
    match content {
        Content::MissingFile => manifest.kernel.reference = NOTHING.parse()?,
        Content::WrongSize => manifest.kernel.size += 1,
        Content::WrongArchitecture => manifest.architecture = Architecture::Aarch64,
        _ => {}
    }
    match content {
        Content::NoManifest => {}
        Content::GarbageManifest => drop(set.add(MANIFEST_PATH, b"{ \"schema\": this is not JSON")),
        _ => drop(set.add(MANIFEST_PATH, manifest.to_json().as_bytes())),
    }
    set.write(path)
}
