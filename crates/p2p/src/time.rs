//! Monotonic time as the driver counts it.
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in monotonic time: microseconds since a start that only the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant {
    micros: u64,
}

impl Instant {
    /// The driver's start.
    pub const ZERO: Self = Self { micros: 0 };
    /// Makes an instant from microseconds since the driver's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }
    /// Makes an instant from milliseconds since the driver's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self {
            micros: millis.saturating_mul(1000),
        }
    }
    /// Microseconds since the driver's start.
    pub const fn as_micros(self) -> u64 {
        self.micros
    }
    /// Milliseconds since the driver's start, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.micros / 1000
    }
    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.saturating_sub(earlier.micros))
    }
    /// The instant `duration` later, or the last one there is.
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self {
            micros: self.micros.saturating_add(micros),
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        self.saturating_add(d)
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}
