//! A look at every frame on its way between the device and smoltcp.
//!
//! smoltcp keeps three things to itself that a boot loader must know: DHCP messages (its client does not report refusals), who
//! answered an ARP request, and ICMP errors about connections being dialled. [`Watch`] wraps the device for the time of one call and
//! notes them. A TCP segment, that is, everything that carries a chunk, costs two comparisons.
use crate::dhcp::message::{Answer, MESSAGE_BYTES_MIN, Message};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::phy::{
    ChecksumCapabilities, Device, DeviceCapabilities, PacketMeta, RxToken, TxToken as _,
};
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpPacket, EthernetAddress, EthernetFrame, EthernetProtocol,
    Icmpv4Message, Icmpv4Packet, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

/// Notes of one kind kept between two looks; a flood of ARP, ICMP or DHCP costs no more memory than this.
const NOTES_MAX: usize = 32;
const ETHERNET_HEADER: usize = 14;
const PROTOCOL_AT: usize = 23;
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Notes {
    mac: EthernetAddress,
    checksum: ChecksumCapabilities,
    pub(crate) dhcp: Vec<Answer>,
    /// Senders of ARP replies.
    pub(crate) neighbours: Vec<Ipv4Addr>,
    /// Remote end and local port of connections that ICMP says cannot be.
    pub(crate) unreachable: Vec<(SocketAddrV4, u16)>,
    /// Frames received.
    pub(crate) frames_in: u64,
}

impl Notes {
    pub(crate) fn new(mac: EthernetAddress, checksum: ChecksumCapabilities) -> Self {
        Self {
            mac,
            checksum,
            dhcp: Vec::new(),
            neighbours: Vec::new(),
            unreachable: Vec::new(),
            frames_in: 0,
        }
    }

    /// Notes what `frame` says; returns whether it is for nobody else.
    fn look(&mut self, frame: &[u8]) -> bool {
        self.frames_in = self.frames_in.wrapping_add(1);
        match (frame.get(12..ETHERNET_HEADER), frame.get(PROTOCOL_AT)) {
            (Some([0x08, 0x00]), Some(6)) => false,
            (Some([0x08, 0x00]), Some(17)) => self.look_at_udp(frame).is_some(),
            (Some([0x08, 0x00]), Some(1)) => {
                let _ = self.look_at_icmp(frame);
                false
            }
            (Some([0x08, 0x06]), _) => {
                let _ = self.look_at_arp(frame);
                false
            }
            _ => false,
        }
    }

    fn look_at_udp(&mut self, bytes: &[u8]) -> Option<()> {
        let frame = EthernetFrame::new_checked(bytes).ok()?;
        if frame.dst_addr() != self.mac && !frame.dst_addr().is_broadcast() {
            return None;
        }
        let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
        let ip = Ipv4Repr::parse(&packet, &self.checksum).ok()?;
        let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
        if datagram.src_port() != DHCP_SERVER || datagram.dst_port() != DHCP_CLIENT {
            return None;
        }
        let (from, to) = (ip.src_addr.into(), ip.dst_addr.into());
        UdpRepr::parse(&datagram, &from, &to, &self.checksum).ok()?;
        if let Some(answer) =
            Answer::decode(datagram.payload(), self.mac, ip.src_addr, frame.src_addr())
            && self.dhcp.len() < NOTES_MAX
        {
            self.dhcp.push(answer);
        }
        Some(())
    }

    fn look_at_arp(&mut self, bytes: &[u8]) -> Option<()> {
        let frame = EthernetFrame::new_checked(bytes).ok()?;
        let packet = ArpPacket::new_checked(frame.payload()).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation,
            source_protocol_addr,
            target_hardware_addr,
            ..
        } = ArpRepr::parse(&packet).ok()?
        else {
            return None;
        };
        if operation == ArpOperation::Reply
            && target_hardware_addr == self.mac
            && self.neighbours.len() < NOTES_MAX
        {
            self.neighbours.push(source_protocol_addr);
        }
        Some(())
    }

    fn look_at_icmp(&mut self, bytes: &[u8]) -> Option<()> {
        let frame = EthernetFrame::new_checked(bytes).ok()?;
        if frame.dst_addr() != self.mac {
            return None;
        }
        let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
        Ipv4Repr::parse(&packet, &self.checksum).ok()?;
        let message = Icmpv4Packet::new_checked(packet.payload()).ok()?;
        // Code 4 says that a packet was too big, which a SYN never is.
        if message.msg_type() != Icmpv4Message::DstUnreachable
            || message.msg_code() == 4
            || (self.checksum.icmpv4.rx() && !message.verify_checksum())
        {
            return None;
        }
        // SPEC RFC 792: what could not be delivered follows, cut off eight bytes after its IP header; in TCP those begin with the
        // ports. smoltcp's own types read whole packets only.
        let inner = message.data();
        let header_bytes = usize::from(inner.first()? & 0x0f).checked_mul(4)?;
        let (&[6], Some(to)) = (inner.get(9..10)?, inner.get(16..)?.first_chunk::<4>()) else {
            return None;
        };
        let &[a, b, c, d] = inner.get(header_bytes..)?.first_chunk::<4>()?;
        let (local, remote) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if self.unreachable.len() < NOTES_MAX {
            self.unreachable
                .push((SocketAddrV4::new(Ipv4Addr::from(*to), remote), local));
        }
        Some(())
    }
}

