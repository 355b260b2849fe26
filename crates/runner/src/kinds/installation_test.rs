//! A restore test of Holdfast itself: its newest copy is brought back beside, compared, measured, torn down (R62).
//!
//! Lives here: the steps `choose`, `bring_back`, `tear_down`, `record`. May not: the installation that runs.
//! Invariant: the verdict comes from [`join`]; what could not be checked never passes.

use std::path::{Path, PathBuf};

use domain::{
    evidence::{CheckOutcome, Verdict, join},
    id::RepositoryId,
    installation::InstallationTestResult,
    run::RunEvent,
    units::{Timestamp, count},
    work::{StepFailure, Teardown},
};
use engine::job::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    Db, installation,
    portable::{self, Lost},
};

use super::{blocking, given, repository};
use crate::{
    child::{self, Nothing},
    exec::{Cx, Ended, Exec},
    files,
    installation::{Manifest, read},
    step::{Break, Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Choose::NAME, BringBack::NAME, TearDown::NAME, Record::NAME];

/// From this step on the work lies in the data folder of one machine.
pub const BRING_BACK: &str = BringBack::NAME;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let scratch = exec.cx.deps.data_dir.join("scratch").join(exec.cx.id().to_string());
    let chosen = exec.step(Choose { repository: id }).await?;
    let brought = exec.step(BringBack { repository: id, chosen: chosen.clone(), scratch: scratch.clone() }).await?;
    let teardown = exec.step(TearDown { scratch }).await?;
    let result = exec.step(Record { repository: id, chosen, brought, teardown }).await?;
    let first = |wanted: Verdict| result.checks.iter().find(|c| c.verdict == wanted).map_or_else(String::new, |c| format!(": {}", c.detail));
    let (event, failure) = match result.verdict {
        Verdict::Passed => (RunEvent::Succeed, None),
        Verdict::Failed => {
            let words = format!("Holdfast could not be brought back from this copy{}", first(Verdict::Failed));
            (RunEvent::Fail, Some(StepFailure::new("checks_failed", words, true)))
        }
        Verdict::Unknown => {
            let words = format!("it could not be told whether Holdfast can be brought back{}", first(Verdict::Unknown));
            (RunEvent::FinishPartly, Some(StepFailure::new("could_not_check", words, false)))
        }
    };
    Ok(Ended::new(event, &result, failure))
}

/// The copy, pinned.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chosen {
    copy: String,
    taken_at: Timestamp,
    started_at: Timestamp,
}

struct Choose {
    repository: RepositoryId,
}

#[async_trait::async_trait]
impl Step for Choose {
    const NAME: &'static str = "choose";
    type Out = Chosen;

    fn input(&self) -> Value {
        json!({"repository": self.repository})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Chosen>> {
        let row = repository(cx, self.repository).await?;
        let newest = installation::copies(cx.deps.db.read().await?.tx(), self.repository, 1).await?.pop();
        let newest = newest.ok_or_else(|| permanent("not_found", format!("{} holds no copy of Holdfast itself yet; make one first", row.name)))?;
        Ok(Done::ok(Chosen { copy: newest.restic_id, taken_at: Timestamp(newest.taken_at), started_at: cx.now() }))
    }
}

/// What came back and what was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Brought {
    checks: Vec<CheckOutcome>,
    rto_s: Option<f64>,
    tables: i64,
    rows: i64,
    bytes: i64,
    audit_events: i64,
}

struct BringBack {
    repository: RepositoryId,
    chosen: Chosen,
    scratch: PathBuf,
}

#[async_trait::async_trait]
impl Step for BringBack {
    const NAME: &'static str = "bring_back";
    type Out = Brought;

