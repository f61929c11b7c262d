//! The loop: commands and bytes of the client, links, storers, and virtual time.
use crate::link::{Downlink, Pipe};
use crate::spread::{Fellow, Spread};
use crate::storer::{Chunks, Fault, NETWORK_ID, Storer};
use crate::{Dice, StorerSpec};
use bmt::{ChunkAddress, Overlay};
use p2p::{Instant, Multiaddr};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use swarm::{Command, Config, ConnId, DialError, Event, Node};

/// Time after which a dial to nobody fails (if the node has not given up before).
const TCP_TIMEOUT: Duration = Duration::from_secs(20);

/// Something that happens later.
#[derive(Debug)]
enum Action {
    Connected(ConnId),
    Refused(ConnId),
    /// Bytes arrive, at the node or at the storer.
    Arrive(ConnId, bool, Vec<u8>),
    /// The end of the stream arrives.
    End(ConnId, bool),
}

struct Link {
    storer: usize,
    to_node: Pipe,
    to_storer: Pipe,
    /// The storer has closed its end and everything was sent.
    ended: bool,
}

/// One client and many storers.
pub struct World {
    /// Virtual time.
    pub now: Instant,
    /// The client.
    pub node: Node,
    /// Everything the client told, except chunks.
    pub log: Vec<(Instant, Event)>,
    storers: Vec<Storer>,
    dice: Dice,
    links: BTreeMap<ConnId, Link>,
    actions: BTreeMap<(Instant, u64), Action>,
    next: u64,
    /// Bytes stand still until then.
    stalled_until: Instant,
    /// Dials fail at once until then.
    network_down_until: Instant,
    /// What the client can take in, when that is less than the links give.
    downlink: Option<Downlink>,
}

impl World {
    /// Builds storers of `specs`, all of which have all `chunks`; the first one is the bootnode and knows the others. `tune` changes
    /// the client's settings.
    pub fn new(
        seed: u64,
        specs: &[StorerSpec],
        chunks: BTreeMap<ChunkAddress, Vec<u8>>,
        tune: impl FnOnce(&mut Config),
    ) -> Self {
        let mut dice = Dice::new(seed);
        let chunks: Chunks = Rc::new(chunks);
        let mut storers: Vec<Storer> = (0u16..)
            .zip(specs)
            .map(|(n, spec)| {
                let address = SocketAddr::from(([127, 0, 1, 1], 2000 + n));
                Storer::new(*spec, address, chunks.clone(), &mut dice)
            })
            .collect();
        let records: Vec<_> = storers.iter().map(|storer| storer.record.clone()).collect();
        for (n, storer) in storers.iter_mut().enumerate() {
            let own_version = storer.spec.version;
            let others = records.iter().zip(specs).enumerate();
            storer.neighbours = others
                .filter(|(m, (_, spec))| *m != n && *m != 0 && spec.version == own_version)
                .map(|(_, (record, _))| record.clone())
                .collect();
        }
        let bootnodes: Vec<Multiaddr> =
            storers.iter().take(1).map(|s| s.underlay.clone()).collect();
        let mut config = Config::new(NETWORK_ID, bootnodes, dice.bytes(), 1_790_000_000);
        tune(&mut config);
        let now = Instant::ZERO;
        Self {
            now,
            node: Node::new(config, now),
            log: Vec::new(),
            storers,
            dice,
            links: BTreeMap::new(),
            actions: BTreeMap::new(),
            next: 0,
            stalled_until: now,
            network_down_until: now,
            downlink: None,
        }
    }

    /// The address of a storer, to use it as a bootnode.
    pub fn underlay(&self, storer: usize) -> &Multiaddr {
        &self.storers[storer].underlay
    }
    /// The overlay of a storer.
    pub fn overlay(&self, storer: usize) -> Overlay {
        self.storers[storer].overlay
    }
    /// Units that storers charged the client in all.
    pub fn earned(&self) -> u64 {
        let accounts = self.storers.iter().flat_map(|s| s.accounts.values());
        accounts.map(|account| account.earned).sum()
    }
    /// Times a storer had to block the client.
    pub fn blocked(&self) -> u32 {
        self.storers.iter().map(|storer| storer.blocked).sum()
    }
    /// Requests that came in the same packet as the headers.
    pub fn pipelined(&self) -> u32 {
        self.storers.iter().map(|storer| storer.pipelined).sum()
    }
    /// Open connections.
    pub fn connections(&self) -> usize {
        self.links.len()
    }

    /// The client takes in no more than this, over all links.
    pub const fn slow_client(&mut self, bytes_per_second: u64) {
        self.downlink = Some(Downlink::new(bytes_per_second));
    }

