//! What follows the first line of an answer to `chunks`.
use crate::{Answer, AnswerError};
use alloc::vec::Vec;
use bmt::{CHUNK_DATA_BYTES_MAX, ChunkAddress, SPAN_BYTES};

const LENGTH_BYTES: usize = 4;
const ADDRESS_BYTES: usize = 32;
/// Instead of a length: everything was sent.
const END: u32 = 0;
/// Instead of a length: a chunk that cannot be found; its address follows.
const MISSING: u32 = u32::MAX - 1;
/// Instead of a length: the bridge cannot go on; an error line follows.
const ERROR: u32 = u32::MAX;
/// Shortest chunk: a span.
const CHUNK_MIN: usize = ADDRESS_BYTES + SPAN_BYTES;
/// Longest chunk: a full single-owner chunk.
const CHUNK_MAX: usize = ADDRESS_BYTES + CHUNK_DATA_BYTES_MAX;
/// Longest record of a chunk.
pub const CHUNK_RECORD_BYTES_MAX: usize = LENGTH_BYTES + CHUNK_MAX;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The next chunk of the tree. Nothing about it is verified yet.
    Chunk {
        /// The address the bridge says it has.
        address: ChunkAddress,
        /// Its bytes: span ‖ payload, or a whole single-owner chunk.
        data: &'a [u8],
    },
    /// The next chunk cannot be found; it and everything below it are left out.
    Missing {
        /// Its address.
        address: ChunkAddress,
    },
    /// The tree is complete.
    End,
    /// The bridge cannot go on.
    Error(Answer),
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A length that no record has.
    #[error("a record of {0} bytes: a chunk's has 40 to 4233")]
    Length(u32),
    /// A broken error line.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// An error line that says that all is well.
    #[error("an error record that says ok")]
    NoError,
}

impl<'a> Record<'a> {
    /// Reads a record from the front of what was received; returns it with the bytes it took, or `None` when more is needed.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn decode(received: &'a [u8]) -> Result<Option<(Self, usize)>, RecordError> {
        let Some((length, rest)) = received.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        if length == END {
            return Ok(Some((Self::End, LENGTH_BYTES)));
        }
        if length == MISSING {
            let Some((address, _)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let address = ChunkAddress(*address);
            return Ok(Some((
                Self::Missing { address },
                LENGTH_BYTES.saturating_add(ADDRESS_BYTES),
            )));
        }
        if length == ERROR {
            let Some((answer, used)) = Answer::decode(rest, false)? else {
                return Ok(None);
            };
            if let Answer::Ok { .. } = answer {
                return Err(RecordError::NoError);
            }
            return Ok(Some((
                Self::Error(answer),
                used.saturating_add(LENGTH_BYTES),
            )));
        }
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if !(CHUNK_MIN..=CHUNK_MAX).contains(&bytes) {
            return Err(RecordError::Length(length));
        }
        let Some((record, _)) = rest.split_at_checked(bytes) else {
            return Ok(None);
        };
        let Some((address, data)) = record.split_first_chunk() else {
            return Ok(None);
        };
        let address = ChunkAddress(*address);
        Ok(Some((
            Self::Chunk { address, data },
            bytes.saturating_add(LENGTH_BYTES),
        )))
    }

    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Chunk { address, data } => {
                let bytes = data.len().saturating_add(ADDRESS_BYTES);
                debug_assert!((CHUNK_MIN..=CHUNK_MAX).contains(&bytes));
                let length = u32::try_from(bytes).unwrap_or(ERROR);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&address.0);
                out.extend_from_slice(data);
            }
            Self::Missing { address } => {
                out.extend_from_slice(&MISSING.to_be_bytes());
                out.extend_from_slice(&address.0);
            }
            Self::End => out.extend_from_slice(&END.to_be_bytes()),
            Self::Error(answer) => {
                out.extend_from_slice(&ERROR.to_be_bytes());
                answer.encode(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn encoded(record: &Record<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    }

    #[test]
    fn records_read_back_over_every_split() {
        let data: Vec<u8> = (0..=255).cycle().take(CHUNK_DATA_BYTES_MAX).collect();
        let address = ChunkAddress([7; 32]);
        for record in [
            Record::Chunk {
                address,
                data: &data[..8],
            },
            Record::Chunk {
                address,
                data: &data,
            },
            Record::Missing { address },
            Record::End,
            Record::Error(Answer::error(Code::NotFound, "gone")),
        ] {
            let mut bytes = encoded(&record);
            let len = bytes.len();
            bytes.extend_from_slice(b"more");
            for cut in 0..len {
                assert_eq!(Record::decode(&bytes[..cut]), Ok(None), "{cut}");
            }
            assert_eq!(Record::decode(&bytes), Ok(Some((record, len))));
        }
    }

    #[test]
    fn a_chunk_record_is_length_address_and_bytes() {
        let record = Record::Chunk {
            address: ChunkAddress([0xab; 32]),
            data: &[1, 0, 0, 0, 0, 0, 0, 0, 0x61],
        };
        let mut expected = std::vec![0, 0, 0, 41];
        expected.extend_from_slice(&[0xab; 32]);
        expected.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0x61]);
        assert_eq!(encoded(&record), expected);
        assert_eq!(encoded(&Record::End), [0; 4]);
    }

    #[test]
    fn lengths_that_no_record_has_are_refused_at_once() {
        for length in [1, 39, 4234, 65536, u32::MAX - 2] {
            assert_eq!(
                Record::decode(&length.to_be_bytes()),
                Err(RecordError::Length(length))
            );
        }
        let mut bytes = std::vec![0xff; 4];
        bytes.extend_from_slice(b"{\"ok\":true}\n");
        assert_eq!(Record::decode(&bytes), Err(RecordError::NoError));
        bytes.truncate(4);
        bytes.extend_from_slice(b"nonsense\n");
        assert!(matches!(
            Record::decode(&bytes),
            Err(RecordError::Answer(_))
        ));
    }
}
