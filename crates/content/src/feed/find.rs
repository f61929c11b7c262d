//! Looks for the newest update of a sequence feed.
use super::probes::{Answer, Certainty, Probes};
use super::{Feed, FeedError, Index, Patience, Update};
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};

/// Exponents of one round of reaching out: 2^0 to 2^8 indices ahead, then 2^9 to 2^17, and so on.
const LEVELS: u32 = 9;
/// Indices asked for at once when an interval is narrowed down.
const POINTS: u64 = 16;
/// Largest [`FindConfig::ahead`].
const AHEAD_MAX: u64 = 16;

/// How to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindConfig {
    /// Newest index seen before. The look-up begins there, and an older answer is an error.
    pub at_least: Option<u64>,
    /// Indices behind the newest that must be asked for in vain (1 to 16): an update is found behind a gap that is shorter.
    pub ahead: u64,
    /// When an index counts as absent.
    pub patience: Patience,
}

impl Default for FindConfig {
    /// From the beginning, three indices ahead, [`Patience::Refused`].
    fn default() -> Self {
        Self {
            at_least: None,
            ahead: 3,
            patience: Patience::default(),
        }
    }
}

/// Looks for the newest update of a sequence feed.
///
/// Many indices are asked for at once, exponentially further away, and then the interval between the highest found and the lowest
/// missing one is cut into sixteen parts per round: four rounds for a feed of some hundred updates, one when nothing changed since
/// [`FindConfig::at_least`]. The highest index found wins, whatever is missing below it. An update that comes late, when its index
/// was taken for absent already, is still taken until the look-up is done.
pub struct Find {
    config: FindConfig,
    probes: Probes,
    latest: Option<Update>,
    /// Lowest index looked at.
    base: u64,
    /// Exponent at which the next round of reaching out begins.
    level: u32,
    /// The newest seems to be known; only patience is missing.
    provisional: bool,
    settled: bool,
    done: bool,
}

