//! Which updates were asked for, and what became of each.
use super::{Feed, FeedError, Index, Update};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bmt::{ChunkAddress, ChunkKind, VerifiedChunk};
use core::fmt;

/// Indices one look-up asks for, at most. An honest feed needs less than a hundred; an owner who signs updates at random indices
/// could make a look-up crawl.
pub(super) const PROBES_MAX: usize = 1024;

/// What became of an index that was asked for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// The peers nearest to it refused it; others are still being asked.
    Refused,
    /// The source gave it up.
    Absent,
}

/// An index that was asked for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Which.
    pub index: Index,
    /// What became of it.
    pub answer: Answer,
    /// Requests made for it, if the driver said so (`note_requests`).
    pub requests: Option<u32>,
}

/// How sure it is that an update is the newest: what was asked for behind it, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Certainty {
    /// Indices that would hold newer updates, each asked for in vain.
    pub newer: Vec<Probed>,
}

impl Certainty {
    /// Says whether the source gave up the nearest newer index.
    pub fn is_definite(&self) -> bool {
        self.newer
            .first()
            .is_some_and(|probed| probed.answer == Answer::Absent)
    }

    /// Returns how many requests for newer updates found nothing, as far as the driver said; every index counts at least once.
    pub fn requests(&self) -> u32 {
        let counted = self
            .newer
            .iter()
            .map(|probed| probed.requests.unwrap_or(1).max(1));
        counted.fold(0, u32::saturating_add)
    }
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(next) = self.newer.first() else {
            return f.write_str("nothing newer was asked for");
        };
        let what = match next.answer {
            Answer::Refused => "refused by the nearest peers",
            Answer::Absent => "not found",
        };
        write!(f, "index {} {what}", next.index)?;
        let more = self.newer.len().saturating_sub(1);
        if more > 0 {
            write!(f, ", {more} later ones neither")?;
        }
        write!(f, ", {} requests", self.requests())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Failed(Answer),
    Found,
}

#[derive(Clone, Copy)]
struct Probe {
    address: ChunkAddress,
    state: State,
    requests: Option<u32>,
}

impl Probe {
    fn failed(&self, index: Index) -> Option<Probed> {
        match self.state {
            State::Failed(answer) => Some(Probed {
                index,
                answer,
                requests: self.requests,
            }),
            State::Open | State::Found => None,
        }
    }
}

/// The probes of one look-up.
pub(super) struct Probes {
    feed: Feed,
    probes: BTreeMap<Index, Probe>,
    by_address: BTreeMap<ChunkAddress, Index>,
    /// To be asked for, in this order.
    wanted: VecDeque<ChunkAddress>,
    obsolete: VecDeque<ChunkAddress>,
}

impl Probes {
    pub(super) fn new(feed: Feed) -> Self {
        Self {
            feed,
            probes: BTreeMap::new(),
            by_address: BTreeMap::new(),
            wanted: VecDeque::new(),
            obsolete: VecDeque::new(),
        }
    }

    pub(super) fn feed(&self) -> Feed {
        self.feed
    }

    /// Indices asked for so far.
    pub(super) fn len(&self) -> usize {
        self.probes.len()
    }

    /// Says whether no more may be asked for.
    pub(super) fn is_exhausted(&self) -> bool {
        self.probes.len() >= PROBES_MAX
    }

    /// Asks for an index unless it was asked for before.
    pub(super) fn ask(&mut self, index: Index) {
        if self.is_exhausted() || self.probes.contains_key(&index) {
            return;
        }
        let address = self.feed.address(index);
        let probe = Probe {
            address,
            state: State::Open,
            requests: None,
        };
        self.probes.insert(index, probe);
        self.by_address.insert(address, index);
        self.wanted.push_back(address);
    }

    /// Returns what became of an index asked for in vain.
    pub(super) fn failure(&self, index: Index) -> Option<Answer> {
        self.probed(index).map(|probed| probed.answer)
    }

    /// Says whether an index at or behind `from` has no answer yet.
    pub(super) fn is_open_from(&self, from: Index) -> bool {
        let mut probes = self.probes.range(from..);
        probes.any(|(_, probe)| probe.state == State::Open)
    }

    /// Says whether one of these indices has no answer yet.
    pub(super) fn is_any_open(&self, mut indices: impl Iterator<Item = Index>) -> bool {
        indices.any(|index| {
            let probe = self.probes.get(&index);
            probe.is_some_and(|probe| probe.state == State::Open)
        })
    }

    /// Returns the indices at or behind `from` that were asked for in vain, in ascending order.
    pub(super) fn failed_from(&self, from: Index) -> impl Iterator<Item = Probed> {
        let probes = self.probes.range(from..);
        probes.filter_map(|(index, probe)| probe.failed(*index))
    }

    /// Returns what is known of one index that was asked for in vain.
    pub(super) fn probed(&self, index: Index) -> Option<Probed> {
        self.probes.get(&index)?.failed(index)
    }

    #[cfg(test)]
    pub(super) fn open_indices(&self) -> impl Iterator<Item = (ChunkAddress, Index)> {
        self.by_address
            .iter()
            .map(|(address, index)| (*address, *index))
    }

    pub(super) fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.wanted.pop_front()
    }

    pub(super) fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.obsolete.pop_front()
    }

    /// Files a chunk; `None` when it is none that was asked for.
    pub(super) fn take(&mut self, chunk: VerifiedChunk) -> Result<Option<Update>, FeedError> {
        let address = chunk.address();
        let Some(index) = self.by_address.get(&address).copied() else {
            return Ok(None);
        };
        let identifier = self.feed.identifier(index);
        match chunk.kind() {
            ChunkKind::SingleOwner { id, owner, .. }
                if id == identifier && owner == self.feed.owner => {}
            // Nobody can make one: it would be a collision of the hash.
            ChunkKind::SingleOwner { .. } | ChunkKind::Content => {
                let feed = self.feed;
                return Err(FeedError::Foreign {
                    feed,
                    index,
                    address,
                });
            }
        }
        self.by_address.remove(&address);
        if let Some(probe) = self.probes.get_mut(&index) {
            probe.state = State::Found;
        }
        Ok(Some(Update::new(index, chunk)))
    }

    /// Files a failure; says whether it was news.
    pub(super) fn fail(&mut self, address: ChunkAddress, answer: Answer) -> bool {
        let Some(index) = self.by_address.get(&address).copied() else {
            return false;
        };
        if answer == Answer::Absent {
            self.by_address.remove(&address);
        }
        match self.probes.get_mut(&index) {
            Some(probe) => {
                probe.state = State::Failed(answer);
                true
            }
            None => false,
        }
    }

    pub(super) fn note_requests(&mut self, address: ChunkAddress, requests: u32) {
        for probe in self.probes.values_mut() {
            if probe.address == address {
                probe.requests = Some(requests);
            }
        }
    }

    /// Stops waiting for every index for which `needless` holds.
    pub(super) fn give_up(&mut self, needless: impl Fn(Index) -> bool) {
        let wanted = &mut self.wanted;
        let obsolete = &mut self.obsolete;
        self.by_address.retain(|address, index| {
            let keep = !needless(*index);
            if !keep {
                match wanted.iter().position(|waiting| waiting == address) {
                    // Never asked for.
                    Some(position) => drop(wanted.remove(position)),
                    None => obsolete.push_back(*address),
                }
            }
            keep
        });
    }
}
