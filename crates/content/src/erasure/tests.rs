use super::*;
use crate::testing::pattern;
use reed_solomon_erasure::galois_8::ReedSolomon;
use std::vec;

fn interpolate(known: &[(u8, &[u8])], position: u8) -> Vec<u8> {
    Interpolation::new(known).shard(position)
}

/// A group of whole shards that look random.
fn group(shards: usize, seed: u64) -> Vec<u8> {
    pattern(shards * SHARD_BYTES, seed)
}

#[test]
fn parities_are_those_of_klauspost() {
    // From klauspost/reedsolomon's own tests: 5 data and 5 parity shards.
    let mut data = Vec::new();
    for pair in [[0, 1], [4, 5], [2, 3], [6, 7], [8, 9]] {
        data.extend_from_slice(&pair);
        data.resize(data.len() + SHARD_BYTES - 2, 0);
    }
    let found: Vec<_> = parities(&data, 5)
        .map(|parity| [parity[0], parity[1]])
        .collect();
    assert_eq!(found, [[12, 13], [10, 11], [14, 15], [90, 91], [94, 95]]);
}

#[test]
fn parities_equal_those_of_reed_solomon_erasure() {
    for (count, parity_count) in [
        (1, 2),
        (2, 3),
        (3, 26),
        (4, 4),
        (39, 89),
        (97, 31),
        (119, 9),
    ] {
        let data = group(count, count as u64);
        let mut shards: Vec<Vec<u8>> = data.chunks(SHARD_BYTES).map(<[u8]>::to_vec).collect();
        shards.resize(count + parity_count, vec![0; SHARD_BYTES]);
        let oracle = ReedSolomon::new(count, parity_count).unwrap();
        oracle.encode(&mut shards).unwrap();
        let made: Vec<_> = parities(&data, parity_count).collect();
        assert!(made == shards[count..], "{count} + {parity_count}");
    }
}

#[test]
fn any_n_shards_give_every_other_one() {
    let (count, parity_count) = (7, 5);
    let data = group(count, 3);
    let mut all: Vec<Vec<u8>> = data.chunks(SHARD_BYTES).map(<[u8]>::to_vec).collect();
    all.extend(parities(&data, parity_count));
    // Every choice of 7 out of 12.
    let mut choices = 0;
    for mask in 0u16..1 << all.len() {
        if mask.count_ones() as usize != count {
            continue;
        }
        choices += 1;
        let known: Vec<(u8, &[u8])> = (0u8..)
            .zip(&all)
            .filter(|(x, _)| mask >> x & 1 == 1)
            .map(|(x, shard)| (x, shard.as_slice()))
            .collect();
        let lost = (0..all.len()).find(|x| mask >> x & 1 == 0).unwrap();
        assert!(
            interpolate(&known, lost as u8) == all[lost],
            "mask {mask:b}, shard {lost}"
        );
    }
    assert_eq!(choices, 792);
}

#[test]
fn short_shards_count_as_padded_and_come_back_padded() {
    let mut data = group(3, 9);
    data[2 * SHARD_BYTES + 100..].fill(0);
    let parity = parities(&data, 1).next().unwrap();
    let shards: Vec<_> = data.chunks(SHARD_BYTES).collect();
    let known = [(0, shards[0]), (1, shards[1]), (3, parity.as_slice())];
    assert!(interpolate(&known, 2) == shards[2]);
    let known = [
        (0, shards[0]),
        (2, &shards[2][..100]),
        (3, parity.as_slice()),
    ];
    assert!(interpolate(&known, 1) == shards[1]);
    let known = [
        (0, shards[0]),
        (2, &shards[2][..101]),
        (3, parity.as_slice()),
    ];
    assert!(interpolate(&known, 1) == shards[1]);
}

#[test]
fn bytes_that_are_no_shards_do_not_panic() {
    assert_eq!(interpolate(&[], 3), vec![0; SHARD_BYTES]);
    interpolate(&[(3, &[1; 10]), (3, &[2; 10])], 3);
    interpolate(&[(255, &[1; 10_000]), (0, &[])], 255);
    assert_eq!(parities(&[1; 100], 4).count(), 4);
}
