//! Counts what passed, failed and was left out, and says so at the end.
use crate::check::Verdict;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Instant;

/// Results of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// Tests left out inside of test binaries, which have no reason to show.
    ignored: usize,
}

impl Report {
    /// Tests one claim and says how it ended.
    pub(crate) fn case(&mut self, claim: &str, test: impl FnOnce() -> Result<Verdict>) {
        println!("---- {claim}");
        let start = Instant::now();
        let result = test();
        self.add(claim, result, start.elapsed().as_secs_f64());
    }

    /// Adds a result that was had elsewhere.
    pub(crate) fn add(&mut self, claim: &str, result: Result<Verdict>, seconds: f64) {
        match result {
            Ok(Verdict::Passed) => {
                self.passed += 1;
                println!("  ok {claim} ({seconds:.1} s)");
            }
            Ok(Verdict::Skipped(reason)) => {
                println!("  SKIPPED {claim}: {reason}");
                self.skipped.push(format!("{claim}: {reason}"));
            }
            Err(error) => {
                println!("  FAILED {claim} ({seconds:.1} s): {error:#}");
                self.failed.push(format!(
                    "{claim}: {}",
                    format!("{error:#}").lines().next().unwrap_or_default()
                ));
            }
        }
    }

    /// Adds what a test binary counted.
    pub(crate) fn add_counts(&mut self, passed: usize, failed: Vec<String>, ignored: usize) {
        self.passed += passed;
        self.failed.extend(failed);
        self.ignored += ignored;
    }

    /// Prints the summary, whose last line is `N passed, N failed, N skipped`.
    pub(crate) fn finish(&self) -> ExitCode {
        println!();
        for claim in &self.skipped {
            println!("SKIPPED: {claim}");
        }
        for claim in &self.failed {
            println!("FAILED:  {claim}");
        }
        let skipped = self.skipped.len() + self.ignored;
        println!(
            "{} passed, {} failed, {skipped} skipped",
            self.passed,
            self.failed.len()
        );
        if self.failed.is_empty() && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
