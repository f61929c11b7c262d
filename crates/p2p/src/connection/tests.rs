use super::*;
use crate::Keypair;
use core::time::Duration;
use std::string::ToString;
use std::vec;

mod hostile;

const ECHO: &str = "/test/echo/1.0.0";
const OTHER: &str = "/test/other/1.0.0";

fn config(seed: u8) -> Config {
    let mut config = Config::new(Keypair::ed25519(&[seed; 32]), [seed; 32], [seed ^ 0x55; 32]);
    config.agent_version = std::format!("test/{seed}");
    config.protocols = vec![ECHO.to_string(), OTHER.to_string()];
    config.listen_addrs = vec!["/ip4/127.0.0.1/tcp/1634".parse().unwrap()];
    config
}

fn peer_id(seed: u8) -> PeerId {
    Keypair::ed25519(&[seed; 32]).public().peer_id()
}

/// Two connections and the bytes between them.
struct Pair {
    ends: [Connection; 2],
    wires: [Vec<u8>; 2],
    now: Instant,
    /// Sizes of the output rooms and of the input pieces, used in turn.
    rooms: Vec<usize>,
    pieces: Vec<usize>,
    turn: usize,
    /// Bytes each end sent, in total.
    sent: [usize; 2],
}

impl Pair {
    fn new(dialer: Config, listener: Config) -> Self {
        let now = Instant::from_millis(1000);
        Self {
            ends: [
                Connection::new(Role::Dialer, dialer, now),
                Connection::new(Role::Listener, listener, now),
            ],
            wires: [vec![], vec![]],
            now,
            rooms: vec![4096],
            pieces: vec![4096],
            turn: 0,
            sent: [0; 2],
        }
    }

    fn with_sizes(mut self, rooms: &[usize], pieces: &[usize]) -> Self {
        self.rooms = rooms.to_vec();
        self.pieces = pieces.to_vec();
        self
    }

    /// Moves one room from an end to its wire and one piece from the wire to the other end; true if anything moved.
    fn step(&mut self, from: usize) -> bool {
        let to = 1 - from;
        self.turn += 1;
        let mut room = vec![0xaa; self.rooms[self.turn % self.rooms.len()]];
        let wanted = self.ends[from].wants_output();
        let count = self.ends[from].poll_output(self.now, &mut room);
        assert_eq!(count > 0, wanted, "wants_output is exact");
        assert!(count <= room.len());
        assert!(room[count..].iter().all(|byte| *byte == 0xaa) || room.len() >= DIRECT_ROOM_MIN);
        self.sent[from] += count;
        self.wires[from].extend_from_slice(&room[..count]);
        let piece = self.pieces[self.turn % self.pieces.len()].min(self.wires[from].len());
        let used = match self.ends[to].handle_input(self.now, &self.wires[from][..piece]) {
            Ok(used) => used,
            Err(_) => piece,
        };
        self.wires[from].drain(..used);
        count > 0 || used > 0
    }

    /// Until nothing moves.
    fn run(&mut self) {
        while self.step(0) | self.step(1) {}
    }

    fn events(&mut self, end: usize) -> Vec<Event> {
        core::iter::from_fn(|| self.ends[end].poll_event()).collect()
    }

    fn connect(mut self) -> Self {
        self.run();
        assert_eq!(self.events(0), [Event::Connected { peer: peer_id(2) }]);
        assert_eq!(self.events(1), [Event::Connected { peer: peer_id(1) }]);
        self
    }

    fn open(&mut self, end: usize, protocols: &[&str], initial: &[u8]) -> StreamId {
        self.ends[end].open(self.now, protocols, initial).unwrap()
    }
}

fn connected() -> Pair {
    Pair::new(config(1), config(2)).connect()
}

