//! One stream to the bridge, over as many connections as it takes.
use super::desk::Desk;
use super::error::BridgeError;
use super::whole::Whole;
use crate::{Answer, Kind, PROTOCOL, Record, RecordError, Request, Walk};
use alloc::vec::Vec;
use bmt::{ChunkAddress, VerifiedChunk};
use content::Reference;
use p2p::{Connection, Instant, StreamId};

/// Verified chunks in a row that nobody wants, after which a stream is given up.
const UNWANTED_MAX: u32 = 64;

/// What a task comes to.
pub(super) enum Step {
    /// The next chunk, verified and wanted.
    Chunk(VerifiedChunk),
    /// A wanted chunk that the bridge cannot find.
    Missing(ChunkAddress),
    /// Nothing more until something is received.
    Wait,
    /// The next chunk is not wanted (yet).
    Held,
    /// Everything it can bring was brought.
    Done,
    /// This stream has failed, for this reason.
    Failed(BridgeError),
}

/// A tree, or what is left of it, and the stream that brings it.
pub(super) struct Task {
    root: Reference,
    content: Content,
    pub(super) stream: Option<StreamId>,
    answered: bool,
    /// The bridge has half-closed: what is here is all.
    pub(super) finished: bool,
    held: Option<VerifiedChunk>,
    /// The bridge says that it cannot find this one.
    missing: Option<ChunkAddress>,
    unwanted: u32,
    announced: Option<u64>,
    /// Chunks received, over all its streams.
    passed: u64,
    /// The bridge says that this is all, and it is.
    complete: bool,
    /// Something came on the current stream.
    pub(super) has_progress: bool,
    pub(super) attempts: u32,
    /// Not to be opened before.
    pub(super) not_before: Instant,
    /// When the stream counts as silent.
    pub(super) deadline: Option<Instant>,
}

enum Content {
    /// Chunk by chunk.
    Chunks(Walk),
    /// As a whole, being received.
    File(Vec<u8>),
    /// As a whole, verified.
    Whole(Whole),
}

impl Task {
    pub(super) fn new(root: Reference, as_file: bool, now: Instant) -> Self {
        let content = if as_file {
            Content::File(Vec::new())
        } else {
            Content::Chunks(Walk::new(root, 0))
        };
        Self {
            root,
            content,
            stream: None,
            answered: false,
            finished: false,
            held: None,
            missing: None,
            unwanted: 0,
            announced: None,
            passed: 0,
            complete: false,
            has_progress: false,
            attempts: 0,
            not_before: now,
            deadline: None,
        }
    }

    /// Says whether it is going to bring this chunk.
    pub(super) fn covers(&self, address: ChunkAddress) -> bool {
        match &self.content {
            Content::Chunks(walk) => walk.contains(address),
            Content::File(_) => self.root.address == address,
            Content::Whole(whole) => whole.contains(address),
        }
    }

    /// Returns the chunk it waits for.
    pub(super) fn expected(&self) -> Option<ChunkAddress> {
        match &self.content {
            Content::Chunks(walk) => walk.expected(),
            Content::File(_) => Some(self.root.address),
            Content::Whole(_) => None,
        }
    }

