//! Keccak-256 with the legacy (pre-NIST) padding.
//!
//! A chunk costs 128 permutations, and a loader that runs in an emulator or on a small core spends most of its time here. So
//! the permutation is written for machines without vector units: all 25 lanes are locals, six lanes are kept complemented
//! (saves 17 of 25 NOTs per round), the first and the last round of a short message are cut down to what its constant lanes and
//! the 256 bits of output need, and short messages never pass through a buffer.

/// Bytes absorbed per permutation.
const RATE_BYTES: usize = 136;
/// Last bit of the padding, in lane 16, the last one of a block.
pub(crate) const PAD_END: u64 = 1 << 63;

/// A digest as four little-endian lanes: the form in which tree nodes stay between two hashes.
pub(crate) type Lanes = [u64; 4];

/// Streaming Keccak-256.
#[derive(Clone)]
pub struct Keccak256 {
    /// Plain state (no lane complemented between calls).
    state: [u64; 25],
    /// Bytes not absorbed yet; only the first `filled` are valid.
    buffer: [u8; RATE_BYTES],
    filled: usize,
}

impl Default for Keccak256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Keccak256 {
    /// Creates an empty hasher.
    pub const fn new() -> Self {
        Self {
            state: [0; 25],
            buffer: [0; RATE_BYTES],
            filled: 0,
        }
    }

    /// Absorbs `data`.
    pub fn update(&mut self, data: &[u8]) {
        let mut rest = data;
        if self.filled > 0 {
            let (_, room) = self.buffer.split_at_mut(self.filled);
            let take = room.len().min(rest.len());
            let (now, later) = rest.split_at(take);
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.filled = self.filled.saturating_add(take);
            rest = later;
            if self.filled < RATE_BYTES {
                return;
            }
            let block = self.buffer;
            self.absorb(&block);
            self.filled = 0;
        }
        while let Some((block, later)) = rest.split_first_chunk::<RATE_BYTES>() {
            self.absorb(block);
            rest = later;
        }
        for (to, from) in self.buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.filled = rest.len();
    }

    /// Returns the digest.
    pub fn finalize(mut self) -> [u8; 32] {
        let (used, free) = self.buffer.split_at_mut(self.filled);
        debug_assert!(used.len() < RATE_BYTES);
        free.fill(0);
        if let Some(first) = free.first_mut() {
            *first = 0x01;
        }
        if let Some(last) = self.buffer.last_mut() {
            *last |= 0x80;
        }
        xor_block(&mut self.state, &self.buffer);
        to_bytes(&permute_to_digest(&self.state))
    }

    fn absorb(&mut self, block: &[u8; RATE_BYTES]) {
        xor_block(&mut self.state, block);
        permute(&mut self.state);
    }
}

/// Returns the Keccak-256 digest of `data`.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    if data.len() >= RATE_BYTES {
        let mut hasher = Keccak256::new();
        hasher.update(data);
        return hasher.finalize();
    }
    let mut state = [0u64; 25];
    let (words, tail) = data.as_chunks::<8>();
    let mut padded = [0u8; 8];
    for (to, from) in padded.iter_mut().zip(tail.iter().chain(&[0x01])) {
        *to = *from;
    }
    for (lane, word) in state.iter_mut().zip(words.iter().chain([&padded])) {
        *lane = u64::from_le_bytes(*word);
    }
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, end, ..] = &mut state;
    *end ^= PAD_END;
    to_bytes(&permute_to_digest(&state))
}

/// Hashes exactly 64 bytes given as two nodes: one inner node of the tree.
#[inline]
pub(crate) fn keccak_pair(left: &Lanes, right: &Lanes) -> Lanes {
    let [a, b, c, d] = *left;
    let [e, f, g, h] = *right;
    one_block([
        a, b, c, d, e, f, g, h, 1, 0, 0, 0, 0, 0, 0, 0, PAD_END, 0, 0, 0, 0, 0, 0, 0, 0,
    ])
}

