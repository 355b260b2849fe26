//! Who is told of what: rules held against an alert or a run, and the messages that follow.
//!
//! Lives here: receivers, deduplication keys, the successes that are asked for. May not: sending.
//! Invariant: whoever stands under several rules gets a message once.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use domain::{
    alert::{Condition, Entity, Wanted, message::Message},
    channel::ChannelKind,
    id::{ChannelId, RunId},
    installation::{InstallationBackupResult, InstallationTestResult},
    instance::{CloneResult, InPlaceResult},
    run::RunKind,
    tamper::Findings,
    units::{Timestamp, count, size, span},
    work::{BackupResult, CheckResult, InstanceSnapshotResult, OffsiteCopyResult, OffsiteReturnResult, PruneResult, RestoreResult, RestoreTestResult},
};
use serde_json::Value;
use store::{
    Tx,
    channels::{self, ChannelRow, RuleRow},
    deliveries::{self, NewDelivery},
    services, settings,
    watch::{self, SucceededRow},
};
use uuid::Uuid;

use crate::Deps;

/// Up to where successes were told: microseconds.
const TOLD_UNTIL: &str = "notifications.successes_until";
/// Runs that end at about the same time may be committed in another order; so much is looked at twice, in seconds.
const OVERLAP_S: i64 = 120;
const PAGE: i64 = 500;

/// A channel and one of its receivers.
pub type Receiver = (ChannelId, String);

/// Everybody who may be told of something.
pub struct Audience {
    rules: Vec<RuleRow>,
    channels: Vec<(ChannelRow, ChannelKind)>,
    /// Names of services by their ids.
    services: HashMap<Uuid, String>,
}

impl Audience {
    pub async fn load(mut tx: Tx<'_>) -> store::Result<Self> {
        let rules = channels::rules(tx.by_ref()).await?;
        let rows = channels::list(tx.by_ref()).await?;
        let services = services::all(tx, 10_000).await?.into_iter().map(|s| (s.id, s.name)).collect();
        let channels = rows.into_iter().map(|c| c.kind().map(|k| (c, k))).collect::<store::Result<_>>()?;
        Ok(Self { rules, channels, services })
    }

    /// Changes when a rule or a channel does.
    pub fn version(&self) -> u64 {
        let mut h = DefaultHasher::new();
        for r in &self.rules {
            (&r.name, r.updated_at).hash(&mut h);
        }
        for (c, _) in &self.channels {
            (&c.name, c.updated_at).hash(&mut h);
        }
        h.finish()
    }

    /// The short name of the service that an alert belongs to.
    pub fn service(&self, w: &Wanted) -> Option<&str> {
        w.service.and_then(|id| self.services.get(&id.0)).map(String::as_str)
    }

    fn receivers(&self, of: &[String], except: Option<Uuid>) -> Vec<Receiver> {
        let chosen = self.channels.iter().filter(|(c, _)| of.contains(&c.name) && Some(c.id) != except);
        chosen.flat_map(|(c, kind)| c.options.0.recipients(*kind).into_iter().map(|r| (c.id(), r))).collect()
    }

    fn wanting<'a>(&'a self, w: &'a Wanted) -> impl Iterator<Item = &'a RuleRow> {
        let schedule = (w.subject.entity == Entity::Schedule).then_some(w.subject.name.as_str());
        self.rules.iter().filter(move |r| r.what.0.wants(w.condition.kind(), w.severity(), self.service(w), schedule))
    }

    /// Whoever is to be told of an alert. A channel that fails is not told of its own failure.
    pub fn of(&self, w: &Wanted) -> Vec<Receiver> {
        let except = matches!(w.condition, Condition::ChannelFailing { .. }).then_some(w.subject.id);
        once(self.wanting(w).flat_map(|r| self.receivers(&r.channels.0, except)))
    }

