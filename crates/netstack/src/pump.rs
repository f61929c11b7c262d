//! The pump: bytes between TCP sockets and the node, and the node's commands.
//!
//! Nothing is copied on the way: the node reads the socket's receive buffer and writes into its send buffer.
use crate::config::Config;
use crate::dns;
use crate::neighbours::Neighbours;
use crate::pool::Pool;
use crate::route::Route;
use crate::streams::Streams;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;
use litemap::LiteMap;
use p2p::Instant;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::{Socket, tcp};
use swarm::{Command, ConnId, DialError};

/// Commands carried out in one turn; a node that answers each failed dial with another one must not stop the clock.
const COMMANDS_MAX: usize = 1024;
/// Send buffers filled in one turn.
const FILLS_MAX: usize = 256;
/// KiB thrown away in one turn for a stream that is gone.
const DISCARDS_MAX: usize = 256;
/// Time for a reset to leave before its socket is used again.
const RESET_TIMEOUT: Duration = Duration::from_secs(1);

/// What the pump works with in one turn.
pub(crate) struct Net<'a> {
    pub(crate) now: Instant,
    pub(crate) interface: &'a mut Interface,
    pub(crate) sockets: &'a mut SocketSet<'static>,
    pub(crate) neighbours: &'a mut Neighbours,
    pub(crate) dns: &'a mut dns::Client,
    pub(crate) route: Option<Route>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// SYN sent.
    Connecting {
        deadline: Instant,
        remote: SocketAddrV4,
        next_hop: Ipv4Addr,
    },
    Open,
    /// The node has closed it; what it still wanted to say is being sent.
    Draining {
        deadline: Instant,
    },
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    handle: SocketHandle,
    port: u16,
    phase: Phase,
}

/// A socket that no node knows any more.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    handle: SocketHandle,
    port: u16,
    deadline: Instant,
    /// Its last word (an ACK in TIME-WAIT) has had a turn to leave.
    has_spoken: bool,
}

/// How filling a send buffer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// The node has nothing more to send.
    Drained,
    /// There is no room.
    Full,
    /// This stream cannot send (any more, or yet).
    Mute,
}

/// The pump.
#[derive(Debug)]
pub(crate) struct Pump {
    pool: Pool,
    dial_timeout: Duration,
    close_timeout: Duration,
    connections: LiteMap<ConnId, Connection>,
    leaving: Vec<Leaving>,
    /// Connections with something to handle, found once per turn; kept for its memory.
    ready: Vec<ConnId>,
}

impl Pump {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            pool: Pool::new(config),
            dial_timeout: config.dial_timeout,
            close_timeout: config.close_timeout,
            connections: LiteMap::new_vec(),
            leaving: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Sockets that own buffers.
    pub(crate) fn sockets_made(&self) -> usize {
        self.pool.made()
    }

    /// Resets every connection. Those whose address is still ours tell the other end, so that it is ready for a new one.
    pub(crate) fn abort(&mut self, now: Instant, sockets: &mut SocketSet<'static>) {
        for (_, connection) in core::mem::take(&mut self.connections) {
            sockets.get_mut::<tcp::Socket>(connection.handle).abort();
            self.leaving.push(Leaving {
                handle: connection.handle,
                port: connection.port,
                deadline: now + RESET_TIMEOUT,
                has_spoken: false,
            });
        }
    }

    /// Takes what the sockets received, and their changes of state, to the node. Returns whether anything moved.
    pub(crate) fn receive<N: Streams>(&mut self, net: &mut Net<'_>, node: &mut N) -> bool {
        let mut ready = core::mem::take(&mut self.ready);
        ready.clear();
        for (&conn, connection) in &self.connections {
            let socket = net.sockets.get::<tcp::Socket>(connection.handle);
            let is_ready = match connection.phase {
                Phase::Connecting { deadline, .. } => {
                    deadline <= net.now || !is_dialling(socket.state())
                }
                Phase::Open => socket.can_recv() || !socket.may_recv(),
                Phase::Draining { .. } => true,
            };
            if is_ready {
                ready.push(conn);
            }
        }
        let mut moved = false;
        for &conn in &ready {
            // A command for one connection may have ended another.
            if let Some(connection) = self.connections.get(&conn).copied() {
                moved |= self.attend(net, node, conn, connection);
            }
        }
        self.ready = ready;
        moved
    }

