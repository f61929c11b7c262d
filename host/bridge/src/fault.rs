//! Misbehaviour, for tests of clients.
use std::str::FromStr;

/// What a bridge does wrong in answers to `chunks`. Chunks are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Flips a bit of this chunk.
    FlipBit(u64),
    /// Announces one byte too many.
    WrongSize,
    /// Ends the stream before this chunk.
    StopAt(u64),
    /// Sends nothing more from this chunk on.
    SilentAt(u64),
    /// Speaks `/deboot/fetch/2.0.0` only.
    OtherVersion,
    /// Does not know `chunks`.
    FilesOnly,
}

impl FromStr for Fault {
    type Err = String;

    /// Reads `flip-bit=K`, `wrong-size`, `stop-at=K`, `silent-at=K`, `other-version`, `files-only`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (name, number.parse::<u64>().ok()),
            None => (text, None),
        };
        match (name, number) {
            ("flip-bit", Some(k)) => Ok(Self::FlipBit(k)),
            ("stop-at", Some(k)) => Ok(Self::StopAt(k)),
            ("silent-at", Some(k)) => Ok(Self::SilentAt(k)),
            ("wrong-size", None) => Ok(Self::WrongSize),
            ("other-version", None) => Ok(Self::OtherVersion),
            ("files-only", None) => Ok(Self::FilesOnly),
            _ => Err("expected flip-bit=K, wrong-size, stop-at=K, silent-at=K, other-version or files-only".into()),
        }
    }
}
