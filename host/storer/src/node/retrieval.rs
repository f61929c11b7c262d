//! retrieval 1.4.0: serving chunks.
use super::{Inner, ProtocolError, Session, forward, hex, lock, now_ms};
use crate::Fault;
use crate::accounting::{Overdrawn, price};
use crate::frame::Framed;
use crate::net::Connection;
use crate::store::StoreError;
use crate::wire::{Delivery, Request};
use bmt::{ChunkAddress, proximity};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Time for one request, forwarding included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Answers one request.
pub(crate) async fn serve(
    node: Arc<Inner>,
    connection: Arc<Connection>,
    session: Arc<Session>,
    mut framed: Framed,
) -> Result<(), ProtocolError> {
    framed.accept_headers().await?;
    let request: Request = tokio::time::timeout(TIMEOUT, framed.read()).await??;
    node.counters().requests.one();
    let faults = node.faults();
    if faults.contains(&Fault::NeverAnswers) {
        framed.drain().await;
        return std::future::pending().await;
    }
    let found = tokio::time::timeout(TIMEOUT, find(&node, &session, &request, &faults))
        .await
        .unwrap_or_else(|_| Err("retrieve chunk: context deadline exceeded".into()));
    match found {
        Ok(found) => {
            let delivery = Deliver {
                node: &node,
                connection: &connection,
                session: &session,
                faults: &faults,
            };
            delivery.run(found, framed).await
        }
        Err(text) => {
            node.counters().not_found.one();
            let refusal = Delivery {
                err: text,
                ..Delivery::default()
            };
            framed.write(&refusal).await?;
            Ok(framed.full_close().await?)
        }
    }
}

struct Found {
    address: ChunkAddress,
    data: Bytes,
    forwarded: bool,
}

/// Looks in the store, then asks closer storers. The error is the text bee sends.
async fn find(
    node: &Arc<Inner>,
    session: &Session,
    request: &Request,
    faults: &[Fault],
) -> Result<Found, String> {
    let address = <[u8; 32]>::try_from(request.addr.as_slice())
        .ok()
        .filter(|address| *address != [0; 32])
        .map(ChunkAddress)
        .ok_or_else(|| {
            format!(
                "invalid address queried by peer {}",
                hex(&session.overlay.0)
            )
        })?;
    let dropped = faults
        .iter()
        .any(|fault| matches!(fault, Fault::Drops { chunks } if chunks.contains(&address)));
    if dropped {
        return Err("retrieve chunk: storage: not found".into());
    }
    let stored = lookup(node, address)
        .await
        .map_err(|error| format!("get from store: {error}"))?;
    if let Some(data) = stored {
        return Ok(Found {
            address,
            data,
            forwarded: false,
        });
    }
    let data = forward::retrieve(node, address, session.overlay)
        .await
        .map_err(|error| format!("retrieve chunk: {error}"))?;
    Ok(Found {
        address,
        data,
        forwarded: true,
    })
}

async fn lookup(node: &Arc<Inner>, address: ChunkAddress) -> Result<Option<Bytes>, StoreError> {
    let store = node.config.store.clone();
    if !store.blocks() {
        return store.get(&address);
    }
    tokio::task::spawn_blocking(move || store.get(&address))
        .await
        .unwrap_or(Ok(None))
}

struct Deliver<'a> {
    node: &'a Arc<Inner>,
    connection: &'a Arc<Connection>,
    session: &'a Arc<Session>,
    faults: &'a [Fault],
}

