//! A release in which one file of the initramfs changed: how many chunks does a machine need that has the release before?
use super::{Bench, Measure, Target};
use crate::image::{self, CMDLINE};
use crate::packages;
use crate::paths::read;
use crate::process::{capture, command};
use crate::{programs, stage};
use anyhow::{Context, Result};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);
const CHUNK_BYTES: usize = 4096;
/// Chunks of all that may be new beside those of the changed file: its header, what refers to chunks, manifest, directory.
const SHARE: f64 = 0.01;

/// Publishes the demonstration's release, and one with another `debootd`, and counts.
///
/// # Errors
/// A release cannot be built or published.
pub(super) fn measure(bench: &Bench) -> Result<Measure> {
    println!("Publishing a release in which one file of the initramfs changed");
    let before = bench.directory.join("before.tar");
    stage::publish(&bench.deboot, &bench.release.directory, &before)?;
    // Every page of the file differs, and its size is the same; that a file which grows moves the others by whole pages is tested
    // where archives are written.
    let mut debootd = read(&programs::debootd()?)?;
    let pages = debootd.len().div_ceil(CHUNK_BYTES);
    for byte in debootd
        .iter_mut()
        .skip(CHUNK_BYTES / 2)
        .step_by(CHUNK_BYTES)
    {
        *byte = byte.wrapping_add(1);
    }
    let changed = bench.directory.join("debootd");
    std::fs::write(&changed, debootd)?;
    let directory = bench.directory.join("after");
    std::fs::create_dir_all(&directory)?;
    let (kernel, busybox) = (packages::kernel()?, packages::busybox()?);
    image::build_from(&kernel, &busybox, &changed, &directory, CMDLINE)?;
    let mut deboot = command(&bench.deboot);
    deboot
        .args(["publish", "--json", "--previous"])
        .arg(&before)
        .arg(&directory);
    let text = capture(
        deboot
            .arg("--output")
            .arg(bench.directory.join("after.tar")),
        LIMIT,
    )?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let number = |pointer: &str| {
        let value = value.pointer(pointer).and_then(serde_json::Value::as_f64);
        value.with_context(|| format!("deboot publish --previous printed no {pointer}"))
    };
    let (new, all) = (number("/previous/new")?, number("/chunks")?);
    let limit = pages as f64 + SHARE * all;
    Ok(Measure {
        name: "update of one file of the initramfs".to_owned(),
        ours: format!("{new} of {all} chunks"),
        other: format!("{pages} of the file + 1 %"),
        ratio: new / limit,
        target: Target::AtMost(1.0),
    })
}
