//! Counts of what a node did, readable at any time from any thread.
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a node has done since it was made; restarts do not reset it.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Returns the sum of two counts.
            pub fn plus(self, other: Self) -> Self {
                Self { $($name: self.$name.saturating_add(other.$name),)+ }
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Live {
            $(pub(crate) $name: Counter,)+
        }

        impl Live {
            pub(crate) fn read(&self) -> Counters {
                Counters { $($name: self.$name.0.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Handshakes that succeeded, in both directions.
    handshakes,
    /// Retrieval requests received.
    requests,
    /// Chunks delivered, from the own store or forwarded.
    chunks_served,
    /// Of these, chunks fetched from a closer storer for the occasion.
    chunks_forwarded,
    /// Requests answered with an error.
    not_found,
    /// Settlements accepted from peers.
    settlements,
    /// Settlements refused (same second).
    settlements_refused,
    /// Units accepted in settlements.
    units_settled,
    /// Peers disconnected because their debt reached the limit.
    disconnects_for_debt,
    /// Peers put on the blocklist, for whatever reason.
    blocklistings,
    /// Hive records sent.
    peers_announced,
    /// Hive records refused because their sender is over its allowance.
    peers_refused,
    /// Wrong chunks received from other storers while forwarding.
    wrong_chunks,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }
}
