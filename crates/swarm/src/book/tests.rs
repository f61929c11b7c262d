use super::*;
use bmt::{EthAddress, SecretKey};
use p2p::Multiaddr;
use std::format;
use std::vec::Vec;

const SENDER_IP: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(9, 9, 9, 9));

fn sender(byte: u8) -> Overlay {
    Overlay([byte; 32])
}

fn rng() -> Rng {
    Rng::new(&[3; 32], "book")
}

fn record(number: u32, address: &str) -> AddressRecord {
    let mut scalar = [0; 32];
    scalar[28..].copy_from_slice(&(number + 1).to_be_bytes());
    let key = SecretKey::from_bytes(&scalar).unwrap();
    let underlay: Multiaddr = address.parse().unwrap();
    AddressRecord::sign(Version::V15, &key, 10, [0; 32], 1, underlay.encode())
}

/// A record that costs no signature: generation A records are not checked.
fn cheap(template: &AddressRecord, rng: &mut Rng) -> AddressRecord {
    let mut record = template.clone();
    record.overlay = Overlay(rng.bytes());
    let [a, b, c, d, ..] = rng.bytes();
    let ip = IpAddr::from([a & 0x3f | 0x40, b, c, 1 + d % 250]);
    record.underlay = Multiaddr::from_tcp((ip, 1634).into()).encode();
    record
}

fn next(book: &mut Book, now: Instant, rng: &mut Rng) -> Option<Candidate> {
    book.next(now, &OverlayTable::default(), None, true, rng)
}

#[test]
fn one_sender_fills_at_most_a_quarter_and_the_book_never_grows_past_its_size() {
    let (mut book, mut rng) = (Book::new(400, 10), rng());
    let template = record(1, "/ip4/1.2.3.4/tcp/5");
    for byte in 1..=8 {
        for _ in 0..3000 {
            let junk = cheap(&template, &mut rng);
            let now = Instant::ZERO;
            book.learn(now, sender(byte), SENDER_IP, Version::V14, junk, &mut rng);
        }
        assert_eq!(
            book.senders[&sender(byte)].stored,
            100.min(book.senders[&sender(byte)].stored)
        );
        assert!(book.entries.len() <= 400);
        if byte == 1 {
            assert_eq!(book.idle(), 100);
        }
    }
    assert_eq!(book.entries.len(), 400);
    assert_eq!(book.idle(), 400);
    assert_eq!(book.by_overlay.len(), 400);
}

#[test]
fn an_honest_sender_is_believed_before_one_whose_peers_do_not_exist() {
    let (mut book, mut rng) = (Book::new(1000, 10), rng());
    let junk = record(1, "/ip4/1.2.3.4/tcp/5");
    for _ in 0..200 {
        let junk = cheap(&junk, &mut rng);
        book.learn(
            Instant::ZERO,
            sender(1),
            SENDER_IP,
            Version::V14,
            junk,
            &mut rng,
        );
    }
    // Some of the junk was dialled in vain.
    for _ in 0..6 {
        let candidate = next(&mut book, Instant::ZERO, &mut rng).unwrap();
        book.release(Instant::ZERO, candidate.entry, Released::Unreachable);
    }
    for n in 0..5 {
        let good = record(100 + n, &format!("/ip4/5.6.7.8/tcp/{}", 100 + n));
        assert_eq!(
            book.learn(
                Instant::ZERO,
                sender(2),
                SENDER_IP,
                Version::V15,
                good,
                &mut rng
            ),
            Learnt::New
        );
    }
    // A sample of 48 of 205 misses the five now and then, so look at several.
    let dialled: Vec<_> = (0..25)
        .filter_map(|_| next(&mut book, Instant::ZERO, &mut rng))
        .filter(|candidate| candidate.address.ip() == IpAddr::from([5, 6, 7, 8]))
        .collect();
    assert_eq!(dialled.len(), 5);
}

#[test]
fn a_record_with_a_bad_signature_is_dropped_before_a_dial_is_spent() {
    let (mut book, mut rng) = (Book::new(100, 10), rng());
    let mut forged = record(1, "/ip4/1.2.3.4/tcp/5");
    forged.underlay[4] ^= 1;
    assert_eq!(
        book.learn(
            Instant::ZERO,
            sender(1),
            SENDER_IP,
            Version::V15,
            forged,
            &mut rng
        ),
        Learnt::New
    );
    assert!(next(&mut book, Instant::ZERO, &mut rng).is_none());
    assert_eq!(book.idle(), 0);
}