/// Hashes span ‖ root: exactly 40 bytes.
pub(crate) fn keccak_span(span: u64, root: &Lanes) -> Lanes {
    let [a, b, c, d] = *root;
    one_block([
        span, a, b, c, d, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, PAD_END, 0, 0, 0, 0, 0, 0, 0, 0,
    ])
}

/// Reads 32 bytes as lanes.
#[inline]
pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Lanes {
    let mut lanes = [0; 4];
    for (lane, word) in lanes.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *lane = u64::from_le_bytes(*word);
    }
    lanes
}

/// Writes lanes as 32 bytes.
#[inline]
pub(crate) fn to_bytes(lanes: &Lanes) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (word, lane) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(lanes) {
        *word = lane.to_le_bytes();
    }
    bytes
}

fn xor_block(state: &mut [u64; 25], block: &[u8; RATE_BYTES]) {
    for (lane, word) in state.iter_mut().zip(block.as_chunks::<8>().0) {
        *lane ^= u64::from_le_bytes(*word);
    }
}

/// One block from a constant start: inlined, so that the zero lanes vanish from the first round.
#[inline(always)]
fn one_block(state: [u64; 25]) -> Lanes {
    let [first, middle @ .., last] = &ROUND_CONSTANTS;
    let mut lanes = round(complement(state), *first);
    for pair in middle.as_chunks::<2>().0 {
        let [even, odd] = *pair;
        lanes = round(round(lanes, even), odd);
    }
    last_round(lanes, *last)
}

/// The whole permutation, of which only the digest is wanted.
fn permute_to_digest(state: &[u64; 25]) -> Lanes {
    one_block(*state)
}

/// The whole permutation.
fn permute(state: &mut [u64; 25]) {
    let mut lanes = complement(*state);
    for pair in ROUND_CONSTANTS.as_chunks::<2>().0 {
        let [even, odd] = *pair;
        lanes = round(round(lanes, even), odd);
    }
    *state = complement(lanes);
}

/// SPEC FIPS 202 3.2.5, Algorithm 5.
pub(crate) const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Complements the lanes (1,0), (2,0), (3,1), (2,2), (2,3), (0,4): with these the chi step needs 8 NOTs instead of 25.
#[inline(always)]
fn complement(a: [u64; 25]) -> [u64; 25] {
    #[rustfmt::skip]
    let [
        a0, a1, a2, a3, a4,
        a5, a6, a7, a8, a9,
        a10, a11, a12, a13, a14,
        a15, a16, a17, a18, a19,
        a20, a21, a22, a23, a24,
    ] = a;
    [
        a0, !a1, !a2, a3, a4, a5, a6, a7, !a8, a9, a10, a11, !a12, a13, a14, a15, a16, !a17, a18,
        a19, !a20, a21, a22, a23, a24,
    ]
}

/// Column parities and their mix: what theta adds to each column.
#[inline(always)]
fn theta(a: &[u64; 25]) -> [u64; 5] {
    #[rustfmt::skip]
    let [
        a0, a1, a2, a3, a4,
        a5, a6, a7, a8, a9,
        a10, a11, a12, a13, a14,
        a15, a16, a17, a18, a19,
        a20, a21, a22, a23, a24,
    ] = *a;
    let c0 = a0 ^ a5 ^ a10 ^ a15 ^ a20;
    let c1 = a1 ^ a6 ^ a11 ^ a16 ^ a21;
    let c2 = a2 ^ a7 ^ a12 ^ a17 ^ a22;
    let c3 = a3 ^ a8 ^ a13 ^ a18 ^ a23;
    let c4 = a4 ^ a9 ^ a14 ^ a19 ^ a24;
    [
        c4 ^ c1.rotate_left(1),
        c0 ^ c2.rotate_left(1),
        c1 ^ c3.rotate_left(1),
        c2 ^ c4.rotate_left(1),
        c3 ^ c0.rotate_left(1),
    ]
}

