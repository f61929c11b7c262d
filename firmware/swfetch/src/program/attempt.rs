//! One attempt at a boot: network, node, fetch, hand-over.
use super::machine::Machine;
use super::network::{self, Network};
use super::pump::{self, Task};
use super::source::Source;
use crate::efi::handover::{Initrd, Kernel};
use crate::efi::{heap, variables, watchdog};
use alloc::format;
use alloc::string::String;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::feed::Patience;
use content::{Join, JoinConfig, JoinError, Reference};
use core::time::Duration;
use p2p::Instant;
use release::boot::{Boot, BootError, BootLimits, BootPhase, FollowedFeed, Payload};
use release::config::BootConfig;
use release::manifest::Architecture;
use release::memory::FeedMemory;
use release::target::{Name, Target};
use swfetch::failure::{Failure, id};
use swfetch::handover::{FeedRecord, Fetched, Mark, Record};
use swfetch::wall;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Architecture = Architecture::X86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Architecture = Architecture::Aarch64;

/// Chunks wanted at once, 4.3 KiB each.
const IN_FLIGHT_MAX: usize = 512;

/// Fetches the release and starts it. Returns only when that failed.
pub(crate) fn boot(machine: &mut Machine, config: &BootConfig) -> Failure {
    match fetch_release(machine, config) {
        Ok((payload, resolved, fetched)) => {
            match start(machine, config, payload, &resolved, fetched) {
                Ok(never) => match never {},
                Err(failure) => failure,
            }
        }
        Err(failure) => failure,
    }
}

/// What a reference or feed turned out to be.
struct Resolved {
    reference: Reference,
    followed: Option<FollowedFeed>,
}

/// What cannot happen: a kernel that was started and did not come back.
pub(crate) enum Never {}

fn fetch_release(
    machine: &mut Machine,
    config: &BootConfig,
) -> Result<(Payload, Resolved, Fetched), Failure> {
    let mut session = Session::open(machine, config)?;
    let limits = BootLimits {
        architecture: ARCHITECTURE,
        kernel_bytes_max: config.kernel_bytes_max,
        initramfs_bytes_max: config.initramfs_bytes_max,
        in_flight_max: IN_FLIGHT_MAX,
        feeds: feed_memory(machine),
        patience: Patience::Absent,
    };
    machine.console.line(&format!("boot: {}", config.target));
    let mut task = Release {
        boot: Boot::new(config.target.clone(), limits),
        patience: config.feed_patience,
        provisional_since: None,
        feed_announced: false,
        announced: false,
    };
    let result = session.run(machine, config, &mut task);
    let (bytes, _) = task.progress();
    let fetched = session.close(machine, bytes);
    result?;
    machine.mark(Mark::Fetch);
    let resolved = Resolved {
        reference: task.boot.reference(),
        followed: task.boot.followed().cloned(),
    };
    let payload = task.boot.into_payload().ok_or_else(|| {
        Failure::new(
            id::INTERNAL,
            "the release is complete but has no payload",
            "a bug",
            "report this with the log of this boot",
        )
    })?;
    Ok((payload, resolved, fetched))
}

/// Fetches the plain file the reference names and throws the verified bytes away; returns bytes and milliseconds.
pub(crate) fn fetch_only(
    machine: &mut Machine,
    config: &BootConfig,
) -> Result<(u64, u64, Fetched), Failure> {
    let (Name::Reference(reference), "") = (config.target.name, config.target.path.as_str()) else {
        return Err(Failure::new(
            id::BAD_OPTIONS,
            format!(
                "fetch needs the reference of a plain file, not {}",
                config.target
            ),
            "the option fetch measures one file; paths and feeds are for booting",
            "name the file by its own reference",
        ));
    };
    let mut session = Session::open(machine, config)?;
    let join = JoinConfig {
        size_max: u64::MAX,
        in_flight_max: IN_FLIGHT_MAX,
        ordered: false,
    };
    let mut task = PlainFile {
        join: Join::new(reference, join),
        bytes: 0,
        first_ms: None,
    };
    let result = session.run(machine, config, &mut task);
    task.after_chunks(machine);
    let end_ms = machine.now().as_millis();
    let fetched = session.close(machine, task.bytes);
    result?;
    let start_ms = task.first_ms.unwrap_or(end_ms);
    Ok((task.bytes, end_ms.saturating_sub(start_ms), fetched))
}

/// Network and source of one attempt.
struct Session {
    network: Network,
    source: Source,
}

impl Session {
    fn open(machine: &mut Machine, config: &BootConfig) -> Result<Self, Failure> {
        let network = network::bring_up(machine, config)?;
        let source = Source::open(machine, config)?;
        Ok(Self { network, source })
    }

