//! The DHCP client: a sans-IO state machine.
//!
//! Spec: RFC 2131 4.4. smoltcp has a client too; this one exists because that one
//! - draws a new transaction id for every DHCPDISCOVER, so that the answer of a server slower than the retry pause (one that pings
//!   the address first, a relay, a switch port that has just begun to forward) is thrown away, and short first tries would make
//!   that the rule;
//! - starts again at once when refused, so that a server that always refuses is asked at wire speed;
//! - reports neither attempts nor refusals, which is what people in front of a silent screen ask for;
//! - forgets the address when the link comes back, where RFC 2131 3.2 confirms it in one round trip;
//! - drops a router option with two routers.
pub(crate) mod message;

use crate::Event;
use crate::random::Random;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use message::{Answer, Kind, Message};
use p2p::Instant;
use smoltcp::wire::EthernetAddress;

/// Lease if the server names none.
const LEASE_DEFAULT: Duration = Duration::from_secs(3600);
/// Shortest lease believed: a server that leases for 0 s would otherwise be asked at wire speed.
const LEASE_MIN: Duration = Duration::from_secs(10);
/// DHCPREQUESTs without an answer before discovery starts again.
const REQUEST_TRIES: u32 = 4;
/// DHCPREQUESTs that try to keep the old address after the link came back.
const REBOOT_TRIES: u32 = 3;
/// From this attempt on every other one asks for a broadcast answer: some networks cannot deliver to an address not yet in use.
const BROADCAST_FROM: u32 = 3;
/// SPEC RFC 2131 4.4.5: renewals are not repeated faster than this, unless the lease is short.
const RENEW_PAUSE: Duration = Duration::from_secs(60);
/// Events kept if nobody asks for them.
const EVENTS_MAX: usize = 64;

/// What an interface needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_length: u8,
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) dns: Vec<Ipv4Addr>,
}

/// Pauses and patience.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) first_retry: Duration,
    pub(crate) retry_max: Duration,
    pub(crate) patience: Duration,
}

#[derive(Clone, Debug)]
struct Lease {
    configuration: Configuration,
    server: Ipv4Addr,
    source: Ipv4Addr,
    source_mac: EthernetAddress,
    length: Duration,
    t2_at: Instant,
    expires_at: Instant,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Asking everybody.
    Selecting,
    /// Taking up an offer.
    Requesting {
        address: Ipv4Addr,
        server: Ipv4Addr,
        tries: u32,
    },
    /// Asking whether the old address still holds.
    Rebooting { tries: u32 },
    /// Nothing to do before T1, then renewing, from T2 on rebinding.
    Bound,
}

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    timing: Timing,
    random: Random,
    link_up: bool,
    state: State,
    /// When `state` sends next.
    next_at: Instant,
    lease: Option<Lease>,
    transaction: u32,
    /// Attempts since `started_at`; zero before the first.
    attempts: u32,
    started_at: Instant,
    has_given_up: bool,
    events: VecDeque<Event>,
}

impl Client {
    pub(crate) fn new(timing: Timing, mut random: Random, now: Instant) -> Self {
        let transaction = random.next_u32();
        Self {
            timing,
            random,
            link_up: true,
            state: State::Selecting,
            next_at: now,
            lease: None,
            transaction,
            attempts: 0,
            started_at: now,
            has_given_up: false,
            events: VecDeque::new(),
        }
    }

    /// What is leased now.
    pub(crate) fn configuration(&self) -> Option<&Configuration> {
        self.lease.as_ref().map(|lease| &lease.configuration)
    }

    /// Says whether patience ran out.
    pub(crate) fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The link went away or came back. Coming back starts the exchange at once.
    pub(crate) fn handle_link(&mut self, now: Instant, up: bool) {
        let came_up = up && !self.link_up;
        self.link_up = up;
        if came_up {
            self.restart(now);
            if self.lease.is_some() {
                self.state = State::Rebooting { tries: 0 };
            }
        }
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let patience = (!self.has_given_up && self.lease.is_none() && self.attempts > 0)
            .then(|| self.started_at + self.timing.patience);
        let expiry = self.lease.as_ref().map(|lease| lease.expires_at);
        let next = self.link_up.then_some(self.next_at);
        [patience, expiry, next].into_iter().flatten().min()
    }

