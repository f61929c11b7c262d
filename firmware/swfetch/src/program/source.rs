//! Where chunks come from: Swarm itself, or a bridge in front of it. Everything after "here is a verified chunk" is the same.
use super::machine::Machine;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use bmt::ChunkAddress;
use content::Reference;
use core::net::{IpAddr, SocketAddr};
use fetch::{Bridge, BridgeError};
use netstack::Streams;
use p2p::Instant;
use release::config::{BootConfig, Source as Wanted};
use swarm::{Command, ConnId, DialError, DnsAnswer, DnsQueryId, Node};
use swfetch::failure::{Failure, id};
use swfetch::handover::Fetched;

/// A source of chunks.
pub(crate) enum Source {
    /// The Swarm network.
    Swarm(Box<Node>),
    /// A bridge at an address.
    Bridge(Box<Bridge>, SocketAddr),
}

/// A fact from a source.
pub(crate) enum Fact {
    /// From the Swarm node.
    Swarm(swarm::Event),
    /// From the bridge's client.
    Bridge(fetch::Event),
}

/// Figures that both kinds have.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// Peers ready, connecting and known.
    pub(crate) peers: (usize, usize, usize),
    /// Requests open, and those waiting for credit.
    pub(crate) requests: (usize, usize),
}

/// Calls the same method of either kind.
macro_rules! either {
    ($self:expr, $source:ident => $call:expr) => {
        match $self {
            Self::Swarm($source) => $call,
            Self::Bridge($source, _) => $call,
        }
    };
}

impl Source {
    /// Starts the source that the configuration names.
    pub(crate) fn open(machine: &mut Machine, config: &BootConfig) -> Result<Self, Failure> {
        let settings = &config.swarm;
        if config.source == Wanted::Bridge {
            let address = SocketAddr::V4(config.bridge.address);
            let mut bridge = fetch::Config::new(address, machine.fresh_seed("bridge")?);
            bridge.peer = config.bridge.peer.clone();
            bridge.answer_timeout = settings.attempt_timeout;
            bridge.give_up_after = settings.chunk_timeout;
            machine.console.line(&format!("bridge: {address}"));
            let bridge = Bridge::new(bridge, machine.now());
            return Ok(Self::Bridge(Box::new(bridge), address));
        }
        let seed = machine.fresh_seed("swarm")?;
        let bootnodes = settings.bootnodes.clone();
        let mut node = swarm::Config::new(settings.network_id, bootnodes, seed, machine.wall_s);
        node.generation = settings.generation;
        node.connections_max = settings.connections_max;
        node.dial_timeout = settings.dial_timeout;
        node.handshake_timeout = settings.handshake_timeout;
        node.attempt_timeout = settings.attempt_timeout;
        node.hedge_after = settings.hedge_after;
        node.chunk_timeout = settings.chunk_timeout;
        Ok(Self::Swarm(Box::new(Node::new(node, machine.now()))))
    }

    pub(crate) fn request_room(&self) -> usize {
        either!(self, source => source.request_room())
    }

    /// Requests a chunk; a bridge is told its key as well.
    pub(crate) fn request(&mut self, now: Instant, address: ChunkAddress, key: Option<[u8; 32]>) {
        match self {
            Self::Swarm(node) => node.request(now, address),
            Self::Bridge(bridge, _) => bridge.request(now, Reference { address, key }),
        }
    }

    pub(crate) fn cancel(&mut self, address: ChunkAddress) {
        either!(self, source => source.cancel(address));
    }

    pub(crate) fn poll_event(&mut self) -> Option<Fact> {
        match self {
            Self::Swarm(node) => node.poll_event().map(Fact::Swarm),
            Self::Bridge(bridge, _) => bridge.poll_event().map(Fact::Bridge),
        }
    }

    pub(crate) fn close(&mut self, now: Instant) {
        either!(self, source => source.close(now));
    }

    pub(crate) fn figures(&self) -> Figures {
        match self {
            Self::Swarm(node) => {
                let stats = node.stats();
                Figures {
                    peers: (stats.peers_ready, stats.peers_connecting, stats.peers_known),
                    requests: (stats.requests_open, stats.waiting_for_credit),
                }
            }
            Self::Bridge(bridge, _) => {
                let stats = bridge.stats();
                let up = usize::from(stats.is_up);
                Figures {
                    peers: (up, 1_usize.saturating_sub(up), 0),
                    requests: (stats.requests_open, 0),
                }
            }
        }
    }

