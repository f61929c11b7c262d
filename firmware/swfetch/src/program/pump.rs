//! The one loop of the program: chunks wanted by a task are fetched by the node over the network until the task is done, has failed
//! or is out of time.
use super::machine::Machine;
use super::network::Network;
use super::trouble::Trouble;
use crate::efi::watchdog;
use alloc::format;
use alloc::string::String;
use bmt::{ChunkAddress, ChunkConsumer};
use core::time::Duration;
use p2p::Instant;
use release::config::BootConfig;
use swarm::{BootstrapStage, ChunkFailure, DropReason, Event, Node, Stats};
use swfetch::failure::{Failure, id};
use swfetch::handover::{Fetched, Mark};
use swfetch::progress::{self, Meter, Snapshot};

/// Waiting is cut into pieces of at most this, so that progress and the console get their turn.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The watchdog is switched off again this often.
const WATCHDOG_EVERY: Duration = Duration::from_secs(60);
/// The node's figures go to the log this often.
const FIGURES_EVERY: Duration = Duration::from_secs(10);
/// How often a chunk that nobody delivered in time is asked for again while the network was down.
const OUTAGE_RETRIES: u32 = 3;
/// Time for the last settlements and goodbyes.
const GOODBYE: Duration = Duration::from_millis(50);

/// What the loop works for.
pub(crate) trait Task: ChunkConsumer {
    /// The step it is in, one word.
    fn step(&self) -> &'static str;
    /// Bytes so far and, when known, in all.
    fn progress(&self) -> (u64, Option<u64>);
    /// Called after chunks were handed over: takes results out, records times.
    fn after_chunks(&mut self, machine: &mut Machine);
    /// Called in every turn: what waits for time only gets its turn here.
    fn tick(&mut self, now: Instant) -> Result<(), Self::Error> {
        let _ = now;
        Ok(())
    }
    /// Says whether missing chunks are what it expects: it looks for the end of a feed.
    fn is_searching(&self) -> bool {
        false
    }
    /// Takes note of how many requests were made for a chunk that nobody had.
    fn note_requests(&mut self, address: ChunkAddress, requests: u32) {
        let _ = (address, requests);
    }
    /// Puts an error into words.
    fn explain(&self, error: Self::Error) -> Failure;
}

/// Runs `task` to its end.
pub(crate) fn run<T: Task>(
    machine: &mut Machine,
    network: &mut Network,
    node: &mut Node,
    config: &BootConfig,
    task: &mut T,
) -> Result<(), Failure> {
    let start = machine.now();
    let mut pump = Pump {
        config,
        start,
        last_chunk: start,
        watchdog: start,
        figures: start,
        meter: Meter::default(),
        peer_seen: false,
        outage_retries: OUTAGE_RETRIES,
        trouble: Trouble::default(),
    };
    loop {
        let now = machine.now();
        while let Some(address) = task.poll_obsolete() {
            node.cancel(address);
        }
        while node.request_room() > 0 {
            let Some(address) = task.poll_want() else {
                break;
            };
            node.request(now, address);
        }
        let moved = network.turn(machine, now, node);
        pump.events(machine, network, node, task, now)?;
        task.tick(now).map_err(|error| task.explain(error))?;
        if task.is_done() {
            return Ok(());
        }
        pump.deadlines(node, now)?;
        pump.show(machine, network, node, task, now);
        if !moved {
            network.wait(now, now + LOOK_EVERY);
        }
    }
}

/// Settles and says goodbye, for a short while.
pub(crate) fn close(machine: &mut Machine, network: &mut Network, node: &mut Node) {
    let start = machine.now();
    node.close(start);
    loop {
        let now = machine.now();
        let moved = network.turn(machine, now, node);
        if !moved || now.saturating_since(start) >= GOODBYE {
            break;
        }
    }
}

/// What was fetched so far.
pub(crate) fn fetched(node: &Node, bytes: u64) -> Fetched {
    let stats = node.stats();
    Fetched {
        bytes,
        chunks: stats.chunks,
        peers: u64::try_from(stats.peers_used).unwrap_or(u64::MAX),
    }
}

/// The node's figures in one line, for the log.
pub(crate) fn figures(stats: &Stats) -> String {
    format!(
        "swarm: {} chunks from {} peers; {} asked twice, {} came twice, {} wrong; {} requests and {} attempts open, {} without credit",
        stats.chunks,
        stats.peers_used,
        stats.hedges,
        stats.duplicates,
        stats.wrong_chunks,
        stats.requests_open,
        stats.attempts_open,
        stats.waiting_for_credit
    )
}

struct Pump<'a> {
    config: &'a BootConfig,
    start: Instant,
    last_chunk: Instant,
    watchdog: Instant,
    figures: Instant,
    meter: Meter,
    peer_seen: bool,
    outage_retries: u32,
    trouble: Trouble,
}

