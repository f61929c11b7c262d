//! References to files and directories.
use alloc::string::String;
use bmt::ChunkAddress;
use core::fmt;

/// A reference to a file tree or directory: 64 hex digits (plain) or 128 (encrypted: address and key).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Reads hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let length = text.chars().count();
        if length != 64 && length != 128 {
            return Err(ReferenceError::Length(length));
        }
        let mut bytes = [0u8; 64];
        for (position, digit) in text.chars().enumerate() {
            // Counted from 1, as people do.
            let value = digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(ReferenceError::Digit(position.saturating_add(1)))?;
            if let Some(byte) = bytes.get_mut(position / 2) {
                *byte = (*byte << 4) | value;
            }
        }
        let (address, key) = bytes.split_at(32);
        let part = |half: &[u8]| half.first_chunk::<32>().copied().unwrap_or_default();
        Ok(Self {
            address: ChunkAddress(part(address)),
            key: (length == 128).then(|| part(key)),
        })
    }
}

impl Reference {
    /// Makes a reference to an unencrypted tree.
    pub const fn plain(address: ChunkAddress) -> Self {
        Self { address, key: None }
    }

    /// Returns lower-case hexadecimal: 64 digits, or 128 with a key.
    pub fn to_hex(&self) -> String {
        alloc::format!("{self}")
    }

    /// Reads the binary form: 32 bytes, or 64 with a key.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (address, rest) = bytes.split_first_chunk::<32>()?;
        let key = match rest {
            [] => None,
            _ => Some(rest.try_into().ok()?),
        };
        Some(Self {
            address: ChunkAddress(*address),
            key,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)?;
        for byte in self.key.iter().flatten() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    /// Shows the address and that there is a key, not the key: debug output ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)?;
        f.write_str(if self.key.is_some() { "+key" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const PLAIN: &str = "27913f1bdb6e8e52cbd5a5fd4ab577c857287edf6969b41efe926b51de0f4f23";

    #[test]
    fn text_round_trips_with_and_without_key() {
        let plain: Reference = PLAIN.parse().unwrap();
        assert_eq!(plain.key, None);
        assert_eq!(plain.to_hex(), PLAIN);
        assert_eq!(PLAIN.to_uppercase().parse(), Ok(plain));
        let both = std::format!("{PLAIN}{}", "0123456789abcdef".repeat(4));
        let encrypted: Reference = both.parse().unwrap();
        assert_eq!(encrypted.address, plain.address);
        assert_eq!(encrypted.to_string(), both);
        assert_eq!(std::format!("{encrypted:?}"), std::format!("{PLAIN}+key"));
    }

    #[test]
    fn binary_form_has_32_or_64_bytes() {
        let bytes: std::vec::Vec<u8> = (0..64).collect();
        for len in 0..=64 {
            let read = Reference::from_bytes(&bytes[..len]);
            assert_eq!(read.is_some(), len == 32 || len == 64, "{len} bytes");
        }
        let read = Reference::from_bytes(&bytes).unwrap();
        assert_eq!(read.address.0, bytes[..32]);
        assert_eq!(read.key.unwrap(), bytes[32..]);
    }

    #[test]
    fn wrong_text_is_refused_with_its_position() {
        assert_eq!("".parse::<Reference>(), Err(ReferenceError::Length(0)));
        assert_eq!(
            PLAIN[1..].parse::<Reference>(),
            Err(ReferenceError::Length(63))
        );
        let mut text = PLAIN.to_string();
        text.replace_range(4..5, "g");
        assert_eq!(text.parse::<Reference>(), Err(ReferenceError::Digit(5)));
        text.replace_range(4..5, "ä");
        assert_eq!(text.parse::<Reference>(), Err(ReferenceError::Digit(5)));
        text.replace_range(0..1, "+");
        assert_eq!(text.parse::<Reference>(), Err(ReferenceError::Digit(1)));
    }
}
