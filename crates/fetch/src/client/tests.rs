//! The client against a bridge made of the same parts, over an in-memory byte stream, in virtual time.
mod bridge;

use super::*;
use bmt::ChunkConsumer;
use bridge::{Behaviour, FakeBridge};
use content::{Collect, JoinError};
use std::collections::BTreeMap;
use std::vec::Vec;

/// Turns after which a test gives up.
const TURNS_MAX: usize = 200_000;

pub(super) type Chunks = BTreeMap<ChunkAddress, VerifiedChunk>;

fn pattern(size: usize, seed: usize) -> Vec<u8> {
    (0..size)
        .map(|i| (i / 3 + i / 4096 * 11 + seed * 101) as u8)
        .collect()
}

fn publish(chunks: &mut Chunks, bytes: &[u8]) -> Reference {
    content::split(bytes, &mut |chunk| {
        chunks.insert(chunk.address(), chunk);
    })
}

/// Several files read at once: the roots first, then one file after the other.
struct Files(Vec<Collect>);

impl ChunkConsumer for Files {
    type Error = JoinError;
    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.0.iter_mut().find_map(Collect::poll_want)
    }
    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), JoinError> {
        let address = chunk.address();
        let waiting = self
            .0
            .iter_mut()
            .filter(|file| file.is_waiting_for(address));
        waiting
            .into_iter()
            .try_for_each(|file| file.handle_chunk(chunk.clone()))
    }
    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), JoinError> {
        self.0
            .iter_mut()
            .try_for_each(|file| file.handle_unavailable(address))
    }
    fn is_done(&self) -> bool {
        self.0.iter().all(Collect::is_done)
    }
}

/// One run: the client, the bridge, and the wire between them.
struct World {
    now: Instant,
    client: Bridge,
    server: FakeBridge,
    conn: Option<ConnId>,
    /// Bytes that pass in one piece.
    piece: usize,
    to_client: Vec<u8>,
    log: Vec<Event>,
}

