//! A byte stream in each direction, with delay, limited speed, and losses that show as delay.
use crate::Dice;
use p2p::Instant;
use std::time::Duration;

/// What a path is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// One way.
    pub delay: Duration,
    /// Bytes per second, each direction.
    pub speed: u64,
    /// One segment in this many is lost and comes again 200 ms later (with everything behind it); 0: none.
    pub loss_once_in: u64,
}

impl LinkSpec {
    /// A local network: 0.2 ms, 1 Gbit/s.
    pub const LAN: Self = Self {
        delay: Duration::from_micros(200),
        speed: 125_000_000,
        loss_once_in: 0,
    };
    /// The Internet: 25 ms, 50 Mbit/s.
    pub const WAN: Self = Self {
        delay: Duration::from_millis(25),
        speed: 6_250_000,
        loss_once_in: 0,
    };
}

/// Bytes sent and not yet delivered are at most these, as in a TCP window.
pub(crate) const IN_FLIGHT_MAX: usize = 256 * 1024;

/// A bottleneck that all links share: the client's own network card, or its processor.
#[derive(Debug)]
pub(crate) struct Downlink {
    pub(crate) speed: u64,
    busy_until: Instant,
}

impl Downlink {
    pub(crate) const fn new(speed: u64) -> Self {
        Self {
            speed,
            busy_until: Instant::ZERO,
        }
    }
    /// A segment comes in at `arrival`; returns when it is through.
    pub(crate) fn pass(&mut self, arrival: Instant, bytes: usize) -> Instant {
        let micros = bytes as u64 * 1_000_000 / self.speed;
        self.busy_until = self.busy_until.max(arrival) + Duration::from_micros(micros);
        self.busy_until
    }
}

/// One direction of a link.
#[derive(Debug)]
pub(crate) struct Pipe {
    spec: LinkSpec,
    /// The wire is busy until then.
    busy_until: Instant,
    /// Segments arrive in order: not before this.
    not_before: Instant,
    pub(crate) in_flight: usize,
    /// Arrived, not yet consumed.
    pub(crate) inbox: Vec<u8>,
}

impl Pipe {
    pub(crate) const fn new(spec: LinkSpec) -> Self {
        Self {
            spec,
            busy_until: Instant::ZERO,
            not_before: Instant::ZERO,
            in_flight: 0,
            inbox: Vec::new(),
        }
    }
    /// Room for more bytes.
    pub(crate) const fn room(&self) -> usize {
        IN_FLIGHT_MAX.saturating_sub(self.in_flight + self.inbox.len())
    }
    /// Sends a segment; returns when it arrives.
    pub(crate) fn send(&mut self, now: Instant, bytes: usize, dice: &mut Dice) -> Instant {
        let micros = bytes as u64 * 1_000_000 / self.spec.speed;
        self.busy_until = self.busy_until.max(now) + Duration::from_micros(micros);
        let mut arrival = self.busy_until + self.spec.delay;
        if self.spec.loss_once_in > 0 && dice.once_in(self.spec.loss_once_in) {
            arrival = arrival + Duration::from_millis(200);
        }
        self.not_before = self.not_before.max(arrival);
        self.in_flight += bytes;
        self.not_before
    }
}
