//! Storers that lie, hang, break off: the fetch ends with the right bytes or with a clear failure, within bounded virtual time.
use bmt::ChunkAddress;
use sim::{Dice, Fault, Fetch, StorerSpec, World, chunks};
use std::time::Duration;
use swarm::{ChunkFailure, DropReason, Event};

/// Every fault that leaves the connection or the request without a chunk.
const FAULTS: [Fault; 15] = [
    Fault::Liar,
    Fault::Silent,
    Fault::ResetsAfter(3),
    Fault::ClosesAfter(3),
    Fault::Truncates,
    Fault::HugePrefix,
    Fault::NotFound,
    Fault::Slow(Duration::from_secs(3)),
    Fault::Refuses,
    Fault::Absent,
    Fault::Mute,
    Fault::NoPricing,
    Fault::Stingy,
    Fault::JunkHive(300),
    Fault::Garbage,
];

/// A bootnode, two honest storers, and `faulty` ones.
fn mixed(base: StorerSpec, faulty: &[Fault]) -> Vec<StorerSpec> {
    let mut specs = vec![base; 3];
    specs.extend(faulty.iter().map(|fault| base.with(*fault)));
    specs
}

fn run(seed: u64, specs: &[StorerSpec], count: usize, limit: u64) -> (World, Fetch, bool) {
    let all = chunks(seed, count);
    let mut world = World::new(seed, specs, all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 256);
    let done = fetch.run(&mut world, Duration::from_secs(limit));
    (world, fetch, done)
}

#[test]
fn a_majority_of_faulty_storers_does_not_keep_the_chunks_away() {
    for (seed, fault) in (1..).zip(FAULTS) {
        let specs = mixed(StorerSpec::LAN, &[fault; 4]);
        let (world, fetch, done) = run(seed, &specs, 300, 60);
        assert!(
            done && fetch.failed.is_empty() && fetch.received == 300,
            "seed {seed} {fault:?}: {} received, {:?}\n{:?}",
            fetch.received,
            fetch.failed,
            world.node.stats()
        );
        assert_eq!(world.pipelined(), 0, "{fault:?}");
    }
}

#[test]
fn only_faulty_storers_give_a_clear_failure_in_bounded_time() {
    let hopeless = [
        Fault::Liar,
        Fault::Silent,
        Fault::ResetsAfter(0),
        Fault::ClosesAfter(0),
        Fault::Truncates,
        Fault::HugePrefix,
        Fault::NotFound,
        Fault::Mute,
        Fault::Stingy,
        Fault::Refuses,
        Fault::Garbage,
    ];
    for (seed, fault) in (100..).zip(hopeless) {
        let specs = vec![StorerSpec::LAN.with(fault); 4];
        let (world, fetch, done) = run(seed, &specs, 20, 300);
        assert!(done, "seed {seed} {fault:?}: {:?}", world.node.stats());
        assert_eq!(fetch.received, 0, "seed {seed} {fault:?}");
        assert_eq!(fetch.failed.len(), 20, "seed {seed} {fault:?}");
        println!(
            "{fault:?} {:?} after {:?}",
            fetch.failed[0].1, fetch.finished
        );
    }
}

#[test]
fn a_liar_is_dropped_named_and_never_dialled_again() {
    let specs = mixed(StorerSpec::LAN, &[Fault::Liar, Fault::None]);
    let (world, fetch, done) = run(7, &specs, 300, 60);
    assert!(done && fetch.received == 300);
    let liar = world.overlay(3);
    let down: Vec<_> = world
        .log
        .iter()
        .filter(|(_, event)| {
            matches!(event, Event::PeerDown { overlay: Some(overlay), reason: DropReason::WrongChunk(_), .. } if *overlay == liar)
        })
        .collect();
    assert_eq!(down.len(), 1);
    let ups = world
        .log
        .iter()
        .filter(|(_, event)| matches!(event, Event::PeerUp { overlay, .. } if *overlay == liar));
    assert_eq!(ups.count(), 1);
    assert!(world.node.stats().wrong_chunks >= 1);
}

#[test]
fn a_chunk_that_nobody_has_is_called_not_found_and_the_others_come() {
    let all = chunks(9, 100);
    let mut world = World::new(9, &[StorerSpec::LAN; 6], all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 64);
    let missing = ChunkAddress([0x5a; 32]);
    fetch.want_missing(missing);
    assert!(fetch.run(&mut world, Duration::from_secs(30)));
    assert_eq!(fetch.received, 100);
    assert!(
        matches!(fetch.failed[..], [(address, ChunkFailure::NotFound { peers_asked })] if address == missing && peers_asked >= 10),
        "{:?}",
        fetch.failed
    );
}

#[test]
fn random_mixes_of_faults_end_with_the_right_bytes() {
    for seed in 1000..1100 {
        let mut dice = Dice::new(seed);
        let count = 2 + usize::try_from(dice.below(5)).unwrap();
        let faults: Vec<Fault> = (0..count)
            .map(|_| FAULTS[usize::try_from(dice.below(15)).unwrap()])
            .collect();
        let mut base = if dice.once_in(2) {
            StorerSpec::LAN
        } else {
            StorerSpec::PUBLIC
        };
        base.link.loss_once_in = dice.below(3) * 40;
        if dice.once_in(2) {
            base.version = swarm::messages::Version::V14;
        }
        let specs = mixed(base, &faults);
        let (world, fetch, done) = run(seed, &specs, 40, 120);
        assert!(
            done && fetch.failed.is_empty() && fetch.received == 40,
            "seed {seed} {faults:?}: {} received, failed {:?}\n{:?}\n{:#?}",
            fetch.received,
            fetch.failed,
            world.node.stats(),
            world.log
        );
        assert_eq!(world.blocked(), 0, "seed {seed}");
        assert_eq!(world.pipelined(), 0, "seed {seed}");
    }
}
