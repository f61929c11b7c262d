//! What the user names: `REF[/PATH]`, a reference or a feed.
use content::feed::{Feed, FeedNameError};
use content::{Reference, ReferenceError};
use std::fmt;
use std::str::FromStr;

/// A file tree or directory, or the name of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// By its hash.
    Reference(Reference),
    /// What the newest update of a feed points to.
    Feed(Feed),
}

/// A name, with a path when it is meant as a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// File tree or directory.
    pub name: Name,
    /// Path inside the directory, without a leading slash; `Some("")` asks for the index document; `None` for the bytes of the
    /// reference itself.
    pub path: Option<String>,
}

/// Why text is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The reference is malformed.
    #[error(
        "{0}: write REF as 64 or 128 hexadecimal digits, optionally with bzz:// in front and /PATH behind, or as feed:OWNER/TOPIC"
    )]
    Reference(ReferenceError),
    /// The feed is malformed.
    #[error("{0}: write feed:OWNER/TOPIC, optionally with /PATH behind")]
    Feed(FeedNameError),
    /// A name.
    #[error(
        "names are not supported by this version: give the reference itself (64 or 128 hexadecimal digits) or a feed"
    )]
    Name,
}

impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(feed) = text.strip_prefix("feed:") {
            // A topic with a slash in it is written as 64 digits: behind the second slash is the path.
            let owner_bytes = feed.find('/').map_or(feed.len(), |slash| slash + 1);
            let (owner, rest) = feed.split_at(owner_bytes);
            let (topic, path) = split_path(rest);
            let feed = format!("{owner}{topic}")
                .parse()
                .map_err(TargetError::Feed)?;
            return Ok(Self {
                name: Name::Feed(feed),
                path,
            });
        }
        let (reference, path) = split_path(text.strip_prefix("bzz://").unwrap_or(text));
        if reference.ends_with(".eth") {
            return Err(TargetError::Name);
        }
        let reference = reference.parse().map_err(TargetError::Reference)?;
        Ok(Self {
            name: Name::Reference(reference),
            path,
        })
    }
}

fn split_path(text: &str) -> (&str, Option<String>) {
    match text.split_once('/') {
        Some((name, path)) => (name, Some(path.trim_start_matches('/').to_owned())),
        None => (text, None),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => f.write_str(&reference.to_hex()),
            Self::Feed(feed) => write!(f, "feed:{feed}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match &self.path {
            Some(path) => write!(f, "/{path}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48";

    #[test]
    fn every_documented_form_is_read() {
        let cases = [
            (HEX.to_owned(), None),
            (format!("bzz://{HEX}"), None),
            (format!("{HEX}/"), Some("")),
            (format!("{HEX}/vmlinuz"), Some("vmlinuz")),
            (format!("bzz://{HEX}/a/b c"), Some("a/b c")),
            (format!("{HEX}//a"), Some("a")),
        ];
        for (text, path) in cases {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.name.to_string(), HEX, "{text}");
            assert_eq!(target.path.as_deref(), path, "{text}");
        }
    }

    #[test]
    fn feeds_have_paths_behind_their_topics() {
        let owner = "2f63cbeb054ce76050827e42dd75268f6b9d87c5";
        for (text, path) in [("t", None), ("t/", Some("")), ("t/a/b", Some("a/b"))] {
            let target: Target = format!("feed:0x{owner}/{text}").parse().unwrap();
            assert_eq!(
                target.name,
                Name::Feed(format!("{owner}/t").parse().unwrap())
            );
            assert_eq!(target.path.as_deref(), path);
        }
        let long = format!("{HEX}{HEX}").parse::<Target>().unwrap();
        assert_eq!(long.name.to_string().len(), 128);
    }

    #[test]
    fn names_and_junk_are_refused_with_their_own_reasons() {
        let owner = Err(TargetError::Feed(FeedNameError::Owner));
        assert_eq!("feed:aa/bb".parse::<Target>(), owner);
        let none = Err(TargetError::Feed(FeedNameError::NoTopic));
        assert_eq!("feed:aa".parse::<Target>(), none);
        assert_eq!("x.eth/y".parse::<Target>(), Err(TargetError::Name));
        assert_eq!(
            "12".parse::<Target>(),
            Err(TargetError::Reference(ReferenceError::Length(2)))
        );
        assert_eq!(
            HEX.replace('e', "g").parse::<Target>(),
            Err(TargetError::Reference(ReferenceError::Digit(5)))
        );
    }
}
