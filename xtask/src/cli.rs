//! The verbs and their options.
use crate::{
    bee_lab, bench, check, demo, fuzz, image, packages, paths, programs, qemu, report, run_test,
    test,
};
use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Every developer verb of deboot.
#[derive(Parser, Debug)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_version_flag = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Boots Linux from a Swarm on this machine, in QEMU, and prints where the time went
    Demo(DemoOptions),
    /// Sets up what is missing, then runs every test: checks, cargo test, boots in QEMU good and bad, real bee nodes
    Test(TestOptions),
    /// Measures ratios: against iPXE, against the machine's own ceiling, against what storers allow, against limits
    Bench(BenchOptions),
    /// Boots through the development bridge: builds, publishes, starts a bridge, checks it, boots QEMU, says SUCCESS or what failed
    RunTest(RunTestOptions),
    /// What a commit needs: formatting, lints, licences, house rules, builds for all targets
    Check,
    /// Runs the fuzz targets under libFuzzer for a while; `test` runs a short fixed set of mutations
    Fuzz(fuzz::FuzzOptions),
    /// Boots a disk with UEFI firmware; the terminal is its serial console (Ctrl-A X ends it)
    Qemu(QemuOptions),
    /// Builds the demonstration's release directory (kernel, initramfs, manifest), ready for `deboot publish`
    Image,
    /// Prints the size of SWFETCH.EFI, and fails above the limit
    Size,
    /// Runs inside the namespaces of a boot from real bee nodes
    #[command(hide = true)]
    BeeBoot(bee_lab::Inside),
}

/// Options of `test`.
#[derive(Args, Clone, Debug)]
pub(crate) struct TestOptions {
    /// Runs only the claims that have this text in them, and no cargo test
    #[arg(long)]
    pub(crate) filter: Option<String>,
}

/// Options of `bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchOptions {
    /// How often each contender runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub(crate) rounds: u8,
    /// Measures this alone
    #[arg(long, value_parser = ["content", "size", "boot", "fetch", "allowance", "update", "bridge"])]
    pub(crate) only: Option<String>,
}

/// Options of `run-test`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunTestOptions {
    /// How the independent client reaches the bridge; the firmware uses TCP
    #[arg(long, default_value = "quic", value_parser = ["tcp", "quic"])]
    pub(crate) transport: String,
    /// Publishes to this bee node and reads back from it [default: nodes started from BEE_BIN, or a devnet]
    #[arg(long, value_name = "URL", requires = "batch")]
    pub(crate) bee_url: Option<String>,
    /// Postage batch for --bee-url
    #[arg(long, value_name = "ID", requires = "bee_url")]
    pub(crate) batch: Option<String>,
    /// Seconds from power-on to the result of each boot
    #[arg(long, default_value_t = 300)]
    pub(crate) timeout: u64,
    /// Shows the console
    #[arg(long)]
    pub(crate) show: bool,
}

/// Options of `demo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoOptions {
    /// Debt limits of the storers: `lan` (not throttled) or `public` (bee's own)
    #[arg(long, default_value = "lan", value_parser = ["lan", "public"])]
    pub(crate) profile: String,
    /// Handshake generation of the storers: 14 (bee up to 2.7), 15 (bee from 2.8 on) or both
    #[arg(long, default_value = "both", value_parser = ["14", "15", "both"])]
    pub(crate) generation: String,
    /// Storers beside the boot node [default: 24, with --profile public 64]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) storers: Option<u16>,
    /// Seconds from power-on to the result [default: 300, with --profile public 900]
    #[arg(long)]
    pub(crate) timeout: Option<u64>,
    /// Boots from a Swarm of real nodes of this bee instead (needs BEE_LAB, and root or unprivileged user namespaces)
    #[arg(long, value_name = "BEE", conflicts_with_all = ["profile", "generation", "storers", "keep"])]
    pub(crate) bee: Option<PathBuf>,
    /// Keeps the network running after the boot, and says how to boot again
    #[arg(long)]
    pub(crate) keep: bool,
    /// Emulates the processor even where hardware virtualisation works
    #[arg(long)]
    pub(crate) tcg: bool,
}

#[derive(Args, Debug)]
struct QemuOptions {
    /// The disk
    disk: PathBuf,
    /// Memory, MiB
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// Uses hardware virtualisation
    #[arg(long)]
    kvm: bool,
    /// Keeps what the guest writes to the disk
    #[arg(long)]
    write: bool,
    /// Seconds until the machine is turned off
    #[arg(long, default_value_t = 3600)]
    timeout: u64,
}

/// Runs the verb on the command line.
///
/// # Errors
/// What the verb could not do.
pub(crate) fn run() -> Result<ExitCode> {
    match Cli::parse().verb {
        Verb::Demo(options) => demo::run(&options),
        Verb::Test(options) => test::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::RunTest(options) => run_test::run(&options),
        Verb::Check => {
            packages::ensure(&[packages::Need::Linker])?;
            let mut report = report::Report::default();
            for (claim, step) in check::STEPS {
                report.case(claim, step);
            }
            Ok(report.finish())
        }
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Qemu(options) => interactive(&options),
        Verb::Image => {
            packages::ensure(&[packages::Need::Linker])?;
            println!("{}", image::demo()?.directory.display());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Size => size(),
        Verb::BeeBoot(inside) => inside.run(),
    }
}

/// Largest SWFETCH.EFI, bytes.
pub(crate) const SWFETCH_BYTES_MAX: u64 = 1_000_000;

fn size() -> Result<ExitCode> {
    packages::ensure(&[packages::Need::Linker])?;
    let bytes = std::fs::metadata(programs::swfetch()?)?.len();
    println!(
        "SWFETCH.EFI: {bytes} bytes, {:.1} % of the limit of {SWFETCH_BYTES_MAX}",
        percent(bytes)
    );
    if bytes > SWFETCH_BYTES_MAX {
        bail!("SWFETCH.EFI is too big");
    }
    Ok(ExitCode::SUCCESS)
}

fn percent(bytes: u64) -> f64 {
    100.0 * bytes as f64 / SWFETCH_BYTES_MAX as f64
}

fn interactive(options: &QemuOptions) -> Result<ExitCode> {
    use packages::Need;
    packages::ensure(&[Need::Qemu, Need::Ovmf])?;
    let mut machine = qemu::Machine::new(&options.disk, &paths::work("qemu")?);
    machine.memory_mib = options.memory;
    machine.keep_writes = options.write;
    if options.kvm {
        machine.accelerator = qemu::Accelerator::Kvm;
    }
    let mut command = machine.command()?;
    command
        .args(["-serial", "mon:stdio"])
        .stdin(std::process::Stdio::inherit());
    crate::process::run(&mut command, Duration::from_secs(options.timeout))?;
    Ok(ExitCode::SUCCESS)
}
