//! Dispersed replicas of a root chunk: single-owner chunks in other neighbourhoods, signed with a key that everybody knows.
use crate::RedundancyLevel;
use alloc::vec::Vec;
use bmt::{ChunkAddress, REPLICA_OWNER, SecretKey, VerifiedChunk, single_owner_address};

/// Where one replica lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    /// Identifier: the root's address with another first byte.
    pub(crate) id: [u8; 32],
    pub(crate) address: ChunkAddress,
}

/// Returns the replicas of `root` at `level`, in the order in which bee asks for them: those of a lower level come first.
///
/// SPEC bee pkg/replicas/replicas.go: identifiers count up; at level L the first address with each value of the top L bits counts.
pub(crate) fn replicas(root: ChunkAddress, level: RedundancyLevel) -> Vec<Replica> {
    let mut found: Vec<Replica> = Vec::with_capacity(level.replicas());
    for level in RedundancyLevel::ALL
        .into_iter()
        .filter(|other| *other <= level)
    {
        for first in 0..u8::MAX {
            if found.len() >= level.replicas() {
                break;
            }
            let replica = replica(root, first);
            let quarter = |replica: &Replica| top_bits(replica.address, level);
            let new = found
                .iter()
                .all(|other| quarter(other) != quarter(&replica));
            if new {
                found.push(replica);
            }
        }
    }
    found
}

fn replica(root: ChunkAddress, first: u8) -> Replica {
    let mut id = root.0;
    let [byte, ..] = &mut id;
    *byte = first;
    Replica {
        id,
        address: single_owner_address(&id, &REPLICA_OWNER),
    }
}

/// The part of the address space at this level: its number is in the top bits.
fn top_bits(address: ChunkAddress, level: RedundancyLevel) -> u8 {
    let [first, ..] = address.0;
    first
        .checked_shr(8u32.saturating_sub(u32::from(level.number())))
        .unwrap_or(0)
}

/// Signs the replicas of a root, given as its span and payload.
pub(crate) fn sign(
    root: ChunkAddress,
    level: RedundancyLevel,
    span: [u8; 8],
    payload: &[u8],
    sink: &mut dyn FnMut(VerifiedChunk),
) {
    // SPEC bee pkg/replicas/replicas.go: the private key is 01 followed by 31 zero bytes.
    let mut secret = [0; 32];
    let [first, ..] = &mut secret;
    *first = 1;
    let Ok(key) = SecretKey::from_bytes(&secret) else {
        return;
    };
    for replica in replicas(root, level) {
        let chunk = VerifiedChunk::single_owner(replica.id, &key, span, payload);
        debug_assert!(chunk.is_ok(), "the identifier names the root");
        if let Ok(chunk) = chunk {
            sink(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_those_of_bee() {
        let foo = VerifiedChunk::content(3u64.to_le_bytes(), b"foo").unwrap();
        let firsts = |level| -> Vec<u8> {
            replicas(foo.address(), level)
                .iter()
                .map(|replica| replica.id[0])
                .collect()
        };
        assert!(firsts(RedundancyLevel::None).is_empty());
        assert_eq!(firsts(RedundancyLevel::Medium), [0, 2]);
        assert_eq!(firsts(RedundancyLevel::Strong), [0, 2, 1, 3]);
        assert_eq!(firsts(RedundancyLevel::Insane), [0, 2, 1, 3, 4, 6, 8, 21]);
        assert_eq!(
            firsts(RedundancyLevel::Paranoid),
            [0, 2, 1, 3, 4, 6, 8, 21, 5, 7, 12, 14, 15, 18, 22, 35]
        );
    }

    #[test]
    fn signed_replicas_verify_where_they_are_looked_for() {
        let foo = VerifiedChunk::content(3u64.to_le_bytes(), b"foo").unwrap();
        let mut made = Vec::new();
        sign(
            foo.address(),
            RedundancyLevel::Paranoid,
            foo.span_bytes(),
            foo.payload(),
            &mut |chunk| made.push(chunk),
        );
        let expected: Vec<_> = replicas(foo.address(), RedundancyLevel::Paranoid)
            .iter()
            .map(|replica| replica.address)
            .collect();
        let addresses: Vec<_> = made.iter().map(VerifiedChunk::address).collect();
        assert_eq!(addresses, expected);
        for chunk in made {
            let address = chunk.address();
            let chunk = VerifiedChunk::verify(address, chunk.into_data()).unwrap();
            assert_eq!(chunk.into_wrapped(), foo);
        }
    }
}
