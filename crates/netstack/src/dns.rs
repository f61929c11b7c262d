//! The DNS client: addresses and texts of names, from the servers that DHCP or the user named.
//!
//! Spec: RFC 1035, RFC 7766 (TCP after a truncated answer). smoltcp's DNS socket knows no TXT, which is how the network's boot nodes
//! are found, so both kinds are asked for here. Each try has an id and a port of its own; only an answer from the server asked,
//! with that id and the same question, counts.
mod lookup;

use crate::config::Config;
use crate::event::Event;
use crate::neighbours::Neighbours;
use crate::random::Random;
use crate::route::Route;
use ::dns::{Kind, Name};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use lookup::{Lookup, Progress, Subject};
use p2p::Instant;
use smoltcp::iface::{Interface, SocketSet};
use swarm::{DnsAnswer, DnsQuery, DnsQueryId};

/// Questions under way or waiting; what a node asks beyond that fails at once.
const LOOKUPS_MAX: usize = 64;
/// Questions under way, each with a socket of some 6 KiB.
const ACTIVE_MAX: usize = 8;
/// Events kept if nobody asks for them.
const EVENTS_MAX: usize = 64;

/// Why a name could not be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No server is known.
    #[error("no DNS server is known: the DHCP answer or the static settings must name one")]
    NoServer,
    /// The text cannot be a name.
    #[error("this is not a domain name: labels of 1 to 63 bytes, 253 in all")]
    BadName,
    /// There is no such name, or it has no records of the kind asked for.
    #[error("there is no such name or it has no such record: check the spelling")]
    NotFound,
    /// No server answered in time.
    #[error("no DNS server answered: check that the network lets DNS (port 53) through")]
    NoAnswer,
    /// Every server answered that it cannot.
    #[error("the DNS servers refused or failed: try others")]
    ServerFailed,
    /// Answers came that could not be used.
    #[error("the DNS servers' answers are broken or too long: try others")]
    BadAnswer,
    /// Too many questions at the same time.
    #[error("more than 64 names are being looked up already")]
    TooMany,
}

/// What lookups work with.
pub(crate) struct Tools<'a> {
    pub(crate) now: Instant,
    pub(crate) interface: &'a mut Interface,
    pub(crate) sockets: &'a mut SocketSet<'static>,
    pub(crate) neighbours: &'a mut Neighbours,
    pub(crate) route: Option<Route>,
    servers: &'a [Ipv4Addr],
    random: &'a mut Random,
    timeout: Duration,
    rounds: u32,
}

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    servers: Vec<Ipv4Addr>,
    random: Random,
    timeout: Duration,
    rounds: u32,
    /// The first [`ACTIVE_MAX`] are under way.
    lookups: Vec<Lookup>,
    answers: VecDeque<(DnsQueryId, DnsAnswer)>,
    events: VecDeque<Event>,
}

impl Client {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            servers: Vec::new(),
            random: Random::new(config.seed, 4),
            timeout: config.dns_timeout,
            rounds: config.dns_rounds,
            lookups: Vec::new(),
            answers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Sets the servers that tries from now on go to.
    pub(crate) fn set_servers(&mut self, servers: &[Ipv4Addr]) {
        self.servers = servers.to_vec();
    }

    /// Starts to look something up.
    pub(crate) fn resolve(&mut self, now: Instant, id: DnsQueryId, query: DnsQuery) {
        let (text, kind) = match query {
            DnsQuery::Txt(text) => (text, Kind::Text),
            DnsQuery::Addresses(text) => (text, Kind::Address),
        };
        if let (Kind::Address, Ok(address)) = (kind, text.parse::<Ipv4Addr>()) {
            let answer = DnsAnswer::Addresses([address.into()].into());
            self.answers.push_back((id, answer));
            return;
        }
        let Some(name) = Name::parse(&text) else {
            return self.fail(id, text, LookupError::BadName);
        };
        if self.lookups.len() >= LOOKUPS_MAX {
            return self.fail(id, text, LookupError::TooMany);
        }
        let subject = Subject { id, text, kind };
        self.lookups.push(Lookup::new(now, subject, name));
    }

    /// Takes what servers said, and asks what is due. Returns whether anything moved.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
        neighbours: &mut Neighbours,
        route: Option<Route>,
    ) -> bool {
        let mut moved = false;
        let mut index = 0;
        while index < ACTIVE_MAX {
            let Some(lookup) = self.lookups.get_mut(index) else {
                break;
            };
            let mut tools = Tools {
                now,
                interface,
                sockets,
                neighbours,
                route,
                servers: &self.servers,
                random: &mut self.random,
                timeout: self.timeout,
                rounds: self.rounds,
            };
            let result = match lookup.poll(&mut tools) {
                Progress::Waiting => {
                    index = index.saturating_add(1);
                    continue;
                }
                Progress::Moved => {
                    index = index.saturating_add(1);
                    moved = true;
                    continue;
                }
                Progress::Done(result) => result,
            };
            moved = true;
            lookup.close(sockets);
            let Subject { id, text, .. } = self.lookups.remove(index).into_subject();
            match result {
                Ok(answer) => self.answers.push_back((id, answer)),
                Err(error) => self.fail(id, text, error),
            }
        }
        moved
    }

    /// Returns the next answer.
    pub(crate) fn poll_answer(&mut self) -> Option<(DnsQueryId, DnsAnswer)> {
        self.answers.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`poll`](Self::poll) at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.lookups
            .iter()
            .take(ACTIVE_MAX)
            .map(Lookup::deadline)
            .min()
    }

    fn fail(&mut self, id: DnsQueryId, name: String, error: LookupError) {
        self.answers.push_back((id, DnsAnswer::Failed));
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(Event::DnsFailed { name, error });
        }
    }
}
