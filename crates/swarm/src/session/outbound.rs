//! Streams we open: retrieval and settlement.
//!
//! SPEC swarm-wire 2: bee loses bytes that arrive together with the headers, so a request waits for the response headers.
use super::{Session, SessionEvent};
use crate::messages::{
    Delivery, EMPTY_HEADERS, Payment, PaymentAck, Request, decode_headers, protocol,
};
use alloc::vec::Vec;
use bmt::ChunkAddress;
use core::time::Duration;
use p2p::{Instant, StreamId};

/// Time for a settlement, as bee has it.
const SETTLEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// What bee says between its handshake and the opening of its account with us.
const NOT_INITIALIZED: &[u8] = b"connection not initialized yet";

/// One request for one chunk at one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The node's request.
    pub(crate) request: u64,
    /// Which chunk.
    pub(crate) address: ChunkAddress,
    /// What it costs.
    pub(crate) price: u64,
    /// When it was sent.
    pub(crate) started: Instant,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A delivery, not verified.
    Data(Vec<u8>),
    /// The peer says that it cannot find the chunk.
    NotFound,
    /// The peer is not ready for us yet.
    NotReady,
    /// The stream ended or was reset before anything was delivered.
    Reset,
    /// The stream ended in the middle of a delivery.
    Truncated,
    /// No answer in time; we gave it up.
    TimedOut,
}

/// A retrieval stream.
pub(super) struct Retrieval {
    pub(super) attempt: Attempt,
    request_sent: bool,
}

/// A settlement stream.
pub(super) struct Settlement {
    pub(super) stream: StreamId,
    pub(super) deadline: Instant,
    amount: u64,
    payment_sent: bool,
}

impl Session {
    /// Asks for a chunk; false when no stream can be opened.
    pub(crate) fn retrieve(&mut self, now: Instant, attempt: Attempt) -> bool {
        let Ok(stream) = self.link.open(now, &[protocol::RETRIEVAL], &EMPTY_HEADERS) else {
            return false;
        };
        let retrieval = Retrieval {
            attempt,
            request_sent: false,
        };
        self.attempts.insert(stream, retrieval);
        true
    }

    /// Requests under way.
    pub(crate) fn open_requests(&self) -> impl Iterator<Item = u64> {
        self.attempts
            .values()
            .map(|retrieval| retrieval.attempt.request)
    }

    /// Offers to settle; false when no stream can be opened.
    pub(crate) fn settle(&mut self, now: Instant, amount: u64) -> bool {
        let Ok(stream) = self
            .link
            .open(now, &[protocol::PSEUDOSETTLE], &EMPTY_HEADERS)
        else {
            return false;
        };
        self.settlement = Some(Settlement {
            stream,
            deadline: now + SETTLEMENT_TIMEOUT,
            amount,
            payment_sent: false,
        });
        true
    }

    /// Says whether a settlement is under way.
    pub(crate) const fn is_settling(&self) -> bool {
        self.settlement.is_some()
    }

    pub(super) fn retrieval_progress(&mut self, stream: StreamId, out: &mut Vec<SessionEvent>) {
        let Some(retrieval) = self.attempts.get_mut(&stream) else {
            return;
        };
        if !retrieval.request_sent {
            match decode_headers(self.link.received(stream)) {
                Ok(None) => return,
                Ok(Some(used)) => {
                    retrieval.request_sent = true;
                    self.link.consume(stream, used);
                    let request = Request {
                        address: retrieval.attempt.address,
                    };
                    let _ = self.link.write(stream, &request.encode());
                    self.link.close_write(stream);
                }
                Err(error) => return self.fail_message(protocol::RETRIEVAL, error, out),
            }
        }
        let attempt = retrieval.attempt;
        let (outcome, used) = match Delivery::decode(self.link.received(stream)) {
            Ok(None) => return,
            Ok(Some((delivery, used))) => (outcome_of(&delivery), used),
            Err(error) => return self.fail_message(protocol::RETRIEVAL, error, out),
        };
        self.link.consume(stream, used);
        self.attempts.remove(&stream);
        out.push(SessionEvent::Retrieved { attempt, outcome });
    }

    pub(super) fn retrieval_ended(
        &mut self,
        stream: StreamId,
        retrieval: Retrieval,
        reset: bool,
        out: &mut Vec<SessionEvent>,
    ) {
        // Bytes come in order: what the peer wrote before it gave up has arrived.
        let truncated = retrieval.request_sent && !self.link.received(stream).is_empty();
        if !reset {
            self.link.close_write(stream);
        }
        let outcome = if truncated {
            Outcome::Truncated
        } else {
            Outcome::Reset
        };
        let attempt = retrieval.attempt;
        out.push(SessionEvent::Retrieved { attempt, outcome });
    }

    pub(super) fn settlement_progress(&mut self, out: &mut Vec<SessionEvent>) {
        let Some(settlement) = &mut self.settlement else {
            return;
        };
        let stream = settlement.stream;
        if !settlement.payment_sent {
            match decode_headers(self.link.received(stream)) {
                Ok(None) => return,
                Ok(Some(used)) => {
                    settlement.payment_sent = true;
                    self.link.consume(stream, used);
                    let payment = Payment {
                        amount: settlement.amount,
                    };
                    let _ = self.link.write(stream, &payment.encode());
                    self.link.close_write(stream);
                }
                Err(error) => return self.fail_message(protocol::PSEUDOSETTLE, error, out),
            }
        }
        match PaymentAck::decode(self.link.received(stream)) {
            Ok(None) => {}
            Ok(Some((ack, used))) => {
                self.link.consume(stream, used);
                self.settlement = None;
                let accepted = ack.amount;
                out.push(SessionEvent::Settled { accepted });
            }
            Err(error) => self.fail_message(protocol::PSEUDOSETTLE, error, out),
        }
    }

    pub(super) fn expire_outbound(&mut self, now: Instant, out: &mut Vec<SessionEvent>) {
        while let Some((&stream, retrieval)) = self.attempts.first() {
            let attempt = retrieval.attempt;
            if attempt.started + self.attempt_timeout > now {
                break;
            }
            self.attempts.remove(&stream);
            self.link.reset(stream);
            let outcome = Outcome::TimedOut;
            out.push(SessionEvent::Retrieved { attempt, outcome });
        }
        if let Some(settlement) = self.settlement.take_if(|s| s.deadline <= now) {
            self.link.reset(settlement.stream);
            out.push(SessionEvent::SettlementRefused);
        }
    }
}

fn outcome_of(delivery: &Delivery<'_>) -> Outcome {
    if delivery.error.is_empty() {
        return Outcome::Data(delivery.data.to_vec());
    }
    let not_ready = delivery
        .error
        .windows(NOT_INITIALIZED.len())
        .any(|part| part == NOT_INITIALIZED);
    if not_ready {
        Outcome::NotReady
    } else {
        Outcome::NotFound
    }
}
