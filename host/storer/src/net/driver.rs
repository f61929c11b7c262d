//! The task that owns the libp2p swarm of one node.
use super::Host;
use super::behaviour::{Connection, Streams};
use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, Swarm, Transport, identify, noise, ping, tcp, yamux};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Streams a peer may have open at once on one connection; more end the connection (yamux).
const STREAMS_PER_CONNECTION_MAX: usize = 2048;
/// Streams whose protocol is still being agreed on, per connection.
const NEGOTIATING_STREAMS_MAX: usize = 1024;
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(45);
/// Lost pings in a row after which a connection counts as dead.
const PING_FAILURES_MAX: u32 = 2;

/// Orders for the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Dial an address that ends in `/p2p/<peer id>`.
    Dial(Multiaddr, oneshot::Sender<Result<Arc<Connection>, String>>),
    /// Close one connection.
    Close(ConnectionId),
}

/// Stops everything that was spawned with it.
#[derive(Clone, Debug)]
pub(crate) struct Cancel(watch::Receiver<bool>);

impl Cancel {
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (stop, stopped) = watch::channel(false);
        (stop, Self(stopped))
    }

    /// Spawns a task that is dropped, wherever it waits, when the node stops.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut stopped = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = future => {}
                // An error means that the sender is gone: stop as well.
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    streams: Streams,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// What a node's network is made from.
pub(crate) struct Network {
    pub(crate) key: Keypair,
    pub(crate) protocols: Vec<StreamProtocol>,
    pub(crate) listen: Multiaddr,
    /// Makes the announced address of the one really listened on.
    pub(crate) announce: Box<dyn FnOnce(&Multiaddr) -> Multiaddr + Send>,
    pub(crate) agent: String,
    pub(crate) connections_max: usize,
}

/// Addresses of a node that listens.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    pub(crate) listen: Multiaddr,
    pub(crate) announced: Multiaddr,
}

/// Starts listening; the driver runs until `cancel` fires.
pub(crate) async fn start(
    network: Network,
    host: Weak<dyn Host>,
    commands: mpsc::UnboundedReceiver<Command>,
    cancel: &Cancel,
) -> io::Result<Listening> {
    let mut swarm = swarm(&network, host, cancel)?;
    swarm
        .listen_on(network.listen.clone())
        .map_err(io::Error::other)?;
    let listen = loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => break address,
            SwarmEvent::ListenerClosed { reason, .. } => {
                reason?;
                return Err(io::Error::other("the listener closed"));
            }
            SwarmEvent::ListenerError { error, .. } => return Err(error),
            _ => {}
        }
    };
    let announced = (network.announce)(&listen);
    swarm.add_external_address(announced.clone());
    cancel.spawn(drive(swarm, commands));
    Ok(Listening { listen, announced })
}

fn swarm(network: &Network, host: Weak<dyn Host>, cancel: &Cancel) -> io::Result<Swarm<Behaviour>> {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(libp2p::core::upgrade::Version::V1)
        .authenticate(noise::Config::new(&network.key).map_err(io::Error::other)?)
        .multiplex(muxer)
        .timeout(Duration::from_secs(20))
        .boxed();
    let behaviour = Behaviour {
        streams: Streams::new(network.protocols.clone(), host, network.connections_max),
        identify: identify::Behaviour::new(
            identify::Config::new("/deboot/storer/1".into(), network.key.public())
                .with_agent_version(network.agent.clone())
                .with_hide_listen_addrs(true)
                .with_cache_size(0)
                .with_interval(Duration::from_secs(24 * 3600)),
        ),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_INTERVAL)
                .with_timeout(PING_TIMEOUT),
        ),
    };
    let spawner = cancel.clone();
    let config = libp2p::swarm::Config::with_executor(
        move |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| spawner.spawn(task),
    )
    .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS_MAX)
    .with_idle_connection_timeout(Duration::from_secs(3600));
    let peer_id = network.key.public().to_peer_id();
    Ok(Swarm::new(transport, behaviour, peer_id, config))
}

type Dials = HashMap<ConnectionId, oneshot::Sender<Result<Arc<Connection>, String>>>;

async fn drive(mut swarm: Swarm<Behaviour>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut dials = Dials::new();
    let mut lost_pings: HashMap<ConnectionId, u32> = HashMap::new();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => handle_command(&mut swarm, &mut dials, command),
                None => return,
            },
            event = swarm.select_next_some() => {
                handle_event(&mut swarm, &mut dials, &mut lost_pings, event);
            }
        }
    }
}

fn handle_command(swarm: &mut Swarm<Behaviour>, dials: &mut Dials, command: Command) {
    match command {
        Command::Dial(address, answer) => {
            let options = DialOpts::from(address);
            let id = options.connection_id();
            match swarm.dial(options) {
                Ok(()) => {
                    dials.insert(id, answer);
                }
                Err(error) => {
                    let _ = answer.send(Err(error.to_string()));
                }
            }
        }
        Command::Close(id) => {
            swarm.close_connection(id);
        }
    }
}

fn handle_event(
    swarm: &mut Swarm<Behaviour>,
    dials: &mut Dials,
    lost_pings: &mut HashMap<ConnectionId, u32>,
    event: SwarmEvent<BehaviourEvent>,
) {
    match event {
        SwarmEvent::ConnectionEstablished { connection_id, .. } => {
            if let Some(answer) = dials.remove(&connection_id) {
                let connection = swarm.behaviour().streams.connection(connection_id);
                let _ = answer.send(connection.ok_or_else(|| "closed at once".into()));
            }
        }
        SwarmEvent::OutgoingConnectionError {
            connection_id,
            error,
            ..
        } => {
            if let Some(answer) = dials.remove(&connection_id) {
                let _ = answer.send(Err(error.to_string()));
            }
        }
        SwarmEvent::ConnectionClosed { connection_id, .. } => {
            lost_pings.remove(&connection_id);
        }
        SwarmEvent::IncomingConnectionError { error, .. } => {
            tracing::debug!(%error, "incoming connection failed");
        }
        SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => match event.result {
            Ok(_) | Err(ping::Failure::Unsupported) => {
                lost_pings.remove(&event.connection);
            }
            Err(_) => {
                let lost = lost_pings.entry(event.connection).or_default();
                *lost += 1;
                if *lost >= PING_FAILURES_MAX {
                    tracing::debug!(peer = %event.peer, "pings unanswered, closing");
                    swarm.close_connection(event.connection);
                }
            }
        },
        _ => {}
    }
}
