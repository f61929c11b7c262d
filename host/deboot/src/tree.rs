//! The files below a directory, in a fixed order.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Directories inside each other, at most; deeper ones are a symlink loop or a mistake.
const DEPTH_MAX: usize = 64;

/// One file to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Path inside the directory, `/` between components.
    pub path: String,
    /// Where its bytes are.
    pub source: PathBuf,
    /// Bytes, when it was listed.
    pub size: u64,
}

/// Why a directory cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The operating system refuses.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A name that a directory in Swarm cannot carry.
    #[error("{}: the name is not UTF-8; rename the file", .0.display())]
    Name(PathBuf),
    /// A device, socket, pipe or link to a directory.
    #[error("{}: neither a regular file nor a directory; leave it out or put a copy in its place", .0.display())]
    Kind(PathBuf),
    /// Too deep.
    #[error("{}: more than {DEPTH_MAX} directories deep", .0.display())]
    Depth(PathBuf),
    /// Nothing to publish.
    #[error("{}: the directory holds no file", .0.display())]
    Empty(PathBuf),
}

/// Lists every regular file below `directory`, sorted by path. Links to files are followed, links to directories refused.
///
/// # Errors
/// For anything that cannot be published: nothing is left out silently.
pub fn list(directory: &Path) -> Result<Vec<TreeFile>, TreeError> {
    let mut files = Vec::new();
    walk(directory, "", 0, &mut files)?;
    if files.is_empty() {
        return Err(TreeError::Empty(directory.to_owned()));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<TreeFile>,
) -> Result<(), TreeError> {
    if depth > DEPTH_MAX {
        return Err(TreeError::Depth(directory.to_owned()));
    }
    let fail = |path: &Path, source| TreeError::Io {
        path: path.to_owned(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(|e| fail(directory, e))? {
        let entry = entry.map_err(|e| fail(directory, e))?;
        let source = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(TreeError::Name(source));
        };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(|e| fail(&source, e))?;
        if kind.is_dir() {
            walk(&source, &format!("{path}/"), depth + 1, files)?;
            continue;
        }
        let metadata = fs::metadata(&source).map_err(|e| fail(&source, e))?;
        if !metadata.is_file() {
            return Err(TreeError::Kind(source));
        }
        let size = metadata.len();
        files.push(TreeFile { path, source, size });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_come_sorted_by_whole_path_with_links_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("b")).unwrap();
        for name in ["z", "b/y", "b-x", "a"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink("a", root.join("link")).unwrap();
        let paths: Vec<String> = list(root).unwrap().into_iter().map(|f| f.path).collect();
        assert_eq!(paths, ["a", "b-x", "b/y", "link", "z"]);
    }

    #[test]
    fn what_cannot_be_published_is_an_error_and_never_left_out() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(list(dir.path()), Err(TreeError::Empty(_))));
        fs::write(dir.path().join("a"), "a").unwrap();
        symlink(".", dir.path().join("loop")).unwrap();
        assert!(matches!(list(dir.path()), Err(TreeError::Kind(_))));
        fs::remove_file(dir.path().join("loop")).unwrap();
        symlink("gone", dir.path().join("dangling")).unwrap();
        assert!(matches!(list(dir.path()), Err(TreeError::Io { .. })));
        assert!(matches!(
            list(&dir.path().join("none")),
            Err(TreeError::Io { .. })
        ));
    }
}
