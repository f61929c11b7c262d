//! What a run tells its caller while it works, and what it remembers for a good error message.
use p2p::Instant;
use std::collections::VecDeque;
use std::fmt;
use swarm::{DnsQuery, Event, Stats};

/// Hears of everything that happens in a run. `()` ignores it all.
pub trait Observer {
    /// A fact from the node, before chunks are given to the consumer.
    fn handle_event(&mut self, now: Instant, event: &Event) {
        let _ = (now, event);
    }
    /// Figures, every [`Config::progress_interval`](crate::Config::progress_interval).
    fn handle_progress(&mut self, now: Instant, stats: &Stats) {
        let _ = (now, stats);
    }
}

impl Observer for () {}

/// Recent failures kept for an error message; older ones are forgotten.
const FAILURES_KEPT: usize = 4;

/// The last failures of a session, to explain why no peer is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    failures: VecDeque<String>,
}

impl Diagnosis {
    /// Says whether nothing has failed.
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn handle_event(&mut self, event: &Event) {
        match event {
            Event::DialFailed { address, error } => {
                self.push(format!("{address}: {}", dial_error_text(*error)));
            }
            Event::PeerDown {
                address, reason, ..
            } => self.push(format!("{address}: {reason:?}")),
            _ => {}
        }
    }

    pub(crate) fn handle_dns_failure(&mut self, query: &DnsQuery) {
        self.push(match query {
            DnsQuery::Txt(name) => format!("{name}: no TXT record found"),
            DnsQuery::Addresses(name) => format!("{name}: no address found"),
        });
    }

    fn push(&mut self, text: String) {
        if self.failures.contains(&text) {
            return;
        }
        if self.failures.len() == FAILURES_KEPT {
            self.failures.pop_front();
        }
        self.failures.push_back(text);
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            return f.write_str("no address to dial was found");
        }
        for (i, failure) in self.failures.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{failure}")?;
        }
        Ok(())
    }
}

fn dial_error_text(error: swarm::DialError) -> &'static str {
    match error {
        swarm::DialError::Refused => "connection refused",
        swarm::DialError::TimedOut => "no answer in time",
        swarm::DialError::Unreachable => "unreachable",
    }
}
