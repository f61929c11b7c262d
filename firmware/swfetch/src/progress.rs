//! Progress as text: rate, percent and remaining time, and when a line is due.
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// A line on a serial console at most this often.
pub const PLAIN_EVERY: Duration = Duration::from_secs(1);
/// The line that is rewritten in place on a screen at most this often.
pub const IN_PLACE_EVERY: Duration = Duration::from_millis(500);
/// Never silent for longer than this.
pub const SILENCE_MAX: Duration = Duration::from_secs(4);
/// The rate is that of about this long a time.
const RATE_WINDOW_US: u64 = 2_000_000;
const SAMPLES: usize = 8;
/// Silence after which a line says why nothing comes.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// Estimates the current rate from samples of the last two seconds.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    samples: [(u64, u64); SAMPLES],
    used: usize,
}

impl Meter {
    /// Adds the total number of bytes at a time.
    pub fn sample(&mut self, now_us: u64, bytes: u64) {
        let newest = self.used.checked_sub(1).and_then(|at| self.samples.get(at));
        let gap = RATE_WINDOW_US / 8;
        if newest.is_some_and(|(at, _)| now_us.saturating_sub(*at) < gap) {
            return;
        }
        if self.used == SAMPLES {
            self.samples.rotate_left(1);
            self.used -= 1;
        }
        if let Some(slot) = self.samples.get_mut(self.used) {
            *slot = (now_us, bytes);
            self.used += 1;
        }
    }

    /// Returns bytes per second between the oldest sample and now; zero when nothing is known.
    pub fn rate(&self, now_us: u64, bytes: u64) -> u64 {
        let Some((at, before)) = self.samples.first().filter(|_| self.used > 0) else {
            return 0;
        };
        let elapsed = now_us.saturating_sub(*at);
        bytes
            .saturating_sub(*before)
            .saturating_mul(1_000_000)
            .checked_div(elapsed)
            .unwrap_or(0)
    }
}

/// What a progress line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes so far and, when known, in all.
    pub bytes: (u64, Option<u64>),
    /// Bytes per second.
    pub rate: u64,
    /// Peers ready, connecting and known.
    pub peers: (usize, usize, usize),
    /// Requests open, and those waiting for credit.
    pub requests: (usize, usize),
    /// Time since anything verified arrived.
    pub stalled: Duration,
    /// The cable is out.
    pub link_down: bool,
}

impl Snapshot {
    /// Says whether nothing has come for so long that the line gives a reason.
    pub fn is_stalled(&self) -> bool {
        self.stalled >= STALLED_AFTER
    }
}

/// Writes one line: `fetch  42 %  6.3/15.0 MB  5.1 MB/s  24 peers  ETA 2 s`, with the reason when it waits.
pub fn line(phase: &str, snapshot: &Snapshot) -> String {
    let (done, total) = snapshot.bytes;
    let mut text = match total {
        Some(total) => format!(
            "{phase} {:3} %  {}/{} MB",
            percent(done, total),
            tenths(done),
            tenths(total)
        ),
        None => format!("{phase}  {} kB", done / 1000),
    };
    text += &format!("  {}  {} peers", rate(snapshot.rate), snapshot.peers.0);
    let remaining = total.map_or(0, |total| total.saturating_sub(done));
    if let Some(seconds) = remaining
        .checked_div(snapshot.rate)
        .filter(|_| remaining > 0)
    {
        text += &format!("  ETA {} s", seconds.saturating_add(1));
    }
    if snapshot.is_stalled() {
        text += &format!(
            "  nothing for {} s: {}",
            snapshot.stalled.as_secs(),
            reason(snapshot)
        );
    }
    text
}

fn reason(snapshot: &Snapshot) -> String {
    let (ready, connecting, known) = snapshot.peers;
    let (open, no_credit) = snapshot.requests;
    if snapshot.link_down {
        String::from("no link, is the cable in?")
    } else if ready == 0 && connecting > 0 {
        format!("connecting to {connecting} peers")
    } else if ready == 0 {
        format!("no peer connected, {known} known, dialling again")
    } else if no_credit > 0 && no_credit >= open {
        format!("{no_credit} requests wait for credit")
    } else {
        format!("{open} requests open at peers")
    }
}

fn percent(done: u64, total: u64) -> u64 {
    done.saturating_mul(100).checked_div(total).unwrap_or(100)
}

/// A public Swarm gives a light client tens of kB/s, a rack of storers tens of MB/s.
fn rate(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{} kB/s", bytes / 1000)
    } else {
        format!("{} MB/s", tenths(bytes))
    }
}

fn tenths(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            bytes: (6_300_000, Some(15_000_000)),
            rate: 5_100_000,
            peers: (24, 3, 60),
            requests: (100, 0),
            stalled: Duration::ZERO,
            link_down: false,
        }
    }

    #[test]
    fn line_has_percent_rate_peers_and_eta() {
        assert_eq!(
            line("fetch", &snapshot()),
            "fetch  42 %  6.3/15.0 MB  5.1 MB/s  24 peers  ETA 2 s"
        );
        let slow = Snapshot {
            rate: 58_900,
            ..snapshot()
        };
        assert_eq!(
            line("fetch", &slow),
            "fetch  42 %  6.3/15.0 MB  58 kB/s  24 peers  ETA 148 s"
        );
    }

    #[test]
    fn a_stall_says_why() {
        let with = |peers, requests| {
            line(
                "fetch",
                &Snapshot {
                    rate: 0,
                    peers,
                    requests,
                    stalled: Duration::from_secs(7),
                    ..snapshot()
                },
            )
        };
        assert!(with((0, 4, 9), (9, 0)).ends_with("nothing for 7 s: connecting to 4 peers"));
        assert!(with((0, 0, 9), (9, 0)).ends_with("no peer connected, 9 known, dialling again"));
        assert!(with((2, 0, 9), (5, 5)).ends_with("5 requests wait for credit"));
        let unplugged = Snapshot {
            stalled: Duration::from_secs(3),
            link_down: true,
            ..snapshot()
        };
        assert!(line("fetch", &unplugged).ends_with("nothing for 3 s: no link, is the cable in?"));
        assert!(with((2, 0, 9), (5, 1)).ends_with("5 requests open at peers"));
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let empty = Snapshot {
            bytes: (0, Some(0)),
            rate: 0,
            ..snapshot()
        };
        assert!(line("fetch", &empty).starts_with("fetch 100 %"));
        let unknown = Snapshot {
            bytes: (1234, None),
            ..empty
        };
        assert!(line("manifest", &unknown).starts_with("manifest  1 kB"));
        assert_eq!(Meter::default().rate(5, 5), 0);
    }

    #[test]
    fn meter_follows_the_last_two_seconds() {
        let mut meter = Meter::default();
        for n in 0..100u64 {
            // 1 MB/s for five seconds, then 3 MB/s.
            let bytes = if n < 50 {
                n * 100_000
            } else {
                5_000_000 + (n - 50) * 300_000
            };
            meter.sample(n * 100_000, bytes);
        }
        let rate = meter.rate(9_900_000, 5_000_000 + 49 * 300_000);
        assert!((2_900_000..=3_100_000).contains(&rate), "{rate}");
    }
}