#[test]
fn addresses_farther_inside_than_the_sender_are_not_dialled() {
    let cases = [
        ("9.9.9.9", "/ip4/1.2.3.4/tcp/5", true),
        ("9.9.9.9", "/ip4/192.168.1.1/tcp/5", false),
        ("9.9.9.9", "/ip4/127.0.0.1/tcp/5", false),
        ("9.9.9.9", "/ip4/100.64.0.1/tcp/5", false),
        ("10.0.0.1", "/ip4/192.168.1.1/tcp/5", true),
        ("10.0.0.1", "/ip4/127.0.0.1/tcp/5", false),
        ("127.0.0.1", "/ip4/127.0.0.1/tcp/5", true),
        ("9.9.9.9", "/ip4/1.2.3.4/tcp/0", false),
        ("9.9.9.9", "/ip4/224.0.0.1/tcp/5", false),
        ("9.9.9.9", "/ip4/1.2.3.4/tcp/5/ws", false),
        ("9.9.9.9", "/ip4/1.2.3.4/udp/5/quic-v1", false),
        ("9.9.9.9", "/ip6/::1/tcp/5", false),
        ("9.9.9.9", "/ip6/2001:db8::1/tcp/5", true),
    ];
    for (n, (from, address, wanted)) in (0..).zip(cases) {
        let (mut book, mut rng) = (Book::new(100, 10), rng());
        let from = from.parse().unwrap();
        let learnt = book.learn(
            Instant::ZERO,
            sender(1),
            from,
            Version::V15,
            record(n, address),
            &mut rng,
        );
        let wanted = if wanted { Learnt::New } else { Learnt::Refused };
        assert_eq!(learnt, wanted, "{from} tells of {address}");
    }
}

#[test]
fn failed_peers_wait_longer_each_time_and_unproven_ones_are_forgotten() {
    let (mut book, mut rng) = (Book::new(100, 10), rng());
    let one = record(1, "/ip4/1.2.3.4/tcp/5");
    book.learn(
        Instant::ZERO,
        sender(1),
        SENDER_IP,
        Version::V15,
        one,
        &mut rng,
    );
    let mut now = Instant::ZERO;
    for pause in [1, 2] {
        let candidate = next(&mut book, now, &mut rng).unwrap();
        book.release(now, candidate.entry, Released::Unreachable);
        assert!(next(&mut book, now, &mut rng).is_none());
        assert_eq!(book.next_at(), Some(now + Duration::from_secs(pause)));
        now = now + Duration::from_secs(pause);
    }
    let candidate = next(&mut book, now, &mut rng).unwrap();
    book.release(now, candidate.entry, Released::Unreachable);
    assert_eq!(book.idle(), 0);
}

#[test]
fn proven_peers_and_bootnodes_are_kept_and_left_alone_for_five_seconds() {
    let (mut book, mut rng) = (Book::new(100, 10), rng());
    book.add_bootnode(Instant::ZERO, "1.2.3.4:5".parse().unwrap(), None);
    let mut now = Instant::ZERO;
    let candidate = next(&mut book, now, &mut rng).unwrap();
    assert!(book.is_boot(candidate.entry));
    book.connected(candidate.entry, sender(9));
    book.release(now, candidate.entry, Released::Ended);
    assert!(next(&mut book, now + Duration::from_millis(4999), &mut rng).is_none());
    now = now + Duration::from_secs(5);
    for _ in 0..20 {
        let candidate = next(&mut book, now, &mut rng).expect("never forgotten");
        book.release(now, candidate.entry, Released::Unreachable);
        now = now + BACKOFF_MAX_PROVEN;
    }
    assert_eq!(book.bootnode_failures(), Some(20));
    book.forget_failures(now);
    assert_eq!(book.bootnode_failures(), None);
    assert!(next(&mut book, now, &mut rng).is_some());
}

#[test]
fn a_banned_peer_is_neither_dialled_nor_learnt_again() {
    let (mut book, mut rng) = (Book::new(100, 10), rng());
    let one = record(1, "/ip4/1.2.3.4/tcp/5");
    let overlay = one.overlay;
    book.learn(
        Instant::ZERO,
        sender(1),
        SENDER_IP,
        Version::V15,
        one.clone(),
        &mut rng,
    );
    let candidate = next(&mut book, Instant::ZERO, &mut rng).unwrap();
    book.connected(candidate.entry, overlay);
    book.release(Instant::ZERO, candidate.entry, Released::Banned);
    assert!(book.is_banned(&overlay));
    assert_ne!(
        book.learn(
            Instant::ZERO,
            sender(1),
            SENDER_IP,
            Version::V15,
            one,
            &mut rng
        ),
        Learnt::New
    );
    assert!(next(&mut book, Instant::ZERO + BACKOFF_MAX, &mut rng).is_none());
}

