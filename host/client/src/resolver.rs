//! DNS without blocking the session: each question is answered on a short-lived thread, because the system resolver has no
//! non-blocking form.
use dns::{Kind, Name, Reply};
use mio::Waker;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use swarm::{DnsAnswer, DnsQuery, DnsQueryId};

const DNS_PORT: u16 = 53;
/// Threads at once; a hostile `/dnsaddr/` tree must not start hundreds.
const THREADS_MAX: usize = 8;
/// Questions waiting for a thread; the node bounds its own recursion far below this.
const QUEUE_MAX: usize = 256;
/// Addresses taken from one answer.
const ADDRESSES_MAX: usize = 32;
/// Servers of `/etc/resolv.conf` that are asked (SPEC resolv.conf(5): MAXNS).
const NAMESERVERS_MAX: usize = 3;
const ROUNDS: u32 = 2;
/// Names followed from one that is only another name.
const ALIASES_MAX: usize = 4;
/// TXT records taken from one answer; a bootnode list has a few dozen.
const TXT_MAX: usize = 128;

pub(crate) struct Answered {
    pub(crate) id: DnsQueryId,
    pub(crate) query: DnsQuery,
    pub(crate) answer: DnsAnswer,
}

pub(crate) struct Resolver {
    servers: Arc<[SocketAddr]>,
    timeout: Duration,
    waker: Arc<Waker>,
    sender: Sender<Answered>,
    receiver: Receiver<Answered>,
    running: usize,
    queue: VecDeque<(DnsQueryId, DnsQuery)>,
}

impl Resolver {
    pub(crate) fn new(nameservers: &[SocketAddr], timeout: Duration, waker: Arc<Waker>) -> Self {
        let servers = if nameservers.is_empty() {
            let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
            parse_resolv_conf(&text)
        } else {
            nameservers.to_vec()
        };
        let (sender, receiver) = channel();
        Self {
            servers: servers.into(),
            timeout,
            waker,
            sender,
            receiver,
            running: 0,
            queue: VecDeque::new(),
        }
    }

    /// Starts or queues a question; a question beyond the queue's limit fails at once.
    pub(crate) fn start(&mut self, id: DnsQueryId, query: DnsQuery) {
        if self.queue.len() >= QUEUE_MAX {
            // The receiver lives as long as this struct, so sending cannot fail.
            let _ = self.sender.send(Answered {
                id,
                query,
                answer: DnsAnswer::Failed,
            });
            self.running += 1;
            let _ = self.waker.wake();
            return;
        }
        self.queue.push_back((id, query));
        self.spawn_queued();
    }

    /// Returns the next answer.
    pub(crate) fn poll_answer(&mut self) -> Option<Answered> {
        let answered = self.receiver.try_recv().ok()?;
        self.running = self.running.saturating_sub(1);
        self.spawn_queued();
        Some(answered)
    }

    fn spawn_queued(&mut self) {
        while self.running < THREADS_MAX {
            let Some((id, query)) = self.queue.pop_front() else {
                return;
            };
            let (sender, waker) = (self.sender.clone(), self.waker.clone());
            let (servers, timeout) = (self.servers.clone(), self.timeout);
            self.running += 1;
            let job = move || {
                let answer = match &query {
                    DnsQuery::Txt(name) => look_up_txt(&servers, name, timeout),
                    DnsQuery::Addresses(name) => look_up_addresses(name),
                };
                // The session may have ended meanwhile; nobody waits then.
                let _ = sender.send(Answered { id, query, answer });
                let _ = waker.wake();
            };
            std::thread::spawn(job);
        }
    }
}

/// Returns the `nameserver` lines; the local resolver when there are none (SPEC resolv.conf(5)).
fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            if words.next() != Some("nameserver") {
                return None;
            }
            let address: IpAddr = words.next()?.parse().ok()?;
            Some(SocketAddr::new(address, DNS_PORT))
        })
        .take(NAMESERVERS_MAX)
        .collect();
    if servers.is_empty() {
        return vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DNS_PORT)];
    }
    servers
}

fn look_up_addresses(name: &str) -> DnsAnswer {
    match (name, 0).to_socket_addrs() {
        Ok(found) => {
            let addresses: Vec<IpAddr> = found.map(|a| a.ip()).take(ADDRESSES_MAX).collect();
            if addresses.is_empty() {
                DnsAnswer::Failed
            } else {
                DnsAnswer::Addresses(addresses)
            }
        }
        Err(_) => DnsAnswer::Failed,
    }
}

/// One question.
struct Question {
    id: u16,
    name: Name,
    bytes: Vec<u8>,
}

impl Question {
    /// A question for TXT records; the id is unpredictable, which together with the random source port keeps strangers off the
    /// path from answering.
    fn txt(name: &Name, with_edns: bool) -> io::Result<Self> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        let (id, name) = (u16::from_be_bytes(id), name.clone());
        let mut bytes = Vec::new();
        dns::encode(id, &name, Kind::Text, with_edns, &mut bytes);
        Ok(Self { id, name, bytes })
    }

    /// Reads the answer; `None` for what is not one.
    fn answer(&self, message: &[u8]) -> Option<Reply> {
        dns::decode(message, self.id, &self.name, Kind::Text).ok()
    }
}

