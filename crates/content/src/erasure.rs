//! Reed-Solomon coding over a group of chunks.
//!
//! Shard x of a group holds the values at x of polynomials over GF(2^8), one for each byte position: data shards are x = 0 to n-1 and
//! parity shards x = n to n+p-1. That is the code of a systematic Vandermonde matrix (klauspost/reedsolomon, bee's library), without
//! the matrix: any n shards are interpolated at any other x, be it to make a parity or to get a lost shard back.
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bmt::{CHUNK_PAYLOAD_BYTES_MAX, SPAN_BYTES};

/// Bytes of a shard: a whole chunk with its span, padded with zeros.
pub(crate) const SHARD_BYTES: usize = SPAN_BYTES + CHUNK_PAYLOAD_BYTES_MAX;
/// Words worked on at once: eight sums of 171 words stay in the nearest cache, and three stripes are a shard.
const STRIPE_WORDS: usize = SHARD_BYTES / 8 / 3;
/// Order of the multiplicative group.
const ORDER: u32 = 255;

/// Some shards of a group, ready to compute others from.
pub(crate) struct Interpolation<'a> {
    positions: Positions,
    shards: Vec<Cow<'a, [u8]>>,
}

impl<'a> Interpolation<'a> {
    /// Takes n shards with their positions, which must differ; equal ones (a caller's mistake) give bytes that mean nothing.
    ///
    /// A shorter shard counts as padded with zeros.
    pub(crate) fn new(shards: &[(u8, &'a [u8])]) -> Self {
        let positions: Vec<u8> = shards.iter().map(|(position, _)| *position).collect();
        Self {
            positions: Positions::new(&positions),
            shards: shards.iter().map(|(_, shard)| pad(shard)).collect(),
        }
    }

    /// Returns the shard at a position that is not among the known ones.
    pub(crate) fn shard(&self, position: u8) -> Vec<u8> {
        let coefficients = self.positions.coefficients(position);
        let shards = self.shards.iter().map(AsRef::as_ref);
        combine(coefficients.iter().copied().zip(shards))
    }
}

/// Returns the parity shards of `data`, whole shards one after the other.
pub(crate) fn parities(data: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let shards = data.as_chunks::<SHARD_BYTES>().0;
    let targets = (0..=u8::MAX).skip(shards.len()).take(count);
    let known: Vec<u8> = (0..=u8::MAX).take(shards.len()).collect();
    let positions = (count > 0).then(|| Positions::new(&known));
    targets.map(move |target| {
        let coefficients = positions
            .as_ref()
            .map_or(Vec::new(), |positions| positions.coefficients(target));
        combine(
            coefficients
                .iter()
                .copied()
                .zip(shards.iter().map(<[u8; SHARD_BYTES]>::as_slice)),
        )
    })
}

fn pad(shard: &[u8]) -> Cow<'_, [u8]> {
    if shard.len() == SHARD_BYTES {
        return Cow::Borrowed(shard);
    }
    let mut padded = shard.to_vec();
    padded.resize(SHARD_BYTES, 0);
    Cow::Owned(padded)
}

/// Known positions, ready for interpolation.
struct Positions {
    field: Field,
    positions: Vec<u8>,
    /// For each position the logarithm of the product of its differences to all others.
    weights: Vec<u32>,
}

impl Positions {
    fn new(positions: &[u8]) -> Self {
        let field = Field::new();
        let weights = positions
            .iter()
            .map(|x| {
                let others = positions.iter().filter(|other| *other != x);
                others.fold(0u32, |sum, other| sum.saturating_add(field.log(x ^ other)))
            })
            .collect();
        Self {
            field,
            positions: positions.to_vec(),
            weights,
        }
    }

    /// Returns the factor of each known shard in the shard at `target`: Lagrange's basis polynomials there.
    fn coefficients(&self, target: u8) -> Vec<u8> {
        let all = self.positions.iter().fold(0u32, |sum, x| {
            sum.saturating_add(self.field.log(x ^ target))
        });
        // Quotients are differences of logarithms; with at most 128 factors each, adding 512 orders keeps them positive.
        let positive = all.saturating_add(ORDER.saturating_mul(512));
        let known = self.positions.iter().zip(&self.weights);
        known
            .map(|(x, weight)| {
                let divisor = weight.saturating_add(self.field.log(x ^ target));
                self.field.exp(positive.saturating_sub(divisor))
            })
            .collect()
    }
}

/// Logarithms of GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 and the generator 2.
struct Field {
    logarithms: [u8; 256],
    powers: [u8; 255],
}

impl Field {
    fn new() -> Self {
        let mut field = Self {
            logarithms: [0; 256],
            powers: [0; 255],
        };
        let mut value = 1u8;
        for (exponent, power) in (0..=u8::MAX).zip(&mut field.powers) {
            *power = value;
            if let Some(logarithm) = field.logarithms.get_mut(usize::from(value)) {
                *logarithm = exponent;
            }
            let overflow = if value & 0x80 == 0 { 0 } else { 0x1d };
            value = (value << 1) ^ overflow;
        }
        field
    }

    fn log(&self, value: u8) -> u32 {
        let logarithm = self.logarithms.get(usize::from(value));
        logarithm.map_or(0, |logarithm| u32::from(*logarithm))
    }

    fn exp(&self, exponent: u32) -> u8 {
        let index = usize::try_from(exponent % ORDER).unwrap_or(0);
        self.powers.get(index).copied().unwrap_or(0)
    }
}

type Sum = [u64; STRIPE_WORDS];

/// Returns the sum of whole shards times their factors.
///
/// A factor is a sum of powers of two, so shards are only XORed into one sum for each power (words, not table look-ups); the eight
/// sums are multiplied by their powers once, at the end.
fn combine<'a>(parts: impl Iterator<Item = (u8, &'a [u8])> + Clone) -> Vec<u8> {
    let mut out = Vec::with_capacity(SHARD_BYTES);
    let mut start: usize = 0;
    while out.len() < SHARD_BYTES {
        let end = start.saturating_add(STRIPE_WORDS);
        let mut sums: [Sum; 8] = [[0; STRIPE_WORDS]; 8];
        for (factor, shard) in parts.clone() {
            let words = shard.as_chunks::<8>().0;
            let Some(words) = words.get(start..end).and_then(|words| words.first_chunk()) else {
                continue;
            };
            for (bit, sum) in sums.iter_mut().enumerate() {
                if (factor >> bit) & 1 == 1 {
                    add(sum, words);
                }
            }
        }
        for word in in_powers_of_two(&sums) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        start = end;
    }
    out
}

fn add(sum: &mut Sum, words: &[[u8; 8]; STRIPE_WORDS]) {
    for (sum, word) in sum.iter_mut().zip(words) {
        *sum ^= u64::from_le_bytes(*word);
    }
}

/// Returns sums[0] + 2 sums[1] + ... + 128 sums[7].
fn in_powers_of_two(sums: &[Sum; 8]) -> Sum {
    let [lower @ .., highest] = sums;
    let mut total = *highest;
    for sum in lower.iter().rev() {
        for (total, word) in total.iter_mut().zip(sum) {
            *total = double(*total) ^ word;
        }
    }
    total
}

/// Multiplies eight field elements by 2.
fn double(word: u64) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const REDUCTION: u64 = 0x1d1d_1d1d_1d1d_1d1d;
    let high = word & HIGH;
    // 0x7f in every byte that overflows.
    let mask = high.wrapping_sub(high >> 7);
    ((word ^ high) << 1) ^ (mask & REDUCTION)
}

#[cfg(test)]
mod tests;
