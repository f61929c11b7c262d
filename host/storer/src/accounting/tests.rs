use super::*;

const NOW_MS: i64 = 1_700_000_000_500;

fn light() -> Account {
    let mut account = Account::new(Profile::Public);
    assert_eq!(account.connect(false), 1_350_000);
    account
}

/// Delivers chunks at `price` until the peer is overdrawn; returns how many were delivered, the last included.
fn serve_until_overdrawn(account: &mut Account, price: i64, now_ms: i64) -> (u32, Overdrawn) {
    for n in 1..10_000 {
        assert!(account.prepare_debit(price));
        if let Err(overdrawn) = account.apply_debit(price, now_ms) {
            return (n, overdrawn);
        }
    }
    panic!("never overdrawn");
}

#[test]
fn prices_fall_with_proximity() {
    for (po, expected) in [
        (0, 320_000),
        (8, 240_000),
        (31, 10_000),
        (32, 10_000),
        (255, 10_000),
    ] {
        assert_eq!(price(po), expected);
    }
}

#[test]
fn a_light_client_that_never_settles_is_dropped_for_4_s_after_the_chunks_of_6_4() {
    // Before any settlement the limit is 1 687 500 + 450 000 = 2 137 500.
    for (po, chunks) in [(0, 7), (5, 8), (8, 9)] {
        let (n, overdrawn) = serve_until_overdrawn(&mut light(), price(po), NOW_MS);
        assert_eq!(n, chunks, "PO {po}");
        assert_eq!(overdrawn.blocklist_s, 4);
    }
}

#[test]
fn the_limit_is_exact() {
    let mut account = light();
    assert!(account.prepare_debit(2_137_499));
    assert!(account.apply_debit(2_137_499, NOW_MS).is_ok());
    assert!(account.prepare_debit(1));
    assert!(account.apply_debit(1, NOW_MS).is_err());
}

#[test]
fn within_the_second_of_a_settlement_the_extra_refreshment_is_not_given() {
    let mut account = light();
    account.prepare_debit(1_000_000);
    account.apply_debit(1_000_000, NOW_MS).unwrap();
    let allowance = account.allow_settlement(1_000_000, NOW_MS).unwrap();
    account.book_settlement(allowance);
    assert_eq!(account.balance(), 0);
    account.prepare_debit(1_687_499);
    assert!(account.apply_debit(1_687_499, NOW_MS).is_ok());
    account.prepare_debit(1);
    assert!(account.clone().apply_debit(1, NOW_MS).is_err());
    assert!(account.apply_debit(1, NOW_MS + 1000).is_ok());
}

#[test]
fn a_full_peer_has_ten_times_the_limits() {
    let mut account = Account::new(Profile::Public);
    assert_eq!(account.connect(true), 13_500_000);
    account.prepare_debit(16_875_000 + 4_500_000 - 1);
    assert!(
        account
            .apply_debit(16_875_000 + 4_500_000 - 1, NOW_MS)
            .is_ok()
    );
    account.prepare_debit(1);
    let overdrawn = account.apply_debit(1, NOW_MS).unwrap_err();
    assert_eq!(overdrawn.blocklist_s, (21_375_000 + 13_500_000) / 4_500_000);
}

#[test]
fn the_first_settlement_clears_the_whole_debt_and_later_ones_450_000_per_second() {
    let mut account = light();
    account.prepare_debit(1_600_000);
    account.apply_debit(1_600_000, NOW_MS).unwrap();
    let first = account.allow_settlement(5_000_000, NOW_MS).unwrap();
    assert_eq!((first.amount, first.timestamp), (1_600_000, NOW_MS / 1000));
    account.book_settlement(first);

    account.prepare_debit(1_600_000);
    account.apply_debit(1_600_000, NOW_MS).unwrap();
    assert_eq!(
        account.allow_settlement(1, NOW_MS + 499),
        Err(SettleError::TooSoon)
    );
    for (later_ms, amount) in [
        (500, 450_000),
        (1_499, 450_000),
        (1_500, 900_000),
        (9_000, 1_600_000),
    ] {
        let allowance = account
            .allow_settlement(5_000_000, NOW_MS + later_ms)
            .unwrap();
        assert_eq!(allowance.amount, amount, "after {later_ms} ms");
    }
    assert_eq!(
        account.allow_settlement(7, NOW_MS + 2_000).unwrap().amount,
        7
    );
}

#[test]
fn a_full_peer_settles_4_500_000_per_second() {
    let mut account = Account::new(Profile::Public);
    account.connect(true);
    account.prepare_debit(10);
    account.apply_debit(10, NOW_MS).unwrap();
    let first = account.allow_settlement(10, NOW_MS).unwrap();
    account.book_settlement(first);
    account.prepare_debit(16_000_000);
    account.apply_debit(16_000_000, NOW_MS).unwrap();
    let allowance = account.allow_settlement(u64::MAX, NOW_MS + 2_000).unwrap();
    assert_eq!(allowance.amount, 9_000_000);
}

