//! Vectors of 64-bit lanes, one for each hash computed side by side.
use super::{Pair, digests};
use crate::keccak::Lanes;
use core::arch::x86_64::{__m256i, __m512i};
use pulp::bytemuck::cast;
use pulp::core_arch::x86::{Avx, Avx2, Avx512f};

/// What the permutation needs of a kind of vector. A value of it proves that the processor has it.
pub(super) trait Lane: Copy {
    /// A vector.
    type Vector: Copy;
    /// Digests of as many pairs as a vector has lanes.
    type Digests: AsRef<[Lanes]>;

    /// Hashes the first pairs, as many as a vector has lanes; missing ones count as zeros.
    fn hash(self, pairs: &[Pair]) -> Self::Digests;
    /// The same word in every lane.
    fn splat(self, word: u64) -> Self::Vector;
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a ^ (!b & c)
    fn chi(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Rotates to the left by `L` bits; `R` is 64 - `L`.
    fn rotate<const L: i32, const R: i32>(self, a: Self::Vector) -> Self::Vector;
}

/// Word `word` of each of the first pairs.
#[inline(always)]
fn column<const N: usize>(pairs: &[Pair; N], word: usize) -> [u64; N] {
    let mut column = [0; N];
    for (lane, pair) in column.iter_mut().zip(pairs) {
        if let Some(value) = pair.as_flattened().get(word) {
            *lane = *value;
        }
    }
    column
}

/// The first pairs, and zeros for those that are missing.
#[inline(always)]
fn whole<const N: usize>(pairs: &[Pair]) -> [Pair; N] {
    if let Some(whole) = pairs.first_chunk() {
        return *whole;
    }
    let mut padded = [[[0; 4]; 2]; N];
    for (to, from) in padded.iter_mut().zip(pairs) {
        *to = *from;
    }
    padded
}

/// Turns four vectors of words into one digest for each lane.
#[inline(always)]
fn rows<const N: usize>(columns: [[u64; N]; 4]) -> [Lanes; N] {
    let mut rows = [[0; 4]; N];
    for (word, column) in columns.iter().enumerate() {
        for (row, value) in rows.iter_mut().zip(column) {
            if let Some(to) = row.get_mut(word) {
                *to = *value;
            }
        }
    }
    rows
}

/// AVX-512: eight lanes.
#[derive(Clone, Copy)]
pub(super) struct Eight(pub(super) Avx512f);

impl Lane for Eight {
    type Vector = __m512i;
    type Digests = [Lanes; 8];

    #[inline(always)]
    fn hash(self, pairs: &[Pair]) -> [Lanes; 8] {
        let pairs = whole::<8>(pairs);
        let words = core::array::from_fn(|word| cast(column(&pairs, word)));
        rows(digests(self, words).map(cast))
    }

    #[inline(always)]
    fn splat(self, word: u64) -> __m512i {
        self.0._mm512_set1_epi64(word.cast_signed())
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        self.0._mm512_xor_si512(a, b)
    }

    #[inline(always)]
    fn xor3(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.0._mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }

    #[inline(always)]
    fn chi(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.0._mm512_ternarylogic_epi64::<0xd2>(a, b, c)
    }

    #[inline(always)]
    fn rotate<const L: i32, const R: i32>(self, a: __m512i) -> __m512i {
        self.0._mm512_rol_epi64::<L>(a)
    }
}

/// AVX2: four lanes.
#[derive(Clone, Copy)]
pub(super) struct Four(pub(super) Avx, pub(super) Avx2);

impl Lane for Four {
    type Vector = __m256i;
    type Digests = [Lanes; 4];

    #[inline(always)]
    fn hash(self, pairs: &[Pair]) -> [Lanes; 4] {
        let pairs = whole::<4>(pairs);
        let words = core::array::from_fn(|word| cast(column(&pairs, word)));
        rows(digests(self, words).map(cast))
    }

    #[inline(always)]
    fn splat(self, word: u64) -> __m256i {
        self.0._mm256_set1_epi64x(word.cast_signed())
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        self.1._mm256_xor_si256(a, b)
    }

    #[inline(always)]
    fn xor3(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(self.xor(a, b), c)
    }

    #[inline(always)]
    fn chi(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(a, self.1._mm256_andnot_si256(b, c))
    }

    #[inline(always)]
    fn rotate<const L: i32, const R: i32>(self, a: __m256i) -> __m256i {
        let left = self.1._mm256_slli_epi64::<L>(a);
        self.1
            ._mm256_or_si256(left, self.1._mm256_srli_epi64::<R>(a))
    }
}
