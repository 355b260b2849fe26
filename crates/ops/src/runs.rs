//! Runs: reading, cancelling, trying again; and how any use case puts one into the queue.
//!
//! Lives here: the use cases that hold for every kind. May not: carrying a run out (that is `runner`).
//! Invariant: a run, its first event and its audit event are one transaction.

use domain::{
    id::{RepositoryId, RunId, ScheduleId, ServiceId, SourceId},
    run::{ItemState, RunKind, RunState},
    units::Timestamp,
    work::{BackupParams, CheckParams, PruneParams, RestoreParams, RestoreTarget, RestoreTestParams},
};
use serde::Serialize;
use serde_json::{Value, json};
use store::{
    audit::NewEvent,
    db::Transaction,
    ids::NewId,
    queue::{self, Cancelled, NewRun},
    repositories::{self, RepositoryRow},
    run_events::{self, Least, NewRunEvent, RunEventRow},
    run_items::{self, RunItemRow},
    runs::{self, Filter, ListedRun, RunRow},
    services::{self, ServiceRow},
    sources::{self, SourceRow},
    steps::{self, StepRow},
    wake,
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result, backups, checks, clones, installation, instances, offsite,
    permission::{Action, On, Sight, allowed, merged, require_on, require_run, sight},
    prunes, restore_tests, restores, tamper_tests,
};

/// The longest page that a list gives.
pub const PAGE: i64 = 500;
/// Live runs that are looked at for whoever sees some of them.
const MOST_LIVE: i64 = 10_000;

/// Runs, the newest first, before the key of the last one seen.
pub async fn list(ctx: &Ctx, filter: Filter, before: Option<(Timestamp, RunId)>, limit: i64) -> Result<Vec<ListedRun>> {
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, PAGE);
    let Sight::Part { services, .. } = sight(ctx, Action::Read)? else {
        return Ok(runs::page(ctx.db.read().await?.tx(), filter, before, limit).await?);
    };
    let mut read = ctx.db.read().await?;
    let mut pages = vec![runs::page_of_actor(read.tx(), &ctx.actor.name, filter, before, limit).await?];
    for service in services.into_iter().filter(|s| filter.service.is_none_or(|of| of == *s)) {
        pages.push(runs::page(read.tx(), Filter { service: Some(service), ..filter }, before, limit).await?);
    }
    Ok(merged(pages, |r| (r.run.queued_at, r.run.id), limit))
}

/// Runs that are running or wait.
pub async fn live(ctx: &Ctx, limit: i64) -> Result<Vec<ListedRun>> {
    let sight = sight(ctx, Action::Read)?;
    let limit = limit.clamp(1, PAGE);
    let mut all = runs::live(ctx.db.read().await?.tx(), if sight == Sight::All { limit } else { MOST_LIVE }).await?;
    all.retain(|r| sight.of(r.run.service_id) || r.run.actor == ctx.actor.name);
    all.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(all)
}

/// How many runs queued since then are in each state.
pub async fn count_by_state(ctx: &Ctx, since: Timestamp) -> Result<Vec<(String, i64)>> {
    let Sight::Part { services, .. } = sight(ctx, Action::Read)? else {
        return Ok(runs::count_by_state(ctx.db.read().await?.tx(), since).await?);
    };
    let mut read = ctx.db.read().await?;
    let mut all = std::collections::BTreeMap::<String, i64>::new();
    for service in services {
        for (state, n) in runs::count_of_service(read.tx(), service, since).await? {
            *all.entry(state).or_default() += n;
        }
    }
    Ok(all.into_iter().collect())
}

pub async fn find(ctx: &Ctx, id: RunId) -> Result<RunRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = runs::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("run", id))?;
    require_run(ctx, Action::Read, &row)?;
    Ok(row)
}

/// What a run is about. What was removed from the configuration is still named.
#[derive(Clone, Debug)]
pub struct About {
    pub service: Option<ServiceRow>,
    pub source: Option<SourceRow>,
    pub repository: Option<RepositoryRow>,
}

pub async fn about(ctx: &Ctx, run: &RunRow) -> Result<About> {
    require_run(ctx, Action::Read, run)?;
    let mut read = ctx.db.read().await?;
    let mut about = About { service: None, source: None, repository: None };
    if let Some(id) = run.service_id {
        about.service = services::find(read.tx(), ServiceId(id)).await?;
    }
    if let Some(id) = run.source_id {
        about.source = sources::find(read.tx(), SourceId(id)).await?;
    }
    if let Some(id) = run.repository_id {
        about.repository = repositories::find(read.tx(), RepositoryId(id)).await?;
    }
    Ok(about)
}

