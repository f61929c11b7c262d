//! Settings of a connection.
use crate::noise::StaticKey;
use crate::{Keypair, Multiaddr, PeerId};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Settings of one connection. Make one with [`Config::new`] and change what should differ.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our identity.
    pub keypair: Keypair,
    /// Key pair of the Noise handshake, signed by the identity. One may serve all connections of a node: making it costs a curve
    /// multiplication and a signature.
    pub noise_static: StaticKey,
    /// Fresh random bytes for each connection (the Noise ephemeral key). Two connections must never share them.
    pub noise_ephemeral: [u8; 32],
    /// The peer we expect; a dialer refuses another identity.
    pub expected_peer: Option<PeerId>,
    /// Protocols served on inbound streams, in the order of preference; listed in identify too. identify and ping are served anyway.
    pub protocols: Vec<String>,
    /// Addresses told to the peer in identify.
    pub listen_addrs: Vec<Multiaddr>,
    /// The address the peer connects from or is reached at, told to it in identify.
    pub observed_addr: Option<Multiaddr>,
    /// identify's agentVersion.
    pub agent_version: String,
    /// Ask the peer for identify as soon as the connection stands; [`Event::Identified`](super::Event::Identified) tells the answer.
    /// Default: no.
    pub identify_peer: bool,
    /// Bounds of time and memory.
    pub limits: Limits,
}

impl Config {
    /// Makes a configuration with default limits, no expected peer, and no protocols but identify and ping.
    ///
    /// `noise_secret` and `noise_ephemeral` are random bytes. For more than one connection make the [`StaticKey`] once and use
    /// [`Config::with_static_key`].
    pub fn new(keypair: Keypair, noise_secret: [u8; 32], noise_ephemeral: [u8; 32]) -> Self {
        let noise_static = StaticKey::new(&keypair, noise_secret);
        Self::with_static_key(keypair, noise_static, noise_ephemeral)
    }

    /// Makes a configuration like [`Config::new`] with a static key that is made already.
    pub const fn with_static_key(
        keypair: Keypair,
        noise_static: StaticKey,
        noise_ephemeral: [u8; 32],
    ) -> Self {
        Self {
            keypair,
            noise_static,
            noise_ephemeral,
            expected_peer: None,
            protocols: Vec::new(),
            listen_addrs: Vec::new(),
            observed_addr: None,
            agent_version: String::new(),
            identify_peer: false,
            limits: Limits::DEFAULT,
        }
    }
}

/// Bounds of one connection; every one has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte to [`Event::Connected`](super::Event::Connected). Default 10 s; bee allows 15 s.
    pub handshake_timeout: Duration,
    /// Time between our keepalive pings. Default 30 s.
    pub keepalive_interval: Duration,
    /// Time in which a ping must be answered. Default 10 s.
    pub keepalive_timeout: Duration,
    /// Time for the protocol negotiation of one stream, either direction. Default 10 s.
    pub negotiation_timeout: Duration,
    /// Largest receive window of a stream, bytes; it begins at 256 KiB and doubles while the peer fills it faster than 4 round trips.
    /// Default 1 MiB; smaller than 256 KiB means that it never grows.
    pub window_bytes_max: u32,
    /// Most received, unconsumed bytes of all streams together; the stream that goes over it is reset. Stops a peer that fills many
    /// windows. Default 4 MiB.
    pub received_bytes_max: usize,
    /// Most queued, unsent bytes of one stream. Default 256 KiB.
    pub send_buffer_bytes_max: usize,
    /// Most streams of the peer at once; more are reset. Default 256.
    pub inbound_streams_max: usize,
    /// Most streams of ours at once. Default 256, which is also what Yamux peers accept unacknowledged.
    pub outbound_streams_max: usize,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        handshake_timeout: Duration::from_secs(10),
        keepalive_interval: Duration::from_secs(30),
        keepalive_timeout: Duration::from_secs(10),
        negotiation_timeout: Duration::from_secs(10),
        window_bytes_max: 1024 * 1024,
        received_bytes_max: 4 * 1024 * 1024,
        send_buffer_bytes_max: 256 * 1024,
        inbound_streams_max: 256,
        outbound_streams_max: 256,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
