//! What was asked for and is not here yet.
use super::node::Position;
use crate::encryption::Key;
use alloc::collections::{BTreeMap, VecDeque, btree_map::Entry};
use alloc::vec::Vec;
use bmt::ChunkAddress;

/// What a chunk is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    /// A single-owner chunk around the root.
    Replica,
    /// A part of the file below a chunk without redundancy.
    Child {
        offset: u64,
        size: u64,
        key: Option<Key>,
    },
    /// A data or parity chunk of a group.
    Shard {
        parent: Position,
        index: u8,
    },
}

/// The places one chunk fills: nearly always one, which then needs no allocation.
struct Waiting {
    first: Place,
    more: Vec<Place>,
    slow: bool,
}

/// How a want was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The source has to be asked.
    New,
    /// The source was asked before.
    Known { slow: bool },
}

#[derive(Default)]
pub(super) struct Wants {
    outstanding: BTreeMap<ChunkAddress, Waiting>,
    /// Not wanted any more; the source does not know yet.
    obsolete: VecDeque<ChunkAddress>,
    places: usize,
    slow: usize,
}

impl Wants {
    pub(super) fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    pub(super) fn contains(&self, address: ChunkAddress) -> bool {
        self.outstanding.contains_key(&address)
    }

    /// Returns the key of a part of the file, where there is one.
    pub(super) fn key(&self, address: ChunkAddress) -> Option<Key> {
        match self.outstanding.get(&address)?.first {
            Place::Child { key, .. } => key,
            Place::Root | Place::Replica | Place::Shard { .. } => None,
        }
    }

    /// Returns the number of places whose chunks are not known to be hard to get.
    pub(super) fn active(&self) -> usize {
        self.places.saturating_sub(self.slow)
    }

    /// Returns the number of places whose chunks are hard to get.
    pub(super) fn slow(&self) -> usize {
        self.slow
    }

    pub(super) fn add(&mut self, address: ChunkAddress, place: Place) -> Added {
        self.places = self.places.saturating_add(1);
        match self.outstanding.entry(address) {
            Entry::Occupied(mut waiting) => {
                let waiting = waiting.get_mut();
                waiting.more.push(place);
                let slow = waiting.slow;
                self.slow = self.slow.saturating_add(usize::from(slow));
                Added::Known { slow }
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Waiting {
                    first: place,
                    more: Vec::new(),
                    slow: false,
                });
                // Given up and wanted again before the source heard of it: it is still at work.
                if self.forget_obsolete(address) {
                    Added::Known { slow: false }
                } else {
                    Added::New
                }
            }
        }
    }

    /// Takes the places of a chunk that came, or cannot come.
    pub(super) fn take(&mut self, address: ChunkAddress) -> Option<(Place, Vec<Place>)> {
        let Some(waiting) = self.outstanding.remove(&address) else {
            self.forget_obsolete(address);
            return None;
        };
        let places = waiting.more.len().saturating_add(1);
        self.places = self.places.saturating_sub(places);
        if waiting.slow {
            self.slow = self.slow.saturating_sub(places);
        }
        Some((waiting.first, waiting.more))
    }

    /// Learns that a chunk is hard to get; returns its places, the first time.
    pub(super) fn mark_slow(&mut self, address: ChunkAddress) -> Vec<Place> {
        let Some(waiting) = self.outstanding.get_mut(&address) else {
            return Vec::new();
        };
        if core::mem::replace(&mut waiting.slow, true) {
            return Vec::new();
        }
        let places: Vec<_> = core::iter::once(waiting.first)
            .chain(waiting.more.iter().copied())
            .collect();
        self.slow = self.slow.saturating_add(places.len());
        places
    }

    /// Gives up one place; a chunk without places is obsolete.
    pub(super) fn give_up(&mut self, address: ChunkAddress, place: Place) {
        let Entry::Occupied(mut entry) = self.outstanding.entry(address) else {
            return;
        };
        let waiting = entry.get_mut();
        let slow = usize::from(waiting.slow);
        if waiting.first != place {
            let Some(at) = waiting.more.iter().position(|other| *other == place) else {
                return;
            };
            waiting.more.swap_remove(at);
        } else if let Some(next) = waiting.more.pop() {
            waiting.first = next;
        } else {
            entry.remove();
            self.obsolete.push_back(address);
        }
        self.places = self.places.saturating_sub(1);
        self.slow = self.slow.saturating_sub(slow);
    }

    pub(super) fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.obsolete.pop_front()
    }

    fn forget_obsolete(&mut self, address: ChunkAddress) -> bool {
        let at = self.obsolete.iter().position(|other| *other == address);
        at.and_then(|at| self.obsolete.remove(at)).is_some()
    }
}
