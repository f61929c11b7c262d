//! The handshake, dialer's side.
//!
//! SPEC swarm-wire 3.
use super::{Local, Session, SessionEvent};
use crate::config::Generation;
use crate::error::DropReason;
use crate::messages::{
    Ack, AddressRecord, Syn, SynAck, Version, decode_underlays, encode_underlays, protocol,
};
use alloc::string::String;
use alloc::vec::Vec;
use bmt::Overlay;
use p2p::{Instant, Multiaddr, PeerId, Protocol, StreamId};

/// Timestamp of our record: a moment that is in nobody's future.
///
/// Peers refuse records from the future and never store those of light nodes, so a fixed past second is right whatever the local
/// clock says (SPEC swarm-wire 3.5).
const RECORD_TIMESTAMP: i64 = 1_735_689_600;

/// How far the handshake is.
pub(super) enum Handshake {
    /// Noise and Yamux come first.
    Securing,
    /// The peer chooses the version; our Syn follows by itself.
    Negotiating { stream: StreamId },
    /// Syn sent.
    AwaitSynAck { stream: StreamId, version: Version },
    /// Ack sent; the peer closes the stream when it has accepted us.
    AwaitEnd {
        stream: StreamId,
        overlay: Overlay,
        observed: Option<Multiaddr>,
    },
    /// Done.
    Complete,
}

impl Handshake {
    pub(super) const fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Securing | Self::Complete => None,
            Self::Negotiating { stream }
            | Self::AwaitSynAck { stream, .. }
            | Self::AwaitEnd { stream, .. } => Some(*stream),
        }
    }
}

/// Versions to propose, the preferred one first.
const fn proposals(generation: Generation) -> &'static [Version] {
    match generation {
        Generation::Auto => &[Version::V15, Version::V14],
        Generation::V14 => &[Version::V14],
        Generation::V15 => &[Version::V15],
    }
}

impl Session {
    pub(super) fn start_handshake(
        &mut self,
        now: Instant,
        peer: PeerId,
        local: &Local,
        out: &mut Vec<SessionEvent>,
    ) {
        // SPEC swarm-wire 3.6: the address we dialed, with the peer's id.
        if self.dialed.peer_id().is_none() {
            let mut parts = self.dialed.parts().to_vec();
            parts.push(Protocol::P2p(peer));
            self.dialed = Multiaddr::new(parts);
        }
        let syn = Syn {
            observed_underlay: self.dialed.encode(),
        };
        let ids: Vec<&str> = proposals(local.generation)
            .iter()
            .map(|version| match version {
                Version::V14 => protocol::HANDSHAKE_14,
                Version::V15 => protocol::HANDSHAKE_15,
            })
            .collect();
        match self.link.open(now, &ids, &syn.encode()) {
            Ok(stream) => self.handshake = Handshake::Negotiating { stream },
            Err(error) => self.fail(DropReason::Connection(error), out),
        }
    }

    pub(super) fn handshake_negotiated(&mut self, index: usize, local: &Local) {
        if let (Handshake::Negotiating { stream }, Some(version)) =
            (&self.handshake, proposals(local.generation).get(index))
        {
            self.version = Some(*version);
            self.handshake = Handshake::AwaitSynAck {
                stream: *stream,
                version: *version,
            };
        }
    }

    pub(super) fn handshake_progress(&mut self, local: &Local, out: &mut Vec<SessionEvent>) {
        let Handshake::AwaitSynAck { stream, version } = self.handshake else {
            return;
        };
        let message = match SynAck::decode(version, self.link.received(stream)) {
            Ok(None) => return,
            Ok(Some((message, used))) => {
                self.link.consume(stream, used);
                message
            }
            Err(error) => return self.fail_message(version.handshake(), error, out),
        };
        if let Err(reason) = check(&message.ack, version, local) {
            return self.fail(reason, out);
        }
        let observed = decode_underlays(&message.syn.observed_underlay).next();
        let ack = self.our_ack(version, observed.clone(), local);
        if self.link.write(stream, &ack.encode(version)).is_err() {
            return self.fail(DropReason::HandshakeRefused, out);
        }
        self.link.close_write(stream);
        self.handshake = Handshake::AwaitEnd {
            stream,
            overlay: message.ack.record.overlay,
            observed,
        };
    }

    pub(super) fn handshake_ended(&mut self, reset: bool, out: &mut Vec<SessionEvent>) {
        match core::mem::replace(&mut self.handshake, Handshake::Complete) {
            Handshake::AwaitEnd {
                overlay, observed, ..
            } if !reset => {
                self.handshake_deadline = None;
                let version = self.version.unwrap_or(Version::V15);
                out.push(SessionEvent::Handshaken {
                    overlay,
                    version,
                    observed,
                });
            }
            _ => self.fail(DropReason::HandshakeRefused, out),
        }
    }

    /// Our own side. We listen nowhere, so our underlay is what the peer says it sees, as bee itself does.
    fn our_ack(&self, version: Version, observed: Option<Multiaddr>, local: &Local) -> Ack {
        let underlay = observed.unwrap_or_else(|| {
            Multiaddr::new(alloc::vec![
                Protocol::Ip4(core::net::Ipv4Addr::UNSPECIFIED),
                Protocol::Tcp(0),
                Protocol::P2p(local.peer_id.clone()),
            ])
        });
        Ack {
            record: AddressRecord::sign(
                version,
                &local.key,
                local.network_id,
                [0; 32],
                RECORD_TIMESTAMP,
                encode_underlays(&[underlay]),
            ),
            network_id: local.network_id,
            full_node: false,
            welcome: String::new(),
        }
    }
}

/// Decides whether we want to talk to the node behind `ack`.
fn check(ack: &Ack, version: Version, local: &Local) -> Result<(), DropReason> {
    if ack.network_id != local.network_id {
        return Err(DropReason::OtherNetwork {
            theirs: ack.network_id,
            ours: local.network_id,
        });
    }
    ack.record
        .verify(version, local.network_id)
        .map_err(DropReason::Record)?;
    if !ack.full_node {
        return Err(DropReason::LightNode);
    }
    Ok(())
}
