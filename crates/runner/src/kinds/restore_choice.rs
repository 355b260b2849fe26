//! Which snapshots a restore test takes (R32).
//!
//! Lives here: the step `select`. May not: restoring, judging.
//! Invariant: what is chosen is fixed at the start; chance is decided by a seed that stands in the run, so that the same
//! seed over the same snapshots chooses the same.

use domain::{
    definition::Terms,
    id::{RepositoryId, ServiceId, SnapshotId},
    units::Timestamp,
    work::{RestoreTestParams, Selection},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{
    services::Canary,
    snapshots::{self, NewestRow},
};

use super::service;
use crate::{
    exec::Cx,
    step::{Done, Result, Step, permanent},
};

/// A test takes so many items at most.
const MOST_ITEMS: i64 = 10_000;

/// One snapshot of the test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chosen {
    /// As the run's items show it.
    pub name: String,
    pub item: String,
    /// The source's, which says who brings it back; of old runs it is empty, and means a directory.
    #[serde(default)]
    pub kind: String,
    pub snapshot: SnapshotId,
    pub repository: RepositoryId,
    pub restic_id: String,
    pub taken_at: Timestamp,
    pub files: i64,
    pub bytes: i64,
}

/// The snapshots of a test, its targets and its canary, fixed at the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// The service's name.
    #[serde(default)]
    pub service: String,
    pub started_at: Timestamp,
    pub rto_target_s: Option<i64>,
    pub rpo_target_s: Option<i64>,
    pub canary: Option<Canary>,
    /// What chance was decided by.
    #[serde(default)]
    pub seed: String,
    /// When the loss is assumed to have come, where that is not the start.
    #[serde(default)]
    pub loss_at: Option<Timestamp>,
    /// The newest snapshot of what was chosen, where an older one was taken on purpose.
    #[serde(default)]
    pub newest_at: Option<Timestamp>,
    pub items: Vec<Chosen>,
}

impl Choice {
    /// Nothing at all.
    pub const fn nothing(started_at: Timestamp) -> Self {
        Self {
            service: String::new(),
            started_at,
            rto_target_s: None,
            rpo_target_s: None,
            canary: None,
            seed: String::new(),
            loss_at: None,
            newest_at: None,
            items: Vec::new(),
        }
    }
}

pub struct Select {
    pub service: ServiceId,
    pub params: RestoreTestParams,
    pub terms: Terms,
}

impl Select {
    fn seed(&self, cx: &Cx) -> String {
        self.params.seed.clone().unwrap_or_else(|| cx.id().to_string())
    }

    /// The rows that the test takes, but for those that its checks need besides.
    async fn rows(&self, cx: &Cx, started_at: Timestamp, newest: &[NewestRow]) -> Result<Vec<NewestRow>> {
        let mut read = cx.deps.db.read().await?;
        if self.params.snapshots.is_empty() {
            let rows = match self.params.selection {
                Selection::Random { days } => snapshots::window_of_service(read.tx(), self.service, started_at.plus_secs(-days * 86_400), MOST_ITEMS).await?,
                _ => newest.to_vec(),
            };
            return Ok(choose(&self.seed(cx), rows, self.params.selection));
        }
        let mut rows = Vec::with_capacity(self.params.snapshots.len());
        for id in &self.params.snapshots {
            let row = snapshots::testable(read.tx(), self.service, *id).await?;
            rows.push(row.ok_or_else(|| {
                permanent("gone", format!("the snapshot {id}, which this test was to take again, is no longer there; start one that chooses anew"))
            })?);
        }
        Ok(rows)
    }
}

#[async_trait::async_trait]
impl Step for Select {
    const NAME: &'static str = "select";
    type Out = Choice;

