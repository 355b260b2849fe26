//! What stands in a plan and is kept elsewhere: frozen with the version when it is submitted.
//!
//! Lives here: plain fields, as they are printed. May not: collecting them (`ops::plans::annex` does).

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// All of it. What was unknown then is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Annex {
    pub risks: Vec<RiskFact>,
    pub reviews: Vec<ReviewFact>,
    pub months: Vec<MonthFact>,
    pub test: Option<TestFact>,
    pub revisions: Vec<RevisionFact>,
    pub waivers: Vec<WaiverFact>,
}

/// A risk with its rating.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RiskFact {
    pub id: i64,
    pub title: String,
    pub components: String,
    pub measures: Vec<String>,
    pub likelihood: i64,
    pub impact: i64,
    pub level: String,
    /// How the level that an older text states contradicts the rating.
    pub conflict: Option<String>,
    pub expected_downtime: String,
    pub comment: String,
    pub treatment: String,
    pub owner: String,
    pub due: Option<String>,
}

/// When something was reviewed last, and is to be next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReviewFact {
    pub title: String,
    /// Civil dates, such as 2020-05-28.
    pub last: Option<String>,
    pub next: Option<String>,
    pub state: String,
}

/// Availability and reliability of a month.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonthFact {
    /// Such as 2020-02.
    pub month: String,
    pub availability: Option<f64>,
    pub reliability: Option<f64>,
    pub met: Option<bool>,
    pub explanation: String,
}

/// The last restore test or exercise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestFact {
    pub id: String,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub verdict: String,
    pub level: String,
    pub rto_s: Option<f64>,
    pub rpo_s: Option<i64>,
    pub items_restored: i64,
    pub items_failed: i64,
}

/// A line of the revision history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RevisionFact {
    pub version: String,
    /// A civil date, such as 2019-06-11.
    pub date: String,
    pub by: String,
    pub comment: String,
}

/// A finding that was waived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaiverFact {
    pub finding: String,
    pub reason: String,
    pub by: String,
    pub until: Option<String>,
}
