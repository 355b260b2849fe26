//! What the scheduler does: ticks that are due become runs or missed rows, runs that take too long are stopped.
//!
//! Lives here: one transaction for the pointer, the rows of the ledger and the runs (R17, R18).
//! May not: when to look (`runner::scheduler`). Invariant: of any number of schedulers at once, one advances a pointer;
//! the others change nothing.

use domain::{
    id::{RunId, ScheduleId, ServiceId},
    instance::SnapshotParams,
    reading::Slice,
    schedule::{Decision, Due, MOST_CAUGHT_UP, Misfire, Missed, ScheduleKind, decide},
    units::{Timestamp, span},
    work::{CheckParams, PruneParams, RestoreTestParams},
};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{
    Tx,
    audit::NewEvent,
    db::Transaction,
    items::{self, ItemRow},
    queue, repositories,
    schedules::{self, ScheduleRow},
    services::{self, ServiceRow},
    sources::{self, SourceRow},
    ticks::{self, Became, NewTick},
    wake,
};
use uuid::Uuid;

use super::draft;
use crate::{
    Actor, Ctx, OpsError, Result, backups, checks,
    cron::{self, Cron},
    instances,
    permission::{Action, require},
    prunes,
    repositories::{Need, require_files},
    restore_tests,
    runs::{self, Asked, Start},
};

/// Rows that one transaction writes; a long time of being down takes several.
const BATCH: usize = 500;
/// Schedules and runs that one look takes on.
const MOST_AT_ONCE: i64 = 200;
/// Instances of a source that one tick takes on.
const MOST_INSTANCES: i64 = 10_000;

/// Ticks that tell how often a schedule comes.
const TICKS_LOOKED_AT: usize = 40;

/// What came of a look at a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    pub runs: Vec<RunId>,
    /// Rows without a run.
    pub missed: usize,
}

/// Schedules with a tick that is due, the longest waiting first.
pub async fn due(ctx: &Ctx) -> Result<Vec<ScheduleId>> {
    require(ctx, Action::Operate)?;
    Ok(schedules::due(ctx.db.read().await?.tx(), ctx.now(), MOST_AT_ONCE).await?)
}

/// When the next tick of any schedule is due.
pub async fn next_run_at(ctx: &Ctx) -> Result<Option<Timestamp>> {
    require(ctx, Action::Operate)?;
    Ok(schedules::next_run_at(ctx.db.read().await?.tx()).await?)
}

/// Lets every tick of a schedule that is due become a run or a missed row. Nothing where another scheduler was first.
pub async fn tick(ctx: &Ctx, id: ScheduleId) -> Result<Ticked> {
    require(ctx, Action::Operate)?;
    let mut ticked = Ticked::default();
    loop {
        let mut t = ctx.db.begin_audited().await?;
        let Some(row) = schedules::find(t.tx(), id).await?.filter(|s| s.removed_at.is_none()) else { break };
        let Some(pass) = advance(ctx, &mut t, &row, row.misfire()?).await? else { break };
        t.commit().await?;
        if !pass.ticked.runs.is_empty() {
            wake::queue();
        }
        ticked.runs.extend(pass.ticked.runs);
        ticked.missed += pass.ticked.missed;
        if !pass.more {
            break;
        }
    }
    Ok(ticked)
}

/// Writes what is due into the ledger as missed, before the schedule changes.
pub(super) async fn settle(ctx: &Ctx, t: &mut Transaction, row: &ScheduleRow) -> Result<()> {
    let mut row = row.clone();
    while let Some(pass) = advance(ctx, t, &row, Misfire::Skip).await? {
        if !pass.more {
            break;
        }
        row = schedules::find(t.tx(), row.id()).await?.ok_or_else(|| OpsError::not_found("schedule", &row.name))?;
    }
    Ok(())
}

/// One transaction's part of what is due.
struct Pass {
    ticked: Ticked,
    more: bool,
}

