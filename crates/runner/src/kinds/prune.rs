//! A prune of a repository: the space of what no snapshot needs comes back (R13).
//!
//! Lives here: the steps `prepare`, `prune`, `record`. May not: choosing snapshots to forget.
//! Nothing has to be undone: a prune that is stopped at any moment leaves a whole repository, and the next one goes on.
//! While it runs no backup or check of the repository is taken from the queue (`store::queue`); those that run are
//! waited for, as is anybody else's lock.

use domain::{
    id::RepositoryId,
    run::RunEvent,
    work::{PruneParams, PruneResult},
};
use engine::job::{Job, Outcome, PruneJob};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{repositories, runs, sources};

use super::{given, repository};
use crate::{
    child::{self, Nothing},
    exec::{Cx, Ended, Exec},
    step::{Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Prepare::NAME, Prune::NAME, Record::NAME];

/// Live runs whose remains are kept.
const MOST_RUNS: i64 = 10_000;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let params: PruneParams = exec.cx.run.params()?;
    let plan = exec.step(Prepare { repository: id }).await?;
    let result = exec.step(Prune { repository: id, safe_age_s: params.safe_age_s, plan }).await?;
    exec.step(Record { repository: id, result: result.clone() }).await?;
    Ok(Ended::new(RunEvent::Succeed, &result, None))
}

/// What the next passes and live runs need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Plan {
    keep_roots: Vec<String>,
    live_runs: Vec<String>,
}

struct Prepare {
    repository: RepositoryId,
}

#[async_trait::async_trait]
impl Step for Prepare {
    const NAME: &'static str = "prepare";
    type Out = Plan;

    fn input(&self) -> Value {
        json!({"repository": self.repository})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Plan>> {
        let row = repository(cx, self.repository).await?;
        // A missing password is said now.
        drop(ops::secrets::access(&row, &cx.deps.env).await?);
        let mut read = cx.deps.db.read().await?;
        if let Some(why) = ops::prunes::paused(read.tx(), self.repository).await? {
            return Err(permanent("held", format!("prunes of {} pause: {why}", row.name)));
        }
        let keep_roots = sources::roots(read.tx(), self.repository).await?;
        let live = runs::live(read.tx(), MOST_RUNS).await?;
        let live_runs = live.into_iter().filter(|r| r.run.repository_id == Some(self.repository.0)).map(|r| r.run.id.to_string()).collect();
        Ok(Done::ok(Plan { keep_roots, live_runs }))
    }
}

struct Prune {
    repository: RepositoryId,
    safe_age_s: u32,
    plan: Plan,
}

#[async_trait::async_trait]
impl Step for Prune {
    const NAME: &'static str = "prune";
    type Out = PruneResult;

    fn input(&self) -> Value {
        json!({"repository": self.repository, "safe_age_s": self.safe_age_s, "keep_roots": self.plan.keep_roots.len()})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<PruneResult>> {
        let row = repository(cx, self.repository).await?;
        // A hold that was placed while it waited counts, too.
        if let Some(why) = ops::prunes::paused(cx.deps.db.read().await?.tx(), self.repository).await? {
            return Err(permanent("held", format!("prunes of {} pause: {why}", row.name)));
        }
        let Plan { keep_roots, live_runs } = self.plan.clone();
        let make = |access| Job::Prune(PruneJob { access, safe_age_s: self.safe_age_s, keep_roots, live_runs });
        let outcome = child::job(cx, Self::NAME, &row, make, &Nothing).await?;
        let Outcome::Pruned(p) = outcome else { return Err(child::unexpected(&outcome)) };
        Ok(Done::ok(PruneResult {
            roots_removed: p.roots_removed,
            packs_deleted: p.packs_deleted,
            bytes_deleted: p.bytes_deleted,
            packs_marked: p.packs_marked,
            packs_repacked: p.packs_repacked,
            packs_recovered: p.packs_recovered,
            bytes_waiting: p.bytes_waiting,
            bytes_unused: p.bytes_unused,
            size_bytes: p.size_bytes,
        }))
    }
}

struct Record {
    repository: RepositoryId,
    result: PruneResult,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = ();

    fn input(&self) -> Value {
        json!({"bytes_waiting": self.result.bytes_waiting, "size_bytes": self.result.size_bytes})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let mut t = cx.begin(&[]).await?;
        repositories::set_pruned(t.tx(), self.repository, self.result.bytes_waiting, self.result.size_bytes, cx.now()).await?;
        repositories::measure(t.tx(), self.repository, cx.now()).await?;
        cx.commit(t).await?;
        Ok(Done::ok(()))
    }
}
