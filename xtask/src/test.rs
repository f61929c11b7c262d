//! `test`: everything, with a count at the end.
use crate::check::{STEPS, Verdict};
use crate::cli::TestOptions;
use crate::packages::{self, Need};
use crate::process::{self, Guard, cargo};
use crate::programs;
use crate::report::Report;
use crate::scenarios::{self, Releases, Tools};
use crate::{bee_lab, image, paths, stage};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const CARGO_LIMIT: Duration = Duration::from_secs(40 * 60);

/// Runs all tests whose claims have the filter in them.
///
/// # Errors
/// What the tests need cannot be set up; tests that fail are an exit code.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode> {
    packages::ensure(&[Need::Linker, Need::Qemu, Need::Ovmf, Need::Mtools])?;
    let filter = options.filter.clone().unwrap_or_default();
    let wanted = |claim: &str| claim.contains(&filter);
    let mut report = Report::default();
    for (claim, step) in STEPS.iter().filter(|(claim, _)| wanted(claim)) {
        report.case(claim, step);
    }
    if filter.is_empty() {
        cargo_test(&mut report);
    }
    let claim = "hashes, chunks and their order are those of nectar-primitives";
    if wanted(claim) {
        report.case(claim, oracle);
    }
    let claim = "the image has the same bytes wherever it is built";
    if wanted(claim) {
        report.case(claim, reproducible);
    }
    let scenarios: Vec<_> = scenarios::all()
        .into_iter()
        .filter(|scenario| wanted(scenario.claim))
        .collect();
    if !scenarios.is_empty() {
        println!("---- {} boots in QEMU", scenarios.len());
        match tools() {
            Ok(tools) => scenarios::run_all(&tools, scenarios, &mut report),
            Err(error) => report.add("the boots can be prepared", Err(error), 0.0),
        }
    }
    if wanted(BEE_TESTS_CLAIM) {
        bee_tests(&mut report);
    }
    bee_boots(&wanted, &mut report);
    Ok(report.finish())
}

/// How the workspace's own tests against real bee say what they need.
const BEE_IGNORED: &str = " ... ignored, needs BEE_BIN";
const BEE_TESTS_CLAIM: &str = "clients and storers work with real bee nodes";

/// Runs the workspace's tests against the bees of `BEE_BIN`, which `cargo test` leaves out. One at a time: a lab takes the whole machine.
fn bee_tests(report: &mut Report) {
    let arguments = ["--test", "bee", "--", "--ignored", "--test-threads", "1"];
    let (bees, script) = (bee_lab::binaries(), bee_lab::script());
    match (bees, script) {
        (Ok(bees), Some(script)) if !bees.is_empty() => {
            println!("---- {BEE_TESTS_CLAIM}");
            let mut cargo = cargo();
            cargo
                .args(["test", "--workspace", "--no-fail-fast"])
                .args(arguments);
            // Needs a node that is not started here.
            cargo
                .args(["--skip", "our_storer_dials_a_full_bee"])
                .env("BEE_LAB", script);
            count_tests(BEE_TESTS_CLAIM, cargo, report);
        }
        (Err(error), _) => report.add(BEE_TESTS_CLAIM, Err(error), 0.0),
        (Ok(_), script) => {
            let reason = match script {
                Some(_) => "BEE_BIN is not set: NOT TESTED AGAINST REAL BEE",
                None => "BEE_LAB does not name beelab.py: NOT TESTED AGAINST REAL BEE",
            };
            report.add(
                BEE_TESTS_CLAIM,
                Ok(Verdict::Skipped(reason.to_owned())),
                0.0,
            );
        }
    }
}

const BEE_CLAIM: &str = "a release boots from a lab of real bee nodes";

/// Boots from every bee of `BEE_BIN`, one after the other: a lab takes the whole machine.
fn bee_boots(wanted: &dyn Fn(&str) -> bool, report: &mut Report) {
    if !wanted(BEE_CLAIM) {
        return;
    }
    let reason = match (bee_lab::binaries(), bee_lab::script()) {
        (Err(error), _) => return report.add(BEE_CLAIM, Err(error), 0.0),
        (Ok(bees), _) if bees.is_empty() => {
            Some("BEE_BIN is not set: NOT TESTED AGAINST REAL BEE".to_owned())
        }
        (Ok(_), None) => Some("BEE_LAB does not name beelab.py".to_owned()),
        (Ok(_), Some(_)) => bee_lab::unavailable(),
    };
    if let Some(reason) = reason {
        return report.add(BEE_CLAIM, Ok(Verdict::Skipped(reason)), 0.0);
    }
    for bee in bee_lab::binaries().unwrap_or_default() {
        let claim = format!(
            "{BEE_CLAIM} ({})",
            bee.file_name().unwrap_or_default().to_string_lossy()
        );
        report.case(&claim, || bee_boot(&bee));
    }
}

fn bee_boot(bee: &Path) -> Result<Verdict> {
    let directory = paths::fresh("bee")?;
    let (deboot, swfetch) = (programs::host("deboot")?, programs::swfetch()?);
    let release = stage::publish(
        &deboot,
        &image::demo()?.directory,
        &directory.join("chunks.tar"),
    )?;
    let script = bee_lab::script().context("BEE_LAB does not name beelab.py")?;
    let lab = bee_lab::Plan {
        bee,
        script: &script,
        deboot: &deboot,
        swfetch: &swfetch,
        release: &release,
        directory: &directory,
    };
    ensure!(lab.boot()?, "no boot: see {}", directory.display());
    Ok(Verdict::Passed)
}

