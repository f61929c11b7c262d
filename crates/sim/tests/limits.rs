//! bee's accounting limits: never passed, and used to the full.
use sim::{Fetch, LinkSpec, StorerSpec, World, chunks};
use std::time::Duration;

/// Fetches `count` chunks from 8 storers with bee's limits (plus a bootnode); returns the share of the allowance that was used.
fn share(seed: u64, link: LinkSpec, count: usize) -> f64 {
    let all = chunks(seed, count);
    let spec = StorerSpec {
        link,
        ..StorerSpec::PUBLIC
    };
    let mut world = World::new(seed, &[spec; 9], all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 512);
    assert!(
        fetch.run(&mut world, Duration::from_secs(300)),
        "seed {seed}: {:?}",
        world.node.stats()
    );
    assert_eq!(fetch.received, count, "seed {seed}: {:?}", fetch.failed);
    assert_eq!(world.blocked(), 0, "seed {seed}: never blocklisted");
    let seconds = fetch.finished.unwrap().as_micros() as f64 / 1e6;
    let stats = world.node.stats();
    println!(
        "seed {seed}: {seconds:.1} s, {:.1} chunks/s, {} units/chunk, {} hedges, {} refused settlements, {} duplicates",
        count as f64 / seconds,
        stats.units_spent / stats.chunks,
        stats.hedges,
        stats.settlements_refused,
        stats.duplicates
    );
    // SPEC swarm-wire 6.4: each peer allows its threshold, then a first settlement of all of it, then 450 000 units each second.
    let peers = stats.peers_used as f64;
    let allowance = peers * (2.0 * 1_350_000.0 + 450_000.0 * seconds);
    assert_eq!(
        world.earned(),
        stats.units_spent,
        "both sides count the same"
    );
    stats.units_spent as f64 / allowance
}

#[test]
fn eight_public_storers_give_nine_tenths_of_their_allowance() {
    for (seed, link) in [(1, LinkSpec::WAN), (2, LinkSpec::LAN)] {
        let share = share(seed, link, 800);
        println!("share {share:.3}");
        assert!(share >= 0.9, "seed {seed}: {share:.3} of the allowance");
    }
}

#[test]
fn far_storers_are_used_to_the_full_too() {
    let link = LinkSpec {
        delay: Duration::from_millis(150),
        ..LinkSpec::WAN
    };
    let share = share(4, link, 700);
    assert!(share >= 0.85, "{share:.3} of the allowance");
}

#[test]
fn losses_on_the_way_never_lead_past_a_limit() {
    for seed in 10..14 {
        let link = LinkSpec {
            loss_once_in: 20,
            ..LinkSpec::WAN
        };
        share(seed, link, 200);
    }
}

#[test]
fn a_large_threshold_removes_throttling() {
    let all = chunks(5, 4000);
    let mut world = World::new(5, &[StorerSpec::LAN; 5], all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 1024);
    assert!(fetch.run(&mut world, Duration::from_secs(60)));
    let seconds = fetch.finished.unwrap().as_micros() as f64 / 1e6;
    let rate = 4000.0 * 4096.0 / 1e6 / seconds;
    println!("{rate:.0} MB/s of virtual links with 125 MB/s each");
    assert!(rate > 100.0, "{rate:.0} MB/s");
    assert_eq!(world.blocked(), 0);
}