    /// Lets the node fill send buffers. Returns whether anything moved.
    pub(crate) fn transmit<N: Streams>(&mut self, net: &mut Net<'_>, node: &mut N) -> bool {
        let mut moved = false;
        for _ in 0..FILLS_MAX {
            let Some(conn) = node.poll_writable() else {
                break;
            };
            let (fill, has_moved) = self.fill(net, node, conn);
            moved |= has_moved;
            if fill != Fill::Drained {
                // This one stays writable until its buffer has room; the others must not wait for it.
                moved |= self.fill_all(net, node);
                break;
            }
        }
        moved
    }

    /// Carries out the node's commands. Returns whether there were any.
    pub(crate) fn command<N: Streams>(&mut self, net: &mut Net<'_>, node: &mut N) -> bool {
        let mut moved = false;
        for _ in 0..COMMANDS_MAX {
            let Some(command) = node.poll_command() else {
                break;
            };
            moved = true;
            match command {
                Command::Dial { conn, address } => {
                    if let Some(route) = net.route {
                        node.handle_local_address(IpAddr::V4(route.address));
                    }
                    if let Err(error) = self.dial(net, conn, address) {
                        node.handle_dial_failed(net.now, conn, error);
                    }
                }
                Command::Close { conn } => self.close(net, conn),
                Command::Resolve { id, query } => net.dns.resolve(net.now, id, query),
            }
        }
        moved
    }

    /// Looks names up and tells the node what was found. Returns whether anything moved.
    pub(crate) fn resolve<N: Streams>(&mut self, net: &mut Net<'_>, node: &mut N) -> bool {
        let (interface, sockets) = (&mut *net.interface, &mut *net.sockets);
        let mut moved = net
            .dns
            .poll(net.now, interface, sockets, net.neighbours, net.route);
        while let Some((id, answer)) = net.dns.poll_answer() {
            node.handle_dns(net.now, id, answer);
            self.command(net, node);
            moved = true;
        }
        moved
    }

    /// Fails dials through a neighbour that does not answer. Returns whether there were any.
    pub(crate) fn handle_silent_neighbour<N: Streams>(
        &mut self,
        net: &mut Net<'_>,
        node: &mut N,
        neighbour: Ipv4Addr,
    ) -> bool {
        self.fail_dials(
            net,
            node,
            |phase, _| matches!(phase, Phase::Connecting { next_hop, .. } if next_hop == neighbour),
        )
    }

    /// Fails the dial that an ICMP error is about. Returns whether there was one.
    ///
    /// SPEC RFC 1122 4.2.3.9: an established connection takes such an error for a hint only.
    pub(crate) fn handle_unreachable<N: Streams>(
        &mut self,
        net: &mut Net<'_>,
        node: &mut N,
        to: SocketAddrV4,
        local_port: u16,
    ) -> bool {
        self.fail_dials(net, node, |phase, port| {
            port == local_port && matches!(phase, Phase::Connecting { remote, .. } if remote == to)
        })
    }

    /// Moves closed sockets towards the pool. Returns whether any changed.
    pub(crate) fn retire(&mut self, net: &mut Net<'_>) -> bool {
        let mut moved = false;
        let mut index = 0;
        while let Some(leaving) = self.leaving.get_mut(index) {
            let socket = net.sockets.get_mut::<tcp::Socket>(leaving.handle);
            // Unread input would close the window and keep the other end from finishing.
            while socket.can_recv() && socket.recv(|bytes| (bytes.len(), ())).is_ok() {
                moved = true;
            }
            let is_late = leaving.deadline <= net.now;
            let is_done = match socket.state() {
                tcp::State::Closed => socket.remote_endpoint().is_none() || is_late,
                // The port is not used again for a long time, so nothing is lost by not waiting.
                tcp::State::TimeWait => core::mem::replace(&mut leaving.has_spoken, true),
                _ => false,
            };
            if is_done {
                let leaving = self.leaving.swap_remove(index);
                self.recycle(net.sockets, leaving.handle, leaving.port);
                continue;
            }
            if is_late && socket.state() != tcp::State::TimeWait {
                socket.abort();
                leaving.deadline = net.now + RESET_TIMEOUT;
                moved = true;
            }
            index = index.saturating_add(1);
        }
        moved
    }

