mod redundancy;
mod vectors;

use super::*;
use crate::shape::FILE_BYTES_MAX;
use crate::shape::Span;
use crate::testing::{Answers, Store, drive, pattern};
use std::vec;

const ALL_ANSWERS: [Answers; 4] = [
    Answers::FirstAskedFirst,
    Answers::LastAskedFirst,
    Answers::Shuffled(1),
    Answers::Shuffled(99),
];

fn config(in_flight_max: usize, ordered: bool) -> JoinConfig {
    JoinConfig {
        size_max: 1 << 40,
        in_flight_max,
        ordered,
    }
}

/// Reads a file and checks order, limits and completeness on the way.
fn read(root: Reference, store: &Store, config: JoinConfig, answers: Answers) -> Vec<u8> {
    let (in_flight_max, ordered) = (config.in_flight_max, config.ordered);
    let mut join = Join::new(root, config);
    let mut file = Vec::new();
    let mut given = 0;
    let seen = drive(&mut join, store, answers, |join| {
        // Open parents: one window of leaves, and the path to the root.
        let open = in_flight_max.div_ceil(128) * 2 + 3;
        assert!(join.buffered_chunks() <= in_flight_max.max(1) + open);
        file.resize(join.size().unwrap() as usize, 0xee);
        while let Some(piece) = join.poll_piece() {
            let offset = piece.offset() as usize;
            if ordered {
                assert_eq!(offset, given, "pieces come in file order");
            }
            given += piece.bytes().len();
            file[offset..offset + piece.bytes().len()].copy_from_slice(piece.bytes());
        }
    })
    .unwrap();
    assert!(seen.in_flight_peak <= in_flight_max.max(1));
    assert_eq!(given, file.len());
    file
}