    fn input(&self) -> Value {
        json!({"copy": self.chosen.copy, "scratch": self.scratch})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Brought>> {
        let (scratch, folder) = (self.scratch.clone(), self.scratch.join("copy"));
        let made = blocking(move || files::remove(&scratch).and_then(|()| files::make(&scratch))).await?;
        made.map_err(|e| permanent("denied", format!("the scratch folder {} cannot be made: {e}", self.scratch.display())))?;
        let row = repository(cx, self.repository).await?;
        let begun = tokio::time::Instant::now();
        let mark = cx.id().0.simple().to_string();
        match child::job(cx, Self::NAME, &row, |access| read::fetch(access, &self.chosen.copy, folder.clone(), &mark), &Nothing).await {
            Ok(Outcome::Restore(_)) => {}
            Ok(other) => return Err(child::unexpected(&other)),
            Err(Break::Failed(f)) if f.permanent || cx.run.attempts >= cx.run.max_attempts => {
                // A copy that is gone or damaged is an answer; one that could not be reached is none.
                let answer = matches!(f.code.as_str(), "damaged" | "not_found");
                let verdict = if answer { Verdict::Failed } else { Verdict::Unknown };
                let brought = Brought { checks: vec![check("fetch", verdict, f.message.clone())], ..Brought::default() };
                return Ok(Done { out: brought, tolerated: Some(f) });
            }
            Err(other) => return Err(other),
        }
        let mut brought = match compare(&folder, &self.scratch).await {
            Ok(brought) => brought,
            Err(Lost::Copy(words)) => Brought { checks: vec![check("records", Verdict::Failed, words)], ..Brought::default() },
            Err(Lost::Store(e)) => return Err(Break::Failed(StepFailure::new("internal", format!("the scratch database: {e}"), false))),
        };
        brought.rto_s = Some(begun.elapsed().as_secs_f64());
        Ok(Done::ok(brought))
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let (scratch, shown) = (self.scratch.clone(), self.scratch.display());
        let gone = blocking(move || files::remove(&scratch)).await?;
        gone.map_err(|e| Break::Failed(StepFailure::new("denied", format!("the scratch folder {shown} cannot be removed: {e}; remove it by hand"), false)))?;
        cx.log("info", format!("the scratch folder {shown} is gone")).await
    }
}

/// Brings the records into a database of their own, writes them out again and compares the two.
async fn compare(folder: &Path, scratch: &Path) -> Result<Brought, Lost> {
    let manifest = read::manifest(folder).await?;
    let url = format!("sqlite://{}", scratch.join("holdfast.db").display());
    let db = Db::open_at(&url, manifest.schema).await?;
    let mut t = db.begin().await?;
    let rows = read::records(t.tx(), folder, &manifest).await?;
    t.commit().await?;
    db.close().await;
    // Today's program goes on with it, as after a loss.
    let db = Db::open(&url).await?;
    let again = scratch.join("again");
    files::make(&again).map_err(|e| Lost::Copy(format!("{}: {e}", again.display())))?;
    let mut t = db.begin_read().await?;
    let exported = portable::export(t.tx(), &again).await?;
    drop(t);
    db.close().await;

    let tables = manifest.tables.len() as i64;
    let mut checks = vec![
        check("files", Verdict::Passed, format!("the {tables} files of tables have the hashes of the manifest")),
        check("records", Verdict::Passed, format!("{} rows came into an empty database", count(rows))),
        check(
            "audit_chain",
            Verdict::Passed,
            format!("{} events, each following from the one before, to the one that the manifest names", count(manifest.audit_seq)),
        ),
    ];
    checks.push(same(&manifest, &exported));
    if read::sealed(folder).await?.is_some() != manifest.sealed_for.is_some() {
        checks.push(check("secrets", Verdict::Failed, "the manifest and the copy disagree on whether there are sealed secrets".to_owned()));
    }
    Ok(Brought { checks, rto_s: None, tables, rows, bytes: manifest.bytes(), audit_events: manifest.audit_seq })
}

/// Whether the database that came back holds the same, row by row and byte by byte.
fn same(manifest: &Manifest, exported: &portable::Exported) -> CheckOutcome {
    // After an upgrade tables may have columns that the copy does not know; their rows are counted.
    let upgraded = manifest.schema != exported.schema;
    for table in &manifest.tables {
        let found = exported.tables.iter().find(|t| t.name == table.name);
        let equal = found.is_some_and(|t| t.rows == table.rows && (upgraded || t.sha256 == table.sha256));
        if !equal {
            let rows = found.map_or(0, |t| t.rows);
            return check(
                "compare",
                Verdict::Failed,
                format!("table {}: {} rows were copied, and what came back has {} or differs in them", table.name, table.rows, rows),
            );
        }
    }
    let words = if upgraded {
        format!("all tables have as many rows as were copied, migrated from schema {} to {}", manifest.schema, exported.schema)
    } else {
        "written out again, every table is the same byte for byte".to_owned()
    };
    check("compare", Verdict::Passed, words)
}

fn check(name: &str, verdict: Verdict, detail: String) -> CheckOutcome {
    CheckOutcome::new(name, verdict, detail)
}

struct TearDown {
    scratch: PathBuf,
}

#[async_trait::async_trait]
impl Step for TearDown {
    const NAME: &'static str = "tear_down";
    type Out = Teardown;

    fn input(&self) -> Value {
        json!({"scratch": self.scratch})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Teardown>> {
        super::restore_test::tear_down(cx, &self.scratch).await
    }
}

struct Record {
    repository: RepositoryId,
    chosen: Chosen,
    brought: Brought,
    teardown: Teardown,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = InstallationTestResult;

    fn input(&self) -> Value {
        json!({"copy": self.chosen.copy, "checks": self.brought.checks.len()})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<InstallationTestResult>> {
        let b = &self.brought;
        let mut checks = b.checks.clone();
        let torn_down = if self.teardown.gone_at.is_some() { Verdict::Passed } else { Verdict::Failed };
        checks.push(check("teardown", torn_down, format!("{}: {}", self.teardown.scratch, self.teardown.detail)));
        // What could not be tried says nothing about the copy.
        let untried = checks.iter().any(|c| c.verdict == Verdict::Unknown) && !checks.iter().any(|c| c.verdict == Verdict::Failed);
        let verdict = if untried { Verdict::Unknown } else { join(&checks, b.rows, b.tables) };
        let result = InstallationTestResult {
            verdict,
            copy: self.chosen.copy.clone(),
            taken_at: self.chosen.taken_at,
            rto_s: b.rto_s,
            rpo_s: self.chosen.started_at.as_secs() - self.chosen.taken_at.as_secs(),
            tables: b.tables,
            rows: b.rows,
            bytes: b.bytes,
            audit_events: b.audit_events,
            checks,
            teardown: self.teardown.clone(),
        };
        let mut t = cx.begin(&[]).await?;
        installation::set_test(t.tx(), self.repository, &self.chosen.copy, verdict, b.rto_s, cx.now()).await?;
        cx.commit(t).await?;
        Ok(Done::ok(result))
    }
}
