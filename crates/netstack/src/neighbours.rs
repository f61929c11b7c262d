//! Who on this link answers for an address.
//!
//! smoltcp has its own neighbour cache and asks by itself, but at most once a second for all addresses together, and it never says
//! that nobody answers. Sixteen dials to sixteen storers of one LAN would take sixteen seconds, and a dial to a machine that is off
//! would end as "timed out". So the stack asks first: its requests are answered into smoltcp's cache all the same.
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use litemap::LiteMap;
use p2p::Instant;

/// Addresses watched at once. Dials to more fall back to smoltcp's own pace.
const ENTRIES_MAX: usize = 64;
/// Requests before an address counts as silent.
const TRIES: u32 = 3;
/// Pause between requests.
const PAUSE: Duration = Duration::from_secs(1);
/// smoltcp forgets a neighbour after 60 s unless it hears from it; the router never speaks for itself, so it is asked again before.
const REFRESH: Duration = Duration::from_secs(25);

#[derive(Clone, Copy, Debug)]
struct Entry {
    tries: u32,
    next_at: Instant,
    /// When it last answered.
    answered_at: Option<Instant>,
    /// Ask again and again (the router).
    keep: bool,
}

/// The addresses asked for.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    entries: LiteMap<Ipv4Addr, Entry>,
    /// Addresses that stayed silent, not yet reported.
    silent: Vec<Ipv4Addr>,
}

impl Neighbours {
    /// Forgets everything: the address or the link changed.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.silent.clear();
    }

    /// A dial goes through `address`.
    pub(crate) fn want(&mut self, now: Instant, address: Ipv4Addr) {
        self.insert(now, address, false);
    }

    /// `address` is the router.
    pub(crate) fn keep(&mut self, now: Instant, address: Ipv4Addr) {
        self.insert(now, address, true);
    }

    /// `address` answered.
    pub(crate) fn handle_answer(&mut self, now: Instant, address: Ipv4Addr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.tries = 0;
            entry.answered_at = Some(now);
            entry.next_at = now + REFRESH;
        }
    }

    /// Returns an address to ask for now.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Ipv4Addr> {
        loop {
            let (&address, entry) = self.entries.iter_mut().find(|(_, e)| e.next_at <= now)?;
            if entry.answered_at.is_some() && !entry.keep {
                // smoltcp knows it and refreshes it from its own traffic.
                self.entries.remove(&address);
                continue;
            }
            if entry.tries >= TRIES {
                if self.silent.len() < ENTRIES_MAX {
                    self.silent.push(address);
                }
                if entry.keep {
                    entry.tries = 0;
                    entry.answered_at = None;
                    entry.next_at = now + PAUSE;
                } else {
                    self.entries.remove(&address);
                }
                continue;
            }
            entry.tries = entry.tries.saturating_add(1);
            entry.next_at = now + PAUSE;
            return Some(address);
        }
    }

    /// Returns an address that nobody answered for.
    pub(crate) fn poll_silent(&mut self) -> Option<Ipv4Addr> {
        self.silent.pop()
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.entries.values().map(|entry| entry.next_at).min()
    }

    fn insert(&mut self, now: Instant, address: Ipv4Addr, keep: bool) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&address) {
            return;
        }
        let entry = self.entries.entry(address).or_insert(Entry {
            tries: 0,
            next_at: now,
            answered_at: None,
            keep,
        });
        entry.keep |= keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn two_addresses_are_asked_for_at_the_same_time() {
        let mut n = Neighbours::default();
        n.want(at(0), A);
        n.want(at(0), B);
        assert_eq!(n.poll_transmit(at(0)), Some(A));
        assert_eq!(n.poll_transmit(at(0)), Some(B));
        assert_eq!(n.poll_transmit(at(0)), None);
    }

    #[test]
    fn an_address_is_silent_after_three_requests() {
        let mut n = Neighbours::default();
        n.want(at(0), A);
        for second in 0..3 {
            assert_eq!(n.poll_transmit(at(second)), Some(A));
            assert_eq!(n.poll_silent(), None);
        }
        assert_eq!(n.poll_transmit(at(3)), None);
        assert_eq!(n.poll_silent(), Some(A));
        assert_eq!(n.poll_timeout(), None);
    }

    #[test]
    fn an_answer_ends_asking_but_the_router_is_asked_again() {
        let mut n = Neighbours::default();
        n.want(at(0), A);
        n.keep(at(0), B);
        n.poll_transmit(at(0));
        n.poll_transmit(at(0));
        n.handle_answer(at(0), A);
        n.handle_answer(at(0), B);
        assert_eq!(n.poll_transmit(at(24)), None);
        assert_eq!(n.poll_transmit(at(25)), Some(B));
        assert_eq!(n.poll_transmit(at(25)), None);
        assert_eq!(n.poll_silent(), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut n = Neighbours::default();
        for i in 0..1000_u32 {
            n.want(at(0), Ipv4Addr::from(i));
        }
        assert_eq!(n.entries.len(), ENTRIES_MAX);
    }
}
