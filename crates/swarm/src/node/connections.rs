//! Connections: from a successful dial to a peer that can be asked, and their end.
use super::peer::{Block, Class, Conn, Peer, State};
use super::{FAREWELLS_MAX, Node, Timer};
use crate::account::THRESHOLD_MIN;
use crate::book::{Learnt, Released};
use crate::error::{DialError, DropReason};
use crate::messages::{Peers, Version};
use crate::session::{Local, Session, SessionEvent};
use crate::types::{Command, ConnId, Event};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bmt::Overlay;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use p2p::{Instant, Multiaddr, Protocol};

/// SPEC swarm-wire 3.7: bee announces its threshold right after the handshake. A peer that does not is asked all the same after
/// this, within bee's usual threshold.
const PRICING_GRACE: Duration = Duration::from_secs(3);
/// The port we would listen on if we did; bee wants to see some address of ours.
const PORT: u16 = 1634;

impl Node {
    pub(super) fn start_session(&mut self, now: Instant, id: ConnId) {
        let noise_ephemeral = self.rng.bytes();
        let Some(conn) = self.conns.get_mut(&id) else {
            self.commands.push_back(Command::Close { conn: id });
            return;
        };
        if !matches!(conn.state, State::Dialing) {
            return;
        }
        let remote = conn.address.ip();
        let mut link = p2p::Config::with_static_key(
            self.keypair.clone(),
            self.noise_static.clone(),
            noise_ephemeral,
        );
        link.identify_peer = true;
        link.expected_peer = conn.dialed.peer_id().cloned();
        link.protocols = Local::served();
        link.listen_addrs = own_addresses(remote, self.local_ip, self.observed_ip);
        link.observed_addr = Some(Multiaddr::from_tcp(conn.address));
        link.agent_version.clone_from(&self.config.agent_version);
        let session = Session::new(link, conn.dialed.clone(), &self.config, now);
        conn.state = State::Open(Box::new(session));
        self.after_session(id);
    }

    pub(super) fn dial_failed(&mut self, now: Instant, id: ConnId, error: DialError) {
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        let address = conn.address;
        self.connecting = self.connecting.saturating_sub(1);
        self.timers.set(Timer::Conn(id), None);
        self.untake(id, &conn);
        self.book.release(now, conn.entry, Released::Unreachable);
        self.dial_wanted = true;
        self.tell(Event::DialFailed { address, error });
    }

    pub(super) fn conn_timeout(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let Some(session) = conn.session() else {
            self.commands.push_back(Command::Close { conn: id });
            return self.dial_failed(now, id, DialError::TimedOut);
        };
        let mut events = core::mem::take(&mut self.session_events);
        session.handle_timeout(now, &self.local, &mut events);
        self.session_results(now, id, &mut events);
        self.session_events = events;
    }

    /// Acts on what a session reported, then looks at its deadlines and output.
    pub(super) fn session_results(
        &mut self,
        now: Instant,
        id: ConnId,
        events: &mut Vec<SessionEvent>,
    ) {
        for event in events.drain(..) {
            self.session_event(now, id, event);
        }
        self.after_session(id);
        self.refresh(now, id);
    }

