//! How many requests to keep under way at one peer, learnt from how long answers take.
//!
//! The idea is that of TCP Vegas: the difference between the usual and the best answer time says how many requests merely queue.
//! A few in the queue keep the link busy; more only add delay and take memory.
use core::time::Duration;
use p2p::Instant;

/// Start: what is lost at most when a new peer never answers.
const WINDOW_START: u32 = 8;
/// A peer that hangs keeps this many.
const WINDOW_MIN: u32 = 2;
/// Places beyond the window for requests that were asked elsewhere in vain.
const WINDOW_SPARE: u32 = 8;
/// Upper limit. Yamux peers accept 256 streams that they have not acknowledged; settlements need room too.
const WINDOW_MAX: u32 = 224;
/// Grow while fewer than this many requests queue.
const QUEUE_LOW: u32 = 12;
/// Shrink while more than this many queue.
const QUEUE_HIGH: u32 = 40;
/// The best answer time is forgotten after this, so that a changed path is noticed.
const BASE_LIFE: Duration = Duration::from_secs(20);

/// The window of one peer.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    size: u32,
    in_flight: u32,
    /// Requests that hang while others are answered: they take no place, up to a limit.
    stuck: u32,
    /// Deliveries still to come of requests that filled the window: they show whether it is too small.
    limited: u32,
    slow_start: bool,
    /// Best answer time of this and of the last period.
    base: Option<u64>,
    base_before: Option<u64>,
    base_since: Instant,
    /// Smoothed answer time and its mean deviation, microseconds.
    smooth: Option<(u64, u64)>,
    /// Answers until the size may change again.
    pause: u32,
}

impl Window {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            size: WINDOW_START,
            in_flight: 0,
            stuck: 0,
            limited: 0,
            slow_start: true,
            base: None,
            base_before: None,
            base_since: now,
            smooth: None,
            pause: 0,
        }
    }
    /// Says whether one more request may go out.
    pub(crate) const fn has_room(&self) -> bool {
        self.in_flight < self.size && self.in_flight.saturating_add(self.stuck) < WINDOW_MAX
    }
    /// Says whether a request may go out that is worth more than a short queue.
    pub(crate) const fn has_spare(&self) -> bool {
        let size = self.size.saturating_add(WINDOW_SPARE);
        self.in_flight < size && self.in_flight.saturating_add(self.stuck) < WINDOW_MAX
    }
    /// Requests under way that do not hang.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }
    /// A request hangs: another may go out in its place.
    pub(crate) const fn stick(&mut self) {
        self.abandon();
        self.stuck = self.stuck.saturating_add(1);
    }
    /// A request that hung ends, or counts as under way again.
    pub(crate) const fn unstick(&mut self) {
        self.stuck = self.stuck.saturating_sub(1);
        self.in_flight = self.in_flight.saturating_add(1);
    }
    /// A request went out.
    pub(crate) const fn open(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
        if self.in_flight >= self.size {
            self.limited = self.size;
        }
    }
    /// A request ended without a chunk.
    pub(crate) const fn abandon(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
    /// The peer does not answer: it gets less until it does.
    pub(crate) fn shrink(&mut self) {
        self.size = (self.size / 2).max(WINDOW_MIN);
        self.slow_start = false;
    }
    /// Usual answer time.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.smooth
            .map(|(latency, _)| Duration::from_micros(latency))
    }
    /// An answer time that would be unusual: several times the average.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.smooth.map(|(latency, deviation)| {
            let micros = latency
                .saturating_mul(3)
                .saturating_add(deviation.saturating_mul(4));
            Duration::from_micros(micros)
        })
    }
    /// A chunk arrived after `elapsed`; `None` when that time means nothing.
    pub(crate) fn deliver(&mut self, now: Instant, elapsed: Option<Duration>) {
        // Deliveries come in batches, so the window need not be full at this very moment.
        let was_full = self.limited > 0;
        self.limited = self.limited.saturating_sub(1);
        self.abandon();
        let Some(elapsed) = elapsed else {
            return;
        };
        let sample = u64::try_from(elapsed.as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        self.smooth = Some(match self.smooth {
            None => (sample, sample / 2),
            Some((mean, deviation)) => (
                weigh(mean, sample, 8),
                weigh(deviation, mean.abs_diff(sample), 4),
            ),
        });
        if now.saturating_since(self.base_since) > BASE_LIFE {
            self.base_since = now;
            self.base_before = self.base.take();
        }
        let base = self.base.map_or(sample, |base| base.min(sample));
        self.base = Some(base);
        let base = self.base_before.map_or(base, |before| before.min(base));
        self.adapt(was_full, base);
    }

    fn adapt(&mut self, was_full: bool, base: u64) {
        let Some((latency, _)) = self.smooth else {
            return;
        };
        let size = u64::from(self.size);
        let queued = size
            .saturating_mul(latency.saturating_sub(base))
            .checked_div(latency)
            .unwrap_or(0);
        let queued = u32::try_from(queued).unwrap_or(u32::MAX);
        if self.slow_start && queued < QUEUE_LOW {
            // Doubles in one answer time, as long as the window is what limits.
            self.size = self
                .size
                .saturating_add(u32::from(was_full))
                .min(WINDOW_MAX);
            return;
        }
        self.slow_start = false;
        self.pause = self.pause.saturating_sub(1);
        if self.pause > 0 {
            return;
        }
        if queued < QUEUE_LOW && was_full {
            self.size = self.size.saturating_add(1).min(WINDOW_MAX);
        } else if queued > QUEUE_HIGH {
            self.size = self.size.saturating_sub(1).max(WINDOW_START);
        } else {
            return;
        }
        self.pause = self.size / 4;
    }
}

