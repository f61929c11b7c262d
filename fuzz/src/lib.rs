//! Fuzz targets: functions that take any bytes and must neither panic, nor hang, nor use memory without a bound.
//!
//! - [`TARGETS`] names them; `corpus/<name>/` holds seeds for each: good input of every kind, and what once failed.
//! - `cargo test -p deboot-fuzz` replays the seeds and then a fixed number of mutations of them, the same ones every time.
//! - `cargo xtask fuzz NAME --seconds N` runs libFuzzer, which follows coverage. What it finds belongs into the corpus.
#![forbid(unsafe_code)]

pub mod mutate;
mod tape;
pub mod targets;

pub use targets::TARGETS;

use std::path::{Path, PathBuf};

/// Largest input a target is run on, bytes: several chunks.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Returns the target of this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, run)| *run)
}

/// The directory of a target's seeds.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name)
}

/// Reads the seeds of a target, in the order of their names.
///
/// # Errors
/// The directory is missing or cannot be read.
pub fn seeds(name: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(corpus(name))? {
        let entry = entry?;
        let seed = entry.file_name().to_string_lossy().into_owned();
        seeds.push((seed, std::fs::read(entry.path())?));
    }
    seeds.sort();
    Ok(seeds)
}
