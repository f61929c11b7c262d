//! Measures the client against its limits, for benches and tests.
use crate::source::hex;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk, proximity};
use client::{Config, Observer, RunError, Session, SessionError, StopHandle};
use content::{Join, JoinConfig, JoinError, Splitter};
use p2p::Instant;
use std::collections::BTreeSet;
use std::time::Duration;
use storer::devnet::{ChunkSource, Counters, Devnet, DevnetConfig, DevnetError};
use storer::{Generation, Profile};
use swarm::{Event, Stats};

/// What a full bee lets a light client settle per second. SPEC swarm-wire 6.1.
const LIGHT_REFRESH_RATE: u64 = 450_000;
/// Price step per missing bit of proximity. SPEC swarm-wire 5.
const BASE_PRICE: u64 = 10_000;
/// Time for all peers to be found and dialled.
const CONNECT_TIME: Duration = Duration::from_secs(60);

/// How the `public` profile is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicProfile {
    /// Storers beside the boot node.
    pub storers: usize,
    /// Generations they speak.
    pub generation: Generation,
    /// Time between the last storer's handshake and the measurement: the free first chunks are not counted.
    pub warm_up: Duration,
    /// Time that is measured.
    pub window: Duration,
}

impl Default for PublicProfile {
    /// 8 storers, both generations, 10 s, 60 s.
    fn default() -> Self {
        Self {
            storers: 8,
            generation: Generation::Both,
            warm_up: Duration::from_secs(10),
            window: Duration::from_secs(60),
        }
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublicReport {
    /// Units that 8 light connections may use in the window: refresh rate x time x storers.
    pub allowance_units: u64,
    /// Price of the chunks that the storers delivered in the window.
    pub used_units: u64,
    /// Chunks they delivered in the window.
    pub chunks: u64,
    /// Length of the window as it was.
    pub window: Duration,
    /// What the storers counted from start to end.
    pub counters: Counters,
}

impl PublicReport {
    /// Used share of the allowance.
    pub fn ratio(&self) -> f64 {
        self.used_units as f64 / self.allowance_units.max(1) as f64
    }
}

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The network did not come up.
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    /// Its boot node's address is not one of ours.
    #[error("the devnet's boot node has an address that cannot be dialled: {0}")]
    Bootnode(String),
    /// The client did not come up.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The client stopped early.
    #[error("the run ended before the window did: {0}")]
    Run(#[from] RunError<JoinError>),
    /// The file was too small for a client this fast.
    #[error(
        "the whole file was fetched before the window ended: the client had more credit than it should"
    )]
    TooFast,
    /// A storer was never connected.
    #[error("only {connected} of {storers} storers were connected within {} s", CONNECT_TIME.as_secs())]
    NotConnected {
        /// Storers with a handshake.
        connected: usize,
        /// Storers there are.
        storers: usize,
    },
}

