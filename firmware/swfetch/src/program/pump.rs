//! The one loop of the program: chunks wanted by a task are fetched by the node over the network until the task is done, has failed
//! or is out of time.
use super::machine::Machine;
use super::network::Network;
use super::source::{Fact, Source};
use super::trouble::Trouble;
use crate::efi::watchdog;
use alloc::format;
use alloc::string::String;
use bmt::{ChunkAddress, ChunkConsumer};
use core::time::Duration;
use p2p::Instant;
use release::config::BootConfig;
use swarm::{BootstrapStage, ChunkFailure, DropReason, Event};
use swfetch::failure::{Failure, id};
use swfetch::handover::Mark;
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
    source: &mut Source,
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
        ask(source, task, now);
        let moved = network.turn(machine, now, source);
        // What came is followed by new requests, which have to leave before the machine sleeps.
        let moved = pump.events(machine, network, source, task, now)? || moved;
        task.tick(now).map_err(|error| task.explain(error))?;
        if task.is_done() {
            return Ok(());
        }
        pump.deadlines(source, now)?;
        pump.show(machine, network, source, task, now);
        if !moved {
            network.wait(now, now + LOOK_EVERY);
        }
    }
}

/// Gives the source everything the task wants.
fn ask<T: Task>(source: &mut Source, task: &mut T, now: Instant) {
    while let Some(address) = task.poll_obsolete() {
        source.cancel(address);
    }
    while source.request_room() > 0
        && let Some(address) = task.poll_want()
    {
        source.request(now, address, task.key(address));
    }
}

/// Settles and says goodbye, for a short while.
pub(crate) fn close(machine: &mut Machine, network: &mut Network, source: &mut Source) {
    let start = machine.now();
    source.close(start);
    loop {
        let now = machine.now();
        let moved = network.turn(machine, now, source);
        if !moved || now.saturating_since(start) >= GOODBYE {
            break;
        }
    }
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
    /// Hands over what came. Returns whether anything did.
    fn events<T: Task>(
        &mut self,
        machine: &mut Machine,
        network: &mut Network,
        source: &mut Source,
        task: &mut T,
        now: Instant,
    ) -> Result<bool, Failure> {
        let mut chunks = false;
        let mut any = false;
        while let Some(fact) = source.poll_event() {
            any = true;
            match fact {
                Fact::Swarm(Event::Chunk { chunk, .. })
                | Fact::Bridge(fetch::Event::Chunk(chunk)) => {
                    chunks = true;
                    task.handle_chunk(chunk)
                        .map_err(|error| task.explain(error))?;
                    // A bridge pushes what is below a chunk right behind it.
                    ask(source, task, now);
                }
                Fact::Swarm(Event::ChunkFailed { address, failure }) => {
                    self.chunk_failed(machine, network, source, task, now, address, failure)?;
                }
                Fact::Swarm(Event::ChunkDelayed { address, .. }) => task
                    .handle_delayed(address)
                    .map_err(|error| task.explain(error))?,
                Fact::Swarm(other) => self.note(machine, other),
                Fact::Bridge(fetch::Event::ChunkFailed { address, failure }) => {
                    task.note_requests(address, 1);
                    if !task.is_searching() {
                        let text = format!("chunk {address}: {failure}");
                        self.trouble.note_missing(machine, text);
                    }
                    task.handle_unavailable(address)
                        .map_err(|error| self.trouble.complete(task.explain(error)))?;
                }
                Fact::Bridge(fetch::Event::Failed(error)) => {
                    return Err(self.trouble.complete(source.explain(&error)));
                }
                Fact::Bridge(other) => self.note_bridge(machine, other),
            }
        }
        if chunks {
            self.last_chunk = now;
            task.after_chunks(machine);
        }
        Ok(any)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one branch of `events`, for its length"
    )]
    fn chunk_failed<T: Task>(
        &mut self,
        machine: &mut Machine,
        network: &mut Network,
        source: &mut Source,
        task: &mut T,
        now: Instant,
        address: ChunkAddress,
        failure: ChunkFailure,
    ) -> Result<(), Failure> {
        let offline = source.figures().peers.0 == 0 || network.is_link_down();
        let late = matches!(
            failure,
            ChunkFailure::TimedOut { .. } | ChunkFailure::NoPeers
        );
        // An index of a feed that nobody was asked for must never count as one without an update.
        let unasked = task.is_searching() && failure == ChunkFailure::NoPeers;
        if unasked || (offline && late && self.outage_retries > 0) {
            // Not the chunk's fault: the network was away for as long as a chunk may take.
            if !unasked {
                self.outage_retries -= 1;
            }
            machine
                .console
                .line("swarm: no peer for a long time; asking again");
            source.request(now, address, task.key(address));
            return Ok(());
        }
        if let ChunkFailure::NotFound { peers_asked } | ChunkFailure::TimedOut { peers_asked } =
            failure
        {
            task.note_requests(address, peers_asked);
        }
        if !task.is_searching() {
            self.trouble.note_chunk(machine, address, failure);
        }
        task.handle_unavailable(address)
            .map_err(|error| self.trouble.complete(task.explain(error)))
    }

    fn note_bridge(&mut self, machine: &mut Machine, event: fetch::Event) {
        match event {
            fetch::Event::Up { peer } => {
                let text = format!("bridge: connected to {peer}");
                if !self.peer_seen {
                    self.peer_seen = true;
                    machine.mark(Mark::Peers);
                }
                machine.console.line(&text);
            }
            fetch::Event::Down { error, retry_in } | fetch::Event::Retry { error, retry_in } => {
                let text = format!("{error}");
                let retry = retry_in.as_millis();
                machine
                    .console
                    .line(&format!("bridge: {text}, again in {retry} ms"));
                self.trouble.note(text);
            }
            fetch::Event::WholeFiles => machine
                .console
                .line("bridge: it serves whole files only; each is verified when it is complete"),
            _ => {}
        }
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

    fn deadlines(&mut self, source: &Source, now: Instant) -> Result<(), Failure> {
        if now.saturating_since(self.watchdog) >= WATCHDOG_EVERY {
            self.watchdog = now;
            watchdog::disable();
        }
        let waited = now.saturating_since(self.start);
        // A bridge's client gives up by itself.
        if let Source::Swarm(node) = source
            && !self.peer_seen
            && waited >= self.config.swarm.bootstrap_timeout
        {
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
        source: &Source,
        task: &T,
        now: Instant,
    ) {
        if !machine.console.is_progress_due(now) {
            return;
        }
        let (done, total) = task.progress();
        let figures = source.figures();
        self.meter.sample(now.as_micros(), done);
        let snapshot = Snapshot {
            bytes: (done, total),
            rate: self.meter.rate(now.as_micros(), done),
            peers: figures.peers,
            requests: figures.requests,
            stalled: now.saturating_since(self.last_chunk),
            link_down: network.is_link_down(),
        };
        if now.saturating_since(self.figures) >= FIGURES_EVERY {
            self.figures = now;
            machine.console.note(&source.describe());
        }
        let waits = snapshot.is_stalled();
        let line = progress::line(task.step(), &snapshot);
        machine.console.progress(now, &line, waits);
    }
}
