//! Connections over the virtual link.
mod support;

use netstack::{Config, Event};
use smoltcp::socket::tcp::State;
use std::time::Duration;
use support::server::{Service, pattern};
use support::wire::Faults;
use support::{MAC, World};
use swarm::DialError;

const SECOND: Duration = Duration::from_secs(1);
const SERVER: [u8; 4] = [10, 0, 2, 2];

fn world() -> World {
    World::configured(Faults::default())
}

fn assert_pattern(bytes: &[u8], length: usize) {
    assert_eq!(bytes.len(), length);
    let wrong = (0..length).find(|i| bytes[*i] != pattern(*i as u64));
    assert_eq!(wrong, None, "first wrong byte");
}

#[test]
fn bytes_go_both_ways_unchanged_and_in_order() {
    let mut w = world();
    w.server.serve(80, Service::Echo);
    let conn = w.node.dial((SERVER, 80));
    let sent: Vec<u8> = (0..1_000_000).map(pattern).collect();
    w.node.send(conn, &sent);
    assert!(w.run_until(10 * SECOND, |w| w.node.get(conn).received == 1_000_000));
    assert_pattern(&w.node.get(conn).bytes, 1_000_000);
}

#[test]
fn the_other_ends_close_is_reported_after_its_last_byte() {
    let mut w = world();
    w.server.serve(80, Service::Source(100_000));
    let conn = w.node.dial((SERVER, 80));
    assert!(w.run_until(SECOND, |w| w.node.get(conn).is_closed));
    assert_pattern(&w.node.get(conn).bytes, 100_000);
}

#[test]
fn a_reset_is_reported_as_closed() {
    let mut w = world();
    w.server.serve(80, Service::Reset(10));
    let conn = w.node.dial((SERVER, 80));
    w.node.send(conn, &[1; 10]);
    assert!(w.run_until(SECOND, |w| w.node.get(conn).is_closed));
}

#[test]
fn a_refused_dial_a_silent_one_and_an_absent_machine_are_told_apart() {
    let mut w = world();
    let refused = w.node.dial((SERVER, 81));
    w.run(Duration::from_millis(100));
    assert_eq!(w.node.get(refused).failed, Some(DialError::Refused));

    let absent = w.node.dial(([10, 0, 2, 99], 80));
    w.run(Duration::from_millis(3100));
    assert_eq!(w.node.get(absent).failed, Some(DialError::Unreachable));
    assert_eq!(
        w.count(|e| matches!(e, Event::NeighbourSilent { address } if address.octets()[3] == 99)),
        1
    );

    // The router takes the packet and nobody ever answers.
    let silent = w.node.dial(([192, 0, 2, 1], 80));
    w.run(Duration::from_millis(9900));
    assert_eq!(w.node.get(silent).failed, None);
    w.run(Duration::from_millis(200));
    assert_eq!(w.node.get(silent).failed, Some(DialError::TimedOut));
}

#[test]
fn addresses_that_cannot_be_dialled_fail_at_once() {
    let mut w = world();
    w.settle();
    let v6 = std::net::SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 80));
    let mut conns = vec![w.node.dial(v6)];
    for bad in [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [10, 0, 2, 255],
        [10, 0, 2, 15],
    ] {
        conns.push(w.node.dial((bad, 80)));
    }
    conns.push(w.node.dial((SERVER, 0)));
    w.settle();
    for conn in conns {
        assert_eq!(
            w.node.get(conn).failed,
            Some(DialError::Unreachable),
            "{conn}"
        );
    }
    assert_eq!(w.stack.sockets_made(), 0);
}

#[test]
fn a_dial_without_an_address_is_unreachable() {
    let mut w = World::new();
    w.server.dhcp = None;
    let conn = w.node.dial((SERVER, 80));
    w.settle();
    assert_eq!(w.node.get(conn).failed, Some(DialError::Unreachable));
}

