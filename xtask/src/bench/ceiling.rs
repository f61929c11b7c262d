//! Fetching 64 MiB in the guest against what the same guest can hash and decrypt at all.
use super::{Bench, Measure, Target, median};
use crate::boot::{self, APPLICATION_MARK, Seen, Watch};
use crate::devnet::{Devnet, Plan};
use crate::qemu::Machine;
use crate::stage;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::time::Duration;

const BYTES: usize = 64 << 20;
const LIMIT: Duration = Duration::from_secs(300);

/// Boots several times; each start measures its ceiling, fetches, and measures its ceiling again.
///
/// # Errors
/// Either does not finish.
pub(super) fn measure(bench: &Bench) -> Result<Measure> {
    println!(
        "Fetching {} MiB in the guest {} times, and measuring its ceiling",
        BYTES >> 20,
        bench.rounds
    );
    let file = bench.directory.join("64MiB");
    std::fs::write(&file, noise(BYTES))?;
    let published = stage::publish(&bench.deboot, &file, &bench.directory.join("64MiB.tar"))?;
    let plan = Plan::quiet(
        &bench.deboot,
        24,
        &published.chunks,
        &bench.directory.join("devnet-64MiB.log"),
    );
    let devnet = plan.start()?;
    let disk = disk(bench, &published.reference, &devnet)?;
    let (mut rates, mut ceilings, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let machine = Machine::new(&disk, &bench.directory.join("fetch"));
        let watch = Watch {
            application_mark: APPLICATION_MARK,
            limit: LIMIT,
            show: false,
        };
        let seen = boot::boot(&machine, &watch, &mut |_, _| Ok(()))?;
        let no = |word: &str| format!("no {word} line: {}", seen.outcome);
        let rate = values(&seen, "FETCH ", "kib_s=");
        let rate = *rate.first().with_context(|| no("FETCH"))?;
        let [before, after] = values(&seen, "SELFTEST ", "ceiling_kib_s=")[..] else {
            bail!(no("second SELFTEST"));
        };
        // Both are over as many bytes: the mean of the times.
        let ceiling = 2.0 / (1.0 / before + 1.0 / after);
        println!(
            "  fetch {rate:8.0} KiB/s   ceiling {before:8.0} KiB/s before, {after:8.0} after   ratio {:.2}",
            rate / ceiling
        );
        rates.push(rate);
        ceilings.push(ceiling);
        ratios.push(rate / ceiling);
    }
    Ok(Measure {
        name: "64 MiB fetched in the guest".to_owned(),
        ours: format!("{:.0} KiB/s", median(&rates)),
        other: format!("BMT + cipher {:.0} KiB/s", median(&ceilings)),
        ratio: median(&ratios),
        target: Target::AtLeast(0.7),
    })
}

/// A disk that fetches between two measurements of the ceiling, in one start.
fn disk(bench: &Bench, reference: &str, devnet: &Devnet) -> Result<PathBuf> {
    let options = bench.directory.join("fetch.options");
    std::fs::write(&options, "selftest fetch poweroff\n")?;
    let disk = bench.directory.join("fetch.img");
    let more = [
        "--add".to_owned(),
        format!("{}:EFI/deboot/options", options.display()),
    ];
    stage::Disk {
        deboot: &bench.deboot,
        swfetch: &bench.swfetch,
        reference,
        bootnodes: std::slice::from_ref(&devnet.bootnode),
        network_id: devnet.network_id,
        more: &more,
    }
    .make(&disk)?;
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