/// The runs of the same kind before this one, of the same service or, without one, of the same repository; the newest first.
pub async fn earlier(ctx: &Ctx, run: &RunRow, limit: i64) -> Result<Vec<RunRow>> {
    require_run(ctx, Action::Read, run)?;
    if run.service_id.is_some_and(|s| !allowed(&ctx.actor, Action::Read, On::Service(ServiceId(s)))) {
        return Ok(Vec::new());
    }
    let filter = Filter { service: run.service_id.map(ServiceId), kind: Some(run.kind()?), state: None };
    // Checks belong to no service; there are few, so those of other repositories are passed over here.
    let look = if run.service_id.is_some() { limit.clamp(1, PAGE) } else { PAGE };
    let page = runs::page(ctx.db.read().await?.tx(), filter, (Timestamp(run.queued_at), run.id), look).await?;
    let same = page.into_iter().map(|r| r.run).filter(|r| run.service_id.is_some() || r.repository_id == run.repository_id);
    Ok(same.take(usize::try_from(limit).unwrap_or(0)).collect())
}

pub async fn steps(ctx: &Ctx, id: RunId) -> Result<Vec<StepRow>> {
    find(ctx, id).await?;
    Ok(steps::of_run(ctx.db.read().await?.tx(), id).await?)
}

/// Results of items after the name `after`, those of one state where it is given.
pub async fn items(ctx: &Ctx, id: RunId, state: Option<ItemState>, after: &str, limit: i64) -> Result<Vec<RunItemRow>> {
    find(ctx, id).await?;
    Ok(run_items::page(ctx.db.read().await?.tx(), id, state, after, limit.clamp(1, PAGE)).await?)
}

/// How many items are in each state, with their bytes read and bytes added.
pub async fn item_counts(ctx: &Ctx, id: RunId) -> Result<Vec<(String, i64, i64, i64)>> {
    find(ctx, id).await?;
    Ok(run_items::count(ctx.db.read().await?.tx(), id).await?)
}

/// What happened after the event `seq`, the oldest first. Wait for more with `store::wake`.
pub async fn events_after(ctx: &Ctx, id: RunId, seq: i64, limit: i64) -> Result<Vec<RunEventRow>> {
    find(ctx, id).await?;
    Ok(run_events::after(ctx.db.read().await?.tx(), id, seq, limit.clamp(1, PAGE)).await?)
}

/// What of a log is shown.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    pub least: Least,
    /// Part of a message, case aside; everything where empty.
    pub search: String,
}

/// The log before the event `before` (`None`: its end), the oldest first.
pub async fn log(ctx: &Ctx, id: RunId, filter: &LogFilter, before: Option<i64>, limit: i64) -> Result<Vec<RunEventRow>> {
    find(ctx, id).await?;
    let search: String = filter.search.trim().chars().take(200).collect();
    Ok(run_events::log(ctx.db.read().await?.tx(), id, filter.least, &search, before.unwrap_or(i64::MAX), limit.clamp(1, PAGE)).await?)
}

/// Cancels a run: at once where it has not begun, otherwise its worker stops it and cleans up.
pub async fn cancel(ctx: &Ctx, id: RunId, reason: &str) -> Result<Cancelled> {
    if !allowed(&ctx.actor, Action::Restore, On::Any) {
        require_on(ctx, Action::Operate, On::Any)?;
    }
    let reason = reason.trim();
    if reason.chars().count() > 500 {
        return Err(OpsError::invalid("reason", "is longer than 500 characters; shorten it"));
    }
    let mut t = ctx.db.begin_audited().await?;
    let Some(run) = runs::find(t.tx(), id).await? else { return Err(OpsError::not_found("run", id)) };
    // Whoever started a restore may stop it.
    let restore = matches!(run.kind(), Ok(RunKind::Restore | RunKind::InstanceClone | RunKind::InstanceRestore)) && run.actor == ctx.actor.name;
    require_run(ctx, if restore { Action::Restore } else { Action::Operate }, &run)?;
    let done = queue::cancel(t.tx(), id, reason, ctx.now()).await?;
    if done == Cancelled::NotLive {
        return Err(OpsError::Conflict(format!("this run has already ended: {}", run.state)));
    }
    let message = match done {
        Cancelled::AtOnce => format!("cancelled by {} before it began", ctx.actor.name),
        _ => format!("{} asked to cancel", ctx.actor.name),
    };
    let message = if reason.is_empty() { message } else { format!("{message}: {reason}") };
    run_events::add_unleased(t.tx(), id, &NewRunEvent { at: ctx.now(), kind: "state", level: "warn", message, detail: Some(json!({"reason": reason})) })
        .await?;
    if let (Some(service), Cancelled::AtOnce) = (run.service_id, done) {
        services::set_run(t.tx(), ServiceId(service), id, RunState::Cancelled.as_str(), ctx.now()).await?;
    }
    let event = NewEvent {
        action: "run.cancel",
        entity: "run",
        entity_id: id.to_string(),
        before: Some(json!({"state": run.state})),
        after: Some(json!({"reason": reason})),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    wake::run(id);
    wake::queue();
    Ok(done)
}

/// What of a run is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    All,
    /// Only the items that failed or are partial.
    FailedItems,
}

