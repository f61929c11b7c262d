//! A client that fetches chunks from a bridge.
//!
//! For the oldest wanted chunk that no stream is going to bring, a stream is opened with that chunk as root, and the bridge pushes the
//! tree below it. Which chunk comes next is known in advance ([`Walk`](crate::Walk)), so the first wrong one ends the bridge. A chunk
//! that is not wanted yet waits, and its stream with it: flow control does the rest.
mod config;
mod desk;
mod error;
mod link;
mod task;
mod whole;

use crate::Code;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use bmt::{ChunkAddress, VerifiedChunk};
use content::Reference;
use core::net::IpAddr;
use core::time::Duration;
use desk::Desk;
use link::Link;
use p2p::{Instant, PeerId, StreamId};
use swarm::{Command, ConnId, DialError, DnsAnswer, DnsQueryId};
use task::{Step, Task};

pub use config::Config;
pub use error::BridgeError;

/// Facts for the driver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection stands.
    Up {
        /// Who the bridge is.
        peer: PeerId,
    },
    /// The connection, or a dial, failed; there will be another.
    Down {
        /// Why.
        error: BridgeError,
        /// When again.
        retry_in: Duration,
    },
    /// A stream failed; it will be opened again.
    Retry {
        /// Why.
        error: BridgeError,
        /// When again.
        retry_in: Duration,
    },
    /// The bridge knows no `chunks`; whole files are asked for.
    WholeFiles,
    /// A wanted chunk.
    Chunk(VerifiedChunk),
    /// The bridge cannot get a wanted chunk.
    ChunkFailed {
        /// Which.
        address: ChunkAddress,
        /// What it says.
        failure: Failure,
    },
    /// The bridge is given up. Last event.
    Failed(BridgeError),
}

/// Why a bridge has no chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bridge says: {words}")]
pub struct Failure {
    /// Its words.
    pub words: String,
}

/// Figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// A connection stands.
    pub is_up: bool,
    /// Connections made.
    pub connections: u64,
    /// Streams opened.
    pub streams: u64,
    /// Streams open now.
    pub streams_open: usize,
    /// Verified chunks received (whole files count as one).
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks wanted now.
    pub requests_open: usize,
}

/// The client of one bridge. It has the methods of `swarm::Node` that a driver calls.
pub struct Bridge {
    config: Config,
    link: Link,
    desk: Desk,
    tasks: Vec<Task>,
    /// The task that is looked at first.
    turn: usize,
    /// The bridge knows no `chunks`.
    whole_files: bool,
    /// It has accepted a stream, so it speaks the protocol.
    spoke: bool,
    events: VecDeque<Event>,
    /// What went wrong last.
    trouble: Option<BridgeError>,
    failed: bool,
    closing: bool,
    /// Polls that found every stream held.
    stuck: u8,
    streams: u64,
}

