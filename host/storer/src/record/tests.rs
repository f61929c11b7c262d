use super::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
    }
    out
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&hex(
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    ))
    .unwrap()
}

fn loopback() -> Vec<Multiaddr> {
    vec!["/ip4/127.0.0.1/tcp/1634".parse().unwrap()]
}

#[test]
fn signs_like_the_14_vector() {
    let record = sign(Version::V14, &key(), &loopback(), 1, [0; 32], 1_700_000_000);
    assert_eq!(record.wire.underlay, hex::<8>("047f000001060662"));
    assert_eq!(
        record.overlay.0,
        hex("9b109ce1ec1a7134e3ef27146e56a8b5566b8397f993fa40bc4c66f36043392f")
    );
    assert_eq!(
        record.wire.signature,
        hex::<65>(concat!(
            "29c7adae4bb452e126963b1744f6fe0c037d8d748e8aa31e18ea3323195698b4",
            "56e2ce4a5872f34f1fdfb0053a96af27fc04a00e95752d7acc798f6af85f92c21c"
        ))
    );
    assert_eq!(record.wire.timestamp, 0);
}

#[test]
fn signs_like_the_15_vectors() {
    let record = sign(Version::V15, &key(), &loopback(), 1, [0; 32], 1_700_000_000);
    assert_eq!(
        record.wire.signature,
        hex::<65>(concat!(
            "e0ac6f3d01cca18033ae2bbf1924dcb59946cc58b9dde1b469690a44dd63590a",
            "5b852304c3b992926acb83a336e0ec628c60572b3bf56c3f3539789dc150605f1b"
        ))
    );
    let mut nonce = [0; 32];
    nonce[31] = 2;
    let record = sign(Version::V15, &key(), &loopback(), 10, nonce, 1_700_000_000);
    assert_eq!(
        record.overlay.0,
        hex("56c67d004cbcb0de9b5020bb37d0efb5f6c8f568049e6e9bfa0fc0ae696f0509")
    );
    assert_eq!(
        record.wire.signature,
        hex::<65>(concat!(
            "3d916e1bc20f622bc275275f8e76cc8ee255ca513745cf2982b2e0c17be26701",
            "5ec7472c79fd40ac15a115ba71ea353dba3c507d3c5b83eb53f0e9bad9b44bfa1c"
        ))
    );
}

#[test]
fn a_signed_record_passes_and_every_altered_field_fails() {
    for version in [Version::V14, Version::V15] {
        let record = sign(version, &key(), &loopback(), 10, [3; 32], 1_700_000_000);
        let check = |wire: &BzzAddress, nonce: &[u8]| {
            check(
                version,
                Source::Handshake,
                wire,
                nonce,
                10,
                None,
                1_700_000_000,
            )
        };
        assert_eq!(
            check(&record.wire, &[3; 32]).unwrap().overlay,
            record.overlay
        );
        let mut bad = record.wire.clone();
        bad.underlay[7] ^= 1;
        assert!(check(&bad, &[3; 32]).is_err());
        let mut bad = record.wire.clone();
        bad.overlay[0] ^= 1;
        assert_eq!(check(&bad, &[3; 32]), Err(RecordError::Signer));
        let mut bad = record.wire.clone();
        bad.overlay.pop();
        assert_eq!(check(&bad, &[3; 32]), Err(RecordError::Overlay));
        let mut bad = record.wire.clone();
        bad.signature.push(0);
        assert_eq!(check(&bad, &[3; 32]), Err(RecordError::Signature));
        let mut bad = record.wire.clone();
        bad.nonce[0] ^= 1;
        assert_eq!(check(&bad, &[2; 32]), Err(RecordError::Signer));
    }
}

#[test]
fn timestamps_follow_the_rules_for_their_source() {
    let now = 1_700_000_000;
    for (source, timestamp, known, ok) in [
        (Source::Handshake, 0, None, false),
        (Source::Handshake, 1, None, true),
        (Source::Handshake, now + 60, None, true),
        (Source::Handshake, now + 61, None, false),
        (Source::Handshake, now, Some(now), true),
        (Source::Handshake, now - 1, Some(now), false),
        (Source::Gossip, now, Some(now), false),
        (Source::Gossip, now, Some(now - 300), false),
        (Source::Gossip, now, Some(now - 301), true),
        (Source::Gossip, i64::MIN, Some(i64::MAX), false),
    ] {
        assert_eq!(
            check_timestamp(source, timestamp, known, now).is_ok(),
            ok,
            "{source:?} {timestamp} {known:?}"
        );
    }
}

#[test]
fn underlays_are_read_in_both_forms() {
    let one = loopback();
    assert_eq!(decode_underlays(&encode_underlays(&one)).unwrap(), one);
    let two: Vec<Multiaddr> = vec![
        "/ip4/127.0.0.1/tcp/1634".parse().unwrap(),
        "/ip6/::1/tcp/1634".parse().unwrap(),
    ];
    let bytes = encode_underlays(&two);
    assert_eq!(bytes[0], 0x99);
    assert_eq!(decode_underlays(&bytes).unwrap(), two);
    let many = vec![one[0].clone(); 21];
    for (bytes, error) in [
        (vec![], RecordError::UnderlayCount),
        (vec![0x99], RecordError::UnderlayCount),
        (vec![0x99, 200, 1, 4], RecordError::Underlay),
        (vec![0x99, 2, 4, 127], RecordError::Underlay),
        (vec![1; 9], RecordError::Underlay),
        (vec![4; 3000], RecordError::UnderlayCount),
        (encode_underlays(&many), RecordError::UnderlayCount),
    ] {
        assert_eq!(decode_underlays(&bytes), Err(error));
    }
}
