//! Compares what is wrong with what is known to be wrong: alerts open, change and resolve, and whoever is to know is told.
//!
//! Lives here: the loop and one look. May not: what counts as wrong (`facts`), who is told (`tell`), sending.
//! Invariants: a look takes no input but the database and the clock, so that a missed one does no harm; an alert's
//! change and its messages are one transaction; two processes that look at once open an alert once.

mod facts;
mod tell;

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use domain::{
    alert::{
        Open, Step, Wanted, compare,
        message::{Event, Message},
    },
    id::AlertId,
    units::Timestamp,
};
use store::{
    alerts::{self, AlertRow},
    deliveries, wake,
};
use tell::Audience;

use crate::Deps;

/// How often everything is looked at when nothing wakes the watchdogs, and how soon after a wake-up.
const EVERY: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(1_500);
/// Alerts that are compared.
const MOST: i64 = 20_000;
/// How long deliveries are kept: 180 days; how often old ones are looked for: once an hour.
const KEPT_S: i64 = 180 * 86_400;
const FORGET_EVERY_S: i64 = 3_600;

/// What one look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub opened: usize,
    pub changed: usize,
    pub resolved: usize,
    /// Messages that were queued.
    pub told: usize,
}

/// Looks again and again.
pub struct Watchdogs {
    deps: Arc<Deps>,
    /// The newest reminder of each alert and interval, so that a look writes nothing when nothing is due.
    reminded: HashMap<(AlertId, i64), i64>,
    /// The rules and channels that all open alerts were held against.
    held_against: Option<u64>,
    forgotten_at: Option<Timestamp>,
}

