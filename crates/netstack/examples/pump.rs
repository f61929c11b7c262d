//! Measures what the stack costs per chunk: time spent in `Stack::poll` only, over the virtual link of the tests.
//!
//! `cargo run --release -p deboot-netstack --example pump`
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "measures with the real clock"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};
use support::World;
use support::server::Service;
use support::wire::Faults;

const CHUNKS: u64 = 100_000;
const CHUNK_BYTES: usize = 4096 + 100;
const REQUEST_BYTES: usize = 100;

fn main() {
    println!("connections  in flight  us/chunk   MiB/s  frames out/chunk  turns/chunk");
    for (connections, in_flight) in [(1, 32), (1, 8), (8, 8), (24, 8), (48, 8), (48, 1)] {
        measure(connections, in_flight);
    }
}

fn measure(connections: u16, in_flight: usize) {
    let mut world = World::configured(Faults {
        delay: Duration::from_micros(250),
        ..Faults::default()
    });
    world.node.discards = true;
    world.node.chunk = Some((CHUNK_BYTES, REQUEST_BYTES));
    world.server.congestion = false;
    for i in 0..connections {
        let service = Service::Chunks {
            request: REQUEST_BYTES as u64,
            answer: CHUNK_BYTES as u64,
        };
        world.server.serve(1000 + i, service);
        let conn = world.node.dial(([10, 0, 2, 2], 1000 + i));
        world.node.send(conn, &vec![1; in_flight * REQUEST_BYTES]);
    }
    let mut spent = Duration::ZERO;
    let mut turns = 0_u64;
    let warm = CHUNKS / 10 * CHUNK_BYTES as u64;
    let (mut from, mut frames) = (0, 0);
    let end = warm + CHUNKS * CHUNK_BYTES as u64;
    while world.node.received() < end {
        loop {
            let start = Instant::now();
            let moved = world.stack.poll(world.now, &mut world.node);
            let elapsed = start.elapsed();
            if world.node.received() > warm {
                if from == 0 {
                    from = world.node.received();
                    frames = world.wire.sent_by(0);
                }
                spent += elapsed;
                turns += 1;
            }
            if !moved & !world.server.poll(world.now) {
                break;
            }
        }
        let next = [
            world.stack.poll_at(world.now),
            world.wire.poll_at(),
            world.server.poll_at(world.now),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(world.now);
        world.now = next.max(world.now + Duration::from_micros(5));
    }
    let bytes = (world.node.received() - from) as f64;
    let chunks = bytes / CHUNK_BYTES as f64;
    println!(
        "{connections:11}  {in_flight:9}  {:8.2}  {:6.0}  {:16.2}  {:11.2}",
        spent.as_secs_f64() * 1e6 / chunks,
        bytes / spent.as_secs_f64() / f64::from(1 << 20),
        (world.wire.sent_by(0) - frames) as f64 / chunks,
        turns as f64 / chunks,
    );
}
