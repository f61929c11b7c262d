//! What we owe one peer, and when to settle it.
//!
//! SPEC swarm-wire 6. All amounts are accounting units. A peer drops and blocks who owes more than 125 % of the threshold it
//! announced; we stay at 100 %, counting what is still on its way, so no race can cross the limit.
use bmt::{ChunkAddress, Overlay, proximity};
use core::time::Duration;
use p2p::Instant;

/// What a light client is allowed before the peer has announced a threshold.
pub(crate) const THRESHOLD_DEFAULT: u64 = 1_350_000;
/// A smaller threshold cannot pay for two chunks: such a peer is useless.
pub(crate) const THRESHOLD_MIN: u64 = 640_000;
/// Units a light client may settle per second of the peer's clock.
pub(crate) const REFRESH_RATE: u64 = 450_000;
/// Price of one proximity order.
const BASE_PRICE: u64 = 10_000;
/// Price of a chunk at a peer that shares no bit with it.
pub(crate) const PRICE_MAX: u64 = 32 * BASE_PRICE;
/// The peer counts whole seconds and refuses two settlements in one of them.
pub(crate) const SETTLE_INTERVAL: Duration = Duration::from_millis(1050);
/// After a refusal (same second, by the peer's clock) the next second is at most this far.
const SETTLE_RETRY: Duration = Duration::from_millis(350);
/// How long a settlement may wait for deliveries under way that it could include.
const SETTLE_PATIENCE: Duration = Duration::from_millis(300);

/// Price of `chunk` at the peer with `overlay`.
pub(crate) fn price(overlay: &Overlay, chunk: &ChunkAddress) -> u64 {
    let order = u64::from(proximity(&overlay.0, &chunk.0).min(31));
    32u64.saturating_sub(order).saturating_mul(BASE_PRICE)
}

/// The account with one peer for the life of one connection: bee forgets the balance when we reconnect.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    threshold: u64,
    /// Delivered and not settled.
    debt: u64,
    /// Part of `debt` that the peer may never have counted (broken deliveries).
    uncertain: u64,
    /// Price of requests under way.
    reserved: u64,
    /// Amount of the settlement under way.
    settling: Option<u64>,
    settled_before: bool,
    /// No settlement before this.
    settle_not_before: Instant,
    /// Since when a request waits for credit here.
    blocked_since: Option<Instant>,
}

