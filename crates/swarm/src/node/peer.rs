//! What the node knows about one connection.
use crate::account::Account;
use crate::book::EntryId;
use crate::messages::Version;
use crate::session::Session;
use crate::types::PeerInfo;
use crate::window::Window;
use alloc::boxed::Box;
use alloc::string::String;
use bmt::Overlay;
use core::net::SocketAddr;
use p2p::{Instant, Multiaddr};

/// With this many more refusals than chunks, a peer is asked only for chunks that it is closest to.
const REFUSED_HOME: u32 = 8;
/// Refusals beyond this are not counted, so that a peer can redeem itself.
const REFUSED_MAX: u32 = 16;

/// One connection, from the dial on.
pub(super) struct Conn {
    pub(super) address: SocketAddr,
    pub(super) dialed: Multiaddr,
    pub(super) entry: EntryId,
    /// Told by identify, which may come before or after the handshake.
    pub(super) agent: String,
    /// Announced before the handshake was complete on our side.
    pub(super) threshold: Option<u64>,
    pub(super) state: State,
    /// The peer, after the handshake.
    pub(super) peer: Option<Box<Peer>>,
}

/// How far a connection is.
pub(super) enum State {
    /// The driver is connecting.
    Dialing,
    /// Bytes flow.
    Open(Box<Session>),
}

/// Why a peer cannot be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// It can.
    Free,
    /// It has not announced a threshold yet.
    NotServing,
    /// We owe it too much.
    Credit,
    /// Enough is under way.
    Window,
    /// It does not answer what it was asked.
    Lagging,
    /// It asked for a pause.
    Paused,
}

/// Which peers are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Everybody.
    Normal,
    /// Bootnodes, which bee itself never asks, until they deliver something.
    LastResort,
}

/// A peer after the handshake.
pub(super) struct Peer {
    pub(super) overlay: Overlay,
    pub(super) version: Version,
    pub(super) account: Account,
    pub(super) window: Window,
    pub(super) class: Class,
    /// As last computed; the tables of the node agree with it.
    pub(super) block: Block,
    pub(super) serving: bool,
    pub(super) lagging: bool,
    pub(super) paused_until: Option<Instant>,
    pub(super) last_answer: Instant,
    pub(super) chunks: u64,
    /// Requests it broke off since its last chunk.
    pub(super) broken: u32,
    /// Refusals, less one for each chunk delivered.
    pub(super) refused: u32,
    /// Amount of the settlement under way, for the event when it is refused.
    pub(super) settling: u64,
}

impl Conn {
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Dialing => None,
            State::Open(session) => Some(session),
        }
    }

    pub(super) fn info(&self) -> Option<PeerInfo> {
        let peer = self.peer.as_ref()?;
        let round_trip = match &self.state {
            State::Dialing => None,
            State::Open(session) => session.round_trip(),
        };
        Some(PeerInfo {
            overlay: peer.overlay,
            address: self.address,
            agent: self.agent.clone(),
            chunks: peer.chunks,
            debt: peer.account.debt(),
            threshold: peer.account.threshold(),
            round_trip,
            latency: peer.window.latency(),
        })
    }
}

impl Peer {
    pub(super) fn new(overlay: Overlay, version: Version, class: Class, now: Instant) -> Self {
        Self {
            overlay,
            version,
            account: Account::new(now),
            window: Window::new(now),
            class,
            block: Block::NotServing,
            serving: false,
            lagging: false,
            paused_until: None,
            last_answer: now,
            chunks: 0,
            broken: 0,
            refused: 0,
            settling: 0,
        }
    }

    pub(super) fn current_block(&self, now: Instant) -> Block {
        if !self.serving {
            Block::NotServing
        } else if self.paused_until.is_some_and(|until| now < until) {
            Block::Paused
        } else if self.lagging {
            Block::Lagging
        } else if self.account.is_short() {
            Block::Credit
        } else if !self.window.has_room() {
            Block::Window
        } else {
            Block::Free
        }
    }

    /// The peer cannot find a chunk.
    pub(super) fn note_refusal(&mut self) {
        self.refused = self.refused.saturating_add(1).min(REFUSED_MAX);
    }

    /// Says whether it is only worth asking for chunks that it is closest to: it seems not to forward.
    pub(super) const fn is_home_only(&self) -> bool {
        self.refused >= REFUSED_HOME
    }

    /// The peer answered something.
    pub(super) const fn answered(&mut self, now: Instant) {
        self.last_answer = now;
        self.lagging = false;
    }
}
