//! The devnet verb.
use super::args::{DevnetArgs, DevnetGenerationArg, ProfileArg};
use super::fetch_verb::stop_on_signals;
use super::progress::note;
use super::{ExitStatus, Failure};
use crate::devnet::{self, RunOptions, Statistics};
use crate::output::OutputFile;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use storer::devnet::{ChunkSource, Counters, Devnet, DevnetConfig};
use storer::{Fault, Generation, Profile};

const STATISTICS_INTERVAL: Duration = Duration::from_secs(3);

/// Runs the network. The description is JSON with and without `--json`.
pub(super) fn devnet(args: &DevnetArgs) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let mut print = print_counters;
    let statistics = args.verbose.then_some(Statistics {
        interval: STATISTICS_INTERVAL,
        hear: &mut print,
    });
    let options = RunOptions {
        stop,
        stop_on_stdin_close: args.stop_on_stdin_close,
        statistics,
    };
    devnet::run(config(args), options, &mut |devnet: &Devnet| {
        describe(devnet, args.description.as_deref())
    })
}

fn config(args: &DevnetArgs) -> DevnetConfig {
    let mut faults: BTreeMap<usize, Vec<Fault>> = BTreeMap::new();
    for (index, fault) in &args.fault {
        faults.entry(*index).or_default().push(fault.clone());
    }
    DevnetConfig {
        storers: args.storers,
        chunks: args.chunks.iter().cloned().map(ChunkSource::Tar).collect(),
        replication: args.replication,
        profile: match args.profile {
            ProfileArg::Public => Profile::Public,
            ProfileArg::Lan => Profile::Lan,
        },
        generation: match args.generation {
            DevnetGenerationArg::Both => Generation::Both,
            DevnetGenerationArg::V14 => Generation::Fourteen,
            DevnetGenerationArg::V15 => Generation::Fifteen,
        },
        network_id: args.network_id,
        listen_ip: args.listen,
        base_port: args.base_port,
        announce_host: args.announce_host,
        faults,
        seed: args.seed,
        ..DevnetConfig::default()
    }
}

/// Says that the network is ready: the description is printed only then.
fn describe(devnet: &Devnet, file: Option<&Path>) -> Result<(), Failure> {
    let json = devnet.describe().to_json();
    if let Some(path) = file {
        let mut output = OutputFile::create(path)?;
        writeln!(output, "{json}").map_err(|e| output.error(e))?;
        output.commit()?;
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{json}")
        .and_then(|()| stdout.flush())
        .map_err(|e| Failure::new(ExitStatus::Failed, format!("standard output: {e}")))
}

fn print_counters(counters: &Counters) {
    note(&format!(
        "{} handshakes, {} requests, {} chunks served ({} forwarded), {} not found, {} settlements ({} refused), {} disconnects for debt, {} blocklistings",
        counters.handshakes,
        counters.requests,
        counters.chunks_served,
        counters.chunks_forwarded,
        counters.not_found,
        counters.settlements,
        counters.settlements_refused,
        counters.disconnects_for_debt,
        counters.blocklistings
    ));
}