#[test]
fn a_wanted_chunk_draws_dials_to_its_neighbourhood() {
    let (mut book, mut rng) = (Book::new(100, 10), rng());
    for n in 0..40 {
        let one = record(n, &format!("/ip4/1.2.3.4/tcp/{}", n + 1));
        book.learn(
            Instant::ZERO,
            sender(1),
            SENDER_IP,
            Version::V15,
            one,
            &mut rng,
        );
    }
    let chunk = ChunkAddress([0x77; 32]);
    let closest = book
        .by_overlay
        .keys()
        .max_by_key(|o| common(o, &chunk))
        .copied();
    let table = OverlayTable::default();
    let candidate = book.next(Instant::ZERO, &table, Some(&chunk), true, &mut rng);
    let chosen = book.overlay(candidate.unwrap().entry);
    assert_eq!(
        common(&chosen.unwrap(), &chunk),
        common(&closest.unwrap(), &chunk)
    );
    let _ = EthAddress([0; 20]);
}

fn common(overlay: &Overlay, chunk: &ChunkAddress) -> u16 {
    crate::table::common_bits(&overlay.0, &chunk.0)
}

#[test]
fn one_address_under_a_hundred_overlays_is_dialled_twice() {
    let (mut book, mut rng) = (Book::new(1000, 10), rng());
    let now = Instant::ZERO;
    let template = record(1, "/ip4/1.2.3.4/tcp/5");
    let at_one_place = |rng: &mut Rng| {
        let mut record = template.clone();
        record.overlay = Overlay(rng.bytes());
        record
    };
    for n in 0..100 {
        let claim = at_one_place(&mut rng);
        let learnt = book.learn(now, sender(1), SENDER_IP, Version::V14, claim, &mut rng);
        let expected = if n < 2 { Learnt::New } else { Learnt::Refused };
        assert_eq!(learnt, expected, "{n}");
    }
    assert_eq!(book.idle(), 2);
    // The owner of the address comes last; one of those that failed there gives way to it.
    let failed = next(&mut book, now, &mut rng).unwrap();
    book.release(now, failed.entry, Released::Unreachable);
    let owner = at_one_place(&mut rng);
    let overlay = owner.overlay;
    let learnt = book.learn(now, sender(2), SENDER_IP, Version::V14, owner, &mut rng);
    assert_eq!(learnt, Learnt::New);
    assert!(book.by_overlay.contains_key(&overlay));
    assert_eq!(book.idle(), 2);
    assert!(!book.entries.contains_key(&failed.entry));
}

#[test]
fn a_record_told_again_is_neither_new_nor_refused() {
    let (mut book, mut rng) = (Book::new(100, 10), rng());
    let told = record(1, "/ip4/1.2.3.4/tcp/5");
    for expected in [Learnt::New, Learnt::Known, Learnt::Known] {
        let now = Instant::ZERO;
        let told = told.clone();
        let learnt = book.learn(now, sender(1), SENDER_IP, Version::V15, told, &mut rng);
        assert_eq!(learnt, expected);
    }
    assert_eq!(book.places.len(), 1);
}

#[test]
fn a_peer_that_is_of_no_use_again_and_again_is_dialled_later_each_time() {
    let (mut book, mut rng) = (Book::new(100, 10), rng());
    let mut now = Instant::ZERO;
    let peer = record(1, "/ip4/1.2.3.4/tcp/5");
    let overlay = peer.overlay;
    book.learn(now, sender(1), SENDER_IP, Version::V15, peer, &mut rng);
    for pause in [5, 10, 20, 40, 80, 120, 120] {
        let candidate = next(&mut book, now, &mut rng).unwrap();
        book.connected(candidate.entry, overlay);
        book.release(now, candidate.entry, Released::Useless);
        assert!(
            next(
                &mut book,
                now + Duration::from_millis(pause * 1000 - 1),
                &mut rng
            )
            .is_none()
        );
        now = now + Duration::from_secs(pause);
    }
}
