//! A DHCP server that misbehaves on demand.
use p2p::Instant;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame,
    EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A message from the client.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub kind: DhcpMessageType,
    pub transaction: u32,
    pub seconds: u16,
    pub broadcast: bool,
    pub client: Ipv4Addr,
    pub requested: Option<Ipv4Addr>,
    pub to: Ipv4Addr,
}

#[derive(Debug)]
pub struct DhcpServer {
    pub address: Ipv4Addr,
    pub mac: EthernetAddress,
    pub leased: Ipv4Addr,
    pub mask: Option<Ipv4Addr>,
    pub routers: Vec<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub lease_seconds: Option<u32>,
    pub t1_seconds: Option<u32>,
    pub t2_seconds: Option<u32>,
    pub answer_after: Duration,
    /// Messages to be ignored.
    pub deaf_for: u32,
    /// Requests to be refused.
    pub refusals: u32,
    pub seen: Vec<Seen>,
    outbox: VecDeque<(Instant, Vec<u8>)>,
}

impl DhcpServer {
    pub fn new(address: Ipv4Addr, mac: EthernetAddress) -> Self {
        Self {
            address,
            mac,
            leased: [10, 0, 2, 15].into(),
            mask: Some([255, 255, 255, 0].into()),
            routers: vec![[10, 0, 2, 2].into()],
            dns: vec![[10, 0, 2, 3].into()],
            lease_seconds: Some(3600),
            t1_seconds: None,
            t2_seconds: None,
            answer_after: Duration::ZERO,
            deaf_for: 0,
            refusals: 0,
            seen: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    pub fn count(&self, kind: DhcpMessageType) -> usize {
        self.seen.iter().filter(|s| s.kind == kind).count()
    }

    pub fn poll_at(&self) -> Option<Instant> {
        self.outbox.iter().map(|(at, _)| *at).min()
    }

    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        let index = self.outbox.iter().position(|(at, _)| *at <= now)?;
        self.outbox.remove(index).map(|(_, frame)| frame)
    }

    /// Takes a frame; says whether it was DHCP.
    pub fn handle(&mut self, now: Instant, frame: &[u8]) -> bool {
        let ethernet = EthernetFrame::new_unchecked(frame);
        if frame.len() < 42 || ethernet.ethertype() != EthernetProtocol::Ipv4 {
            return false;
        }
        let Ok(ip) = Ipv4Packet::new_checked(ethernet.payload()) else {
            return false;
        };
        if ip.next_header() != IpProtocol::Udp {
            return false;
        }
        let udp = UdpPacket::new_checked(ip.payload()).expect("a whole datagram");
        if udp.dst_port() != 67 {
            return false;
        }
        assert!(ip.verify_checksum());
        assert!(udp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
        assert!(udp.payload().len() >= 300, "shorter than BOOTP");
        let packet = DhcpPacket::new_checked(udp.payload()).expect("a DHCP message");
        let repr = DhcpRepr::parse(&packet).expect("a DHCP message");
        self.seen.push(Seen {
            at: now,
            kind: repr.message_type,
            transaction: repr.transaction_id,
            seconds: repr.secs,
            broadcast: repr.broadcast,
            client: repr.client_ip,
            requested: repr.requested_ip,
            to: ip.dst_addr(),
        });
        if self.deaf_for > 0 {
            self.deaf_for -= 1;
            return true;
        }
        let kind = match repr.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request if self.refusals > 0 => {
                self.refusals -= 1;
                DhcpMessageType::Nak
            }
            DhcpMessageType::Request => {
                if repr.server_identifier.is_some_and(|s| s != self.address) {
                    return true;
                }
                let wanted = repr.requested_ip.unwrap_or(repr.client_ip);
                if wanted == self.leased {
                    DhcpMessageType::Ack
                } else {
                    DhcpMessageType::Nak
                }
            }
            other => panic!("{other:?} from a client"),
        };
        let to = ethernet.src_addr();
        let frame = self.answer(&repr, kind, to);
        self.outbox.push_back((now + self.answer_after, frame));
        true
    }

    pub fn answer(
        &self,
        to: &DhcpRepr<'_>,
        kind: DhcpMessageType,
        mac: EthernetAddress,
    ) -> Vec<u8> {
        let is_nak = kind == DhcpMessageType::Nak;
        let octets =
            |list: &[Ipv4Addr]| -> Vec<u8> { list.iter().flat_map(Ipv4Addr::octets).collect() };
        let mut options: Vec<(u8, Vec<u8>)> = Vec::new();
        if !is_nak {
            if !self.routers.is_empty() {
                options.push((3, octets(&self.routers)));
            }
            if !self.dns.is_empty() {
                options.push((6, octets(&self.dns)));
            }
            for (kind, value) in [(58, self.t1_seconds), (59, self.t2_seconds)] {
                if let Some(value) = value {
                    options.push((kind, value.to_be_bytes().to_vec()));
                }
            }
        }
        let options: Vec<DhcpOption<'_>> = options
            .iter()
            .map(|(kind, data)| DhcpOption { kind: *kind, data })
            .collect();
        let repr = DhcpRepr {
            message_type: kind,
            transaction_id: to.transaction_id,
            secs: 0,
            client_hardware_address: to.client_hardware_address,
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: if is_nak {
                Ipv4Addr::UNSPECIFIED
            } else {
                self.leased
            },
            server_ip: self.address,
            router: None,
            subnet_mask: self.mask.filter(|_| !is_nak),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: to.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(self.address),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: self.lease_seconds.filter(|_| !is_nak),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &options,
        };
        let everybody = to.broadcast || is_nak;
        let to_ip = if everybody {
            Ipv4Addr::BROADCAST
        } else {
            self.leased
        };
        let to_mac = if everybody {
            EthernetAddress::BROADCAST
        } else {
            mac
        };
        let mut payload = vec![0; repr.buffer_len() + 64];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut payload[..]))
            .expect("room");
        udp_frame(self.mac, to_mac, (self.address, 67), (to_ip, 68), &payload)
    }
}

/// Builds a frame with a UDP datagram.
pub fn udp_frame(
    from_mac: EthernetAddress,
    to_mac: EthernetAddress,
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    payload: &[u8],
) -> Vec<u8> {
    let udp = UdpRepr {
        src_port: from.1,
        dst_port: to.1,
    };
    let ip = Ipv4Repr {
        src_addr: from.0,
        dst_addr: to.0,
        next_header: IpProtocol::Udp,
        payload_len: payload.len() + 8,
        hop_limit: 64,
    };
    let checksum = ChecksumCapabilities::default();
    let mut bytes = vec![0; 14 + 20 + 8 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_src_addr(from_mac);
    frame.set_dst_addr(to_mac);
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checksum);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &from.0.into(),
        &to.0.into(),
        payload.len(),
        |room| room.copy_from_slice(payload),
        &checksum,
    );
    bytes
}

/// A refusal of the message in `frame` by `server`.
pub fn refusal(frame: &[u8], server: Ipv4Addr) -> Vec<u8> {
    let ip = Ipv4Packet::new_checked(&frame[14..]).expect("a packet");
    let udp = UdpPacket::new_checked(ip.payload()).expect("a datagram");
    let packet = DhcpPacket::new_checked(udp.payload()).expect("a message");
    let repr = DhcpRepr::parse(&packet).expect("a message");
    let mac = EthernetAddress([0x52, 0x55, 0, 0, 0, 0x66]);
    DhcpServer::new(server, mac).answer(&repr, DhcpMessageType::Nak, repr.client_hardware_address)
}
