//! A tap device in a network namespace of the test's own, with loss and delay, and our stack on it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the other side is the operating system"
)]
use super::MAC;
use netstack::{Config, Stack, Streams};
use p2p::Instant;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TunTapInterface, TxToken, wait};
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

pub const HOST: [u8; 4] = [10, 9, 0, 1];
pub const SECOND: Duration = Duration::from_secs(1);
const INSIDE: &str = "NETSTACK_TAP_INSIDE";

/// Runs `test` in a namespace with a tap device; `name` is the test's own name.
///
/// The test starts itself again under `unshare --net`; where that or `/dev/net/tun` is not permitted, it says so and does nothing.
pub fn in_namespace(name: &str, test: fn()) {
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
        test();
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
pub struct Lossy {
    tap: TunTapInterface,
    pub delay: Duration,
    pub lost_per_mille: u64,
    pub is_cut: bool,
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

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut Lossy, i64);

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
pub struct Bench<N> {
    pub stack: Stack<Lossy>,
    pub node: N,
    start: std::time::Instant,
}

impl<N: Streams> Bench<N> {
    pub fn new(node: N) -> Self {
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
            node,
            start: std::time::Instant::now(),
        }
    }

    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// Runs until `done`, which may use the node; says whether it was within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
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
