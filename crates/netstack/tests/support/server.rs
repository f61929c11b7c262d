//! The other end: a smoltcp interface with TCP services, and a DHCP server in front of it.
use super::dhcp::DhcpServer;
use super::wire::Port;
use p2p::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use swarm::ConnId;

pub const SERVER_MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 0, 0, 0, 2]);
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The server's second address.
pub const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

/// What a TCP port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Sends a pattern of this many bytes, then closes.
    Source(u64),
    /// Sends back what it gets.
    Echo,
    /// Answers every `request` bytes with `answer` bytes of the pattern.
    Chunks { request: u64, answer: u64 },
    /// Closes as soon as it is connected.
    Hang,
    /// Resets once it got this many bytes.
    Reset(u64),
    /// Counts and throws away.
    Sink,
    /// Answers DNS questions with this many texts.
    DnsTexts(u64),
    /// The storer of this number.
    Storer(usize),
    /// Neither reads nor writes.
    Deaf,
    /// Sends 1000 bytes and never closes, even when the other end does.
    HalfOpen,
}

pub struct Listener {
    pub port: u16,
    service: Service,
    handle: SocketHandle,
    conn: Option<ConnId>,
    pub sent: u64,
    pub got: u64,
}

/// The pattern at `position`.
pub fn pattern(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Frames between the port and the interface.
#[derive(Default)]
pub struct Queue {
    rx: VecDeque<Vec<u8>>,
    tx: Vec<Vec<u8>>,
}

pub struct Server {
    port: Port,
    queue: Queue,
    interface: Interface,
    pub sockets: SocketSet<'static>,
    pub listeners: Vec<Listener>,
    pub dhcp: Option<DhcpServer>,
    /// Behind [`Service::Storer`].
    pub storers: Option<sim::Storers>,
    next_conn: u64,
    /// Frames of any kind that a test wants to answer itself; returned frames are sent.
    #[allow(clippy::type_complexity, reason = "a hook of one test")]
    pub hook: Option<Box<dyn FnMut(Instant, &[u8]) -> Option<Vec<Vec<u8>>>>>,
    /// Whether senders mind congestion. smoltcp counts acknowledgements, not bytes, and so starts slowly.
    pub congestion: bool,
    /// Frames seen, by any hook or not.
    pub frames: u64,
}

impl Server {
    pub fn new(port: Port) -> Self {
        let mut queue = Queue::default();
        let mut config = Config::new(HardwareAddress::Ethernet(SERVER_MAC));
        config.random_seed = 99;
        let mut interface = Interface::new(config, &mut queue, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for address in [SERVER, SECOND] {
                addresses
                    .push(IpCidr::new(address.into(), 24))
                    .expect("room");
            }
        });
        Self {
            port,
            queue,
            interface,
            sockets: SocketSet::new(Vec::new()),
            listeners: Vec::new(),
            dhcp: Some(DhcpServer::new(SERVER, SERVER_MAC)),
            storers: None,
            next_conn: 0,
            hook: None,
            congestion: true,
            frames: 0,
        }
    }

    pub fn dhcp(&mut self) -> &mut DhcpServer {
        self.dhcp.as_mut().expect("a DHCP server")
    }

    /// Offers `service` at `port` to one client at a time.
    pub fn serve(&mut self, port: u16, service: Service) -> usize {
        let buffer = || tcp::SocketBuffer::new(vec![0; 256 * 1024]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.listen(port).expect("a free port");
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(if self.congestion {
            tcp::CongestionControl::Reno
        } else {
            tcp::CongestionControl::None
        });
        let handle = self.sockets.add(socket);
        self.listeners.push(Listener {
            port,
            service,
            handle,
            conn: None,
            sent: 0,
            got: 0,
        });
        self.listeners.len() - 1
    }

    pub fn state(&self, listener: usize) -> tcp::State {
        self.sockets
            .get::<tcp::Socket>(self.listeners[listener].handle)
            .state()
    }

    pub fn poll(&mut self, now: Instant) -> bool {
        let at = smoltcp::time::Instant::from_micros(now.as_micros() as i64);
        let mut moved = false;
        while let Some(frame) = self.port.take(now) {
            moved = true;
            self.frames += 1;
            if let Some(answers) = self.hook.as_mut().and_then(|hook| hook(now, &frame)) {
                for answer in answers {
                    self.port.put(now, answer);
                }
                continue;
            }
            let is_dhcp = self.dhcp.as_mut().is_some_and(|d| d.handle(now, &frame));
            if !is_dhcp {
                self.queue.rx.push_back(frame);
            }
        }
        while let Some(frame) = self.dhcp.as_mut().and_then(|d| d.poll(now)) {
            self.port.put(now, frame);
            moved = true;
        }
        moved |= self.interface.poll(at, &mut self.queue, &mut self.sockets) != PollResult::None;
        if let Some(storers) = &mut self.storers {
            storers.handle_timeout(now);
        }
        for listener in &mut self.listeners {
            let socket = self.sockets.get_mut::<tcp::Socket>(listener.handle);
            if let (Service::Storer(index), Some(storers)) = (listener.service, &mut self.storers) {
                moved |= listener.store(now, socket, storers, index, &mut self.next_conn);
            } else {
                moved |= listener.serve(socket);
            }
        }
        moved |= self.interface.poll(at, &mut self.queue, &mut self.sockets) != PollResult::None;
        for frame in self.queue.tx.drain(..) {
            self.port.put(now, frame);
            moved = true;
        }
        moved
    }

    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let at = smoltcp::time::Instant::from_micros(now.as_micros() as i64);
        let interface = self
            .interface
            .poll_at(at, &self.sockets)
            .map(|at| Instant::from_micros(at.total_micros().max(0) as u64));
        let dhcp = self.dhcp.as_ref().and_then(DhcpServer::poll_at);
        let storers = self.storers.as_ref().and_then(|s| s.poll_timeout());
        [interface, dhcp, storers].into_iter().flatten().min()
    }
}

