//! How much the node as a whole may have under way: what it has lately been able to take in, and a little more.
//!
//! Every peer has a window of its own, but a slow machine or a slow link is one bottleneck for all of them: there the windows only
//! fill a queue, answers come late through nobody's fault, and asking again makes it worse. So what is open follows the rate of
//! deliveries: a machine that stops taking in chunks soon has little under way, a fast one is never held back.
use core::time::Duration;
use p2p::Instant;

/// Length of a counting period.
const PERIOD: Duration = Duration::from_millis(500);
/// Attempts that may be under way whatever the rate.
const OPEN_MIN: usize = 24;
/// The best answer time is forgotten after one to two of these, so that a changed path is noticed.
const BASE_LIFE: Duration = Duration::from_secs(10);
/// Answer time that half a second of deliveries covers; for longer ones more must be under way.
const COVERED: Duration = Duration::from_millis(250);
/// Limit of that: peers that all take longer than two seconds.
const FACTOR_MAX: u128 = 8;

/// Rate and answer time over all peers.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Start of the current period, deliveries in it and in the one before.
    since: Instant,
    current: usize,
    before: usize,
    /// Best answer times of this and the last `BASE_LIFE`.
    base: Option<Duration>,
    base_before: Option<Duration>,
    base_since: Instant,
    usual: Option<Duration>,
}

impl Pace {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            current: 0,
            before: 0,
            base: None,
            base_before: None,
            base_since: now,
            usual: None,
        }
    }

    /// A chunk arrived, `elapsed` after it was asked for; `None` when that time means nothing.
    pub(crate) fn deliver(&mut self, now: Instant, elapsed: Option<Duration>) {
        self.turn(now);
        self.current = self.current.saturating_add(1);
        let Some(elapsed) = elapsed else {
            return;
        };
        self.usual = Some(match self.usual {
            None => elapsed,
            Some(usual) => usual.saturating_mul(15).saturating_add(elapsed) / 16,
        });
        if now.saturating_since(self.base_since) > BASE_LIFE {
            self.base_since = now;
            self.base_before = self.base.take();
        }
        self.base = Some(self.base.map_or(elapsed, |base| base.min(elapsed)));
    }

    /// Attempts that may be under way.
    pub(crate) fn open_max(&mut self, now: Instant) -> usize {
        self.turn(now);
        let base = self.base.into_iter().chain(self.base_before).min();
        let base = base.unwrap_or_default().as_millis();
        let factor = base.div_ceil(COVERED.as_millis()).clamp(1, FACTOR_MAX);
        let lately = self.current.saturating_add(self.before);
        let lately = lately.saturating_mul(usize::try_from(factor).unwrap_or(1));
        lately.saturating_add(OPEN_MIN)
    }

    /// The usual answer time over all peers.
    pub(crate) const fn usual(&self) -> Option<Duration> {
        self.usual
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_since(self.since);
        if passed < PERIOD {
            return;
        }
        let one = passed < PERIOD.saturating_mul(2);
        self.before = if one { self.current } else { 0 };
        self.since = if one { self.since + PERIOD } else { now };
        self.current = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// Serves `rate` chunks a second after `delay` (milliseconds), with as many under way as `Pace` allows; returns how many those
    /// were in the end.
    fn run(rate: u64, delay: u64) -> usize {
        let mut pace = Pace::new(Instant::ZERO);
        let mut queue = std::collections::VecDeque::new();
        let mut free_at = 0;
        for now in 0..20_000_000 / 1000 {
            let (millis, at) = (now, Instant::from_millis(now));
            while queue.len() < pace.open_max(at) {
                free_at = free_at.max(millis * 1000) + 1_000_000 / rate;
                queue.push_back((millis, free_at + delay * 1000));
            }
            while let Some((sent, done)) = queue.front().copied()
                && done <= millis * 1000
            {
                queue.pop_front();
                let elapsed = MILLI.saturating_mul(u32::try_from(millis - sent).unwrap());
                pace.deliver(at, Some(elapsed));
            }
        }
        queue.len()
    }

    #[test]
    fn a_slow_link_is_kept_busy_with_a_queue_of_a_second_or_so() {
        let open = run(100, 5);
        assert!((24..=150).contains(&open), "{open}");
    }

    #[test]
    fn a_long_way_does_not_limit_the_rate() {
        for delay in [50, 500, 2000] {
            let open = run(400, delay);
            let needed = usize::try_from(400 * delay / 1000).unwrap();
            assert!(open >= needed, "{delay} ms: {open}");
        }
    }

    #[test]
    fn what_stands_still_shrinks() {
        let mut pace = Pace::new(Instant::ZERO);
        for n in 0..1000 {
            pace.deliver(Instant::from_millis(n), Some(MILLI));
        }
        assert!(pace.open_max(Instant::from_millis(1000)) > 500);
        assert_eq!(pace.open_max(Instant::from_millis(3000)), OPEN_MIN);
    }
}
