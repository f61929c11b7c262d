//! The user's verbs in the order of a boot: publish a release, start a network, make a disk.
use crate::devnet::{Devnet, Plan};
use crate::process::{capture, command};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

/// A release cut into chunks.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Reference of the directory.
    pub(crate) reference: String,
    /// The chunk set.
    pub(crate) chunks: PathBuf,
}

/// `deboot publish DIRECTORY --output CHUNKS`
///
/// # Errors
/// It fails, or prints no reference.
pub(crate) fn publish(deboot: &Path, directory: &Path, chunks: &Path) -> Result<Published> {
    let text = capture(
        command(deboot)
            .args(["publish", "--json"])
            .arg(directory)
            .arg("--output")
            .arg(chunks),
        LIMIT,
    )?;
    let value: serde_json::Value =
        serde_json::from_str(&text).context("deboot publish --json printed no JSON")?;
    let reference = value
        .get("reference")
        .and_then(|v| v.as_str())
        .context("deboot publish printed no reference")?;
    Ok(Published {
        reference: reference.to_owned(),
        chunks: chunks.to_owned(),
    })
}

/// What goes onto a disk that boots from Swarm.
#[derive(Clone, Debug)]
pub(crate) struct Disk<'a> {
    /// The program.
    pub(crate) deboot: &'a Path,
    /// The loader.
    pub(crate) swfetch: &'a Path,
    /// What to boot.
    pub(crate) reference: &'a str,
    /// Where to begin.
    pub(crate) bootnodes: &'a [String],
    /// Which Swarm.
    pub(crate) network_id: u64,
    /// More options of `deboot disk`.
    pub(crate) more: &'a [String],
}

impl Disk<'_> {
    /// `deboot disk --reference REFERENCE … --output DISK`
    ///
    /// # Errors
    /// It fails.
    pub(crate) fn make(&self, disk: &Path) -> Result<()> {
        let mut deboot = command(self.deboot);
        deboot.args([
            "disk",
            "--reference",
            self.reference,
            "--network-id",
            &self.network_id.to_string(),
        ]);
        for bootnode in self.bootnodes {
            deboot.args(["--bootnode", bootnode]);
        }
        deboot
            .args(self.more)
            .arg("--efi")
            .arg(self.swfetch)
            .arg("--output")
            .arg(disk);
        capture(&mut deboot, LIMIT).map(drop)
    }
}

/// Starts a network and makes a disk that boots from it.
///
/// # Errors
/// Either fails.
pub(crate) fn network_and_disk(
    plan: &Plan,
    swfetch: &Path,
    reference: &str,
    more: &[String],
    disk: &Path,
) -> Result<Devnet> {
    let devnet = plan.start()?;
    let bootnodes = [devnet.bootnode.clone()];
    let network_id = devnet.network_id;
    Disk {
        deboot: &plan.deboot,
        swfetch,
        reference,
        bootnodes: &bootnodes,
        network_id,
        more,
    }
    .make(disk)?;
    Ok(devnet)
}
