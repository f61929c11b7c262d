//! `deboot-bridge` as a child process, and the independent client that checks it.
use crate::process::{Guard, capture, command};
use crate::{devnet, programs};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);
const PROBE_LIMIT: Duration = Duration::from_secs(600);

/// What bridge to start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) program: PathBuf,
    /// What is behind it, as options: `--chunks FILE` and so on.
    pub(crate) behind: Vec<String>,
    /// Port on loopback for TCP and QUIC, or 0 for one that is free.
    pub(crate) port: u16,
    /// Misbehaviour.
    pub(crate) fault: Option<String>,
    /// Its key and its log go here.
    pub(crate) directory: PathBuf,
}

/// A running bridge. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Bridge {
    child: Guard,
    /// Multiaddr for TCP, peer id included.
    pub(crate) tcp: String,
    /// Multiaddr for QUIC, peer id included.
    pub(crate) quic: String,
    /// TCP port.
    pub(crate) port: u16,
}

impl Plan {
    /// A bridge over a chunk set.
    pub(crate) fn over(program: &Path, chunks: &Path, directory: &Path) -> Self {
        Self {
            program: program.to_owned(),
            behind: vec!["--chunks".to_owned(), chunks.display().to_string()],
            port: 0,
            fault: None,
            directory: directory.to_owned(),
        }
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("bridge.log")
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// It does not start in time.
    pub(crate) fn start(&self) -> Result<Bridge> {
        std::fs::create_dir_all(&self.directory)?;
        let mut bridge = command(&self.program);
        bridge.args(&self.behind);
        bridge
            .arg("--identity")
            .arg(self.directory.join("identity"));
        let port = self.port;
        bridge.args(["--listen", &format!("/ip4/127.0.0.1/tcp/{port}")]);
        bridge.args(["--listen", &format!("/ip4/127.0.0.1/udp/{port}/quic-v1")]);
        if let Some(fault) = &self.fault {
            bridge.args(["--fault", fault]);
        }
        let log = File::options().create(true).append(true).open(self.log())?;
        bridge.stdout(Stdio::piped()).stderr(log);
        let mut child = Guard::spawn(&mut bridge)?;
        let stdout = child.0.stdout.take().context("a bridge without stdout")?;
        let lines = match until_ready(stdout) {
            Ok(lines) => lines,
            Err(error) => bail!(
                "the bridge did not start: {error:#}\n{}",
                devnet::tail(&self.log())
            ),
        };
        let find = |mark: &str| -> Result<String> {
            let mut addresses = lines
                .iter()
                .filter_map(|line| line.strip_prefix("listening "));
            let found = addresses.find(|address| address.contains(mark));
            Ok(found
                .with_context(|| format!("the bridge has no address with {mark}"))?
                .to_owned())
        };
        let tcp = find("/tcp/")?;
        let port = tcp.split('/').nth(4).and_then(|port| port.parse().ok());
        Ok(Bridge {
            child,
            quic: find("/quic-v1")?,
            port: port.with_context(|| format!("no port in {tcp}"))?,
            tcp,
        })
    }
}

impl Bridge {
    /// Most memory it has had so far, bytes.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn memory_peak(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("no VmHWM in the status of the bridge")? * 1024)
    }
}

/// Builds the bridge and the independent client; returns their paths.
///
/// # Errors
/// They do not build.
pub(crate) fn build() -> Result<(PathBuf, PathBuf)> {
    let bridge = programs::host("deboot-bridge")?;
    let probe = programs::example("deboot-bridge", "probe")?;
    Ok((bridge, probe))
}

/// Runs the independent client and returns what it reports.
///
/// # Errors
/// It could not fetch, or what came is wrong.
pub(crate) fn probe(probe: &Path, words: &[&str]) -> Result<serde_json::Value> {
    let mut probe = command(probe);
    // It gives up before it is given up, and says why.
    let seconds = PROBE_LIMIT.as_secs().saturating_sub(10).to_string();
    probe.args(words).args(["--timeout", &seconds]);
    let text = capture(&mut probe, PROBE_LIMIT)?;
    serde_json::from_str(&text).context("the probe printed no JSON")
}

/// Collects lines up to `ready`; the rest is read and thrown away, so that the writer never blocks.
fn until_ready(stdout: impl std::io::Read + Send + 'static) -> Result<Vec<String>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The receiver may have heard enough.
            drop(sender.send(line));
        }
    });
    let deadline = Instant::now() + START_LIMIT;
    let mut lines = Vec::new();
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line == "ready" => return Ok(lines),
            Ok(line) => lines.push(line),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended"),
            Err(RecvTimeoutError::Timeout) => bail!("not within {} s", START_LIMIT.as_secs()),
        }
    }
}
