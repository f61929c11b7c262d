//! Getting a chunk from a storer closer to it.
use super::{Inner, ProtocolError, Session, lock, now_ms, settle};
use crate::accounting::price;
use crate::wire::{Delivery, RETRIEVAL, Request};
use bmt::{ChunkAddress, Overlay, VerifiedChunk, proximity};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Storers asked for one chunk at most.
const ATTEMPTS_MAX: usize = 3;
/// The next storer is asked when one has not answered after this.
const HEDGE_AFTER: Duration = Duration::from_millis(1500);
/// Wait when the only storers left have no credit for us.
const OVERDRAFT_WAIT: Duration = Duration::from_millis(600);
/// Time for one attempt; the whole request has this too.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no chunk came, in bee's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("no peer found")]
    NoPeer,
    #[error("storage: not found")]
    NotFound,
}

/// Asks up to three storers that are closer to the chunk than this node, closest first.
pub(crate) async fn retrieve(
    node: &Arc<Inner>,
    address: ChunkAddress,
    source: Overlay,
) -> Result<Bytes, ForwardError> {
    let (results, mut finished) = mpsc::channel(ATTEMPTS_MAX);
    let mut asked = BTreeSet::from([source]);
    let mut attempts = 0;
    let mut running = 0;
    loop {
        let mut wait = HEDGE_AFTER;
        if attempts < ATTEMPTS_MAX {
            match choose(node, &address, &asked) {
                Choice::Ask(session, price) => {
                    asked.insert(session.overlay);
                    attempts += 1;
                    running += 1;
                    let (node, results) = (node.clone(), results.clone());
                    // A task of its own: an attempt that lost the race still has to be paid for.
                    node.clone().cancel.spawn(async move {
                        let _ = results
                            .send(attempt(&node, &session, address, price).await)
                            .await;
                    });
                }
                Choice::NoCredit => wait = OVERDRAFT_WAIT,
                Choice::Nobody if running == 0 => {
                    return Err(if attempts == 0 {
                        ForwardError::NoPeer
                    } else {
                        ForwardError::NotFound
                    });
                }
                Choice::Nobody => {}
            }
        }
        tokio::select! {
            Some(result) = finished.recv() => {
                running -= 1;
                match result {
                    Some(data) => return Ok(data),
                    None if attempts >= ATTEMPTS_MAX && running == 0 => {
                        return Err(ForwardError::NotFound);
                    }
                    None => {}
                }
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}

enum Choice {
    /// This one; the price is set aside.
    Ask(Arc<Session>, i64),
    /// There are closer storers, but none gives credit now.
    NoCredit,
    /// There is no closer storer that was not asked.
    Nobody,
}

fn choose(node: &Arc<Inner>, address: &ChunkAddress, asked: &BTreeSet<Overlay>) -> Choice {
    let own = distance(&node.overlay, address);
    let mut candidates: Vec<(_, Arc<Session>)> = {
        let state = lock(&node.state);
        state
            .peers
            .values()
            .filter(|peer| {
                peer.session.full
                    && !asked.contains(&peer.session.overlay)
                    && !state.is_boot(&peer.session.peer_id)
            })
            .map(|peer| (distance(&peer.session.overlay, address), &peer.session))
            .filter(|(distance, _)| *distance < own)
            .map(|(distance, session)| (distance, session.clone()))
            .collect()
    };
    candidates.sort_by_key(|(distance, _)| *distance);
    let nobody = candidates.is_empty();
    for (_, session) in candidates {
        let price = price(proximity(&session.overlay.0, &address.0));
        let credit = lock(&session.account).prepare_credit(price, now_ms());
        if let Some(amount) = credit.settle {
            settle::pay(node, &session, amount);
        }
        if credit.granted {
            return Choice::Ask(session, price);
        }
    }
    if nobody {
        Choice::Nobody
    } else {
        Choice::NoCredit
    }
}

fn distance(overlay: &Overlay, address: &ChunkAddress) -> [u8; 32] {
    std::array::from_fn(|i| overlay.0[i] ^ address.0[i])
}

/// Asks one storer; books the price when a right chunk came.
async fn attempt(
    node: &Arc<Inner>,
    session: &Arc<Session>,
    address: ChunkAddress,
    price: i64,
) -> Option<Bytes> {
    let result = tokio::time::timeout(ATTEMPT_TIMEOUT, request(node, session, address)).await;
    let chunk = match result {
        Ok(Ok(chunk)) => chunk,
        Ok(Err(error)) => {
            tracing::debug!(?node, %error, "forwarding failed");
            lock(&session.account).cancel_credit(price);
            return None;
        }
        Err(_) => {
            lock(&session.account).cancel_credit(price);
            return None;
        }
    };
    let settle = lock(&session.account).apply_credit(price, now_ms());
    if let Some(amount) = settle {
        settle::pay(node, session, amount);
    }
    let data = Bytes::from(chunk.data().to_vec());
    if node.config.cache_forwarded
        && let Err(error) = node.config.store.put(chunk)
    {
        tracing::debug!(?node, %error, "forwarded chunk was not kept");
    }
    Some(data)
}

async fn request(
    node: &Inner,
    session: &Session,
    address: ChunkAddress,
) -> Result<VerifiedChunk, ProtocolError> {
    let mut framed = node.open(session, RETRIEVAL).await?;
    framed
        .write(&Request {
            addr: address.0.to_vec(),
        })
        .await?;
    let delivery: Delivery = framed.read().await?;
    framed.close_write().await?;
    if !delivery.err.is_empty() {
        return Err(ProtocolError::Refused("the next storer has no such chunk"));
    }
    VerifiedChunk::verify(address, delivery.data.into()).map_err(|_| {
        node.counters().wrong_chunks.one();
        ProtocolError::Refused("the next storer sent a wrong chunk")
    })
}