#[test]
fn both_ends_connect_over_every_size_of_rooms_and_pieces() {
    for rooms in [
        vec![1],
        vec![2, 7],
        vec![17, 18, 19],
        vec![127, 128, 129],
        vec![65536],
    ] {
        for pieces in [vec![1], vec![2, 3, 5], vec![31], vec![65536]] {
            let mut pair = Pair::new(config(1), config(2))
                .with_sizes(&rooms, &pieces)
                .connect();
            assert_eq!(
                pair.ends[0].peer(),
                Some(&Keypair::ed25519(&[2; 32]).public())
            );
            let stream = pair.open(0, &[ECHO], b"hello");
            pair.run();
            assert_eq!(
                pair.events(1),
                [
                    Event::Incoming { stream, index: 0 },
                    Event::Readable { stream }
                ]
            );
            assert_eq!(pair.events(0), [Event::Negotiated { stream, index: 0 }]);
            assert_eq!(pair.ends[1].received(stream), b"hello");
        }
    }
}

#[test]
fn both_ends_connect_over_every_split_of_the_bytes() {
    let mut whole = connected();
    whole.run();
    for end in 0..2 {
        for at in 1..whole.sent[1 - end] {
            let mut pair = Pair::new(config(1), config(2));
            // the end under test gets its bytes in two parts, cut at `at`
            let mut fed = 0;
            loop {
                let mut moved = false;
                for from in 0..2 {
                    let mut room = [0; 4096];
                    let count = pair.ends[from].poll_output(pair.now, &mut room);
                    moved |= count > 0;
                    let to = 1 - from;
                    let cut = if to == end && fed < at && fed + count > at {
                        at - fed
                    } else {
                        count
                    };
                    if to == end {
                        fed += count;
                    }
                    assert_eq!(pair.ends[to].handle_input(pair.now, &room[..cut]), Ok(cut));
                    assert_eq!(
                        pair.ends[to].handle_input(pair.now, &room[cut..count]),
                        Ok(count - cut)
                    );
                }
                if !moved {
                    break;
                }
            }
            assert_eq!(pair.events(0), [Event::Connected { peer: peer_id(2) }]);
            assert_eq!(pair.events(1), [Event::Connected { peer: peer_id(1) }]);
        }
    }
}

#[test]
fn a_dialer_needs_two_packets_and_a_listener_one() {
    let mut pair = Pair::new(config(1), config(2));
    let mut room = [0; 4096];
    let first = pair.ends[0].poll_output(pair.now, &mut room);
    pair.ends[1].handle_input(pair.now, &room[..first]).unwrap();
    let answer = pair.ends[1].poll_output(pair.now, &mut room);
    assert!(!pair.ends[1].wants_output());
    pair.ends[0]
        .handle_input(pair.now, &room[..answer])
        .unwrap();
    assert_eq!(pair.events(0), [Event::Connected { peer: peer_id(2) }]);
    // the dialer's first stream goes out with its last handshake message
    let stream = pair.open(0, &[ECHO], b"hello");
    let last = pair.ends[0].poll_output(pair.now, &mut room);
    assert!(!pair.ends[0].wants_output());
    pair.ends[1].handle_input(pair.now, &room[..last]).unwrap();
    assert_eq!(
        pair.events(1),
        [
            Event::Connected { peer: peer_id(1) },
            Event::Incoming { stream, index: 0 },
            Event::Readable { stream }
        ]
    );
}

#[test]
fn peers_without_early_muxer_negotiate_yamux_inside_noise() {
    for (dialer_early, listener_early) in [(false, true), (true, false), (false, false)] {
        for (rooms, pieces) in [(1, 1), (40, 33), (65536, 65536)] {
            let (mut dialer, mut listener) = (config(1), config(2));
            if !dialer_early {
                dialer.noise_static = dialer.noise_static.without_early_muxer();
            }
            if !listener_early {
                listener.noise_static = listener.noise_static.without_early_muxer();
            }
            let mut pair = Pair::new(dialer, listener)
                .with_sizes(&[rooms], &[pieces])
                .connect();
            let stream = pair.open(0, &[ECHO], b"hello");
            pair.run();
            assert_eq!(pair.ends[1].received(stream), b"hello");
        }
    }
}

