//! One attempt at a boot: network, node, fetch, hand-over.
use super::machine::Machine;
use super::network::{self, Network};
use super::pump::{self, Task};
use crate::efi::handover::{Initrd, Kernel};
use crate::efi::{heap, variables, watchdog};
use alloc::format;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use content::{Join, JoinConfig, JoinError, Reference};
use release::boot::{Boot, BootError, BootLimits, BootPhase, Payload};
use release::config::BootConfig;
use release::manifest::Architecture;
use swarm::Node;
use swfetch::failure::{Failure, id};
use swfetch::handover::{Fetched, Mark, Record};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Architecture = Architecture::X86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Architecture = Architecture::Aarch64;

/// Chunks wanted at once, 4.3 KiB each.
const IN_FLIGHT_MAX: usize = 512;

/// Fetches the release and starts it. Returns only when that failed.
pub(crate) fn boot(machine: &mut Machine, config: &BootConfig) -> Failure {
    match fetch_release(machine, config) {
        Ok((payload, fetched)) => match start(machine, config, payload, fetched) {
            Ok(never) => match never {},
            Err(failure) => failure,
        },
        Err(failure) => failure,
    }
}

/// What cannot happen: a kernel that was started and did not come back.
pub(crate) enum Never {}

fn fetch_release(
    machine: &mut Machine,
    config: &BootConfig,
) -> Result<(Payload, Fetched), Failure> {
    let mut session = Session::open(machine, config)?;
    let limits = BootLimits {
        architecture: ARCHITECTURE,
        kernel_bytes_max: config.kernel_bytes_max,
        initramfs_bytes_max: config.initramfs_bytes_max,
        in_flight_max: IN_FLIGHT_MAX,
    };
    let mut task = Release {
        boot: Boot::new(config.reference, limits),
        announced: false,
    };
    let result = session.run(machine, config, &mut task);
    let (bytes, _) = task.progress();
    let fetched = session.close(machine, bytes);
    result?;
    machine.mark(Mark::Fetch);
    let payload = task.boot.into_payload().ok_or_else(|| {
        Failure::new(
            id::INTERNAL,
            "the release is complete but has no payload",
            "a bug",
            "report this with the log of this boot",
        )
    })?;
    Ok((payload, fetched))
}

/// Fetches the plain file the reference names and throws the verified bytes away; returns bytes and milliseconds.
pub(crate) fn fetch_only(
    machine: &mut Machine,
    config: &BootConfig,
) -> Result<(u64, u64, Fetched), Failure> {
    let mut session = Session::open(machine, config)?;
    let join = JoinConfig {
        size_max: u64::MAX,
        in_flight_max: IN_FLIGHT_MAX,
        ordered: false,
    };
    let mut task = PlainFile {
        join: Join::new(config.reference, join),
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

/// Network and node of one attempt.
struct Session {
    network: Network,
    node: Node,
}

impl Session {
    fn open(machine: &mut Machine, config: &BootConfig) -> Result<Self, Failure> {
        let network = network::bring_up(machine, config)?;
        let settings = &config.swarm;
        let mut node = swarm::Config::new(
            settings.network_id,
            settings.bootnodes.clone(),
            machine.fresh_seed("swarm")?,
            machine.wall_s,
        );
        node.generation = settings.generation;
        node.connections_max = settings.connections_max;
        node.dial_timeout = settings.dial_timeout;
        node.handshake_timeout = settings.handshake_timeout;
        node.attempt_timeout = settings.attempt_timeout;
        node.hedge_after = settings.hedge_after;
        node.chunk_timeout = settings.chunk_timeout;
        let now = machine.now();
        Ok(Self {
            network,
            node: Node::new(node, now),
        })
    }

    fn run<T: Task>(
        &mut self,
        machine: &mut Machine,
        config: &BootConfig,
        task: &mut T,
    ) -> Result<(), Failure> {
        pump::run(machine, &mut self.network, &mut self.node, config, task)
    }

    fn close(mut self, machine: &mut Machine, bytes: u64) -> Fetched {
        let stats = self.node.stats();
        let fetched = pump::fetched(&self.node, bytes);
        machine.console.note(&pump::figures(&stats));
        pump::close(machine, &mut self.network, &mut self.node);
        self.network.shut_down(machine);
        fetched
    }
}

/// A boot as a task.
struct Release {
    boot: Boot,
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
    fn is_done(&self) -> bool {
        self.boot.is_done()
    }
}

impl Task for Release {
    fn step(&self) -> &'static str {
        match self.boot.phase() {
            BootPhase::Directory => "directory",
            BootPhase::Manifest => "manifest",
            BootPhase::Artifacts | BootPhase::Done => "fetch",
        }
    }
    fn progress(&self) -> (u64, Option<u64>) {
        self.boot.progress()
    }
    fn after_chunks(&mut self, machine: &mut Machine) {
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
        reference: config.reference.to_hex(),
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

/// Puts another reference into a configuration.
pub(crate) fn with_reference(mut config: BootConfig, reference: Option<Reference>) -> BootConfig {
    if let Some(reference) = reference {
        config.reference = reference;
    }
    config
}
