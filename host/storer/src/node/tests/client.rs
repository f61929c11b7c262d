//! A light client on raw rust-libp2p streams: does exactly what a test tells it to.
use crate::frame::{FrameError, Framed};
use crate::identity::{Identity, KeyKind, Prefix};
use crate::net::{self, Cancel, Command, Connection, Host, Network};
use crate::node::{Node, ProtocolError, lock};
use crate::record::{self, Record, Source};
use crate::wire::{self, *};
use bmt::ChunkAddress;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Stream, StreamProtocol};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) const NETWORK_ID: u64 = 10;

/// What the other side did to the client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Threshold(u64),
    Peers(Version, Vec<BzzAddress>),
    Closed,
}

pub(crate) struct Client {
    pub(crate) identity: Identity,
    host: Arc<ClientHost>,
    commands: mpsc::UnboundedSender<Command>,
    _stop: watch::Sender<bool>,
}

#[derive(Default)]
pub(crate) struct ClientHost {
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// Whether the client offers pricing; bee disconnects those that do not.
    mute: bool,
}

impl Host for ClientHost {
    fn handle_stream(
        self: Arc<Self>,
        _: Arc<Connection>,
        protocol: StreamProtocol,
        stream: Stream,
    ) {
        tokio::spawn(async move {
            let mut framed = Framed::new(stream);
            if self.mute {
                return Ok(());
            }
            framed.accept_headers().await?;
            if protocol == PRICING {
                let message: AnnouncePaymentThreshold = framed.read().await?;
                let threshold = amount_from_bytes(&message.payment_threshold);
                lock(&self.seen).push(Seen::Threshold(threshold));
            } else {
                let version = if protocol == HIVE_14 {
                    Version::V14
                } else {
                    Version::V15
                };
                let message: Peers = framed.read().await?;
                lock(&self.seen).push(Seen::Peers(version, message.peers));
            }
            framed.full_close().await
        });
    }

    fn handle_connected(self: Arc<Self>, _: Arc<Connection>) {}

    fn handle_disconnected(self: Arc<Self>, _: Arc<Connection>) {
        lock(&self.seen).push(Seen::Closed);
    }
}

impl Client {
    pub(crate) async fn new(seed: u8) -> Self {
        Self::with(seed, false).await
    }

    pub(crate) async fn with(seed: u8, mute: bool) -> Self {
        let identity =
            Identity::derive(&[seed; 32], KeyKind::Ed25519, NETWORK_ID, Prefix::default()).unwrap();
        let (commands, orders) = mpsc::unbounded_channel();
        let (stop, cancel) = Cancel::new();
        let host = Arc::new(ClientHost {
            mute,
            ..ClientHost::default()
        });
        let network = Network {
            key: identity.libp2p.clone(),
            protocols: vec![PRICING, HIVE_14, HIVE_15],
            listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
            announce: Box::new(|listen| listen.clone()),
            agent: "test/1".into(),
            connections_max: 100,
        };
        let dyn_host: Arc<dyn Host> = host.clone();
        net::start(network, Arc::downgrade(&dyn_host), orders, &cancel)
            .await
            .unwrap();
        Self {
            identity,
            host,
            commands,
            _stop: stop,
        }
    }

    pub(crate) async fn dial(&self, node: &Node) -> Arc<Connection> {
        self.dial_address(&node.listen()).await
    }

