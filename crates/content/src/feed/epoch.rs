//! Epoch feeds: updates in a binary tree of times.
use super::probes::{Answer, Certainty, Probes};
use super::{Feed, FeedError, Index, Patience, Update};
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk, keccak256};
use core::fmt;

/// Level of the root: 2^32 seconds from 1970.
const LEVEL_MAX: u8 = 32;
/// The last second the root covers.
const TIME_MAX: u64 = (1 << LEVEL_MAX) - 1;

/// A part of time: 2^level seconds beginning at a multiple of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// Levels below the root: deeper ones are greater, so that the deepest on one path is the greatest.
    depth: u8,
    start: u64,
}

impl Epoch {
    /// Returns the epoch of `level` (0 to 32) that contains a time; `None` for a level that does not exist.
    pub fn containing(time: u64, level: u8) -> Option<Self> {
        Some(Self {
            depth: LEVEL_MAX.checked_sub(level)?,
            start: (time >> level) << level,
        })
    }

    /// Its first second.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Its level, 0 to 32.
    pub fn level(&self) -> u8 {
        LEVEL_MAX.saturating_sub(self.depth)
    }

    /// Returns the epoch for an update at `time`, when the update before was made in `self` at `last`.
    ///
    /// Returns `None` when the time is not later, or the tree has no room below (two updates in one second).
    // SPEC swarm-wire 10: the child of the epoch that contains both times.
    pub fn next(&self, last: u64, time: u64) -> Option<Self> {
        if time <= last {
            return None;
        }
        let mut parent = *self;
        if Self::containing(time, self.level())? != *self {
            let mut levels = 0..=LEVEL_MAX;
            parent = levels.find_map(|level| {
                let both = Self::containing(last, level)?;
                (Self::containing(time, level)? == both).then_some(both)
            })?;
        }
        Self::containing(time, parent.level().checked_sub(1)?)
    }

    /// Says whether it is the later half of its parent.
    fn is_right(&self) -> bool {
        self.level() < LEVEL_MAX && (self.start >> self.level()) & 1 == 1
    }

    /// Returns the bytes that name it in an identifier.
    pub(super) fn to_hash(self) -> [u8; 32] {
        let mut bytes = [0; 9];
        let named = self.start.to_be_bytes().into_iter().chain([self.level()]);
        for (to, from) in bytes.iter_mut().zip(named) {
            *to = from;
        }
        keccak256(&bytes)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.level())
    }
}

/// Looks for the update of an epoch feed that was valid at a time.
///
/// All epochs that contain the time are asked for at once; the deepest found wins. Where the next deeper one is the later half of
/// its parent, an update in the earlier half is newer still: the look-up goes on there, with the last second of that half.
pub struct FindEpoch {
    patience: Patience,
    time: u64,
    probes: Probes,
    latest: Option<Update>,
    /// The time looked at, and the highest level of the epochs asked for with it.
    path: (u64, u8),
    provisional: bool,
    settled: bool,
    done: bool,
}

impl FindEpoch {
    /// Starts looking for the update valid at `time`, seconds since 1970.
    pub fn new(feed: Feed, time: u64, patience: Patience) -> Self {
        let time = time.min(TIME_MAX);
        let mut find = Self {
            patience,
            time,
            probes: Probes::new(feed),
            latest: None,
            path: (time, LEVEL_MAX),
            provisional: false,
            settled: false,
            done: false,
        };
        find.ask_path();
        find
    }

    /// The feed.
    pub fn feed(&self) -> Feed {
        self.probes.feed()
    }

    /// Returns the newest update seen so far; the answer, once done.
    pub fn latest(&self) -> Option<&Update> {
        self.latest.as_ref()
    }

    /// Says how sure it is: the deeper epochs of the last path, which would hold newer updates.
    pub fn certainty(&self) -> Certainty {
        let newer = self
            .path_indices()
            .filter_map(|index| self.probes.probed(index));
        Certainty {
            newer: newer.collect(),
        }
    }

    /// Returns the answer and how sure it is, once done.
    pub fn into_result(self) -> Option<(Update, Certainty)> {
        let certainty = self.certainty();
        self.latest
            .filter(|_| self.done)
            .map(|latest| (latest, certainty))
    }

