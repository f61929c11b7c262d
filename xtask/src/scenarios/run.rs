//! Runs boots, two at a time, and judges them.
use super::release::{Published, Releases};
use super::{Card, Expected, Incident, Origin, Scenario};
use crate::boot::{self, APPLICATION_MARK, Outcome, Seen, Watch};
use crate::bridge::{self, Bridge};
use crate::check::Verdict;
use crate::devnet::{Devnet, Plan, free_ports};
use crate::process::{capture, command};
use crate::qemu::{self, HOST_SEEN_BY_GUEST, Machine, Network};
use crate::report::Report;
use anyhow::{Context, Result, bail, ensure};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Boots at the same time: one per core of a small machine.
const PARALLEL: usize = 2;
/// SWFETCH promises a line every 5 s; a busy machine delays it on its way.
const SILENCE_MAX: Duration = Duration::from_secs(9);
/// A multiaddr with a well-formed peer id and a port where nobody listens (discard).
const NOBODY: &str = "/ip4/10.0.2.2/tcp/9/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

/// What all boots share.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// The program.
    pub(crate) deboot: PathBuf,
    /// The bridge.
    pub(crate) bridge: PathBuf,
    /// The loader.
    pub(crate) swfetch: PathBuf,
    /// What there is to boot.
    pub(crate) releases: Releases,
    /// Every boot gets a directory below this one.
    pub(crate) directory: PathBuf,
}

/// Runs these boots and adds their results.
pub(crate) fn run_all(tools: &Tools, scenarios: Vec<Scenario>, report: &mut Report) {
    let queue = Mutex::new(scenarios.into_iter().enumerate().collect::<VecDeque<_>>());
    let report = Mutex::new(report);
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                loop {
                    let next = queue
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some((number, scenario)) = next else {
                        return;
                    };
                    let start = Instant::now();
                    let result = run(tools, &scenario, number);
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    report.add(
                        scenario.claim,
                        result.map(|()| Verdict::Passed),
                        start.elapsed().as_secs_f64(),
                    );
                }
            });
        }
    });
}

fn run(tools: &Tools, scenario: &Scenario, number: usize) -> Result<()> {
    let directory = tools.directory.join(format!("{number:02}"));
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("claim"), scenario.claim)?;
    if let Some(before) = scenario.after {
        let before = Scenario {
            content: before,
            after: None,
            expected: Expected::Ready,
            said: &[],
            ..scenario.clone()
        };
        run_in(tools, &before, &directory).context("the boot before")?;
        std::fs::rename(
            directory.join("serial.log"),
            directory.join("serial-before.log"),
        )?;
    }
    run_in(tools, scenario, &directory)
}

/// Boots once, with the firmware's variables of what was booted in the same directory before.
fn run_in(tools: &Tools, scenario: &Scenario, directory: &Path) -> Result<()> {
    let published = tools.releases.find(scenario.content)?;
    let mut origin = Running::start(tools, scenario, &published.chunks, directory)?;
    let disk = make_disk(tools, directory, published, &origin.config(scenario))?;
    let mut machine = Machine::new(&disk, directory);
    machine.keep_variables = true;
    machine.network = match scenario.card {
        Card::Working => Network::User,
        Card::Silent => Network::Silent,
        Card::Missing => Network::None,
    };
    let watch = Watch {
        application_mark: APPLICATION_MARK,
        limit: scenario.limit,
        show: false,
    };
    let mut happened = scenario.incident == Incident::None;
    let seen = boot::boot(&machine, &watch, &mut |line, running| {
        if !happened && is_in_the_middle(line) {
            happened = true;
            incident(scenario.incident, &mut origin, running)?;
        }
        Ok(())
    });
    let judged = seen.and_then(|seen| {
        ensure!(
            happened,
            "the boot was over before the middle of its fetch was seen ({})",
            seen.outcome
        );
        judge(
            scenario,
            &seen,
            &published.reference,
            &tools.releases.middle_chunk,
        )
    });
    judged.with_context(|| format!("see {}", directory.display()))
}

