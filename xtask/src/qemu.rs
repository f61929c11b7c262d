//! Virtual machines with UEFI firmware and a serial console.
use crate::packages;
use crate::process::{Guard, command};
use crate::serial::{self, Line};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Where a guest on QEMU's user network finds the host's loopback.
pub(crate) const HOST_SEEN_BY_GUEST: &str = "10.0.2.2";
const QMP_LIMIT: Duration = Duration::from_secs(5);

/// How the processor is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// Emulation: works everywhere.
    Tcg,
    /// Hardware virtualisation.
    Kvm,
}

/// What the network card is plugged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// QEMU's own NAT with a DHCP server; the host's loopback is 10.0.2.2.
    User,
    /// The same; DHCP names a file to boot.
    UserWithBootFile(String),
    /// A hub without anybody else: the link is up and nobody answers.
    Silent,
    /// No card at all.
    None,
    /// A tap that exists.
    Tap(String),
}

/// A machine to start.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Boot disk, raw.
    pub(crate) disk: PathBuf,
    /// Whether what the guest writes to the disk is kept.
    pub(crate) keep_writes: bool,
    /// Whether the firmware's variables of the last start in the same directory are kept.
    pub(crate) keep_variables: bool,
    /// Memory, MiB.
    pub(crate) memory_mib: u32,
    /// How the processor is run.
    pub(crate) accelerator: Accelerator,
    /// What the card is plugged into.
    pub(crate) network: Network,
    /// Where the variable store and the log are put; one directory per machine.
    pub(crate) directory: PathBuf,
}

impl Machine {
    /// A machine with 1 GiB under emulation on the user network.
    pub(crate) fn new(disk: &Path, directory: &Path) -> Self {
        Self {
            disk: disk.to_owned(),
            keep_writes: false,
            keep_variables: false,
            memory_mib: 1024,
            accelerator: Accelerator::Tcg,
            network: Network::User,
            directory: directory.to_owned(),
        }
    }

    /// Returns the command line of QEMU without what says where its console goes.
    ///
    /// # Errors
    /// No firmware, or the variable store cannot be copied.
    pub(crate) fn command(&self) -> Result<Command> {
        let ovmf = packages::ovmf()?;
        std::fs::create_dir_all(&self.directory)?;
        let variables = self.directory.join("variables.fd");
        if !(self.keep_variables && variables.is_file()) {
            std::fs::copy(&ovmf.variables, &variables)
                .context("cannot copy the firmware's variable store")?;
        }
        let mut qemu = command("qemu-system-x86_64");
        let (accelerator, cpu) = match self.accelerator {
            Accelerator::Tcg => ("tcg", "max"),
            Accelerator::Kvm => ("kvm", "host"),
        };
        qemu.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ]);
        qemu.args([
            "-machine",
            &format!("q35,accel={accelerator}"),
            "-cpu",
            cpu,
            "-smp",
            "1",
        ]);
        qemu.args(["-m", &self.memory_mib.to_string()]);
        qemu.args([
            "-drive",
            &format!(
                "if=pflash,format=raw,unit=0,readonly=on,file={}",
                text(&ovmf.code)?
            ),
        ]);
        qemu.args([
            "-drive",
            &format!("if=pflash,format=raw,unit=1,file={}", text(&variables)?),
        ]);
        let snapshot = if self.keep_writes { "off" } else { "on" };
        qemu.args([
            "-drive",
            &format!(
                "if=none,id=disk,format=raw,snapshot={snapshot},file={}",
                text(&self.disk)?
            ),
        ]);
        // Without bootindex the firmware tries the network first.
        qemu.args(["-device", "virtio-blk-pci,drive=disk,bootindex=0"]);
        qemu.args(["-device", "virtio-rng-pci"]);
        let backend = match &self.network {
            Network::User => "user,id=net".to_owned(),
            Network::UserWithBootFile(file) => format!("user,id=net,bootfile={file}"),
            Network::Silent => "hubport,id=net,hubid=0".to_owned(),
            Network::Tap(name) => format!("tap,id=net,ifname={name},script=no,downscript=no"),
            Network::None => return Ok(qemu),
        };
        // An option ROM would bring QEMU's own iPXE into every boot.
        qemu.args([
            "-netdev",
            &backend,
            "-device",
            "virtio-net-pci,netdev=net,romfile=,id=card",
        ]);
        Ok(qemu)
    }

    /// Powers the machine on.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub(crate) fn start(&self) -> Result<Running> {
        self.start_with(self.command()?)
    }

    /// Powers the machine on with a command that was made by [`command`](Self::command) and perhaps wrapped.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub(crate) fn start_with(&self, mut qemu: Command) -> Result<Running> {
        let qmp = qmp_path();
        qemu.args([
            "-qmp",
            &format!("unix:{},server=on,wait=off", text(&qmp)?),
            "-serial",
            "stdio",
        ]);
        let errors = self.directory.join("qemu.err");
        qemu.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?);
        let powered_on = Instant::now();
        let mut child = Guard::spawn(&mut qemu)?;
        let lines = serial::lines(child.0.stdout.take().context("QEMU without stdout")?);
        let log = File::create(self.directory.join("serial.log"))?;
        Ok(Running {
            child,
            lines,
            log,
            powered_on,
            qmp,
            errors,
            last_line: powered_on,
        })
    }
}

