//! Differential tests against nectar-primitives, an independent implementation of Swarm's chunks and file trees.
use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use bmt::{ChunkKind, SecretKey, VerifiedChunk, proximity};
use nectar_primitives::{
    Chunk, ContentChunk, NetworkId, Nonce, SingleOwnerChunk, SwarmAddress, compute_overlay,
};
use proptest::prelude::*;

/// Lengths at which something changes: segments, pairs of them, half trees, full chunks.
fn boundary_lengths() -> Vec<usize> {
    let mut lengths = vec![0];
    for edge in [1, 8, 31, 32, 64, 96, 128, 1024, 2048, 4032, 4064, 4096] {
        lengths.extend([edge - 1, edge, edge + 1]);
    }
    lengths.retain(|len| *len <= 4096);
    lengths
}

fn content_addresses_agree(payload: &[u8]) {
    if payload.is_empty() {
        // The oracle has no empty chunk.
        return;
    }
    let ours = VerifiedChunk::content((payload.len() as u64).to_le_bytes(), payload).unwrap();
    let oracle = ContentChunk::<4096>::new(payload.to_vec()).unwrap();
    assert_eq!(ours.address().0, *oracle.address().as_bytes());
}

#[test]
fn content_addresses_of_boundary_lengths_agree() {
    for len in boundary_lengths() {
        let counting: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        content_addresses_agree(&counting);
        content_addresses_agree(&vec![0; len]);
        content_addresses_agree(&vec![0xff; len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn content_addresses_agree_on_random_payloads(payload in prop::collection::vec(any::<u8>(), 1..=4096)) {
        content_addresses_agree(&payload);
    }

    #[test]
    fn content_addresses_agree_with_holes(
        len in 1usize..=4096, at in 0usize..4096, hole in 0usize..4096, seed in any::<u8>(),
    ) {
        let mut payload = vec![seed | 1; len];
        let end = (at + hole).min(len);
        if at < end {
            payload[at..end].fill(0);
        }
        content_addresses_agree(&payload);
    }

    #[test]
    fn single_owner_chunks_agree(
        payload in prop::collection::vec(any::<u8>(), 1..=4096), id in any::<[u8; 32]>(), secret in 1u128..,
    ) {
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(&secret.to_be_bytes());
        let key = SecretKey::from_bytes(&bytes).unwrap();
        let signer = PrivateKeySigner::from_bytes(&B256::from(bytes)).unwrap();
        prop_assert_eq!(key.address().0, signer.address().into_array());
        let span = (payload.len() as u64).to_le_bytes();
        let ours = VerifiedChunk::single_owner(id, &key, span, &payload).unwrap();
        let oracle = SingleOwnerChunk::<4096>::new(B256::from(id), payload, &signer).unwrap();
        prop_assert_eq!(&ours.address().0[..], oracle.address().as_bytes());
        // Each accepts what the other made.
        let made = bytes::Bytes::from(oracle).to_vec();
        let read = VerifiedChunk::verify(ours.address(), made).unwrap();
        let is_owner = matches!(read.kind(), ChunkKind::SingleOwner { owner, .. } if owner == key.address());
        prop_assert!(is_owner);
        let read = SingleOwnerChunk::<4096>::try_from(ours.data()).unwrap();
        prop_assert_eq!(read.owner().unwrap(), signer.address());
    }

    #[test]
    fn overlays_and_proximity_agree(
        address in any::<[u8; 20]>(), network in any::<u64>(), nonce in any::<[u8; 32]>(),
        a in any::<[u8; 32]>(), b in any::<[u8; 32]>(), equal_bytes in 0usize..=32,
    ) {
        let ours = bmt::EthAddress(address).overlay(network, &nonce);
        let oracle = compute_overlay(&Address::from(address), NetworkId::new(network), &Nonce::new(nonce));
        prop_assert_eq!(&ours.0[..], oracle.as_bytes());
        let mut near = b;
        near[..equal_bytes].copy_from_slice(&a[..equal_bytes]);
        let oracle = SwarmAddress::new(a).proximity(&SwarmAddress::new(near));
        prop_assert_eq!(proximity(&a, &near), oracle.get());
    }
}

#[test]
fn file_trees_agree() {
    for len in [
        1,
        4095,
        4096,
        4097,
        8192,
        4096 * 127 + 1,
        4096 * 128,
        4096 * 128 + 1,
        4096 * 129,
        4096 * 256 + 7,
    ] {
        let file: Vec<u8> = (0..len).map(|i| (i / 3 % 253) as u8).collect();
        let ours = content::split(&file, &mut |_| {});
        let (oracle, _) = nectar_primitives::file::split::<4096>(&file).unwrap();
        assert_eq!(ours.address.0, *oracle.as_bytes(), "{len} bytes");
    }
}
