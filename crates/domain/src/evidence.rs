//! What a restore test proves, and how far (R32, R33).
//!
//! Lives here: levels, verdicts, the outcome of a check, and the rule that joins outcomes to a verdict.
//! May not: how a check is done.

use serde::{Deserialize, Serialize};

/// How far a copy has been proven, from nothing to a service that ran on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceLevel {
    #[default]
    None,
    Exists,
    Readable,
    Restored,
    Asserted,
    Started,
}

impl EvidenceLevel {
    pub const ALL: [Self; 6] = [Self::None, Self::Exists, Self::Readable, Self::Restored, Self::Asserted, Self::Started];

    /// The stored form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Exists => "exists",
            Self::Readable => "readable",
            Self::Restored => "restored",
            Self::Asserted => "asserted",
            Self::Started => "started",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.as_str() == text)
    }

    /// The words people read.
    pub const fn words(self) -> &'static str {
        match self {
            Self::None => "no evidence",
            Self::Started => "service started",
            other => other.as_str(),
        }
    }
}

/// What a restore test concluded. `Unknown` means that something could not be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    Failed,
    Unknown,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Passed, Self::Failed, Self::Unknown].into_iter().find(|v| v.as_str() == text)
    }
}

/// One check of a restore test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// Stable name: `counts`, `recapture`, `canary`, of instances `active`, `images`, `volumes`, then `rto`, `rpo`, `start`,
    /// `teardown`; of a definition's own checks the kind and the name, such as `sqlite:rows`.
    pub name: String,
    pub verdict: Verdict,
    /// What was compared with what, with figures.
    pub detail: String,
    /// What had to be there, and what was; absent where there is no such value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

impl CheckOutcome {
    pub fn new(name: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { name: name.into(), verdict, detail: detail.into(), expected: None, seen: None }
    }

    /// The same with the two values that were compared.
    #[must_use]
    pub fn compared(self, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), seen: Some(seen.into()), ..self }
    }
}

/// Joins the outcomes of a restore test.
///
/// A failure wins over everything; an empty list of checks, an empty restore and anything that could
/// not be checked can never pass (R32). The parts of an item are its files, or its disks.
pub fn join(checks: &[CheckOutcome], restored_items: i64, restored_parts: i64) -> Verdict {
    if checks.iter().any(|c| c.verdict == Verdict::Failed) || restored_items == 0 || restored_parts == 0 {
        return Verdict::Failed;
    }
    if checks.is_empty() || checks.iter().any(|c| c.verdict == Verdict::Unknown) {
        return Verdict::Unknown;
    }
    Verdict::Passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict) -> CheckOutcome {
        CheckOutcome::new("counts", verdict, "")
    }

    #[test]
    fn nothing_empty_passes() {
        use Verdict::{Failed, Passed, Unknown};
        assert_eq!(join(&[], 1, 1), Unknown);
        assert_eq!(join(&[check(Passed)], 0, 0), Failed);
        assert_eq!(join(&[check(Passed)], 1, 0), Failed);
        assert_eq!(join(&[check(Passed), check(Unknown)], 1, 1), Unknown);
        assert_eq!(join(&[check(Failed), check(Unknown)], 1, 1), Failed);
        assert_eq!(join(&[check(Passed)], 1, 1), Passed);
    }

    #[test]
    fn levels_are_ordered_and_round_trip() {
        for pair in EvidenceLevel::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for level in EvidenceLevel::ALL {
            assert_eq!(EvidenceLevel::parse(level.as_str()), Some(level));
        }
    }
}
