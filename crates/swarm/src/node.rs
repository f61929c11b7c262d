//! The client node.
//!
//! A chunk's way in: `handle_received` -> [`session`](crate::session) (libp2p, streams, messages) -> `results` (verify, account)
//! -> `poll_event`. A request's way out: `request` -> `dispatch` (which peer?) -> `session` -> `poll_transmit`.
mod connections;
mod dial;
mod dispatch;
mod housekeeping;
mod late;
mod peer;
mod results;

use crate::Config;
use crate::book::Book;
use crate::bootstrap::Bootstrap;
use crate::error::{DialError, DropReason};
use crate::pace::Pace;
use crate::requests::Requests;
use crate::rng::Rng;
use crate::session::{Local, Session, SessionEvent};
use crate::table::OverlayTable;
use crate::timers::Timers;
use crate::types::{Command, ConnId, DnsAnswer, DnsQueryId, Event, NodeTimeout, PeerInfo, Stats};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bmt::{ChunkAddress, Overlay, SecretKey};
use core::net::IpAddr;
use core::time::Duration;
use litemap::LiteMap;
use p2p::{Instant, Keypair, StaticKey};
use peer::Conn;

/// Events nobody has taken; beyond this, facts that only inform are dropped. Chunks never are: `requests_max` bounds them.
const EVENTS_MAX: usize = 4096;
/// Connections that still have a farewell to send.
const FAREWELLS_MAX: usize = 64;
/// How long `close` waits for settlements.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A connection's own deadline, or that of its dial.
    Conn(ConnId),
    /// A settlement is due.
    Settle(ConnId),
    /// A pause of a peer, or its grace without a pricing announcement, ends.
    Pause(ConnId),
    /// Hedge, retry or give up a request.
    Request(u64),
    /// Somebody may be dialled.
    Dial,
    /// A look-up is due.
    Bootstrap,
    /// Peers of last resort may be used.
    LastResort,
    /// Requests may be hanging.
    Watchdog,
    /// `close` has waited long enough.
    Close,
}

/// The client node.
pub struct Node {
    config: Config,
    local: Local,
    keypair: Keypair,
    noise_static: StaticKey,
    rng: Rng,
    started: Instant,
    joined: bool,
    closing: bool,

    conns: LiteMap<ConnId, Conn>,
    farewells: LiteMap<ConnId, Session>,
    next_conn: u64,
    /// Connections with bytes to send; each once.
    writable: VecDeque<ConnId>,
    writable_set: LiteMap<ConnId, ()>,
    /// Sessions that are set up, by overlay.
    ready: OverlayTable<ConnId>,
    /// Overlays we are connected or connecting to.
    taken: OverlayTable<ConnId>,
    /// Peers that may be asked now.
    available: OverlayTable<ConnId>,
    /// The same for bootnodes and peers that never have anything.
    last_resort: OverlayTable<ConnId>,
    serving_normal: usize,
    credit_blocked: usize,
    connecting: usize,

    book: Book,
    bootstrap: Bootstrap,
    dial_wanted: bool,
    /// A chunk that nobody has: its neighbourhood should be dialled.
    wanted: Option<ChunkAddress>,
    last_resort_since: Option<Instant>,
    local_ip: Option<IpAddr>,
    observed_ip: Option<IpAddr>,

    requests: Requests,
    pace: Pace,
    /// Second attempts on the budget for them.
    hedges_open: usize,
    /// Overlays that have delivered, as far as they are counted.
    used: LiteMap<Overlay, ()>,
    last_progress: Instant,
    /// The oldest request when it was last passed over, and how often it was.
    passed_over: (u64, u32),

    timers: Timers<Timer>,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    session_events: Vec<SessionEvent>,
    stats: Stats,
}

