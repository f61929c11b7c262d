use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const NOW: Instant = Instant::ZERO;
const LIMITS: Limits = Limits {
    window_bytes_max: 1024 * 1024,
    received_bytes_max: 600 * 1024,
    send_buffer_bytes_max: 512 * 1024,
    inbound_streams_max: 3,
    outbound_streams_max: 3,
};

type Plain = Session<()>;

fn listener() -> Plain {
    Session::new(Role::Listener, LIMITS)
}

/// A frame as it is on the wire.
fn frame(kind: u8, flags: u8, stream: u32, length: u32, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0, kind, 0, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
    out
}

fn data(flags: u8, stream: u32, data: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, u32::try_from(data.len()).unwrap(), data)
}

fn events<T: Default>(session: &mut Session<T>) -> Vec<Event<T>> {
    core::iter::from_fn(|| session.poll_event()).collect()
}

fn output(session: &mut Plain) -> Vec<u8> {
    let mut room = vec![0; 1 << 20];
    let count = session.poll_output(NOW, &mut room);
    room.truncate(count);
    room
}

/// Feeds everything, taking events on the way.
fn feed(session: &mut Plain, bytes: &[u8]) -> Result<Vec<Event<()>>, Error> {
    let mut all = vec![];
    let mut rest = bytes;
    while !rest.is_empty() {
        let used = session.handle_input(NOW, rest)?;
        rest = &rest[used..];
        let new = events(session);
        assert!(used > 0 || !new.is_empty(), "stuck");
        all.extend(new);
    }
    Ok(all)
}

