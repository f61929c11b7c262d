//! The same storers behind byte streams of someone else's: for tests whose network is not the virtual world's.
use crate::storer::{Chunks, NETWORK_ID, Storer};
use crate::{Dice, StorerSpec};
use bmt::ChunkAddress;
use p2p::{Instant, Multiaddr};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use swarm::{Config, ConnId};

/// Storers, each at an address of its own, that are handed accepted streams and their bytes.
///
/// Delays, losses and refusals belong to the network in between: [`StorerSpec::link`] and the faults `Refuses` and `Absent` mean
/// nothing here.
pub struct Storers {
    storers: Vec<Storer>,
}

impl Storers {
    /// Builds storers at `places`, all of which have all `chunks`; the first one is the bootnode and knows the others.
    pub fn new(
        seed: u64,
        places: &[(SocketAddr, StorerSpec)],
        chunks: BTreeMap<ChunkAddress, Vec<u8>>,
    ) -> Self {
        let mut dice = Dice::new(seed);
        let chunks: Chunks = Rc::new(chunks);
        let mut storers: Vec<Storer> = places
            .iter()
            .map(|(address, spec)| Storer::new(*spec, *address, chunks.clone(), &mut dice))
            .collect();
        let records: Vec<_> = storers.iter().map(|storer| storer.record.clone()).collect();
        for (n, storer) in storers.iter_mut().enumerate() {
            let version = storer.spec.version;
            storer.neighbours = (records.iter().zip(places).enumerate().skip(1))
                .filter(|(m, (_, (_, spec)))| *m != n && spec.version == version)
                .map(|(_, (record, _))| record.clone())
                .collect();
        }
        Self { storers }
    }

    /// Settings of a client that starts at the first storer.
    pub fn client(&self, seed: u64) -> Config {
        let bootnodes: Vec<Multiaddr> = (self.storers.iter().take(1))
            .map(|storer| storer.underlay.clone())
            .collect();
        Config::new(
            NETWORK_ID,
            bootnodes,
            Dice::new(seed).bytes(),
            1_790_000_000,
        )
    }

    /// A client connected to `storer`.
    pub fn accept(&mut self, now: Instant, storer: usize, id: ConnId) {
        self.storers[storer].accept(now, id);
    }

    /// Bytes arrived; returns how many were consumed.
    pub fn receive(&mut self, now: Instant, storer: usize, id: ConnId, bytes: &[u8]) -> usize {
        self.storers[storer].receive(now, id, bytes)
    }

    /// Fills `room` with bytes for the client.
    pub fn transmit(&mut self, now: Instant, storer: usize, id: ConnId, room: &mut [u8]) -> usize {
        let conn = self.storers[storer].conns.get_mut(&id);
        conn.map_or(0, |conn| conn.link.poll_output(now, room))
    }

    /// Says whether `storer` has done with this connection, once there is nothing to transmit.
    pub fn is_closing(&self, storer: usize, id: ConnId) -> bool {
        let conn = self.storers[storer].conns.get(&id);
        conn.is_none_or(|conn| conn.closing)
    }

    /// The stream is gone.
    pub fn close(&mut self, storer: usize, id: ConnId) {
        self.storers[storer].conns.remove(&id);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.storers.iter().filter_map(Storer::poll_timeout).min()
    }

    /// Lets deadlines act.
    pub fn handle_timeout(&mut self, now: Instant) {
        for storer in &mut self.storers {
            if storer.poll_timeout().is_some_and(|at| at <= now) {
                storer.timeout(now);
            }
        }
    }

    /// Chunks that `storer` delivered.
    pub fn delivered(&self, storer: usize) -> u32 {
        self.storers[storer].delivered
    }
}
