//! From the configured bootnodes to addresses that can be dialled: `/dnsaddr/` (TXT records, recursive), `/dns*/`, plain addresses.
//!
//! SPEC libp2p addressing "dnsaddr".
use crate::types::{BootstrapStage, DnsAnswer, DnsQuery, DnsQueryId};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use litemap::LiteMap;
use p2p::{Instant, Multiaddr, PeerId, Protocol};

/// Longest chain of `/dnsaddr/` records that point to further ones.
const DEPTH_MAX: u8 = 5;
/// Look-ups and addresses for one configured bootnode: a zone that branches for ever costs no more than this.
const COUNT_MAX: usize = 64;
/// First pause after a failed look-up; it doubles up to `RETRY_MAX`.
const RETRY_MIN: Duration = Duration::from_secs(2);
/// Longest pause after a failed look-up.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A bootnode address that can be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) address: SocketAddr,
    pub(crate) peer: Option<PeerId>,
}

/// What the node has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask DNS.
    Resolve(DnsQueryId, DnsQuery),
    /// Remember a bootnode.
    Found(Found),
    /// Tell the driver.
    Tell(BootstrapStage),
}

struct Root {
    bootnode: Multiaddr,
    /// Look-ups under way.
    open: usize,
    /// Look-ups and addresses of this round.
    count: usize,
    found: usize,
    failures: u32,
    retry_at: Option<Instant>,
}

struct Lookup {
    root: usize,
    depth: u8,
    /// A record must end in this peer.
    peer: Option<PeerId>,
    /// For address look-ups: port and wanted family.
    port: u16,
    family: Family,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

/// Resolves the configured bootnodes, again and again until there is an address.
pub(crate) struct Bootstrap {
    roots: Vec<Root>,
    lookups: LiteMap<DnsQueryId, Lookup>,
    next_id: u64,
    steps: VecDeque<Step>,
}

impl Bootstrap {
    /// Starts with the configured bootnodes.
    pub(crate) fn new(bootnodes: &[Multiaddr], now: Instant) -> Self {
        let mut this = Self {
            roots: bootnodes
                .iter()
                .map(|bootnode| Root {
                    bootnode: bootnode.clone(),
                    open: 0,
                    count: 0,
                    found: 0,
                    failures: 0,
                    retry_at: Some(now),
                })
                .collect(),
            lookups: LiteMap::new_vec(),
            next_id: 0,
            steps: VecDeque::new(),
        };
        this.handle_timeout(now);
        this
    }

    /// Returns the next thing to do.
    pub(crate) fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.roots.iter().filter_map(|root| root.retry_at).min()
    }

