//! Drives our client over the operating system's TCP.
use bmt::ChunkConsumer;
use content::Reference;
use fetch::{Bridge, BridgeError, Event};
use p2p::Instant;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use swarm::{Command, ConnId, DialError};

/// A client and its socket.
pub(crate) struct Driver {
    pub(crate) client: Bridge,
    pub(crate) events: Vec<Event>,
    socket: Option<(ConnId, TcpStream)>,
    epoch: std::time::Instant,
    unsent: Vec<u8>,
    received: Vec<u8>,
}

/// Why a run ended early.
#[derive(Debug)]
pub(crate) enum Trouble {
    Bridge(BridgeError),
    Consumer,
    TimedOut,
}

impl Driver {
    pub(crate) fn new(config: fetch::Config) -> Self {
        Self {
            client: Bridge::new(config, Instant::ZERO),
            events: Vec::new(),
            socket: None,
            epoch: std::time::Instant::now(),
            unsent: Vec::new(),
            received: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.epoch.elapsed().as_micros() as u64)
    }

    /// Feeds a consumer; the bridge is told keys only `with_keys`.
    pub(crate) fn run<C: ChunkConsumer>(
        &mut self,
        consumer: &mut C,
        with_keys: bool,
        limit: Duration,
    ) -> Result<(), Trouble> {
        let end = self.now() + limit;
        loop {
            self.ask(consumer, with_keys);
            if consumer.is_done() {
                return Ok(());
            }
            if self.now() > end {
                return Err(Trouble::TimedOut);
            }
            let mut moved = self.turn();
            while let Some(event) = self.client.poll_event() {
                moved = true;
                match event {
                    Event::Chunk(chunk) => {
                        consumer
                            .handle_chunk(chunk)
                            .map_err(|_| Trouble::Consumer)?;
                        self.ask(consumer, with_keys);
                    }
                    Event::ChunkFailed { address, .. } => {
                        let result = consumer.handle_unavailable(address);
                        result.map_err(|_| Trouble::Consumer)?;
                    }
                    Event::Failed(error) => return Err(Trouble::Bridge(error)),
                    other => self.events.push(other),
                }
            }
            if !moved {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    fn ask<C: ChunkConsumer>(&mut self, consumer: &mut C, with_keys: bool) {
        while self.client.request_room() > 0
            && let Some(address) = consumer.poll_want()
        {
            let key = consumer.key(address).filter(|_| with_keys);
            self.client.request(self.now(), Reference { address, key });
        }
    }

    fn turn(&mut self) -> bool {
        let now = self.now();
        if self.client.poll_timeout().is_some_and(|at| at <= now) {
            self.client.handle_timeout(now);
        }
        let mut moved = self.obey();
        let Some((conn, socket)) = &mut self.socket else {
            return moved;
        };
        let conn = *conn;
        let mut room = vec![0; 64 * 1024];
        while self.unsent.len() < room.len() {
            let count = self.client.poll_transmit(now, conn, &mut room);
            if count == 0 {
                break;
            }
            self.unsent.extend_from_slice(&room[..count]);
        }
        let mut gone = false;
        if !self.unsent.is_empty() {
            match socket.write(&self.unsent) {
                Ok(count) => {
                    moved |= count > 0;
                    self.unsent.drain(..count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => gone = true,
            }
        }
        match socket.read(&mut room) {
            Ok(0) => gone = true,
            Ok(count) => {
                moved = true;
                self.received.extend_from_slice(&room[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => gone = true,
        }
        let used = self.client.handle_received(now, conn, &self.received);
        self.received.drain(..used);
        if gone {
            self.drop_socket();
            self.client.handle_closed(now, conn);
            moved = true;
        }
        moved
    }

    fn obey(&mut self) -> bool {
        let mut moved = false;
        while let Some(command) = self.client.poll_command() {
            moved = true;
            match command {
                Command::Dial { conn, address } => {
                    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2));
                    let now = self.now();
                    match stream {
                        Ok(stream) => {
                            stream.set_nonblocking(true).unwrap();
                            stream.set_nodelay(true).unwrap();
                            self.socket = Some((conn, stream));
                            self.client.handle_connected(now, conn);
                        }
                        Err(_) => {
                            self.client
                                .handle_dial_failed(now, conn, DialError::Refused);
                        }
                    }
                }
                Command::Close { conn } => {
                    let mut room = vec![0; 16 * 1024];
                    let now = self.now();
                    loop {
                        let count = self.client.poll_transmit(now, conn, &mut room);
                        if count == 0 {
                            break;
                        }
                        if let Some((open, socket)) = &mut self.socket
                            && *open == conn
                        {
                            let _ = socket.write(&room[..count]);
                        }
                    }
                    self.drop_socket();
                }
                Command::Resolve { .. } => panic!("nothing is to be resolved"),
            }
        }
        moved
    }

    fn drop_socket(&mut self) {
        self.socket = None;
        self.unsent.clear();
        self.received.clear();
    }
}
