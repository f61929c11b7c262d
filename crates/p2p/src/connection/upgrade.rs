//! From a bare byte stream to an encrypted, multiplexed connection.
//!
//! Spec: libp2p "Connections: Upgrading Connections", noise-libp2p, and its early muxer negotiation ("inlined muxer negotiation").
use super::{Config, Error, Role};
use crate::multistream::{self, Answer};
use crate::noise::{self, SecureHandshake, Transport};
use crate::{Instant, PeerId, PublicKey};
use alloc::vec::Vec;
use core::time::Duration;

const NOISE: &str = "/noise";
const YAMUX: &str = "/yamux/1.0.0";

/// A finished upgrade.
pub(super) struct Done {
    pub(super) role: Role,
    pub(super) transport: Transport,
    pub(super) peer: PublicKey,
    pub(super) peer_id: PeerId,
    /// Decrypted bytes that belong to the multiplexer.
    pub(super) plaintext: Vec<u8>,
    pub(super) round_trip: Option<Duration>,
}

enum Negotiation {
    Dialer(multistream::Dialer),
    Listener(multistream::Listener),
}

impl Negotiation {
    fn new(role: Role, protocol: &str, out: &mut Vec<u8>) -> Self {
        match role {
            Role::Dialer => Self::Dialer(multistream::Dialer::new(&[protocol], out)),
            Role::Listener => Self::Listener(multistream::Listener::default()),
        }
    }

    /// Returns the bytes used and whether the one protocol was accepted (`Some(false)`: refused).
    fn handle_input(
        &mut self,
        input: &[u8],
        protocol: &str,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<bool>), multistream::Error> {
        match self {
            Self::Dialer(dialer) => {
                let (used, answer) = dialer.handle_input(input, out)?;
                let accepted = match answer {
                    Answer::Pending => None,
                    Answer::Accepted(_) => Some(true),
                    Answer::Refused => Some(false),
                };
                Ok((used, accepted))
            }
            Self::Listener(listener) => {
                let protocols = core::iter::once(protocol);
                let (used, index) = listener.handle_input(input, protocols, out)?;
                Ok((used, index.map(|_| true)))
            }
        }
    }
}

enum Step {
    Security(Negotiation),
    Handshake,
    /// Only with peers that do not negotiate the muxer early.
    Muxer {
        transport: Transport,
        negotiation: Negotiation,
        pending: Vec<u8>,
    },
    Done,
}

/// The upgrade in progress. Messages are tokens first, then Noise messages.
pub(super) struct Upgrade {
    role: Role,
    step: Step,
    handshake: SecureHandshake,
    expected_peer: Option<PeerId>,
    peer: Option<(PublicKey, PeerId)>,
    started: Instant,
    round_trip: Option<Duration>,
}

impl Upgrade {
    /// Starts; a dialer's first packet goes to `out`: header, proposal and, without waiting, the first Noise message.
    pub(super) fn new(role: Role, config: &Config, now: Instant, out: &mut Vec<u8>) -> Self {
        let mut handshake =
            SecureHandshake::new(role, &config.noise_static, config.noise_ephemeral);
        let negotiation = Negotiation::new(role, NOISE, out);
        if role == Role::Dialer {
            let written = write_message(&mut handshake, out);
            debug_assert!(
                written.is_ok(),
                "the first message needs nothing of the peer"
            );
        }
        Self {
            role,
            step: Step::Security(negotiation),
            handshake,
            expected_peer: config.expected_peer.clone(),
            peer: None,
            started: now,
            round_trip: None,
        }
    }

    /// How many bytes the current message certainly lacks; zero when it is complete.
    pub(super) fn wanted(&self, message: &[u8]) -> Result<usize, Error> {
        match self.step {
            // One byte at a time until the length is known: what follows the last token is not ours to take.
            Step::Security(_) => match multistream::decode_token(message)? {
                Some(_) => Ok(0),
                None => Ok(multistream::missing_of_token(message)),
            },
            Step::Handshake => wanted_of_message(message, noise::HANDSHAKE_BYTES_MAX),
            Step::Muxer { .. } | Step::Done => wanted_of_message(message, usize::MAX),
        }
    }

