//! Frames from a hostile link.
mod support;

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use support::server::Service;
use support::wire::{Faults, Wire};
use support::{MAC, World};

const SECOND: Duration = Duration::from_secs(1);

fn draw(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*state >> 33) as usize
}

/// Every frame that went to our side while a lease, a name and two connections were had.
fn conversation() -> Vec<Vec<u8>> {
    let mut w = World::new();
    w.wire.record();
    w.server.serve(80, Service::Echo);
    w.run(SECOND);
    let conn = w.node.dial(([10, 0, 2, 2], 80));
    w.node.dial(([10, 0, 2, 2], 81));
    w.node.send(conn, &[7; 20_000]);
    w.run(SECOND);
    w.server.hook = Some(Box::new(|_, frame| {
        let question = support::dns::Question::read(frame);
        question
            .map(|q| vec![q.frame(&q.reply(0x8180, &[support::dns::txt("x")]))])
            .or_else(|| support::host_unreachable(frame, [192, 0, 2, 1]))
    }));
    w.node.resolve(swarm::DnsQuery::Txt("a.b".into()));
    w.node.dial(([192, 0, 2, 1], 80));
    w.run(SECOND);
    w.wire.recorded(0)
}

#[test]
fn changed_and_cut_frames_neither_panic_nor_end_a_connection() {
    let frames = conversation();
    let kinds = |kind: [u8; 2]| frames.iter().filter(|f| f[12..14] == kind).count();
    assert!(kinds([8, 0]) > 20 && kinds([8, 6]) > 0);
    for (seed, has_checksums) in [(1, true), (2, false), (3, false), (4, false)] {
        // Without checksums changed frames get further in.
        let faults = Faults {
            seed,
            ..Faults::default()
        };
        let mut config = netstack::Config::new(MAC, seed);
        config.dhcp_first_retry = SECOND;
        let wire = Wire::new(faults);
        if !has_checksums {
            wire.ignore_checksums();
        }
        let mut w = World::on(config, wire);
        w.server.serve(80, Service::Echo);
        w.run(SECOND);
        let conn = w.node.dial(([10, 0, 2, 2], 80));
        w.run(SECOND);
        let mut state = seed;
        for _ in 0..5000 {
            let mut frame = frames[draw(&mut state) % frames.len()].clone();
            for _ in 0..=draw(&mut state) % 4 {
                let at = draw(&mut state) % frame.len();
                frame[at] = draw(&mut state) as u8;
            }
            if draw(&mut state).is_multiple_of(4) {
                frame.truncate(draw(&mut state) % (frame.len() + 1));
            }
            w.wire.inject(w.now, frame);
            w.run(Duration::from_micros(300));
        }
        w.run(30 * SECOND);
        if has_checksums {
            w.node.send(conn, b"hello");
            w.run(5 * SECOND);
            assert_eq!(w.node.get(conn).received, 5);
        }
        assert!(w.stack.is_configured());
    }
}

#[test]
fn noise_of_every_ethernet_type_is_survived() {
    let mut w = World::configured(Faults::default());
    w.server.serve(80, Service::Echo);
    w.settle();
    let conn = w.node.dial(([10, 0, 2, 2], 80));
    let mut state = 5;
    for i in 0..20_000_usize {
        let mut frame: Vec<u8> = (0..draw(&mut state) % 200)
            .map(|_| draw(&mut state) as u8)
            .collect();
        if frame.len() > 34 {
            let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
            ethernet.set_dst_addr(EthernetAddress(MAC));
            ethernet.set_ethertype(if i.is_multiple_of(2) {
                EthernetProtocol::Ipv4
            } else {
                EthernetProtocol::Arp
            });
            frame[14] = 0x45;
            frame[23] = [1, 6, 17][i % 3];
        }
        w.wire.inject(w.now, frame);
        w.run(Duration::from_micros(150));
    }
    w.node.send(conn, b"hello");
    w.run(SECOND);
    assert_eq!(w.node.get(conn).received, 5);
}

#[test]
fn a_flood_of_frames_does_not_keep_the_clock_from_ticking() {
    let mut w = World::configured(Faults::default());
    w.settle();
    // The device has a frame ready whenever it is asked.
    let wire: Wire = w.wire.clone();
    let junk = [&MAC[..], &[2, 0, 0, 0, 0, 9, 8, 0], &[0; 60]].concat();
    for _ in 0..10_000 {
        wire.inject(p2p::Instant::ZERO, junk.clone());
    }
    w.node.timeout = Some(w.now);
    let before = w.stack.frames_received();
    w.stack.poll(w.now + SECOND, &mut w.node);
    assert_eq!(w.node.timeouts.len(), 1);
    let most = u64::try_from(netstack::Config::new(MAC, 1).frames_per_turn).unwrap();
    assert_eq!(w.stack.frames_received() - before, most);
}

#[test]
fn a_second_server_that_refuses_everything_cannot_disturb_a_lease() {
    let mut w = World::new();
    w.wire.record();
    let requests = Rc::new(RefCell::new(0));
    let seen = requests.clone();
    // It hears every broadcast and answers each with a refusal in its own name.
    w.server.hook = Some(Box::new(move |now, frame| {
        let mac = EthernetAddress([0x52, 0x55, 0, 0, 0, 0x66]);
        let mut rogue = support::dhcp::DhcpServer::new([10, 0, 2, 66].into(), mac);
        let is_dhcp = rogue.handle(now, frame);
        if is_dhcp && rogue.seen[0].kind == smoltcp::wire::DhcpMessageType::Request {
            *seen.borrow_mut() += 1;
        }
        None
    }));
    assert!(w.run_until(SECOND, |w| w.stack.is_configured()));
    assert_eq!(*requests.borrow(), 1);
    for _ in 0..3 {
        let request = w
            .wire
            .recorded(1)
            .into_iter()
            .rfind(|f| f.len() > 42 && f[23] == 17 && f[36..38] == [0, 67]);
        w.wire.inject(
            w.now,
            support::dhcp::refusal(&request.expect("a request"), [10, 0, 2, 66].into()),
        );
        w.run(10 * SECOND);
        assert!(w.stack.is_configured());
    }
}
