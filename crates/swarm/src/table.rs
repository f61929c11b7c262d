//! A table of overlays that answers "who is closest to this address?" without looking at everyone.
use alloc::vec::Vec;
use bmt::Overlay;

/// Values ordered by overlay. The sorted order is a binary trie laid flat: all overlays with a common prefix are neighbours.
#[derive(Clone, Debug)]
pub(crate) struct OverlayTable<V> {
    entries: Vec<(Overlay, V)>,
}

impl<V> Default for OverlayTable<V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<V> OverlayTable<V> {
    /// Number of entries.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }
    /// Says whether there is no entry.
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// Adds or replaces an entry; gives back the replaced one.
    pub(crate) fn insert(&mut self, overlay: Overlay, value: V) -> Option<V> {
        match self.position(&overlay) {
            Ok(at) => {
                let (_, old) = self.entries.get_mut(at)?;
                Some(core::mem::replace(old, value))
            }
            Err(at) => {
                self.entries.insert(at, (overlay, value));
                None
            }
        }
    }
    /// Removes an entry.
    pub(crate) fn remove(&mut self, overlay: &Overlay) -> Option<V> {
        let at = self.position(overlay).ok()?;
        Some(self.entries.remove(at).1)
    }
    /// Looks up an entry.
    pub(crate) fn get(&self, overlay: &Overlay) -> Option<&V> {
        let at = self.position(overlay).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }
    /// All entries in the order of their overlays.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Overlay, V)> {
        self.entries.iter()
    }
    /// Entries from the XOR-closest to the farthest; the first costs O(log² n), the next ones less.
    pub(crate) fn closest<'a>(&'a self, target: &'a [u8; 32]) -> Closest<'a, V> {
        let mut stack = Vec::new();
        if !self.entries.is_empty() {
            stack.push((self.entries.as_slice(), 0));
        }
        Closest { target, stack }
    }

    fn position(&self, overlay: &Overlay) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(other, _)| other.cmp(overlay))
    }
}

/// Iterator of [`OverlayTable::closest`].
pub(crate) struct Closest<'a, V> {
    target: &'a [u8; 32],
    /// Subtrees still to visit, the closest on top, with the number of leading bits their overlays share. Never empty ones.
    stack: Vec<(&'a [(Overlay, V)], u16)>,
}

impl<'a, V> Iterator for Closest<'a, V> {
    type Item = &'a (Overlay, V);

    fn next(&mut self) -> Option<Self::Item> {
        let (mut subtree, mut depth) = self.stack.pop()?;
        while let ([(first, _), .., (last, _)], 0..=255) = (subtree, depth) {
            // Bits that the whole subtree shares decide nothing: skip to the first where its ends differ.
            depth = depth.max(common_bits(&first.0, &last.0));
            let ones = subtree.partition_point(|(overlay, _)| !bit(&overlay.0, depth));
            let (zeros, ones) = subtree.split_at_checked(ones)?;
            depth = depth.saturating_add(1);
            let (near, far) = if bit(self.target, depth.saturating_sub(1)) {
                (ones, zeros)
            } else {
                (zeros, ones)
            };
            subtree = match (near.is_empty(), far.is_empty()) {
                (true, _) => far,
                (false, true) => near,
                (false, false) => {
                    self.stack.push((far, depth));
                    near
                }
            };
        }
        subtree.first()
    }
}

/// Number of equal leading bits, 256 for equal addresses.
pub(crate) fn common_bits(a: &[u8; 32], b: &[u8; 32]) -> u16 {
    let mut bits = 0u16;
    for (x, y) in a.iter().zip(b) {
        let differing = x ^ y;
        if differing != 0 {
            let zeros = u16::try_from(differing.leading_zeros()).unwrap_or(0);
            return bits.saturating_add(zeros);
        }
        bits = bits.saturating_add(8);
    }
    bits
}

/// Bit `index` counted from the most significant one.
fn bit(address: &[u8; 32], index: u16) -> bool {
    let byte = address.get(usize::from(index / 8)).copied().unwrap_or(0);
    byte & (0x80u8 >> (index % 8)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::vec::Vec;

    fn distance(a: &[u8; 32], b: &[u8; 32]) -> Vec<u8> {
        a.iter().zip(b).map(|(x, y)| x ^ y).collect()
    }

    #[test]
    fn closest_gives_every_entry_in_the_order_of_xor_distance() {
        let mut rng = Rng::new(&[7; 32], "table");
        for size in 0..40 {
            let mut table = OverlayTable::default();
            for value in 0..size {
                let mut overlay = rng.bytes();
                // Long common prefixes too, down to one differing bit.
                if value % 3 == 0 {
                    overlay[..31].fill(0xaa);
                }
                table.insert(Overlay(overlay), value);
            }
            for _ in 0..20 {
                let target = rng.bytes();
                let found: Vec<_> = table.closest(&target).map(|(o, _)| *o).collect();
                let mut wanted: Vec<_> = table.iter().map(|(o, _)| *o).collect();
                wanted.sort_by_key(|o| distance(&o.0, &target));
                assert_eq!(found, wanted);
            }
        }
    }

    #[test]
    fn insert_replaces_and_remove_forgets() {
        let mut table = OverlayTable::default();
        assert_eq!(table.insert(Overlay([1; 32]), 'a'), None);
        assert_eq!(table.insert(Overlay([1; 32]), 'b'), Some('a'));
        assert_eq!(table.get(&Overlay([1; 32])), Some(&'b'));
        assert_eq!(table.len(), 1);
        assert_eq!(table.remove(&Overlay([1; 32])), Some('b'));
        assert_eq!(table.remove(&Overlay([1; 32])), None);
        assert!(table.is_empty());
    }

    #[test]
    fn common_bits_counts_from_the_most_significant_bit() {
        let mut other = [0u8; 32];
        assert_eq!(common_bits(&[0; 32], &other), 256);
        other[31] = 1;
        assert_eq!(common_bits(&[0; 32], &other), 255);
        other[0] = 0x10;
        assert_eq!(common_bits(&[0; 32], &other), 3);
    }
}