/// Builds and publishes what the boots need.
fn tools() -> Result<Tools> {
    let directory = paths::fresh("boots")?;
    let deboot = programs::host("deboot")?;
    let good = image::demo()?;
    let releases = Releases::publish(&deboot, &good, &directory)?;
    Ok(Tools {
        deboot,
        bridge: programs::host("deboot-bridge")?,
        swfetch: programs::swfetch()?,
        releases,
        directory,
    })
}

/// Runs the workspace's own tests and counts them.
fn cargo_test(report: &mut Report) {
    println!("---- cargo test");
    let mut cargo = cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    count_tests("cargo test runs", cargo, report);
}

/// Runs test binaries and adds what they count to the report.
fn count_tests(claim: &str, cargo: Command, report: &mut Report) {
    let start = Instant::now();
    match test_counts(cargo) {
        Err(error) => report.add(claim, Err(error), start.elapsed().as_secs_f64()),
        Ok((counts, success)) => {
            let whole = counts.failed.is_empty() == success;
            // Tests against bee are run, or reported as skipped, on their own.
            let ignored = counts.ignored.saturating_sub(counts.needs_bee);
            report.add_counts(counts.passed, counts.failed, ignored);
            if !whole {
                let error = anyhow::anyhow!("cargo test failed outside of tests: see above");
                report.add(claim, Err(error), start.elapsed().as_secs_f64());
            }
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: Vec<String>,
    ignored: usize,
    /// Of the ignored ones, those against real bee.
    needs_bee: usize,
}

impl Counts {
    /// Reads one line of a test binary.
    fn handle_line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let number = |word: &str| -> usize {
                let part = result.split(['.', ';']).find(|part| part.ends_with(word));
                part.and_then(|part| part.split_whitespace().next()?.parse().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            self.ignored += number("ignored");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failed.push(name.to_owned());
        } else if line.ends_with(BEE_IGNORED) {
            self.needs_bee += 1;
        }
    }
}

fn test_counts(mut cargo: Command) -> Result<(Counts, bool)> {
    cargo.stdout(Stdio::piped());
    let mut child = Guard::spawn(&mut cargo)?;
    let stdout = child.0.stdout.take().context("cargo without stdout")?;
    let reader = std::thread::spawn(move || {
        let mut counts = Counts::default();
        for line in BufReader::new(stdout)
            .lines()
            .map_while(std::result::Result::ok)
        {
            counts.handle_line(&line);
            // Passed tests are many and are counted below.
            if !line.ends_with(" ... ok") && !line.is_empty() {
                println!("{line}");
            }
        }
        counts
    });
    let status = child.wait_until(Instant::now() + CARGO_LIMIT)?;
    drop(child);
    let counts = reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader of cargo's output failed"))?;
    let status = status.context("cargo test did not end in time")?;
    Ok((counts, status.success()))
}

/// Runs the comparison with another implementation; it is a workspace of its own, so that nothing of it can be linked into ours.
fn oracle() -> Result<Verdict> {
    let mut cargo = cargo();
    cargo
        .args(["test", "--quiet", "--locked", "--manifest-path"])
        .arg(paths::workspace().join("crates/bmt/oracle/Cargo.toml"))
        .arg("--target-dir")
        .arg(paths::target().join("oracle"));
    process::run(&mut cargo, CARGO_LIMIT).map(|()| Verdict::Passed)
}

/// Builds the image a second time from a copy of the sources in another directory, and compares.
fn reproducible() -> Result<Verdict> {
    let kernel = packages::kernel()?;
    let busybox = packages::busybox()?;
    let here = image::initramfs(&kernel, &busybox, &programs::debootd()?)?;
    let elsewhere = paths::fresh("elsewhere")?;
    let sources = elsewhere.join("a copy of the sources");
    crate::tidy::copy_sources(&sources)?;
    let debootd = programs::debootd_in(&sources, &elsewhere.join("target"))?;
    let there = image::initramfs(&kernel, &busybox, &debootd)?;
    ensure!(
        here == there,
        "the two images differ: {} and {} bytes",
        here.len(),
        there.len()
    );
    // Paths of this machine in the image would only agree by accident.
    let home = std::env::var("HOME").unwrap_or_default();
    let program = paths::read(&debootd)?;
    let has = |text: &str| {
        text.len() > 1
            && program
                .windows(text.len())
                .any(|window| window == text.as_bytes())
    };
    ensure!(
        !has(&elsewhere.to_string_lossy()),
        "debootd has the path of the clone in it"
    );
    ensure!(
        !has(&format!("{home}/")),
        "debootd has the home directory in it"
    );
    Ok(Verdict::Passed)
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn results_of_test_binaries_are_counted() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored, needs BEE_BIN",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            counts.handle_line(line);
        }
        assert_eq!(
            counts,
            Counts {
                passed: 13,
                failed: vec!["a::c".to_owned()],
                ignored: 1,
                needs_bee: 1,
            }
        );
    }
}
