use super::*;
use crate::testing::{Store, pattern};
use bmt::ChunkAddress;
use std::string::String;
use std::vec;

/// All `bytes` cases of bee's vectors: length, seed, level, reference.
fn bee_cases() -> Vec<(usize, u64, RedundancyLevel, String)> {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("../../testdata/vectors.json")).unwrap();
    let cases: Vec<_> = json["bytes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            (
                case["length"].as_u64().unwrap() as usize,
                case["seed"].as_u64().unwrap(),
                RedundancyLevel::from_number(case["redundancy_level"].as_u64().unwrap() as u8)
                    .unwrap(),
                String::from(case["reference"].as_str().unwrap()),
            )
        })
        .collect();
    assert_eq!(cases.len(), 107);
    cases
}

#[test]
fn references_equal_those_of_bee() {
    for (length, seed, level, reference) in bee_cases() {
        let mut splitter = Splitter::new().with_level(level);
        splitter.update(&pattern(length, seed), &mut |_| {});
        let made = splitter.finish(&mut |_| {});
        assert_eq!(
            made.to_hex(),
            reference,
            "{length} bytes, seed {seed}, {level:?}"
        );
    }
}

#[test]
fn references_equal_the_published_ones() {
    let data: Vec<u8> = (0..4096 * 129).map(|i| (i % 255) as u8).collect();
    for (length, reference) in [
        (
            31,
            "ece86edb20669cc60d142789d464d57bdf5e33cb789d443f608cbd81cfa5697d",
        ),
        (
            4096,
            "c10090961e7682a10890c334d759a28426647141213abda93b096b892824d2ef",
        ),
        (
            8224,
            "61416726988f77b874435bdd89a419edc3861111884fd60e8adf54e2f299efd6",
        ),
        (
            4096 * 128,
            "3047d841077898c26bbe6be652a2ec590a5d9bd7cd45d290ea42511b48753c09",
        ),
        (
            4096 * 129,
            "b8e1804e37a064d28d161ab5f256cc482b1423d5cd0a6b30fde7b0f51ece9199",
        ),
    ] {
        assert_eq!(split(&data[..length], &mut |_| {}).to_hex(), reference);
    }
}

#[test]
fn the_cuts_of_the_input_do_not_matter() {
    let data = pattern(4096 * 3 + 17, 5);
    let whole = split(&data, &mut |_| {});
    for step in [1, 7, 4095, 4096, 4097, 10_000] {
        let mut splitter = Splitter::new();
        for part in data.chunks(step) {
            splitter.update(part, &mut |_| {});
        }
        splitter.update(&[], &mut |_| {});
        assert_eq!(splitter.finish(&mut |_| {}), whole, "steps of {step}");
    }
    for cut in 4090..4100 {
        let mut splitter = Splitter::new();
        splitter.update(&data[..cut], &mut |_| {});
        splitter.update(&data[cut..], &mut |_| {});
        assert_eq!(splitter.finish(&mut |_| {}), whole, "cut at {cut}");
    }
}

#[test]
fn children_come_before_their_parents_and_the_root_comes_last() {
    let mut store = Store::default();
    let mut last = None;
    let root = split(&pattern(4096 * 129, 9), &mut |chunk| {
        let span = u64::from_le_bytes(chunk.span_bytes());
        if span > 4096 {
            for child in chunk.payload().chunks(32) {
                let child = ChunkAddress(child.try_into().unwrap());
                assert!(store.chunks.contains_key(&child));
            }
        }
        last = Some(chunk.address());
        store.put(chunk);
    });
    assert_eq!(last, Some(root.address));
    // 129 leaves, the parent of 128 of them, the root.
    assert_eq!(store.chunks.len(), 131);
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let mut splitter = Splitter::new();
    let mut held_max = 0;
    let part = vec![1; 1 << 16];
    for _ in 0..1024 {
        splitter.update(&part, &mut |_| {});
        let held: usize = splitter
            .levels
            .iter()
            .map(|level| level.data.capacity())
            .sum();
        held_max = held_max.max(held + splitter.leaf.capacity());
    }
    assert!(held_max <= 4 * 4104, "{held_max} bytes for 64 MiB");
}
