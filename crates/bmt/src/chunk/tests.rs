use super::*;
use std::vec;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn address(text: &str) -> ChunkAddress {
    ChunkAddress(unhex(text).try_into().unwrap())
}

const SOC_SIGNATURE: &str = "5acd384febc133b7b245e5ddc62d82d2cded9182d2716126cd8844509af65a053deb418208027f548e3e88343af6f84a8772fb3cebc0a1833a0ea7ec0c1348311b";
const SOC_ADDRESS: &str = "9d453ebb73b2fedaaf44ceddcf7a0aa37f3e3d6453fea5841c31f0ea6d61dc85";

/// SPEC swarm-wire 8.2: the published single-owner chunk.
fn soc() -> Vec<u8> {
    let mut data = vec![0; 32];
    data.extend(unhex(SOC_SIGNATURE));
    data.extend_from_slice(&3u64.to_le_bytes());
    data.extend_from_slice(b"foo");
    data
}

#[test]
fn published_single_owner_chunk_is_verified() {
    let chunk = VerifiedChunk::verify(address(SOC_ADDRESS), soc()).unwrap();
    assert_eq!(chunk.payload(), b"foo");
    assert_eq!(chunk.span_bytes(), 3u64.to_le_bytes());
    assert_eq!(chunk.data(), soc());
    let ChunkKind::SingleOwner { id, owner, wrapped } = chunk.kind() else {
        panic!("not a single-owner chunk");
    };
    assert_eq!(id, [0; 32]);
    assert_eq!(
        owner.0.as_slice(),
        unhex("8d3766440f0d7b949a5e32995d09619a7f86e632")
    );
    assert_eq!(
        wrapped,
        address("2387e8e7d8a48c2a9339c97c1dc3461a9a7aa07e994c5cb8b38fd7c1b3e6ea48")
    );
    let inner = chunk.into_wrapped();
    assert_eq!(inner.address(), wrapped);
    assert_eq!(inner.payload(), b"foo");
    assert_eq!(inner.kind(), ChunkKind::Content);
}

#[test]
fn any_changed_bit_of_a_chunk_is_noticed() {
    let content = VerifiedChunk::content(3u64.to_le_bytes(), b"foo").unwrap();
    for (wanted, data) in [
        (content.address(), content.data().to_vec()),
        (address(SOC_ADDRESS), soc()),
    ] {
        VerifiedChunk::verify(wanted, data.clone()).unwrap();
        for at in 0..data.len() {
            let mut bad = data.clone();
            bad[at] ^= 1;
            assert_eq!(
                VerifiedChunk::verify(wanted, bad),
                Err(ChunkError::Address),
                "byte {at}"
            );
        }
    }
}

#[test]
fn lengths_that_no_chunk_has_are_refused() {
    let wanted = ChunkAddress([1; 32]);
    for len in [0, 7, 4202, 10_000] {
        assert_eq!(
            VerifiedChunk::verify(wanted, vec![0; len]),
            Err(ChunkError::Length { len }),
        );
    }
    for len in [8, 96, 97, 104, 105, 4104, 4105, 4201] {
        assert_eq!(
            VerifiedChunk::verify(wanted, vec![0; len]),
            Err(ChunkError::Address),
            "length {len}"
        );
    }
    assert!(VerifiedChunk::content([0; 8], &[0; 4096]).is_ok());
    assert_eq!(
        VerifiedChunk::content([0; 8], &[0; 4097]),
        Err(ChunkError::Length { len: 4105 })
    );
    assert_eq!(
        VerifiedChunk::content_data(vec![0; 7]),
        Err(ChunkError::Length { len: 7 })
    );
}

#[test]
fn single_owner_chunks_of_every_size_round_trip() {
    let key = SecretKey::from_bytes(&[7; 32]).unwrap();
    for len in [0usize, 1, 3999, 4096] {
        let span = (len as u64).to_le_bytes();
        let made = VerifiedChunk::single_owner([9; 32], &key, span, &vec![5; len]).unwrap();
        assert_eq!(
            made.address(),
            single_owner_address(&[9; 32], &key.address())
        );
        let read = VerifiedChunk::verify(made.address(), made.data().to_vec()).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.payload().len(), len);
    }
    assert_eq!(
        VerifiedChunk::single_owner([9; 32], &key, [0; 8], &[0; 4097]),
        Err(ChunkError::Length { len: 4202 })
    );
}

#[test]
fn replica_owner_may_only_wrap_the_content_its_id_names() {
    let mut secret = [0; 32];
    secret[0] = 1;
    let key = SecretKey::from_bytes(&secret).unwrap();
    assert_eq!(key.address(), REPLICA_OWNER);
    let span = 3u64.to_le_bytes();
    let content = VerifiedChunk::content(span, b"foo").unwrap().address();
    for first in [0, 1, 254] {
        let mut id = content.0;
        id[0] = first;
        let replica = VerifiedChunk::single_owner(id, &key, span, b"foo").unwrap();
        assert_eq!(
            VerifiedChunk::verify(replica.address(), replica.data().to_vec()).unwrap(),
            replica
        );
    }
    // The same key under an id that names other content: the signature is right, the rule is not kept.
    let id = [3; 32];
    assert_eq!(
        VerifiedChunk::single_owner(id, &key, span, b"foo"),
        Err(ChunkError::Address)
    );
    let signature = key.sign(&keccak_of_pair(&id, &content.0));
    let mut data = id.to_vec();
    data.extend_from_slice(&signature.0);
    data.extend_from_slice(&span);
    data.extend_from_slice(b"foo");
    assert_eq!(
        VerifiedChunk::verify(single_owner_address(&id, &REPLICA_OWNER), data),
        Err(ChunkError::Address)
    );
}