    /// Acts on a complete message.
    pub(super) fn handle_message(
        &mut self,
        now: Instant,
        message: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Done>, Error> {
        match &mut self.step {
            Step::Security(negotiation) => {
                match negotiation.handle_input(message, NOISE, out)?.1 {
                    None => {}
                    Some(true) => self.step = Step::Handshake,
                    Some(false) => return Err(Error::SecurityRefused),
                }
                Ok(None)
            }
            Step::Handshake => {
                if self.role == Role::Dialer {
                    self.round_trip = Some(now.saturating_since(self.started));
                }
                let body = message.get_mut(2..).unwrap_or(&mut []);
                self.handle_handshake(body, out)
            }
            Step::Muxer {
                transport,
                negotiation,
                pending,
            } => {
                let sealed = message.get_mut(2..).unwrap_or(&mut []);
                let length = transport.receive.open(&[], sealed)?;
                pending.extend_from_slice(sealed.get(..length).unwrap_or(&[]));
                let mut answer = Vec::new();
                let (used, accepted) = negotiation.handle_input(pending, YAMUX, &mut answer)?;
                if !answer.is_empty() {
                    seal_message(transport, &answer, out)?;
                }
                pending.drain(..used.min(pending.len()));
                match accepted {
                    None => Ok(None),
                    Some(false) => Err(Error::MuxerRefused),
                    Some(true) => self.finish().map(Some),
                }
            }
            Step::Done => Err(Error::Internal),
        }
    }

    fn handle_handshake(
        &mut self,
        message: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Done>, Error> {
        self.handshake.read_message(message)?;
        if let Some(payload) = self.handshake.peer() {
            let actual = payload.key.peer_id();
            // The cheap check first; a wrong peer is refused either way.
            if let Some(expected) = &self.expected_peer
                && *expected != actual
            {
                return Err(Error::PeerMismatch {
                    expected: expected.clone(),
                    actual,
                });
            }
            self.peer = Some((payload.key.clone(), actual));
            self.handshake.verify_peer()?;
        }
        if self.handshake.writes_next() == Some(true) {
            write_message(&mut self.handshake, out)?;
        }
        if self.handshake.writes_next().is_some() {
            return Ok(None);
        }
        let early_yamux = self.handshake.early_yamux();
        let mut transport = self.handshake.split()?;
        let mut proposal = Vec::new();
        let negotiation = Negotiation::new(self.role, YAMUX, &mut proposal);
        if !early_yamux && !proposal.is_empty() {
            seal_message(&mut transport, &proposal, out)?;
        }
        self.step = Step::Muxer {
            transport,
            negotiation,
            pending: Vec::new(),
        };
        // SPEC "Inlined Muxer Negotiation": both listed it, so both skip the negotiation.
        if early_yamux {
            self.finish().map(Some)
        } else {
            Ok(None)
        }
    }

    fn finish(&mut self) -> Result<Done, Error> {
        let step = core::mem::replace(&mut self.step, Step::Done);
        let (
            Step::Muxer {
                transport, pending, ..
            },
            Some((peer, peer_id)),
        ) = (step, self.peer.take())
        else {
            return Err(Error::Internal);
        };
        Ok(Done {
            role: self.role,
            transport,
            peer,
            peer_id,
            plaintext: pending,
            round_trip: self.round_trip,
        })
    }
}

/// How many bytes a Noise message with its two bytes of length lacks; zero when it is complete.
// SPEC noise-libp2p "Wire Format".
pub(super) fn wanted_of_message(message: &[u8], limit: usize) -> Result<usize, Error> {
    let Some(prefix) = message.first_chunk::<2>() else {
        return Ok(2usize.saturating_sub(message.len()));
    };
    let length = usize::from(u16::from_be_bytes(*prefix));
    if length > limit {
        return Err(Error::Noise(noise::Error::TooLong));
    }
    Ok(length.saturating_add(2).saturating_sub(message.len()))
}

/// Appends the handshake's next message with its length.
fn write_message(handshake: &mut SecureHandshake, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    handshake.write_message(out)?;
    put_length(out, start)
}

/// Appends `plaintext` as one transport message with its length.
fn seal_message(
    transport: &mut Transport,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(plaintext);
    let body = out.get_mut(start.saturating_add(2)..).unwrap_or(&mut []);
    let tag = transport.send.seal(&[], body)?;
    out.extend_from_slice(&tag);
    put_length(out, start)
}

/// Writes the length of what follows the two bytes at `start`.
fn put_length(out: &mut [u8], start: usize) -> Result<(), Error> {
    let message = out.get_mut(start..).unwrap_or(&mut []);
    let (prefix, body) = message
        .split_first_chunk_mut::<2>()
        .ok_or(Error::Internal)?;
    let length = u16::try_from(body.len()).map_err(|_| Error::Noise(noise::Error::TooLong))?;
    *prefix = length.to_be_bytes();
    Ok(())
}
