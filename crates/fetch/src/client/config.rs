//! Settings of the client.
use core::net::SocketAddr;
use core::time::Duration;
use p2p::PeerId;

/// Settings of a [`Bridge`](super::Bridge). Make one with [`Config::new`] and change what should differ.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the bridge listens for TCP.
    pub address: SocketAddr,
    /// The identity it must have. Default: any, because nothing it says is believed anyway.
    pub peer: Option<PeerId>,
    /// Fresh random bytes: our own identity and the keys of every connection come from them.
    pub seed: [u8; 32],
    /// Time without a byte on a stream that is being read, after which it is opened again. Default 20 s.
    pub answer_timeout: Duration,
    /// First pause before a new attempt; each further one is twice as long. Default 250 ms.
    pub retry_min: Duration,
    /// Longest pause. Default 4 s.
    pub retry_max: Duration,
    /// Attempts in a row for one stream that bring nothing, after which the bridge is given up. Default 6.
    pub attempts_max: u32,
    /// Time without a single verified chunk, while chunks are wanted, after which the bridge is given up. Default 60 s.
    pub give_up_after: Duration,
    /// Streams at once. Default 8.
    pub streams_max: usize,
    /// Chunks wanted at once. Default 1024.
    pub requests_max: usize,
    /// Largest file taken as a whole from a bridge that knows no `chunks`; it lies in memory. Default 256 MiB.
    pub file_bytes_max: u64,
}

impl Config {
    /// Makes the default settings.
    pub const fn new(address: SocketAddr, seed: [u8; 32]) -> Self {
        Self {
            address,
            peer: None,
            seed,
            answer_timeout: Duration::from_secs(20),
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(4),
            attempts_max: 6,
            give_up_after: Duration::from_secs(60),
            streams_max: 8,
            requests_max: 1024,
            file_bytes_max: 256 * 1024 * 1024,
        }
    }
}