/// What the chunks come from.
enum Running {
    Devnet(Plan, Option<Devnet>),
    Bridge(bridge::Plan, Option<Bridge>),
    Nothing,
}

impl Running {
    fn start(tools: &Tools, scenario: &Scenario, chunks: &Path, directory: &Path) -> Result<Self> {
        // What is restarted has to come back at the same place.
        let ports = |count: usize| match scenario.incident {
            Incident::None => Ok(0),
            _ => free_ports(count),
        };
        let fault = match scenario.origin {
            Origin::Swarm => {
                let plan = Plan {
                    deboot: tools.deboot.clone(),
                    storers: scenario.storers,
                    profile: scenario.profile.to_owned(),
                    generation: scenario.generation.to_owned(),
                    chunks: chunks.to_owned(),
                    faults: faults(scenario, &tools.releases.middle_chunk),
                    base_port: ports(scenario.storers + 1)?,
                    for_guest: true,
                    verbose: false,
                    replication: scenario.replication,
                    log: directory.join("devnet.log"),
                };
                let devnet = plan.start()?;
                return Ok(Self::Devnet(plan, Some(devnet)));
            }
            Origin::NoBridge => return Ok(Self::Nothing),
            Origin::Bridge(fault) => fault,
        };
        let mut plan = bridge::Plan::over(&tools.bridge, chunks, &directory.join("bridge"));
        plan.port = ports(1)?;
        plan.fault = fault.map(str::to_owned);
        let bridge = plan.start()?;
        Ok(Self::Bridge(plan, Some(bridge)))
    }

    fn stop(&mut self) {
        match self {
            Self::Devnet(_, devnet) => *devnet = None,
            Self::Bridge(_, bridge) => *bridge = None,
            Self::Nothing => {}
        }
    }

    fn restart(&mut self) -> Result<()> {
        match self {
            Self::Devnet(plan, devnet) => *devnet = Some(plan.start()?),
            Self::Bridge(plan, bridge) => *bridge = Some(plan.start()?),
            Self::Nothing => {}
        }
        Ok(())
    }

    /// The part of the configuration that says where chunks come from.
    fn config(&self, scenario: &Scenario) -> (&'static str, String) {
        let bootnode = match self {
            Self::Devnet(_, Some(devnet)) if scenario.bootnode_exists => &devnet.bootnode,
            _ => NOBODY,
        };
        // Port 9 is discard: nobody listens there.
        let port = match self {
            Self::Bridge(_, Some(bridge)) => bridge.port,
            _ => 9,
        };
        let source = match self {
            Self::Devnet(..) => "swarm",
            Self::Bridge(..) | Self::Nothing => "bridge",
        };
        let tables = format!(
            "[bridge]\naddress = \"{HOST_SEEN_BY_GUEST}:{port}\"\n\n\
             [swarm]\nnetwork_id = 10\nbootnodes = [\"{bootnode}\"]\n"
        );
        (source, tables)
    }
}

fn faults(scenario: &Scenario, middle_chunk: &str) -> Vec<String> {
    let of = |fault: &&str| -> Vec<String> {
        let fault = fault.replace("{chunk}", middle_chunk);
        match fault.strip_prefix('*') {
            Some(rest) => (1..=scenario.storers)
                .map(|index| format!("{index}{rest}"))
                .collect(),
            None => vec![fault],
        }
    };
    scenario.faults.iter().flat_map(of).collect()
}

