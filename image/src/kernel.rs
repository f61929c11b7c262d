//! What has to be known of a kernel before it is published.

/// Why a file is not a kernel that SWFETCH can start, or a module that fits into the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// No `MZ`, or no `PE` where it points to.
    #[error("the kernel is not a PE image: it has no EFI stub (CONFIG_EFI_STUB)")]
    NotPe,
    /// A PE image for another processor.
    #[error("the kernel is for machine {0:#06x}, not for x86_64 (0x8664)")]
    Machine(u16),
    /// Not a kernel module, or one whose symbols say nothing.
    #[error("module {0} has no {1}: not an uncompressed kernel module")]
    NotAModule(String, &'static str),
    /// A module that needs others.
    #[error("module {module} depends on {depends:?}, which is not in the image")]
    ModuleDepends {
        /// Which module.
        module: String,
        /// What it needs.
        depends: String,
    },
    /// A module for another kernel would be refused by this one.
    #[error("module {module} is for kernel {found:?}, not for {kernel:?}")]
    ModuleVersion {
        /// Which module.
        module: String,
        /// What it is for.
        found: String,
        /// The kernel of the image.
        kernel: String,
    },
}

const PE_OFFSET_AT: usize = 0x3c;
const MACHINE_X86_64: u16 = 0x8664;

/// Checks that the kernel is an x86_64 PE image, as `LoadImage` needs it.
///
/// # Errors
/// [`KernelError::NotPe`], [`KernelError::Machine`]
pub fn check_kernel(kernel: &[u8]) -> Result<(), KernelError> {
    // SPEC PE "MS-DOS Stub", "COFF File Header"
    let machine = || {
        let offset = kernel
            .starts_with(b"MZ")
            .then(|| kernel.get(PE_OFFSET_AT..PE_OFFSET_AT + 4))??;
        let offset = usize::try_from(u32::from_le_bytes(offset.try_into().ok()?)).ok()?;
        let header = kernel.get(offset..)?.strip_prefix(b"PE\0\0")?;
        Some(u16::from_le_bytes([*header.first()?, *header.get(1)?]))
    };
    match machine() {
        None => Err(KernelError::NotPe),
        Some(MACHINE_X86_64) => Ok(()),
        Some(other) => Err(KernelError::Machine(other)),
    }
}

/// Checks that a module loads into this kernel release without any other module.
///
/// # Errors
/// The last three variants of [`KernelError`].
pub fn check_module(name: &str, module: &[u8], kernel_release: &str) -> Result<(), KernelError> {
    let missing = |what| KernelError::NotAModule(name.to_owned(), what);
    let depends = module_info(module, "depends").ok_or_else(|| missing("depends"))?;
    if !depends.is_empty() {
        return Err(KernelError::ModuleDepends {
            module: name.to_owned(),
            depends,
        });
    }
    let found = module_info(module, "vermagic").ok_or_else(|| missing("vermagic"))?;
    if found.split(' ').next() != Some(kernel_release) {
        let kernel = kernel_release.to_owned();
        return Err(KernelError::ModuleVersion {
            module: name.to_owned(),
            found,
            kernel,
        });
    }
    Ok(())
}

/// Finds `key=value` among the NUL-terminated strings of a module's `.modinfo` section.
fn module_info(module: &[u8], key: &str) -> Option<String> {
    module.starts_with(b"\x7fELF").then_some(())?;
    let prefix = format!("{key}=");
    module.split(|byte| *byte == 0).find_map(|text| {
        let value = text.strip_prefix(prefix.as_bytes())?;
        String::from_utf8(value.to_vec()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pe(machine: u16) -> Vec<u8> {
        let mut image = vec![0; 0x80];
        image[..2].copy_from_slice(b"MZ");
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x44..0x46].copy_from_slice(&machine.to_le_bytes());
        image
    }

    #[test]
    fn only_x86_64_pe_images_are_kernels() {
        assert_eq!(check_kernel(&pe(0x8664)), Ok(()));
        assert_eq!(check_kernel(&pe(0xaa64)), Err(KernelError::Machine(0xaa64)));
        let whole = pe(0x8664);
        for cut in 0..0x46 {
            assert_eq!(
                check_kernel(&whole[..cut]),
                Err(KernelError::NotPe),
                "{cut}"
            );
        }
        let mut far = pe(0x8664);
        far[0x3c..0x40].fill(0xff);
        assert_eq!(check_kernel(&far), Err(KernelError::NotPe));
    }

    #[test]
    fn modules_of_other_kernels_or_with_dependencies_are_refused() {
        let module = |info: &str| [b"\x7fELF\0", info.as_bytes()].concat();
        assert_eq!(
            check_module("m", &module("depends=\0vermagic=6.1.0-9 SMP\0"), "6.1.0-9"),
            Ok(())
        );
        let needs = check_module("m", &module("depends=n\0vermagic=6.1.0-9 SMP\0"), "6.1.0-9");
        assert!(
            matches!(needs, Err(KernelError::ModuleDepends { .. })),
            "{needs:?}"
        );
        let other = check_module("m", &module("depends=\0vermagic=6.1.0-10 SMP\0"), "6.1.0-1");
        assert!(
            matches!(other, Err(KernelError::ModuleVersion { .. })),
            "{other:?}"
        );
        assert!(check_module("m", b"\x28\xb5\x2f\xfd zstd", "6.1.0-9").is_err());
    }
}