#[test]
fn another_peer_than_the_expected_one_is_refused_with_both_ids() {
    let mut dialer = config(1);
    dialer.expected_peer = Some(peer_id(9));
    let mut pair = Pair::new(dialer, config(2));
    pair.run();
    let error = Error::PeerMismatch {
        expected: peer_id(9),
        actual: peer_id(2),
    };
    assert!(error.is_peer_fault());
    assert_eq!(
        pair.events(0),
        [Event::Closed {
            error: error.clone()
        }]
    );
    assert_eq!(pair.ends[0].handle_input(pair.now, b"x"), Err(error));
    assert_eq!(pair.events(1), []);
}

#[test]
fn data_flows_both_ways_and_the_stream_is_gone_after_both_half_closes() {
    for (rooms, pieces) in [
        (vec![1], vec![1]),
        (vec![40, 7], vec![9, 100]),
        (vec![65536], vec![65536]),
    ] {
        let mut pair = connected().with_sizes(&rooms, &pieces);
        let stream = pair.open(0, &[ECHO], &[]);
        pair.ends[0].write(stream, b"question").unwrap();
        pair.ends[0].close_write(stream);
        assert_eq!(pair.ends[0].write(stream, b"x"), Err(Error::WriteClosed));
        pair.run();
        let events = pair.events(1);
        assert_eq!(events.first(), Some(&Event::Incoming { stream, index: 0 }));
        assert_eq!(events.last(), Some(&Event::Finished { stream }));
        assert_eq!(pair.ends[1].received(stream), b"question");
        assert!(pair.ends[1].is_finished(stream));
        pair.ends[1].consume(stream, 8);
        pair.ends[1].write(stream, b"answer").unwrap();
        pair.ends[1].close_write(stream);
        pair.run();
        let events = pair.events(0);
        assert_eq!(
            events.first(),
            Some(&Event::Negotiated { stream, index: 0 })
        );
        assert_eq!(events.last(), Some(&Event::Finished { stream }));
        assert_eq!(pair.ends[0].received(stream), b"answer");
        pair.ends[0].consume(stream, 6);
        assert_eq!(pair.ends[0].received(stream), b"");
        for end in 0..2 {
            assert_eq!(pair.ends[end].write(stream, b"x"), Err(Error::NoSuchStream));
            let State::Open(mux) = &pair.ends[end].state else {
                panic!()
            };
            assert!(mux.is_idle(), "nothing is left of the stream");
        }
    }
}

#[test]
fn proposals_are_tried_in_order_and_the_initial_bytes_follow() {
    let mut pair = connected();
    let stream = pair.open(0, &["/unknown/2", "/unknown/1", OTHER, ECHO], b"first ");
    pair.ends[0].write(stream, b"second").unwrap();
    pair.ends[0].close_write(stream);
    assert_eq!(pair.ends[0].write(stream, b"x"), Err(Error::WriteClosed));
    assert_eq!(pair.ends[0].queued(stream), 12 + 20 + 12);
    pair.run();
    assert_eq!(pair.events(0), [Event::Negotiated { stream, index: 2 }]);
    assert_eq!(
        pair.events(1),
        [
            Event::Incoming { stream, index: 1 },
            Event::Readable { stream },
            Event::Finished { stream }
        ]
    );
    assert_eq!(pair.ends[1].received(stream), b"first second");
}

#[test]
fn a_stream_nobody_serves_is_not_supported_and_gone() {
    let mut pair = connected();
    for proposals in [&["/unknown/1"][..], &["/unknown/1", "/unknown/2"]] {
        let stream = pair.open(0, proposals, b"hello");
        pair.run();
        assert_eq!(pair.events(0), [Event::NotSupported { stream }]);
        assert_eq!(pair.events(1), []);
        assert_eq!(pair.ends[0].write(stream, b"x"), Err(Error::NoSuchStream));
    }
    for end in 0..2 {
        let State::Open(mux) = &pair.ends[end].state else {
            panic!()
        };
        assert!(mux.is_idle());
    }
}

