//! Feeds: announces a reference under a name, and remembers what was announced.
use crate::bee::{ApiError, Bee};
use crate::output::OutputFile;
use crate::secret::{SecretError, read_key};
use bmt::{ChunkAddress, ChunkError, SecretKey, VerifiedChunk};
use content::Reference;
use content::feed::{Feed, FeedManifest, FeedType, Index, Topic, sign_reference};
use content::mantaray::MantarayError;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// An update that is to be made.
#[derive(Clone, Debug)]
pub struct Announce {
    /// Signs it.
    pub key: SecretKey,
    /// Which of the key's feeds.
    pub topic: Topic,
    /// Number of the update.
    pub index: u64,
    /// Somebody asked for that number: no other will do.
    pub is_index_asked: bool,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// What was announced last.
    pub last: Option<Last>,
}

/// The update that was made last on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its number.
    pub index: u64,
    /// Where it points.
    pub reference: Reference,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// An update that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The feed.
    pub feed: Feed,
    /// Number of the update.
    pub index: u64,
    /// Its single-owner chunk.
    pub address: ChunkAddress,
    /// The directory that stands for the feed: boots and browsers may be given this reference instead of the name.
    pub manifest: Reference,
    /// The last update said the same already, and was published again.
    pub is_old: bool,
}

