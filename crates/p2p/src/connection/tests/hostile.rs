//! Malformed input, floods, limits, and back pressure.
use super::*;

/// The header token and one more.
fn tokens(protocol: &str) -> Vec<u8> {
    let mut bytes = b"\x13/multistream/1.0.0\n".to_vec();
    bytes.push(protocol.len() as u8 + 1);
    bytes.extend_from_slice(protocol.as_bytes());
    bytes.push(b'\n');
    bytes
}

#[test]
fn a_listener_refuses_tls_and_then_accepts_noise() {
    let mut listener = Connection::new(Role::Listener, config(2), Instant::ZERO);
    let mut room = [0; 4096];
    let proposal = tokens("/tls/1.0.0");
    assert_eq!(
        listener.handle_input(Instant::ZERO, &proposal),
        Ok(proposal.len())
    );
    let count = listener.poll_output(Instant::ZERO, &mut room);
    assert_eq!(room[..count], *tokens("na"));
    assert_eq!(listener.handle_input(Instant::ZERO, b"\x07/noise\n"), Ok(8));
    let count = listener.poll_output(Instant::ZERO, &mut room);
    assert_eq!(room[..count], *b"\x07/noise\n");
}

#[test]
fn malformed_beginnings_end_the_connection_with_their_cause() {
    let dialer_message = |length: u16| [&tokens("/noise")[..], &length.to_be_bytes()].concat();
    for (role, bytes, error) in [
        (
            Role::Dialer,
            b"HTTP/1.1 400 Bad Request\r\n".repeat(3),
            Error::Negotiation(crate::multistream::Error::NoNewline),
        ),
        (Role::Dialer, tokens("na"), Error::SecurityRefused),
        (
            Role::Dialer,
            tokens("/tls/1.0.0"),
            Error::Negotiation(crate::multistream::Error::WrongAnswer),
        ),
        (
            Role::Dialer,
            [dialer_message(10), vec![0; 10]].concat(),
            Error::Noise(crate::noise::Error::TooShort),
        ),
        (
            Role::Dialer,
            dialer_message(4097),
            Error::Noise(crate::noise::Error::TooLong),
        ),
        (
            Role::Dialer,
            [dialer_message(200), vec![7; 200]].concat(),
            Error::Noise(crate::noise::Error::Authentication),
        ),
        (
            Role::Listener,
            [dialer_message(32), vec![0; 32]].concat(),
            Error::Noise(crate::noise::Error::SmallOrderKey),
        ),
        (
            Role::Listener,
            vec![0xff; 30],
            Error::Negotiation(crate::multistream::Error::TokenTooLong),
        ),
    ] {
        for piece in [1, 1000] {
            let mut connection = Connection::new(role, config(1), Instant::ZERO);
            let mut rest = &bytes[..];
            let result = loop {
                let end = piece.min(rest.len());
                match connection.handle_input(Instant::ZERO, &rest[..end]) {
                    Ok(used) if used < rest.len() => rest = &rest[used..],
                    other => break other,
                }
            };
            assert_eq!(result, Err(error.clone()), "{bytes:?}");
            assert!(error.is_peer_fault());
            let error = error.clone();
            assert_eq!(connection.poll_event(), Some(Event::Closed { error }));
            assert_eq!(connection.poll_event(), None);
            assert_eq!(connection.poll_timeout(), None);
        }
    }
}

#[test]
fn a_changed_bit_ends_the_connection_and_the_peer_is_told() {
    let mut pair = connected();
    pair.open(0, &[ECHO], b"hello");
    let mut room = [0; 4096];
    let count = pair.ends[0].poll_output(pair.now, &mut room);
    room[count / 2] ^= 1;
    let error = Error::Noise(crate::noise::Error::Authentication);
    assert_eq!(
        pair.ends[1].handle_input(pair.now, &room[..count]),
        Err(error.clone())
    );
    assert_eq!(pair.events(1), [Event::Closed { error }]);
    pair.run();
    let error = Error::GoneAway { code: 1 };
    assert_eq!(pair.events(0), [Event::Closed { error }]);
}