impl Watchdogs {
    pub fn new(deps: Deps) -> Self {
        Self { deps: Arc::new(deps), reminded: HashMap::new(), held_against: None, forgotten_at: None }
    }

    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        tokio::pin!(shutdown);
        loop {
            let woken = wake::queued();
            match self.look().await {
                Ok(looked) => {
                    self.deps.signs.watchdogs();
                    if looked.told > 0 {
                        wake::queue();
                    }
                }
                Err(e) => tracing::error!(error = %e, "the watchdogs could not look"),
            }
            let wait = async {
                // News come in batches; one look is enough for all of them.
                tokio::time::sleep(SOON).await;
                tokio::time::timeout(EVERY, woken).await.ok();
            };
            tokio::select! {
                () = &mut shutdown => return,
                () = wait => {}
            }
        }
    }

    /// One look: makes the alerts agree with the facts, tells whoever is to know.
    pub async fn look(&mut self) -> store::Result<Looked> {
        let now = self.deps.clock.now();
        let wanted = facts::wanted(&self.deps, now).await?;
        let mut read = self.deps.db.read().await?;
        let rows = alerts::open(read.tx(), MOST).await?;
        let audience = Audience::load(read.tx()).await?;
        drop(read);
        let open = rows
            .iter()
            .map(|r| Ok(Open { key: r.condition.clone(), severity: r.severity()?, condition: r.facts.0.clone() }))
            .collect::<store::Result<Vec<_>>>()?;
        let mut looked = Looked::default();
        for step in compare(&wanted, &open) {
            match step {
                Step::Open { wanted: w } => self.open(&wanted[w], &audience, now, &mut looked).await?,
                Step::Change { wanted: w, open, worse } => self.change(&wanted[w], &rows[open], worse, &audience, now, &mut looked).await?,
                Step::Resolve { open } => self.resolve(&rows[open], &audience, now, &mut looked).await?,
            }
        }
        self.hold_against(&rows, &audience, now, &mut looked).await?;
        self.remind(&rows, &audience, now, &mut looked).await?;
        looked.told += tell::successes(&self.deps, &audience, now).await?;
        self.forget(now).await?;
        Ok(looked)
    }

    async fn open(&self, w: &Wanted, audience: &Audience, now: Timestamp, looked: &mut Looked) -> store::Result<()> {
        let mut t = self.deps.db.begin().await?;
        if let Some(id) = alerts::insert(t.tx(), w, now).await? {
            let message = Message::of_alert(Event::Opened, id, w, audience.service(w), now, now);
            looked.told += audience.tell(t.tx(), w, &message, &format!("alert:{id}:opened"), now).await?;
            looked.opened += 1;
            tracing::warn!(alert = %id, kind = %w.condition.kind(), "{}", message.headline);
        }
        t.commit().await
    }

    async fn change(&self, w: &Wanted, row: &AlertRow, worse: bool, audience: &Audience, now: Timestamp, looked: &mut Looked) -> store::Result<()> {
        let mut t = self.deps.db.begin().await?;
        if alerts::change(t.tx(), row.id(), Timestamp(row.changed_at), w, worse, now).await? {
            if worse {
                let message = Message::of_alert(Event::Worsened, row.id(), w, audience.service(w), Timestamp(row.opened_at), now);
                looked.told += audience.tell(t.tx(), w, &message, &format!("alert:{}:worsened:{}", row.id, now.0), now).await?;
            }
            looked.changed += 1;
        }
        t.commit().await
    }

    /// The end goes to whoever was told of it, whatever the rules say now.
    async fn resolve(&self, row: &AlertRow, audience: &Audience, now: Timestamp, looked: &mut Looked) -> store::Result<()> {
        let w = row.wanted()?;
        let mut t = self.deps.db.begin().await?;
        if alerts::resolve(t.tx(), row.id(), now).await? {
            let told = deliveries::told(t.tx(), row.id()).await?;
            let message = Message::resolved(row.id(), &w, audience.service(&w), &row.text, Timestamp(row.opened_at), now);
            looked.told += audience.send(t.tx(), told, &message, &format!("alert:{}:resolved", row.id), now).await?;
            looked.resolved += 1;
            tracing::info!(alert = %row.id, kind = row.kind, "{}", message.headline);
        }
        t.commit().await
    }

    /// After a rule or a channel has changed, what is open is told to those who have not heard of it.
    async fn hold_against(&mut self, rows: &[AlertRow], audience: &Audience, now: Timestamp, looked: &mut Looked) -> store::Result<()> {
        let version = audience.version();
        if self.held_against == Some(version) {
            return Ok(());
        }
        for row in rows.iter().filter(|r| r.acknowledged_at.is_none()) {
            let w = row.wanted()?;
            let wanted = audience.of(&w);
            if wanted.is_empty() {
                continue;
            }
            let mut t = self.deps.db.begin().await?;
            // It may have ended in this very look.
            if alerts::find(t.tx(), row.id()).await?.is_none_or(|a| a.resolved_at.is_some()) {
                continue;
            }
            let told = deliveries::told(t.tx(), row.id()).await?;
            let new: Vec<_> = wanted.into_iter().filter(|r| !told.contains(r)).collect();
            let message = Message::of_alert(Event::Opened, row.id(), &w, audience.service(&w), Timestamp(row.opened_at), now);
            looked.told += audience.send(t.tx(), new, &message, &format!("alert:{}:opened", row.id), now).await?;
            t.commit().await?;
        }
        self.held_against = Some(version);
        Ok(())
    }

    async fn remind(&mut self, rows: &[AlertRow], audience: &Audience, now: Timestamp, looked: &mut Looked) -> store::Result<()> {
        let open: std::collections::HashSet<AlertId> = rows.iter().map(AlertRow::id).collect();
        self.reminded.retain(|(id, _), _| open.contains(id));
        for row in rows.iter().filter(|r| r.acknowledged_at.is_none()) {
            let w = row.wanted()?;
            for (every, n, receivers) in audience.reminders(&w, Timestamp(row.opened_at), now) {
                let newest = self.reminded.entry((row.id(), every)).or_insert(0);
                if n <= *newest {
                    continue;
                }
                let mut t = self.deps.db.begin().await?;
                if alerts::find(t.tx(), row.id()).await?.is_some_and(|a| a.resolved_at.is_none() && a.acknowledged_at.is_none()) {
                    let message = Message::of_alert(Event::Reminder, row.id(), &w, audience.service(&w), Timestamp(row.opened_at), now);
                    looked.told += audience.send(t.tx(), receivers, &message, &format!("alert:{}:reminder:{every}:{n}", row.id), now).await?;
                }
                t.commit().await?;
                *newest = n;
            }
        }
        Ok(())
    }

    async fn forget(&mut self, now: Timestamp) -> store::Result<()> {
        if self.forgotten_at.is_some_and(|at| (0.0..FORGET_EVERY_S as f64).contains(&now.secs_since(at))) {
            return Ok(());
        }
        let mut t = self.deps.db.begin().await?;
        let gone = deliveries::forget(t.tx(), now.plus_secs(-KEPT_S)).await?;
        t.commit().await?;
        if gone > 0 {
            tracing::info!(gone, "forgot deliveries that are older than 180 days");
        }
        self.forgotten_at = Some(now);
        Ok(())
    }
}
