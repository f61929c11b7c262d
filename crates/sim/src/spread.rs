//! Chunks that are not everywhere: who holds what, and how long forwarding takes.
//!
//! Written from what real storers do: one that does not hold a chunk asks up to three that are closer to it, the next one when the
//! last said no or has not answered for some time, and keeps the client waiting meanwhile.
use crate::storer::Fault;
use bmt::{ChunkAddress, Overlay};
use std::time::Duration;

/// Storers that one forwards to.
const FORWARDS_MAX: usize = 3;
/// The next one is asked when one has not answered after this.
const FORWARD_AFTER: Duration = Duration::from_millis(1500);
/// The client hears of a failure at the latest after this.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(30);

/// One of the storers that hold and forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fellow {
    pub(crate) overlay: Overlay,
    pub(crate) fault: Fault,
    /// To ask it and to hear its answer.
    pub(crate) round_trip: Duration,
}

/// Who holds what.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) fellows: Vec<Fellow>,
    /// Storers that hold each chunk: those closest to it.
    pub(crate) copies: usize,
}

impl Spread {
    /// How long `at` takes to find a chunk or to know that it cannot.
    pub(crate) fn find(&self, at: &Overlay, chunk: &ChunkAddress) -> (Duration, bool) {
        let mut order: Vec<&Fellow> = self.fellows.iter().collect();
        order.sort_by_key(|fellow| distance(&fellow.overlay, chunk));
        let rank = order.iter().position(|fellow| fellow.overlay == *at);
        match rank {
            Some(rank) => self.find_from(&order, rank),
            // The boot node: it holds nothing and asks nobody.
            None => (Duration::ZERO, false),
        }
    }

    fn find_from(&self, order: &[&Fellow], rank: usize) -> (Duration, bool) {
        if rank < self.copies {
            return (Duration::ZERO, true);
        }
        let (mut passed, mut hangs) = (Duration::ZERO, false);
        for (other, fellow) in order.iter().enumerate().take(rank.min(FORWARDS_MAX)) {
            match fellow.fault {
                Fault::Silent | Fault::Mute | Fault::Absent => {
                    passed += FORWARD_AFTER;
                    hangs = true;
                }
                Fault::None => {
                    let (took, found) = self.find_from(order, other);
                    let took = took + fellow.round_trip;
                    if found && took <= FORWARD_AFTER {
                        return (passed + took, true);
                    }
                    hangs |= took > FORWARD_AFTER;
                    passed += took.min(FORWARD_AFTER);
                }
                _ => passed += fellow.round_trip,
            }
        }
        (if hangs { FORWARD_TIMEOUT } else { passed }, false)
    }
}

fn distance(overlay: &Overlay, chunk: &ChunkAddress) -> [u8; 32] {
    std::array::from_fn(|i| overlay.0[i] ^ chunk.0[i])
}