/// Makes a disk whose configuration has short deadlines, so that a boot that must fail fails soon.
fn make_disk(
    tools: &Tools,
    directory: &Path,
    published: &Published,
    (source, tables): &(&str, String),
) -> Result<PathBuf> {
    let config = format!(
        "{}\nsource = \"{source}\"\n\
         boot_timeout = \"9min\"\nretry_after = \"0s\"\n\n\
         [network]\nlink_timeout = \"15s\"\ndhcp_timeout = \"15s\"\n\n\
         {tables}\
         attempt_timeout = \"8s\"\nchunk_timeout = \"30s\"\nbootstrap_timeout = \"20s\"\n",
        published.line
    );
    let file = |name: &str, text: &str| -> Result<PathBuf> {
        let path = directory.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let config = file("deboot.toml", &config)?;
    let options = file("options", "poweroff\n")?;
    let disk = directory.join("disk.img");
    let mut deboot = command(&tools.deboot);
    deboot
        .arg("disk")
        .arg("--config")
        .arg(config)
        .arg("--efi")
        .arg(&tools.swfetch)
        .arg("--output")
        .arg(&disk);
    deboot
        .arg("--add")
        .arg(format!("{}:EFI/deboot/options", options.display()));
    capture(&mut deboot, Duration::from_secs(60))?;
    Ok(disk)
}

/// A line of progress that says that kernel and initramfs are on their way: `fetch  12 %  …`.
fn is_in_the_middle(line: &str) -> bool {
    let percent = line
        .trim_start()
        .strip_prefix("fetch")
        .and_then(|rest| rest.split('%').next());
    percent
        .and_then(|text| text.trim().parse::<u8>().ok())
        .is_some_and(|percent| (5..80).contains(&percent))
}

fn incident(incident: Incident, origin: &mut Running, machine: &qemu::Running) -> Result<()> {
    match incident {
        Incident::None => {}
        Incident::CablePulled(time) => {
            let control = machine.control();
            control.set_link(false)?;
            std::thread::spawn(move || {
                std::thread::sleep(time);
                // A machine that is gone needs no cable; if the link stays down, the boot fails and says so.
                drop(control.set_link(true));
            });
        }
        Incident::NetworkRestarted(time) => {
            origin.stop();
            std::thread::sleep(time);
            origin.restart()?;
        }
    }
    Ok(())
}

fn judge(scenario: &Scenario, seen: &Seen, reference: &str, middle_chunk: &str) -> Result<()> {
    match (&scenario.expected, &seen.outcome) {
        (Expected::Ready, Outcome::Ready(facts)) => {
            let fact = |key: &str| facts.get(key).map_or("", String::as_str);
            ensure!(
                fact("reference") == reference,
                "another reference was booted: {}",
                fact("reference")
            );
            ensure!(fact("efi") == "agree", "EFI variables: {}", fact("efi"));
        }
        (Expected::Error(ids), Outcome::Error { id, line }) => {
            ensure!(
                ids.contains(&id.as_str()),
                "another error than {ids:?}: {line}"
            );
            ensure!(seen.kernel.is_none(), "a kernel was started all the same");
        }
        (Expected::Ready, other) => bail!("{other}, after {:.0} s", seen.total.as_secs_f64()),
        (Expected::Error(ids), other) => bail!(
            "{other} instead of one of {ids:?}, after {:.0} s",
            seen.total.as_secs_f64()
        ),
    }
    for text in scenario.said {
        let text = text.replace("{chunk}", middle_chunk);
        ensure!(seen.has(&text), "the console did not say {text:?}");
    }
    let silence = seen.longest_silence;
    ensure!(
        silence <= SILENCE_MAX,
        "SWFETCH said nothing for {:.1} s",
        silence.as_secs_f64()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_fetch_is_told_from_its_ends() {
        assert!(is_in_the_middle(
            "fetch  42 %  6.3/15.0 MB  5.1 MB/s  24 peers  ETA 2 s"
        ));
        for line in [
            "fetch   1 %  0.1/15.0 MB",
            "fetch  99 %  x",
            "manifest",
            "fetch",
            "directory 50 %",
        ] {
            assert!(!is_in_the_middle(line), "{line}");
        }
    }
}
