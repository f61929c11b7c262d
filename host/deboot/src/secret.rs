//! Secrets in files: readable by their owner alone, made once.
use bmt::SecretKey;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const SECRET_FILE: &str = "encryption-secret";
/// Largest key file that is read.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// What the keys of encrypted content are made from.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The operating system refuses.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{}: others may read this key (mode {mode:03o}); chmod 600 it, and make a new one if they did", .path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something else.
    #[error("{}: not a key: write 64 hexadecimal digits, or make one with `deboot feed key FILE --new`", .0.display())]
    Form(PathBuf),
    /// A keystore.
    #[error("{}: an encrypted keystore; export the key itself as 64 hexadecimal digits into a file of mode 600", .0.display())]
    Keystore(PathBuf),
}

/// Reads the secret of this machine from the state directory, or makes it.
///
/// # Errors
/// [`SecretError`]
pub fn machine_secret(state: &Path) -> Result<Secret, SecretError> {
    let path = state.join(SECRET_FILE);
    let fail = |source| SecretError::Io {
        path: path.clone(),
        source,
    };
    if !path.exists() {
        fs::create_dir_all(state).map_err(fail)?;
        match create(&path) {
            // Another deboot was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(Secret).map_err(fail),
        }
    }
    read(&path).map(Secret)
}

/// Reads the key that signs a feed: 64 hexadecimal digits in a file nobody else can read.
///
/// # Errors
/// [`SecretError`]
pub fn read_key(path: &Path) -> Result<SecretKey, SecretError> {
    SecretKey::from_bytes(&read(path)?).map_err(|_| SecretError::Form(path.to_owned()))
}

/// Makes a new key; the file must not exist.
///
/// # Errors
/// [`SecretError`]
pub fn create_key(path: &Path) -> Result<SecretKey, SecretError> {
    let fail = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    // One of 2^128 values is no key.
    SecretKey::from_bytes(&create(path).map_err(fail)?)
        .map_err(|_| SecretError::Form(path.to_owned()))
}

fn create(path: &Path) -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    let mut file = options
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", crate::source::hex(&bytes))?;
    file.sync_all()?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<[u8; 32], SecretError> {
    let fail = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(fail)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(SecretError::Open { path, mode });
    }
    if metadata.len() > KEY_FILE_BYTES_MAX {
        return Err(SecretError::Form(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(fail)?;
    if text.trim_start().starts_with('{') {
        return Err(SecretError::Keystore(path.to_owned()));
    }
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    crate::bee::parse_hex(digits).ok_or_else(|| SecretError::Form(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn keys_are_made_once_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = create_key(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read_key(&path).unwrap().address(), made.address());
        assert!(matches!(create_key(&path), Err(SecretError::Io { .. })));
        let secret = machine_secret(&dir.path().join("state")).unwrap();
        assert_eq!(machine_secret(&dir.path().join("state")).unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn keys_that_others_can_read_and_files_that_are_no_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let digits = "01".repeat(32);
        write(&path, &format!("0x{digits}\n"), 0o600);
        assert!(read_key(&path).is_ok());
        write(&path, &digits, 0o640);
        assert!(matches!(
            read_key(&path),
            Err(SecretError::Open { mode: 0o640, .. })
        ));
        for bad in ["", "01", &"00".repeat(32), &"ff".repeat(32), &digits[1..]] {
            write(&path, bad, 0o600);
            assert!(
                matches!(read_key(&path), Err(SecretError::Form(_))),
                "{bad}"
            );
        }
        write(&path, "{\"crypto\":{}}", 0o600);
        assert!(matches!(read_key(&path), Err(SecretError::Keystore(_))));
    }
}