impl Find {
    /// Starts looking.
    pub fn new(feed: Feed, mut config: FindConfig) -> Self {
        config.ahead = config.ahead.clamp(1, AHEAD_MAX);
        let mut find = Self {
            base: config.at_least.unwrap_or(0),
            config,
            probes: Probes::new(feed),
            latest: None,
            level: 0,
            provisional: false,
            settled: false,
            done: false,
        };
        find.reach(find.base);
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

    /// Says how sure it is that nothing is newer.
    pub fn certainty(&self) -> Certainty {
        let from = self.floor().map(Index::Sequence);
        Certainty {
            newer: from
                .map(|from| self.probes.failed_from(from).collect())
                .unwrap_or_default(),
        }
    }

    /// Returns the answer and how sure it is, once done.
    pub fn into_result(self) -> Option<(Update, Certainty)> {
        let certainty = self.certainty();
        self.latest
            .filter(|_| self.done)
            .map(|latest| (latest, certainty))
    }

    /// Says whether the newest update seems to be known, and only [`Patience::Absent`] is waited for.
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

    #[cfg(test)]
    pub(super) fn open_indices(&self) -> impl Iterator<Item = (ChunkAddress, Index)> {
        self.probes.open_indices()
    }

    /// Index of the newest update, plus one; `None` when there can be none.
    fn floor(&self) -> Option<u64> {
        match self.latest.as_ref().map(Update::index) {
            Some(Index::Sequence(number)) => number.checked_add(1),
            Some(Index::Epoch(_)) | None => Some(self.base),
        }
    }

    /// Decides what to ask for next, or that it is enough.
    fn plan(&mut self) -> Result<(), FeedError> {
        self.provisional = false;
        while !self.done {
            let Some(floor) = self.floor() else {
                self.finish();
                break;
            };
            let from = Index::Sequence(floor);
            if self.probes.is_open_from(from) {
                break;
            }
            let asked = self.probes.len();
            let lowest = self
                .probes
                .failed_from(from)
                .next()
                .map(|probed| probed.index);
            match lowest {
                Some(Index::Sequence(missing)) if missing > floor => self.narrow(floor, missing),
                Some(_) => self.ask_ahead(floor),
                None => self.reach(floor),
            }
            let is_exhausted = self.probes.is_exhausted();
            if self.probes.len() == asked && !self.conclude(floor, is_exhausted)? {
                break;
            }
        }
        Ok(())
    }

    /// Nothing is left to ask: says whether there is something new to plan, and sets `done` or `provisional`.
    fn conclude(&mut self, floor: u64, is_exhausted: bool) -> Result<bool, FeedError> {
        let feed = self.feed();
        let newest = self.latest.as_ref().map(Update::index);
        let at_least = self.config.at_least;
        match (newest, at_least) {
            (Some(Index::Sequence(found)), Some(at_least)) if found < at_least => {
                return Err(FeedError::Older {
                    feed,
                    found,
                    at_least,
                });
            }
            (Some(_), _) => {
                let refused = |index| self.probes.failure(index) == Some(Answer::Refused);
                let is_absent = !self.ahead_of(floor).any(refused);
                let is_enough = is_absent || self.settled || is_exhausted;
                self.provisional = true;
                if is_enough || self.config.patience == Patience::Refused {
                    self.finish();
                }
                return Ok(false);
            }
            (None, _) => {}
        }
        // That there is nothing at all is only believed when the source says so.
        let answer = self.probes.failure(Index::Sequence(floor));
        self.provisional = true;
        if answer != Some(Answer::Absent) && !self.settled && !is_exhausted {
            return Ok(false);
        }
        if self.base > 0 && !is_exhausted {
            // What was seen before is gone; what is left, so that the error can say it?
            self.base = 0;
            return Ok(true);
        }
        let asked = self.probes.len();
        Err(match at_least {
            Some(at_least) => FeedError::Gone { feed, at_least },
            None => FeedError::NoUpdate { feed, asked },
        })
    }

    fn finish(&mut self) {
        self.done = true;
        self.provisional = false;
        self.probes.give_up(|_| true);
    }

    /// Asks exponentially further away.
    fn reach(&mut self, floor: u64) {
        self.ask_ahead(floor);
        for level in self.level..self.level.saturating_add(LEVELS) {
            let offset = 1u64.checked_shl(level).and_then(|step| step.checked_sub(1));
            if let Some(number) = offset.and_then(|offset| floor.checked_add(offset)) {
                self.probes.ask(Index::Sequence(number));
            }
        }
        self.level = self.level.saturating_add(LEVELS);
    }

    /// Asks inside the interval from `floor`, which may be there, to `missing`, which is not.
    fn narrow(&mut self, floor: u64, missing: u64) {
        self.level = 0;
        let width = missing.saturating_sub(floor);
        let points = width.min(POINTS);
        let (step, rest) = (
            width.checked_div(points).unwrap_or(1),
            width.checked_rem(points).unwrap_or(0),
        );
        for point in 0..points {
            let offset = step.saturating_mul(point).saturating_add(rest.min(point));
            self.probes
                .ask(Index::Sequence(floor.saturating_add(offset)));
        }
        if width <= POINTS {
            // The end will be near: what it needs ahead is asked for at once, not in a round of its own.
            self.ask_ahead(missing);
        }
    }

    fn ask_ahead(&mut self, floor: u64) {
        for index in self.ahead_of(floor) {
            self.probes.ask(index);
        }
    }

    fn ahead_of(&self, floor: u64) -> impl Iterator<Item = Index> + use<> {
        (0..self.config.ahead)
            .filter_map(move |offset| floor.checked_add(offset))
            .map(Index::Sequence)
    }
}

impl ChunkConsumer for Find {
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
        let index = update.index();
        if self
            .latest
            .as_ref()
            .is_none_or(|latest| latest.index() < index)
        {
            self.latest = Some(update);
            self.probes.give_up(|other| other < index);
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
