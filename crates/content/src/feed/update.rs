//! One update: what it says, and how one is made.
use super::{Feed, Index, Topic};
use crate::Reference;
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkConsumer, ChunkError, SecretKey, VerifiedChunk};

/// Bytes of the timestamp in front of a reference.
const TIMESTAMP_BYTES: usize = 8;

/// What an update holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Version 1: a time and a reference. A file of just 40 or 72 bytes looks the same; see [`Update::into_roots`].
    Reference {
        /// When it was made, seconds since 1970, as its owner says.
        timestamp: u64,
        /// Where it points.
        reference: Reference,
    },
    /// Version 2: the wrapped chunk is the root chunk of the content.
    Root,
}

/// An update, signed by the owner of its feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    index: Index,
    chunk: VerifiedChunk,
}

/// Where the content of an update begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Reference of the content.
    pub reference: Reference,
    /// Its root chunk, if that came with the update; it may exist nowhere else. Give it to the reader with [`preload`].
    pub chunk: Option<VerifiedChunk>,
}

impl Update {
    pub(super) fn new(index: Index, chunk: VerifiedChunk) -> Self {
        Self { index, chunk }
    }

    /// Which update it is.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Its single-owner chunk.
    pub fn chunk(&self) -> &VerifiedChunk {
        &self.chunk
    }

    /// Reads what it holds.
    // SPEC swarm-wire 10: version 1 is a wrapped chunk of exactly 48 or 80 bytes, span 8 ‖ timestamp 8 ‖ reference 32 or 64.
    pub fn payload(&self) -> Payload {
        let bytes = self.chunk.payload();
        let span = u64::from_le_bytes(self.chunk.span_bytes());
        let reference = bytes
            .split_first_chunk::<TIMESTAMP_BYTES>()
            .filter(|_| u64::try_from(bytes.len()) == Ok(span))
            .and_then(|(time, rest)| Some((time, Reference::from_bytes(rest)?)));
        match reference {
            Some((time, reference)) => Payload::Reference {
                timestamp: u64::from_be_bytes(*time),
                reference,
            },
            None => Payload::Root,
        }
    }

    /// Returns when it was made, as its owner says; version 2 does not say.
    pub fn timestamp(&self) -> Option<u64> {
        match self.payload() {
            Payload::Reference { timestamp, .. } => Some(timestamp),
            Payload::Root => None,
        }
    }

    /// Returns where its content begins, and, when its payload could be either version, the other reading: to be tried when the
    /// first one's root chunk is nowhere to be had, as bee does.
    pub fn into_roots(self) -> (Root, Option<Root>) {
        let payload = self.payload();
        let wrapped = self.chunk.into_wrapped();
        let inline = Root {
            reference: Reference::plain(wrapped.address()),
            chunk: Some(wrapped),
        };
        match payload {
            Payload::Root => (inline, None),
            Payload::Reference { reference, .. } => {
                let chunk = None;
                (Root { reference, chunk }, Some(inline))
            }
        }
    }
}

/// Gives a reader that was not polled yet the root chunk it would ask for first, so that nobody needs to fetch it.
///
/// Returns another chunk if the reader asks for that one first; it is then still to be fetched.
///
/// # Errors
/// Returns the reader's.
pub fn preload<C: ChunkConsumer>(
    reader: &mut C,
    root: VerifiedChunk,
) -> Result<Option<ChunkAddress>, C::Error> {
    let first = reader.poll_want().filter(|first| *first != root.address());
    reader.handle_chunk(root)?;
    Ok(first)
}

/// Makes an update of version 1: at `index`, pointing to `reference`, made at `timestamp` (seconds since 1970).
///
/// # Errors
/// Returns [`ChunkError::Address`] when the key is the public replica key, which no feed can have.
pub fn sign_reference(
    key: &SecretKey,
    topic: Topic,
    index: Index,
    timestamp: u64,
    reference: &Reference,
) -> Result<VerifiedChunk, ChunkError> {
    let mut payload = Vec::from(timestamp.to_be_bytes());
    payload.extend_from_slice(&reference.address.0);
    payload.extend(reference.key.iter().flatten());
    let span = u64::try_from(payload.len()).unwrap_or(u64::MAX);
    sign(key, topic, index, span.to_le_bytes(), &payload)
}

/// Makes an update of version 2: at `index`, wrapping the root chunk of the content.
///
/// # Errors
/// Returns [`ChunkError::Address`] when the key is the public replica key, which no feed can have.
pub fn sign_root(
    key: &SecretKey,
    topic: Topic,
    index: Index,
    root: &VerifiedChunk,
) -> Result<VerifiedChunk, ChunkError> {
    sign(key, topic, index, root.span_bytes(), root.payload())
}

fn sign(
    key: &SecretKey,
    topic: Topic,
    index: Index,
    span: [u8; 8],
    payload: &[u8],
) -> Result<VerifiedChunk, ChunkError> {
    let owner = key.address();
    let identifier = Feed { owner, topic }.identifier(index);
    VerifiedChunk::single_owner(identifier, key, span, payload)
}
