//! A bridge for tests, honest or not.
use super::Chunks;
use crate::{Answer, Code, Kind, PROTOCOL, Record, Request, Walk};
use bmt::{ChunkConsumer, VerifiedChunk};
use content::Collect;
use p2p::{Connection, Event, Instant, Keypair, Role, StreamId};
use std::collections::BTreeMap;
use std::string::ToString;
use std::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Behaviour {
    Honest,
    NotThere,
    OtherVersion,
    NoAnswerLine,
    FlipBit(u64),
    OtherChunk(u64),
    EndEarly(u64),
    Garbage(u64),
    WrongSize,
    /// Half-closes before this chunk, always.
    StopAt(u64),
    ResetAt(u64),
    SilentAt(u64),
    /// Half-closes after so many chunks of each stream.
    StopEach(u64),
    /// Drops the connection after so many chunks of each stream.
    DisconnectEach(u64),
    FilesOnly,
    FilesOnlyFlipped,
    FilesOnlySurplus,
    /// Half-closes in the middle of the file, always.
    FilesOnlyStopped,
    BusyTimes(u32),
}

/// How the answer on a stream goes on after its bytes.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    Reset,
    Silence,
    Disconnect,
}

struct Serving {
    out: Vec<u8>,
    at: usize,
    then: Then,
}

pub(super) struct FakeBridge {
    chunks: Chunks,
    behaviour: Behaviour,
    connection: Option<Connection>,
    streams: BTreeMap<StreamId, Serving>,
    requests: u32,
    gone: bool,
    dials: u8,
}

impl FakeBridge {
    pub(super) fn new(chunks: Chunks, behaviour: Behaviour) -> Self {
        Self {
            chunks,
            behaviour,
            connection: None,
            streams: BTreeMap::new(),
            requests: 0,
            gone: false,
            dials: 0,
        }
    }

    pub(super) fn accept(&mut self, now: Instant) -> bool {
        if self.behaviour == Behaviour::NotThere {
            return false;
        }
        self.dials += 1;
        let keypair = Keypair::ed25519(&[9; 32]);
        let mut config = p2p::Config::new(keypair, [8; 32], [self.dials; 32]);
        config.protocols = std::vec![match self.behaviour {
            Behaviour::OtherVersion => "/deboot/fetch/2.0.0".to_string(),
            _ => PROTOCOL.to_string(),
        }];
        self.connection = Some(Connection::new(Role::Listener, config, now));
        self.streams.clear();
        self.gone = false;
        true
    }

    pub(super) fn hang_up(&mut self) {
        self.connection = None;
        self.streams.clear();
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now);
        }
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let _ = connection.handle_input(now, bytes);
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Readable { stream } | Event::Finished { stream } => {
                    if self.streams.contains_key(&stream) {
                        continue;
                    }
                    let finished = connection.is_finished(stream);
                    let received = connection.received(stream).to_vec();
                    if let Some(line) = Request::line(&received, finished).unwrap() {
                        let request = Request::decode(line).unwrap();
                        connection.consume(stream, received.len());
                        self.requests += 1;
                        let serving = answer(&self.chunks, self.behaviour, self.requests, &request);
                        self.streams.insert(stream, serving);
                    }
                }
                Event::Reset { stream } => {
                    self.streams.remove(&stream);
                }
                _ => {}
            }
        }
    }

    pub(super) fn send(&mut self, now: Instant, room: &mut [u8]) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let mut done = Vec::new();
        for (stream, serving) in &mut self.streams {
            while serving.at < serving.out.len() && connection.queued(*stream) < 32 * 1024 {
                let end = serving.out.len().min(serving.at + 8000);
                if connection
                    .write(*stream, &serving.out[serving.at..end])
                    .is_err()
                {
                    done.push(*stream);
                    break;
                }
                serving.at = end;
            }
            if serving.at == serving.out.len() && connection.queued(*stream) == 0 {
                match serving.then {
                    Then::Close => {
                        connection.close_write(*stream);
                        done.push(*stream);
                    }
                    // Queued is not received: what was sent before must not be lost in this test.
                    Then::Reset => {
                        connection.reset(*stream);
                        done.push(*stream);
                    }
                    Then::Silence => {}
                    Then::Disconnect => self.gone = true,
                }
            }
        }
        for stream in done {
            self.streams.remove(&stream);
        }
        connection.poll_output(now, room)
    }
}

