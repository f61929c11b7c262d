//! Finds out whether hardware virtualisation really works here.
use crate::boot::{self, APPLICATION_MARK, Watch};
use crate::paths;
use crate::qemu::{Accelerator, Machine, Network};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// Real hardware shows the loader within 5 s; nested virtualisation that hangs shows nothing ever.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// Returns the best accelerator that starts an application from this disk.
///
/// That `/dev/kvm` is there does not mean much: under nested virtualisation it may open and then never get the firmware to an
/// application. So the answer comes from a boot, once for this QEMU and this kernel.
///
/// # Errors
/// The answer cannot be kept.
pub(crate) fn best(disk: &Path) -> Result<Accelerator> {
    if std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(Accelerator::Tcg);
    }
    let memory = paths::work("accelerator")?.join("kvm");
    let here = format!(
        "{}\n",
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
    );
    if let Some(answer) = std::fs::read_to_string(&memory)
        .ok()
        .and_then(|text| text.strip_prefix(&here).map(str::to_owned))
    {
        return Ok(if answer == "works" {
            Accelerator::Kvm
        } else {
            Accelerator::Tcg
        });
    }
    println!(
        "Trying hardware virtualisation (at most {} s, once)",
        PROBE_LIMIT.as_secs()
    );
    let mut machine = Machine::new(disk, &paths::fresh("accelerator/probe")?);
    machine.accelerator = Accelerator::Kvm;
    machine.network = Network::None;
    let works = starts_an_application(&machine);
    println!(
        "{}",
        if works {
            "It works: using KVM"
        } else {
            "It does not work here: emulating the processor"
        }
    );
    std::fs::write(
        &memory,
        format!("{here}{}", if works { "works" } else { "fails" }),
    )?;
    Ok(if works {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    })
}

fn starts_an_application(machine: &Machine) -> bool {
    let watch = Watch {
        application_mark: APPLICATION_MARK,
        limit: PROBE_LIMIT,
        show: false,
    };
    // Without a network card the loader stops with an error, which is all the probe needs.
    boot::boot(machine, &watch, &mut |_, _| Ok(())).is_ok_and(|seen| seen.application.is_some())
}