#[test]
fn the_listener_opens_streams_too() {
    let mut pair = connected();
    let stream = pair.open(1, &[OTHER], b"hello");
    assert_eq!(stream, StreamId(2));
    pair.run();
    assert_eq!(
        pair.events(0),
        [
            Event::Incoming { stream, index: 1 },
            Event::Readable { stream }
        ]
    );
    pair.ends[0].reset(stream);
    pair.run();
    assert_eq!(
        pair.events(1),
        [
            Event::Negotiated { stream, index: 0 },
            Event::Reset { stream }
        ]
    );
    assert_eq!(pair.events(0), []);
}

#[test]
fn events_of_a_stream_that_was_reset_by_its_owner_are_dropped() {
    let mut pair = connected();
    let stream = pair.open(0, &[ECHO], b"hello");
    pair.ends[0].close_write(stream);
    pair.run();
    assert_eq!(
        pair.ends[1].poll_event(),
        Some(Event::Incoming { stream, index: 0 })
    );
    pair.ends[1].reset(stream);
    assert_eq!(pair.events(1), []);
    assert_eq!(pair.ends[1].received(stream), b"");
}

#[test]
fn identify_is_asked_and_answered() {
    let mut dialer = config(1);
    dialer.identify_peer = true;
    let mut listener = config(2);
    listener.observed_addr = Some("/ip4/10.0.0.9/tcp/5".parse().unwrap());
    for size in [1, 100, 65536] {
        let mut pair = Pair::new(dialer.clone(), listener.clone()).with_sizes(&[size], &[size]);
        pair.run();
        let events = pair.events(0);
        assert_eq!(
            events[1],
            Event::Identified {
                agent: "test/2".to_string(),
                protocols: ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", ECHO, OTHER]
                    .map(ToString::to_string)
                    .to_vec(),
                listen_addrs: vec!["/ip4/127.0.0.1/tcp/1634".parse().unwrap()],
                observed_addr: Some("/ip4/10.0.0.9/tcp/5".parse().unwrap()),
            }
        );
        assert_eq!(events.len(), 2);
        pair.run();
        for end in 0..2 {
            let State::Open(mux) = &pair.ends[end].state else {
                panic!()
            };
            assert!(mux.is_idle());
        }
    }
}

#[test]
fn ping_is_echoed() {
    let mut pair = connected();
    let stream = pair.open(0, &["/ipfs/ping/1.0.0"], &[7; 32]);
    pair.run();
    assert_eq!(
        pair.events(0),
        [
            Event::Negotiated { stream, index: 0 },
            Event::Readable { stream }
        ]
    );
    assert_eq!(pair.ends[0].received(stream), [7; 32]);
    pair.ends[0].consume(stream, 32);
    pair.ends[0].write(stream, &[8; 32]).unwrap();
    pair.ends[0].close_write(stream);
    pair.run();
    assert_eq!(pair.ends[0].received(stream), [8; 32]);
    assert_eq!(
        pair.events(0),
        [Event::Readable { stream }, Event::Finished { stream }]
    );
    pair.ends[0].consume(stream, 32);
    for end in 0..2 {
        let State::Open(mux) = &pair.ends[end].state else {
            panic!()
        };
        assert!(mux.is_idle());
    }
}

/// Windows begin at 256 KiB: needs window updates.
#[test]
fn a_megabyte_arrives_in_order_through_windows_and_limits() {
    let sent: Vec<u8> = (0..1u32 << 20).map(|n| (n / 7) as u8).collect();
    for size in [1000, 65536] {
        let mut pair = connected().with_sizes(&[size], &[size]);
        let stream = pair.open(0, &[ECHO], &[]);
        pair.run();
        let mut blocks = sent.chunks(4096).peekable();
        let mut received = vec![];
        while received.len() < sent.len() {
            // more than the window and the send buffer take at once
            while let Some(block) = blocks.peek()
                && pair.ends[0].write(stream, block).is_ok()
            {
                blocks.next();
            }
            pair.run();
            let arrived = pair.ends[1].received(stream);
            assert!(!arrived.is_empty());
            received.extend_from_slice(arrived);
            let count = arrived.len();
            pair.ends[1].consume(stream, count);
        }
        assert!(received == sent);
    }
}

