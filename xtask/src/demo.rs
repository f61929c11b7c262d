//! `demo`: power on to `debootd ready`, with nothing but this machine.
use crate::boot::{self, APPLICATION_MARK, Outcome, Seen, Watch};
use crate::cli::DemoOptions;
use crate::devnet::Plan;
use crate::packages::{self, Need};
use crate::programs;
use crate::qemu::{Accelerator, Machine};
use crate::stage::Published;
use crate::table::Table;
use crate::{accelerator, bee_lab, image, paths, stage};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the demonstration.
///
/// # Errors
/// Something could not be set up; a boot that failed is an exit code.
pub(crate) fn run(options: &DemoOptions) -> Result<ExitCode> {
    packages::ensure(&[Need::Linker, Need::Qemu, Need::Ovmf])?;
    let public = options.profile == "public";
    let swfetch = programs::swfetch()?;
    let deboot = programs::host("deboot")?;
    let built = image::demo()?;
    let directory = paths::fresh("demo")?;

    let published = stage::publish(&deboot, &built.directory, &directory.join("chunks.tar"))?;
    println!(
        "Published: kernel {} ({} bytes) and initramfs ({} bytes)",
        built.kernel_release, built.kernel_bytes, built.initramfs_bytes
    );
    println!("           bzz://{}", published.reference);
    if let Some(bee) = &options.bee {
        return boot_from_bees(bee, &deboot, &swfetch, &published, &directory);
    }
    let plan = Plan {
        deboot: deboot.clone(),
        storers: usize::from(options.storers.unwrap_or(if public { 64 } else { 24 })),
        profile: options.profile.clone(),
        generation: options.generation.clone(),
        chunks: published.chunks,
        faults: Vec::new(),
        base_port: 0,
        for_guest: true,
        verbose: false,
        replication: crate::devnet::REPLICATION,
        log: directory.join("devnet.log"),
    };
    println!(
        "Swarm:     {} storers and a boot node, profile {}, generation {}",
        plan.storers, plan.profile, plan.generation
    );
    let disk = directory.join("disk.img");
    let devnet = stage::network_and_disk(&plan, &swfetch, &published.reference, &[], &disk)?;
    println!("           {}", devnet.bootnode);

    let code = boot_and_tell(options, &disk, &directory, &plan.log)?;
    if options.keep {
        println!(
            "\nThe network runs until Ctrl-C. Boot again with:  cargo xtask qemu {}",
            disk.display()
        );
        loop {
            std::thread::park();
        }
    }
    Ok(code)
}

/// Boots the disk with the console shown, then says how it went.
fn boot_and_tell(
    options: &DemoOptions,
    disk: &Path,
    directory: &Path,
    network_log: &Path,
) -> Result<ExitCode> {
    let seconds = if options.profile == "public" {
        900
    } else {
        300
    };
    let mut machine = Machine::new(disk, &directory.join("machine"));
    machine.accelerator = if options.tcg {
        Accelerator::Tcg
    } else {
        accelerator::best(disk)?
    };
    let limit = Duration::from_secs(options.timeout.unwrap_or(seconds));
    println!(
        "Power on:  {:?}, result within {} s; the console follows\n",
        machine.accelerator,
        limit.as_secs()
    );
    let watch = Watch {
        application_mark: APPLICATION_MARK,
        limit,
        show: true,
    };
    let seen = boot::boot(&machine, &watch, &mut |_, _| Ok(()))?;
    println!();
    Ok(match &seen.outcome {
        Outcome::Ready(facts) => {
            print!("{}", summary(&seen, facts));
            ExitCode::SUCCESS
        }
        other => {
            println!(
                "No boot: {other}, {:.1} s after power-on",
                seen.total.as_secs_f64()
            );
            println!(
                "Console:  {}",
                machine.directory.join("serial.log").display()
            );
            println!("Network:  {}", network_log.display());
            ExitCode::FAILURE
        }
    })
}

fn boot_from_bees(
    bee: &Path,
    deboot: &Path,
    swfetch: &Path,
    release: &Published,
    directory: &Path,
) -> Result<ExitCode> {
    packages::ensure(&[Need::Namespaces, Need::Python])?;
    let script = bee_lab::script();
    let script = script.context("no bee lab: set BEE_LAB to the path of beelab.py")?;
    if let Some(why) = bee_lab::unavailable() {
        bail!("cannot make a network namespace with a tap: {why}");
    }
    let plan = bee_lab::Plan {
        bee,
        script: &script,
        deboot,
        swfetch,
        release,
        directory,
    };
    Ok(if plan.boot()? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Steps that SWFETCH times, in their order, with what a person calls them.
const STEPS: [(&str, &str); 7] = [
    ("config", "configuration, entropy, clock"),
    ("nic", "network card"),
    ("dhcp", "address"),
    ("peers", "first Swarm peer"),
    ("manifest", "manifest"),
    ("fetch", "kernel and initramfs"),
    ("exec", "hand-over"),
];

/// Returns the table of phases and the figures of the fetch.
pub(crate) fn summary(seen: &Seen, facts: &BTreeMap<String, String>) -> String {
    let fact = |key: &str| facts.get(key).map_or("unknown", String::as_str);
    let number = |key: &str| fact(key).parse::<f64>().ok();
    let timings: BTreeMap<&str, f64> = fact("timings")
        .split(',')
        .filter_map(|item| item.split_once(':'))
        .filter_map(|(key, ms)| Some((key, ms.parse::<f64>().ok()? / 1000.0)))
        .collect();
    let total = seen.total.as_secs_f64();
    let uptime = number("uptime");
    let exec = timings.get("exec").copied();

    let mut table = Table::new(["phase", "seconds", "since power-on"]);
    let mut row = |name: &str, seconds: f64, end: f64| {
        table.row([
            name.to_owned(),
            format!("{seconds:.2}"),
            format!("{end:.2}"),
        ])
    };
    // The stop-watch sees the loader's first line, the loader itself counts from its start: they differ by a console line.
    let start = seen.application.map_or(0.0, |d| d.as_secs_f64());
    row("firmware", start, start);
    let mut last = 0.0;
    for (key, name) in STEPS {
        if let Some(end) = timings.get(key) {
            row(name, end - last, start + end);
            last = *end;
        }
    }
    if let (Some(exec), Some(uptime)) = (exec, uptime) {
        row(
            "kernel starts",
            (total - uptime - start - exec).max(0.0),
            total - uptime,
        );
        row("Linux to debootd ready", uptime, total);
    }
    row("total", total, total);

    let fetch = timings
        .get("fetch")
        .zip(timings.get("manifest"))
        .map(|(end, start)| end - start);
    let rate = number("bytes")
        .zip(fetch)
        .filter(|(_, seconds)| *seconds > 0.0);
    let rate = rate.map_or("unknown".to_owned(), |(bytes, seconds)| {
        format!("{:.2} MB/s", bytes / seconds / 1e6)
    });
    format!(
        "{table}\n  {} bytes in {} chunks from {} peers, {rate}; loader memory {} bytes; EFI variables {}\n  reference {}\n",
        fact("bytes"),
        fact("chunks"),
        fact("peers"),
        fact("memory_peak"),
        fact("efi"),
        fact("reference"),
    )
}
