//! Validates the files an operator writes, with the parsers the firmware uses.
use release::config::{BootConfig, ConfigError};
use release::manifest::{HostConfiguration, MANIFEST_BYTES_MAX, ManifestError};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file that is looked at, bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file that is valid.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    /// A boot configuration.
    BootConfig(Box<BootConfig>),
    /// A host configuration manifest.
    Manifest(Box<HostConfiguration>),
}

/// Why a file is not valid.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is neither kind of file.
    #[error("{}: larger than {FILE_BYTES_MAX} bytes; neither a boot configuration nor a manifest is", .0.display())]
    Size(PathBuf),
    /// Not text.
    #[error("{}: not UTF-8 text at byte {offset}", .path.display())]
    Encoding {
        /// Which.
        path: PathBuf,
        /// First bad byte.
        offset: usize,
    },
    /// A bad boot configuration.
    #[error("{}: {source}", .path.display())]
    Config {
        /// Which.
        path: PathBuf,
        /// What is wrong and where.
        source: ConfigError,
    },
    /// A bad manifest.
    #[error("{}: {source}", .path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// What is wrong and where.
        source: ManifestError,
    },
    /// A manifest over its own limit.
    #[error("{}: {size} bytes; a manifest has at most {MANIFEST_BYTES_MAX}", .path.display())]
    ManifestSize {
        /// Which.
        path: PathBuf,
        /// Its size.
        size: usize,
    },
}

/// Reads and checks `path`: a manifest when its name ends in `.json` or its first character is `{`, else a boot configuration.
///
/// # Errors
/// With line, field and fix, as the parsers of `release` give them.
pub fn check(path: &Path) -> Result<Checked, CheckError> {
    let bytes = read_bounded(path)?;
    if is_json(path, &bytes) {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(CheckError::ManifestSize {
                path: path.to_owned(),
                size: bytes.len(),
            });
        }
        return match HostConfiguration::parse(&bytes) {
            Ok(manifest) => Ok(Checked::Manifest(Box::new(manifest))),
            Err(source) => Err(CheckError::Manifest {
                path: path.to_owned(),
                source,
            }),
        };
    }
    let text = std::str::from_utf8(&bytes).map_err(|e| CheckError::Encoding {
        path: path.to_owned(),
        offset: e.valid_up_to(),
    })?;
    match BootConfig::parse(text) {
        Ok(config) => Ok(Checked::BootConfig(Box::new(config))),
        Err(source) => Err(CheckError::Config {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, CheckError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| CheckError::Read {
            path: path.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CheckError::Size(path.to_owned()));
    }
    Ok(bytes)
}

fn is_json(path: &Path, bytes: &[u8]) -> bool {
    match path.extension().and_then(|e| e.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        _ => bytes.trim_ascii_start().first() == Some(&b'{'),
    }
}
