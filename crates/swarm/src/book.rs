//! The book of known peers: whom to dial next, and how much of what strangers say is remembered.
//!
//! Whoever sends records can send junk. So one sender fills at most a quarter of the book, senders whose peers turned out to be
//! real are believed first, signatures are checked before a dial is spent, and what failed goes last and is soon forgotten.
mod addresses;
mod choice;
mod places;

use crate::messages::{AddressRecord, Version};
use crate::rng::Rng;
use crate::table::OverlayTable;
use crate::types::ConnId;
use addresses::usable_addresses;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bmt::{ChunkAddress, Overlay};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use litemap::LiteMap;
use p2p::{Instant, PeerId};

/// A peer that dropped us, or that we dropped, is left alone this long: bee blocks for 4 s, and a faster return may race into it.
const REDIAL_MIN: Duration = Duration::from_secs(5);
/// Longest pause for a peer that was of no use each time; it doubles up to this.
const REDIAL_MAX: Duration = Duration::from_secs(120);
/// First pause after a failed dial; it doubles.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause for bootnodes and for peers that were there before.
const BACKOFF_MAX_PROVEN: Duration = Duration::from_secs(15);
/// Longest pause for others.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Failed dials after which a peer that was never reached is forgotten.
const FAILURES_MAX: u32 = 3;
/// Candidates compared for one dial: enough to spread over the address space, cheap in a full book.
const SAMPLE: usize = 48;
/// Addresses kept of one record.
const ADDRESSES_MAX: usize = 3;
/// Peers banned at most; more liars than this and the oldest ban is lifted.
const BANNED_MAX: usize = 1024;

/// Key of an entry. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryId(u64);

/// Whom to dial.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) entry: EntryId,
    pub(crate) address: SocketAddr,
    pub(crate) peer: Option<PeerId>,
}

/// How a connection ended, as far as redialling is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// It never got to a handshake.
    Unreachable,
    /// It worked and ended.
    Ended,
    /// It was there and of no use: it did not answer, broke off everything, or sent nonsense.
    Useless,
    /// Another connection leads to the same node.
    Duplicate,
    /// Never again.
    Banned,
    /// Not the peer's fault: dial again as soon as there is reason to.
    NetworkLost,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// It is in the book now.
    New,
    /// Its peer is known already.
    Known,
    /// It is not worth a place, or there is none for it.
    Refused,
}

#[derive(Clone, Debug)]
struct Entry {
    /// What hive claims, or what the handshake proved.
    overlay: Option<Overlay>,
    peer: Option<PeerId>,
    /// Where to dial; the first is tried next.
    addresses: Vec<SocketAddr>,
    /// Who told us. `None` for bootnodes.
    sender: Option<Overlay>,
    /// A generation B record whose signature is still to be checked.
    unchecked: Option<Box<AddressRecord>>,
    failures: u32,
    /// Times in a row that it was of no use.
    relapses: u32,
    not_before: Instant,
    busy: bool,
    /// It has been connected to before.
    proven: bool,
    boot: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    /// Entries in the book.
    stored: usize,
    /// Records ever offered.
    offered: usize,
    dialed: u32,
    worked: u32,
}

/// Known peers.
pub(crate) struct Book {
    entries: LiteMap<EntryId, Box<Entry>>,
    by_overlay: LiteMap<Overlay, EntryId>,
    /// Entries by where they are dialled; those of bootnodes that were looked up again may be missing.
    places: LiteMap<SocketAddr, Vec<EntryId>>,
    /// Entries of configured bootnodes; they are never forgotten.
    boots: Vec<EntryId>,
    senders: LiteMap<Overlay, Sender>,
    banned: LiteMap<Overlay, ()>,
    next: u64,
    max: usize,
    network_id: u64,
    idle: usize,
    /// Nothing can be dialled before this (an upper bound on knowledge, not a promise).
    quiet_until: Option<Instant>,
}

