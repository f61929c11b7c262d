use super::*;
use std::vec;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn key(text: &str) -> [u8; 32] {
    unhex(text).try_into().unwrap()
}

fn static_key(seed: u8) -> StaticKey {
    StaticKey::new(&Keypair::ed25519(&[seed; 32]), [seed; 32])
}

/// The XX_25519_ChaChaPoly_SHA256 vector of the cacophony set.
const MESSAGES: [(&str, &str); 6] = [
    (
        "4c756477696720766f6e204d69736573",
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573",
    ),
    (
        "4d757272617920526f746862617264",
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad",
    ),
    (
        "462e20412e20486179656b",
        "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6ae769a1d95941d49b25030",
    ),
    (
        "4361726c204d656e676572",
        "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df",
    ),
    (
        "4a65616e2d426170746973746520536179",
        "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5",
    ),
    (
        "457567656e2042f6686d20766f6e2042617765726b",
        "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f",
    ),
];

#[test]
fn handshake_and_transport_have_the_bytes_of_the_cacophony_vector() {
    let identity = Keypair::ed25519(&[1; 32]);
    let prologue = unhex("4a6f686e2047616c74");
    let dialer_key = StaticKey::new(
        &identity,
        key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"),
    );
    let listener_key = StaticKey::new(
        &identity,
        key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"),
    );
    let mut ends = [
        Handshake::new(
            Role::Dialer,
            &dialer_key,
            key("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"),
            &prologue,
        ),
        Handshake::new(
            Role::Listener,
            &listener_key,
            key("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"),
            &prologue,
        ),
    ];
    for (number, (payload, ciphertext)) in MESSAGES[..3].iter().enumerate() {
        let (writer, reader) = (number % 2, (number + 1) % 2);
        let mut message = vec![];
        ends[writer]
            .write_message(&unhex(payload), &mut message)
            .unwrap();
        assert_eq!(message, unhex(ciphertext), "message {number}");
        let range = ends[reader].read_message(&mut message).unwrap();
        assert_eq!(message[range], unhex(payload));
    }
    let hash = key("c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e");
    assert_eq!(ends[0].symmetric.hash, hash);
    assert_eq!(ends[1].symmetric.hash, hash);
    let mut ends = [ends[0].split().unwrap(), ends[1].split().unwrap()];
    for (number, (payload, ciphertext)) in MESSAGES.iter().enumerate().skip(3) {
        let (writer, reader) = (number % 2, (number + 1) % 2);
        let mut message = unhex(payload);
        let tag = ends[writer].send.seal(&[], &mut message).unwrap();
        message.extend_from_slice(&tag);
        assert_eq!(message, unhex(ciphertext), "message {number}");
        let length = ends[reader].receive.open(&[], &mut message).unwrap();
        assert_eq!(message[..length], unhex(payload));
    }
}

/// Runs a handshake between two ends; `change` may spoil each message before it is read.
fn run(
    mut change: impl FnMut(usize, &mut Vec<u8>),
) -> Result<(SecureHandshake, SecureHandshake), Error> {
    let mut dialer = SecureHandshake::new(Role::Dialer, &static_key(1), [3; 32]);
    let mut listener = SecureHandshake::new(Role::Listener, &static_key(2), [4; 32]);
    for number in 0..3 {
        let (writer, reader) = if number == 1 {
            (&mut listener, &mut dialer)
        } else {
            (&mut dialer, &mut listener)
        };
        let mut message = vec![];
        writer.write_message(&mut message)?;
        change(number, &mut message);
        reader.read_message(&mut message)?;
    }
    Ok((dialer, listener))
}

#[test]
fn both_ends_learn_and_verify_each_other() {
    let (dialer, listener) = run(|_, _| ()).unwrap();
    assert_eq!(
        dialer.peer().unwrap().key,
        Keypair::ed25519(&[2; 32]).public()
    );
    assert_eq!(
        listener.peer().unwrap().key,
        Keypair::ed25519(&[1; 32]).public()
    );
    assert!(dialer.peer().unwrap().early_yamux && listener.peer().unwrap().early_yamux);
    assert_eq!(dialer.verify_peer(), Ok(()));
    assert_eq!(listener.verify_peer(), Ok(()));
    assert!(dialer.writes_next().is_none() && listener.writes_next().is_none());
}

#[test]
fn every_flipped_bit_of_the_sealed_messages_is_noticed() {
    for number in 1..3 {
        let mut length = 0;
        run(|n, message| {
            if n == number {
                length = message.len();
            }
        })
        .unwrap();
        for at in (0..length).step_by(7) {
            let result = run(|n, message| {
                if n == number {
                    message[at] ^= 1;
                }
            });
            assert_eq!(
                result.err(),
                Some(Error::Authentication),
                "byte {at} of message {number}"
            );
        }
    }
}

