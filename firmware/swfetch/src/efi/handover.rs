//! Starts Linux: the kernel through `LoadImage`/`StartImage`, the initramfs through `LoadFile2`, both from the verified buffers.
use super::services;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr;
use swfetch::device_path;
use swfetch::failure::{Failure, id};
use swfetch::handover::utf16_nul;
use uefi::boot::{self, MemoryType};
use uefi::proto::loaded_image::LoadedImage;
use uefi::{Handle, Status};
use uefi_raw::protocol::device_path::DevicePathProtocol;
use uefi_raw::protocol::media::LoadFile2Protocol;
use uefi_raw::{Boolean, table};

/// A kernel that firmware has accepted; unloaded when dropped.
pub(crate) struct Kernel {
    handle: Handle,
    options: Vec<u8>,
}

impl Kernel {
    /// Has firmware load the image from `bytes`, which it copies, relocates and checks against its Secure Boot policy.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, Failure> {
        let start = bytes.as_ptr() as usize as u64;
        let path = device_path::memory_mapped(
            MemoryType::LOADER_DATA.0,
            start,
            u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        );
        let mut raw: uefi_raw::Handle = ptr::null_mut();
        // SAFETY: the parent is this image; path and buffer live during the call, which copies what it keeps (UEFI
        // "EFI_BOOT_SERVICES.LoadImage"); `raw` is only read afterwards.
        let status = unsafe {
            (services::raw().load_image)(
                Boolean::FALSE,
                boot::image_handle().as_ptr(),
                path.as_ptr().cast::<DevicePathProtocol>(),
                bytes.as_ptr(),
                bytes.len(),
                &mut raw,
            )
        };
        // SAFETY: firmware gives a valid image handle, also together with SECURITY_VIOLATION, or leaves the null.
        let handle = unsafe { Handle::from_ptr(raw) };
        match handle {
            Some(handle) if status == Status::SUCCESS => Ok(Self {
                handle,
                options: Vec::new(),
            }),
            handle => {
                if let Some(handle) = handle {
                    // An image that may not be started is worth nothing.
                    let _ = boot::unload_image(handle);
                }
                Err(load_failure(status))
            }
        }
    }

    /// Sets the command line.
    pub(crate) fn set_command_line(&mut self, line: &str) -> Result<(), Failure> {
        self.options = utf16_nul(line);
        let size = u32::try_from(self.options.len()).unwrap_or(u32::MAX);
        let mut image = boot::open_protocol_exclusive::<LoadedImage>(self.handle)
            .map_err(|error| load_failure(error.status()))?;
        // SAFETY: the options live in `self`, which outlives the image: `start` borrows it and dropping it unloads the image.
        unsafe { image.set_load_options(self.options.as_ptr(), size) };
        Ok(())
    }

    /// Starts the kernel. Returns only if it comes back.
    pub(crate) fn start(&mut self) -> Failure {
        let status = match boot::start_image(self.handle) {
            Ok(()) => Status::SUCCESS,
            Err(error) => error.status(),
        };
        if status == Status::SECURITY_VIOLATION || status == Status::ACCESS_DENIED {
            return load_failure(status);
        }
        Failure::new(
            id::KERNEL_RETURNED,
            format!("the kernel came back with {status:?}"),
            "its EFI stub gave up; it says why above, if it says so at all",
            "look for lines that begin with `EFI stub:`; too little memory and a kernel built without CONFIG_EFI_STUB are the usual reasons",
        )
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // An image that has run and returned was unloaded by firmware already; then this reports an error nobody needs.
        let _ = boot::unload_image(self.handle);
    }
}

fn load_failure(status: Status) -> Failure {
    match status {
        Status::SECURITY_VIOLATION | Status::ACCESS_DENIED => Failure::new(
            id::SECURE_BOOT,
            format!("Secure Boot refuses the kernel ({status:?})"),
            "the kernel's bytes are the ones the reference names, but no key this machine trusts has signed them",
            "publish a kernel signed with a key in db or MOK, enrol your key, or switch Secure Boot off",
        ),
        Status::UNSUPPORTED | Status::LOAD_ERROR | Status::INVALID_PARAMETER => Failure::new(
            id::NOT_AN_IMAGE,
            format!("firmware does not accept the kernel as an EFI image ({status:?})"),
            "it is not a PE image (a kernel without EFI stub, a compressed Image), or one for another architecture",
            "publish the kernel as the distribution ships it (vmlinuz with CONFIG_EFI_STUB) for this machine's architecture",
        ),
        Status::OUT_OF_RESOURCES => Failure::new(
            id::LOAD_FAILED,
            "firmware has no memory to load the kernel",
            "kernel and initramfs are too big for this machine",
            "use a smaller image or more memory",
        ),
        other => Failure::new(
            id::LOAD_FAILED,
            format!("firmware could not load the kernel ({other:?})"),
            "",
            "report this with the log of this boot",
        ),
    }
}

