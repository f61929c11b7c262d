//! One name being looked up: servers in turn, over UDP and, after a truncated answer, over TCP.
use super::{LookupError, Tools};
use crate::time::duration_to_smoltcp;
use ::dns::{DecodeError, Kind, Name, Reply};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use p2p::Instant;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use swarm::{DnsAnswer, DnsQueryId};

const DNS_PORT: u16 = 53;
/// First of the ports that questions are asked from; any above will do.
const PORT_FIRST: u16 = 1024;
/// Answers to aliases asked for one after another.
const ALIASES_MAX: u32 = 8;
/// Datagrams looked at in one turn; a flood of guesses must not stop the clock.
const DATAGRAMS_MAX: usize = 16;
/// Bytes of datagrams that wait to be looked at.
const UDP_BYTES: usize = 4096;
/// Bytes of a question: header, the longest name, type and class, EDNS, length before it on TCP.
const QUESTION_BYTES: usize = 12 + 255 + 4 + 11 + 2;
/// Longest answer taken over TCP.
const TCP_BYTES_MAX: usize = 16 * 1024;

/// What is wanted, and by whom.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) id: DnsQueryId,
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// What a turn brought.
pub(crate) enum Progress {
    Waiting,
    Moved,
    Done(Result<DnsAnswer, LookupError>),
}

#[derive(Debug)]
enum Transport {
    /// Nothing is under way.
    None,
    Udp(SocketHandle),
    Tcp {
        handle: SocketHandle,
        is_asked: bool,
        answer: Vec<u8>,
    },
}

#[derive(Debug)]
pub(crate) struct Lookup {
    subject: Subject,
    /// What is asked for now: the subject, or what it is an alias of.
    name: Name,
    aliases: u32,
    tries: u32,
    with_edns: bool,
    transport: Transport,
    transaction: u16,
    server: Ipv4Addr,
    deadline: Instant,
    error: LookupError,
}

impl Lookup {
    pub(crate) fn new(now: Instant, subject: Subject, name: Name) -> Self {
        Self {
            subject,
            name,
            aliases: 0,
            tries: 0,
            with_edns: true,
            transport: Transport::None,
            transaction: 0,
            server: Ipv4Addr::UNSPECIFIED,
            deadline: now,
            error: LookupError::NoAnswer,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn into_subject(self) -> Subject {
        self.subject
    }

    /// Takes what came and does what is due.
    pub(crate) fn poll(&mut self, tools: &mut Tools<'_>) -> Progress {
        let reply = match self.transport {
            Transport::None => None,
            Transport::Udp(handle) => self.receive(tools, handle),
            Transport::Tcp { .. } => self.exchange(tools),
        };
        if let Some(reply) = reply {
            return self.take(tools, reply);
        }
        if tools.now < self.deadline {
            return Progress::Waiting;
        }
        self.ask_next(tools)
    }

    /// Gives the socket back.
    pub(crate) fn close(&mut self, sockets: &mut SocketSet<'static>) {
        match core::mem::replace(&mut self.transport, Transport::None) {
            Transport::None => {}
            Transport::Udp(handle) | Transport::Tcp { handle, .. } => {
                sockets.remove(handle);
            }
        }
    }

    fn take(&mut self, tools: &mut Tools<'_>, reply: Result<Reply, LookupError>) -> Progress {
        match reply {
            Ok(Reply::Addresses(addresses)) => Progress::Done(Ok(DnsAnswer::Addresses(
                addresses.into_iter().map(Into::into).collect(),
            ))),
            Ok(Reply::Texts(texts)) => Progress::Done(Ok(DnsAnswer::Txt(texts))),
            Ok(Reply::Nothing) => Progress::Done(Err(LookupError::NotFound)),
            Ok(Reply::Alias(name)) => {
                self.aliases = self.aliases.saturating_add(1);
                if self.aliases > ALIASES_MAX {
                    return Progress::Done(Err(LookupError::BadAnswer));
                }
                self.name = name;
                self.ask(tools)
            }
            Ok(Reply::Truncated) => match self.transport {
                Transport::Tcp { .. } => self.give_up_on_server(tools, LookupError::BadAnswer),
                Transport::Udp(_) | Transport::None => self.connect(tools),
            },
            Ok(Reply::NotUnderstood) if self.with_edns => {
                self.with_edns = false;
                self.ask(tools)
            }
            Ok(Reply::NotUnderstood | Reply::Failed) => {
                self.give_up_on_server(tools, LookupError::ServerFailed)
            }
            Err(error) => self.give_up_on_server(tools, error),
        }
    }

    fn give_up_on_server(&mut self, tools: &mut Tools<'_>, error: LookupError) -> Progress {
        self.error = error;
        self.ask_next(tools)
    }

    /// Asks the next server, or gives up.
    fn ask_next(&mut self, tools: &mut Tools<'_>) -> Progress {
        self.close(tools.sockets);
        let Some(count) = u32::try_from(tools.servers.len())
            .ok()
            .filter(|count| *count > 0)
        else {
            return Progress::Done(Err(LookupError::NoServer));
        };
        if self.tries >= count.saturating_mul(tools.rounds) {
            return Progress::Done(Err(self.error));
        }
        let index = self.tries.checked_rem(count).unwrap_or(0);
        self.tries = self.tries.saturating_add(1);
        let server = usize::try_from(index)
            .ok()
            .and_then(|index| tools.servers.get(index));
        if let Some(server) = server {
            self.server = *server;
        }
        self.ask(tools)
    }

    /// Asks the server over UDP, with a new id from a new port.
    fn ask(&mut self, tools: &mut Tools<'_>) -> Progress {
        self.close(tools.sockets);
        self.deadline = tools.now + tools.timeout;
        if let Some(hop) = tools.route.and_then(|route| route.next_hop(self.server)) {
            tools.neighbours.want(tools.now, hop);
        }
        let buffer = |packets, bytes| {
            udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; packets], vec![0; bytes])
        };
        let mut socket =
            udp::Socket::new(buffer(DATAGRAMS_MAX, UDP_BYTES), buffer(1, QUESTION_BYTES));
        let question = self.question(tools);
        let to = (self.server, DNS_PORT);
        // Neither fails: the port is not zero, the server is a host, and the question fits.
        if socket.bind(self.port(tools)).is_ok() && socket.send_slice(&question, to).is_ok() {
            self.transport = Transport::Udp(tools.sockets.add(socket));
        }
        Progress::Moved
    }

