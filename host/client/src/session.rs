//! The session: one warm node and the loop that pumps it.
use crate::observer::{Diagnosis, Observer};
use crate::resolver::Resolver;
use crate::socket::{Buffers, Outcome, Phase, Socket, dial_error};
use crate::{Config, ConfigError};
use bmt::{ChunkAddress, ChunkConsumer};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use p2p::{Instant, Multiaddr};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use swarm::{ChunkFailure, Command, ConnId, DialError, DnsAnswer, Event, Node, PeerInfo, Stats};

/// Longest sleep of the loop, so that a signal that only sets the stop flag is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(200);
/// How long a socket that the node is done with may take to send its last bytes.
const LINGER: Duration = Duration::from_secs(2);
/// Sleep while bytes wait that the node does not take: it takes them after a deadline or a transmission.
const STALL_SLEEP: Duration = Duration::from_millis(5);
const WAKE_TOKEN: Token = Token(usize::MAX);
const EVENTS_PER_TURN: usize = 256;

/// Why a session cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system gives no event queue.
    #[error("the operating system gives no event queue: {0}")]
    EventQueue(io::Error),
}

/// Why a run ended before its consumer was done.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E> {
    /// The consumer refused a verified chunk: the content itself is wrong.
    #[error(transparent)]
    Consumer(E),
    /// A chunk is nowhere to be had.
    #[error("{error}: chunk {} {}", hex(&.address.0), failure_text(.failure))]
    Unavailable {
        /// Which.
        address: ChunkAddress,
        /// How it failed.
        failure: ChunkFailure,
        /// What the consumer made of it.
        error: E,
    },
    /// No peer became ready to serve.
    #[error("no Swarm peer could be reached within {} s ({diagnosis})", .after.as_secs_f32())]
    NoPeers {
        /// How long was waited.
        after: Duration,
        /// What failed last.
        diagnosis: Diagnosis,
    },
    /// The deadline passed.
    #[error("not finished within {} s ({} peers ready, {} chunks received)", .after.as_secs_f32().ceil(), .stats.peers_ready, .stats.chunks)]
    TimedOut {
        /// The deadline.
        after: Duration,
        /// Figures at that time.
        stats: Box<Stats>,
    },
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Stopped,
    /// The operating system's event queue failed.
    #[error("waiting for sockets failed: {0}")]
    EventQueue(io::Error),
    /// The consumer wants nothing more, nothing is open, and it is not done.
    #[error("the download cannot go on: nothing is left to ask for")]
    Starved,
}

/// Stops a session from another thread or a signal handler's flag.
#[derive(Clone)]
pub struct StopHandle {
    flag: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl StopHandle {
    /// Asks the current and every later run to end with [`RunError::Stopped`].
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
        // Without the wake-up the run notices within 200 ms.
        let _ = self.waker.wake();
    }

    /// Makes a session that sleeps ask its consumer again, after something new was wanted from another thread.
    pub fn wake(&self) {
        // Without the wake-up the session notices within 200 ms.
        let _ = self.waker.wake();
    }

    /// The flag itself, for handlers that may do nothing but set one.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }
}

/// A warm node with its sockets.
pub struct Session {
    node: Node,
    poll: Poll,
    events: Events,
    sockets: BTreeMap<ConnId, Socket>,
    buffers: Buffers,
    resolver: Resolver,
    epoch: std::time::Instant,
    stop: StopHandle,
    diagnosis: Diagnosis,
    /// A consumer that wants nothing now may want something later.
    may_starve: bool,
    bootstrap_timeout: Duration,
    progress_interval: Duration,
}

impl Session {
    /// Makes a node; it dials with the first run.
    ///
    /// # Errors
    /// When the operating system gives no event queue.
    pub fn new(config: Config) -> Result<Self, SessionError> {
        let poll = Poll::new().map_err(SessionError::EventQueue)?;
        let waker =
            Arc::new(Waker::new(poll.registry(), WAKE_TOKEN).map_err(SessionError::EventQueue)?);
        Ok(Self {
            node: Node::new(config.node, Instant::ZERO),
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            sockets: BTreeMap::new(),
            buffers: Buffers::new(),
            resolver: Resolver::new(&config.nameservers, config.dns_timeout, waker.clone()),
            epoch: std::time::Instant::now(),
            stop: StopHandle {
                flag: Arc::new(AtomicBool::new(false)),
                waker,
            },
            diagnosis: Diagnosis::default(),
            may_starve: false,
            bootstrap_timeout: config.bootstrap_timeout,
            progress_interval: config.progress_interval,
        })
    }