#[test]
fn frames_have_the_bytes_of_the_specification() {
    let mut dialer: Plain = Session::new(Role::Dialer, LIMITS);
    let id = dialer.open(NOW).unwrap();
    assert_eq!(id, 1);
    dialer.write(id, b"abc").unwrap();
    dialer.close_write(id);
    dialer.ping(0x0102_0304);
    assert_eq!(
        output(&mut dialer),
        [
            &[0, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4][..],
            &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, b'a', b'b', b'c'],
            &[0, 1, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0],
        ]
        .concat()
    );
    assert_eq!(dialer.open(NOW), Ok(3));
    assert_eq!(output(&mut dialer), [0, 1, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0]);
    dialer.go_away(GO_AWAY_NORMAL);
    assert_eq!(output(&mut dialer), [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(!dialer.wants_output());
}

#[test]
fn a_stream_opens_with_data_or_with_a_window_update() {
    for opening in [
        data(1, 1, b"hi"),
        [frame(1, 1, 1, 0, &[]), data(0, 1, b"hi")].concat(),
    ] {
        let mut session = listener();
        let events = feed(&mut session, &opening).unwrap();
        assert_eq!(events, [Event::Opened(1), Event::Readable(1)]);
        assert_eq!(session.received(1), b"hi");
        // the acknowledgement goes out with the first answer
        assert!(!session.wants_output());
        session.write(1, b"yes").unwrap();
        assert_eq!(output(&mut session), data(2, 1, b"yes"));
    }
}

#[test]
fn illegal_frames_are_refused_with_their_cause() {
    let big = 256 * 1024 + 1;
    for (bytes, error) in [
        (vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Error::Version(1)),
        (frame(4, 0, 1, 0, &[]), Error::FrameType(4)),
        (frame(255, 0, 1, 0, &[]), Error::FrameType(255)),
        (data(1, 0, b"x"), Error::StreamId(0)),
        (frame(1, 0, 0, 5, &[]), Error::StreamId(0)),
        (data(1, 2, b"x"), Error::StreamId(2)),
        (
            [data(1, 1, b"x"), data(1, 1, b"x")].concat(),
            Error::DuplicateStream(1),
        ),
        (frame(0, 1, 1, big, &[]), Error::WindowExceeded(1)),
        (
            [data(1, 1, b"x"), frame(0, 0, 1, big - 1, &[])].concat(),
            Error::WindowExceeded(1),
        ),
        (frame(1, 1, 1, u32::MAX, &[]), Error::WindowOverflow(1)),
        (
            [data(1 | 4, 1, b"x"), data(0, 1, b"y")].concat(),
            Error::DataAfterEnd(1),
        ),
    ] {
        for whole in [true, false] {
            let mut session = listener();
            let result = if whole {
                feed(&mut session, &bytes)
            } else {
                bytes
                    .iter()
                    .try_fold(vec![], |_, byte| feed(&mut session, &[*byte]))
            };
            assert_eq!(result, Err(error), "{bytes:?}");
        }
    }
}

#[test]
fn frames_of_unknown_streams_are_ignored_with_their_data() {
    let mut session = listener();
    let bytes = [
        data(0, 7, &[9; 100]),
        data(8, 7, &[9; 100]),
        frame(1, 0, 7, 1000, &[]),
        frame(1, 8, 7, 77, &[]),
        frame(1, 4, 7, 0, &[]),
        data(1, 9, b"after"),
    ]
    .concat();
    assert_eq!(
        feed(&mut session, &bytes).unwrap(),
        [Event::Opened(9), Event::Readable(9)]
    );
    assert_eq!(session.received(9), b"after");
}

#[test]
fn a_reset_with_an_error_code_is_a_reset_and_frees_the_stream() {
    let mut session = listener();
    feed(&mut session, &data(1, 1, b"hello")).unwrap();
    assert_eq!(session.received, 5);
    let events = feed(&mut session, &frame(1, 8, 1, 0xdead_beef, &[])).unwrap();
    assert_eq!(events, [Event::Reset(1, ())]);
    assert_eq!(
        (session.received, session.stream_count(), session.inbound),
        (0, 0, 0)
    );
    assert_eq!(session.write(1, b"x"), Err(Refused::NoSuchStream));
}

#[test]
fn pings_are_answered_and_answers_reported() {
    let mut session = listener();
    let bytes = [
        frame(2, 1, 0, 42, &[]),
        frame(2, 2, 0, 43, &[]),
        frame(3, 0, 0, 2, &[]),
    ]
    .concat();
    let events = feed(&mut session, &bytes).unwrap();
    assert_eq!(events, [Event::Pong(43), Event::GoAway(2)]);
    assert_eq!(output(&mut session), frame(2, 2, 0, 42, &[]));
}

#[test]
fn a_flood_of_pings_stops_the_input_until_the_answers_are_sent() {
    let mut session = listener();
    let flood = frame(2, 1, 0, 1, &[]).repeat(10_000);
    let (mut used, mut answered) = (0, 0);
    while used < flood.len() {
        used += session.handle_input(NOW, &flood[used..]).unwrap();
        assert!(session.control.len() <= CONTROL_BYTES_MAX + HEADER_BYTES);
        assert_eq!(session.handle_input(NOW, &flood[used..]).unwrap(), 0);
        let answers = output(&mut session);
        assert!(!answers.is_empty());
        answered += answers.len() / HEADER_BYTES;
    }
    assert_eq!(answered, 10_000);
}

#[test]
fn a_flood_of_streams_is_reset_and_bounded() {
    let mut session = listener();
    let mut bytes = vec![];
    for id in (1..2000).step_by(2) {
        bytes.extend(data(1, id, b"x"));
    }
    let mut rest = &bytes[..];
    let mut opened = 0;
    let mut resets = 0;
    while !rest.is_empty() {
        let used = session.handle_input(NOW, rest).unwrap();
        rest = &rest[used..];
        opened += events(&mut session)
            .iter()
            .filter(|e| matches!(e, Event::Opened(_)))
            .count();
        resets += output(&mut session).len() / HEADER_BYTES;
        assert!(session.stream_count() <= 3);
    }
    assert_eq!((opened, resets), (3, 997));
    assert_eq!(session.received(5), b"x");
}

#[test]
fn the_stream_that_goes_over_the_connections_receive_limit_is_reset() {
    let mut session = listener();
    let full = vec![7; 250 * 1024];
    feed(
        &mut session,
        &[data(1, 1, &full), data(1, 3, &full)].concat(),
    )
    .unwrap();
    let events = feed(&mut session, &data(1, 5, &full)).unwrap();
    assert!(events.contains(&Event::Reset(5, ())), "{events:?}");
    assert_eq!(output(&mut session), frame(1, 8, 5, 0, &[]));
    assert_eq!(session.received, 500 * 1024);
    // the others go on
    assert_eq!(
        feed(&mut session, &data(0, 1, b"x")).unwrap(),
        [Event::Readable(1)]
    );
}

#[test]
fn our_own_streams_are_limited() {
    let mut session: Plain = Session::new(Role::Dialer, LIMITS);
    let ids: Vec<_> = (0..3).map(|_| session.open(NOW).unwrap()).collect();
    assert_eq!(session.open(NOW), Err(Refused::TooManyStreams));
    session.reset(ids[1]);
    assert_eq!(session.open(NOW), Ok(7), "ids are not used again");
    // nothing of a stream that was reset before its first frame reaches the peer
    let sent = output(&mut session);
    assert_eq!(sent, [1, 5, 7].map(|id| frame(1, 1, id, 0, &[])).concat());
}

#[test]
fn the_last_stream_id_ends_the_supply() {
    let mut session: Plain = Session::new(Role::Dialer, LIMITS);
    session.next_id = Some(u32::MAX);
    assert_eq!(session.open(NOW), Ok(u32::MAX));
    assert_eq!(session.open(NOW), Err(Refused::TooManyStreams));
}

#[test]
fn window_updates_come_at_half_a_window_and_grow_it_only_while_it_is_used_fast() {
    let mut session = listener();
    session.set_round_trip(Duration::from_millis(10));
    let quarter = vec![0; 64 * 1024];
    feed(&mut session, &data(1, 1, &quarter)).unwrap();
    session.consume(1, NOW, quarter.len());
    assert!(!session.wants_output(), "a quarter is too little");
    feed(&mut session, &data(0, 1, &quarter)).unwrap();
    session.consume(1, Instant::from_millis(39), quarter.len());
    // ACK, half a window, and as much again as the window grows by
    assert_eq!(
        output(&mut session),
        frame(1, 2, 1, 128 * 1024 + 256 * 1024, &[])
    );
    for _ in 0..4 {
        feed(&mut session, &data(0, 1, &quarter)).unwrap();
        session.consume(1, Instant::from_millis(1000), quarter.len());
    }
    assert_eq!(output(&mut session), frame(1, 0, 1, 256 * 1024, &[]));
    // nothing is granted after the end
    feed(&mut session, &data(4, 1, &vec![0; 300 * 1024])).unwrap();
    session.consume(1, NOW, 300 * 1024);
    assert!(!session.wants_output());
}

#[test]
fn a_stream_is_gone_when_both_sides_closed_all_is_consumed_and_the_owner_knows() {
    for order in 0..4 {
        let mut session = listener();
        feed(&mut session, &data(1 | 4, 1, b"abc")).unwrap();
        let mut steps: [&dyn Fn(&mut Plain); 4] = [
            &|session| session.close_write(1),
            &|session| drop(output(session)),
            &|session| session.consume(1, NOW, 3),
            &|session| session.finish_told(1),
        ];
        steps[1..].rotate_left(order % 3);
        for (number, step) in steps.iter().enumerate() {
            assert_eq!(session.stream_count(), 1, "before step {number}");
            step(&mut session);
        }
        assert_eq!((session.stream_count(), session.inbound), (0, 0));
        assert!(session.is_finished(1));
        // a late frame of the peer harms nobody
        assert_eq!(feed(&mut session, &frame(1, 0, 1, 9, &[])).unwrap(), []);
        assert!(!session.wants_output());
    }
}

#[test]
fn streams_take_turns_and_small_streams_do_not_wait_for_large_ones() {
    let mut session: Plain = Session::new(Role::Dialer, LIMITS);
    let [large, small] = [session.open(NOW).unwrap(), session.open(NOW).unwrap()];
    session.write(large, &[1; 200_000]).unwrap();
    session.write(small, b"small").unwrap();
    let sent = output(&mut session);
    let second = HEADER_BYTES + SEND_FRAME_BYTES_MAX;
    assert_eq!(sent[second..second + 17], data(1, small, b"small"));
    let frames = 200_000usize.div_ceil(SEND_FRAME_BYTES_MAX) + 1;
    assert_eq!(sent.len(), 200_005 + frames * HEADER_BYTES);
}

#[test]
fn a_closed_send_window_holds_data_but_not_the_reset() {
    let mut session: Plain = Session::new(Role::Dialer, LIMITS);
    let id = session.open(NOW).unwrap();
    session.write(id, &vec![1; 300 * 1024]).unwrap();
    session.close_write(id);
    assert_eq!(session.write(id, b"x"), Err(Refused::WriteClosed));
    let sent = output(&mut session);
    assert_eq!(sent.len(), 256 * 1024 + 16 * HEADER_BYTES);
    assert!(!session.wants_output());
    feed(&mut session, &frame(1, 2, id, 1000, &[])).unwrap();
    assert_eq!(output(&mut session).len(), 1000 + HEADER_BYTES);
    session.reset(id);
    assert_eq!(output(&mut session), frame(1, 8, id, 0, &[]));
    assert!(!session.wants_output());
}

#[test]
fn a_protocol_error_is_said_instead_of_everything_else() {
    let mut session: Plain = Session::new(Role::Dialer, LIMITS);
    let id = session.open(NOW).unwrap();
    session.write(id, b"never sent").unwrap();
    session.go_away(GO_AWAY_PROTOCOL_ERROR);
    assert_eq!(output(&mut session), frame(3, 0, 0, 1, &[]));
}

#[test]
fn the_send_buffer_is_limited() {
    let mut session: Plain = Session::new(Role::Dialer, LIMITS);
    let id = session.open(NOW).unwrap();
    session.write(id, &vec![0; 512 * 1024]).unwrap();
    assert_eq!(session.write(id, b"x"), Err(Refused::SendBufferFull));
    assert_eq!(session.queued(id), 512 * 1024);
}

/// What a scripted peer may do.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Write(usize, usize),
    Close(usize),
    Reset(usize),
    Consume(usize, usize),
    Move { room: usize, piece: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Open),
        4 => (0usize..4, 0usize..100_000).prop_map(|(s, n)| Step::Write(s, n)),
        1 => (0usize..4).prop_map(Step::Close),
        1 => (0usize..8).prop_map(Step::Reset),
        4 => (0usize..4, 0usize..200_000).prop_map(|(s, n)| Step::Consume(s, n)),
        8 => (13usize..70_000, 1usize..70_000).prop_map(|(room, piece)| Step::Move { room, piece }),
    ]
}

