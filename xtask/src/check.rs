//! `check`: what a commit needs. Each step has a name that says what is true when it passes.
use crate::process::{self, cargo, find};
use crate::programs::{UEFI, ensure_targets};
use crate::{licences, tidy};
use anyhow::Result;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Crates that must not need an operating system.
pub(crate) const PROTOCOL_CRATES: [&str; 8] = [
    "deboot-bmt",
    "deboot-content",
    "deboot-p2p",
    "deboot-swarm",
    "deboot-release",
    "deboot-dns",
    "deboot-netstack",
    "deboot-fetch",
];
const BARE_METAL: &str = "x86_64-unknown-none";
const UEFI_ARM: &str = "aarch64-unknown-uefi";

/// How a step ended, when it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds.
    Passed,
    /// It was not tried, for this reason.
    Skipped(String),
}

/// A step: the claim and how it is tested.
pub(crate) type Step = (&'static str, fn() -> Result<Verdict>);

/// All steps, quick ones first.
pub(crate) const STEPS: [Step; 8] = [
    ("every file follows the house rules", || {
        tidy::check().map(passed)
    }),
    ("all code is formatted", || {
        run(&["fmt", "--all", "--check"])
    }),
    ("every shipped crate has a licence that is allowed", || {
        licences::check().map(passed)
    }),
    ("cargo-deny finds nothing", deny),
    ("clippy has nothing to say", || {
        run(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("protocol crates need no operating system", || {
        ensure_targets(&[BARE_METAL])?;
        run(&protocol_crates("check", BARE_METAL))
    }),
    ("protocol crates build for UEFI on ARM", || {
        ensure_targets(&[UEFI_ARM])?;
        run(&protocol_crates("check", UEFI_ARM))
    }),
    ("SWFETCH builds for UEFI, debug and release", || {
        ensure_targets(&[UEFI])?;
        // Building, not checking: it is code generation that breaks on this target.
        run(&["build", "--quiet", "--package", "swfetch", "--target", UEFI])?;
        run(&[
            "build",
            "--quiet",
            "--package",
            "swfetch",
            "--target",
            UEFI,
            "--profile",
            "firmware",
        ])
    }),
];

fn passed(_: ()) -> Verdict {
    Verdict::Passed
}

fn run(arguments: &[&str]) -> Result<Verdict> {
    process::run(cargo().args(arguments), LIMIT).map(passed)
}

fn protocol_crates<'a>(verb: &'a str, target: &'a str) -> Vec<&'a str> {
    let mut arguments = vec![verb, "--quiet", "--target", target];
    arguments.extend(PROTOCOL_CRATES.iter().flat_map(|name| ["--package", name]));
    arguments
}

fn deny() -> Result<Verdict> {
    if find("cargo-deny").is_none() {
        return Ok(Verdict::Skipped(
            "cargo-deny is not installed (cargo install cargo-deny --locked)".to_owned(),
        ));
    }
    // Advisories are left to a scheduled job: a commit must not fail because of what somebody published today.
    run(&["deny", "check", "bans", "licenses", "sources"])
}