    /// When to take a turn at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let connections = self.connections.values().filter_map(|c| match c.phase {
            Phase::Connecting { deadline, .. } | Phase::Draining { deadline } => Some(deadline),
            Phase::Open => None,
        });
        let leaving = self.leaving.iter().map(|leaving| leaving.deadline);
        connections.chain(leaving).min()
    }

    fn attend<N: Streams>(
        &mut self,
        net: &mut Net<'_>,
        node: &mut N,
        conn: ConnId,
        connection: Connection,
    ) -> bool {
        match connection.phase {
            Phase::Connecting { .. } => {
                let state = net.sockets.get::<tcp::Socket>(connection.handle).state();
                if is_dialling(state) {
                    self.fail(net, node, conn, DialError::TimedOut);
                } else if state == tcp::State::Closed {
                    self.fail(net, node, conn, DialError::Refused);
                } else {
                    if let Some(connection) = self.connections.get_mut(&conn) {
                        connection.phase = Phase::Open;
                    }
                    node.handle_connected(net.now, conn);
                    self.command(net, node);
                    self.feed(net, node, conn);
                }
                true
            }
            Phase::Open => self.feed(net, node, conn),
            Phase::Draining { deadline } => self.drain(net, node, conn, connection, deadline),
        }
    }

    /// Feeds one connection's input to the node until it is used up or the node wants no more.
    fn feed<N: Streams>(&mut self, net: &mut Net<'_>, node: &mut N, conn: ConnId) -> bool {
        let mut moved = false;
        loop {
            let Some(connection) = self.connections.get(&conn).copied() else {
                return moved;
            };
            if !matches!(connection.phase, Phase::Open) {
                return moved;
            }
            let socket = net.sockets.get_mut::<tcp::Socket>(connection.handle);
            if !socket.can_recv() {
                if !socket.may_recv() {
                    // Everything was read, and there is no more to come: FIN, reset or silence.
                    self.connections.remove(&conn);
                    self.leave(net, connection);
                    node.handle_closed(net.now, conn);
                    self.command(net, node);
                    return true;
                }
                return moved;
            }
            let taken = socket.recv(|bytes| {
                let taken = node.handle_received(net.now, conn, bytes).min(bytes.len());
                (taken, taken)
            });
            self.command(net, node);
            if !matches!(taken, Ok(taken) if taken > 0) {
                return moved;
            }
            moved = true;
        }
    }

    /// Sends what the node still has for a connection that it closed, then says goodbye.
    fn drain<N: Streams>(
        &mut self,
        net: &mut Net<'_>,
        node: &mut N,
        conn: ConnId,
        connection: Connection,
        deadline: Instant,
    ) -> bool {
        let (fill, moved) = self.fill(net, node, conn);
        let socket = net.sockets.get_mut::<tcp::Socket>(connection.handle);
        while socket.can_recv() && socket.recv(|bytes| (bytes.len(), ())).is_ok() {}
        if fill == Fill::Full && net.now < deadline {
            return moved;
        }
        if fill != Fill::Drained {
            discard(net.now, node, conn);
        }
        self.connections.remove(&conn);
        self.leave(net, connection);
        true
    }

    fn fill<N: Streams>(&self, net: &mut Net<'_>, node: &mut N, conn: ConnId) -> (Fill, bool) {
        let mut moved = false;
        let Some(connection) = self.connections.get(&conn) else {
            discard(net.now, node, conn);
            return (Fill::Drained, moved);
        };
        let socket = net.sockets.get_mut::<tcp::Socket>(connection.handle);
        loop {
            let sent = socket.send(|room| {
                if room.is_empty() {
                    return (0, Some(Fill::Full));
                }
                let sent = node.poll_transmit(net.now, conn, room).min(room.len());
                (sent, (sent == 0).then_some(Fill::Drained))
            });
            match sent {
                Ok(None) => moved = true,
                Ok(Some(fill)) => return (fill, moved),
                Err(_) => return (Fill::Mute, moved),
            }
        }
    }

    fn fill_all<N: Streams>(&self, net: &mut Net<'_>, node: &mut N) -> bool {
        let mut moved = false;
        for &conn in self.connections.keys() {
            moved |= self.fill(net, node, conn).1;
        }
        moved
    }

    fn dial(
        &mut self,
        net: &mut Net<'_>,
        conn: ConnId,
        address: SocketAddr,
    ) -> Result<(), DialError> {
        let unreachable = DialError::Unreachable;
        // IPv6 is not spoken yet.
        let SocketAddr::V4(remote) = address else {
            return Err(unreachable);
        };
        let next_hop = net
            .route
            .and_then(|route| route.next_hop(*remote.ip()))
            .ok_or(unreachable)?;
        if self.connections.contains_key(&conn) || remote.port() == 0 {
            return Err(unreachable);
        }
        let mut socket = match self.pool.take() {
            Some(socket) => socket,
            None => self.reclaim(net).ok_or(unreachable)?,
        };
        let Some(port) = self.pool.take_port() else {
            self.pool.give(socket);
            return Err(unreachable);
        };
        let to = (*remote.ip(), remote.port());
        if socket.connect(net.interface.context(), to, port).is_err() {
            self.pool.give(socket);
            self.pool.give_port(port);
            return Err(unreachable);
        }
        net.neighbours.want(net.now, next_hop);
        let connection = Connection {
            handle: net.sockets.add(socket),
            port,
            phase: Phase::Connecting {
                deadline: net.now + self.dial_timeout,
                remote,
                next_hop,
            },
        };
        self.connections.insert(conn, connection);
        Ok(())
    }

    /// Takes the socket that has been leaving for longest.
    fn reclaim(&mut self, net: &mut Net<'_>) -> Option<tcp::Socket<'static>> {
        let (index, _) = self
            .leaving
            .iter()
            .enumerate()
            .min_by_key(|(_, leaving)| leaving.deadline)?;
        let leaving = self.leaving.swap_remove(index);
        self.recycle(net.sockets, leaving.handle, leaving.port);
        self.pool.take()
    }

    fn close(&mut self, net: &mut Net<'_>, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        if matches!(connection.phase, Phase::Connecting { .. }) {
            let connection = *connection;
            self.connections.remove(&conn);
            self.recycle(net.sockets, connection.handle, connection.port);
        } else {
            connection.phase = Phase::Draining {
                deadline: net.now + self.close_timeout,
            };
        }
    }

    fn fail<N: Streams>(
        &mut self,
        net: &mut Net<'_>,
        node: &mut N,
        conn: ConnId,
        error: DialError,
    ) {
        if let Some(connection) = self.connections.remove(&conn) {
            // A late answer meets no socket and is reset by the interface.
            self.recycle(net.sockets, connection.handle, connection.port);
            node.handle_dial_failed(net.now, conn, error);
            self.command(net, node);
        }
    }

    fn fail_dials<N: Streams>(
        &mut self,
        net: &mut Net<'_>,
        node: &mut N,
        is_meant: impl Fn(Phase, u16) -> bool,
    ) -> bool {
        let meant: Vec<ConnId> = self
            .connections
            .iter()
            .filter(|(_, connection)| is_meant(connection.phase, connection.port))
            .map(|(&conn, _)| conn)
            .collect();
        for &conn in &meant {
            self.fail(net, node, conn, DialError::Unreachable);
        }
        !meant.is_empty()
    }

    /// Closes a socket that the node has done with.
    fn leave(&mut self, net: &mut Net<'_>, connection: Connection) {
        net.sockets
            .get_mut::<tcp::Socket>(connection.handle)
            .close();
        self.leaving.push(Leaving {
            handle: connection.handle,
            port: connection.port,
            deadline: net.now + self.close_timeout,
            has_spoken: false,
        });
    }

    fn recycle(&mut self, sockets: &mut SocketSet<'static>, handle: SocketHandle, port: u16) {
        self.pool.give_port(port);
        if let Socket::Tcp(socket) = sockets.remove(handle) {
            self.pool.give(socket);
        }
    }
}

/// Throws away what the node has for a stream that is gone, or it would name that stream as writable for ever.
fn discard<N: Streams>(now: Instant, node: &mut N, conn: ConnId) {
    let mut room = [0; 1024];
    for _ in 0..DISCARDS_MAX {
        if node.poll_transmit(now, conn, &mut room) == 0 {
            return;
        }
    }
}

fn is_dialling(state: tcp::State) -> bool {
    matches!(state, tcp::State::SynSent | tcp::State::SynReceived)
}
