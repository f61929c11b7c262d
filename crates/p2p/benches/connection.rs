//! What a connection costs: the handshake, and one request with a 4 KiB answer on a stream of its own, next to the bare cipher for the
//! same bytes. Compare the numbers of one run with each other, not with those of another machine.
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use criterion::{Criterion, criterion_group, criterion_main};
use p2p::{Config, Connection, Event, Instant, Keypair, Role, StaticKey, StreamId};
use std::hint::black_box;

const PROTOCOL: &str = "/swarm/retrieval/1.4.0/retrieval";
const NOW: Instant = Instant::ZERO;

fn config(seed: u8, static_key: &StaticKey) -> Config {
    let identity = Keypair::ed25519(&[seed; 32]);
    let mut config = Config::with_static_key(identity, static_key.clone(), [seed ^ 0x55; 32]);
    config.protocols = vec![PROTOCOL.to_string()];
    config
}

struct Pair {
    ends: [Connection; 2],
    room: Vec<u8>,
}

impl Pair {
    fn connect(configs: &[Config; 2]) -> Self {
        let [dialer, listener] = configs.clone();
        let mut pair = Self {
            ends: [
                Connection::new(Role::Dialer, dialer, NOW),
                Connection::new(Role::Listener, listener, NOW),
            ],
            room: vec![0; 65536],
        };
        while pair.pump(0) | pair.pump(1) {}
        for end in &mut pair.ends {
            assert!(matches!(end.poll_event(), Some(Event::Connected { .. })));
        }
        pair
    }

    fn pump(&mut self, from: usize) -> bool {
        let count = self.ends[from].poll_output(NOW, &mut self.room);
        let used = self.ends[1 - from].handle_input(NOW, &self.room[..count]);
        assert_eq!(used, Ok(count));
        count > 0
    }

    fn wait(&mut self, end: usize, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            while let Some(event) = self.ends[end].poll_event() {
                if wanted(&event) {
                    return event;
                }
            }
            assert!(self.pump(0) | self.pump(1), "stuck");
        }
    }

    /// A retrieval as Swarm does it: headers, answer, request, delivery, both half-closes.
    fn retrieve(&mut self, chunk: &[u8]) {
        let stream: StreamId = self.ends[0].open(NOW, &[PROTOCOL], &[0]).unwrap();
        self.wait(1, |event| matches!(event, Event::Readable { .. }));
        self.ends[1].consume(stream, 1);
        self.ends[1].write(stream, &[0]).unwrap();
        self.wait(0, |event| matches!(event, Event::Readable { .. }));
        self.ends[0].consume(stream, 1);
        self.ends[0].write(stream, &[7; 35]).unwrap();
        self.ends[0].close_write(stream);
        self.wait(1, |event| matches!(event, Event::Finished { .. }));
        self.ends[1].consume(stream, 35);
        self.ends[1].write(stream, chunk).unwrap();
        self.ends[1].close_write(stream);
        self.wait(0, |event| matches!(event, Event::Finished { .. }));
        assert_eq!(self.ends[0].received(stream).len(), chunk.len());
        self.ends[0].consume(stream, chunk.len());
    }
}

fn connection(criterion: &mut Criterion) {
    let keys = [1, 2].map(|seed| StaticKey::new(&Keypair::ed25519(&[seed; 32]), [seed; 32]));
    let configs = [config(1, &keys[0]), config(2, &keys[1])];
    criterion.bench_function("handshake, both ends", |bencher| {
        bencher.iter(|| Pair::connect(black_box(&configs)));
    });
    let chunk = vec![5; 4106];
    let mut pair = Pair::connect(&configs);
    criterion.bench_function("retrieval of 4 KiB, both ends", |bencher| {
        bencher.iter(|| pair.retrieve(black_box(&chunk)));
    });
    let cipher = ChaCha20Poly1305::new(&[1; 32].into());
    let mut buffer = chunk;
    criterion.bench_function("cipher alone, both ends", |bencher| {
        bencher.iter(|| {
            // the delivery and the five small messages, sealed and opened
            for length in [4106, 60, 60, 60, 60, 60] {
                let data = &mut buffer[..length];
                let nonce = [0; 12].into();
                let tag = cipher
                    .encrypt_inout_detached(&nonce, &[], (&mut *data).into())
                    .unwrap();
                cipher
                    .decrypt_inout_detached(&nonce, &[], data.into(), &tag)
                    .unwrap();
            }
        });
    });
}

criterion_group!(benches, connection);
criterion_main!(benches);