impl Book {
    pub(crate) const fn new(max: usize, network_id: u64) -> Self {
        Self {
            entries: LiteMap::new_vec(),
            by_overlay: LiteMap::new_vec(),
            places: LiteMap::new_vec(),
            boots: Vec::new(),
            senders: LiteMap::new_vec(),
            banned: LiteMap::new_vec(),
            next: 0,
            max,
            network_id,
            idle: 0,
            quiet_until: None,
        }
    }

    /// Peers known and not connected.
    pub(crate) const fn idle(&self) -> usize {
        self.idle
    }
    /// Says whether `overlay` delivered a wrong chunk.
    pub(crate) fn is_banned(&self, overlay: &Overlay) -> bool {
        self.banned.contains_key(overlay)
    }
    /// Says whether the entry came from the configured bootnodes.
    pub(crate) fn is_boot(&self, entry: EntryId) -> bool {
        self.entries.get(&entry).is_some_and(|entry| entry.boot)
    }
    /// Says whether every bootnode failed its last dial and none is connected.
    pub(crate) fn bootnode_failures(&self) -> Option<u32> {
        let mut failures = 0u32;
        let mut any = false;
        let boots = self.boots.iter().filter_map(|id| self.entries.get(id));
        for entry in boots {
            if entry.busy || entry.failures == 0 {
                return None;
            }
            any = true;
            failures = failures.saturating_add(entry.failures);
        }
        any.then_some(failures)
    }

    /// Remembers a bootnode.
    pub(crate) fn add_bootnode(&mut self, now: Instant, address: SocketAddr, peer: Option<PeerId>) {
        let known = self.boots.iter().copied().find(|id| {
            self.entries.get(id).is_some_and(|entry| {
                entry.addresses.contains(&address) || (peer.is_some() && entry.peer == peer)
            })
        });
        self.quiet_until = None;
        if let Some(entry) = known.and_then(|id| self.entries.get_mut(&id)) {
            if !entry.addresses.contains(&address) && entry.addresses.len() < ADDRESSES_MAX {
                entry.addresses.push(address);
            }
            return;
        }
        let id = self.insert(Entry {
            overlay: None,
            peer,
            addresses: alloc::vec![address],
            sender: None,
            unchecked: None,
            failures: 0,
            relapses: 0,
            not_before: now,
            busy: false,
            proven: false,
            boot: true,
        });
        self.boots.push(id);
    }

