//! Trees with parities, replicas and keys, with chunks missing.
use super::*;
use crate::replica::replicas;
use crate::testing::{Misses, drive_with};
use crate::{RedundancyLevel, Splitter};
use std::collections::BTreeSet;
use std::format;
use std::vec;

const LEVELS: [RedundancyLevel; 4] = [
    RedundancyLevel::Medium,
    RedundancyLevel::Strong,
    RedundancyLevel::Insane,
    RedundancyLevel::Paranoid,
];
const STRATEGIES: [Strategy; 3] = [Strategy::Data, Strategy::DataThenParity, Strategy::Race];

/// The shards below one intermediate chunk.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) data: Vec<ChunkAddress>,
    pub(super) parities: Vec<ChunkAddress>,
}

impl Family {
    pub(super) fn choose(&self, count: usize, seed: u64) -> Vec<ChunkAddress> {
        choose(&self.shards(), count, seed)
    }

    fn shards(&self) -> Vec<ChunkAddress> {
        [self.data.clone(), self.parities.clone()].concat()
    }
}

/// All groups of a tree, found by walking it.
pub(super) fn families(store: &Store, root: Reference) -> Vec<Family> {
    let chunk = store.get(root.address).unwrap();
    let span = Span::decode(open::span_bytes(&chunk, root.key)).unwrap();
    let layout = Layout {
        level: span.level,
        encrypted: root.key.is_some(),
    };
    let mut found = Vec::new();
    walk(store, root, 0, span.size, layout, &mut found);
    found
}

fn walk(
    store: &Store,
    reference: Reference,
    offset: u64,
    size: u64,
    layout: Layout,
    found: &mut Vec<Family>,
) {
    if size <= LEAF_BYTES {
        return;
    }
    let chunk = store.get(reference.address).unwrap();
    let shape = Shape::of(size, layout);
    let references = open::references(&chunk, reference.key, shape, layout).unwrap();
    let node = Node::new(references, layout, offset, size, &(0..u64::MAX));
    let address = |index| node.address(index).unwrap();
    found.push(Family {
        data: (0..shape.children).map(address).collect(),
        parities: (shape.children..node.shards()).map(address).collect(),
    });
    for index in 0..shape.children {
        let child = node.child(index).unwrap();
        walk(
            store,
            child.reference,
            child.offset,
            child.size,
            layout,
            found,
        );
    }
}

/// How one read is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) strategy: Strategy,
    pub(super) window: usize,
    pub(super) ordered: bool,
    pub(super) answers: Answers,
    pub(super) misses: Misses,
}

pub(super) fn ways(strategy: Strategy) -> Vec<Way> {
    let mut all = Vec::new();
    let unavailable = Misses::Unavailable;
    let delayed = Misses::Delayed;
    for (window, answers, ordered, misses) in [
        (1, Answers::FirstAskedFirst, true, unavailable),
        (1, Answers::FirstAskedFirst, false, delayed),
        (7, Answers::Shuffled(5), true, delayed),
        (64, Answers::LastAskedFirst, false, unavailable),
        (300, Answers::Shuffled(11), true, unavailable),
        (300, Answers::Shuffled(12), false, delayed),
    ] {
        all.push(Way {
            strategy,
            window,
            ordered,
            answers,
            misses,
        });
    }
    all
}

/// Reads a part of a file; checks order and memory on the way. Returns the bytes, the reader and what the source saw.
fn read_part(
    root: Reference,
    store: &Store,
    range: Range<u64>,
    way: Way,
) -> Result<(Vec<u8>, Join, crate::testing::Seen), JoinError> {
    let config = config(way.window, way.ordered);
    let mut join = Join::range(root, range.clone(), config).with_strategy(way.strategy);
    let mut pieces = BTreeMap::new();
    let mut given = range.start;
    let seen = drive_with(&mut join, store, way.answers, way.misses, |join| {
        // Two windows, a path of full groups, and what the documentation allows beside.
        assert!(
            join.buffered_chunks() <= 4 * way.window + 24 * 128,
            "{way:?}"
        );
        while let Some(piece) = join.poll_piece() {
            if way.ordered {
                assert_eq!(piece.offset(), given, "pieces come in file order");
            }
            given += piece.bytes().len() as u64;
            assert!(
                pieces
                    .insert(piece.offset(), piece.bytes().to_vec())
                    .is_none()
            );
        }
    })?;
    let mut bytes = Vec::new();
    for (offset, piece) in pieces {
        assert_eq!(
            offset,
            range.start + bytes.len() as u64,
            "no gaps and no overlaps"
        );
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, join, seen))
}

