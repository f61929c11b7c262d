//! Who owes whom: bee's accounting of one peer, as pure arithmetic.
//!
//! Balances are in accounting units. A positive balance is the peer's debt to us (we served it), a negative one is our debt to
//! it (it served us as the next hop). Time is Unix milliseconds, passed in; bee compares whole seconds and so does this.
//! Amounts saturate instead of overflowing; the largest threshold announced is far below `i64::MAX`.
use crate::config::Profile;

/// Units a full node may settle per second (bee's refresh rate).
pub const REFRESH_RATE: i64 = 4_500_000;
/// Light nodes have a tenth of every allowance.
pub const LIGHT_FACTOR: i64 = 10;
/// Price of a chunk per bin of distance.
pub const BASE_PRICE: i64 = 10_000;
/// Percent of the threshold at which a peer is disconnected: 100 + the payment tolerance of 25.
const DISCONNECT_PERCENT: i64 = 125;
/// Percent of a peer's threshold at which we settle: 100 - the early payment of 50.
const EARLY_PERCENT: i64 = 50;
/// The threshold grows each time this many seconds' worth of refreshments was repaid...
const GROW_STEP_S: i64 = 100;
/// ...and, once that reaches this many seconds' worth, each time the sum has doubled.
const GROW_LINEAR_S: i64 = 1800;

/// Returns the price of a chunk whose address shares `proximity` leading bits with the overlay of the node that serves it.
pub fn price(proximity: u8) -> i64 {
    (32 - i64::from(proximity.min(31))) * BASE_PRICE
}

/// The debt of a peer reached its limit: disconnect it and refuse it for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdrawn {
    /// Seconds to refuse the peer.
    pub blocklist_s: u64,
}

/// Why a settlement is refused or an outgoing one is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// A second settlement within the same second.
    #[error("settlement too soon")]
    TooSoon,
    /// The peer says it accepted more than was offered.
    #[error("peer acknowledged more than was paid")]
    AboveOffer,
    /// The peer accepted less than its time allowance.
    #[error("peer accepted less than its allowance")]
    BelowAllowance,
    /// The peer's clock or its count of seconds is off.
    #[error("settlement time out of step")]
    Time,
}

/// Answer to [`Account::prepare_credit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Whether the price is set aside; `false` would have been an overdraft.
    pub granted: bool,
    /// Amount to settle now.
    pub settle: Option<i64>,
}

/// Accepted settlement, not yet booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Units accepted.
    pub amount: i64,
    /// Unix seconds to acknowledge with.
    pub timestamp: i64,
}

/// Books of one peer. Made once per overlay and kept over reconnects: balances are zeroed then, settlement times are not.
#[derive(Clone, Debug)]
pub struct Account {
    threshold: i64,
    connected: bool,
    full: bool,
    balance: i64,
    reserved: i64,
    shadow_reserved: i64,
    refresh_reserved: i64,
    ghost: i64,
    /// What we may owe: announced by the peer.
    threshold_of_peer: i64,
    /// What the peer may owe: announced by us.
    threshold_for_peer: i64,
    disconnect_limit: i64,
    repaid: i64,
    grow_at: i64,
    /// Last settlement accepted from the peer, Unix seconds; 0 = never.
    received_s: i64,
    /// Last settlement the peer accepted: local end in milliseconds, peer's timestamp and ours in seconds.
    sent_ms: i64,
    sent_timestamp_s: i64,
    sent_check_s: i64,
    refreshing: bool,
}

impl Account {
    /// Opens the books of a peer never seen before.
    pub fn new(profile: Profile) -> Self {
        let threshold = i64::try_from(profile.payment_threshold()).unwrap_or(i64::MAX / 1000);
        Self {
            threshold,
            connected: false,
            full: false,
            balance: 0,
            reserved: 0,
            shadow_reserved: 0,
            refresh_reserved: 0,
            ghost: 0,
            threshold_of_peer: Profile::Public.payment_threshold() as i64,
            threshold_for_peer: threshold,
            disconnect_limit: percent(DISCONNECT_PERCENT, threshold),
            repaid: 0,
            grow_at: GROW_STEP_S * REFRESH_RATE,
            received_s: 0,
            sent_ms: 0,
            sent_timestamp_s: 0,
            sent_check_s: 0,
            refreshing: false,
        }
    }

