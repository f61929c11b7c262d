//! `deboot-bridge`: see `--help` and docs/bridge.md.
#![forbid(unsafe_code)]

mod args;

use args::{Args, Behind};
use bridge::backend::{Backend, Bee, Native, Set};
use bridge::{Cache, Config, Running};
use clap::Parser;
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// File name of the identity, in the directory for state.
const IDENTITY: &str = "identity";

fn main() -> ExitCode {
    let args = Args::parse();
    let default = match args.verbose {
        0 => "info,libp2p=warn,quinn=warn,quinn_proto=warn",
        1 => "debug,libp2p=info,quinn=info,quinn_proto=info,hyper=info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("deboot-bridge: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(args));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deboot-bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    // Before anything that takes time: a signal during start-up must stop it, too.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = tokio::select! {
        running = start(&args) => running?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    announce(&running)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    tokio::select! {
        () = running.stop() => {}
        // Whoever asks twice does not want to wait.
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn start(args: &Args) -> Result<Running, Box<dyn Error>> {
    let path = match &args.identity {
        Some(path) => path.clone(),
        None => default_state()?.join(IDENTITY),
    };
    let identity = bridge::load_identity(&path)?;
    let mut config = Config::new(identity, args.listen.clone());
    config.cache = args.cache.clone().map(|directory| Cache {
        directory,
        bytes_max: args.cache_size,
    });
    config.metrics = args.metrics;
    config.limits.memory_bytes_max = usize::try_from(args.memory)?;
    config.limits.connections_max = args.connections_max;
    config.limits.streams_per_peer_max = args.streams_per_peer;
    config.fault = args.fault;
    if let Some(fault) = args.fault {
        tracing::warn!(?fault, "this bridge misbehaves on purpose");
    }
    Ok(bridge::start(config, backend(&args.behind)?).await?)
}

fn backend(behind: &Behind) -> Result<Arc<dyn Backend>, Box<dyn Error>> {
    if let Some(url) = &behind.bee_url {
        return Ok(Arc::new(Bee::new(url)?));
    }
    if let Some(path) = &behind.chunks {
        let set = Set::open(path)?;
        tracing::info!(chunks = set.len(), "chunk set read");
        return Ok(Arc::new(set));
    }
    let mut bootnodes = behind.bootnodes.clone();
    if bootnodes.is_empty() {
        bootnodes = client::default_bootnodes(behind.network_id);
    }
    if bootnodes.is_empty() {
        let id = behind.network_id;
        return Err(
            format!("network {id} has no public bootnodes: name one with --bootnode").into(),
        );
    }
    let mut config = client::Config::new(behind.network_id, bootnodes)?;
    // One light client for many boots: no run, so no deadline of a run.
    config.node.requests_max = 1024;
    Ok(Arc::new(Native::start(config)?))
}

/// Says on standard output where the bridge is, one address a line, and then `ready`.
fn announce(running: &Running) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for address in &running.addresses {
        writeln!(out, "listening {address}")?;
    }
    if let Some(address) = running.metrics_address {
        writeln!(out, "metrics http://{address}/metrics")?;
    }
    writeln!(out, "ready")?;
    out.flush()
}

/// Directory for what must survive a restart: systemd's, else the user's.
fn default_state() -> Result<PathBuf, Box<dyn Error>> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = variable("STATE_DIRECTORY") {
        return Ok(PathBuf::from(path));
    }
    if let Some(path) = variable("XDG_STATE_HOME") {
        return Ok(PathBuf::from(path).join("deboot-bridge"));
    }
    match variable("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(".local/state/deboot-bridge")),
        None => Err("no HOME: say with --identity where the key is to be kept".into()),
    }
}