impl World {
    fn new(chunks: Chunks, behaviour: Behaviour) -> Self {
        let address = "10.0.2.2:4001".parse().unwrap();
        Self {
            now: Instant::ZERO,
            client: Bridge::new(Config::new(address, [7; 32]), Instant::ZERO),
            server: FakeBridge::new(chunks, behaviour),
            conn: None,
            piece: 16 * 1024,
            to_client: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Moves commands and bytes; false when nothing moved.
    fn turn(&mut self) -> bool {
        let mut moved = false;
        while let Some(command) = self.client.poll_command() {
            moved = true;
            match command {
                Command::Dial { conn, .. } => {
                    if self.server.accept(self.now) {
                        self.conn = Some(conn);
                        self.client.handle_connected(self.now, conn);
                    } else {
                        self.client
                            .handle_dial_failed(self.now, conn, DialError::Refused);
                    }
                }
                Command::Close { conn } => {
                    let mut room = [0; 1000];
                    while self.client.poll_transmit(self.now, conn, &mut room) > 0 {}
                    if self.conn == Some(conn) {
                        self.conn = None;
                        self.to_client.clear();
                        self.server.hang_up();
                    }
                }
                Command::Resolve { .. } => panic!("nothing is to be resolved"),
            }
        }
        let Some(conn) = self.conn else {
            return moved;
        };
        let mut room = std::vec![0; self.piece];
        if let Some(writable) = self.client.poll_writable() {
            assert_eq!(writable, conn);
            let count = self.client.poll_transmit(self.now, conn, &mut room);
            moved |= count > 0;
            self.server.receive(self.now, &room[..count]);
        }
        let count = self.server.send(self.now, &mut room);
        moved |= count > 0;
        self.to_client.extend_from_slice(&room[..count]);
        let piece = self.to_client.len().min(self.piece);
        let used = self
            .client
            .handle_received(self.now, conn, &self.to_client[..piece]);
        moved |= used > 0;
        self.to_client.drain(..used);
        if self.server.is_gone() && self.conn.is_some() {
            self.conn = None;
            self.to_client.clear();
            self.client.handle_closed(self.now, conn);
            moved = true;
        }
        moved
    }

    /// Runs until the consumer is done or the bridge is given up.
    fn run<C: ChunkConsumer>(&mut self, consumer: &mut C) -> Result<(), BridgeError> {
        for _ in 0..TURNS_MAX {
            self.ask(consumer);
            if consumer.is_done() {
                return Ok(());
            }
            let mut moved = self.turn();
            while let Some(event) = self.client.poll_event() {
                moved = true;
                match &event {
                    Event::Chunk(chunk) => {
                        assert!(consumer.handle_chunk(chunk.clone()).is_ok());
                        self.ask(consumer);
                        continue;
                    }
                    Event::ChunkFailed { address, .. } => {
                        let _ = consumer.handle_unavailable(*address);
                    }
                    Event::Failed(error) => return Err(error.clone()),
                    _ => {}
                }
                self.log.push(event);
            }
            if !moved && let Some(at) = self.client.poll_timeout() {
                self.now = self.now.max(at);
                self.server.handle_timeout(self.now);
                self.client.handle_timeout(self.now);
            }
        }
        panic!("no end: {:?} {:?}", self.client, self.log);
    }

    fn ask<C: ChunkConsumer>(&mut self, consumer: &mut C) {
        while self.client.request_room() > 0
            && let Some(address) = consumer.poll_want()
        {
            self.client.request(self.now, Reference::plain(address));
        }
    }
}

fn fetch(size: usize, behaviour: Behaviour) -> (World, Result<Vec<u8>, BridgeError>, Vec<u8>) {
    let bytes = pattern(size, 1);
    let mut chunks = Chunks::new();
    let root = publish(&mut chunks, &bytes);
    let mut world = World::new(chunks, behaviour);
    let mut file = Collect::new(root, u64::MAX, 200);
    let result = world.run(&mut file);
    let result = result.map(|()| file.into_bytes().unwrap());
    (world, result, bytes)
}

#[test]
fn a_file_comes_over_one_stream_whatever_the_pieces() {
    for (size, piece) in [
        (0, 1),
        (1, 1),
        (5000, 1),
        (4096 * 300 + 17, 700),
        (4096 * 300, 65_536),
    ] {
        let bytes = pattern(size, 1);
        let mut chunks = Chunks::new();
        let root = publish(&mut chunks, &bytes);
        let mut world = World::new(chunks, Behaviour::Honest);
        world.piece = piece;
        let mut file = Collect::new(root, u64::MAX, 200);
        world.run(&mut file).unwrap();
        assert_eq!(file.into_bytes().unwrap(), bytes, "{size} bytes");
        assert_eq!(world.client.stats().streams, 1);
        assert_eq!(world.client.stats().requests_open, 0);
    }
}

#[test]
fn files_read_together_share_the_connection_and_none_starves() {
    let mut chunks = Chunks::new();
    let files: Vec<Vec<u8>> = (0..12).map(|n| pattern(4096 * 260 + n, n)).collect();
    let roots: Vec<_> = files.iter().map(|f| publish(&mut chunks, f)).collect();
    // Fewer wants than one file has chunks: the streams of the later files must wait.
    let joins = roots.iter().map(|r| Collect::new(*r, u64::MAX, 40));
    let mut consumer = Files(joins.collect());
    let mut world = World::new(chunks, Behaviour::Honest);
    world.client.config.requests_max = 45;
    world.run(&mut consumer).unwrap();
    for (file, bytes) in consumer.0.into_iter().zip(files) {
        assert!(file.into_bytes().unwrap() == bytes);
    }
    assert_eq!(world.client.stats().connections, 1);
}

#[test]
fn a_file_of_equal_chunks_needs_few_of_them() {
    let mut chunks = Chunks::new();
    let bytes = std::vec![0; 4096 * 1000];
    let root = publish(&mut chunks, &bytes);
    let mut world = World::new(chunks, Behaviour::Honest);
    let mut file = Collect::new(root, u64::MAX, 200);
    world.run(&mut file).unwrap();
    assert!(file.into_bytes().unwrap() == bytes);
}

#[test]
fn a_lying_bridge_is_refused_at_the_first_wrong_chunk() {
    for k in [0, 1, 2, 77, 150] {
        let (world, result, _) = fetch(4096 * 150, Behaviour::FlipBit(k));
        assert!(
            matches!(result, Err(BridgeError::WrongChunk { number, .. }) if number == k),
            "{result:?}"
        );
        assert_eq!(world.client.stats().chunks, k);
        assert_eq!(world.client.stats().connections, 1, "it is not asked again");
        let (_, result, _) = fetch(4096 * 150, Behaviour::OtherChunk(k));
        assert!(
            matches!(result, Err(BridgeError::OtherChunk { number, .. }) if number == k),
            "{result:?}"
        );
        let (_, result, _) = fetch(4096 * 150, Behaviour::EndEarly(k));
        assert!(
            matches!(result, Err(BridgeError::Incomplete { number, .. }) if number == k),
            "{result:?}"
        );
        assert!(result.unwrap_err().is_lie());
    }
    let (_, result, _) = fetch(9000, Behaviour::WrongSize);
    assert_eq!(
        result,
        Err(BridgeError::Size {
            announced: 9001,
            real: 9000
        })
    );
    // One chunk too many is noticed as long as anything is wanted; after the last one nobody looks.
    let (_, result, _) = fetch(4096 * 3, Behaviour::Garbage(2));
    assert!(matches!(result, Err(BridgeError::Record(_))), "{result:?}");
    let (_, result, _) = fetch(4096 * 3, Behaviour::NoAnswerLine);
    assert!(matches!(result, Err(BridgeError::Answer(_))), "{result:?}");
}

#[test]
fn another_protocol_version_is_said_at_once() {
    let (world, result, _) = fetch(9000, Behaviour::OtherVersion);
    assert_eq!(result, Err(BridgeError::OtherProtocol));
    assert!(world.now < Instant::from_millis(1000));
}

#[test]
fn a_bridge_that_is_not_there_is_given_up_in_time() {
    let (world, result, _) = fetch(9000, Behaviour::NotThere);
    assert_eq!(result, Err(BridgeError::Dial(DialError::Refused)));
    assert_eq!(world.now, Instant::from_millis(60_000));
}

#[test]
fn a_bridge_that_always_stops_in_the_middle_is_given_up() {
    for behaviour in [Behaviour::StopAt(5), Behaviour::ResetAt(5)] {
        let (world, result, _) = fetch(4096 * 150, behaviour);
        assert_eq!(result, Err(BridgeError::Truncated { number: 5 }));
        assert!(world.now < Instant::from_millis(20_000), "{:?}", world.now);
        assert_eq!(world.client.stats().chunks, 5, "nothing is asked for twice");
    }
    let (world, result, _) = fetch(4096 * 150, Behaviour::SilentAt(5));
    assert!(matches!(result, Err(BridgeError::Silent(_))), "{result:?}");
    assert!(world.now <= Instant::from_millis(60_000), "{:?}", world.now);
}

#[test]
fn a_bridge_that_restarts_costs_the_chunks_in_flight_and_no_more() {
    for behaviour in [Behaviour::StopEach(40), Behaviour::DisconnectEach(40)] {
        let (world, result, bytes) = fetch(4096 * 150, behaviour);
        assert!(result.unwrap() == bytes);
        // 150 leaves, 2 intermediate chunks below the root, and the root.
        assert_eq!(world.client.stats().chunks, 153);
        assert!(
            world
                .log
                .iter()
                .any(|event| matches!(event, Event::Retry { .. } | Event::Down { .. }))
        );
    }
}

#[test]
fn a_bridge_that_knows_files_only_is_asked_for_files() {
    let (world, result, bytes) = fetch(4096 * 150 + 3, Behaviour::FilesOnly);
    assert!(result.unwrap() == bytes);
    assert!(world.log.iter().any(|e| matches!(e, Event::WholeFiles)));
    let (_, result, _) = fetch(4096 * 150 + 3, Behaviour::FilesOnlyFlipped);
    assert!(
        matches!(result, Err(BridgeError::WholeFile { .. })),
        "{result:?}"
    );
    let (world, result, _) = fetch(4096 * 150 + 3, Behaviour::FilesOnlyStopped);
    assert!(
        matches!(result, Err(BridgeError::Truncated { .. })),
        "{result:?}"
    );
    assert!(world.now < Instant::from_millis(60_000), "{:?}", world.now);
    let (_, result, _) = fetch(9000, Behaviour::FilesOnlySurplus);
    assert!(
        matches!(result, Err(BridgeError::Size { .. })),
        "{result:?}"
    );
}

#[test]
fn a_missing_chunk_is_reported_and_the_rest_still_comes() {
    let bytes = pattern(4096 * 20, 1);
    let mut chunks = Chunks::new();
    let root = publish(&mut chunks, &bytes);
    let leaf = content::split(&bytes[4096 * 7..4096 * 8], &mut |_| {}).address;
    chunks.remove(&leaf);
    let mut world = World::new(chunks, Behaviour::Honest);
    let mut missing = Vec::new();
    let mut got = 0;
    world.client.request(world.now, root);
    let mut root_chunk = None;
    for _ in 0..1000 {
        world.turn();
        while let Some(event) = world.client.poll_event() {
            match event {
                Event::Chunk(chunk) if chunk.address() == root.address => {
                    for child in chunk.payload().chunks(32) {
                        let child = Reference::from_bytes(child).unwrap();
                        world.client.request(world.now, child);
                    }
                    root_chunk = Some(chunk);
                }
                Event::Chunk(_) => got += 1,
                Event::ChunkFailed { address, .. } => missing.push(address),
                Event::Up { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(root_chunk.is_some());
    assert_eq!((missing, got), (std::vec![leaf], 19));
    assert_eq!(
        world.client.stats().streams,
        1,
        "the stream goes on behind it"
    );
    assert_eq!(world.client.stats().requests_open, 0);
}

#[test]
fn a_busy_bridge_is_asked_again_and_a_broken_one_given_up() {
    let (world, result, bytes) = fetch(9000, Behaviour::BusyTimes(3));
    assert!(result.unwrap() == bytes);
    assert!(world.now >= Instant::from_millis(250 + 500 + 1000));
    let (_, result, _) = fetch(9000, Behaviour::BusyTimes(100));
    assert!(
        matches!(
            &result,
            Err(BridgeError::Refused {
                code: Some(Code::Busy),
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn a_closed_client_says_goodbye_and_is_closed() {
    let (mut world, result, _) = fetch(9000, Behaviour::Honest);
    assert!(result.is_ok());
    world.client.close(world.now);
    for _ in 0..10 {
        world.turn();
    }
    assert!(world.client.is_closed() && world.client.poll_event().is_none());
}