    /// Lets time pass; returns a message if one is due.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Message> {
        if self.lease.as_ref().is_some_and(|l| l.expires_at <= now) {
            self.lease = None;
            self.restart(now);
        }
        let waited = now.saturating_since(self.started_at);
        if self.lease.is_none()
            && self.attempts > 0
            && !self.has_given_up
            && waited >= self.timing.patience
        {
            self.has_given_up = true;
            self.push(Event::DhcpGaveUp {
                attempts: self.attempts,
                waited,
            });
        }
        if !self.link_up || now < self.next_at {
            return None;
        }
        // Each state either sends or falls back to an earlier one, which sends.
        match self.state {
            State::Bound => self.renew(now),
            State::Rebooting { tries } => self.confirm(now, tries),
            State::Requesting {
                address,
                server,
                tries,
            } => self.request(now, address, server, tries),
            State::Selecting => Some(self.discover(now)),
        }
    }

    /// Takes a server's message.
    pub(crate) fn handle_answer(&mut self, now: Instant, answer: Answer) {
        if !self.link_up || answer.transaction != self.transaction || self.attempts == 0 {
            return;
        }
        match (self.state, answer.kind) {
            (State::Selecting, Kind::Offer) => {
                self.state = State::Requesting {
                    address: answer.address,
                    server: answer.server,
                    tries: 0,
                };
                self.next_at = now;
                self.push(Event::DhcpOffer {
                    address: answer.address,
                    server: answer.server,
                });
            }
            // Another server's refusal of a broadcast request is not about us.
            (State::Requesting { server, .. }, Kind::Ack | Kind::Nak)
                if server == answer.server =>
            {
                self.settle(now, answer);
            }
            (State::Rebooting { .. }, Kind::Ack | Kind::Nak) => self.settle(now, answer),
            (State::Bound, Kind::Ack | Kind::Nak) if self.may_settle(now, answer.server) => {
                self.settle(now, answer);
            }
            _ => {}
        }
    }

    /// While renewing only the own server may answer, while rebinding any.
    fn may_settle(&self, now: Instant, server: Ipv4Addr) -> bool {
        self.lease
            .as_ref()
            .is_some_and(|lease| lease.server == server || lease.t2_at <= now)
    }

    fn settle(&mut self, now: Instant, answer: Answer) {
        if answer.kind == Kind::Nak {
            self.push(Event::DhcpRefused {
                server: answer.server,
            });
            self.lease = None;
            self.state = State::Selecting;
            self.transaction = self.random.next_u32();
            // The next attempt comes at its place in the schedule: a server that always refuses is not asked at wire speed.
            self.next_at = now + self.pause(self.attempts);
            return;
        }
        let lease = Lease::new(now, &answer);
        let is_same = self.configuration() == Some(&lease.configuration);
        self.next_at = now + t1(&answer, lease.length);
        if is_same {
            let length = lease.length;
            self.push(Event::DhcpRenewed { lease: length });
        }
        self.lease = Some(lease);
        self.state = State::Bound;
        self.has_given_up = false;
    }

    fn restart(&mut self, now: Instant) {
        self.state = State::Selecting;
        self.next_at = now;
        self.attempts = 0;
        self.started_at = now;
        self.has_given_up = false;
        self.transaction = self.random.next_u32();
    }

    fn discover(&mut self, now: Instant) -> Message {
        if self.attempts == 0 {
            self.started_at = now;
        } else {
            let waited = now.saturating_since(self.started_at);
            self.push(Event::DhcpNoAnswer { waited });
        }
        self.count_attempt();
        self.next_at = now + self.pause(self.attempts);
        Message {
            is_request: false,
            transaction: self.transaction,
            seconds: self.seconds(now),
            broadcast: self.attempts >= BROADCAST_FROM && self.attempts % 2 == 1,
            client: None,
            requested: None,
            server: None,
            to: None,
        }
    }

    fn request(
        &mut self,
        now: Instant,
        address: Ipv4Addr,
        server: Ipv4Addr,
        tries: u32,
    ) -> Option<Message> {
        if tries >= REQUEST_TRIES {
            self.state = State::Selecting;
            return Some(self.discover(now));
        }
        let tries = tries.saturating_add(1);
        self.state = State::Requesting {
            address,
            server,
            tries,
        };
        self.next_at = now + self.pause(tries);
        Some(Message {
            is_request: true,
            transaction: self.transaction,
            seconds: self.seconds(now),
            broadcast: self.attempts >= BROADCAST_FROM && self.attempts % 2 == 1,
            client: None,
            requested: Some(address),
            server: Some(server),
            to: None,
        })
    }

    /// SPEC RFC 2131 4.4.2: INIT-REBOOT, without server identifier and without own address.
    fn confirm(&mut self, now: Instant, tries: u32) -> Option<Message> {
        let address = self.configuration().map(|c| c.address);
        if tries >= REBOOT_TRIES || address.is_none() {
            // Nobody vouches for the old address here. It stays in use until a new one comes or it expires.
            self.state = State::Selecting;
            return Some(self.discover(now));
        }
        if self.attempts == 0 {
            self.started_at = now;
        }
        self.count_attempt();
        let tries = tries.saturating_add(1);
        self.state = State::Rebooting { tries };
        self.next_at = now + self.pause(tries);
        Some(Message {
            is_request: true,
            transaction: self.transaction,
            seconds: self.seconds(now),
            broadcast: false,
            client: None,
            requested: address,
            server: None,
            to: None,
        })
    }

    /// SPEC RFC 2131 4.4.5: from T1 on the own server is asked, from T2 on everybody.
    fn renew(&mut self, now: Instant) -> Option<Message> {
        let lease = self.lease.as_ref()?;
        let floor = (lease.length / 16)
            .max(Duration::from_secs(1))
            .min(RENEW_PAUSE);
        let is_rebinding = lease.t2_at <= now;
        let end = if is_rebinding {
            lease.expires_at
        } else {
            lease.t2_at
        };
        let pause = (end.saturating_since(now) / 2).max(floor);
        let message = Message {
            is_request: true,
            transaction: self.random.next_u32(),
            seconds: 0,
            broadcast: false,
            client: Some(lease.configuration.address),
            requested: None,
            server: None,
            to: (!is_rebinding).then_some((lease.source, lease.source_mac)),
        };
        self.next_at = (now + pause).min(end);
        self.transaction = message.transaction;
        Some(message)
    }

    /// 1, 2, 4 times the first pause, then a random time between half of the longest pause and all of it.
    fn pause(&mut self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let pause = self
            .timing
            .first_retry
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        if pause < self.timing.retry_max {
            return pause;
        }
        let half = self.timing.retry_max / 2;
        let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        half + Duration::from_millis(self.random.below(spread.saturating_add(1)))
    }

    fn count_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        self.push(Event::DhcpAttempt(self.attempts));
    }

    fn seconds(&self, now: Instant) -> u16 {
        u16::try_from(now.saturating_since(self.started_at).as_secs()).unwrap_or(u16::MAX)
    }

    fn push(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}