fn answer(chunks: &Chunks, behaviour: Behaviour, requests: u32, request: &Request) -> Serving {
    let mut out = Vec::new();
    let mut then = Then::Close;
    let files_only = matches!(
        behaviour,
        Behaviour::FilesOnly
            | Behaviour::FilesOnlyFlipped
            | Behaviour::FilesOnlySurplus
            | Behaviour::FilesOnlyStopped
    );
    match (request.kind, behaviour) {
        (_, Behaviour::NoAnswerLine) => out.extend_from_slice(b"HTTP/1.1 400 Bad Request\n"),
        (_, Behaviour::BusyTimes(times)) if requests <= times => {
            Answer::error(Code::Busy, "too many streams").encode(&mut out);
        }
        (Kind::Chunks, _) if files_only => {
            out.extend_from_slice(b"{\"ok\":false,\"error\":\"what?\"}")
        }
        (Kind::Chunks, _) => then = tree(&mut out, chunks, behaviour, request),
        _ => file(&mut out, chunks, behaviour, request),
    }
    Serving { out, at: 0, then }
}

fn file(out: &mut Vec<u8>, chunks: &Chunks, behaviour: Behaviour, request: &Request) {
    let mut file = Collect::new(request.reference, u64::MAX, 100);
    while !file.is_done() {
        let want = file.poll_want().unwrap();
        file.handle_chunk(chunks[&want].clone()).unwrap();
    }
    let mut bytes = file.into_bytes().unwrap();
    let size = Some(bytes.len() as u64);
    Answer::Ok { size }.encode(out);
    match behaviour {
        Behaviour::FilesOnlyFlipped => bytes[77] ^= 4,
        Behaviour::FilesOnlySurplus => bytes.push(0),
        Behaviour::FilesOnlyStopped => bytes.truncate(bytes.len() / 2),
        _ => {}
    }
    out.extend_from_slice(&bytes);
}

fn tree(out: &mut Vec<u8>, chunks: &Chunks, behaviour: Behaviour, request: &Request) -> Then {
    let mut walk = Walk::new(request.reference, request.from);
    let mut head = false;
    let mut sent = 0;
    let mut number = request.from;
    while let Some(address) = walk.expected() {
        let Some(chunk) = chunks.get(&address) else {
            let answer = Answer::error(Code::NotFound, "not found");
            if head {
                Record::Missing { address }.encode(out);
                number += walk.leave_out();
                continue;
            }
            answer.encode(out);
            return Then::Close;
        };
        let is_sent = !walk.is_left_out();
        let is_tree = walk.advance(chunk).is_ok();
        if !head {
            head = true;
            let wrong = u64::from(behaviour == Behaviour::WrongSize);
            let size = walk.size().map(|size| size + wrong);
            Answer::Ok { size }.encode(out);
        }
        if !is_sent {
            continue;
        }
        match behaviour {
            Behaviour::StopAt(k) if number == k => return Then::Close,
            Behaviour::ResetAt(k) if number == k => return Then::Reset,
            Behaviour::SilentAt(k) if number == k => return Then::Silence,
            Behaviour::StopEach(k) if sent == k => return Then::Close,
            Behaviour::DisconnectEach(k) if sent == k => return Then::Disconnect,
            Behaviour::EndEarly(k) if number == k => break,
            Behaviour::Garbage(k) if number == k => out.extend_from_slice(&[0x7f; 64]),
            Behaviour::FlipBit(k) if number == k => {
                let mut data = chunk.data().to_vec();
                let last = data.len() - 1;
                data[last] ^= 1;
                Record::Chunk {
                    address,
                    data: &data,
                }
                .encode(out);
            }
            Behaviour::OtherChunk(k) if number == k => {
                let other = VerifiedChunk::content([5, 0, 0, 0, 0, 0, 0, 0], b"other").unwrap();
                let address = other.address();
                let data = other.data();
                Record::Chunk { address, data }.encode(out);
            }
            _ => {
                let data = chunk.data();
                Record::Chunk { address, data }.encode(out);
            }
        }
        sent += 1;
        number += 1;
        if !is_tree {
            Record::Error(Answer::error(Code::NotAFile, "not a file")).encode(out);
            return Then::Close;
        }
    }
    Record::End.encode(out);
    Then::Close
}