    /// From now on only the `copies` storers closest to a chunk have it, the first storer has nothing, and storers forward.
    pub fn spread(&mut self, copies: usize) {
        let fellow = |storer: &Storer| Fellow {
            overlay: storer.overlay,
            fault: storer.spec.fault,
            round_trip: storer.spec.link.delay * 2 + storer.spec.work,
        };
        let fellows = self.storers.iter().skip(1).map(fellow).collect();
        let spread = Rc::new(Spread { fellows, copies });
        for storer in &mut self.storers {
            storer.spread = Some(spread.clone());
        }
    }

    /// Bytes stand still for `pause`, as with a pulled cable that nobody noticed.
    pub fn stall(&mut self, pause: Duration) {
        self.stalled_until = self.now + pause;
    }

    /// The cable is pulled for `pause` and the client notices.
    pub fn lose_network(&mut self, pause: Duration) {
        self.network_down_until = self.now + pause;
        self.cut_links(false);
        self.node.handle_network_lost(self.now);
    }

    /// Every storer goes away; they refuse connections until [`start_storers`](Self::start_storers).
    pub fn stop_storers(&mut self) {
        for storer in &mut self.storers {
            storer.up = false;
        }
        self.cut_links(true);
    }

    /// The storers are back.
    pub fn start_storers(&mut self) {
        for storer in &mut self.storers {
            storer.up = true;
        }
    }

    /// Changes how one storer behaves from now on.
    pub fn set_fault(&mut self, storer: usize, fault: Fault) {
        self.storers[storer].spec.fault = fault;
    }

    fn cut_links(&mut self, tell: bool) {
        let links = std::mem::take(&mut self.links);
        self.actions
            .retain(|_, action| matches!(action, Action::Connected(_) | Action::Refused(_)));
        for (id, link) in links {
            self.storers[link.storer].conns.remove(&id);
            if tell {
                self.node.handle_closed(self.now, id);
            }
        }
    }

