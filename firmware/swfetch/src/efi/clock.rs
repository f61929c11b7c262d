//! Monotonic time from the processor's counter.
//!
//! x86: the time-stamp counter, calibrated against firmware's `Stall`, because CPUID leaf 0x15 is missing in virtual machines and
//! on older parts. aarch64: the generic timer, whose frequency the architecture reports.
use core::time::Duration;
use p2p::Instant;
use uefi::boot;

/// Calibration rounds and the length of each: short ones, so that on a busy host one of them runs undisturbed.
#[cfg(target_arch = "x86_64")]
const ROUNDS: u32 = 10;
#[cfg(target_arch = "x86_64")]
const ROUND: Duration = Duration::from_millis(2);
/// Plausible counter frequencies, hertz.
const HERTZ_MIN: u64 = 1_000_000;
const HERTZ_MAX: u64 = 20_000_000_000;
/// Fixed-point position of the ticks-to-microseconds factor.
const SHIFT: u32 = 40;

/// Reads the counter.
#[cfg(target_arch = "x86_64")]
pub(crate) fn ticks() -> u64 {
    // SAFETY: firmware runs applications in ring 0, where RDTSC is always permitted; every x86-64 processor has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads the counter.
#[cfg(target_arch = "aarch64")]
pub(crate) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: CNTVCT_EL0 is readable at every exception level firmware runs applications at; the barrier orders the read.
    unsafe {
        core::arch::asm!("isb", "mrs {0}, cntvct_el0", out(reg) ticks, options(nomem, nostack))
    };
    ticks
}

#[cfg(target_arch = "x86_64")]
fn frequency() -> Option<u64> {
    // Emulators deschedule us during a stall, which only ever makes a round longer: the shortest is the truest.
    let mut best = u64::MAX;
    for _ in 0..ROUNDS {
        let before = ticks();
        boot::stall(ROUND);
        best = best.min(ticks().wrapping_sub(before));
    }
    let per_round = u64::try_from(ROUND.as_micros()).ok()?;
    best.checked_mul(1_000_000)?.checked_div(per_round)
}

#[cfg(target_arch = "aarch64")]
fn frequency() -> Option<u64> {
    let hertz: u64;
    // SAFETY: CNTFRQ_EL0 is readable at every exception level firmware runs applications at.
    unsafe { core::arch::asm!("mrs {0}, cntfrq_el0", out(reg) hertz, options(nomem, nostack)) };
    Some(hertz)
}

/// Microseconds since application start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: u64,
    hertz: u64,
    /// Microseconds per tick, shifted left by [`SHIFT`].
    factor: u64,
}

impl Clock {
    /// Calibrates the counter, which takes about 20 ms; `start` is the counter when the application started.
    ///
    /// Returns `None` when the counter stands still or runs at a frequency no processor has.
    pub(crate) fn calibrate(start: u64) -> Option<Self> {
        let hertz = frequency().filter(|hertz| (HERTZ_MIN..=HERTZ_MAX).contains(hertz))?;
        let factor = u64::try_from((1_000_000u128 << SHIFT) / u128::from(hertz)).ok()?;
        Some(Self {
            start,
            hertz,
            factor,
        })
    }

    /// The current time.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.micros(ticks().saturating_sub(self.start)))
    }

    /// Microseconds between the counter's zero (usually power-on) and application start.
    pub(crate) fn start_micros(&self) -> u64 {
        self.micros(self.start)
    }

    /// Counter frequency in kilohertz.
    pub(crate) fn kilohertz(&self) -> u64 {
        self.hertz / 1000
    }

    fn micros(&self, ticks: u64) -> u64 {
        let micros = (u128::from(ticks) * u128::from(self.factor)) >> SHIFT;
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}
