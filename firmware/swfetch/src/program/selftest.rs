//! Measures what this machine can hash and decrypt: the ceiling of any fetch.
use super::machine::Machine;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use core::time::Duration;
use p2p::CipherState;

/// Bytes measured.
const BYTES: usize = 16 * 1024 * 1024;
/// One chunk.
const CHUNK: usize = 4096;
/// Different chunks, so that no cache holds everything at once.
const CHUNKS: usize = 256;

/// Prints `SELFTEST ceiling_kib_s=N bmt_kib_s=N cipher_kib_s=N`: hashing and decryption of the same 16 MiB, together and apart.
pub(crate) fn run(machine: &mut Machine) {
    machine
        .console
        .line("selftest: 16 MiB of BMT and ChaCha20-Poly1305, one core");
    let key = machine.fresh_seed("selftest").unwrap_or([7; 32]);
    // Random bytes: an all-zero chunk would be hashed from constants.
    let mut chunks: Vec<Vec<u8>> = Vec::with_capacity(CHUNKS);
    for number in 0..CHUNKS {
        let mut bytes = vec![0u8; CHUNK];
        for (at, block) in bytes.chunks_exact_mut(32).enumerate() {
            let counter = u64::try_from(number * CHUNK + at).unwrap_or(0);
            block.copy_from_slice(&swfetch::entropy::derive(&key, "selftest", counter));
        }
        let Ok(tag) = CipherState::new(&key).seal(&[], &mut bytes) else {
            return;
        };
        bytes.extend_from_slice(&tag);
        chunks.push(bytes);
    }
    let rounds = BYTES / (CHUNK * CHUNKS);
    let start = machine.now();
    for _ in 0..rounds {
        for bytes in &chunks {
            let payload = bytes.get(..CHUNK).unwrap_or_default();
            black_box(bmt::content_address(&[0; 8], black_box(payload)));
        }
    }
    let hashed = machine.now();
    let mut room = Vec::with_capacity(2 * CHUNK);
    let mut failures = 0u32;
    for _ in 0..rounds {
        for bytes in &chunks {
            room.clear();
            room.extend_from_slice(bytes);
            let result = CipherState::new(&key).open(&[], &mut room);
            failures += u32::from(result != Ok(CHUNK));
        }
    }
    let end = machine.now();
    let (bmt, cipher) = (hashed.saturating_since(start), end.saturating_since(hashed));
    let text = format!(
        "SELFTEST ceiling_kib_s={} bmt_kib_s={} cipher_kib_s={} failures={failures}",
        kib_per_second(BYTES, bmt + cipher),
        kib_per_second(BYTES, bmt),
        kib_per_second(BYTES, cipher)
    );
    machine.console.line(&text);
}

fn kib_per_second(bytes: usize, time: Duration) -> u128 {
    let kib = u128::try_from(bytes / 1024).unwrap_or(0);
    (kib * 1_000_000).checked_div(time.as_micros()).unwrap_or(0)
}
