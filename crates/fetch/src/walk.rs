//! The order in which the chunks of a tree are sent.
use alloc::collections::VecDeque;
use bmt::{ChunkAddress, VerifiedChunk};
use content::tree::{Opened, Place, open};
use content::{Reference, TreeDefect};

/// The data chunks of one tree, depth first: a chunk, then everything below its first child, then its second, and so on.
///
/// Both ends of a stream keep one: the bridge to know what to fetch and send next, the receiver to know what has to come next. At most
/// 128 places for each of at most twelve levels are held, about 100 bytes each.
#[derive(Clone, Debug)]
pub struct Walk {
    slots: VecDeque<Slot>,
    size: Option<u64>,
    to_leave_out: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    place: Place,
    /// Its children are behind it already.
    opened: bool,
}

impl Walk {
    /// Starts at a root, leaving out the first `from` chunks.
    pub fn new(root: Reference, from: u64) -> Self {
        let place = Place::root(root);
        Self {
            slots: VecDeque::from([Slot {
                place,
                opened: false,
            }]),
            size: None,
            to_leave_out: from,
        }
    }

    /// Returns the chunk that comes next; `None` at the end.
    pub fn expected(&self) -> Option<ChunkAddress> {
        Some(self.slots.front()?.place.reference().address)
    }

    /// Says whether the next chunk is needed to find the way only, and is not sent.
    pub const fn is_left_out(&self) -> bool {
        self.to_leave_out > 0
    }

    /// Returns the bytes of the file, once the root is here.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Goes on behind the next chunk, which is this one.
    ///
    /// # Errors
    /// When it is unfit for its place. The walk is over then.
    pub fn advance(&mut self, chunk: &VerifiedChunk) -> Result<(), TreeDefect> {
        debug_assert_eq!(self.expected(), Some(chunk.address()));
        let Some(slot) = self.slots.pop_front() else {
            return Ok(());
        };
        if !slot.opened {
            match open(&slot.place, chunk) {
                Ok(opened) => self.insert(0, opened),
                Err(defect) => {
                    self.slots.clear();
                    return Err(defect);
                }
            }
        }
        self.to_leave_out = self.to_leave_out.saturating_sub(1);
        while self.to_leave_out > 0
            && let Some(front) = self.slots.front()
            && let Some(chunks) = front.place.chunks()
            && chunks <= self.to_leave_out
        {
            self.slots.pop_front();
            self.to_leave_out = self.to_leave_out.saturating_sub(chunks);
        }
        Ok(())
    }

    /// Goes on behind the next chunk and everything below it, because it cannot be had. Returns how many chunks that are (0 when a root
    /// does not tell).
    pub fn leave_out(&mut self) -> u64 {
        let Some(slot) = self.slots.pop_front() else {
            return 0;
        };
        let Some(chunks) = slot.place.chunks() else {
            return 0;
        };
        if !slot.opened {
            return chunks;
        }
        // Its children were put behind it already: as many slots as make up the rest.
        let mut rest = chunks.saturating_sub(1);
        while rest > 0
            && let Some(below) = self.slots.pop_front()
        {
            // Below an opened slot come its own children, so only what is not opened counts with all below it.
            let count = match below.opened {
                true => 1,
                false => below.place.chunks().unwrap_or(1),
            };
            rest = rest.saturating_sub(count);
        }
        chunks
    }

    /// Learns what is below a chunk that comes later, so that it can be fetched early. A chunk that is not among the next `within`
    /// places is ignored, as is one that is unfit: [`advance`](Self::advance) will tell.
    pub fn open_ahead(&mut self, chunk: &VerifiedChunk, within: usize) {
        if self.is_left_out() {
            return;
        }
        let found = self.slots.iter_mut().take(within).position(|slot| {
            !slot.opened
                && slot.place.is_branch()
                && slot.place.reference().address == chunk.address()
        });
        if let Some(index) = found
            && let Some(slot) = self.slots.get_mut(index)
            && let Ok(opened) = open(&slot.place, chunk)
        {
            slot.opened = true;
            self.insert(index.saturating_add(1), opened);
        }
    }

    /// Returns what comes next, as far as it is known: up to and with the first chunk whose children are not.
    pub fn upcoming(&self) -> impl Iterator<Item = ChunkAddress> {
        let mut is_open = true;
        self.slots
            .iter()
            .take_while(move |slot| {
                let was_open = is_open;
                is_open = was_open && (slot.opened || !slot.place.is_branch());
                was_open
            })
            .map(|slot| slot.place.reference().address)
    }

