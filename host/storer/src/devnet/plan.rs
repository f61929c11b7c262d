//! Where storers sit in the address space, who is connected to whom, and which storer gets which chunk.
use crate::identity::Prefix;
use bmt::{ChunkAddress, Overlay, proximity};
use std::collections::{BTreeMap, BTreeSet};

/// Prefix for storer `index` of `count`: the middle of its equal share of the address space. Wanting four times more prefixes than
/// storers keeps the shares apart and the search short.
pub(crate) fn prefix(index: usize, count: usize) -> Prefix {
    let bits = (4 * count).next_power_of_two().trailing_zeros();
    let middle = ((2 * index as u64 + 1) << 32) / (2 * count as u64);
    Prefix {
        value: middle as u32,
        bits,
    }
}

/// Links per node (node 0 is the boot node, linked to all): up to `per_bin` nodes of every bin, spread over the bin.
///
/// One neighbour in every bin that is not empty is enough for a request to get one hop closer at each node until it is at the
/// closest one of all: of a closer node, the first bit that differs from ours is one where it equals the target, and every node of
/// that bin shares this bit.
pub(crate) fn links(overlays: &[Overlay], per_bin: usize) -> Vec<BTreeSet<usize>> {
    let mut links = vec![BTreeSet::new(); overlays.len()];
    for index in 1..overlays.len() {
        let mut bins: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for other in (1..overlays.len()).filter(|other| *other != index) {
            let bin = proximity(&overlays[index].0, &overlays[other].0);
            bins.entry(bin).or_default().push(other);
        }
        let mut chosen = vec![0];
        for bin in bins.values() {
            let take = per_bin.min(bin.len());
            chosen.extend((0..take).map(|i| bin[(i * bin.len() / take + index) % bin.len()]));
        }
        for other in chosen {
            links[index].insert(other);
            links[other].insert(index);
        }
    }
    links
}

/// The `count` holders whose overlay is closest to `address`.
pub(crate) fn closest<'a, T>(
    holders: &'a [(Overlay, T)],
    address: &ChunkAddress,
    count: usize,
) -> Vec<&'a T> {
    let mut sorted: Vec<_> = holders
        .iter()
        .map(|(overlay, holder)| {
            let distance: [u8; 32] = std::array::from_fn(|i| overlay.0[i] ^ address.0[i]);
            (distance, holder)
        })
        .collect();
    sorted.sort_by_key(|(distance, _)| *distance);
    sorted.into_iter().take(count).map(|(_, h)| h).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bmt::keccak256;

    fn overlays(count: usize) -> Vec<Overlay> {
        // The boot node anywhere, storers with exactly the wanted prefix.
        std::iter::once(Overlay(keccak256(b"boot")))
            .chain((0..count).map(|i| {
                let mut overlay = keccak256(&i.to_be_bytes());
                let prefix = prefix(i, count);
                let keep = u32::MAX.checked_shr(prefix.bits).unwrap_or(0);
                let rest = u32::from_be_bytes(overlay[..4].try_into().unwrap()) & keep;
                overlay[..4].copy_from_slice(&(prefix.value & !keep | rest).to_be_bytes());
                Overlay(overlay)
            }))
            .collect()
    }

    fn distance(a: &Overlay, b: &[u8; 32]) -> [u8; 32] {
        std::array::from_fn(|i| a.0[i] ^ b[i])
    }

    #[test]
    fn greedy_routing_reaches_the_closest_storer_from_everywhere() {
        for count in [1, 2, 3, 16, 24, 100] {
            let overlays = overlays(count);
            for per_bin in [1, 3] {
                let links = links(&overlays, per_bin);
                let mut hops_max = 0;
                for target in 0..50u32 {
                    let target = keccak256(&target.to_be_bytes());
                    let best = (1..=count)
                        .min_by_key(|i| distance(&overlays[*i], &target))
                        .unwrap();
                    for start in 1..=count {
                        let (mut at, mut hops) = (start, 0);
                        while let Some(next) = links[at]
                            .iter()
                            .copied()
                            .filter(|n| *n != 0)
                            .filter(|n| {
                                distance(&overlays[*n], &target) < distance(&overlays[at], &target)
                            })
                            .min_by_key(|n| distance(&overlays[*n], &target))
                        {
                            at = next;
                            hops += 1;
                        }
                        assert_eq!(at, best, "{count} storers, {per_bin} per bin");
                        hops_max = hops_max.max(hops);
                    }
                }
                if count >= 24 {
                    assert!(
                        hops_max >= 2,
                        "everybody knows everybody: {count} {per_bin}"
                    );
                }
            }
        }
    }

    #[test]
    fn storers_are_spread_evenly_and_share_no_prefix() {
        for count in [1, 2, 15, 24, 1000] {
            let values: BTreeSet<u32> = (0..count)
                .map(|i| {
                    let p = prefix(i, count);
                    p.value >> (32 - p.bits)
                })
                .collect();
            assert_eq!(values.len(), count);
        }
        assert_eq!(prefix(0, 1).value >> 30, 2);
    }

    #[test]
    fn chunks_go_to_the_closest() {
        let holders: Vec<_> = [0x00, 0x40, 0x80, 0xc0]
            .map(|first| {
                let mut overlay = [0; 32];
                overlay[0] = first;
                (Overlay(overlay), first)
            })
            .to_vec();
        let mut address = [0; 32];
        address[0] = 0xd0;
        let closest = closest(&holders, &ChunkAddress(address), 2);
        assert_eq!(closest, [&0xc0, &0x80]);
    }
}