/// Why a feed cannot be updated.
#[derive(Debug, thiserror::Error)]
pub enum FeedUpdateError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// The key cannot have feeds.
    #[error("this key cannot have a feed: {0}")]
    Sign(#[from] ChunkError),
    /// The manifest cannot be made.
    #[error("feed manifest: {0}")]
    Manifest(#[from] MantarayError),
    /// The node cannot be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The node gives no answer, and nothing is remembered here.
    #[error("{}, so it is not known which updates {feed} has", .source)]
    Unknown {
        /// The feed.
        feed: Feed,
        /// What the node says.
        source: Box<ApiError>,
    },
    /// Nobody was asked, and nothing is remembered here.
    #[error(
        "it is not known which updates {feed} has: there is no node to ask, and nothing was announced from here"
    )]
    NobodyKnows {
        /// The feed.
        feed: Feed,
    },
    /// Somebody asked to stop.
    #[error("stopped on request; the same command, without an index, makes the same update")]
    Stopped,
    /// Another owner.
    #[error(
        "the key belongs to {key}, and the feed {feed} to another owner; only that owner's key can update it"
    )]
    Owner {
        /// Address of the key.
        key: String,
        /// The feed.
        feed: Feed,
    },
    /// An index that was used.
    #[error(
        "index {index} of {feed} was published from here before (the last is {last}); two updates must not share one"
    )]
    Used {
        /// The feed.
        feed: Feed,
        /// Index that was asked for.
        index: u64,
        /// Index published last.
        last: u64,
    },
    /// What was announced cannot be remembered.
    #[error("{}: {source}", .path.display())]
    Memory {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Announce {
    /// The feed.
    pub fn feed(&self) -> Feed {
        Feed {
            owner: self.key.address(),
            topic: self.topic,
        }
    }

    /// Returns what to say about a reference: the last update again, byte for byte, if it pointed there already and nothing newer is known.
    /// So a command that was interrupted, or is run twice, makes one update, and going back to an older release makes a new one.
    pub fn about(&self, reference: &Reference) -> Last {
        match self.last {
            Some(last)
                if last.reference == *reference
                    && !self.is_index_asked
                    && self.index == last.index.saturating_add(1) =>
            {
                last
            }
            _ => Last {
                index: self.index,
                reference: *reference,
                timestamp: self.timestamp,
            },
        }
    }

    /// Makes the chunks: those of the feed manifest first, the update last.
    ///
    /// # Errors
    /// [`FeedUpdateError::Sign`], [`FeedUpdateError::Manifest`]
    pub fn chunks(
        &self,
        reference: &Reference,
    ) -> Result<(Vec<VerifiedChunk>, Announced), FeedUpdateError> {
        let mut chunks = Vec::new();
        let manifest = FeedManifest {
            feed: self.feed(),
            kind: FeedType::Sequence,
        };
        let manifest = manifest.build(&mut |chunk| chunks.push(chunk))?;
        let last = self.about(reference);
        let index = Index::Sequence(last.index);
        let update = sign_reference(&self.key, self.topic, index, last.timestamp, reference)?;
        let announced = Announced {
            feed: self.feed(),
            index: last.index,
            address: update.address(),
            manifest,
            is_old: self.last == Some(last),
        };
        chunks.push(update);
        Ok((chunks, announced))
    }

    /// Puts the update into a node, the manifest first.
    ///
    /// # Errors
    /// [`FeedUpdateError`]
    pub fn send(
        &self,
        bee: &Bee,
        reference: &Reference,
        retry_for: Duration,
        stop: &AtomicBool,
    ) -> Result<Announced, FeedUpdateError> {
        let (chunks, announced) = self.chunks(reference)?;
        let tag = bee.create_tag()?;
        for chunk in &chunks {
            bee.upload_patiently(tag, chunk, retry_for, stop)
                .map_err(|error| match stop.load(Ordering::Relaxed) {
                    true => FeedUpdateError::Stopped,
                    false => error.into(),
                })?;
        }
        Ok(announced)
    }
}

/// Reads the key and checks that the feed is its own. Without a feed the topic decides.
///
/// # Errors
/// [`FeedUpdateError::Key`], [`FeedUpdateError::Owner`]
pub fn open_key(path: &Path, feed: Option<Feed>) -> Result<SecretKey, FeedUpdateError> {
    let key = read_key(path)?;
    match feed {
        Some(feed) if feed.owner != key.address() => Err(FeedUpdateError::Owner {
            key: key.address().to_string(),
            feed,
        }),
        _ => Ok(key),
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.map_or(0, |time| time.as_secs())
}

/// What was announced from this machine, in the state directory: a look-up that misses the newest update must not make its index be used
/// twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    directory: PathBuf,
}

impl Memory {
    /// Looks into a state directory.
    pub fn new(state: &Path) -> Self {
        Self {
            directory: state.join("feeds"),
        }
    }

    fn path(&self, feed: Feed) -> PathBuf {
        self.directory.join(feed.to_string().replace('/', "-"))
    }

    /// Returns the last update.
    ///
    /// # Errors
    /// [`FeedUpdateError::Memory`]
    pub fn last(&self, feed: Feed) -> Result<Option<Last>, FeedUpdateError> {
        let path = self.path(feed);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FeedUpdateError::Memory { path, source }),
        };
        let read = || {
            let mut words = text.split_whitespace();
            Some(Last {
                index: words.next()?.parse().ok()?,
                timestamp: words.next()?.parse().ok()?,
                reference: words.next()?.parse().ok()?,
            })
        };
        let damaged =
            || io::Error::other("damaged; write <index> <seconds> <reference>, or remove it");
        let last = read().map(Some);
        last.ok_or_else(|| FeedUpdateError::Memory {
            path,
            source: damaged(),
        })
    }

    /// Remembers an update. It should be called before the update leaves the machine.
    ///
    /// # Errors
    /// [`FeedUpdateError::Used`] when another update has that index or a higher one, [`FeedUpdateError::Memory`]
    pub fn remember(&self, feed: Feed, last: &Last) -> Result<(), FeedUpdateError> {
        if let Some(before) = self.last(feed)?
            && (last.index < before.index
                || (last.index == before.index && last.reference != before.reference))
        {
            return Err(FeedUpdateError::Used {
                feed,
                index: last.index,
                last: before.index,
            });
        }
        let path = self.path(feed);
        let fail = |source| FeedUpdateError::Memory {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(&self.directory).map_err(fail)?;
        let write = || {
            // The reference may hold the key of what it names.
            let mut file = OutputFile::create_secret(&path)?;
            let text = format!(
                "{} {} {}\n",
                last.index,
                last.timestamp,
                last.reference.to_hex()
            );
            file.write_all(text.as_bytes()).map_err(|e| file.error(e))?;
            file.commit()
        };
        write().map_err(|error| fail(error.source))
    }

    /// Decides the index of the next update: the one that was asked for, else the first behind the last one known here or there.
    ///
    /// # Errors
    /// [`FeedUpdateError::Used`], [`FeedUpdateError::Memory`]
    pub fn next(
        &self,
        feed: Feed,
        asked: Option<u64>,
        found: Option<u64>,
    ) -> Result<u64, FeedUpdateError> {
        let last = self.last(feed)?.map(|last| last.index);
        match (asked, last) {
            (Some(index), Some(last)) if index <= last => {
                Err(FeedUpdateError::Used { feed, index, last })
            }
            (Some(index), _) => Ok(index),
            (None, last) => {
                let mine = last.map_or(0, |last| last.saturating_add(1));
                Ok(mine.max(found.unwrap_or(0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn announce(index: u64) -> Announce {
        Announce {
            key: SecretKey::from_bytes(&[7; 32]).unwrap(),
            topic: Topic::of_text("releases"),
            index,
            is_index_asked: false,
            timestamp: 1_700_000_000,
            last: None,
        }
    }

    #[test]
    fn stopping_while_an_update_is_tried_again_is_no_error_of_the_node() {
        // A node that makes a session and then is gone.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = AtomicBool::new(true);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = io::Read::read(&mut stream, &mut request);
            let answer = "HTTP/1.1 201 Created\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{\"uid\":77}";
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let bee = Bee::new(url.parse().unwrap(), crate::bee::BatchId([1; 32]), 1);
        let reference = Reference::plain(ChunkAddress([9; 32]));
        let sent = announce(0).send(&bee, &reference, Duration::from_secs(60), &stop);
        server.join().unwrap();
        assert!(matches!(sent, Err(FeedUpdateError::Stopped)), "{sent:?}");
    }

    #[test]
    fn an_update_lies_where_readers_look_for_it_and_says_the_reference() {
        let reference = Reference::plain(ChunkAddress([9; 32]));
        let announce = announce(3);
        let (chunks, announced) = announce.chunks(&reference).unwrap();
        let update = chunks.last().unwrap();
        assert_eq!(
            update.address(),
            announce.feed().address(Index::Sequence(3))
        );
        assert_eq!(update.address(), announced.address);
        let mut payload = 1_700_000_000_u64.to_be_bytes().to_vec();
        payload.extend([9; 32]);
        assert_eq!(update.payload(), payload);
        assert!(
            chunks
                .iter()
                .any(|chunk| chunk.address() == announced.manifest.address)
        );
    }

    #[test]
    fn the_same_announcement_twice_is_one_update() {
        let reference = Reference::plain(ChunkAddress([9; 32]));
        let (first, _) = announce(3).chunks(&reference).unwrap();
        let mut again = announce(4);
        again.timestamp += 10;
        again.last = Some(announce(3).about(&reference));
        let (second, announced) = again.chunks(&reference).unwrap();
        assert_eq!(first, second);
        assert!(announced.is_old && announced.index == 3);
        let (third, announced) = again
            .chunks(&Reference::plain(ChunkAddress([8; 32])))
            .unwrap();
        assert_ne!(first.last(), third.last());
        assert!(!announced.is_old && announced.index == 4);
    }

    #[test]
    fn going_back_to_a_reference_is_a_new_update_when_a_newer_one_or_an_index_is_known() {
        let reference = Reference::plain(ChunkAddress([9; 32]));
        let mut again = announce(5);
        again.last = Some(announce(3).about(&reference));
        assert_eq!(again.about(&reference).index, 5, "the node has update 4");
        again.index = 4;
        assert_eq!(again.about(&reference).index, 3);
        again.is_index_asked = true;
        assert_eq!(again.about(&reference).index, 4);
    }

    #[test]
    fn an_index_is_never_used_twice() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::new(dir.path());
        let feed = announce(0).feed();
        let reference = Reference::plain(ChunkAddress([9; 32]));
        assert_eq!(memory.next(feed, None, None).unwrap(), 0);
        assert_eq!(memory.next(feed, None, Some(5)).unwrap(), 5);
        let last = Last {
            index: 5,
            reference,
            timestamp: 1,
        };
        memory.remember(feed, &last).unwrap();
        assert_eq!(memory.last(feed).unwrap(), Some(last));
        let mode = fs::metadata(memory.path(feed))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "a reference may hold a key");
        // Neither goes the memory back, nor does it take another update for the same.
        for (index, digit) in [(4, 9), (5, 8)] {
            let other = Last {
                index,
                reference: Reference::plain(ChunkAddress([digit; 32])),
                timestamp: 1,
            };
            assert!(matches!(
                memory.remember(feed, &other),
                Err(FeedUpdateError::Used { last: 5, .. })
            ));
        }
        memory.remember(feed, &last).unwrap();
        // A node that has not seen it yet.
        assert_eq!(memory.next(feed, None, Some(2)).unwrap(), 6);
        assert_eq!(memory.next(feed, None, Some(9)).unwrap(), 9);
        assert_eq!(memory.next(feed, Some(8), Some(2)).unwrap(), 8);
        assert!(matches!(
            memory.next(feed, Some(5), None),
            Err(FeedUpdateError::Used { last: 5, .. })
        ));
        fs::write(memory.path(feed), "x").unwrap();
        assert!(matches!(
            memory.next(feed, None, None),
            Err(FeedUpdateError::Memory { .. })
        ));
    }
}
