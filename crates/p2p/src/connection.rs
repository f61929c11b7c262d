//! One libp2p connection: negotiation, encryption, multiplexing, and the two protocols every connection answers (identify, ping).
//!
//! The way of received bytes: [`Connection::handle_input`] collects one Noise message, decrypts it in place, and hands the plaintext to
//! Yamux, which copies data to the streams; a negotiated stream's data is then readable. The way back: [`Connection::poll_output`] lets
//! Yamux write as many frames as fit straight into the caller's room and encrypts them there as one Noise message.
mod config;
mod error;
mod mux;
mod upgrade;

use crate::buffer::Buffer;
use crate::{Instant, Multiaddr, PeerId, PublicKey};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use mux::Mux;
use upgrade::Upgrade;

pub use config::{Config, Limits};
pub use error::Error;

/// Which side opened the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We connected.
    Dialer,
    /// We accepted.
    Listener,
}

/// Id of a stream within one connection; never reused for a stream of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Secured and multiplexed; streams may be opened.
    Connected {
        /// Authenticated peer.
        peer: PeerId,
    },
    /// The peer answered our identify request.
    Identified {
        /// agentVersion, at most 256 bytes.
        agent: String,
        /// Protocols the peer serves.
        protocols: Vec<String>,
        /// Addresses it listens on (unparsable ones skipped).
        listen_addrs: Vec<Multiaddr>,
        /// How it sees us.
        observed_addr: Option<Multiaddr>,
    },
    /// An outbound stream's protocol was accepted: index into the list given to [`Connection::open`].
    Negotiated {
        /// The stream.
        stream: StreamId,
        /// Which of the proposals.
        index: usize,
    },
    /// The peer accepts none of the proposals; the stream is gone.
    NotSupported {
        /// The stream.
        stream: StreamId,
    },
    /// The peer opened a stream for `protocols[index]` of the [`Config`].
    Incoming {
        /// The stream.
        stream: StreamId,
        /// Which of our protocols.
        index: usize,
    },
    /// New bytes in [`Connection::received`].
    Readable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer half-closed; what is in [`Connection::received`] is all. Once that is consumed and our side is closed, the stream is gone.
    Finished {
        /// The stream.
        stream: StreamId,
    },
    /// The stream is gone: the peer reset it, its negotiation was malformed or took too long, or it brought the connection over
    /// [`Limits::received_bytes_max`].
    Reset {
        /// The stream.
        stream: StreamId,
    },
    /// The connection is over. Last event.
    Closed {
        /// Why.
        error: Error,
    },
}

/// Why a connection wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReason {
    /// Handshake deadline.
    Handshake,
    /// Next keepalive ping.
    Keepalive,
    /// Keepalive answer deadline.
    KeepaliveLost,
    /// Negotiation deadline of a stream.
    Negotiation,
}

/// Unread events stop the input at this number: a peer cannot make them pile up faster than they are read.
const EVENTS_MAX: usize = 1024;
/// A room smaller than this gets bytes of a small message made elsewhere: encryption in the room would cost too many tags.
const DIRECT_ROOM_MIN: usize = 128;
/// Size of that small message.
const DETOUR_BYTES: usize = 2048;

/// Where a connection stands.
enum State {
    Upgrading(Box<Upgrade>),
    Open(Box<Mux>),
    /// Over, before it was open.
    Failed,
}

/// One libp2p connection as a state machine.
pub struct Connection {
    config: Config,
    state: State,
    /// Bytes for the wire that are made already: the handshake's, and what a tiny room left over.
    out: Buffer,
    /// The message that is being received.
    message: Vec<u8>,
    /// The part of `message` that is decrypted and waits to be parsed.
    plain: Range<usize>,
    events: VecDeque<Event>,
    error: Option<Error>,
    peer: Option<PublicKey>,
    handshake_deadline: Instant,
    /// The latest time we were told.
    now: Instant,
}

