//! Small helpers over boot services that the uefi crate does not have.
use alloc::vec::Vec;
use core::ptr;
use uefi::Handle;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol, SearchType};
use uefi::proto::ProtocolPointer;
use uefi::proto::device_path::DevicePath;
use uefi_raw::table::boot::BootServices;
use uefi_raw::{Guid, Status};

/// `EFI_OPEN_PROTOCOL_BY_DRIVER`
const BY_DRIVER: u32 = 0x10;

/// The raw boot services.
///
/// # Panics
///
/// Before the entry point has set the system table, which it does first.
pub(crate) fn raw() -> &'static BootServices {
    let system = uefi::table::system_table_raw();
    // SAFETY: the entry point got the table from firmware; this program never calls ExitBootServices, so it stays valid.
    let system = unsafe { system.map(|system| system.as_ref()) };
    let services = system.and_then(|system| ptr::NonNull::new(system.boot_services));
    // SAFETY: as above; the boot services of a live system table are valid until ExitBootServices.
    services
        .map(|services| unsafe { &*services.as_ptr() })
        .expect("boot services")
}

/// Opens a protocol for a look, without disturbing whoever uses it.
pub(crate) fn peek<P: ProtocolPointer + ?Sized>(handle: Handle) -> Option<ScopedProtocol<P>> {
    let params = OpenProtocolParams {
        handle,
        agent: boot::image_handle(),
        controller: None,
    };
    // SAFETY: callers use the result at once and start, stop or disconnect no driver meanwhile, so it cannot vanish.
    unsafe { boot::open_protocol::<P>(params, OpenProtocolAttributes::GetProtocol) }.ok()
}

/// Returns all handles that have a protocol.
pub(crate) fn handles(protocol: &Guid) -> Vec<Handle> {
    boot::locate_handle_buffer(SearchType::ByProtocol(protocol))
        .map(|handles| handles.to_vec())
        .unwrap_or_default()
}

/// Says whether `handle` has a protocol.
pub(crate) fn has_protocol(handle: Handle, protocol: &Guid) -> bool {
    boot::protocols_per_handle(handle)
        .is_ok_and(|protocols| protocols.iter().any(|known| **known == *protocol))
}

/// Returns the bytes of the handle's device path; empty when it has none.
pub(crate) fn device_path(handle: Handle) -> Vec<u8> {
    peek::<DevicePath>(handle)
        .and_then(|path| path.get().map(|path| path.as_bytes().to_vec()))
        .unwrap_or_default()
}

/// Lets firmware's drivers start on `handle`, and with `children` on everything below. Failures are normal: most handles have no
/// driver.
pub(crate) fn connect(handle: Handle, children: bool) {
    // SAFETY: the handle came from firmware a moment ago; a stale one is reported as INVALID_PARAMETER.
    let _status = unsafe {
        (raw().connect_controller)(handle.as_ptr(), ptr::null(), ptr::null(), children.into())
    };
}

/// Stops every driver that has `protocol` on `handle` open BY_DRIVER (MNP, and others that would take packets). Returns how many.
pub(crate) fn disconnect_users(handle: Handle, protocol: &Guid) -> usize {
    let mut entries = ptr::null_mut();
    let mut count = 0usize;
    // SAFETY: both outputs are ours; on success firmware gives a pool buffer of `count` entries.
    let status = unsafe {
        (raw().open_protocol_information)(handle.as_ptr(), protocol, &mut entries, &mut count)
    };
    let Some(buffer) = ptr::NonNull::new(entries).filter(|_| status == Status::SUCCESS) else {
        return 0;
    };
    // SAFETY: as above; the buffer is ours until FreePool.
    let users: Vec<_> = unsafe { core::slice::from_raw_parts(entries, count) }
        .iter()
        .filter(|entry| entry.attributes & BY_DRIVER != 0)
        .map(|entry| entry.agent_handle)
        .collect();
    // SAFETY: allocated by firmware from pool, freed once; nothing keeps a reference.
    let _ = unsafe { boot::free_pool(buffer.cast()) };
    users
        .into_iter()
        .filter(|agent| {
            // SAFETY: agent and controller are handles firmware has just listed.
            let status =
                unsafe { (raw().disconnect_controller)(handle.as_ptr(), *agent, ptr::null_mut()) };
            status == Status::SUCCESS
        })
        .count()
}