impl Node {
    /// Starts a node; the first commands dial or resolve the bootnodes.
    pub fn new(config: Config, now: Instant) -> Self {
        let mut seed = Rng::new(&config.seed, "start");
        let mut mixed = seed.bytes();
        for (byte, time) in mixed.iter_mut().zip(config.wall_time_s.to_le_bytes()) {
            *byte ^= time;
        }
        let mut rng = Rng::new(&mixed, "choices");
        let keypair = Keypair::ed25519(&Rng::new(&mixed, "libp2p identity").bytes());
        let local = Local {
            key: swarm_key(&mixed),
            network_id: config.network_id,
            generation: config.generation,
            peer_id: keypair.public().peer_id(),
        };
        let noise_static = StaticKey::new(&keypair, rng.bytes());
        let mut node = Self {
            book: Book::new(config.known_peers_max, config.network_id),
            bootstrap: Bootstrap::new(&config.bootnodes, now),
            config,
            local,
            keypair,
            noise_static,
            rng,
            started: now,
            joined: false,
            closing: false,
            conns: LiteMap::new_vec(),
            farewells: LiteMap::new_vec(),
            next_conn: 0,
            writable: VecDeque::new(),
            writable_set: LiteMap::new_vec(),
            ready: OverlayTable::default(),
            taken: OverlayTable::default(),
            available: OverlayTable::default(),
            last_resort: OverlayTable::default(),
            serving_normal: 0,
            credit_blocked: 0,
            connecting: 0,
            dial_wanted: true,
            wanted: None,
            last_resort_since: None,
            local_ip: None,
            observed_ip: None,
            requests: Requests::default(),
            pace: Pace::new(now),
            hedges_open: 0,
            used: LiteMap::new_vec(),
            last_progress: now,
            passed_over: (0, 0),
            timers: Timers::new(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            session_events: Vec::new(),
            stats: Stats::default(),
        };
        node.bootstrap_steps(now);
        node.settle_down(now);
        node
    }

    /// Returns the next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Learns under which address this machine reaches the network. bee waits 10 s in each handshake for an address of ours that
    /// it considers reachable, so drivers should tell before they carry out the first dial.
    pub fn handle_local_address(&mut self, address: IpAddr) {
        if !address.is_unspecified() {
            self.local_ip = Some(address);
        }
    }

    /// The dial of `conn` succeeded.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.start_session(now, conn);
        self.settle_down(now);
    }

    /// The dial of `conn` failed.
    pub fn handle_dial_failed(&mut self, now: Instant, conn: ConnId, error: DialError) {
        self.dial_failed(now, conn, error);
        self.settle_down(now);
    }