    /// The reminders that are due: the interval, which one, and who gets it.
    pub fn reminders(&self, w: &Wanted, opened_at: Timestamp, now: Timestamp) -> Vec<(i64, i64, Vec<Receiver>)> {
        let due = self.wanting(w).filter_map(|r| r.what.0.remind_s.map(|every| (every, r.what.0.reminder(opened_at, now), &r.channels.0)));
        due.filter(|(_, n, _)| *n > 0).map(|(every, n, names)| (every, n, once(self.receivers(names, None).into_iter()))).collect()
    }

    /// Queues a message for everybody who is to be told of an alert; how many.
    pub async fn tell(&self, tx: Tx<'_>, w: &Wanted, message: &Message, key: &str, now: Timestamp) -> store::Result<usize> {
        self.send(tx, self.of(w), message, key, now).await
    }

    /// Queues a message for receivers whose channels are still there; how many.
    pub async fn send(&self, mut tx: Tx<'_>, to: Vec<Receiver>, message: &Message, key: &str, now: Timestamp) -> store::Result<usize> {
        let mut queued = 0;
        for (channel, recipient) in to {
            if !self.channels.iter().any(|(c, kind)| c.id() == channel && c.options.0.recipients(*kind).contains(&recipient)) {
                continue;
            }
            let new = NewDelivery { channel, recipient: &recipient, dedup_key: format!("{key}:{channel}:{recipient}"), message };
            queued += usize::from(deliveries::enqueue(tx.by_ref(), &new, now).await?.is_some());
        }
        Ok(queued)
    }
}

fn once(all: impl Iterator<Item = Receiver>) -> Vec<Receiver> {
    let mut found: Vec<Receiver> = all.collect();
    found.sort();
    found.dedup();
    found
}

/// Tells the successes that rules ask for; how many messages.
///
/// What has succeeded since the last look is found by the end of the runs, so that a look that was missed is made good.
pub async fn successes(deps: &Deps, audience: &Audience, now: Timestamp) -> store::Result<usize> {
    let until: Option<i64> = settings::get(deps.db.read().await?.tx(), TOLD_UNTIL).await?;
    let asked = audience.rules.iter().any(|r| r.what.0.success);
    let Some(until) = until.map(Timestamp).filter(|_| asked) else {
        // Nobody asks: from now on is early enough. Written rarely, since a look comes often.
        if until.is_none_or(|u| now.secs_since(Timestamp(u)) > 60.0) {
            let mut t = deps.db.begin().await?;
            settings::set(t.tx(), TOLD_UNTIL, &now.0, now).await?;
            t.commit().await?;
        }
        return Ok(0);
    };
    // What was written while the clock was ahead must not hide what ends before that moment.
    let until = until.min(now);
    let mut queued = 0;
    let (mut from, mut newest) = (until.plus_secs(-OVERLAP_S), until);
    loop {
        let runs = watch::succeeded(deps.db.read().await?.tx(), from, PAGE).await?;
        let full = runs.len() as i64 == PAGE;
        for run in &runs {
            newest = newest.max(Timestamp(run.finished_at).min(now));
            let service = run.service_name.as_deref();
            let since = |r: &&RuleRow| r.updated_at <= run.finished_at;
            let rules = audience.rules.iter().filter(|r| r.what.0.wants_success(service, run.schedule_name.as_deref())).filter(since);
            let to = once(rules.flat_map(|r| audience.receivers(&r.channels.0, None)));
            if to.is_empty() {
                continue;
            }
            let names = service.zip(run.service_title.as_deref());
            let message = Message::success(RunId(run.id), &run.title, figures(run), names, Timestamp(run.started_at.unwrap_or(run.finished_at)), now);
            let mut t = deps.db.begin().await?;
            queued += audience.send(t.tx(), to, &message, &format!("run:{}:success", run.id), now).await?;
            t.commit().await?;
        }
        match runs.last() {
            Some(last) if full && last.finished_at > from.0 => from = Timestamp(last.finished_at),
            _ => break,
        }
    }
    if newest > until {
        let mut t = deps.db.begin().await?;
        settings::set(t.tx(), TOLD_UNTIL, &newest.0, now).await?;
        t.commit().await?;
    }
    Ok(queued)
}

