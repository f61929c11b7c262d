//! Every random choice of the node, derived from the one seed in its settings.
use bmt::Keccak256;

/// A deterministic generator: Keccak-256 of a secret state. Outputs do not reveal the state, so they may serve as keys.
#[derive(Clone)]
pub(crate) struct Rng {
    state: [u8; 32],
}

impl Rng {
    /// Starts a generator that is independent of those with another `label`.
    pub(crate) fn new(seed: &[u8; 32], label: &str) -> Self {
        Self {
            state: hash(&[b"deboot/swarm/", label.as_bytes(), seed]),
        }
    }
    /// Returns 32 fresh bytes.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let out = hash(&[&self.state, &[1]]);
        self.state = hash(&[&self.state, &[0]]);
        out
    }
    /// Returns a number below `end`, or 0 when `end` is 0. The bias is below 2^-32 for every `end` used here.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes();
        let random = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        let value = random.checked_rem(end).unwrap_or(0);
        usize::try_from(value).unwrap_or(0)
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_label_give_the_same_bytes_and_others_do_not() {
        let first = Rng::new(&[1; 32], "a").bytes();
        assert_eq!(first, Rng::new(&[1; 32], "a").bytes());
        assert_ne!(first, Rng::new(&[1; 32], "b").bytes());
        assert_ne!(first, Rng::new(&[2; 32], "a").bytes());
        let mut rng = Rng::new(&[1; 32], "a");
        assert_ne!(rng.bytes(), rng.bytes());
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(&[1; 32], "a");
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[rng.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(rng.below(0), 0);
    }
}
