//! pricing and pseudosettle.
use super::{Inner, ProtocolError, Session, lock, now_ms};
use crate::accounting::{REFRESH_RATE, SettleError};
use crate::frame::Framed;
use crate::wire::{
    AnnouncePaymentThreshold, PRICING, PSEUDOSETTLE, Payment, PaymentAck, amount_bytes,
    amount_from_bytes,
};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);
/// A full node disconnects a peer that announces less: two seconds' refreshment.
const THRESHOLD_MIN: u64 = 2 * REFRESH_RATE as u64;

/// Tells a peer how much it may owe.
pub(crate) async fn announce_threshold(
    node: &Inner,
    session: &Session,
    threshold: i64,
) -> Result<(), ProtocolError> {
    let framed = tokio::time::timeout(TIMEOUT, async {
        let mut framed = node.open(session, PRICING).await?;
        framed
            .write(&AnnouncePaymentThreshold {
                payment_threshold: amount_bytes(threshold.unsigned_abs()),
            })
            .await?;
        Ok::<_, ProtocolError>(framed)
    })
    .await??;
    // As in bee: how the peer ends the stream does not matter, but nothing else happens before.
    if let Err(error) = framed.full_close().await {
        tracing::debug!(%error, "pricing stream was not closed cleanly");
    }
    Ok(())
}

/// Takes the threshold a peer announces.
pub(crate) async fn accept_threshold(
    node: &Inner,
    session: &Session,
    mut framed: Framed,
) -> Result<(), ProtocolError> {
    framed.accept_headers().await?;
    let announced: AnnouncePaymentThreshold = framed.read().await?;
    let threshold = amount_from_bytes(&announced.payment_threshold);
    if threshold < THRESHOLD_MIN {
        node.disconnect(&session.overlay, "payment threshold too low");
        return Err(ProtocolError::Refused("payment threshold too low"));
    }
    lock(&session.account).set_threshold_of_peer(threshold);
    Ok(framed.full_close().await?)
}

/// Answers a settlement of a peer. A second one within a second is reset without an answer.
pub(crate) async fn accept(
    node: &Arc<Inner>,
    session: &Arc<Session>,
    mut framed: Framed,
) -> Result<(), ProtocolError> {
    framed.accept_headers().await?;
    let payment: Payment = framed.read().await?;
    let one_at_a_time = session.settling.lock().await;
    let offered = amount_from_bytes(&payment.amount);
    let allowed = lock(&session.account).allow_settlement(offered, now_ms());
    let allowance = match allowed {
        Ok(allowance) => allowance,
        Err(SettleError::TooSoon) => {
            node.counters().settlements_refused.one();
            return Err(ProtocolError::Refused("settlement too soon"));
        }
        Err(_) => return Err(ProtocolError::Refused("settlement refused")),
    };
    framed
        .write(&PaymentAck {
            amount: amount_bytes(allowance.amount.unsigned_abs()),
            timestamp: allowance.timestamp,
        })
        .await?;
    let grown = lock(&session.account).book_settlement(allowance);
    drop(one_at_a_time);
    node.counters().settlements.one();
    node.counters()
        .units_settled
        .add(allowance.amount.unsigned_abs());
    if let Some(threshold) = grown {
        let (node, session) = (node.clone(), session.clone());
        node.clone().cancel.spawn(async move {
            if let Err(error) = announce_threshold(&node, &session, threshold).await {
                tracing::debug!(%error, "grown threshold was not announced");
            }
        });
    }
    Ok(framed.full_close().await?)
}

/// Settles `amount` with a peer in the background. The account has marked it as under way.
pub(crate) fn pay(node: &Arc<Inner>, session: &Arc<Session>, amount: i64) {
    let (node, session) = (node.clone(), session.clone());
    node.clone().cancel.spawn(async move {
        let result = tokio::time::timeout(TIMEOUT, exchange(&node, &session, amount)).await;
        let now = now_ms();
        let mut account = lock(&session.account);
        match result {
            Ok(Ok(ack)) => {
                let accepted = amount_from_bytes(&ack.amount);
                if let Err(error) =
                    account.settlement_acknowledged(amount, accepted, ack.timestamp, now)
                {
                    drop(account);
                    tracing::warn!(?node, %error, "settlement acknowledgement breaks the rules");
                    node.blocklist(
                        &session.overlay,
                        Duration::from_secs(4),
                        "failed to refresh",
                    );
                }
            }
            Ok(Err(error)) => {
                account.settlement_failed(now);
                tracing::debug!(?node, %error, "settlement failed");
            }
            Err(_) => account.settlement_failed(now),
        }
    });
}

async fn exchange(
    node: &Inner,
    session: &Session,
    amount: i64,
) -> Result<PaymentAck, ProtocolError> {
    let mut framed = node.open(session, PSEUDOSETTLE).await?;
    framed
        .write(&Payment {
            amount: amount_bytes(amount.unsigned_abs()),
        })
        .await?;
    let ack: PaymentAck = framed.read().await?;
    framed.close_write().await?;
    Ok(ack)
}
