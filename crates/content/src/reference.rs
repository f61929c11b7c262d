//! References to files and directories.
use alloc::string::String;
use bmt::ChunkAddress;

/// A reference to a file tree or directory: 64 hex digits (plain) or 128 (encrypted: address and key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Root chunk.
    pub address: ChunkAddress,
    /// Decryption key of the root chunk.
    pub key: Option<[u8; 32]>,
}

/// Why text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Neither 64 nor 128 characters.
    #[error("a reference has 64 or 128 hexadecimal digits, this has {0} characters")]
    Length(usize),
    /// Not a hexadecimal digit.
    #[error("character {0} of the reference is not a hexadecimal digit")]
    Digit(usize),
}

impl core::str::FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let _ = text;
        todo!()
    }
}

impl Reference {
    /// Lower-case hexadecimal.
    pub fn to_hex(&self) -> String {
        todo!()
    }
}