    fn run<T: Task>(
        &mut self,
        machine: &mut Machine,
        config: &BootConfig,
        task: &mut T,
    ) -> Result<(), Failure> {
        pump::run(machine, &mut self.network, &mut self.source, config, task)
    }

    fn close(mut self, machine: &mut Machine, bytes: u64) -> Fetched {
        let fetched = self.source.fetched(bytes);
        machine.console.note(&self.source.describe());
        pump::close(machine, &mut self.network, &mut self.source);
        self.network.shut_down(machine);
        fetched
    }
}

/// A boot as a task.
struct Release {
    boot: Boot,
    /// How long newer updates of a feed are waited for.
    patience: Duration,
    /// Since when only that is waited for, with which update.
    provisional_since: Option<Instant>,
    feed_announced: bool,
    announced: bool,
}

impl ChunkConsumer for Release {
    type Error = BootError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.boot.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), BootError> {
        self.boot.handle_chunk(chunk)
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        self.boot.handle_unavailable(address)
    }
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), BootError> {
        self.boot.handle_delayed(address)
    }
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.boot.poll_obsolete()
    }
    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        self.boot.key(address)
    }
    fn is_done(&self) -> bool {
        self.boot.is_done()
    }
}

impl Task for Release {
    fn step(&self) -> &'static str {
        match self.boot.phase() {
            BootPhase::Feed => "feed",
            BootPhase::Directory => "directory",
            BootPhase::Manifest => "manifest",
            BootPhase::Artifacts | BootPhase::Done => "fetch",
        }
    }
    fn progress(&self) -> (u64, Option<u64>) {
        self.boot.progress()
    }
    fn tick(&mut self, now: Instant) -> Result<(), BootError> {
        if !self.boot.is_feed_provisional() {
            self.provisional_since = None;
            return Ok(());
        }
        let since = *self.provisional_since.get_or_insert(now);
        if now.saturating_since(since) < self.patience {
            return Ok(());
        }
        self.boot.settle_feed()
    }
    fn is_searching(&self) -> bool {
        self.boot.phase() == BootPhase::Feed
    }
    fn note_requests(&mut self, address: ChunkAddress, requests: u32) {
        self.boot.note_requests(address, requests);
    }
    fn after_chunks(&mut self, machine: &mut Machine) {
        if !self.feed_announced
            && let Some(followed) = self.boot.followed()
        {
            self.feed_announced = true;
            machine
                .console
                .line(&describe_feed(followed, machine.wall()));
        }
        if self.announced {
            return;
        }
        if let Some(manifest) = self.boot.manifest() {
            self.announced = true;
            machine.mark(Mark::Manifest);
            let text = format!(
                "release: {} {} (sequence {})",
                manifest.name, manifest.version, manifest.sequence
            );
            machine.console.line(&text);
        }
    }
    fn explain(&self, error: BootError) -> Failure {
        explain_boot(&error)
    }
}

/// Says in one line what a feed led to: index, age, and how sure that is.
fn describe_feed(followed: &FollowedFeed, wall_s: Option<u64>) -> String {
    let FollowedFeed {
        feed,
        index,
        timestamp,
        certainty,
    } = followed;
    let made = match (timestamp, wall_s) {
        (Some(time), Some(now)) if *time <= now => format!("made {} ago", wall::age(now - time)),
        (Some(time), _) => format!("made at Unix time {time}"),
        (None, _) => String::from("without a time"),
    };
    format!("feed {feed}: update {index}, {made}; {certainty}")
}

fn explain_boot(error: &BootError) -> Failure {
    let help = error.help();
    Failure::new(help.id, format!("{error}"), help.cause, help.next_step)
}

/// A plain file as a task.
struct PlainFile {
    join: Join,
    bytes: u64,
    first_ms: Option<u64>,
}

impl ChunkConsumer for PlainFile {
    type Error = JoinError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.join.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        self.join.handle_chunk(chunk)
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.join.handle_unavailable(address)
    }
    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.join.handle_delayed(address)
    }
    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.join.poll_obsolete()
    }
    fn key(&self, address: ChunkAddress) -> Option<[u8; 32]> {
        self.join.key(address)
    }
    fn is_done(&self) -> bool {
        self.join.is_done()
    }
}