pub(super) fn read_all(root: Reference, store: &Store, way: Way) -> Result<Vec<u8>, JoinError> {
    read_part(root, store, 0..u64::MAX, way).map(|(bytes, ..)| bytes)
}

/// Lengths around the ends of leaves, groups and levels.
fn lengths(layout: Layout) -> Vec<usize> {
    let group = layout.branches() * 4096;
    vec![
        0,
        1,
        4096,
        4097,
        5 * 4096,
        group - 1,
        group,
        group + 1,
        group + 4097,
        2 * group + 3 * 4096,
    ]
}

/// A seeded choice of `count` out of `all`.
fn choose<T: Clone>(all: &[T], count: usize, seed: u64) -> Vec<T> {
    let mut left = all.to_vec();
    let noise = pattern(8 * count + 8, seed);
    let mut chosen = Vec::new();
    for word in noise.as_chunks::<8>().0.iter().take(count.min(all.len())) {
        let at = u64::from_le_bytes(*word) as usize % left.len();
        chosen.push(left.swap_remove(at));
    }
    chosen
}

fn each_layout(mut test: impl FnMut(Layout, Option<u8>)) {
    for level in LEVELS {
        for seed in [None, Some(9)] {
            let encrypted = seed.is_some();
            test(Layout { level, encrypted }, seed);
        }
    }
}

#[test]
fn complete_trees_of_every_level_come_back_by_every_strategy() {
    each_layout(|layout, seed| {
        for length in lengths(layout) {
            let data = pattern(length, 4);
            let mut store = Store::default();
            let root = store.add_redundant(&data, layout.level, seed);
            for strategy in STRATEGIES {
                for way in ways(strategy) {
                    let read = read_part(root, &store, 0..u64::MAX, way);
                    let (bytes, join, seen) = read.unwrap();
                    assert!(bytes == data, "{length} bytes, {layout:?}, {way:?}");
                    if strategy != Strategy::Race {
                        assert_eq!(join.recovered_chunks(), 0);
                        assert!(seen.obsolete.is_empty(), "asked for nothing in vain");
                    }
                }
            }
        }
    });
}

#[test]
fn encrypted_trees_without_redundancy_come_back() {
    for length in [
        0,
        1,
        4095,
        4096,
        4097,
        64 * 4096,
        64 * 4096 + 1,
        65 * 4096 + 5,
    ] {
        let data = pattern(length, 6);
        let mut store = Store::default();
        let root = store.add_redundant(&data, RedundancyLevel::None, Some(1));
        for way in ways(Strategy::default()) {
            assert!(
                read_all(root, &store, way).unwrap() == data,
                "{length} bytes, {way:?}"
            );
        }
        let other = Reference {
            key: Some([7; 32]),
            ..root
        };
        assert!(
            read_all(other, &store, ways(Strategy::Data)[0]).is_err(),
            "wrong key"
        );
    }
}

