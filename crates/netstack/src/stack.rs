//! The stack over one device: one turn, and what happens in it in which order.
use crate::config::Config;
use crate::dhcp::message::is_host_address;
use crate::dhcp::{self, Configuration, Timing};
use crate::dns;
use crate::event::Event;
use crate::neighbours::Neighbours;
use crate::pump::{Net, Pump};
use crate::random::Random;
use crate::route::Route;
use crate::streams::Streams;
use crate::time::{from_smoltcp, to_smoltcp};
use crate::watch::{Notes, Watch};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use p2p::Instant;
use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::phy::Device;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

/// Events kept if nobody asks for them.
const EVENTS_MAX: usize = 256;
/// Passes over all sockets in one turn, each sending at most one frame per socket.
const EGRESS_PASSES_MAX: usize = 64;

/// The stack over one device.
///
/// Without a [`Node`](swarm::Node) it only looks for an address ([`poll_idle`](Self::poll_idle)) and takes a few KiB: a driver with
/// several network cards makes a stack for each, polls all of them in turn, and keeps the first that is configured.
pub struct Stack<D: Device> {
    device: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    notes: Notes,
    addresses: Addresses,
    neighbours: Neighbours,
    pump: Pump,
    dns: dns::Client,
    /// Since when there is no link.
    down_since: Option<Instant>,
    link_loss_max: Duration,
    /// What the interface is set to.
    configuration: Option<Configuration>,
    route: Option<Route>,
    /// Connections are of no use any more: their address is gone, or the link was. The node does not know yet.
    is_lost: bool,
    /// When smoltcp wants to send.
    interface_at: Option<Instant>,
    /// When the node wanted its timeout after the last turn.
    node_at: Option<Instant>,
    frames_per_turn: usize,
    events: VecDeque<Event>,
}

/// Where addresses come from.
enum Addresses {
    Static(Configuration),
    Dhcp(dhcp::Client),
}

impl<D: Device> Stack<D> {
    /// Brings the stack up; DHCP starts with the first [`poll`](Self::poll).
    ///
    /// # Panics
    /// If the device's medium is not Ethernet.
    pub fn new(mut device: D, config: Config, now: Instant) -> Self {
        let mac = EthernetAddress(config.mac);
        let mut interface_config = smoltcp::iface::Config::new(HardwareAddress::Ethernet(mac));
        interface_config.random_seed = Random::new(config.seed, 2).next_u64();
        let interface = Interface::new(interface_config, &mut device, to_smoltcp(now));
        let addresses = match &config.static_address {
            Some((address, prefix_length, gateway, dns)) => Addresses::Static(Configuration {
                address: *address,
                prefix_length: *prefix_length,
                gateway: *gateway,
                dns: dns.clone(),
            }),
            None => Addresses::Dhcp(dhcp::Client::new(
                Timing {
                    first_retry: config.dhcp_first_retry,
                    retry_max: config.dhcp_retry_max,
                    patience: config.dhcp_patience,
                },
                Random::new(config.seed, 3),
                now,
            )),
        };
        Self {
            notes: Notes::new(mac, device.capabilities().checksum),
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
            addresses,
            neighbours: Neighbours::default(),
            pump: Pump::new(&config),
            dns: dns::Client::new(&config),
            down_since: None,
            link_loss_max: config.link_loss_max,
            configuration: None,
            route: None,
            is_lost: false,
            interface_at: None,
            node_at: None,
            frames_per_turn: config.frames_per_turn,
            events: VecDeque::new(),
        }
    }

    /// Says whether an address is set.
    pub fn is_configured(&self) -> bool {
        self.configuration.is_some()
    }

    /// Says whether DHCP has been silent for longer than [`dhcp_patience`](Config::dhcp_patience).
    pub fn has_given_up(&self) -> bool {
        matches!(&self.addresses, Addresses::Dhcp(client) if client.has_given_up())
    }

    /// The link went away or came back. A link that comes back starts DHCP at once: with a lease it is confirmed, without one the
    /// short first pauses begin again; after a long outage the node is told that it lost the network. Drivers that cannot tell the state of the link never call this.
    pub fn handle_link(&mut self, now: Instant, up: bool) {
        if self.down_since.is_none() == up {
            return;
        }
        let down_since = core::mem::replace(&mut self.down_since, (!up).then_some(now));
        self.is_lost |= down_since.is_some_and(|since| now - since >= self.link_loss_max);
        self.push(if up { Event::LinkUp } else { Event::LinkDown });
        if let Addresses::Dhcp(client) = &mut self.addresses {
            client.handle_link(now, up);
        }
        self.neighbours.clear();
        if let (true, Some(gateway)) = (up, self.route.and_then(|route| route.gateway)) {
            self.neighbours.keep(now, gateway);
        }
    }