#[test]
fn files_of_boundary_lengths_come_back_in_every_order_of_answers() {
    let data = pattern(4096 * 128 * 2 + 4097, 3);
    for length in [
        0,
        1,
        4095,
        4096,
        4097,
        8192,
        4096 * 127,
        4096 * 128,
        4096 * 128 + 1,
        4096 * 129,
        4096 * 130 + 5,
        4096 * 256,
        4096 * 256 + 1,
        data.len(),
    ] {
        let mut store = Store::default();
        let root = store.add_file(&data[..length]);
        for in_flight_max in [0, 1, 2, 7, 128, 1000] {
            for ordered in [false, true] {
                for answers in ALL_ANSWERS {
                    let file = read(root, &store, config(in_flight_max, ordered), answers);
                    assert!(
                        file == data[..length],
                        "{length} bytes, window {in_flight_max}, ordered {ordered}, {answers:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn repeated_chunks_are_asked_for_once_at_a_time_and_fill_every_place() {
    let mut data = vec![0; 4096 * 300];
    data[4096 * 200..4096 * 201].fill(7);
    data.extend_from_slice(b"tail");
    let mut store = Store::default();
    let root = store.add_file(&data);
    for ordered in [false, true] {
        for answers in ALL_ANSWERS {
            for in_flight_max in [1, 16, 400] {
                assert!(read(root, &store, config(in_flight_max, ordered), answers) == data);
            }
        }
    }
    let mut join = Join::new(root, config(400, true));
    let seen = drive(&mut join, &store, Answers::FirstAskedFirst, |join| {
        while join.poll_piece().is_some() {}
    })
    .unwrap();
    assert!(
        seen.asked.len() < 20,
        "{} requests for 6 chunks",
        seen.asked.len()
    );
}

#[test]
fn chunks_are_wanted_in_file_order_with_parents_ahead_of_need() {
    let data = pattern(4096 * 128 * 3, 8);
    let mut store = Store::default();
    let root = store.add_file(&data);
    let mut join = Join::new(root, config(64, false));
    let mut offsets = Vec::new();
    let mut waits_for_parent = 0;
    drive(&mut join, &store, Answers::FirstAskedFirst, |join| {
        while let Some(piece) = join.poll_piece() {
            offsets.push(piece.offset());
        }
        if join.leaf_parents.is_empty() && join.received_bytes() > 0 && join.wants.is_empty() {
            waits_for_parent += 1;
        }
    })
    .unwrap();
    assert!(offsets.is_sorted());
    // Only at the very end does it run out of known leaves.
    assert!(waits_for_parent <= 1, "ran dry {waits_for_parent} times");
}

#[test]
fn a_file_of_a_gigabyte_needs_a_bounded_buffer() {
    // A synthetic tree of one repeated leaf under three levels: 128^3 leaves are 8 GiB; two of 128 subtrees are used here.
    let mut store = Store::default();
    let leaf = store.add_raw(4096, &[0x5a; 4096]);
    let parent = store.add_raw(4096 * 128, &leaf.0.repeat(128));
    let grand = store.add_raw(4096 * 128 * 128, &parent.0.repeat(128));
    let size = 4096u64 * 128 * 128 * 16;
    let root = store.add_raw(size, &grand.0.repeat(16));
    for ordered in [false, true] {
        let mut join = Join::new(Reference::plain(root), config(256, ordered));
        let mut given = 0u64;
        let mut peak = 0;
        drive(&mut join, &store, Answers::LastAskedFirst, |join| {
            peak = peak.max(join.buffered_chunks());
            while let Some(piece) = join.poll_piece() {
                given += piece.bytes().len() as u64;
            }
        })
        .unwrap();
        assert_eq!(given, size);
        assert!(peak <= 256 + 8, "{peak} chunks buffered");
    }
}

fn error_of(store: &Store, root: Reference, size_max: u64) -> JoinError {
    let mut join = Join::new(
        root,
        JoinConfig {
            size_max,
            in_flight_max: 4,
            ordered: true,
        },
    );
    drive(&mut join, store, Answers::FirstAskedFirst, |join| {
        while join.poll_piece().is_some() {}
    })
    .unwrap_err()
}

fn defect_of(store: &Store, root: ChunkAddress) -> (u64, TreeDefect) {
    match error_of(store, Reference::plain(root), 1 << 40) {
        JoinError::Malformed { offset, defect, .. } => (offset, defect),
        other => panic!("{other}"),
    }
}

#[test]
fn sizes_above_the_limit_are_refused_on_the_root() {
    let mut store = Store::default();
    let root = store.add_file(&[1; 5000]);
    assert_eq!(
        error_of(&store, root, 4999),
        JoinError::TooLarge {
            size: 5000,
            max: 4999
        }
    );
    for span in [u64::MAX >> 1, (1 << 53) + 1, 0x80ff_ffff_ffff_ffff] {
        let hostile = store.add_raw(span, &[1; 4096]);
        assert_eq!(
            error_of(&store, Reference::plain(hostile), u64::MAX),
            JoinError::TooLarge {
                size: span,
                max: FILE_BYTES_MAX
            }
        );
    }
}

#[test]
fn malformed_trees_are_refused_with_place_and_reason() {
    let mut store = Store::default();
    let full = store.add_raw(4096, &[1; 4096]);
    let short = store.add_raw(100, &[2; 100]);
    let pair = [full.0, full.0].concat();

    let root = store.add_raw(8193, &pair);
    let expected = TreeDefect::PayloadShort {
        expected: 96,
        found: 64,
    };
    assert_eq!(defect_of(&store, root), (0, expected));

    let root = store.add_raw(8192, &[full.0, full.0, full.0].concat());
    assert_eq!(
        defect_of(&store, root),
        (0, TreeDefect::TooManyReferences { children: 2 })
    );

    let root = store.add_raw(8192, &[full.0, short.0].concat());
    let expected = TreeDefect::Span {
        expected: 4096,
        found: 100,
    };
    assert_eq!(defect_of(&store, root), (4096, expected));

    let root = store.add_raw(4096 + 50, &[full.0, short.0].concat());
    let expected = TreeDefect::Span {
        expected: 50,
        found: 100,
    };
    assert_eq!(defect_of(&store, root), (4096, expected));

    // A leaf whose span promises more than its payload holds.
    let liar = store.add_raw(4096, &[3; 10]);
    let root = store.add_raw(4096 + 4096, &[full.0, liar.0].concat());
    let expected = TreeDefect::PayloadShort {
        expected: 4096,
        found: 10,
    };
    assert_eq!(defect_of(&store, root), (4096, expected));
    let expected = TreeDefect::PayloadShort {
        expected: 4096,
        found: 10,
    };
    assert_eq!(defect_of(&store, liar), (0, expected));

    // A chain of single references would never end; its shape does not exist.
    let root = store.add_raw(5000, &full.0);
    let expected = TreeDefect::PayloadShort {
        expected: 64,
        found: 32,
    };
    assert_eq!(defect_of(&store, root), (0, expected));

    // An unknown redundancy level.
    let root = store.add_raw(0x8500_0000_0000_2000, &pair);
    assert_eq!(
        defect_of(&store, root),
        (0, TreeDefect::UnknownLevel { level: 5 })
    );

    // A level below a root that has none is just a wrong span.
    let inner = store.add_raw(0x8100_0000_0000_0000 | (4096 * 128), &full.0.repeat(128));
    let root = store.add_raw(4096 * 129, &[inner.0, full.0].concat());
    assert!(matches!(
        defect_of(&store, root),
        (0, TreeDefect::Span { .. })
    ));
}

#[test]
fn zero_padding_behind_references_and_leaves_is_ignored() {
    let mut store = Store::default();
    let mut leaf = vec![4; 100];
    leaf.resize(4096, 0);
    let leaf = store.add_raw(100, &leaf);
    let full = store.add_raw(4096, &[1; 4096]);
    let mut references = [full.0, leaf.0].concat();
    references.resize(4096, 0);
    let root = store.add_raw(4196, &references);
    let file = read(
        Reference::plain(root),
        &store,
        config(4, true),
        Answers::FirstAskedFirst,
    );
    assert_eq!(file.len(), 4196);
    assert!(file[4096..] == [4; 100]);
}

#[test]
fn a_missing_chunk_is_named() {
    let mut store = Store::default();
    let data = pattern(4096 * 5, 1);
    let root = store.add_file(&data);
    let leaf = VerifiedChunk::content(4096u64.to_le_bytes(), &data[8192..12288]).unwrap();
    store.chunks.remove(&leaf.address());
    assert_eq!(
        error_of(&store, root, 1 << 20),
        JoinError::Unavailable(leaf.address())
    );
    let nowhere = ChunkAddress([1; 32]);
    assert_eq!(
        error_of(&store, Reference::plain(nowhere), 1 << 20),
        JoinError::Unavailable(nowhere)
    );
}

#[test]
fn chunks_nobody_asked_for_are_ignored() {
    let mut store = Store::default();
    let root = store.add_file(&[1; 5000]);
    let stranger = VerifiedChunk::content([9, 0, 0, 0, 0, 0, 0, 0], b"uninvited").unwrap();
    let mut join = Join::new(root, config(4, true));
    join.handle_chunk(stranger.clone()).unwrap();
    join.handle_unavailable(stranger.address()).unwrap();
    assert_eq!(join.poll_want(), Some(root.address));
    assert_eq!(join.poll_want(), None);
    join.handle_chunk(store.get(root.address).unwrap()).unwrap();
    join.handle_chunk(store.get(root.address).unwrap()).unwrap();
    join.handle_chunk(stranger).unwrap();
    assert_eq!(join.size(), Some(5000));
    assert!(!join.is_done());
}
