//! What is shown on standard error while a verb works.
use crate::fetch::Gauge;
use client::Observer;
use p2p::Instant;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use swarm::{Event, Stats};

/// How often a terminal's line is drawn again.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
/// How often a line is printed where no terminal is.
const LINE_INTERVAL: Duration = Duration::from_secs(1);
/// Time over which a rate is averaged.
const RATE_WINDOW: Duration = Duration::from_secs(3);

/// Prints a remark for people. One that cannot be printed is no reason to fail.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One line that is drawn again and again, or lines from time to time.
pub(super) struct Line {
    style: Style,
    last: Option<std::time::Instant>,
    drawn: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Hidden,
    Terminal,
    Lines,
}

impl Line {
    pub(super) fn new(forced: bool) -> Self {
        let style = if std::io::stderr().is_terminal() {
            Style::Terminal
        } else if forced {
            Style::Lines
        } else {
            Style::Hidden
        };
        Self {
            style,
            last: None,
            drawn: false,
        }
    }

    /// Shows `text` if it is time.
    pub(super) fn show(&mut self, text: impl FnOnce() -> String) {
        let interval = match self.style {
            Style::Hidden => return,
            Style::Terminal => TERMINAL_INTERVAL,
            Style::Lines => LINE_INTERVAL,
        };
        if self.last.is_some_and(|last| last.elapsed() < interval) {
            return;
        }
        self.last = Some(std::time::Instant::now());
        let text = text();
        // Progress that cannot be shown is no reason to stop.
        let _ = if self.style == Style::Terminal {
            self.drawn = true;
            let mut stderr = std::io::stderr();
            write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush())
        } else {
            writeln!(std::io::stderr(), "{text}")
        };
    }

    /// Takes the line away, so that something else can be printed.
    pub(super) fn clear(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            self.drawn = false;
        }
    }

    /// Prints a whole line between progress.
    pub(super) fn say(&mut self, text: &str) {
        self.clear();
        note(text);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Shows how a fetch goes on.
pub(super) struct FetchProgress<'a> {
    line: Line,
    verbose: bool,
    gauge: &'a Gauge,
    rate: Rate,
}

impl<'a> FetchProgress<'a> {
    pub(super) fn new(forced: bool, verbose: bool, gauge: &'a Gauge) -> Self {
        Self {
            line: Line::new(forced),
            verbose,
            gauge,
            rate: Rate::default(),
        }
    }
}

impl Observer for FetchProgress<'_> {
    fn handle_event(&mut self, now: Instant, event: &Event) {
        if !self.verbose {
            return;
        }
        let text = match event {
            Event::PeerUp {
                address,
                generation,
                agent,
                ..
            } => format!("{address} ready (generation {generation}, {agent:?})"),
            Event::PeerDown {
                address, reason, ..
            } => format!("{address} gone: {reason:?}"),
            Event::DialFailed { address, error } => format!("{address} not reached: {error:?}"),
            Event::PeersLearnt { new, refused } => {
                format!("{new} new peers learnt, {refused} records refused")
            }
            Event::ChunkFailed { address, failure } => {
                let address = crate::source::hex(&address.0);
                format!("chunk {address} failed: {failure:?}")
            }
            _ => return,
        };
        let (seconds, milliseconds) = (now.as_millis() / 1000, now.as_millis() % 1000);
        self.line
            .say(&format!("{seconds:4}.{milliseconds:03} {text}"));
    }

    fn handle_progress(&mut self, now: Instant, stats: &Stats) {
        let (done, total) = (self.gauge.done(), self.gauge.total());
        let rate = self.rate.measure(now, done);
        self.line.show(|| fetch_line(done, total, rate, stats));
    }
}

fn fetch_line(done: u64, total: Option<u64>, rate: Option<f64>, stats: &Stats) -> String {
    let mut text = match total {
        Some(total) if total > 0 => {
            let percent = done as f64 * 100.0 / total as f64;
            format!("{percent:3.0} %  {} of {}", bytes(done), bytes(total))
        }
        Some(_) => "  0 %".to_owned(),
        None if stats.peers_ready == 0 => "looking for peers".to_owned(),
        None => "asking for the root".to_owned(),
    };
    if let Some(rate) = rate {
        text += &format!("  {}/s", bytes(rate as u64));
        if let Some(total) = total
            && rate > 0.0
        {
            text += &format!("  ETA {:.0} s", total.saturating_sub(done) as f64 / rate);
        }
    }
    text += &format!("  {} peers", stats.peers_ready);
    if stats.peers_connecting > 0 {
        text += &format!(" (+{} connecting)", stats.peers_connecting);
    }
    if stats.waiting_for_credit > 0 {
        text += &format!("  {} chunks wait for credit", stats.waiting_for_credit);
    }
    text
}

/// A rate over the last few seconds.
#[derive(Default)]
struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// Adds a sample; returns bytes per second once half a second is known.
    fn measure(&mut self, now: Instant, done: u64) -> Option<f64> {
        self.samples.push_back((now, done));
        let is_old = |sample: Option<&(Instant, u64)>| {
            sample.is_some_and(|(at, _)| now.saturating_since(*at) >= RATE_WINDOW)
        };
        // The oldest sample kept is the last one that is at least a window old.
        while is_old(self.samples.get(1)) {
            self.samples.pop_front();
        }
        let (start, before) = *self.samples.front()?;
        let time = now.saturating_since(start);
        if time < Duration::from_millis(500) {
            return None;
        }
        Some(done.saturating_sub(before) as f64 / time.as_secs_f64())
    }
}

/// A rate by the clock on the wall.
pub(super) struct Pace {
    start: std::time::Instant,
    rate: Rate,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            start: std::time::Instant::now(),
            rate: Rate::default(),
        }
    }
}

impl Pace {
    /// Adds a sample; returns units per second once half a second is known.
    pub(super) fn measure(&mut self, done: u64) -> Option<f64> {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.rate.measure(Instant::from_millis(now), done)
    }
}

/// Writes a number of bytes for people.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    for (unit, size) in UNITS {
        if count as f64 >= size {
            return format!("{:.1} {unit}", count as f64 / size);
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_line_says_what_is_known() {
        let stats = Stats {
            peers_ready: 3,
            peers_connecting: 2,
            waiting_for_credit: 7,
            ..Stats::default()
        };
        assert_eq!(
            fetch_line(500_000, Some(1_000_000), Some(100_000.0), &stats),
            " 50 %  500.0 kB of 1.0 MB  100.0 kB/s  ETA 5 s  3 peers (+2 connecting)  7 chunks wait for credit"
        );
        assert_eq!(
            fetch_line(0, None, None, &Stats::default()),
            "looking for peers  0 peers"
        );
    }

    #[test]
    fn the_rate_forgets_what_is_long_ago() {
        let mut rate = Rate::default();
        assert_eq!(rate.measure(Instant::ZERO, 0), None);
        assert_eq!(rate.measure(Instant::from_millis(1000), 1000), Some(1000.0));
        for second in 2..10 {
            rate.measure(Instant::from_millis(second * 1000), 1000);
        }
        assert_eq!(rate.measure(Instant::from_millis(10_000), 1000), Some(0.0));
    }
}