#[test]
fn operations_before_the_handshake_are_refused() {
    let mut alone = Connection::new(Role::Dialer, config(1), Instant::ZERO);
    let stream = StreamId(1);
    assert_eq!(
        alone.open(Instant::ZERO, &[ECHO], &[]),
        Err(Error::NotConnected)
    );
    assert_eq!(alone.write(stream, b"x"), Err(Error::NotConnected));
    alone.close_write(stream);
    alone.reset(stream);
    alone.consume(stream, 5);
    assert_eq!((alone.received(stream), alone.queued(stream)), (&[][..], 0));
    assert_eq!((alone.peer(), alone.round_trip()), (None, None));
    let mut pair = connected();
    let long = "x".repeat(1024);
    for proposals in [&[][..], &[ECHO; 9], &[&long[..]]] {
        assert_eq!(
            pair.ends[0].open(pair.now, proposals, &[]),
            Err(Error::BadProposal)
        );
    }
    let big = vec![0; 300 * 1024];
    assert_eq!(
        pair.ends[0].open(pair.now, &[ECHO], &big),
        Err(Error::SendBufferFull)
    );
    assert!(!pair.ends[0].wants_output());
}

#[test]
fn streams_of_ours_are_limited_and_freed() {
    let mut dialer = config(1);
    dialer.limits.outbound_streams_max = 2;
    let mut pair = Pair::new(dialer, config(2)).connect();
    let first = pair.open(0, &[ECHO], &[]);
    pair.open(0, &[ECHO], &[]);
    assert_eq!(
        pair.ends[0].open(pair.now, &[ECHO], &[]),
        Err(Error::TooManyStreams)
    );
    pair.ends[0].reset(first);
    pair.open(0, &[ECHO], &[]);
}

/// The listener takes no events: its queue fills, it stops reading, and goes on where it stopped once they are taken.
#[test]
fn unread_events_stop_the_input_and_nothing_is_lost() {
    let mut listener = config(2);
    listener.limits.inbound_streams_max = 5000;
    let mut dialer = config(1);
    dialer.limits.outbound_streams_max = 5000;
    let mut pair = Pair::new(dialer, listener)
        .with_sizes(&[65536], &[65536])
        .connect();
    for _ in 0..3000 {
        pair.open(0, &[ECHO], b"x");
    }
    pair.run();
    assert!(pair.ends[1].events.len() < EVENTS_MAX + 300);
    assert!(!pair.wires[0].is_empty(), "the rest waits on the wire");
    let (mut incoming, mut negotiated) = (0, 0);
    while let events @ [_, ..] = &pair.events(1)[..] {
        let is_incoming = |event: &&Event| matches!(event, Event::Incoming { .. });
        incoming += events.iter().filter(is_incoming).count();
        pair.run();
    }
    assert_eq!(incoming, 3000);
    while let events @ [_, ..] = &pair.events(0)[..] {
        negotiated += events.len();
        pair.run();
    }
    assert_eq!(negotiated, 3000);
}

#[test]
fn a_negotiation_without_answer_ends_at_its_deadline_on_both_sides() {
    let mut pair = connected();
    let stream = pair.open(0, &[ECHO], &[]);
    let deadline = pair.now + Duration::from_secs(10);
    assert_eq!(
        pair.ends[0].poll_timeout(),
        Some((deadline, TimeoutReason::Negotiation))
    );
    pair.ends[0].handle_timeout(deadline);
    assert_eq!(pair.events(0), [Event::Reset { stream }]);
    // the peer's side: a stream that is opened with half of a token
    let State::Open(mux) = &mut pair.ends[0].state else {
        panic!()
    };
    mux.open_raw(pair.now, b"\x13/multi");
    pair.run();
    assert_eq!(
        pair.ends[1].poll_timeout(),
        Some((deadline, TimeoutReason::Negotiation))
    );
    pair.ends[1].handle_timeout(deadline);
    pair.run();
    assert_eq!(pair.events(1), []);
    for end in 0..2 {
        let State::Open(mux) = &pair.ends[end].state else {
            panic!()
        };
        assert!(mux.is_idle());
    }
}