/// One round over a state with complemented lanes.
#[inline(always)]
fn round(a: [u64; 25], constant: u64) -> [u64; 25] {
    let [d0, d1, d2, d3, d4] = theta(&a);
    #[rustfmt::skip]
    let [
        a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12,
        a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24,
    ] = a;
    let b0 = a0 ^ d0;
    let b1 = (a6 ^ d1).rotate_left(44);
    let b2 = (a12 ^ d2).rotate_left(43);
    let b3 = (a18 ^ d3).rotate_left(21);
    let b4 = (a24 ^ d4).rotate_left(14);
    let e0 = b0 ^ (b1 | b2) ^ constant;
    let e1 = b1 ^ (!b2 | b3);
    let e2 = b2 ^ (b3 & b4);
    let e3 = b3 ^ (b4 | b0);
    let e4 = b4 ^ (b0 & b1);
    let b0 = (a3 ^ d3).rotate_left(28);
    let b1 = (a9 ^ d4).rotate_left(20);
    let b2 = (a10 ^ d0).rotate_left(3);
    let b3 = (a16 ^ d1).rotate_left(45);
    let b4 = (a22 ^ d2).rotate_left(61);
    let e5 = b0 ^ (b1 | b2);
    let e6 = b1 ^ (b2 & b3);
    let e7 = b2 ^ (b3 | !b4);
    let e8 = b3 ^ (b4 | b0);
    let e9 = b4 ^ (b0 & b1);
    let b0 = (a1 ^ d1).rotate_left(1);
    let b1 = (a7 ^ d2).rotate_left(6);
    let b2 = (a13 ^ d3).rotate_left(25);
    let b3 = (a19 ^ d4).rotate_left(8);
    let b4 = (a20 ^ d0).rotate_left(18);
    let n3 = !b3;
    let e10 = b0 ^ (b1 | b2);
    let e11 = b1 ^ (b2 & b3);
    let e12 = b2 ^ (n3 & b4);
    let e13 = n3 ^ (b4 | b0);
    let e14 = b4 ^ (b0 & b1);
    let b0 = (a4 ^ d4).rotate_left(27);
    let b1 = (a5 ^ d0).rotate_left(36);
    let b2 = (a11 ^ d1).rotate_left(10);
    let b3 = (a17 ^ d2).rotate_left(15);
    let b4 = (a23 ^ d3).rotate_left(56);
    let n3 = !b3;
    let e15 = b0 ^ (b1 & b2);
    let e16 = b1 ^ (b2 | b3);
    let e17 = b2 ^ (n3 | b4);
    let e18 = n3 ^ (b4 & b0);
    let e19 = b4 ^ (b0 | b1);
    let b0 = (a2 ^ d2).rotate_left(62);
    let b1 = (a8 ^ d3).rotate_left(55);
    let b2 = (a14 ^ d4).rotate_left(39);
    let b3 = (a15 ^ d0).rotate_left(41);
    let b4 = (a21 ^ d1).rotate_left(2);
    let n1 = !b1;
    let e20 = b0 ^ (n1 & b2);
    let e21 = n1 ^ (b2 | b3);
    let e22 = b2 ^ (b3 & b4);
    let e23 = b3 ^ (b4 | b0);
    let e24 = b4 ^ (b0 & b1);

    [
        e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13, e14, e15, e16, e17, e18, e19,
        e20, e21, e22, e23, e24,
    ]
}

/// The first four lanes after one more round, not complemented: all that a 256-bit digest needs of the last round.
#[inline(always)]
fn last_round(a: [u64; 25], constant: u64) -> Lanes {
    let [d0, d1, d2, d3, d4] = theta(&a);
    #[rustfmt::skip]
    let [
        a0, _, _, _, _,
        _, a6, _, _, _,
        _, _, a12, _, _,
        _, _, _, a18, _,
        _, _, _, _, a24,
    ] = a;
    let b0 = a0 ^ d0;
    let b1 = (a6 ^ d1).rotate_left(44);
    let b2 = (a12 ^ d2).rotate_left(43);
    let b3 = (a18 ^ d3).rotate_left(21);
    let b4 = (a24 ^ d4).rotate_left(14);
    [
        b0 ^ (b1 | b2) ^ constant,
        !(b1 ^ (!b2 | b3)),
        !(b2 ^ (b3 & b4)),
        b3 ^ (b4 | b0),
    ]
}

#[cfg(test)]
mod tests;
