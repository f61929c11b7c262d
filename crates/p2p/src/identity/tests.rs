use super::*;
use crate::base58;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use proptest::prelude::*;
use std::vec;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// SPEC peer-ids "Test vectors".
const ED25519_PUBLIC: &str =
    "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
const SECP256K1_PUBLIC: &str =
    "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99";
const ECDSA_PUBLIC: &str = "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62";

#[test]
fn keys_of_the_specification_decode_and_encode_to_the_same_bytes() {
    for text in [ED25519_PUBLIC, SECP256K1_PUBLIC, ECDSA_PUBLIC] {
        let bytes = unhex(text);
        let key = PublicKey::decode(&bytes).unwrap();
        assert_eq!(key.encode(), bytes);
        assert_eq!(
            PeerId::from_bytes(key.peer_id().as_bytes()),
            Some(key.peer_id())
        );
    }
}

#[test]
fn peer_ids_have_the_form_of_their_key_type() {
    let ed25519 = PublicKey::decode(&unhex(ED25519_PUBLIC)).unwrap().peer_id();
    assert_eq!(
        &ed25519.as_bytes()[..6],
        [0x00, 0x24, 0x08, 0x01, 0x12, 0x20]
    );
    assert!(ed25519.to_base58().starts_with("12D3Koo"));
    let secp256k1 = PublicKey::decode(&unhex(SECP256K1_PUBLIC))
        .unwrap()
        .peer_id();
    assert!(secp256k1.to_base58().starts_with("16Uiu2HA"));
    let ecdsa = PublicKey::decode(&unhex(ECDSA_PUBLIC)).unwrap().peer_id();
    assert_eq!(&ecdsa.as_bytes()[..2], [0x12, 0x20]);
    assert!(ecdsa.to_base58().starts_with("Qm"));
}

#[test]
fn peer_id_text_of_the_specification_is_read_and_written() {
    for (text, bytes) in [
        (
            "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
            "0024080112202ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b",
        ),
        (
            "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
            "1220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b",
        ),
    ] {
        let peer = PeerId::from_base58(text).unwrap();
        assert_eq!(peer.to_base58(), text);
        assert_eq!(peer.as_bytes(), unhex(bytes));
    }
}

#[test]
fn what_is_no_multihash_of_a_key_is_no_peer_id() {
    for bytes in [
        vec![],
        vec![0x12],
        vec![0x12, 0x20],
        [&[0x12, 0x20][..], &[1; 31]].concat(),
        [&[0x12, 0x20][..], &[1; 33]].concat(),
        [&[0x12, 0x1f][..], &[1; 31]].concat(),
        [&[0x13, 0x20][..], &[1; 32]].concat(),
        [&[0x00, 0x00][..], &[]].concat(),
        [&[0x00, 43][..], &[1; 43]].concat(),
        [&[0x00, 0x24][..], &[1; 35]].concat(),
    ] {
        assert_eq!(PeerId::from_bytes(&bytes), None, "{bytes:?}");
    }
    assert_eq!(
        PeerId::from_base58("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S0"),
        None
    );
    assert_eq!(PeerId::from_base58(&"1".repeat(1000)), None);
}

#[test]
fn malformed_keys_are_refused() {
    let p256 = unhex(ECDSA_PUBLIC);
    for bytes in [
        vec![],
        vec![0x08, 0x01],
        unhex(&ED25519_PUBLIC[..70]),
        [&[0x08, 0x01, 0x12, 0x1f][..], &[0; 31]].concat(),
        [&[0x08, 0x00, 0x12, 0x20][..], &[0; 32]].concat(),
        [&[0x08, 0x04, 0x12, 0x20][..], &[0; 32]].concat(),
        // P-384's object identifier instead of P-256's
        p256.iter()
            .enumerate()
            .map(|(i, b)| if i == 4 + 22 { 0x22 } else { *b })
            .collect(),
        vec![0x0a; 2000],
    ] {
        assert_eq!(PublicKey::decode(&bytes), None, "{bytes:?}");
    }
}

#[test]
fn signatures_of_our_keys_verify_and_forged_ones_do_not() {
    let keypair = Keypair::ed25519(&[7; 32]);
    let key = keypair.public();
    let mut signature = keypair.sign(b"message");
    assert!(key.verify(b"message", &signature));
    assert!(!key.verify(b"massage", &signature));
    assert!(!key.verify(b"message", &signature[..63]));
    assert!(!key.verify(b"message", &[]));
    signature[5] ^= 1;
    assert!(!key.verify(b"message", &signature));
    // the identity point signs everything under a lax verifier
    let mut small = [0; 32];
    small[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    assert!(!PublicKey::Ed25519(small).verify(b"message", &forged));
}

#[test]
fn p256_signatures_in_der_over_sha256_verify() {
    let signing = p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
    let point = signing.verifying_key().to_sec1_point(false);
    let mut spki = P256_SPKI_PREFIX.to_vec();
    spki.extend_from_slice(&point.as_bytes()[1..]);
    let key = PublicKey::P256(spki);
    assert_eq!(PublicKey::decode(&key.encode()), Some(key.clone()));
    let signature: p256::ecdsa::Signature =
        signing.sign_prehash(&Sha256::digest(b"message")).unwrap();
    let der = signature.to_der();
    assert!(key.verify(b"message", der.as_bytes()));
    assert!(!key.verify(b"massage", der.as_bytes()));
    assert!(!key.verify(b"message", &signature.to_bytes()));
    assert!(!key.verify(b"message", &[der.as_bytes(), &[0]].concat()));
    let PublicKey::P256(mut off_curve) = key else {
        unreachable!()
    };
    off_curve[40] ^= 1;
    assert!(!PublicKey::P256(off_curve).verify(b"message", der.as_bytes()));
}

#[test]
fn secp256k1_signatures_verify_with_low_and_with_high_s() {
    let signing = k256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
    let point = signing.verifying_key().to_sec1_point(true);
    let key = PublicKey::Secp256k1(point.as_bytes().try_into().unwrap());
    let low: k256::ecdsa::Signature = signing.sign_prehash(&Sha256::digest(b"message")).unwrap();
    let low = low.normalize_s();
    let high = k256::ecdsa::Signature::from_scalars(low.r(), -low.s()).unwrap();
    assert_ne!(low, high);
    assert!(key.verify(b"message", low.to_der().as_bytes()));
    assert!(key.verify(b"message", high.to_der().as_bytes()));
    assert!(!key.verify(b"massage", low.to_der().as_bytes()));
    assert!(!PublicKey::Secp256k1([0; 33]).verify(b"message", low.to_der().as_bytes()));
}

#[test]
fn base58_has_the_text_of_known_vectors() {
    for (bytes, text) in [
        (&b""[..], ""),
        (b"\0", "1"),
        (b"\0\0a", "112g"),
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (&[0x00, 0x00, 0x28, 0x7f, 0xb4, 0xcd], "11233QC4"),
    ] {
        assert_eq!(base58::encode(bytes), text);
        assert_eq!(base58::decode(text).unwrap(), bytes);
    }
    for text in ["0", "O", "I", "l", "é", " "] {
        assert_eq!(base58::decode(text), None);
    }
}

proptest! {
    #[test]
    fn base58_survives(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        prop_assert_eq!(base58::decode(&base58::encode(&bytes)).unwrap(), bytes);
    }

    #[test]
    fn arbitrary_keys_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), message: Vec<u8>) {
        if let Some(key) = PublicKey::decode(&bytes) {
            prop_assert!(!key.verify(&message, &bytes));
        }
    }
}
