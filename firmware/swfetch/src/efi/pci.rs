//! The one question asked of PCI: is this device a network controller?
use super::services;
use core::ffi::c_void;
use core::ptr;
use uefi::{Guid, Handle, Status, guid};

/// `EFI_PCI_IO_PROTOCOL`
pub(crate) const PCI_IO: Guid = guid!("4cf5b200-68b8-4ca5-9eec-b23e3f50029a");

const WIDTH_U32: u32 = 2;
/// Configuration register with the class code in its upper three bytes.
const CLASS_REGISTER: u32 = 8;
const CLASS_NETWORK: u32 = 0x02;

/// The beginning of `EFI_PCI_IO_PROTOCOL`, as far as it is used.
#[repr(C)]
struct PciIo {
    poll_mem: usize,
    poll_io: usize,
    mem: [usize; 2],
    io: [usize; 2],
    config_read: unsafe extern "efiapi" fn(
        this: *const Self,
        width: u32,
        offset: u32,
        count: usize,
        buffer: *mut c_void,
    ) -> Status,
}

/// Says whether `handle` is a PCI device of class "network controller".
pub(crate) fn is_network_controller(handle: Handle) -> bool {
    let mut interface = ptr::null_mut();
    // SAFETY: the handle came from firmware; the output is ours.
    let status =
        unsafe { (services::raw().handle_protocol)(handle.as_ptr(), &PCI_IO, &mut interface) };
    if status != Status::SUCCESS || interface.is_null() {
        return false;
    }
    let io = interface.cast::<PciIo>();
    let mut class = 0u32;
    // SAFETY: the interface of PCI_IO begins with the fields of `PciIo` (UEFI "EFI_PCI_IO_PROTOCOL").
    let read = unsafe { (*io).config_read };
    // SAFETY: one 32-bit word is read from configuration space into our variable, which has no side effects on the device.
    let status = unsafe { read(io, WIDTH_U32, CLASS_REGISTER, 1, (&raw mut class).cast()) };
    status == Status::SUCCESS && class >> 24 == CLASS_NETWORK
}
