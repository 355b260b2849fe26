//! What is wrong now, from the rows that runs keep.
//!
//! Lives here: from facts to conditions. May not: writing, but for one thing: how many items are covered is counted anew
//! when time alone has changed it, so that coverage and alerts never contradict each other.

use std::collections::HashMap;

use domain::{
    alert::{CHECK_LASTS_S, Condition, Entity, Late, Subject, WORST_ITEMS, Wanted},
    availability::source::is_alert,
    id::{RestoreTestId, RunId, ServiceId, SourceId},
    instance::Credential,
    review::{Standing, date_of, reminder},
    run::{RunKind, RunState},
    schedule::Missed,
    standing::Finding,
    units::Timestamp,
};
use ops::repositories::Need;
use store::{
    availability, channels,
    clones::{self, CloneRow},
    deliveries, items,
    repositories::{self, RepositoryRow},
    reviews,
    services::{self, ServiceRow},
    watch::{self, LateRow, MissedRow, NewestRun, WaitingHold},
};
use uuid::Uuid;

use crate::Deps;

const MOST: i64 = 10_000;
/// The failures that say something of the repository and not of what was to be done with it.
const UNREACHABLE: [&str; 3] = ["unavailable", "wrong_password", "no_repository"];
/// A failed delivery that is older than this is no news any more: 30 days.
const FAILING_S: i64 = 30 * 86_400;

/// A clone that stands so long past its end is told of even where no try has failed: one hour.
const CLONE_LATE_S: i64 = 3_600;

