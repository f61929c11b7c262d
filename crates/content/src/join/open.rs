//! Checks chunks against their places, and decrypts them.
use super::{Piece, TreeDefect};
use crate::RedundancyLevel;
use crate::encryption::{self, Key};
use crate::shape::{LEAF_BYTES, Layout, Shape, Span};
use alloc::vec::Vec;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, SPAN_BYTES, VerifiedChunk};

/// Returns the span, decrypted.
pub(super) fn span_bytes(chunk: &VerifiedChunk, key: Option<Key>) -> [u8; SPAN_BYTES] {
    let mut bytes = chunk.span_bytes();
    if let Some(key) = &key {
        encryption::apply_to_span(key, &mut bytes);
    }
    bytes
}

/// Checks that a chunk below the root covers exactly its place.
pub(super) fn check_span(
    chunk: &VerifiedChunk,
    key: Option<Key>,
    expected: u64,
    layout: Layout,
) -> Result<(), TreeDefect> {
    let bytes = span_bytes(chunk, key);
    // SPEC swarm-wire 8.5: only intermediate chunks of a tree whose root carries a level carry one.
    let leveled = layout.level != RedundancyLevel::None && expected > LEAF_BYTES;
    let span = if leveled {
        Span::decode(bytes)?
    } else {
        Span::plain(bytes)
    };
    if leveled && span.level != layout.level {
        return Err(TreeDefect::LevelDiffers);
    }
    if span.size != expected {
        return Err(TreeDefect::Span {
            expected,
            found: span.size,
        });
    }
    Ok(())
}

/// Returns the bytes of a leaf that covers `size` bytes of the file.
pub(super) fn leaf(
    chunk: VerifiedChunk,
    key: Option<Key>,
    offset: u64,
    size: u64,
) -> Result<Piece, TreeDefect> {
    let expected = usize::try_from(size).unwrap_or(usize::MAX);
    if let Some(key) = key {
        let data = decrypted(&chunk, &key, expected)?;
        return Ok(Piece {
            offset,
            part: 0..data.len(),
            data,
        });
    }
    let found = chunk.payload().len();
    if found < expected {
        return Err(TreeDefect::PayloadShort { expected, found });
    }
    Ok(Piece {
        offset,
        part: SPAN_BYTES..SPAN_BYTES.saturating_add(expected),
        data: chunk.into_data(),
    })
}

/// Returns the references of an intermediate chunk: as many as its shape needs, and after them there must be nothing but padding.
pub(super) fn references(
    chunk: &VerifiedChunk,
    key: Option<Key>,
    shape: Shape,
    layout: Layout,
) -> Result<Vec<u8>, TreeDefect> {
    let expected = shape.payload_bytes(layout);
    if let Some(key) = key {
        // The padding is random.
        return decrypted(chunk, &key, expected);
    }
    let payload = chunk.payload();
    let Some((references, rest)) = payload.split_at_checked(expected) else {
        return Err(TreeDefect::PayloadShort {
            expected,
            found: payload.len(),
        });
    };
    if rest.iter().any(|byte| *byte != 0) {
        return Err(TreeDefect::TooManyReferences {
            children: shape.children,
        });
    }
    Ok(references.to_vec())
}

/// Decrypts the beginning of a payload.
fn decrypted(chunk: &VerifiedChunk, key: &Key, len: usize) -> Result<Vec<u8>, TreeDefect> {
    let payload = chunk.payload();
    let found = payload.len();
    // SPEC bee pkg/encryption: a payload is padded before it is encrypted, so all have the same length.
    if found != CHUNK_PAYLOAD_BYTES_MAX {
        return Err(TreeDefect::EncryptedLength { found });
    }
    let Some(part) = payload.get(..len) else {
        return Err(TreeDefect::PayloadShort {
            expected: len,
            found,
        });
    };
    let mut part = part.to_vec();
    encryption::apply_to_payload(key, &mut part);
    Ok(part)
}