/// A peer that accepts the second proposal before it is made: nothing breaks, and what cannot be queued any more is not lost silently.
#[test]
fn an_answer_in_advance_is_taken_or_resets_the_stream() {
    let limit = 1000;
    for (initial, fits) in [(limit - 200, true), (limit, false)] {
        let mut dialer = config(1);
        dialer.limits.send_buffer_bytes_max = limit;
        let mut pair = Pair::new(dialer, config(2)).connect();
        let stream = pair.open(0, &["/unknown/1", OTHER], &vec![7; initial]);
        let answers = [&tokens("na")[..], &tokens(OTHER)[20..]].concat();
        let mut frame = vec![0, 0, 0, 2];
        frame.extend_from_slice(&stream.0.to_be_bytes());
        frame.extend_from_slice(&(answers.len() as u32).to_be_bytes());
        frame.extend_from_slice(&answers);
        let State::Open(mux) = &mut pair.ends[1].state else {
            panic!()
        };
        let message = mux.seal_raw(&frame);
        pair.ends[0].handle_input(pair.now, &message).unwrap();
        let expected = if fits {
            Event::Negotiated { stream, index: 1 }
        } else {
            Event::Reset { stream }
        };
        assert_eq!(pair.events(0), [expected]);
    }
    let mut pair = connected();
    let big = vec![0; 300 * 1024];
    let proposals = [ECHO, OTHER];
    assert_eq!(
        pair.ends[0].open(pair.now, &proposals, &big),
        Err(Error::SendBufferFull)
    );
}

mod arbitrary {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_of_strangers_never_panic(listen: bool, noise: bool, bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..80) {
            let role = if listen { Role::Listener } else { Role::Dialer };
            let mut connection = Connection::new(role, config(1), Instant::ZERO);
            let mut input = if noise { tokens("/noise") } else { vec![] };
            input.extend_from_slice(&bytes);
            for part in input.chunks(piece) {
                if connection.handle_input(Instant::ZERO, part).is_err() {
                    break;
                }
                let mut room = [0; 512];
                connection.poll_output(Instant::ZERO, &mut room);
            }
        }

        /// A peer with the right keys that sends anything through the encryption.
        #[test]
        fn decrypted_bytes_of_strangers_never_panic(
            frames in prop::collection::vec((0u8..4, 0u8..16, 0u32..8, prop::collection::vec(any::<u8>(), 0..60)), 1..20),
            headers: bool,
        ) {
            let mut pair = connected();
            let mut plain = vec![];
            for (kind, flags, stream, data) in frames {
                let mut data = data;
                if headers {
                    data = [tokens(ECHO), data].concat();
                }
                let length = if kind == 0 { data.len() as u32 } else { 77 };
                plain.extend_from_slice(&[0, kind, 0, flags]);
                plain.extend_from_slice(&stream.to_be_bytes());
                plain.extend_from_slice(&length.to_be_bytes());
                if kind == 0 {
                    plain.extend_from_slice(&data);
                }
            }
            let State::Open(mux) = &mut pair.ends[0].state else { panic!() };
            let message = mux.seal_raw(&plain);
            let _ = pair.ends[1].handle_input(pair.now, &message);
            pair.step(1);
            let events = pair.events(1);
            for event in &events {
                if let Event::Incoming { stream, .. } | Event::Finished { stream } = event {
                    let count = pair.ends[1].received(*stream).len();
                    pair.ends[1].consume(*stream, count);
                    pair.ends[1].close_write(*stream);
                }
            }
            let now = pair.now + Duration::from_secs(11);
            pair.ends[1].handle_timeout(now);
            pair.step(1);
        }
    }
}
