//! Who is told of what, and when a message that did not arrive is tried again.
//!
//! Lives here: matching, reminders, the backoff. May not: channels, sending.

use serde::{Deserialize, Serialize};

use super::{AlertKind, Severity};
use crate::units::Timestamp;

/// What a rule asks for. An empty list means all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// This grave or graver.
    pub severity: Severity,
    #[serde(default)]
    pub kinds: Vec<AlertKind>,
    /// Names of services. What belongs to no service, such as a repository, is then left out.
    #[serde(default)]
    pub services: Vec<String>,
    /// Names of schedules: only what one of them started, or is wrong with one of them.
    #[serde(default)]
    pub schedules: Vec<String>,
    /// Also when a run has succeeded.
    #[serde(default)]
    pub success: bool,
    /// Say it again after so many seconds, as long as it stands and nobody has acknowledged it.
    #[serde(default)]
    pub remind_s: Option<i64>,
}

impl Default for Rule {
    fn default() -> Self {
        Self { severity: Severity::Warning, kinds: Vec::new(), services: Vec::new(), schedules: Vec::new(), success: false, remind_s: None }
    }
}

impl Rule {
    fn about(&self, service: Option<&str>, schedule: Option<&str>) -> bool {
        let among = |list: &[String], name: Option<&str>| list.is_empty() || name.is_some_and(|n| list.iter().any(|l| l == n));
        among(&self.services, service) && among(&self.schedules, schedule)
    }

    /// Whether an alert is told.
    pub fn wants(&self, kind: AlertKind, severity: Severity, service: Option<&str>, schedule: Option<&str>) -> bool {
        severity.at_least(self.severity) && (self.kinds.is_empty() || self.kinds.contains(&kind)) && self.about(service, schedule)
    }

    /// Whether the success of a run is told.
    pub fn wants_success(&self, service: Option<&str>, schedule: Option<&str>) -> bool {
        self.success && self.about(service, schedule)
    }

    /// Which reminder of an alert is due: 0 for none yet. After a pause only the newest is due.
    pub fn reminder(&self, opened_at: Timestamp, now: Timestamp) -> i64 {
        self.remind_s.map_or(0, |every| (now.as_secs() - opened_at.as_secs()).max(0) / every.max(60))
    }
}

/// How long after the attempt number `attempts` (from 1) the next one comes, in seconds; `None` gives up, after some 23 h.
///
/// A greylisting server wants to see the message again within hours and not within seconds.
pub const fn retry_after_s(attempts: i64) -> Option<i64> {
    Some(match attempts {
        ..=1 => 30,
        2 => 120,
        3 => 300,
        4 => 900,
        5 => 3_600,
        6 => 3 * 3_600,
        7 => 6 * 3_600,
        8 => 12 * 3_600,
        _ => return None,
    })
}