    /// One turn without a node (address configuration only).
    pub fn poll_idle(&mut self, now: Instant) {
        self.ingress(now);
        self.configure(now);
        while self.neighbours.poll_silent().is_some() {}
        self.notes.unreachable.clear();
        self.egress(now);
    }

    /// One turn: frames in, sockets to node, node's commands, node to sockets, frames out. Returns whether anything moved.
    ///
    /// A chunk's way up, each step calling only the one below it in this list:
    /// 1. `Device::receive`: a frame leaves the network card.
    /// 2. `Notes::look`: it is TCP, so nothing is noted.
    /// 3. `Interface::poll_ingress_single`: its payload is put into the socket's receive buffer, in order.
    /// 4. `Pump::receive`, `tcp::Socket::recv`: the node is shown that buffer itself, no copy.
    /// 5. `Node::handle_received`: from there on see the `swarm` crate.
    ///
    /// The acknowledgement waits for the end of the turn: one frame then acknowledges all that came in, and carries the next
    /// requests. Work per turn is bounded by [`frames_per_turn`](Config::frames_per_turn) and the number of sockets.
    pub fn poll<N: Streams>(&mut self, now: Instant, node: &mut N) -> bool {
        let mut moved = self.ingress(now);
        moved |= self.configure(now);
        if core::mem::take(&mut self.is_lost) {
            self.pump.abort(now, &mut self.sockets);
            node.handle_network_lost(now);
            moved = true;
        }
        while let Some(address) = self.neighbours.poll_silent() {
            self.push(Event::NeighbourSilent { address });
            let (pump, mut net, _) = self.split(now);
            moved |= pump.handle_silent_neighbour(&mut net, node, address);
        }
        let (pump, mut net, notes) = self.split(now);
        for (to, local_port) in notes.unreachable.drain(..) {
            moved |= pump.handle_unreachable(&mut net, node, to, local_port);
        }
        moved |= pump.receive(&mut net, node);
        if node.poll_timeout().is_some_and(|at| at <= now) {
            node.handle_timeout(now);
        }
        moved |= pump.command(&mut net, node);
        moved |= pump.resolve(&mut net, node);
        moved |= pump.transmit(&mut net, node);
        moved |= pump.retire(&mut net);
        self.node_at = node.poll_timeout();
        while let Some(event) = self.dns.poll_event() {
            self.push(event);
        }
        if moved || self.interface_at.is_some_and(|at| at <= now) {
            moved |= self.egress(now);
        }
        moved
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call `poll` at the latest if no frame arrives. A request made of the node since its last turn is due at once.
    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let dhcp = match &self.addresses {
            Addresses::Static(c) => {
                (self.configuration.is_none() && is_host_address(c.address)).then_some(now)
            }
            Addresses::Dhcp(client) => client.poll_timeout(),
        };
        let neighbours = self
            .down_since
            .is_none()
            .then(|| self.neighbours.poll_timeout())
            .flatten();
        [
            dhcp,
            neighbours,
            self.interface_at,
            self.node_at,
            self.pump.poll_timeout(),
            self.dns.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.max(now))
    }

    /// Frames received since the start: a sign of life for a console.
    pub fn frames_received(&self) -> u64 {
        self.notes.frames_in
    }

    /// TCP sockets that own buffers, which they keep until the stack goes.
    pub fn sockets_made(&self) -> usize {
        self.pump.sockets_made()
    }

    /// The device.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Gives the device back.
    pub fn into_device(self) -> D {
        self.device
    }

    /// Takes at most [`frames_per_turn`](Config::frames_per_turn) frames from the device. Returns whether there were any.
    fn ingress(&mut self, now: Instant) -> bool {
        let at = to_smoltcp(now);
        let mut watch = Watch {
            device: &mut self.device,
            notes: &mut self.notes,
        };
        let mut moved = false;
        for _ in 0..self.frames_per_turn {
            let result = self
                .interface
                .poll_ingress_single(at, &mut watch, &mut self.sockets);
            if result == PollIngressSingleResult::None {
                break;
            }
            moved = true;
        }
        for address in self.notes.neighbours.drain(..) {
            self.neighbours.handle_answer(now, address);
        }
        moved
    }

