//! Boots from a Swarm of real bee nodes. The lab, a tap and QEMU live in a network and process namespace of their own: a guest
//! cannot dial a gossiped 127.0.0.1, and with the namespace everything in it ends, however it ends.
use crate::boot::{APPLICATION_MARK, Outcome, Seen, Watch, watch_running};
use crate::process::{self, Guard, capture, command};
use crate::qemu::{Accelerator, Machine, Network};
use crate::stage::{Disk, Published};
use crate::{demo, devnet, paths};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

/// The lab's address in its namespace, and the guest's.
const LAB_ADDRESS: &str = "10.77.0.1";
const GUEST_ADDRESS: &str = "10.77.0.2/24,gateway=10.77.0.1";
const TAP: &str = "deboot0";
const BASE_PORT: u16 = 21_000;
/// One of them is the boot node, which bee never asks for chunks. A light client gets about 1.6 chunks per second from each other.
const NODES: usize = 16;
const LAB_LIMIT: Duration = Duration::from_secs(240);
const BOOT_LIMIT: Duration = Duration::from_secs(900);
const QUICK: Duration = Duration::from_secs(20);

/// The bee binaries of `BEE_BIN` (several, separated by `:`).
///
/// # Errors
/// One of them is not a file.
pub(crate) fn binaries() -> Result<Vec<PathBuf>> {
    let Some(list) = std::env::var_os("BEE_BIN") else {
        return Ok(Vec::new());
    };
    let paths: Vec<PathBuf> = std::env::split_paths(&list)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        bail!("BEE_BIN names {}, which is no file", missing.display());
    }
    Ok(paths)
}

/// The program that starts labs: `BEE_LAB`, or `../shared/bee-lab/beelab.py` beside the clone.
pub(crate) fn script() -> Option<PathBuf> {
    let given = std::env::var_os("BEE_LAB").map(PathBuf::from);
    let beside = paths::workspace().join("../shared/bee-lab/beelab.py");
    [given, Some(beside)]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
}

/// What is booted, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    /// The bee binary.
    pub(crate) bee: &'a Path,
    /// The lab's program.
    pub(crate) script: &'a Path,
    /// `deboot`
    pub(crate) deboot: &'a Path,
    /// The loader.
    pub(crate) swfetch: &'a Path,
    /// The release.
    pub(crate) release: &'a Published,
    /// Where logs go; emptied by the caller.
    pub(crate) directory: &'a Path,
}

impl Plan<'_> {
    /// Boots; the console goes to the terminal. Returns whether it came to `debootd ready`.
    ///
    /// # Errors
    /// No namespace can be made: it needs root, or unprivileged user namespaces.
    pub(crate) fn boot(&self) -> Result<bool> {
        let mut unshare = namespace();
        unshare
            .arg(std::env::current_exe().context("cannot find xtask itself")?)
            .arg("bee-boot")
            .args(self.words())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        let limit = LAB_LIMIT + BOOT_LIMIT + QUICK;
        let mut child = Guard::spawn(&mut unshare)?;
        let deadline = std::time::Instant::now() + limit;
        Ok(child
            .wait_until(deadline)?
            .is_some_and(|status| status.success()))
    }

    fn words(&self) -> [OsString; 7] {
        [
            self.bee.into(),
            self.script.into(),
            self.deboot.into(),
            self.swfetch.into(),
            OsString::from(&self.release.reference),
            self.release.chunks.clone().into(),
            self.directory.into(),
        ]
    }
}

/// The command that puts a program into namespaces of its own; the kernel ends all of it with its first process.
fn namespace() -> std::process::Command {
    let mut unshare = command("unshare");
    unshare.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let root = capture(command("id").arg("-u"), QUICK).is_ok_and(|id| id.trim() == "0");
    if !root {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.arg("--");
    unshare
}

/// Says why no namespace with a tap can be made here.
pub(crate) fn unavailable() -> Option<String> {
    let mut probe = namespace();
    probe.args(["ip", "tuntap", "add", TAP, "mode", "tap"]);
    match process::output(&mut probe, QUICK) {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("{error:#}")),
    }
}

/// The options of the hidden verb that runs inside the namespace.
#[derive(clap::Args, Debug)]
pub(crate) struct Inside {
    bee: PathBuf,
    script: PathBuf,
    deboot: PathBuf,
    swfetch: PathBuf,
    reference: String,
    chunks: PathBuf,
    directory: PathBuf,
}

impl Inside {
    /// Starts the lab, makes the disk, boots, and stops the lab.
    ///
    /// # Errors
    /// One of the steps cannot be done; a boot that fails is an exit code.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let address = format!("{LAB_ADDRESS}/24");
        for line in [
            vec!["link", "set", "lo", "up"],
            vec!["tuntap", "add", TAP, "mode", "tap"],
            vec!["addr", "add", &address, "dev", TAP],
            vec!["link", "set", TAP, "up"],
        ] {
            capture(command("ip").args(line), QUICK)?;
        }
        let lab = self.directory.join("lab");
        println!(
            "Lab:       {NODES} nodes of {} on {LAB_ADDRESS}",
            self.bee.display()
        );
        let bootnode = self.start_lab(&lab)?;
        let result = self.boot(&bootnode);
        // The namespace ends the nodes anyway; this lets them close their stores.
        drop(capture(
            command("python3")
                .arg(&self.script)
                .args(["down", "--dir"])
                .arg(&lab),
            QUICK,
        ));
        let seen = result?;
        if let Outcome::Ready(facts) = &seen.outcome {
            print!("{}", demo::summary(&seen, facts));
            return Ok(ExitCode::SUCCESS);
        }
        println!(
            "No boot from {}: {}, {:.1} s after power-on",
            self.bee.display(),
            seen.outcome,
            seen.total.as_secs_f64()
        );
        println!("{}", devnet::tail(&lab.join("n1.log")));
        Ok(ExitCode::FAILURE)
    }

    /// Starts the nodes, puts the chunks in, and returns the multiaddr of the boot node.
    fn start_lab(&self, lab: &Path) -> Result<String> {
        let mut up = command("python3");
        up.arg(&self.script).arg("up").arg("--bee").arg(&self.bee);
        up.arg("--dir").arg(lab).arg("--chunks").arg(&self.chunks);
        up.args(["--nodes", &NODES.to_string(), "--host", LAB_ADDRESS]);
        up.args(["--base-port", &BASE_PORT.to_string()]);
        let text = capture(&mut up, LAB_LIMIT)?;
        let value: serde_json::Value =
            serde_json::from_str(&text).context("the lab printed no JSON")?;
        let bootnode = value.get("bootnode").and_then(|v| v.as_str());
        Ok(bootnode.context("the lab names no boot node")?.to_owned())
    }

    fn boot(&self, bootnode: &str) -> Result<Seen> {
        let disk = self.directory.join("disk.img");
        let more = ["--static".to_owned(), GUEST_ADDRESS.to_owned()];
        Disk {
            deboot: &self.deboot,
            swfetch: &self.swfetch,
            reference: &self.reference,
            bootnodes: &[bootnode.to_owned()],
            network_id: 10,
            more: &more,
        }
        .make(&disk)?;
        let mut machine = Machine::new(&disk, &self.directory.join("machine"));
        machine.accelerator = Accelerator::Tcg;
        machine.network = Network::Tap(TAP.to_owned());
        let watch = Watch {
            application_mark: APPLICATION_MARK,
            limit: BOOT_LIMIT,
            show: true,
        };
        watch_running(machine.start()?, &watch, &mut |_, _| Ok(()))
    }
}
