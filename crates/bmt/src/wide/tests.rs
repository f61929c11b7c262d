use super::*;
use crate::tree::scalar_root;
use std::vec::Vec;

/// Payloads of every length, with and without zeros in them.
fn payloads() -> impl Iterator<Item = Vec<u8>> {
    (0..=4096usize)
        .step_by(7)
        .chain([4095, 4096, 193, 256, 2048, 2049])
        .flat_map(|len| {
            let full: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8 + 1).collect();
            let mut holed = full.clone();
            if let Some(hole) = holed.get_mut(len / 3..len / 2) {
                hole.fill(0);
            }
            [full, holed]
        })
}

fn agrees<L: Lane>(payload: &[u8], run: impl Fn(Root<'_, L>) -> Lanes, lanes: L) {
    assert_eq!(
        run(Root { payload, lanes }),
        scalar_root(payload),
        "{} bytes",
        payload.len()
    );
}

#[test]
fn every_kind_of_vector_gives_the_same_roots() {
    for payload in payloads().filter(|payload| !payload.is_empty()) {
        if let Some(simd) = V4::try_new() {
            agrees(
                &payload,
                |root| simd.vectorize(root),
                lane::Eight(simd.avx512f),
            );
        }
        if let Some(simd) = V3::try_new() {
            agrees(
                &payload,
                |root| simd.vectorize(root),
                lane::Four(simd.avx, simd.avx2),
            );
        }
    }
}

#[test]
fn short_payloads_are_left_to_the_scalar_tree() {
    assert_eq!(root(&[1; 192]), None);
    assert_eq!(root(&[]), None);
}
