//! Measures the BMT of both implementations on one core, in turns: one line of JSON for each, the best of the rounds.
#![forbid(unsafe_code)]
use nectar_primitives::Hasher;
use std::hint::black_box;
use std::time::Instant;

const CHUNK_BYTES: usize = 4096;

fn deboot(chunk: &[u8]) -> [u8; 32] {
    let span = (chunk.len() as u64).to_le_bytes();
    bmt::content_address(&span, chunk).0
}

fn nectar(chunk: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::<CHUNK_BYTES>::default();
    hasher.set_span(chunk.len() as u64);
    hasher.update(chunk);
    hasher.sum().into()
}

/// Returns the MiB that `hash` does in a second.
fn rate(data: &[u8], hash: fn(&[u8]) -> [u8; 32]) -> f64 {
    let start = Instant::now();
    for chunk in data.chunks_exact(CHUNK_BYTES) {
        black_box(hash(black_box(chunk)));
    }
    data.len() as f64 / (1 << 20) as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<usize>().expect("a number"));
    let mib = numbers.next().unwrap_or(64);
    let rounds = numbers.next().unwrap_or(5);
    let mut state = 1u64;
    let data: Vec<u8> = (0..mib << 17)
        .flat_map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()
        })
        .collect();
    let (mut ours, mut theirs) = (0.0f64, 0.0f64);
    for _ in 0..rounds {
        ours = ours.max(rate(&data, deboot));
        theirs = theirs.max(rate(&data, nectar));
    }
    for (name, rate) in [("deboot", ours), ("nectar", theirs)] {
        println!("{{\"name\":\"{name}\",\"mib\":{mib},\"rounds\":{rounds},\"mib_s\":{rate:.1}}}");
    }
}
