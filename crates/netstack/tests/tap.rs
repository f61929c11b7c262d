//! The same loop against the operating system's TCP, over a tap device in a network namespace of the test's own.
//!
//! The test starts itself again under `unshare --net`; where that or `/dev/net/tun` is not permitted, it says so and does nothing.
mod support;

use netstack::{Config, Stack};
use p2p::Instant;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TunTapInterface, TxToken, wait};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::Duration;
use support::MAC;
use support::fake::Fake;
use support::server::pattern;
use swarm::DialError;

const HOST: [u8; 4] = [10, 9, 0, 1];
const SECOND: Duration = Duration::from_secs(1);
const INSIDE: &str = "NETSTACK_TAP_INSIDE";

/// Runs `test` in a namespace with a tap device; `name` is its own name.
fn in_namespace(name: &str, test: fn(&mut Bench)) {
    if std::env::var_os(INSIDE).is_some() {
        for command in [
            "ip link set lo up",
            "ip tuntap add tap0 mode tap",
            "ip address add 10.9.0.1/24 dev tap0",
            "ip link set tap0 up",
        ] {
            let mut words = command.split(' ');
            let program = words.next().expect("a program");
            let status = Command::new(program).args(words).status();
            assert!(status.is_ok_and(|s| s.success()), "{command}");
        }
        test(&mut Bench::new());
        return;
    }
    let is_permitted = Command::new("unshare")
        .args(["--net", "ip", "tuntap", "add", "tap0", "mode", "tap"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !is_permitted {
        eprintln!("SKIPPED {name}: needs root, /dev/net/tun, unshare and ip; nothing was tested");
        return;
    }
    let itself = std::env::current_exe().expect("this test");
    let status = Command::new("timeout")
        .args(["120", "unshare", "--net"])
        .arg(itself)
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .status();
    assert!(
        status.is_ok_and(|s| s.success()),
        "{name} failed inside of its namespace"
    );
}

/// Delay and loss between the stack and the tap device, both ways.
struct Lossy {
    tap: TunTapInterface,
    delay: Duration,
    lost_per_mille: u64,
    is_cut: bool,
    random: u64,
    inbound: VecDeque<(i64, Vec<u8>)>,
    outbound: VecDeque<(i64, Vec<u8>)>,
}

impl Lossy {
    fn is_lost(&mut self) -> bool {
        self.random = self
            .random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.is_cut || (self.random >> 33) % 1000 < self.lost_per_mille
    }

    /// Moves frames between the tap and the queues.
    fn shuffle(&mut self, now: smoltcp::time::Instant) {
        let due = now.total_micros() + i64::try_from(self.delay.as_micros()).expect("short");
        while let Some((token, _)) = self.tap.receive(now) {
            let frame = token.consume(<[u8]>::to_vec);
            if !self.is_lost() {
                self.inbound.push_back((due, frame));
            }
        }
        while self
            .outbound
            .front()
            .is_some_and(|(at, _)| *at <= now.total_micros())
        {
            let (_, frame) = self.outbound.pop_front().expect("a frame");
            if let Some(token) = self.tap.transmit(now) {
                token.consume(frame.len(), |room| room.copy_from_slice(&frame));
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let fronts = [self.inbound.front(), self.outbound.front()];
        let first = fronts.into_iter().flatten().map(|(at, _)| *at).min()?;
        Some(Instant::from_micros(
            u64::try_from(first).expect("positive"),
        ))
    }
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut Lossy, i64);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        if !self.0.is_lost() {
            self.0.outbound.push_back((self.1, frame));
        }
        result
    }
}

impl Device for Lossy {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, now: smoltcp::time::Instant) -> Option<(Rx, Tx<'_>)> {
        self.shuffle(now);
        let is_due = self
            .inbound
            .front()
            .is_some_and(|(at, _)| *at <= now.total_micros());
        let (_, frame) = is_due.then(|| self.inbound.pop_front()).flatten()?;
        let due = now.total_micros() + i64::try_from(self.delay.as_micros()).expect("short");
        Some((Rx(frame), Tx(self, due)))
    }

    fn transmit(&mut self, now: smoltcp::time::Instant) -> Option<Tx<'_>> {
        let due = now.total_micros() + i64::try_from(self.delay.as_micros()).expect("short");
        Some(Tx(self, due))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.tap.capabilities()
    }
}

/// Our stack on a tap device, driven by the real clock.
struct Bench {
    stack: Stack<Lossy>,
    node: Fake,
    start: std::time::Instant,
}

impl Bench {
    fn new() -> Self {
        let tap = TunTapInterface::new("tap0", Medium::Ethernet).expect("a tap device");
        let device = Lossy {
            tap,
            delay: Duration::ZERO,
            lost_per_mille: 0,
            is_cut: false,
            random: 1,
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
        };
        let mut config = Config::new(MAC, 1);
        config.static_address = Some(([10, 9, 0, 15].into(), 24, Some(HOST.into()), Vec::new()));
        Self {
            stack: Stack::new(device, config, Instant::ZERO),
            node: Fake::default(),
            start: std::time::Instant::now(),
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now() + limit;
        loop {
            let now = self.now();
            let moved = self.stack.poll(now, &mut self.node);
            let device = self.stack.device_mut();
            device.shuffle(smoltcp::time::Instant::from_micros(now.as_micros() as i64));
            let (fd, next) = (device.tap.as_raw_fd(), device.next_at());
            while self.stack.poll_event().is_some() {}
            if done(self) {
                return true;
            }
            if now >= end {
                return false;
            }
            if !moved {
                let at = [self.stack.poll_at(now), next, Some(end)];
                let at = at.into_iter().flatten().min().unwrap_or(end);
                let pause = at.saturating_since(self.now()).min(SECOND / 10);
                let pause = smoltcp::time::Duration::from_micros(pause.as_micros() as u64);
                wait(fd, Some(pause)).expect("a descriptor");
            }
        }
    }
}

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
    in_namespace("bytes_echoed_by_the_kernel_come_back_unchanged", |b| {
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
    in_namespace("the_kernels_echo_survives_loss_in_both_directions", |b| {
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
    in_namespace("one_kernel_peer_is_read_fast", |b| {
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
        |b| {
            let port = serve(chunks);
            b.node.chunk = Some((4096, 100));
            let conns: Vec<u64> = (0..24).map(|_| b.node.dial((HOST, port))).collect();
            for conn in &conns {
                b.node.send(*conn, &[1; 800]); // eight under way, each answered one asks for the next
            }
            let enough = |b: &Bench| b.node.streams.values().all(|s| s.received > 500 * 4096);
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
        |b| {
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
        |b| {
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