fn text(path: &Path) -> Result<&str> {
    let text = path.to_str().context("path is not UTF-8")?;
    if text.contains(',') {
        bail!("{text}: QEMU takes no path with a comma here; please clone to another directory");
    }
    Ok(text)
}

/// Unix socket paths have at most 107 bytes, so these are not below the clone.
fn qmp_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("deboot-{}-{n}.qmp", std::process::id()))
}

/// What a running machine does next.
#[derive(Debug)]
pub(crate) enum Event {
    /// It wrote a line.
    Line(Line),
    /// It wrote nothing until the deadline.
    Silent,
    /// QEMU ended.
    Ended(ExitStatus),
}

/// A machine that is on. Dropping it turns it off.
#[derive(Debug)]
pub(crate) struct Running {
    child: Guard,
    lines: Receiver<Line>,
    log: File,
    powered_on: Instant,
    last_line: Instant,
    qmp: PathBuf,
    errors: PathBuf,
}

impl Running {
    /// When QEMU was started.
    pub(crate) fn powered_on(&self) -> Instant {
        self.powered_on
    }

    /// Waits for the next line; it goes to the log, too.
    ///
    /// # Errors
    /// QEMU cannot be waited for.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Event> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                let seconds = line.at.duration_since(self.powered_on).as_secs_f64();
                self.last_line = line.at;
                writeln!(self.log, "{seconds:9.3}  {}", line.text)
                    .context("cannot write the serial log")?;
                Ok(Event::Line(line))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Event::Silent),
            Err(RecvTimeoutError::Disconnected) => {
                // The pipe closes a moment before the process is gone.
                match self.child.wait_until(Instant::now() + QMP_LIMIT)? {
                    Some(status) => Ok(Event::Ended(status)),
                    None => bail!("QEMU closed its console and lives on"),
                }
            }
        }
    }

    /// What QEMU itself complained about.
    pub(crate) fn complaints(&self) -> String {
        std::fs::read_to_string(&self.errors)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// Returns what the machine is controlled with; it outlives the machine.
    pub(crate) fn control(&self) -> Control {
        Control {
            qmp: self.qmp.clone(),
        }
    }
}

/// Control over a machine, for any thread.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    qmp: PathBuf,
}

impl Control {
    /// Pulls the cable, or plugs it in again.
    ///
    /// # Errors
    /// QEMU does not do it.
    pub(crate) fn set_link(&self, up: bool) -> Result<()> {
        self.qmp(
            &serde_json::json!({"execute": "set_link", "arguments": {"name": "card", "up": up}}),
        )
    }

    /// Sends one command to QEMU's control socket.
    fn qmp(&self, request: &serde_json::Value) -> Result<()> {
        let mut socket = UnixStream::connect(&self.qmp).context("QEMU's control socket")?;
        socket.set_read_timeout(Some(QMP_LIMIT))?;
        let mut answers = BufReader::new(socket.try_clone()?);
        let mut answer = || -> Result<serde_json::Value> {
            loop {
                let mut line = String::new();
                if answers.read_line(&mut line)? == 0 {
                    bail!("QEMU closed its control socket");
                }
                let value: serde_json::Value = serde_json::from_str(&line)?;
                // Events come in between.
                if value.get("event").is_none() {
                    return Ok(value);
                }
            }
        };
        answer()?;
        for request in [&serde_json::json!({"execute": "qmp_capabilities"}), request] {
            writeln!(socket, "{request}")?;
            let value = answer()?;
            if value.get("return").is_none() {
                bail!("QEMU refuses {request}: {value}");
            }
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // QEMU removes it itself when it ends well.
        drop(std::fs::remove_file(&self.qmp));
    }
}