    fn input(&self) -> Value {
        json!({"service": self.service, "selection": self.params.selection, "definition": self.params.definition, "snapshots": self.params.snapshots.len()})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Choice>> {
        let row = service(cx, self.service).await?;
        let newest = snapshots::newest_of_service(cx.deps.db.read().await?.tx(), self.service, MOST_ITEMS).await?;
        let started_at = cx.run.started_at.map_or_else(|| cx.now(), Timestamp);
        let canary = row.canary.map(|c| c.0);
        let mut rows = self.rows(cx, started_at, &newest).await?;
        // What a window gives is old on purpose: the RPO is measured by what a real loss would have brought back.
        let newest_at = matches!(self.params.selection, Selection::Random { .. }).then(|| rows.iter().map(|r| newest_of(r, &newest)).min()).flatten();
        // What the checks look at is restored in every test, whatever else is chosen.
        let needed = canary.iter().map(|c| c.item.as_str()).chain(self.terms.checks.iter().filter_map(|c| c.probe.item()));
        for name in needed {
            for row in newest.iter().filter(|r| r.item_name == name) {
                if !rows.iter().any(|r| r.item_id == row.item_id) {
                    rows.push(row.clone());
                }
            }
        }
        let several = rows.first().is_some_and(|first| rows.iter().chain(&newest).any(|a| a.source_name != first.source_name));
        let items = rows
            .into_iter()
            .map(|r| Chosen {
                name: if several { format!("{}/{}", r.source_name, r.item_name) } else { r.item_name.clone() },
                item: r.item_name,
                kind: r.source_kind,
                snapshot: SnapshotId(r.snapshot_id),
                repository: RepositoryId(r.repository_id),
                restic_id: r.restic_id,
                taken_at: Timestamp(r.taken_at),
                files: r.files,
                bytes: r.bytes,
            })
            .collect();
        Ok(Done::ok(Choice {
            service: row.name,
            started_at,
            rto_target_s: self.terms.rto_s.or(row.rto_s),
            rpo_target_s: self.terms.rpo_s.or(row.rpo_s),
            canary,
            seed: self.seed(cx),
            loss_at: self.params.loss_at,
            newest_at,
            items,
        }))
    }
}

fn newest_of(row: &NewestRow, newest: &[NewestRow]) -> Timestamp {
    Timestamp(newest.iter().find(|n| n.item_id == row.item_id).map_or(row.taken_at, |n| n.taken_at.max(row.taken_at)))
}

/// Takes from rows that come youngest first. Chance is the same each time for one seed.
fn choose(seed: &str, mut rows: Vec<NewestRow>, selection: Selection) -> Vec<NewestRow> {
    let lot = |id: uuid::Uuid| <[u8; 32]>::from(Sha256::digest(format!("{seed} {id}")));
    match selection {
        Selection::All => {}
        Selection::Latest => rows.truncate(1),
        Selection::Random { .. } => {
            rows.sort_by_cached_key(|r| lot(r.snapshot_id));
            rows.truncate(1);
        }
        Selection::Sample { count } => {
            rows.sort_by_cached_key(|r| lot(r.item_id));
            rows.truncate(usize::try_from(count).unwrap_or(0));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row(n: u128) -> NewestRow {
        NewestRow {
            item_id: Uuid::from_u128(n),
            item_name: format!("user-{n}"),
            source_name: "homes".into(),
            source_kind: "directory".into(),
            snapshot_id: Uuid::from_u128(100 + n),
            repository_id: Uuid::nil(),
            restic_id: String::new(),
            taken_at: 100 - i64::try_from(n).unwrap(),
            files: 1,
            bytes: 1,
        }
    }

    fn names(seed: &str, selection: Selection) -> Vec<String> {
        choose(seed, (0..20).map(row).collect(), selection).into_iter().map(|r| r.item_name).collect()
    }

    #[test]
    fn one_seed_chooses_the_same_and_another_one_another() {
        assert_eq!(names("a", Selection::Latest), ["user-0"]);
        assert_eq!(names("a", Selection::All).len(), 20);
        for selection in [Selection::Sample { count: 5 }, Selection::Random { days: 30 }] {
            assert_eq!(names("a", selection), names("a", selection));
            let all: std::collections::BTreeSet<_> = (0..40).map(|n| names(&n.to_string(), selection)).collect();
            assert!(all.len() > 5, "{selection:?}: chance has to differ from run to run");
        }
        assert_eq!(names("a", Selection::Sample { count: 5 }).len(), 5);
        assert_eq!(names("a", Selection::Random { days: 30 }).len(), 1);
        assert_eq!(names("a", Selection::Sample { count: 50 }).len(), 20, "never more than there are");
    }
}
