//! The host client against storers with the public limits: how much of what they allow does it use?
use super::ceiling::noise;
use super::{Bench, Measure, Target, median};
use crate::chunk_set::addresses;
use crate::devnet::Plan;
use crate::process::{capture, command};
use crate::stage;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

const STORERS: usize = 8;
/// Long enough that what every peer gives in advance matters little.
const BYTES: usize = 2_400_000;
const LIMIT: Duration = Duration::from_secs(300);

// SPEC bee accounting: units; a light client's share.
const REFRESH_PER_SECOND: f64 = 450_000.0;
const THRESHOLD: f64 = 1_350_000.0;
const PRICE: f64 = 10_000.0;
/// Proximity that prices go up to.
const PROXIMITY_MAX: u32 = 31;

/// Fetches a file from 8 storers.
///
/// # Errors
/// The fetch does not finish.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Measure>> {
    let rounds = bench.rounds.div_ceil(2);
    println!("Fetching {BYTES} bytes {rounds} times from {STORERS} storers with the public limits");
    let bytes = noise(BYTES);
    let file = bench.directory.join("public");
    std::fs::write(&file, &bytes)?;
    let published = stage::publish(&bench.deboot, &file, &bench.directory.join("public.tar"))?;
    let chunks: Vec<_> = addresses(&bytes)
        .iter()
        .filter_map(|address| unhex(address))
        .collect();
    let (mut used, mut allowed, mut blocked) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        // A new network each time: bee's books survive a client.
        let log = bench.directory.join(format!("public-{round}.log"));
        let mut plan = Plan::quiet(&bench.deboot, STORERS, &published.chunks, &log);
        plan.profile = "public".to_owned();
        plan.for_guest = false;
        plan.verbose = true;
        let devnet = plan.start()?;
        let overlays: Vec<_> = devnet
            .storers
            .iter()
            .filter_map(|overlay| unhex(overlay))
            .collect();
        if overlays.len() != STORERS || chunks.is_empty() {
            bail!("the devnet describes {} storers", overlays.len());
        }
        let ideal = ideal_seconds(&chunks, &overlays);
        let mut deboot = command(&bench.deboot);
        deboot.args([
            "fetch",
            &published.reference,
            "--peer",
            &devnet.bootnode,
            "--network-id",
            &devnet.network_id.to_string(),
        ]);
        let out = bench.directory.join("fetched");
        let start = Instant::now();
        capture(deboot.arg("--output").arg(&out), LIMIT)?;
        let seconds = start.elapsed().as_secs_f64();
        if std::fs::read(&out)? != bytes {
            bail!("another file was fetched than the one published");
        }
        // The storers say what they did every few seconds.
        std::thread::sleep(Duration::from_secs(4));
        blocked += blocklistings(&std::fs::read_to_string(&log)?)
            .context("the devnet printed no statistics")?;
        println!("  {seconds:.1} s; the storers' limits allow {ideal:.1} s");
        used.push(ideal / seconds);
        allowed.push(seconds);
    }
    Ok(vec![
        Measure {
            name: "public limits, 8 storers, host client".to_owned(),
            ours: format!("{:.1} s", median(&allowed)),
            other: "allowance used".to_owned(),
            ratio: median(&used),
            target: Target::AtLeast(0.9),
        },
        Measure {
            name: "drops and blocklistings for debt".to_owned(),
            ours: blocked.to_string(),
            other: "none".to_owned(),
            ratio: f64::from(blocked),
            target: Target::AtMost(0.0),
        },
    ])
}

/// Returns the time in which the storers would deliver all chunks, each by the closest one, were their work spread evenly.
fn ideal_seconds(chunks: &[[u8; 32]], overlays: &[[u8; 32]]) -> f64 {
    let price = |chunk: &[u8; 32]| {
        let closest = overlays
            .iter()
            .map(|overlay| proximity(chunk, overlay))
            .max()
            .unwrap_or(0);
        f64::from(PROXIMITY_MAX + 1 - closest) * PRICE
    };
    let cost: f64 = chunks.iter().map(price).sum();
    let peers = overlays.len() as f64;
    // Before the first settlement a debt of one threshold is allowed, and that settlement may clear it at once.
    let advance = 2.0 * THRESHOLD * peers;
    (cost - advance).max(0.0) / (REFRESH_PER_SECOND * peers)
}

fn proximity(a: &[u8; 32], b: &[u8; 32]) -> u32 {
    let mut bits = 0;
    for (a, b) in a.iter().zip(b) {
        let zeros = (a ^ b).leading_zeros();
        bits += zeros;
        if zeros < 8 {
            break;
        }
    }
    bits.min(PROXIMITY_MAX)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits?;
    let bytes: Vec<u8> = digits
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[high, low]| high << 4 | low)
        .collect();
    bytes.try_into().ok()
}

/// Reads the last `N disconnects for debt, N blocklistings` of a devnet's log.
fn blocklistings(log: &str) -> Option<u32> {
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains(" blocklistings"))?;
    let before = |words: &str| -> Option<u32> {
        let part = line.split(", ").find(|part| part.contains(words))?;
        part.split_whitespace().next()?.parse().ok()
    };
    Some(before("disconnects for debt")? + before("blocklistings")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_is_the_one_of_the_specification() {
        let mut near = [0; 32];
        near[0] = 0x01;
        assert_eq!(
            (proximity(&[0; 32], &near), proximity(&[0; 32], &[0; 32])),
            (7, 31)
        );
        // 1000 chunks at proximity 7 cost 250 000 each; one storer advances 2.7 million.
        let seconds = ideal_seconds(&vec![near; 1000], &[[0; 32]]);
        assert!(
            (seconds - (250e6 - 2.7e6) / 450e3).abs() < 1e-6,
            "{seconds}"
        );
    }

    #[test]
    fn statistics_of_the_devnet_are_read() {
        let line = "9 handshakes, 1 requests, 1 chunks served (0 forwarded), 0 not found, 3 settlements (1 refused), 2 disconnects for debt, 5 blocklistings";
        assert_eq!(blocklistings(line), Some(7));
        assert_eq!(blocklistings("nothing"), None);
    }
}
