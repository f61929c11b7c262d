//! When answers come late: whom it is worth asking again, and whom not.
use sim::{Fault, Fetch, LinkSpec, StorerSpec, World, chunks};
use std::time::Duration;
use swarm::{DropReason, Event, Stats};

/// Every way of being bad that still lets a client connect.
const BAD: [Fault; 4] = [
    Fault::Liar,
    Fault::Silent,
    Fault::Truncates,
    Fault::HugePrefix,
];

fn seconds(fetch: &Fetch) -> f64 {
    fetch.finished.expect("done").as_micros() as f64 / 1e6
}

/// Share of the requests that were sent although another peer had been asked already.
fn hedged(stats: &Stats) -> f64 {
    stats.hedges as f64 / (stats.chunks + stats.hedges) as f64
}

/// Connections to storers without fault that the client gave up.
fn lost_good(world: &World, specs: &[StorerSpec]) -> usize {
    let good: Vec<_> = (specs.iter().enumerate())
        .filter(|(_, spec)| spec.fault == Fault::None)
        .map(|(index, _)| world.overlay(index))
        .collect();
    let downs = world.log.iter().filter(|(_, event)| {
        matches!(event, Event::PeerDown { overlay: Some(overlay), reason, .. }
            if good.contains(overlay) && *reason != DropReason::Duplicate)
    });
    downs.count()
}

#[test]
fn a_slow_client_takes_in_what_it_can_and_asks_hardly_anything_twice() {
    for (seed, speed) in [(1, 10_000_000), (2, 500_000), (3, 60_000)] {
        let count = usize::try_from(speed / 4096 * 20).expect("small").min(2500);
        let all = chunks(seed, count);
        let bytes: usize = all.values().map(Vec::len).sum();
        let specs = [StorerSpec::LAN; 9];
        let mut world = World::new(seed, &specs, all.clone(), |_| ());
        world.slow_client(speed);
        let mut fetch = Fetch::new(&all, 1024);
        assert!(fetch.run(&mut world, Duration::from_secs(200)));
        let stats = world.node.stats();
        let goodput = bytes as f64 / seconds(&fetch) / speed as f64;
        println!(
            "{speed} B/s: {goodput:.2} of it, {:.3} hedged, {stats:?}",
            hedged(&stats)
        );
        assert_eq!(fetch.received, count, "{:?}", fetch.failed);
        assert!(hedged(&stats) <= 0.1, "{speed}: {stats:?}");
        assert!(goodput >= 0.8, "{speed}: {goodput:.2}");
        assert_eq!(lost_good(&world, &specs), 0, "{speed}");
    }
}

#[test]
fn a_silent_storer_that_others_forward_to_takes_no_good_one_with_it() {
    for (seed, copies, speed) in [(1, 2, 0), (2, 3, 0), (3, 2, 1_000_000), (4, 3, 1_000_000)] {
        let all = chunks(seed, 2000);
        let mut specs = [StorerSpec::LAN; 9];
        specs[4].fault = Fault::Silent;
        let mut world = World::new(seed, &specs, all.clone(), |_| ());
        world.spread(copies);
        if speed > 0 {
            world.slow_client(speed);
        }
        let mut fetch = Fetch::new(&all, 512);
        let done = fetch.run(&mut world, Duration::from_secs(100));
        let stats = world.node.stats();
        println!(
            "{copies} copies, {speed} B/s: {:?}, {:.3} hedged, {stats:?}",
            fetch.finished,
            hedged(&stats)
        );
        assert!(
            done && fetch.received == 2000,
            "{:?} {stats:?}",
            fetch.failed
        );
        assert!(hedged(&stats) <= 0.15, "{stats:?}");
        assert_eq!(lost_good(&world, &specs), 0);
        let limit = if speed > 0 { 11.0 } else { 5.0 };
        assert!(seconds(&fetch) <= limit, "{}", seconds(&fetch));
    }
}

#[test]
fn half_of_the_storers_bad_in_every_way_and_a_slow_client_only_cost_time() {
    for seed in 1..=4 {
        let speed = if seed % 2 == 0 { 1_000_000 } else { 4_000_000 };
        let link = if seed > 2 {
            LinkSpec::WAN
        } else {
            LinkSpec::LAN
        };
        let good = StorerSpec {
            link,
            ..StorerSpec::LAN
        };
        let all = chunks(seed, 2000);
        let mut specs = vec![good; 5];
        specs.extend(BAD.map(|fault| good.with(fault)));
        let mut world = World::new(seed, &specs, all.clone(), |config| {
            config.attempt_timeout = Duration::from_secs(8);
            config.chunk_timeout = Duration::from_secs(30);
        });
        world.spread(5);
        world.slow_client(speed);
        let mut fetch = Fetch::new(&all, 1024);
        let done = fetch.run(&mut world, Duration::from_secs(150));
        let stats = world.node.stats();
        println!(
            "seed {seed}, {speed} B/s: {:?}, {:.3} hedged, {stats:?}",
            fetch.finished,
            hedged(&stats)
        );
        assert!(
            done && fetch.received == 2000,
            "seed {seed}: {:?} {stats:?}",
            fetch.failed
        );
        assert_eq!(lost_good(&world, &specs), 0, "seed {seed}");
        assert!(hedged(&stats) <= 0.25, "seed {seed}: {stats:?}");
    }
}
