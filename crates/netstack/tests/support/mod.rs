//! A virtual Ethernet link with our stack on one end and a server on the other, in virtual time.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test binary uses a part of it"
)]

pub mod dhcp;
pub mod dns;
pub mod fake;
pub mod server;
pub mod tap;
pub mod wire;

use fake::Fake;
use netstack::{Config, Event, Stack, Streams};
use p2p::Instant;
use server::Server;
use std::time::Duration;
use wire::{Faults, Port, Wire};

/// Our hardware address.
pub const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x15];

/// Our stack, a node (in name only, unless a test brings a real one), a link and a server.
pub struct World<N = Fake> {
    pub now: Instant,
    pub stack: Stack<Port>,
    pub node: N,
    pub wire: Wire,
    pub server: Server,
    pub events: Vec<(Instant, Event)>,
    /// Turns of our stack.
    pub turns: u64,
}

impl World<Fake> {
    /// A world whose server leases 10.0.2.15.
    pub fn new() -> Self {
        Self::with(Config::new(MAC, 1), Faults::default())
    }

    pub fn with(config: Config, faults: Faults) -> Self {
        Self::on(config, Wire::new(faults))
    }

    /// A world on a link made before.
    pub fn on(config: Config, wire: Wire) -> Self {
        Self::around(Fake::default(), config, wire)
    }

    /// A world that has an address already.
    pub fn configured(faults: Faults) -> Self {
        Self::with(configured(), faults)
    }
}

impl<N: Streams> World<N> {
    /// A world for a node.
    pub fn around(node: N, config: Config, wire: Wire) -> Self {
        let now = Instant::ZERO;
        let (ours, theirs) = wire.ports();
        Self {
            now,
            stack: Stack::new(ours, config, now),
            node,
            server: Server::new(theirs),
            wire,
            events: Vec::new(),
            turns: 0,
        }
    }

    /// Lets both ends work at this time until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = self.stack.poll(self.now, &mut self.node);
            self.turns += 1;
            while let Some(event) = self.stack.poll_event() {
                self.events.push((self.now, event));
            }
            moved |= self.server.poll(self.now);
            if !moved {
                return;
            }
        }
        panic!("the world does not come to rest at {:?}", self.now);
    }

    /// Goes to the next time at which anything is due, at most to `end`.
    pub fn step(&mut self, end: Instant) {
        self.settle();
        let next = [
            self.stack.poll_at(self.now),
            self.wire.poll_at(),
            self.server.poll_at(self.now),
            Some(end),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(end);
        // Whatever claims to be due now and does not move is asked again a little later.
        self.now = next.max(self.now + Duration::from_micros(100)).min(end);
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step(end);
        }
        self.settle();
    }

    /// Lets time pass until `done`; says whether it was within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            self.step(end);
        }
    }

    /// The events of one kind.
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| is(event)).count()
    }
}

/// Answers for machines 10.0.2.`hosts` on the link: they resolve, and refuse every connection.
pub fn machines(frame: &[u8], hosts: std::ops::Range<u8>) -> Option<Vec<Vec<u8>>> {
    let mac = |host: u8| [0x52, 0x55, 0, 0, 1, host];
    if frame.get(12..14) == Some(&[8, 6])
        && frame[38..41] == [10, 0, 2]
        && hosts.contains(&frame[41])
    {
        let mut answer = frame.to_vec();
        answer[0..6].copy_from_slice(&frame[6..12]);
        answer[6..12].copy_from_slice(&mac(frame[41]));
        answer[21] = 2;
        answer[22..28].copy_from_slice(&mac(frame[41]));
        answer[28..32].copy_from_slice(&frame[38..42]);
        answer[32..42].copy_from_slice(&frame[22..32]);
        return Some(vec![answer]);
    }
    if frame.get(12..14) == Some(&[8, 0]) && frame[23] == 6 && hosts.contains(&frame[33]) {
        assert_eq!(frame[0..6], mac(frame[33]), "sent to the wrong machine");
        return Some(vec![refusal(frame)]);
    }
    None
}

/// The reset that answers a SYN.
fn refusal(frame: &[u8]) -> Vec<u8> {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{
        EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket,
        TcpRepr, TcpSeqNumber,
    };
    let ethernet = EthernetFrame::new_unchecked(frame);
    let ip = Ipv4Packet::new_unchecked(ethernet.payload());
    let tcp = TcpPacket::new_unchecked(ip.payload());
    let checksum = ChecksumCapabilities::default();
    let repr = TcpRepr {
        src_port: tcp.dst_port(),
        dst_port: tcp.src_port(),
        control: TcpControl::Rst,
        seq_number: TcpSeqNumber(0),
        ack_number: Some(tcp.seq_number() + 1),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let ip_repr = Ipv4Repr {
        src_addr: ip.dst_addr(),
        dst_addr: ip.src_addr(),
        next_header: IpProtocol::Tcp,
        payload_len: repr.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 34 + repr.buffer_len()];
    let mut answer = EthernetFrame::new_unchecked(&mut bytes[..]);
    answer.set_src_addr(ethernet.dst_addr());
    answer.set_dst_addr(ethernet.src_addr());
    answer.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(answer.payload_mut());
    ip_repr.emit(&mut packet, &checksum);
    let (from, to) = (ip_repr.src_addr.into(), ip_repr.dst_addr.into());
    repr.emit(
        &mut TcpPacket::new_unchecked(packet.payload_mut()),
        &from,
        &to,
        &checksum,
    );
    bytes
}

/// A router's "host unreachable" for every packet to `host`.
pub fn host_unreachable(frame: &[u8], host: [u8; 4]) -> Option<Vec<Vec<u8>>> {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{
        EthernetFrame, EthernetProtocol, Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr,
        IpProtocol, Ipv4Packet, Ipv4Repr,
    };
    let ethernet = EthernetFrame::new_unchecked(frame);
    if ethernet.ethertype() != EthernetProtocol::Ipv4 || frame[30..34] != host {
        return None;
    }
    let checksum = ChecksumCapabilities::default();
    let ip = Ipv4Packet::new_unchecked(ethernet.payload());
    let header = Ipv4Repr::parse(&ip, &checksum).expect("a sound packet");
    let repr = Icmpv4Repr::DstUnreachable {
        reason: Icmpv4DstUnreachable::HostUnreachable,
        header,
        data: &ip.payload()[..8],
    };
    let ip_repr = Ipv4Repr {
        src_addr: server::SERVER,
        dst_addr: header.src_addr,
        next_header: IpProtocol::Icmp,
        payload_len: repr.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 34 + repr.buffer_len()];
    let mut answer = EthernetFrame::new_unchecked(&mut bytes[..]);
    answer.set_src_addr(ethernet.dst_addr());
    answer.set_dst_addr(ethernet.src_addr());
    answer.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(answer.payload_mut());
    ip_repr.emit(&mut packet, &checksum);
    repr.emit(
        &mut Icmpv4Packet::new_unchecked(packet.payload_mut()),
        &checksum,
    );
    Some(vec![bytes])
}

/// Settings with an address.
pub fn configured() -> Config {
    let mut config = Config::new(MAC, 1);
    config.static_address = Some((
        [10, 0, 2, 15].into(),
        24,
        Some([10, 0, 2, 2].into()),
        vec![[10, 0, 2, 3].into()],
    ));
    config
}