#[test]
fn every_truncated_message_is_refused() {
    for number in 0..3 {
        for length in [0, 1, 31, 32, 47, 48, 79, 80, 95, 96, 100] {
            let mut applied = false;
            let result = run(|n, message| {
                if n == number && length < message.len() {
                    message.truncate(length);
                    applied = true;
                }
            });
            if applied {
                let error = result.err().unwrap();
                assert!(
                    matches!(error, Error::TooShort | Error::Authentication),
                    "{error:?}"
                );
            }
        }
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    let small_order = [
        [0; 32],
        {
            let mut one = [0; 32];
            one[0] = 1;
            one
        },
        key("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        key("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        key("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ];
    for point in small_order {
        let result = run(|number, message| {
            if number == 0 {
                message[..32].copy_from_slice(&point);
            }
        });
        assert_eq!(result.err(), Some(Error::SmallOrderKey));
        let result = run(|number, message| {
            if number == 1 {
                message[..32].copy_from_slice(&point);
            }
        });
        assert_eq!(result.err(), Some(Error::SmallOrderKey));
    }
}

#[test]
fn a_payload_signed_for_another_static_key_is_refused() {
    let mut liar = static_key(2);
    liar.payload = static_key(5).payload;
    let mut dialer = SecureHandshake::new(Role::Dialer, &static_key(1), [3; 32]);
    let mut listener = SecureHandshake::new(Role::Listener, &liar, [4; 32]);
    let mut message = vec![];
    dialer.write_message(&mut message).unwrap();
    listener.read_message(&mut message).unwrap();
    message.clear();
    listener.write_message(&mut message).unwrap();
    dialer.read_message(&mut message).unwrap();
    assert_eq!(dialer.verify_peer(), Err(Error::Signature));
}

#[test]
fn malformed_payloads_are_refused_with_their_cause() {
    let good = static_key(1).payload;
    let without_signature = good[..38].to_vec();
    let mut rsa = good.clone();
    rsa[3] = 0;
    let unknown_fields = [&good[..], &[0x1a, 0x01, 0x00, 0x28, 0x07]].concat();
    for (payload, expected) in [
        (vec![], Some(Error::PayloadIncomplete)),
        (without_signature, Some(Error::PayloadIncomplete)),
        (rsa, Some(Error::IdentityKey)),
        (
            vec![0x0a, 0xff],
            Some(Error::Payload(DecodeError::Truncated)),
        ),
        (
            vec![0x08, 0x01],
            Some(Error::Payload(DecodeError::UnexpectedType(1))),
        ),
        (
            vec![0x20, 0x01],
            Some(Error::Payload(DecodeError::UnexpectedType(4))),
        ),
        (unknown_fields, None),
    ] {
        assert_eq!(PeerPayload::decode(&payload).err(), expected, "{payload:?}");
    }
    assert!(PeerPayload::decode(&good).unwrap().early_yamux);
    let without_extensions = &good[..good.len() - 16];
    assert!(!PeerPayload::decode(without_extensions).unwrap().early_yamux);
}

#[test]
fn messages_out_of_turn_are_refused() {
    let mut dialer = SecureHandshake::new(Role::Dialer, &static_key(1), [3; 32]);
    assert_eq!(dialer.read_message(&mut [0; 64]), Err(Error::OutOfOrder));
    assert_eq!(dialer.verify_peer(), Err(Error::OutOfOrder));
    assert!(dialer.split().is_err());
    dialer.write_message(&mut vec![]).unwrap();
    assert_eq!(dialer.write_message(&mut vec![]), Err(Error::OutOfOrder));
}

#[test]
fn replayed_transport_messages_are_refused() {
    let (dialer, listener) = run(|_, _| ()).unwrap();
    let (mut dialer, mut listener) = (dialer.split().unwrap(), listener.split().unwrap());
    let mut message = b"once".to_vec();
    let tag = dialer.send.seal(&[], &mut message).unwrap();
    message.extend_from_slice(&tag);
    let mut replay = message.clone();
    assert_eq!(listener.receive.open(&[], &mut message), Ok(4));
    assert_eq!(
        listener.receive.open(&[], &mut replay),
        Err(Error::Authentication)
    );
    assert_eq!(
        listener.receive.open(&[], &mut [0; 15]),
        Err(Error::TooShort)
    );
    dialer.send.nonce = u64::MAX;
    assert_eq!(dialer.send.seal(&[], &mut []), Err(Error::NoncesUsedUp));
}
