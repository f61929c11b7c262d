//! Real bee nodes against our storers. `BEE_BIN` names one or more bee executables, separated by `:`. Ignored where there are none, so
//! that nobody takes them for passed; `cargo xtask test` runs them when it is set.
mod common;

use common::{TempDir, file, hex};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storer::devnet::{ChunkSource, Devnet, DevnetConfig};
use storer::identity::{Identity, KeyKind, Prefix};
use storer::node::{Contact, Limits, Node, NodeConfig};
use storer::store::MemoryStore;
use storer::{Generation, Profile};

/// The bees to test with, and the handshake generation each speaks.
fn bees() -> Vec<(PathBuf, Generation)> {
    let list =
        std::env::var("BEE_BIN").expect("NOT RUN: set BEE_BIN=/path/to/bee[:/path/to/another]");
    list.split(':')
        .map(|path| {
            let output = Command::new(path).arg("version").output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            // A bee built without its release script calls itself "-dev": then the file name has to tell.
            let name = path.rsplit('/').next().unwrap_or(path);
            let (major, minor) = version(&text)
                .or_else(|| version(name))
                .expect("neither `bee version` nor the file name tells the version");
            let generation = if (major, minor) < (2, 8) {
                Generation::Fourteen
            } else {
                Generation::Fifteen
            };
            eprintln!(
                "{name} {major}.{minor} speaks generation {}",
                generation.name()
            );
            (path.into(), generation)
        })
        .collect()
}

/// Major and minor number in a text like `2.8.1-abc` or `bee_v2.8.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let digit = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[digit..].split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// An ultra-light bee; killed when dropped.
struct Bee {
    child: Child,
    api: u16,
    log: PathBuf,
}

impl Bee {
    fn ultra_light(bin: &Path, dir: &Path, bootnode: &str) -> Self {
        let (api, p2p) = (free_port(), free_port());
        let log = dir.join("bee.log");
        let out = std::fs::File::create(&log).unwrap();
        let child = Command::new(bin)
            .args(["start", "--password", "x", "--mainnet=false"])
            .args(["--network-id", "10", "--swap-enable=false"])
            .args(["--chequebook-enable=false", "--full-node=false"])
            .args(["--allow-private-cidrs", "--verbosity", "debug"])
            .args(["--bootnode", bootnode, "--data-dir"])
            .arg(dir.join("data"))
            .args(["--p2p-addr", &format!("127.0.0.1:{p2p}")])
            .args(["--api-addr", &format!("127.0.0.1:{api}")])
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self { child, api, log }
    }

    /// One HTTP request; status and body.
    fn get(&self, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: bee\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .ok_or_else(|| std::io::Error::other("no header end"))?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        Ok((status, answer[end + 4..].to_vec()))
    }

    /// Asks for a file until bee has it.
    fn fetch(&self, reference: &str, within: Duration) -> Vec<u8> {
        let deadline = Instant::now() + within;
        loop {
            let answer = self.get(&format!("/bytes/{reference}"));
            match answer {
                Ok((200, body)) => return body,
                other if Instant::now() > deadline => {
                    let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(60).collect();
                    for line in tail.iter().rev() {
                        eprintln!("{line}");
                    }
                    panic!(
                        "bee does not get the file: {:?}",
                        other.map(|(s, b)| (s, b.len()))
                    );
                }
                _ => std::thread::sleep(Duration::from_millis(500)),
            }
        }
    }
}

impl Drop for Bee {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fetch_through_bee(profile: Profile, leaves: u32, storers: usize) {
    for (bin, generation) in bees() {
        let (bytes, reference, chunks) = file(leaves);
        let devnet = Devnet::start(DevnetConfig {
            storers,
            chunks: vec![ChunkSource::Chunks(chunks)],
            profile,
            generation,
            ..DevnetConfig::default()
        })
        .unwrap();
        let dir = TempDir::new(&format!("bee-{}-{}", generation.name(), profile.name()));
        let bee = Bee::ultra_light(&bin, dir.path(), &devnet.bootnode());
        let started = Instant::now();
        let got = bee.fetch(&hex(&reference.0), Duration::from_secs(120));
        assert!(got == bytes, "bee got other bytes");
        let totals = devnet.totals();
        eprintln!(
            "generation {} {}: {} bytes through bee {:?} after its start; {totals:?}",
            generation.name(),
            profile.name(),
            bytes.len(),
            started.elapsed()
        );
        assert_eq!(totals.blocklistings, 0);
        assert_eq!(
            devnet.counters(0).chunks_served,
            0,
            "bee never asks its boot nodes"
        );
    }
}

#[test]
#[ignore = "needs BEE_BIN"]
fn an_ultra_light_bee_that_knows_only_the_boot_node_finds_the_storers_and_fetches_a_file() {
    fetch_through_bee(Profile::Lan, 128, 8);
}

#[test]
#[ignore = "needs BEE_BIN"]
fn with_public_limits_bee_settles_and_is_never_blocklisted() {
    fetch_through_bee(Profile::Public, 40, 8);
}
/// Needs a running full bee: `BEE_FULL_NODE` is its multiaddr (network id 10), or several separated by commas.
#[test]
#[ignore = "needs BEE_FULL_NODE"]
fn our_storer_dials_a_full_bee_and_stays_connected() {
    let list = std::env::var("BEE_FULL_NODE").expect("NOT RUN: set BEE_FULL_NODE to multiaddrs");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for address in list.split(',') {
        runtime.block_on(stays_connected(address));
    }
}

async fn stays_connected(address: &str) {
    let identity = Identity::derive(&[7; 32], KeyKind::P256, 10, Prefix::default()).unwrap();
    let node = Node::start(NodeConfig {
        identity,
        generation: Generation::Both,
        profile: Profile::Public,
        listen: "127.0.0.1:0".parse().unwrap(),
        announce_host: None,
        store: Arc::new(MemoryStore::new(1 << 20)),
        contacts: vec![Contact {
            address: address.to_owned(),
            boot: false,
        }],
        neighbours_per_bin: 4,
        fellows: Arc::default(),
        cache_forwarded: false,
        faults: Vec::new(),
        limits: Limits::default(),
        memory: Arc::default(),
    })
    .await
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    while node.connected().is_empty() {
        assert!(Instant::now() < deadline, "no handshake with {address}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let handshakes = node.counters().handshakes;
    let peers = node.connected();
    // Long enough for bee to have taken the threshold, told its peers and asked for the status.
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(node.connected().contains(&peers[0]), "{address} left");
    }
    let new = node.counters().handshakes - handshakes;
    eprintln!(
        "{address}: {} peers, {new} handshakes since",
        node.connected().len()
    );
    assert!(node.connected().len() > new as usize, "reconnected");
}