/// Moves `mean` towards `sample` by one part in `parts`.
fn weigh(mean: u64, sample: u64, parts: u64) -> u64 {
    let rest = mean.saturating_mul(parts.saturating_sub(1));
    rest.saturating_add(sample)
        .checked_div(parts)
        .unwrap_or(sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    /// Serves one request per `service` after `delay`, with as many as the window takes, and delivers in batches; returns the
    /// window reached.
    fn run(service: u64, delay: u64, batch: usize) -> u32 {
        let mut window = Window::new(Instant::ZERO);
        let (mut queue, mut now, mut free_at) = (VecDeque::new(), 0u64, 0u64);
        for _ in 0..20_000 {
            while window.has_room() {
                window.open();
                free_at = free_at.max(now) + service;
                queue.push_back((now, free_at + delay));
            }
            let batch: Vec<_> = queue.drain(..batch.min(queue.len())).collect();
            now = batch.last().map_or(now, |(_, done): &(u64, u64)| *done);
            for (sent, _) in batch {
                let elapsed = Duration::from_micros(now - sent);
                window.deliver(Instant::from_micros(now), Some(elapsed));
            }
        }
        window.size
    }

    #[test]
    fn the_window_covers_the_delay_and_a_short_queue() {
        // 10 µs per chunk, 1 ms away: 100 chunks fill the pipe.
        for batch in [1, 8, 16] {
            let size = run(10, 1000, batch);
            assert!((100..=160).contains(&size), "{size}");
        }
        // A near peer needs no more than the queue.
        let size = run(100, 100, 1);
        assert!((8..=50).contains(&size), "{size}");
    }

    #[test]
    fn the_window_never_passes_its_limit() {
        assert_eq!(run(1, 1_000_000, 1), WINDOW_MAX);
    }

    #[test]
    fn a_peer_that_hangs_keeps_few_requests() {
        let mut window = Window::new(Instant::ZERO);
        for _ in 0..10 {
            window.shrink();
        }
        window.open();
        assert!(window.has_room());
        window.open();
        assert!(!window.has_room());
    }
}