#[test]
fn the_shadow_reserve_counts_as_debt_for_settlements() {
    let mut account = light();
    account.prepare_debit(300_000);
    assert_eq!(
        account.allow_settlement(500_000, NOW_MS).unwrap().amount,
        300_000
    );
}

#[test]
fn deliveries_that_fail_become_ghost_debt_until_the_limit() {
    let mut account = light();
    let mut cancelled = 0;
    let overdrawn = loop {
        assert!(account.prepare_debit(320_000));
        cancelled += 1;
        if let Err(overdrawn) = account.cancel_debit(320_000) {
            break overdrawn;
        }
    };
    assert_eq!(cancelled, 6); // 6 x 320 000 > 1 687 500
    assert_eq!(overdrawn.blocklist_s, 4);
    account.connect(false);
    account.prepare_debit(320_000);
    assert!(account.cancel_debit(320_000).is_ok());
}

#[test]
fn reconnecting_zeroes_balances_but_not_settlement_times() {
    let mut account = light();
    account.prepare_debit(1_000_000);
    account.apply_debit(1_000_000, NOW_MS).unwrap();
    let first = account.allow_settlement(400_000, NOW_MS).unwrap();
    account.book_settlement(first);
    account.disconnect();
    assert!(!account.prepare_debit(1));
    account.connect(false);
    assert_eq!(account.balance(), 0);
    assert_eq!(
        account.allow_settlement(1, NOW_MS),
        Err(SettleError::TooSoon)
    );
}

#[test]
fn the_threshold_of_a_light_client_grows_with_what_it_repaid() {
    let mut account = light();
    let (mut announced, mut now_ms) = (Vec::new(), NOW_MS);
    for _ in 0..300 {
        now_ms += 1_000;
        account.prepare_debit(450_000);
        account.apply_debit(450_000, now_ms).unwrap();
        let allowance = account.allow_settlement(450_000, now_ms).unwrap();
        assert_eq!(allowance.amount, 450_000);
        announced.extend(
            account
                .book_settlement(allowance)
                .map(|t| (account.repaid, t)),
        );
    }
    // After more than 45 000 000 units, and after every further 45 000 000.
    assert_eq!(
        announced,
        [(45_450_000, 1_800_000), (90_450_000, 2_250_000)]
    );
}

#[test]
fn the_lan_profile_lets_a_light_client_take_hundreds_of_millions_of_chunks() {
    let mut account = Account::new(Profile::Lan);
    assert_eq!(account.connect(false), 100_000_000_000_000);
    for _ in 0..100_000 {
        assert!(account.prepare_debit(320_000));
        account.apply_debit(320_000, NOW_MS).unwrap();
    }
    let debt = account.balance();
    let allowance = account.allow_settlement(u64::MAX, NOW_MS).unwrap();
    assert_eq!(allowance.amount, debt);
}

#[test]
fn as_a_customer_it_settles_at_half_the_threshold_and_stops_at_the_whole() {
    let mut account = Account::new(Profile::Public);
    account.connect(true);
    account.set_threshold_of_peer(13_500_000);
    let mut settles = Vec::new();
    let mut taken = 0;
    loop {
        let credit = account.prepare_credit(320_000, NOW_MS);
        settles.extend(credit.settle);
        if !credit.granted {
            break;
        }
        settles.extend(account.apply_credit(320_000, NOW_MS));
        taken += 1;
    }
    assert_eq!(taken, (13_500_000 + 4_500_000) / 320_000);
    // Triggered by the chunk that would pass 6 750 000, for what is owed by then; one settlement under way at a time.
    assert_eq!(settles, [21 * 320_000]);
    account
        .settlement_acknowledged(settles[0], settles[0] as u64, NOW_MS / 1000, NOW_MS)
        .unwrap();
    assert_eq!(account.balance(), -(taken - 21) * 320_000);
    assert!(account.prepare_credit(320_000, NOW_MS).granted);
}

#[test]
fn acknowledgements_that_break_the_rules_are_not_booked() {
    let paid = || {
        let mut account = Account::new(Profile::Public);
        account.connect(true);
        assert!(account.prepare_credit(9_000_000, NOW_MS).granted);
        assert_eq!(account.apply_credit(9_000_000, NOW_MS), Some(9_000_000));
        account
    };
    let now_s = NOW_MS / 1000;
    for (accepted, timestamp, error) in [
        (9_000_001, now_s, SettleError::AboveOffer),
        (8_999_999, now_s, SettleError::BelowAllowance),
        (9_000_000, now_s + 3, SettleError::Time),
        (9_000_000, now_s - 3, SettleError::Time),
        (9_000_000, i64::MIN, SettleError::Time),
        (u64::MAX, now_s, SettleError::AboveOffer),
    ] {
        let mut account = paid();
        assert_eq!(
            account.settlement_acknowledged(9_000_000, accepted, timestamp, NOW_MS),
            Err(error)
        );
        assert_eq!(account.balance(), -9_000_000);
    }
}