impl Account {
    /// Opens an account.
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            threshold: THRESHOLD_DEFAULT,
            debt: 0,
            uncertain: 0,
            reserved: 0,
            settling: None,
            settled_before: false,
            settle_not_before: now,
            blocked_since: None,
        }
    }
    /// Delivered and not settled.
    pub(crate) const fn debt(&self) -> u64 {
        self.debt
    }
    /// What the peer announced.
    pub(crate) const fn threshold(&self) -> u64 {
        self.threshold
    }
    /// What may still be ordered.
    pub(crate) const fn credit(&self) -> u64 {
        self.threshold
            .saturating_sub(self.debt)
            .saturating_sub(self.reserved)
    }
    /// The peer announced a threshold.
    pub(crate) const fn set_threshold(&mut self, threshold: u64) {
        self.threshold = threshold;
    }
    /// Orders a chunk; false when it would pass the threshold.
    pub(crate) const fn reserve(&mut self, price: u64) -> bool {
        if price > self.credit() {
            return false;
        }
        self.reserved = self.reserved.saturating_add(price);
        true
    }
    /// An order came to nothing: the peer wrote no delivery, so it charges nothing.
    pub(crate) const fn release(&mut self, price: u64) {
        self.reserved = self.reserved.saturating_sub(price);
    }
    /// A chunk was delivered, right or wrong.
    pub(crate) const fn charge(&mut self, price: u64) {
        self.release(price);
        self.debt = self.debt.saturating_add(price);
    }
    /// A delivery broke off, or we gave it up: the peer may have charged it.
    pub(crate) const fn charge_uncertain(&mut self, price: u64) {
        self.charge(price);
        self.uncertain = self.uncertain.saturating_add(price);
    }
    /// A request would go to this peer if there were credit.
    pub(crate) fn note_blocked(&mut self, now: Instant) {
        self.blocked_since.get_or_insert(now);
    }
    /// Says whether credit is too short for an ordinary chunk.
    pub(crate) const fn is_short(&self) -> bool {
        self.credit() < PRICE_MAX
    }

    /// When to start a settlement; `None` while there is no reason to.
    pub(crate) fn settle_at(&self) -> Option<Instant> {
        if self.settling.is_some() || self.debt == 0 {
            return None;
        }
        let due = match self.blocked_since {
            // SPEC swarm-wire 6.3: the very first settlement with a peer clears the whole debt, and any settlement throws away the
            // seconds that the debt does not cover. So the debt should be as large as it gets when the settlement arrives.
            Some(since) if self.reserved > 0 && !self.covers_two_seconds() => {
                since + SETTLE_PATIENCE
            }
            Some(since) if self.debt >= REFRESH_RATE || self.uncertain > 0 => since,
            Some(_) | None if self.debt >= self.threshold / 2 && self.settled_before => {
                Instant::ZERO
            }
            Some(_) | None => return None,
        };
        Some(due.max(self.settle_not_before))
    }
    /// Starts a settlement when it is due; returns the amount.
    pub(crate) fn start_settlement(&mut self, now: Instant) -> Option<u64> {
        if self.settle_at()? > now {
            return None;
        }
        self.force_settlement(now)
    }
    /// Starts a settlement of whatever is owed, when the peer can accept one at all.
    pub(crate) fn force_settlement(&mut self, now: Instant) -> Option<u64> {
        if self.settling.is_some() || self.debt == 0 || now < self.settle_not_before {
            return None;
        }
        self.settling = Some(self.debt);
        self.debt.into()
    }
    /// The peer accepted `accepted` units. Returns false when it says that it accepted more than we offered.
    pub(crate) fn finish_settlement(&mut self, now: Instant, accepted: u64) -> bool {
        let Some(requested) = self.settling.take() else {
            return false;
        };
        self.debt = self.debt.saturating_sub(accepted.min(requested));
        // A whole second has passed since the last one, so the peer accepts less than a second's worth only when we owe it no
        // more than that: what is left of the doubtful part was never charged.
        if accepted < requested.min(REFRESH_RATE) {
            let phantom = requested.saturating_sub(accepted).min(self.uncertain);
            self.debt = self.debt.saturating_sub(phantom);
        }
        self.uncertain = 0;
        self.settled_before = true;
        self.settle_not_before = now + SETTLE_INTERVAL;
        self.blocked_since = None;
        accepted <= requested
    }
    /// The peer refused, which it does within the same second of its clock.
    pub(crate) fn fail_settlement(&mut self, now: Instant) {
        self.settling = None;
        self.settle_not_before = now + SETTLE_RETRY;
    }

    const fn covers_two_seconds(&self) -> bool {
        self.settled_before && self.debt >= 2 * REFRESH_RATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn spent(units: u64) -> Account {
        let mut account = Account::new(at(0));
        assert!(account.reserve(units));
        account.charge(units);
        account
    }

    #[test]
    fn the_price_falls_with_the_proximity_to_the_server() {
        let chunk = ChunkAddress([0; 32]);
        let mut overlay = [0; 32];
        assert_eq!(price(&Overlay(overlay), &chunk), 10_000);
        overlay[1] = 0x80;
        assert_eq!(price(&Overlay(overlay), &chunk), 240_000);
        overlay[0] = 0x80;
        assert_eq!(price(&Overlay(overlay), &chunk), 320_000);
    }

    #[test]
    fn orders_under_way_count_against_the_threshold() {
        let mut account = Account::new(at(0));
        for _ in 0..4 {
            assert!(account.reserve(320_000));
        }
        assert!(!account.reserve(320_000));
        account.charge(320_000);
        assert!(!account.reserve(320_000));
        account.release(320_000);
        assert!(account.reserve(320_000));
        assert_eq!(account.debt(), 320_000);
    }

    #[test]
    fn the_first_settlement_waits_for_deliveries_under_way() {
        let mut account = spent(700_000);
        assert!(account.reserve(320_000));
        assert_eq!(account.settle_at(), None);
        account.note_blocked(at(100));
        assert_eq!(account.settle_at(), Some(at(400)));
        account.charge(320_000);
        assert_eq!(account.start_settlement(at(120)), Some(1_020_000));
        assert!(account.finish_settlement(at(150), 1_020_000));
        assert_eq!(account.debt(), 0);
    }

    #[test]
    fn settlements_keep_a_second_apart_and_subtract_only_what_was_accepted() {
        let mut account = spent(1_300_000);
        account.note_blocked(at(0));
        assert_eq!(account.start_settlement(at(0)), Some(1_300_000));
        assert_eq!(account.start_settlement(at(0)), None);
        assert!(account.finish_settlement(at(10), 450_000));
        assert_eq!(account.debt(), 850_000);
        account.note_blocked(at(20));
        assert_eq!(account.settle_at(), Some(at(1060)));
        assert_eq!(account.start_settlement(at(1059)), None);
        assert_eq!(account.start_settlement(at(1060)), Some(850_000));
        account.fail_settlement(at(1100));
        assert_eq!(account.debt(), 850_000);
        assert_eq!(account.settle_at(), Some(at(1450)));
    }

    #[test]
    fn debt_that_the_peer_never_counted_is_forgotten_when_it_says_so() {
        let mut account = Account::new(at(0));
        assert!(account.reserve(320_000));
        account.charge_uncertain(320_000);
        assert!(account.reserve(300_000));
        account.charge(300_000);
        account.note_blocked(at(0));
        assert_eq!(account.start_settlement(at(0)), Some(620_000));
        assert!(account.reserve(310_000));
        account.charge(310_000);
        assert!(account.finish_settlement(at(10), 300_000));
        assert_eq!(account.debt(), 310_000);
    }

    #[test]
    fn a_peer_that_accepts_more_than_offered_is_told_apart() {
        let mut account = spent(1_300_000);
        account.note_blocked(at(0));
        assert!(account.start_settlement(at(0)).is_some());
        assert!(!account.finish_settlement(at(10), 1_300_001));
        assert_eq!(account.debt(), 0);
    }

    #[test]
    fn a_large_threshold_needs_no_settlement() {
        let mut account = Account::new(at(0));
        account.set_threshold(u64::MAX);
        for _ in 0..10_000 {
            assert!(account.reserve(320_000));
            account.charge(320_000);
        }
        assert_eq!(account.settle_at(), None);
        assert!(!account.is_short());
    }
}
