use super::*;
use alloc::vec;
use std::string::ToString;

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

/// A question for `_dnsaddr.example.org` and `records` after it.
fn answer(flags: u16, count: u16, records: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [0x1234, flags, 1, count, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    message.extend(name("_dnsaddr.example.org").as_wire());
    message.extend([0, 16, 0, 1]);
    message.extend(records);
    message
}

fn txt(strings: &[&[u8]]) -> Vec<u8> {
    let data: Vec<u8> = strings
        .iter()
        .flat_map(|s| [&[u8::try_from(s.len()).expect("short")][..], s].concat())
        .collect();
    record(0xc00c, 16, 1, &data)
}

fn record(owner: u16, kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_be_bytes().to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(class.to_be_bytes());
    bytes.extend([0, 0, 0, 60]);
    bytes.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
    bytes.extend(data);
    bytes
}

fn read(message: &[u8]) -> Result<Reply, DecodeError> {
    decode(message, 0x1234, &name("_dnsaddr.example.org"), Kind::Text)
}

const OK: u16 = 0x8180;

#[test]
fn a_question_is_written_byte_by_byte() {
    let mut out = Vec::new();
    encode(0x1234, &name("a.bc"), Kind::Text, false, &mut out);
    assert_eq!(
        out,
        b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x10\0\x01"
    );
    let plain = out.len();
    out.clear();
    encode(0x1234, &name("a.bc"), Kind::Address, true, &mut out);
    assert_eq!(out[..12], *b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01");
    assert_eq!(out[plain..], *b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
}

#[test]
fn strings_of_one_record_are_joined_and_records_are_kept_apart() {
    let message = answer(
        OK,
        2,
        &[txt(&[b"dnsaddr=", b"/ip4/1.2.3.4"]), txt(&[b"x"])].concat(),
    );
    let texts = vec!["dnsaddr=/ip4/1.2.3.4".to_string(), "x".to_string()];
    assert_eq!(read(&message), Ok(Reply::Texts(texts)));
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let message = answer(
        OK,
        2,
        &[txt(&[b"dnsaddr=", b"/ip4/1.2.3.4"]), txt(&[b"x"])].concat(),
    );
    for end in 0..message.len() {
        assert!(read(&message[..end]).is_err(), "{end}");
    }
    for at in 0..message.len() {
        for value in 0..=255 {
            let mut changed = message.clone();
            changed[at] = value;
            let _ = read(&changed);
        }
    }
}

#[test]
fn what_answers_another_question_is_not_ours() {
    let good = answer(OK, 1, &txt(&[b"x"]));
    assert!(read(&good).is_ok());
    let mut bad = good.clone();
    bad[1] ^= 1;
    assert_eq!(read(&bad), Err(DecodeError::NotOurs), "id");
    let mut bad = good.clone();
    bad[2] &= 0x7f;
    assert_eq!(read(&bad), Err(DecodeError::NotOurs), "a question");
    let mut bad = good.clone();
    bad[5] = 2;
    assert_eq!(read(&bad), Err(DecodeError::NotOurs), "two questions");
    let other = name("_dnsaddr.example.com");
    assert_eq!(
        decode(&good, 0x1234, &other, Kind::Text),
        Err(DecodeError::NotOurs)
    );
    let same = name("_dnsaddr.example.org");
    assert_eq!(
        decode(&good, 0x1234, &same, Kind::Address),
        Err(DecodeError::NotOurs)
    );
}

#[test]
fn codes_of_the_server_are_told_apart() {
    for (flags, reply) in [
        (0x8183, Reply::Nothing),
        (0x8182, Reply::Failed),
        (0x8185, Reply::Failed),
        (0x8181, Reply::NotUnderstood),
        (0x8184, Reply::NotUnderstood),
        (0x8380, Reply::Truncated),
        (OK, Reply::Nothing),
    ] {
        assert_eq!(read(&answer(flags, 0, &[])), Ok(reply), "{flags:x}");
    }
}

#[test]
fn records_of_other_names_types_and_classes_do_not_count() {
    // A record of the root, whose name is the zero byte that ends the question's name.
    let root = 0xc000 | u16::try_from(12 + 21).expect("small");
    let stray = [
        record(root, 16, 1, b"\x04evil"),
        record(0xc00c, 1, 1, &[6, 6, 6, 6]),
        record(0xc00c, 16, 3, b"\x04evil"),
        txt(&[b"good"]),
    ];
    let message = answer(OK, 4, &stray.concat());
    assert_eq!(read(&message), Ok(Reply::Texts(vec!["good".to_string()])));
}

#[test]
fn aliases_are_followed_and_loops_end() {
    let target = b"\x01b\xc0\x15"; // b.example.org
    let alias = record(0xc00c, 5, 1, target);
    assert_eq!(
        read(&answer(OK, 1, &alias)),
        Ok(Reply::Alias(name("b.example.org")))
    );
    let at = 0xc000 | u16::try_from(12 + 22 + 4 + 12).expect("small");
    let data = record(at, 16, 1, b"\x01x");
    let both = answer(OK, 2, &[alias, data].concat());
    assert_eq!(read(&both), Ok(Reply::Texts(vec!["x".to_string()])));
    let itself = record(0xc00c, 5, 1, b"\xc0\x0c");
    assert_eq!(read(&answer(OK, 1, &itself)), Err(DecodeError::Malformed));
}

#[test]
fn broken_texts_are_left_out_and_an_address_of_five_bytes_is_malformed() {
    let broken = [
        txt(&[b"\xff\xfe"]),
        record(0xc00c, 16, 1, b"\x09abc"),
        txt(&[b"good"]),
    ];
    assert_eq!(
        read(&answer(OK, 3, &broken.concat())),
        Ok(Reply::Texts(vec!["good".to_string()]))
    );

    let mut question = Vec::new();
    encode(7, &name("a.b"), Kind::Address, false, &mut question);
    question[2..4].copy_from_slice(&OK.to_be_bytes());
    question[7] = 1;
    let five = [&question[..], &record(0xc00c, 1, 1, &[1; 5])].concat();
    assert_eq!(
        decode(&five, 7, &name("a.b"), Kind::Address),
        Err(DecodeError::Malformed)
    );
    let four = [&question[..], &record(0xc00c, 1, 1, &[1; 4])].concat();
    let addresses = Reply::Addresses(vec![[1, 1, 1, 1].into()]);
    assert_eq!(decode(&four, 7, &name("a.b"), Kind::Address), Ok(addresses));
}