#[test]
fn forty_neighbours_are_found_at_once() {
    let mut w = world();
    // Forty machines on one link, each with its own hardware address; none listens.
    w.server.hook = Some(Box::new(|_, frame| support::machines(frame, 100..140)));
    let conns: Vec<u64> = (100..140)
        .map(|i| w.node.dial(([10, 0, 2, i], 80)))
        .collect();
    w.run(Duration::from_millis(50));
    for conn in conns {
        assert_eq!(w.node.get(conn).failed, Some(DialError::Refused), "{conn}");
    }
}

#[test]
fn the_pool_is_bounded_and_sockets_are_used_again() {
    let mut config = config();
    config.sockets_max = 4;
    let mut w = World::with(config, Faults::default());
    for port in 1..=6 {
        w.server.serve(port, Service::Echo);
    }
    let conns: Vec<u64> = (1..=6).map(|port| w.node.dial((SERVER, port))).collect();
    w.run(SECOND);
    assert!(conns[..4].iter().all(|c| w.node.get(*c).is_connected));
    assert!(
        conns[4..]
            .iter()
            .all(|c| w.node.get(*c).failed == Some(DialError::Unreachable))
    );
    w.node.close(conns[0]);
    w.run(Duration::from_millis(10));
    let next = w.node.dial((SERVER, 5));
    w.run(SECOND);
    assert_eq!(w.node.local_address, Some([10, 0, 2, 15].into()));
    assert!(w.node.get(next).is_connected);
    assert_eq!(w.stack.sockets_made(), 4);
}

#[test]
fn a_thousand_short_connections_do_not_exhaust_four_sockets() {
    let mut config = config();
    config.sockets_max = 4;
    let mut w = World::with(config, Faults::default());
    // The server, as smoltcp does, keeps its side in TIME-WAIT when it closes first; we are the ones who close here.
    w.server.serve(80, Service::Echo);
    w.server.serve(80, Service::Echo);
    for round in 0..1000 {
        let conn = w.node.dial((SERVER, 80));
        w.node.send(conn, b"hello");
        assert!(
            w.run_until(SECOND, |w| w.node.get(conn).received == 5),
            "round {round}"
        );
        w.node.close(conn);
        w.run(Duration::from_millis(2));
    }
    assert!(w.stack.sockets_made() <= 4);
}

#[test]
fn closing_sends_what_the_node_still_has_and_a_fin() {
    let mut w = world();
    let sink = w.server.serve(80, Service::Sink);
    let conn = w.node.dial((SERVER, 80));
    assert!(w.run_until(SECOND, |w| w.node.get(conn).is_connected));
    w.node.send(conn, &[7; 500_000]);
    w.node.close(conn);
    let mut got = 0;
    assert!(w.run_until(SECOND, |w| {
        got = got.max(w.server.listeners[sink].got);
        got == 500_000
    }));
    assert!(w.run_until(SECOND, |w| w.server.state(sink) == State::Listen));
    assert!(!w.node.get(conn).is_closed, "no report after a close");
}

#[test]
fn a_peer_that_never_closes_is_reset_after_the_close_timeout() {
    let mut w = world();
    let half = w.server.serve(80, Service::HalfOpen);
    let conn = w.node.dial((SERVER, 80));
    assert!(w.run_until(SECOND, |w| w.node.get(conn).received == 1000));
    w.node.close(conn);
    w.run(SECOND);
    assert_eq!(w.server.state(half), State::CloseWait);
    w.run(3 * SECOND);
    assert_eq!(w.server.state(half), State::Listen);
}

#[test]
fn a_peer_that_takes_nothing_cannot_hold_a_closed_connection() {
    let mut w = world();
    let deaf = w.server.serve(80, Service::Deaf);
    let conn = w.node.dial((SERVER, 80));
    assert!(w.run_until(SECOND, |w| w.node.get(conn).is_connected));
    w.node.send(conn, &[7; 2_000_000]);
    w.run(5 * SECOND);
    assert!(w.node.get(conn).output.len() > 1_000_000);
    w.node.close(conn);
    w.run(8 * SECOND);
    assert_ne!(w.server.state(deaf), State::Established);
    assert!(w.node.get(conn).output.is_empty(), "not asked for ever");
}

