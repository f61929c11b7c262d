//! Writes cpio archives of the `newc` form, the one Linux unpacks as initramfs.
//!
//! Entries are sorted by path, which puts a directory before what is in it; owner is root, time is zero, and inode numbers count
//! up from one, so an archive depends on nothing but its entries.
// SPEC Linux Documentation/driver-api/early-userspace/buffer-format.rst
use std::collections::BTreeMap;

/// Largest file, bytes: sizes are eight hexadecimal digits, and Linux reads them as 32 bits.
pub const FILE_BYTES_MAX: usize = u32::MAX as usize;
const TRAILER: &str = "TRAILER!!!";
/// Headers and data start at multiples of this.
const ALIGNMENT: usize = 4;

const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_CHARACTER_DEVICE: u32 = 0o020_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File { mode: u32, bytes: Vec<u8> },
    Symlink { target: String },
    CharacterDevice { mode: u32, major: u32, minor: u32 },
}

/// Why an entry is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpioError {
    /// Empty, absolute, with `.`, `..` or empty parts, or with a NUL.
    #[error("path {0:?} is not a plain relative path")]
    Path(String),
    /// Something else lies there already.
    #[error("path {0:?} is in the archive twice, or is a file and a directory")]
    Twice(String),
    /// See [`FILE_BYTES_MAX`].
    #[error("file {path:?} has {bytes} bytes, more than {FILE_BYTES_MAX}")]
    Size {
        /// Which file.
        path: String,
        /// Its size.
        bytes: usize,
    },
}

/// An archive being put together.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds a directory and those above it; one that is there already is left as it is.
    ///
    /// # Errors
    /// [`CpioError`]
    pub fn directory(&mut self, path: &str) -> Result<(), CpioError> {
        check_path(path)?;
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let part = path.get(..end).unwrap_or(path);
            match self.nodes.entry(part.to_owned()).or_insert(Node::Directory) {
                Node::Directory => {}
                _ => return Err(CpioError::Twice(part.to_owned())),
            }
        }
        Ok(())
    }

    /// Adds a file with these permission bits.
    ///
    /// # Errors
    /// [`CpioError`]
    pub fn file(&mut self, path: &str, mode: u32, bytes: Vec<u8>) -> Result<(), CpioError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(CpioError::Size {
                path: path.to_owned(),
                bytes: bytes.len(),
            });
        }
        self.add(path, Node::File { mode, bytes })
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// [`CpioError`]
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), CpioError> {
        self.add(
            path,
            Node::Symlink {
                target: target.to_owned(),
            },
        )
    }

    /// Adds a character device.
    ///
    /// # Errors
    /// [`CpioError`]
    pub fn character_device(
        &mut self,
        path: &str,
        mode: u32,
        major: u32,
        minor: u32,
    ) -> Result<(), CpioError> {
        self.add(path, Node::CharacterDevice { mode, major, minor })
    }

    fn add(&mut self, path: &str, node: Node) -> Result<(), CpioError> {
        check_path(path)?;
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.directory(directory)?;
        }
        match self.nodes.insert(path.to_owned(), node) {
            None => Ok(()),
            Some(_) => Err(CpioError::Twice(path.to_owned())),
        }
    }

    /// Writes the archive.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut inode = 0;
        for (path, node) in &self.nodes {
            inode += 1;
            let (mode, links, data, device) = match node {
                Node::Directory => (TYPE_DIRECTORY | 0o755, 2, &[][..], (0, 0)),
                Node::File { mode, bytes } => (TYPE_FILE | mode, 1, &bytes[..], (0, 0)),
                Node::Symlink { target } => (TYPE_SYMLINK | 0o777, 1, target.as_bytes(), (0, 0)),
                Node::CharacterDevice { mode, major, minor } => {
                    (TYPE_CHARACTER_DEVICE | mode, 1, &[][..], (*major, *minor))
                }
            };
            entry(&mut out, path, [inode, mode, links], data, device);
        }
        entry(&mut out, TRAILER, [0, 0, 1], &[], (0, 0));
        out
    }
}

fn check_path(path: &str) -> Result<(), CpioError> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if path.split('/').all(plain) && path != TRAILER {
        Ok(())
    } else {
        Err(CpioError::Path(path.to_owned()))
    }
}

fn entry(
    out: &mut Vec<u8>,
    path: &str,
    [inode, mode, links]: [u32; 3],
    data: &[u8],
    device: (u32, u32),
) {
    let size = |n: usize| u32::try_from(n).expect("sizes are checked when an entry is added");
    // magic, then: ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    let fields = [
        inode,
        mode,
        0,
        0,
        links,
        0,
        size(data.len()),
        0,
        0,
        device.0,
        device.1,
        size(path.len() + 1),
        0,
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

#[cfg(test)]
mod tests;