    /// Says whether the update seems to be known, and only [`Patience::Absent`] is waited for.
    pub fn is_provisional(&self) -> bool {
        self.provisional
    }

    /// Ends the wait of [`Patience::Absent`]: a provisional answer becomes the answer.
    ///
    /// # Errors
    /// Returns what the look-up would have ended with.
    pub fn settle(&mut self) -> Result<(), FeedError> {
        self.settled = true;
        self.plan()
    }

    /// Takes note of how many requests were made for a chunk: [`Certainty`] reports it.
    pub fn note_requests(&mut self, address: ChunkAddress, requests: u32) {
        self.probes.note_requests(address, requests);
    }

    /// The epochs of the path, the largest first.
    fn path_indices(&self) -> impl DoubleEndedIterator<Item = Index> + use<> {
        let (time, top) = self.path;
        (0..=top)
            .rev()
            .filter_map(move |level| Epoch::containing(time, level))
            .map(Index::Epoch)
    }

    fn ask_path(&mut self) {
        for index in self.path_indices() {
            self.probes.ask(index);
        }
    }

    fn plan(&mut self) -> Result<(), FeedError> {
        self.provisional = false;
        // From the beginning, because a late update may have changed where the path turns.
        self.path = (self.time, LEVEL_MAX);
        while !self.done && !self.probes.is_any_open(self.path_indices()) {
            // The first missing epoch below the deepest one found.
            let missing = self
                .path_indices()
                .rev()
                .take_while(|index| self.probes.failure(*index).is_some())
                .last();
            match missing {
                Some(Index::Epoch(epoch)) if epoch.is_right() => {
                    // SPEC swarm-wire 10: the last second of the earlier half, at the same level.
                    self.path = (epoch.start.saturating_sub(1), epoch.level());
                    self.ask_path();
                }
                missing => return self.conclude(missing),
            }
        }
        Ok(())
    }

    fn conclude(&mut self, missing: Option<Index>) -> Result<(), FeedError> {
        let refused = |index| self.probes.failure(index) == Some(Answer::Refused);
        let is_sure = self.settled || !missing.is_some_and(refused);
        self.provisional = true;
        if self.latest.is_none() && is_sure {
            let (feed, asked) = (self.feed(), self.probes.len());
            return Err(FeedError::NoUpdate { feed, asked });
        }
        if self.latest.is_some() && (is_sure || self.patience == Patience::Refused) {
            self.done = true;
            self.provisional = false;
            self.probes.give_up(|_| true);
        }
        Ok(())
    }
}

impl ChunkConsumer for FindEpoch {
    type Error = FeedError;

    fn poll_want(&mut self) -> Option<ChunkAddress> {
        self.probes.poll_want()
    }

    fn handle_chunk(&mut self, chunk: VerifiedChunk) -> Result<(), FeedError> {
        if self.done {
            return Ok(());
        }
        let Some(update) = self.probes.take(chunk)? else {
            return Ok(());
        };
        if self
            .latest
            .as_ref()
            .is_none_or(|latest| is_newer(update.index(), latest.index()))
        {
            self.latest = Some(update);
        }
        self.plan()
    }

    fn handle_unavailable(&mut self, address: ChunkAddress) -> Result<(), FeedError> {
        if self.probes.fail(address, Answer::Absent) {
            self.plan()?;
        }
        Ok(())
    }

    fn handle_delayed(&mut self, address: ChunkAddress) -> Result<(), FeedError> {
        if self.probes.fail(address, Answer::Refused) {
            self.plan()?;
        }
        Ok(())
    }

    fn poll_obsolete(&mut self) -> Option<ChunkAddress> {
        self.probes.poll_obsolete()
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

/// Says which of two updates was made later: in disjoint epochs the later one, in nested ones the deeper, because the owner goes
/// down only after the larger epoch is used up.
fn is_newer(index: Index, than: Index) -> bool {
    let (Index::Epoch(epoch), Index::Epoch(other)) = (index, than) else {
        return false;
    };
    let level = epoch.level().max(other.level());
    if epoch.start >> level == other.start >> level {
        epoch.depth > other.depth
    } else {
        epoch.start > other.start
    }
}
