use super::*;
use std::vec;
use std::vec::Vec;

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    let bytes: Vec<u8> = (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&unhex(
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    ))
    .unwrap()
}

#[test]
fn address_of_the_published_key() {
    assert_eq!(
        key().address().0,
        unhex("2f63cbeb054ce76050827e42dd75268f6b9d87c5")
    );
}

#[test]
fn overlays_of_the_published_vectors() {
    let mut nonce = [0; 32];
    nonce[31] = 1;
    let other = EthAddress(unhex("1815cac638d1525b47f848daf02b7953e4edd15c"));
    assert_eq!(
        other.overlay(1, &nonce).0,
        unhex("a38f7a814d4b249ae9d3821e9b898019c78ac9abe248fff171782c32a3849a17")
    );
    assert_eq!(
        key().address().overlay(1, &[0; 32]).0,
        unhex("9b109ce1ec1a7134e3ef27146e56a8b5566b8397f993fa40bc4c66f36043392f")
    );
    nonce[31] = 2;
    assert_eq!(
        key().address().overlay(10, &nonce).0,
        unhex("56c67d004cbcb0de9b5020bb37d0efb5f6c8f568049e6e9bfa0fc0ae696f0509")
    );
}

/// SPEC swarm-wire 3.4: sign data of both handshake generations.
fn sign_data(network_id: u64, nonce: [u8; 32], timestamp: Option<i64>) -> Vec<u8> {
    let mut data = b"bee-handshake-".to_vec();
    data.extend_from_slice(&unhex::<8>("047f000001060662"));
    data.extend_from_slice(&key().address().overlay(network_id, &nonce).0);
    data.extend_from_slice(&network_id.to_be_bytes());
    if let Some(timestamp) = timestamp {
        data.extend_from_slice(&nonce);
        data.extend_from_slice(&timestamp.to_be_bytes());
        data.extend_from_slice(&[0; 20]);
    }
    data
}

#[test]
fn handshake_signatures_of_the_published_vectors() {
    let mut nonce_two = [0; 32];
    nonce_two[31] = 2;
    for (data, len, expected) in [
        (
            sign_data(1, [0; 32], None),
            62,
            "29c7adae4bb452e126963b1744f6fe0c037d8d748e8aa31e18ea3323195698b456e2ce4a5872f34f1fdfb0053a96af27fc04a00e95752d7acc798f6af85f92c21c",
        ),
        (
            sign_data(1, [0; 32], Some(1_700_000_000)),
            122,
            "e0ac6f3d01cca18033ae2bbf1924dcb59946cc58b9dde1b469690a44dd63590a5b852304c3b992926acb83a336e0ec628c60572b3bf56c3f3539789dc150605f1b",
        ),
        (
            sign_data(10, nonce_two, Some(1_700_000_000)),
            122,
            "3d916e1bc20f622bc275275f8e76cc8ee255ca513745cf2982b2e0c17be267015ec7472c79fd40ac15a115ba71ea353dba3c507d3c5b83eb53f0e9bad9b44bfa1c",
        ),
    ] {
        assert_eq!(data.len(), len);
        let signature = key().sign(&data);
        assert_eq!(signature.0, unhex(expected));
        assert_eq!(signature.recover(&data), Ok(key().address()));
    }
}

#[test]
fn another_message_recovers_to_another_address() {
    let signature = key().sign(b"one");
    assert_ne!(signature.recover(b"two"), Ok(key().address()));
}

#[test]
fn prefix_carries_the_length_in_decimal() {
    for len in [0, 1, 9, 10, 99, 100, 1000] {
        let message = vec![b'x'; len];
        let mut expected = std::format!("\x19Ethereum Signed Message:\n{len}").into_bytes();
        expected.extend_from_slice(&message);
        assert_eq!(eip191_digest(&message), keccak256(&expected));
    }
}

#[test]
fn illegal_keys_and_signatures_are_refused() {
    assert!(SecretKey::from_bytes(&[0; 32]).is_err());
    assert!(SecretKey::from_bytes(&[0xff; 32]).is_err());
    let good = key().sign(b"message");
    for v in [0, 1, 26, 29, 255] {
        let mut bytes = good.0;
        bytes[64] = v;
        assert_eq!(
            Signature(bytes).recover(b"message"),
            Err(SignatureError::Malformed),
            "v {v}"
        );
    }
    for zeroed in [0..32, 32..64] {
        let mut bytes = good.0;
        bytes[zeroed].fill(0);
        assert_eq!(
            Signature(bytes).recover(b"message"),
            Err(SignatureError::Malformed)
        );
    }
}

#[test]
fn secret_key_does_not_print_itself() {
    assert_eq!(
        std::format!("{:?}", key()),
        "SecretKey(of 2f63cbeb054ce76050827e42dd75268f6b9d87c5)"
    );
}
