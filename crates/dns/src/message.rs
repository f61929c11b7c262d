//! DNS messages: one question out, one answer in.
//!
//! Spec: RFC 1035 4, RFC 6891 (EDNS).
use crate::name::Name;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// UDP payload that answers may have: the size that the DNS flag day 2020 settled on, because it is never fragmented.
const UDP_BYTES_MAX: u16 = 1232;
/// Records of an answer that are looked at; a hostile one may count 65,535.
const RECORDS_MAX: usize = 128;
/// Aliases followed within one answer.
const ALIASES_MAX: usize = 8;
/// Bytes of one TXT record; a record may have 64 KiB, a multiaddress has some 100.
const TEXT_BYTES_MAX: usize = 4096;

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_TXT: u16 = 16;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;
const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_TRUNCATED: u16 = 0x0200;
const FLAG_RECURSION_DESIRED: u16 = 0x0100;
const OPCODE: u16 = 0x7800;
const RCODE: u16 = 0x000f;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses (A).
    Address,
    /// Texts (TXT).
    Text,
}

impl Kind {
    const fn code(self) -> u16 {
        match self {
            Self::Address => TYPE_A,
            Self::Text => TYPE_TXT,
        }
    }
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A records.
    Addresses(Vec<Ipv4Addr>),
    /// TXT records, the strings of each joined; those that are not sound UTF-8 are left out.
    Texts(Vec<String>),
    /// The name is another name for this one, whose records are not here.
    Alias(Name),
    /// There is no such name, or it has no such records.
    Nothing,
    /// Ask again over TCP.
    Truncated,
    /// The server did not understand the question.
    NotUnderstood,
    /// The server cannot or will not answer.
    Failed,
}

/// Why a message is no reply to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It answers something else, or nothing: someone guesses, or it is late.
    NotOurs,
    /// It answers the question and is broken.
    Malformed,
}

/// Appends a question to `out`.
pub fn encode(id: u16, name: &Name, kind: Kind, with_edns: bool, out: &mut Vec<u8>) {
    let extra = u16::from(with_edns);
    for field in [id, FLAG_RECURSION_DESIRED, 1, 0, 0, extra] {
        out.extend(field.to_be_bytes());
    }
    out.extend(name.as_wire());
    out.extend(kind.code().to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    if with_edns {
        // SPEC RFC 6891 6.1.2: the root's name, OPT, payload size, no extended code, version 0, no flags, no options.
        out.push(0);
        out.extend(TYPE_OPT.to_be_bytes());
        out.extend(UDP_BYTES_MAX.to_be_bytes());
        out.extend([0; 6]);
    }
}

/// Reads an answer to the question (`id`, `name`, `kind`).
///
/// # Errors
/// [`DecodeError::NotOurs`] unless id and question match; [`DecodeError::Malformed`] if what follows cannot be read.
pub fn decode(message: &[u8], id: u16, name: &Name, kind: Kind) -> Result<Reply, DecodeError> {
    let mut reader = Reader { message, at: 0 };
    let is_question_ours = |reader: &mut Reader<'_>| -> Option<(u16, u16)> {
        let (got, flags) = (reader.u16()?, reader.u16()?);
        let (questions, answers) = (reader.u16()?, reader.u16()?);
        reader.at = HEADER_BYTES;
        let is_ours = got == id
            && flags & FLAG_RESPONSE != 0
            && flags & OPCODE == 0
            && questions == 1
            && reader.name()? == *name
            && reader.u16()? == kind.code()
            && reader.u16()? == CLASS_IN;
        is_ours.then_some((flags, answers))
    };
    let (flags, answers) = is_question_ours(&mut reader).ok_or(DecodeError::NotOurs)?;
    if flags & FLAG_TRUNCATED != 0 {
        return Ok(Reply::Truncated);
    }
    match flags & RCODE {
        0 => {}
        3 => return Ok(Reply::Nothing),
        1 | 4 => return Ok(Reply::NotUnderstood),
        _ => return Ok(Reply::Failed),
    }
    let count = usize::from(answers).min(RECORDS_MAX);
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(reader.record().ok_or(DecodeError::Malformed)?);
    }
    pick(message, &records, name, kind).ok_or(DecodeError::Malformed)
}

/// Picks the records of `name`, or of the name that it is an alias of.
fn pick(message: &[u8], records: &[Record<'_>], name: &Name, kind: Kind) -> Option<Reply> {
    let mut name = name.clone();
    for aliases in 0..=ALIASES_MAX {
        let of_name = || records.iter().filter(|r| r.owner == name);
        let mut found = of_name().filter(|r| r.kind == kind.code()).peekable();
        if found.peek().is_some() {
            return Some(match kind {
                Kind::Address => {
                    let bytes = found.map(|r| <[u8; 4]>::try_from(r.data).ok());
                    Reply::Addresses(
                        bytes
                            .map(|b| b.map(Ipv4Addr::from))
                            .collect::<Option<_>>()?,
                    )
                }
                Kind::Text => Reply::Texts(found.filter_map(|r| text(r.data)).collect()),
            });
        }
        let Some(alias) = of_name().find(|r| r.kind == TYPE_CNAME) else {
            return Some(if aliases == 0 {
                Reply::Nothing
            } else {
                Reply::Alias(name)
            });
        };
        let at = alias.data_at;
        let mut reader = Reader { message, at };
        name = reader.name()?;
    }
    None
}

/// Joins the strings of a TXT record; `None` if they are not sound UTF-8.
fn text(mut data: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(length))?;
        if bytes.len().saturating_add(string.len()) > TEXT_BYTES_MAX {
            return None;
        }
        bytes.extend(string);
        data = rest;
    }
    String::from_utf8(bytes).ok()
}

/// A resource record of class IN (others have kind 0).
struct Record<'a> {
    owner: Name,
    kind: u16,
    data: &'a [u8],
    data_at: usize,
}

/// Reads a message from front to back.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn name(&mut self) -> Option<Name> {
        let (name, next) = Name::decode(self.message, self.at)?;
        self.at = next;
        Some(name)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let owner = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        self.take(4)?; // time to live: a boot is shorter
        let length = usize::from(self.u16()?);
        let data_at = self.at;
        let data = self.take(length)?;
        Some(Record {
            owner,
            kind: if class == CLASS_IN { kind } else { 0 },
            data,
            data_at,
        })
    }
}

#[cfg(test)]
mod tests;
