//! The tree over vector units: sibling nodes are hashed side by side, eight (AVX-512) or four (AVX2) at a time.
//!
//! For programs under an operating system only, where the processor says at run time what it can do. Firmware targets have no vector
//! registers at all.
mod lane;
mod permutation;

use crate::keccak::{Lanes, from_bytes, keccak_pair};
use crate::tree::{LEVELS, SEGMENT_BYTES, ZERO_SUBTREES, padded_block};
use lane::Lane;
use permutation::digests;
use pulp::NullaryFnOnce;
use pulp::x86::{V3, V4};

/// Two sibling nodes: what one hash covers.
type Pair = [Lanes; 2];
/// Pairs of a full chunk.
const PAIRS: usize = 1 << (LEVELS - 1);

/// Returns the BMT root of `payload`, or `None` where that is faster, or only possible, without vectors.
pub(crate) fn root(payload: &[u8]) -> Option<Lanes> {
    // Below four pairs most of a vector would be empty.
    if payload.len() <= 6 * SEGMENT_BYTES {
        return None;
    }
    if let Some(simd) = V4::try_new() {
        let lanes = lane::Eight(simd.avx512f);
        return Some(simd.vectorize(Root { payload, lanes }));
    }
    let simd = V3::try_new()?;
    let lanes = lane::Four(simd.avx, simd.avx2);
    Some(simd.vectorize(Root { payload, lanes }))
}

/// The computation, as a value: it is compiled once for each kind of vector.
struct Root<'a, L> {
    payload: &'a [u8],
    lanes: L,
}

impl<L: Lane> NullaryFnOnce for Root<'_, L> {
    type Output = Lanes;

    #[inline(always)]
    fn call(self) -> Lanes {
        let Self { payload, lanes } = self;
        let mut nodes = [[[0; 4]; 2]; PAIRS];
        let mut count = read(payload, &mut nodes);
        for zero in ZERO_SUBTREES.iter().take(LEVELS).skip(1) {
            hash_level(lanes, &mut nodes, count);
            // The nodes are half as many now, two to a pair; an odd one out has an empty sibling.
            if count % 2 == 1
                && let Some(last) = nodes.as_flattened_mut().get_mut(count)
            {
                *last = *zero;
            }
            count = count.div_ceil(2);
        }
        let [[left, right], ..] = &nodes;
        keccak_pair(left, right)
    }
}

/// Fills in the pairs of a payload, the last one padded; returns how many there are.
#[inline(always)]
fn read(payload: &[u8], pairs: &mut [Pair; PAIRS]) -> usize {
    let (blocks, rest) = payload.as_chunks::<{ 2 * SEGMENT_BYTES }>();
    let mut count: usize = 0;
    for (pair, block) in pairs.iter_mut().zip(blocks) {
        for (node, segment) in pair.iter_mut().zip(block.as_chunks().0) {
            *node = from_bytes(segment);
        }
        count = count.saturating_add(1);
    }
    if !rest.is_empty()
        && let Some(pair) = pairs.get_mut(count)
    {
        *pair = padded_block(rest);
        count = count.saturating_add(1);
    }
    count
}

/// Hashes the first `count` pairs; the digests take the place of the first nodes.
#[inline(always)]
fn hash_level<L: Lane>(lanes: L, nodes: &mut [Pair; PAIRS], count: usize) {
    let mut done: usize = 0;
    while done < count {
        let Some(pairs) = nodes.get(done..) else {
            break;
        };
        // Digests are written behind what is still to be read: pair i becomes half of pair i / 2.
        let made = L::hash(lanes, pairs);
        let made = made.as_ref();
        let to = nodes.as_flattened_mut().iter_mut().skip(done);
        for (node, digest) in to.zip(made) {
            *node = *digest;
        }
        done = done.saturating_add(made.len());
    }
}

#[cfg(test)]
mod tests;
