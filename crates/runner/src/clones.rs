//! Looks after clones: takes away those whose time is over, and notices when one that nobody waited for runs (R23).
//!
//! Lives here: the loop and one look. May not: making a clone (`kinds::instance_clone`), changing its end (`ops::clones`).
//! Invariants: only what bears the clone's mark is deleted; an end is recorded when all of it was looked for and not found;
//! of several processes one looks after a clone at a time.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{
    id::{RepositoryId, RunId},
    instance::{CloneParams, Flavour},
    units::{Timestamp, span},
};
use futures::StreamExt as _;
use serde_json::json;
use store::{
    audit::{self, NewEvent},
    clones::{self, CloneRow},
    repositories,
    run_events::{self, NewRunEvent},
    runs, wake,
};

use crate::{
    Deps,
    clouds::{
        link::{self, Calls},
        mails::{self, NO_CHANNEL, Went},
    },
    kinds::instance_clone::{Made, take_away, words},
    step::{Break, Result},
};

/// How often it looks when nothing wakes it, and how soon after a wake-up.
const EVERY: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(1);
/// For so long a process has a clone to itself, in seconds: longer than taking one away may take. It is also the pause
/// after a failure.
const TURN_S: i64 = 15 * 60;
/// Between two looks at one that is being built, in seconds.
const BUILDING_S: i64 = 15;
/// Between two looks at one that runs, in seconds: somebody may have deleted it.
const STANDING_S: i64 = 6 * 3_600;
/// Clones of one look, and at a time, so that a cloud that does not answer delays no other.
const MOST: i64 = 100;
const SLOTS: usize = 8;
/// One that Nova does not start for so long does not run, in seconds.
const NEVER_S: i64 = 6 * 3_600;

/// What one look brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub ended: usize,
    pub ready: usize,
    /// Those that could not be taken away, or not be looked at.
    pub failed: usize,
}

impl Looked {
    const fn add(&mut self, other: Self) {
        self.ended += other.ended;
        self.ready += other.ready;
        self.failed += other.failed;
    }
}

/// Looks until `shutdown` is ready. Any number of processes may do so on one database.
pub async fn watch(deps: Deps, shutdown: impl Future<Output = ()> + Send) {
    tokio::pin!(shutdown);
    loop {
        let woken = wake::queued();
        let look = async {
            if let Err(e) = Box::pin(look(&deps)).await {
                tracing::warn!(error = ?e, "clones could not be looked after");
            }
            tokio::time::sleep(SOON).await;
            tokio::time::timeout(EVERY, woken).await.ok();
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = look => {}
        }
    }
}