    /// Makes a session with default settings.
    ///
    /// # Errors
    /// See [`Config::new`] and [`Session::new`].
    pub fn connect(network_id: u64, bootnodes: Vec<Multiaddr>) -> Result<Self, SessionError> {
        Self::new(Config::new(network_id, bootnodes)?)
    }

    /// A handle that stops this session.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Time since the session began; the clock of everything an [`Observer`] hears.
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Figures of the node.
    pub fn stats(&self) -> Stats {
        self.node.stats()
    }

    /// Peers ready to serve.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.node.peers()
    }

    /// Feeds `consumer` until it is done.
    ///
    /// # Errors
    /// See [`RunError`]; the session can be used again after each of them.
    pub fn run<C: ChunkConsumer>(
        &mut self,
        consumer: &mut C,
        deadline: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError<C::Error>> {
        let mut open = BTreeSet::new();
        let result = self.run_until_done(consumer, deadline, observer, &mut open);
        for address in open {
            self.node.cancel(address);
        }
        result
    }

    /// Feeds a consumer that is never done: one that other threads give new wants, calling [`StopHandle::wake`] each time.
    ///
    /// # Errors
    /// See [`RunError`]; the session can be used again after each of them. It never starves, and ends with [`RunError::Stopped`].
    pub fn serve<C: ChunkConsumer>(
        &mut self,
        consumer: &mut C,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError<C::Error>> {
        self.may_starve = true;
        let result = self.run(consumer, None, observer);
        self.may_starve = false;
        result
    }

    /// Pumps the node without a consumer, so that a warm session stays warm; returns early on a stop request.
    ///
    /// # Errors
    /// When the event queue fails.
    pub fn idle(&mut self, time: Duration, observer: &mut dyn Observer) -> io::Result<()> {
        let end = self.now() + time;
        while self.now() < end && !self.stop.flag.load(Ordering::Relaxed) {
            self.turn(end)?;
            while let Some(event) = self.node.poll_event() {
                self.diagnosis.handle_event(&event);
                observer.handle_event(self.now(), &event);
            }
        }
        Ok(())
    }

    /// Settles and closes every connection politely, within `time`.
    ///
    /// # Errors
    /// When the event queue fails.
    pub fn close(mut self, time: Duration) -> io::Result<()> {
        let end = self.now() + time;
        self.node.close(self.now());
        self.turn(self.now())?;
        while !self.sockets.is_empty() && self.now() < end {
            self.turn(end)?;
            while self.node.poll_event().is_some() {}
        }
        Ok(())
    }

    fn run_until_done<C: ChunkConsumer>(
        &mut self,
        consumer: &mut C,
        deadline: Option<Duration>,
        observer: &mut dyn Observer,
        open: &mut BTreeSet<ChunkAddress>,
    ) -> Result<(), RunError<C::Error>> {
        let start = self.now();
        let end = deadline.map(|d| start + d);
        let mut peers_seen_at = start;
        let mut progress_at = start;
        loop {
            while let Some(address) = consumer.poll_obsolete() {
                if open.remove(&address) {
                    self.node.cancel(address);
                }
            }
            while self.node.request_room() > 0 {
                let Some(address) = consumer.poll_want() else {
                    break;
                };
                open.insert(address);
                self.node.request(self.now(), address);
            }
            if consumer.is_done() {
                return Ok(());
            }
            let now = self.now();
            if self.stop.flag.load(Ordering::Relaxed) {
                return Err(RunError::Stopped);
            }
            if let (Some(after), Some(end)) = (deadline, end)
                && now >= end
            {
                return Err(RunError::TimedOut {
                    after,
                    stats: Box::new(self.node.stats()),
                });
            }
            if open.is_empty() && !self.may_starve {
                return Err(RunError::Starved);
            }
            if now >= progress_at {
                let stats = self.node.stats();
                observer.handle_progress(now, &stats);
                progress_at = now + self.progress_interval;
                if stats.peers_ready > 0 {
                    peers_seen_at = now;
                } else if now.saturating_since(peers_seen_at) >= self.bootstrap_timeout {
                    return Err(RunError::NoPeers {
                        after: now.saturating_since(peers_seen_at),
                        diagnosis: self.diagnosis.clone(),
                    });
                }
            }
            let wake_at = end.map_or(progress_at, |end| end.min(progress_at));
            self.turn(wake_at).map_err(RunError::EventQueue)?;
            self.deliver(consumer, observer, open)?;
        }
    }

    /// Hands the node's events to observer and consumer.
    fn deliver<C: ChunkConsumer>(
        &mut self,
        consumer: &mut C,
        observer: &mut dyn Observer,
        open: &mut BTreeSet<ChunkAddress>,
    ) -> Result<(), RunError<C::Error>> {
        while let Some(event) = self.node.poll_event() {
            self.diagnosis.handle_event(&event);
            observer.handle_event(self.now(), &event);
            match event {
                // A chunk that nobody waits for any more belongs to a run that ended early.
                Event::Chunk { chunk, .. } if open.remove(&chunk.address()) => {
                    consumer.handle_chunk(chunk).map_err(RunError::Consumer)?;
                }
                Event::ChunkDelayed { address, .. } if open.contains(&address) => {
                    consumer
                        .handle_delayed(address)
                        .map_err(RunError::Consumer)?;
                }
                Event::ChunkFailed { address, failure } => {
                    if open.remove(&address)
                        && let Err(error) = consumer.handle_unavailable(address)
                    {
                        return Err(RunError::Unavailable {
                            address,
                            failure,
                            error,
                        });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// One turn: commands out, bytes out, wait, bytes in, deadlines.
    fn turn(&mut self, wake_at: Instant) -> io::Result<()> {
        self.obey_commands();
        self.flush_writable();
        self.wait(wake_at)?;
        self.receive_all();
        while let Some(answered) = self.resolver.poll_answer() {
            if answered.answer == DnsAnswer::Failed {
                self.diagnosis.handle_dns_failure(&answered.query);
            }
            self.node
                .handle_dns(self.now(), answered.id, answered.answer);
        }
        let now = self.now();
        if self.node.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.node.handle_timeout(now);
        }
        self.finish_closing();
        self.obey_commands();
        self.flush_writable();
        Ok(())
    }

    fn obey_commands(&mut self) {
        while let Some(command) = self.node.poll_command() {
            match command {
                Command::Dial { conn, address } => {
                    if let Err(error) = self.dial(conn, address) {
                        self.node.handle_dial_failed(self.now(), conn, error);
                    }
                }
                Command::Close { conn } => self.begin_close(conn),
                Command::Resolve { id, query } => self.resolver.start(id, query),
            }
        }
    }

    fn dial(&mut self, conn: ConnId, address: SocketAddr) -> Result<(), DialError> {
        let token = token(conn).ok_or(DialError::Unreachable)?;
        let mut stream = TcpStream::connect(address).map_err(|e| dial_error(e.kind()))?;
        self.poll
            .registry()
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(|e| dial_error(e.kind()))?;
        self.sockets.insert(conn, Socket::new(stream));
        Ok(())
    }

    fn begin_close(&mut self, conn: ConnId) {
        let now = self.now();
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        let outcome = socket.flush(now, conn, &mut self.node, &mut self.buffers);
        if outcome == Outcome::Alive && socket.phase == Phase::Open && socket.is_blocked() {
            socket.phase = Phase::Closing(now + LINGER);
        } else {
            self.drop_socket(conn);
        }
    }

    /// Drops sockets in [`Phase::Closing`] that have sent everything or used up their time.
    fn finish_closing(&mut self) {
        let now = self.now();
        let mut finished = Vec::new();
        for (conn, socket) in &mut self.sockets {
            if let Phase::Closing(until) = socket.phase {
                let outcome = socket.flush(now, *conn, &mut self.node, &mut self.buffers);
                if outcome == Outcome::Gone || !socket.is_blocked() || now >= until {
                    finished.push(*conn);
                }
            }
        }
        for conn in finished {
            self.drop_socket(conn);
        }
    }

    fn drop_socket(&mut self, conn: ConnId) {
        if let Some(mut socket) = self.sockets.remove(&conn) {
            let _ = socket.stream.shutdown(Shutdown::Write);
            socket.discard_input(&mut self.buffers);
            // Dropping the stream closes it, which also takes it out of the event queue.
            let _ = self.poll.registry().deregister(&mut socket.stream);
        }
    }

    /// Sends for every connection that has something to send and whose socket takes it.
    fn flush_writable(&mut self) {
        let mut blocked = BTreeSet::new();
        while let Some(conn) = self.node.poll_writable() {
            let now = self.now();
            let Some(socket) = self.sockets.get_mut(&conn) else {
                // Nothing can be sent there; taking the bytes keeps the node from naming it for ever.
                if !blocked.insert(conn) {
                    break;
                }
                continue;
            };
            match socket.flush(now, conn, &mut self.node, &mut self.buffers) {
                Outcome::Gone => self.lose(conn),
                Outcome::Alive if socket.is_blocked() || socket.phase == Phase::Connecting => {
                    // A connection named twice is the only one left that can be named.
                    if !blocked.insert(conn) {
                        break;
                    }
                }
                Outcome::Alive => {}
            }
        }
    }

    fn wait(&mut self, wake_at: Instant) -> io::Result<()> {
        let now = self.now();
        let mut sleep = wake_at.saturating_since(now).min(SLEEP_MAX);
        if let Some((at, _)) = self.node.poll_timeout() {
            sleep = sleep.min(at.saturating_since(now));
        }
        if self
            .sockets
            .values()
            .any(|s| s.readable && s.phase == Phase::Open)
        {
            sleep = Duration::ZERO;
        } else if self.sockets.values().any(Socket::has_input) {
            sleep = sleep.min(STALL_SLEEP);
        }
        // The queue counts in milliseconds: rounding up keeps the last one from spinning.
        if !sleep.is_zero() {
            sleep = sleep.max(Duration::from_millis(1));
        }
        match self.poll.poll(&mut self.events, Some(sleep)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(error),
        }
        self.handle_readiness();
        Ok(())
    }

    fn handle_readiness(&mut self) {
        let mut writable = Vec::new();
        for event in &self.events {
            let Some(conn) = conn_of(event.token()) else {
                continue;
            };
            let Some(socket) = self.sockets.get_mut(&conn) else {
                continue;
            };
            socket.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            if event.is_writable() || event.is_error() {
                writable.push(conn);
            }
        }
        for conn in writable {
            self.handle_writable(conn);
        }
    }

    fn handle_writable(&mut self, conn: ConnId) {
        let now = self.now();
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        if socket.phase == Phase::Connecting {
            match socket.poll_connected() {
                None => return,
                Some(Ok(())) => {
                    // Without an address of ours that it could reach, bee waits 10 s in its handshake.
                    if let Ok(local) = socket.stream.local_addr() {
                        self.node.handle_local_address(local.ip());
                    }
                    self.node.handle_connected(now, conn);
                }
                Some(Err(error)) => {
                    self.drop_socket(conn);
                    self.node.handle_dial_failed(now, conn, error);
                    return;
                }
            }
        }
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return;
        };
        if socket.flush(now, conn, &mut self.node, &mut self.buffers) == Outcome::Gone {
            self.lose(conn);
        }
    }

    fn receive_all(&mut self) {
        let ready: Vec<ConnId> = self
            .sockets
            .iter()
            .filter(|(_, s)| s.phase == Phase::Open && s.has_input())
            .map(|(conn, _)| *conn)
            .collect();
        for conn in ready {
            let now = self.now();
            let Some(socket) = self.sockets.get_mut(&conn) else {
                continue;
            };
            if socket.receive(now, conn, &mut self.node, &mut self.buffers) == Outcome::Gone {
                self.lose(conn);
            }
        }
    }

    /// The other end is gone.
    fn lose(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get(&conn) else {
            return;
        };
        let told = matches!(socket.phase, Phase::Closing(_));
        self.drop_socket(conn);
        if !told {
            self.node.handle_closed(self.now(), conn);
        }
    }
}

fn token(conn: ConnId) -> Option<Token> {
    let token = Token(usize::try_from(conn.0).ok()?);
    (token != WAKE_TOKEN).then_some(token)
}

fn conn_of(token: Token) -> Option<ConnId> {
    if token == WAKE_TOKEN {
        return None;
    }
    u64::try_from(token.0).ok().map(ConnId)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn failure_text(failure: &ChunkFailure) -> String {
    match failure {
        ChunkFailure::NotFound { peers_asked } => {
            format!("was not found ({peers_asked} peers asked)")
        }
        ChunkFailure::TimedOut { peers_asked } => {
            format!("was not delivered in time ({peers_asked} peers asked)")
        }
        other => format!("could not be had: {other:?}"),
    }
}
