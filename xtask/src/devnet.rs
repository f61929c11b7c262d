//! A Swarm on loopback: `deboot devnet` as a child process.
use crate::process::{Guard, command};
use crate::qemu::HOST_SEEN_BY_GUEST;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Storers that get each chunk, unless said otherwise: nobody has everything.
pub(crate) const REPLICATION: usize = 2;
const START_LIMIT: Duration = Duration::from_secs(120);

/// What network to start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) deboot: PathBuf,
    /// Storers beside the boot node.
    pub(crate) storers: usize,
    /// `public` or `lan`.
    pub(crate) profile: String,
    /// `14`, `15` or `both`.
    pub(crate) generation: String,
    /// What is stored.
    pub(crate) chunks: PathBuf,
    /// Misbehaviour, `INDEX=KIND`.
    pub(crate) faults: Vec<String>,
    /// First port, or 0 for ports that are free.
    pub(crate) base_port: u16,
    /// Tells peers addresses that a guest of QEMU can reach, instead of loopback.
    pub(crate) for_guest: bool,
    /// Writes statistics to the log every few seconds.
    pub(crate) verbose: bool,
    /// Storers that get each chunk.
    pub(crate) replication: usize,
    /// What the network says goes here.
    pub(crate) log: PathBuf,
}

/// A running network. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Devnet {
    _child: Guard,
    /// Multiaddr of the boot node.
    pub(crate) bootnode: String,
    /// Swarm network id.
    pub(crate) network_id: u64,
}

impl Plan {
    /// A network without limits or faults, for guests.
    pub(crate) fn quiet(deboot: &Path, storers: usize, chunks: &Path, log: &Path) -> Self {
        Self {
            deboot: deboot.to_owned(),
            storers,
            profile: "lan".to_owned(),
            generation: "both".to_owned(),
            chunks: chunks.to_owned(),
            faults: Vec::new(),
            base_port: 0,
            for_guest: true,
            verbose: false,
            replication: REPLICATION,
            log: log.to_owned(),
        }
    }

    /// Starts the network and waits until it is connected.
    ///
    /// # Errors
    /// It does not start in time.
    pub(crate) fn start(&self) -> Result<Devnet> {
        let mut deboot = command(&self.deboot);
        deboot.args(["devnet", "--json", "--storers", &self.storers.to_string()]);
        deboot.args(["--profile", &self.profile, "--generation", &self.generation]);
        deboot.arg("--chunks").arg(&self.chunks);
        for fault in &self.faults {
            deboot.args(["--fault", fault]);
        }
        if self.base_port != 0 {
            deboot.args(["--base-port", &self.base_port.to_string()]);
        }
        deboot.args(["--replication", &self.replication.to_string()]);
        if self.verbose {
            deboot.arg("--verbose");
        }
        if self.for_guest {
            deboot.args(["--announce-host", HOST_SEEN_BY_GUEST]);
        }
        deboot
            .stdout(Stdio::piped())
            .stderr(File::create(&self.log)?);
        let mut child = Guard::spawn(&mut deboot)?;
        let stdout = child
            .0
            .stdout
            .take()
            .context("deboot devnet without stdout")?;
        let description = match first_object(stdout) {
            Ok(description) => description,
            Err(error) => bail!("the devnet did not start: {error:#}\n{}", tail(&self.log)),
        };
        let bootnode = description.get("bootnode").and_then(|v| v.as_str());
        let bootnode = bootnode.context("the devnet names no bootnode")?.to_owned();
        let network_id = description
            .get("network_id")
            .and_then(serde_json::Value::as_u64);
        Ok(Devnet {
            bootnode,
            network_id: network_id.context("the devnet names no network id")?,
            _child: child,
        })
    }
}

/// Reads the first JSON object of a stream; the rest is read and thrown away, so that the writer never blocks.
fn first_object(mut stream: impl Read + Send + 'static) -> Result<serde_json::Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let value = serde_json::Deserializer::from_reader(&mut stream)
            .into_iter::<serde_json::Value>()
            .next();
        // The receiver may have given up.
        drop(sender.send(value));
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
    });
    match receiver.recv_timeout(START_LIMIT) {
        Ok(Some(value)) => value.context("what it said is not JSON"),
        Ok(None) => bail!("it ended without a word"),
        Err(_) => bail!("not within {} s", START_LIMIT.as_secs()),
    }
}

/// Finds this many ports in a row that nobody uses, and returns the first.
///
/// # Errors
/// There are none, or random ports collide with others all the time.
pub(crate) fn free_ports(count: usize) -> Result<u16> {
    let offsets = 0..u16::try_from(count)?;
    // Above the ports that are usual for services and below those that Linux gives to connections.
    let seed = std::process::id()
        ^ std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.subsec_nanos());
    for attempt in 0..100 {
        let base = u16::try_from(seed.wrapping_add(attempt * 7919) % 12_000)? + 20_000;
        let listeners: Vec<_> = offsets
            .clone()
            .map(|n| std::net::TcpListener::bind(("127.0.0.1", base + n)))
            .collect();
        if listeners.iter().all(std::result::Result::is_ok) {
            return Ok(base);
        }
    }
    bail!("no {count} free ports in a row")
}

/// Returns the end of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}
