//! Requests.
use crate::Code;
use crate::json::{self, JsonError, Value};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use content::mantaray::PATH_BYTES_MAX;
use content::{Reference, ReferenceError};

/// Longest request, the newline included, even when half-closing stands for it. Stops a peer that never ends its line.
pub const REQUEST_BYTES_MAX: usize = 4096;
/// The names under which the reference is accepted: older clients write the last two.
const HASH_NAMES: [&str; 3] = ["hash", "manifestHash", "manifest-hash"];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes of a host configuration manifest, at most 64 KiB.
    Manifest,
    /// The bytes of a file.
    Artifact,
    /// The chunks of a file, depth first.
    Chunks,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Manifest, Self::Artifact, Self::Chunks];

    /// Returns the word that requests carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Artifact => "artifact",
            Self::Chunks => "chunks",
        }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: Kind,
    /// The file, or the directory `path` is in.
    pub reference: Reference,
    /// A file in a directory; no leading slash, never empty.
    pub path: Option<String>,
    /// Chunks to leave out at the beginning ([`Kind::Chunks`] only).
    pub from: u64,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It does not end.
    #[error("the request does not end within {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    /// It is no JSON object.
    #[error("the request is no JSON object: {0}")]
    Json(JsonError),
    /// Something required is not there.
    #[error("the request has no field \"{0}\"")]
    Missing(&'static str),
    /// A value of the wrong kind.
    #[error("the field \"{name}\" must be {expected}")]
    Field {
        /// Which.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// More than one spelling of the hash.
    #[error("the hash is given twice")]
    HashTwice,
    /// A path behind the hash and a field as well.
    #[error("the path is given twice: behind the hash and in \"path\"")]
    PathTwice,
    /// An unknown type.
    #[error("the type is unknown: this bridge knows manifest, artifact and chunks")]
    UnknownType,
    /// Not a reference.
    #[error("the hash is wrong: {0}")]
    Hash(ReferenceError),
    /// A path longer than any in a directory.
    #[error("the path has {len} bytes, at most {PATH_BYTES_MAX} are accepted")]
    PathTooLong {
        /// Its bytes.
        len: usize,
    },
}

impl RequestError {
    /// Returns the code of the answer.
    pub const fn code(&self) -> Code {
        match self {
            Self::TooLong => Code::TooLong,
            Self::UnknownType => Code::UnknownType,
            Self::Hash(_) => Code::BadHash,
            Self::Json(_)
            | Self::Missing(_)
            | Self::Field { .. }
            | Self::HashTwice
            | Self::PathTwice
            | Self::PathTooLong { .. } => Code::BadRequest,
        }
    }
}

impl Request {
    /// Makes a request for a whole file tree.
    pub const fn new(kind: Kind, reference: Reference) -> Self {
        Self {
            kind,
            reference,
            path: None,
            from: 0,
        }
    }

    /// Finds the end of a request in what was received so far: the bytes of the line without its newline, or `None` when more is needed.
    ///
    /// `is_end` says that nothing more will come, which ends a request as a newline does. What follows a newline is ignored.
    ///
    /// # Errors
    /// [`RequestError::TooLong`].
    pub fn line(received: &[u8], is_end: bool) -> Result<Option<&[u8]>, RequestError> {
        let window = received.get(..REQUEST_BYTES_MAX).unwrap_or(received);
        let end = window.iter().position(|byte| *byte == b'\n');
        match end {
            Some(end) => Ok(window.get(..end)),
            None if received.len() >= REQUEST_BYTES_MAX => Err(RequestError::TooLong),
            None => Ok(is_end.then_some(received)),
        }
    }

    /// Reads a request. Fields it does not know are ignored.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn decode(line: &[u8]) -> Result<Self, RequestError> {
        let mut kind = None;
        let mut hash = None;
        let mut path = None;
        let mut from = 0;
        for (name, value) in json::object(line).map_err(RequestError::Json)? {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("type", Value::Text(text)) => kind = Some(text),
                ("type", _) => return Err(field("type", "a text")),
                (name, Value::Text(_)) if HASH_NAMES.contains(&name) && hash.is_some() => {
                    return Err(RequestError::HashTwice);
                }
                (name, Value::Text(text)) if HASH_NAMES.contains(&name) => hash = Some(text),
                (name, _) if HASH_NAMES.contains(&name) => return Err(field("hash", "a text")),
                ("path", Value::Text(text)) => path = clean(&text).map(String::from),
                ("path", _) => return Err(field("path", "a text")),
                ("from", Value::Number(number)) => from = number,
                ("from", _) => return Err(field("from", "a whole number that is not negative")),
                _ => {}
            }
        }
        let kind = kind.ok_or(RequestError::Missing("type"))?;
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
        let kind = kind.ok_or(RequestError::UnknownType)?;
        let hash = hash.ok_or(RequestError::Missing("hash"))?;
        let hash = hash.strip_prefix("bzz://").unwrap_or(&hash);
        let (digits, behind) = hash.split_once('/').unwrap_or((hash, ""));
        let reference = digits.parse().map_err(RequestError::Hash)?;
        let path = match (clean(behind), path) {
            (Some(_), Some(_)) => return Err(RequestError::PathTwice),
            (Some(behind), None) => Some(String::from(behind)),
            (None, path) => path,
        };
        if let Some(path) = &path
            && path.len() > PATH_BYTES_MAX
        {
            return Err(RequestError::PathTooLong { len: path.len() });
        }
        if from != 0 && kind != Kind::Chunks {
            return Err(field("from", "absent: only chunks can be resumed"));
        }
        Ok(Self {
            kind,
            reference,
            path,
            from,
        })
    }

    /// Returns the request as a line, newline included.
    pub fn encode(&self) -> Vec<u8> {
        let kind = self.kind.as_str();
        let mut text = format!("{{\"type\":\"{kind}\",\"hash\":\"{}\"", self.reference);
        if let Some(path) = &self.path {
            text.push_str(",\"path\":");
            json::push_text(&mut text, path);
        }
        if self.from > 0 {
            text.push_str(&format!(",\"from\":{}", self.from));
        }
        text.push_str("}\n");
        text.into_bytes()
    }
}

const fn field(name: &'static str, expected: &'static str) -> RequestError {
    RequestError::Field { name, expected }
}

/// Takes slashes off the front; an empty path is none.
fn clean(path: &str) -> Option<&str> {
    let path = path.trim_start_matches('/');
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests;