/// Fetches from a devnet with bee's own limits for a while.
///
/// # Errors
/// See [`MeasureError`].
pub fn public_profile(plan: &PublicProfile) -> Result<PublicReport, MeasureError> {
    // The highest rate is 45/(32 - PO) chunks per second and peer; PO 31 bounds nothing, but above 12 there is no chunk here.
    let seconds = (CONNECT_TIME + plan.warm_up + plan.window).as_secs();
    let chunks_max = plan.storers as u64 * (seconds * 45 / 20 + 40);
    let (root, chunks) = random_file(chunks_max * 4096);
    let devnet = Devnet::start(DevnetConfig {
        storers: plan.storers,
        chunks: vec![ChunkSource::Chunks(chunks)],
        profile: Profile::Public,
        generation: plan.generation,
        ..DevnetConfig::default()
    })?;
    let bootnode = devnet.bootnode();
    let bootnode = bootnode
        .parse()
        .map_err(|_| MeasureError::Bootnode(bootnode))?;
    let network_id = devnet.describe().network_id;
    let config = Config::new(network_id, vec![bootnode]).map_err(SessionError::Config)?;
    let mut session = Session::new(config)?;
    let mut meter = Meter {
        missing: storer_overlays(&devnet),
        storers: storer_overlays(&devnet),
        plan: *plan,
        window: None,
        used_units: 0,
        chunks: 0,
        finished: None,
        stop: session.stop_handle(),
    };
    let mut drain = Drain(Join::new(
        root,
        JoinConfig {
            size_max: u64::MAX,
            in_flight_max: 1024,
            ordered: false,
        },
    ));
    let deadline = CONNECT_TIME + plan.warm_up + plan.window;
    let result = session.run(&mut drain, Some(deadline), &mut meter);
    let counters = devnet.totals();
    match (result, meter.finished) {
        (_, Some(window)) => Ok(PublicReport {
            allowance_units: LIGHT_REFRESH_RATE * plan.storers as u64 * window.as_millis() as u64
                / 1000,
            used_units: meter.used_units,
            chunks: meter.chunks,
            window,
            counters,
        }),
        (Ok(()), None) => Err(MeasureError::TooFast),
        (Err(_), None) if !meter.missing.is_empty() => Err(MeasureError::NotConnected {
            connected: plan.storers - meter.missing.len(),
            storers: plan.storers,
        }),
        (Err(error), None) => Err(error.into()),
    }
}

/// Makes a file whose chunks are all different.
fn random_file(length: u64) -> (content::Reference, Vec<VerifiedChunk>) {
    let mut chunks = Vec::new();
    let mut splitter = Splitter::new();
    let mut sink = |chunk| chunks.push(chunk);
    let mut x = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..length / 8 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        splitter.update(&x.to_le_bytes(), &mut sink);
    }
    let root = splitter.finish(&mut sink);
    (root, chunks)
}

fn storer_overlays(devnet: &Devnet) -> BTreeSet<String> {
    let nodes = devnet.nodes();
    let storers = nodes.into_iter().filter(|node| node.index > 0);
    storers.map(|node| node.overlay).collect()
}

/// Counts what storers deliver inside the window.
struct Meter {
    storers: BTreeSet<String>,
    missing: BTreeSet<String>,
    plan: PublicProfile,
    window: Option<(Instant, Instant)>,
    used_units: u64,
    chunks: u64,
    finished: Option<Duration>,
    stop: StopHandle,
}

impl Observer for Meter {
    fn handle_event(&mut self, now: Instant, event: &Event) {
        match event {
            Event::PeerUp { overlay, .. } => {
                self.missing.remove(&hex(&overlay.0));
                if self.missing.is_empty() && self.window.is_none() {
                    let start = now + self.plan.warm_up;
                    self.window = Some((start, start + self.plan.window));
                }
            }
            Event::Chunk { chunk, from, .. } => {
                let inside = self.window.is_some_and(|(start, _)| now >= start);
                // The boot node may forward, but it is not one of the storers whose allowance is counted.
                if inside && self.finished.is_none() && self.storers.contains(&hex(&from.0)) {
                    let order = proximity(&from.0, &chunk.address().0);
                    self.used_units += (32 - u64::from(order)) * BASE_PRICE;
                    self.chunks += 1;
                }
            }
            _ => {}
        }
    }

    fn handle_progress(&mut self, now: Instant, _stats: &Stats) {
        if let Some((start, end)) = self.window
            && now >= end
            && self.finished.is_none()
        {
            self.finished = Some(now.saturating_since(start));
            self.stop.stop();
        }
    }
}

/// Reads a file and throws it away.
struct Drain(Join);

impl ChunkConsumer for Drain {
    type Error = JoinError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.0.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        self.0.handle_chunk(chunk)?;
        while self.0.poll_piece().is_some() {}
        Ok(())
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.0.handle_unavailable(address)
    }
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.0.handle_delayed(address)
    }
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.0.poll_obsolete()
    }
    fn is_done(&self) -> bool {
        self.0.is_done()
    }
}
