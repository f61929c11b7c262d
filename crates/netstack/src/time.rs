//! Our clock and smoltcp's.
use p2p::Instant;

/// Converts for smoltcp. It counts signed microseconds; the difference is 292,000 years away.
pub(crate) fn to_smoltcp(at: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

/// Converts from smoltcp, where "at once" is the time zero.
pub(crate) fn from_smoltcp(at: smoltcp::time::Instant) -> Instant {
    Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
}

/// Converts a duration for smoltcp.
pub(crate) fn duration_to_smoltcp(duration: core::time::Duration) -> smoltcp::time::Duration {
    smoltcp::time::Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
