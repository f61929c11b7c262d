//! Resolves a path as a web server would: index documents, error documents, redirects, feeds.
use super::{Entry, Lookup, MantarayError};
use crate::Reference;
use crate::feed::FeedManifest;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

/// Metadata of the path `/`.
const INDEX_DOCUMENT: &str = "website-index-document";
const ERROR_DOCUMENT: &str = "website-error-document";

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A file.
    Entry {
        /// The file.
        entry: Entry,
        /// Its path: the one asked for, or the one of a document that stands for it.
        path: String,
        /// Why it is the answer.
        document: Document,
    },
    /// The path is a directory: ask for it with a slash at its end.
    Redirect {
        /// The path with its slash.
        path: String,
    },
    /// The directory stands for a feed: look the feed up, and the path in what it points to.
    Feed(FeedManifest),
}

/// Which file answers for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The one with that path.
    Path,
    /// The index document of that directory.
    Index,
    /// The error document: nothing has that path.
    Error,
}

/// Resolves one path exactly as bee's `GET /bzz/<reference>/<path>` does.
///
/// With a directory that a feed led to, say so ([`Resolve::below_feed`]): feeds are followed once, not in circles.
pub struct Resolve {
    lookup: Lookup,
    path: String,
    step: Step,
    follow_feed: bool,
    resolution: Option<Resolution>,
}

/// What is being looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Root,
    Path,
    Prefix,
    Index,
    Error,
}

impl Resolve {
    /// Starts with the path as it stands in the URL, without the slash in front of it.
    pub fn new(root: Reference, path: &str) -> Self {
        Self {
            lookup: Lookup::new(root, ""),
            path: one_slash(path),
            step: Step::Root,
            follow_feed: true,
            resolution: None,
        }
    }

    /// Takes the directory as it is, even if it stands for a feed.
    #[must_use]
    pub fn below_feed(mut self) -> Self {
        self.follow_feed = false;
        self
    }

    /// Returns the result, once done.
    pub fn resolution(&self) -> Option<&Resolution> {
        self.resolution.as_ref()
    }

    /// Returns the result, once done.
    pub fn into_resolution(self) -> Option<Resolution> {
        self.resolution
    }

    fn document(&self, name: &str) -> Option<String> {
        let metadata = self.lookup.root_metadata()?;
        metadata.get(name).filter(|path| !path.is_empty()).cloned()
    }

    /// Path of the index document of the directory asked for.
    fn index_path(&self) -> Option<String> {
        let index = self.document(INDEX_DOCUMENT)?;
        // SPEC bee pkg/api/bzz.go serveReference: not when the path ends like the index document already.
        let applies = self.path.is_empty() || !self.path.ends_with(&index);
        applies.then(|| join(&self.path, &index))
    }

    /// The look-up of the current step has ended; begins the next, or ends.
    fn next(&mut self, mut result: Result<(), MantarayError>) -> Result<(), MantarayError> {
        loop {
            match result {
                Ok(()) if !self.lookup.is_done() => return Ok(()),
                Ok(()) if self.step != Step::Root => {
                    self.resolution = self.answer();
                    return Ok(());
                }
                Ok(()) | Err(MantarayError::NotFound) => {}
                Err(error) => return Err(error),
            }
            result = match self.step {
                Step::Root => {
                    if let Some(resolution) = self.feed()? {
                        self.resolution = Some(resolution);
                        return Ok(());
                    }
                    // SPEC bee pkg/api/bzz.go serveReference: the empty path is only ever answered by an index document.
                    if self.path.is_empty() {
                        self.begin(Step::Error, self.index_path())
                    } else {
                        self.begin(Step::Path, Some(self.path.clone()))
                    }
                }
                Step::Path => {
                    let directory = (!self.path.starts_with('/')).then(|| self.path.clone() + "/");
                    self.begin(Step::Prefix, directory)
                }
                Step::Prefix => self.begin(Step::Index, self.index_path()),
                Step::Index => {
                    let document = self.document(ERROR_DOCUMENT);
                    self.begin(Step::Error, document.filter(|path| *path != self.path))
                }
                Step::Error => return Err(MantarayError::NotFound),
            };
        }
    }

    /// Starts looking for `path`, if there is one.
    fn begin(&mut self, step: Step, path: Option<String>) -> Result<(), MantarayError> {
        self.step = step;
        let path = path.ok_or(MantarayError::NotFound)?;
        match step {
            Step::Prefix => self.lookup.restart_prefix(&path),
            Step::Root | Step::Path | Step::Index | Step::Error => self.lookup.restart(&path),
        }
    }

    fn feed(&self) -> Result<Option<Resolution>, MantarayError> {
        if !self.follow_feed {
            return Ok(None);
        }
        let manifest = self.lookup.feed_manifest()?;
        Ok(manifest.map(Resolution::Feed))
    }

    fn answer(&self) -> Option<Resolution> {
        let (path, document) = match self.step {
            Step::Root => return None,
            Step::Prefix => {
                let path = self.path.clone() + "/";
                return Some(Resolution::Redirect { path });
            }
            Step::Path => (self.path.clone(), Document::Path),
            Step::Index => (self.index_path()?, Document::Index),
            Step::Error if self.path.is_empty() => (self.index_path()?, Document::Index),
            Step::Error => (self.document(ERROR_DOCUMENT)?, Document::Error),
        };
        let entry = self.lookup.entry()?.clone();
        Some(Resolution::Entry {
            entry,
            path,
            document,
        })
    }
}

impl ChunkConsumer for Resolve {
    type Error = MantarayError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        if self.is_done() {
            return None;
        }
        self.lookup.poll_want()
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), MantarayError> {
        if self.is_done() {
            return Ok(());
        }
        let result = self.lookup.handle_chunk(chunk);
        self.next(result)
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        self.lookup.handle_unavailable(address)
    }

    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), MantarayError> {
        self.lookup.handle_delayed(address)
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.lookup.poll_obsolete()
    }

    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        self.lookup.key(address)
    }

    fn is_done(&self) -> bool {
        self.resolution.is_some()
    }
}

/// Leaves one slash where there are several at the end.
fn one_slash(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    let mut one = String::from(trimmed);
    if trimmed.len() < path.len() {
        one.push('/');
    }
    one
}

/// Joins as Go's `path.Join` does: no empty parts, no `.`, and `..` takes away the part before it.
fn join(directory: &str, name: &str) -> String {
    let mut parts = Vec::new();
    let is_rooted = directory.starts_with('/') || (directory.is_empty() && name.starts_with('/'));
    for part in directory.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => drop(parts.pop()),
                _ if is_rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_rooted, joined.is_empty()) {
        (true, _) => alloc::format!("/{joined}"),
        (false, true) if directory.is_empty() && name.is_empty() => joined,
        (false, true) => String::from("."),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests;
