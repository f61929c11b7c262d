//! Random seed from firmware's generator and the processor's, each tested before it counts.
use super::{clock, services};
use swfetch::entropy::{self, Pool};
use uefi::boot;
use uefi::proto::rng::Rng;

const LABEL_FIRMWARE: u8 = 1;
const LABEL_CPU: u8 = 2;
const LABEL_JITTER: u8 = 3;

/// Which sources passed, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sources {
    /// `EFI_RNG_PROTOCOL`.
    pub(crate) firmware: bool,
    /// RDRAND or RNDR.
    pub(crate) cpu: bool,
}

/// Collects a seed. `None`: no source passed its test, so there is no randomness to be trusted.
pub(crate) fn seed() -> (Option<[u8; 32]>, Sources) {
    let mut pool = Pool::new();
    let mut sources = Sources::default();
    if let Some(bytes) = from_firmware() {
        pool.add_source(LABEL_FIRMWARE, &bytes);
        sources.firmware = true;
    }
    if let Some(words) = from_cpu() {
        for word in words {
            pool.add_extra(LABEL_CPU, &word.to_le_bytes());
        }
        pool.add_source(LABEL_CPU, &[]);
        sources.cpu = true;
    }
    for _ in 0..64 {
        pool.add_extra(LABEL_JITTER, &clock::ticks().to_le_bytes());
    }
    (pool.into_seed(), sources)
}

fn from_firmware() -> Option<[u8; entropy::FIRMWARE_BYTES]> {
    let handle = boot::get_handle_for_protocol::<Rng>().ok()?;
    let mut rng = services::peek::<Rng>(handle)?;
    let mut bytes = [0u8; entropy::FIRMWARE_BYTES];
    let (first, second) = bytes.split_at_mut(entropy::FIRMWARE_BYTES / 2);
    rng.get_rng(None, first).ok()?;
    rng.get_rng(None, second).ok()?;
    entropy::bytes_look_random(first, second).then_some(bytes)
}

fn from_cpu() -> Option<[u64; entropy::CPU_WORDS]> {
    if !cpu_has_generator() {
        return None;
    }
    let mut words = [0u64; entropy::CPU_WORDS];
    for word in &mut words {
        // Ten tries: the number Intel's guide gives before a generator counts as failed.
        *word = (0..10).find_map(|_| cpu_word())?;
    }
    entropy::words_look_random(&words).then_some(words)
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_generator() -> bool {
    // CPUID leaf 1, ECX bit 30.
    core::arch::x86_64::__cpuid(1).ecx & (1 << 30) != 0
}

#[cfg(target_arch = "x86_64")]
fn cpu_word() -> Option<u64> {
    let (word, ok): (u64, u8);
    // SAFETY: `cpu_has_generator` was asked first; the instruction changes only the named registers and the flags.
    unsafe {
        core::arch::asm!("rdrand {0}", "setc {1}", out(reg) word, out(reg_byte) ok, options(nomem, nostack));
    }
    (ok == 1).then_some(word)
}

#[cfg(target_arch = "aarch64")]
fn cpu_has_generator() -> bool {
    let features: u64;
    // SAFETY: ID_AA64ISAR0_EL1 is readable at EL1 and above, where firmware runs applications.
    unsafe {
        core::arch::asm!("mrs {0}, ID_AA64ISAR0_EL1", out(reg) features, options(nomem, nostack));
    }
    (features >> 60) & 0xf != 0
}

#[cfg(target_arch = "aarch64")]
fn cpu_word() -> Option<u64> {
    let (word, failed): (u64, u64);
    // SAFETY: `cpu_has_generator` was asked first; RNDR (s3_3_c2_c4_0) sets only the register and the flags (Z on failure).
    unsafe {
        core::arch::asm!("mrs {0}, s3_3_c2_c4_0", "cset {1}, eq", out(reg) word, out(reg) failed, options(nomem, nostack));
    }
    (failed == 0).then_some(word)
}
