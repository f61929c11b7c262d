//! One step down a file tree, for who passes chunks on without reading the file.
use crate::encryption::{apply_to_payload, apply_to_span};
use crate::shape::{ADDRESS_BYTES, FILE_BYTES_MAX, LEAF_BYTES, Layout, Shape, Span};
use crate::{RedundancyLevel, Reference, TreeDefect};
use alloc::vec::Vec;
use bmt::{ChunkAddress, VerifiedChunk};

/// A place in a file tree that one chunk fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    reference: Reference,
    below: Option<Below>,
}

/// What a place's parent says about it; nobody says anything about a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Below {
    size: u64,
    layout: Layout,
}

/// A chunk at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of the file below it.
    pub size: u64,
    /// The data chunks below it, in file order; none below a leaf. Parity chunks are left out.
    pub children: Vec<Place>,
}

impl Place {
    /// Makes the place of a root.
    pub const fn root(reference: Reference) -> Self {
        Self {
            reference,
            below: None,
        }
    }

    /// Returns the chunk that belongs here, and its key.
    pub const fn reference(&self) -> Reference {
        self.reference
    }

    /// Says whether there may be chunks below this one: `true` for every root.
    pub const fn is_branch(&self) -> bool {
        match self.below {
            Some(below) => below.size > LEAF_BYTES,
            None => true,
        }
    }

    /// Returns the number of data chunks in the tree from here downwards, itself included; `None` for a root.
    pub fn chunks(&self) -> Option<u64> {
        self.below.map(|below| chunks(below.size, below.layout))
    }
}

/// Checks a chunk against its place, decrypts it if the place has a key, and finds what is below it.
///
/// # Errors
/// Returns what makes it unfit for this place.
pub fn open(place: &Place, chunk: &VerifiedChunk) -> Result<Opened, TreeDefect> {
    let (size, layout) = measure(place, chunk)?;
    let children = match size > LEAF_BYTES {
        true => children(chunk, place.reference.key, size, layout)?,
        false => Vec::new(),
    };
    Ok(Opened { size, children })
}

/// Finds the parity chunks below a chunk: none below a leaf. Like [`open`] it checks and decrypts.
///
/// # Errors
/// Returns what makes the chunk unfit for this place.
pub fn parities(place: &Place, chunk: &VerifiedChunk) -> Result<Vec<ChunkAddress>, TreeDefect> {
    let (size, layout) = measure(place, chunk)?;
    if size <= LEAF_BYTES {
        return Ok(Vec::new());
    }
    let shape = Shape::of(size, layout);
    let expected = shape.payload_bytes(layout);
    let references = references(chunk, place.reference.key, expected)?;
    let data = shape.children.saturating_mul(layout.reference_bytes());
    let parities = references.get(data..).unwrap_or_default();
    let addresses = parities.as_chunks::<ADDRESS_BYTES>().0;
    Ok(addresses.iter().copied().map(ChunkAddress).collect())
}

/// Returns the bytes of the file below a chunk, and the layout of the tree.
fn measure(place: &Place, chunk: &VerifiedChunk) -> Result<(u64, Layout), TreeDefect> {
    let key = place.reference.key;
    let mut bytes = chunk.span_bytes();
    if let Some(key) = &key {
        apply_to_span(key, &mut bytes);
    }
    let (size, layout) = match place.below {
        None => {
            let span = Span::decode(bytes)?;
            let encrypted = key.is_some();
            let level = span.level;
            (span.size, Layout { level, encrypted })
        }
        Some(below) => {
            // SPEC swarm-wire 8.5: only intermediate chunks of a tree whose root carries a level carry one.
            let leveled = below.layout.level != RedundancyLevel::None && below.size > LEAF_BYTES;
            let span = match leveled {
                true => Span::decode(bytes)?,
                false => Span::plain(bytes),
            };
            if leveled && span.level != below.layout.level {
                return Err(TreeDefect::LevelDiffers);
            }
            if span.size != below.size {
                return Err(TreeDefect::Span {
                    expected: below.size,
                    found: span.size,
                });
            }
            (below.size, below.layout)
        }
    };
    if size > FILE_BYTES_MAX {
        return Err(TreeDefect::Span {
            expected: FILE_BYTES_MAX,
            found: size,
        });
    }
    Ok((size, layout))
}

fn children(
    chunk: &VerifiedChunk,
    key: Option<[u8; 32]>,
    size: u64,
    layout: Layout,
) -> Result<Vec<Place>, TreeDefect> {
    let shape = Shape::of(size, layout);
    let expected = shape.children.saturating_mul(layout.reference_bytes());
    let references = references(chunk, key, expected)?;
    let mut rest = size;
    let places = references
        .chunks_exact(layout.reference_bytes())
        .map(|bytes| {
            let below = Below {
                size: shape.child_bytes.min(rest),
                layout,
            };
            rest = rest.saturating_sub(below.size);
            Reference::from_bytes(bytes).map(|reference| Place {
                reference,
                below: Some(below),
            })
        });
    debug_assert!(layout.reference_bytes().is_multiple_of(ADDRESS_BYTES));
    let short = TreeDefect::PayloadShort {
        expected,
        found: references.len(),
    };
    places.collect::<Option<_>>().ok_or(short)
}

