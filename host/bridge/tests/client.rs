//! Our client against the real bridge over TCP, honest, lying and restarted.
mod common;

use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use bridge::{Fault, Running};
use common::driver::{Driver, Trouble};
use common::{Chunks, Way, address, config, pattern, publish, set, start};
use content::{Collect, Reference, Splitter};
use fetch::{BridgeError, Event};
use std::net::SocketAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(100);

fn socket_address(bridge: &Running) -> SocketAddr {
    let address: p2p::Multiaddr = address(bridge, Way::Tcp).to_string().parse().unwrap();
    address.tcp_socket_addr().unwrap()
}

fn settings(address: SocketAddr) -> fetch::Config {
    let mut settings = fetch::Config::new(address, [42; 32]);
    settings.answer_timeout = Duration::from_millis(500);
    settings.retry_min = Duration::from_millis(20);
    settings.retry_max = Duration::from_millis(100);
    settings.give_up_after = Duration::from_secs(10);
    settings
}

/// Reads one file; other threads keep the runtime of the bridge going.
async fn read(settings: fetch::Config, root: Reference) -> (Driver, Result<Vec<u8>, Trouble>) {
    tokio::task::spawn_blocking(move || {
        let mut driver = Driver::new(settings);
        let mut file = Collect::new(root, u64::MAX, 256);
        let result = driver.run(&mut file, true, LIMIT);
        (driver, result.map(|()| file.into_bytes().unwrap()))
    })
    .await
    .unwrap()
}

async fn read_from(
    fault: Option<Fault>,
    size: usize,
) -> (Driver, Result<Vec<u8>, Trouble>, Vec<u8>) {
    let mut chunks = Chunks::new();
    let bytes = pattern(size, 1);
    let root = publish(&mut chunks, &bytes);
    let mut config = config();
    config.fault = fault;
    let bridge = start(config, set(&chunks)).await;
    let (driver, result) = read(settings(socket_address(&bridge)), root).await;
    (driver, result, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_over_one_stream() {
    let (driver, result, bytes) = read_from(None, 5_000_000).await;
    assert!(result.unwrap() == bytes);
    let stats = driver.client.stats();
    assert_eq!((stats.connections, stats.streams), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_file_is_read_over_one_stream() {
    let bytes = pattern(2_000_000, 8);
    let mut chunks = Chunks::new();
    let mut next = 0u64;
    let mut splitter = Splitter::new().with_keys(Box::new(move || {
        next += 1;
        bmt::keccak256(&next.to_le_bytes())
    }));
    let mut sink = |chunk: VerifiedChunk| {
        chunks.insert(chunk.address(), chunk);
    };
    splitter.update(&bytes, &mut sink);
    let root = splitter.finish(&mut sink);
    let bridge = start(config(), set(&chunks)).await;
    let (driver, result) = read(settings(socket_address(&bridge)), root).await;
    assert!(result.unwrap() == bytes);
    assert_eq!(driver.client.stats().streams, 1);
    // Without its key in the request each chunk needs a stream of its own, and that works as well.
    let address = socket_address(&bridge);
    let result = tokio::task::spawn_blocking(move || {
        let mut driver = Driver::new(settings(address));
        let mut file = Collect::new(root, u64::MAX, 256);
        driver.run(&mut file, false, LIMIT).unwrap();
        file.into_bytes().unwrap()
    });
    assert!(result.await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_bridge_is_refused_with_the_right_error() {
    let (driver, result, _) = read_from(Some(Fault::FlipBit(300)), 2_000_000).await;
    assert!(
        matches!(
            result,
            Err(Trouble::Bridge(BridgeError::WrongChunk { number: 300, .. }))
        ),
        "{result:?}"
    );
    assert_eq!(driver.client.stats().chunks, 300);
    let (_, result, _) = read_from(Some(Fault::WrongSize), 2_000_000).await;
    assert!(
        matches!(
            result,
            Err(Trouble::Bridge(BridgeError::Size {
                announced: 2_000_001,
                real: 2_000_000
            }))
        ),
        "{result:?}"
    );
    let (_, result, _) = read_from(Some(Fault::OtherVersion), 10_000).await;
    assert!(
        matches!(result, Err(Trouble::Bridge(BridgeError::OtherProtocol))),
        "{result:?}"
    );
    let (driver, result, _) = read_from(Some(Fault::StopAt(200)), 2_000_000).await;
    assert!(
        matches!(
            result,
            Err(Trouble::Bridge(BridgeError::Truncated { number: 200 }))
        ),
        "{result:?}"
    );
    assert_eq!(driver.client.stats().chunks, 200);
    let (_, result, _) = read_from(Some(Fault::SilentAt(200)), 2_000_000).await;
    assert!(
        matches!(result, Err(Trouble::Bridge(BridgeError::Silent(_)))),
        "{result:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_knows_files_only_is_asked_for_files() {
    let (driver, result, bytes) = read_from(Some(Fault::FilesOnly), 2_000_000).await;
    assert!(result.unwrap() == bytes);
    assert!(
        driver
            .events
            .iter()
            .any(|event| matches!(event, Event::WholeFiles))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_killed_and_restarted_costs_what_was_in_flight() {
    let mut chunks = Chunks::new();
    let bytes = pattern(12_000_000, 1);
    let root = publish(&mut chunks, &bytes);
    let total = chunks.len() as u64;
    let mut config = config();
    let mut bridge = start(config.clone(), set(&chunks)).await;
    let address = socket_address(&bridge);
    config.listen = vec![
        format!("/ip4/127.0.0.1/tcp/{}", address.port())
            .parse()
            .unwrap(),
    ];
    let reading = tokio::task::spawn_blocking(move || {
        let mut driver = Driver::new(settings(address));
        // The consumer is slow enough for several restarts.
        let mut file = Slow(Collect::new(root, u64::MAX, 256));
        let result = driver.run(&mut file, false, LIMIT);
        (driver, result.map(|()| file.0.into_bytes().unwrap()))
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        drop(bridge);
        bridge = loop {
            // The port is free when the old listener is gone.
            if let Ok(bridge) = bridge::start(config.clone(), set(&chunks)).await {
                break bridge;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
    }
    let (driver, result) = reading.await.unwrap();
    assert!(result.unwrap() == bytes);
    let stats = driver.client.stats();
    assert!(stats.connections >= 2, "{stats:?}");
    assert_eq!(stats.chunks, total, "no chunk was fetched twice");
    bridge.stop().await;
}

struct Slow(Collect);

impl ChunkConsumer for Slow {
    type Error = content::JoinError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.0.poll_want()
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), Self::Error> {
        std::thread::sleep(Duration::from_micros(400));
        self.0.handle_chunk(chunk)
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), Self::Error> {
        self.0.handle_unavailable(address)
    }
    fn is_done(&self) -> bool {
        self.0.is_done()
    }
}