proptest! {
    /// Two sessions, any schedule of operations, rooms and pieces: bytes arrive in order, and after resets nothing is left.
    #[test]
    fn two_sessions_agree_under_every_schedule(steps in prop::collection::vec((any::<bool>(), step()), 1..80)) {
        let limits = Limits { received_bytes_max: usize::MAX, inbound_streams_max: 99, outbound_streams_max: 99, ..LIMITS };
        let mut ends: [Plain; 2] = [Session::new(Role::Dialer, limits), Session::new(Role::Listener, limits)];
        let mut wires = [vec![], vec![]];
        let mut ids: Vec<u32> = vec![];
        // per end and stream: bytes written, bytes read
        let mut written: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        let mut read: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        let byte = |id: u32, n: usize| (n as u32).wrapping_mul(31).wrapping_add(id) as u8;
        for (second, step) in steps {
            let end = usize::from(second);
            let pick = |n: usize| ids.get(n % ids.len().max(1)).copied().unwrap_or(0);
            match step {
                Step::Open => ids.push(ends[end].open(NOW).unwrap()),
                Step::Write(s, count) => {
                    let id = pick(s);
                    let total = written.entry((end, id)).or_default();
                    let bytes: Vec<u8> = (*total..*total + count).map(|n| byte(id, n)).collect();
                    if ends[end].write(id, &bytes).is_ok() {
                        *total += count;
                    }
                }
                Step::Close(s) => ends[end].close_write(pick(s)),
                Step::Reset(s) => drop(ends[end].reset(pick(s))),
                Step::Consume(s, count) => {
                    let id = pick(s);
                    let total = read.entry((end, id)).or_default();
                    let got = ends[end].received(id);
                    let count = count.min(got.len());
                    for (i, b) in got[..count].iter().enumerate() {
                        prop_assert_eq!(*b, byte(id, *total + i));
                    }
                    *total += count;
                    ends[end].consume(id, NOW, count);
                }
                Step::Move { room, piece } => {
                    let mut buffer = vec![0; room];
                    let wanted = ends[end].wants_output();
                    let count = ends[end].poll_output(NOW, &mut buffer);
                    prop_assert_eq!(wanted, count > 0);
                    wires[end].extend_from_slice(&buffer[..count]);
                    let piece = piece.min(wires[end].len());
                    let used = ends[1 - end].handle_input(NOW, &wires[end][..piece]).unwrap();
                    wires[end].drain(..used);
                    while let Some(event) = ends[1 - end].poll_event() {
                        if let Event::Finished(id) = event {
                            ends[1 - end].finish_told(id);
                        }
                    }
                }
            }
        }
        for id in ids {
            for end in &mut ends {
                let left = end.received(id).len();
                end.consume(id, NOW, left);
                end.reset(id);
            }
        }
        for end in &mut ends {
            prop_assert_eq!((end.stream_count(), end.received, end.inbound, end.outbound), (0, 0, 0, 0));
            prop_assert!(end.ready.is_empty());
        }
    }

    /// Frames that are well-formed but otherwise anything, cut anywhere: no panic, no growth over the limits.
    #[test]
    fn arbitrary_frames_end_in_events_or_an_error(
        frames in prop::collection::vec((0u8..4, 0u8..16, 0u32..6, prop::sample::select(vec![0u32, 1, 5, 1000, 1 << 18, u32::MAX])), 0..40),
        cut in 1usize..50,
    ) {
        let mut session = listener();
        let mut bytes = vec![];
        for (kind, flags, stream, length) in frames {
            let body = if kind == 0 && length <= 1 << 18 { length as usize } else { 0 };
            bytes.extend(frame(kind, flags, stream, length, &vec![0; body]));
        }
        for piece in bytes.chunks(cut * 97) {
            let mut rest = piece;
            while !rest.is_empty() {
                let Ok(used) = session.handle_input(NOW, rest) else { return Ok(()) };
                rest = &rest[used..];
                events(&mut session);
                output(&mut session);
                prop_assert!(session.stream_count() <= 3);
                prop_assert!(session.received <= LIMITS.received_bytes_max);
            }
        }
    }
}
