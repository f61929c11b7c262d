//! Chunks that are hard to get, and chunks that are not wanted any more.
use bmt::ChunkAddress;
use sim::{Fault, Fetch, StorerSpec, World, chunks};
use std::time::Duration;
use swarm::Event;

/// When the client said that `address` is hard to get, in milliseconds, each time.
fn told(world: &World, address: ChunkAddress) -> Vec<u64> {
    let said = world.log.iter().filter(
        |(_, event)| matches!(event, Event::ChunkDelayed { address: other, .. } if *other == address),
    );
    said.map(|(at, _)| at.as_millis()).collect()
}

#[test]
fn a_chunk_that_peers_refuse_is_called_hard_to_get_at_once_and_only_once() {
    let all = chunks(1, 100);
    let mut world = World::new(1, &[StorerSpec::LAN; 9], all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 64);
    assert!(fetch.run(&mut world, Duration::from_secs(10)));
    let missing = ChunkAddress([0x5a; 32]);
    fetch.want_missing(missing);
    let asked_at = world.now.as_millis();
    assert!(fetch.run(&mut world, Duration::from_secs(30)));
    assert_eq!(fetch.failed.len(), 1);
    let told = told(&world, missing);
    assert_eq!(told.len(), 1);
    assert!(told[0] - asked_at <= 100, "{} ms", told[0] - asked_at);
}

#[test]
fn a_chunk_whose_peers_are_silent_is_called_hard_to_get_before_any_answer_was_given_up() {
    let all = chunks(2, 20);
    let specs = [StorerSpec::LAN.with(Fault::Silent); 5];
    let mut world = World::new(2, &specs, all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 20);
    assert!(!fetch.run(&mut world, Duration::from_secs(5)));
    for address in all.keys() {
        let told = told(&world, *address);
        assert_eq!(told.len(), 1);
        assert!(told[0] <= 4000, "{} ms", told[0]);
    }
}

#[test]
fn chunks_that_come_are_never_called_hard_to_get() {
    let all = chunks(3, 500);
    let mut world = World::new(3, &[StorerSpec::LAN; 9], all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 256);
    assert!(fetch.run(&mut world, Duration::from_secs(10)));
    assert!(all.keys().all(|address| told(&world, *address).is_empty()));
}

#[test]
fn cancelled_requests_are_paid_for_when_they_are_answered() {
    let all = chunks(4, 200);
    let mut world = World::new(4, &[StorerSpec::PUBLIC; 9], all.clone(), |_| ());
    let mut first = Fetch::new(&all, 1);
    assert!(!first.run(&mut world, Duration::from_millis(900)));
    let received = first.received;
    let asked: Vec<ChunkAddress> = all.keys().copied().collect();
    for address in &asked {
        world.node.request(world.now, *address);
    }
    let until = world.now + Duration::from_millis(10);
    while world.step(until) {}
    let before = world.node.stats();
    assert!(before.attempts_open >= 16, "{before:?}");
    for address in &asked {
        world.node.cancel(*address);
    }
    assert_eq!(world.node.stats().requests_open, 0);
    let until = world.now + Duration::from_secs(3);
    while world.step(until) {}
    let after = world.node.stats();
    assert_eq!(after.attempts_open, 0);
    assert_eq!(after.chunks, before.chunks);
    let unwanted = u64::try_from(before.attempts_open).unwrap();
    assert_eq!(after.duplicates, before.duplicates + unwanted);
    assert!(after.units_spent > before.units_spent);
    assert_eq!(
        world.earned(),
        after.units_spent,
        "both sides count the same"
    );
    assert_eq!(world.blocked(), 0);
    assert!(received <= 200);
    // And what was cancelled can be had again.
    world.log.clear();
    let mut again = Fetch::new(&all, 200);
    assert!(again.run(&mut world, Duration::from_secs(60)));
    assert_eq!(again.received, 200);
    assert_eq!(world.earned(), world.node.stats().units_spent);
    assert_eq!(world.blocked(), 0);
}