impl Task for PlainFile {
    fn step(&self) -> &'static str {
        "fetch"
    }
    fn progress(&self) -> (u64, Option<u64>) {
        (self.bytes, self.join.size())
    }
    fn after_chunks(&mut self, machine: &mut Machine) {
        if self.first_ms.is_none() {
            self.first_ms = Some(machine.now().as_millis());
        }
        while let Some(piece) = self.join.poll_piece() {
            let bytes = u64::try_from(piece.bytes().len()).unwrap_or(0);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }
    fn explain(&self, error: JoinError) -> Failure {
        let id = match &error {
            JoinError::Unavailable(_) => id::CHUNK_UNAVAILABLE,
            JoinError::OutOfMemory { .. } => id::OUT_OF_MEMORY,
            _ => id::BAD_TREE,
        };
        Failure::new(
            id,
            format!("{error}"),
            "the content is not complete in this network, or the reference names something that is no file",
            "check the reference, and that its content is still stored in the network",
        )
    }
}

fn start(
    machine: &mut Machine,
    config: &BootConfig,
    payload: Payload,
    resolved: &Resolved,
    fetched: Fetched,
) -> Result<Never, Failure> {
    let mut kernel = Kernel::load(&payload.kernel)?;
    let payload_bytes = payload.kernel.capacity() + payload.initrd.capacity();
    // Firmware has its own copy now.
    drop(payload.kernel);
    let initrd = match payload.initrd {
        bytes if bytes.is_empty() => None,
        bytes => Some(Initrd::offer(bytes)?),
    };
    let own_bytes = heap::usage().peak_bytes.saturating_sub(payload_bytes);
    let text = format!(
        "memory: {} kB at most beyond the payload of {} kB",
        own_bytes / 1024,
        payload_bytes / 1024
    );
    machine.console.note(&text);
    let now = machine.now();
    machine.mark(Mark::Exec);
    let manifest = &payload.manifest;
    let record = Record {
        reference: format!("{}", resolved.reference.address),
        feed: resolved.followed.as_ref().map(feed_record),
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        sequence: manifest.sequence,
        timings: machine.timings.clone(),
        fetched,
    };
    let line = record
        .command_line(&manifest.cmdline, &config.cmdline_append)
        .map_err(|error| {
            Failure::new(
                id::COMMAND_LINE,
                format!("{error}"),
                "cmdline of the manifest and cmdline_append of deboot.toml together are too long",
                "shorten one of them",
            )
        })?;
    kernel.set_command_line(&line)?;
    remember_feed(machine, resolved);
    variables::publish_boot(&record, u64::try_from(own_bytes).unwrap_or(u64::MAX));
    let init_us = machine.clock.start_micros();
    variables::publish_loader(
        init_us,
        init_us.saturating_add(now.as_micros()),
        machine.origin.partition.as_deref(),
    );
    let text = format!(
        "start: {} {} after {} ms, initramfs {} kB, command line: {line}",
        manifest.name,
        manifest.version,
        now.as_millis(),
        initrd.as_ref().map_or(0, Initrd::len) / 1024
    );
    machine.console.line(&text);
    machine.save_log();
    watchdog::disable();
    let failure = kernel.start();
    drop(initrd);
    Err(failure)
}

fn feed_record(followed: &FollowedFeed) -> FeedRecord {
    FeedRecord {
        feed: format!("{}", followed.feed),
        index: followed.index,
        timestamp: followed.timestamp,
        definite: followed.certainty.is_definite(),
        requests: followed.certainty.requests(),
    }
}

/// Reads which updates of feeds were booted before. A broken variable store must not stop a machine, but is said.
fn feed_memory(machine: &mut Machine) -> FeedMemory {
    variables::feed_memory().unwrap_or_else(|status| {
        machine.console.line(&format!(
            "feed: which updates were booted before cannot be read ({status:?}); an older one would be accepted"
        ));
        FeedMemory::default()
    })
}

/// Remembers the update that is about to be started, so that none older is started after it.
fn remember_feed(machine: &mut Machine, resolved: &Resolved) {
    let Some(followed) = &resolved.followed else {
        return;
    };
    // What cannot be read is not replaced: it may hold other feeds.
    let stored = variables::feed_memory().and_then(|mut memory| {
        match memory.remember(followed.feed, followed.index) {
            true => variables::store_feed_memory(&memory),
            false => Ok(()),
        }
    });
    if let Err(status) = stored {
        // A full or broken variable store must not stop a machine that has a verified release in its memory.
        machine.console.line(&format!(
            "feed: the update's index cannot be remembered ({status:?}); an older one would be accepted next time"
        ));
    }
}

/// Puts something else to boot into a configuration.
pub(crate) fn with_target(mut config: BootConfig, target: Option<Target>) -> BootConfig {
    if let Some(target) = target {
        config.target = target;
    }
    config
}