impl Connection {
    /// Starts a connection over a fresh byte stream.
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        let mut out = Buffer::default();
        let upgrade = Upgrade::new(role, &config, now, out.tail());
        Self {
            handshake_deadline: now.saturating_add(config.limits.handshake_timeout),
            config,
            state: State::Upgrading(Box::new(upgrade)),
            out,
            message: Vec::new(),
            plain: 0..0,
            events: VecDeque::new(),
            error: None,
            peer: None,
            now,
        }
    }

    /// Takes received bytes; returns how many it consumed (all, unless its own output buffer or event queue is full: then transmit and
    /// take events first and call again with the rest).
    ///
    /// # Errors
    /// Every error closes the connection and is also the last event.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, Error> {
        self.now = now;
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.receive(bytes).map_err(|error| self.fail(error))
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let mut rest = bytes;
        loop {
            if !self.handle_plain()? {
                break;
            }
            let wanted = match &self.state {
                State::Upgrading(upgrade) => upgrade.wanted(&self.message)?,
                State::Open(_) => upgrade::wanted_of_message(&self.message, usize::MAX)?,
                State::Failed => break,
            };
            if wanted > 0 {
                if rest.is_empty() {
                    break;
                }
                let (part, after) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
                self.message.extend_from_slice(part);
                rest = after;
                continue;
            }
            self.handle_message()?;
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// Acts on a complete message.
    fn handle_message(&mut self) -> Result<(), Error> {
        match &mut self.state {
            State::Failed => {}
            State::Open(mux) => {
                let sealed = self.message.get_mut(2..).unwrap_or(&mut []);
                let length = mux.decrypt(sealed)?;
                self.plain = 2..length.saturating_add(2);
            }
            State::Upgrading(upgrade) => {
                let out = self.out.tail();
                let done = upgrade.handle_message(self.now, &mut self.message, out)?;
                self.message.clear();
                if let Some(done) = done {
                    self.message = done.plaintext;
                    self.plain = 0..self.message.len();
                    self.peer = Some(done.peer);
                    let peer = done.peer_id;
                    self.events.push_back(Event::Connected { peer });
                    let mux = Mux::new(
                        done.role,
                        &self.config,
                        self.now,
                        done.transport,
                        done.round_trip,
                    );
                    self.state = State::Open(Box::new(mux));
                    if self.config.identify_peer
                        && let State::Open(mux) = &mut self.state
                    {
                        mux.ask_identify(self.now, &self.config)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Hands decrypted bytes to the multiplexer; false when some have to wait.
    fn handle_plain(&mut self) -> Result<bool, Error> {
        let State::Open(mux) = &mut self.state else {
            return Ok(true);
        };
        while !self.plain.is_empty() {
            if self.events.len() >= EVENTS_MAX {
                return Ok(false);
            }
            let bytes = self.message.get(self.plain.clone()).unwrap_or(&[]);
            let used = mux.handle_plain(self.now, &self.config, bytes, &mut self.events)?;
            self.plain.start = self.plain.start.saturating_add(used);
            if used == 0 {
                return Ok(false);
            }
        }
        if self.plain.end > 0 {
            self.plain = 0..0;
            self.message.clear();
        }
        Ok(true)
    }

    /// Ends the connection.
    fn fail(&mut self, error: Error) -> Error {
        if self.error.is_none() {
            self.error = Some(error.clone());
            self.plain = 0..0;
            self.events.push_back(Event::Closed {
                error: error.clone(),
            });
            match &mut self.state {
                State::Open(mux) => mux.go_away(&error),
                _ => self.state = State::Failed,
            }
        }
        error
    }

    /// Fills `room` with bytes to send; returns how many. Zero: nothing to send now.
    ///
    /// Rooms of some kilobytes and more are used best: each call makes one Noise message for all that fits.
    pub fn poll_output(&mut self, now: Instant, room: &mut [u8]) -> usize {
        self.now = now;
        let mut written = self.out.move_to(room);
        while self.out.is_empty()
            && let State::Open(mux) = &mut self.state
            && mux.wants_output()
        {
            let rest = room.get_mut(written..).unwrap_or(&mut []);
            let result = if rest.len() >= DIRECT_ROOM_MIN {
                mux.write_message(now, rest)
            } else if written == 0 && !rest.is_empty() {
                let out = self.out.tail();
                out.resize(DETOUR_BYTES, 0);
                let result = mux.write_message(now, out);
                out.truncate(*result.as_ref().unwrap_or(&0));
                result.map(|_| self.out.move_to(rest))
            } else {
                break;
            };
            match result {
                Ok(0) => break,
                Ok(count) => written = written.saturating_add(count),
                Err(error) => {
                    self.fail(error);
                    break;
                }
            }
        }
        self.resume();
        written
    }

    /// Goes on with decrypted bytes that had to wait.
    fn resume(&mut self) {
        if self.error.is_none()
            && !self.plain.is_empty()
            && let Err(error) = self.handle_plain()
        {
            self.fail(error);
        }
    }

    /// Says whether [`poll_output`](Self::poll_output) would give bytes.
    pub fn wants_output(&self) -> bool {
        !self.out.is_empty() || matches!(&self.state, State::Open(mux) if mux.wants_output())
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if self.events.is_empty() {
                self.resume();
            }
            let event = self.events.pop_front()?;
            let State::Open(mux) = &mut self.state else {
                return Some(event);
            };
            // Events of streams that their owner has reset in the meantime are dropped.
            let current = match &event {
                Event::Readable { stream } => mux.readable_told(*stream),
                Event::Finished { stream } => mux.finish_told(*stream),
                _ => true,
            };
            if current {
                return Some(event);
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, TimeoutReason)> {
        if self.error.is_some() {
            return None;
        }
        match &self.state {
            State::Upgrading(_) => Some((self.handshake_deadline, TimeoutReason::Handshake)),
            State::Open(mux) => Some(mux.poll_timeout(&self.config)),
            State::Failed => None,
        }
    }

    /// Lets deadlines act.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.error.is_some() {
            return;
        }
        let result = match &mut self.state {
            State::Upgrading(_) if now >= self.handshake_deadline => Err(Error::HandshakeTimeout),
            State::Open(mux) => mux.handle_timeout(now, &self.config, &mut self.events),
            _ => Ok(()),
        };
        if let Err(error) = result {
            self.fail(error);
        }
    }

    fn mux(&mut self) -> Result<&mut Mux, Error> {
        match (&self.error, &mut self.state) {
            (Some(error), _) => Err(error.clone()),
            (None, State::Open(mux)) => Ok(mux),
            (None, _) => Err(Error::NotConnected),
        }
    }

    /// Opens a stream, proposing `protocols` one after the other; `initial` goes out in the same packet as the first proposal when
    /// there is exactly one (one-packet negotiation) and after the negotiation otherwise.
    ///
    /// # Errors
    /// [`Error::NotConnected`] before [`Event::Connected`], [`Error::TooManyStreams`], [`Error::BadProposal`],
    /// [`Error::SendBufferFull`] when `initial` is over the limit, and the reason of the end after [`Event::Closed`].
    pub fn open(
        &mut self,
        now: Instant,
        protocols: &[&str],
        initial: &[u8],
    ) -> Result<StreamId, Error> {
        self.now = now;
        let timeout = self.config.limits.negotiation_timeout;
        self.mux()?.open(now, timeout, protocols, initial)
    }

    /// Bytes received on a stream and not yet consumed, contiguous. Empty while the protocol is being negotiated, and for unknown streams.
    pub fn received(&self, stream: StreamId) -> &[u8] {
        match &self.state {
            State::Open(mux) => mux.received(stream),
            _ => &[],
        }
    }

    /// Drops the first `count` received bytes and grants the peer window for them.
    pub fn consume(&mut self, stream: StreamId, count: usize) {
        let now = self.now;
        if let State::Open(mux) = &mut self.state {
            mux.consume(stream, now, count);
        }
    }

    /// Says whether the peer has half-closed and everything was received; true for streams that are gone.
    pub fn is_finished(&self, stream: StreamId) -> bool {
        match &self.state {
            State::Open(mux) => mux.is_finished(stream),
            _ => true,
        }
    }

    /// Queues bytes on a stream.
    ///
    /// # Errors
    /// [`Error::NoSuchStream`], [`Error::WriteClosed`] after [`close_write`](Self::close_write), [`Error::SendBufferFull`] (nothing was
    /// queued), and the reason of the end after [`Event::Closed`].
    pub fn write(&mut self, stream: StreamId, bytes: &[u8]) -> Result<(), Error> {
        self.mux()?.write(stream, bytes)
    }

    /// Bytes queued on a stream and not yet sent.
    pub fn queued(&self, stream: StreamId) -> usize {
        match &self.state {
            State::Open(mux) => mux.queued(stream),
            _ => 0,
        }
    }

    /// Half-closes our side after what is queued. When the peer has too, [`Event::Finished`] was taken and everything is consumed, the
    /// stream is gone.
    pub fn close_write(&mut self, stream: StreamId) {
        if let Ok(mux) = self.mux() {
            mux.close_write(stream);
        }
    }

    /// Resets a stream; it is gone, and no event tells so.
    pub fn reset(&mut self, stream: StreamId) {
        if let Ok(mux) = self.mux() {
            mux.reset(stream);
        }
    }

    /// The authenticated peer, after [`Event::Connected`].
    pub const fn peer(&self) -> Option<&PublicKey> {
        self.peer.as_ref()
    }

    /// Round-trip time of the last keepalive or of the handshake, when known.
    pub fn round_trip(&self) -> Option<core::time::Duration> {
        match &self.state {
            State::Open(mux) => mux.round_trip(),
            _ => None,
        }
    }

    /// Queues a Yamux go-away behind everything queued; the driver closes the byte stream after the output is sent.
    /// [`Event::Closed`] with [`Error::ClosedByUs`] follows.
    pub fn close(&mut self) {
        self.fail(Error::ClosedByUs);
    }
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let state = match &self.state {
            State::Upgrading(_) => "upgrading",
            State::Open(_) => "open",
            State::Failed => "failed",
        };
        f.debug_struct("Connection")
            .field("state", &state)
            .field("peer", &self.peer)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
