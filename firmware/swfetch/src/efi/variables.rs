//! EFI variables: systemd's Boot Loader Interface and deboot's own. `docs/handover.md` is the specification.
use alloc::format;
use alloc::string::String;
use alloc::vec;
use release::FeedMemory;
use swfetch::AGENT;
use swfetch::failure::Failure;
use swfetch::handover::{Record, utf16_nul};
use uefi::runtime::{self, VariableAttributes, VariableVendor};
use uefi::{CStr16, Status, cstr16, guid, system};

const LOADER: VariableVendor = VariableVendor(guid!("4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"));
const DEBOOT: VariableVendor = VariableVendor(guid!("75a9eda8-28ce-475b-97bd-144eb59c1cec"));

const VOLATILE: VariableAttributes =
    VariableAttributes::BOOTSERVICE_ACCESS.union(VariableAttributes::RUNTIME_ACCESS);
const LASTING: VariableAttributes = VOLATILE.union(VariableAttributes::NON_VOLATILE);

/// Most bytes read of a text variable.
const TEXT_BYTES_MAX: usize = 1024;
/// The newest updates accepted of every feed.
const FEEDS: &CStr16 = cstr16!("DebootFeeds");
/// Most bytes read of it; eight records have 480.
const FEEDS_BYTES_MAX: usize = 512;

/// Says whether Secure Boot is enforced; `None` when firmware does not know it.
pub(crate) fn secure_boot() -> Option<bool> {
    let mut value = [0u8; 1];
    runtime::get_variable(
        cstr16!("SecureBoot"),
        &VariableVendor::GLOBAL_VARIABLE,
        &mut value,
    )
    .ok()?;
    Some(value == [1])
}

/// Says what systemd-boot would say, unless an earlier loader has said it.
pub(crate) fn publish_loader(init_us: u64, exec_us: u64, partition: Option<&str>) {
    let revision = system::uefi_revision();
    let firmware = system::firmware_revision();
    for (name, value) in [
        (cstr16!("LoaderTimeInitUSec"), Some(format!("{init_us}"))),
        (cstr16!("LoaderTimeExecUSec"), Some(format!("{exec_us}"))),
        (cstr16!("LoaderInfo"), Some(String::from(AGENT))),
        (
            cstr16!("LoaderFirmwareInfo"),
            Some(format!(
                "{} {}.{:02}",
                system::firmware_vendor(),
                firmware >> 16,
                firmware & 0xffff
            )),
        ),
        (
            cstr16!("LoaderFirmwareType"),
            Some(format!("UEFI {}.{:02}", revision.major(), revision.minor())),
        ),
        (cstr16!("LoaderDevicePartUUID"), partition.map(String::from)),
    ] {
        if let Some(value) = value
            && runtime::variable_exists(name, &LOADER) == Ok(false)
        {
            set(name, &LOADER, VOLATILE, &value);
        }
    }
}

/// Leaves the record of a successful boot and clears the memory of the last failure.
pub(crate) fn publish_boot(record: &Record, memory_peak_bytes: u64) {
    set(
        cstr16!("DebootReference"),
        &DEBOOT,
        VOLATILE,
        &record.reference,
    );
    set(
        cstr16!("DebootSequence"),
        &DEBOOT,
        VOLATILE,
        &format!("{}", record.sequence),
    );
    set(
        cstr16!("DebootTimings"),
        &DEBOOT,
        VOLATILE,
        &record.timings_json(memory_peak_bytes),
    );
    match &record.feed {
        Some(feed) => set(cstr16!("DebootFeed"), &DEBOOT, VOLATILE, &feed.variable()),
        // An earlier attempt may have left one. Nothing depends on it.
        None => drop(runtime::delete_variable(cstr16!("DebootFeed"), &DEBOOT)),
    }
    let last = cstr16!("DebootLastError");
    if let Some(error) = text(last, &DEBOOT) {
        set(cstr16!("DebootPreviousError"), &DEBOOT, VOLATILE, &error);
        // Nothing depends on it: a variable that stays is overwritten by the next failure.
        let _ = runtime::delete_variable(last, &DEBOOT);
    }
}

/// Reads the newest updates accepted of every feed.
///
/// A variable that the running system can see, or one that is too long, is not ours: it is deleted, because it would keep ours out.
///
/// # Errors
/// The variable store cannot be read. What it holds is then unknown and must not be replaced.
pub(crate) fn feed_memory() -> Result<FeedMemory, Status> {
    let mut buffer = [0u8; FEEDS_BYTES_MAX];
    match runtime::get_variable(FEEDS, &DEBOOT, &mut buffer) {
        Ok((bytes, attributes)) if !attributes.contains(VariableAttributes::RUNTIME_ACCESS) => {
            return Ok(FeedMemory::decode(bytes));
        }
        Ok(_) => {}
        Err(error) => match error.status() {
            Status::NOT_FOUND => return Ok(FeedMemory::default()),
            Status::BUFFER_TOO_SMALL => {}
            status => return Err(status),
        },
    }
    // If it stays, storing ours fails, and that is said.
    let _ = runtime::delete_variable(FEEDS, &DEBOOT);
    Ok(FeedMemory::default())
}

/// Stores them: in flash, and out of the reach of the running system.
pub(crate) fn store_feed_memory(memory: &FeedMemory) -> Result<(), Status> {
    let attributes = VariableAttributes::NON_VOLATILE.union(VariableAttributes::BOOTSERVICE_ACCESS);
    let bytes = memory.encode();
    runtime::set_variable(FEEDS, &DEBOOT, attributes, &bytes).map_err(|error| error.status())
}

/// Remembers a failure across resets, writing flash only when it is another one.
pub(crate) fn remember_failure(failure: &Failure) {
    let name = cstr16!("DebootLastError");
    let summary = failure.summary();
    if text(name, &DEBOOT).as_deref() != Some(&summary) {
        set(name, &DEBOOT, LASTING, &summary);
    }
}

fn set(name: &CStr16, vendor: &VariableVendor, attributes: VariableAttributes, value: &str) {
    let bytes = utf16_nul(value);
    let result = runtime::set_variable(name, vendor, attributes, &bytes);
    if result.is_err_and(|error| error.status() == Status::INVALID_PARAMETER) {
        // It exists with other attributes: replace it. A report is worth a second try, not an error.
        let _ = runtime::delete_variable(name, vendor);
        let _ = runtime::set_variable(name, vendor, attributes, &bytes);
    }
}

fn text(name: &CStr16, vendor: &VariableVendor) -> Option<String> {
    let mut buffer = vec![0u8; TEXT_BYTES_MAX];
    let (bytes, _) = runtime::get_variable(name, vendor, &mut buffer).ok()?;
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0);
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}