#[test]
fn as_many_chunks_of_every_group_as_there_are_parities_may_be_lost() {
    each_layout(|layout, seed| {
        let length = layout.branches() * 4096 * 2 + 3 * 4096 + 77;
        let data = pattern(length, 5);
        let mut store = Store::default();
        let root = store.add_redundant(&data, layout.level, seed);
        let families = families(&store, root);
        // The groups of leaves, and the root's.
        assert_eq!(families.len(), 4);
        for round in 0..3u64 {
            let mut lossy = store.clone();
            let mut lost_data = 0;
            for (family, seed) in families.iter().zip(round * 100..) {
                let lost = match round {
                    // The data chunks that come first, intermediate ones included.
                    0 => family.shards()[..family.parities.len()].to_vec(),
                    1 => family
                        .data
                        .iter()
                        .rev()
                        .take(family.parities.len())
                        .copied()
                        .collect(),
                    _ => choose(&family.shards(), family.parities.len(), seed),
                };
                lost_data += lost
                    .iter()
                    .filter(|lost| family.data.contains(lost))
                    .count() as u64;
                for address in lost {
                    lossy.chunks.remove(&address);
                }
            }
            for strategy in [Strategy::DataThenParity, Strategy::Race] {
                for way in ways(strategy) {
                    let (bytes, join, seen) = read_part(root, &lossy, 0..u64::MAX, way).unwrap();
                    assert!(bytes == data, "{layout:?}, round {round}, {way:?}");
                    assert!(join.recovered_chunks() >= lost_data);
                    if strategy == Strategy::DataThenParity {
                        assert_eq!(join.recovered_chunks(), lost_data);
                    }
                    if way.misses == Misses::Delayed && strategy == Strategy::DataThenParity {
                        assert!(
                            seen.obsolete.len() as u64 >= lost_data,
                            "the source may stop"
                        );
                    }
                }
            }
            if lost_data > 0 {
                assert!(matches!(
                    read_all(root, &lossy, ways(Strategy::Data)[0]),
                    Err(JoinError::Unavailable(_))
                ));
            }
        }
    });
}

