//! What the user names: `REF[/PATH]`.
use content::{Reference, ReferenceError};
use std::fmt;
use std::str::FromStr;

/// A reference, with a path when it is meant as a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// File tree or directory.
    pub reference: Reference,
    /// Path inside the directory, without a leading slash; `Some("")` asks for the index document; `None` for the bytes of the
    /// reference itself.
    pub path: Option<String>,
}

/// Why text is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The reference is malformed.
    #[error(
        "{0}: write REF as 64 hexadecimal digits, optionally with bzz:// in front and /PATH behind"
    )]
    Reference(ReferenceError),
    /// A feed.
    #[error(
        "feeds are not supported by this version: give the reference itself (64 hexadecimal digits)"
    )]
    Feed,
    /// A name.
    #[error(
        "names are not supported by this version: give the reference itself (64 hexadecimal digits)"
    )]
    Name,
}

impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.starts_with("feed:") {
            return Err(TargetError::Feed);
        }
        let rest = text.strip_prefix("bzz://").unwrap_or(text);
        let (reference, path) = match rest.split_once('/') {
            Some((reference, path)) => (reference, Some(path.trim_start_matches('/').to_owned())),
            None => (rest, None),
        };
        if reference.ends_with(".eth") {
            return Err(TargetError::Name);
        }
        let reference = reference.parse().map_err(TargetError::Reference)?;
        Ok(Self { reference, path })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference.to_hex())?;
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
            assert_eq!(target.reference.to_hex(), HEX, "{text}");
            assert_eq!(target.path.as_deref(), path, "{text}");
        }
    }

    #[test]
    fn feeds_names_and_junk_are_refused_with_their_own_reasons() {
        assert_eq!("feed:aa/bb".parse::<Target>(), Err(TargetError::Feed));
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