async fn advance(ctx: &Ctx, t: &mut Transaction, row: &ScheduleRow, misfire: Misfire) -> Result<Option<Pass>> {
    let now = ctx.now();
    let (cron, zone) = rule(row)?;
    let with_jitter = |at: Timestamp| Due { at, run_at: at.plus_secs(jitter(&row.name, at, row.jitter_s)) };
    let mut times = std::iter::once(Timestamp(row.next_at)).chain(cron.after(Timestamp(row.next_at), &zone)).map(with_jitter).peekable();
    let mut due = Vec::new();
    while let Some(one) = times.next_if(|d| d.run_at <= now) {
        due.push(one);
    }
    if due.is_empty() {
        return Ok(None);
    }
    let decided = decide(&due, misfire, row.pause(), now);
    let kind = row.kind()?;
    let jobs = jobs(t.tx(), row, kind).await?;
    // Those that may still run are the newest ones: they are left for the last transaction.
    let batch = (BATCH / jobs.len().max(1)).max(1);
    let more = due.len() > batch + MOST_CAUGHT_UP;
    let (n, next) = if more { (batch, Some(due[batch])) } else { (due.len(), times.next()) };
    let next = next.unwrap_or(Due { at: Timestamp(i64::MAX), run_at: Timestamp(i64::MAX) });
    if !schedules::advance(t.tx(), row, next.at, next.run_at).await? {
        return Ok(None);
    }
    let mut ticked = Ticked::default();
    for (due, decision) in due.iter().zip(decided).take(n) {
        for job in &jobs {
            if ticks::has(t.tx(), row.id(), due.at, job.id).await? {
                continue;
            }
            let became = become_of(ctx, t, row, job, *due, decision).await?;
            match &became {
                Became::Run(run) => ticked.runs.push(*run),
                Became::Missed(..) => ticked.missed += 1,
            }
            let new = NewTick { schedule: row.id(), due_at: due.at, kind, service: job.service, target_id: job.id, target: &job.name, became };
            ticks::insert(t.tx(), &new, now).await?;
        }
    }
    Ok(Some(Pass { ticked, more }))
}

fn rule(row: &ScheduleRow) -> Result<(Cron, jiff::tz::TimeZone)> {
    let unusable = |what: String| OpsError::Conflict(format!("the schedule {} cannot be used: {what}; change it", row.name));
    let cron = Cron::parse(&row.cron).map_err(|e| unusable(format!("its expression {e}")))?;
    let zone = cron::zone(&row.zone).ok_or_else(|| unusable(format!("its time zone {} is not known here", row.zone)))?;
    Ok((cron, zone))
}

/// The longest time between two of the next ticks after `at`, in seconds, with the jitter of the later one.
fn longest_pause(row: &ScheduleRow, at: Timestamp) -> Result<i64> {
    let (cron, zone) = rule(row)?;
    let times: Vec<Timestamp> = std::iter::once(at).chain(cron.after(at, &zone).take(TICKS_LOOKED_AT)).collect();
    let longest = times.windows(2).map(|w| (w[1].0 - w[0].0) / 1_000_000).max();
    Ok(longest.unwrap_or(i64::from(u32::MAX)) + row.jitter_s.max(0))
}

/// How much later than its time a tick runs, in seconds: by chance, but the same for whoever asks.
pub(super) fn jitter(name: &str, at: Timestamp, jitter_s: i64) -> i64 {
    let hash = Sha256::digest(format!("{name} {}", at.0));
    let number = hash.iter().take(7).fold(0_i64, |n, b| n << 8 | i64::from(*b));
    number % (jitter_s.max(0) + 1)
}

/// One thing that each tick of a schedule is for.
struct Job {
    id: Uuid,
    name: String,
    service: Option<ServiceId>,
    what: What,
}

#[allow(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
enum What {
    Backup(ServiceRow, SourceRow),
    Instance(ServiceRow, SourceRow, ItemRow, SnapshotParams),
    Check(repositories::RepositoryRow),
    Prune(repositories::RepositoryRow),
    RestoreTest(ServiceRow),
    /// It is no longer configured.
    Gone(String),
}