/// The initramfs on offer to the kernel; withdrawn when dropped.
pub(crate) struct Initrd {
    handle: uefi_raw::Handle,
    loader: Box<Loader>,
    bytes: Vec<u8>,
}

#[repr(C)]
struct Loader {
    protocol: LoadFile2Protocol,
    data: *const u8,
    len: usize,
}

impl Initrd {
    /// Offers `bytes` at the device path where Linux looks for its initramfs.
    pub(crate) fn offer(bytes: Vec<u8>) -> Result<Self, Failure> {
        let mut initrd = Self {
            handle: ptr::null_mut(),
            loader: Box::new(Loader {
                protocol: LoadFile2Protocol {
                    load_file: load_initrd,
                },
                data: bytes.as_ptr(),
                len: bytes.len(),
            }),
            bytes,
        };
        initrd.refuse_second()?;
        initrd
            .install(
                &DevicePathProtocol::GUID,
                device_path::INITRD.as_ptr().cast(),
            )
            .and_then(|()| {
                let loader = ptr::from_ref(&*initrd.loader).cast();
                initrd.install(&LoadFile2Protocol::GUID, loader)
            })
            .map_err(|status| {
                Failure::new(
                    id::INITRD,
                    format!("the initramfs cannot be offered to the kernel ({status:?})"),
                    "firmware refused to install LoadFile2",
                    "report this with the log of this boot",
                )
            })?;
        Ok(initrd)
    }

    /// Linux takes the first offer it finds: a second one would be a gamble.
    fn refuse_second(&self) -> Result<(), Failure> {
        let mut path = device_path::INITRD.as_ptr().cast::<DevicePathProtocol>();
        let mut handle: uefi_raw::Handle = ptr::null_mut();
        // SAFETY: the path is static and ends with an end node; both outputs are ours.
        let status = unsafe {
            (services::raw().locate_device_path)(&LoadFile2Protocol::GUID, &mut path, &mut handle)
        };
        if status == Status::SUCCESS {
            return Err(Failure::new(
                id::INITRD,
                "another loader already offers an initramfs to the kernel",
                "a boot manager or driver started earlier has left its own",
                "start SWFETCH.EFI directly from firmware",
            ));
        }
        Ok(())
    }

    fn install(&mut self, guid: &uefi::Guid, interface: *const c_void) -> Result<(), Status> {
        // SAFETY: the interface is static or boxed in `self` and stays valid until `drop` uninstalls it; a null handle makes
        // firmware create one (UEFI "InstallProtocolInterface").
        let status = unsafe {
            (services::raw().install_protocol_interface)(
                &mut self.handle,
                guid,
                table::boot::InterfaceType::NATIVE_INTERFACE,
                interface,
            )
        };
        (status == Status::SUCCESS).then_some(()).ok_or(status)
    }

    /// Bytes on offer.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Initrd {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        let loader = ptr::from_ref(&*self.loader).cast();
        let path = device_path::INITRD.as_ptr().cast();
        for (guid, interface) in [
            (&LoadFile2Protocol::GUID, loader),
            (&DevicePathProtocol::GUID, path),
        ] {
            // SAFETY: the pair is the one `install` gave to firmware; if it was not installed the call reports NOT_FOUND.
            let status = unsafe {
                (services::raw().uninstall_protocol_interface)(self.handle, guid, interface)
            };
            debug_assert!(status == Status::SUCCESS || status == Status::NOT_FOUND);
        }
    }
}

/// `EFI_LOAD_FILE2_PROTOCOL.LoadFile`: size query, then the exact bytes.
unsafe extern "efiapi" fn load_initrd(
    this: *mut LoadFile2Protocol,
    file_path: *const DevicePathProtocol,
    boot_policy: Boolean,
    buffer_size: *mut usize,
    buffer: *mut c_void,
) -> Status {
    // SPEC UEFI "EFI_LOAD_FILE2_PROTOCOL.LoadFile": BootPolicy must be FALSE.
    if bool::from(boot_policy) {
        return Status::UNSUPPORTED;
    }
    if this.is_null() || file_path.is_null() || buffer_size.is_null() {
        return Status::INVALID_PARAMETER;
    }
    // SAFETY: `this` is the protocol inside the `Loader` that `Initrd::offer` installed, its first field (repr C).
    let loader = unsafe { &*this.cast::<Loader>() };
    // SAFETY: checked for null; the caller owns the variable.
    let room = unsafe { buffer_size.read() };
    // SAFETY: as above.
    unsafe { buffer_size.write(loader.len) };
    if buffer.is_null() || room < loader.len {
        return Status::BUFFER_TOO_SMALL;
    }
    // SAFETY: the source lives in `Initrd`, the caller says that `buffer` has `room` bytes, and they cannot overlap.
    unsafe { ptr::copy_nonoverlapping(loader.data, buffer.cast::<u8>(), loader.len) };
    Status::SUCCESS
}
