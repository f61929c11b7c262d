//! Real bee nodes on loopback, by the lab script. `cargo xtask test` sets both variables; by hand:
//! `BEE_BIN=/path/to/bee BEE_LAB=/path/to/beelab.py cargo test --test bee -- --ignored`.
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The bees to test with (`BEE_BIN`, several between colons).
pub(crate) fn programs() -> Vec<String> {
    let list = std::env::var("BEE_BIN").unwrap_or_default();
    let programs: Vec<String> = list
        .split(':')
        .filter(|p| !p.is_empty())
        .map(str::to_owned)
        .collect();
    assert!(
        !programs.is_empty(),
        "NOT RUN: set BEE_BIN=/path/to/bee[:/path/to/another]"
    );
    programs
}

fn script() -> PathBuf {
    let script = PathBuf::from(std::env::var_os("BEE_LAB").unwrap_or_default());
    assert!(script.is_file(), "NOT RUN: set BEE_LAB=/path/to/beelab.py");
    script
}

/// A running lab; dropped, it ends.
pub(crate) struct Lab {
    script: PathBuf,
    dir: tempfile::TempDir,
    pub(crate) description: Value,
}

impl Lab {
    /// Starts a lab. On a loaded machine the nodes sometimes miss the script's own deadlines, which says nothing about us: three
    /// attempts, each on ports of its own.
    pub(crate) fn up(bee: &str, port_offset: u16, arguments: &[&str]) -> Self {
        let base: u16 = std::env::var("BEE_LAB_PORT").map_or(27000, |p| p.parse().unwrap());
        let mut error = String::new();
        for attempt in 0..3 {
            let mut lab = Self {
                script: script(),
                dir: tempfile::tempdir().unwrap(),
                description: Value::Null,
            };
            let port = base + port_offset + 20 * attempt;
            let output = Command::new("python3")
                .arg(&lab.script)
                .args(["up", "--bee", bee, "--dir"])
                .arg(lab.dir.path())
                .args(["--base-port", &port.to_string()])
                .args(arguments)
                .output()
                .unwrap();
            if output.status.success() {
                lab.description = serde_json::from_slice(&output.stdout).unwrap();
                return lab;
            }
            error = String::from_utf8_lossy(&output.stderr).into_owned();
            eprintln!("{bee}: the lab did not come up: {error}");
        }
        panic!("{bee}: {error}");
    }

    /// Buys a usable postage batch for node 1.
    pub(crate) fn batch(&self) -> String {
        let output = Command::new("python3")
            .arg(&self.script)
            .args(["batch", "--node", "1", "--dir"])
            .arg(self.dir.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// HTTP API of a node.
    pub(crate) fn api(&self, index: usize) -> String {
        self.description["nodes"][index]["api"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
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
