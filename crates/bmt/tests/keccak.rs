//! Compares the hand-written Keccak with the `sha3` crate, an independent implementation.
use bmt::{Keccak256, bmt_root, content_address, keccak256};
use proptest::prelude::*;
use sha3::{Digest, Keccak256 as Sha3};

fn sha3(data: &[u8]) -> [u8; 32] {
    Sha3::digest(data).into()
}

/// Pads to 4096 bytes and hashes every inner node with the oracle.
fn sha3_root(payload: &[u8]) -> [u8; 32] {
    let mut level = payload.to_vec();
    level.resize(4096, 0);
    while level.len() > 32 {
        level = level.chunks(64).flat_map(sha3).collect();
    }
    level.try_into().unwrap()
}

#[test]
fn every_length_up_to_three_blocks_agrees() {
    let data: Vec<u8> = (0..409u32).map(|i| (i * 31 % 256) as u8).collect();
    for len in 0..=408 {
        assert_eq!(keccak256(&data[..len]), sha3(&data[..len]), "length {len}");
    }
}

#[test]
fn every_single_bit_of_a_node_reaches_the_digest() {
    for bit in 0..512 {
        let mut block = [0u8; 64];
        block[bit / 8] = 1 << (bit % 8);
        assert_eq!(keccak256(&block), sha3(&block), "bit {bit}");
        assert_eq!(bmt_root(&block), sha3_root(&block), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn random_input_agrees(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(keccak256(&data), sha3(&data));
    }

    #[test]
    fn random_splits_agree(
        data in prop::collection::vec(any::<u8>(), 0..2000),
        cuts in prop::collection::vec(0usize..2000, 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(data.len())).collect();
        cuts.sort_unstable();
        let mut hasher = Keccak256::new();
        let mut from = 0;
        for cut in cuts {
            hasher.update(&data[from..cut]);
            from = cut;
        }
        hasher.update(&data[from..]);
        prop_assert_eq!(hasher.finalize(), sha3(&data));
    }

    #[test]
    fn random_payloads_have_the_plain_trees_root(
        payload in prop::collection::vec(any::<u8>(), 0..=4096),
        span in any::<u64>(),
    ) {
        let root = sha3_root(&payload);
        prop_assert_eq!(bmt_root(&payload), root);
        let span = span.to_le_bytes();
        let address = sha3(&[&span[..], &root[..]].concat());
        prop_assert_eq!(content_address(&span, &payload).0, address);
    }
}
