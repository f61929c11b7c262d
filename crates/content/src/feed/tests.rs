use super::*;
use crate::mantaray::Lookup;
use crate::testing::{Answers, Store, drive};
use crate::{Collect, Reference};
use bmt::{ChunkConsumer, SecretKey, VerifiedChunk};
use sha2::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::string::ToString;
use std::vec::Vec;

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../testdata/vectors.json")).unwrap()
}

fn bee_store() -> Store {
    let mut store = Store::load(include_bytes!("../../testdata/feeds.bin"));
    let directories = Store::load(include_bytes!("../../testdata/chunks.bin"));
    store.chunks.extend(directories.chunks);
    store
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

fn feed_of(case: &serde_json::Value) -> Feed {
    let name = std::format!("{}/{}", text(&case["owner"]), text(&case["topic"]));
    name.parse().unwrap()
}

fn read_root(store: &Store, root: Root) -> Vec<u8> {
    let mut file = Collect::new(root.reference, 1 << 20, 16);
    if let Some(chunk) = root.chunk {
        assert_eq!(preload(&mut file, chunk), Ok(None));
    }
    drive(&mut file, store, Answers::FirstAskedFirst, |_| {}).unwrap();
    file.into_bytes().unwrap()
}

const ORDERS: [Answers; 4] = [
    Answers::FirstAskedFirst,
    Answers::LastAskedFirst,
    Answers::Shuffled(7),
    Answers::Shuffled(12345),
];

#[test]
fn newest_update_of_every_feed_of_bee_is_found_with_its_content() {
    let store = bee_store();
    let mut found = 0;
    for case in vectors()["feeds"].as_array().unwrap() {
        let feed = feed_of(case);
        let updates = case["updates"].as_u64().unwrap();
        for answers in ORDERS {
            for patience in [Patience::Refused, Patience::Absent] {
                let config = FindConfig {
                    patience,
                    ..FindConfig::default()
                };
                let mut find = Find::new(feed, config);
                let result = drive(&mut find, &store, answers, |_| {});
                if updates == 0 {
                    assert!(matches!(result, Err(FeedError::NoUpdate { .. })));
                    continue;
                }
                result.unwrap();
                let (update, certainty) = find.into_result().unwrap();
                assert_eq!(
                    update.index(),
                    Index::Sequence(updates - 1),
                    "{}",
                    case["name"]
                );
                assert!(certainty.is_definite() && certainty.requests() >= 3);
                let next: Vec<_> = certainty
                    .newer
                    .iter()
                    .map(|probed| probed.index)
                    .take(3)
                    .collect();
                assert_eq!(next, [0, 1, 2].map(|more| Index::Sequence(updates + more)));
                let is_v1 = text(&case["payload"]).starts_with("v1");
                assert_eq!(update.timestamp().is_some(), is_v1);
                let (root, other) = update.into_roots();
                assert_eq!(root.reference.to_hex(), text(&case["latest_reference"]));
                assert_eq!((root.chunk.is_none(), other.is_some()), (is_v1, is_v1));
            }
        }
        found += 1;
    }
    assert_eq!(found, 11);
}

#[test]
fn content_of_both_payload_versions_is_read() {
    let store = bee_store();
    for case in vectors()["feeds"].as_array().unwrap() {
        if case["latest_content_sha256"].is_null() {
            continue;
        }
        let mut find = Find::new(feed_of(case), FindConfig::default());
        drive(&mut find, &store, Answers::FirstAskedFirst, |_| {}).unwrap();
        let (update, _) = find.into_result().unwrap();
        let bytes = read_root(&store, update.into_roots().0);
        let hash = sha2::Sha256::digest(&bytes);
        let hash: std::string::String =
            hash.iter().map(|byte| std::format!("{byte:02x}")).collect();
        assert_eq!(
            hash,
            text(&case["latest_content_sha256"]),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn feed_manifests_of_bee_name_their_feed_and_are_built_again() {
    let store = bee_store();
    for case in vectors()["feeds"].as_array().unwrap() {
        let root: Reference = text(&case["manifest"]).parse().unwrap();
        let mut lookup = Lookup::new(root, "/");
        drive(&mut lookup, &store, Answers::FirstAskedFirst, |_| {}).unwrap();
        let entry = lookup.entry().unwrap();
        assert_eq!(entry.reference, None);
        let manifest = FeedManifest::from_metadata(&entry.metadata)
            .unwrap()
            .unwrap();
        let feed = feed_of(case);
        assert_eq!(
            manifest,
            FeedManifest {
                feed,
                kind: FeedType::Sequence
            }
        );
        let mut made = Store::default();
        assert_eq!(manifest.build(&mut |chunk| made.put(chunk)), Ok(root));
        assert!(
            made.chunks
                .keys()
                .all(|address| store.chunks.contains_key(address))
        );
    }
}

#[test]
fn metadata_that_names_no_feed_is_told_from_metadata_that_names_a_broken_one() {
    let owner = "1f7d61b4691cc363486616adf9dce367632b9226";
    let topic = "9c3d9bb07e3fa5ba4889a0fdf60d7f86c79c6b811cf11a683f57ecca9733c21c";
    let read = |owner: &str, topic: &str, kind: &str| {
        let pairs = [
            ("swarm-feed-owner", owner),
            ("swarm-feed-topic", topic),
            ("swarm-feed-type", kind),
        ];
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        FeedManifest::from_metadata(&pairs.collect()).map(|result| result.map(|m| m.kind))
    };
    assert_eq!(FeedManifest::from_metadata(&BTreeMap::new()), None);
    assert_eq!(read("", topic, "Sequence"), None);
    assert_eq!(read(owner, "", "Sequence"), None);
    assert_eq!(read(owner, topic, ""), Some(Ok(FeedType::Sequence)));
    assert_eq!(read(owner, topic, "SEQUENCE"), Some(Ok(FeedType::Sequence)));
    assert_eq!(read(owner, topic, "epoch"), Some(Ok(FeedType::Epoch)));
    assert_eq!(read(owner, topic, "x"), Some(Err(FeedManifestDefect::Type)));
    assert_eq!(
        read(&owner[2..], topic, ""),
        Some(Err(FeedManifestDefect::Name))
    );
    assert_eq!(read(owner, "zz", ""), Some(Err(FeedManifestDefect::Name)));
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32]).unwrap()
}

const TOPIC: Topic = Topic([9; 32]);

fn own_feed() -> Feed {
    Feed {
        owner: key().address(),
        topic: TOPIC,
    }
}

fn update_at(index: Index) -> VerifiedChunk {
    let reference = Reference::plain(bmt::ChunkAddress([1; 32]));
    sign_reference(&key(), TOPIC, index, 1_795_350_896, &reference).unwrap()
}

/// A network that answers everything asked for in one go: a round trip.
struct World {
    chunks: BTreeMap<bmt::ChunkAddress, VerifiedChunk>,
    /// Addresses nobody ever answers for, not even that they are refused.
    asked: BTreeSet<bmt::ChunkAddress>,
    rounds: usize,
}

impl World {
    fn of(indices: impl IntoIterator<Item = u64>) -> Self {
        let chunks = indices.into_iter().map(|number| {
            let chunk = update_at(Index::Sequence(number));
            (chunk.address(), chunk)
        });
        Self {
            chunks: chunks.collect(),
            asked: BTreeSet::new(),
            rounds: 0,
        }
    }

    /// Answers until `find` is done: what is there is delivered, the rest refused and, with `definite`, given up.
    fn run(&mut self, find: &mut Find, definite: bool) -> Result<(), FeedError> {
        while !find.is_done() {
            let wants: Vec<_> = std::iter::from_fn(|| find.poll_want()).collect();
            assert!(!wants.is_empty(), "not done, and nothing is wanted");
            self.rounds += 1;
            for address in &wants {
                assert!(self.asked.insert(*address), "asked twice");
                match self.chunks.get(address) {
                    Some(chunk) => find.handle_chunk(chunk.clone())?,
                    None if definite => find.handle_unavailable(*address)?,
                    None => find.handle_delayed(*address)?,
                }
            }
        }
        Ok(())
    }
}

fn newest(find: &Find) -> Option<u64> {
    match find.latest()?.index() {
        Index::Sequence(number) => Some(number),
        Index::Epoch(_) => None,
    }
}

#[test]
fn newest_is_found_in_few_rounds_for_every_length() {
    let lengths = (1..300).chain([1000, 4095, 4096, 4097, 50_000, 131_327, 131_328]);
    for length in lengths {
        // Only the updates a look-up can touch need to exist; all below the newest do.
        let mut find = Find::new(own_feed(), FindConfig::default());
        let (mut rounds, mut asked) = (0, 0);
        while !find.is_done() {
            let wants: Vec<_> = std::iter::from_fn(|| find.poll_want()).collect();
            assert!(!wants.is_empty(), "length {length}: hangs");
            rounds += 1;
            asked += wants.len();
            let by_address: BTreeMap<_, _> = find.open_indices().collect();
            for address in wants {
                // An update below one that was just found is needless by now.
                let Some(index) = by_address.get(&address) else {
                    continue;
                };
                match *index {
                    Index::Sequence(number) if number < length => {
                        find.handle_chunk(update_at(*index)).unwrap()
                    }
                    _ => find.handle_delayed(address).unwrap(),
                }
            }
        }
        assert_eq!(newest(&find), Some(length - 1));
        let most = if length <= 256 { 4 } else { 8 };
        assert!(
            rounds <= most && asked <= 100,
            "length {length}: {rounds} rounds, {asked} asked"
        );
    }
}

#[test]
fn one_round_is_enough_when_nothing_changed_since_the_last_look() {
    for newest_known in [0, 1, 2, 39, 100_000] {
        let mut world = World::of([newest_known]);
        let config = FindConfig {
            at_least: Some(newest_known),
            ..FindConfig::default()
        };
        let mut find = Find::new(own_feed(), config);
        world.run(&mut find, false).unwrap();
        assert_eq!((newest(&find), world.rounds), (Some(newest_known), 1));
        assert!(!find.certainty().is_definite(), "refused is not given up");
    }
}

#[test]
fn gaps_below_the_newest_and_just_behind_it_do_not_hide_it() {
    for missing in [
        Vec::from([0]),
        Vec::from([0, 1, 2]),
        Vec::from([15]),
        Vec::from([31]),
        Vec::from([1, 3, 7, 15]),
        Vec::from([38, 37]),
        (20..39).filter(|index| index % 3 != 0).collect(),
    ] {
        let present = (0..40).filter(|index| !missing.contains(index));
        let mut world = World::of(present);
        let mut find = Find::new(own_feed(), FindConfig::default());
        world.run(&mut find, true).unwrap();
        assert_eq!(newest(&find), Some(39), "without {missing:?}");
    }
}

#[test]
fn an_update_that_comes_late_is_taken_until_the_look_up_is_done() {
    let mut world = World::of(0..5);
    let late = world
        .chunks
        .remove(&own_feed().address(Index::Sequence(4)))
        .unwrap();
    let config = FindConfig {
        patience: Patience::Absent,
        ..FindConfig::default()
    };
    let mut find = Find::new(own_feed(), config);
    while !find.is_provisional() {
        let wants: Vec<_> = std::iter::from_fn(|| find.poll_want()).collect();
        assert!(!wants.is_empty());
        for address in wants {
            match world.chunks.get(&address) {
                Some(chunk) => find.handle_chunk(chunk.clone()).unwrap(),
                None => find.handle_delayed(address).unwrap(),
            }
        }
    }
    assert_eq!((newest(&find), find.is_done()), (Some(3), false));
    find.handle_chunk(late).unwrap();
    assert_eq!((newest(&find), find.is_done()), (Some(4), false));
    for number in 5..8 {
        let address = own_feed().address(Index::Sequence(number));
        find.note_requests(address, 20);
        find.handle_unavailable(address).unwrap();
    }
    assert!(find.is_done() && find.certainty().is_definite());
    assert!(find.certainty().requests() >= 60);
    let obsolete: Vec<_> = std::iter::from_fn(|| find.poll_obsolete()).collect();
    assert!(!obsolete.contains(&own_feed().address(Index::Sequence(4))));
    // Too late: an answer that was given does not change.
    find.handle_chunk(update_at(Index::Sequence(9))).unwrap();
    assert_eq!(newest(&find), Some(4));
}

#[test]
fn patience_ends_when_the_driver_says_so() {
    let mut world = World::of(0..3);
    let config = FindConfig {
        patience: Patience::Absent,
        ..FindConfig::default()
    };
    let mut find = Find::new(own_feed(), config);
    find.settle().unwrap();
    assert!(!find.is_done(), "nothing was seen yet");
    world.run(&mut find, false).unwrap();
    assert_eq!(newest(&find), Some(2));
    let certainty = find.certainty();
    assert!(!certainty.is_definite());
    assert!(
        certainty
            .to_string()
            .starts_with("index 3 refused by the nearest peers, ")
    );
    // Everything still under way need not go on.
    let obsolete: BTreeSet<_> = std::iter::from_fn(|| find.poll_obsolete()).collect();
    assert!(obsolete.contains(&own_feed().address(Index::Sequence(3))));
}

#[test]
fn that_there_is_no_update_is_believed_only_when_the_source_gives_up() {
    let mut find = Find::new(own_feed(), FindConfig::default());
    let wants: Vec<_> = std::iter::from_fn(|| find.poll_want()).collect();
    for address in &wants {
        find.handle_delayed(*address).unwrap();
    }
    assert!(find.is_provisional() && !find.is_done());
    let error = find
        .handle_unavailable(own_feed().address(Index::Sequence(0)))
        .unwrap_err();
    assert_eq!(
        error,
        FeedError::NoUpdate {
            feed: own_feed(),
            asked: wants.len()
        }
    );
}

#[test]
fn an_older_update_never_wins_over_a_newer_one_seen_before() {
    let feed = own_feed();
    for (present, at_least, expected) in [
        (
            5,
            5,
            FeedError::Older {
                feed,
                found: 4,
                at_least: 5,
            },
        ),
        (
            1,
            1,
            FeedError::Older {
                feed,
                found: 0,
                at_least: 1,
            },
        ),
        (
            40,
            1000,
            FeedError::Older {
                feed,
                found: 39,
                at_least: 1000,
            },
        ),
        (
            3,
            u64::MAX,
            FeedError::Older {
                feed,
                found: 2,
                at_least: u64::MAX,
            },
        ),
        (0, 7, FeedError::Gone { feed, at_least: 7 }),
        (0, 0, FeedError::Gone { feed, at_least: 0 }),
    ] {
        let mut world = World::of(0..present);
        let config = FindConfig {
            at_least: Some(at_least),
            ..FindConfig::default()
        };
        let mut find = Find::new(feed, config);
        assert_eq!(
            world.run(&mut find, true),
            Err(expected),
            "{present} updates, {at_least} seen"
        );
    }
    let mut world = World::of(0..9);
    let config = FindConfig {
        at_least: Some(5),
        ..FindConfig::default()
    };
    let mut find = Find::new(feed, config);
    world.run(&mut find, true).unwrap();
    assert_eq!(newest(&find), Some(8));
}

#[test]
fn indices_at_the_end_of_the_range_do_not_overflow() {
    for newest_known in [u64::MAX, u64::MAX - 1] {
        let mut world = World::of([newest_known]);
        let config = FindConfig {
            at_least: Some(u64::MAX - 2),
            ..FindConfig::default()
        };
        let mut find = Find::new(own_feed(), config);
        world.run(&mut find, true).unwrap();
        assert_eq!(newest(&find), Some(newest_known));
    }
}

#[test]
fn an_owner_of_a_chaotic_feed_cannot_make_a_look_up_crawl_for_ever() {
    // Every third index exists, up to far: each round finds a little more.
    let mut find = Find::new(own_feed(), FindConfig::default());
    let mut asked = 0;
    while !find.is_done() {
        let wants: Vec<_> = std::iter::from_fn(|| find.poll_want()).collect();
        assert!(!wants.is_empty());
        asked += wants.len();
        let by_address: BTreeMap<_, _> = find.open_indices().collect();
        for address in wants {
            match by_address.get(&address) {
                Some(Index::Sequence(number)) if number % 3 == 2 => {
                    find.handle_chunk(update_at(Index::Sequence(*number)))
                        .unwrap();
                }
                _ => find.handle_unavailable(address).unwrap(),
            }
        }
    }
    assert!(asked <= probes::PROBES_MAX);
}

#[test]
fn an_update_of_another_feed_is_no_answer() {
    let mut find = Find::new(own_feed(), FindConfig::default());
    let other = sign_root(
        &SecretKey::from_bytes(&[8; 32]).unwrap(),
        TOPIC,
        Index::Sequence(0),
        &VerifiedChunk::content(*b"\x01\0\0\0\0\0\0\0", b"x").unwrap(),
    );
    find.handle_chunk(other.unwrap()).unwrap();
    assert_eq!(find.latest(), None);
}

#[test]
fn payload_versions_are_told_apart_by_length_and_span() {
    let root =
        |span: u64, payload: &[u8]| VerifiedChunk::content(span.to_le_bytes(), payload).unwrap();
    for (span, len, reference_bytes) in [
        (40, 40, Some(32)),
        (72, 72, Some(64)),
        (39, 39, None),
        (41, 41, None),
        (0, 0, None),
        (4096, 4096, None),
        // A tree's root or a replica's padding: what is there is not what the span says.
        (40_000, 40, None),
        (8, 40, None),
    ] {
        let payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
        let chunk = sign_root(&key(), TOPIC, Index::Sequence(0), &root(span, &payload)).unwrap();
        let update = Update::new(Index::Sequence(0), chunk);
        let found = match update.payload() {
            Payload::Reference {
                timestamp,
                reference,
            } => {
                assert_eq!(timestamp, 0x0001_0203_0405_0607);
                assert_eq!(reference.address.0, payload[8..40]);
                Some(if reference.key.is_some() { 64 } else { 32 })
            }
            Payload::Root => None,
        };
        assert_eq!(found, reference_bytes, "span {span}, {len} bytes");
        let (first, other) = update.into_roots();
        let inline = other.unwrap_or(first);
        assert_eq!(inline.chunk.unwrap(), root(span, &payload));
    }
}

#[test]
fn an_update_made_here_is_the_one_bee_made() {
    let store = bee_store();
    let vectors = vectors();
    let mut compared = 0;
    for case in vectors["feeds"].as_array().unwrap() {
        let feed = feed_of(case);
        for number in 0..case["updates"].as_u64().unwrap() {
            let chunk = store.get(feed.address(Index::Sequence(number))).unwrap();
            let update = Update::new(Index::Sequence(number), chunk);
            // The owner's key is not published; with another one everything but owner and signature is the same.
            let own = match update.payload() {
                Payload::Reference {
                    timestamp,
                    reference,
                } => sign_reference(&key(), feed.topic, update.index(), timestamp, &reference),
                Payload::Root => sign_root(
                    &key(),
                    feed.topic,
                    update.index(),
                    &update.chunk().clone().into_wrapped(),
                ),
            };
            let own = own.unwrap();
            let bee = update.chunk().data();
            assert_eq!(
                (&own.data()[..32], &own.data()[97..]),
                (&bee[..32], &bee[97..])
            );
            let again = VerifiedChunk::verify(own.address(), own.data().to_vec()).unwrap();
            assert_eq!(again, own);
            compared += 1;
        }
    }
    assert_eq!(compared, 109);
}

mod epochs {
    use super::*;

    #[test]
    fn epoch_names_are_the_published_ones() {
        let root = Epoch::containing(1_700_000_000, 32).unwrap();
        assert_eq!((root.start(), root.level()), (0, 32));
        assert_eq!(
            Topic(root.to_hash()).to_string(),
            "2a28926b78c626adb7a249a23e9769bf038b52447e60543086a797f9b3061c70"
        );
        assert_eq!(Epoch::containing(0, 33), None);
    }

    /// Makes updates at these times as bee's updater does, and returns the world with what each time's update is.
    fn world(times: &[u64]) -> BTreeMap<bmt::ChunkAddress, VerifiedChunk> {
        let mut chunks = BTreeMap::new();
        let mut last: Option<(Epoch, u64)> = None;
        for time in times {
            let epoch = match last {
                None => Epoch::containing(*time, 32).unwrap(),
                Some((epoch, before)) => epoch.next(before, *time).unwrap(),
            };
            let reference = Reference::plain(bmt::ChunkAddress([1; 32]));
            let chunk =
                sign_reference(&key(), TOPIC, Index::Epoch(epoch), *time, &reference).unwrap();
            assert!(
                chunks.insert(chunk.address(), chunk).is_none(),
                "an epoch used twice"
            );
            last = Some((epoch, *time));
        }
        chunks
    }

    fn find(
        chunks: &BTreeMap<bmt::ChunkAddress, VerifiedChunk>,
        time: u64,
        reverse: bool,
        definite: bool,
    ) -> Result<Option<u64>, FeedError> {
        let mut find = FindEpoch::new(own_feed(), time, Patience::Refused);
        while !find.is_done() {
            let mut wants: Vec<_> = std::iter::from_fn(|| find.poll_want()).collect();
            assert!(!wants.is_empty(), "hangs");
            if reverse {
                wants.reverse();
            }
            for address in wants {
                match chunks.get(&address) {
                    Some(chunk) => find.handle_chunk(chunk.clone())?,
                    None if definite => find.handle_unavailable(address)?,
                    None => find.handle_delayed(address)?,
                }
            }
        }
        Ok(find.into_result().unwrap().0.timestamp())
    }

    #[test]
    fn the_newest_update_is_found_at_any_later_time() {
        let mut x = 12345u64;
        for gap_bits in [1, 4, 10, 20, 26] {
            let mut times = Vec::from([1_600_000_000]);
            for _ in 0..40 {
                x = x
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                times.push(times.last().unwrap() + 1 + (x >> 33) % (1 << gap_bits));
            }
            let chunks = world(&times);
            let newest = *times.last().unwrap();
            for later in [0, 1, 2, 3, 100, 12_345, 1 << 20, 1 << 29] {
                for reverse in [false, true] {
                    let found = find(&chunks, newest + later, reverse, reverse);
                    assert_eq!(
                        found,
                        Ok(Some(newest)),
                        "gaps of {gap_bits} bits, {later} s later"
                    );
                }
            }
        }
    }

    #[test]
    fn a_feed_without_update_has_none() {
        let none = find(&BTreeMap::new(), 1_700_000_000, false, true);
        assert_eq!(
            none,
            Err(FeedError::NoUpdate {
                feed: own_feed(),
                asked: 33
            })
        );
    }

    #[test]
    fn two_updates_in_one_second_and_times_that_go_back_are_refused() {
        let root = Epoch::containing(5, 32).unwrap();
        assert_eq!(root.next(5, 5), None);
        assert_eq!(root.next(5, 4), None);
        assert_eq!(root.next(5, 1 << 32), None);
        assert_eq!(root.next(5, 6), Epoch::containing(6, 31));
        let second = Epoch::containing(6, 0).unwrap();
        assert_eq!(second.next(6, 7), Epoch::containing(7, 0));
    }
}