impl Deliver<'_> {
    /// Prepares the debit, writes, books. Debt over the limit is noticed after the chunk was written, as in bee.
    async fn run(&self, found: Found, mut framed: Framed) -> Result<(), ProtocolError> {
        let delivered = self.connection.delivered.load(Ordering::Relaxed);
        for fault in self.faults {
            if matches!(fault, Fault::ResetsAfter { chunks } if delivered >= *chunks) {
                self.node.close(self.connection);
                return Err(ProtocolError::Refused("fault: connection reset"));
            }
        }
        let price = price(proximity(&self.node.overlay.0, &found.address.0));
        let Some(debit) = Debit::prepare(self.node, self.session, price) else {
            let text = format!(
                "prepare debit to peer {} before writeback: connection not initialized yet",
                hex(&self.session.overlay.0)
            );
            framed
                .write(&Delivery {
                    err: text,
                    ..Delivery::default()
                })
                .await?;
            return Ok(framed.full_close().await?);
        };
        let (bytes, whole) = self.encode(&found);
        self.write(&mut framed, &bytes).await?;
        debit.apply()?;
        self.connection.delivered.fetch_add(1, Ordering::Relaxed);
        self.node.counters().chunks_served.one();
        if found.forwarded {
            self.node.counters().chunks_forwarded.one();
        }
        if !whole {
            framed.close_write().await?;
            framed.drain().await;
            return Ok(());
        }
        Ok(framed.full_close().await?)
    }

    /// The message as it goes out, and whether it is a whole one.
    fn encode(&self, found: &Found) -> (Vec<u8>, bool) {
        let mut data = found.data.clone();
        if self.faults.contains(&Fault::Lies) {
            let mut altered = data.to_vec();
            if let Some(last) = altered.last_mut() {
                *last ^= 1;
            }
            data = altered.into();
        }
        let delivery = Delivery {
            data,
            ..Delivery::default()
        };
        let mut bytes = delivery.encode_length_delimited_to_vec();
        if self.faults.contains(&Fault::HugeLength) {
            let mut huge = Vec::new();
            prost::encoding::encode_varint(1 << 62, &mut huge);
            huge.extend_from_slice(&bytes);
            return (huge, false);
        }
        if self.faults.contains(&Fault::Truncates) {
            bytes.truncate(bytes.len() / 2);
            return (bytes, false);
        }
        (bytes, true)
    }

    async fn write(&self, framed: &mut Framed, bytes: &[u8]) -> Result<(), ProtocolError> {
        for fault in self.faults {
            let Fault::Slow {
                delay,
                bytes_per_second,
            } = fault
            else {
                continue;
            };
            tokio::time::sleep(*delay).await;
            if *bytes_per_second > 0 {
                let _one_at_a_time = self.session.pace.lock().await;
                let seconds = bytes.len() as f64 / *bytes_per_second as f64;
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
        }
        Ok(framed.write_raw(bytes).await?)
    }
}

/// A price set aside. Dropped before it is applied, it becomes ghost balance.
struct Debit<'a> {
    node: &'a Inner,
    session: &'a Session,
    price: i64,
    applied: bool,
}

impl<'a> Debit<'a> {
    fn prepare(node: &'a Inner, session: &'a Session, price: i64) -> Option<Self> {
        // The guard must be gone, and nothing made that is dropped, when the account says no: a debit that is dropped locks the
        // account again.
        let prepared = lock(&session.account).prepare_debit(price);
        prepared.then(|| Self {
            node,
            session,
            price,
            applied: false,
        })
    }

    fn apply(mut self) -> Result<(), ProtocolError> {
        self.applied = true;
        let result = lock(&self.session.account).apply_debit(self.price, now_ms());
        result.map_err(|overdrawn| {
            self.overdrawn(overdrawn, "disconnect threshold exceeded");
            ProtocolError::Refused("apply debit: disconnect threshold exceeded")
        })
    }

    fn overdrawn(&self, overdrawn: Overdrawn, why: &str) {
        self.node.counters().disconnects_for_debt.one();
        self.node.blocklist(
            &self.session.overlay,
            Duration::from_secs(overdrawn.blocklist_s),
            why,
        );
    }
}

impl Drop for Debit<'_> {
    fn drop(&mut self) {
        if self.applied {
            return;
        }
        let result = lock(&self.session.account).cancel_debit(self.price);
        if let Err(overdrawn) = result {
            self.overdrawn(overdrawn, "ghost overdraw");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;
    use crate::accounting::Account;
    use crate::{Generation, Profile};
    use bmt::Overlay;
    use std::sync::{Mutex, mpsc};

    #[tokio::test]
    async fn a_debit_of_a_peer_that_has_left_is_refused_and_blocks_nobody() {
        let config = config(0x10, Profile::Public, Generation::Both);
        let node = super::super::Node::start(config).await.unwrap();
        let account = Arc::new(Mutex::new(Account::new(Profile::Public)));
        let peer = node.inner.peer_id;
        let session = Session::new(Overlay([1; 32]), peer, false, account);
        let inner = node.inner.clone();
        // On a thread of its own, because what failed here failed by waiting for itself.
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let is_refused = Debit::prepare(&inner, &session, 10_000).is_none();
            sender.send(is_refused)
        });
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(true));
        assert_eq!(node.counters().disconnects_for_debt, 0);
    }
}
