//! From what the user names (reference, feed, path) to the content it stands for.
use crate::fetch::Counted;
use crate::source::{Source, SourceError};
use crate::target::{Name, Target};
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use client::{Observer, RunError};
use content::feed::{
    Certainty, Feed, FeedError, FeedManifest, FeedType, Find, FindConfig, FindEpoch, Index,
    Patience, Root, Update, preload,
};
use content::mantaray::{Document, MantarayError, Resolution, Resolve};
use std::time::{Duration, Instant};

/// Directories that may redirect to themselves with a slash behind, per look-up.
const STEPS_MAX: usize = 4;

/// Which update of a feed led here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSeen {
    /// The feed.
    pub feed: Feed,
    /// The update.
    pub index: Index,
    /// When it was made, as its owner says, seconds since 1970.
    pub timestamp: Option<u64>,
    /// How sure it is that nothing is newer.
    pub certainty: Certainty,
}

/// Where the content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file tree, with its root chunk if that came with a feed's update.
    pub root: Root,
    /// What else the update may mean, when that root cannot be had.
    pub alternative: Option<Root>,
    /// Path inside the directory that was answered.
    pub path: Option<String>,
    /// The feed, if one led here.
    pub feed: Option<FeedSeen>,
    /// Chunks received on the way.
    pub chunks: u64,
}

/// Why content cannot be located.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The path could not be looked up.
    #[error("looking up {path:?}: {source}")]
    Lookup {
        /// Path in the directory.
        path: String,
        /// Why.
        source: Box<SourceError<MantarayError>>,
    },
    /// Only the error document answers.
    #[error(
        "looking up {path:?}: path not found in the directory (its error document is {document:?})"
    )]
    OnlyErrorDocument {
        /// Path in the directory.
        path: String,
        /// What a web server would show.
        document: String,
    },
    /// The path names no file.
    #[error("{path:?} is in the directory but has no content; `deboot ls` shows what does")]
    NoContent {
        /// Path in the directory.
        path: String,
    },
    /// No index document.
    #[error("the directory has no index document; name a path, `deboot ls` shows them")]
    NoIndexDocument,
    /// The feed has no answer.
    #[error(transparent)]
    Feed(Box<SourceError<FeedError>>),
}

impl LocateError {
    /// Says whether the directory was read and does not have the path.
    pub fn is_path_not_found(&self) -> bool {
        match self {
            Self::Lookup { source, .. } => matches!(
                **source,
                SourceError::Consumer(MantarayError::NotFound)
                    | SourceError::Network(RunError::Consumer(MantarayError::NotFound))
            ),
            Self::OnlyErrorDocument { .. } => true,
            _ => false,
        }
    }
}

/// Follows feeds, and looks the path up as bee's `GET /bzz` does. Without a path the name's own content is the answer.
///
/// # Errors
/// See [`LocateError`].
pub fn locate(
    source: &mut Source,
    target: &Target,
    timeout: Option<Duration>,
    observer: &mut dyn Observer,
) -> Result<Located, LocateError> {
    let mut search = Search {
        source,
        observer,
        timeout,
        start: Instant::now(),
        chunks: 0,
        feed: None,
    };
    let (mut root, mut alternative) = search.start(target.name)?;
    let mut path = target.path.clone();
    for _ in 0..STEPS_MAX {
        let Some(wanted) = path.clone() else {
            break;
        };
        match search.resolve(&root, &wanted) {
            Err(error) if error.is_path_not_found() && wanted.is_empty() => {
                return Err(LocateError::NoIndexDocument);
            }
            // Also when the update could be read in another way: no directory is as small as what could be.
            Err(error) => return Err(error),
            Ok(Resolution::Feed(manifest)) => (root, alternative) = search.follow(manifest)?,
            Ok(Resolution::Redirect { path: slash }) => path = Some(slash),
            Ok(Resolution::Entry {
                document: Document::Error,
                path: document,
                ..
            }) => {
                return Err(LocateError::OnlyErrorDocument {
                    path: wanted,
                    document,
                });
            }
            Ok(Resolution::Entry { entry, path, .. }) => {
                let none = || LocateError::NoContent { path: path.clone() };
                let reference = entry.reference.ok_or_else(none)?;
                let root = Root {
                    reference,
                    chunk: None,
                };
                return Ok(search.located(root, None, Some(path)));
            }
        }
    }
    match path {
        None => Ok(search.located(root, alternative, None)),
        // Feeds are followed once and slashes are added once, so this is the end of a directory that contradicts itself.
        Some(path) => Err(LocateError::NoContent { path }),
    }
}

