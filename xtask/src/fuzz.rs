//! `fuzz`: long runs of the fuzz targets under libFuzzer, on the stable compiler.
use crate::packages::{self, Need};
use crate::paths::{target, workspace};
use crate::process::{self, cargo, command};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Beyond the time asked for: reading the corpus, minimising a failure.
const GRACE: Duration = Duration::from_secs(60);
/// The host's own triple must be named, or build scripts and macros get the instrumentation too.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// What libFuzzer needs to follow coverage (LLVM's SanitizerCoverage), and the checks of a debug build in a release build.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions \
    -Coverflow-checks";

/// Options of `fuzz`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FuzzOptions {
    /// Target, one of the directories in fuzz/corpus [default: all, one after the other]
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Memory for one target, MiB
    #[arg(long, default_value_t = 1024)]
    memory: u32,
}

/// Builds the targets with instrumentation and runs them. New inputs that reach new code are kept in target/fuzz/corpus.
///
/// # Errors
/// The build fails or there is no such target; failures found are an exit code.
pub(crate) fn run(options: &FuzzOptions) -> Result<ExitCode> {
    packages::ensure(&[Need::Linker])?;
    let targets = match &options.target {
        Some(name) => vec![name.clone()],
        None => all()?,
    };
    let program = build()?;
    let mut failed = Vec::new();
    for name in &targets {
        println!("---- {name}, {} s", options.seconds);
        if !one(&program, name, options)? {
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        println!("{} targets, nothing found", targets.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "FAILED: {}. Mend it, and put the input into fuzz/corpus/<target>.",
        failed.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

fn corpus() -> PathBuf {
    workspace().join("fuzz/corpus")
}

fn all() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(corpus()).context("fuzz/corpus")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn build() -> Result<PathBuf> {
    println!("Building: the fuzz targets, with coverage");
    let directory = target().join("fuzz");
    let mut cargo = cargo();
    cargo
        .args(["build", "--quiet", "--release", "--package", "deboot-fuzz"])
        .args(["--bin", "libfuzzer", "--features", "libfuzzer"])
        .args(["--target", TRIPLE, "--target-dir"])
        .arg(&directory)
        .env("RUSTFLAGS", FLAGS);
    process::run(&mut cargo, BUILD_LIMIT)?;
    let program = directory.join(TRIPLE).join("release/libfuzzer");
    ensure!(program.is_file(), "no {}", program.display());
    Ok(program)
}

/// Runs one target; false when it failed.
fn one(program: &Path, name: &str, options: &FuzzOptions) -> Result<bool> {
    let seeds = corpus().join(name);
    if !seeds.is_dir() {
        bail!(
            "there is no target {name}; there are: {}",
            all()?.join(", ")
        );
    }
    let found = target().join("fuzz/corpus").join(name);
    let failures = target().join("fuzz/failures").join(name);
    for directory in [&found, &failures] {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut fuzzer = command(program);
    fuzzer
        .env("DEBOOT_FUZZ_TARGET", name)
        .arg(&found)
        .arg(&seeds)
        .arg(format!("-artifact_prefix={}/", failures.display()))
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-rss_limit_mb={}", options.memory))
        .args(["-timeout=10", "-max_len=65536", "-print_final_stats=1"]);
    let limit = Duration::from_secs(options.seconds.into()) + GRACE;
    Ok(process::run(&mut fuzzer, limit).is_ok())
}
