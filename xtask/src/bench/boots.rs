//! Power-on to `debootd ready`: SWFETCH from a devnet against iPXE from a web server, the same kernel, initramfs and machine.
use super::{Bench, MEMORY_BYTES_MAX, Measure, Target, median};
use crate::boot::{self, APPLICATION_MARK, Outcome, Seen, Watch};
use crate::devnet::Plan;
use crate::image::{CMDLINE, NAME, SEQUENCE, VERSION};
use crate::packages::IPXE_EFI;
use crate::paths::read;
use crate::process::{capture, command};
use crate::qemu::{HOST_SEEN_BY_GUEST, Machine, Network};
use crate::{http, stage};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(180);
const IPXE_MARK: &str = "iPXE initialising devices";

/// Seconds of one contender.
#[derive(Debug, Default)]
struct Times {
    total: Vec<f64>,
    loader: Vec<f64>,
}

impl Times {
    fn add(&mut self, name: &str, seen: &Seen) -> Result<()> {
        let (Outcome::Ready(_), Some(application), Some(kernel)) =
            (&seen.outcome, seen.application, seen.kernel)
        else {
            bail!("{name} did not boot: {}", seen.outcome);
        };
        let (total, loader) = (
            seen.total.as_secs_f64(),
            (kernel.saturating_sub(application)).as_secs_f64(),
        );
        println!(
            "  {name:<8} power-on to ready {total:6.2} s, application to kernel {loader:6.2} s"
        );
        self.total.push(total);
        self.loader.push(loader);
        Ok(())
    }
}

/// Runs both in turns.
///
/// # Errors
/// Either does not boot.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Measure>> {
    println!(
        "Booting {} times each: SWFETCH from Swarm, iPXE from HTTP",
        bench.rounds
    );
    let published = stage::publish(
        &bench.deboot,
        &bench.release.directory,
        &bench.directory.join("release.tar"),
    )?;
    let plan = Plan::quiet(
        &bench.deboot,
        24,
        &published.chunks,
        &bench.directory.join("devnet.log"),
    );
    let disk = bench.directory.join("swfetch.img");
    let _devnet = stage::network_and_disk(&plan, &bench.swfetch, &published.reference, &[], &disk)?;
    let swfetch = Machine::new(&disk, &bench.directory.join("swfetch"));
    let ipxe = ipxe(bench, &published.reference)?;
    let (mut ours, mut theirs, mut memory) = (Times::default(), Times::default(), Vec::new());
    for _ in 0..bench.rounds {
        let watch = |application_mark| Watch {
            application_mark,
            limit: LIMIT,
            show: false,
        };
        let seen = boot::boot(&swfetch, &watch(APPLICATION_MARK), &mut |_, _| Ok(()))?;
        ours.add("SWFETCH", &seen)?;
        if let Outcome::Ready(facts) = &seen.outcome {
            memory.extend(
                facts
                    .get("memory_peak")
                    .and_then(|text| text.parse::<f64>().ok()),
            );
        }
        let seen = boot::boot(&ipxe, &watch(IPXE_MARK), &mut |_, _| Ok(()))?;
        theirs.add("iPXE", &seen)?;
    }
    let compare = |name: &str, ours: &[f64], theirs: &[f64]| Measure {
        name: name.to_owned(),
        ours: format!("{:.2} s", median(ours)),
        other: format!("iPXE {:.2} s", median(theirs)),
        ratio: median(ours) / median(theirs),
        target: Target::AtMost(1.0),
    };
    Ok(vec![
        compare("power-on to debootd ready", &ours.total, &theirs.total),
        compare("application start to kernel", &ours.loader, &theirs.loader),
        Measure {
            name: "firmware memory beyond the payload".to_owned(),
            ours: format!("{:.1} MiB", median(&memory) / 1048576.0),
            other: format!("limit {:.0} MiB", MEMORY_BYTES_MAX / 1048576.0),
            ratio: median(&memory) / MEMORY_BYTES_MAX,
            target: Target::AtMost(1.0),
        },
    ])
}

/// Prepares a machine that boots the same release by iPXE.
fn ipxe(bench: &Bench, reference: &str) -> Result<Machine> {
    let file = |name: &str| read(&bench.release.directory.join(name));
    // debootd wants to know what was booted; SWFETCH would say it.
    let block = format!(
        "deboot.reference={reference} deboot.name={NAME} deboot.version={VERSION} deboot.sequence={SEQUENCE}"
    );
    let script = format!(
        "#!ipxe\nkernel vmlinuz initrd=initramfs.img {block} {CMDLINE}\ninitrd initramfs.img\nboot\n"
    );
    let files = [
        ("/boot.ipxe".to_owned(), script.into_bytes()),
        ("/vmlinuz".to_owned(), file("vmlinuz")?),
        ("/initramfs.img".to_owned(), file("initramfs.img")?),
    ];
    let port = http::serve(files.into())?;
    let disk: PathBuf = bench.directory.join("ipxe.img");
    let mut deboot = command(&bench.deboot);
    deboot
        .args(["disk", "--no-config", "--efi", IPXE_EFI, "--output"])
        .arg(&disk);
    capture(&mut deboot, LIMIT)?;
    let mut machine = Machine::new(&disk, &bench.directory.join("ipxe"));
    machine.network =
        Network::UserWithBootFile(format!("http://{HOST_SEEN_BY_GUEST}:{port}/boot.ipxe"));
    Ok(machine)
}
