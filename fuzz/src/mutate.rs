//! Deterministic mutations, for a smoke run that finds the same things every time.

/// A small generator of pseudo-random numbers (xorshift64*); the same seed gives the same mutations.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

/// Values at which lengths and counters tend to break.
const INTERESTING: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 53,
    i64::MAX as u64,
    u64::MAX,
];

impl Mutator {
    /// Starts with a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// Returns a number below `bound` (0 for 0).
    pub fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let value = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        usize::try_from(value)
            .unwrap_or(0)
            .checked_rem(bound)
            .unwrap_or(0)
    }

    /// Changes `input` in one to four places; `other` is another seed, parts of which may be taken.
    pub fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            self.step(input, other);
        }
        input.truncate(crate::INPUT_BYTES_MAX);
    }

    fn step(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        let len = self.below(input.len() - at + 1).min(self.below(64) + 1);
        match self.below(8) {
            0 | 1 => {
                let bit = self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            2 => {
                let value = u8::try_from(self.below(256)).unwrap_or(0);
                if let Some(byte) = input.get_mut(at) {
                    *byte = value;
                }
            }
            3 => drop(input.drain(at..at + len)),
            4 => input.truncate(at),
            5 => self.interesting(input, at),
            6 => {
                // Something twice.
                let part = input[at..at + len].to_vec();
                input.splice(at..at, part);
            }
            _ => {
                let from = self.below(other.len() + 1);
                let count = self.below(other.len() - from + 1);
                input.splice(at..at + len, other[from..from + count].iter().copied());
            }
        }
    }

    /// Writes a number over what is there, in either byte order and several widths.
    fn interesting(&mut self, input: &mut [u8], at: usize) {
        let value = INTERESTING[self.below(INTERESTING.len())];
        let width = [1, 2, 4, 8][self.below(4)];
        let little = value.to_le_bytes();
        let mut bytes = little[..width].to_vec();
        if self.below(2) == 0 {
            bytes.reverse();
        }
        for (target, byte) in input[at..].iter_mut().zip(bytes) {
            *target = byte;
        }
    }
}
