//! The newest update seen of every feed, kept across boots.
use alloc::vec::Vec;
use bmt::EthAddress;
use content::feed::{Feed, Topic};

/// Feeds remembered: a machine boots from one, perhaps from another while it is set up anew.
pub const FEEDS_MAX: usize = 8;
/// Bytes of one: owner 20 ‖ topic 32 ‖ index u64 little-endian.
const RECORD_BYTES: usize = 20 + 32 + 8;

/// The highest index accepted of each feed, the one used last first.
///
/// Whoever can withhold chunks can hide the newest update; this makes sure that what they can do is stop a machine from booting,
/// and not make it boot an old release with known holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedMemory {
    records: Vec<(Feed, u64)>,
}

impl FeedMemory {
    /// Reads the bytes that [`FeedMemory::encode`] made. Whatever does not belong there ends the list.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut records = Vec::new();
        let mut rest = bytes;
        while records.len() < FEEDS_MAX
            && let Some((record, after)) = rest.split_first_chunk::<RECORD_BYTES>()
        {
            rest = after;
            records.extend(decode_record(record));
        }
        Self { records }
    }

    /// Returns the form in which it is stored: at most 480 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (feed, index) in &self.records {
            bytes.extend_from_slice(&feed.owner.0);
            bytes.extend_from_slice(&feed.topic.0);
            bytes.extend_from_slice(&index.to_le_bytes());
        }
        bytes
    }

    /// Returns the highest index accepted of a feed.
    pub fn highest(&self, feed: &Feed) -> Option<u64> {
        let mut records = self.records.iter();
        records
            .find(|(known, _)| known == feed)
            .map(|(_, index)| *index)
    }

    /// Remembers an index that was accepted; a lower one than before changes nothing. The feed used longest ago is forgotten when
    /// there is no room. Says whether there is something new to store.
    pub fn remember(&mut self, feed: Feed, index: u64) -> bool {
        let before = self.clone();
        let index = self
            .highest(&feed)
            .map_or(index, |highest| highest.max(index));
        self.records.retain(|(known, _)| *known != feed);
        self.records.insert(0, (feed, index));
        self.records.truncate(FEEDS_MAX);
        *self != before
    }
}

fn decode_record(record: &[u8; RECORD_BYTES]) -> Option<(Feed, u64)> {
    let (owner, rest) = record.split_first_chunk()?;
    let (topic, index) = rest.split_first_chunk()?;
    let feed = Feed {
        owner: EthAddress(*owner),
        topic: Topic(*topic),
    };
    Some((feed, u64::from_le_bytes(*index.first_chunk()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(number: u8) -> Feed {
        Feed {
            owner: EthAddress([number; 20]),
            topic: Topic([number.wrapping_add(1); 32]),
        }
    }

    #[test]
    fn the_highest_index_of_each_feed_is_kept() {
        let mut memory = FeedMemory::default();
        assert_eq!(memory.highest(&feed(1)), None);
        assert!(memory.remember(feed(1), 5));
        assert!(!memory.remember(feed(1), 5));
        assert!(!memory.remember(feed(1), 4), "an older one changes nothing");
        assert!(memory.remember(feed(2), u64::MAX));
        assert!(memory.remember(feed(1), 6));
        let read = FeedMemory::decode(&memory.encode());
        assert_eq!(read, memory);
        assert_eq!(
            (read.highest(&feed(1)), read.highest(&feed(2))),
            (Some(6), Some(u64::MAX))
        );
        let other_topic = Feed {
            topic: Topic([9; 32]),
            ..feed(1)
        };
        assert_eq!(read.highest(&other_topic), None);
    }

    #[test]
    fn the_feed_used_longest_ago_is_forgotten() {
        let mut memory = FeedMemory::default();
        for number in 0..8 {
            memory.remember(feed(number), 1);
        }
        memory.remember(feed(0), 1);
        memory.remember(feed(100), 1);
        assert_eq!(memory.encode().len(), FEEDS_MAX * RECORD_BYTES);
        assert_eq!(memory.highest(&feed(0)), Some(1));
        assert_eq!(memory.highest(&feed(1)), None);
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_bounded() {
        for len in 0..700 {
            let bytes: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let memory = FeedMemory::decode(&bytes);
            assert_eq!(
                memory.encode().len(),
                (len / RECORD_BYTES).min(FEEDS_MAX) * RECORD_BYTES
            );
        }
    }
}