    /// Asks the same server over TCP.
    fn connect(&mut self, tools: &mut Tools<'_>) -> Progress {
        self.close(tools.sockets);
        self.deadline = tools.now + tools.timeout.saturating_mul(2);
        let buffer = |bytes| tcp::SocketBuffer::new(vec![0; bytes]);
        let mut socket = tcp::Socket::new(buffer(UDP_BYTES), buffer(QUESTION_BYTES));
        socket.set_timeout(Some(duration_to_smoltcp(tools.timeout.saturating_mul(2))));
        let to = (self.server, DNS_PORT);
        let port = self.port(tools);
        if socket.connect(tools.interface.context(), to, port).is_err() {
            return self.give_up_on_server(tools, LookupError::BadAnswer);
        }
        self.transport = Transport::Tcp {
            handle: tools.sockets.add(socket),
            is_asked: false,
            answer: Vec::new(),
        };
        Progress::Moved
    }

    /// Looks at datagrams until one is a reply.
    fn receive(
        &self,
        tools: &mut Tools<'_>,
        handle: SocketHandle,
    ) -> Option<Result<Reply, LookupError>> {
        let socket = tools.sockets.get_mut::<udp::Socket>(handle);
        for _ in 0..DATAGRAMS_MAX {
            let (bytes, meta) = socket.recv().ok()?;
            if meta.endpoint != (self.server, DNS_PORT).into() {
                continue;
            }
            let kind = self.subject.kind;
            if let Some(reply) = decode(bytes, self.transaction, &self.name, kind) {
                return Some(reply);
            }
        }
        None
    }

    /// Moves the exchange over TCP on; the reply is complete when its length says so.
    fn exchange(&mut self, tools: &mut Tools<'_>) -> Option<Result<Reply, LookupError>> {
        let question = match &self.transport {
            Transport::Tcp {
                is_asked: false, ..
            } => self.question(tools),
            _ => Vec::new(),
        };
        let Transport::Tcp {
            handle,
            is_asked,
            answer,
        } = &mut self.transport
        else {
            return None;
        };
        let socket = tools.sockets.get_mut::<tcp::Socket>(*handle);
        if !*is_asked && socket.may_send() {
            let length = u16::try_from(question.len()).unwrap_or(0).to_be_bytes();
            let framed = [&length[..], &question[..]].concat();
            // The buffer is empty and holds the longest question.
            *is_asked = socket.send_slice(&framed).is_ok();
        }
        while socket.can_recv() && answer.len() < TCP_BYTES_MAX {
            let taken = socket.recv(|bytes| {
                answer.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            if taken.is_err() {
                break;
            }
        }
        let is_over = !socket.may_recv() && socket.state() != tcp::State::SynSent;
        let message = answer
            .split_first_chunk::<2>()
            .and_then(|(length, rest)| rest.get(..usize::from(u16::from_be_bytes(*length))));
        match message {
            Some(message) => {
                let reply = decode(message, self.transaction, &self.name, self.subject.kind);
                Some(reply.unwrap_or(Err(LookupError::BadAnswer)))
            }
            None if is_over || answer.len() >= TCP_BYTES_MAX => Some(Err(LookupError::BadAnswer)),
            None => None,
        }
    }

    fn question(&mut self, tools: &mut Tools<'_>) -> Vec<u8> {
        self.transaction = tools.random.next_u16();
        let mut bytes = Vec::new();
        let (id, kind) = (self.transaction, self.subject.kind);
        ::dns::encode(id, &self.name, kind, self.with_edns, &mut bytes);
        bytes
    }

    fn port(&self, tools: &mut Tools<'_>) -> u16 {
        let ports = u64::from(u16::MAX.saturating_sub(PORT_FIRST));
        let offset = u16::try_from(tools.random.below(ports)).unwrap_or(0);
        PORT_FIRST.saturating_add(offset)
    }
}

/// Reads a reply; `None` if it is not one to this question.
fn decode(
    bytes: &[u8],
    transaction: u16,
    name: &Name,
    kind: Kind,
) -> Option<Result<Reply, LookupError>> {
    match ::dns::decode(bytes, transaction, name, kind) {
        Ok(reply) => Some(Ok(reply)),
        Err(DecodeError::NotOurs) => None,
        Err(DecodeError::Malformed) => Some(Err(LookupError::BadAnswer)),
    }
}
