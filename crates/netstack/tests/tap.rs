//! The same loop against the operating system's TCP, over a tap device in a network namespace of the test's own.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the other side is the operating system"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use support::fake::Fake;
use support::server::pattern;
use support::tap::{HOST, SECOND, in_namespace};
use swarm::DialError;

type Bench = support::tap::Bench<Fake>;

/// Serves each connection to a new port in a thread of its own.
fn serve(each: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("10.9.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            stream.set_nodelay(true).expect("TCP");
            thread::spawn(move || each(stream));
        }
    });
    port
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

/// Sends the pattern until the other end has had enough.
fn source(mut stream: TcpStream) {
    let mut bytes = vec![0; 65536];
    let mut position = 0;
    loop {
        for byte in &mut bytes {
            *byte = pattern(position);
            position += 1;
        }
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Sends zeros as fast as it can.
fn zeros(mut stream: TcpStream) {
    let bytes = vec![0; 1 << 20];
    while stream.write_all(&bytes).is_ok() {}
}

/// Answers every 100 bytes with 4096 of the pattern.
fn chunks(mut stream: TcpStream) {
    let (mut request, mut position) = ([0; 100], 0);
    while stream.read_exact(&mut request).is_ok() {
        let answer: Vec<u8> = (position..position + 4096).map(pattern).collect();
        position += 4096;
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn assert_pattern(bytes: &[u8]) {
    let wrong = (0..bytes.len()).find(|i| bytes[*i] != pattern(*i as u64));
    assert_eq!(wrong, None, "first wrong byte");
}

#[test]
fn bytes_echoed_by_the_kernel_come_back_unchanged() {
    in_namespace("bytes_echoed_by_the_kernel_come_back_unchanged", || {
        let b = &mut Bench::new(Fake::default());
        let conn = b.node.dial((HOST, serve(echo)));
        let sent: Vec<u8> = (0..8_000_000).map(pattern).collect();
        b.node.send(conn, &sent);
        assert!(b.run_until(30 * SECOND, |b| b.node.get(conn).received == 8_000_000));
        assert_pattern(&b.node.get(conn).bytes);
        b.node.close(conn);
        let refused = b.node.dial((HOST, 1));
        assert!(b.run_until(SECOND, |b| b.node.get(refused).failed.is_some()));
        assert_eq!(b.node.get(refused).failed, Some(DialError::Refused));
    });
}

#[test]
fn the_kernels_echo_survives_loss_in_both_directions() {
    in_namespace("the_kernels_echo_survives_loss_in_both_directions", || {
        let b = &mut Bench::new(Fake::default());
        let port = serve(echo);
        b.stack.device_mut().lost_per_mille = 20;
        b.stack.device_mut().delay = Duration::from_millis(2);
        let sent: Vec<u8> = (0..500_000).map(pattern).collect();
        let conns: Vec<u64> = (0..4).map(|_| b.node.dial((HOST, port))).collect();
        for conn in &conns {
            b.node.send(*conn, &sent);
        }
        assert!(b.run_until(90 * SECOND, |b| b.node.received() == 2_000_000));
        for conn in conns {
            assert_pattern(&b.node.get(conn).bytes);
        }
    });
}

#[test]
fn one_kernel_peer_is_read_fast() {
    in_namespace("one_kernel_peer_is_read_fast", || {
        let b = &mut Bench::new(Fake::default());
        b.node.discards = true;
        let conn = b.node.dial((HOST, serve(zeros)));
        assert!(b.run_until(2 * SECOND, |b| b.node.received() > 1_000_000));
        let (start, before) = (b.now(), b.node.received());
        b.run_until(2 * SECOND, |_| false);
        let seconds = b.now().saturating_since(start).as_secs_f64();
        let rate = (b.node.get(conn).received - before) as f64 / seconds / 1e6;
        eprintln!("one kernel peer over a tap: {rate:.0} MB/s");
        assert!(rate > 5.0, "{rate} MB/s");
    });
}

#[test]
fn twenty_four_kernel_peers_answer_requests_in_parallel() {
    in_namespace(
        "twenty_four_kernel_peers_answer_requests_in_parallel",
        || {
            let b = &mut Bench::new(Fake::default());
            let port = serve(chunks);
            b.node.chunk = Some((4096, 100));
            let conns: Vec<u64> = (0..24).map(|_| b.node.dial((HOST, port))).collect();
            for conn in &conns {
                b.node.send(*conn, &[1; 800]); // eight under way, each answered one asks for the next
            }
            let enough = |b: &mut Bench| b.node.streams.values().all(|s| s.received > 500 * 4096);
            assert!(b.run_until(60 * SECOND, enough));
            for conn in conns {
                assert_pattern(&b.node.get(conn).bytes);
            }
        },
    );
}

#[test]
fn throughput_from_the_kernel_does_not_collapse_at_1_percent_loss_and_50_ms() {
    in_namespace(
        "throughput_from_the_kernel_does_not_collapse_at_1_percent_loss_and_50_ms",
        || {
            let b = &mut Bench::new(Fake::default());
            b.node.discards = true;
            let port = serve(source);
            b.stack.device_mut().delay = Duration::from_millis(25);
            b.stack.device_mut().lost_per_mille = 10;
            for _ in 0..8 {
                b.node.dial((HOST, port));
            }
            b.run_until(3 * SECOND, |_| false);
            let (start, before) = (b.now(), b.node.received());
            b.run_until(8 * SECOND, |_| false);
            let seconds = b.now().saturating_since(start).as_secs_f64();
            let rate = (b.node.received() - before) as f64 / seconds / 1e6;
            eprintln!("eight kernel peers, 1 % loss each way, 50 ms: {rate:.2} MB/s");
            assert!(rate > 1.0, "{rate} MB/s");
        },
    );
}

#[test]
fn a_kernel_peer_is_still_there_after_the_cable_was_out() {
    in_namespace(
        "a_kernel_peer_is_still_there_after_the_cable_was_out",
        || {
            let b = &mut Bench::new(Fake::default());
            let conn = b.node.dial((HOST, serve(source)));
            b.stack.device_mut().delay = Duration::from_millis(5);
            assert!(b.run_until(SECOND * 2, |b| b.node.received() > 1_000_000));
            b.stack.device_mut().is_cut = true;
            b.run_until(6 * SECOND, |_| false);
            let before = b.node.received();
            b.stack.device_mut().is_cut = false;
            assert!(b.run_until(15 * SECOND, |b| b.node.received() > before + 1_000_000));
            assert_pattern(&b.node.get(conn).bytes);
        },
    );
}
