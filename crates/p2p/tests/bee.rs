//! Connects to a real bee (the first one in `BEE_BIN`; ignored where there is none): Noise, Yamux, identify in both directions, the multistream fall-back.
//!
//! bee runs as an ultra-light node on loopback, without a chain, in a directory of its own that is removed afterwards.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a real bee has real sockets and real time"
)]

mod common;

use common::{Driver, PATIENCE};
use p2p::{Config, Event, Keypair, PublicKey, Role, StaticKey};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

struct Bee {
    process: Child,
    directory: PathBuf,
    port: u16,
}

impl Drop for Bee {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A port nobody listens on now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn start() -> Bee {
    let list = std::env::var("BEE_BIN").expect("NOT RUN: set BEE_BIN=/path/to/bee");
    let binary = list.split(':').next().unwrap_or_default();
    let port = free_port();
    let directory =
        std::env::temp_dir().join(format!("deboot-p2p-bee-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let process = Command::new(binary)
        .args([
            "start",
            "--mainnet=false",
            "--network-id",
            "10",
            "--password",
            "x",
        ])
        .args([
            "--swap-enable=false",
            "--full-node=false",
            "--verbosity",
            "error",
        ])
        // a boot node that is not there: the node must not look for others
        .args([
            "--bootnode",
            "/ip4/127.0.0.1/tcp/9/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        ])
        .arg("--allow-private-cidrs")
        .arg("--data-dir")
        .arg(&directory)
        .args(["--p2p-addr", &format!("127.0.0.1:{port}")])
        .args(["--api-addr", &format!("127.0.0.1:{}", free_port())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("BEE_BIN starts");
    Bee {
        process,
        directory,
        port,
    }
}

impl Bee {
    async fn socket(&self) -> TcpStream {
        let started = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)).await {
                Ok(socket) => return socket,
                Err(error) => assert!(
                    started.elapsed() < Duration::from_secs(60),
                    "bee does not listen: {error}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

const HANDSHAKES: [&str; 2] = [
    "/swarm/handshake/15.0.0/handshake",
    "/swarm/handshake/14.0.0/handshake",
];

/// Connects until bee, which listens before it serves anything, has a handshake in its identify answer; returns that too.
async fn connect(bee: &Bee, config: &Config) -> (Driver, &'static str) {
    for attempt in 0..100 {
        let mut config = config.clone();
        config.noise_ephemeral = [attempt; 32];
        let mut driver = Driver::new(Role::Dialer, config, bee.socket().await);
        assert!(matches!(driver.event().await, Event::Connected { .. }));
        let Event::Identified {
            agent, protocols, ..
        } = driver.event().await
        else {
            panic!("identify was asked for");
        };
        assert!(agent.starts_with("bee/"), "{agent}");
        let served = HANDSHAKES
            .into_iter()
            .find(|handshake| protocols.iter().any(|protocol| protocol == handshake));
        if let Some(served) = served {
            println!("{agent} serves {served}");
            return (driver, served);
        }
        driver.connection.close();
        driver.flush().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    panic!("bee serves no handshake");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs BEE_BIN"]
async fn connects_to_bee_identifies_and_survives_its_pings() {
    let bee = start();
    let identity = Keypair::ed25519(&[42; 32]);
    let static_key = StaticKey::new(&identity, [43; 32]);
    let mut config = Config::with_static_key(identity, static_key, [44; 32]);
    config.agent_version = "deboot-p2p-test/1".to_string();
    config.listen_addrs = vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap()];
    config.identify_peer = true;
    // shorter than bee's own, so that the test sees pongs
    config.limits.keepalive_interval = Duration::from_millis(200);

    let (mut driver, served) = connect(&bee, &config).await;
    let key = driver.connection.peer().unwrap();
    assert!(
        matches!(key, PublicKey::P256(_)),
        "bee's identity is on P-256"
    );
    let peer = key.peer_id();
    assert!(peer.to_base58().starts_with("Qm"));

    // The fall-back on one stream: what bee does not serve is refused, the rest is found. (Giving a handshake stream up would make bee
    // close the connection, so another protocol is asked for.)
    let unknown = "/swarm/handshake/99.0.0/handshake";
    let stream = driver.open(
        &[unknown, "/swarm/status/9.0.0/status", "/ipfs/id/1.0.0"],
        &[],
    );
    assert_eq!(driver.event().await, Event::Negotiated { stream, index: 2 });
    driver.connection.close_write(stream);
    while driver.event().await != (Event::Finished { stream }) {}
    let answer = driver.connection.received(stream).to_vec();
    let mut parts = answer.windows(served.len());
    assert!(parts.any(|part| part == served.as_bytes()));
    driver.connection.consume(stream, answer.len());
    let stream = driver.open(&[unknown], b"\0");
    assert_eq!(driver.event().await, Event::NotSupported { stream });

    // Before the handshake bee resets streams of Swarm protocols; the connection goes on.
    let stream = driver.open(&["/swarm/pingpong/1.0.0/pingpong"], b"\0");
    loop {
        match driver.event().await {
            Event::Reset { stream: gone } if gone == stream => break,
            Event::Negotiated { .. } | Event::Readable { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        driver.event_within(Duration::from_secs(2)).await,
        None,
        "nothing ends the connection"
    );
    let round_trip = driver.connection.round_trip().expect("pongs came");
    assert!(round_trip < PATIENCE);

    // A second connection with the same static key, and the right peer expected; then the wrong one.
    config.identify_peer = false;
    config.noise_ephemeral = [145; 32];
    config.expected_peer = Some(peer.clone());
    let mut second = Driver::new(Role::Dialer, config.clone(), bee.socket().await);
    assert_eq!(
        second.event().await,
        Event::Connected { peer: peer.clone() }
    );
    config.noise_ephemeral = [146; 32];
    let expected = config.keypair.public().peer_id();
    config.expected_peer = Some(expected.clone());
    let mut third = Driver::new(Role::Dialer, config, bee.socket().await);
    let error = p2p::Error::PeerMismatch {
        expected,
        actual: peer,
    };
    assert_eq!(third.event().await, Event::Closed { error });
}
