//! Where things lie in the clone and below the target directory.
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Returns the root of the clone.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// Returns cargo's target directory.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // cargo takes a relative one from the directory it is called in; xtask calls it in the root.
        Some(path) => workspace().join(path),
        None => workspace().join("target"),
    }
}

/// Returns a directory for files of this kind below the target directory, made when missing.
///
/// # Errors
/// The directory cannot be made.
pub(crate) fn work(kind: &str) -> Result<PathBuf> {
    make(target().join("xtask").join(kind))
}

/// Returns an empty directory for this run.
///
/// # Errors
/// The directory cannot be emptied or made.
pub(crate) fn fresh(kind: &str) -> Result<PathBuf> {
    let path = target().join("xtask").join(kind);
    if path.exists() {
        std::fs::remove_dir_all(&path)
            .with_context(|| format!("cannot empty {}", path.display()))?;
    }
    make(path)
}

fn make(path: PathBuf) -> Result<PathBuf> {
    std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// Reads a file; the error names it.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
