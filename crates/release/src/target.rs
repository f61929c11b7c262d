//! What to boot: a reference or a feed, and a path inside the directory it leads to.
use crate::manifest::MANIFEST_PATH;
use alloc::string::String;
use content::feed::{Feed, FeedNameError};
use content::mantaray::PATH_BYTES_MAX;
use content::{Reference, ReferenceError};
use core::fmt;
use core::str::FromStr;

/// Longest path, in bytes: the manifest's name still fits behind it.
pub const TARGET_PATH_BYTES_MAX: usize = PATH_BYTES_MAX - 1 - MANIFEST_PATH.len();

/// What to boot. Written `<64 or 128 hex>[/path]`, with or without `bzz://` in front, or `feed:<owner>/<topic>[/path]`.
///
/// The topic of a feed ends at the next slash: a topic that contains one is written as its 64 hexadecimal digits. Display and
/// Debug show that a reference has a key and not the key, because they end in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is named.
    pub name: Name,
    /// Path below it, without slash at either end; empty: what is named itself.
    pub path: String,
}

/// What can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Content, or a feed manifest: the content tells.
    Reference(Reference),
    /// The newest update of a feed.
    Feed(Feed),
}

/// Why text names nothing to boot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The part in front of the first slash.
    #[error("{0}")]
    Reference(ReferenceError),
    /// Owner or topic.
    #[error("{0}")]
    Feed(FeedNameError),
    /// The path.
    #[error("the path has {len} bytes, at most {TARGET_PATH_BYTES_MAX} are allowed")]
    PathTooLong {
        /// Bytes it has.
        len: usize,
    },
}

impl Target {
    /// Names a reference itself.
    pub fn of(reference: Reference) -> Self {
        Self {
            name: Name::Reference(reference),
            path: String::new(),
        }
    }

    /// Reads `<64 or 128 hex>[/path]`, with or without `bzz://`.
    ///
    /// # Errors
    /// Returns what is wrong with the reference or the path.
    pub fn from_reference(text: &str) -> Result<Self, TargetError> {
        let text = text.strip_prefix("bzz://").unwrap_or(text);
        let (reference, path) = text.split_once('/').unwrap_or((text, ""));
        let reference = reference.parse().map_err(TargetError::Reference)?;
        Self::new(Name::Reference(reference), path)
    }

    /// Reads `<owner>/<topic>[/path]`.
    ///
    /// # Errors
    /// Returns what is wrong with the feed or the path.
    pub fn from_feed(text: &str) -> Result<Self, TargetError> {
        let mut slashes = text.match_indices('/').map(|(at, _)| at);
        let end = slashes.nth(1).unwrap_or(text.len());
        let (feed, path) = text.split_at_checked(end).unwrap_or((text, ""));
        let feed = feed.parse().map_err(TargetError::Feed)?;
        Self::new(Name::Feed(feed), path)
    }

    fn new(name: Name, path: &str) -> Result<Self, TargetError> {
        let path = path.trim_matches('/');
        let len = path.len();
        if len > TARGET_PATH_BYTES_MAX {
            return Err(TargetError::PathTooLong { len });
        }
        let path = String::from(path);
        Ok(Self { name, path })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text.strip_prefix("feed:") {
            Some(feed) => Self::from_feed(feed),
            None => Self::from_reference(text),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            // Debug, because it leaves the key out.
            Name::Reference(reference) => write!(f, "{reference:?}")?,
            Name::Feed(feed) => write!(f, "feed:{feed}")?,
        }
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    const HEX: &str = "27913f1bdb6e8e52cbd5a5fd4ab577c857287edf6969b41efe926b51de0f4f23";
    const OWNER: &str = "2f63cbeb054ce76050827e42dd75268f6b9d87c5";

    #[test]
    fn every_form_is_read_and_shown_again() {
        let topic = content::feed::Topic::of_text("stable");
        let feed = format!("feed:{OWNER}/{topic}");
        for (text, shown) in [
            (HEX.to_string(), HEX.to_string()),
            (format!("bzz://{HEX}"), HEX.to_string()),
            (format!("bzz://{HEX}/"), HEX.to_string()),
            (format!("{HEX}//"), HEX.to_string()),
            (format!("bzz://{HEX}/a/b/"), format!("{HEX}/a/b")),
            (format!("{HEX}{HEX}/a"), format!("{HEX}+key/a")),
            (format!("feed:{OWNER}/stable"), feed.clone()),
            (format!("feed:0x{OWNER}/stable/"), feed.clone()),
            (format!("feed:{OWNER}/{topic}/a/b"), format!("{feed}/a/b")),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), shown, "{text}");
            assert!(!format!("{target:?}").contains(&format!("{HEX}{HEX}")));
        }
    }

    #[test]
    fn text_that_names_nothing_is_refused() {
        let long = "x".repeat(TARGET_PATH_BYTES_MAX + 1);
        let len = long.len();
        for (text, error) in [
            (
                "".to_string(),
                TargetError::Reference(ReferenceError::Length(0)),
            ),
            (
                "bzz:///a".to_string(),
                TargetError::Reference(ReferenceError::Length(0)),
            ),
            (
                format!("{}/a", &HEX[1..]),
                TargetError::Reference(ReferenceError::Length(63)),
            ),
            (
                "feed:".to_string(),
                TargetError::Feed(FeedNameError::NoTopic),
            ),
            (
                format!("feed:{OWNER}"),
                TargetError::Feed(FeedNameError::NoTopic),
            ),
            (
                format!("feed:{OWNER}/"),
                TargetError::Feed(FeedNameError::EmptyTopic),
            ),
            (
                format!("feed:{OWNER}//a"),
                TargetError::Feed(FeedNameError::EmptyTopic),
            ),
            (
                "feed:stable/x".to_string(),
                TargetError::Feed(FeedNameError::Owner),
            ),
            (format!("{HEX}/{long}"), TargetError::PathTooLong { len }),
        ] {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
        let fits: Target = format!("{HEX}/{}", &long[1..]).parse().unwrap();
        assert_eq!(fits.path.len(), TARGET_PATH_BYTES_MAX);
    }
}