/// Returns the beginning of a payload, decrypted.
fn references(
    chunk: &VerifiedChunk,
    key: Option<[u8; 32]>,
    expected: usize,
) -> Result<Vec<u8>, TreeDefect> {
    let payload = chunk.payload();
    let found = payload.len();
    let short = TreeDefect::PayloadShort { expected, found };
    let mut references = payload.get(..expected).ok_or(short)?.to_vec();
    if let Some(key) = &key {
        apply_to_payload(key, &mut references);
    }
    Ok(references)
}

/// Data chunks of a tree of `size` bytes.
fn chunks(size: u64, layout: Layout) -> u64 {
    let mut size = size;
    let mut count: u64 = 0;
    // Each round goes down along the last child: twelve at most.
    while size > LEAF_BYTES {
        let shape = Shape::of(size, layout);
        let others = u64::try_from(shape.children.saturating_sub(1)).unwrap_or(u64::MAX);
        let each = full(shape.child_bytes, layout);
        count = count
            .saturating_add(1)
            .saturating_add(others.saturating_mul(each));
        size = size.saturating_sub(others.saturating_mul(shape.child_bytes));
    }
    count.saturating_add(1)
}

/// Data chunks of a full tree of 4096 × branches^k bytes.
fn full(size: u64, layout: Layout) -> u64 {
    let branches = u64::try_from(layout.branches()).unwrap_or(u64::MAX);
    let mut count: u64 = 1;
    let mut reached = LEAF_BYTES;
    while reached < size {
        reached = reached.saturating_mul(branches);
        count = count.saturating_mul(branches).saturating_add(1);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Store, pattern};
    use crate::{RedundancyLevel, Splitter};
    use bmt::ChunkAddress;
    use std::collections::BTreeSet;

    /// Walks a tree depth first; returns the data chunks met and the leaves' bytes by size, and adds the parities to others.
    fn walk(
        store: &Store,
        place: Place,
        seen: &mut Vec<ChunkAddress>,
        others: &mut BTreeSet<ChunkAddress>,
    ) -> u64 {
        let reference = place.reference();
        seen.push(reference.address);
        let chunk = store.get(reference.address).expect("a chunk of the tree");
        others.extend(parities(&place, &chunk).unwrap());
        let before = seen.len();
        let opened = open(&place, &chunk).unwrap();
        assert_eq!(
            place.is_branch() && opened.size > 4096,
            !opened.children.is_empty()
        );
        let below: u64 = opened
            .children
            .iter()
            .map(|child| walk(store, *child, seen, others))
            .sum();
        assert_eq!(
            below,
            if opened.children.is_empty() {
                0
            } else {
                opened.size
            }
        );
        if let Some(count) = place.chunks() {
            assert_eq!(count, (seen.len() - before + 1) as u64, "{place:?}");
        }
        opened.size
    }

    #[test]
    fn every_tree_is_walked_with_the_chunks_its_size_says() {
        for size in [
            0,
            1,
            4096,
            4097,
            8192,
            4096 * 39 + 1,
            4096 * 128,
            4096 * 129 + 7,
            2_500_000,
        ] {
            let bytes = pattern(size, 7);
            for level in RedundancyLevel::ALL {
                for encrypted in [false, true] {
                    let mut store = Store::default();
                    let mut data = BTreeSet::new();
                    let mut splitter = Splitter::new().with_level(level);
                    if encrypted {
                        let mut next = 0u8;
                        splitter = splitter.with_keys(std::boxed::Box::new(move || {
                            next = next.wrapping_add(1);
                            [next; 32]
                        }));
                    }
                    splitter.update(&bytes, &mut |chunk| store.put(chunk));
                    let root = splitter.finish(&mut |chunk| store.put(chunk));
                    let mut seen = Vec::new();
                    let mut others = BTreeSet::new();
                    let place = Place::root(root);
                    let walked = walk(&store, place, &mut seen, &mut others);
                    assert_eq!(walked, size as u64);
                    data.extend(seen.iter().copied());
                    let layout = Layout { level, encrypted };
                    assert_eq!(chunks(size as u64, layout), seen.len() as u64);
                    let replicas = crate::replica::replicas(root.address, level);
                    data.extend(others);
                    data.extend(replicas.iter().map(|replica| replica.address));
                    assert!(data.iter().eq(store.chunks.keys()), "nothing is left over");
                }
            }
        }
    }

    #[test]
    fn a_chunk_at_the_wrong_place_is_refused() {
        let mut store = Store::default();
        let root = store.add_file(&pattern(10_000, 3));
        let root_chunk = store.get(root.address).unwrap();
        let opened = open(&Place::root(root), &root_chunk).unwrap();
        let last = opened.children[2];
        let first = store.get(opened.children[0].reference().address).unwrap();
        assert_eq!(
            open(&last, &first),
            Err(TreeDefect::Span {
                expected: 10_000 - 8192,
                found: 4096
            })
        );
        let short = VerifiedChunk::content(10_000u64.to_le_bytes(), &[1; 95]).unwrap();
        let place = Place::root(Reference::plain(short.address()));
        assert_eq!(
            open(&place, &short),
            Err(TreeDefect::PayloadShort {
                expected: 96,
                found: 95
            })
        );
        let huge = VerifiedChunk::content([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0], &[1; 64]);
        let huge = huge.unwrap();
        let place = Place::root(Reference::plain(huge.address()));
        assert!(matches!(open(&place, &huge), Err(TreeDefect::Span { .. })));
    }
}
