//! Socket addresses: one that is announced under a hundred overlays is not dialled a hundred times.
use super::{Book, Entry, EntryId};
use alloc::vec::Vec;
use core::net::SocketAddr;
use p2p::PeerId;

/// Entries with the same socket address: a node that has changed its overlay, and its old record that still goes around.
const ENTRIES_MAX: usize = 2;

impl Book {
    /// Says whether one more entry, or the entry `but`, may be dialled at `address`. An entry that has failed there and never worked
    /// gives way, so that whoever announces somebody else's address does not keep its owner out.
    pub(super) fn has_place_at(&mut self, address: &SocketAddr, but: Option<EntryId>) -> bool {
        let Some(listed) = self.places.get(address) else {
            return true;
        };
        let others = || listed.iter().filter(|id| Some(**id) != but);
        if others().count() < ENTRIES_MAX {
            return true;
        }
        let gives_way =
            |entry: &Entry| entry.failures > 0 && !entry.proven && !entry.busy && !entry.boot;
        let weak = others().find(|id| self.entries.get(id).is_some_and(|entry| gives_way(entry)));
        let Some(weak) = weak.copied() else {
            return false;
        };
        self.forget(weak);
        true
    }

    /// Gives an entry other addresses, if there are any.
    pub(super) fn move_entry(
        &mut self,
        id: EntryId,
        addresses: Vec<SocketAddr>,
        peer: Option<PeerId>,
    ) {
        if addresses.is_empty() {
            return;
        }
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.peer = peer;
        let old = core::mem::replace(&mut entry.addresses, addresses.clone());
        self.unlist_places(id, &old);
        self.list_places(id, &addresses);
    }

    pub(super) fn list_places(&mut self, id: EntryId, addresses: &[SocketAddr]) {
        for address in addresses {
            self.places.entry(*address).or_default().push(id);
        }
    }

    pub(super) fn unlist_places(&mut self, id: EntryId, addresses: &[SocketAddr]) {
        for address in addresses {
            if let Some(listed) = self.places.get_mut(address) {
                listed.retain(|other| *other != id);
                if listed.is_empty() {
                    self.places.remove(address);
                }
            }
        }
    }
}
