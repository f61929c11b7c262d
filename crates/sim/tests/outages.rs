//! Networks that go away, storers that are restarted, bootnodes that flood.
use sim::{Fault, Fetch, StorerSpec, World, chunks};
use std::time::Duration;
use swarm::{BootstrapStage, Event};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_whole_devnet_restarted_in_the_middle_only_costs_time() {
    for (seed, spec) in [(1, StorerSpec::LAN), (2, StorerSpec::PUBLIC)] {
        let all = chunks(seed, if spec == StorerSpec::LAN { 1200 } else { 400 });
        let count = all.len();
        let mut world = World::new(seed, &[spec; 7], all.clone(), |_| ());
        let mut fetch = Fetch::new(&all, 128);
        let some = if spec == StorerSpec::LAN { 12 } else { 4000 };
        assert!(
            !fetch.run(&mut world, Duration::from_millis(some)),
            "still busy"
        );
        let before = fetch.received;
        assert!(before > 0 && before < count, "{before}");
        world.stop_storers();
        assert!(!fetch.run(&mut world, seconds(10)));
        world.start_storers();
        assert!(
            fetch.run(&mut world, seconds(100)),
            "seed {seed}: {:?}\n{:#?}",
            world.node.stats(),
            world.log
        );
        assert_eq!(fetch.received, count, "{:?}", fetch.failed);
        assert_eq!(world.blocked(), 0);
    }
}

#[test]
fn a_cable_pulled_for_twenty_seconds_only_costs_time() {
    for noticed in [true, false] {
        let all = chunks(3, 400);
        let mut world = World::new(3, &[StorerSpec::PUBLIC; 7], all.clone(), |_| ());
        let mut fetch = Fetch::new(&all, 128);
        assert!(!fetch.run(&mut world, seconds(4)));
        if noticed {
            world.lose_network(seconds(20));
        } else {
            world.stall(seconds(20));
        }
        let cut = world.now;
        assert!(
            fetch.run(&mut world, seconds(150)),
            "{:?}",
            world.node.stats()
        );
        assert_eq!(fetch.received, 400, "{:?}", fetch.failed);
        assert_eq!(world.blocked(), 0);
        let after = fetch.finished.unwrap() - cut;
        assert!(after < seconds(75), "noticed {noticed}: {after:?}");
    }
}

#[test]
fn no_bootnode_reachable_is_said_and_tried_again_and_requests_fail_in_time() {
    let all = chunks(4, 10);
    let mut world = World::new(
        4,
        &[StorerSpec::LAN.with(Fault::Refuses)],
        all.clone(),
        |_| (),
    );
    let mut fetch = Fetch::new(&all, 10);
    assert!(fetch.run(&mut world, seconds(70)));
    assert_eq!(fetch.failed.len(), 10);
    let down = world.log.iter().filter(|(_, event)| {
        matches!(
            event,
            Event::Bootstrap(BootstrapStage::BootnodesDown { .. })
        )
    });
    assert!(down.count() >= 4);
    world.set_fault(0, Fault::None);
    let mut again = Fetch::new(&all, 10);
    assert!(again.run(&mut world, seconds(30)));
    assert_eq!(again.received, 10);
}

#[test]
fn ten_thousand_junk_peers_cost_neither_memory_nor_much_time() {
    let mut specs = vec![StorerSpec::LAN.with(Fault::JunkHive(10_000))];
    specs.extend([StorerSpec::LAN; 6]);
    let all = chunks(6, 300);
    let mut world = World::new(6, &specs, all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 64);
    let done = fetch.run(&mut world, seconds(60));
    let stats = world.node.stats();
    assert!(done && fetch.received == 300, "{stats:?}");
    assert!(stats.peers_known <= 1024 / 4 + 16, "{stats:?}");
    println!("{:?} {stats:?}", fetch.finished);
}

#[test]
fn close_pays_and_says_goodbye() {
    let all = chunks(8, 30);
    let mut world = World::new(8, &[StorerSpec::PUBLIC; 4], all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 30);
    assert!(fetch.run(&mut world, seconds(30)));
    // Long enough for another settlement.
    let until = world.now + seconds(2);
    while world.step(until) {}
    let settlements = world.node.stats().settlements;
    let now = world.now;
    world.node.close(now);
    let until = now + seconds(3);
    while world.step(until) && !world.node.is_closed() {}
    assert!(world.node.is_closed());
    assert_eq!(world.connections(), 0);
    assert!(world.node.stats().settlements > settlements);
}
