//! Copies of Holdfast itself: when one is due, which are kept, what came of a run about them (R62).
//!
//! Lives here: those rules, and in `key` the recovery key as people write it down. May not: reading or writing a copy.
//! Invariant: the newest copy and the newest one that was proven are always kept.

mod key;

use serde::{Deserialize, Serialize};

pub use self::key::{BadKey, RecoveryKey};
use crate::{
    evidence::{CheckOutcome, Verdict},
    units::Timestamp,
    work::Teardown,
};

/// Host, label and tag of the snapshots that hold Holdfast's own records. No service may have this name.
pub const INSTALLATION: &str = "holdfast-installation";

/// A change waits so long for further ones.
const QUIET_S: i64 = 60;
/// But never longer than this.
const PATIENCE_S: i64 = 600;
const DAY_S: i64 = 86_400;
const WEEK_S: i64 = 7 * DAY_S;
/// After a copy or a test that failed.
const AGAIN_S: i64 = 3_600;

/// Why a copy is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The repository holds none.
    First,
    /// The configuration has changed.
    Changed,
    /// The newest is a day old.
    Daily,
    /// Somebody asked for it.
    Asked,
}

impl Why {
    /// As a log says it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::First => "the repository holds none",
            Self::Changed => "the configuration has changed",
            Self::Daily => "the newest is a day old",
            Self::Asked => "asked for",
        }
    }
}

/// What is known of a repository's copies of Holdfast itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// When the newest copy was taken.
    pub newest: Option<Timestamp>,
    /// The first and the last change of the configuration that it lacks.
    pub changed: Option<(Timestamp, Timestamp)>,
    /// When the newest run was queued that should have made one.
    pub tried: Option<Timestamp>,
}

/// Why a copy is due now; `None` when none is. A live run is the queue's business.
pub fn copy_due(facts: &Facts, now: Timestamp) -> Option<Why> {
    // A copy that came of the newest try is no failure.
    if facts.tried.is_some_and(|t| facts.newest.is_none_or(|n| n < t) && now < t.plus_secs(AGAIN_S) && t <= now) {
        return None;
    }
    let Some(newest) = facts.newest else { return Some(Why::First) };
    if let Some((first, last)) = facts.changed
        && (now >= last.plus_secs(QUIET_S) || now >= first.plus_secs(PATIENCE_S))
    {
        return Some(Why::Changed);
    }
    // A clock that was set back must not stop the copies.
    (now >= newest.plus_secs(DAY_S) || newest > now.plus_secs(DAY_S)).then_some(Why::Daily)
}

/// Whether the newest copy is to be proven: each week, and a failed try again after an hour.
pub fn test_due(newest: Option<Timestamp>, tested: Option<Timestamp>, tried: Option<Timestamp>, now: Timestamp) -> bool {
    newest.is_some() && tested.is_none_or(|t| now >= t.plus_secs(WEEK_S) || t > now) && tried.is_none_or(|t| now >= t.plus_secs(AGAIN_S) || t > now)
}

/// A copy, as the rule of keeping sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    pub taken_at: Timestamp,
    /// A restore test brought Holdfast back from it.
    pub proven: bool,
}

/// The newest so many, whatever their age.
const KEEP_LAST: usize = 8;
/// The newest of each of so many days (of UTC) that have one.
const KEEP_DAYS: usize = 14;
/// The newest of each of so many spans of 30 days that have one.
const KEEP_MONTHS: usize = 12;

/// Which of the copies are kept, in their order.
pub fn kept(copies: &[Copy]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..copies.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse((copies[*i].taken_at, *i)));
    let mut keep = vec![false; copies.len()];
    for i in order.iter().take(KEEP_LAST) {
        keep[*i] = true;
    }
    if let Some(i) = order.iter().find(|i| copies[**i].proven) {
        keep[*i] = true;
    }
    for (length, most) in [(DAY_S, KEEP_DAYS), (30 * DAY_S, KEEP_MONTHS)] {
        let (mut spans, mut last) = (0, None);
        for i in &order {
            let span = copies[*i].taken_at.as_secs().div_euclid(length);
            if last == Some(span) {
                continue;
            }
            if spans == most {
                break;
            }
            (last, spans) = (Some(span), spans + 1);
            keep[*i] = true;
        }
    }
    keep
}

/// What a run that copies Holdfast itself was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallationBackupParams {
    pub why: Why,
}

