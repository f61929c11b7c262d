//! What a whole run of the program shares: clock, consoles, seed, timings, options.
use crate::efi::clock::{self, Clock};
use crate::efi::console::Console;
use crate::efi::volume::{self, Origin, ReadError};
use crate::efi::{entropy, variables, watchdog};
use alloc::format;
use p2p::Instant;
use release::config::{BootConfig, CONFIG_PATH};
use swfetch::AGENT;
use swfetch::failure::{Failure, id};
use swfetch::handover::{Mark, Timings};
use swfetch::options::{OPTIONS_PATH, Options};
use swfetch::wall;
use uefi::{runtime, system};

/// Used when firmware's clock makes no sense; the order of magnitude is all that matters.
const WALL_FALLBACK_S: u64 = wall::EARLIEST_S;

/// State of one run.
pub(crate) struct Machine {
    pub(crate) clock: Clock,
    pub(crate) console: Console,
    pub(crate) timings: Timings,
    pub(crate) origin: Origin,
    pub(crate) wall_s: u64,
    seed: Option<[u8; 32]>,
    seeds_used: u64,
}

impl Machine {
    /// Sets up clock, consoles and randomness. `start` is the counter at the entry point.
    ///
    /// Returns `None` when there is no usable counter: nothing can be timed, so nothing can be bounded.
    pub(crate) fn new(start: u64) -> Option<Self> {
        let clock = Clock::calibrate(start)?;
        let console = Console::new(clock);
        let (seed, sources) = entropy::seed();
        let mut machine = Self {
            clock,
            console,
            timings: Timings::default(),
            origin: volume::origin(),
            wall_s: wall_seconds(),
            seed,
            seeds_used: 0,
        };
        machine
            .timings
            .mark(Mark::Init, clock.start_micros() / 1000);
        machine.console.restore_log(&volume::read_log());
        machine.introduce(sources);
        Some(machine)
    }

    fn introduce(&mut self, sources: entropy::Sources) {
        let revision = system::uefi_revision();
        let random = match (sources.firmware, sources.cpu) {
            (true, true) => "firmware and processor",
            (true, false) => "firmware",
            (false, true) => "processor",
            (false, false) => "none",
        };
        let secure = match variables::secure_boot() {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown",
        };
        let text = format!(
            "{AGENT}: {} (UEFI {}.{:02}), Secure Boot {secure}, counter {} MHz, randomness from {random}",
            system::firmware_vendor(),
            revision.major(),
            revision.minor(),
            self.clock.kilohertz() / 1000,
        );
        self.console.line(&text);
        if self.wall_s == WALL_FALLBACK_S {
            self.console
                .note("the machine's clock is unset or wrong; it is not used");
        }
    }

    /// The current time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Seconds since 1970, unless the machine's clock makes no sense.
    pub(crate) fn wall(&self) -> Option<u64> {
        let since_start = self.now().as_millis() / 1000;
        (self.wall_s != WALL_FALLBACK_S).then(|| self.wall_s.saturating_add(since_start))
    }

    /// Records the end of a step.
    pub(crate) fn mark(&mut self, mark: Mark) {
        let now = self.now();
        self.timings.mark(mark, now.as_millis());
    }

    /// Derives a seed for one purpose; never the same twice.
    pub(crate) fn fresh_seed(&mut self, purpose: &str) -> Result<[u8; 32], Failure> {
        let seed = self.seed.as_ref().ok_or_else(no_entropy)?;
        self.seeds_used = self.seeds_used.saturating_add(1);
        // The counter's value is mixed in so that a later derivation does not only depend on the first seed.
        let purpose = format!("{purpose}/{}", clock::ticks());
        Ok(swfetch::entropy::derive(seed, &purpose, self.seeds_used))
    }

    /// Reads the options of this start.
    pub(crate) fn read_options(&mut self) -> Result<Options, Failure> {
        let text = match &self.origin.load_options {
            Some(text) => text.clone(),
            None => volume::read_text(OPTIONS_PATH).unwrap_or_default(),
        };
        Options::parse(&text).map_err(|error| {
            Failure::new(
                id::BAD_OPTIONS,
                format!("{error}"),
                format!("load options or the file {OPTIONS_PATH}: `{}`", text.trim()),
                "correct the boot entry or delete the file",
            )
        })
    }

    /// Reads and checks the configuration.
    pub(crate) fn read_config(&mut self) -> Result<BootConfig, Failure> {
        let text = volume::read_text(CONFIG_PATH).map_err(|error| match error {
            ReadError::Missing => Failure::new(
                id::NO_CONFIG,
                format!("{CONFIG_PATH} is missing"),
                "the volume the loader was started from has no such file",
                "make the disk with `deboot disk --reference REF --output disk.img`, or copy a configuration there",
            ),
            ReadError::Failed(reason) => Failure::new(
                id::NO_VOLUME,
                format!("{CONFIG_PATH} cannot be read: {reason}"),
                "a damaged file system, or a loader that was started from the network",
                "check the volume; the loader reads its configuration from the volume it was started from",
            ),
        })?;
        let config = BootConfig::parse(&text).map_err(|error| {
            let help = error.help();
            Failure::new(
                help.id,
                format!("{CONFIG_PATH}: {error}"),
                help.cause,
                help.next_step,
            )
        })?;
        watchdog::disable();
        Ok(config)
    }

    /// Writes the log to the volume; a volume that cannot be written is no error.
    pub(crate) fn save_log(&mut self) {
        if let Err(ReadError::Failed(reason)) = volume::write_log(&self.console.log_text()) {
            self.console
                .note(&format!("the log was not saved: {reason}"));
        }
    }
}

fn wall_seconds() -> u64 {
    runtime::get_time()
        .ok()
        .and_then(|time| {
            wall::unix_seconds(wall::Date {
                year: time.year(),
                month: time.month(),
                day: time.day(),
                hour: time.hour(),
                minute: time.minute(),
                second: time.second(),
            })
        })
        .unwrap_or(WALL_FALLBACK_S)
}

fn no_entropy() -> Failure {
    Failure::new(
        id::NO_ENTROPY,
        "no source of randomness that can be trusted",
        "firmware offers no working EFI_RNG_PROTOCOL and the processor no working RDRAND or RNDR",
        "virtual machine: add `-device virtio-rng-pci` or a processor model with RDRAND; hardware: update the firmware",
    )
}