/// Starts a new run with what an ended one was asked for; the new run.
///
/// A restore in place is refused: it needs the service's name typed again.
pub async fn retry(ctx: &Ctx, id: RunId, what: Retry) -> Result<RunId> {
    if !allowed(&ctx.actor, Action::Restore, On::Any) {
        require_on(ctx, Action::Operate, On::Any)?;
    }
    let run = find(ctx, id).await?;
    if !matches!(run.kind()?, RunKind::Restore | RunKind::InstanceClone | RunKind::InstanceRestore) {
        require_on(ctx, Action::Operate, On::service(run.service_id))?;
    }
    if run.state()?.is_live() {
        return Err(OpsError::Conflict("this run has not ended; wait for it or cancel it first".to_owned()));
    }
    let failed = match what {
        Retry::All => None,
        Retry::FailedItems => Some(failed_items(ctx, id).await?),
    };
    match run.kind()? {
        RunKind::Backup => {
            let source = SourceId(run.source_id.ok_or_else(|| OpsError::not_found("source", &run.title))?);
            let items = match failed {
                Some(names) => Some(names),
                None => run.params::<BackupParams>()?.items,
            };
            backups::start_source(ctx, source, items, Some(id)).await
        }
        RunKind::Restore => {
            let mut params: RestoreParams = run.params()?;
            if params.target == RestoreTarget::InPlace && !params.preview {
                return Err(OpsError::invalid("confirm", "a restore in place needs the service's name typed again; start it from the restore page"));
            }
            if let Some(names) = failed {
                params.items.retain(|i| names.contains(&i.item));
            }
            let snapshots = params.items.into_iter().map(|i| restores::Choice { snapshot: i.snapshot, paths: i.paths }).collect();
            let request = restores::Request { choices: snapshots, target: params.target, conflict: params.conflict, preview: params.preview, confirm: None };
            restores::start_again(ctx, request, Some(id)).await
        }
        kind if failed.is_some() => Err(OpsError::invalid("items", format!("a run of kind {kind} has no items to try alone; retry all of it"))),
        RunKind::RestoreTest => {
            let params: RestoreTestParams = run.params()?;
            let service = ServiceId(run.service_id.ok_or_else(|| OpsError::not_found("service", &run.title))?);
            restore_tests::retry(ctx, service, params, id).await
        }
        RunKind::Check => {
            let params: CheckParams = run.params()?;
            let repository = RepositoryId(run.repository_id.ok_or_else(|| OpsError::not_found("repository", &run.title))?);
            checks::start_repository(ctx, repository, params, Some(id)).await
        }
        RunKind::Prune => {
            let params: PruneParams = run.params()?;
            let repository = RepositoryId(run.repository_id.ok_or_else(|| OpsError::not_found("repository", &run.title))?);
            prunes::start_repository(ctx, repository, params, Some(id)).await
        }
        kind @ (RunKind::InstallationBackup | RunKind::InstallationTest) => {
            let repository = RepositoryId(run.repository_id.ok_or_else(|| OpsError::not_found("repository", &run.title))?);
            installation::again(ctx, kind, repository, id).await
        }
        RunKind::InstanceSnapshot => instances::again(ctx, &run).await,
        RunKind::InstanceClone => clones::again(ctx, run.params()?, id).await,
        RunKind::InstanceRestore => {
            Err(OpsError::invalid("confirm", "a restore in place needs the service's name typed again; start it from the instance's page"))
        }
        RunKind::OffsiteCopy => offsite::copy_again(ctx, run.params()?, id).await,
        RunKind::OffsiteReturn => offsite::return_again(ctx, run.params()?, id).await,
        RunKind::TamperTest => {
            let repository = RepositoryId(run.repository_id.ok_or_else(|| OpsError::not_found("repository", &run.title))?);
            tamper_tests::start_repository(ctx, repository, Some(id)).await
        }
    }
}

