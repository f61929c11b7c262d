//! What the tests of this crate share: bee's content generator, a chunk store, and a driver for consumers.
use crate::Reference;
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

/// Content of bee's vectors: xorshift64*, little-endian words (`testdata/README.md`).
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        bytes.extend_from_slice(&x.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The order in which a source answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answers {
    FirstAskedFirst,
    LastAskedFirst,
    /// Pseudo-random, from a seed.
    Shuffled(u64),
}

#[derive(Default, Clone)]
pub(crate) struct Store {
    pub(crate) chunks: BTreeMap<ChunkAddress, Vec<u8>>,
}

impl Store {
    pub(crate) fn put(&mut self, chunk: VerifiedChunk) {
        self.chunks.insert(chunk.address(), chunk.into_data());
    }

    pub(crate) fn add_file(&mut self, bytes: &[u8]) -> Reference {
        crate::split(bytes, &mut |chunk| self.put(chunk))
    }

    /// Makes an intermediate chunk by hand.
    pub(crate) fn add_raw(&mut self, span: u64, payload: &[u8]) -> ChunkAddress {
        let chunk = VerifiedChunk::content(span.to_le_bytes(), payload).unwrap();
        let address = chunk.address();
        self.put(chunk);
        address
    }

    /// Splits a file with redundancy, and with keys that depend on `seed` only.
    pub(crate) fn add_redundant(
        &mut self,
        bytes: &[u8],
        level: crate::RedundancyLevel,
        seed: Option<u8>,
    ) -> Reference {
        let mut splitter = crate::Splitter::new().with_level(level);
        if let Some(seed) = seed {
            let mut counter = 0u32;
            splitter = splitter.with_keys(std::boxed::Box::new(move || {
                counter += 1;
                bmt::keccak256(&[&[seed][..], &counter.to_le_bytes()].concat())
            }));
        }
        splitter.update(bytes, &mut |chunk| self.put(chunk));
        splitter.finish(&mut |chunk| self.put(chunk))
    }

    pub(crate) fn get(&self, address: ChunkAddress) -> Option<VerifiedChunk> {
        let data = self.chunks.get(&address)?.clone();
        Some(VerifiedChunk::verify(address, data).expect("the store holds only true chunks"))
    }

    /// Reads records address 32 ‖ length u16 LE ‖ data.
    pub(crate) fn load(mut records: &[u8]) -> Self {
        let mut store = Self::default();
        while !records.is_empty() {
            let (address, rest) = records.split_first_chunk::<32>().unwrap();
            let (len, rest) = rest.split_first_chunk::<2>().unwrap();
            let (data, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)));
            store.chunks.insert(ChunkAddress(*address), data.to_vec());
            records = rest;
        }
        store
    }
}

/// What a run of [`drive`] saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) asked: Vec<ChunkAddress>,
    pub(crate) in_flight_peak: usize,
    /// Given up by the consumer.
    pub(crate) obsolete: Vec<ChunkAddress>,
}

/// What a source says of chunks that it does not have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Misses {
    /// At once that they are unavailable.
    Unavailable,
    /// At once that they are delayed; that they are unavailable, only when nothing else is left to wait for.
    Delayed,
}

/// Feeds a consumer until it is done; `after` runs after every chunk.
pub(crate) fn drive<C: ChunkConsumer>(
    consumer: &mut C,
    store: &Store,
    answers: Answers,
    after: impl FnMut(&mut C),
) -> Result<Seen, C::Error> {
    drive_with(consumer, store, answers, Misses::Unavailable, after)
}

/// Like [`drive`], with a choice of what happens to chunks that are missing.
pub(crate) fn drive_with<C: ChunkConsumer>(
    consumer: &mut C,
    store: &Store,
    answers: Answers,
    misses: Misses,
    mut after: impl FnMut(&mut C),
) -> Result<Seen, C::Error> {
    let mut seen = Seen::default();
    let mut waiting = VecDeque::new();
    let mut delayed = VecDeque::new();
    let mut random = match answers {
        Answers::Shuffled(seed) => seed | 1,
        _ => 1,
    };
    while !consumer.is_done() {
        while let Some(address) = consumer.poll_want() {
            assert!(!waiting.contains(&address), "asked twice while outstanding");
            assert!(!delayed.contains(&address), "asked twice while outstanding");
            seen.asked.push(address);
            waiting.push_back(address);
        }
        seen.in_flight_peak = seen.in_flight_peak.max(waiting.len());
        let next = match answers {
            Answers::FirstAskedFirst => waiting.pop_front(),
            Answers::LastAskedFirst => waiting.pop_back(),
            Answers::Shuffled(_) => {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let index = random as usize % waiting.len().max(1);
                waiting.remove(index)
            }
        };
        match next {
            None => {
                let address = delayed.pop_front();
                let address = address.expect("not done, and nothing is wanted: it would hang");
                consumer.handle_unavailable(address)?;
            }
            Some(address) => match (store.get(address), misses) {
                (Some(chunk), _) => consumer.handle_chunk(chunk)?,
                (None, Misses::Unavailable) => consumer.handle_unavailable(address)?,
                (None, Misses::Delayed) => {
                    delayed.push_back(address);
                    consumer.handle_delayed(address)?;
                }
            },
        }
        while let Some(address) = consumer.poll_obsolete() {
            let before = waiting.len() + delayed.len();
            waiting.retain(|other| *other != address);
            delayed.retain(|other| *other != address);
            assert!(
                waiting.len() + delayed.len() < before,
                "obsolete, and not outstanding"
            );
            seen.obsolete.push(address);
        }
        after(consumer);
    }
    assert_eq!(consumer.poll_want(), None, "wants more after the end");
    assert!(
        waiting.is_empty() && delayed.is_empty(),
        "the source still tries"
    );
    Ok(seen)
}