#[test]
fn one_full_send_buffer_does_not_hold_up_the_others() {
    let mut w = world();
    w.server.serve(80, Service::Deaf);
    w.server.serve(81, Service::Echo);
    let deaf = w.node.dial((SERVER, 80));
    let echo = w.node.dial((SERVER, 81));
    assert!(w.run_until(SECOND, |w| w.node.get(deaf).is_connected
        && w.node.get(echo).is_connected));
    w.node.send(deaf, &[7; 2_000_000]);
    w.run(SECOND);
    w.node.send(echo, b"hello");
    w.run(SECOND);
    assert_eq!(w.node.get(echo).received, 5);
}

#[test]
fn a_node_that_takes_little_loses_nothing() {
    let mut w = world();
    w.server.serve(80, Service::Source(1_000_000));
    let conn = w.node.dial((SERVER, 80));
    for step in 0..400 {
        w.node.stream(conn).appetite = Some(if step % 3 == 0 { 0 } else { 5000 });
        w.run(Duration::from_millis(5));
        assert!(w.node.get(conn).received <= 5000 * step + 5000);
    }
    assert!(w.node.get(conn).is_closed);
    assert_pattern(&w.node.get(conn).bytes, 1_000_000);
}

#[test]
fn a_cable_pulled_for_20_s_ends_no_connection() {
    let mut w = world();
    w.server.serve(80, Service::Source(20_000_000));
    w.server.serve(81, Service::Echo);
    let source = w.node.dial((SERVER, 80));
    let idle = w.node.dial((SERVER, 81));
    assert!(
        w.run_until(SECOND, |w| w.node.get(source).received > 1_000_000
            && w.node.get(idle).is_connected)
    );
    w.wire.cut(true);
    w.run(20 * SECOND);
    let before = w.node.get(source).received;
    w.wire.cut(false);
    assert!(w.run_until(40 * SECOND, |w| w.node.get(source).is_closed));
    assert!(before < 20_000_000);
    assert_pattern(&w.node.get(source).bytes, 20_000_000);
    w.node.send(idle, b"hello");
    w.run(SECOND);
    assert_eq!(w.node.get(idle).received, 5);
}

#[test]
fn a_short_loss_of_the_link_keeps_connections_and_a_long_one_makes_them_anew() {
    let mut w = world();
    let echo = w.server.serve(80, Service::Echo);
    let conn = w.node.dial((SERVER, 80));
    w.run(SECOND);
    for (seconds, is_lost) in [(4, false), (20, true)] {
        w.wire.cut(true);
        w.stack.handle_link(w.now, false);
        w.run(seconds * SECOND);
        w.wire.cut(false);
        w.stack.handle_link(w.now, true);
        w.run(SECOND / 10);
        assert_eq!(w.node.get(conn).is_closed, is_lost);
        assert_eq!(w.node.lost.len(), usize::from(is_lost));
    }
    // The other end was told.
    assert_eq!(w.server.state(echo), State::Listen);
}

#[test]
fn a_peer_silent_for_a_minute_is_given_up_whether_busy_or_idle() {
    let mut w = world();
    w.server.serve(80, Service::Echo);
    w.server.serve(81, Service::Echo);
    let idle = w.node.dial((SERVER, 80));
    let busy = w.node.dial((SERVER, 81));
    w.run(200 * SECOND);
    assert!(!w.node.get(idle).is_closed, "keep-alives are answered");
    w.wire.cut(true);
    w.node.send(busy, b"hello");
    w.run(44 * SECOND);
    assert!(!w.node.get(idle).is_closed && !w.node.get(busy).is_closed);
    w.run(20 * SECOND);
    assert!(w.node.get(idle).is_closed && w.node.get(busy).is_closed);
}

