//! Fetches availability and reliability from ARGO's API once a day (R43).
//!
//! Lives here: whose turn it is, and recording. Beside it: `client` (one request), `answer` (what an answer says), `json`
//! and `xml` (its two forms). May not: formulas, which figure is shown (`domain::availability`).
//! Invariants: of several processes one fetches; what was fetched is recorded whole or not at all, and only for the
//! settings that it was fetched with; what a person entered is never touched.

mod answer;
mod client;
mod json;
mod xml;

use std::{future::Future, sync::Arc, time::Duration};

use domain::{
    availability::{
        Figures, Month, Origin, percent,
        source::{Failed, Settings, Trouble},
    },
    units::Timestamp,
};
use futures::StreamExt as _;
use jiff::civil::Date;
use ops::{availability::source, seal::Keys, secrets::Vault};
use serde_json::{Map, Value, json};
use store::{
    audit::{self, NewEvent},
    availability::{self, SourceRow, Told},
    wake,
};

use self::{
    answer::{Granularity, Period},
    client::Ask,
};
use crate::{Deps, notify::http};

/// How often the clock is compared with what is due.
const LOOK: Duration = Duration::from_secs(5);
/// How long one request may take, with its answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Sources at a time, and in one look.
const SLOTS: usize = 4;
const MOST: i64 = 100;

/// Fetches what is due.
#[derive(Clone)]
pub struct Argo {
    deps: Arc<Deps>,
    vault: Vault,
    patience: Duration,
}

impl Argo {
    pub fn new(deps: Deps) -> Self {
        let vault = Vault::new(deps.env.clone(), Keys::of(&deps.data_dir));
        Self { deps: Arc::new(deps), vault, patience: PATIENCE }
    }

    /// Waits for an answer no longer than this.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        tokio::pin!(shutdown);
        loop {
            let look = async {
                if let Err(e) = self.fetch_due().await {
                    tracing::warn!(error = %e, "sources of availability cannot be read");
                }
                tokio::time::sleep(LOOK).await;
            };
            tokio::select! {
                () = &mut shutdown => return,
                () = look => {}
            }
        }
    }

    /// Fetches every source that is due; how many.
    pub async fn fetch_due(&self) -> store::Result<usize> {
        let due = availability::due(self.deps.db.read().await?.tx(), self.deps.clock.now(), MOST).await?;
        let count = due.len();
        futures::stream::iter(due)
            .for_each_concurrent(SLOTS, |row| async move {
                if let Err(e) = self.turn(&row).await {
                    tracing::warn!(service = row.name, error = %e, "figures of availability could not be recorded");
                }
            })
            .await;
        Ok(count)
    }

    async fn turn(&self, row: &SourceRow) -> store::Result<()> {
        let mut t = self.deps.db.begin().await?;
        let mine = availability::take(t.tx(), row, self.deps.clock.now()).await?;
        t.commit().await?;
        if !mine {
            return Ok(());
        }
        match self.fetch(row).await {
            Ok(periods) => self.keep(row, &periods).await,
            Err(failed) => {
                tracing::warn!(service = row.name, trouble = %failed.trouble, "{}", failed.words());
                let mut t = self.deps.db.begin().await?;
                availability::failed(t.tx(), row, &failed, self.deps.clock.now()).await?;
                t.commit().await?;
                wake::queue();
                Ok(())
            }
        }
    }

    /// The months since the first one, and the days of this month and the last.
    async fn fetch(&self, row: &SourceRow) -> Result<Vec<Period>, Failed> {
        let settings = &row.settings.0;
        if let Some(wrong) = settings.problems(Month::of(self.deps.clock.now())).first() {
            return Err(Failed::new(Trouble::Refused, format!("the settings cannot be used: {wrong}")));
        }
        let key = source::reveal(&self.vault, row).await.map_err(|e| Failed::new(Trouble::NoKey, e.to_string()))?;
        let client = http::client_within(&self.deps.env, self.patience).map_err(|e| Failed::new(Trouble::Unreachable, e))?;
        let ask = |granularity, from| client::ask(&client, settings, &key, Ask { granularity, from, to: today(self.deps.clock.now()) });
        let mut periods = ask(Granularity::Monthly, settings.since.days().0).await?;
        let recent = Month::of(self.deps.clock.now()).back(1).max(settings.since);
        match ask(Granularity::Daily, recent.days().0).await {
            Ok(days) => periods.extend(days),
            // Months without days are figures all the same.
            Err(e) if e.trouble == Trouble::NotFound => {}
            Err(e) => return Err(e),
        }
        Ok(periods)
    }

    async fn keep(&self, row: &SourceRow, periods: &[Period]) -> store::Result<()> {
        let now = self.deps.clock.now();
        let by = where_from(&row.settings.0);
        let mut t = self.deps.db.begin_audited().await?;
        if !availability::fetched(t.tx(), row, now).await? {
            return t.rollback().await;
        }
        let known = availability::months(t.tx(), row.service(), Month::FIRST, Month::of(now)).await?;
        let (mut before, mut after) = (Map::new(), Map::new());
        for p in periods {
            let told = Told { period: &p.time, origin: Origin::Argo, figures: p.figures, parts: p.parts, by: &by };
            availability::record(t.tx(), row.service(), &told, now).await?;
            let Ok(month) = p.time.parse::<Month>() else { continue };
            let old = known.get(&month).and_then(|all| all.iter().find(|r| r.origin == Origin::Argo)).map(|r| r.figures);
            if old != Some(p.figures) {
                after.insert(p.time.clone(), json!(words(&p.figures)));
                before.extend(old.map(|o| (p.time.clone(), json!(words(&o)))));
            }
        }
        if !after.is_empty() {
            let event = NewEvent {
                action: "availability.fetch",
                entity: "argo_source",
                entity_id: row.name.clone(),
                before: Some(Value::Object(before)),
                after: Some(Value::Object(after)),
            };
            audit::record(t.tx(), now, "holdfast", "argo", event).await?;
        }
        t.commit().await?;
        wake::queue();
        Ok(())
    }
}

fn today(now: Timestamp) -> Date {
    jiff::Timestamp::from_microsecond(now.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// What is kept beside a figure.
fn where_from(s: &Settings) -> String {
    let host = s.address.split_once("://").map_or(s.address.as_str(), |(_, rest)| rest);
    format!("{host}, {}, {}", s.report, s.group)
}

fn words(f: &Figures) -> String {
    let say = |f: Option<f64>| f.map_or_else(|| "–".to_owned(), percent);
    format!("{} / {}", say(f.availability), say(f.reliability))
}
