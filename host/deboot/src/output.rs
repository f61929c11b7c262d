//! Files that appear whole or not at all.
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", .path.display())]
pub struct OutputError {
    /// Which.
    pub path: PathBuf,
    /// What the operating system says.
    pub source: io::Error,
}

/// A file being written: a temporary file beside the target, renamed onto it by [`commit`](Self::commit) and removed otherwise.
///
/// A target that exists and is not a regular file (a device, a pipe) is written directly: renaming onto it would replace it.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Regular(NamedTempFile),
    Special(File),
}

impl OutputFile {
    /// Starts writing what will become `path`.
    ///
    /// # Errors
    /// When the file cannot be made there.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        Self::with_mode(path, 0o666)
    }

    /// Starts writing what only its owner shall read, because it holds a key.
    ///
    /// # Errors
    /// When the file cannot be made there.
    pub fn create_secret(path: &Path) -> Result<Self, OutputError> {
        Self::with_mode(path, 0o600)
    }

    fn with_mode(path: &Path, mode: u32) -> Result<Self, OutputError> {
        let fail = |source| OutputError {
            path: path.to_owned(),
            source,
        };
        let special = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(fail(io::ErrorKind::IsADirectory.into()));
            }
            Ok(metadata) => !metadata.is_file(),
            Err(_) => false,
        };
        let kind = if special {
            let file = OpenOptions::new().write(true).open(path).map_err(fail)?;
            Kind::Special(file)
        } else {
            let directory = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            let file = tempfile::Builder::new()
                .prefix(".deboot-")
                .permissions(std::fs::Permissions::from_mode(mode))
                .tempfile_in(directory)
                .map_err(fail)?;
            Kind::Regular(file)
        };
        Ok(Self {
            path: path.to_owned(),
            kind,
        })
    }

    /// Says whether the file can be written at any offset and read back.
    pub fn is_regular(&self) -> bool {
        matches!(self.kind, Kind::Regular(_))
    }

    /// The open file.
    pub fn file(&self) -> &File {
        match &self.kind {
            Kind::Regular(file) => file.as_file(),
            Kind::Special(file) => file,
        }
    }

    /// Makes the error of this file.
    pub fn error(&self, source: io::Error) -> OutputError {
        OutputError {
            path: self.path.clone(),
            source,
        }
    }

    /// Puts the finished file in its place.
    ///
    /// # Errors
    /// When the bytes do not reach the disk or the rename fails; the old file is then still there.
    pub fn commit(self) -> Result<(), OutputError> {
        match self.kind {
            Kind::Regular(file) => {
                let path = self.path;
                let fail = |source| OutputError {
                    path: path.clone(),
                    source,
                };
                file.as_file().sync_all().map_err(fail)?;
                file.persist(&path).map_err(|e| fail(e.error))?;
            }
            // Devices and pipes have nothing to rename, and most cannot be synchronised.
            Kind::Special(_) => {}
        }
        Ok(())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Read for OutputFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file().read(buffer)
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.file().seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_appears_without_commit_and_the_old_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let mut output = OutputFile::create(&path).unwrap();
        output.write_all(b"new").unwrap();
        drop(output);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        let mut output = OutputFile::create(&path).unwrap();
        output.write_all(b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_device_is_written_and_not_replaced() {
        let mut output = OutputFile::create(Path::new("/dev/full")).unwrap();
        assert!(!output.is_regular());
        let error = output.write(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(std::fs::metadata("/dev/full").is_ok_and(|m| !m.is_file()));
    }

    #[test]
    fn a_directory_is_no_target() {
        let dir = tempfile::tempdir().unwrap();
        let error = OutputFile::create(dir.path()).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::IsADirectory);
    }
}