    /// Bytes arrived; returns how many were consumed (the driver keeps the rest and calls again after transmitting).
    pub fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(session) = self.conns.get_mut(&conn).and_then(Conn::session) else {
            // Closed by us already: nobody is interested.
            return bytes.len();
        };
        let mut events = core::mem::take(&mut self.session_events);
        let used = session.handle_input(now, bytes, &self.local, &mut events);
        self.session_results(now, conn, &mut events);
        self.session_events = events;
        self.settle_down(now);
        used
    }

    /// The remote end closed or reset the stream.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        self.farewells.remove(&conn);
        self.unmark_writable(conn);
        self.drop_conn(now, conn, DropReason::Closed);
        self.settle_down(now);
    }

    /// Fills `room` with bytes for `conn`.
    pub fn poll_transmit(&mut self, now: Instant, conn: ConnId, room: &mut [u8]) -> usize {
        let session = match self.conns.get_mut(&conn) {
            Some(found) => found.session(),
            None => self.farewells.get_mut(&conn),
        };
        let sent = session.map_or(0, |session| session.poll_output(now, room));
        if sent == 0 && !room.is_empty() {
            self.unmark_writable(conn);
            self.farewells.remove(&conn);
        }
        sent
    }

    /// Returns a connection that has bytes to send, so that drivers with many sockets need not ask each. It is returned again, in
    /// turn with the others, until [`poll_transmit`](Self::poll_transmit) has given zero for it.
    pub fn poll_writable(&mut self) -> Option<ConnId> {
        let conn = self.writable.pop_front()?;
        self.writable.push_back(conn);
        Some(conn)
    }

    /// Answers a [`Command::Resolve`].
    pub fn handle_dns(&mut self, now: Instant, id: DnsQueryId, answer: DnsAnswer) {
        self.bootstrap.handle_dns(now, id, answer);
        self.bootstrap_steps(now);
        self.settle_down(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, NodeTimeout)> {
        self.timers.first().map(|(at, timer)| match timer {
            Timer::Conn(conn) => (at, NodeTimeout::Connection(conn)),
            _ => (at, NodeTimeout::Schedule),
        })
    }

    /// Lets deadlines act.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Conn(conn) => self.conn_timeout(now, conn),
                Timer::Settle(conn) => self.refresh(now, conn),
                Timer::Pause(conn) => self.pause_over(now, conn),
                Timer::Request(id) => self.request_timeout(now, id),
                Timer::Dial => self.dial_wanted = true,
                Timer::Bootstrap => {
                    self.bootstrap.handle_timeout(now);
                    self.bootstrap_steps(now);
                }
                // Dispatching below looks at the time again.
                Timer::LastResort => {}
                Timer::Watchdog => self.watchdog(now),
                Timer::Close => self.close_all(now),
            }
        }
        self.settle_down(now);
    }

    /// The network was away (link down, address lost): drops every connection and forgets dial failures, keeps peers and requests.
    pub fn handle_network_lost(&mut self, now: Instant) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.drop_conn(now, conn, DropReason::NetworkLost);
        }
        self.farewells.clear();
        self.local_ip = None;
        self.observed_ip = None;
        self.book.forget_failures(now);
        self.bootstrap.forget_failures(now);
        self.bootstrap_steps(now);
        self.settle_down(now);
    }

    /// How many more chunks may be requested now.
    pub fn request_room(&self) -> usize {
        self.config.requests_max.saturating_sub(self.requests.len())
    }

    /// Requests a chunk. Earlier requests go first. A second request for an open address is ignored, and so is one that exceeds
    /// [`request_room`](Self::request_room).
    pub fn request(&mut self, now: Instant, address: ChunkAddress) {
        if self.closing || self.request_room() == 0 {
            return;
        }
        if self.requests.len() == 0 {
            self.last_progress = now;
            self.timers
                .set_earlier(Timer::Watchdog, now + self.config.chunk_timeout);
        }
        if self.requests.open(now, address).is_some() {
            self.settle_down(now);
        }
    }

    /// Forgets a request. What is under way for it goes on, and is paid for when it comes: peers charge it all the same.
    pub fn cancel(&mut self, address: ChunkAddress) {
        if let Some(id) = self.requests.find(&address) {
            self.requests.close(id);
            self.timers.set(Timer::Request(id), None);
        }
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Figures.
    pub fn stats(&self) -> Stats {
        let starved = self.available.is_empty() && self.credit_blocked > 0;
        Stats {
            peers_ready: self.ready.len(),
            peers_connecting: self.connecting,
            peers_known: self.book.idle(),
            requests_open: self.requests.len(),
            peers_used: self.used.len(),
            waiting_for_credit: if starved {
                self.requests.waiting_len()
            } else {
                0
            },
            ..self.stats
        }
    }

    /// Peers ready to serve.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.ready
            .iter()
            .filter_map(|(_, conn)| self.conns.get(conn)?.info())
            .collect()
    }

    /// Settles what can be settled and closes every connection politely; open requests are forgotten. The driver goes on pumping
    /// until [`is_closed`](Self::is_closed), at most two seconds.
    pub fn close(&mut self, now: Instant) {
        if core::mem::replace(&mut self.closing, true) {
            return;
        }
        while let Some(id) = self.requests.first() {
            self.requests.close(id);
            self.timers.set(Timer::Request(id), None);
        }
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            if !self.start_last_settlement(now, conn) {
                self.drop_conn(now, conn, DropReason::Shutdown);
            }
        }
        self.timers.set(Timer::Close, Some(now + CLOSE_PATIENCE));
        self.settle_down(now);
    }

    /// Says whether nothing is left to do after [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.closing
            && self.conns.is_empty()
            && self.farewells.is_empty()
            && self.commands.is_empty()
    }
}

/// Derives the Swarm key; one in 2^128 candidates is no valid scalar, so the loop ends at once.
fn swarm_key(seed: &[u8; 32]) -> SecretKey {
    let mut rng = Rng::new(seed, "swarm key");
    loop {
        if let Ok(key) = SecretKey::from_bytes(&rng.bytes()) {
            return key;
        }
    }
}