    /// Takes a record from hive.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        sender: Overlay,
        sender_ip: IpAddr,
        version: Version,
        record: AddressRecord,
        rng: &mut Rng,
    ) -> Learnt {
        let overlay = record.overlay;
        if sender == overlay {
            return Learnt::Known;
        }
        if self.banned.contains_key(&overlay) {
            return Learnt::Refused;
        }
        let (mut addresses, peer) = usable_addresses(&record, sender_ip);
        if addresses.is_empty() {
            return Learnt::Refused;
        }
        if let Some(known) = self.by_overlay.get(&overlay).copied() {
            // A second source may know a better address, but nothing replaces what has worked.
            let gives_way = |entry: &Entry| entry.failures > 0 && !entry.proven && !entry.busy;
            if self
                .entries
                .get(&known)
                .is_some_and(|entry| gives_way(entry))
            {
                addresses.retain(|address| self.has_place_at(address, Some(known)));
                self.move_entry(known, addresses, peer);
            }
            return Learnt::Known;
        }
        let mut boots = self.boots.iter().filter_map(|id| self.entries.get(id));
        let from_boot = peer.is_some() && boots.any(|entry| entry.peer == peer);
        if from_boot {
            return Learnt::Known;
        }
        addresses.retain(|address| self.has_place_at(address, None));
        if addresses.is_empty() || !self.make_room(sender, rng) {
            return Learnt::Refused;
        }
        self.insert(Entry {
            overlay: Some(overlay),
            peer,
            addresses,
            sender: Some(sender),
            unchecked: (version == Version::V15).then(|| Box::new(record)),
            failures: 0,
            relapses: 0,
            not_before: now,
            busy: false,
            proven: false,
            boot: false,
        });
        self.quiet_until = None;
        Learnt::New
    }

    /// Chooses whom to dial and marks it busy. `taken` are the overlays we are connected or connecting to; `wanted` is a chunk
    /// that nobody could find, whose neighbourhood then goes first.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        taken: &OverlayTable<ConnId>,
        wanted: Option<&ChunkAddress>,
        boot_allowed: bool,
        rng: &mut Rng,
    ) -> Option<Candidate> {
        if self.quiet_until.is_some_and(|at| now < at) {
            return None;
        }
        // Each pass drops one record with a bad signature, so this ends.
        for _ in 0..SAMPLE {
            let id = self.choose(now, taken, wanted, boot_allowed, rng)?;
            let network_id = self.network_id;
            let entry = self.entries.get_mut(&id)?;
            let bad = entry
                .unchecked
                .take()
                .is_some_and(|record| record.verify(Version::V15, network_id).is_err());
            if bad {
                self.forget(id);
                continue;
            }
            entry.busy = true;
            self.idle = self.idle.saturating_sub(1);
            if let Some(sender) = entry.sender.and_then(|s| self.senders.get_mut(&s)) {
                sender.dialed = sender.dialed.saturating_add(1);
            }
            return Some(Candidate {
                entry: id,
                address: *entry.addresses.first()?,
                peer: entry.peer.clone(),
            });
        }
        None
    }

    /// When [`next`](Self::next) may have somebody, if nothing new is learnt.
    pub(crate) const fn next_at(&self) -> Option<Instant> {
        self.quiet_until
    }

    /// The overlay that a claim or an earlier handshake gives an entry.
    pub(crate) fn overlay(&self, entry: EntryId) -> Option<Overlay> {
        self.entries.get(&entry)?.overlay
    }

    /// The handshake proved who an entry is.
    pub(crate) fn connected(&mut self, id: EntryId, overlay: Overlay) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.failures = 0;
        if !core::mem::replace(&mut entry.proven, true)
            && let Some(sender) = entry.sender.and_then(|s| self.senders.get_mut(&s))
        {
            sender.worked = sender.worked.saturating_add(1);
        }
        let claimed = entry.overlay.replace(overlay);
        if let Some(claimed) = claimed.filter(|claimed| *claimed != overlay) {
            self.by_overlay.remove(&claimed);
        }
        if let Some(other) = self
            .by_overlay
            .insert(overlay, id)
            .filter(|other| *other != id)
        {
            // Two entries for one node: the one that is connected stays.
            let boot = self.is_boot(other);
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.boot |= boot;
            }
            if boot && !self.boots.contains(&id) {
                self.boots.push(id);
            }
            if let Some(old) = self.entries.get_mut(&other) {
                old.overlay = None;
            }
            if self
                .entries
                .get(&other)
                .is_some_and(|old| !old.busy && !old.boot)
            {
                self.forget(other);
            }
        }
    }

    /// A connection ended.
    pub(crate) fn release(&mut self, now: Instant, id: EntryId, how: Released) {
        self.quiet_until = None;
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if core::mem::take(&mut entry.busy) {
            self.idle = self.idle.saturating_add(1);
        }
        match how {
            Released::NetworkLost => {
                entry.failures = 0;
                entry.not_before = now;
            }
            Released::Ended => {
                entry.relapses = 0;
                entry.not_before = now + REDIAL_MIN;
            }
            Released::Useless => {
                let doublings = 1u32.checked_shl(entry.relapses).unwrap_or(u32::MAX);
                entry.relapses = entry.relapses.saturating_add(1);
                let pause = REDIAL_MIN.saturating_mul(doublings);
                entry.not_before = now + pause.min(REDIAL_MAX);
            }
            Released::Duplicate if entry.boot => entry.not_before = now + BACKOFF_MAX,
            Released::Duplicate => self.forget(id),
            Released::Unreachable => self.failed(now, id),
            Released::Banned => {
                if let Some(overlay) = entry.overlay {
                    if self.banned.len() >= BANNED_MAX
                        && let Some((&first, ())) = self.banned.first()
                    {
                        self.banned.remove(&first);
                    }
                    self.banned.insert(overlay, ());
                }
                self.forget(id);
            }
        }
    }

    /// Forgets pauses: the network was away, not the peers.
    pub(crate) fn forget_failures(&mut self, now: Instant) {
        self.quiet_until = None;
        for (_, entry) in self.entries.iter_mut() {
            entry.failures = 0;
            entry.not_before = now;
        }
    }

    fn failed(&mut self, now: Instant, id: EntryId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.failures = entry.failures.saturating_add(1);
        let addresses = u32::try_from(entry.addresses.len()).unwrap_or(1);
        let step = entry.addresses.len().min(1);
        entry.addresses.rotate_left(step);
        let longest = if entry.boot || entry.proven {
            BACKOFF_MAX_PROVEN
        } else {
            BACKOFF_MAX
        };
        let doublings = 1u32
            .checked_shl(entry.failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        entry.not_before = now + BACKOFF_MIN.saturating_mul(doublings).min(longest);
        if !entry.boot && !entry.proven && entry.failures >= FAILURES_MAX.saturating_mul(addresses)
        {
            self.forget(id);
        }
    }

    /// Makes room for one more record of `sender`.
    fn make_room(&mut self, sender: Overlay, rng: &mut Rng) -> bool {
        let share = (self.max / 4).max(1);
        if !self.senders.contains_key(&sender) && self.senders.len() >= self.max {
            return false;
        }
        let stats = self.senders.entry(sender).or_default();
        stats.offered = stats.offered.saturating_add(1);
        let (stored, offered) = (stats.stored, stats.offered);
        if stored >= share {
            // Reservoir sampling: of all that a sender offers, each record has the same chance to stay.
            if rng.below(offered) >= share {
                return false;
            }
            return self.evict(rng, |entry| entry.sender == Some(sender));
        }
        self.entries.len() < self.max
            || self.evict(rng, |entry| entry.failures > 0)
            || self.evict(rng, |_| true)
    }

    /// All entries, those from `start` on first.
    fn entries_from(&self, start: EntryId) -> impl Iterator<Item = (&EntryId, &Entry)> {
        let (Ok(index) | Err(index)) = self.entries.find_index(&start);
        let entries = || self.entries.iter().map(|(id, entry)| (id, &**entry));
        entries().skip(index).chain(entries().take(index))
    }

    /// Removes one idle, unproven entry that `matches`, starting at a random place.
    fn evict(&mut self, rng: &mut Rng, matches: impl Fn(&Entry) -> bool) -> bool {
        let start =
            EntryId(u64::try_from(rng.below(usize::try_from(self.next).unwrap_or(0))).unwrap_or(0));
        let victim = self
            .entries_from(start)
            .find(|(_, entry)| !entry.busy && !entry.proven && !entry.boot && matches(entry))
            .map(|(id, _)| *id);
        if let Some(id) = victim {
            self.forget(id);
        }
        victim.is_some()
    }

    fn insert(&mut self, entry: Entry) -> EntryId {
        let id = EntryId(self.next);
        self.next = self.next.saturating_add(1);
        if let Some(overlay) = entry.overlay {
            self.by_overlay.insert(overlay, id);
        }
        self.list_places(id, &entry.addresses);
        if let Some(sender) = entry.sender.and_then(|s| self.senders.get_mut(&s)) {
            sender.stored = sender.stored.saturating_add(1);
        }
        self.idle = self.idle.saturating_add(1);
        self.entries.insert(id, Box::new(entry));
        id
    }

    fn forget(&mut self, id: EntryId) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        if !entry.busy {
            self.idle = self.idle.saturating_sub(1);
        }
        self.unlist_places(id, &entry.addresses);
        if let Some(overlay) = entry.overlay
            && self.by_overlay.get(&overlay) == Some(&id)
        {
            self.by_overlay.remove(&overlay);
        }
        if let Some(sender) = entry.sender.and_then(|s| self.senders.get_mut(&s)) {
            sender.stored = sender.stored.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
