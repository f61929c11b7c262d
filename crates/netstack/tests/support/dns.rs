//! Questions as a DNS server sees them, and answers.
use super::dhcp::udp_frame;
use super::server::SERVER_MAC;
use smoltcp::wire::{EthernetAddress, EthernetFrame, Ipv4Packet, UdpPacket};
use std::net::Ipv4Addr;

/// A question that came in a frame.
#[derive(Clone, Debug)]
pub struct Question {
    pub mac: EthernetAddress,
    pub from: (Ipv4Addr, u16),
    /// The server asked.
    pub server: Ipv4Addr,
    /// The whole message.
    pub message: Vec<u8>,
}

impl Question {
    /// Reads a frame; `None` if it is no datagram to port 53.
    pub fn read(frame: &[u8]) -> Option<Self> {
        if frame.get(12..14)? != [8, 0] || frame.get(23)? != &17 {
            return None;
        }
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        (udp.dst_port() == 53).then(|| Self {
            mac: ethernet.src_addr(),
            from: (ip.src_addr(), udp.src_port()),
            server: ip.dst_addr(),
            message: udp.payload().to_vec(),
        })
    }

    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.message[0], self.message[1]])
    }

    pub fn has_edns(&self) -> bool {
        self.message[11] == 1
    }

    /// The asked name with dots.
    pub fn name(&self) -> String {
        let mut name = String::new();
        let mut at = 12;
        while self.message[at] != 0 {
            let end = at + 1 + usize::from(self.message[at]);
            name.push_str(std::str::from_utf8(&self.message[at + 1..end]).expect("text"));
            name.push('.');
            at = end;
        }
        name
    }

    /// A message that answers, or pretends to.
    pub fn reply(&self, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        reply(&self.message, flags, records)
    }

    /// `message` in a frame from the server asked.
    pub fn frame(&self, message: &[u8]) -> Vec<u8> {
        self.frame_from((self.server, 53), message)
    }

    /// `message` in a frame from anyone.
    pub fn frame_from(&self, from: (Ipv4Addr, u16), message: &[u8]) -> Vec<u8> {
        udp_frame(SERVER_MAC, self.mac, from, self.from, message)
    }
}

/// The answer to the question in `question`.
pub fn reply(question: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|b| *b == 0).expect("a name") + 5;
    let mut message = question[..end].to_vec();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&u16::try_from(records.len()).expect("few").to_be_bytes());
    message[8..12].fill(0);
    message.extend(records.concat());
    message
}

/// A record of the name asked for.
pub fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 12];
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 60]);
    bytes.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
    bytes.extend(data);
    bytes
}

/// A TXT record of one string.
pub fn txt(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("short");
    record(16, &[&[length], text.as_bytes()].concat())
}
