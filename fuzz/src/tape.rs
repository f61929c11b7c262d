//! Chunks out of any bytes, such that the fuzzer can make trees: addresses are hashes, which no mutation would ever hit.
use bmt::{ChunkAddress, ChunkConsumer, VerifiedChunk};
use std::collections::BTreeMap;

/// More chunks than this are not read from one input.
const CHUNKS_MAX: usize = 64;
/// Chunks given to one reader at most. A reader that wants more than this for so few different chunks does not end.
const STEPS_MAX: usize = 200_000;

/// Chunks read from an input, each of which may refer to those before it.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    chunks: BTreeMap<ChunkAddress, VerifiedChunk>,
    order: Vec<ChunkAddress>,
}

impl Tape {
    /// Reads chunks: span (8 bytes), number of parts (1 byte), parts. A part with first byte `n` below 128 is `n` bytes as they are; from 128
    /// on it is the address of the chunk `n - 128` places back (with 32 bytes of key when its second byte is odd).
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut tape = Self::default();
        let mut rest = bytes;
        while tape.order.len() < CHUNKS_MAX
            && let Some((span, after)) = rest.split_first_chunk::<8>()
            && let Some((parts, after)) = after.split_first()
        {
            rest = after;
            let mut payload = Vec::new();
            for _ in 0..*parts {
                rest = tape.read_part(rest, &mut payload);
            }
            payload.truncate(4096);
            tape.add(VerifiedChunk::content(*span, &payload).expect("at most 4096 bytes"));
        }
        tape
    }

    fn read_part<'a>(&self, bytes: &'a [u8], payload: &mut Vec<u8>) -> &'a [u8] {
        let Some((kind, rest)) = bytes.split_first() else {
            return bytes;
        };
        let Some(back) = kind.checked_sub(128) else {
            let (part, rest) = rest.split_at(usize::from(*kind).min(rest.len()));
            payload.extend_from_slice(part);
            return rest;
        };
        let address = self.order.iter().rev().nth(usize::from(back));
        payload.extend_from_slice(&address.map_or([back; 32], |address| address.0));
        let Some((flags, rest)) = rest.split_first() else {
            return rest;
        };
        if flags % 2 == 1 {
            payload.extend_from_slice(&[*flags; 32]);
        }
        rest
    }

    /// Adds a chunk made elsewhere.
    pub(crate) fn add(&mut self, chunk: VerifiedChunk) {
        self.order.push(chunk.address());
        self.chunks.insert(chunk.address(), chunk);
    }

    /// The last chunk: the only one that can refer to all others.
    pub(crate) fn root(&self) -> Option<&VerifiedChunk> {
        self.chunks.get(self.order.last()?)
    }

    /// Returns a chunk, if it is here.
    pub(crate) fn find(&self, address: ChunkAddress) -> Option<VerifiedChunk> {
        self.chunks.get(&address).cloned()
    }

    /// Gives a reader what it wants until it is done or fails; what is not there is delayed, then unavailable. `each` is called after every
    /// chunk.
    pub(crate) fn feed<C: ChunkConsumer>(
        &self,
        reader: &mut C,
        each: &mut dyn FnMut(&mut C),
    ) -> Result<(), C::Error> {
        for _ in 0..STEPS_MAX {
            while reader.poll_obsolete().is_some() {}
            let Some(address) = reader.poll_want() else {
                return Ok(());
            };
            match self.chunks.get(&address) {
                Some(chunk) => reader.handle_chunk(chunk.clone())?,
                None => {
                    reader.handle_delayed(address)?;
                    reader.handle_unavailable(address)?;
                }
            }
            each(reader);
        }
        panic!("a reader that never ends");
    }
}
