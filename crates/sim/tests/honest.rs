//! Honest storers.
use sim::{Fetch, StorerSpec, World, chunks};
use std::time::Duration;

#[test]
fn one_storer_on_a_local_network_gives_everything() {
    let all = chunks(1, 200);
    let mut world = World::new(1, &[StorerSpec::LAN], all.clone(), |_| ());
    let mut fetch = Fetch::new(&all, 64);
    assert!(
        fetch.run(&mut world, Duration::from_secs(20)),
        "{:?} {:?}",
        world.node.stats(),
        world.log
    );
    assert_eq!(fetch.received, 200);
    assert_eq!(world.pipelined(), 0);
}