/// Follows a feed or a feed manifest to the directory that is to be listed.
///
/// # Errors
/// See [`LocateError`].
pub fn locate_directory(
    source: &mut Source,
    target: &Target,
    timeout: Option<Duration>,
    observer: &mut dyn Observer,
) -> Result<Located, LocateError> {
    let mut located = locate(
        source,
        &Target {
            name: target.name,
            path: None,
        },
        timeout,
        observer,
    )?;
    if located.feed.is_some() {
        return Ok(located);
    }
    let mut search = Search {
        source,
        observer,
        timeout,
        start: Instant::now(),
        chunks: located.chunks,
        feed: None,
    };
    // An ordinary directory answers anything here, also that it has no index document; the listing says what else is wrong.
    if let Ok(Resolution::Feed(manifest)) = search.resolve(&located.root, "") {
        let (root, alternative) = search.follow(manifest)?;
        located = search.located(root, alternative, None);
    }
    Ok(located)
}

struct Search<'a> {
    source: &'a mut Source,
    observer: &'a mut dyn Observer,
    timeout: Option<Duration>,
    start: Instant,
    chunks: u64,
    feed: Option<FeedSeen>,
}

impl Search<'_> {
    /// Where a name leads, and the other way to read it if there is one.
    fn start(&mut self, name: Name) -> Result<(Root, Option<Root>), LocateError> {
        match name {
            Name::Reference(reference) => Ok((
                Root {
                    reference,
                    chunk: None,
                },
                None,
            )),
            Name::Feed(feed) => self.follow(FeedManifest {
                feed,
                kind: FeedType::Sequence,
            }),
        }
    }

    fn run<C: ChunkConsumer>(&mut self, consumer: C) -> Result<C, SourceError<C::Error>> {
        let left = self.timeout.map(|t| t.saturating_sub(self.start.elapsed()));
        let mut counted = Counted::new(consumer);
        let result = self.source.run(&mut counted, left, self.observer);
        self.chunks += counted.chunks;
        result.map(|()| counted.inner)
    }

    fn resolve(&mut self, root: &Root, path: &str) -> Result<Resolution, LocateError> {
        let lookup = |source| LocateError::Lookup {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let mut resolve = Resolve::new(root.reference, path);
        if self.feed.is_some() {
            resolve = resolve.below_feed();
        }
        let resolve = WithRoot::new(resolve, root.chunk.clone())
            .map_err(|error| lookup(SourceError::Consumer(error)))?;
        let resolve = self.run(resolve).map_err(lookup)?;
        let resolution = resolve.inner.into_resolution();
        resolution.ok_or_else(|| lookup(SourceError::Starved))
    }

    fn follow(&mut self, manifest: FeedManifest) -> Result<(Root, Option<Root>), LocateError> {
        let feed = manifest.feed;
        let found = match manifest.kind {
            FeedType::Sequence => {
                let find = Find::new(feed, FindConfig::default());
                self.run(find).map(Find::into_result)
            }
            FeedType::Epoch => {
                let find = FindEpoch::new(feed, crate::feed::now(), Patience::default());
                self.run(find).map(FindEpoch::into_result)
            }
        };
        let starved = || Box::new(SourceError::Starved);
        let found: Option<(Update, Certainty)> =
            found.map_err(|error| LocateError::Feed(Box::new(error)))?;
        let (update, certainty) = found.ok_or_else(|| LocateError::Feed(starved()))?;
        self.feed = Some(FeedSeen {
            feed,
            index: update.index(),
            timestamp: update.timestamp(),
            certainty,
        });
        Ok(update.into_roots())
    }

    fn located(self, root: Root, alternative: Option<Root>, path: Option<String>) -> Located {
        Located {
            root,
            alternative,
            path,
            feed: self.feed,
            chunks: self.chunks,
        }
    }
}

/// A reader that was given its root chunk in advance.
pub(crate) struct WithRoot<C> {
    pub(crate) inner: C,
    /// What it asked for instead.
    first: Option<ChunkAddress>,
}

impl<C: ChunkConsumer> WithRoot<C> {
    pub(crate) fn new(mut inner: C, chunk: Option<VerifiedChunk>) -> Result<Self, C::Error> {
        let first = match chunk {
            Some(chunk) => preload(&mut inner, chunk)?,
            None => None,
        };
        Ok(Self { inner, first })
    }
}

impl<C: ChunkConsumer> ChunkConsumer for WithRoot<C> {
    type Error = C::Error;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.first.take().or_else(|| self.inner.poll_want())
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), C::Error> {
        self.inner.handle_chunk(chunk)
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), C::Error> {
        self.inner.handle_unavailable(address)
    }
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), C::Error> {
        self.inner.handle_delayed(address)
    }
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.inner.poll_obsolete()
    }
    fn is_done(&self) -> bool {
        self.first.is_none() && self.inner.is_done()
    }
}