impl Pump<'_> {
    fn events<T: Task>(
        &mut self,
        machine: &mut Machine,
        network: &mut Network,
        node: &mut Node,
        task: &mut T,
        now: Instant,
    ) -> Result<(), Failure> {
        let mut chunks = false;
        while let Some(event) = node.poll_event() {
            match event {
                Event::Chunk { chunk, .. } => {
                    chunks = true;
                    task.handle_chunk(chunk)
                        .map_err(|error| task.explain(error))?;
                }
                Event::ChunkFailed { address, failure } => {
                    let offline = node.stats().peers_ready == 0 || network.is_link_down();
                    let late = matches!(
                        failure,
                        ChunkFailure::TimedOut { .. } | ChunkFailure::NoPeers
                    );
                    if offline && late && self.outage_retries > 0 {
                        // Not the chunk's fault: the network was away for as long as a chunk may take.
                        self.outage_retries -= 1;
                        machine
                            .console
                            .line("swarm: no peer for a long time; asking again");
                        node.request(now, address);
                    } else {
                        if let ChunkFailure::NotFound { peers_asked }
                        | ChunkFailure::TimedOut { peers_asked } = failure
                        {
                            task.note_requests(address, peers_asked);
                        }
                        if !task.is_searching() {
                            self.trouble.note_chunk(machine, address, failure);
                        }
                        task.handle_unavailable(address)
                            .map_err(|error| self.trouble.complete(task.explain(error)))?;
                    }
                }
                Event::ChunkDelayed { address, .. } => task
                    .handle_delayed(address)
                    .map_err(|error| task.explain(error))?,
                other => self.note(machine, other),
            }
        }
        if chunks {
            self.last_chunk = now;
            task.after_chunks(machine);
        }
        Ok(())
    }

    fn note(&mut self, machine: &mut Machine, event: Event) {
        match event {
            Event::PeerUp {
                overlay,
                address,
                generation,
                agent,
            } => {
                let text = format!(
                    "swarm: peer {} at {address}, generation {generation}, {agent}",
                    super::trouble::short(&overlay.0)
                );
                if self.peer_seen {
                    machine.console.note(&text);
                } else {
                    self.peer_seen = true;
                    machine.mark(Mark::Peers);
                    machine.console.line(&text);
                }
            }
            Event::PeerDown {
                overlay,
                address,
                reason,
            } => {
                let text = format!(
                    "swarm: peer {} at {address} dropped: {reason}",
                    overlay.map_or_else(|| String::from("?"), |o| super::trouble::short(&o.0))
                );
                if matches!(reason, DropReason::WrongChunk(_)) {
                    machine.console.line(&text);
                } else {
                    machine.console.note(&text);
                }
                self.trouble.note_drop(address, &reason);
            }
            Event::DialFailed { address, error } => {
                machine
                    .console
                    .note(&format!("swarm: {address} did not answer: {error:?}"));
                self.trouble.note_dial(address, error);
            }
            Event::PeersLearnt { new, refused } => {
                machine.console.note(&format!(
                    "swarm: told of {new} new peers, {refused} refused"
                ));
            }
            Event::Bootstrap(stage) => self.note_stage(machine, &stage),
            Event::SettlementRefused { overlay, .. } => {
                let peer = super::trouble::short(&overlay.0);
                machine
                    .console
                    .note(&format!("swarm: peer {peer} refused a settlement"));
            }
            _ => {}
        }
    }

    fn note_stage(&mut self, machine: &mut Machine, stage: &BootstrapStage) {
        let text = match stage {
            BootstrapStage::Resolving { name } => {
                machine.console.note(&format!("swarm: looking up {name}"));
                return;
            }
            BootstrapStage::Joined { .. } => return,
            BootstrapStage::ResolveFailed { bootnode, retry_in } => format!(
                "{bootnode} cannot be looked up, again in {} s",
                retry_in.as_secs()
            ),
            BootstrapStage::Unusable { bootnode } => {
                format!("{bootnode} has a form that cannot be dialled")
            }
            BootstrapStage::BootnodesDown { failures, retry_in } => format!(
                "every bootnode failed ({failures} dials), again in {} s",
                retry_in.as_secs()
            ),
            other => format!("{other:?}"),
        };
        machine.console.line(&format!("swarm: {text}"));
        // That every bootnode failed is the summary; the reasons are the dials, noted one by one.
        if !matches!(stage, BootstrapStage::BootnodesDown { .. }) {
            self.trouble.note(text);
        }
    }

    fn deadlines(&mut self, node: &Node, now: Instant) -> Result<(), Failure> {
        if now.saturating_since(self.watchdog) >= WATCHDOG_EVERY {
            self.watchdog = now;
            watchdog::disable();
        }
        let waited = now.saturating_since(self.start);
        if !self.peer_seen && waited >= self.config.swarm.bootstrap_timeout {
            return Err(self
                .trouble
                .no_peer(waited, &self.config.swarm.bootnodes, node.stats()));
        }
        let limit = self.config.boot_timeout;
        // From application start, where the clock is zero.
        if !limit.is_zero() && now.saturating_since(Instant::ZERO) >= limit {
            return Err(Failure::new(
                id::DEADLINE,
                format!("the boot is not done after {} s", limit.as_secs()),
                "a slow network, or peers that answer slowly",
                "raise boot_timeout in deboot.toml (0 s: no limit), or add bootnodes that are nearer",
            ));
        }
        Ok(())
    }

    fn show<T: Task>(
        &mut self,
        machine: &mut Machine,
        network: &mut Network,
        node: &Node,
        task: &T,
        now: Instant,
    ) {
        if !machine.console.is_progress_due(now) {
            return;
        }
        let (done, total) = task.progress();
        let stats = node.stats();
        self.meter.sample(now.as_micros(), done);
        let snapshot = Snapshot {
            bytes: (done, total),
            rate: self.meter.rate(now.as_micros(), done),
            peers: (stats.peers_ready, stats.peers_connecting, stats.peers_known),
            requests: (stats.requests_open, stats.waiting_for_credit),
            stalled: now.saturating_since(self.last_chunk),
            link_down: network.is_link_down(),
        };
        if now.saturating_since(self.figures) >= FIGURES_EVERY {
            self.figures = now;
            machine.console.note(&figures(&stats));
        }
        let waits = snapshot.is_stalled();
        let line = progress::line(task.step(), &snapshot);
        machine.console.progress(now, &line, waits);
    }
}
