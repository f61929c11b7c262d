//! Against real bee nodes. Needs `BEE_BIN` (programs between colons) and the lab script (`BEE_LAB`, or
//! `../shared/bee-lab/beelab.py` beside the repository); says loudly when it did not run.
mod common;

use common::{expect, pattern, run};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const FILE_BYTES: usize = 1_000_000;

struct Lab {
    script: PathBuf,
    dir: tempfile::TempDir,
}

impl Lab {
    /// Starts a boot node, five storers with the chunks between them, and an ultra-light client. On a loaded machine the nodes
    /// sometimes miss the script's own deadlines, which says nothing about us: three attempts, each on ports of its own.
    fn up(script: &Path, bee: &str, base_port: u16, chunks: &Path) -> (Self, serde_json::Value) {
        let mut error = String::new();
        for attempt in 0..3 {
            let lab = Self {
                script: script.to_owned(),
                dir: tempfile::tempdir().unwrap(),
            };
            let output = Command::new("python3")
                .arg(script)
                .args(["up", "--light", "--nodes", "6", "--bee", bee, "--dir"])
                .arg(lab.dir.path())
                .args(["--base-port", &(base_port + 20 * attempt).to_string()])
                .arg("--chunks")
                .arg(chunks)
                .output()
                .unwrap();
            if output.status.success() {
                return (lab, serde_json::from_slice(&output.stdout).unwrap());
            }
            error = String::from_utf8_lossy(&output.stderr).into_owned();
            eprintln!("{bee}: the lab did not come up: {error}");
        }
        panic!("{bee}: {error}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = Command::new("python3")
            .arg(&self.script)
            .args(["down", "--dir"])
            .arg(self.dir.path())
            .status();
        assert!(down.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn lab_script() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/bee-lab/beelab.py");
    let script = std::env::var_os("BEE_LAB").map_or(default, PathBuf::from);
    script.is_file().then_some(script)
}

/// Reads a body over HTTP/1.1; returns it with the time it took.
fn http_get(url: &str, path: &str, limit: Duration) -> std::io::Result<(Vec<u8>, Duration)> {
    let start = Instant::now();
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let elapsed = start.elapsed();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        let head = String::from_utf8_lossy(&answer).into_owned();
        return Err(std::io::Error::other(head));
    }
    Ok((answer.split_off(end + 4), elapsed))
}

/// Times bee's own client. It can fetch only once it knows the network's status; the time it needs before that, with its
/// connections, is not counted: the clock starts when it has delivered the root chunk.
fn bee_light_client(node: &serde_json::Value, reference: &str, bytes: &[u8]) -> Duration {
    let api = node["api"].as_str().unwrap();
    let limit = Duration::from_secs(240);
    let start = Instant::now();
    while let Err(error) = http_get(api, &format!("/chunks/{reference}"), limit) {
        eprintln!("bee's client is not ready: {error}");
        assert!(start.elapsed() < limit, "bee's own client fetches nothing");
        std::thread::sleep(Duration::from_secs(1));
    }
    let (body, elapsed) = http_get(api, &format!("/bytes/{reference}"), limit).unwrap();
    assert!(body == bytes, "bee's client gave other bytes");
    elapsed
}

#[test]
fn a_file_comes_from_real_bees_in_less_time_than_bees_own_client_needs() {
    let programs = std::env::var("BEE_BIN").unwrap_or_default();
    let programs: Vec<&str> = programs.split(':').filter(|p| !p.is_empty()).collect();
    let (false, Some(script)) = (programs.is_empty(), lab_script()) else {
        // Not by eprintln: the test harness would swallow it.
        let message = "NOT RUN: interoperability with real bee. Set BEE_BIN=/path/to/bee[:/path/to/another] and BEE_LAB=/path/to/beelab.py";
        writeln!(std::io::stderr(), "{message}").unwrap();
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bytes = pattern(FILE_BYTES, 11);
    std::fs::write(dir.path().join("file"), &bytes).unwrap();
    let publish = ["publish", "file", "--output", "chunks.tar"];
    let reference = expect(dir.path(), 0, &publish).0.trim().to_owned();
    let base_port: u16 = std::env::var("BEE_LAB_PORT").map_or(27000, |p| p.parse().unwrap());
    for (i, bee) in (0..).zip(programs) {
        let (_lab, description) = Lab::up(
            &script,
            bee,
            base_port + 100 * i,
            &dir.path().join("chunks.tar"),
        );
        let nodes = description["nodes"].as_array().unwrap();
        let light = nodes.iter().find(|n| n["kind"] == "ultra-light").unwrap();
        let bootnode = description["bootnode"].as_str().unwrap();
        let start = Instant::now();
        let fetch = [
            "fetch",
            &reference,
            "-o",
            "fetched",
            "--network-id",
            "10",
            "--peer",
            bootnode,
            "--timeout",
            "240",
            "-v",
        ];
        let output = run(dir.path(), &fetch);
        // Ours goes first: what storers keep on the way helps the second. The whole program counts, from start to exit.
        let ours = start.elapsed();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{bee}: {stderr}");
        let fetched = std::fs::read(dir.path().join("fetched")).unwrap();
        assert!(fetched == bytes, "other bytes");
        eprintln!("{stderr}");
        let theirs = bee_light_client(light, &reference, &bytes);
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        eprintln!(
            "{bee}: deboot {ours:.1?}, bee's ultra-light client {theirs:.1?}, ratio {ratio:.2}"
        );
        assert!(ratio < 1.0, "{bee}: {ours:?} is not less than {theirs:?}");
    }
}
