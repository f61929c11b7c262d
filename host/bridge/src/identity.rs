//! The bridge's identity: a file that only its owner may read.
use libp2p::identity::Keypair;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}: this is no libp2p key; move it away to get a new identity", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error("{}: others may read this key (mode {mode:o}); chmod 600 it", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Reads the identity from `path`, or makes a new one (Ed25519) and writes it there.
///
/// # Errors
/// The file cannot be read or written, holds something else, or others may read it.
pub fn load(path: &Path) -> Result<Keypair, IdentityError> {
    let failed = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::read(path) {
        Ok(bytes) => {
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                let path = path.to_owned();
                return Err(IdentityError::Open { path, mode });
            }
            Keypair::from_protobuf_encoding(&bytes).map_err(|_| IdentityError::Damaged {
                path: path.to_owned(),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let keypair = Keypair::generate_ed25519();
            write(path, &keypair).map_err(failed)?;
            Ok(keypair)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write(path: &Path, keypair: &Keypair) -> io::Result<()> {
    let bytes = keypair.to_protobuf_encoding().map_err(io::Error::other)?;
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/identity");
        let first = load(&path).unwrap().public();
        assert_eq!(load(&path).unwrap().public(), first);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(&path), Err(IdentityError::Open { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"nonsense").unwrap();
        assert!(matches!(load(&path), Err(IdentityError::Damaged { .. })));
    }
}
