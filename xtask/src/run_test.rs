//! `run-test`: build, publish, bridge, boot, in one command.
//!
//! What is behind the bridge: a bee node that runs already (`--bee-url`, `--batch`), else one of each kind started from `BEE_BIN`, else
//! a devnet.
use crate::boot::{self, APPLICATION_MARK, Outcome, Watch};
use crate::bridge::{self, Plan};
use crate::cli::RunTestOptions;
use crate::devnet;
use crate::packages::{self, Need};
use crate::process::{capture, command};
use crate::qemu::{HOST_SEEN_BY_GUEST, Machine};
use crate::{accelerator, bee_lab, demo, image, paths, programs, stage};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const LAB_LIMIT: Duration = Duration::from_secs(300);
const PUBLISH_LIMIT: Duration = Duration::from_secs(900);
/// Full nodes of the lab that takes the upload: the boot node and one more. With others it would push what it took back and forth
/// between them for as long as it runs, which two cores do not bear beside a virtual machine.
const UPLOAD_NODES: usize = 2;
/// Full nodes of the lab behind an ultra-light node: the boot node, which bee never asks for chunks, and others that share the content.
/// From each of them it gets about 1.6 chunks per second.
const LIGHT_NODES: usize = 16;

/// What every run needs.
struct Tools {
    deboot: PathBuf,
    bridge: PathBuf,
    probe: PathBuf,
    swfetch: PathBuf,
    release: image::Built,
    directory: PathBuf,
}

