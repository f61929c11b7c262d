//! Mixes random bytes from several sources and refuses sources that are visibly broken.
//!
//! All sources go through one hash, so a bad source can never make a good one worse. At least one must pass its test: timer
//! jitter is mixed in but does not count, because nothing tells whether it is jitter or emulation.
use bmt::Keccak256;

/// Words taken from the processor's generator.
pub const CPU_WORDS: usize = 16;
/// Bytes taken from the firmware's generator, in two calls of half each.
pub const FIRMWARE_BYTES: usize = 64;

/// Says whether words of a hardware generator look alive.
///
/// AMD parts with a known erratum return all ones for ever after resume, others have been seen to return one value again and
/// again. Any repeated word among 16 of 64 bits is one chance in 2^57.
pub fn words_look_random(words: &[u64]) -> bool {
    words.len() >= 2
        && words.iter().enumerate().all(|(index, word)| {
            *word != 0 && *word != u64::MAX && !words.iter().take(index).any(|other| other == word)
        })
}

/// Says whether two consecutive outputs of a firmware generator look alive: not equal, and neither made of one repeated byte nor
/// of few different ones.
pub fn bytes_look_random(first: &[u8], second: &[u8]) -> bool {
    fn varied(bytes: &[u8]) -> bool {
        let mut seen = [false; 256];
        for byte in bytes {
            if let Some(slot) = seen.get_mut(usize::from(*byte)) {
                *slot = true;
            }
        }
        // 32 random bytes have fewer than 16 different values about once in 10^12.
        seen.iter().filter(|hit| **hit).count() >= 16
    }
    first.len() >= 32 && first != second && varied(first) && varied(second)
}

/// Collects input and gives one 32-byte seed.
#[derive(Clone)]
pub struct Pool {
    hash: Keccak256,
    sources: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// Makes an empty pool.
    pub fn new() -> Self {
        let mut hash = Keccak256::new();
        hash.update(b"deboot/entropy/1");
        Self { hash, sources: 0 }
    }

    /// Mixes in bytes of a source that passed its test.
    pub fn add_source(&mut self, label: u8, bytes: &[u8]) {
        self.add_extra(label, bytes);
        self.sources = self.sources.saturating_add(1);
    }

    /// Mixes in bytes that are not relied on.
    pub fn add_extra(&mut self, label: u8, bytes: &[u8]) {
        self.hash.update(&[label]);
        self.hash
            .update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Returns the seed, or `None` if no source passed.
    pub fn into_seed(self) -> Option<[u8; 32]> {
        (self.sources > 0).then(|| self.hash.finalize())
    }
}

/// Derives an independent 32-byte value from a seed for one purpose.
pub fn derive(seed: &[u8; 32], purpose: &str, counter: u64) -> [u8; 32] {
    let mut hash = Keccak256::new();
    hash.update(b"deboot/derive/1");
    hash.update(seed);
    hash.update(&counter.to_le_bytes());
    hash.update(purpose.as_bytes());
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_words_are_refused() {
        assert!(words_look_random(&[1, 2, 3]));
        for bad in [&[][..], &[7], &[5, 5], &[1, 2, 1], &[1, 0], &[1, u64::MAX]] {
            assert!(!words_look_random(bad), "{bad:?}");
        }
    }

    #[test]
    fn constant_bytes_are_refused() {
        let counting: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let other: [u8; 32] = core::array::from_fn(|i| u8::try_from(i * 3).unwrap());
        assert!(bytes_look_random(&counting, &other));
        assert!(!bytes_look_random(&counting, &counting));
        assert!(!bytes_look_random(&[0; 32], &other));
        assert!(!bytes_look_random(&counting, &[0xff; 32]));
        assert!(!bytes_look_random(&counting[..16], &other[..16]));
    }

    #[test]
    fn a_pool_without_a_source_gives_nothing() {
        let mut pool = Pool::new();
        pool.add_extra(9, &[1, 2, 3]);
        assert_eq!(pool.into_seed(), None);
    }

    #[test]
    fn every_input_changes_the_seed() {
        let seed = |label, bytes: &[u8]| {
            let mut pool = Pool::new();
            pool.add_source(label, bytes);
            pool.into_seed().unwrap()
        };
        assert_ne!(seed(1, b"a"), seed(1, b"b"));
        assert_ne!(seed(1, b"a"), seed(2, b"a"));
        assert_ne!(derive(&[0; 32], "tcp", 0), derive(&[0; 32], "tcp", 1));
    }
}
