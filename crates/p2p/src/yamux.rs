//! Yamux: many streams over one reliable byte stream.
//!
//! Spec: hashicorp/yamux "Specification" as libp2p uses it (`/yamux/1.0.0`). Plain bytes in and out; the connection encrypts them.
//! Received bytes are copied once, from the decrypted message to their stream's buffer; frames are built in the room they are sent from.
mod frame;
mod stream;

use crate::buffer::Buffer;
use crate::connection::Role;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;
use frame::{ACK, FIN, HEADER_BYTES, Header, Kind, RST, SYN};
use litemap::LiteMap;
use stream::Stream;

/// Both directions of every stream begin with this window.
// SPEC yamux "Flow Control": 256 KiB.
pub(crate) const WINDOW_BYTES_INITIAL: u32 = 256 * 1024;
/// Longest data frame we send: streams take turns, so a long one must not keep the others waiting.
const SEND_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Control frames waiting for output stop the input at this size: a peer that sends pings and reads nothing cannot fill our memory.
const CONTROL_BYTES_MAX: usize = 4 * 1024;
/// Unread events stop the input at this number.
const EVENTS_MAX: usize = 256;
/// The window grows while it is used up faster than this many round trips.
const GROWTH_ROUND_TRIPS: u32 = 4;
/// Round trip assumed before one was measured.
const ROUND_TRIP_ASSUMED: Duration = Duration::from_millis(100);

/// go-away: all is well.
pub(crate) const GO_AWAY_NORMAL: u32 = 0;
/// go-away: the other side broke the protocol.
pub(crate) const GO_AWAY_PROTOCOL_ERROR: u32 = 1;
/// go-away: this side cannot go on.
pub(crate) const GO_AWAY_INTERNAL_ERROR: u32 = 2;

/// How a peer broke the multiplexer's rules. Every one ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A version other than zero.
    #[error("yamux frame has version {0} instead of 0")]
    Version(u8),
    /// A type other than data, window update, ping and go-away.
    #[error("yamux frame has the unknown type {0}")]
    FrameType(u8),
    /// Stream id zero in a data or window update frame, or a new stream with an id of our parity.
    #[error("yamux stream id {0} is not the peer's to use")]
    StreamId(u32),
    /// A new stream with the id of one that exists.
    #[error("yamux stream {0} is opened twice")]
    DuplicateStream(u32),
    /// More data than the stream's window allows.
    #[error("yamux stream {0} is sent more than its window allows")]
    WindowExceeded(u32),
    /// Window updates that add up to more than 2^32 - 1.
    #[error("yamux stream {0} is granted a window of more than 32 bits")]
    WindowOverflow(u32),
    /// Data after the half-close.
    #[error("yamux stream {0} is sent data after its end")]
    DataAfterEnd(u32),
}

/// Bounds of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) window_bytes_max: u32,
    pub(crate) received_bytes_max: usize,
    pub(crate) send_buffer_bytes_max: usize,
    pub(crate) inbound_streams_max: usize,
    pub(crate) outbound_streams_max: usize,
}

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<T> {
    /// The peer opened a stream.
    Opened(u32),
    /// Bytes arrived on a stream.
    Readable(u32),
    /// The peer half-closed a stream.
    Finished(u32),
    /// The peer reset a stream, or went over the connection's receive limit with it; it is gone, and its owner's `T` comes back.
    Reset(u32, T),
    /// The peer answered the ping with this value.
    Pong(u32),
    /// The peer goes away for this reason.
    GoAway(u32),
}

/// Why an operation on a stream is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoSuchStream,
    WriteClosed,
    SendBufferFull,
    TooManyStreams,
}

/// The data frame whose body is arriving.
#[derive(Clone, Copy, Debug)]
struct Body {
    id: u32,
    remaining: u32,
    fin: bool,
}

/// A session; each stream carries a `T` for its owner.
#[derive(Debug)]
pub(crate) struct Session<T> {
    role: Role,
    limits: Limits,
    /// Boxed: entries move when an older stream ends.
    streams: LiteMap<u32, Box<Stream<T>>>,
    inbound: usize,
    outbound: usize,
    next_id: Option<u32>,
    /// Unconsumed bytes of all streams.
    received: usize,
    /// Streams with a frame to send; exact, so that `wants_output` is.
    ready: LiteMap<u32, ()>,
    /// The stream served last; the next one is served next.
    served: u32,
    /// Pings, answers and resets.
    control: Buffer,
    /// Go-away, sent after everything else.
    goodbye: Option<u32>,
    header: [u8; HEADER_BYTES],
    header_have: usize,
    body: Option<Body>,
    events: VecDeque<Event<T>>,
    round_trip: Option<Duration>,
}

