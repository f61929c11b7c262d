//! The program: one attempt after the other until Linux runs or the machine goes back to firmware. Sequential code, no callbacks.
mod attempt;
mod machine;
mod network;
mod prompt;
mod pump;
mod selftest;
mod source;
mod trouble;

use crate::efi::{clock, heap, watchdog};
use alloc::format;
use core::time::Duration;
use machine::Machine;
use prompt::{Choice, Unattended};
use swfetch::failure::Failure;
use swfetch::handover::Mark;
use swfetch::options::Mode;
use uefi::runtime::{self, ResetType};
use uefi::{Status, cstr16, entry, system};

#[entry]
fn main() -> Status {
    let start = clock::ticks();
    watchdog::disable();
    let Some(mut machine) = Machine::new(start) else {
        // No clock, no deadline, no boot; the consoles need no clock for this one line.
        let _ = system::with_stdout(|output| {
            output.output_string(cstr16!(
                "*** DB0103 the processor's time counter cannot be calibrated\r\n    next:  report the machine's model\r\n"
            ))
        });
        return Status::DEVICE_ERROR;
    };
    run(&mut machine)
}

/// Attempts until somebody or the configuration says that it is enough. A successful boot does not come back.
fn run(machine: &mut Machine) -> Status {
    let mut attempts = 0u32;
    loop {
        attempts = attempts.saturating_add(1);
        let mut unattended = Unattended {
            retry_after: Duration::ZERO,
            retries_left: 0,
            poweroff: false,
        };
        let failure = match one(machine, attempts, &mut unattended) {
            Ok(()) => return finish(machine, unattended.poweroff),
            Err(failure) => failure,
        };
        prompt::show(machine, &failure);
        if unattended.poweroff {
            power_off(Status::ABORTED);
        }
        match prompt::ask(machine, unattended) {
            Choice::Retry => machine.timings.restart(),
            Choice::Firmware => {
                machine.console.line("returning to firmware");
                return Status::LOAD_ERROR;
            }
        }
        machine
            .console
            .line(&format!("attempt {}", attempts.saturating_add(1)));
    }
}

/// One attempt: options, configuration, work. What to do when nobody answers is filled in as soon as it is known.
fn one(machine: &mut Machine, attempts: u32, unattended: &mut Unattended) -> Result<(), Failure> {
    let options = machine.read_options()?;
    unattended.poweroff = options.poweroff;
    if options.mode == Mode::Selftest {
        selftest::run(machine);
        return Ok(());
    }
    let config = attempt::with_target(machine.read_config()?, options.target);
    unattended.retry_after = config.retry_after;
    unattended.retries_left = config
        .retries_max
        .saturating_sub(attempts.saturating_sub(1));
    machine.mark(Mark::Config);
    match options.mode {
        Mode::Boot | Mode::Selftest => Err(attempt::boot(machine, &config)),
        Mode::Fetch => {
            if options.selftest_around {
                selftest::run(machine);
            }
            let (bytes, ms, fetched) = attempt::fetch_only(machine, &config)?;
            let rate = (bytes / 1024)
                .saturating_mul(1000)
                .checked_div(ms)
                .unwrap_or(0);
            let text = format!(
                "FETCH bytes={bytes} ms={ms} kib_s={rate} chunks={} peers={}",
                fetched.chunks, fetched.peers
            );
            machine.console.line(&text);
            if options.selftest_around {
                // Again: a shared machine's speed drifts while it fetches.
                selftest::run(machine);
            }
            Ok(())
        }
    }
}

/// The end of a run that starts no kernel.
fn finish(machine: &mut Machine, poweroff: bool) -> Status {
    let usage = heap::usage();
    machine
        .console
        .line(&format!("MEMORY peak_bytes={}", usage.peak_bytes));
    machine.save_log();
    if poweroff {
        power_off(Status::SUCCESS);
    }
    Status::SUCCESS
}

fn power_off(status: Status) -> ! {
    runtime::reset(ResetType::SHUTDOWN, status, None)
}