/// What a run has to show for itself.
fn figures(run: &SucceededRow) -> String {
    let took = run.started_at.map_or_else(String::new, |at| format!(" It took {}.", span(Timestamp(run.finished_at).secs_since(Timestamp(at)).max(0.0))));
    let result = run.result.as_ref().map_or(Value::Null, |r| r.0.clone());
    let items = |n: i64| if n == 1 { "1 item".to_owned() } else { format!("{} items", count(n)) };
    let what = match RunKind::parse(&run.kind) {
        Some(RunKind::Backup) => serde_json::from_value::<BackupResult>(result)
            .ok()
            .map(|r| format!("{}, {} read, {} added.", items(r.items_ok), size(r.bytes_read), size(r.bytes_added))),
        Some(RunKind::Restore) => {
            serde_json::from_value::<RestoreResult>(result).ok().map(|r| format!("{}, {} files, {}.", items(r.items), count(r.files), size(r.bytes)))
        }
        Some(RunKind::RestoreTest) => serde_json::from_value::<RestoreTestResult>(result).ok().map(|r| {
            format!(
                "Verdict {}, evidence “{}”: {} restored, {} files, {}.",
                r.verdict.as_str(),
                r.level.words(),
                items(r.items_restored),
                count(r.files),
                size(r.bytes)
            )
        }),
        Some(RunKind::Check) => serde_json::from_value::<CheckResult>(result)
            .ok()
            .map(|r| format!("{} snapshots in {} packs, {}, no damage.", count(r.snapshots), count(r.packs), size(r.size_bytes))),
        Some(RunKind::Prune) => serde_json::from_value::<PruneResult>(result)
            .ok()
            .map(|r| format!("{} packs and {} deleted, the repository takes {}.", count(r.packs_deleted), size(r.bytes_deleted), size(r.size_bytes))),
        Some(RunKind::InstallationBackup) => serde_json::from_value::<InstallationBackupResult>(result)
            .ok()
            .map(|r| format!("{} rows of {} tables, {} added.", count(r.rows), r.tables, size(r.bytes_added))),
        Some(RunKind::InstallationTest) => serde_json::from_value::<InstallationTestResult>(result)
            .ok()
            .map(|r| format!("Verdict {}: {} rows and {} audit events came back.", r.verdict.as_str(), count(r.rows), count(r.audit_events))),
        Some(RunKind::TamperTest) => serde_json::from_value::<Findings>(result).ok().map(|f| f.words()),
        Some(RunKind::InstanceSnapshot) => serde_json::from_value::<InstanceSnapshotResult>(result)
            .ok()
            .map(|r| if r.pending { format!("The cloud has accepted {} and was still making it.", r.name) } else { format!("{}, {}.", r.name, size(r.bytes)) }),
        Some(RunKind::InstanceClone) => serde_json::from_value::<CloneResult>(result).ok().map(|r| format!("{} is {}.", r.name, r.status)),
        Some(RunKind::InstanceRestore) => serde_json::from_value::<InPlaceResult>(result)
            .ok()
            .map(|r| format!("{} is {}; what its disk held before is in {}.", r.name, r.status, r.safety_name)),
        Some(RunKind::OffsiteCopy) => serde_json::from_value::<OffsiteCopyResult>(result).ok().map(|r| {
            if r.already { format!("{} was there already.", r.name) } else { format!("{}, {}, {} added.", r.name, size(r.bytes), size(r.bytes_added)) }
        }),
        Some(RunKind::OffsiteReturn) => {
            serde_json::from_value::<OffsiteReturnResult>(result).ok().map(|r| format!("{}, {}, is the image {}.", r.name, size(r.bytes), r.image))
        }
        None => None,
    };
    format!("{}{took}", what.unwrap_or_else(|| "Done.".to_owned()))
}
