//! The part of DNS that TXT look-ups need: one question out, the TXT strings of one answer in.
//!
//! SPEC RFC 1035 4.1 (messages), 3.3.14 (TXT), RFC 6891 (EDNS0).

const TYPE_TXT: u16 = 16;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;
const HEADER_BYTES: usize = 12;
/// Largest UDP answer we ask for: fits one unfragmented packet on every path of 1280 bytes.
const UDP_PAYLOAD_BYTES: u16 = 1232;
/// TXT strings taken from one answer; a bootnode list has a few dozen.
const TXT_MAX: usize = 256;
/// Labels of a name; 255 bytes hold at most 127.
const LABELS_MAX: usize = 127;

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TxtReply {
    /// The strings, each record's parts joined.
    Strings(Vec<String>),
    /// The answer does not fit: ask again over TCP.
    Truncated,
    /// The server refuses or knows no such name.
    Refused,
}

/// Why a message is not the answer to our question; it is ignored and the wait goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed answer to this question")]
pub(crate) struct NotOurAnswer;

/// Writes a TXT question for `name`; `None` if it is not a domain name.
pub(crate) fn encode_txt_question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 32);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[0x01, 0x00]); // recursion desired
    out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]); // one question, one additional record (OPT)
    encode_name(&mut out, name)?;
    out.extend_from_slice(&TYPE_TXT.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    // SPEC RFC 6891 6.1.2: OPT pseudo-record, class = UDP payload size.
    out.push(0);
    out.extend_from_slice(&TYPE_OPT.to_be_bytes());
    out.extend_from_slice(&UDP_PAYLOAD_BYTES.to_be_bytes());
    out.extend_from_slice(&[0; 6]);
    Some(out)
}

fn encode_name(out: &mut Vec<u8>, name: &str) -> Option<()> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > 253 {
        return None;
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if length == 0 || length > 63 {
            return None;
        }
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    Some(())
}

/// Reads the answer to `question` (as made by [`encode_txt_question`]).
pub(crate) fn decode_txt_reply(question: &[u8], message: &[u8]) -> Result<TxtReply, NotOurAnswer> {
    let mut reader = Reader {
        message,
        position: 0,
    };
    let id = reader.u16()?;
    let flags = reader.u16()?;
    let questions = reader.u16()?;
    let answers = reader.u16()?;
    reader.position = HEADER_BYTES;
    let ours = question.get(..2).map(|b| b == id.to_be_bytes());
    if ours != Some(true) || flags & 0x8000 == 0 || questions != 1 {
        return Err(NotOurAnswer);
    }
    // The question must come back as sent, letter case aside.
    let start = reader.position;
    reader.skip_name()?;
    reader.skip(4)?;
    let echoed = message.get(start..reader.position).ok_or(NotOurAnswer)?;
    let sent = question.get(HEADER_BYTES..HEADER_BYTES + echoed.len());
    if !sent.is_some_and(|sent| sent.eq_ignore_ascii_case(echoed)) {
        return Err(NotOurAnswer);
    }
    if flags & 0x0200 != 0 {
        return Ok(TxtReply::Truncated);
    }
    if flags & 0x000f != 0 {
        return Ok(TxtReply::Refused);
    }
    let mut strings = Vec::new();
    for _ in 0..answers {
        if strings.len() == TXT_MAX {
            break;
        }
        strings.extend(reader.answer()?);
    }
    Ok(TxtReply::Strings(strings))
}

