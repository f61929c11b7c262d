//! The bridge: many clients at once, its memory, the way to the first byte.
use super::ceiling::noise;
use super::{Bench, Measure, Target, median};
use crate::bridge::{self, Plan};
use crate::chunk_set::ChunkSet;
use anyhow::{Context, Result};
use std::path::Path;

const CLIENTS: usize = 50;
const FILE_BYTES: usize = 16 << 20;
const MEMORY_BYTES_MAX: f64 = 256.0 * 1048576.0;

/// Measures the bridge alone; firmware through it is measured with firmware from Swarm (`--only fetch`).
///
/// # Errors
/// Something could not be measured.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Measure>> {
    let (program, probe) = bridge::build()?;
    let directory = bench.directory.join("bridge");
    std::fs::create_dir_all(&directory)?;
    let tar = directory.join("chunks.tar");
    let mut set = ChunkSet::default();
    let reference = crate::chunk_set::hex(&set.add("file", &noise(FILE_BYTES)).address.0);
    set.write(&tar)?;
    let mut measures = Vec::new();
    // libp2p-quic keeps up to 10 MiB for each client whose window is larger.
    for (way, window) in [("tcp", ""), ("quic", ", clients with 1 MiB of window")] {
        println!("Bridge over {way}: {CLIENTS} clients, 16 MiB each, against one");
        let running = Plan::over(&program, &tar, &directory.join(way)).start()?;
        let address = match way {
            "tcp" => &running.tcp,
            _ => &running.quic,
        };
        let rate = |clients: usize| -> Result<f64> {
            let clients = clients.to_string();
            let words = [address.as_str(), &reference, "--clients", &clients];
            let report = bridge::probe(&probe, &words)?;
            let rate = report.get("megabytes_per_second").and_then(|v| v.as_f64());
            rate.context("the probe reports no rate")
        };
        // Into the cache.
        rate(1)?;
        let (mut one, mut many) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds.min(3) {
            one.push(rate(1)?);
            many.push(rate(CLIENTS)?);
        }
        measures.push(Measure {
            name: format!("{CLIENTS} clients of a bridge over {way}"),
            ours: format!("{:.0} MB/s in all", median(&many)),
            other: format!("one client {:.0} MB/s", median(&one)),
            ratio: median(&many) / median(&one),
            target: Target::AtLeast(0.8),
        });
        let memory = running.memory_peak()? as f64;
        measures.push(Measure {
            name: format!("memory of a bridge over {way}{window}"),
            ours: format!("{:.0} MiB", memory / 1048576.0),
            other: format!("limit {:.0} MiB", MEMORY_BYTES_MAX / 1048576.0),
            ratio: memory / MEMORY_BYTES_MAX,
            target: Target::AtMost(1.0),
        });
    }
    let running = Plan::over(&program, &tar, &directory.join("latency")).start()?;
    measures.push(first_chunk(&probe, &running.tcp, &reference)?);
    Ok(measures)
}

/// Measures the way to the first verified chunk, with our own client.
fn first_chunk(probe: &Path, address: &str, reference: &str) -> Result<Measure> {
    let report = bridge::probe(probe, &[address, reference, "--round-trip-ms", "100"])?;
    let figure = |name: &str| {
        report
            .get(name)
            .and_then(|v| v.as_f64())
            .unwrap_or(f64::NAN)
    };
    let trips = figure("round_trips_to_first_chunk");
    Ok(Measure {
        name: "request to first verified chunk".to_owned(),
        ours: format!("{trips:.2} round trips"),
        other: format!(
            "limit 3 (from dialling: {:.2})",
            figure("round_trips_from_dial")
        ),
        ratio: trips / 3.0,
        target: Target::AtMost(1.0),
    })
}
