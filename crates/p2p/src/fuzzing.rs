//! Entry points for fuzzing what is private here. Each takes any bytes; a panic, or an assertion that fails, is a bug.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "assertions are what a fuzz target is for"
)]
use crate::connection::{Config, Connection, Role};
use crate::identify::Reader;
use crate::identity::Keypair;
use crate::multistream::{Answer, Dialer, Listener};
use crate::noise::{PeerPayload, SecureHandshake, StaticKey};
use crate::time::Instant;
use crate::yamux::{Limits, Session};
use alloc::vec;
use alloc::vec::Vec;

const NOW: Instant = Instant::ZERO;
const PROTOCOLS: [&str; 3] = [
    "/yamux/1.0.0",
    "/ipfs/id/1.0.0",
    "/swarm/retrieval/1.4.0/retrieval",
];
const LIMITS: Limits = Limits {
    window_bytes_max: 512 * 1024,
    received_bytes_max: 300 * 1024,
    send_buffer_bytes_max: 512 * 1024,
    inbound_streams_max: 8,
    outbound_streams_max: 8,
};

/// multistream-select, both sides. However the bytes are cut, the answer is the same.
pub fn multistream(bytes: &[u8]) {
    let dial = |step: usize| {
        let mut out = Vec::new();
        let mut dialer = Dialer::new(&PROTOCOLS, &mut out);
        pieces(
            bytes,
            step,
            &mut |have| match dialer.handle_input(have, &mut out) {
                Ok((used, Answer::Pending)) => Ok(used),
                other => Err(other),
            },
        )
        .map(|end| end.map(|(_, answer)| answer))
    };
    assert_eq!(dial(1), dial(usize::MAX), "dialer");
    let listen = |step: usize| {
        let (mut out, mut listener) = (Vec::new(), Listener::default());
        let end = pieces(bytes, step, &mut |have| match listener.handle_input(
            have,
            PROTOCOLS.iter().copied(),
            &mut out,
        ) {
            Ok((used, None)) => Ok(used),
            other => Err(other),
        });
        (end.map(|end| end.map(|(_, index)| index)), out)
    };
    assert_eq!(listen(1), listen(usize::MAX), "listener");
}

/// Gives `bytes` to a decoder `step` at a time, keeping what it leaves; returns what it ended with, if it did.
fn pieces<E>(
    bytes: &[u8],
    step: usize,
    decoder: &mut dyn FnMut(&[u8]) -> Result<usize, E>,
) -> Option<E> {
    let mut have: Vec<u8> = Vec::new();
    for piece in bytes.chunks(step) {
        have.extend_from_slice(piece);
        match decoder(&have) {
            Ok(used) => drop(have.drain(..used)),
            Err(end) => return Some(end),
        }
    }
    None
}

/// Yamux, both sides: never more unread bytes than the limit, and no input that is neither used nor refused.
pub fn yamux(bytes: &[u8]) {
    for role in [Role::Listener, Role::Dialer] {
        let mut session: Session<()> = Session::new(role, LIMITS);
        if matches!(role, Role::Dialer) {
            // So that answers to a stream of ours mean something.
            assert!(session.open(NOW).is_ok(), "the first stream");
        }
        let mut rest = bytes;
        let mut open: Vec<u32> = Vec::new();
        while !rest.is_empty() {
            let Ok(used) = session.handle_input(NOW, rest) else {
                break;
            };
            rest = rest.get(used..).expect("no more is used than was given");
            let mut events = 0;
            while let Some(event) = session.poll_event() {
                events = 1;
                if let crate::yamux::Event::Opened(id) = event {
                    open.push(id);
                }
            }
            assert!(used > 0 || events > 0, "stuck");
            let unread: usize = open.iter().map(|id| session.received(*id).len()).sum();
            assert!(unread <= LIMITS.received_bytes_max, "{unread} bytes unread");
            // Every other stream is read, so that both windows that grow and windows that fill are seen.
            for id in open.iter().step_by(2) {
                let count = session.received(*id).len();
                session.consume(*id, NOW, count);
            }
        }
        let mut room = vec![0; 64 * 1024];
        for _ in 0..64 {
            if session.poll_output(NOW, &mut room) == 0 {
                break;
            }
        }
    }
}

/// Noise: handshake messages for both roles, and the payload inside them.
pub fn noise(bytes: &[u8]) {
    let identity = Keypair::ed25519(&[7; 32]);
    let own = StaticKey::new(&identity, [9; 32]);
    let mut listener = SecureHandshake::new(Role::Listener, &own, [3; 32]);
    let _ = listener.read_message(&mut bytes.to_vec());
    let mut dialer = SecureHandshake::new(Role::Dialer, &own, [5; 32]);
    let mut first = Vec::new();
    if dialer.write_message(&mut first).is_ok() && dialer.read_message(&mut bytes.to_vec()).is_ok()
    {
        assert!(dialer.verify_peer().is_err(), "a proof out of nothing");
    }
    if let Ok(payload) = PeerPayload::decode(bytes) {
        let _ = payload.verify(&[1; 32]);
    }
}

/// The parts of an identify answer.
pub fn identify(bytes: &[u8]) {
    let mut reader = Reader::default();
    if reader.handle_input(bytes).is_ok() {
        drop(reader.finish());
    }
}

/// A whole connection before it is secure, both roles.
pub fn connection(bytes: &[u8]) {
    for role in [Role::Dialer, Role::Listener] {
        let config = Config::new(Keypair::ed25519(&[7; 32]), [9; 32], [3; 32]);
        let mut connection = Connection::new(role, config, NOW);
        let mut rest = bytes;
        let mut room = vec![0; 16 * 1024];
        while !rest.is_empty() {
            let Ok(used) = connection.handle_input(NOW, rest) else {
                break;
            };
            rest = rest.get(used..).expect("no more is used than was given");
            let mut moved = used > 0;
            moved |= connection.poll_output(NOW, &mut room) > 0;
            while connection.poll_event().is_some() {
                moved = true;
            }
            assert!(moved, "stuck");
        }
    }
}
