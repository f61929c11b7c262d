//! What the node knows about one connection.
use crate::account::Account;
use crate::book::EntryId;
use crate::messages::Version;
use crate::session::{Attempt, Session};
use crate::types::PeerInfo;
use crate::window::Window;
use alloc::boxed::Box;
use alloc::string::String;
use bmt::Overlay;
use core::net::SocketAddr;
use core::time::Duration;
use litemap::LiteMap;
use p2p::{Instant, Multiaddr};

/// With this many more refusals than chunks, a peer is asked only for chunks that it is closest to.
const REFUSED_HOME: u32 = 8;
/// Refusals beyond this are not counted, so that a peer can redeem itself.
const REFUSED_MAX: u32 = 16;

/// Requests that a peer gets at once to see whether it answers again.
const PROBES: u32 = 2;
/// First pause before them; it doubles while they stay unanswered.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause before them.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(4);

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
    /// It does not answer, and has enough to show that it does again.
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
    /// How long it is left alone before it is probed again, while it lags.
    pub(super) probe_pause: Duration,
    pub(super) last_answer: Instant,
    /// When the youngest attempt that it has answered was started.
    pub(super) answered_up_to: Instant,
    /// Requests that hang here: the window does not count them.
    pub(super) stuck: LiteMap<u64, ()>,
    /// Requests that are here on the budget for second attempts. Those that hang leave it.
    pub(super) hedges: LiteMap<u64, ()>,
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
            probe_pause: PROBE_PAUSE_MIN,
            last_answer: now,
            answered_up_to: now,
            stuck: LiteMap::new_vec(),
            hedges: LiteMap::new_vec(),
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
        } else if self.lagging && self.window.in_flight() >= PROBES {
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

    /// Says whether it is only worth asking for chunks that it is closest to, because it seems not to forward, or waits for those
    /// that it forwarded to: an own chunk it can answer at once.
    pub(super) const fn is_home_only(&self) -> bool {
        self.lagging || self.refused >= REFUSED_HOME
    }

    /// Says whether the peer has answered what it was asked considerably later.
    pub(super) fn is_overtaken(&self, started: Instant) -> bool {
        let margin = self.window.latency().unwrap_or_default() / 4;
        self.answered_up_to > started + margin
    }

    /// The peer answered something.
    pub(super) fn answered(&mut self, now: Instant, attempt: &Attempt) {
        self.last_answer = now;
        self.answered_up_to = self.answered_up_to.max(attempt.started);
        if core::mem::take(&mut self.lagging) {
            self.paused_until = None;
            self.probe_pause = PROBE_PAUSE_MIN;
        }
    }

    /// An attempt ended in some way. Returns how many places in the budget for second attempts that frees.
    pub(super) fn ended(&mut self, attempt: &Attempt) -> usize {
        if self.stuck.remove(&attempt.request).is_some() {
            self.window.unstick();
        }
        usize::from(self.hedges.remove(&attempt.request).is_some())
    }

    /// One request hangs: another may go out in its place. Returns how many places in the budget for second attempts that frees.
    pub(super) fn stick(&mut self, request: u64) -> usize {
        if self.stuck.insert(request, ()).is_none() {
            self.window.stick();
        }
        usize::from(self.hedges.remove(&request).is_some())
    }

    /// The peer answers nothing. Returns until when to leave it alone; then it is probed.
    pub(super) fn fall_silent(&mut self, now: Instant) -> Instant {
        if !core::mem::replace(&mut self.lagging, true) {
            self.window.shrink();
        }
        let pause = self.probe_pause;
        self.probe_pause = pause.saturating_mul(2).min(PROBE_PAUSE_MAX);
        now + pause
    }
}