    /// Says whether a stream should be opened for it now.
    pub(super) fn is_due(&self, desk: &Desk) -> bool {
        self.stream.is_none()
            && self.not_before <= desk.now
            && self.held.is_none()
            && self.expected().is_some_and(|next| desk.is_wanted(next))
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Says whether bytes are expected from the bridge.
    pub(super) const fn is_flowing(&self) -> bool {
        self.stream.is_some() && self.held.is_none()
    }

    /// Returns the chunks received so far.
    pub(super) const fn passed(&self) -> u64 {
        self.passed
    }

    /// Asks the bridge.
    pub(super) fn open(&mut self, connection: &mut Connection, desk: &Desk) {
        let kind = match self.content {
            Content::Chunks(_) => Kind::Chunks,
            Content::File(_) | Content::Whole(_) => Kind::Artifact,
        };
        let mut request = Request::new(kind, self.root);
        request.from = self.passed;
        let Ok(stream) = connection.open(desk.now, &[PROTOCOL], &request.encode()) else {
            return;
        };
        connection.close_write(stream);
        self.stream = Some(stream);
        self.answered = false;
        self.finished = false;
        self.has_progress = false;
        self.deadline = Some(desk.now + desk.answer_timeout);
    }

    /// Ends its stream, keeping what was achieved.
    pub(super) fn leave(&mut self, connection: Option<&mut Connection>) {
        if let (Some(stream), Some(connection)) = (self.stream.take(), connection) {
            connection.reset(stream);
        }
        self.deadline = None;
        if let Content::File(bytes) = &mut self.content {
            bytes.clear();
        }
    }

    /// Throws away a chunk that nobody wants; false when there were too many.
    pub(super) fn drop_held(&mut self) -> bool {
        if self.held.take().is_some() {
            self.unwanted = self.unwanted.saturating_add(1);
        }
        self.unwanted <= UNWANTED_MAX
    }

    /// Takes what was received as far as it goes.
    pub(super) fn step(&mut self, connection: Option<&mut Connection>, desk: &mut Desk) -> Step {
        match &self.content {
            Content::Whole(_) => self.step_whole(desk),
            Content::Chunks(_) | Content::File(_) => self.step_stream(connection, desk),
        }
    }

    fn step_stream(&mut self, mut connection: Option<&mut Connection>, desk: &mut Desk) -> Step {
        loop {
            if let Some(chunk) = self.held.take() {
                if desk.take(chunk.address()) {
                    self.unwanted = 0;
                    return Step::Chunk(chunk);
                }
                if !desk.was_given(chunk.address()) {
                    self.held = Some(chunk);
                    self.deadline = None;
                    return Step::Held;
                }
            }
            if let Some(address) = self.missing.take()
                && desk.take(address)
            {
                return Step::Missing(address);
            }
            if self.complete {
                return Step::Done;
            }
            let (Some(stream), Some(connection)) = (self.stream, connection.as_deref_mut()) else {
                return Step::Wait;
            };
            self.deadline.get_or_insert(desk.now + desk.answer_timeout);
            let received = connection.received(stream);
            let result = match (&mut self.content, self.answered) {
                (_, false) => self.answer(received),
                (Content::Chunks(_), true) => self.record(received, desk),
                (Content::File(_), true) => self.file(received, desk),
                (Content::Whole(_), true) => {
                    // All of it is here; what else the bridge may send is of no interest.
                    connection.reset(stream);
                    self.stream = None;
                    return self.step_whole(desk);
                }
            };
            match result {
                Ok(Some(used)) => connection.consume(stream, used),
                Ok(None) if !self.finished => return Step::Wait,
                Ok(None) => {
                    let number = self.passed;
                    return Step::Failed(BridgeError::Truncated { number });
                }
                Err(error) => return Step::Failed(error),
            }
        }
    }

    /// Reads the first line. Returns bytes used, or `None` when more are needed.
    fn answer(&mut self, received: &[u8]) -> Result<Option<usize>, BridgeError> {
        let answer = Answer::decode(received, self.finished);
        match answer.map_err(BridgeError::Answer)? {
            None => Ok(None),
            Some((Answer::Ok { size }, used)) => {
                self.announced = size;
                self.answered = true;
                Ok(Some(used))
            }
            Some((Answer::Error { code, error }, _)) => {
                Err(BridgeError::Refused { code, words: error })
            }
        }
    }

    /// Reads one record.
    fn record(&mut self, received: &[u8], desk: &mut Desk) -> Result<Option<usize>, BridgeError> {
        let Content::Chunks(walk) = &mut self.content else {
            return Ok(None);
        };
        let number = self.passed;
        let record = Record::decode(received);
        let (record, used) = match record.map_err(BridgeError::Record)? {
            Some(found) => found,
            None => return Ok(None),
        };
        match (record, walk.expected()) {
            // A chunk that is no tree: the bridge says so too, in its way.
            (Record::End | Record::Error(_), None) => {
                self.complete = true;
                Ok(Some(used))
            }
            (Record::End, Some(expected)) => Err(BridgeError::Incomplete { number, expected }),
            (Record::Error(Answer::Error { code, error }), Some(_)) => {
                Err(BridgeError::Refused { code, words: error })
            }
            (Record::Error(Answer::Ok { .. }), Some(_)) => {
                Err(BridgeError::Record(RecordError::NoError))
            }
            (Record::Missing { address }, Some(expected)) if number > 0 && address == expected => {
                self.passed = number.saturating_add(walk.leave_out());
                self.missing = Some(address);
                self.progress(desk);
                Ok(Some(used))
            }
            (Record::Missing { address: found }, Some(expected)) => Err(BridgeError::OtherChunk {
                number,
                expected,
                found,
            }),
            (Record::Chunk { .. } | Record::Missing { .. }, None) => {
                Err(BridgeError::Surplus { chunks: number })
            }
            (Record::Chunk { address, data }, Some(expected)) => {
                if address != expected {
                    return Err(BridgeError::OtherChunk {
                        number,
                        expected,
                        found: address,
                    });
                }
                let Ok(chunk) = VerifiedChunk::verify(expected, data.to_vec()) else {
                    return Err(BridgeError::WrongChunk { number, expected });
                };
                // What is no tree is one chunk; its consumer judges it.
                let is_tree = walk.advance(&chunk).is_ok();
                if number == 0
                    && is_tree
                    && let (Some(announced), Some(real)) = (self.announced, walk.size())
                    && announced != real
                {
                    return Err(BridgeError::Size { announced, real });
                }
                self.passed = number.saturating_add(1);
                self.progress(desk);
                desk.count(data.len());
                self.held = Some(chunk);
                Ok(Some(used))
            }
        }
    }

    /// Reads a part of a whole file.
    fn file(&mut self, received: &[u8], desk: &mut Desk) -> Result<Option<usize>, BridgeError> {
        let Content::File(bytes) = &mut self.content else {
            return Ok(None);
        };
        let Some(size) = self.announced else {
            return Err(BridgeError::NoSize);
        };
        let max = desk.file_bytes_max;
        let room = match usize::try_from(size) {
            Ok(whole) if size <= max => whole.saturating_sub(bytes.len()),
            _ => return Err(BridgeError::TooLarge { size, max }),
        };
        if self.root.key.is_some() {
            return Err(BridgeError::NeedsChunks);
        }
        let (part, surplus) = received.split_at_checked(room).unwrap_or((received, &[]));
        if !surplus.is_empty() {
            let real = size.saturating_add(u64::try_from(surplus.len()).unwrap_or(0));
            let announced = size;
            return Err(BridgeError::Size { announced, real });
        }
        if part.len() < room {
            if part.is_empty() {
                return Ok(None);
            }
            if bytes.try_reserve(part.len()).is_err() {
                return Err(BridgeError::TooLarge { size, max });
            }
            bytes.extend_from_slice(part);
            // It moves the deadlines, and that is all: nothing of it is verified, and nothing of it survives another attempt.
            desk.progress();
            self.deadline = Some(desk.now + desk.answer_timeout);
            return Ok(Some(part.len()));
        }
        bytes.extend_from_slice(part);
        let (whole, found) = Whole::new(core::mem::take(bytes));
        let expected = self.root.address;
        if found != expected {
            return Err(BridgeError::WholeFile { expected, found });
        }
        let used = part.len();
        self.content = Content::Whole(whole);
        self.progress(desk);
        desk.count(used);
        Ok(Some(used))
    }

    fn step_whole(&mut self, desk: &mut Desk) -> Step {
        self.deadline = None;
        let Content::Whole(whole) = &mut self.content else {
            return Step::Wait;
        };
        match desk.take_from(|address| whole.take(address)) {
            Some(chunk) => Step::Chunk(chunk),
            None if whole.is_empty() => Step::Done,
            None => Step::Held,
        }
    }

    fn progress(&mut self, desk: &mut Desk) {
        self.has_progress = true;
        self.attempts = 0;
        desk.progress();
        self.deadline = Some(desk.now + desk.answer_timeout);
    }
}