    /// Does one thing and moves the clock to the next; false when nothing will ever happen again or `until` is reached.
    pub fn step(&mut self, until: Instant) -> bool {
        self.commands();
        self.transmit();
        self.take_events();
        let timeouts = self.storers.iter().filter_map(Storer::poll_timeout);
        let next = timeouts
            .chain(self.node.poll_timeout().map(|(at, _)| at))
            .chain(self.actions.first_key_value().map(|((at, _), _)| *at))
            .min();
        let Some(next) = next.filter(|at| *at <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        while let Some(entry) = self.actions.first_entry()
            && entry.key().0 <= self.now
        {
            let action = entry.remove();
            self.act(action);
        }
        if self
            .node
            .poll_timeout()
            .is_some_and(|(at, _)| at <= self.now)
        {
            self.node.handle_timeout(self.now);
        }
        for storer in &mut self.storers {
            if storer.poll_timeout().is_some_and(|at| at <= self.now) {
                storer.timeout(self.now);
            }
        }
        self.take_events();
        true
    }

    fn take_events(&mut self) {
        while let Some(event) = self.node.poll_event() {
            self.log.push((self.now, event));
        }
    }

    fn later(&mut self, at: Instant, action: Action) {
        self.next += 1;
        self.actions.insert((at, self.next), action);
    }

    fn commands(&mut self) {
        while let Some(command) = self.node.poll_command() {
            match command {
                Command::Dial { conn, address } => self.dial(conn, address),
                Command::Close { conn } => {
                    let mut room = vec![0; 16 * 1024];
                    while self.node.poll_transmit(self.now, conn, &mut room) > 0 {}
                    if let Some(link) = self.links.remove(&conn) {
                        self.storers[link.storer].conns.remove(&conn);
                    }
                }
                Command::Resolve { id, .. } => {
                    self.node.handle_dns(self.now, id, swarm::DnsAnswer::Failed);
                }
            }
        }
    }

    fn dial(&mut self, conn: ConnId, address: SocketAddr) {
        let found = self.storers.iter().position(|s| s.address == address);
        if self.now < self.network_down_until {
            let now = self.now;
            return self
                .node
                .handle_dial_failed(now, conn, DialError::Unreachable);
        }
        let Some(index) = found else {
            // Junk: half of it is refused, half never answers.
            let wait = if self.dice.once_in(2) {
                Duration::from_millis(30)
            } else {
                TCP_TIMEOUT
            };
            return self.later(self.now + wait, Action::Refused(conn));
        };
        let storer = &self.storers[index];
        let round_trip = storer.spec.link.delay * 2;
        let refuses = !storer.up || storer.spec.fault == Fault::Refuses;
        if storer.spec.fault == Fault::Absent {
            return self.later(self.now + TCP_TIMEOUT, Action::Refused(conn));
        }
        if refuses {
            return self.later(self.now + round_trip, Action::Refused(conn));
        }
        let spec = storer.spec.link;
        let link = Link {
            storer: index,
            to_node: Pipe::new(spec),
            to_storer: Pipe::new(spec),
            ended: false,
        };
        self.links.insert(conn, link);
        self.storers[index].accept(self.now, conn);
        self.later(self.now + round_trip, Action::Connected(conn));
    }

    fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Connected(conn) if self.links.contains_key(&conn) => {
                self.node.handle_connected(now, conn);
            }
            Action::Connected(conn) => {
                self.node
                    .handle_dial_failed(now, conn, DialError::Unreachable);
            }
            Action::Refused(conn) => {
                self.node.handle_dial_failed(now, conn, DialError::Refused);
            }
            Action::Arrive(..) | Action::End(..) if now < self.stalled_until => {
                self.later(self.stalled_until, action);
            }
            Action::Arrive(conn, to_node, bytes) => self.arrive(conn, to_node, &bytes),
            Action::End(conn, to_node) => {
                if let Some(link) = self.links.remove(&conn) {
                    self.storers[link.storer].conns.remove(&conn);
                    if to_node {
                        self.node.handle_closed(now, conn);
                    }
                }
            }
        }
    }

    fn arrive(&mut self, conn: ConnId, to_node: bool, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&conn) else {
            return;
        };
        let pipe = if to_node {
            &mut link.to_node
        } else {
            &mut link.to_storer
        };
        pipe.in_flight -= bytes.len();
        pipe.inbox.extend_from_slice(bytes);
        let _ = self.consume(conn);
    }

    /// Gives arrived bytes to both ends; says whether any were taken.
    fn consume(&mut self, conn: ConnId) -> bool {
        let Some(link) = self.links.get_mut(&conn) else {
            return false;
        };
        let mut taken = 0;
        if !link.to_node.inbox.is_empty() {
            let inbox = &mut link.to_node.inbox;
            let used = self.node.handle_received(self.now, conn, inbox);
            inbox.drain(..used);
            taken += used;
        }
        if !link.to_storer.inbox.is_empty() {
            let inbox = &mut link.to_storer.inbox;
            let used = self.storers[link.storer].receive(self.now, conn, inbox);
            inbox.drain(..used);
            taken += used;
        }
        taken > 0
    }

    /// Moves output into links until nothing moves.
    fn transmit(&mut self) {
        let mut room = vec![0; 16 * 1024];
        let ids: Vec<ConnId> = self.links.keys().copied().collect();
        loop {
            let mut moved = self.transmit_node(&mut room);
            for id in &ids {
                moved |= self.consume(*id);
                moved |= self.transmit_storer(*id, &mut room);
            }
            if !moved {
                return;
            }
        }
    }

    fn transmit_node(&mut self, room: &mut [u8]) -> bool {
        let mut moved = false;
        // Connections whose link is full are named again and again.
        for _ in 0..self.links.len() * 2 + 2 {
            let Some(conn) = self.node.poll_writable() else {
                break;
            };
            while let Some(link) = self.links.get_mut(&conn) {
                let space = link.to_storer.room().min(room.len());
                let sent = self.node.poll_transmit(self.now, conn, &mut room[..space]);
                if sent == 0 {
                    break;
                }
                moved = true;
                let at = link.to_storer.send(self.now, sent, &mut self.dice);
                self.later(at, Action::Arrive(conn, false, room[..sent].to_vec()));
            }
        }
        moved
    }

    fn transmit_storer(&mut self, id: ConnId, room: &mut [u8]) -> bool {
        let mut moved = false;
        loop {
            let Some(link) = self.links.get_mut(&id) else {
                return moved;
            };
            let Some(server) = self.storers[link.storer].conns.get_mut(&id) else {
                return moved;
            };
            let space = link.to_node.room().min(room.len());
            let sent = server.link.poll_output(self.now, &mut room[..space]);
            let mut at = link.to_node.send(self.now, sent, &mut self.dice);
            if let Some(downlink) = &mut self.downlink {
                at = downlink.pass(at, sent);
            }
            if sent > 0 {
                moved = true;
                self.later(at, Action::Arrive(id, true, room[..sent].to_vec()));
                continue;
            }
            if server.closing && !link.ended && space > 0 {
                link.ended = true;
                self.later(at, Action::End(id, true));
            }
            return moved;
        }
    }
}
