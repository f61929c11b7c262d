//! Makes bootable disks: a GPT with one EFI system partition (FAT32), as a plain file.
//!
//! No root, no mounts, no loop devices, and no randomness: GUIDs, serial number and times derive from the content, so the same
//! input gives the same disk, bit for bit.
mod config_text;
mod image;
mod window;

use crate::output::{OutputError, OutputFile};
use crate::pe::{self, PeError};
use release::config::{BootConfig, CONFIG_PATH, ConfigError};
use release::manifest::Architecture;
use std::path::{Path, PathBuf};

pub use config_text::{ConfigText, ConfigTextError, parse_static_address};

const MIB: u64 = 1024 * 1024;
/// Smallest disk: FAT32 needs 65525 clusters, and firmware expects FAT32 on a disk.
pub const DISK_BYTES_MIN: u64 = 40 * MIB;
/// Size when none is asked for and the content is small.
pub const DISK_BYTES_DEFAULT: u64 = 64 * MIB;

/// What goes onto a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// EFI application that the firmware starts.
    pub efi: PathBuf,
    /// Text of `EFI/deboot/deboot.toml`, checked before it is written; `None` for disks that boot something else.
    pub config: Option<String>,
    /// More files: local path, path on the partition.
    pub add: Vec<(PathBuf, String)>,
    /// Size of the disk in bytes; `None`: what fits, at least 64 MiB.
    pub size: Option<u64>,
}

/// A disk that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Bytes of the whole disk.
    pub bytes: u64,
    /// GUID of the disk.
    pub disk_guid: uuid::Uuid,
    /// GUID of the partition.
    pub partition_guid: uuid::Uuid,
    /// Paths on the partition, with sizes.
    pub files: Vec<(String, u64)>,
}

/// Why a disk cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Not something firmware can start.
    #[error("{}: {source}", .path.display())]
    Efi {
        /// Which.
        path: PathBuf,
        /// What it is.
        source: PeError,
    },
    /// The firmware would refuse the configuration.
    #[error("{CONFIG_PATH}: {0}")]
    Config(ConfigError),
    /// A path FAT cannot hold.
    #[error("path on the partition {path:?}: {problem}")]
    Path {
        /// Which.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two files on one path.
    #[error("path on the partition {0:?} is taken twice (case does not count on FAT)")]
    PathTwice(String),
    /// Too small.
    #[error("a disk of {size} bytes is too small: this content needs {needed}")]
    TooSmall {
        /// Asked for.
        size: u64,
        /// Needed.
        needed: u64,
    },
    /// The image cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The target is a device or a pipe.
    #[error("{}: not a regular file; make the image in a file and copy it to the device", .0.display())]
    NotAFile(PathBuf),
    /// The partition table cannot be made.
    #[error("partition table: {0}")]
    Table(#[from] gpt::GptError),
    /// The file system cannot be made.
    #[error("file system: {0}")]
    FileSystem(std::io::Error),
}

/// Makes a disk.
///
/// # Errors
/// See [`DiskError`]; `output` is then untouched.
pub fn make(contents: &Contents, output: &Path) -> Result<Made, DiskError> {
    let files = read_files(contents)?;
    let needed = image::disk_bytes_needed(&files);
    let size = match contents.size {
        Some(size) if size < needed => return Err(DiskError::TooSmall { size, needed }),
        Some(size) => size / 512 * 512,
        None => needed.max(DISK_BYTES_DEFAULT),
    };
    let mut file = if contents.config.as_deref().is_some_and(holds_key) {
        OutputFile::create_secret(output)?
    } else {
        OutputFile::create(output)?
    };
    if !file.is_regular() {
        return Err(DiskError::NotAFile(output.to_owned()));
    }
    let made = image::write(&mut file, &files, size)?;
    file.commit()?;
    Ok(made)
}

/// Says whether a configuration has a reference of 128 digits: the second half is the key of what it names.
fn holds_key(config: &str) -> bool {
    let mut words = config.split(|c: char| !c.is_ascii_hexdigit());
    words.any(|digits| digits.len() >= 128)
}

/// A file for the partition, in memory: loaders and their configuration are small.
pub(crate) struct EspFile {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

fn read_files(contents: &Contents) -> Result<Vec<EspFile>, DiskError> {
    let efi = read(&contents.efi)?;
    let architecture = pe::efi_application(&efi).map_err(|source| DiskError::Efi {
        path: contents.efi.clone(),
        source,
    })?;
    // SPEC UEFI 3.5.1.1: the removable media boot path.
    let path = match architecture {
        Architecture::X86_64 => "EFI/BOOT/BOOTX64.EFI",
        Architecture::Aarch64 => "EFI/BOOT/BOOTAA64.EFI",
    };
    let mut files = vec![EspFile {
        path: path.to_owned(),
        bytes: efi,
    }];
    if let Some(text) = &contents.config {
        BootConfig::parse(text).map_err(DiskError::Config)?;
        files.push(EspFile {
            path: CONFIG_PATH.to_owned(),
            bytes: text.clone().into_bytes(),
        });
    }
    for (source, path) in &contents.add {
        check_path(path)?;
        files.push(EspFile {
            path: path.clone(),
            bytes: read(source)?,
        });
    }
    for (i, file) in files.iter().enumerate() {
        let taken = |other: &EspFile| other.path.eq_ignore_ascii_case(&file.path);
        if files.iter().take(i).any(taken) {
            return Err(DiskError::PathTwice(file.path.clone()));
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, DiskError> {
    std::fs::read(path).map_err(|source| DiskError::Read {
        path: path.to_owned(),
        source,
    })
}

fn check_path(path: &str) -> Result<(), DiskError> {
    let problem = |problem| {
        Err(DiskError::Path {
            path: path.to_owned(),
            problem,
        })
    };
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return problem(
                "write it without leading, doubled or trailing slashes and without . or ..",
            );
        }
        if part.len() > 255 {
            return problem("a name has more than 255 bytes");
        }
        if part.contains(|c: char| c.is_control() || "\"*:<>?\\|".contains(c)) {
            return problem("FAT names cannot have control characters or any of \" * : < > ? \\ |");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
