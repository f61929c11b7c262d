//! An open connection: encrypted messages, streams and their negotiation, identify, ping, keepalive.
mod peer;

use super::{Config, Error, Event, StreamId, TimeoutReason};
use crate::identify;
use crate::multistream::{Dialer, Listener};
use crate::noise::{MESSAGE_BYTES_MAX, TAG_BYTES, Transport};
use crate::yamux::{self, GO_AWAY_INTERNAL_ERROR, GO_AWAY_NORMAL, GO_AWAY_PROTOCOL_ERROR, Session};
use crate::{Instant, Role};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use litemap::LiteMap;

/// Protocol id of ping.
// SPEC libp2p "ping".
const PING: &str = "/ipfs/ping/1.0.0";
/// Protocols served without the owner, before its own in the list of the listener.
const INTERNAL: [&str; 2] = [identify::PROTOCOL, PING];
/// A ping peer that lets this many answers lie is reset.
const PING_QUEUE_BYTES_MAX: usize = 1024;
/// Most proposals for one stream.
const PROPOSALS_MAX: usize = 8;
/// Longest proposal: a token has 1024 bytes with its newline.
const PROPOSAL_BYTES_MAX: usize = 1023;
/// Bytes around a message's plaintext: length in front, tag behind.
const OVERHEAD: usize = 2 + TAG_BYTES;

/// What a stream is used for.
#[derive(Debug, Default)]
enum Use {
    /// Nothing is expected any more; whatever arrives is dropped.
    #[default]
    Done,
    Dialing {
        dialer: Dialer,
        /// What the owner wants to send once a protocol is chosen; only with several proposals.
        waiting: Option<Vec<u8>>,
        close: bool,
        for_identify: bool,
        deadline: Instant,
    },
    Listening {
        listener: Listener,
        deadline: Instant,
    },
    /// The owner's.
    Owner { readable_queued: bool },
    /// We asked for identify.
    Identify {
        reader: identify::Reader,
        deadline: Instant,
    },
    /// The peer pings.
    Ping,
}

/// An open connection.
pub(super) struct Mux {
    transport: Transport,
    session: Session<Use>,
    /// Negotiations by deadline.
    deadlines: LiteMap<(Instant, u32), ()>,
    next_ping: Instant,
    /// Value and time of the ping that is not answered yet.
    ping: Option<(u32, Instant)>,
    ping_value: u32,
    round_trip: Option<Duration>,
    /// Reused for what negotiations write.
    scratch: Vec<u8>,
}

impl Mux {
    pub(super) fn new(
        role: Role,
        config: &Config,
        now: Instant,
        transport: Transport,
        round_trip: Option<Duration>,
    ) -> Self {
        let limits = config.limits;
        let mut session = Session::new(
            role,
            yamux::Limits {
                window_bytes_max: limits.window_bytes_max,
                received_bytes_max: limits.received_bytes_max,
                send_buffer_bytes_max: limits.send_buffer_bytes_max,
                inbound_streams_max: limits.inbound_streams_max,
                outbound_streams_max: limits.outbound_streams_max,
            },
        );
        if let Some(round_trip) = round_trip {
            session.set_round_trip(round_trip);
        }
        Self {
            transport,
            session,
            deadlines: LiteMap::new_vec(),
            next_ping: now.saturating_add(limits.keepalive_interval),
            ping: None,
            ping_value: 0,
            round_trip,
            scratch: Vec::new(),
        }
    }

    // ---- bytes ----

    /// Decrypts a message in place; the plaintext is the returned number of bytes in front.
    pub(super) fn decrypt(&mut self, message: &mut [u8]) -> Result<usize, Error> {
        Ok(self.transport.receive.open(&[], message)?)
    }