impl<T: Default> Session<T> {
    pub(crate) fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            streams: LiteMap::new_vec(),
            inbound: 0,
            outbound: 0,
            // SPEC yamux "StreamID Field": the client's ids are odd, the server's even.
            next_id: Some(match role {
                Role::Dialer => 1,
                Role::Listener => 2,
            }),
            received: 0,
            ready: LiteMap::new_vec(),
            served: 0,
            control: Buffer::default(),
            goodbye: None,
            header: [0; HEADER_BYTES],
            header_have: 0,
            body: None,
            events: VecDeque::new(),
            round_trip: None,
        }
    }

    pub(crate) const fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip);
    }

    // ---- input ----

    /// Takes decrypted bytes; returns how many it used. Fewer than given: events must be taken or output be sent first.
    pub(crate) fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, Error> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_congested() {
            if let Some(body) = self.body {
                let count = usize::try_from(body.remaining).unwrap_or(usize::MAX);
                let (data, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
                rest = after;
                self.handle_body(body, data);
                continue;
            }
            let wanted = HEADER_BYTES.saturating_sub(self.header_have);
            let (part, after) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
            rest = after;
            let end = self.header_have.saturating_add(part.len());
            if let Some(room) = self.header.get_mut(self.header_have..end) {
                room.copy_from_slice(part);
            }
            self.header_have = end;
            if end == HEADER_BYTES {
                self.header_have = 0;
                let header = Header::decode(&self.header)?;
                self.handle_header(now, header)?;
            }
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// Says whether input has to wait for output or for the reader of events.
    fn is_congested(&self) -> bool {
        self.control.len() >= CONTROL_BYTES_MAX || self.events.len() >= EVENTS_MAX
    }

    fn handle_header(&mut self, now: Instant, header: Header) -> Result<(), Error> {
        match header.kind {
            Kind::Ping if header.flags & SYN != 0 => {
                // SPEC yamux "Ping": answered with ACK and the same opaque value.
                self.push_control(Kind::Ping, ACK, 0, header.length);
                Ok(())
            }
            Kind::Ping => {
                self.events.push_back(Event::Pong(header.length));
                Ok(())
            }
            Kind::GoAway => {
                self.events.push_back(Event::GoAway(header.length));
                Ok(())
            }
            Kind::Data | Kind::WindowUpdate => self.handle_stream_header(now, header),
        }
    }

    fn handle_stream_header(&mut self, now: Instant, header: Header) -> Result<(), Error> {
        let id = header.stream;
        if id == 0 {
            return Err(Error::StreamId(id));
        }
        if header.flags & SYN != 0 {
            self.handle_syn(now, id)?;
        }
        let data = if header.kind == Kind::Data {
            header.length
        } else {
            0
        };
        if header.flags & RST != 0 {
            if let Some(user) = self.remove(id) {
                self.events.push_back(Event::Reset(id, user));
            }
            self.skip_body(id, data);
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            // We reset it, or it ended: what was under way is dropped.
            self.skip_body(id, data);
            return Ok(());
        };
        let fin = header.flags & FIN != 0;
        if header.kind == Kind::WindowUpdate {
            stream.send_window = stream
                .send_window
                .checked_add(header.length)
                .ok_or(Error::WindowOverflow(id))?;
            if fin {
                self.finish_receiving(id);
            }
            self.update_ready(id);
            return Ok(());
        }
        if data > 0 && stream.fin_received {
            return Err(Error::DataAfterEnd(id));
        }
        stream.receive_window = stream
            .receive_window
            .checked_sub(data)
            .ok_or(Error::WindowExceeded(id))?;
        if data > 0 {
            self.body = Some(Body {
                id,
                remaining: data,
                fin,
            });
        } else if fin {
            self.finish_receiving(id);
        }
        Ok(())
    }

    fn handle_syn(&mut self, now: Instant, id: u32) -> Result<(), Error> {
        let is_odd = id & 1 == 1;
        if is_odd == (self.role == Role::Dialer) {
            return Err(Error::StreamId(id));
        }
        if self.streams.contains_key(&id) {
            return Err(Error::DuplicateStream(id));
        }
        if self.inbound >= self.limits.inbound_streams_max {
            self.push_control(Kind::WindowUpdate, RST, id, 0);
            return Ok(());
        }
        self.inbound = self.inbound.saturating_add(1);
        self.streams.insert(id, Box::new(Stream::new(ACK, now)));
        self.events.push_back(Event::Opened(id));
        Ok(())
    }

    fn skip_body(&mut self, id: u32, remaining: u32) {
        if remaining > 0 {
            self.body = Some(Body {
                id,
                remaining,
                fin: false,
            });
        }
    }

    fn handle_body(&mut self, mut body: Body, data: &[u8]) {
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        body.remaining = body.remaining.saturating_sub(count);
        self.body = (body.remaining > 0).then_some(body);
        let received = self.received.saturating_add(data.len());
        if received > self.limits.received_bytes_max
            && let Some(user) = self.reset(body.id)
        {
            self.events.push_back(Event::Reset(body.id, user));
        }
        let Some(stream) = self.streams.get_mut(&body.id) else {
            return;
        };
        stream.receive.push(data);
        self.received = received;
        if !matches!(self.events.back(), Some(Event::Readable(last)) if *last == body.id) {
            self.events.push_back(Event::Readable(body.id));
        }
        if self.body.is_none() && body.fin {
            self.finish_receiving(body.id);
        }
    }

    fn finish_receiving(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.fin_received
        {
            stream.fin_received = true;
            stream.grant = 0;
            self.events.push_back(Event::Finished(id));
            self.update_ready(id);
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    // ---- output ----

    /// Says whether `poll_output` with room for a frame would give bytes.
    pub(crate) fn wants_output(&self) -> bool {
        !self.control.is_empty() || !self.ready.is_empty() || self.goodbye.is_some()
    }

    /// Fills `room` with frames; returns how many bytes. Rooms of more than a header always make progress.
    pub(crate) fn poll_output(&mut self, now: Instant, room: &mut [u8]) -> usize {
        let mut written = self.control.move_to(room);
        if !self.control.is_empty() {
            return written;
        }
        while let Some(rest) = room.get_mut(written..)
            && rest.len() > HEADER_BYTES
        {
            let Some(id) = self.next_ready() else {
                if let Some(code) = self.goodbye.take() {
                    let header = Header::new(Kind::GoAway, 0, 0, code);
                    written = written.saturating_add(header.write(rest));
                }
                break;
            };
            self.served = id;
            let Some(stream) = self.streams.get_mut(&id) else {
                debug_assert!(false, "a ready stream exists");
                self.ready.remove(&id);
                continue;
            };
            written = written.saturating_add(stream.write_frame(id, now, rest));
            self.update_ready(id);
            self.remove_if_done(id);
        }
        written
    }

    /// The stream whose turn it is: the first behind the one served last, or the first of all.
    fn next_ready(&self) -> Option<u32> {
        let behind = match self.ready.find_index(&self.served) {
            Ok(index) => index.saturating_add(1),
            Err(index) => index,
        };
        let next = self.ready.get_indexed(behind);
        next.or_else(|| self.ready.first()).map(|(id, ())| *id)
    }

    fn update_ready(&mut self, id: u32) {
        if self
            .streams
            .get(&id)
            .is_some_and(|stream| stream.has_frame())
        {
            self.ready.insert(id, ());
        } else {
            self.ready.remove(&id);
        }
    }

    fn push_control(&mut self, kind: Kind, flags: u16, id: u32, length: u32) {
        self.control
            .push(&Header::new(kind, flags, id, length).encode());
    }

    /// Queues a ping.
    pub(crate) fn ping(&mut self, value: u32) {
        self.push_control(Kind::Ping, SYN, 0, value);
    }

    /// Queues a go-away behind what streams have to send, or instead of it.
    pub(crate) fn go_away(&mut self, code: u32) {
        if code != GO_AWAY_NORMAL {
            self.ready.clear();
        }
        self.goodbye = Some(code);
    }

    // ---- streams ----

    /// Opens a stream; its SYN goes out with its first frame.
    pub(crate) fn open(&mut self, now: Instant) -> Result<u32, Refused> {
        let id = self.next_id.ok_or(Refused::TooManyStreams)?;
        if self.outbound >= self.limits.outbound_streams_max {
            return Err(Refused::TooManyStreams);
        }
        self.outbound = self.outbound.saturating_add(1);
        self.next_id = id.checked_add(2);
        self.streams.insert(id, Box::new(Stream::new(SYN, now)));
        self.ready.insert(id, ());
        Ok(id)
    }

    pub(crate) fn user(&mut self, id: u32) -> Option<&mut T> {
        self.streams.get_mut(&id).map(|stream| &mut stream.user)
    }

    pub(crate) fn user_ref(&self, id: u32) -> Option<&T> {
        self.streams.get(&id).map(|stream| &stream.user)
    }

    /// The received, unconsumed bytes of a stream.
    pub(crate) fn received(&self, id: u32) -> &[u8] {
        self.streams
            .get(&id)
            .map_or(&[], |stream| stream.receive.bytes())
    }

    /// Drops the first `count` received bytes, grants window for them, and forgets the stream if that was the last of it.
    pub(crate) fn consume(&mut self, id: u32, now: Instant, count: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let count = count.min(stream.receive.len());
        stream.receive.consume(count);
        self.received = self.received.saturating_sub(count);
        let round_trip = self.round_trip.unwrap_or(ROUND_TRIP_ASSUMED);
        let growth_time = round_trip.saturating_mul(GROWTH_ROUND_TRIPS);
        if stream.note_consumed(count, now, growth_time, self.limits.window_bytes_max) {
            self.update_ready(id);
        }
        self.remove_if_done(id);
    }

    /// The peer half-closed and everything was received; true for unknown streams.
    pub(crate) fn is_finished(&self, id: u32) -> bool {
        self.streams
            .get(&id)
            .is_none_or(|stream| stream.fin_received)
    }

    /// Queues bytes.
    pub(crate) fn write(&mut self, id: u32, bytes: &[u8]) -> Result<(), Refused> {
        let stream = self.streams.get_mut(&id).ok_or(Refused::NoSuchStream)?;
        if stream.fin_queued {
            return Err(Refused::WriteClosed);
        }
        if stream.send.len().saturating_add(bytes.len()) > self.limits.send_buffer_bytes_max {
            return Err(Refused::SendBufferFull);
        }
        stream.send.push(bytes);
        self.update_ready(id);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// The limit of one stream's send buffer.
    pub(crate) const fn send_buffer_bytes_max(&self) -> usize {
        self.limits.send_buffer_bytes_max
    }

    /// Bytes queued and not yet sent.
    pub(crate) fn queued(&self, id: u32) -> usize {
        self.streams.get(&id).map_or(0, |stream| stream.send.len())
    }

    /// Half-closes after what is queued.
    pub(crate) fn close_write(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.fin_queued = true;
            self.update_ready(id);
        }
    }

    /// Forgets a stream and tells the peer; gives the owner's `T` back.
    pub(crate) fn reset(&mut self, id: u32) -> Option<T> {
        let stream = self.streams.get(&id)?;
        // Before its SYN the peer does not know the stream; after both half-closes it does not any more.
        let known = stream.opening & SYN == 0 && !(stream.fin_sent && stream.fin_received);
        let user = self.remove(id);
        if known {
            self.push_control(Kind::WindowUpdate, RST, id, 0);
        }
        user
    }

    /// The owner knows of the half-close: from now on nothing but unconsumed bytes holds a stream that both sides closed.
    pub(crate) fn finish_told(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.finish_told = true;
            self.remove_if_done(id);
        }
    }

    fn remove_if_done(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(|stream| stream.is_done()) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u32) -> Option<T> {
        let stream = self.streams.remove(&id)?;
        self.ready.remove(&id);
        self.received = self.received.saturating_sub(stream.receive.len());
        let is_odd = id & 1 == 1;
        if is_odd == (self.role == Role::Dialer) {
            self.outbound = self.outbound.saturating_sub(1);
        } else {
            self.inbound = self.inbound.saturating_sub(1);
        }
        Some(stream.user)
    }
}

#[cfg(test)]
mod tests;