impl Bridge {
    /// Starts; the first command dials the bridge.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            link: Link::new(&config, now),
            desk: Desk::new(now, config.answer_timeout, config.file_bytes_max),
            config,
            tasks: Vec::new(),
            turn: 0,
            whole_files: false,
            spoke: false,
            events: VecDeque::new(),
            trouble: None,
            failed: false,
            closing: false,
            stuck: 0,
            streams: 0,
        }
    }

    /// Returns the next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.link.poll_command()
    }

    /// Learns under which address this machine reaches the network; of no interest here.
    pub fn handle_local_address(&mut self, _: IpAddr) {}

    /// Takes the answer to a DNS question; none is ever asked.
    pub fn handle_dns(&mut self, _: Instant, _: DnsQueryId, _: DnsAnswer) {}

    /// The dial of `conn` succeeded.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.desk.now = now;
        self.link.handle_connected(now, conn, &self.config);
    }

    /// The dial of `conn` failed.
    pub fn handle_dial_failed(&mut self, now: Instant, conn: ConnId, error: DialError) {
        self.desk.now = now;
        if self.link.is_dialling(conn) {
            self.lost(BridgeError::Dial(error));
        }
    }

    /// Bytes arrived; returns how many were consumed (the driver keeps the rest and calls again after transmitting).
    pub fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        self.desk.now = now;
        let Some(connection) = self.link.connection(conn) else {
            return bytes.len();
        };
        // An error is also the connection's last event.
        let used = connection.handle_input(now, bytes).unwrap_or(bytes.len());
        self.connection_events();
        used
    }

    /// The remote end closed or reset the byte stream.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        self.desk.now = now;
        if self.link.handle_closed(conn) {
            self.lost(BridgeError::Closed);
        }
    }

    /// Fills `room` with bytes for `conn`.
    pub fn poll_transmit(&mut self, now: Instant, conn: ConnId, room: &mut [u8]) -> usize {
        self.link.poll_transmit(now, conn, room)
    }

    /// Returns the connection if it has bytes to send.
    pub fn poll_writable(&mut self) -> Option<ConnId> {
        self.link.poll_writable()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.failed {
            return None;
        }
        let give_up = self
            .desk
            .waiting_since()
            .map(|since| since + self.config.give_up_after);
        let tasks = self.tasks.iter().filter_map(|task| {
            let due = (task.stream.is_none() && task.not_before > self.desk.now)
                .then_some(task.not_before);
            task.deadline.or(due)
        });
        // Whoever is stuck finds a way out in the next poll.
        let stuck = (self.stuck > 0).then_some(self.desk.now);
        let times = self.link.poll_timeout().into_iter().chain(give_up);
        times.chain(tasks).chain(stuck).min()
    }

    /// Lets deadlines act.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.desk.now = now;
        if self.failed {
            return;
        }
        if let Some(since) = self.desk.waiting_since()
            && now >= since + self.config.give_up_after
        {
            let silent = BridgeError::Silent(self.config.give_up_after);
            let error = self.trouble.take().unwrap_or(silent);
            self.fail(error);
            return;
        }
        self.link.handle_timeout(now, &self.config);
        self.connection_events();
        for index in 0..self.tasks.len() {
            if let Some(task) = self.tasks.get_mut(index)
                && task.deadline.is_some_and(|deadline| deadline <= now)
            {
                let error = BridgeError::Silent(self.config.answer_timeout);
                self.retry(index, error);
            }
        }
        self.open_streams();
    }

    /// The network was away: the connection is made anew, what is wanted stays wanted.
    pub fn handle_network_lost(&mut self, now: Instant) {
        self.desk.now = now;
        self.lost(BridgeError::NetworkLost);
    }

    /// How many more chunks may be requested now.
    pub fn request_room(&self) -> usize {
        self.config.requests_max.saturating_sub(self.desk.len())
    }

    /// Requests a chunk, with its key if it has one: the bridge needs it to find what is below. A second request for an open address
    /// is ignored, and so is one that exceeds [`request_room`](Self::request_room).
    ///
    /// After each [`Event::Chunk`] the consumer should be asked for more before the next [`poll_event`](Self::poll_event): the chunks
    /// that come next are mostly those below the one that came.
    pub fn request(&mut self, now: Instant, reference: Reference) {
        self.desk.now = now;
        if self.failed || self.closing || self.request_room() == 0 {
            return;
        }
        let address = reference.address;
        let is_covered = self.tasks.iter().any(|task| task.covers(address));
        if self.desk.add(reference, is_covered) {
            self.stuck = 0;
        }
    }

    /// Forgets a request.
    pub fn cancel(&mut self, address: ChunkAddress) {
        self.desk.take(address);
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.failed || self.closing {
                return None;
            }
            self.open_streams();
            if let Some(event) = self.step_tasks() {
                return Some(event);
            }
            let can_open = self.desk.has_orphans()
                && self.link.is_up()
                && self.tasks.len() < self.config.streams_max.max(1);
            if self.events.is_empty() && !can_open && !self.unstick() {
                return None;
            }
        }
    }

    /// Figures.
    pub fn stats(&self) -> Stats {
        Stats {
            is_up: self.link.is_up(),
            connections: self.link.connections(),
            streams: self.streams,
            streams_open: self
                .tasks
                .iter()
                .filter(|task| task.stream.is_some())
                .count(),
            chunks: self.desk.chunks,
            bytes: self.desk.bytes,
            requests_open: self.desk.len(),
        }
    }

    /// Closes the connection politely; open requests are forgotten.
    pub fn close(&mut self, now: Instant) {
        self.desk.now = now;
        self.closing = true;
        self.tasks.clear();
        self.link.close();
    }

    /// Says whether nothing is left to do after [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.closing && self.link.is_closed()
    }

    fn connection_events(&mut self) {
        while let Some(event) = self.link.poll_event() {
            match event {
                p2p::Event::Connected { peer } => {
                    self.events.push_back(Event::Up { peer });
                    self.open_streams();
                }
                p2p::Event::Readable { stream } => {
                    let deadline = self.desk.now + self.config.answer_timeout;
                    if let Some(task) = self.task(stream) {
                        task.deadline = (!task.is_held()).then_some(deadline);
                    }
                }
                p2p::Event::Finished { stream } => {
                    if let Some(task) = self.task(stream) {
                        task.finished = true;
                    }
                }
                p2p::Event::Reset { stream } => {
                    let found = self.tasks.iter().position(|t| t.stream == Some(stream));
                    if let Some(index) = found {
                        self.reset(index);
                    }
                }
                p2p::Event::NotSupported { .. } => self.fail(BridgeError::OtherProtocol),
                p2p::Event::Closed { error } => self.lost(BridgeError::Connection(error)),
                p2p::Event::Negotiated { .. } => self.spoke = true,
                p2p::Event::Identified { .. } | p2p::Event::Incoming { .. } => {}
            }
        }
    }

    fn task(&mut self, stream: StreamId) -> Option<&mut Task> {
        self.tasks
            .iter_mut()
            .find(|task| task.stream == Some(stream))
    }

    /// The bridge reset a stream. One that waited for us is opened again when its turn comes: we were too slow, not the bridge.
    fn reset(&mut self, index: usize) {
        let Some(task) = self.tasks.get_mut(index) else {
            return;
        };
        task.stream = None;
        if task.is_held() {
            task.deadline = None;
        } else {
            let number = task.passed();
            if !self.spoke && task.attempts > 0 {
                // The request follows the proposal at once, and some nodes stumble over it before their "na" is out.
                self.fail(BridgeError::OtherProtocol);
                return;
            }
            self.retry(index, BridgeError::Truncated { number });
        }
    }

    /// The connection is gone.
    fn lost(&mut self, error: BridgeError) {
        if self.failed || self.closing {
            return;
        }
        for task in &mut self.tasks {
            task.leave(None);
        }
        // An identity that is not the expected one will not become so.
        if let BridgeError::Connection(p2p::Error::PeerMismatch { .. }) = &error {
            self.fail(error);
            return;
        }
        let retry_in = self.link.lose(self.desk.now, &self.config);
        self.trouble = Some(error.clone());
        self.events.push_back(Event::Down { error, retry_in });
    }

    /// Opens a stream again later, or gives the bridge up.
    fn retry(&mut self, index: usize, error: BridgeError) {
        let Some(task) = self.tasks.get_mut(index) else {
            return;
        };
        task.leave(self.link.open_connection());
        task.attempts = task.attempts.saturating_add(1);
        if task.attempts > self.config.attempts_max {
            self.fail(error);
            return;
        }
        let retry_in = link::pause(task.attempts.saturating_sub(1), &self.config);
        task.not_before = self.desk.now + retry_in;
        self.trouble = Some(error.clone());
        self.events.push_back(Event::Retry { error, retry_in });
    }

    fn fail(&mut self, error: BridgeError) {
        if self.failed {
            return;
        }
        self.failed = true;
        self.tasks.clear();
        self.link.close();
        self.events.push_back(Event::Failed(error));
    }

    /// Opens streams for what waits for one.
    fn open_streams(&mut self) {
        let Some(connection) = self.link.open_connection() else {
            return;
        };
        while self.tasks.len() < self.config.streams_max.max(1)
            && let Some(root) = self.desk.take_orphan()
        {
            let task = Task::new(root, self.whole_files, self.desk.now);
            self.tasks.push(task);
        }
        for task in &mut self.tasks {
            if task.is_due(&self.desk) {
                task.open(connection, &self.desk);
                self.streams = self.streams.saturating_add(1);
            }
        }
    }

    /// Lets each task go as far as it can, until one has a chunk.
    fn step_tasks(&mut self) -> Option<Event> {
        let mut index = 0;
        let count = self.tasks.len();
        for _ in 0..count {
            index = self.turn.checked_rem(self.tasks.len()).unwrap_or(0);
            let Some(task) = self.tasks.get_mut(index) else {
                break;
            };
            match task.step(self.link.open_connection(), &mut self.desk) {
                Step::Chunk(chunk) => {
                    self.stuck = 0;
                    self.link.has_progress();
                    return Some(Event::Chunk(chunk));
                }
                Step::Missing(address) => {
                    let words = String::from("not found");
                    let failure = Failure { words };
                    return Some(Event::ChunkFailed { address, failure });
                }
                Step::Wait | Step::Held => self.turn = index.saturating_add(1),
                Step::Done => {
                    self.tasks.remove(index);
                    self.find_orphans();
                }
                Step::Failed(error) => {
                    self.stream_failed(index, error);
                    if let Some(event) = self.events.pop_front() {
                        return Some(event);
                    }
                }
            }
        }
        self.turn = index;
        None
    }

    /// Decides what a failed stream means.
    fn stream_failed(&mut self, index: usize, error: BridgeError) {
        let (code, words) = match error {
            BridgeError::Refused { code, words } => (code, words),
            error if error.is_final() => return self.fail(error),
            error => return self.retry(index, error),
        };
        let is_missing = match code {
            Some(code) => code == Code::NotFound || code == Code::NotAFile,
            None => words == "not found",
        };
        let Some(task) = self.tasks.get_mut(index) else {
            return;
        };
        if is_missing {
            let expected = task.expected();
            let has_progress = task.has_progress;
            self.abandon(index);
            // What exists but is no tree was one chunk of some tree: it may be asked for by itself.
            if let Some(address) = expected
                && (code != Some(Code::NotAFile) || !has_progress)
                && self.desk.take(address)
            {
                let failure = Failure { words };
                self.events
                    .push_back(Event::ChunkFailed { address, failure });
            }
            return;
        }
        let is_unknown = code.is_none_or(|code| code == Code::UnknownType);
        if is_unknown && !self.whole_files && task.passed() == 0 {
            self.whole_files = true;
            self.events.push_back(Event::WholeFiles);
            while !self.tasks.is_empty() {
                self.abandon(0);
            }
            return;
        }
        let error = BridgeError::Refused { code, words };
        if error.is_final() {
            self.fail(error);
        } else {
            self.retry(index, error);
        }
    }

    /// Gives a task up: what it would have brought is asked for anew.
    fn abandon(&mut self, index: usize) {
        if index < self.tasks.len() {
            let mut task = self.tasks.remove(index);
            task.leave(self.link.open_connection());
        }
        self.find_orphans();
    }

    fn find_orphans(&mut self) {
        let tasks = &self.tasks;
        self.desk
            .find_orphans(|address| tasks.iter().any(|task| task.covers(address)));
    }

    /// When every stream waits for a chunk to be wanted, and the driver had its chance to want it, something has to give way.
    fn unstick(&mut self) -> bool {
        let is_flowing = self.tasks.iter().any(Task::is_flowing);
        let is_waiting = self.desk.len() > 0;
        let held = self.tasks.iter().position(|task| !task.is_flowing());
        let (false, true, true, Some(first)) = (is_flowing, is_waiting, self.link.is_up(), held)
        else {
            self.stuck = 0;
            return false;
        };
        let sleeping = |task: &Task| task.stream.is_none() && task.not_before > self.desk.now;
        if self.tasks.iter().any(sleeping) {
            return false;
        }
        self.stuck = self.stuck.saturating_add(1);
        if self.stuck < 2 {
            return false;
        }
        self.stuck = 0;
        if self.desk.has_orphans() {
            self.abandon(first);
            return true;
        }
        let mut dropped = false;
        for index in (0..self.tasks.len()).rev() {
            let Some(task) = self.tasks.get_mut(index) else {
                continue;
            };
            let is_held = task.is_held();
            if !is_held || !task.drop_held() {
                self.abandon(index);
            }
            dropped = true;
        }
        dropped
    }
}

impl core::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bridge")
            .field("address", &self.config.address)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
