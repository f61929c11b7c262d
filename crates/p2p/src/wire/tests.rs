use super::*;
use proptest::prelude::*;
use std::vec;

/// The Swarm handshake's Ack shape: it has every wire form that is used.
#[derive(Clone, PartialEq, prost::Message)]
struct Oracle {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
    #[prost(uint64, tag = "2")]
    number: u64,
    #[prost(bool, tag = "3")]
    flag: bool,
    #[prost(string, repeated, tag = "4")]
    texts: Vec<std::string::String>,
    #[prost(int64, tag = "5")]
    signed: i64,
    #[prost(fixed64, tag = "6")]
    wide: u64,
    #[prost(fixed32, tag = "7")]
    narrow: u32,
    #[prost(string, tag = "99")]
    welcome: std::string::String,
}

#[test]
fn varints_have_the_bytes_of_the_specification() {
    for (value, bytes) in [
        (0u64, &[0x00][..]),
        (1, &[0x01]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (300, &[0xac, 0x02]),
        (16384, &[0x80, 0x80, 0x01]),
        (
            u64::MAX,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
    ] {
        let mut out = Vec::new();
        encode_varint(value, &mut out);
        assert_eq!(out, bytes);
        assert_eq!(varint_len(value), bytes.len());
        assert_eq!(decode_varint(bytes), Ok(Some((value, bytes.len()))));
        for cut in 0..bytes.len() {
            assert_eq!(decode_varint(&bytes[..cut]), Ok(None));
        }
    }
}

#[test]
fn varints_over_64_bits_are_refused() {
    for bytes in [
        &[0xff; 10][..],
        &[0x80; 11],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    ] {
        assert_eq!(decode_varint(bytes), Err(DecodeError::VarintTooLong));
    }
}

#[test]
fn a_length_over_the_limit_is_refused_before_its_bytes_arrive() {
    assert_eq!(
        decode_delimited(&[0x81, 0x08], 1024),
        Err(DecodeError::TooLong {
            length: 1025,
            limit: 1024
        })
    );
    assert_eq!(
        decode_delimited(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            usize::MAX
        ),
        if usize::BITS == 64 {
            Ok(None)
        } else {
            unreachable!()
        }
    );
    assert_eq!(decode_delimited(&[0x80, 0x08], 1024), Ok(None));
    assert_eq!(
        decode_delimited(&[2, 7, 8, 9], 2),
        Ok(Some((&[7, 8][..], 3)))
    );
}

#[test]
fn malformed_messages_are_refused_with_their_cause() {
    for (bytes, error) in [
        (&[0x00, 0x01][..], DecodeError::FieldNumber),
        (
            &[0xf8, 0xff, 0xff, 0xff, 0x1f, 0x00],
            DecodeError::FieldNumber,
        ),
        (&[0x0b], DecodeError::WireType(3)),
        (&[0x0c], DecodeError::WireType(4)),
        (&[0x0e], DecodeError::WireType(6)),
        (&[0x0f], DecodeError::WireType(7)),
        (&[0x0a, 0x02, 0x00], DecodeError::Truncated),
        (&[0x0a], DecodeError::Truncated),
        (&[0x08], DecodeError::Truncated),
        (&[0x80], DecodeError::Truncated),
        (&[0x09, 1, 2, 3, 4, 5, 6, 7], DecodeError::Truncated),
        (&[0x0d, 1, 2, 3], DecodeError::Truncated),
        (
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
            DecodeError::Truncated,
        ),
    ] {
        let mut fields = Fields::new(bytes);
        assert_eq!(fields.next(), Some(Err(error)), "{bytes:?}");
        assert_eq!(fields.next(), None);
    }
    let field = Fields::new(&[0x0a, 1, 0xff]).next().unwrap().unwrap();
    assert_eq!(field.text(), Err(DecodeError::NotText(1)));
    assert_eq!(field.varint(), Err(DecodeError::UnexpectedType(1)));
    let field = Fields::new(&[0x10, 1]).next().unwrap().unwrap();
    assert_eq!(field.bytes(), Err(DecodeError::UnexpectedType(2)));
}

fn decode(bytes: &[u8]) -> Oracle {
    let mut message = Oracle::default();
    for field in Fields::new(bytes) {
        let field = field.unwrap();
        match (field.number, field.value) {
            (1, _) => message.data = field.bytes().unwrap().to_vec(),
            (2, _) => message.number = field.varint().unwrap(),
            (3, _) => message.flag = field.bool().unwrap(),
            (4, _) => message.texts.push(field.text().unwrap().into()),
            (5, _) => message.signed = field.int64().unwrap(),
            (6, Value::Fixed64(value)) => message.wide = value,
            (7, Value::Fixed32(value)) => message.narrow = value,
            (99, _) => message.welcome = field.text().unwrap().into(),
            other => panic!("{other:?}"),
        }
    }
    message
}

proptest! {
    #[test]
    fn reads_and_writes_what_prost_does(
        data: Vec<u8>, number: u64, flag: bool, texts in prop::collection::vec(".{0,12}", 0..4),
        signed: i64, wide: u64, narrow: u32, welcome in ".{0,20}",
    ) {
        use prost::Message;
        let message = Oracle { data, number, flag, texts, signed, wide, narrow, welcome };
        prop_assert_eq!(&decode(&message.encode_to_vec()), &message);
        let mut out = vec![];
        let mut writer = Writer::new(&mut out);
        writer.bytes(1, &message.data);
        writer.varint(2, message.number);
        writer.varint(3, u64::from(message.flag));
        for text in &message.texts {
            writer.bytes(4, text.as_bytes());
        }
        writer.int64(5, message.signed);
        writer.bytes(99, message.welcome.as_bytes());
        let expected = Oracle { wide: 0, narrow: 0, ..message };
        prop_assert_eq!(Oracle::decode(&out[..]).unwrap(), expected);
    }

    #[test]
    fn arbitrary_bytes_end_in_fields_or_one_error(bytes: Vec<u8>) {
        let fields: Vec<_> = Fields::new(&bytes).collect();
        prop_assert!(fields.iter().rev().skip(1).all(Result::is_ok));
        prop_assert!(fields.len() <= bytes.len());
    }
}
