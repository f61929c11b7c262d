//! Measures how much of the public network's allowance the client uses, and prints one JSON object.
//!
//! `cargo run --release -p deboot --example public_profile -- [STORERS [SECONDS]]`
use deboot::measure::{PublicProfile, public_profile};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut plan = PublicProfile::default();
    let mut number = |default: u64| match arguments.next() {
        Some(text) => text.parse().ok(),
        None => Some(default),
    };
    let storers = number(plan.storers as u64).and_then(|n| usize::try_from(n).ok());
    let (Some(storers), Some(seconds)) = (storers, number(plan.window.as_secs())) else {
        eprintln!("usage: public_profile [STORERS [SECONDS]]");
        return ExitCode::from(2);
    };
    plan.storers = storers;
    plan.window = Duration::from_secs(seconds);
    match public_profile(&plan) {
        Ok(report) => {
            let value = serde_json::json!({
                "ratio": report.ratio(),
                "storers": plan.storers,
                "seconds": report.window.as_secs_f64(),
                "chunks": report.chunks,
                "used_units": report.used_units,
                "allowance_units": report.allowance_units,
                "blocklistings": report.counters.blocklistings,
                "disconnects_for_debt": report.counters.disconnects_for_debt,
                "settlements_refused": report.counters.settlements_refused,
            });
            println!("{value:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("public_profile: {error}");
            ExitCode::FAILURE
        }
    }
}
