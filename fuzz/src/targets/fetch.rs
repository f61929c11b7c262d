//! The fetch protocol: requests, answers with records, and the walk that both sides keep.
use crate::tape::Tape;
use bmt::ChunkAddress;
use content::Reference;
use fetch::{Answer, Record, Request, Walk};

/// Chunks of one walk.
const CHUNKS_MAX: usize = 64;

/// A request as a bridge receives it; what is read is written and read again.
pub(super) fn request(bytes: &[u8]) {
    let Ok(Some(line)) = Request::line(bytes, true) else {
        return;
    };
    if let Ok(request) = Request::decode(line) {
        let written = request.encode();
        let line = Request::line(&written, false);
        if let Ok(Some(line)) = line {
            assert_eq!(Request::decode(line), Ok(request));
        } else {
            // A path of control characters grows when it is escaped, but not beyond the limit of paths.
            assert!(written.len() >= fetch::REQUEST_BYTES_MAX);
        }
    }
}

/// An answer with records as a client receives it: what a prefix decodes to, the whole decodes to as well.
pub(super) fn answer(bytes: &[u8]) {
    if let Ok(Some((answer, used))) = Answer::decode(bytes, false) {
        assert!(used <= bytes.len());
        let mut written = Vec::new();
        answer.encode(&mut written);
        let again = Answer::decode(&written, false);
        assert!(again.is_err() || again.is_ok_and(|again| again.is_some()));
        records(bytes.get(used..).unwrap_or(&[]));
    }
    records(bytes);
}

fn records(mut bytes: &[u8]) {
    while let Ok(Some((record, used))) = Record::decode(bytes) {
        assert!((4..=bytes.len()).contains(&used));
        let prefix = bytes.get(..used.saturating_sub(1)).unwrap_or(&[]);
        assert_eq!(Record::decode(prefix), Ok(None), "a record that needs less");
        if let Record::Chunk { .. } | Record::Missing { .. } | Record::End = record {
            let mut written = Vec::new();
            record.encode(&mut written);
            assert_eq!(written, bytes.get(..used).unwrap_or(&[]));
        }
        bytes = bytes.get(used..).unwrap_or(&[]);
    }
}

/// A walk over hostile chunks, from any place on: it ends, and never names a chunk twice without reason to.
pub(super) fn walk(bytes: &[u8]) {
    let Some(([flags, from], rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let tape = Tape::read(rest);
    let Some(root) = tape.root() else {
        return;
    };
    let root = Reference {
        address: root.address(),
        key: (flags % 2 == 1).then_some([*flags; 32]),
    };
    let mut walk = Walk::new(root, u64::from(*from));
    for _ in 0..CHUNKS_MAX {
        let Some(address) = walk.expected() else {
            return;
        };
        assert!(walk.contains(address));
        assert_eq!(walk.upcoming().next(), Some(address));
        match tape.find(address) {
            Some(chunk) => {
                walk.open_ahead(&chunk, CHUNKS_MAX);
                assert_eq!(walk.expected(), Some(address));
                if walk.advance(&chunk).is_err() {
                    assert_eq!(walk.expected(), None::<ChunkAddress>);
                }
            }
            None => drop(walk.leave_out()),
        }
    }
}
