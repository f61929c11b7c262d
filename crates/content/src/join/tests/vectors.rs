//! Files that bee encrypted.
//!
//! Of their chunks only those are kept that nothing else determines, because bee pads with random bytes: intermediate chunks and short
//! leaves. The others are made again here, and every one has to have the address that bee's tree refers to.
use super::redundancy::{Way, families, read_all, ways};
use super::*;
use crate::testing::Misses;
use crate::{encryption, erasure, replica};

struct Case {
    root: Reference,
    data: Vec<u8>,
    store: Store,
}

fn cases() -> Vec<Case> {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("../../../testdata/vectors.json")).unwrap();
    let kept = Store::load(include_bytes!("../../../testdata/encrypted.bin"));
    json["encrypted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            let length = case["length"].as_u64().unwrap();
            let mut case = Case {
                root: case["reference"].as_str().unwrap().parse().unwrap(),
                data: pattern(length as usize, case["seed"].as_u64().unwrap()),
                store: kept.clone(),
            };
            case.rebuild(length);
            case
        })
        .collect()
}

impl Case {
    fn rebuild(&mut self, length: u64) {
        if length == 4096 {
            self.rebuild_leaf(self.root, 0);
        }
        let root = self.store.get(self.root.address).unwrap();
        let span = Span::decode(open::span_bytes(&root, self.root.key)).unwrap();
        assert_eq!(span.size, length);
        let layout = Layout {
            level: span.level,
            encrypted: true,
        };
        self.rebuild_below(self.root, 0, length, layout);
        // A file of one chunk has no level in its span: bee's vectors have one of 100 bytes at level 4.
        let level = match length {
            100 => crate::RedundancyLevel::Paranoid,
            _ => span.level,
        };
        let mut made = Vec::new();
        let (bytes, payload) = (root.span_bytes(), root.payload());
        replica::sign(root.address(), level, bytes, payload, &mut |chunk| {
            made.push(chunk)
        });
        assert_eq!(made.len(), level.replicas());
        for chunk in made {
            self.store.put(chunk);
        }
    }

    fn rebuild_leaf(&mut self, reference: Reference, offset: u64) {
        let payload = &self.data[offset as usize..][..4096];
        let mut data = [&4096u64.to_le_bytes()[..], payload].concat();
        encryption::encrypt(&reference.key.unwrap(), &mut data);
        let chunk = VerifiedChunk::content_data(data).unwrap();
        assert_eq!(chunk.address(), reference.address, "leaf at {offset}");
        self.store.put(chunk);
    }

    fn rebuild_below(&mut self, reference: Reference, offset: u64, size: u64, layout: Layout) {
        if size <= LEAF_BYTES {
            if size == LEAF_BYTES {
                self.rebuild_leaf(reference, offset);
            }
            return;
        }
        let chunk = self.store.get(reference.address).unwrap();
        let shape = Shape::of(size, layout);
        let references = open::references(&chunk, reference.key, shape, layout).unwrap();
        let node = Node::new(references, layout, offset, size, &(0..u64::MAX));
        let mut shards = Vec::new();
        for index in 0..shape.children {
            let child = node.child(index).unwrap();
            self.rebuild_below(child.reference, child.offset, child.size, layout);
            let chunk = self.store.get(child.reference.address).unwrap();
            shards.extend_from_slice(chunk.data());
        }
        for (parity, index) in erasure::parities(&shards, shape.parities).zip(shape.children..) {
            let parity = VerifiedChunk::content_data(parity).unwrap();
            assert_eq!(
                Some(parity.address()),
                node.address(index),
                "parity {index}"
            );
            self.store.put(parity);
        }
    }
}

#[test]
fn every_file_that_bee_encrypted_comes_back() {
    let cases = cases();
    assert_eq!(cases.len(), 14);
    for Case { root, data, store } in cases {
        for strategy in [Strategy::Data, Strategy::DataThenParity, Strategy::Race] {
            for way in ways(strategy) {
                assert!(
                    read_all(root, &store, way).unwrap() == data,
                    "{root}, {way:?}"
                );
            }
        }
    }
}

#[test]
fn files_that_bee_encrypted_come_back_without_their_root_and_as_many_chunks_as_there_are_parities()
{
    let mut with_redundancy = 0;
    for Case { root, data, store } in cases() {
        let families = families(&store, root);
        let parities = families.first().map_or(0, |family| family.parities.len());
        if parities == 0 && data.len() != 100 {
            continue;
        }
        with_redundancy += 1;
        for seed in 0..3 {
            let mut lossy = store.clone();
            lossy.chunks.remove(&root.address).unwrap();
            for family in &families {
                for address in family.choose(family.parities.len(), seed) {
                    lossy.chunks.remove(&address);
                }
            }
            for way in ways(Strategy::DataThenParity) {
                assert!(
                    read_all(root, &lossy, way).unwrap() == data,
                    "{root}, {way:?}"
                );
            }
        }
        for family in &families {
            let lost = family.choose(family.parities.len() + 1, 7);
            let mut lossy = store.clone();
            for address in &lost {
                lossy.chunks.remove(address);
            }
            let first = family.data.iter().find(|address| lost.contains(address));
            let way = Way {
                misses: Misses::Delayed,
                ..ways(Strategy::DataThenParity)[0]
            };
            let error = read_all(root, &lossy, way).unwrap_err();
            assert_eq!(error, JoinError::Unavailable(*first.unwrap()));
        }
    }
    assert_eq!(with_redundancy, 7);
}
