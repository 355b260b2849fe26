//! A check of a repository: its structure, and of its data nothing, a part, or every byte.
//!
//! Lives here: the steps `check` and `record`. May not: repairing anything, choosing what is read (`domain::reading`).
//! On the way the repository's snapshots are listed: those that nobody knew yet are adopted, and those that are no longer
//! there are recorded as gone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use domain::{
    id::{RepositoryId, SnapshotId},
    reading::Mark,
    run::RunEvent,
    units::Timestamp,
    work::{CheckParams, CheckResult, StepFailure},
};
use engine::job::{CheckJob, FindJob, ItemResult, Job, Outcome, PackIds, PackMarks, Reading, SnapshotRecord};
use serde_json::{Value, json};
use store::{
    Tx,
    ids::NewId as _,
    readings,
    repositories::{self, RepositoryRow},
    snapshots::{self, KnownRow},
};
use uuid::Uuid;

use super::{adopt::Adopt, given, gone, repository};
use crate::{
    child::{self, Learned, Nothing, Recorder},
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
    let result = exec.step(Check { repository: id, params }).await?;
    let record =
        Record { repository: id, params, result: CheckResult { errors: Vec::new(), warnings: Vec::new(), ..result.clone() }, errors: result.errors.len() };
    exec.step(record).await?;
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
    params: CheckParams,
}

#[async_trait::async_trait]
impl Step for Check {
    const NAME: &'static str = "check";
    type Out = CheckResult;

    fn input(&self) -> Value {
        json!({"repository": self.repository, "read_data": self.params.read_data, "slice": self.params.slice})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<CheckResult>> {
        let row = repository(cx, self.repository).await?;
        let at = cx.now();
        let read = match self.params {
            CheckParams { read_data: true, .. } => Reading::All,
            CheckParams { slice: Some(slice), .. } => Reading::Slice(slice),
            CheckParams { .. } => Reading::None,
        };
        let known = readings::of(cx.deps.db.read().await?.tx(), self.repository).await?;
        let known = known.into_iter().map(|r| PackMarks { mark: r.mark, packs: PackIds(r.packs) }).collect();
        let listing = Listing { adopt: Adopt { repository: self.repository }, at, seen: Mutex::default(), packs: Mutex::default(), since: SnapshotId::new() };
        let outcome = child::job(cx, Self::NAME, &row, |access| Job::Check(CheckJob { access, at, read, known }), &listing).await?;
        let Outcome::Checked(mut c) = outcome else { return Err(child::unexpected(&outcome)) };
        listing.keep_readings(cx).await?;
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
            packs_read: c.packs_read,
            packs_unread: c.packs_unread,
            waits_since: c.waits_since,
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
    /// When the check began.
    at: Timestamp,
    /// Since when the data of each is verified.
    seen: Mutex<HashMap<String, Option<Timestamp>>>,
    packs: Mutex<Vec<PackMarks>>,
    /// Snapshots that were recorded later than this are not looked for.
    since: SnapshotId,
}

#[async_trait::async_trait]
impl Recorder for Listing {
    async fn item(&self, _cx: &Cx, _tx: Tx<'_>, _item: &ItemResult) -> store::Result<()> {
        Ok(())
    }

    async fn snapshots(&self, cx: &Cx, tx: Tx<'_>, listed: &[SnapshotRecord]) -> store::Result<()> {
        {
            // They are written in batches: what was told of them at the end may have come before.
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for s in listed {
                seen.entry(s.id.clone()).or_insert(None);
            }
        }
        self.adopt.snapshots(cx, tx, listed).await
    }

    async fn packs_read(&self, _cx: &Cx, tx: Tx<'_>, packs: &[u8]) -> store::Result<()> {
        readings::add(tx, self.adopt.repository, &readings::Reading { mark: Mark { at: self.at, read: true }, packs: packs.to_vec() }).await
    }

    fn learned(&self, what: Learned) {
        match what {
            Learned::Packs(marks) => self.packs.lock().unwrap_or_else(PoisonError::into_inner).push(marks),
            Learned::Verified(at, ids) => self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(ids.into_iter().map(|id| (id, at))),
        }
    }
}

impl Listing {
    /// Keeps when each pack was last read; those that are gone vanish from it.
    async fn keep_readings(&self, cx: &Cx) -> Result<()> {
        let mut all: BTreeMap<(Timestamp, bool), Vec<u8>> = BTreeMap::new();
        for marks in std::mem::take(&mut *self.packs.lock().unwrap_or_else(PoisonError::into_inner)) {
            all.entry((marks.mark.at, marks.mark.read)).or_default().extend(marks.packs.0);
        }
        let all: Vec<_> = all.into_iter().map(|((at, read), packs)| readings::Reading { mark: Mark { at, read }, packs }).collect();
        let mut t = cx.begin(&[]).await?;
        readings::replace(t.tx(), self.adopt.repository, &all).await?;
        cx.commit(t).await?;
        Ok(())
    }

    /// Records since when the data of these snapshots is verified, where that has changed.
    async fn verified(&self, cx: &Cx, page: &[KnownRow]) -> Result<()> {
        let changed: Vec<_> = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let now = |s: &KnownRow| seen.get(&s.restic_id).copied().map(|since| (SnapshotId(s.id), since));
            page.iter().filter_map(|s| now(s).filter(|(_, since)| since.map(|t| t.0) != s.data_verified_at)).collect()
        };
        if changed.is_empty() {
            return Ok(());
        }
        let mut t = cx.begin(&[]).await?;
        for (id, since) in changed {
            snapshots::set_data_verified(t.tx(), id, since).await?;
        }
        cx.commit(t).await?;
        Ok(())
    }

    /// Records that snapshots are gone which the repository does not list, and since when the others are verified; how
    /// many are gone.
    async fn vanished(&self, cx: &Cx, row: &RepositoryRow) -> Result<i64> {
        let (mut after, mut vanished) = (Uuid::nil(), 0);
        loop {
            let page = snapshots::known(cx.deps.db.read().await?.tx(), row.id(), after, self.since.0, PAGE).await?;
            let Some(last) = page.last() else { return Ok(vanished) };
            after = last.id;
            self.verified(cx, &page).await?;
            let missing: Vec<String> = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                page.into_iter().map(|s| s.restic_id).filter(|id| !seen.contains_key(id)).collect()
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
    params: CheckParams,
    /// Without the findings.
    result: CheckResult,
    errors: usize,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = ();

    fn input(&self) -> Value {
        json!({"errors": self.errors, "size_bytes": self.result.size_bytes})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let (now, state) = (cx.now(), if self.errors == 0 { "ok" } else { "damaged" });
        let (r, read) = (&self.result, self.params.read_data || self.params.slice.is_some());
        let mut t = cx.begin(&[]).await?;
        repositories::set_checked(t.tx(), self.repository, state, self.params.read_data, now).await?;
        repositories::set_size(t.tx(), self.repository, None, Some(r.size_bytes), now).await?;
        repositories::set_read(t.tx(), self.repository, r.packs, r.packs_unread, r.waits_since, read.then_some(now)).await?;
        repositories::measure(t.tx(), self.repository, now).await?;
        cx.commit(t).await?;
        Ok(Done::ok(()))
    }
}
