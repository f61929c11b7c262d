//! Streams the peer opens: pricing, hive, status. One message each.
use super::{INBOUND_MAX, INBOUND_TIMEOUT, SERVED, Session, SessionEvent};
use crate::error::DropReason;
use crate::messages::{
    AnnouncePaymentThreshold, EMPTY_HEADERS, MessageError, Peers, Snapshot, StatusGet, Version,
    decode_headers, protocol,
};
use alloc::string::String;
use alloc::vec::Vec;
use p2p::{Instant, StreamId};

/// One inbound stream.
pub(super) struct Inbound {
    protocol: &'static str,
    headers_read: bool,
    pub(super) deadline: Instant,
}

impl Session {
    pub(super) fn accept(
        &mut self,
        now: Instant,
        stream: StreamId,
        index: usize,
        out: &mut Vec<SessionEvent>,
    ) {
        match SERVED.get(index) {
            Some(protocol) if self.inbound.len() < INBOUND_MAX => {
                let inbound = Inbound {
                    protocol,
                    headers_read: false,
                    deadline: now + INBOUND_TIMEOUT,
                };
                self.inbound.insert(stream, inbound);
                self.inbound_progress(stream, out);
            }
            Some(_) | None => self.link.reset(stream),
        }
    }

    pub(super) fn inbound_progress(&mut self, stream: StreamId, out: &mut Vec<SessionEvent>) {
        let Some(inbound) = self.inbound.get_mut(&stream) else {
            return;
        };
        let protocol = inbound.protocol;
        if !inbound.headers_read {
            match decode_headers(self.link.received(stream)) {
                Ok(None) => return,
                Ok(Some(used)) => {
                    inbound.headers_read = true;
                    self.link.consume(stream, used);
                    // A failed write means that the stream is gone, which is reported by itself.
                    let _ = self.link.write(stream, &EMPTY_HEADERS);
                }
                Err(error) => return self.fail_message(protocol, error, out),
            }
        }
        match self.inbound_message(protocol, stream, out) {
            Ok(None) => {}
            Ok(Some(used)) => {
                self.link.consume(stream, used);
                // SPEC swarm-wire 2: the peer waits for our end of the stream.
                self.link.close_write(stream);
                self.inbound.remove(&stream);
            }
            Err(error) => self.fail_message(protocol, error, out),
        }
    }

    fn inbound_message(
        &mut self,
        protocol: &'static str,
        stream: StreamId,
        out: &mut Vec<SessionEvent>,
    ) -> Result<Option<usize>, MessageError> {
        let received = self.link.received(stream);
        match protocol {
            protocol::PRICING => {
                let decoded = AnnouncePaymentThreshold::decode(received)?;
                Ok(decoded.map(|(message, used)| {
                    out.push(SessionEvent::Threshold(message.threshold));
                    used
                }))
            }
            protocol::HIVE_1 | protocol::HIVE_2 => {
                let version = if protocol == protocol::HIVE_1 {
                    Version::V14
                } else {
                    Version::V15
                };
                let decoded = Peers::decode(version, received)?;
                Ok(decoded.map(|(peers, used)| {
                    out.push(SessionEvent::Peers { version, peers });
                    used
                }))
            }
            _ => {
                let Some((StatusGet, used)) = StatusGet::decode(received)? else {
                    return Ok(None);
                };
                let snapshot = Snapshot {
                    bee_mode: String::from("light"),
                    connected_peers: self.connected_peers,
                    ..Snapshot::default()
                };
                let _ = self.link.write(stream, &snapshot.encode());
                Ok(Some(used))
            }
        }
    }

    pub(super) fn expire_inbound(&mut self, now: Instant) {
        while let Some((&stream, inbound)) = self.inbound.first() {
            if inbound.deadline > now {
                return;
            }
            self.inbound.remove(&stream);
            self.link.reset(stream);
        }
    }

    pub(super) fn fail_message(
        &mut self,
        protocol: &'static str,
        error: MessageError,
        out: &mut Vec<SessionEvent>,
    ) {
        self.fail(DropReason::Message { protocol, error }, out);
    }
}