    /// Starts a connection: balances are zeroed and limits reset. Returns the threshold to announce.
    pub fn connect(&mut self, full: bool) -> i64 {
        let factor = if full { 1 } else { LIGHT_FACTOR };
        self.connected = true;
        self.full = full;
        self.balance = 0;
        self.reserved = 0;
        self.shadow_reserved = 0;
        self.refresh_reserved = 0;
        self.ghost = 0;
        self.repaid = 0;
        self.refreshing = false;
        self.threshold_for_peer = self.threshold / factor;
        self.disconnect_limit = percent(DISCONNECT_PERCENT, self.threshold_for_peer);
        self.grow_at = GROW_STEP_S * self.rate();
        self.threshold_for_peer
    }

    /// Ends the connection: debits are refused until [`connect`](Self::connect).
    pub fn disconnect(&mut self) {
        self.connected = false;
    }

    /// Whether a connection is open.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The threshold announced to the peer.
    pub fn threshold_for_peer(&self) -> i64 {
        self.threshold_for_peer
    }

    /// What the peer owes us; negative when we owe it.
    pub fn balance(&self) -> i64 {
        self.balance
    }

    /// Units per second the peer may settle.
    fn rate(&self) -> i64 {
        if self.full {
            REFRESH_RATE
        } else {
            REFRESH_RATE / LIGHT_FACTOR
        }
    }

    /// Sets a price aside before a chunk is written. Never refuses for debt; `false` when the peer is not connected.
    pub fn prepare_debit(&mut self, price: i64) -> bool {
        if self.connected {
            self.shadow_reserved += price;
            if self.refreshing {
                self.refresh_reserved += price;
            }
        }
        self.connected
    }

    /// Books a delivered chunk.
    ///
    /// # Errors
    /// The debt is now at or over the limit: 125 % of the threshold, plus one second's refreshment unless the last settlement was
    /// in this very second.
    pub fn apply_debit(&mut self, price: i64, now_ms: i64) -> Result<(), Overdrawn> {
        self.shadow_reserved -= price;
        self.balance = self.balance.saturating_add(price);
        let due = (now_ms / 1000 - self.received_s).min(1) * self.rate();
        if self.balance >= self.disconnect_limit + due {
            return Err(self.overdrawn());
        }
        Ok(())
    }

    /// Releases the price of a chunk that could not be written. It stays as ghost balance, since the peer may have got the chunk.
    ///
    /// # Errors
    /// The ghost balance is over the disconnect limit.
    pub fn cancel_debit(&mut self, price: i64) -> Result<(), Overdrawn> {
        self.shadow_reserved -= price;
        self.ghost = self.ghost.saturating_add(price);
        if self.ghost > self.disconnect_limit {
            return Err(self.overdrawn());
        }
        Ok(())
    }

    fn overdrawn(&self) -> Overdrawn {
        let latent = self.balance.max(0) + self.shadow_reserved + self.ghost;
        let seconds = (latent.max(REFRESH_RATE)).saturating_add(self.threshold) / REFRESH_RATE;
        Overdrawn {
            // The large threshold of the lan profile would give years.
            blocklist_s: seconds.clamp(0, 60) as u64,
        }
    }

    /// Computes how much of a settlement is accepted now: the seconds since the last accepted one times the rate, at most the debt.
    /// The first settlement of a peer can clear everything.
    ///
    /// # Errors
    /// [`SettleError::TooSoon`] in the same second as the last one.
    pub fn allow_settlement(&self, offered: u64, now_ms: i64) -> Result<Allowance, SettleError> {
        let now_s = now_ms / 1000;
        if now_s == self.received_s {
            return Err(SettleError::TooSoon);
        }
        let allowance = (now_s - self.received_s).saturating_mul(self.rate());
        let debt = self.balance.saturating_add(self.shadow_reserved).max(0);
        let offered = i64::try_from(offered).unwrap_or(i64::MAX);
        Ok(Allowance {
            amount: offered.min(allowance).min(debt).max(0),
            timestamp: now_s,
        })
    }

    /// Books a settlement after it was acknowledged. Returns the new threshold to announce when it has grown.
    pub fn book_settlement(&mut self, allowance: Allowance) -> Option<i64> {
        self.received_s = allowance.timestamp;
        self.balance -= allowance.amount;
        self.repaid = self.repaid.saturating_add(allowance.amount);
        if self.repaid <= self.grow_at {
            return None;
        }
        let rate = self.rate();
        self.grow_at = if self.grow_at >= GROW_LINEAR_S * rate {
            self.grow_at.saturating_mul(2)
        } else {
            self.grow_at + GROW_STEP_S * rate
        };
        self.threshold_for_peer += rate;
        self.disconnect_limit = percent(DISCONNECT_PERCENT, self.threshold_for_peer);
        Some(self.threshold_for_peer)
    }

