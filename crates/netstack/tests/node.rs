//! The real node, through the stack, from simulated storers behind real TCP, on the virtual link.
mod support;

use netstack::Config;
use sim::{Fault, StorerSpec, Storers};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use support::server::Service;
use support::wire::{Faults, Wire};
use support::{MAC, World, configured};
use swarm::{Event, Node};

const SECOND: Duration = Duration::from_secs(1);
const STORERS: u16 = 12;

struct Fetch {
    world: World<Node>,
    wanted: Vec<bmt::ChunkAddress>,
    missing: BTreeMap<bmt::ChunkAddress, Vec<u8>>,
    peers_down: usize,
}

impl Fetch {
    fn new(config: Config, faults: Faults, count: usize, spec: impl Fn(u16) -> StorerSpec) -> Self {
        let chunks = sim::chunks(faults.seed, count);
        let places: Vec<(SocketAddr, StorerSpec)> = (0..STORERS)
            .map(|n| (([10, 0, 2, 2], 2000 + n).into(), spec(n)))
            .collect();
        let storers = Storers::new(faults.seed, &places, chunks.clone());
        let node = Node::new(storers.client(faults.seed), p2p::Instant::ZERO);
        let mut world = World::around(node, config, Wire::new(faults));
        for n in 0..STORERS {
            world.server.serve(2000 + n, Service::Storer(n.into()));
        }
        world.server.storers = Some(storers);
        Self {
            world,
            wanted: chunks.keys().copied().collect(),
            missing: chunks,
            peers_down: 0,
        }
    }

    /// Fetches until everything or `count` chunks are there; says whether it was within `limit`.
    fn run(&mut self, limit: Duration, count: usize) -> bool {
        let end = self.world.now + limit;
        let left = self.missing.len().saturating_sub(count);
        while self.missing.len() > left {
            let w = &mut self.world;
            while w.node.request_room() > 900
                && let Some(address) = self.wanted.pop()
            {
                w.node.request(w.now, address);
            }
            w.step(end);
            while let Some(event) = w.node.poll_event() {
                match event {
                    Event::Chunk { chunk, .. } => {
                        let data = self.missing.remove(&chunk.address());
                        assert_eq!(
                            data.as_deref(),
                            Some(chunk.data()),
                            "only right bytes, once"
                        );
                    }
                    Event::ChunkFailed { address, failure } => panic!("{address:?}: {failure:?}"),
                    Event::PeerDown { .. } => self.peers_down += 1,
                    _ => {}
                }
            }
            if w.now >= end {
                return false;
            }
        }
        let (at, turns) = (self.world.now.as_millis(), self.world.turns);
        eprintln!(
            "{} chunks missing at {at} ms after {turns} turns",
            self.missing.len()
        );
        true
    }
}

#[test]
fn everything_is_fetched_from_many_peers_after_dhcp() {
    let mut f = Fetch::new(Config::new(MAC, 1), Faults::default(), 1500, |_| {
        StorerSpec::LAN
    });
    assert!(
        f.run(30 * SECOND, usize::MAX),
        "{} missing",
        f.missing.len()
    );
    let storers = f.world.server.storers.as_ref().expect("storers");
    let busy = (0..STORERS.into())
        .filter(|n| storers.delivered(*n) > 0)
        .count();
    assert!(busy >= 6, "{busy} storers used");
    assert_eq!(f.peers_down, 0);
}

#[test]
fn everything_is_fetched_over_a_lossy_link() {
    for seed in 1..3 {
        let faults = Faults {
            seed,
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(1),
            lost_per_mille: 10,
            doubled_per_mille: 5,
        };
        let mut f = Fetch::new(configured(), faults, 400, |_| StorerSpec::LAN);
        assert!(
            f.run(120 * SECOND, usize::MAX),
            "seed {seed}: {} missing",
            f.missing.len()
        );
    }
}

#[test]
fn a_fetch_goes_on_after_the_cable_was_out_for_20_s() {
    let mut f = Fetch::new(Config::new(MAC, 1), Faults::default(), 2000, |_| {
        StorerSpec::LAN
    });
    assert!(f.run(30 * SECOND, 500));
    f.world.wire.cut(true);
    f.world.stack.handle_link(f.world.now, false);
    assert!(!f.run(20 * SECOND, usize::MAX));
    f.world.wire.cut(false);
    f.world.stack.handle_link(f.world.now, true);
    // Not after TCP's patience, which would be some ten seconds.
    assert!(f.run(3 * SECOND, usize::MAX), "{} missing", f.missing.len());
}

#[test]
fn a_fetch_goes_on_after_an_outage_that_the_card_does_not_report() {
    let mut f = Fetch::new(configured(), Faults::default(), 2000, |_| StorerSpec::LAN);
    assert!(f.run(30 * SECOND, 500));
    f.world.wire.cut(true);
    assert!(!f.run(20 * SECOND, usize::MAX));
    f.world.wire.cut(false);
    assert!(
        f.run(40 * SECOND, usize::MAX),
        "{} missing",
        f.missing.len()
    );
}

#[test]
fn a_fetch_goes_on_with_another_address() {
    let mut f = Fetch::new(Config::new(MAC, 1), Faults::default(), 2000, |_| {
        StorerSpec::LAN
    });
    assert!(f.run(30 * SECOND, 500));
    f.world.stack.handle_link(f.world.now, false);
    f.world.server.dhcp().leased = [10, 0, 2, 99].into();
    f.run(SECOND, usize::MAX);
    f.world.stack.handle_link(f.world.now, true);
    assert!(
        f.run(60 * SECOND, usize::MAX),
        "{} missing",
        f.missing.len()
    );
}

#[test]
fn peers_that_lie_and_close_are_made_up_for() {
    let spec = |n| match n {
        3 => StorerSpec::LAN.with(Fault::Liar),
        4 => StorerSpec::LAN.with(Fault::ClosesAfter(5)),
        5 => StorerSpec::LAN.with(Fault::Mute),
        _ => StorerSpec::LAN,
    };
    let mut f = Fetch::new(configured(), Faults::default(), 1000, spec);
    assert!(
        f.run(60 * SECOND, usize::MAX),
        "{} missing",
        f.missing.len()
    );
    assert!(f.peers_down >= 2, "{}", f.peers_down);
}

#[test]
fn closing_the_node_says_goodbye_to_every_peer() {
    let mut f = Fetch::new(configured(), Faults::default(), 200, |_| StorerSpec::LAN);
    assert!(f.run(30 * SECOND, usize::MAX));
    let w = &mut f.world;
    w.node.close(w.now);
    w.run(8 * SECOND);
    assert!(w.node.is_closed());
    let open =
        (0..STORERS.into()).filter(|n| w.server.state(*n) != smoltcp::socket::tcp::State::Listen);
    assert_eq!(open.count(), 0);
}
