//! Hashing, splitting, joining and building directories on one core of this machine.
use super::{Measure, Target, median};
use crate::paths::{target, workspace};
use crate::process::{capture, cargo, command};
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(300);
/// Size of the file that is split and joined.
const FILE_MIB: usize = 1024;
/// Peak memory of the program that splits or joins it.
const MEMORY_KIB_MAX: f64 = 32.0 * 1024.0;

/// Files of the directory that is built, and where their paths come from: names as people give them, on a machine with Debian's layout.
const DIRECTORY_FILES: usize = 10_000;
const DIRECTORY_TREE: &str = "/usr";
const DIRECTORY_SECONDS_MAX: f64 = 5.0;
const READS_PER_COMPONENT_MAX: f64 = 4.0;

/// Figures of all rounds of one program.
#[derive(Default)]
struct Figures {
    mib_s: Vec<f64>,
    peak_kib: f64,
}

/// Runs the measurements in turns.
///
/// # Errors
/// A program does not build or does not finish.
pub(super) fn measure(rounds: usize) -> Result<Vec<Measure>> {
    println!("Splitting and joining {FILE_MIB} MiB {rounds} times");
    let example = ["--package", "deboot-content", "--example", "throughput"];
    let build = ["build", "--quiet", "--release"];
    capture(cargo().args(build).args(example), BUILD_LIMIT)?;
    let program = target().join("release/examples/throughput");
    let mut all: [Figures; 4] = Default::default();
    for _ in 0..rounds {
        for (what, figures) in ["hash", "split", "join", "recover"].iter().zip(&mut all) {
            let mut run = command(&program);
            let line = capture(run.args([what, FILE_MIB.to_string().as_str()]), RUN_LIMIT)?;
            let rate = number(&line, "mib_s").with_context(|| format!("{what} printed {line}"))?;
            let peak = number(&line, "peak_rss_kib").context("no memory figure")?;
            println!(
                "  {what:8} {rate:6.0} MiB/s, {:4.1} MiB of memory",
                peak / 1024.0
            );
            figures.mib_s.push(rate);
            figures.peak_kib = figures.peak_kib.max(peak);
        }
    }
    let [hash, split, join, recover] = &all;
    let (rate, base) = (
        |figures: &Figures| median(&figures.mib_s),
        median(&hash.mib_s),
    );
    let mut measures = vec![against_nectar(rounds)?];
    for (name, figures) in [("split", split), ("join", join)] {
        measures.push(Measure {
            name: format!("time to {name} 1 GiB"),
            ours: format!("{:.0} MiB/s", rate(figures)),
            other: format!("hashing alone {base:.0} MiB/s"),
            ratio: base / rate(figures),
            target: Target::AtMost(1.15),
        });
        measures.push(Measure {
            name: format!("memory to {name} 1 GiB"),
            ours: format!("{:.1} MiB", figures.peak_kib / 1024.0),
            other: format!("limit {:.0} MiB", MEMORY_KIB_MAX / 1024.0),
            ratio: figures.peak_kib / MEMORY_KIB_MAX,
            target: Target::AtMost(1.0),
        });
    }
    measures.push(Measure {
        name: "join, one chunk of every group lost".to_owned(),
        ours: format!("{:.0} MiB/s", rate(recover)),
        other: format!("plain join {:.0} MiB/s", rate(join)),
        ratio: rate(recover) / rate(join),
        target: Target::AtLeast(0.7),
    });
    measures.extend(directory(&program, rounds)?);
    Ok(measures)
}

/// Builds a directory and looks all of its paths up.
///
/// The mean counts, because the format has one node wherever names begin to differ: the worst of many siblings needs more reads, and
/// no reader can do anything about it. How many paths that are is shown.
fn directory(program: &Path, rounds: usize) -> Result<[Measure; 2]> {
    let files = DIRECTORY_FILES.to_string();
    let mut seconds = Vec::new();
    let mut line = String::new();
    for _ in 0..rounds {
        let mut run = command(program);
        line = capture(run.args(["directory", DIRECTORY_TREE, &files]), RUN_LIMIT)?;
        println!("  {}", line.trim());
        seconds.push(figure(&line, "seconds")?);
    }
    let seconds = median(&seconds);
    let mean = figure(&line, "reads_mean")?;
    let (most, over) = (figure(&line, "reads_max")?, figure(&line, "paths_over_4")?);
    Ok([
        Measure {
            name: format!("directory of {files} files built, paths of a Debian file tree"),
            ours: format!("{seconds:.2} s"),
            other: format!("limit {DIRECTORY_SECONDS_MAX} s"),
            ratio: seconds / DIRECTORY_SECONDS_MAX,
            target: Target::AtMost(1.0),
        },
        Measure {
            name: "chunk reads per path component at look-up there, mean".to_owned(),
            ours: format!("{mean:.1} ({over} paths over 4, worst {most:.1})"),
            other: format!("limit {READS_PER_COMPONENT_MAX}"),
            ratio: mean / READS_PER_COMPONENT_MAX,
            target: Target::AtMost(1.0),
        },
    ])
}

fn figure(line: &str, key: &str) -> Result<f64> {
    number(line, key).with_context(|| format!("no {key} in {line:?}"))
}

/// Hashes 64 MiB with our tree and with nectar-primitives', which is built apart: it is no dependency of anything here.
fn against_nectar(rounds: usize) -> Result<Measure> {
    let manifest = workspace().join("crates/bmt/oracle/Cargo.toml");
    let build = target().join("oracle");
    let mut run = cargo();
    run.args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .env("CARGO_TARGET_DIR", build)
        .args(["--", "64", rounds.max(3).to_string().as_str()]);
    let lines = capture(&mut run, BUILD_LIMIT)?;
    let rate = |name: &str| {
        let line = lines.lines().find(|line| line.contains(name));
        line.and_then(|line| number(line, "mib_s"))
            .with_context(|| format!("no figure for {name} in {lines:?}"))
    };
    let (ours, theirs) = (rate("\"deboot\"")?, rate("\"nectar\"")?);
    Ok(Measure {
        name: "BMT of 64 MiB".to_owned(),
        ours: format!("{ours:.0} MiB/s"),
        other: format!("nectar-primitives {theirs:.0} MiB/s"),
        ratio: ours / theirs,
        target: Target::AtLeast(1.0),
    })
}

/// Finds the number behind a key in a line of JSON.
fn number(line: &str, key: &str) -> Option<f64> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    let end = rest.find([',', '}'])?;
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_found_by_their_keys() {
        let line = r#"{"what":"join","mib":64,"mib_s":315.3,"peak_rss_kib":3160}"#;
        assert_eq!(number(line, "mib"), Some(64.0));
        assert_eq!(number(line, "mib_s"), Some(315.3));
        assert_eq!(number(line, "peak_rss_kib"), Some(3160.0));
        assert_eq!(number(line, "what"), None);
        assert_eq!(number(line, "other"), None);
    }
}
