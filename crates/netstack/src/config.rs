//! Settings of the stack.
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

/// Settings of the stack; every field has a documented default in [`Config::new`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Hardware address. Must be unicast.
    pub mac: [u8; 6],
    /// Random seed for ports, transaction ids and initial sequence numbers. Must differ from boot to boot.
    pub seed: u64,
    /// Static settings: own address, prefix length, router, DNS servers. `None` (the default): DHCP.
    pub static_address: Option<(Ipv4Addr, u8, Option<Ipv4Addr>, Vec<Ipv4Addr>)>,
    /// TCP sockets at once, those being closed included. Default 64: 48 connections of a node and 16 on their way out.
    pub sockets_max: usize,
    /// Receive buffer of each socket, bytes; also its largest TCP window. Default 256 KiB: 5 MiB/s from one peer at 50 ms.
    pub receive_bytes: usize,
    /// Send buffer of each socket, bytes. Default 32 KiB: some 300 retrieval requests.
    pub send_bytes: usize,
    /// Frames taken from the device in one turn. Default 256: a turn's requests to one peer share a frame and its acknowledgement, so
    /// longer turns make fewer frames; the 380 KiB they take at most must not keep deadlines waiting.
    pub frames_per_turn: usize,
    /// Time after which a dial fails whatever the node thinks. Default 10 s.
    pub dial_timeout: Duration,
    /// Silence after which an open connection is given up. Default 60 s: a cable pulled for 20 s must not end a boot.
    pub silence_timeout: Duration,
    /// Time without a link (where the driver can tell) after which connections are made anew. Default 5 s: both ends of a TCP
    /// connection wait about as long again as the outage took before they try.
    pub link_loss_max: Duration,
    /// Idle time after which a peer is asked for a sign of life. Default 15 s; must be below `silence_timeout`.
    pub keep_alive: Duration,
    /// Time a closed connection may take to say goodbye before it is reset. Default 3 s.
    pub close_timeout: Duration,
    /// Pause before DHCP's second try; doubles up to `dhcp_retry_max`. Default 1 s.
    pub dhcp_first_retry: Duration,
    /// Longest pause between DHCP tries. Default 8 s: switches that forward nothing for the first 30 s or 50 s are found soon after.
    pub dhcp_retry_max: Duration,
    /// Time without an address after which [`Event::DhcpGaveUp`](crate::Event::DhcpGaveUp) is reported. Asking goes on.
    /// Default 90 s.
    pub dhcp_patience: Duration,
    /// Time one DNS server has for one answer. Default 2 s.
    pub dns_timeout: Duration,
    /// Rounds over all DNS servers before a name is given up. Default 3.
    pub dns_rounds: u32,
}

impl Config {
    /// The defaults: see each field.
    ///
    /// Memory: nothing but a few KiB until the first dial; then `receive_bytes + send_bytes` for every socket ever open at the same
    /// time, at most `sockets_max` times. The defaults make that 18 MiB, of the 48 MiB that firmware is allowed beyond the payload.
    pub fn new(mac: [u8; 6], seed: u64) -> Self {
        Self {
            mac,
            seed,
            static_address: None,
            sockets_max: 64,
            receive_bytes: 256 * 1024,
            send_bytes: 32 * 1024,
            frames_per_turn: 256,
            dial_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(60),
            link_loss_max: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
            close_timeout: Duration::from_secs(3),
            dhcp_first_retry: Duration::from_secs(1),
            dhcp_retry_max: Duration::from_secs(8),
            dhcp_patience: Duration::from_secs(90),
            dns_timeout: Duration::from_secs(2),
            dns_rounds: 3,
        }
    }
}