#[test]
fn a_full_window_stops_the_sender_until_the_receiver_consumes() {
    let mut pair = connected();
    let stream = pair.open(0, &[ECHO], &[]);
    pair.run();
    let mut accepted = 0;
    loop {
        pair.run();
        match pair.ends[0].write(stream, &[1; 4096]) {
            Ok(()) => accepted += 4096,
            Err(Error::SendBufferFull) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let negotiation = 20 + 18;
    assert_eq!(
        pair.ends[1].received(stream).len(),
        256 * 1024 - negotiation
    );
    assert_eq!(
        pair.ends[0].queued(stream) + 256 * 1024 - negotiation,
        accepted
    );
    assert!(!pair.ends[0].wants_output());
    pair.ends[1].consume(stream, 128 * 1024);
    pair.run();
    // the window has doubled: it was used up within four round trips
    assert!(pair.ends[1].received(stream).len() > 256 * 1024);
    assert!(pair.ends[0].queued(stream) < 256 * 1024);
}

#[test]
fn deadlines_close_what_does_not_move() {
    let mut alone = Connection::new(Role::Dialer, config(1), Instant::ZERO);
    assert_eq!(
        alone.poll_timeout(),
        Some((Instant::from_millis(10_000), TimeoutReason::Handshake))
    );
    alone.handle_timeout(Instant::from_millis(9_999));
    assert_eq!(alone.poll_event(), None);
    alone.handle_timeout(Instant::from_millis(10_000));
    let error = Error::HandshakeTimeout;
    assert!(!error.is_peer_fault());
    assert_eq!(
        alone.poll_event(),
        Some(Event::Closed {
            error: error.clone()
        })
    );
    assert_eq!(alone.open(Instant::ZERO, &[ECHO], &[]), Err(error));
    assert_eq!(alone.poll_timeout(), None);
}

#[test]
fn keepalive_pings_are_answered_and_a_silent_peer_is_given_up() {
    let mut pair = connected();
    assert_eq!(
        pair.ends[0].poll_timeout(),
        Some((pair.now + Duration::from_secs(30), TimeoutReason::Keepalive))
    );
    pair.now = pair.now + Duration::from_secs(30);
    let now = pair.now;
    pair.ends[0].handle_timeout(now);
    assert_eq!(
        pair.ends[0].poll_timeout(),
        Some((now + Duration::from_secs(10), TimeoutReason::KeepaliveLost))
    );
    pair.step(0);
    pair.now = now + Duration::from_millis(70);
    pair.run();
    assert_eq!(pair.ends[0].round_trip(), Some(Duration::from_millis(70)));
    assert_eq!(
        pair.ends[0].poll_timeout(),
        Some((pair.now + Duration::from_secs(30), TimeoutReason::Keepalive))
    );
    let next = pair.now + Duration::from_secs(30);
    pair.ends[0].handle_timeout(next);
    pair.ends[0].handle_timeout(next + Duration::from_millis(9_999));
    assert_eq!(pair.events(0), []);
    pair.ends[0].handle_timeout(next + Duration::from_secs(10));
    let error = Error::KeepaliveLost;
    assert_eq!(pair.events(0), [Event::Closed { error }]);
}

#[test]
fn close_sends_what_is_queued_then_go_away() {
    let mut pair = connected();
    let stream = pair.open(0, &[ECHO], b"last words");
    pair.ends[0].close();
    let error = Error::ClosedByUs;
    assert_eq!(
        pair.events(0),
        [Event::Closed {
            error: error.clone()
        }]
    );
    assert_eq!(pair.ends[0].open(pair.now, &[ECHO], &[]), Err(error));
    assert!(pair.ends[0].wants_output());
    pair.run();
    assert!(!pair.ends[0].wants_output());
    let error = Error::GoneAway { code: 0 };
    assert_eq!(
        pair.events(1),
        [
            Event::Incoming { stream, index: 0 },
            Event::Readable { stream },
            Event::Closed { error }
        ]
    );
    assert_eq!(
        pair.ends[1].received(stream),
        b"last words",
        "received bytes outlive the connection"
    );
}
