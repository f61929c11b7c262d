//! multistream-select 1.0.0: agreeing on a protocol by name.
//!
//! Spec: libp2p "Connections: multistream-select". Tokens are read from a contiguous buffer that may hold bytes after them; those are the
//! chosen protocol's own and stay untouched.
use crate::wire::{decode_varint, encode_varint};
use alloc::vec::Vec;

/// The version token of both sides.
const HEADER: &[u8] = b"/multistream/1.0.0";
/// A refusal.
const NOT_AVAILABLE: &[u8] = b"na";
/// Longest token, newline included; stops a peer from making us buffer without end.
pub(crate) const TOKEN_BYTES_MAX: usize = 1024;
/// How many proposals a listener refuses before it gives up; stops a peer from keeping a negotiation busy for ever.
pub(crate) const REFUSALS_MAX: u8 = 32;

/// What is wrong with the peer's side of a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A token over 1024 bytes.
    #[error("multistream token is longer than 1024 bytes")]
    TokenTooLong,
    /// A token without its newline.
    #[error("multistream token does not end in a newline")]
    NoNewline,
    /// The first token is not `/multistream/1.0.0`.
    #[error("peer does not begin with /multistream/1.0.0")]
    NoHeader,
    /// An answer that is neither the proposal nor `na`.
    #[error("peer answers a proposal with another protocol")]
    WrongAnswer,
    /// More than 32 unknown proposals.
    #[error("peer proposes more than 32 unknown protocols")]
    TooManyProposals,
}

/// Appends the token of `text`.
fn encode_token(text: &[u8], out: &mut Vec<u8>) {
    let length = text.len().saturating_add(1);
    encode_varint(u64::try_from(length).unwrap_or(u64::MAX), out);
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Decodes a token from the front of `bytes`: its text without the newline, and the bytes used.
pub(crate) fn decode_token(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Error> {
    let Some((length, used)) = decode_varint(bytes).map_err(|_| Error::TokenTooLong)? else {
        // A minimal length of at most 1024 takes two bytes.
        return if bytes.len() > 2 {
            Err(Error::TokenTooLong)
        } else {
            Ok(None)
        };
    };
    // A longer encoding of a small length is refused here too: whether it is must not depend on how the bytes were cut.
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= TOKEN_BYTES_MAX && used <= 2)
        .ok_or(Error::TokenTooLong)?;
    let end = used.saturating_add(length);
    match bytes.get(used..end) {
        None => Ok(None),
        Some([text @ .., b'\n']) => Ok(Some((text, end))),
        Some(_) => Err(Error::NoNewline),
    }
}

/// How many bytes the unfinished token in `bytes` certainly lacks; at least one.
pub(crate) fn missing_of_token(bytes: &[u8]) -> usize {
    let Ok(Some((length, used))) = decode_varint(bytes) else {
        return 1;
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    used.saturating_add(length)
        .saturating_sub(bytes.len())
        .clamp(1, TOKEN_BYTES_MAX)
}

/// How a dialer's negotiation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// More bytes are needed.
    Pending,
    /// The proposal with this index was accepted.
    Accepted(usize),
    /// No proposal was.
    Refused,
}

/// The side that proposes.
#[derive(Debug)]
pub(crate) struct Dialer {
    /// The tokens of all proposals that are not refused, one after the other.
    proposals: Vec<u8>,
    /// Where in `proposals` the current one begins, and its index.
    current: usize,
    index: usize,
    header_seen: bool,
}

impl Dialer {
    /// Proposes `protocols` in this order; writes the header and the first proposal to `out`.
    pub(crate) fn new(protocols: &[&str], out: &mut Vec<u8>) -> Self {
        let length: usize = protocols.iter().map(|text| text.len()).sum();
        let mut proposals = Vec::with_capacity(length.saturating_add(16));
        for protocol in protocols {
            encode_token(protocol.as_bytes(), &mut proposals);
        }
        let dialer = Self {
            proposals,
            current: 0,
            index: 0,
            header_seen: false,
        };
        encode_token(HEADER, out);
        if let Some((_, token)) = dialer.proposal() {
            out.extend_from_slice(token);
        }
        dialer
    }

    /// The text and the token of the current proposal.
    fn proposal(&self) -> Option<(&[u8], &[u8])> {
        let rest = self.proposals.get(self.current..)?;
        let (text, used) = decode_token(rest).ok()??;
        Some((text, rest.get(..used)?))
    }

    /// Reads answers from the front of `input`; returns the bytes used. The next proposal, if any, goes to `out`.
    pub(crate) fn handle_input(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Answer), Error> {
        let mut used = 0usize;
        while let Some((text, length)) = decode_token(input.get(used..).unwrap_or(&[]))? {
            used = used.saturating_add(length);
            if !self.header_seen {
                if text != HEADER {
                    return Err(Error::NoHeader);
                }
                self.header_seen = true;
                continue;
            }
            let Some((proposed, token)) = self.proposal() else {
                return Ok((used, Answer::Refused));
            };
            if text == proposed {
                return Ok((used, Answer::Accepted(self.index)));
            }
            if text != NOT_AVAILABLE {
                return Err(Error::WrongAnswer);
            }
            self.current = self.current.saturating_add(token.len());
            self.index = self.index.saturating_add(1);
            match self.proposal() {
                Some((_, token)) => out.extend_from_slice(token),
                None => return Ok((used, Answer::Refused)),
            }
        }
        Ok((used, Answer::Pending))
    }
}

/// The side that accepts.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    header_seen: bool,
    refusals: u8,
}

impl Listener {
    /// Reads proposals from the front of `input` until one is in `protocols`; returns the bytes used and its index. Answers go to `out`.
    pub(crate) fn handle_input<'p>(
        &mut self,
        input: &[u8],
        protocols: impl Iterator<Item = &'p str> + Clone,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<usize>), Error> {
        let mut used = 0usize;
        while let Some((text, length)) = decode_token(input.get(used..).unwrap_or(&[]))? {
            used = used.saturating_add(length);
            if !self.header_seen {
                if text != HEADER {
                    return Err(Error::NoHeader);
                }
                self.header_seen = true;
                encode_token(HEADER, out);
                continue;
            }
            if let Some(index) = protocols.clone().position(|own| own.as_bytes() == text) {
                encode_token(text, out);
                return Ok((used, Some(index)));
            }
            if self.refusals >= REFUSALS_MAX {
                return Err(Error::TooManyProposals);
            }
            self.refusals = self.refusals.saturating_add(1);
            encode_token(NOT_AVAILABLE, out);
        }
        Ok((used, None))
    }
}

#[cfg(test)]
mod tests;
