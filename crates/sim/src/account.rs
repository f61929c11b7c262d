//! bee's side of the accounting with a light client, written from its rules and not from our client's.
//!
//! SPEC swarm-wire 6.3, 6.4.
use p2p::Instant;

/// Limits of a storer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What it announces to light clients.
    pub threshold: u64,
    /// Units that light clients may settle per second.
    pub refresh_rate: u64,
}

impl Profile {
    /// bee's own limits.
    pub const PUBLIC: Self = Self {
        threshold: 1_350_000,
        refresh_rate: 450_000,
    };
    /// No throttling in practice.
    pub const LAN: Self = Self {
        threshold: 1 << 50,
        refresh_rate: 450_000,
    };
    const fn disconnect_limit(self) -> u64 {
        self.threshold + self.threshold / 4
    }
}

/// The account of one client at one storer; it outlives connections, as in bee.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerAccount {
    pub(crate) balance: i64,
    pub(crate) shadow: i64,
    /// Unix second of the last accepted settlement; zero for a fresh client.
    last_settled: u64,
    /// Balance counted with the last settlement, for the overdraft rule.
    last_refresh: u64,
    pub(crate) ghost: i64,
    pub(crate) blocked_until: Instant,
    pub(crate) earned: u64,
}

/// The second in which the virtual world begins.
const EPOCH_S: u64 = 1_790_000_000;

fn unix_seconds(now: Instant) -> u64 {
    EPOCH_S + now.as_micros() / 1_000_000
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).expect("amounts of tests fit")
}

impl ServerAccount {
    /// A new connection: balances start at zero, the settlement time does not.
    pub(crate) const fn connect(&mut self) {
        self.balance = 0;
        self.shadow = 0;
        self.ghost = 0;
    }
    /// A delivery is about to be written.
    pub(crate) fn prepare(&mut self, price: u64) {
        self.shadow += signed(price);
    }
    /// A delivery was written. Returns false when the client is now too deep in debt.
    pub(crate) fn apply(&mut self, now: Instant, profile: Profile, price: u64) -> bool {
        self.shadow -= signed(price);
        self.balance += signed(price);
        self.earned += price;
        let elapsed = (unix_seconds(now) - self.last_refresh).min(1);
        let limit = profile.disconnect_limit() + elapsed * profile.refresh_rate;
        self.balance < signed(limit)
    }
    /// A delivery was prepared and could not be written. Returns false when there were too many.
    pub(crate) fn abandon(&mut self, profile: Profile, price: u64) -> bool {
        self.shadow -= signed(price);
        self.ghost += signed(price);
        self.ghost <= signed(profile.disconnect_limit())
    }
    /// A settlement; `None` is a refusal. Returns amount and timestamp.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        profile: Profile,
        offered: u64,
    ) -> Option<(u64, u64)> {
        let second = unix_seconds(now);
        if second == self.last_settled {
            return None;
        }
        let allowance = (second - self.last_settled).saturating_mul(profile.refresh_rate);
        let debt = u64::try_from(self.balance + self.shadow).unwrap_or(0);
        let accepted = offered.min(allowance.min(debt));
        self.last_settled = second;
        self.last_refresh = second;
        self.balance -= signed(accepted);
        Some((accepted, second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(account: &mut ServerAccount, now: Instant, price: u64) -> bool {
        account.prepare(price);
        account.apply(now, Profile::PUBLIC, price)
    }

    #[test]
    fn a_fresh_client_may_owe_one_refresh_more_and_clears_everything_at_first() {
        let now = Instant::from_millis(500);
        let mut account = ServerAccount::default();
        // 1 687 500 + 450 000, SPEC swarm-wire 6.4.
        assert!(serve(&mut account, now, 2_137_499));
        assert!(!serve(&mut account, now, 1));
        assert_eq!(
            account.settle(now, Profile::PUBLIC, 9_000_000),
            Some((2_137_500, EPOCH_S))
        );
        assert_eq!(account.settle(now, Profile::PUBLIC, 1), None);
    }

    #[test]
    fn later_settlements_accept_a_refresh_per_whole_second() {
        let at = Instant::from_millis;
        let mut account = ServerAccount::default();
        account.settle(at(100), Profile::PUBLIC, 0);
        serve(&mut account, at(100), 1_600_000);
        let accepted = |settled: Option<(u64, u64)>| settled.map(|(amount, _)| amount);
        assert_eq!(accepted(account.settle(at(900), Profile::PUBLIC, 1)), None);
        let offer = 1_600_000;
        let settled = account.settle(at(1000), Profile::PUBLIC, offer);
        assert_eq!(accepted(settled), Some(450_000));
        let settled = account.settle(at(3100), Profile::PUBLIC, offer);
        assert_eq!(accepted(settled), Some(900_000));
        let settled = account.settle(at(9000), Profile::PUBLIC, offer);
        assert_eq!(accepted(settled), Some(250_000));
    }
}
