//! The engine's only look at the clock.
//!
//! Lives here: the current time for locks, snapshots and intervals of progress. May not: schedules, decisions on age of runs.

use domain::units::Timestamp;

/// The system's time.
#[allow(clippy::disallowed_methods, reason = "the one place of the engine that asks the system for the time")]
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}

/// A moment as the repository's files carry it: in UTC, so that no machine's zone leaks into a snapshot.
pub fn zoned(at: Timestamp) -> jiff::Zoned {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(jiff::tz::TimeZone::UTC)
}
