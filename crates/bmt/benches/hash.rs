//! Compares this crate's hashing with the same tree over the `sha3` crate, in one run: read the ratios, not the times.
use bmt::{bmt_root, keccak256};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha3::{Digest, Keccak256 as Sha3};
use std::hint::black_box;

/// The tree as a plain implementation has it: 64 + 32 + ... + 1 hashes over the `sha3` crate.
fn sha3_root(payload: &[u8; 4096]) -> [u8; 32] {
    let mut level = *payload;
    let mut len = level.len();
    while len > 32 {
        for at in (0..len).step_by(64) {
            let node: [u8; 32] = Sha3::digest(&level[at..at + 64]).into();
            level[at / 2..at / 2 + 32].copy_from_slice(&node);
        }
        len /= 2;
    }
    level[..32].try_into().unwrap()
}

fn payload() -> [u8; 4096] {
    core::array::from_fn(|i| (i * 7 % 255) as u8)
}

fn one_hash(c: &mut Criterion) {
    let block: [u8; 64] = core::array::from_fn(|i| i as u8);
    let mut group = c.benchmark_group("keccak of 64 bytes");
    group.throughput(Throughput::Bytes(64));
    group.bench_function("deboot", |b| b.iter(|| keccak256(black_box(&block))));
    group.bench_function("sha3", |b| {
        b.iter(|| <[u8; 32]>::from(Sha3::digest(black_box(&block))))
    });
    group.finish();
}

fn one_chunk(c: &mut Criterion) {
    let payload = payload();
    assert_eq!(bmt_root(&payload), sha3_root(&payload));
    let mut group = c.benchmark_group("BMT of 4 KiB");
    group.throughput(Throughput::Bytes(4096));
    group.bench_function("deboot", |b| b.iter(|| bmt_root(black_box(&payload))));
    group.bench_function("sha3", |b| b.iter(|| sha3_root(black_box(&payload))));
    group.bench_function("deboot, half empty", |b| {
        b.iter(|| bmt_root(black_box(&payload[..2048])))
    });
    group.finish();
}

criterion_group!(hash, one_hash, one_chunk);
criterion_main!(hash);