async fn failed_items(ctx: &Ctx, id: RunId) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for state in [ItemState::Failed, ItemState::Partial] {
        let mut after = String::new();
        loop {
            let page = items(ctx, id, Some(state), &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.name);
            names.extend(page.into_iter().map(|i| i.name));
        }
    }
    if names.is_empty() {
        return Err(OpsError::invalid("items", "no item of this run failed; retry all of it"));
    }
    Ok(names)
}

/// A run as a use case asks for it.
pub(crate) struct Start<P> {
    pub kind: RunKind,
    pub service: Option<ServiceId>,
    pub source: Option<SourceId>,
    pub repository: Option<RepositoryId>,
    pub title: String,
    pub params: P,
    pub retry_of: Option<RunId>,
    pub priority: i64,
    pub resource_key: Option<String>,
    pub unique_key: Option<String>,
}

impl<P: Serialize> Start<P> {
    /// The same with parameters that are no longer told apart by their type.
    pub fn untyped(self) -> Result<Start<Value>> {
        let Self { kind, service, source, repository, title, params, retry_of, priority, resource_key, unique_key } = self;
        let params = serde_json::to_value(params).map_err(OpsError::internal)?;
        Ok(Start { kind, service, source, repository, title, params, retry_of, priority, resource_key, unique_key })
    }
}

/// The schedule that asks for a run, and how long that may take in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub schedule: ScheduleId,
    pub max_duration_s: Option<i64>,
}

/// Puts a run into the queue with its first event and its audit event. Permission was asked for by the caller.
pub(crate) async fn enqueue<P: Serialize>(ctx: &Ctx, start: Start<P>) -> Result<RunId> {
    let mut t = ctx.db.begin_audited().await?;
    let run = enqueue_in(ctx, &mut t, start, None).await?;
    t.commit().await?;
    wake::queue();
    Ok(run)
}

/// The same inside the caller's transaction, who has the lock of the audit trail, commits it and wakes the queue. An `Underway` leaves the transaction usable.
pub(crate) async fn enqueue_in<P: Serialize>(ctx: &Ctx, t: &mut Transaction, start: Start<P>, asked: Option<Asked>) -> Result<RunId> {
    let now = ctx.now();
    let params = serde_json::to_value(&start.params).map_err(OpsError::internal)?;
    let new = NewRun {
        id: RunId::new(),
        kind: start.kind,
        service: start.service,
        source: start.source,
        repository: start.repository,
        title: start.title,
        params,
        actor: ctx.actor.name.clone(),
        retry_of: start.retry_of,
        queued_at: now,
        run_at: now,
        priority: start.priority,
        max_attempts: if start.kind.resumes_alone() { 3 } else { 1 },
        resource_key: start.resource_key,
        unique_key: start.unique_key,
        schedule: asked.map(|a| a.schedule),
        max_duration_s: asked.and_then(|a| a.max_duration_s),
    };
    if !queue::enqueue(t.tx(), &new).await? {
        let live = match &new.unique_key {
            Some(key) => queue::live_of_key(t.tx(), key).await?,
            None => None,
        };
        return Err(match live {
            Some(run) => OpsError::Underway { title: new.title, run },
            None => OpsError::Conflict(format!("{}: another run came first; repeat it", new.title)),
        });
    }
    let message = match new.retry_of {
        Some(old) => format!("queued by {} to try run {old} again", new.actor),
        None => format!("queued by {}", new.actor),
    };
    run_events::add_unleased(t.tx(), new.id, &NewRunEvent { at: now, kind: "state", level: "info", message, detail: Some(json!({"state": "queued"})) }).await?;
    let after = json!({"kind": new.kind, "title": new.title, "params": new.params});
    ctx.audit(t.tx(), NewEvent { action: "run.start", entity: "run", entity_id: new.id.to_string(), before: None, after: Some(after) }).await?;
    tracing::info!(run = %new.id, kind = new.kind.as_str(), actor = new.actor, "queued");
    Ok(new.id)
}
