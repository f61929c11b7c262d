//! `bench`: ratios in one run. Contenders take turns, because a machine's speed drifts; medians are compared.
mod allowance;
mod boots;
mod bridge;
mod ceiling;
mod content;
mod update;

use crate::cli::{BenchOptions, SWFETCH_BYTES_MAX};
use crate::packages::{self, Need};
use crate::table::Table;
use crate::{image, paths, programs};
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Firmware memory beyond the payload, bytes.
const MEMORY_BYTES_MAX: f64 = 48.0 * 1024.0 * 1024.0;

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    /// What is measured.
    name: String,
    /// Our figure, with its unit.
    ours: String,
    /// What it is compared with.
    other: String,
    /// Ours divided by the other.
    ratio: f64,
    /// The limit.
    target: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Measure {
    fn passes(&self) -> bool {
        match self.target {
            Target::AtMost(limit) => self.ratio <= limit,
            Target::AtLeast(limit) => self.ratio >= limit,
        }
    }
}

/// What all measurements share.
pub(crate) struct Bench {
    rounds: usize,
    deboot: PathBuf,
    swfetch: PathBuf,
    release: image::Built,
    directory: PathBuf,
}

/// Runs the measurements and prints the table.
///
/// # Errors
/// Something could not be measured at all; a missed target is an exit code.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode> {
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let rounds = options.rounds.into();
    let mut measures = Vec::new();
    if wanted("content") {
        measures.extend(content::measure(rounds)?);
    }
    if options.only.as_deref() != Some("content") {
        measures.extend(measure_boots(rounds, wanted)?);
    }
    println!("\n{}", table(&measures));
    let missed = measures.iter().filter(|measure| !measure.passes()).count();
    println!("{} targets met, {missed} missed", measures.len() - missed);
    Ok(if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Measures what needs the whole system.
fn measure_boots(rounds: usize, wanted: impl Fn(&str) -> bool) -> Result<Vec<Measure>> {
    packages::ensure(&[Need::Linker, Need::Qemu, Need::Ovmf, Need::Ipxe])?;
    let bench = Bench {
        rounds,
        deboot: programs::host("deboot")?,
        swfetch: programs::swfetch()?,
        release: image::demo()?,
        directory: paths::fresh("bench")?,
    };
    let mut measures = Vec::new();
    if wanted("size") {
        measures.push(size(&bench)?);
    }
    if wanted("boot") {
        measures.extend(boots::measure(&bench)?);
    }
    if wanted("fetch") {
        measures.extend(ceiling::measure(&bench)?);
    }
    if wanted("allowance") {
        measures.extend(allowance::measure(&bench)?);
    }
    if wanted("update") {
        measures.push(update::measure(&bench)?);
    }
    if wanted("bridge") {
        measures.extend(bridge::measure(&bench)?);
    }
    Ok(measures)
}

fn table(measures: &[Measure]) -> Table {
    let mut table = Table::new(["measure", "ours", "compared with", "ratio", "target", ""]);
    for measure in measures {
        let target = match measure.target {
            Target::AtMost(limit) => format!("<= {limit}"),
            Target::AtLeast(limit) => format!(">= {limit}"),
        };
        let verdict = if measure.passes() { "PASS" } else { "FAIL" };
        let ratio = format!("{:.2}", measure.ratio);
        table.row([
            &measure.name,
            &measure.ours,
            &measure.other,
            &ratio,
            &target,
            verdict,
        ]);
    }
    table
}

fn size(bench: &Bench) -> Result<Measure> {
    let bytes = std::fs::metadata(&bench.swfetch)?.len() as f64;
    let limit = SWFETCH_BYTES_MAX as f64;
    Ok(Measure {
        name: "size of SWFETCH.EFI".to_owned(),
        ours: format!("{:.3} MB", bytes / 1e6),
        other: format!("limit {:.1} MB", limit / 1e6),
        ratio: bytes / limit,
        target: Target::AtMost(1.0),
    })
}

/// Returns the middle one; of an even number, the mean of the two in the middle. No values have no median.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
    } else {
        at(middle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_verdicts() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
        let measure = |ratio, target| Measure {
            name: "a".into(),
            ours: "1".into(),
            other: "1".into(),
            ratio,
            target,
        };
        assert!(
            measure(0.9, Target::AtMost(1.0)).passes()
                && !measure(1.1, Target::AtMost(1.0)).passes()
        );
        assert!(
            measure(0.9, Target::AtLeast(0.9)).passes()
                && !measure(0.8, Target::AtLeast(0.9)).passes()
        );
        // What was not measured passes nothing.
        assert!(
            !measure(f64::NAN, Target::AtMost(1.0)).passes()
                && !measure(f64::NAN, Target::AtLeast(0.0)).passes()
        );
    }
}