    fn session_event(&mut self, now: Instant, id: ConnId, event: SessionEvent) {
        match event {
            SessionEvent::Retrieved { attempt, outcome } => {
                self.retrieved(now, id, attempt, outcome);
            }
            SessionEvent::Settled { accepted } => self.settled(now, id, accepted),
            SessionEvent::SettlementRefused => self.settlement_refused(now, id),
            SessionEvent::Threshold(threshold) => self.threshold(now, id, threshold),
            SessionEvent::Peers { version, peers } => self.learn(now, id, version, peers),
            SessionEvent::Handshaken {
                overlay,
                version,
                observed,
            } => {
                self.observe(observed.as_ref());
                self.handshaken(now, id, overlay, version);
            }
            SessionEvent::Identified { agent, observed } => {
                self.observe(observed.as_ref());
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.agent = agent;
                }
            }
            SessionEvent::Failed(reason) => self.drop_conn(now, id, reason),
        }
    }

    /// Remembers under which address a peer sees us, to tell the next ones.
    fn observe(&mut self, observed: Option<&Multiaddr>) {
        let ip = observed.and_then(|address| match address.parts().first() {
            Some(Protocol::Ip4(ip)) => Some(IpAddr::V4(*ip)),
            Some(Protocol::Ip6(ip)) => Some(IpAddr::V6(*ip)),
            _ => None,
        });
        if let Some(ip) = ip.filter(|ip| !ip.is_loopback() && !ip.is_unspecified()) {
            self.observed_ip = Some(ip);
        }
    }

    fn handshaken(&mut self, now: Instant, id: ConnId, overlay: Overlay, version: Version) {
        if self.book.is_banned(&overlay) {
            return self.drop_conn(now, id, DropReason::Banned);
        }
        if self.ready.get(&overlay).is_some() {
            return self.drop_conn(now, id, DropReason::Duplicate);
        }
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let claimed = self.book.overlay(conn.entry);
        self.book.connected(conn.entry, overlay);
        let class = if self.book.is_boot(conn.entry) {
            Class::LastResort
        } else {
            Class::Normal
        };
        conn.peer = Some(Box::new(Peer::new(overlay, version, class, now)));
        let threshold = conn.threshold;
        let connected = u64::try_from(self.ready.len()).unwrap_or(0);
        if let Some(session) = conn.session() {
            session.set_connected_peers(connected);
        }
        if let Some(claimed) = claimed.filter(|claimed| *claimed != overlay)
            && self.taken.get(&claimed) == Some(&id)
        {
            self.taken.remove(&claimed);
        }
        self.taken.insert(overlay, id);
        self.ready.insert(overlay, id);
        self.connecting = self.connecting.saturating_sub(1);
        self.dial_wanted = true;
        match threshold {
            Some(threshold) => self.threshold(now, id, threshold),
            None => self.timers.set(Timer::Pause(id), Some(now + PRICING_GRACE)),
        }
    }

    fn threshold(&mut self, now: Instant, id: ConnId, threshold: u64) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.threshold = Some(threshold);
        let Some(peer) = &mut conn.peer else {
            return;
        };
        if threshold < THRESHOLD_MIN {
            return self.drop_conn(now, id, DropReason::ThresholdTooLow(threshold));
        }
        peer.account.set_threshold(threshold);
        let overlay = peer.overlay;
        self.start_serving(now, id);
        self.tell(Event::ThresholdAnnounced { overlay, threshold });
    }

    /// From now on the peer may be asked.
    fn start_serving(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let Some(peer) = conn.peer.as_mut().filter(|peer| !peer.serving) else {
            return;
        };
        peer.serving = true;
        let event = Event::PeerUp {
            overlay: peer.overlay,
            address: conn.address,
            generation: peer.version.number(),
            agent: conn.agent.clone(),
        };
        match peer.class {
            Class::Normal => self.serving_normal = self.serving_normal.saturating_add(1),
            Class::LastResort => self.arm_last_resort(now),
        }
        self.timers.set(Timer::Pause(id), None);
        self.joined(now);
        self.tell(event);
        self.refresh(now, id);
    }

    pub(super) fn pause_over(&mut self, now: Instant, id: ConnId) {
        let Some(peer) = self.conns.get_mut(&id).and_then(|c| c.peer.as_mut()) else {
            return;
        };
        peer.paused_until = None;
        if peer.serving {
            self.refresh(now, id);
        } else {
            self.start_serving(now, id);
        }
    }

    fn learn(&mut self, now: Instant, id: ConnId, version: Version, peers: Peers) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        // Gossip counts only from a peer that has shown who it is.
        let Some(sender) = conn.peer.as_ref().map(|peer| peer.overlay) else {
            return;
        };
        let sender_ip = conn.address.ip();
        let (mut new, mut refused) = (0usize, peers.refused);
        for record in peers.records {
            if self.ready.get(&record.overlay).is_some() {
                continue;
            }
            let book = &mut self.book;
            match book.learn(now, sender, sender_ip, version, record, &mut self.rng) {
                Learnt::New => new = new.saturating_add(1),
                Learnt::Known => {}
                Learnt::Refused => refused = refused.saturating_add(1),
            }
        }
        self.dial_wanted |= new > 0;
        self.tell(Event::PeersLearnt { new, refused });
    }

    /// Ends a connection and puts its requests back.
    pub(super) fn drop_conn(&mut self, now: Instant, id: ConnId, reason: DropReason) {
        let Some(mut conn) = self.conns.remove(&id) else {
            return;
        };
        for timer in [Timer::Conn(id), Timer::Settle(id), Timer::Pause(id)] {
            self.timers.set(timer, None);
        }
        self.untake(id, &conn);
        let overlay = conn.peer.as_ref().map(|peer| peer.overlay);
        match &conn.peer {
            Some(peer) => self.unlist(peer),
            None => self.connecting = self.connecting.saturating_sub(1),
        }
        let released = match &reason {
            DropReason::WrongChunk(_) | DropReason::Banned => Released::Banned,
            DropReason::Duplicate => Released::Duplicate,
            DropReason::NetworkLost => Released::NetworkLost,
            reason if conn.peer.is_some() && reason.is_useless() => Released::Useless,
            _ if conn.peer.is_some() => Released::Ended,
            _ => Released::Unreachable,
        };
        self.book.release(now, conn.entry, released);
        let closed_by_peer = reason == DropReason::Closed;
        let address = conn.address;
        self.tell(Event::PeerDown {
            overlay,
            address,
            reason,
        });
        if let Some(session) = conn.session() {
            let attempts: Vec<_> = session.take_attempts().collect();
            for attempt in attempts {
                self.stats.attempts_open = self.stats.attempts_open.saturating_sub(1);
                self.attempt_lost(attempt.request, id);
            }
        }
        if !closed_by_peer {
            self.commands.push_back(Command::Close { conn: id });
            self.say_farewell(id, conn);
        }
        if !self.farewells.contains_key(&id) {
            self.unmark_writable(id);
        }
        self.dial_wanted = true;
    }

    fn say_farewell(&mut self, id: ConnId, conn: Conn) {
        let State::Open(mut session) = conn.state else {
            return;
        };
        session.close();
        if session.wants_output() && self.farewells.len() < FAREWELLS_MAX {
            self.farewells.insert(id, *session);
            self.mark_writable(id);
        }
    }

    /// Takes a peer out of every table.
    fn unlist(&mut self, peer: &Peer) {
        self.hedges_open = self.hedges_open.saturating_sub(peer.hedges.len());
        self.ready.remove(&peer.overlay);
        self.available.remove(&peer.overlay);
        self.last_resort.remove(&peer.overlay);
        if peer.serving && peer.class == Class::Normal {
            self.serving_normal = self.serving_normal.saturating_sub(1);
        }
        if peer.block == Block::Credit {
            self.credit_blocked = self.credit_blocked.saturating_sub(1);
        }
    }

    fn untake(&mut self, id: ConnId, conn: &Conn) {
        let overlays = [
            conn.peer.as_ref().map(|peer| peer.overlay),
            self.book.overlay(conn.entry),
        ];
        for overlay in overlays.into_iter().flatten() {
            if self.taken.get(&overlay) == Some(&id) {
                self.taken.remove(&overlay);
            }
        }
    }

    /// Looks at a session's deadline and output after something was done with it.
    pub(super) fn after_session(&mut self, id: ConnId) {
        let Some(session) = self.conns.get_mut(&id).and_then(Conn::session) else {
            return;
        };
        let at = session.poll_timeout();
        if session.wants_output() {
            self.mark_writable(id);
        }
        self.timers.set(Timer::Conn(id), at);
    }

    pub(super) fn close_all(&mut self, now: Instant) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.drop_conn(now, conn, DropReason::Shutdown);
        }
    }
}

/// Addresses to list in identify. bee keeps those that fit where we connect from (loopback, private, public) and waits 10 s when
/// nothing is left (SPEC swarm-wire 1.6); nobody dials them, because light nodes are never gossiped.
fn own_addresses(
    remote: IpAddr,
    local: Option<IpAddr>,
    observed: Option<IpAddr>,
) -> Vec<Multiaddr> {
    let loopback = remote
        .is_loopback()
        .then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut out: Vec<Multiaddr> = Vec::new();
    for ip in [loopback, local, observed].into_iter().flatten() {
        let address = Multiaddr::from_tcp((ip, PORT).into());
        if !out.contains(&address) {
            out.push(address);
        }
    }
    out
}
