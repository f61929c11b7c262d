//! DHCP over the virtual link.
mod support;

use netstack::{Config, Event};
use smoltcp::wire::DhcpMessageType;
use std::time::Duration;
use support::wire::Faults;
use support::{MAC, World};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_address_is_leased_and_everything_in_the_answer_is_reported() {
    let mut w = World::new();
    assert!(w.run_until(SECOND, |w| w.stack.is_configured()));
    let (_, last) = w.events.last().expect("events");
    assert_eq!(
        *last,
        Event::Configured {
            address: [10, 0, 2, 15].into(),
            prefix_length: 24,
            gateway: Some([10, 0, 2, 2].into()),
            dns: vec![[10, 0, 2, 3].into()],
        }
    );
    assert_eq!(w.events[0].1, Event::DhcpAttempt(1));
    assert_eq!(w.stack.sockets_made(), 0);
}

#[test]
fn the_first_tries_are_short_and_a_port_that_forwards_after_50_s_is_found() {
    let mut w = World::new();
    w.wire.cut(true);
    w.run(50 * SECOND);
    w.wire.cut(false);
    assert!(w.run_until(9 * SECOND, |w| w.stack.is_configured()));
    let attempts: Vec<u64> = w
        .events
        .iter()
        .filter(|(_, e)| matches!(e, Event::DhcpAttempt(_)))
        .map(|(at, _)| at.as_millis())
        .collect();
    assert_eq!(attempts[..4], [0, 1000, 3000, 7000]);
    assert!(
        attempts[4..]
            .windows(2)
            .all(|p| (4000..=8000).contains(&(p[1] - p[0]))),
        "{attempts:?}"
    );
}

#[test]
fn a_server_slower_than_the_first_pauses_is_heard() {
    let mut w = World::new();
    w.server.dhcp().answer_after = Duration::from_millis(1500);
    // The offer to the first try comes after the second try; the acknowledgement likewise.
    assert!(w.run_until(4 * SECOND, |w| w.stack.is_configured()));
}

#[test]
fn giving_up_is_reported_once_and_asking_goes_on() {
    let mut w = World::new();
    w.wire.cut(true);
    w.run(200 * SECOND);
    assert_eq!(w.count(|e| matches!(e, Event::DhcpGaveUp { .. })), 1);
    let gave_up = w
        .events
        .iter()
        .find(|(_, e)| matches!(e, Event::DhcpGaveUp { .. }));
    assert_eq!(gave_up.map(|(at, _)| at.as_millis()), Some(90_000));
    assert!(w.stack.has_given_up());
    w.wire.cut(false);
    assert!(w.run_until(9 * SECOND, |w| w.stack.is_configured()));
    assert!(!w.stack.has_given_up());
}

#[test]
fn a_server_that_always_refuses_is_not_asked_at_wire_speed() {
    let mut w = World::new();
    w.server.dhcp().refusals = u32::MAX;
    w.run(60 * SECOND);
    let refused = w.count(|e| matches!(e, Event::DhcpRefused { .. }));
    assert!((8..=20).contains(&refused), "{refused}");
    assert_eq!(w.server.dhcp().count(DhcpMessageType::Request), refused);
    assert!(!w.stack.is_configured());
}

#[test]
fn a_refused_request_is_made_again() {
    let mut w = World::new();
    w.server.dhcp().refusals = 1;
    assert!(w.run_until(3 * SECOND, |w| w.stack.is_configured()));
    assert_eq!(w.count(|e| matches!(e, Event::DhcpRefused { .. })), 1);
}

#[test]
fn lost_messages_are_sent_again() {
    for seed in 0..50 {
        let faults = Faults {
            seed,
            lost_per_mille: 250,
            doubled_per_mille: 100,
            ..Faults::default()
        };
        let mut w = World::with(Config::new(MAC, seed), faults);
        assert!(
            w.run_until(60 * SECOND, |w| w.stack.is_configured()),
            "seed {seed}"
        );
    }
}

#[test]
fn a_lease_is_renewed_at_its_half_without_disturbing_anything() {
    let mut w = World::new();
    w.server.dhcp().lease_seconds = Some(600);
    w.run(290 * SECOND);
    assert_eq!(w.server.dhcp().count(DhcpMessageType::Request), 1);
    w.run(20 * SECOND);
    let renewal = w.server.dhcp().seen.last().expect("a renewal").clone();
    assert_eq!(renewal.kind, DhcpMessageType::Request);
    assert_eq!(renewal.client, std::net::Ipv4Addr::new(10, 0, 2, 15));
    assert_eq!(renewal.to, std::net::Ipv4Addr::new(10, 0, 2, 2));
    assert_eq!(w.count(|e| matches!(e, Event::DhcpRenewed { .. })), 1);
    w.run(3600 * SECOND);
    assert_eq!(w.count(|e| matches!(e, Event::Configured { .. })), 1);
    assert_eq!(w.count(|e| matches!(e, Event::Deconfigured)), 0);
    assert!(w.node.lost.is_empty());
}