/// A device under watch.
pub(crate) struct Watch<'a, D> {
    pub(crate) device: &'a mut D,
    pub(crate) notes: &'a mut Notes,
}

impl<D: Device> Watch<'_, D> {
    /// Sends a DHCP message. Returns whether the device took it.
    pub(crate) fn send_dhcp(&mut self, now: Instant, message: &Message) -> bool {
        let (mac, checksum) = (self.notes.mac, self.notes.checksum.clone());
        let repr = message.repr(mac);
        let payload_len = repr.buffer_len().max(MESSAGE_BYTES_MIN);
        let (to, to_mac) = message
            .to
            .unwrap_or((Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST));
        let udp = UdpRepr {
            src_port: DHCP_CLIENT,
            dst_port: DHCP_SERVER,
        };
        let ip = Ipv4Repr {
            src_addr: message.client.unwrap_or(Ipv4Addr::UNSPECIFIED),
            dst_addr: to,
            next_header: IpProtocol::Udp,
            payload_len: payload_len.saturating_add(udp.header_len()),
            hop_limit: 64,
        };
        let length = ip.buffer_len().saturating_add(ip.payload_len);
        self.send(now, to_mac, EthernetProtocol::Ipv4, length, |payload| {
            let mut packet = Ipv4Packet::new_unchecked(payload);
            ip.emit(&mut packet, &checksum);
            let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
            let (from, to) = (ip.src_addr.into(), ip.dst_addr.into());
            let emit = |bytes: &mut [u8]| {
                bytes.fill(0);
                // Fails only if the buffer is too small, and it was measured above.
                let _ = repr.emit(&mut DhcpPacket::new_unchecked(bytes));
            };
            udp.emit(&mut datagram, &from, &to, payload_len, emit, &checksum);
        })
    }

    /// Asks who has `target`. Returns whether the device took the frame.
    pub(crate) fn send_arp(&mut self, now: Instant, own: Ipv4Addr, target: Ipv4Addr) -> bool {
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: self.notes.mac,
            source_protocol_addr: own,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let (to, kind) = (EthernetAddress::BROADCAST, EthernetProtocol::Arp);
        self.send(now, to, kind, repr.buffer_len(), |payload| {
            repr.emit(&mut ArpPacket::new_unchecked(payload));
        })
    }

    fn send(
        &mut self,
        now: Instant,
        to: EthernetAddress,
        kind: EthernetProtocol,
        length: usize,
        emit: impl FnOnce(&mut [u8]),
    ) -> bool {
        let from = self.notes.mac;
        let Some(token) = self.transmit(now) else {
            return false;
        };
        token.consume(length.saturating_add(ETHERNET_HEADER), |bytes| {
            let mut frame = EthernetFrame::new_unchecked(bytes);
            frame.set_src_addr(from);
            frame.set_dst_addr(to);
            frame.set_ethertype(kind);
            emit(frame.payload_mut());
        });
        true
    }
}

impl<D: Device> Device for Watch<'_, D> {
    type RxToken<'t>
        = WatchRx<'t, D::RxToken<'t>>
    where
        Self: 't;
    type TxToken<'t>
        = D::TxToken<'t>
    where
        Self: 't;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (receive, transmit) = self.device.receive(now)?;
        let notes = &mut *self.notes;
        let token = receive;
        Some((WatchRx { token, notes }, transmit))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A received frame under watch.
pub(crate) struct WatchRx<'a, T> {
    token: T,
    notes: &'a mut Notes,
}

impl<T: RxToken> RxToken for WatchRx<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let notes = self.notes;
        self.token.consume(|frame| {
            // smoltcp ignores an empty frame; given a DHCP message it would answer "port unreachable".
            let is_taken = notes.look(frame);
            f(if is_taken { &[] } else { frame })
        })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}
