//! A virtual Ethernet link with our stack on one end and a server on the other, in virtual time.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test binary uses a part of it"
)]

pub mod dhcp;
pub mod fake;
pub mod server;
pub mod wire;

use fake::Fake;
use netstack::{Config, Event, Stack};
use p2p::Instant;
use server::Server;
use std::time::Duration;
use wire::{Faults, Port, Wire};

/// Our hardware address.
pub const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x15];

/// Our stack, a node in name only, a link and a server.
pub struct World {
    pub now: Instant,
    pub stack: Stack<Port>,
    pub node: Fake,
    pub wire: Wire,
    pub server: Server,
    pub events: Vec<(Instant, Event)>,
    /// Turns of our stack.
    pub turns: u64,
}

impl World {
    /// A world whose server leases 10.0.2.15.
    pub fn new() -> Self {
        Self::with(Config::new(MAC, 1), Faults::default())
    }

    pub fn with(config: Config, faults: Faults) -> Self {
        let now = Instant::ZERO;
        let wire = Wire::new(faults);
        let (ours, theirs) = wire.ports();
        Self {
            now,
            stack: Stack::new(ours, config, now),
            node: Fake::default(),
            server: Server::new(theirs),
            wire,
            events: Vec::new(),
            turns: 0,
        }
    }

    /// A world that has an address already.
    pub fn configured(faults: Faults) -> Self {
        let mut config = Config::new(MAC, 1);
        config.static_address = Some((
            [10, 0, 2, 15].into(),
            24,
            Some([10, 0, 2, 2].into()),
            vec![[10, 0, 2, 3].into()],
        ));
        Self::with(config, faults)
    }

    /// Lets both ends work at this time until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = self.stack.poll(self.now, &mut self.node);
            self.turns += 1;
            while let Some(event) = self.stack.poll_event() {
                self.events.push((self.now, event));
            }
            moved |= self.server.poll(self.now);
            if !moved {
                return;
            }
        }
        panic!("the world does not come to rest at {:?}", self.now);
    }

    /// Goes to the next time at which anything is due, at most to `end`.
    pub fn step(&mut self, end: Instant) {
        self.settle();
        let next = [
            self.stack.poll_at(self.now),
            self.wire.poll_at(),
            self.server.poll_at(self.now),
            Some(end),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(end);
        // Whatever claims to be due now and does not move is asked again a little later.
        self.now = next.max(self.now + Duration::from_micros(100)).min(end);
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step(end);
        }
        self.settle();
    }

    /// Lets time pass until `done`; says whether it was within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            self.step(end);
        }
    }

    /// The events of one kind.
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| is(event)).count()
    }
}
