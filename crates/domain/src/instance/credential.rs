//! A cloud's credential as it was last looked at, and what the cloud told beside it (R25).
//!
//! Lives here: what is known of it, and what is wrong with it at a moment. May not: the secret.

use serde::{Deserialize, Serialize};

use crate::units::{Timestamp, count};

/// How many days before its end a credential is spoken of, the first time and the last.
pub const REMINDERS: [i64; 2] = [30, 7];

/// For so long a cloud that suddenly lists nothing is not believed, in seconds: a day.
pub const DOUBTED_S: i64 = 86_400;

/// What a project's quota of volumes leaves; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    pub snapshots: Option<i64>,
    pub gigabytes: Option<i64>,
}

impl Quota {
    /// `7 volume snapshots, 400 GiB`.
    pub fn words(&self) -> String {
        let snapshots = match self.snapshots {
            None => "volume snapshots without limit".to_owned(),
            Some(1) => "1 volume snapshot".to_owned(),
            Some(n) => format!("{} volume snapshots", count(n.max(0))),
        };
        let gigabytes = self.gigabytes.map_or_else(|| "GiB without limit".to_owned(), |n| format!("{} GiB", count(n.max(0))));
        format!("{snapshots}, {gigabytes}")
    }

    /// No further volume snapshot can be taken.
    pub fn is_used_up(&self) -> bool {
        [self.snapshots, self.gigabytes].into_iter().flatten().any(|left| left <= 0)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Credential {
    pub project_id: String,
    pub project_name: String,
    pub user: String,
    pub roles: Vec<String>,
    /// `None` where it never expires, or where the cloud does not tell.
    pub expires_at: Option<Timestamp>,
    pub looked_at: Timestamp,
    /// What was wrong when it was looked at, with the remedy.
    pub trouble: Option<String>,
    /// It could not be used at all then; the other facts are those of the last time that it could.
    pub refused: bool,
    /// What the quota left then; `None` where the cloud did not tell.
    pub quota: Option<Quota>,
    /// Since when the cloud lists no instance at all, though some were known.
    pub empty_since: Option<Timestamp>,
}

impl Credential {
    /// What is known after a look that failed as a whole.
    #[must_use]
    pub fn after_failure(known: Option<&Self>, trouble: impl Into<String>, now: Timestamp) -> Self {
        Self { looked_at: now, trouble: Some(trouble.into()), refused: true, ..known.cloned().unwrap_or_default() }
    }

    /// Takes a list without a single instance for a fault, while some are `known`; `false` where it is believed: nothing is
    /// known, or it has been so for [`DOUBTED_S`]. `before` is what was recorded last.
    pub fn doubts_empty(&mut self, before: Option<&Self>, known: i64, now: Timestamp) -> bool {
        if known == 0 {
            return false;
        }
        let since = before.and_then(|b| b.empty_since).unwrap_or(now);
        if now.secs_since(since) >= DOUBTED_S as f64 {
            return false;
        }
        self.empty_since = Some(since);
        let are = if known == 1 { "1 was".to_owned() } else { format!("{} were", count(known)) };
        let text = format!(
            "the cloud lists no instance at all, though {are} known: nothing is marked as gone before it has been so for a day; look whether the \
             credential still sees the project's instances"
        );
        self.trouble = Some(self.trouble.take().map_or_else(|| text.clone(), |t| format!("{t}. {text}")));
        true
    }

    /// The days within which it expires, one of [`REMINDERS`]; `None` where it lasts longer, or nobody knows how long.
    pub fn expires_within(&self, now: Timestamp) -> Option<i64> {
        let left = self.expires_at?.secs_since(now);
        REMINDERS.into_iter().rev().find(|days| left < (*days * 86_400) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_of_twice() {
        let now = Timestamp::from_secs(1_000_000_000);
        let ends = |in_days: f64| Credential { expires_at: Some(now.plus_secs((in_days * 86_400.0) as i64)), ..Credential::default() };
        for (in_days, want) in [(31.0, None), (30.0, None), (29.9, Some(30)), (7.1, Some(30)), (6.9, Some(7)), (-1.0, Some(7))] {
            assert_eq!(ends(in_days).expires_within(now), want, "{in_days}");
        }
        assert_eq!(Credential::default().expires_within(now), None);
    }

    #[test]
    fn a_list_without_instances_is_doubted_for_a_day() {
        let now = Timestamp::from_secs(1_000_000_000);
        let mut first = Credential::default();
        assert!(first.doubts_empty(None, 2, now));
        assert!(first.trouble.as_deref().is_some_and(|t| t.contains("lists no instance at all, though 2 were known")), "{first:?}");
        let mut later = Credential { trouble: Some("it has no role".into()), ..Credential::default() };
        assert!(later.doubts_empty(Some(&first), 1, now.plus_secs(DOUBTED_S - 1)));
        assert!(later.trouble.as_deref().is_some_and(|t| t.starts_with("it has no role. the cloud lists")), "{later:?}");
        let mut last = Credential::default();
        assert!(!last.doubts_empty(Some(&later), 1, now.plus_secs(DOUBTED_S)));
        assert!(last.trouble.is_none() && !Credential::default().doubts_empty(None, 0, now));
    }

    #[test]
    fn what_a_quota_leaves() {
        let q = Quota { snapshots: Some(1), gigabytes: Some(1_400) };
        assert_eq!((q.words().as_str(), q.is_used_up()), ("1 volume snapshot, 1\u{202f}400 GiB", false));
        assert!(Quota { snapshots: Some(0), gigabytes: None }.is_used_up() && !Quota::default().is_used_up());
    }

    #[test]
    fn a_failed_look_keeps_what_was_known() {
        let known = Credential { project_id: "p".into(), roles: vec!["member".into()], ..Credential::default() };
        let after = Credential::after_failure(Some(&known), "refused", Timestamp(9));
        assert_eq!((after.project_id.as_str(), after.refused, after.trouble.as_deref(), after.looked_at), ("p", true, Some("refused"), Timestamp(9)));
        assert!(Credential::after_failure(None, "x", Timestamp(9)).roles.is_empty());
    }
}
