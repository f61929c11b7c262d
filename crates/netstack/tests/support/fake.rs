//! A node in name only: it does what a test tells it and writes down what the pump tells it.
use netstack::Streams;
use p2p::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use swarm::{Command, ConnId, DialError, DnsAnswer, DnsQuery, DnsQueryId};

/// One byte stream as the node sees it.
#[derive(Debug, Default)]
pub struct Stream {
    pub is_connected: bool,
    pub is_closed: bool,
    pub failed: Option<DialError>,
    /// Everything received, if `keep` is set.
    pub bytes: Vec<u8>,
    pub received: u64,
    /// Still to send.
    pub output: VecDeque<u8>,
    /// Bytes the node will still take; `None` is any number.
    pub appetite: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Fake {
    pub commands: VecDeque<Command>,
    pub streams: BTreeMap<u64, Stream>,
    pub answers: Vec<(DnsQueryId, DnsAnswer)>,
    pub local_address: Option<IpAddr>,
    /// Times of `handle_network_lost`.
    pub lost: Vec<Instant>,
    pub discards: bool,
    pub timeout: Option<Instant>,
    pub timeouts: Vec<Instant>,
    /// Bytes requested for each chunk of this size once it is complete.
    pub chunk: Option<(usize, usize)>,
    next: u64,
}

impl Fake {
    pub fn dial(&mut self, address: impl Into<SocketAddr>) -> u64 {
        self.next += 1;
        let conn = self.next;
        self.streams.insert(conn, Stream::default());
        self.commands.push_back(Command::Dial {
            conn: ConnId(conn),
            address: address.into(),
        });
        conn
    }

    pub fn close(&mut self, conn: u64) {
        self.commands
            .push_back(Command::Close { conn: ConnId(conn) });
    }

    pub fn resolve(&mut self, query: DnsQuery) -> DnsQueryId {
        self.next += 1;
        let id = DnsQueryId(self.next);
        self.commands.push_back(Command::Resolve { id, query });
        id
    }

    pub fn send(&mut self, conn: u64, bytes: &[u8]) {
        self.stream(conn).output.extend(bytes);
    }

    pub fn stream(&mut self, conn: u64) -> &mut Stream {
        self.streams.get_mut(&conn).expect("a stream")
    }

    pub fn get(&self, conn: u64) -> &Stream {
        self.streams.get(&conn).expect("a stream")
    }

    pub fn received(&self) -> u64 {
        self.streams.values().map(|s| s.received).sum()
    }

    fn live(&mut self, conn: ConnId) -> &mut Stream {
        let stream = self.streams.get_mut(&conn.0).expect("a known stream");
        assert!(!stream.is_closed, "{conn:?} is closed");
        assert!(stream.failed.is_none(), "{conn:?} has failed");
        stream
    }
}

impl Streams for Fake {
    fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    fn handle_local_address(&mut self, address: IpAddr) {
        self.local_address = Some(address);
    }

    fn handle_connected(&mut self, _now: Instant, conn: ConnId) {
        let stream = self.live(conn);
        assert!(!stream.is_connected, "{conn:?} connected twice");
        stream.is_connected = true;
    }

    fn handle_dial_failed(&mut self, _now: Instant, conn: ConnId, error: DialError) {
        let stream = self.live(conn);
        assert!(!stream.is_connected, "{conn:?} was connected");
        stream.failed = Some(error);
    }

    fn handle_received(&mut self, _now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        assert!(!bytes.is_empty(), "nothing received on {conn:?}");
        let (discards, chunk) = (self.discards, self.chunk);
        let stream = self.live(conn);
        assert!(stream.is_connected, "{conn:?} is not connected");
        let taken = stream.appetite.unwrap_or(usize::MAX).min(bytes.len());
        if let Some(appetite) = &mut stream.appetite {
            *appetite -= taken;
        }
        let before = stream.received;
        stream.received += taken as u64;
        if !discards {
            stream.bytes.extend(&bytes[..taken]);
        }
        if let Some((size, request)) = chunk {
            let complete = stream.received / size as u64 - before / size as u64;
            for _ in 0..complete as usize * request {
                stream.output.push_back(1);
            }
        }
        taken
    }

    fn handle_closed(&mut self, _now: Instant, conn: ConnId) {
        self.live(conn).is_closed = true;
    }

    fn poll_transmit(&mut self, _now: Instant, conn: ConnId, room: &mut [u8]) -> usize {
        let Some(stream) = self.streams.get_mut(&conn.0) else {
            return 0;
        };
        let count = stream.output.len().min(room.len());
        for (to, from) in room.iter_mut().zip(stream.output.drain(..count)) {
            *to = from;
        }
        count
    }

    fn poll_writable(&mut self) -> Option<ConnId> {
        self.streams
            .iter()
            .find(|(_, s)| s.is_connected && !s.is_closed && !s.output.is_empty())
            .map(|(conn, _)| ConnId(*conn))
    }

    fn handle_dns(&mut self, _now: Instant, id: DnsQueryId, answer: DnsAnswer) {
        self.answers.push((id, answer));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.timeout = None;
        self.timeouts.push(now);
    }

    fn handle_network_lost(&mut self, now: Instant) {
        self.lost.push(now);
        for stream in self.streams.values_mut() {
            stream.is_closed = true;
        }
    }
}
