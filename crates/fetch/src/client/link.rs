//! The one connection to the bridge, made again whenever it is lost.
use super::config::Config;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bmt::keccak256;
use core::time::Duration;
use p2p::{Connection, Instant, Keypair, StaticKey};
use swarm::{Command, ConnId};

/// Doubling a pause this often exceeds any limit.
const DOUBLINGS_MAX: u32 = 16;

/// Received bytes of all streams: as many windows as there are streams by default.
const RECEIVED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The connection.
pub(super) struct Link {
    state: State,
    keypair: Keypair,
    noise_static: StaticKey,
    seed: [u8; 32],
    commands: VecDeque<Command>,
    next: u64,
    connections: u64,
    /// Failures in a row.
    failures: u32,
    /// A connection of ours that still has a farewell to send.
    farewell: Option<(ConnId, Box<Connection>)>,
}

enum State {
    Down { again_at: Instant },
    Dialling(ConnId),
    Up(ConnId, Box<Connection>),
    Closed,
}

impl Link {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        let keypair = Keypair::ed25519(&derive(&config.seed, 0));
        let noise_static = StaticKey::new(&keypair, derive(&config.seed, 1));
        let mut link = Self {
            state: State::Down { again_at: now },
            keypair,
            noise_static,
            seed: config.seed,
            commands: VecDeque::new(),
            next: 0,
            connections: 0,
            failures: 0,
            farewell: None,
        };
        link.dial(config);
        link
    }

    pub(super) fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    pub(super) fn is_dialling(&self, conn: ConnId) -> bool {
        matches!(&self.state, State::Dialling(dialled) if *dialled == conn)
    }

    pub(super) fn handle_connected(&mut self, now: Instant, conn: ConnId, config: &Config) {
        if !self.is_dialling(conn) {
            return;
        }
        // Two connections must never share their ephemeral key: 0 and 1 are the permanent ones.
        let ephemeral = derive(&self.seed, conn.0.saturating_add(2));
        let (keypair, key) = (self.keypair.clone(), self.noise_static.clone());
        let mut settings = p2p::Config::with_static_key(keypair, key, ephemeral);
        settings.expected_peer = config.peer.clone();
        // Streams that wait for their turn keep a window each.
        settings.limits.received_bytes_max = RECEIVED_BYTES_MAX;
        settings.agent_version = alloc::string::String::from("deboot-fetch/1");
        self.connections = self.connections.saturating_add(1);
        let connection = Connection::new(p2p::Role::Dialer, settings, now);
        self.state = State::Up(conn, Box::new(connection));
    }

    pub(super) fn connection(&mut self, conn: ConnId) -> Option<&mut Connection> {
        match &mut self.state {
            State::Up(current, connection) if *current == conn => Some(connection),
            _ => None,
        }
    }

    /// The connection, if streams can be opened.
    pub(super) fn open_connection(&mut self) -> Option<&mut Connection> {
        match &mut self.state {
            State::Up(_, connection) if connection.peer().is_some() => Some(connection),
            _ => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(&self.state, State::Up(_, connection) if connection.peer().is_some())
    }

    pub(super) const fn connections(&self) -> u64 {
        self.connections
    }

    pub(super) fn poll_event(&mut self) -> Option<p2p::Event> {
        match &mut self.state {
            State::Up(_, connection) => connection.poll_event(),
            _ => None,
        }
    }

    /// The byte stream is gone; says whether that is news.
    pub(super) fn handle_closed(&mut self, conn: ConnId) -> bool {
        if matches!(&self.farewell, Some((leaving, _)) if *leaving == conn) {
            self.farewell = None;
        }
        let is_current = matches!(&self.state, State::Up(current, _) if *current == conn);
        if is_current {
            self.state = State::Down {
                again_at: Instant::ZERO,
            };
        }
        is_current
    }

    pub(super) fn poll_transmit(&mut self, now: Instant, conn: ConnId, room: &mut [u8]) -> usize {
        if let Some(connection) = self.connection(conn) {
            return connection.poll_output(now, room);
        }
        match &mut self.farewell {
            Some((leaving, connection)) if *leaving == conn => {
                let sent = connection.poll_output(now, room);
                if sent == 0 && !room.is_empty() {
                    self.farewell = None;
                }
                sent
            }
            _ => 0,
        }
    }

    pub(super) fn poll_writable(&self) -> Option<ConnId> {
        if let Some((conn, _)) = &self.farewell {
            return Some(*conn);
        }
        match &self.state {
            State::Up(conn, connection) => connection.wants_output().then_some(*conn),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Down { again_at } => Some(*again_at),
            State::Up(_, connection) => connection.poll_timeout().map(|(at, _)| at),
            State::Dialling(_) | State::Closed => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, config: &Config) {
        match &mut self.state {
            State::Down { again_at } if *again_at <= now => self.dial(config),
            State::Up(_, connection)
                if connection.poll_timeout().is_some_and(|(at, _)| at <= now) =>
            {
                connection.handle_timeout(now);
            }
            _ => {}
        }
    }

    /// The connection is lost: returns when it is made again.
    pub(super) fn lose(&mut self, now: Instant, config: &Config) -> Duration {
        let pause = pause(self.failures, config);
        self.failures = self.failures.saturating_add(1);
        self.end(State::Down {
            again_at: now + pause,
        });
        pause
    }

    /// Chunks arrive: whatever happened before is forgiven.
    pub(super) const fn has_progress(&mut self) {
        self.failures = 0;
    }

    pub(super) fn close(&mut self) {
        self.end(State::Closed);
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed) && self.farewell.is_none() && self.commands.is_empty()
    }

    /// Leaves the current state; the driver closes the byte stream after the farewell.
    fn end(&mut self, state: State) {
        match core::mem::replace(&mut self.state, state) {
            State::Up(conn, mut connection) => {
                connection.close();
                self.farewell = connection.wants_output().then_some((conn, connection));
                self.commands.push_back(Command::Close { conn });
            }
            State::Dialling(conn) => self.commands.push_back(Command::Close { conn }),
            State::Down { .. } | State::Closed => {}
        }
    }

    fn dial(&mut self, config: &Config) {
        let conn = ConnId(self.next);
        self.next = self.next.saturating_add(1);
        self.state = State::Dialling(conn);
        let address = config.address;
        self.commands.push_back(Command::Dial { conn, address });
    }
}

/// Pause after this many failures in a row.
pub(super) fn pause(failures: u32, config: &Config) -> Duration {
    let factor = 1u32.checked_shl(failures.min(DOUBLINGS_MAX)).unwrap_or(1);
    config
        .retry_min
        .saturating_mul(factor)
        .min(config.retry_max)
}

fn derive(seed: &[u8; 32], number: u64) -> [u8; 32] {
    let mut bytes = [0; 40];
    for (to, from) in bytes
        .iter_mut()
        .zip(seed.iter().chain(&number.to_le_bytes()))
    {
        *to = *from;
    }
    keccak256(&bytes)
}
