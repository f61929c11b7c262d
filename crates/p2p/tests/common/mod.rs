//! Drives a `p2p::Connection` over a real TCP socket.
use p2p::{Config, Connection, Event, Instant, Role, StreamId};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Every wait in these tests ends after this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection with its socket.
pub(crate) struct Driver {
    pub(crate) connection: Connection,
    socket: TcpStream,
    started: std::time::Instant,
    input: Vec<u8>,
    /// Taken from the connection and not yet written: waits may be cut short in the middle of a write.
    output: Vec<u8>,
}

impl Driver {
    pub(crate) fn new(role: Role, config: Config, socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self {
            connection: Connection::new(role, config, Instant::ZERO),
            socket,
            started: std::time::Instant::now(),
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap())
    }

    pub(crate) fn open(&mut self, protocols: &[&str], initial: &[u8]) -> StreamId {
        let now = self.now();
        self.connection.open(now, protocols, initial).unwrap()
    }

    /// Sends everything that is queued.
    pub(crate) async fn flush(&mut self) {
        while self.connection.wants_output() || !self.output.is_empty() {
            if self.output.is_empty() {
                let now = self.now();
                self.output.resize(65536, 0);
                let count = self.connection.poll_output(now, &mut self.output);
                assert!(count > 0, "wants_output is exact");
                self.output.truncate(count);
            }
            match self.socket.write(&self.output).await {
                Ok(count) => drop(self.output.drain(..count)),
                Err(_) => return,
            }
        }
    }

    /// Moves bytes until the next event.
    pub(crate) async fn event(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.next_event())
            .await
            .expect("an event within the patience of these tests")
    }

    async fn next_event(&mut self) -> Event {
        let mut room = vec![0; 65536];
        loop {
            self.flush().await;
            if let Some(event) = self.connection.poll_event() {
                return event;
            }
            if !self.input.is_empty() {
                let now = self.now();
                let used = self.connection.handle_input(now, &self.input);
                self.input.drain(..used.unwrap_or(self.input.len()));
                continue;
            }
            let deadline = self.connection.poll_timeout().map(|(at, _)| at);
            let wait = deadline.map_or(PATIENCE, |at| at.saturating_since(self.now()));
            match tokio::time::timeout(wait, self.socket.read(&mut room)).await {
                Ok(Ok(count)) if count > 0 => self.input.extend_from_slice(&room[..count]),
                Ok(end) => panic!("the peer closed the socket: {end:?}"),
                Err(_) => {
                    let now = self.now();
                    self.connection.handle_timeout(now);
                }
            }
        }
    }

    /// Moves bytes for this long, or until an event.
    pub(crate) async fn event_within(&mut self, time: Duration) -> Option<Event> {
        tokio::time::timeout(time, self.next_event()).await.ok()
    }
}
