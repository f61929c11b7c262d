//! What the tests share: a bridge over a chunk set, and a client that is not ours.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod driver;
pub(crate) mod quic;

use bmt::{ChunkAddress, VerifiedChunk};
use bridge::backend::{Backend, Set};
use bridge::{Config, Running};
use chunkset::TarWriter;
use content::Reference;
use fetch::PROTOCOL;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, noise, tcp, yamux};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// No step of a test takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Chunks = BTreeMap<ChunkAddress, VerifiedChunk>;

/// Bytes without repetition.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        bytes.extend_from_slice(&x.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Splits a file into `chunks`.
pub(crate) fn publish(chunks: &mut Chunks, bytes: &[u8]) -> Reference {
    content::split(bytes, &mut |chunk| {
        chunks.insert(chunk.address(), chunk);
    })
}

/// Writes a chunk set.
pub(crate) fn write_set(path: &Path, chunks: &Chunks) {
    let mut tar = TarWriter::new(std::io::BufWriter::new(
        std::fs::File::create(path).unwrap(),
    ));
    for chunk in chunks.values() {
        tar.append(chunk.address(), chunk).unwrap();
    }
    tar.finish().unwrap();
}

/// A back end over chunks, by way of a set on disk.
pub(crate) fn set(chunks: &Chunks) -> Arc<dyn Backend> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chunks.tar");
    write_set(&path, chunks);
    // The set keeps the file open.
    Arc::new(Set::open(&path).unwrap())
}

/// Settings of a bridge on loopback, TCP first, QUIC second.
pub(crate) fn config() -> Config {
    Config::new(
        Keypair::generate_ed25519(),
        vec![
            "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
            "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap(),
        ],
    )
}

pub(crate) async fn start(config: Config, backend: Arc<dyn Backend>) -> Running {
    tokio::time::timeout(PATIENCE, bridge::start(config, backend))
        .await
        .unwrap()
        .unwrap()
}

/// Which way to the bridge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Tcp,
    Quic,
}

pub(crate) fn address(bridge: &Running, way: Way) -> Multiaddr {
    let name = match way {
        Way::Tcp => "/tcp/",
        Way::Quic => "/quic-v1",
    };
    let found = bridge
        .addresses
        .iter()
        .find(|a| a.to_string().contains(name));
    found.unwrap().clone()
}

/// A rust-libp2p client.
pub(crate) struct Client {
    peer: PeerId,
    control: libp2p_stream::Control,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    pub(crate) async fn connect(bridge: &Running, way: Way) -> Self {
        let mut swarm: Swarm<libp2p_stream::Behaviour> = libp2p::SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_quic()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        let control = swarm.behaviour().new_control();
        swarm.dial(address(bridge, way)).unwrap();
        let connected = async {
            while !matches!(
                swarm.select_next_some().await,
                SwarmEvent::ConnectionEstablished { .. }
            ) {}
        };
        tokio::time::timeout(PATIENCE, connected).await.unwrap();
        let task = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self {
            peer: bridge.peer,
            control,
            task,
        }
    }

    pub(crate) async fn open(&mut self) -> Stream {
        let protocol = StreamProtocol::new(PROTOCOL);
        self.control.open_stream(self.peer, protocol).await.unwrap()
    }

    /// Sends a request, and returns everything that comes back.
    pub(crate) async fn ask(&mut self, request: &str) -> Vec<u8> {
        let mut stream = self.open().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        answer
    }

    /// Sends a request, and returns the first line of the answer and what follows it.
    pub(crate) async fn ask_line(&mut self, request: &str) -> (serde_json::Value, Vec<u8>) {
        let answer = self.ask(request).await;
        let end = answer.iter().position(|byte| *byte == b'\n').unwrap();
        let line = serde_json::from_slice(&answer[..end]).unwrap();
        (line, answer[end + 1..].to_vec())
    }
}
