//! A simulated storer: the server's half of the Swarm protocols over the listener's half of `p2p`.
mod serve;

use crate::account::{Profile, ServerAccount};
use crate::spread::Spread;
use crate::{Dice, LinkSpec};
use bmt::{ChunkAddress, Overlay, SecretKey};
use p2p::{Instant, Keypair, Multiaddr, StaticKey};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use swarm::ConnId;
use swarm::messages::{AddressRecord, Version, encode_underlays};

pub(crate) use serve::ServerConn;

/// Network id of the virtual world.
pub(crate) const NETWORK_ID: u64 = 10;

/// How a storer misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Every chunk has a wrong byte.
    Liar,
    /// Accepts requests and never answers.
    Silent,
    /// Resets every stream after this many chunks.
    ResetsAfter(u32),
    /// Closes the connection after this many chunks.
    ClosesAfter(u32),
    /// Ends every delivery in its middle.
    Truncates,
    /// Announces a delivery of a terabyte.
    HugePrefix,
    /// Never has anything.
    NotFound,
    /// Takes this much longer.
    Slow(Duration),
    /// Refuses connections.
    Refuses,
    /// Does not answer to dials.
    Absent,
    /// Accepts connections and says nothing.
    Mute,
    /// Never announces a threshold.
    NoPricing,
    /// Announces a threshold that pays for nothing.
    Stingy,
    /// Tells of this many peers that do not exist, before the real ones.
    JunkHive(usize),
    /// Sends endless garbage instead of a delivery.
    Garbage,
}

/// What a storer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorerSpec {
    /// Handshake version it speaks.
    pub version: Version,
    /// Its limits.
    pub profile: Profile,
    /// Path to it.
    pub link: LinkSpec,
    /// Its fault.
    pub fault: Fault,
    /// Time to find a chunk.
    pub work: Duration,
}

impl StorerSpec {
    /// An honest storer with bee's limits on the Internet.
    pub const PUBLIC: Self = Self {
        version: Version::V15,
        profile: Profile::PUBLIC,
        link: LinkSpec::WAN,
        fault: Fault::None,
        work: Duration::from_millis(3),
    };
    /// An honest storer without throttling on a local network.
    pub const LAN: Self = Self {
        version: Version::V15,
        profile: Profile::LAN,
        link: LinkSpec::LAN,
        fault: Fault::None,
        work: Duration::from_micros(100),
    };
    /// The same with a fault.
    pub const fn with(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}

/// Chunks of the world, by address.
pub(crate) type Chunks = Rc<BTreeMap<ChunkAddress, Vec<u8>>>;

/// One storer.
pub(crate) struct Storer {
    pub(crate) spec: StorerSpec,
    pub(crate) address: SocketAddr,
    pub(crate) overlay: Overlay,
    pub(crate) record: AddressRecord,
    pub(crate) underlay: Multiaddr,
    pub(crate) chunks: Chunks,
    /// Told to clients after the handshake.
    pub(crate) neighbours: Vec<AddressRecord>,
    pub(crate) accounts: BTreeMap<Overlay, ServerAccount>,
    pub(crate) conns: BTreeMap<ConnId, ServerConn>,
    /// Chunks delivered, and clients it had to block.
    pub(crate) delivered: u32,
    pub(crate) blocked: u32,
    /// Requests that came in the same packet as the headers: bee would lose them.
    pub(crate) pipelined: u32,
    pub(crate) up: bool,
    /// Who holds what; without it, everybody holds everything.
    pub(crate) spread: Option<Rc<Spread>>,
    keypair: Keypair,
    noise_static: StaticKey,
    dice: Dice,
}

impl Storer {
    pub(crate) fn new(
        spec: StorerSpec,
        address: SocketAddr,
        chunks: Chunks,
        dice: &mut Dice,
    ) -> Self {
        let keypair = Keypair::ed25519(&dice.bytes());
        let key = SecretKey::from_bytes(&dice.bytes()).expect("random scalars are valid");
        let underlay = Multiaddr::from_tcp(address).with_peer_id(&keypair.public().peer_id());
        let record = AddressRecord::sign(
            spec.version,
            &key,
            NETWORK_ID,
            [7; 32],
            1_789_000_000,
            encode_underlays(std::slice::from_ref(&underlay)),
        );
        Self {
            spec,
            address,
            overlay: record.overlay,
            record,
            underlay,
            chunks,
            neighbours: Vec::new(),
            accounts: BTreeMap::new(),
            conns: BTreeMap::new(),
            delivered: 0,
            blocked: 0,
            pipelined: 0,
            up: true,
            spread: None,
            noise_static: StaticKey::new(&keypair, dice.bytes()),
            keypair,
            dice: Dice::new(dice.throw()),
        }
    }

    /// Records that lead nowhere, properly signed when `version` demands it.
    pub(crate) fn junk(&mut self, count: usize) -> Vec<AddressRecord> {
        let version = self.spec.version;
        (0..count)
            .map(|n| {
                let bytes = self.dice.bytes();
                let ip = [10, 99, bytes[0], bytes[1]];
                let port = 1 + u16::try_from(n % 60_000).expect("below 60 000");
                let peer = Keypair::ed25519(&bytes).public().peer_id();
                let underlay =
                    Multiaddr::from_tcp(SocketAddr::from((ip, port))).with_peer_id(&peer);
                let underlay = encode_underlays(&[underlay]);
                let mut record = self.record.clone();
                record.overlay = Overlay(bytes);
                record.underlay = underlay;
                // One in four is signed, which costs a liar nothing but time.
                if n % 4 == 0 {
                    let key = SecretKey::from_bytes(&bytes).expect("random scalars are valid");
                    let underlay = record.underlay.clone();
                    record = AddressRecord::sign(version, &key, NETWORK_ID, [7; 32], 5, underlay);
                }
                record
            })
            .collect()
    }

    pub(crate) fn listen_config(&mut self) -> p2p::Config {
        let ephemeral = self.dice.bytes();
        let mut config = p2p::Config::with_static_key(
            self.keypair.clone(),
            self.noise_static.clone(),
            ephemeral,
        );
        config.protocols = serve::protocols(self.spec.version);
        config.listen_addrs = vec![self.underlay.clone()];
        config.agent_version = "sim/1".into();
        config.identify_peer = true;
        config
    }

    /// The next time at which this storer wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.conns
            .values()
            .filter_map(ServerConn::poll_timeout)
            .min()
    }
}