/// What it gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallationBackupResult {
    /// restic id of the copy.
    pub copy: String,
    pub tables: i64,
    pub rows: i64,
    pub bytes: i64,
    pub bytes_added: i64,
    /// The last audit event in it.
    pub audit_seq: i64,
    /// Whether it holds the installation's own secrets, sealed.
    pub sealed: bool,
    /// Older copies that the rule of keeping removed.
    pub removed: i64,
}

/// What a restore test of Holdfast itself measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstallationTestResult {
    pub verdict: Verdict,
    /// restic id of the copy that was brought back.
    pub copy: String,
    pub taken_at: Timestamp,
    /// Seconds from the start of the restore to the end of the checks.
    pub rto_s: Option<f64>,
    /// Age in seconds of the copy when the run started.
    pub rpo_s: i64,
    pub tables: i64,
    pub rows: i64,
    pub bytes: i64,
    pub audit_events: i64,
    pub checks: Vec<CheckOutcome>,
    pub teardown: Teardown,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000_000);

    fn ago(s: i64) -> Timestamp {
        NOW.plus_secs(-s)
    }

    #[test]
    fn when_a_copy_is_due() {
        let facts = |newest: Option<i64>, changed: Option<(i64, i64)>, tried: Option<i64>| Facts {
            newest: newest.map(ago),
            changed: changed.map(|(a, b)| (ago(a), ago(b))),
            tried: tried.map(ago),
        };
        for (facts, want) in [
            (facts(None, None, None), Some(Why::First)),
            // It failed a moment ago, an hour ago.
            (facts(None, None, Some(30)), None),
            (facts(None, None, Some(3_600)), Some(Why::First)),
            (facts(Some(100), None, Some(101)), None),
            // A change that is followed by others, that is alone, that never ends.
            (facts(Some(1_000), Some((30, 5)), None), None),
            (facts(Some(1_000), Some((90, 60)), None), Some(Why::Changed)),
            (facts(Some(1_000), Some((601, 1)), None), Some(Why::Changed)),
            // The try made the copy, and a change came after it.
            (facts(Some(200), Some((90, 60)), Some(201)), Some(Why::Changed)),
            (facts(Some(2_000), Some((1_500, 1_400)), Some(100)), None),
            (facts(Some(86_399), None, None), None),
            (facts(Some(86_400), None, Some(86_401)), Some(Why::Daily)),
            // Clocks that jumped.
            (facts(Some(-90_000), None, None), Some(Why::Daily)),
            (facts(None, None, Some(-50)), Some(Why::First)),
        ] {
            assert_eq!(copy_due(&facts, NOW), want, "{facts:?}");
        }
    }

    #[test]
    fn when_a_test_is_due() {
        for (newest, tested, tried, want) in [
            (None, None, None, false),
            (Some(5), None, None, true),
            (Some(5), Some(604_799), None, false),
            (Some(5), Some(604_800), Some(604_801), true),
            (Some(5), Some(700_000), Some(100), false),
            (Some(5), None, Some(3_600), true),
        ] {
            assert_eq!(test_due(newest.map(ago), tested.map(ago), tried.map(ago), NOW), want, "{newest:?} {tested:?} {tried:?}");
        }
    }

    #[test]
    fn a_year_of_hourly_copies_leaves_a_few() {
        let all: Vec<Copy> = (0..24 * 365).map(|h| Copy { taken_at: ago(h * 3_600), proven: h == 5_000 }).collect();
        let keep = kept(&all);
        let left: Vec<i64> = (0..).zip(&keep).filter(|(_, k)| **k).map(|(h, _)| h).collect();
        assert!(left.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7]), "{left:?}");
        assert!(left.contains(&5_000) && left.len() <= 8 + 14 + 12 + 1 && left.len() >= 30, "{left:?}");
        // Each of the last 14 days has one; a copy of almost a year ago is there.
        for day in 0..14 {
            assert!(left.iter().any(|h| ago(h * 3_600).as_secs().div_euclid(DAY_S) == NOW.as_secs().div_euclid(DAY_S) - day), "{day}");
        }
        assert!(left.last().is_some_and(|h| *h > 24 * 300), "{left:?}");
        // Keeping again removes nothing more.
        let again: Vec<Copy> = all.iter().zip(&keep).filter(|(_, k)| **k).map(|(c, _)| *c).collect();
        assert!(kept(&again).into_iter().all(|k| k));
        assert_eq!(kept(&[]), Vec::<bool>::new());
    }
}
