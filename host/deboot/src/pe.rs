//! Just enough of the PE format to tell an EFI application or a kernel from anything else before it is put on a disk.
use release::manifest::Architecture;

/// Where the offset of the PE header lies in the DOS header.
const PE_OFFSET_AT: usize = 0x3c;
const MACHINE_X86_64: u16 = 0x8664;
const MACHINE_AARCH64: u16 = 0xaa64;
/// Optional header: magic of PE32+, and where the subsystem lies.
const MAGIC_PE32_PLUS: u16 = 0x20b;
const SUBSYSTEM_AT: usize = 24 + 68;
const SUBSYSTEM_EFI_APPLICATION: u16 = 10;

/// Why bytes are not an EFI application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// No DOS or PE signature.
    #[error("not a PE image")]
    NotPe,
    /// Built for another processor.
    #[error("a PE image for machine type {0:#06x}; x86_64 (0x8664) and aarch64 (0xaa64) are known")]
    Machine(u16),
    /// A driver, or a program of another operating system.
    #[error("a PE image, but no EFI application (subsystem {0}, not 10)")]
    Subsystem(u16),
}

/// Returns the architecture of the EFI application that starts with `head` (4 KiB are enough for every known linker; a kernel has
/// its PE header within the first 512 bytes).
///
/// # Errors
/// When it is something else.
pub fn efi_application(head: &[u8]) -> Result<Architecture, PeError> {
    if head.get(..2) != Some(b"MZ") {
        return Err(PeError::NotPe);
    }
    let offset = read_u32(head, PE_OFFSET_AT)
        .and_then(|v| usize::try_from(v).ok())
        .ok_or(PeError::NotPe)?;
    let header = head.get(offset..).ok_or(PeError::NotPe)?;
    if header.get(..4) != Some(b"PE\0\0") || read_u16(header, 24) != Some(MAGIC_PE32_PLUS) {
        return Err(PeError::NotPe);
    }
    let subsystem = read_u16(header, SUBSYSTEM_AT).ok_or(PeError::NotPe)?;
    let architecture = match read_u16(header, 4).ok_or(PeError::NotPe)? {
        MACHINE_X86_64 => Architecture::X86_64,
        MACHINE_AARCH64 => Architecture::Aarch64,
        other => return Err(PeError::Machine(other)),
    };
    if subsystem != SUBSYSTEM_EFI_APPLICATION {
        return Err(PeError::Subsystem(subsystem));
    }
    Ok(architecture)
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*bytes))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// Makes the smallest header that passes for an EFI application; for tests, here and in the CLI's.
#[doc(hidden)]
pub fn sample(machine: u16, subsystem: u16) -> Vec<u8> {
    let mut image = vec![0; 0x200];
    image[..2].copy_from_slice(b"MZ");
    image[PE_OFFSET_AT] = 0x40;
    image[0x40..0x44].copy_from_slice(b"PE\0\0");
    image[0x44..0x46].copy_from_slice(&machine.to_le_bytes());
    image[0x40 + 24..0x40 + 26].copy_from_slice(&MAGIC_PE32_PLUS.to_le_bytes());
    image[0x40 + SUBSYSTEM_AT..0x42 + SUBSYSTEM_AT].copy_from_slice(&subsystem.to_le_bytes());
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_of_both_architectures_are_recognised() {
        assert_eq!(
            efi_application(&sample(0x8664, 10)),
            Ok(Architecture::X86_64)
        );
        assert_eq!(
            efi_application(&sample(0xaa64, 10)),
            Ok(Architecture::Aarch64)
        );
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        assert_eq!(
            efi_application(&sample(0x014c, 10)),
            Err(PeError::Machine(0x014c))
        );
        assert_eq!(
            efi_application(&sample(0x8664, 11)),
            Err(PeError::Subsystem(11))
        );
        let mut wild = sample(0x8664, 10);
        wild[PE_OFFSET_AT..PE_OFFSET_AT + 4].copy_from_slice(&[0xff; 4]);
        for bad in [&wild[..], b"\x7fELF", b"MZ", b""] {
            assert_eq!(efi_application(bad), Err(PeError::NotPe));
        }
        let image = sample(0x8664, 10);
        for end in 0..0x40 + SUBSYSTEM_AT + 2 {
            assert_eq!(efi_application(&image[..end]), Err(PeError::NotPe), "{end}");
        }
    }
}
