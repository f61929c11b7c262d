//! The host client against storers with the public limits: how much of what they allow does it use? `deboot` measures it itself
//! (`deboot::measure`), because only the client sees which peer delivered what; its example prints the figures.
use super::{Bench, Measure, Target, median};
use crate::process::{capture, command};
use crate::programs;
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;

const STORERS: &str = "8";
/// Time of each measurement.
const SECONDS: &str = "60";
const LIMIT: Duration = Duration::from_secs(300);

/// Fetches from 8 storers for a while.
///
/// # Errors
/// The measurement does not finish.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Measure>> {
    let program = programs::example("deboot", "public_profile")?;
    let rounds = bench.rounds.div_ceil(2);
    println!(
        "Fetching for {SECONDS} s, {rounds} times, from {STORERS} storers with the public limits"
    );
    let (mut ratios, mut rates, mut debts) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..rounds {
        let text = capture(command(&program).args([STORERS, SECONDS]), LIMIT)?;
        let report: Value =
            serde_json::from_str(&text).context("public_profile printed no JSON")?;
        let number = |name: &str| {
            let value = report.get(name).and_then(Value::as_f64);
            value.with_context(|| format!("public_profile printed no {name}"))
        };
        ratios.push(number("ratio")?);
        rates.push(number("chunks")? / number("seconds")?);
        debts += number("blocklistings")? + number("disconnects_for_debt")?;
        println!("  {:.0} % of the allowance", 100.0 * number("ratio")?);
    }
    Ok(vec![
        Measure {
            name: "public limits, 8 storers, host client".to_owned(),
            ours: format!("{:.1} chunks/s", median(&rates)),
            other: "allowance used".to_owned(),
            ratio: median(&ratios),
            target: Target::AtLeast(0.9),
        },
        Measure {
            name: "drops and blocklistings for debt".to_owned(),
            ours: format!("{debts:.0}"),
            other: "none".to_owned(),
            ratio: debts,
            target: Target::AtMost(0.0),
        },
    ])
}