    pub(crate) async fn dial_address(&self, address: &str) -> Arc<Connection> {
        let (answer, receive) = oneshot::channel();
        let address: Multiaddr = address.parse().unwrap();
        self.commands.send(Command::Dial(address, answer)).unwrap();
        receive.await.unwrap().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.host.seen).clone()
    }

    /// Waits until the client has seen what `find` looks for.
    pub(crate) async fn wait_for<T>(&self, find: impl Fn(&[Seen]) -> Option<T>) -> T {
        for _ in 0..1500 {
            if let Some(found) = find(&self.seen()) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not seen in time, only {:?}", self.seen());
    }

    pub(crate) async fn wait_closed(&self) {
        self.wait_for(|seen| seen.contains(&Seen::Closed).then_some(()))
            .await;
    }

    /// All records announced so far.
    pub(crate) fn announced(&self, of: Version) -> Vec<BzzAddress> {
        self.seen()
            .into_iter()
            .flat_map(|seen| match seen {
                Seen::Peers(version, peers) if version == of => peers,
                _ => Vec::new(),
            })
            .collect()
    }

    /// A light client's Ack.
    pub(crate) fn ack(&self, version: Version) -> Ack {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1"
            .parse::<Multiaddr>()
            .unwrap()
            .with(Protocol::P2p(self.identity.libp2p.public().to_peer_id()));
        let nonce = self.identity.nonce;
        let key = &self.identity.swarm;
        let record = record::sign(version, key, &[address], NETWORK_ID, nonce, 1_700_000_000);
        let mut wire = record.wire;
        let mut ack_nonce = Vec::new();
        if version == Version::V14 {
            ack_nonce = std::mem::take(&mut wire.nonce);
        }
        Ack {
            address: Some(wire),
            network_id: NETWORK_ID,
            full_node: false,
            nonce: ack_nonce,
            welcome_message: String::new(),
        }
    }

    /// Makes a handshake with the given Ack; returns the storer's record and its SynAck.
    pub(crate) async fn handshake_with(
        &self,
        connection: &Connection,
        version: Version,
        ack: &Ack,
    ) -> Result<(Record, SynAck), ProtocolError> {
        let (stream, _) = connection.open(vec![version.handshake()]).await?;
        let mut framed = Framed::new(stream);
        let mut theirs: Multiaddr = connection.remote.clone();
        if !matches!(theirs.iter().last(), Some(Protocol::P2p(_))) {
            theirs.push(Protocol::P2p(connection.peer));
        }
        framed
            .write(&Syn {
                observed_underlay: theirs.to_vec(),
            })
            .await?;
        let syn_ack: SynAck = framed.read().await?;
        let theirs = syn_ack.ack.clone().unwrap();
        let record = record::check(
            version,
            Source::Handshake,
            theirs.address.as_ref().unwrap(),
            &theirs.nonce,
            NETWORK_ID,
            None,
            super::super::now_ms() / 1000,
        )?;
        framed.write(ack).await?;
        framed.full_close().await?;
        Ok((record, syn_ack))
    }

    /// Dials and makes a handshake as a light node, and waits for the payment threshold.
    pub(crate) async fn connect(&self, node: &Node, version: Version) -> Arc<Connection> {
        self.connect_address(&node.listen(), version).await
    }

    pub(crate) async fn connect_address(&self, address: &str, version: Version) -> Arc<Connection> {
        let connection = self.dial_address(address).await;
        self.handshake_with(&connection, version, &self.ack(version))
            .await
            .unwrap();
        self.wait_for(|seen| {
            seen.iter()
                .find(|s| matches!(s, Seen::Threshold(_)))
                .map(|_| ())
        })
        .await;
        connection
    }
}

/// Opens a stream of a protocol and exchanges headers.
pub(crate) async fn open(
    connection: &Connection,
    protocol: StreamProtocol,
) -> Result<Framed, ProtocolError> {
    let (stream, _) = connection.open(vec![protocol]).await?;
    let mut framed = Framed::new(stream);
    framed.open_headers().await?;
    Ok(framed)
}

/// Asks for a chunk and reads the stream to its end.
pub(crate) async fn retrieve(
    connection: &Connection,
    address: ChunkAddress,
) -> Result<Delivery, ProtocolError> {
    let mut framed = open(connection, wire::RETRIEVAL).await?;
    framed
        .write(&Request {
            addr: address.0.to_vec(),
        })
        .await?;
    let delivery = framed.read().await?;
    framed.full_close().await?;
    Ok(delivery)
}

/// Settles.
pub(crate) async fn pay(connection: &Connection, amount: u64) -> Result<PaymentAck, ProtocolError> {
    let mut framed = open(connection, PSEUDOSETTLE).await?;
    framed
        .write(&Payment {
            amount: amount_bytes(amount),
        })
        .await?;
    let ack = framed.read().await?;
    framed.full_close().await?;
    Ok(ack)
}

/// Whether an exchange ended because the other side cut the stream.
pub(crate) fn is_cut(error: &ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::Frame(FrameError::Ended | FrameError::Io(_)) | ProtocolError::Open(_)
    )
}
