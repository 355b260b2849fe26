//! A check of a repository: its structure, or every byte.
//!
//! Lives here: the steps `check` and `record`. May not: repairing anything.
//! On the way the repository's snapshots are listed, and those that nobody knew yet are adopted.

use domain::{
    id::RepositoryId,
    run::RunEvent,
    work::{CheckParams, CheckResult, StepFailure},
};
use engine::job::{CheckJob, Job, Outcome};
use serde_json::{Value, json};
use store::repositories;

use super::{adopt::Adopt, given, repository};
use crate::{
    child,
    exec::{Cx, Ended, Exec},
    step::{Done, Result, Step},
};

pub const STEPS: &[&str] = &[Check::NAME, Record::NAME];

/// Errors and warnings that are kept in the run's result.
const KEPT: usize = 200;

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
        let outcome = child::job(cx, Self::NAME, &row, |access| Job::Check(CheckJob { access, read_data }), &Adopt { repository: self.repository }).await?;
        let Outcome::Checked(mut c) = outcome else { return Err(child::unexpected(&outcome)) };
        for (level, lines) in [("error", &c.errors), ("warn", &c.warnings)] {
            let events: Vec<_> = lines.iter().take(KEPT).map(|l| cx.event("log", level, l.clone(), None)).collect();
            if !events.is_empty() {
                let t = cx.begin(&events).await?;
                cx.commit(t).await?;
            }
        }
        c.errors.truncate(KEPT);
        c.warnings.truncate(KEPT);
        let out =
            CheckResult { snapshots: c.snapshots, packs: c.packs, bytes_read: c.bytes_read, size_bytes: c.size_bytes, errors: c.errors, warnings: c.warnings };
        Ok(Done::ok(out))
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