#[test]
fn loss_reordering_and_doubling_corrupt_nothing() {
    for seed in 0..8 {
        let faults = Faults {
            seed,
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(1),
            lost_per_mille: 20,
            doubled_per_mille: 20,
        };
        let mut w = World::configured(faults);
        // One direction each: when both ends of a connection are smoltcp, lose data and fall back to their oldest byte, neither
        // believes the other's acknowledgement any more. Kernels do not fall back, so peers are not affected; see tests/tap.rs.
        w.server.serve(80, Service::Source(200_000));
        let sink = w.server.serve(81, Service::Sink);
        let down = w.node.dial((SERVER, 80));
        let up = w.node.dial((SERVER, 81));
        w.node.send(up, &[7; 200_000]);
        let done =
            |w: &World| w.node.get(down).is_closed && w.server.listeners[sink].got == 200_000;
        assert!(w.run_until(120 * SECOND, done), "seed {seed}");
        assert_pattern(&w.node.get(down).bytes, 200_000);
    }
}

#[test]
fn throughput_fills_the_window_at_50_ms() {
    let mut w = World::configured(Faults {
        delay: Duration::from_millis(25),
        ..Faults::default()
    });
    w.node.discards = true;
    w.server.congestion = false;
    w.server.serve(80, Service::Source(40_000_000));
    let conn = w.node.dial((SERVER, 80));
    w.run(2 * SECOND);
    let before = w.node.get(conn).received;
    w.run(2 * SECOND);
    let rate = (w.node.get(conn).received - before) / 2;
    // 256 KiB every 50 ms.
    assert!(rate > 4_700_000, "{rate} bytes/s");
}

#[test]
fn throughput_does_not_collapse_at_1_percent_loss_and_50_ms() {
    let mut w = World::configured(Faults {
        delay: Duration::from_millis(25),
        lost_per_mille: 10,
        ..Faults::default()
    });
    w.node.discards = true;
    let conns: Vec<u64> = (0..8)
        .map(|i| {
            w.server.serve(100 + i, Service::Source(u64::MAX));
            w.node.dial((SERVER, 100 + i))
        })
        .collect();
    w.run(5 * SECOND);
    let before = w.node.received();
    w.run(20 * SECOND);
    let rate = (w.node.received() - before) / 20;
    std::println!("{rate} bytes/s over {} connections", conns.len());
    assert!(rate > 500_000, "{rate} bytes/s");
}

#[test]
fn the_nodes_own_deadline_is_kept() {
    let mut w = world();
    w.node.timeout = Some(p2p::Instant::from_millis(1234));
    w.run(2 * SECOND);
    assert_eq!(w.node.timeouts, [p2p::Instant::from_millis(1234)]);
}

#[test]
fn an_icmp_error_fails_the_dial_it_is_about_and_no_other() {
    let mut w = world();
    w.server.serve(80, Service::Echo);
    let open = w.node.dial((SERVER, 80));
    w.run(SECOND);
    w.server.hook = Some(Box::new(|_, frame| {
        support::host_unreachable(frame, [192, 0, 2, 1])
    }));
    let bad = w.node.dial(([192, 0, 2, 1], 80));
    let other = w.node.dial(([192, 0, 2, 2], 80));
    w.run(Duration::from_millis(50));
    assert_eq!(w.node.get(bad).failed, Some(DialError::Unreachable));
    assert_eq!(w.node.get(other).failed, None);
    assert!(!w.node.get(open).is_closed);
}

#[test]
fn losing_the_address_closes_everything_and_the_pool_survives() {
    let mut w = World::new();
    w.server.dhcp().lease_seconds = Some(20);
    w.server.serve(80, Service::Echo);
    w.run(SECOND);
    let conn = w.node.dial((SERVER, 80));
    w.run(SECOND);
    assert!(w.node.get(conn).is_connected);
    w.server.dhcp().leased = [10, 0, 2, 16].into();
    assert!(w.run_until(60 * SECOND, |w| !w.node.lost.is_empty()
        && w.stack.is_configured()));
    w.server.serve(81, Service::Echo);
    let again = w.node.dial((SERVER, 81));
    w.run(SECOND);
    assert!(w.node.get(again).is_connected);
    assert_eq!(w.stack.sockets_made(), 1);
}

fn config() -> Config {
    let mut config = Config::new(MAC, 1);
    config.static_address = Some(([10, 0, 2, 15].into(), 24, Some(SERVER.into()), Vec::new()));
    config
}