struct Reader<'a> {
    message: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], NotOurAnswer> {
        let end = self.position.checked_add(length).ok_or(NotOurAnswer)?;
        let bytes = self.message.get(self.position..end).ok_or(NotOurAnswer)?;
        self.position = end;
        Ok(bytes)
    }

    fn skip(&mut self, length: usize) -> Result<(), NotOurAnswer> {
        self.take(length).map(|_| ())
    }

    fn u8(&mut self) -> Result<u8, NotOurAnswer> {
        self.take(1)?.first().copied().ok_or(NotOurAnswer)
    }

    fn u16(&mut self) -> Result<u16, NotOurAnswer> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    /// Steps over a name; a compression pointer ends it (SPEC RFC 1035 4.1.4), so that no loop is possible.
    fn skip_name(&mut self) -> Result<(), NotOurAnswer> {
        for _ in 0..=LABELS_MAX {
            match self.u8()? {
                0 => return Ok(()),
                length @ 1..=63 => self.skip(usize::from(length))?,
                0xc0..=0xff => return self.skip(1),
                _ => return Err(NotOurAnswer),
            }
        }
        Err(NotOurAnswer)
    }

    /// Reads one record; `None` for every other type (a CNAME in front of the TXT records, for example).
    fn answer(&mut self) -> Result<Option<String>, NotOurAnswer> {
        self.skip_name()?;
        let kind = self.u16()?;
        let class = self.u16()?;
        self.skip(4)?; // time to live
        let length = self.u16()?;
        let data = self.take(usize::from(length))?;
        if kind != TYPE_TXT || class != CLASS_IN {
            return Ok(None);
        }
        let mut parts = Reader {
            message: data,
            position: 0,
        };
        let mut text = Vec::with_capacity(data.len());
        while parts.position < data.len() {
            let part = parts.u8()?;
            text.extend_from_slice(parts.take(usize::from(part))?);
        }
        Ok(String::from_utf8(text).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "_dnsaddr.mainnet.ethswarm.org";

    fn reply(flags: u16, records: &[(u16, &[u8])]) -> (Vec<u8>, Vec<u8>) {
        let question = encode_txt_question(0x1234, NAME).unwrap();
        let name_end = HEADER_BYTES + NAME.len() + 2 + 4;
        let mut out = question[..2].to_vec();
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&[0, 1]);
        out.extend_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&question[HEADER_BYTES..name_end]);
        for (kind, data) in records {
            out.extend_from_slice(&[0xc0, 0x0c]);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            out.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend_from_slice(data);
        }
        (question, out)
    }

    #[test]
    fn question_has_the_bytes_of_the_rfc() {
        let question = encode_txt_question(0xabcd, "a.bc").unwrap();
        let expected = [
            0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, // header
            1, b'a', 2, b'b', b'c', 0, 0, 16, 0, 1, // a.bc TXT IN
            0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0, // OPT, 1232 bytes
        ];
        assert_eq!(question, expected);
    }

    #[test]
    fn names_that_are_no_domain_names_are_refused() {
        for name in ["", ".", "a..b", &"x".repeat(64), &"abc.".repeat(80)] {
            assert_eq!(encode_txt_question(1, name), None, "{name}");
        }
    }

    #[test]
    fn parts_of_one_record_are_joined_and_other_records_skipped() {
        let (question, message) = reply(
            0x8180,
            &[
                (5, b"\x01x\x00"),
                (16, b"\x08dnsaddr=\x04/ip4"),
                (16, b"\x01z"),
            ],
        );
        assert_eq!(
            decode_txt_reply(&question, &message),
            Ok(TxtReply::Strings(vec!["dnsaddr=/ip4".into(), "z".into()]))
        );
    }

    #[test]
    fn truncation_and_refusal_are_told_apart() {
        let (question, message) = reply(0x8380, &[]);
        assert_eq!(
            decode_txt_reply(&question, &message),
            Ok(TxtReply::Truncated)
        );
        let (question, message) = reply(0x8183, &[]);
        assert_eq!(decode_txt_reply(&question, &message), Ok(TxtReply::Refused));
    }

    #[test]
    fn answers_to_other_questions_are_not_ours() {
        let (question, message) = reply(0x8180, &[(16, b"\x01z")]);
        let mut other_id = message.clone();
        other_id[0] ^= 1;
        let mut other_name = message.clone();
        other_name[14] ^= 1;
        let mut a_query = message;
        a_query[2] &= 0x7f;
        for bad in [other_id, other_name, a_query] {
            assert_eq!(decode_txt_reply(&question, &bad), Err(NotOurAnswer));
        }
    }

    #[test]
    fn every_truncated_prefix_is_refused_without_panic() {
        let (question, message) = reply(0x8180, &[(16, b"\x08dnsaddr=\x04/ip4"), (16, b"\x01z")]);
        for end in 0..message.len() {
            assert_eq!(
                decode_txt_reply(&question, &message[..end]),
                Err(NotOurAnswer),
                "{end}"
            );
        }
    }
}