/// Runs the test.
///
/// # Errors
/// What failed.
pub(crate) fn run(options: &RunTestOptions) -> Result<ExitCode> {
    match run_all(options) {
        Ok(count) => {
            println!("\nSUCCESS: {count} of {count} boots came to debootd ready");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("\nFAILED: {error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn run_all(options: &RunTestOptions) -> Result<usize> {
    packages::ensure(&[Need::Linker, Need::Qemu, Need::Ovmf])?;
    let (bridge, probe) = bridge::build()?;
    let tools = Tools {
        deboot: programs::host("deboot")?,
        bridge,
        probe,
        swfetch: programs::swfetch()?,
        release: image::demo()?,
        directory: paths::fresh("run-test")?,
    };
    if let Some(url) = &options.bee_url {
        let batch = options
            .batch
            .as_deref()
            .context("--bee-url needs --batch")?;
        let reference = publish_to_bee(&tools, url, batch)?;
        let name = format!("bee at {url}");
        return boot(options, &tools, &name, &["--bee-url", url], &reference).map(|()| 1);
    }
    let bees = bee_lab::binaries()?;
    if bees.is_empty() {
        boot_from_devnet(options, &tools)?;
        return Ok(1);
    }
    let mut count = 0;
    for bee in &bees {
        count += boot_from_labs(options, &tools, bee)?;
    }
    Ok(count)
}

fn boot_from_devnet(options: &RunTestOptions, tools: &Tools) -> Result<()> {
    let chunks = tools.directory.join("chunks.tar");
    let published = stage::publish(&tools.deboot, &tools.release.directory, &chunks)?;
    println!("Published: bzz://{} to a devnet", published.reference);
    let log = tools.directory.join("devnet.log");
    let mut plan = devnet::Plan::quiet(&tools.deboot, 24, &published.chunks, &log);
    // It is the bridge that joins, not the guest.
    plan.for_guest = false;
    let devnet = plan.start()?;
    let network_id = devnet.network_id.to_string();
    let behind = [
        "--native",
        "--network-id",
        &network_id,
        "--bootnode",
        &devnet.bootnode,
    ];
    boot(options, tools, "devnet", &behind, &published.reference)
}

/// Boots twice: from a full node that took the upload, and from an ultra-light node that retrieves the content from others.
fn boot_from_labs(options: &RunTestOptions, tools: &Tools, bee: &Path) -> Result<usize> {
    packages::ensure(&[Need::Python])?;
    let script = bee_lab::script().context("no bee lab: set BEE_LAB to the path of beelab.py")?;
    let name = bee
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let chunks = tools.directory.join(format!("{name}.tar"));
    let published = stage::publish(&tools.deboot, &tools.release.directory, &chunks)?;
    let directory = |kind: &str| tools.directory.join(format!("{name}-{kind}"));

    let lab = Lab::start(&script, bee, &LabKind::Upload, directory("upload"))?;
    let full = lab.api("full", 1)?;
    let batch = lab.batch()?;
    let reference = publish_to_bee(tools, &full, &batch)?;
    ensure!(
        reference == published.reference,
        "bee calls the upload {reference}, we {}",
        published.reference
    );
    let title = format!("{name}, full node");
    boot(options, tools, &title, &["--bee-url", &full], &reference)?;
    drop(lab);

    let lab = Lab::start(&script, bee, &LabKind::Light(&chunks), directory("light"))?;
    let light = lab.api("ultra-light", 0)?;
    let title = format!("{name}, ultra-light node");
    boot(options, tools, &title, &["--bee-url", &light], &reference)?;
    Ok(2)
}

fn publish_to_bee(tools: &Tools, url: &str, batch: &str) -> Result<String> {
    let mut publish = command(&tools.deboot);
    publish
        .args(["publish", "--json"])
        .arg(&tools.release.directory);
    publish.args(["--bee-url", url, "--batch", batch]);
    let text = capture(&mut publish, PUBLISH_LIMIT)?;
    let value: serde_json::Value =
        serde_json::from_str(&text).context("deboot publish --json printed no JSON")?;
    let reference = value.get("reference").and_then(|value| value.as_str());
    let reference = reference.context("deboot publish printed no reference")?;
    println!("Published: bzz://{reference} to bee at {url}");
    Ok(reference.to_owned())
}

/// Starts a bridge, checks it with the independent client, and boots from it.
fn boot(
    options: &RunTestOptions,
    tools: &Tools,
    name: &str,
    behind: &[&str],
    reference: &str,
) -> Result<()> {
    let directory = tools
        .directory
        .join(name.replace([' ', ',', ':', '/'], "-"));
    let plan = Plan {
        program: tools.bridge.clone(),
        behind: behind.iter().map(|&word| word.to_owned()).collect(),
        port: 0,
        fault: None,
        directory: directory.clone(),
    };
    let bridge = plan.start()?;
    println!("Bridge:    {} in front of {name}", bridge.tcp);
    let address = match options.transport.as_str() {
        "tcp" => &bridge.tcp,
        _ => &bridge.quic,
    };
    let checked = bridge::probe(&tools.probe, &[address, reference, "--manifest"])
        .with_context(|| format!("the independent client over {}", options.transport))?;
    println!("Probe:     over {}: {checked}", options.transport);
    let kernel = bridge::probe(&tools.probe, &[address, reference, "vmlinuz"])
        .with_context(|| format!("the independent client over {}", options.transport))?;
    println!("Probe:     kernel over {}: {kernel}", options.transport);

    let disk = directory.join("disk.img");
    make_disk(tools, &directory, reference, bridge.port, &disk)?;
    let mut machine = Machine::new(&disk, &directory.join("machine"));
    machine.accelerator = accelerator::best(&disk)?;
    let limit = Duration::from_secs(options.timeout);
    println!(
        "Power on:  {:?}, result within {} s",
        machine.accelerator,
        limit.as_secs()
    );
    let watch = Watch {
        application_mark: APPLICATION_MARK,
        limit,
        show: options.show,
    };
    let seen = boot::boot(&machine, &watch, &mut |_, _| Ok(()))?;
    match &seen.outcome {
        Outcome::Ready(facts) => {
            let booted = facts.get("reference").map_or("", String::as_str);
            ensure!(
                booted == reference,
                "another reference was booted: {booted}"
            );
            print!("{}", demo::summary(&seen, facts));
            Ok(())
        }
        other => bail!(
            "{name}: {other}, {:.1} s after power-on\n  console: {}\n  bridge:  {}",
            seen.total.as_secs_f64(),
            machine.directory.join("serial.log").display(),
            plan.log().display()
        ),
    }
}

fn make_disk(
    tools: &Tools,
    directory: &Path,
    reference: &str,
    port: u16,
    disk: &Path,
) -> Result<()> {
    let config = directory.join("deboot.toml");
    let text = format!(
        "reference = \"{reference}\"\nsource = \"bridge\"\nretry_after = \"0s\"\n\n\
         [bridge]\naddress = \"{HOST_SEEN_BY_GUEST}:{port}\"\n"
    );
    std::fs::write(&config, text)?;
    let mut deboot = command(&tools.deboot);
    deboot.arg("disk").arg("--config").arg(config);
    deboot
        .arg("--efi")
        .arg(&tools.swfetch)
        .arg("--output")
        .arg(disk);
    capture(&mut deboot, Duration::from_secs(60)).map(drop)
}

/// What a lab is for.
enum LabKind<'a> {
    /// One node takes an upload and serves it.
    Upload,
    /// An ultra-light node retrieves these chunks from full nodes.
    Light(&'a Path),
}

/// A lab of bee nodes. Dropping it takes it down.
struct Lab {
    script: PathBuf,
    directory: PathBuf,
    description: serde_json::Value,
}

impl Lab {
    fn start(script: &Path, bee: &Path, kind: &LabKind<'_>, directory: PathBuf) -> Result<Self> {
        let (nodes, light) = match kind {
            LabKind::Upload => (UPLOAD_NODES, ""),
            LabKind::Light(_) => (LIGHT_NODES, " and an ultra-light one"),
        };
        println!("Lab:       {nodes} full nodes{light} of {}", bee.display());
        // From here on there may be nodes to stop.
        let mut lab = Self {
            script: script.to_owned(),
            directory,
            description: serde_json::Value::Null,
        };
        let mut up = lab.command("up");
        up.arg("--bee").arg(bee);
        up.args(["--nodes", &nodes.to_string()]);
        if let LabKind::Light(chunks) = kind {
            up.arg("--chunks").arg(chunks).arg("--light");
        }
        // Two ports for each node, and the chain's 999 behind the first.
        let base = devnet::free_ports(2 * nodes + 2)?;
        up.args(["--base-port", &base.to_string()]);
        let text = capture(&mut up, LAB_LIMIT)?;
        lab.description = serde_json::from_str(&text).context("the lab printed no JSON")?;
        Ok(lab)
    }

    fn command(&self, verb: &str) -> std::process::Command {
        let mut python = command("python3");
        python
            .arg(&self.script)
            .arg(verb)
            .arg("--dir")
            .arg(&self.directory);
        python
    }

    /// API of the `index`th node of a kind.
    fn api(&self, kind: &str, index: usize) -> Result<String> {
        let nodes = self
            .description
            .get("nodes")
            .and_then(|nodes| nodes.as_array());
        let mut nodes = nodes
            .into_iter()
            .flatten()
            .filter(|node| node.get("kind").is_some_and(|found| found == kind));
        let api = nodes.nth(index).and_then(|node| node.get("api")?.as_str());
        Ok(api
            .with_context(|| format!("the lab has no {kind} node"))?
            .to_owned())
    }

    /// A usable postage batch of the first full node behind the boot node.
    fn batch(&self) -> Result<String> {
        let mut batch = self.command("batch");
        batch.args(["--node", "1", "--depth", "22"]);
        let text = capture(&mut batch, LAB_LIMIT)?;
        let id = text
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .trim_matches('"');
        ensure!(id.len() == 64, "the lab printed no batch: {text}");
        Ok(id.to_owned())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Nothing more can be done about a lab that does not stop.
        drop(capture(&mut self.command("down"), Duration::from_secs(60)));
    }
}
