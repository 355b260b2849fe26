//! What evidence states: the JSON that is signed, field by field (R37).
//!
//! Lives here: the shapes, in the order in which they are written. May not: signing, encoding, storing.
//! Invariants: fields are never renamed, moved or removed within a format, for what was signed once must be read for
//! years; spans are seconds; moments are RFC 3339 in UTC.

use serde::{Deserialize, Serialize};

use crate::{
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    units::Timestamp,
};

/// What the payload of a record is, as DSSE names it.
pub const EVIDENCE_TYPE: &str = "application/vnd.holdfast.evidence.v1+json";
/// The same of the list of a pack.
pub const MANIFEST_TYPE: &str = "application/vnd.holdfast.evidence-pack.v1+json";
/// The format of statements that this version writes and reads.
pub const FORMAT: u8 = 1;

/// One record of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub format: u8,
    /// Its place in the chain, from 1 without gaps.
    pub sequence: i64,
    /// SHA-256 of what was signed of the record before; empty for the first.
    pub previous: String,
    /// When it was written down. When it happened stands in `what`.
    pub recorded_at: String,
    /// Who did it: whoever started the test, countersigned, or changed the key.
    pub actor: String,
    /// The version of Holdfast.
    pub code_version: String,
    pub what: What,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    RestoreTest(Box<Test>),
    Key(NewKey),
    Countersignature(Countersignature),
}

/// The result of a restore test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub service: Service,
    pub test: String,
    pub run: String,
    /// The name of its definition; none for one that was started by hand.
    pub definition: Option<String>,
    /// Which snapshots were chosen, such as `latest` or `sample 5`.
    pub selection: String,
    pub snapshots: Vec<Snapshot>,
    /// The continuity plan that was approved when the test was recorded.
    pub plan: Option<Plan>,
    pub started_at: String,
    pub finished_at: String,
    pub verdict: Verdict,
    pub level: EvidenceLevel,
    pub counts: Counts,
    pub checks: Vec<CheckOutcome>,
    pub rto: Measured,
    pub rpo: Measured,
    pub items: Items,
    pub files: i64,
    pub bytes: i64,
    pub teardown: Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub id: String,
    pub name: String,
    pub title: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub item: String,
    /// Its id in the repository, by which restic finds it.
    pub restic: String,
    pub taken_at: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub version: i64,
    /// Of its content.
    pub sha256: String,
}

/// How many checks came to which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub unknown: usize,
}

impl Counts {
    pub fn of(checks: &[CheckOutcome]) -> Self {
        let n = |v| checks.iter().filter(|c| c.verdict == v).count();
        Self { passed: n(Verdict::Passed), failed: n(Verdict::Failed), unknown: n(Verdict::Unknown) }
    }
}

/// A span against its target, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    pub measured_s: Option<f64>,
    pub target_s: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Items {
    pub restored: i64,
    pub skipped: i64,
    pub failed: i64,
}

/// The proof that the scratch target is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gone {
    pub scratch: String,
    pub gone_at: Option<String>,
    pub detail: String,
}

/// A key that signs from the next record on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// SHA-256 of the public part as SubjectPublicKeyInfo, in hexadecimal.
    pub key: String,
    pub pem: String,
    /// The key before, which signs this record; none where there was none or it was lost.
    pub replaces: Option<String>,
    /// Why the key before does not sign this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<String>,
}

/// A reviewer's word on a record, with a date of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countersignature {
    /// The record's place in the chain.
    pub record: i64,
    /// SHA-256 of what was signed of it.
    pub sha256: String,
    /// The test that it is about.
    pub test: String,
    /// How the reviewer is called, and in which role they looked.
    pub name: String,
    pub role: String,
    /// What they say; empty where they say nothing.
    pub note: String,
    pub signed_at: String,
}

/// A moment as statements write it.
pub fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).map(|t| t.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was signed once must be read for years, and written the same.
    #[test]
    fn the_order_of_the_fields_is_fixed() {
        let text = r#"{"format":1,"sequence":2,"previous":"ab","recorded_at":"2021-02-25T08:42:00Z","actor":"ada","code_version":"0.1.0","what":{"restore_test":{"service":{"id":"s","name":"notebooks","title":"Notebooks"},"test":"t","run":"r","definition":null,"selection":"latest","snapshots":[{"item":"alice","restic":"87683f08","taken_at":"2021-02-24T01:15:00Z"}],"plan":{"version":3,"sha256":"cd"},"started_at":"2021-02-25T08:00:00Z","finished_at":"2021-02-25T08:10:03.5Z","verdict":"passed","level":"asserted","counts":{"passed":1,"failed":0,"unknown":0},"checks":[{"name":"counts","verdict":"passed","detail":"75 of 75"}],"rto":{"measured_s":603.5,"target_s":86400},"rpo":{"measured_s":null,"target_s":null},"items":{"restored":75,"skipped":0,"failed":0},"files":750,"bytes":1024,"teardown":{"scratch":"/scratch","gone_at":null,"detail":""}}}}"#;
        let read: Statement = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let other = text.replace("\"files\":750,", "\"files\":750,\"invented\":1,");
        assert!(serde_json::from_str::<Statement>(&other).unwrap_err().to_string().contains("invented"));
        let key =
            r#"{"format":1,"sequence":1,"previous":"","recorded_at":"","actor":"","code_version":"","what":{"key":{"key":"ab","pem":"x","replaces":null}}}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Statement>(key).unwrap()).unwrap(), key);
    }

    #[test]
    fn moments_are_utc_and_checks_are_counted() {
        assert_eq!(moment(Timestamp(1_614_242_520_500_000)), "2021-02-25T08:42:00.5Z");
        let check = |verdict| CheckOutcome::new("x", verdict, "");
        let counts = Counts::of(&[check(Verdict::Passed), check(Verdict::Unknown), check(Verdict::Passed)]);
        assert_eq!(counts, Counts { passed: 2, failed: 0, unknown: 1 });
    }
}
