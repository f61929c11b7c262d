//! Replays the seeds, and mutations of them: the same ones every time, so that a failure here is a failure everywhere.
use fuzz::mutate::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Mutations of a target's seeds. libFuzzer does the long runs.
const MUTATIONS: usize = 3_000;

/// Runs a target; says on which bytes it failed, so that they can be put into the corpus.
fn run(name: &str, target: fn(&[u8]), what: &str, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("target {name} failed on {what}: {hex}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_target_has_seeds_and_passes_on_them() {
    for (name, target) in fuzz::TARGETS {
        let seeds = fuzz::seeds(name).unwrap_or_default();
        assert!(!seeds.is_empty(), "corpus/{name} is empty");
        for (seed, bytes) in &seeds {
            run(name, target, seed, bytes);
        }
        run(name, target, "no bytes", &[]);
    }
}

#[test]
fn every_target_passes_on_mutations_of_its_seeds() {
    for (name, target) in fuzz::TARGETS {
        let seeds = fuzz::seeds(name).unwrap();
        let mut mutator = Mutator::new(u64::try_from(name.len()).unwrap());
        for round in 0..MUTATIONS {
            let mut bytes = seeds[round % seeds.len()].1.clone();
            let other = &seeds[mutator.below(seeds.len())].1;
            mutator.mutate(&mut bytes, other);
            run(name, target, &format!("mutation {round}"), &bytes);
        }
    }
}
