//! Compares what the sources say.
use crate::efi::TimingsVariable;
use crate::status::{EfiState, Status, Timing};
use crate::system::Sources;
use content::Reference;

/// Why the system is not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The loader said nothing, so nobody knows what was booted.
    #[error(
        "no deboot.{0} on the kernel command line: this kernel was not started by SWFETCH, or its command line was cut"
    )]
    Missing(&'static str),
    /// Not a reference.
    #[error("deboot.reference={reference}: {reason}")]
    Reference {
        /// What the command line says.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two sources differ.
    #[error("{what}: the kernel command line says {command_line:?}, {other} says {value:?}")]
    Differs {
        /// Which fact.
        what: String,
        /// What the command line says.
        command_line: String,
        /// Who says otherwise.
        other: &'static str,
        /// What it says.
        value: String,
    },
    /// A later step ended before an earlier one.
    #[error("timings go backwards: {later} ended at {later_ms} ms, {earlier} at {earlier_ms} ms")]
    Backwards {
        /// Step that is listed first.
        earlier: String,
        /// When it ended.
        earlier_ms: u64,
        /// Step that is listed next.
        later: String,
        /// When it ended.
        later_ms: u64,
    },
}

const EFI: &str = "the EFI variable";
const RELEASE_FILE: &str = "the image's release file";

/// Compares the sources and returns what was booted.
///
/// # Errors
/// Every [`Problem`] found, at least one.
pub fn check(sources: &Sources) -> Result<Status, Vec<Problem>> {
    let mut problems = Vec::new();
    let line = &sources.command_line;
    let file = &sources.release_file;

    let reference = line.reference.clone().unwrap_or_else(|| {
        problems.push(Problem::Missing("reference"));
        String::new()
    });
    if line.reference.is_some()
        && let Err(error) = reference.parse::<Reference>()
    {
        problems.push(Problem::Reference {
            reference: reference.clone(),
            reason: error.to_string(),
        });
    }
    if line.sequence.is_none() {
        problems.push(Problem::Missing("sequence"));
    }
    // The loader leaves name and version out when the command line would be too long, so missing ones are no problem.
    differs(
        &mut problems,
        "name",
        line.name.as_deref(),
        RELEASE_FILE,
        Some(&file.name),
    );
    differs(
        &mut problems,
        "version",
        line.version.as_deref(),
        RELEASE_FILE,
        Some(&file.version),
    );
    differs(
        &mut problems,
        "sequence",
        line.sequence,
        RELEASE_FILE,
        Some(file.sequence),
    );

    let timings = line.timings.clone().unwrap_or_default();
    backwards(&mut problems, &timings);
    let efi = compare_efi(&mut problems, sources, &timings);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(status(sources, reference, timings, efi))
}

fn status(sources: &Sources, reference: String, timings: Vec<Timing>, efi: EfiState) -> Status {
    let line = &sources.command_line;
    let variables = sources.efi.as_ref();
    let variable: Option<&TimingsVariable> = variables.and_then(|v| v.timings.as_ref());
    // A long command line has no timings; the EFI variable still has them.
    let timings = if timings.is_empty() {
        variable.map(|v| v.to_timings()).unwrap_or_default()
    } else {
        timings
    };
    Status {
        schema: "deboot/status/1".to_owned(),
        state: "ready".to_owned(),
        name: sources.release_file.name.clone(),
        version: sources.release_file.version.clone(),
        sequence: sources.release_file.sequence,
        reference,
        feed: line.feed.clone(),
        timings,
        fetched: line
            .fetched
            .or(variable.map(|v| v.fetched))
            .unwrap_or_default(),
        memory_peak_bytes: variable.and_then(|v| v.memory_peak_bytes),
        efi,
        previous_error: variables.and_then(|v| v.previous_error.clone()),
        ready_uptime_ms: sources.uptime_ms,
        uptime_ms: sources.uptime_ms,
    }
}

fn compare_efi(problems: &mut Vec<Problem>, sources: &Sources, timings: &[Timing]) -> EfiState {
    let line = &sources.command_line;
    let Some(efi) = &sources.efi else {
        return EfiState::Unavailable;
    };
    differs(
        problems,
        "reference",
        line.reference.as_deref(),
        EFI,
        efi.reference.as_deref(),
    );
    differs(
        problems,
        "feed",
        line.feed_text.as_deref(),
        EFI,
        efi.feed.as_deref(),
    );
    differs(problems, "sequence", line.sequence, EFI, efi.sequence);
    if let Some(variable) = &efi.timings {
        for timing in timings {
            differs(
                problems,
                &format!("timing {}", timing.key),
                Some(timing.ms),
                EFI,
                variable.timing(&timing.key),
            );
        }
        if let Some(fetched) = line.fetched {
            differs(
                problems,
                "fetched bytes",
                fetched.bytes,
                EFI,
                variable.fetched.bytes,
            );
            differs(
                problems,
                "fetched chunks",
                fetched.chunks,
                EFI,
                variable.fetched.chunks,
            );
            differs(
                problems,
                "fetched peers",
                fetched.peers,
                EFI,
                variable.fetched.peers,
            );
        }
    }
    if efi.reference.is_none() {
        EfiState::Absent
    } else {
        EfiState::Agree
    }
}

/// Notes a problem when both say something, and not the same.
fn differs<T: PartialEq + ToString>(
    problems: &mut Vec<Problem>,
    what: &str,
    command_line: Option<T>,
    other: &'static str,
    value: Option<T>,
) {
    if let (Some(a), Some(b)) = (command_line, value)
        && a != b
    {
        problems.push(Problem::Differs {
            what: what.to_owned(),
            command_line: a.to_string(),
            other,
            value: b.to_string(),
        });
    }
}

fn backwards(problems: &mut Vec<Problem>, timings: &[Timing]) {
    // `init` counts from power-on, all others from the application's start.
    let steps: Vec<_> = timings
        .iter()
        .filter(|timing| timing.key != "init")
        .collect();
    for pair in steps.windows(2) {
        let [a, b] = pair else { continue };
        if b.ms < a.ms {
            problems.push(Problem::Backwards {
                earlier: a.key.clone(),
                earlier_ms: a.ms,
                later: b.key.clone(),
                later_ms: b.ms,
            });
        }
    }
}