    /// Lets the interface send. Returns whether it did.
    fn egress(&mut self, now: Instant) -> bool {
        let at = to_smoltcp(now);
        let mut moved = false;
        for _ in 0..EGRESS_PASSES_MAX {
            let result = self
                .interface
                .poll_egress(at, &mut self.device, &mut self.sockets);
            if result == PollResult::None {
                break;
            }
            moved = true;
        }
        self.interface_at = self
            .interface
            .poll_at(at, &self.sockets)
            .map(|at| from_smoltcp(at).max(now));
        moved
    }

    /// Sees to the address and to who is on this link. Returns whether anything was sent or changed.
    fn configure(&mut self, now: Instant) -> bool {
        let at = to_smoltcp(now);
        let mut moved = false;
        let mut watch = Watch {
            device: &mut self.device,
            notes: &mut self.notes,
        };
        let wanted = match &mut self.addresses {
            // smoltcp panics on addresses that no host can have.
            Addresses::Static(c) => is_host_address(c.address).then_some(&*c),
            Addresses::Dhcp(client) => {
                let mut answers = core::mem::take(&mut watch.notes.dhcp);
                for answer in answers.drain(..) {
                    client.handle_answer(now, answer);
                }
                watch.notes.dhcp = answers;
                // A frame that the device does not take is lost like any other, and sent again later.
                if let Some(message) = client.poll_transmit(now) {
                    moved |= watch.send_dhcp(at, &message);
                }
                while let Some(event) = client.poll_event() {
                    push(&mut self.events, event);
                }
                client.configuration()
            }
        };
        if wanted != self.configuration.as_ref() {
            let wanted = wanted.cloned();
            self.apply(now, wanted);
            moved = true;
        }
        if let (None, Some(route)) = (self.down_since, self.route) {
            let mut watch = Watch {
                device: &mut self.device,
                notes: &mut self.notes,
            };
            while let Some(address) = self.neighbours.poll_transmit(now) {
                moved |= watch.send_arp(at, route.address, address);
            }
        }
        moved
    }

    /// Sets the interface to `wanted`.
    fn apply(&mut self, now: Instant, wanted: Option<Configuration>) {
        let route = wanted.as_ref().map(Route::new);
        let old = self.route.map(|route| route.address);
        if old.is_some() && old != route.map(|route| route.address) {
            self.is_lost = true;
            self.push(Event::Deconfigured);
        }
        if route != self.route {
            self.interface.update_ip_addrs(|addresses| {
                addresses.clear();
                if let Some(route) = route {
                    let cidr = Ipv4Cidr::new(route.address, route.prefix_length);
                    // There is room: the list was cleared.
                    let _ = addresses.push(IpCidr::Ipv4(cidr));
                }
            });
            let routes = self.interface.routes_mut();
            routes.remove_default_ipv4_route();
            self.neighbours.clear();
            if let Some(gateway) = route.and_then(|route| route.gateway) {
                // There is room: the only other route was removed.
                let _ = routes.add_default_ipv4_route(gateway);
                self.neighbours.keep(now, gateway);
            }
        }
        self.route = route;
        self.dns
            .set_servers(wanted.as_ref().map_or(&[][..], |c| &c.dns));
        if let Some(configuration) = &wanted {
            self.push(Event::Configured {
                address: configuration.address,
                prefix_length: configuration.prefix_length,
                gateway: configuration.gateway,
                dns: configuration.dns.clone(),
            });
        }
        self.configuration = wanted;
    }

    fn split(&mut self, now: Instant) -> (&mut Pump, Net<'_>, &mut Notes) {
        let net = Net {
            now,
            interface: &mut self.interface,
            sockets: &mut self.sockets,
            neighbours: &mut self.neighbours,
            dns: &mut self.dns,
            route: self.route,
        };
        (&mut self.pump, net, &mut self.notes)
    }

    fn push(&mut self, event: Event) {
        push(&mut self.events, event);
    }
}

fn push(events: &mut VecDeque<Event>, event: Event) {
    if events.len() < EVENTS_MAX {
        events.push_back(event);
    }
}