    /// Returns the figures in one line, for the log.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Swarm(node) => {
                let stats = node.stats();
                format!(
                    "swarm: {} chunks from {} peers; {} asked twice, {} came twice, {} wrong; {} requests and {} attempts open, {} without credit",
                    stats.chunks,
                    stats.peers_used,
                    stats.hedges,
                    stats.duplicates,
                    stats.wrong_chunks,
                    stats.requests_open,
                    stats.attempts_open,
                    stats.waiting_for_credit
                )
            }
            Self::Bridge(bridge, _) => {
                let stats = bridge.stats();
                format!(
                    "bridge: {} chunks over {} streams and {} connections; {} requests and {} streams open",
                    stats.chunks,
                    stats.streams,
                    stats.connections,
                    stats.requests_open,
                    stats.streams_open
                )
            }
        }
    }

    /// Returns what was fetched so far.
    pub(crate) fn fetched(&self, bytes: u64) -> Fetched {
        let (chunks, peers) = match self {
            Self::Swarm(node) => {
                let stats = node.stats();
                (stats.chunks, stats.peers_used)
            }
            Self::Bridge(bridge, _) => (bridge.stats().chunks, 1),
        };
        Fetched {
            bytes,
            chunks,
            peers: u64::try_from(peers).unwrap_or(u64::MAX),
        }
    }

    /// Puts the end of a bridge into words.
    pub(crate) fn explain(&self, error: &BridgeError) -> Failure {
        let address = match self {
            Self::Bridge(_, address) => format!("{address}"),
            Self::Swarm(_) => String::from("?"),
        };
        let (id, cause, next) = match error {
            BridgeError::OtherProtocol => (
                id::BRIDGE_PROTOCOL,
                "another libp2p program listens there, or a bridge of another version",
                "check bridge.address in deboot.toml, and that deboot-bridge and the loader are of the same release",
            ),
            BridgeError::Truncated { .. } | BridgeError::Silent(_) => (
                id::BRIDGE_STOPS,
                "what is behind the bridge is slow or gone, or the bridge is broken",
                "read the log of deboot-bridge, or boot without it: source = \"swarm\" in deboot.toml",
            ),
            BridgeError::Refused { .. }
            | BridgeError::TooLarge { .. }
            | BridgeError::NeedsChunks => (
                id::BRIDGE_REFUSES,
                "what is behind the bridge cannot be reached, or the bridge has too many clients",
                "read the log of deboot-bridge, or boot without it: source = \"swarm\" in deboot.toml",
            ),
            _ if error.is_lie() || error.is_final() => (
                id::BRIDGE_LIES,
                "a broken or hostile bridge, or something on the way to it; nothing of what it sent wrongly was used",
                "do not use this bridge; boot without it: source = \"swarm\" in deboot.toml",
            ),
            _ => (
                id::NO_BRIDGE,
                "deboot-bridge does not run there, or a firewall keeps the loader from it",
                "start deboot-bridge, check bridge.address in deboot.toml, or boot without it: source = \"swarm\"",
            ),
        };
        Failure::new(id, format!("{address}: {error}"), cause, next)
    }
}

impl Streams for Source {
    fn poll_command(&mut self) -> Option<Command> {
        either!(self, source => source.poll_command())
    }
    fn handle_local_address(&mut self, address: IpAddr) {
        either!(self, source => source.handle_local_address(address));
    }
    fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        either!(self, source => source.handle_connected(now, conn));
    }
    fn handle_dial_failed(&mut self, now: Instant, conn: ConnId, error: DialError) {
        either!(self, source => source.handle_dial_failed(now, conn, error));
    }
    fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        either!(self, source => source.handle_received(now, conn, bytes))
    }
    fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        either!(self, source => source.handle_closed(now, conn));
    }
    fn poll_transmit(&mut self, now: Instant, conn: ConnId, room: &mut [u8]) -> usize {
        either!(self, source => source.poll_transmit(now, conn, room))
    }
    fn poll_writable(&mut self) -> Option<ConnId> {
        either!(self, source => source.poll_writable())
    }
    fn handle_dns(&mut self, now: Instant, id: DnsQueryId, answer: DnsAnswer) {
        either!(self, source => source.handle_dns(now, id, answer));
    }
    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Swarm(node) => node.poll_timeout().map(|(at, _)| at),
            Self::Bridge(bridge, _) => bridge.poll_timeout(),
        }
    }
    fn handle_timeout(&mut self, now: Instant) {
        either!(self, source => source.handle_timeout(now));
    }
    fn handle_network_lost(&mut self, now: Instant) {
        either!(self, source => source.handle_network_lost(now));
    }
}
