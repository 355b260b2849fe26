//! A check of a repository: its structure, or every byte.
//!
//! Lives here: the steps `check` and `record`. May not: repairing anything.
//! On the way the repository's snapshots are listed: those that nobody knew yet are adopted, and those that are no longer
//! there are recorded as gone.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use domain::{
    id::{RepositoryId, SnapshotId},
    run::RunEvent,
    work::{CheckParams, CheckResult, StepFailure},
};
use engine::job::{CheckJob, FindJob, ItemResult, Job, Outcome, SnapshotRecord};
use serde_json::{Value, json};
use store::{
    Tx,
    ids::NewId as _,
    repositories::{self, RepositoryRow},
    snapshots,
};
use uuid::Uuid;

use super::{adopt::Adopt, given, gone, repository};
use crate::{
    child::{self, Nothing, Recorder},
    exec::{Cx, Ended, Exec},
    step::{Done, Result, Step},
};

pub const STEPS: &[&str] = &[Check::NAME, Record::NAME];

/// Errors and warnings that are kept in the run's result.
const KEPT: usize = 200;
/// Recorded snapshots looked at in one go.
const PAGE: i64 = 1_000;
/// Why a snapshot is gone that only a check has missed.
const VANISHED: &str = "a check no longer found it in the repository";

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let params: CheckParams = exec.cx.run.params()?;
    let result = exec.step(Check { repository: id, read_data: params.read_data }).await?;
    exec.step(Record { repository: id, read_data: params.read_data, errors: result.errors.len(), size_bytes: result.size_bytes }).await?;
    let failure = result.errors.first().map(|first| {
        let more = result.errors.len() - 1;
        let tail = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        StepFailure::new("damaged", format!("the repository is damaged: {first}{tail}"), true)
    });
    let event = if failure.is_some() { RunEvent::Fail } else { RunEvent::Succeed };
    Ok(Ended::new(event, &result, failure))
}

struct Check {
    repository: RepositoryId,
    read_data: bool,
}

#[async_trait::async_trait]
impl Step for Check {
    const NAME: &'static str = "check";
    type Out = CheckResult;

    fn input(&self) -> Value {
        json!({"repository": self.repository, "read_data": self.read_data})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<CheckResult>> {
        let row = repository(cx, self.repository).await?;
        let read_data = self.read_data;
        let listing = Listing { adopt: Adopt { repository: self.repository }, seen: Mutex::default(), since: SnapshotId::new() };
        let outcome = child::job(cx, Self::NAME, &row, |access| Job::Check(CheckJob { access, read_data }), &listing).await?;
        let Outcome::Checked(mut c) = outcome else { return Err(child::unexpected(&outcome)) };
        let vanished = listing.vanished(cx, &row).await?;
        if vanished > 0 {
            c.warnings.push(format!("{vanished} snapshots that were recorded are no longer in the repository, and nothing here has forgotten them"));
        }
        for (level, lines) in [("error", &c.errors), ("warn", &c.warnings)] {
            let events: Vec<_> = lines.iter().take(KEPT).map(|l| cx.event("log", level, l.clone(), None)).collect();
            if !events.is_empty() {
                let t = cx.begin(&events).await?;
                cx.commit(t).await?;
            }
        }
        c.errors.truncate(KEPT);
        c.warnings.truncate(KEPT);
        let out = CheckResult {
            snapshots: c.snapshots,
            packs: c.packs,
            bytes_read: c.bytes_read,
            size_bytes: c.size_bytes,
            errors: c.errors,
            warnings: c.warnings,
            vanished,
        };
        Ok(Done::ok(out))
    }
}

/// What the repository lists, held against what is recorded.
struct Listing {
    adopt: Adopt,
    seen: Mutex<HashSet<String>>,
    /// Snapshots that were recorded later than this are not looked for.
    since: SnapshotId,
}

#[async_trait::async_trait]
impl Recorder for Listing {
    async fn item(&self, _cx: &Cx, _tx: Tx<'_>, _item: &ItemResult) -> store::Result<()> {
        Ok(())
    }

    async fn snapshots(&self, cx: &Cx, tx: Tx<'_>, listed: &[SnapshotRecord]) -> store::Result<()> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(listed.iter().map(|s| s.id.clone()));
        self.adopt.snapshots(cx, tx, listed).await
    }
}

impl Listing {
    /// Records that snapshots are gone which the repository does not list; how many.
    async fn vanished(&self, cx: &Cx, row: &RepositoryRow) -> Result<i64> {
        let (mut after, mut vanished) = (Uuid::nil(), 0);
        loop {
            let page = snapshots::known(cx.deps.db.read().await?.tx(), row.id(), after, self.since.0, PAGE).await?;
            let Some(last) = page.last() else { return Ok(vanished) };
            after = last.id;
            let missing: Vec<String> = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                page.into_iter().map(|s| s.restic_id).filter(|id| !seen.contains(id)).collect()
            };
            if missing.is_empty() {
                continue;
            }
            // What is there but cannot be read was not listed either: the files' names decide.
            let outcome = child::job(cx, Check::NAME, row, |access| Job::Find(FindJob { access, snapshots: missing }), &Nothing).await?;
            let Outcome::Found(found) = outcome else { return Err(child::unexpected(&outcome)) };
            let first = found.missing.first().map_or("", |id| id.get(..8).unwrap_or(id));
            let message = format!("{} recorded snapshots are no longer there, first {first}; they are shown as gone", found.missing.len());
            let events = if found.missing.is_empty() { Vec::new() } else { vec![cx.event("log", "warn", message, None)] };
            let mut t = cx.begin(&events).await?;
            vanished += gone::record(t.tx(), row.id(), &found.missing, VANISHED, cx.id(), cx.now()).await?;
            cx.commit(t).await?;
        }
    }
}

struct Record {
    repository: RepositoryId,
    read_data: bool,
    errors: usize,
    size_bytes: i64,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = ();

    fn input(&self) -> Value {
        json!({"errors": self.errors, "size_bytes": self.size_bytes})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let (now, state) = (cx.now(), if self.errors == 0 { "ok" } else { "damaged" });
        let mut t = cx.begin(&[]).await?;
        repositories::set_checked(t.tx(), self.repository, state, self.read_data, now).await?;
        repositories::set_size(t.tx(), self.repository, None, Some(self.size_bytes), now).await?;
        cx.commit(t).await?;
        Ok(Done::ok(()))
    }
}