#[test]
fn the_times_of_the_server_count_when_they_are_in_order() {
    let mut w = World::new();
    w.server.dhcp().t1_seconds = Some(100);
    w.server.dhcp().t2_seconds = Some(200);
    w.run(101 * SECOND);
    assert_eq!(w.server.dhcp().count(DhcpMessageType::Request), 2);
    let mut w = World::new();
    w.server.dhcp().t1_seconds = Some(300);
    w.server.dhcp().t2_seconds = Some(200);
    w.run(101 * SECOND);
    assert_eq!(w.server.dhcp().count(DhcpMessageType::Request), 1);
}

#[test]
fn a_lease_that_nobody_renews_is_rebound_then_given_back() {
    let mut w = World::new();
    w.server.dhcp().lease_seconds = Some(600);
    assert!(w.run_until(SECOND, |w| w.stack.is_configured()));
    w.server.dhcp().deaf_for = u32::MAX;
    w.run(620 * SECOND);
    let everybody = w.server.dhcp().seen.iter().any(|s| {
        s.kind == DhcpMessageType::Request && s.client.octets()[0] == 10 && s.to.is_broadcast()
    });
    assert!(everybody, "no rebinding");
    assert_eq!(w.count(|e| matches!(e, Event::Deconfigured)), 1);
    assert_eq!(w.node.lost.len(), 1);
    w.server.dhcp().deaf_for = 0;
    assert!(w.run_until(9 * SECOND, |w| w.stack.is_configured()));
}

#[test]
fn a_link_that_comes_back_confirms_the_address_in_one_round_trip() {
    let mut w = World::new();
    w.run(10 * SECOND);
    w.stack.handle_link(w.now, false);
    w.run(20 * SECOND);
    let before = w.server.dhcp().seen.len();
    w.stack.handle_link(w.now, true);
    w.run(Duration::from_millis(10));
    let seen = &w.server.dhcp().seen[before..];
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].kind, DhcpMessageType::Request);
    assert_eq!(seen[0].requested, Some([10, 0, 2, 15].into()));
    assert!(w.stack.is_configured());
    assert_eq!(w.count(|e| matches!(e, Event::Configured { .. })), 1);
}

#[test]
fn a_link_that_comes_back_elsewhere_gets_a_new_address_and_the_node_is_told() {
    let mut w = World::new();
    w.run(10 * SECOND);
    w.stack.handle_link(w.now, false);
    w.server.dhcp().leased = [10, 0, 2, 77].into();
    w.stack.handle_link(w.now, true);
    assert!(w.run_until(5 * SECOND, |w| w.node.lost.len() == 1
        && w.stack.is_configured()));
    assert!(
        matches!(w.events.last(), Some((_, Event::Configured { address, .. })) if address.octets()[3] == 77)
    );
}

#[test]
fn a_link_that_comes_up_restarts_the_short_pauses() {
    let mut w = World::new();
    w.server.dhcp().deaf_for = u32::MAX;
    w.run(30 * SECOND);
    w.stack.handle_link(w.now, false);
    let before = w.server.dhcp().seen.len();
    w.run(30 * SECOND);
    assert_eq!(w.server.dhcp().seen.len(), before, "asked without a link");
    w.server.dhcp().deaf_for = 2;
    w.stack.handle_link(w.now, true);
    assert!(w.run_until(Duration::from_millis(3100), |w| w.stack.is_configured()));
    assert_eq!(w.count(|e| matches!(e, Event::DhcpAttempt(1))), 2);
}

#[test]
fn absurd_leases_neither_panic_nor_flood() {
    let absurd: [fn(&mut support::dhcp::DhcpServer); 8] = [
        |d| d.leased = [0, 0, 0, 0].into(),
        |d| d.leased = [255, 255, 255, 255].into(),
        |d| d.leased = [224, 0, 0, 1].into(),
        |d| d.routers = vec![[255, 255, 255, 255].into(), [224, 0, 0, 1].into()],
        |d| d.lease_seconds = Some(0),
        |d| d.mask = Some([255, 0, 255, 0].into()),
        |d| d.mask = Some([0, 0, 0, 0].into()),
        |d| d.lease_seconds = Some(u32::MAX),
    ];
    for (i, change) in absurd.iter().enumerate() {
        let mut w = World::new();
        change(w.server.dhcp());
        w.run(60 * SECOND);
        w.node.dial(([1, 1, 1, 1], 80));
        w.run(30 * SECOND);
        let messages = w.server.dhcp().seen.len();
        assert!(messages < 60, "{i}: {messages} messages");
        assert_eq!(w.stack.is_configured(), i >= 3, "{i}");
    }
}

#[test]
fn the_first_of_several_routers_is_used() {
    let mut w = World::new();
    w.server.dhcp().routers = vec![[10, 0, 2, 2].into(), [10, 0, 2, 9].into()];
    assert!(w.run_until(SECOND, |w| w.stack.is_configured()));
    assert!(
        matches!(w.events.last(), Some((_, Event::Configured { gateway: Some(g), .. })) if g.octets()[3] == 2)
    );
}

#[test]
fn every_split_second_of_idle_polling_needs_no_node_and_no_buffers() {
    let mut w = World::new();
    for _ in 0..100 {
        w.stack.poll_idle(w.now);
        w.server.poll(w.now);
        w.now = w.now + Duration::from_millis(10);
    }
    assert!(w.stack.is_configured());
    assert_eq!(w.stack.sockets_made(), 0);
}
