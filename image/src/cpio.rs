//! Writes cpio archives of the `newc` form, the one Linux unpacks as initramfs.
//!
//! Owner is root, time is zero, and inode numbers come from paths, so an archive depends on nothing but its entries.
//!
//! **A small change stays small.** Swarm cuts an archive into pieces of 4096 bytes and keeps equal pieces once. So whatever has no
//! bytes of its own (directories, links, devices) comes first, and every file's bytes begin at a multiple of 4096: a file that changes
//! costs its own pieces and the one with its header, and a file that grows moves the others by whole pieces. The room before the bytes
//! is filled by NULs behind the name, which every reader of the format takes for the end of the name. Nothing is compressed: one
//! changed byte would change all that follows. Inside both parts entries are sorted by path, a directory before what is in it.
// SPEC Linux Documentation/driver-api/early-userspace/buffer-format.rst
use std::collections::BTreeMap;

/// Largest file, bytes: sizes are eight hexadecimal digits, and Linux reads them as 32 bits.
pub const FILE_BYTES_MAX: usize = u32::MAX as usize;
/// Longest path, bytes. With it there is always a way to let a file's bytes begin at a page.
pub const PATH_BYTES_MAX: usize = 1024;
const TRAILER: &str = "TRAILER!!!";
/// Headers start at multiples of this.
const ALIGNMENT: usize = 4;
/// Bytes of files start at multiples of this: the payload of a Swarm chunk.
pub const PAGE_BYTES: usize = 4096;
const HEADER_BYTES: usize = 110;
/// Longest name with its NULs. SPEC Linux init/initramfs.c do_header: entries with longer ones (PATH_MAX) are skipped.
const NAME_BYTES_MAX: usize = 4096;

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
    /// See [`PATH_BYTES_MAX`].
    #[error("path {0:?} has more than {PATH_BYTES_MAX} bytes")]
    Long(String),
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
        for (path, node) in &self.nodes {
            let (mode, links, data, device) = match node {
                Node::Directory => (TYPE_DIRECTORY | 0o755, 2, &[][..], (0, 0)),
                Node::File { mode, bytes } if bytes.is_empty() => {
                    (TYPE_FILE | mode, 1, &[][..], (0, 0))
                }
                Node::File { .. } => continue,
                Node::Symlink { target } => (TYPE_SYMLINK | 0o777, 1, target.as_bytes(), (0, 0)),
                Node::CharacterDevice { mode, major, minor } => {
                    (TYPE_CHARACTER_DEVICE | mode, 1, &[][..], (*major, *minor))
                }
            };
            let name_bytes = path.len() + 1;
            entry(
                &mut out,
                (path, name_bytes),
                [inode(path), mode, links],
                data,
                device,
            );
        }
        for (path, node) in &self.nodes {
            if let Node::File { mode, bytes } = node
                && !bytes.is_empty()
            {
                let name_bytes = align_data(&mut out, path);
                let mode = TYPE_FILE | mode;
                entry(
                    &mut out,
                    (path, name_bytes),
                    [inode(path), mode, 1],
                    bytes,
                    (0, 0),
                );
            }
        }
        entry(
            &mut out,
            (TRAILER, TRAILER.len() + 1),
            [0, 0, 1],
            &[],
            (0, 0),
        );
        out
    }
}

/// Returns how long the name of a file must be for its bytes to begin at a page.
fn align_data(out: &mut Vec<u8>, path: &str) -> usize {
    loop {
        let least = out.len() + HEADER_BYTES + path.len() + 1;
        let name_bytes = least.next_multiple_of(PAGE_BYTES) - out.len() - HEADER_BYTES;
        if name_bytes <= NAME_BYTES_MAX {
            return name_bytes;
        }
        // The name would just not fit before the end of this page, and reaching to the end of the next one it would be too long.
        // Saying the file's directory again changes nothing and takes room, less than the longest name leaves.
        let directory = path
            .rsplit_once('/')
            .map_or(".", |(directory, _)| directory);
        let mode = TYPE_DIRECTORY | 0o755;
        let name_bytes = directory.len() + 1;
        entry(
            out,
            (directory, name_bytes),
            [inode(directory), mode, 2],
            &[],
            (0, 0),
        );
    }
}

/// Returns a number that depends on the path alone, so that a new file does not change the others' headers. Linux looks at it only
/// where a file has several names, and none has here.
fn inode(path: &str) -> u32 {
    // SPEC FNV-1a, 32 bits.
    let mix = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    path.bytes().fold(0x811c_9dc5, mix)
}

fn check_path(path: &str) -> Result<(), CpioError> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if path.len() > PATH_BYTES_MAX {
        return Err(CpioError::Long(path.to_owned()));
    }
    if path.split('/').all(plain) && path != TRAILER {
        Ok(())
    } else {
        Err(CpioError::Path(path.to_owned()))
    }
}

fn entry(
    out: &mut Vec<u8>,
    (path, name_bytes): (&str, usize),
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
        size(name_bytes),
        0,
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.resize(out.len() + name_bytes - path.len(), 0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

#[cfg(test)]
mod tests;