    /// Parses decrypted bytes and acts on them; returns how many were used. Zero: output must be sent first.
    pub(super) fn handle_plain(
        &mut self,
        now: Instant,
        config: &Config,
        bytes: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<usize, Error> {
        let used = self.session.handle_input(now, bytes)?;
        while let Some(event) = self.session.poll_event() {
            match event {
                yamux::Event::Opened(id) => {
                    let deadline = now.saturating_add(config.limits.negotiation_timeout);
                    let listener = Listener::default();
                    self.put(id, Use::Listening { listener, deadline });
                    self.deadlines.insert((deadline, id), ());
                }
                yamux::Event::Readable(id) => self.handle_data(id, now, config, events),
                yamux::Event::Finished(id) => self.handle_end(id, events),
                yamux::Event::Reset(id, used_for) => self.forget(id, &used_for, Some(events)),
                yamux::Event::Pong(value) => self.handle_pong(value, now, config),
                yamux::Event::GoAway(code) => return Err(Error::GoneAway { code }),
            }
        }
        Ok(used)
    }

    pub(super) fn wants_output(&self) -> bool {
        self.session.wants_output()
    }

    /// Writes one encrypted message of as many frames as fit to `room`; returns its length.
    pub(super) fn write_message(&mut self, now: Instant, room: &mut [u8]) -> Result<usize, Error> {
        let longest = MESSAGE_BYTES_MAX.saturating_add(2);
        let length = room.len().min(longest).saturating_sub(OVERHEAD);
        let Some((prefix, rest)) = room.split_first_chunk_mut::<2>() else {
            return Ok(0);
        };
        let body = rest.get_mut(..length).unwrap_or(&mut []);
        let written = self.session.poll_output(now, body);
        if written == 0 {
            return Ok(0);
        }
        let (body, behind) = rest.split_at_mut_checked(written).ok_or(Error::Internal)?;
        let tag = self.transport.send.seal(&[], body)?;
        *behind.first_chunk_mut().ok_or(Error::Internal)? = tag;
        let sealed = written.saturating_add(TAG_BYTES);
        *prefix = u16::try_from(sealed)
            .map_err(|_| Error::Internal)?
            .to_be_bytes();
        Ok(sealed.saturating_add(2))
    }

    /// Says good-bye to the peer.
    pub(super) fn go_away(&mut self, error: &Error) {
        let code = match error {
            Error::ClosedByUs | Error::GoneAway { .. } => GO_AWAY_NORMAL,
            _ if error.is_peer_fault() => GO_AWAY_PROTOCOL_ERROR,
            _ => GO_AWAY_INTERNAL_ERROR,
        };
        self.session.go_away(code);
    }

    // ---- time ----

    pub(super) fn poll_timeout(&self, config: &Config) -> (Instant, TimeoutReason) {
        let keepalive = match self.ping {
            Some((_, sent)) => (
                sent.saturating_add(config.limits.keepalive_timeout),
                TimeoutReason::KeepaliveLost,
            ),
            None => (self.next_ping, TimeoutReason::Keepalive),
        };
        match self.deadlines.first() {
            Some((&(deadline, _), ())) if deadline < keepalive.0 => {
                (deadline, TimeoutReason::Negotiation)
            }
            _ => keepalive,
        }
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        config: &Config,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Error> {
        while let Some((&first, ())) = self.deadlines.first()
            && first.0 <= now
        {
            self.deadlines.remove(&first);
            self.abandon(first.1, events);
        }
        match self.ping {
            Some((_, sent)) if now >= sent.saturating_add(config.limits.keepalive_timeout) => {
                return Err(Error::KeepaliveLost);
            }
            None if now >= self.next_ping => {
                self.ping_value = self.ping_value.wrapping_add(1);
                self.ping = Some((self.ping_value, now));
                self.session.ping(self.ping_value);
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_pong(&mut self, value: u32, now: Instant, config: &Config) {
        if let Some((expected, sent)) = self.ping
            && expected == value
        {
            let round_trip = now.saturating_since(sent);
            self.round_trip = Some(round_trip);
            self.session.set_round_trip(round_trip);
            self.ping = None;
            self.next_ping = now.saturating_add(config.limits.keepalive_interval);
        }
    }

    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    // ---- what the owner does with streams ----

    pub(super) fn open(
        &mut self,
        now: Instant,
        timeout: Duration,
        protocols: &[&str],
        initial: &[u8],
    ) -> Result<StreamId, Error> {
        let bad = protocols.is_empty()
            || protocols.len() > PROPOSALS_MAX
            || protocols.iter().any(|text| text.len() > PROPOSAL_BYTES_MAX);
        if bad {
            return Err(Error::BadProposal);
        }
        if initial.len() > self.session.send_buffer_bytes_max() {
            return Err(Error::SendBufferFull);
        }
        let id = self.session.open(now)?;
        self.scratch.clear();
        let dialer = Dialer::new(protocols, &mut self.scratch);
        let waiting = if protocols.len() == 1 {
            self.scratch.extend_from_slice(initial);
            None
        } else {
            Some(initial.to_vec())
        };
        if let Err(refused) = self.session.write(id, &self.scratch) {
            self.session.reset(id);
            return Err(refused.into());
        }
        let deadline = now.saturating_add(timeout);
        self.deadlines.insert((deadline, id), ());
        self.put(
            id,
            Use::Dialing {
                dialer,
                waiting,
                close: false,
                for_identify: false,
                deadline,
            },
        );
        Ok(StreamId(id))
    }

    /// Asks the peer who it is.
    pub(super) fn ask_identify(&mut self, now: Instant, config: &Config) -> Result<(), Error> {
        let timeout = config.limits.negotiation_timeout;
        let StreamId(id) = self.open(now, timeout, &[identify::PROTOCOL], &[])?;
        if let Some(Use::Dialing { for_identify, .. }) = self.session.user(id) {
            *for_identify = true;
        }
        Ok(())
    }

    /// Says whether the stream belongs to the owner: proposed by it, or negotiated for it.
    fn is_owned(&self, id: u32) -> bool {
        match self.session.user_ref(id) {
            Some(Use::Owner { .. }) => true,
            Some(Use::Dialing { for_identify, .. }) => !for_identify,
            _ => false,
        }
    }

    pub(super) fn received(&self, stream: StreamId) -> &[u8] {
        match self.session.user_ref(stream.0) {
            Some(Use::Owner { .. }) => self.session.received(stream.0),
            _ => &[],
        }
    }

    pub(super) fn consume(&mut self, stream: StreamId, now: Instant, count: usize) {
        if let Some(Use::Owner { .. }) = self.session.user_ref(stream.0) {
            self.session.consume(stream.0, now, count);
        }
    }

    pub(super) fn is_finished(&self, stream: StreamId) -> bool {
        self.session.is_finished(stream.0)
    }

    pub(super) fn write(&mut self, stream: StreamId, bytes: &[u8]) -> Result<(), Error> {
        if !self.is_owned(stream.0) {
            return Err(Error::NoSuchStream);
        }
        let limit = self.session.send_buffer_bytes_max();
        if let Some(Use::Dialing {
            waiting: Some(waiting),
            close,
            ..
        }) = self.session.user(stream.0)
        {
            if *close {
                return Err(Error::WriteClosed);
            }
            if waiting.len().saturating_add(bytes.len()) > limit {
                return Err(Error::SendBufferFull);
            }
            waiting.extend_from_slice(bytes);
            return Ok(());
        }
        Ok(self.session.write(stream.0, bytes)?)
    }

    pub(super) fn queued(&self, stream: StreamId) -> usize {
        let waiting = match self.session.user_ref(stream.0) {
            Some(Use::Dialing {
                waiting: Some(waiting),
                ..
            }) => waiting.len(),
            _ => 0,
        };
        self.session.queued(stream.0).saturating_add(waiting)
    }

    pub(super) fn close_write(&mut self, stream: StreamId) {
        if !self.is_owned(stream.0) {
            return;
        }
        if let Some(Use::Dialing {
            waiting: Some(_),
            close,
            ..
        }) = self.session.user(stream.0)
        {
            *close = true;
            return;
        }
        self.session.close_write(stream.0);
    }

    pub(super) fn reset(&mut self, stream: StreamId) {
        if self.is_owned(stream.0)
            && let Some(used_for) = self.session.reset(stream.0)
        {
            self.forget(stream.0, &used_for, None);
        }
    }

    /// The owner takes a `Readable` event; false when the stream is gone.
    pub(super) fn readable_told(&mut self, stream: StreamId) -> bool {
        match self.session.user(stream.0) {
            Some(Use::Owner { readable_queued }) => {
                *readable_queued = false;
                true
            }
            _ => false,
        }
    }

    /// The owner takes a `Finished` event; false when the stream is gone.
    pub(super) fn finish_told(&mut self, stream: StreamId) -> bool {
        if let Some(Use::Owner { .. }) = self.session.user_ref(stream.0) {
            self.session.finish_told(stream.0);
            return true;
        }
        false
    }

    /// No streams, no deadlines.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.session.stream_count() == 0 && self.deadlines.is_empty()
    }

    /// Opens a stream without negotiating anything.
    #[cfg(test)]
    pub(super) fn open_raw(&mut self, now: Instant, bytes: &[u8]) -> StreamId {
        let id = self.session.open(now).unwrap();
        self.session.write(id, bytes).unwrap();
        StreamId(id)
    }

    /// Encrypts bytes that no session wrote.
    #[cfg(test)]
    pub(super) fn seal_raw(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut message = plain.to_vec();
        let tag = self.transport.send.seal(&[], &mut message).unwrap();
        message.extend_from_slice(&tag);
        let length = u16::try_from(message.len()).unwrap();
        [&length.to_be_bytes()[..], &message].concat()
    }
}