async fn jobs(mut tx: Tx<'_>, row: &ScheduleRow, kind: ScheduleKind) -> Result<Vec<Job>> {
    let gone = |id: Option<Uuid>, what: &str| {
        let text = format!("{what} {} is no longer configured", row.of());
        vec![Job { id: id.unwrap_or(row.id), name: row.of(), service: row.service_id.map(ServiceId), what: What::Gone(text) }]
    };
    if kind.of_repository() {
        let found = match row.repository_id {
            Some(id) => repositories::find(tx, domain::id::RepositoryId(id)).await?.filter(|r| r.removed_at.is_none()),
            None => None,
        };
        return Ok(match found {
            // A place that became a cloud has nothing to check and nothing to prune.
            Some(r) if require_files(&r, Need::Check).is_err() => gone(row.repository_id, "as a repository of files,"),
            Some(r) => {
                vec![Job { id: r.id, name: r.name.clone(), service: None, what: if kind == ScheduleKind::Prune { What::Prune(r) } else { What::Check(r) } }]
            }
            None => gone(row.repository_id, "the repository"),
        });
    }
    let service = match row.service_id {
        Some(id) => services::find(tx.by_ref(), ServiceId(id)).await?.filter(|s| s.removed_at.is_none()),
        None => None,
    };
    let Some(service) = service else { return Ok(gone(row.service_id, "the service")) };
    if kind == ScheduleKind::RestoreTest {
        return Ok(vec![Job { id: service.id, name: service.name.clone(), service: Some(service.id()), what: What::RestoreTest(service) }]);
    }
    let all = sources::of_service(tx.by_ref(), service.id()).await?;
    let chosen: Vec<_> = all.into_iter().filter(|s| row.source_id.is_none_or(|id| s.id == id)).collect();
    if chosen.is_empty() {
        return Ok(gone(row.source_id.or(row.service_id), if row.source_id.is_some() { "the source" } else { "any source of" }));
    }
    let mut jobs = Vec::new();
    for source in chosen {
        if source.kind == instances::KIND {
            jobs.extend(instance_jobs(tx.by_ref(), row, &service, source).await?);
        } else {
            let name = format!("{}/{}", service.name, source.name);
            jobs.push(Job { id: source.id, name, service: Some(service.id()), what: What::Backup(service.clone(), source) });
        }
    }
    Ok(jobs)
}

/// One for each instance that the source lists, or for the one that the schedule names. Where there is none, the tick
/// has the source's row, which says so.
async fn instance_jobs(mut tx: Tx<'_>, row: &ScheduleRow, service: &ServiceRow, source: SourceRow) -> Result<Vec<Job>> {
    let asked = draft::snapshot_of(&row.params.0)?.unwrap_or_default();
    let chosen = if asked.instance.is_empty() {
        items::present(tx, source.id(), "", MOST_INSTANCES).await?
    } else {
        items::find_by_name(tx.by_ref(), source.id(), &asked.instance).await?.into_iter().filter(|i| i.gone_at.is_none()).collect()
    };
    let name = format!("{}/{}", service.name, source.name);
    if chosen.is_empty() {
        let text = if asked.instance.is_empty() { format!("{name} lists no instance") } else { format!("{name} lists no instance {}", asked.instance) };
        return Ok(vec![Job { id: source.id, name, service: Some(service.id()), what: What::Gone(text) }]);
    }
    let job = |item: ItemRow| Job {
        id: item.id,
        name: format!("{name}: {}", item.name),
        service: Some(service.id()),
        what: What::Instance(service.clone(), source.clone(), item, asked.clone()),
    };
    Ok(chosen.into_iter().map(job).collect())
}

