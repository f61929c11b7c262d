//! Reads everything the check needs from `/proc`, `/sys` and `/etc`, below a root that tests can choose.
use crate::cmdline::{CommandLine, CommandLineError};
use crate::efi::{EfiError, EfiVariables};
use crate::release_file::{ReleaseFile, ReleaseFileError};
use std::path::PathBuf;

/// Where the system is looked at.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
}

/// What the three sources say, not yet compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// What the loader put on the kernel command line.
    pub command_line: CommandLine,
    /// What the loader put into EFI variables; `None` when efivarfs is not mounted.
    pub efi: Option<EfiVariables>,
    /// What the image says it is.
    pub release_file: ReleaseFile,
    /// Kernel uptime, milliseconds.
    pub uptime_ms: u64,
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// `/proc` is not mounted, or its files are not what Linux writes.
    #[error("{path}: {reason}")]
    Proc {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The command line's block is malformed.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
    /// An EFI variable is malformed.
    #[error(transparent)]
    Efi(#[from] EfiError),
    /// The release file is missing or malformed.
    #[error(transparent)]
    ReleaseFile(#[from] ReleaseFileError),
}

impl System {
    /// Looks at the system whose root directory this is: `/`, or a directory of fixtures.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Reads all sources.
    ///
    /// # Errors
    /// [`SourceError`] for the first source that is missing where it must not be, or malformed.
    pub fn read(&self) -> Result<Sources, SourceError> {
        Ok(Sources {
            command_line: CommandLine::parse(&self.proc_file("proc/cmdline")?)?,
            efi: EfiVariables::read(&self.root.join("sys/firmware/efi/efivars"))?,
            release_file: ReleaseFile::read(&self.root)?,
            uptime_ms: self.uptime_ms()?,
        })
    }

    /// Returns how long the kernel has run, milliseconds.
    ///
    /// # Errors
    /// [`SourceError::Proc`] when `/proc/uptime` cannot be read.
    pub fn uptime_ms(&self) -> Result<u64, SourceError> {
        let text = self.proc_file("proc/uptime")?;
        uptime_ms(&text).ok_or_else(|| SourceError::Proc {
            path: self.root.join("proc/uptime").display().to_string(),
            reason: format!("{text:?} does not start with seconds"),
        })
    }

    fn proc_file(&self, path: &str) -> Result<String, SourceError> {
        let path = self.root.join(path);
        std::fs::read_to_string(&path).map_err(|error| SourceError::Proc {
            path: path.display().to_string(),
            reason: error.to_string(),
        })
    }
}

/// Reads `1234.56 999.00`; the kernel writes hundredths of a second.
fn uptime_ms(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_ascii_whitespace().next()?.split_once('.')?;
    let hundredths: u64 = (fraction.len() == 2).then(|| fraction.parse().ok())??;
    let seconds: u64 = seconds.parse().ok()?;
    seconds
        .checked_mul(1000)?
        .checked_add(hundredths.checked_mul(10)?)
}

#[cfg(test)]
mod tests {
    use super::uptime_ms;

    #[test]
    fn uptime_is_seconds_with_hundredths() {
        assert_eq!(uptime_ms("3.07 1.00\n"), Some(3070));
        for illegal in ["", "3", "3.7 1", "x.07", "-1.00", "99999999999999999999.00"] {
            assert_eq!(uptime_ms(illegal), None, "{illegal}");
        }
    }
}
