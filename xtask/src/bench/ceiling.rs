//! Fetching 64 MiB in the guest: against what the same guest can hash and decrypt at all, and through a bridge.
use super::{Bench, Measure, Target, median};
use crate::boot::{self, APPLICATION_MARK, Seen, Watch};
use crate::bridge;
use crate::devnet::Plan;
use crate::process::{capture, command};
use crate::qemu::{HOST_SEEN_BY_GUEST, Machine};
use crate::{programs, stage};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BYTES: usize = 64 << 20;
const LIMIT: Duration = Duration::from_secs(300);

/// Boots several times from Swarm and through a bridge, in turns. Each start from Swarm measures its ceiling, fetches, and measures its
/// ceiling again.
///
/// # Errors
/// One of them does not finish.
pub(super) fn measure(bench: &Bench) -> Result<[Measure; 2]> {
    println!(
        "Fetching {} MiB in the guest {} times, from Swarm and through a bridge, and measuring its ceiling",
        BYTES >> 20,
        bench.rounds
    );
    let directory = &bench.directory;
    let file = directory.join("64MiB");
    std::fs::write(&file, noise(BYTES))?;
    let published = stage::publish(&bench.deboot, &file, &directory.join("64MiB.tar"))?;
    let log = directory.join("devnet-64MiB.log");
    let devnet = Plan::quiet(&bench.deboot, 24, &published.chunks, &log).start()?;
    let program = programs::host("deboot-bridge")?;
    let bridge = bridge::Plan::over(&program, &published.chunks, &directory.join("bridge-64MiB"));
    let bridge = bridge.start()?;
    let swarm = format!(
        "[swarm]\nnetwork_id = {}\nbootnodes = [\"{}\"]\n",
        devnet.network_id, devnet.bootnode
    );
    let through = format!(
        "source = \"bridge\"\n\n[bridge]\naddress = \"{HOST_SEEN_BY_GUEST}:{}\"\n",
        bridge.port
    );
    let swarm = disk(
        bench,
        "fetch",
        &published.reference,
        &swarm,
        "selftest fetch",
    )?;
    let through = disk(bench, "through", &published.reference, &through, "fetch")?;
    let (mut rates, mut ceilings, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut bridged = Vec::new();
    for _ in 0..bench.rounds {
        let seen = start(&swarm, &directory.join("fetch"))?;
        let rate = rate(&seen)?;
        let [before, after] = values(&seen, "SELFTEST ", "ceiling_kib_s=")[..] else {
            bail!("no second SELFTEST line: {}", seen.outcome);
        };
        // Both are over as many bytes: the mean of the times.
        let ceiling = 2.0 / (1.0 / before + 1.0 / after);
        let other = self::rate(&start(&through, &directory.join("through"))?)?;
        println!(
            "  fetch {rate:6.0} KiB/s   ceiling {before:6.0} KiB/s before, {after:6.0} after, ratio {:.2}   through a bridge {other:6.0} KiB/s",
            rate / ceiling
        );
        rates.push(rate);
        ceilings.push(ceiling);
        ratios.push(rate / ceiling);
        bridged.push(other);
    }
    let ours = format!("{:.0} KiB/s", median(&rates));
    Ok([
        Measure {
            name: "64 MiB fetched in the guest".to_owned(),
            ours: ours.clone(),
            other: format!("BMT + cipher {:.0} KiB/s", median(&ceilings)),
            ratio: median(&ratios),
            target: Target::AtLeast(0.7),
        },
        Measure {
            name: "64 MiB fetched in the guest through a bridge".to_owned(),
            ours: format!("{:.0} KiB/s", median(&bridged)),
            other: format!("from Swarm {ours}"),
            ratio: median(&bridged) / median(&rates),
            target: Target::AtLeast(0.9),
        },
    ])
}

fn start(disk: &Path, directory: &Path) -> Result<Seen> {
    let watch = Watch {
        application_mark: APPLICATION_MARK,
        limit: LIMIT,
        show: false,
    };
    boot::boot(&Machine::new(disk, directory), &watch, &mut |_, _| Ok(()))
}

fn rate(seen: &Seen) -> Result<f64> {
    let rates = values(seen, "FETCH ", "kib_s=");
    let rate = rates.first().copied();
    rate.with_context(|| format!("no FETCH line: {}", seen.outcome))
}

/// A disk that fetches from `source`, with these words in its options.
fn disk(bench: &Bench, name: &str, reference: &str, source: &str, words: &str) -> Result<PathBuf> {
    let path = |extension: &str| bench.directory.join(format!("{name}.{extension}"));
    let (config, options, disk) = (path("toml"), path("options"), path("img"));
    std::fs::write(&config, format!("reference = \"{reference}\"\n{source}"))?;
    std::fs::write(&options, format!("{words} poweroff\n"))?;
    let mut deboot = command(&bench.deboot);
    deboot.arg("disk").arg("--config").arg(config);
    deboot.arg("--efi").arg(&bench.swfetch);
    deboot
        .arg("--add")
        .arg(format!("{}:EFI/deboot/options", options.display()));
    capture(deboot.arg("--output").arg(&disk), LIMIT)?;
    Ok(disk)
}

/// Finds `key<number>` in every line that has this word.
fn values(seen: &Seen, word: &str, key: &str) -> Vec<f64> {
    let lines = seen.lines.iter().filter_map(|line| line.split_once(word));
    let number = |line: &str| {
        line.split(' ')
            .find_map(|p| p.strip_prefix(key)?.parse().ok())
    };
    lines.filter_map(|(_, line)| number(line)).collect()
}

/// Returns bytes that do not repeat and are the same in every run (SplitMix64).
pub(super) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x0064_6562_6f6f_7400_u64;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    out.truncate(bytes);
    out
}
