//! Stable error codes.
use core::fmt;

/// What kind of error an answer is about. The text beside it is for people; programs look at the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// The request is not one JSON object of the documented form.
    BadRequest,
    /// The request has more than 4095 bytes before its end.
    TooLong,
    /// The request's `type` is none the bridge knows.
    UnknownType,
    /// The request's hash is no reference.
    BadHash,
    /// `from` is behind the last chunk.
    BadFrom,
    /// The content, or a chunk of it, does not exist as far as the bridge can find out.
    NotFound,
    /// The chunks exist, but they are no file or directory.
    NotAFile,
    /// A manifest of more than 64 KiB.
    TooLarge,
    /// The bridge cannot reach what is behind it now.
    Unavailable,
    /// What is behind the bridge took too long.
    Timeout,
    /// Too many streams or connections.
    Busy,
    /// The reader took too long, or the request did not arrive in time.
    TooSlow,
    /// The bridge is being stopped.
    ShuttingDown,
    /// A mistake in the bridge.
    Internal,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 14] = [
        Self::BadRequest,
        Self::TooLong,
        Self::UnknownType,
        Self::BadHash,
        Self::BadFrom,
        Self::NotFound,
        Self::NotAFile,
        Self::TooLarge,
        Self::Unavailable,
        Self::Timeout,
        Self::Busy,
        Self::TooSlow,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// Returns the code as it is written in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::TooLong => "too-long",
            Self::UnknownType => "unknown-type",
            Self::BadHash => "bad-hash",
            Self::BadFrom => "bad-from",
            Self::NotFound => "not-found",
            Self::NotAFile => "not-a-file",
            Self::TooLarge => "too-large",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::TooSlow => "too-slow",
            Self::ShuttingDown => "shutting-down",
            Self::Internal => "internal",
        }
    }

    /// Reads a code.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// Says whether the same request may succeed a little later.
    pub const fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::Unavailable
                | Self::Timeout
                | Self::Busy
                | Self::TooSlow
                | Self::ShuttingDown
                | Self::Internal
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_round_trips_and_others_are_unknown() {
        for code in Code::ALL {
            assert_eq!(Code::from_text(code.as_str()), Some(code));
        }
        assert_eq!(Code::from_text("Not-Found"), None);
        assert_eq!(Code::from_text(""), None);
    }
}