fn look_up_txt(servers: &[SocketAddr], name: &str, timeout: Duration) -> DnsAnswer {
    let Some(mut name) = Name::parse(name) else {
        return DnsAnswer::Failed;
    };
    // One more than the aliases that are followed.
    for _ in 0..=ALIASES_MAX {
        match look_up_one(servers, &name, timeout) {
            Some(Reply::Texts(texts)) => {
                return DnsAnswer::Txt(texts.into_iter().take(TXT_MAX).collect());
            }
            Some(Reply::Alias(other)) => name = other,
            _ => return DnsAnswer::Failed,
        }
    }
    DnsAnswer::Failed
}

/// Asks one server after the other.
fn look_up_one(servers: &[SocketAddr], name: &Name, timeout: Duration) -> Option<Reply> {
    for _ in 0..ROUNDS {
        for server in servers {
            match ask_txt(*server, name, timeout) {
                // Another server may know better; after a timeout too.
                Ok(Reply::Failed | Reply::NotUnderstood | Reply::Truncated) | Err(_) => {}
                Ok(reply) => return Some(reply),
            }
        }
    }
    None
}

fn ask_txt(server: SocketAddr, name: &Name, timeout: Duration) -> io::Result<Reply> {
    // SPEC RFC 6891 6.2.2: a server that does not know EDNS is asked without.
    for with_edns in [true, false] {
        let question = Question::txt(name, with_edns)?;
        match ask_udp(server, &question, timeout)? {
            Reply::Truncated => return ask_tcp(server, &question, timeout),
            Reply::NotUnderstood if with_edns => {}
            reply => return Ok(reply),
        }
    }
    Ok(Reply::NotUnderstood)
}

fn ask_udp(server: SocketAddr, question: &Question, timeout: Duration) -> io::Result<Reply> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect(server)?;
    socket.send(&question.bytes)?;
    let deadline = Instant::now() + timeout;
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let received = socket.recv(&mut buffer)?;
        // What is not our answer is ignored: it may be forged, and the true one still on its way.
        if let Some(reply) = question.answer(&buffer[..received]) {
            return Ok(reply);
        }
    }
}

fn ask_tcp(server: SocketAddr, question: &Question, timeout: Duration) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // SPEC RFC 1035 4.2.2: a two-byte length in front.
    let length = u16::try_from(question.bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&question.bytes)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    (question.answer(&message)).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_its_manual_says() {
        let text = "# comment\nsearch lan\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n nameserver 192.0.2.2 \nnameserver x\nnameserver 192.0.2.3\n";
        let expected: Vec<SocketAddr> = ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"]
            .map(|s| s.parse().unwrap())
            .into();
        assert_eq!(parse_resolv_conf(text), expected);
        assert_eq!(parse_resolv_conf(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    /// Answers one UDP question truncated and one TCP question with `text`.
    fn serve_truncated_then_tcp(text: &'static str) -> SocketAddr {
        let (udp, tcp) = bind_pair();
        let address = udp.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (n, from) = udp.recv_from(&mut buffer).unwrap();
            let mut reply = buffer[..n - 11].to_vec();
            reply[2] = 0x83;
            reply[11] = 0;
            udp.send_to(b"junk that is no answer", from).unwrap();
            udp.send_to(&reply, from).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            let mut question = vec![0; n + 2];
            stream.read_exact(&mut question).unwrap();
            let mut reply = question[2..n - 9].to_vec();
            reply[2] = 0x81;
            reply[7] = 1;
            reply[11] = 0;
            reply.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0]);
            let length = u8::try_from(text.len()).unwrap();
            reply.extend_from_slice(&[0, length + 1, length]);
            reply.extend_from_slice(text.as_bytes());
            let head = u16::try_from(reply.len()).unwrap().to_be_bytes();
            stream.write_all(&head).unwrap();
            stream.write_all(&reply).unwrap();
        });
        address
    }

    fn bind_pair() -> (UdpSocket, std::net::TcpListener) {
        for _ in 0..32 {
            let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                return (udp, tcp);
            }
        }
        panic!("no port is free for both UDP and TCP");
    }

    #[test]
    fn a_truncated_answer_is_fetched_again_over_tcp() {
        let server = serve_truncated_then_tcp("dnsaddr=/ip4/192.0.2.7/tcp/1634");
        assert_eq!(
            look_up_txt(&[server], "_dnsaddr.example.org", Duration::from_secs(5)),
            DnsAnswer::Txt(vec!["dnsaddr=/ip4/192.0.2.7/tcp/1634".into()])
        );
    }

    #[test]
    fn a_silent_server_ends_in_failure_within_its_timeouts() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = silent.local_addr().unwrap();
        let start = Instant::now();
        let answer = look_up_txt(&[server], "example.org", Duration::from_millis(50));
        assert_eq!(answer, DnsAnswer::Failed);
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