/// One look at all clones that need one.
pub async fn look(deps: &Deps) -> Result<Looked> {
    let now = deps.clock.now();
    let due = clones::due(deps.db.read().await?.tx(), now, now.plus_secs(-BUILDING_S), now.plus_secs(-STANDING_S), MOST).await?;
    let looked = Mutex::new(Looked::default());
    let all = &looked;
    futures::stream::iter(due)
        .for_each_concurrent(SLOTS, |row| async move {
            match turn(deps, &row).await {
                Ok(one) => all.lock().unwrap_or_else(PoisonError::into_inner).add(one),
                Err(e) => tracing::warn!(clone = row.name, error = ?e, "what became of a clone could not be recorded"),
            }
        })
        .await;
    Ok(looked.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The turn of one, if it is this process's.
async fn turn(deps: &Deps, row: &CloneRow) -> Result<Looked> {
    let mut looked = Looked::default();
    let now = deps.clock.now();
    let over = row.expires_at <= now.0;
    let lately = row.tended_at.is_some_and(|at| now.secs_since(Timestamp(at)) < TURN_S as f64);
    // Another process takes it away, or a try has just failed.
    if (lately && (over || row.trouble.is_some())) || !take(deps, row, now).await? {
        return Ok(looked);
    }
    let done = if over { Box::pin(end(deps, row)).await } else { Box::pin(see(deps, row)).await };
    match done {
        Ok(true) if over => looked.ended = 1,
        Ok(true) => looked.ready = 1,
        Ok(false) => {}
        Err(Break::Failed(f)) => {
            looked.failed = 1;
            tracing::warn!(clone = row.name, error = f.message, "a clone could not be looked after");
            trouble(deps, row, Some(&f.message)).await?;
        }
        Err(other) => return Err(other),
    }
    Ok(looked)
}

async fn trouble(deps: &Deps, row: &CloneRow, what: Option<&str>) -> Result<()> {
    let mut t = deps.db.begin().await?;
    clones::set_trouble(t.tx(), row.id(), what).await?;
    Ok(t.commit().await?)
}

async fn take(deps: &Deps, row: &CloneRow, now: Timestamp) -> Result<bool> {
    let mut t = deps.db.begin().await?;
    let taken = clones::take(t.tx(), row, now).await?;
    t.commit().await?;
    Ok(taken)
}

/// Connects to the clone's cloud.
async fn reach(deps: &Deps, row: &CloneRow, calls: &Calls) -> Result<engine::sources::openstack::Cloud> {
    let found = repositories::find(deps.db.read().await?.tx(), RepositoryId(row.repository_id)).await?;
    let cloud = found.ok_or_else(|| crate::step::permanent("not_found", "the cloud of this clone is no longer known; delete it there"))?;
    link::open(deps, &cloud, Some(calls)).await
}

/// Writes the calls into the log of the run that made the clone.
async fn tell(deps: &Deps, row: &CloneRow, calls: &Calls, more: Vec<NewRunEvent>) -> Result<()> {
    let mut events = calls.take();
    events.extend(more);
    if events.is_empty() {
        return Ok(());
    }
    let mut t = deps.db.begin().await?;
    for event in &events {
        run_events::add_unleased(t.tx(), RunId(row.run_id), event).await?;
    }
    t.commit().await?;
    wake::run(RunId(row.run_id));
    Ok(())
}

fn line(deps: &Deps, level: &'static str, message: String) -> NewRunEvent {
    NewRunEvent { at: deps.clock.now(), kind: "log", level, message, detail: None }
}

/// Takes a clone away and records that nothing of it is left.
async fn end(deps: &Deps, row: &CloneRow) -> Result<bool> {
    let calls = Calls::default();
    let made = Made {
        run: row.run_id.to_string(),
        name: row.name.clone(),
        server: Some(row.server_id.clone()).filter(|id| !id.is_empty()),
        volumes: row.volumes.iter().map(|v| v.id.clone()).filter(|id| !id.is_empty()).collect(),
        volume_names: row.volumes.iter().map(|v| v.name.clone()).collect(),
    };
    let gone = async { take_away(&reach(deps, row, &calls).await?, &made).await.map_err(link::failed) };
    let gone = match Box::pin(gone).await {
        Ok(gone) => gone,
        Err(e) => {
            tell(deps, row, &calls, Vec::new()).await?;
            return Err(e);
        }
    };
    let what = if gone.is_empty() { "nothing of it was there any more".to_owned() } else { format!("deleted, looked for and not found: {}", gone.join(", ")) };
    let why = row.ended_why.clone().unwrap_or_else(|| "its time was over".to_owned());
    tell(deps, row, &calls, vec![line(deps, "info", format!("the clone {} has ended, since {why}; {what}", row.name))]).await?;
    let now = deps.clock.now();
    let mut t = deps.db.begin_audited().await?;
    let ended = clones::ended(t.tx(), row.id(), &why, now).await?;
    if ended {
        let before = json!({"name": row.name, "server": row.server_id});
        let after = json!({"why": why, "absent": gone});
        let event = NewEvent { action: "clone.ended", entity: "clone", entity_id: row.id.to_string(), before: Some(before), after: Some(after) };
        audit::record(t.tx(), now, "holdfast", "clones", event).await?;
    }
    t.commit().await?;
    Ok(ended)
}

/// Looks whether a clone runs that nobody waited for; then its mails leave. One that is gone, also after it ran, is to end with
/// what is left of it.
async fn see(deps: &Deps, row: &CloneRow) -> Result<bool> {
    let calls = Calls::default();
    let seen = async { reach(deps, row, &calls).await?.server(&row.server_id).await.map_err(link::failed) };
    let seen = Box::pin(seen).await;
    tell(deps, row, &calls, Vec::new()).await?;
    let age = deps.clock.now().secs_since(Timestamp(row.created_at));
    let seen = seen?;
    let gone = seen.is_none();
    let (went, text) = match seen {
        Some(s) if s.status == "ACTIVE" && s.task.is_none() => {
            let addresses: Vec<String> = s.networks.iter().flat_map(|n| n.addresses.clone()).collect();
            let flavour = Flavour { name: s.flavour.name, vcpus: row.vcpus, ram_mb: row.ram_mb, ..Flavour::default() };
            (Went::Well, words(&row.name, &addresses, &flavour, Timestamp(row.expires_at), &[]))
        }
        Some(s) if s.status == "ERROR" => {
            (Went::Wrong, format!("{} did not start: {}", row.name, s.fault.unwrap_or_else(|| "the cloud does not say why".to_owned())))
        }
        None => (Went::Wrong, format!("{} is no longer in the cloud", row.name)),
        Some(s) if age > NEVER_S as f64 => (Went::Wrong, format!("{} does not run after {}: it is {}", row.name, span(age), s.status)),
        Some(_) => {
            // What an earlier look met has passed.
            if row.trouble.is_some() {
                trouble(deps, row, None).await?;
            }
            return Ok(false);
        }
    };
    let Some(run) = runs::find(deps.db.read().await?.tx(), RunId(row.run_id)).await? else { return Ok(false) };
    let params: CloneParams = run.params()?;
    let to = if went == Went::Well { &params.to_addr_success } else { &params.to_addr_error };
    let now = deps.clock.now();
    let mut t = deps.db.begin().await?;
    let first = clones::ready(t.tx(), row.id(), (went == Went::Wrong).then_some(text.as_str()), now).await?;
    let ends = gone && clones::end(t.tx(), row.id(), "it was no longer in the cloud", now).await?;
    if first || ends {
        let level = if went == Went::Well { "info" } else { "warn" };
        run_events::add_unleased(t.tx(), run.id(), &line(deps, level, text.clone())).await?;
        if mails::queue(t.tx(), &run, went, to, text, now).await?.is_none() {
            tracing::warn!(run = %run.id, NO_CHANNEL);
        }
    }
    t.commit().await?;
    wake::run(RunId(row.run_id));
    if ends {
        wake::queue();
    }
    Ok(first)
}
