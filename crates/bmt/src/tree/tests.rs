use super::*;
use crate::keccak256;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The tree as the specification draws it: pad to 4096 bytes, hash all 127 inner nodes.
fn reference_root(payload: &[u8]) -> [u8; 32] {
    let mut level = payload.to_vec();
    level.resize(4096, 0);
    while level.len() > 32 {
        level = level.chunks(64).flat_map(keccak256).collect();
    }
    level.try_into().unwrap()
}

#[test]
fn zero_subtree_constants_are_the_roots_of_zero_subtrees() {
    let mut node = [0u8; 32];
    for constant in ZERO_SUBTREES {
        assert_eq!(to_bytes(&constant), node);
        node = keccak256(&[node, node].concat());
    }
    // SPEC swarm-wire 8.1: the listed constants of levels 1 and 7.
    assert_eq!(
        hex(&to_bytes(&ZERO_SUBTREES[1])),
        "ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"
    );
    assert_eq!(
        hex(&to_bytes(&ZERO_SUBTREES[7])),
        "ffd70157e48063fc33c97a050f7f640233bf646cc98d9524c6b92bcf3ab56f83"
    );
}

#[test]
fn addresses_of_the_published_payloads() {
    for (payload, expected) in [
        (
            &b"greaterthanspan"[..],
            "27913f1bdb6e8e52cbd5a5fd4ab577c857287edf6969b41efe926b51de0f4f23",
        ),
        (
            b"foo",
            "2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48",
        ),
        (
            b"",
            "b34ca8c22b9e982354f9c7f50b470d66db428d880c8a904d5fe4ec9713171526",
        ),
    ] {
        let span = (payload.len() as u64).to_le_bytes();
        assert_eq!(hex(&content_address(&span, payload).0), expected);
    }
}

#[test]
fn every_length_hashes_like_the_padded_tree() {
    let data: Vec<u8> = (0..4096u32).map(|i| (i % 255) as u8 | 1).collect();
    for len in 0..=4096 {
        assert_eq!(
            bmt_root(&data[..len]),
            reference_root(&data[..len]),
            "length {len}"
        );
    }
}

#[test]
fn zero_bytes_at_the_end_do_not_change_the_root() {
    for content in [0, 1, 7, 8, 31, 32, 33, 64, 65, 2048, 2049, 4000] {
        let mut payload = vec![0xa5; content];
        let root = bmt_root(&payload);
        assert_eq!(root, reference_root(&payload));
        for len in [content + 1, content + 8, content + 33, 4096] {
            payload.resize(len.min(4096), 0);
            assert_eq!(bmt_root(&payload), root, "{content} bytes padded to {len}");
        }
    }
}

#[test]
fn zeros_in_the_middle_are_hashed_like_any_other_bytes() {
    for at in [0, 31, 32, 63, 64, 1023, 2047, 2048, 4095] {
        let mut payload = vec![0; 4096];
        payload[at] = 1;
        assert_eq!(
            bmt_root(&payload),
            reference_root(&payload),
            "one byte at {at}"
        );
    }
}

#[test]
fn the_span_is_part_of_the_address() {
    let payload = [7u8; 100];
    let mut span = [0u8; 8];
    let plain = content_address(&span, &payload);
    for byte in 0..8 {
        span[byte] = 0x80;
        assert_ne!(content_address(&span, &payload), plain, "span byte {byte}");
        let mut data = span.to_vec();
        data.extend_from_slice(&bmt_root(&payload));
        assert_eq!(content_address(&span, &payload).0, keccak256(&data));
        span[byte] = 0;
    }
}