async fn become_of(ctx: &Ctx, t: &mut Transaction, row: &ScheduleRow, job: &Job, due: Due, decision: Decision) -> Result<Became> {
    let late = match decision {
        Decision::Missed(reason) => {
            let detail = (reason == Missed::Paused).then(|| row.pause_reason.clone()).flatten();
            return Ok(Became::Missed(reason, detail));
        }
        Decision::CatchUp => Some(format!("tick:{}:{}:{}", row.id, due.at.0, job.id)),
        Decision::Run => {
            if let Some(run) = ticks::open_run(t.tx(), row.id(), job.id).await? {
                return Ok(Became::Missed(Missed::Overlap, Some(run.to_string())));
            }
            None
        }
    };
    let actor = Actor::schedule(&row.name);
    let ctx = &Ctx { actor, origin: "schedule".into(), ..ctx.clone() };
    let asked_by = Asked { schedule: row.id(), max_duration_s: row.max_duration_s };
    let params = row.params.0.clone();
    let started = match &job.what {
        What::Gone(text) => return Ok(Became::Missed(Missed::NoTarget, Some(text.clone()))),
        What::Backup(service, source) => start(ctx, t, backups::order(&service.name, source, None, None)?, late, asked_by).await,
        What::Instance(service, source, item, asked) => start(ctx, t, instances::order(&service.name, source, item, asked.clone(), None), late, asked_by).await,
        What::Check(repository) => {
            let mut params: CheckParams = serde_json::from_value(params).map_err(OpsError::internal)?;
            params.slice = match repository.read_all_within_s {
                Some(within_s) if !params.read_data => Some(Slice { within_s, every_s: longest_pause(row, due.at)? }),
                _ => None,
            };
            start(ctx, t, checks::order(repository, params, None), late, asked_by).await
        }
        What::Prune(repository) => {
            let params: PruneParams = serde_json::from_value(params).map_err(OpsError::internal)?;
            start(ctx, t, prunes::order(repository, params, None), late, asked_by).await
        }
        What::RestoreTest(service) => {
            let params: RestoreTestParams = serde_json::from_value(params).map_err(OpsError::internal)?;
            match restore_tests::with_terms(t.tx(), service, params).await {
                Ok(params) => start(ctx, t, restore_tests::order(service, params, None)?, late, asked_by).await,
                Err(OpsError::NotFound { .. }) => {
                    return Ok(Became::Missed(Missed::NoTarget, Some("its definition is gone; change the schedule".to_owned())));
                }
                Err(e) => Err(e),
            }
        }
    };
    match started {
        Ok(run) => Ok(Became::Run(run)),
        Err(OpsError::Underway { run, .. }) => Ok(Became::Missed(Missed::Underway, Some(run.to_string()))),
        Err(e) => Err(e),
    }
}

/// A late run has a key of its own, so that it waits for the runs before it and is not taken for them.
async fn start<P: Serialize>(ctx: &Ctx, t: &mut Transaction, mut order: Start<P>, late: Option<String>, asked: Asked) -> Result<RunId> {
    if late.is_some() {
        order.unique_key = late;
    }
    runs::enqueue_in(ctx, t, order, Some(asked)).await
}

/// Stops runs that take longer than their schedule allows; how many.
pub async fn stop_overlong(ctx: &Ctx) -> Result<usize> {
    require(ctx, Action::Operate)?;
    let found = queue::past_deadline(ctx.db.read().await?.tx(), ctx.now(), MOST_AT_ONCE).await?;
    let mut stopped = 0;
    for (run, max_s) in found {
        match runs::cancel(ctx, run, &format!("it takes longer than its maximum duration of {}", span(max_s as f64))).await {
            Ok(_) => stopped += 1,
            // It has ended by itself.
            Err(OpsError::Conflict(_)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(stopped)
}

/// Sets right what was written while the clock was ahead: pointers return to the next tick, and rows of the ledger about
/// a time that has not come are taken out, but for those with a run. How many schedules were set right.
pub async fn clock_went_back(ctx: &Ctx) -> Result<usize> {
    require(ctx, Action::Operate)?;
    let (mut after, mut done) = (ScheduleId(Uuid::nil()), 0);
    loop {
        let page = schedules::ahead(ctx.db.read().await?.tx(), ctx.now(), after, MOST_AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = *last;
        for id in page {
            done += usize::from(set_back(ctx, id).await?);
        }
    }
}

async fn set_back(ctx: &Ctx, id: ScheduleId) -> Result<bool> {
    let now = ctx.now();
    let mut t = ctx.db.begin_audited().await?;
    let Some(row) = schedules::find(t.tx(), id).await?.filter(|s| s.removed_at.is_none()) else { return Ok(false) };
    let (cron, zone) = rule(&row)?;
    let Some(next) = cron.next(now, &zone).filter(|next| next.0 < row.next_at) else { return Ok(false) };
    if !schedules::advance(t.tx(), &row, next, next.plus_secs(jitter(&row.name, next, row.jitter_s))).await? {
        return Ok(false);
    }
    let rows = ticks::remove_ahead(t.tx(), id, now).await?;
    let event = NewEvent {
        action: "schedule.set_back",
        entity: "schedule",
        entity_id: row.id.to_string(),
        before: Some(json!({"next_at": row.next_at})),
        after: Some(json!({"next_at": next.0, "rows_removed": rows, "reason": "the clock had been ahead"})),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(true)
}