/// Everything that is wrong.
pub async fn wanted(deps: &Deps, now: Timestamp) -> store::Result<Vec<Wanted>> {
    let mut read = deps.db.read().await?;
    let rows = services::all(read.tx(), MOST).await?;
    let late: HashMap<Uuid, LateRow> = watch::late(read.tx(), now).await?.into_iter().map(|l| (l.service_id, l)).collect();
    let sources = watch::sources(read.tx(), MOST).await?;
    let restores = watch::services(read.tx(), MOST).await?;
    let mut wanted = Vec::new();
    let mut stale = Vec::new();
    for row in &rows {
        let counts = late.get(&row.id);
        if counts.is_some_and(|c| c.items != row.items || c.items - c.late != row.items_fresh) {
            stale.push((row.id(), row.rpo_s));
        }
        wanted.extend(of_service(row, now));
        if let Some(condition) = overdue(&mut read, row, counts, now).await? {
            wanted.push(about(row, condition));
        }
    }
    let by_id: HashMap<Uuid, &ServiceRow> = rows.iter().map(|r| (r.id, r)).collect();
    for run in &sources {
        let Some(service) = run.service_id.and_then(|id| by_id.get(&id)) else { continue };
        let subject = Subject {
            entity: Entity::Source,
            id: run.of_id,
            name: format!("{}/{}", service.name, run.of_name),
            title: format!("{}, {}", service.title, run.of_name),
        };
        wanted.extend(of_run(run, subject, service));
    }
    wanted.extend(of_instances(&mut read, &by_id).await?);
    for run in &restores {
        let Some(service) = by_id.get(&run.of_id) else { continue };
        wanted.extend(of_run(run, about(service, Condition::NoData).subject, service));
    }
    let holds = watch::holds(read.tx(), MOST).await?;
    wanted.extend(rows.iter().filter_map(|row| on_hold(row, &holds)));
    wanted.extend(watch::missed(read.tx(), MOST).await?.iter().map(of_schedule));
    wanted.extend(of_reviews(&mut read, &rows, now).await?);
    wanted.extend(of_repositories(&mut read, now).await?);
    wanted.extend(of_channels(&mut read, now).await?);
    wanted.extend(of_figures(&mut read, &by_id, now).await?);
    wanted.extend(of_clones(&mut read, &by_id, now).await?);
    drop(read);
    for (service, rpo_s) in stale {
        let mut t = deps.db.begin().await?;
        services::count_items(t.tx(), service, rpo_s.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
        t.commit().await?;
    }
    Ok(wanted)
}

fn about(row: &ServiceRow, condition: Condition) -> Wanted {
    Wanted {
        subject: Subject { entity: Entity::Service, id: row.id, name: row.name.clone(), title: row.title.clone() },
        service: Some(row.id()),
        run: None,
        test: None,
        condition,
    }
}

/// What the judgement of a service finds, but for its runs and the age of its copies, which are looked at more closely.
fn of_service(row: &ServiceRow, now: Timestamp) -> Vec<Wanted> {
    let created = Timestamp(row.created_at);
    let test = row.last_test_id.map(RestoreTestId);
    let mut found = Vec::new();
    for finding in ops::overview::judge(row.clone(), None, now).findings {
        let (condition, test) = match finding {
            Finding::NoCopy => (Condition::NoCopy { since: created }, None),
            // Nothing ran within the RPO: that is no longer merely unknown.
            Finding::NoData if row.rpo_s.is_some_and(|rpo| now.secs_since(created) > rpo as f64) => (Condition::NoCopy { since: created }, None),
            Finding::NoData => (Condition::NoData, None),
            Finding::RestoreFailed { at } => (Condition::RestoreFailed { at }, test),
            Finding::NeverRestored => (Condition::NeverRestored { items: row.items }, None),
            Finding::RtoBreached { rto_s, target_s, at } => (Condition::RtoBreached { rto_s, target_s, at }, test),
            Finding::NotChecked { at } => (Condition::NotChecked { at }, test),
            Finding::ProofOld { at } => (Condition::ProofOld { at }, test),
            Finding::OnHold { .. } | Finding::RpoOverdue { .. } | Finding::RunFailed { .. } | Finding::RunPartial { .. } => continue,
        };
        found.push(Wanted { test, ..about(row, condition) });
    }
    found
}

/// Items without a snapshot within the RPO, the oldest by name.
async fn overdue(read: &mut store::db::Reader, row: &ServiceRow, counts: Option<&LateRow>, now: Timestamp) -> store::Result<Option<Condition>> {
    let (Some(rpo_s), Some(newest)) = (row.rpo_s, row.last_snapshot_at.map(Timestamp)) else { return Ok(None) };
    let (items, of) = counts.map_or((0, row.items), |c| (c.late, c.items));
    if items == 0 && now.secs_since(newest) <= rpo_s as f64 {
        return Ok(None);
    }
    let oldest = watch::oldest(read.tx(), row.id(), now.plus_secs(-rpo_s), WORST_ITEMS as i64).await?;
    let worst = oldest.into_iter().map(|(item, at)| Late { item, newest_at: at.map(Timestamp) }).collect();
    Ok(Some(Condition::RpoOverdue { items, of, newest_at: Some(newest), rpo_s, worst }))
}

/// The newest run of something, where it went wrong.
fn of_run(run: &NewestRun, subject: Subject, service: &ServiceRow) -> Option<Wanted> {
    let state = RunState::parse(&run.state)?;
    let (what, at) = (run.title.clone(), Timestamp(run.finished_at.unwrap_or_default()));
    let reason = run.failure.as_ref().map(|f| f.0.message.clone()).unwrap_or_default();
    let condition = match state {
        RunState::Failed | RunState::Interrupted => Condition::RunFailed { state, what, at, reason },
        RunState::Partial => Condition::RunPartial { what, at, reason },
        RunState::Queued | RunState::Running | RunState::Succeeded | RunState::Cancelled => return None,
    };
    Some(Wanted { subject, service: Some(ServiceId(service.id)), run: Some(RunId(run.run_id)), test: None, condition })
}

/// Instances whose newest run went wrong and that are still listed. Each is an alert of its own.
async fn of_instances(read: &mut store::db::Reader, services: &HashMap<Uuid, &ServiceRow>) -> store::Result<Vec<Wanted>> {
    let mut found = Vec::new();
    for row in watch::instances(read.tx(), MOST).await? {
        let (run, prefix) = (&row.run, format!("instance:{}:", row.run.of_id));
        let Some(service) = run.service_id.and_then(|id| services.get(&id)) else { continue };
        let Some(name) = row.resource_key.as_deref().and_then(|k| k.strip_prefix(&prefix)) else { continue };
        let Some(item) = items::find_by_name(read.tx(), SourceId(run.of_id), name).await?.filter(|i| i.gone_at.is_none()) else { continue };
        let subject = Subject {
            entity: Entity::Source,
            id: item.id,
            name: format!("{}/{}", service.name, run.of_name),
            title: format!("{}, {}: {name}", service.title, run.of_name),
        };
        found.extend(of_run(run, subject, service));
    }
    Ok(found)
}

/// The holds of a guard that wait for a decision, as one alert of the service. What a person holds is a decision already.
fn on_hold(row: &ServiceRow, holds: &[WaitingHold]) -> Option<Wanted> {
    let mine: Vec<_> = holds.iter().filter(|h| h.service_id == row.id).collect();
    let first = mine.first()?;
    let named = first.item_name.as_ref().map_or_else(|| first.reason.clone(), |item| format!("{item}: {}", first.reason));
    let reason = if mine.len() == 1 { named } else { format!("{} items are on hold; the first is {named}", mine.len()) };
    Some(about(row, Condition::HoldStands { since: Timestamp(first.created_at), reason }))
}

/// Reviews that are due soon or overdue; not those that somebody need not do.
async fn of_reviews(read: &mut store::db::Reader, rows: &[ServiceRow], now: Timestamp) -> store::Result<Vec<Wanted>> {
    let (known, today) = (reviews::known(read.tx()).await?, date_of(now));
    let mut found = Vec::new();
    for row in rows {
        for f in known.of(row)? {
            let (review, due) = (f.kind, f.due);
            let condition = match f.standing(today) {
                Standing::Overdue { .. } => Condition::ReviewOverdue { review, due },
                Standing::Soon { days } => match reminder(days, f.months) {
                    Some(within) => Condition::ReviewDue { review, due, within },
                    None => continue,
                },
                Standing::Later { .. } | Standing::Exempt { .. } => continue,
            };
            found.push(about(row, condition));
        }
    }
    Ok(found)
}

fn of_schedule(row: &MissedRow) -> Wanted {
    let words = Missed::parse(&row.reason).map_or_else(|| row.reason.clone(), |m| m.words().to_owned());
    let reason = if row.reasons > 1 { format!("{words}, and other reasons") } else { words };
    Wanted {
        subject: Subject { entity: Entity::Schedule, id: row.id, name: row.name.clone(), title: format!("Schedule {}", row.name) },
        service: row.service_id.map(ServiceId),
        run: None,
        test: None,
        condition: Condition::ScheduleMissed { missed: row.missed, last_at: Timestamp(row.last_at), reason, ever: row.ever },
    }
}

async fn of_repositories(read: &mut store::db::Reader, now: Timestamp) -> store::Result<Vec<Wanted>> {
    let rows = repositories::list(read.tx()).await?;
    let newest: HashMap<Uuid, NewestRun> = watch::repositories(read.tx(), None, MOST).await?.into_iter().map(|r| (r.of_id, r)).collect();
    let checks: HashMap<Uuid, NewestRun> = watch::repositories(read.tx(), Some(RunKind::Check), MOST).await?.into_iter().map(|r| (r.of_id, r)).collect();
    let mut own: HashMap<Uuid, NewestRun> = HashMap::new();
    for kind in [RunKind::InstallationBackup, RunKind::InstallationTest] {
        own.extend(watch::repositories(read.tx(), Some(kind), MOST).await?.into_iter().filter(went_wrong).map(|r| (r.of_id, r)));
    }
    let mut found = Vec::new();
    for row in &rows {
        let subject = || Subject { entity: Entity::Repository, id: row.id, name: row.name.clone(), title: format!("Repository {}", row.name) };
        let mut say = |condition, run: Option<&NewestRun>| {
            found.push(Wanted { subject: subject(), service: None, run: run.map(|r| RunId(r.run_id)), test: None, condition });
        };
        let check = checks.get(&row.id);
        if row.check_state.as_deref() == Some("damaged") {
            let reason = check.and_then(|c| c.failure.as_ref()).filter(|f| f.0.code == "damaged");
            let reason = reason.map_or_else(|| "damage; check it again to see what".to_owned(), |f| f.0.message.clone());
            say(Condition::RepositoryDamaged { at: Timestamp(row.checked_at.unwrap_or_default()), reason }, check);
        }
        let used = newest.get(&row.id);
        if let Some((run, failure)) = used.and_then(|r| r.failure.as_ref().map(|f| (r, f)))
            && UNREACHABLE.contains(&failure.0.code.as_str())
            && RunState::parse(&run.state) == Some(RunState::Failed)
        {
            let at = Timestamp(run.finished_at.unwrap_or_default());
            say(Condition::RepositoryUnreachable { at, reason: failure.0.message.clone() }, Some(run));
        }
        if let Some(run) = own.get(&row.id) {
            let (what, at) = (run.title.clone(), Timestamp(run.finished_at.unwrap_or_default()));
            let reason = run.failure.as_ref().map(|f| f.0.message.clone()).unwrap_or_default();
            say(Condition::RunFailed { state: RunState::Failed, what, at, reason }, Some(run));
        }
        if let Some(seen) = row.credential.as_ref() {
            for c in of_credential(seen, now) {
                say(c, None);
            }
        }
        if used.is_some()
            && ops::repositories::require_files(row, Need::Check).is_ok()
            && let Some(condition) = unchecked(row, now)
        {
            say(condition, None);
        }
    }
    Ok(found)
}

/// What is wrong with the credential of a cloud.
fn of_credential(seen: &Credential, now: Timestamp) -> Vec<Condition> {
    let (at, reason) = (seen.looked_at, seen.trouble.clone());
    let trouble = reason.map(|reason| if seen.refused { Condition::CredentialRefused { at, reason } } else { Condition::CredentialLacking { at, reason } });
    let ends = seen.expires_at.zip(seen.expires_within(now)).map(|(expires_at, within)| Condition::CredentialExpiring { expires_at, within });
    trouble.into_iter().chain(ends).collect()
}

/// A copy of Holdfast itself that was not made, or is not proven. A repository out of reach is an alert already.
fn went_wrong(run: &NewestRun) -> bool {
    let known = run.failure.as_ref().is_some_and(|f| UNREACHABLE.contains(&f.0.code.as_str()));
    matches!(RunState::parse(&run.state), Some(RunState::Failed | RunState::Partial | RunState::Interrupted)) && !known
}

/// A repository that is used and was not checked for a month.
fn unchecked(row: &RepositoryRow, now: Timestamp) -> Option<Condition> {
    let since = Timestamp(row.checked_at.unwrap_or(row.created_at));
    (now.secs_since(since) > CHECK_LASTS_S as f64).then_some(Condition::RepositoryUnchecked { since, ever: row.checked_at.is_some() })
}

/// Clones whose time is over and that could not be taken away, as one alert of the service.
async fn of_clones(read: &mut store::db::Reader, services: &HashMap<Uuid, &ServiceRow>, now: Timestamp) -> store::Result<Vec<Wanted>> {
    let all = clones::overdue(read.tx(), now, now.plus_secs(-CLONE_LATE_S), MOST).await?;
    let mut by_service: HashMap<Uuid, Vec<&CloneRow>> = HashMap::new();
    for clone in &all {
        by_service.entry(clone.service_id).or_default().push(clone);
    }
    let wanted = by_service.into_iter().filter_map(|(service, clones)| {
        let first = clones.first()?;
        let reason = first.trouble.clone().unwrap_or_else(|| "nothing looks after clones; see whether the server runs".to_owned());
        let condition = Condition::ClonesStand { clones: clones.len() as i64, name: first.name.clone(), since: Timestamp(first.expires_at), reason };
        Some(Wanted { run: Some(RunId(first.run_id)), ..about(services.get(&service)?, condition) })
    });
    Ok(wanted.collect())
}

/// Services whose figures could not be fetched for days.
async fn of_figures(read: &mut store::db::Reader, services: &HashMap<Uuid, &ServiceRow>, now: Timestamp) -> store::Result<Vec<Wanted>> {
    let failing = availability::failing(read.tx(), MOST).await?;
    let late = failing.iter().filter(|s| is_alert(s.failing_since.map(Timestamp), now));
    let wanted = late.filter_map(|s| {
        let since = Timestamp(s.failing_since?);
        let reason = s.failed.as_ref().map(|f| f.0.words()).unwrap_or_default();
        Some(about(services.get(&s.service_id)?, Condition::FiguresMissing { since, reason }))
    });
    Ok(wanted.collect())
}

/// Channels of which a receiver's newest message was given up, and that were not changed since.
async fn of_channels(read: &mut store::db::Reader, now: Timestamp) -> store::Result<Vec<Wanted>> {
    let rows = channels::list(read.tx()).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let newest = deliveries::newest(read.tx(), now.plus_secs(-FAILING_S)).await?;
    let mut found = Vec::new();
    for row in rows {
        let receivers = row.options.0.recipients(row.kind()?);
        let failed =
            newest.iter().find(|n| n.channel_id == row.id && n.state == "failed" && n.finished_at > row.updated_at && receivers.contains(&n.recipient));
        if let Some(n) = failed {
            let condition = Condition::ChannelFailing {
                at: Timestamp(n.finished_at),
                recipient: n.recipient.clone(),
                answer: n.answer.clone().unwrap_or_else(|| "no answer was recorded".to_owned()),
            };
            let subject = Subject { entity: Entity::Channel, id: row.id, name: row.name.clone(), title: format!("Channel {}", row.name) };
            found.push(Wanted { subject, service: None, run: None, test: None, condition });
        }
    }
    Ok(found)
}
