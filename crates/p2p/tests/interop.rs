//! Interoperation with rust-libp2p over loopback: both roles, every key type, streams, half-closes, large transfers, identify, ping.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "rust-libp2p has real sockets and real time"
)]

mod common;

use common::{Driver, PATIENCE};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair as TheirKeypair;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr as TheirMultiaddr, StreamProtocol, identify, noise, ping, tcp, yamux};
use p2p::{Config, Event, Keypair, PeerId, PublicKey, Role, StreamId};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const ECHO: &str = "/test/echo/1.0.0";
const OURS: &str = "/test/ours/1.0.0";

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

fn config(seed: u8) -> Config {
    let mut config = Config::new(Keypair::ed25519(&[seed; 32]), [seed; 32], [seed ^ 0xa5; 32]);
    config.agent_version = "deboot-p2p-test/1".to_string();
    config.protocols = vec![OURS.to_string()];
    config.listen_addrs = vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap()];
    config.identify_peer = true;
    config
}

/// A rust-libp2p node that echoes whole streams; reports its events.
struct Theirs {
    peer_id: PeerId,
    address: TheirMultiaddr,
    control: libp2p_stream::Control,
    events: mpsc::UnboundedReceiver<SwarmEvent<BehaviourEvent>>,
    dial: mpsc::UnboundedSender<TheirMultiaddr>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Theirs {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Theirs {
    async fn start(keypair: TheirKeypair) -> Self {
        let mut swarm: Swarm<Behaviour> = libp2p::SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|key| Behaviour {
                identify: identify::Behaviour::new(
                    identify::Config::new("test/1".to_string(), key.public())
                        .with_agent_version("theirs/1".to_string()),
                ),
                ping: ping::Behaviour::new(
                    ping::Config::new().with_interval(Duration::from_millis(200)),
                ),
                stream: libp2p_stream::Behaviour::new(),
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        let peer_id = PeerId::from_bytes(&swarm.local_peer_id().to_bytes()).unwrap();
        let mut control = swarm.behaviour().stream.new_control();
        let mut incoming = control.accept(StreamProtocol::new(ECHO)).unwrap();
        swarm
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
            .unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let (events_in, events) = mpsc::unbounded_channel();
        let (dial, mut dials) = mpsc::unbounded_channel::<TheirMultiaddr>();
        let echo = tokio::spawn(async move {
            while let Some((_, mut stream)) = incoming.next().await {
                tokio::spawn(async move {
                    let mut data = Vec::new();
                    if stream.read_to_end(&mut data).await.is_ok() {
                        let _ = stream.write_all(&data).await;
                        let _ = stream.close().await;
                    }
                });
            }
        });
        let drive = tokio::spawn(async move {
            loop {
                tokio::select! {
                                   event = swarm.select_next_some() => {
                                       if let SwarmEvent::ConnectionClosed { cause, .. } = &event {
                                           println!("their connection closed: {cause:?}");
                                       }
                let _ = events_in.send(event); }
                                   Some(address) = dials.recv() => swarm.dial(address).unwrap(),
                               }
            }
        });
        Self {
            peer_id,
            address,
            control,
            events,
            dial,
            tasks: vec![echo, drive],
        }
    }

    fn socket_addr(&self) -> std::net::SocketAddr {
        let address: p2p::Multiaddr = self.address.to_string().parse().unwrap();
        address.tcp_socket_addr().unwrap()
    }

    /// Waits for an event that `pick` likes.
    async fn wait<T>(
        &mut self,
        mut pick: impl FnMut(SwarmEvent<BehaviourEvent>) -> Option<T>,
    ) -> T {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = pick(self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        })
        .await
        .expect("the event within the patience of these tests")
    }

    /// Our connection to this node, with our role.
    async fn connect(&mut self, role: Role, mut config: Config) -> Driver {
        config.expected_peer = Some(self.peer_id.clone());
        let socket = match role {
            Role::Dialer => TcpStream::connect(self.socket_addr()).await.unwrap(),
            Role::Listener => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = p2p::Multiaddr::from_tcp(listener.local_addr().unwrap());
                let address = address.with_peer_id(&config.keypair.public().peer_id());
                self.dial
                    .send(address.to_string().parse().unwrap())
                    .unwrap();
                listener.accept().await.unwrap().0
            }
        };
        let mut driver = Driver::new(role, config, socket);
        let peer = self.peer_id.clone();
        assert_eq!(driver.event().await, Event::Connected { peer });
        driver
    }
}

fn their_keys() -> [(&'static str, TheirKeypair); 3] {
    [
        ("Ed25519", TheirKeypair::generate_ed25519()),
        ("secp256k1", TheirKeypair::generate_secp256k1()),
        ("ECDSA P-256", TheirKeypair::generate_ecdsa()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connects_and_identifies_in_both_roles_with_every_key_type() {
    for (name, keypair) in their_keys() {
        for role in [Role::Dialer, Role::Listener] {
            println!("{name} {role:?}");
            let mut theirs = Theirs::start(keypair.clone()).await;
            let mut ours = theirs.connect(role, config(1)).await;
            let key = ours.connection.peer().unwrap().clone();
            assert_eq!(key.encode(), keypair.public().encode_protobuf());
            match name {
                "Ed25519" => assert!(matches!(key, PublicKey::Ed25519(_))),
                "secp256k1" => assert!(matches!(key, PublicKey::Secp256k1(_))),
                _ => assert!(matches!(key, PublicKey::P256(_))),
            }
            let Event::Identified {
                agent,
                protocols,
                observed_addr,
                ..
            } = ours.event().await
            else {
                panic!("identify comes first");
            };
            assert_eq!(agent, "theirs/1");
            assert!(protocols.iter().any(|protocol| protocol == ECHO));
            assert!(observed_addr.is_some());
            // An event (identify may come late) is no reason to hang up.
            let keep_going =
                tokio::spawn(async move { while ours.event_within(PATIENCE).await.is_some() {} });
            let info = theirs
                .wait(|event| match event {
                    SwarmEvent::Behaviour(BehaviourEvent::Identify(
                        identify::Event::Received { info, .. },
                    )) => Some(info),
                    _ => None,
                })
                .await;
            keep_going.abort();
            assert_eq!(info.agent_version, "deboot-p2p-test/1");
            assert_eq!(
                info.public_key.encode_protobuf(),
                Keypair::ed25519(&[1; 32]).public().encode()
            );
            assert_eq!(
                info.listen_addrs,
                ["/ip4/127.0.0.1/tcp/4001".parse().unwrap()]
            );
            assert!(info.protocols.contains(&StreamProtocol::new(OURS)));
        }
    }
}

/// An echo stream: how much to send, how much is written, how much came back.
struct Echo {
    size: usize,
    written: usize,
    read: usize,
}

const fn pattern(stream: StreamId, at: usize) -> u8 {
    (at as u32 ^ (at as u32 >> 8) ^ stream.0) as u8
}

/// Writes what the stream takes now, and half-closes at the end.
fn feed(ours: &mut Driver, stream: StreamId, echo: &mut Echo) {
    while echo.written < echo.size {
        let end = echo.size.min(echo.written + 10_000);
        let block: Vec<u8> = (echo.written..end).map(|at| pattern(stream, at)).collect();
        if ours.connection.write(stream, &block).is_err() {
            return;
        }
        echo.written = end;
    }
    ours.connection.close_write(stream);
}

/// Has streams of these sizes echoed side by side and checks what comes back.
///
/// They are opened one after the other: the accept queue of `libp2p_stream` holds one stream, and what comes faster is dropped.
async fn echo(ours: &mut Driver, sizes: &[usize]) {
    let started = std::time::Instant::now();
    let mut waiting = sizes.to_vec();
    let mut opening = None;
    let mut open = std::collections::BTreeMap::new();
    let mut dropped = 0;
    while !open.is_empty() || !waiting.is_empty() {
        if opening.is_none()
            && let Some(size) = waiting.pop()
        {
            let stream = ours.open(&["/test/unknown/9", ECHO], &[]);
            opening = Some(stream);
            let (written, read) = (0, 0);
            open.insert(
                stream,
                Echo {
                    size,
                    written,
                    read,
                },
            );
        }
        for (stream, echo) in &mut open {
            feed(ours, *stream, echo);
        }
        // small steps: writing goes on while the window allows
        let Some(event) = ours.event_within(Duration::from_millis(20)).await else {
            continue;
        };
        match event {
            Event::Negotiated { stream, index } => {
                assert_eq!((index, opening), (1, Some(stream)));
                opening = None;
            }
            Event::Readable { stream } => {
                let echo = open.get_mut(&stream).unwrap();
                let received = ours.connection.received(stream);
                for (i, byte) in received.iter().enumerate() {
                    assert_eq!(*byte, pattern(stream, echo.read + i));
                }
                let count = received.len();
                echo.read += count;
                ours.connection.consume(stream, count);
            }
            Event::Finished { stream } => {
                let echo = open.remove(&stream).unwrap();
                assert_eq!((echo.written, echo.read), (echo.size, echo.size));
                assert!(ours.connection.is_finished(stream));
            }
            Event::Identified { .. } => {}
            Event::Reset { stream } => {
                let echo = open.remove(&stream).unwrap();
                assert_eq!(echo.read, 0, "a stream that works is not reset");
                dropped += 1;
                assert!(dropped <= sizes.len(), "too many streams are reset");
                waiting.push(echo.size);
            }
            other => panic!("{other:?}"),
        }
    }
    println!(
        "{} streams, {dropped} tried again, {:?}",
        sizes.len(),
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_carry_small_and_large_data_both_ways() {
    for role in [Role::Dialer, Role::Listener] {
        let mut theirs = Theirs::start(TheirKeypair::generate_ecdsa()).await;
        let mut ours = theirs.connect(role, config(2)).await;
        echo(&mut ours, &[0, 1, 100, 4096, 3_000_000, 70_000, 1_000_000]).await;
        let many: Vec<usize> = (0..100).map(|n| n * 41).collect();
        echo(&mut ours, &many).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_streams_reach_us_and_their_pings_are_answered() {
    for role in [Role::Dialer, Role::Listener] {
        let mut theirs = Theirs::start(TheirKeypair::generate_ed25519()).await;
        let mut ours = theirs.connect(role, config(3)).await;
        let mut control = theirs.control.clone();
        let our_id =
            libp2p::PeerId::from_bytes(config(3).keypair.public().peer_id().as_bytes()).unwrap();
        let asking = tokio::spawn(async move {
            let mut stream = control
                .open_stream(our_id, StreamProtocol::new(OURS))
                .await
                .unwrap();
            stream.write_all(b"question").await.unwrap();
            stream.close().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(
                control
                    .open_stream(our_id, StreamProtocol::new("/nobody/1"))
                    .await
                    .is_err(),
                "unknown protocols are refused"
            );
            answer
        });
        let mut incoming = None;
        loop {
            match ours.event().await {
                Event::Incoming { stream, index: 0 } => incoming = Some(stream),
                Event::Finished { stream } => {
                    assert_eq!(Some(stream), incoming);
                    assert_eq!(ours.connection.received(stream), b"question");
                    ours.connection.consume(stream, 8);
                    ours.connection.write(stream, b"answer").unwrap();
                    ours.connection.close_write(stream);
                    break;
                }
                Event::Readable { .. } | Event::Identified { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        // An event (identify may come late) is no reason to hang up.
        let keep_going =
            tokio::spawn(async move { while ours.event_within(PATIENCE).await.is_some() {} });
        assert_eq!(asking.await.unwrap(), b"answer");
        // the second ping shows that the first one's stream goes on
        for _ in 0..2 {
            theirs
                .wait(|event| match event {
                    SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) => Some(ping.result.unwrap()),
                    _ => None,
                })
                .await;
        }
        keep_going.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_expected_peer_is_refused_by_both_implementations() {
    let theirs = Theirs::start(TheirKeypair::generate_ecdsa()).await;
    let mut wrong = config(4);
    let expected = Keypair::ed25519(&[99; 32]).public().peer_id();
    wrong.expected_peer = Some(expected.clone());
    let socket = TcpStream::connect(theirs.socket_addr()).await.unwrap();
    let mut ours = Driver::new(Role::Dialer, wrong, socket);
    let actual = theirs.peer_id.clone();
    let error = p2p::Error::PeerMismatch {
        expected: expected.clone(),
        actual,
    };
    assert_eq!(ours.event().await, Event::Closed { error });

    let mut theirs = Theirs::start(TheirKeypair::generate_ed25519()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = p2p::Multiaddr::from_tcp(listener.local_addr().unwrap()).with_peer_id(&expected);
    theirs
        .dial
        .send(address.to_string().parse().unwrap())
        .unwrap();
    let socket = listener.accept().await.unwrap().0;
    let mut ours = Driver::new(Role::Listener, config(5), socket);
    let task = tokio::spawn(async move { ours.event_within(PATIENCE).await });
    let message = theirs
        .wait(|event| match event {
            SwarmEvent::OutgoingConnectionError { error, .. } => Some(error.to_string()),
            _ => None,
        })
        .await;
    assert!(message.contains("peer"), "{message}");
    task.abort();
}
