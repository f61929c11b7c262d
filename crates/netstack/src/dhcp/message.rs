//! DHCP messages: what a client sends and what of a server's answer it uses.
//!
//! Spec: RFC 2131 and RFC 2132. smoltcp's `Packet` reads the fixed fields and splits the options; its `Repr` is used for emitting
//! only, because its parser drops a router option that lists more than one router.
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use smoltcp::wire::{DhcpMessageType, DhcpOpCode, DhcpPacket, DhcpRepr, EthernetAddress};

/// DNS servers kept from one answer; more would only make a dead network slower to report.
pub(crate) const DNS_SERVERS_MAX: usize = 4;
/// Messages are padded to this many bytes, the size of a BOOTP message, below which old relays drop them.
pub(crate) const MESSAGE_BYTES_MIN: usize = 300;
/// RFC 2131 2: every client must accept 576-byte IP packets; ours takes a full Ethernet frame.
const MESSAGE_BYTES_ACCEPTED: u16 = 1472;

const MAGIC: u32 = 0x6382_5363;
const OPTION_MASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_DNS: u8 = 6;
const OPTION_LEASE: u8 = 51;
const OPTION_TYPE: u8 = 53;
const OPTION_SERVER: u8 = 54;
const OPTION_T1: u8 = 58;
const OPTION_T2: u8 = 59;
const PARAMETERS: [u8; 5] = [OPTION_MASK, OPTION_ROUTER, OPTION_DNS, OPTION_T1, OPTION_T2];

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Offer,
    Ack,
    Nak,
}

/// A server's message, as far as it is used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) kind: Kind,
    pub(crate) transaction: u32,
    /// Option 54, which every answer must carry.
    pub(crate) server: Ipv4Addr,
    /// Source of the IP packet: where renewals go.
    pub(crate) source: Ipv4Addr,
    /// Source of the frame: the next hop for renewals.
    pub(crate) source_mac: EthernetAddress,
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_length: Option<u8>,
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) dns: Vec<Ipv4Addr>,
    pub(crate) lease: Option<Duration>,
    pub(crate) t1: Option<Duration>,
    pub(crate) t2: Option<Duration>,
}

impl Answer {
    /// Reads the payload of a UDP datagram to port 68; `None` if it is not an answer to `mac` that can be used.
    pub(crate) fn decode(
        payload: &[u8],
        mac: EthernetAddress,
        source: Ipv4Addr,
        source_mac: EthernetAddress,
    ) -> Option<Self> {
        let packet = DhcpPacket::new_checked(payload).ok()?;
        if packet.opcode() != DhcpOpCode::Reply
            || packet.magic_number() != MAGIC
            || packet.hardware_len() != 6
            || packet.client_hardware_address() != mac
        {
            return None;
        }
        let mut kind = None;
        let mut server = None;
        let mut answer = Self {
            kind: Kind::Nak,
            transaction: packet.transaction_id(),
            server: Ipv4Addr::UNSPECIFIED,
            source,
            source_mac,
            address: packet.your_ip(),
            prefix_length: None,
            gateway: None,
            dns: Vec::new(),
            lease: None,
            t1: None,
            t2: None,
        };
        for option in packet.options() {
            match option.kind {
                OPTION_TYPE => kind = kind_of(option.data),
                OPTION_SERVER => server = addresses(option.data).next(),
                OPTION_MASK => answer.prefix_length = prefix_length(option.data),
                OPTION_ROUTER => {
                    answer.gateway = addresses(option.data).find(|a| is_host_address(*a));
                }
                OPTION_DNS => {
                    // Some routers fill the list with 0.0.0.0.
                    answer.dns = addresses(option.data)
                        .filter(|a| is_host_address(*a))
                        .take(DNS_SERVERS_MAX)
                        .collect();
                }
                OPTION_LEASE => answer.lease = seconds(option.data),
                OPTION_T1 => answer.t1 = seconds(option.data),
                OPTION_T2 => answer.t2 = seconds(option.data),
                _ => {}
            }
        }
        answer.kind = kind?;
        answer.server = server?;
        // A NAK carries no address; any other answer is nothing without one.
        (answer.kind == Kind::Nak || is_host_address(answer.address)).then_some(answer)
    }
}

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// DHCPREQUEST, or else DHCPDISCOVER.
    pub(crate) is_request: bool,
    pub(crate) transaction: u32,
    /// Seconds since the client began; relays may wait for it to rise.
    pub(crate) seconds: u16,
    /// Ask for a broadcast answer.
    pub(crate) broadcast: bool,
    /// Own address, when it may be used for this message.
    pub(crate) client: Option<Ipv4Addr>,
    /// Option 50.
    pub(crate) requested: Option<Ipv4Addr>,
    /// Option 54.
    pub(crate) server: Option<Ipv4Addr>,
    /// Where to; `None` is everybody.
    pub(crate) to: Option<(Ipv4Addr, EthernetAddress)>,
}

impl Message {
    /// The representation that smoltcp emits.
    pub(crate) fn repr(&self, mac: EthernetAddress) -> DhcpRepr<'static> {
        DhcpRepr {
            message_type: if self.is_request {
                DhcpMessageType::Request
            } else {
                DhcpMessageType::Discover
            },
            transaction_id: self.transaction,
            secs: self.seconds,
            client_hardware_address: mac,
            client_ip: self.client.unwrap_or(Ipv4Addr::UNSPECIFIED),
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: self.broadcast,
            requested_ip: self.requested,
            client_identifier: Some(mac),
            server_identifier: self.server,
            parameter_request_list: Some(&PARAMETERS),
            dns_servers: None,
            max_size: Some(MESSAGE_BYTES_ACCEPTED),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        }
    }
}

/// Says whether a host can have this address. smoltcp panics on routes through, and interfaces with, addresses that are not unicast.
pub(crate) fn is_host_address(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_loopback())
}

fn kind_of(data: &[u8]) -> Option<Kind> {
    match data {
        [2] => Some(Kind::Offer),
        [5] => Some(Kind::Ack),
        [6] => Some(Kind::Nak),
        _ => None,
    }
}

fn addresses(data: &[u8]) -> impl Iterator<Item = Ipv4Addr> + '_ {
    data.chunks_exact(4)
        .filter_map(|bytes| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from))
}

fn seconds(data: &[u8]) -> Option<Duration> {
    let bytes = <[u8; 4]>::try_from(data).ok()?;
    Some(Duration::from_secs(u64::from(u32::from_be_bytes(bytes))))
}

fn prefix_length(data: &[u8]) -> Option<u8> {
    let mask = u32::from_be_bytes(<[u8; 4]>::try_from(data).ok()?);
    let length = mask.leading_ones();
    // Ones, then zeros; and no mask at all would put the whole Internet on this link.
    (length > 0 && mask.checked_shl(length).unwrap_or(0) == 0)
        .then(|| u8::try_from(length).ok())
        .flatten()
}