    /// Says whether a chunk with this address is known to come.
    pub fn contains(&self, address: ChunkAddress) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.place.reference().address == address)
    }

    /// Puts children in front of the slot at `index`.
    fn insert(&mut self, index: usize, opened: Opened) {
        if self.size.is_none() {
            self.size = Some(opened.size);
        }
        let rest = self.slots.split_off(index.min(self.slots.len()));
        self.slots
            .extend(opened.children.into_iter().map(|place| Slot {
                place,
                opened: false,
            }));
        self.slots.extend(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use content::{RedundancyLevel, Splitter};
    use std::collections::BTreeMap;
    use std::vec::Vec;

    type Chunks = BTreeMap<ChunkAddress, VerifiedChunk>;

    fn tree(size: usize, level: RedundancyLevel, encrypted: bool) -> (Reference, Chunks) {
        let bytes: Vec<u8> = (0..size).map(|i| (i / 3 + i / 4096 * 7) as u8).collect();
        let mut chunks = Chunks::new();
        let mut sink = |chunk: VerifiedChunk| {
            chunks.insert(chunk.address(), chunk);
        };
        let mut splitter = Splitter::new().with_level(level);
        if encrypted {
            let mut next = 0u8;
            splitter = splitter.with_keys(std::boxed::Box::new(move || {
                next = next.wrapping_add(1);
                [next; 32]
            }));
        }
        splitter.update(&bytes, &mut sink);
        let root = splitter.finish(&mut sink);
        (root, chunks)
    }

    fn sent(mut walk: Walk, chunks: &Chunks) -> Vec<ChunkAddress> {
        let mut sent = Vec::new();
        while let Some(address) = walk.expected() {
            if !walk.is_left_out() {
                sent.push(address);
            }
            walk.advance(&chunks[&address]).unwrap();
        }
        sent
    }

    #[test]
    fn a_walk_from_the_middle_is_the_rest_of_the_whole_walk() {
        for (size, level, encrypted) in [
            (0, RedundancyLevel::None, false),
            (4096, RedundancyLevel::None, false),
            (4096 * 300 + 1, RedundancyLevel::None, false),
            (4096 * 130 + 1, RedundancyLevel::None, true),
            (4096 * 130 + 1, RedundancyLevel::Paranoid, false),
            (4096 * 90, RedundancyLevel::Insane, true),
        ] {
            let (root, chunks) = tree(size, level, encrypted);
            let whole = sent(Walk::new(root, 0), &chunks);
            assert_eq!(whole[0], root.address);
            for from in 0..=whole.len() {
                let rest = sent(Walk::new(root, from as u64), &chunks);
                assert_eq!(rest, whole[from..], "{size} bytes from {from}");
            }
            let beyond = sent(Walk::new(root, whole.len() as u64 + 1), &chunks);
            assert!(beyond.is_empty());
        }
    }

    #[test]
    fn skipping_reads_the_way_down_only() {
        let (root, chunks) = tree(4096 * 128 * 3, RedundancyLevel::None, false);
        let mut walk = Walk::new(root, 1 + 129 * 2 + 60);
        let mut read = 0;
        while walk.is_left_out() {
            let address = walk.expected().unwrap();
            walk.advance(&chunks[&address]).unwrap();
            read += 1;
        }
        assert_eq!(read, 2, "the root and the third chunk below it");
        assert_eq!(walk.size(), Some(4096 * 128 * 3));
    }

    #[test]
    fn chunks_opened_ahead_change_nothing_but_what_is_known() {
        let (root, chunks) = tree(4096 * 400, RedundancyLevel::None, false);
        let whole = sent(Walk::new(root, 0), &chunks);
        let mut walk = Walk::new(root, 0);
        let mut got = Vec::new();
        while let Some(address) = walk.expected() {
            let upcoming: Vec<_> = walk.upcoming().take(64).collect();
            assert_eq!(upcoming, whole[got.len()..][..upcoming.len()]);
            for next in &upcoming {
                walk.open_ahead(&chunks[next], 64);
            }
            if got.len() > 2 && whole.len() - got.len() > 200 {
                assert!(walk.upcoming().count() >= 64, "after {} chunks", got.len());
            }
            got.push(address);
            walk.advance(&chunks[&address]).unwrap();
        }
        assert_eq!(got, whole);
    }

    #[test]
    fn leaving_a_chunk_out_leaves_out_all_below_it() {
        let (root, chunks) = tree(4096 * 300, RedundancyLevel::None, false);
        let whole = sent(Walk::new(root, 0), &chunks);
        for ahead in [false, true] {
            let mut walk = Walk::new(root, 0);
            walk.advance(&chunks[&root.address]).unwrap();
            if ahead {
                walk.open_ahead(&chunks[&whole[1]], 64);
            }
            assert_eq!(walk.leave_out(), 129);
            assert_eq!(walk.expected(), Some(whole[130]));
            assert_eq!(walk.leave_out(), 129);
            walk.advance(&chunks[&whole[259]]).unwrap();
            assert_eq!(walk.leave_out(), 1);
            assert_eq!(sent(walk, &chunks), whole[261..]);
        }
        assert_eq!(Walk::new(root, 0).leave_out(), 0);
    }

    #[test]
    fn a_chunk_that_is_no_tree_ends_the_walk() {
        let chunk = VerifiedChunk::content([0xff; 8], &[1; 64]).unwrap();
        let mut walk = Walk::new(Reference::plain(chunk.address()), 0);
        assert!(walk.advance(&chunk).is_err());
        assert_eq!(walk.expected(), None);
    }
}