impl Listener {
    fn serve(&mut self, socket: &mut tcp::Socket<'_>) -> bool {
        if socket.state() == tcp::State::Closed || socket.state() == tcp::State::TimeWait {
            if socket.state() == tcp::State::Closed && socket.remote_endpoint().is_some() {
                return false; // its reset has not left yet
            }
            socket.abort();
            socket.listen(self.port).expect("a free port");
            (self.sent, self.got) = (0, 0);
            return true;
        }
        if !socket.may_send() && !socket.may_recv() {
            return false;
        }
        match self.service {
            Service::Source(total) => {
                let moved = self.fill(socket, total);
                if self.sent == total {
                    socket.close();
                }
                moved
            }
            Service::Chunks { request, answer } => {
                let read = self.swallow(socket);
                let due = self.got / request * answer;
                let moved = self.fill(socket, due) || read;
                Self::finish(socket);
                moved
            }
            Service::Echo => {
                let room = socket.send_capacity() - socket.send_queue();
                let mut bytes = vec![0; room.min(socket.recv_queue())];
                let read = socket.recv_slice(&mut bytes).unwrap_or(0);
                let moved = read > 0 && socket.send_slice(&bytes[..read]).is_ok();
                self.got += read as u64;
                Self::finish(socket);
                moved
            }
            Service::Hang => {
                socket.close();
                false
            }
            Service::Reset(after) => {
                let moved = self.swallow(socket);
                if socket.state() == tcp::State::Established && self.got >= after {
                    socket.abort();
                }
                moved
            }
            Service::Sink => {
                let moved = self.swallow(socket);
                Self::finish(socket);
                moved
            }
            Service::DnsTexts(count) => {
                let Ok(bytes) = socket.peek(1024) else {
                    Self::finish(socket);
                    return false;
                };
                let length = bytes
                    .first_chunk()
                    .map_or(0, |l| usize::from(u16::from_be_bytes(*l)));
                if length == 0 || bytes.len() < length + 2 {
                    return false;
                }
                let texts: Vec<Vec<u8>> = (0..count)
                    .map(|i| super::dns::txt(&format!("text {i}")))
                    .collect();
                let answer = super::dns::reply(&bytes[2..], 0x8180, &texts);
                let length = u16::try_from(answer.len()).expect("short").to_be_bytes();
                let mut swallowed = [0; 1024];
                let _ = socket.recv_slice(&mut swallowed);
                socket.send_slice(&length).expect("open");
                socket.send_slice(&answer).expect("open");
                true
            }
            Service::Deaf | Service::Storer(_) => false,
            Service::HalfOpen => self.fill(socket, 1000),
        }
    }

    /// Moves bytes between the socket and a storer.
    fn store(
        &mut self,
        now: Instant,
        socket: &mut tcp::Socket<'_>,
        storers: &mut sim::Storers,
        index: usize,
        next: &mut u64,
    ) -> bool {
        if self.conn.is_none() && socket.state() == tcp::State::Established {
            *next += 1;
            self.conn = Some(ConnId(*next));
            storers.accept(now, index, ConnId(*next));
        }
        let Some(conn) = self.conn else {
            return self.serve(socket);
        };
        let mut moved = false;
        loop {
            let received = socket.recv(|bytes| {
                let used = storers.receive(now, index, conn, bytes);
                (used, used)
            });
            let sent = socket.send(|room| {
                let sent = storers.transmit(now, index, conn, room);
                (sent, sent)
            });
            let any = received.unwrap_or(0) + sent.unwrap_or(0) > 0;
            moved |= any;
            if !any {
                break;
            }
        }
        let is_full = socket.can_send() || !socket.may_send();
        if !socket.may_recv() || (is_full && storers.is_closing(index, conn)) {
            socket.close();
            storers.close(index, conn);
            self.conn = None;
            moved = true;
        }
        moved
    }

    fn finish(socket: &mut tcp::Socket<'_>) {
        if socket.state() == tcp::State::CloseWait && socket.recv_queue() == 0 {
            socket.close();
        }
    }

    fn swallow(&mut self, socket: &mut tcp::Socket<'_>) -> bool {
        let mut moved = false;
        while socket.can_recv() {
            let Ok(count) = socket.recv(|bytes| (bytes.len(), bytes.len())) else {
                break;
            };
            self.got += count as u64;
            moved = true;
        }
        moved
    }

    fn fill(&mut self, socket: &mut tcp::Socket<'_>, until: u64) -> bool {
        let mut moved = false;
        while self.sent < until && socket.can_send() {
            let from = self.sent;
            let Ok(count) = socket.send(|room| {
                let count = room.len().min((until - from) as usize);
                for (i, byte) in room[..count].iter_mut().enumerate() {
                    *byte = pattern(from + i as u64);
                }
                (count, count)
            }) else {
                break;
            };
            self.sent += count as u64;
            moved = true;
        }
        moved
    }
}

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Queue {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx, Tx<'_>)> {
        Some((Rx(self.rx.pop_front()?), Tx(&mut self.tx)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}