#[test]
fn one_chunk_more_lost_than_there_are_parities_is_an_error_that_names_the_first_lost_data_chunk() {
    each_layout(|layout, seed| {
        let data = pattern(layout.branches() * 4096 * 2 + 3 * 4096 + 77, 7);
        let mut store = Store::default();
        let root = store.add_redundant(&data, layout.level, seed);
        for (number, family) in families(&store, root).iter().enumerate() {
            for round in 0..2 {
                let count = family.parities.len() + 1;
                let lost = choose(&family.shards(), count, number as u64 * 10 + round);
                let first = family.data.iter().find(|address| lost.contains(address));
                let mut lossy = store.clone();
                for address in &lost {
                    lossy.chunks.remove(address);
                }
                let expected = JoinError::Unavailable(*first.unwrap());
                for strategy in [Strategy::DataThenParity, Strategy::Race] {
                    for way in ways(strategy) {
                        let error = read_all(root, &lossy, way).unwrap_err();
                        assert_eq!(error, expected, "{layout:?}, group {number}, {way:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn only_as_many_parities_are_asked_for_as_chunks_are_lost() {
    let level = RedundancyLevel::Strong;
    let data = pattern(107 * 4096, 1);
    let mut store = Store::default();
    let root = store.add_redundant(&data, level, None);
    let family = families(&store, root).remove(0);
    for lost in 0..=21 {
        let mut lossy = store.clone();
        for address in family.data.iter().skip(5).step_by(3).take(lost) {
            lossy.chunks.remove(address);
        }
        for way in ways(Strategy::DataThenParity) {
            let (bytes, _, seen) = read_part(root, &lossy, 0..u64::MAX, way).unwrap();
            assert!(bytes == data);
            assert_eq!(seen.asked.len(), 1 + 107 + lost, "{way:?}");
        }
    }
}

#[test]
fn a_delayed_chunk_that_comes_after_all_is_used() {
    let data = pattern(10 * 4096, 1);
    let mut store = Store::default();
    let root = store.add_redundant(&data, RedundancyLevel::Medium, None);
    let family = families(&store, root).remove(0);
    let mut join = Join::new(root, config(20, true));
    assert_eq!(join.poll_want(), Some(root.address));
    join.handle_chunk(store.get(root.address).unwrap()).unwrap();
    let asked: Vec<_> = core::iter::from_fn(|| join.poll_want()).collect();
    assert_eq!(asked, family.data);
    join.handle_delayed(family.data[3]).unwrap();
    join.handle_delayed(family.data[3]).unwrap();
    // One stands in for it, and one only.
    assert_eq!(join.poll_want(), Some(family.parities[0]));
    assert_eq!(join.poll_want(), None);
    for address in &family.data {
        assert!(!join.is_done());
        join.handle_chunk(store.get(*address).unwrap()).unwrap();
    }
    assert!(join.is_done());
    assert_eq!(join.recovered_chunks(), 0);
    assert_eq!(join.poll_obsolete(), Some(family.parities[0]));
    assert_eq!(join.poll_obsolete(), None);
    // What comes in spite of that is nobody's any more.
    join.handle_chunk(store.get(family.parities[0]).unwrap())
        .unwrap();
}

#[test]
fn the_root_comes_from_any_of_its_replicas() {
    for (level, seed, length) in [
        (RedundancyLevel::Medium, None, 100),
        (RedundancyLevel::Medium, Some(3), 100_000),
        (RedundancyLevel::Insane, None, 4097),
        (RedundancyLevel::Paranoid, Some(4), 4096 * 25),
    ] {
        let data = pattern(length, 2);
        let mut store = Store::default();
        let root = store.add_redundant(&data, level, seed);
        let all = replicas(root.address, level);
        assert_eq!(all.len(), level.replicas());
        store.chunks.remove(&root.address).unwrap();
        for kept in &all {
            let mut lossy = store.clone();
            for other in &all {
                if other != kept {
                    lossy.chunks.remove(&other.address).unwrap();
                }
            }
            for strategy in [Strategy::DataThenParity, Strategy::Race] {
                for way in ways(strategy) {
                    let bytes = read_all(root, &lossy, way).unwrap();
                    assert!(bytes == data, "{level:?}, {way:?}");
                }
            }
            let error = read_all(root, &lossy, ways(Strategy::Data)[0]).unwrap_err();
            assert_eq!(error, JoinError::Unavailable(root.address));
        }
        for replica in &all {
            store.chunks.remove(&replica.address);
        }
        for way in ways(Strategy::DataThenParity) {
            let error = read_all(root, &store, way).unwrap_err();
            assert_eq!(error, JoinError::Unavailable(root.address));
        }
    }
}

#[test]
fn replicas_are_asked_for_only_when_the_root_is_hard_to_get_and_a_few_at_a_time() {
    let mut store = Store::default();
    let root = store.add_redundant(&[1; 10], RedundancyLevel::Strong, None);
    let all: Vec<_> = replicas(root.address, RedundancyLevel::Paranoid)
        .iter()
        .map(|replica| replica.address)
        .collect();
    let mut join = Join::new(root, config(100, true));
    assert_eq!(join.poll_want(), Some(root.address));
    assert_eq!(join.poll_want(), None);
    join.handle_delayed(root.address).unwrap();
    assert_eq!(
        (join.poll_want(), join.poll_want()),
        (Some(all[0]), Some(all[1]))
    );
    assert_eq!(join.poll_want(), None);
    join.handle_unavailable(all[0]).unwrap();
    assert_eq!(
        (join.poll_want(), join.poll_want()),
        (Some(all[2]), Some(all[3]))
    );
    assert_eq!(join.poll_want(), None);
    join.handle_chunk(store.get(all[3]).unwrap()).unwrap();
    assert!(join.is_done());
    let mut obsolete: Vec<_> = core::iter::from_fn(|| join.poll_obsolete()).collect();
    obsolete.sort_unstable();
    let mut expected = vec![root.address, all[1], all[2]];
    expected.sort_unstable();
    assert_eq!(obsolete, expected);
}

#[test]
fn a_replica_with_other_content_is_as_good_as_none() {
    let mut store = Store::default();
    let root = store.add_redundant(&[1; 10], RedundancyLevel::Medium, None);
    let all = replicas(root.address, RedundancyLevel::Medium);
    store.chunks.remove(&root.address);
    // The identifier leaves one byte free: content whose address differs there only cannot be made here, but a chunk of the right
    // address and kind with other content can be handed in.
    let other = VerifiedChunk::content(3u64.to_le_bytes(), b"foo").unwrap();
    let mut join = Join::new(root, config(4, true));
    assert_eq!(join.poll_want(), Some(root.address));
    join.handle_unavailable(root.address).unwrap();
    assert_eq!(join.poll_want(), Some(all[0].address));
    join.handle_chunk(other).unwrap();
    assert!(
        join.is_waiting_for(all[0].address),
        "not what was asked for"
    );
    join.handle_chunk(store.get(all[0].address).unwrap())
        .unwrap();
    assert!(join.is_done());
}

/// A tree of three leaves whose parities are of another file.
fn with_wrong_parities() -> (Store, Reference, Family) {
    let level = RedundancyLevel::Medium;
    let mut store = Store::default();
    let right = store.add_redundant(&pattern(3 * 4096, 1), level, None);
    let wrong = store.add_redundant(&pattern(3 * 4096, 2), level, None);
    let mut family = families(&store, right).remove(0);
    family.parities = families(&store, wrong).remove(0).parities;
    let references: Vec<u8> = family
        .shards()
        .iter()
        .flat_map(|address| address.0)
        .collect();
    let span = Span {
        size: 3 * 4096,
        level,
    };
    let root = store.add_raw(u64::from_le_bytes(span.encode()), &references);
    (store, Reference::plain(root), family)
}

#[test]
fn parities_of_other_data_recover_nothing_and_break_nothing() {
    let (mut store, root, family) = with_wrong_parities();
    for way in ways(Strategy::Race)
        .into_iter()
        .chain(ways(Strategy::DataThenParity))
    {
        assert!(
            read_all(root, &store, way).unwrap() == pattern(3 * 4096, 1),
            "{way:?}"
        );
    }
    store.chunks.remove(&family.data[1]);
    for way in ways(Strategy::Race)
        .into_iter()
        .chain(ways(Strategy::DataThenParity))
    {
        let expected = JoinError::Malformed {
            address: family.data[1],
            offset: 4096,
            defect: TreeDefect::WrongParity,
        };
        assert_eq!(
            read_all(root, &store, way).unwrap_err(),
            expected,
            "{way:?}"
        );
    }
}

#[test]
fn a_range_gives_its_bytes_and_needs_only_its_chunks() {
    for (level, seed) in [
        (RedundancyLevel::None, None),
        (RedundancyLevel::None, Some(1)),
        (RedundancyLevel::Paranoid, None),
        (RedundancyLevel::Paranoid, Some(2)),
    ] {
        // Three levels of intermediate chunks at level 4, two without redundancy.
        let data = pattern(4096 * 20 * 20 + 4096 * 3 + 5, 3);
        let mut store = Store::default();
        let root = store.add_redundant(&data, level, seed);
        let len = data.len() as u64;
        let noise = pattern(16 * 40, 8);
        let mut ranges: Vec<_> = noise
            .as_chunks::<16>()
            .0
            .iter()
            .map(|word| {
                let number = u128::from_le_bytes(*word);
                let start = (number >> 64) as u64 % len;
                start..start + (number as u64) % 40_000
            })
            .collect();
        ranges.extend([
            0..0,
            0..1,
            4095..4097,
            4096..8192,
            len - 1..len,
            len - 1..u64::MAX,
        ]);
        ranges.extend([len..len + 5, u64::MAX..u64::MAX, 100..100, 0..u64::MAX]);
        #[expect(clippy::reversed_empty_ranges, reason = "callers may pass one")]
        ranges.push(9..3);
        for (range, way) in ranges
            .into_iter()
            .zip(ways(Strategy::default()).iter().cycle())
        {
            let (bytes, join, seen) = read_part(root, &store, range.clone(), *way).unwrap();
            let end = range.end.min(len) as usize;
            let expected = data.get(range.start as usize..end).unwrap_or(&[]);
            assert!(bytes == expected, "{range:?} {way:?}");
            assert_eq!(join.size(), Some(len));
            let leaves = match expected.len() {
                0 => 0..0,
                _ => range.start as usize / 4096..end.div_ceil(4096),
            };
            assert!(
                seen.asked.len() <= most(leaves),
                "{range:?}: {} chunks",
                seen.asked.len()
            );
        }
    }
}

/// Most chunks a read of these leaves may ask for: them, and the intermediate chunks above.
fn most(leaves: Range<usize>) -> usize {
    let parents = leaves.len() / 20 + leaves.len() / 400 + 7;
    leaves.len() + parents
}

#[test]
fn a_range_recovers_its_chunks_from_others_outside_of_it() {
    for seed in [None, Some(5)] {
        let data = pattern(4096 * 39 * 4, 3);
        let mut store = Store::default();
        let root = store.add_redundant(&data, RedundancyLevel::Paranoid, seed);
        for family in families(&store, root) {
            for address in family.shards().iter().take(family.parities.len()) {
                store.chunks.remove(address);
            }
        }
        for way in ways(Strategy::default()) {
            for range in [5000..5001, 4096 * 60..4096 * 62 + 7, 0..4096 * 39 * 4] {
                let (bytes, ..) = read_part(root, &store, range.clone(), way).unwrap();
                assert!(
                    bytes == data[range.start as usize..range.end as usize],
                    "{way:?}"
                );
            }
        }
    }
}

#[test]
fn repeated_chunks_are_recovered_in_every_place() {
    for seed in [None, Some(1)] {
        let mut data = vec![0; 4096 * 250];
        data[4096 * 7..4096 * 8].fill(1);
        let mut store = Store::default();
        let root = store.add_redundant(&data, RedundancyLevel::Medium, seed);
        for family in families(&store, root) {
            let distinct: BTreeSet<_> = family.data.iter().copied().collect();
            if let Some(rare) = distinct
                .into_iter()
                .find(|one| family.data.iter().filter(|other| *other == one).count() == 1)
            {
                store.chunks.remove(&rare);
            }
        }
        for strategy in [Strategy::DataThenParity, Strategy::Race] {
            for way in ways(strategy) {
                assert!(read_all(root, &store, way).unwrap() == data, "{way:?}");
            }
        }
    }
}

#[test]
fn an_encrypted_chunk_that_is_not_full_is_refused() {
    let mut store = Store::default();
    let address = store.add_raw(5, b"hello");
    let root = Reference {
        address,
        key: Some([1; 32]),
    };
    let chunk = store.get(address).unwrap();
    // A key under which the span is small: found by trying, since a span is all the key decides here.
    let key = (0u32..)
        .map(|number| bmt::keccak256(&number.to_le_bytes()))
        .find(|key| {
            let [.., high, _] = open::span_bytes(&chunk, Some(*key));
            let [.., top] = open::span_bytes(&chunk, Some(*key));
            top == 0 && high < 0x20
        })
        .unwrap();
    let root = Reference {
        key: Some(key),
        ..root
    };
    let mut join = Join::new(root, config(4, true));
    let mut config = join.config.clone();
    config.size_max = u64::MAX;
    join.config = config;
    assert_eq!(join.poll_want(), Some(address));
    let error = join.handle_chunk(chunk).unwrap_err();
    assert!(
        matches!(
            error,
            JoinError::Malformed {
                defect: TreeDefect::EncryptedLength { found: 5 },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn parity_references_that_are_missing_or_too_many_are_refused() {
    let (mut store, root, family) = with_wrong_parities();
    let chunk = store.get(root.address).unwrap();
    let span = u64::from_le_bytes(chunk.span_bytes());
    let short = store.add_raw(span, &chunk.payload()[..32 * 5]);
    assert_eq!(
        defect_of(&store, short),
        (
            0,
            TreeDefect::PayloadShort {
                expected: 32 * 6,
                found: 32 * 5
            }
        )
    );
    let long = [chunk.payload(), &family.data[0].0].concat();
    let long = store.add_raw(span, &long);
    assert_eq!(
        defect_of(&store, long),
        (0, TreeDefect::TooManyReferences { children: 3 })
    );
}

#[test]
fn memory_does_not_grow_with_the_file_whatever_the_strategy() {
    // One leaf, repeated: 20 groups of groups.
    let mut splitter = Splitter::new().with_level(RedundancyLevel::Paranoid);
    let mut store = Store::default();
    let part = vec![7; 4096 * 39];
    for _ in 0..39 * 3 {
        splitter.update(&part, &mut |chunk| store.put(chunk));
    }
    let root = splitter.finish(&mut |chunk| store.put(chunk));
    for strategy in STRATEGIES {
        for ordered in [false, true] {
            let mut join = Join::new(root, config(64, ordered)).with_strategy(strategy);
            let (mut peak, mut given) = (0, 0);
            drive_with(
                &mut join,
                &store,
                Answers::Shuffled(3),
                Misses::Delayed,
                |join| {
                    peak = peak.max(join.buffered_chunks());
                    while let Some(piece) = join.poll_piece() {
                        given += piece.bytes().len();
                    }
                },
            )
            .unwrap();
            assert_eq!(given, 4096 * 39 * 39 * 3);
            let groups = 2 * 64usize.div_ceil(39) + 3;
            assert!(
                peak <= groups * 128,
                "{}",
                format!("{strategy:?} {ordered}: {peak}")
            );
        }
    }
}
