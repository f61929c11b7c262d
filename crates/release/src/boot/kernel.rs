//! The header of a kernel image.
use crate::manifest::Architecture;

/// Why a file is not a kernel that firmware can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelDefect {
    /// No `MZ` and `PE` signatures.
    #[error("it is not a PE image; a kernel needs the EFI stub (CONFIG_EFI_STUB)")]
    NotPe,
    /// A PE image for another processor.
    #[error("it is a PE image for machine type {found:#06x}, {} needs {expected:#06x}", .architecture.name())]
    Machine {
        /// This machine's architecture.
        architecture: Architecture,
        /// Its machine type.
        expected: u16,
        /// The image's.
        found: u16,
    },
    /// A PE image that is no EFI application.
    #[error("it is a PE image, but not an EFI application")]
    NotApplication,
}

/// Offset of the field that says where the PE header is.
const PE_OFFSET_AT: usize = 0x3c;
/// Bytes of the PE signature and the COFF header.
const COFF_BYTES: usize = 24;
/// Offset of the subsystem in the optional header, the same for PE32 and PE32+.
const SUBSYSTEM_AT: usize = 68;
/// Subsystem of an EFI application.
const EFI_APPLICATION: u16 = 10;

/// Checks that `image`, or its beginning, is an EFI application for `architecture`.
///
/// # Errors
/// Returns `None` when the header lies behind the end of `image`; the defect otherwise.
// SPEC PE Format "Overall View", "COFF File Header", "Optional Header".
pub fn check_kernel(image: &[u8], architecture: Architecture) -> Option<Result<(), KernelDefect>> {
    if image.get(..2)? != b"MZ" {
        return Some(Err(KernelDefect::NotPe));
    }
    let pe_at = image.get(PE_OFFSET_AT..)?.first_chunk::<4>()?;
    let header = image.get(usize::try_from(u32::from_le_bytes(*pe_at)).ok()?..)?;
    let (coff, optional) = header.split_at_checked(COFF_BYTES)?;
    if coff.get(..4) != Some(b"PE\0\0") {
        return Some(Err(KernelDefect::NotPe));
    }
    let found = u16_at(coff, 4)?;
    let expected = match architecture {
        Architecture::X86_64 => 0x8664,
        Architecture::Aarch64 => 0xaa64,
    };
    if found != expected {
        return Some(Err(KernelDefect::Machine {
            architecture,
            expected,
            found,
        }));
    }
    let magic = u16_at(optional, 0)?;
    let subsystem = u16_at(optional, SUBSYSTEM_AT)?;
    // PE32 or PE32+.
    if !matches!(magic, 0x10b | 0x20b) || subsystem != EFI_APPLICATION {
        return Some(Err(KernelDefect::NotApplication));
    }
    Some(Ok(()))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
