use super::*;
use std::vec::Vec;

fn hex(bytes: &[u8]) -> std::string::String {
    bytes.iter().map(|b| std::format!("{b:02x}")).collect()
}

#[test]
fn known_digests() {
    assert_eq!(
        hex(&keccak256(b"")),
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    );
    assert_eq!(
        hex(&keccak256(b"abc")),
        "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    );
}

#[test]
fn the_64_byte_path_equals_the_general_one() {
    let data: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(37)).collect();
    let (left, right) = data.split_at(32);
    let pair = keccak_pair(
        &from_bytes(left.try_into().unwrap()),
        &from_bytes(right.try_into().unwrap()),
    );
    let mut hasher = Keccak256::new();
    hasher.update(&data);
    assert_eq!(to_bytes(&pair), hasher.finalize());
    assert_eq!(to_bytes(&pair), keccak256(&data));
}

#[test]
fn the_40_byte_path_equals_the_general_one() {
    let root: Vec<u8> = (100..132u8).collect();
    let mut data = 0x0123_4567_89ab_cdefu64.to_le_bytes().to_vec();
    data.extend_from_slice(&root);
    let short = keccak_span(
        0x0123_4567_89ab_cdef,
        &from_bytes(root.as_slice().try_into().unwrap()),
    );
    assert_eq!(to_bytes(&short), keccak256(&data));
}

#[test]
fn every_split_of_the_input_gives_the_same_digest() {
    let data: Vec<u8> = (0..300u32).map(|i| (i * 7 % 251) as u8).collect();
    for len in [0, 1, 135, 136, 137, 271, 272, 273, 300] {
        let data = &data[..len];
        let whole = keccak256(data);
        for cut in 0..=len {
            let mut hasher = Keccak256::new();
            hasher.update(&data[..cut]);
            hasher.update(&data[cut..]);
            assert_eq!(hasher.finalize(), whole, "len {len} cut {cut}");
        }
        let mut hasher = Keccak256::new();
        for byte in data {
            hasher.update(&[*byte]);
        }
        assert_eq!(hasher.finalize(), whole, "len {len} byte by byte");
    }
}