    /// Takes the threshold the peer announced.
    pub fn set_threshold_of_peer(&mut self, threshold: u64) {
        self.threshold_of_peer = i64::try_from(threshold).unwrap_or(i64::MAX).min(1 << 60);
    }

    /// Sets a price aside before a chunk is asked for, if the peer gives that much credit. Says too what to settle now: a
    /// settlement may be due exactly because there is no credit left.
    pub fn prepare_credit(&mut self, price: i64, now_ms: i64) -> Credit {
        if !self.connected {
            return Credit {
                granted: false,
                settle: None,
            };
        }
        let expected = (-self.balance).max(0) + self.reserved + price;
        let settle = if self.balance < 0 && expected - self.shadow_reserved >= self.early() {
            self.settle_amount(now_ms)
        } else {
            None
        };
        let due = ((now_ms - self.sent_ms) / 1000).min(1) * REFRESH_RATE;
        let granted = expected <= self.threshold_of_peer.saturating_add(due);
        if granted {
            self.reserved += price;
        }
        Credit { granted, settle }
    }

    /// Books a chunk received from the peer. Returns the amount to settle now, if it is time for that.
    pub fn apply_credit(&mut self, price: i64, now_ms: i64) -> Option<i64> {
        self.reserved -= price;
        self.balance = self.balance.saturating_sub(price);
        let expected = (-self.balance).max(0) + self.reserved;
        if expected - self.shadow_reserved > self.early() {
            return self.settle_amount(now_ms);
        }
        None
    }

    /// Releases a price set aside for a chunk that did not come.
    pub fn cancel_credit(&mut self, price: i64) {
        self.reserved -= price;
    }

    fn early(&self) -> i64 {
        percent(EARLY_PERCENT, self.threshold_of_peer)
    }

    /// The amount to settle, if a refreshment is worth while and allowed now; marks it as under way.
    fn settle_amount(&mut self, now_ms: i64) -> Option<i64> {
        let debt = (-self.balance).max(0);
        let amount = debt - self.shadow_reserved;
        if amount < REFRESH_RATE || now_ms - self.sent_ms <= 999 || self.refreshing {
            return None;
        }
        self.refreshing = true;
        Some(amount)
    }

    /// Ends a settlement of ours that got no answer; the next may be tried a second later.
    pub fn settlement_failed(&mut self, now_ms: i64) {
        self.refreshing = false;
        self.refresh_reserved = 0;
        self.sent_ms = now_ms;
    }

    /// Books the acknowledgement of a settlement of ours.
    ///
    /// # Errors
    /// The acknowledgement is not what bee's rules give; nothing is booked then.
    pub fn settlement_acknowledged(
        &mut self,
        offered: i64,
        accepted: u64,
        timestamp_s: i64,
        now_ms: i64,
    ) -> Result<(), SettleError> {
        let reserved = std::mem::take(&mut self.refresh_reserved);
        self.refreshing = false;
        self.sent_ms = now_ms;
        let accepted = i64::try_from(accepted).unwrap_or(i64::MAX);
        if accepted > offered {
            return Err(SettleError::AboveOffer);
        }
        let now_s = now_ms / 1000;
        let alleged = timestamp_s.saturating_sub(self.sent_timestamp_s);
        let experienced = now_s - self.sent_check_s;
        if alleged < 0
            || timestamp_s.saturating_sub(now_s).unsigned_abs() > 2
            || experienced.saturating_sub(alleged).unsigned_abs() > 3
        {
            return Err(SettleError::Time);
        }
        self.sent_timestamp_s = timestamp_s;
        self.sent_check_s = now_s;
        let expected = alleged
            .saturating_mul(REFRESH_RATE)
            .min((offered - reserved).min(offered));
        if expected > accepted {
            return Err(SettleError::BelowAllowance);
        }
        self.balance += accepted;
        Ok(())
    }
}

fn percent(percent: i64, of: i64) -> i64 {
    (of / 100).saturating_mul(percent) + (of % 100) * percent / 100
}

#[cfg(test)]
mod tests;
