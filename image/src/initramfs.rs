//! The initramfs: busybox, `debootd`, an init script, and the kernel modules init needs.
use crate::cpio::{Archive, CpioError};
use crate::kernel::{KernelError, check_module};
use debootd::release_file::{RELEASE_FILE_PATH, RELEASE_FILE_SCHEMA, ReleaseFile};

const INIT: &[u8] = include_bytes!("../root/init");
/// What init and a person on its console use.
const APPLETS: &[&str] = &[
    "cat",
    "dmesg",
    "insmod",
    "ip",
    "kill",
    "ls",
    "mount",
    "poweroff",
    "ps",
    "reboot",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "uname",
    "vi",
];
const DIRECTORIES: &[&str] = &["dev", "proc", "run", "sys", "tmp"];

/// What goes in.
#[derive(Clone, Debug)]
pub struct Initramfs {
    /// A static busybox.
    pub busybox: Vec<u8>,
    /// A static `debootd`.
    pub debootd: Vec<u8>,
    /// Kernel modules by file name (`efivarfs.ko`), for kernels that do not have them built in.
    pub modules: Vec<(String, Vec<u8>)>,
    /// `uname -r` of the kernel, which the modules must be for.
    pub kernel_release: String,
    /// `name` of the manifest.
    pub name: String,
    /// `version` of the manifest.
    pub version: String,
    /// `sequence` of the manifest.
    pub sequence: u64,
}

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// A dynamic executable: there are no libraries in the image.
    #[error("{0} is not a static x86_64 executable")]
    NotStatic(&'static str),
    /// A module that cannot be loaded.
    #[error(transparent)]
    Module(#[from] KernelError),
    /// Should not happen: the paths are ours.
    #[error(transparent)]
    Cpio(#[from] CpioError),
}

impl Initramfs {
    /// Returns the archive, not compressed (see [`crate::cpio`]); the same inputs give the same bytes.
    ///
    /// # Errors
    /// [`InitramfsError`]
    pub fn build(&self) -> Result<Vec<u8>, InitramfsError> {
        let mut archive = Archive::default();
        for directory in DIRECTORIES {
            archive.directory(directory)?;
        }
        // Linux opens it for init before devtmpfs is there.
        archive.character_device("dev/console", 0o600, 5, 1)?;
        archive.file("init", 0o755, INIT.to_vec())?;
        for (name, bytes) in [("busybox", &self.busybox), ("debootd", &self.debootd)] {
            if !is_static(bytes) {
                return Err(InitramfsError::NotStatic(name));
            }
            archive.file(&format!("bin/{name}"), 0o755, bytes.clone())?;
        }
        for applet in APPLETS {
            archive.symlink(&format!("bin/{applet}"), "busybox")?;
        }
        for (name, bytes) in &self.modules {
            check_module(name, bytes, &self.kernel_release)?;
            archive.file(&format!("lib/modules/{name}"), 0o644, bytes.clone())?;
        }
        let release_file = ReleaseFile {
            schema: RELEASE_FILE_SCHEMA.to_owned(),
            name: self.name.clone(),
            version: self.version.clone(),
            sequence: self.sequence,
        };
        let json = serde_json::to_vec(&release_file).expect("strings and a number are JSON");
        archive.file(RELEASE_FILE_PATH, 0o644, json)?;
        Ok(archive.to_bytes())
    }
}

/// Whether this is an x86_64 ELF executable without an interpreter.
fn is_static(bytes: &[u8]) -> bool {
    // SPEC ELF-64 "File header", "Program header table"
    const MACHINE_X86_64: u64 = 62;
    const PT_INTERP: u64 = 3;
    let field = |at: usize, size: usize| -> Option<u64> {
        let mut value = [0; 8];
        value
            .get_mut(..size)?
            .copy_from_slice(bytes.get(at..at.checked_add(size)?)?);
        Some(u64::from_le_bytes(value))
    };
    let interpreters = || -> Option<usize> {
        let table = usize::try_from(field(32, 8)?).ok()?;
        let (entry_size, entries) = (
            usize::try_from(field(54, 2)?).ok()?,
            usize::try_from(field(56, 2)?).ok()?,
        );
        let kinds: Option<Vec<_>> = (0..entries)
            .map(|i| field(table.checked_add(i.checked_mul(entry_size)?)?, 4))
            .collect();
        Some(kinds?.into_iter().filter(|kind| *kind == PT_INTERP).count())
    };
    bytes.starts_with(b"\x7fELF\x02\x01")
        && field(18, 2) == Some(MACHINE_X86_64)
        && interpreters() == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A static executable of nothing but headers.
    fn executable(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56 * kinds.len()];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = 62;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for (i, kind) in kinds.iter().enumerate() {
            bytes[64 + 56 * i..][..4].copy_from_slice(&kind.to_le_bytes());
        }
        bytes
    }

    fn sample() -> Initramfs {
        Initramfs {
            busybox: executable(&[1]),
            debootd: executable(&[1, 1]),
            modules: vec![(
                "m.ko".into(),
                b"\x7fELF\0depends=\0vermagic=6.1 SMP\0".to_vec(),
            )],
            kernel_release: "6.1".into(),
            name: "demo".into(),
            version: "1".into(),
            sequence: 1,
        }
    }

    #[test]
    fn executables_with_an_interpreter_are_not_static() {
        assert!(is_static(&executable(&[1, 2])));
        assert!(!is_static(&executable(&[1, 3])));
        assert!(!is_static(b"#!/bin/sh\n"));
        let whole = executable(&[1, 2]);
        for cut in 0..whole.len() - 52 {
            assert!(!is_static(&whole[..cut]), "{cut}");
        }
    }

    #[test]
    fn the_archive_has_init_the_programs_and_the_release_file() {
        let archive = sample().build().unwrap();
        for path in [
            "init\0",
            "bin/busybox\0",
            "bin/sh\0",
            "bin/debootd\0",
            "lib/modules/m.ko\0",
            "etc/deboot/release.json\0",
        ] {
            assert!(
                archive
                    .windows(path.len())
                    .any(|window| window == path.as_bytes()),
                "{path}"
            );
        }
        let release =
            br#"{"schema":"deboot/release-file/1","name":"demo","version":"1","sequence":1}"#;
        assert!(
            archive
                .windows(release.len())
                .any(|window| window == release)
        );
    }

    #[test]
    fn a_dynamic_program_or_a_foreign_module_gives_no_image() {
        let dynamic = Initramfs {
            debootd: executable(&[3]),
            ..sample()
        };
        assert!(matches!(
            dynamic.build(),
            Err(InitramfsError::NotStatic("debootd"))
        ));
        let foreign = Initramfs {
            kernel_release: "6.2".into(),
            ..sample()
        };
        assert!(matches!(foreign.build(), Err(InitramfsError::Module(_))));
    }

    #[test]
    fn every_applet_that_init_calls_is_linked() {
        let script = std::str::from_utf8(INIT).unwrap();
        for word in [
            "cat", "insmod", "kill", "mount", "poweroff", "setsid", "sh", "sleep",
        ] {
            assert!(APPLETS.contains(&word), "{word}");
            assert!(script.contains(word), "{word} is no longer used by init");
        }
    }
}
