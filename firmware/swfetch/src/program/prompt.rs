//! After a failure: what happened, and what to do next.
use super::machine::Machine;
use crate::efi::{variables, watchdog};
use alloc::format;
use core::time::Duration;
use swfetch::failure::Failure;
use uefi::boot;

/// Keys are looked at this often.
const KEY_EVERY: Duration = Duration::from_millis(50);
/// A person has at least this long to read, also when the program will not retry by itself.
const READING_TIME: Duration = Duration::from_secs(15);

/// What to do after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Try again.
    Retry,
    /// Return to the firmware's boot order.
    Firmware,
}

/// What happens when nobody answers.
#[derive(Clone, Copy)]
pub(crate) struct Unattended {
    /// Retry after this long; zero: return to firmware.
    pub(crate) retry_after: Duration,
    /// Retries that are left.
    pub(crate) retries_left: u32,
    /// Switch off instead of asking.
    pub(crate) poweroff: bool,
}

/// Shows and remembers a failure.
pub(crate) fn show(machine: &mut Machine, failure: &Failure) {
    machine.console.line("\n");
    machine.console.line(&format!("{failure}"));
    variables::remember_failure(failure);
    machine.save_log();
    watchdog::disable();
}

/// Waits for a key, or for the time when the program decides by itself.
pub(crate) fn ask(machine: &mut Machine, unattended: Unattended) -> Choice {
    let retry = unattended.retries_left > 0 && !unattended.retry_after.is_zero();
    let (choice, wait, what) = if retry {
        (Choice::Retry, unattended.retry_after, "next try")
    } else {
        (Choice::Firmware, READING_TIME, "return to firmware")
    };
    let start = machine.now();
    machine
        .console
        .line("    [R] retry now   [F] return to firmware");
    loop {
        let now = machine.now();
        let left = wait.saturating_sub(now.saturating_since(start));
        match machine.console.poll_key() {
            Some('r' | 'R') => return Choice::Retry,
            Some('f' | 'F') => return Choice::Firmware,
            Some(_) | None => {}
        }
        if left.is_zero() {
            return choice;
        }
        if machine.console.is_progress_due(now) {
            let mut text = format!("    {what} in {} s", left.as_secs() + 1);
            if retry {
                text += &format!(", {} tries left", unattended.retries_left);
            }
            machine.console.progress(now, &text, false);
        }
        boot::stall(KEY_EVERY.min(left));
    }
}
