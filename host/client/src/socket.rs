//! One non-blocking TCP socket and what is on its way to and from the node.
use mio::net::TcpStream;
use p2p::Instant;
use std::io::{ErrorKind, Read, Write};
use swarm::{ConnId, DialError, Node};

/// Reads per socket and turn, so that one fast peer cannot starve the others or the timers.
const READS_PER_TURN_MAX: usize = 4;
/// Received bytes that the node did not take yet, at most; reading pauses above it (back pressure through TCP's window).
const BACKLOG_BYTES_MAX: usize = 64 * 1024;

/// Where a socket is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The connection is being made.
    Connecting,
    /// Bytes flow.
    Open,
    /// The node is done with it; what is left is being sent until this time.
    Closing(Instant),
}

/// What became of a socket operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The socket lives.
    Alive,
    /// The other end closed or reset it.
    Gone,
}

pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) phase: Phase,
    /// The kernel may have bytes for us (edge-triggered readiness, kept until a read would block).
    pub(crate) readable: bool,
    /// Bytes the kernel did not take yet.
    unsent: Vec<u8>,
    unsent_start: usize,
    /// Bytes the node did not take yet.
    backlog: Vec<u8>,
}

/// Buffers shared by all sockets.
pub(crate) struct Buffers {
    receive: Vec<u8>,
    transmit: Vec<u8>,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self {
            receive: vec![0; 256 * 1024],
            transmit: vec![0; 128 * 1024],
        }
    }
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            phase: Phase::Connecting,
            readable: false,
            unsent: Vec::new(),
            unsent_start: 0,
            backlog: Vec::new(),
        }
    }

    /// Says whether the kernel's send buffer is full; a writable event comes when it is not.
    pub(crate) fn is_blocked(&self) -> bool {
        self.unsent_start < self.unsent.len()
    }

    /// Says whether bytes wait for the node.
    pub(crate) fn has_input(&self) -> bool {
        self.readable || !self.backlog.is_empty()
    }

    /// Finds out how the connection attempt ended; `None` while it goes on.
    pub(crate) fn poll_connected(&mut self) -> Option<Result<(), DialError>> {
        if let Ok(Some(error)) | Err(error) = self.stream.take_error() {
            return Some(Err(dial_error(error.kind())));
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // A request is a few dozen bytes: waiting for more (Nagle) would cost a round trip each.
                let _ = self.stream.set_nodelay(true);
                self.phase = Phase::Open;
                Some(Ok(()))
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => None,
            Err(error) => Some(Err(dial_error(error.kind()))),
        }
    }

    /// Sends what the node has, until the kernel takes no more.
    pub(crate) fn flush(
        &mut self,
        now: Instant,
        conn: ConnId,
        node: &mut Node,
        buffers: &mut Buffers,
    ) -> Outcome {
        if self.phase == Phase::Connecting {
            return Outcome::Alive;
        }
        if self.is_blocked() {
            match write_some(&mut self.stream, &self.unsent[self.unsent_start..]) {
                Ok(n) => self.unsent_start += n,
                Err(()) => return Outcome::Gone,
            }
            if self.is_blocked() {
                return Outcome::Alive;
            }
            self.unsent.clear();
            self.unsent_start = 0;
        }
        loop {
            let filled = node.poll_transmit(now, conn, &mut buffers.transmit);
            if filled == 0 {
                return Outcome::Alive;
            }
            let bytes = &buffers.transmit[..filled];
            match write_some(&mut self.stream, bytes) {
                Ok(n) if n == filled => {}
                Ok(n) => {
                    self.unsent.extend_from_slice(&bytes[n..]);
                    return Outcome::Alive;
                }
                Err(()) => return Outcome::Gone,
            }
        }
    }

    /// Gives the node what the kernel has, a bounded amount per call.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        conn: ConnId,
        node: &mut Node,
        buffers: &mut Buffers,
    ) -> Outcome {
        if !self.backlog.is_empty() {
            let consumed = node.handle_received(now, conn, &self.backlog);
            self.backlog.drain(..consumed.min(self.backlog.len()));
        }
        for _ in 0..READS_PER_TURN_MAX {
            if !self.readable || self.backlog.len() > BACKLOG_BYTES_MAX {
                break;
            }
            let received = match self.stream.read(&mut buffers.receive) {
                Ok(0) => return Outcome::Gone,
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Outcome::Gone,
            };
            let bytes = &buffers.receive[..received];
            // Order: the backlog is older, so with one nothing may overtake it.
            let consumed = if self.backlog.is_empty() {
                node.handle_received(now, conn, bytes).min(received)
            } else {
                0
            };
            self.backlog.extend_from_slice(&bytes[consumed..]);
        }
        Outcome::Alive
    }

    /// Throws away what the other end still sends: unread bytes would turn our close into a reset that loses our last bytes.
    pub(crate) fn discard_input(&mut self, buffers: &mut Buffers) {
        self.backlog.clear();
        for _ in 0..READS_PER_TURN_MAX {
            match self.stream.read(&mut buffers.receive) {
                Ok(n) if n > 0 => {}
                _ => break,
            }
        }
    }
}

/// Writes until everything is written or the kernel takes no more; returns how much went out.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize, ()> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(()),
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(()),
        }
    }
    Ok(written)
}

/// Says what a failed connection attempt means to the node.
pub(crate) fn dial_error(kind: ErrorKind) -> DialError {
    match kind {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => DialError::Refused,
        ErrorKind::TimedOut => DialError::TimedOut,
        _ => DialError::Unreachable,
    }
}