    /// Starts look-ups that are due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for index in 0..self.roots.len() {
            if let Some(root) = self.roots.get_mut(index)
                && root.retry_at.is_some_and(|at| at <= now)
            {
                root.retry_at = None;
                root.count = 0;
                root.found = 0;
                let bootnode = root.bootnode.clone();
                let before = self.steps.len();
                self.expand(index, &bootnode, 0);
                if self.steps.len() == before {
                    self.steps
                        .push_back(Step::Tell(BootstrapStage::Unusable { bootnode }));
                }
            }
        }
    }

    /// Looks names up again: the bootnodes found so far do not answer.
    pub(crate) fn refresh(&mut self, now: Instant) {
        for root in &mut self.roots {
            let named = root.bootnode.tcp_socket_addr().is_none();
            if named && root.open == 0 && root.retry_at.is_none() && root.found > 0 {
                root.retry_at = Some(now);
            }
        }
        self.handle_timeout(now);
    }

    /// Tries failed look-ups again at once.
    pub(crate) fn forget_failures(&mut self, now: Instant) {
        for root in &mut self.roots {
            root.failures = 0;
            if root.retry_at.is_some() {
                root.retry_at = Some(now);
            }
        }
        self.handle_timeout(now);
    }

    /// Takes an answer.
    pub(crate) fn handle_dns(&mut self, now: Instant, id: DnsQueryId, answer: DnsAnswer) {
        let Some(lookup) = self.lookups.remove(&id) else {
            return;
        };
        match answer {
            DnsAnswer::Txt(strings) => {
                for text in strings.iter().take(COUNT_MAX) {
                    let Some(Ok(address)) = text.strip_prefix("dnsaddr=").map(str::parse) else {
                        continue;
                    };
                    let address: Multiaddr = address;
                    if lookup.peer.is_none() || address.peer_id() == lookup.peer.as_ref() {
                        self.expand(lookup.root, &address, lookup.depth.saturating_add(1));
                    }
                }
            }
            DnsAnswer::Addresses(addresses) => {
                for ip in addresses.into_iter().take(COUNT_MAX) {
                    let wanted = match lookup.family {
                        Family::Any => true,
                        Family::V4 => ip.is_ipv4(),
                        Family::V6 => ip.is_ipv6(),
                    };
                    if wanted {
                        self.found(lookup.root, ip, lookup.port, lookup.peer.clone());
                    }
                }
            }
            DnsAnswer::Failed => {}
        }
        self.finish(now, lookup.root);
    }

    fn finish(&mut self, now: Instant, index: usize) {
        let Some(root) = self.roots.get_mut(index) else {
            return;
        };
        root.open = root.open.saturating_sub(1);
        if root.open > 0 || root.found > 0 {
            return;
        }
        let retry_in = RETRY_MIN
            .saturating_mul(1u32.checked_shl(root.failures).unwrap_or(u32::MAX))
            .min(RETRY_MAX);
        root.failures = root.failures.saturating_add(1);
        root.retry_at = Some(now + retry_in);
        let bootnode = root.bootnode.clone();
        self.steps
            .push_back(Step::Tell(BootstrapStage::ResolveFailed {
                bootnode,
                retry_in,
            }));
    }

    /// Follows one address: dials it, or asks DNS for what is behind it.
    fn expand(&mut self, root: usize, address: &Multiaddr, depth: u8) {
        let peer = address.peer_id().cloned();
        if let Some(socket) = address.tcp_socket_addr() {
            return self.found(root, socket.ip(), socket.port(), peer);
        }
        match address.parts() {
            [Protocol::Dnsaddr(name)] | [Protocol::Dnsaddr(name), Protocol::P2p(_)]
                if depth < DEPTH_MAX =>
            {
                let query = DnsQuery::Txt(format!("_dnsaddr.{name}"));
                self.resolve(root, name, query, depth, peer, 0, Family::Any);
            }
            [host, Protocol::Tcp(port)] | [host, Protocol::Tcp(port), Protocol::P2p(_)] => {
                let (name, family) = match host {
                    Protocol::Dns(name) => (name, Family::Any),
                    Protocol::Dns4(name) => (name, Family::V4),
                    Protocol::Dns6(name) => (name, Family::V6),
                    _ => return,
                };
                let query = DnsQuery::Addresses(name.clone());
                self.resolve(root, name, query, depth, peer, *port, family);
            }
            _ => {}
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one look-up, used once"
    )]
    fn resolve(
        &mut self,
        index: usize,
        name: &str,
        query: DnsQuery,
        depth: u8,
        peer: Option<PeerId>,
        port: u16,
        family: Family,
    ) {
        let Some(root) = self.roots.get_mut(index).filter(|r| r.count < COUNT_MAX) else {
            return;
        };
        root.count = root.count.saturating_add(1);
        root.open = root.open.saturating_add(1);
        let id = DnsQueryId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        let lookup = Lookup {
            root: index,
            depth,
            peer,
            port,
            family,
        };
        self.lookups.insert(id, lookup);
        let name = String::from(name);
        self.steps
            .push_back(Step::Tell(BootstrapStage::Resolving { name }));
        self.steps.push_back(Step::Resolve(id, query));
    }

    fn found(&mut self, index: usize, ip: IpAddr, port: u16, peer: Option<PeerId>) {
        let Some(root) = self.roots.get_mut(index).filter(|r| r.count < COUNT_MAX) else {
            return;
        };
        root.count = root.count.saturating_add(1);
        root.found = root.found.saturating_add(1);
        let address = SocketAddr::new(ip, port);
        self.steps.push_back(Step::Found(Found { address, peer }));
    }
}

#[cfg(test)]
mod tests;