impl Lease {
    fn new(now: Instant, answer: &Answer) -> Self {
        let length = answer.lease.unwrap_or(LEASE_DEFAULT).max(LEASE_MIN);
        Self {
            configuration: Configuration {
                address: answer.address,
                prefix_length: answer
                    .prefix_length
                    .unwrap_or(class_prefix_length(answer.address)),
                gateway: answer.gateway.filter(|g| *g != answer.address),
                dns: answer.dns.clone(),
            },
            server: answer.server,
            source: answer.source,
            source_mac: answer.source_mac,
            length,
            t2_at: now + t2(answer, length),
            expires_at: now + length,
        }
    }
}

/// SPEC RFC 2131 4.4.5: T1 is half of the lease unless the server says otherwise; both must be in order to count.
fn t1(answer: &Answer, length: Duration) -> Duration {
    answer
        .t1
        .filter(|t1| !t1.is_zero() && *t1 < t2(answer, length))
        .unwrap_or(length / 2)
        .min(t2(answer, length))
}

/// SPEC RFC 2131 4.4.5: T2 is 0.875 of the lease unless the server says otherwise.
fn t2(answer: &Answer, length: Duration) -> Duration {
    answer
        .t2
        .filter(|t2| !t2.is_zero() && *t2 < length)
        .unwrap_or(length.saturating_mul(7) / 8)
}

/// The prefix length that an address had before there were masks: for servers that send none.
fn class_prefix_length(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        _ => 24,
    }
}
