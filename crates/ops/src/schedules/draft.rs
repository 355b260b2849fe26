//! A schedule as somebody gives it: what may be wrong with it, and what it would do.
//!
//! Lives here: checking values, finding what a schedule is for, the preview. May not: saving.

use domain::{
    definition::{Terms, selection_problem},
    field::FieldError,
    id::{PolicyId, RepositoryId, ServiceId, SourceId},
    instance::SnapshotParams,
    naming::slug_problem,
    retention::Rules,
    run::{RunKind, RunState},
    schedule::{LONGEST_JITTER_S, Misfire, Risk, ScheduleKind, risk},
    units::{Timestamp, span},
    work::{BackupParams, CheckParams, PruneParams, RestoreTestParams, Selection},
};
use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};
use store::{
    Tx,
    policies::{self, PolicyRow},
    repositories::{self, RepositoryRow},
    runs::{self, Filter},
    services::{self, ServiceRow},
    sources::{self, SourceRow},
    test_definitions,
};
use uuid::Uuid;

use super::keeping::{self, Keeping, imagine};
use crate::{
    Ctx, OpsError, Result,
    cron::{self, Cron},
    instances,
    permission::{Action, On, require, require_on},
    repositories::{Need, require_files},
};

/// The shortest and the longest maximum duration, in seconds.
const DURATIONS_S: std::ops::RangeInclusive<i64> = 60..=30 * 86_400;
/// How many times a preview names.
pub const NEXT: usize = 10;
/// How many services and repositories a form suggests.
const SUGGESTED: usize = 200;
/// Two schedules that begin within this share a window: five minutes.
const WINDOW_S: i64 = 300;

/// A schedule as it is asked for. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub name: String,
    pub kind: ScheduleKind,
    /// A backup: `service` or `service/source`; a restore test: `service`; a check: a repository.
    pub of: String,
    /// Which snapshots a restore test takes, where no definition says so.
    pub selection: Selection,
    /// The definition that a restore test follows; the built-in one where it is absent.
    pub definition: Option<String>,
    /// Whether a check reads all data.
    pub read_data: bool,
    pub cron: String,
    pub zone: String,
    pub jitter_s: i64,
    pub max_duration_s: Option<i64>,
    pub misfire: Misfire,
    /// So many runs a day are meant.
    pub runs_a_day: Option<i64>,
    /// How instances of a cloud are snapshotted: every one of the source where `instance` is empty. Where it is absent,
    /// as [`SnapshotParams::default`] says. Other sources have none.
    pub snapshot: Option<SnapshotParams>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: ScheduleKind::Backup,
            of: String::new(),
            selection: Selection::Sample { count: 5 },
            definition: None,
            read_data: false,
            cron: String::new(),
            zone: "UTC".to_owned(),
            jitter_s: 0,
            max_duration_s: None,
            misfire: Misfire::Once,
            runs_a_day: None,
            snapshot: None,
        }
    }
}

/// What of a draft was understood.
pub(crate) struct Checked {
    pub cron: Cron,
    pub zone: TimeZone,
}

impl Draft {
    /// Every mistake of the values themselves. `kept` is how many snapshots of each item are kept, all where `None`.
    pub(crate) fn check(&self, kept: Option<i64>) -> Result<Checked> {
        let mut wrong = Vec::new();
        let mut say = |field: &str, message: String| wrong.push(FieldError::new(field, message));
        if let Some(problem) = slug_problem(&self.name) {
            say("name", problem.to_owned());
        }
        match (self.kind, self.selection, &self.definition) {
            (ScheduleKind::RestoreTest, selection, None) => match selection_problem(selection) {
                Some(problem) => say("sample", problem.message),
                None if matches!(selection, Selection::Random { .. }) => {
                    say("sample", "a snapshot at random in a window needs a definition; make one and name it".to_owned());
                }
                None => {}
            },
            (ScheduleKind::RestoreTest, ..) | (_, _, None) => {}
            (..) => say("definition", "is for restore tests; leave it out".to_owned()),
        }
        match (&self.snapshot, self.kind) {
            (None, _) => {}
            (Some(asked), ScheduleKind::Backup) => asked.check().into_iter().for_each(|e| say(&e.field, e.message)),
            (Some(_), _) => say("snapshot", "is for backups of instances; leave it out".to_owned()),
        }
        let kept = [kept, self.kept()].into_iter().flatten().min();
        let zone = cron::zone(&self.zone);
        if zone.is_none() {
            say("zone", no_zone(&self.zone));
        }
        if !(0..=LONGEST_JITTER_S).contains(&self.jitter_s) {
            say("jitter", format!("must be at most {}", span(LONGEST_JITTER_S as f64)));
        }
        if self.max_duration_s.is_some_and(|max| !DURATIONS_S.contains(&max)) {
            say("max_duration", "must be from 1 m to 30 d; leave it out for no limit".to_owned());
        }
        let cron = Cron::parse(&self.cron).map_err(|e| say("cron", e)).ok();
        if let Some(cron) = &cron {
            let gap = shortest_gap(cron);
            if self.jitter_s > 0 && self.jitter_s >= gap {
                say("jitter", format!("must be shorter than the time between two runs, which is {}", span(gap as f64)));
            }
            if let Some(why) = self.unconfirmed(cron, kept) {
                say("runs_a_day", why);
            }
        }
        match (cron, zone) {
            (Some(cron), Some(zone)) if wrong.is_empty() => Ok(Checked { cron, zone }),
            _ => Err(OpsError::Invalid(wrong)),
        }
    }

    /// As many snapshots of each instance stay; all of them where `None`.
    pub(crate) fn kept(&self) -> Option<i64> {
        self.snapshot.as_ref().map(|s| i64::from(s.max_snapshots)).filter(|max| *max > 0)
    }

    /// What must be confirmed and is not.
    fn unconfirmed(&self, cron: &Cron, kept: Option<i64>) -> Option<String> {
        let a_day = cron.runs_a_day();
        let risk = risk(a_day, kept)?;
        if self.runs_a_day == Some(a_day) {
            return None;
        }
        let mut text = format!("“{}” means {}: {a_day} runs a day", cron.as_str(), cron.words());
        if let Risk::BurnsHistory { kept, .. } = risk {
            text = format!("{text}, and with {kept} snapshots kept, only the last {kept} of them would be left");
        }
        Some(match cron.likely_meaning().and_then(|l| Cron::parse(&l).ok()) {
            Some(likely) => format!("{text}; if {} is meant, write {}; if {a_day} a day are meant, confirm it", likely.words(), likely.as_str()),
            None => format!("{text}; if that is meant, confirm it"),
        })
    }

    /// The parameters of its runs.
    pub(crate) fn params(&self) -> Value {
        match self.kind {
            ScheduleKind::Backup => match &self.snapshot {
                Some(asked) => json!({ SNAPSHOT: asked }),
                None => json!(BackupParams { items: None }),
            },
            ScheduleKind::Check => json!(CheckParams { read_data: self.read_data, slice: None }),
            ScheduleKind::Prune => json!(PruneParams::default()),
            ScheduleKind::RestoreTest => {
                let selection = if self.definition.is_some() { Terms::default().selection } else { self.selection };
                json!(RestoreTestParams { definition: self.definition.clone(), ..RestoreTestParams::built_in(selection) })
            }
        }
    }

    /// What it says, for the audit trail; the same as [`super::values`] of its row.
    pub(crate) fn values(&self) -> Value {
        let cron = self.cron.split_whitespace().collect::<Vec<_>>().join(" ");
        json!({
            "name": self.name, "kind": self.kind, "of": self.of, "params": self.params(), "cron": cron, "zone": self.zone,
            "jitter_s": self.jitter_s, "max_duration_s": self.max_duration_s, "misfire": self.misfire, "runs_a_day": self.runs_a_day,
        })
    }
}

/// Where the parameters of a schedule's instance snapshots stand in its row.
const SNAPSHOT: &str = "snapshot";

/// How a schedule's row says that instances are snapshotted; `None` where it says nothing of it.
pub(crate) fn snapshot_of(params: &Value) -> Result<Option<SnapshotParams>> {
    params.get(SNAPSHOT).map(|p| serde_json::from_value(p.clone()).map_err(OpsError::internal)).transpose()
}

fn no_zone(name: &str) -> String {
    format!("“{}” is no time zone; write one of the IANA database such as Europe/Prague, or UTC", short(name))
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// The shortest time between two of the next hundred runs, in seconds, by the calendar.
fn shortest_gap(cron: &Cron) -> i64 {
    let times: Vec<_> = cron.after(Timestamp::from_secs(1_704_067_200), &TimeZone::UTC).take(100).collect();
    times.windows(2).map(|w| w[1].as_secs() - w[0].as_secs()).min().unwrap_or(i64::MAX)
}

/// What a schedule is for.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
pub enum Target {
    Service(ServiceRow),
    Source(ServiceRow, SourceRow),
    Repository(RepositoryRow),
}

impl Target {
    pub(crate) const fn ids(&self) -> (Option<ServiceId>, Option<SourceId>, Option<RepositoryId>) {
        match self {
            Self::Service(s) => (Some(s.id()), None, None),
            Self::Source(s, o) => (Some(s.id()), Some(o.id()), None),
            Self::Repository(r) => (None, None, Some(r.id())),
        }
    }
}

/// Finds what a schedule of that kind is for.
pub(crate) async fn resolve(mut tx: Tx<'_>, kind: ScheduleKind, of: &str) -> Result<Target> {
    let refuse = |message: String| OpsError::invalid("of", message);
    if of.is_empty() {
        return Err(refuse("is empty; say what it is for".to_owned()));
    }
    if kind.of_repository() {
        let found = repositories::find_by_name(tx, of).await?.filter(|r| r.removed_at.is_none());
        let found = found.ok_or_else(|| refuse(format!("there is no repository “{}”", short(of))))?;
        let need = if kind == ScheduleKind::Prune { Need::Prune } else { Need::Check };
        require_files(&found, need).map_err(|e| refuse(e.to_string()))?;
        return Ok(Target::Repository(found));
    }
    let (name, source) = of.split_once('/').map_or((of, None), |(name, source)| (name, Some(source)));
    let service = services::find_by_name(tx.by_ref(), name).await?.filter(|s| s.removed_at.is_none());
    let service = service.ok_or_else(|| refuse(format!("there is no service “{}”", short(name))))?;
    let Some(source) = source else { return Ok(Target::Service(service)) };
    if kind != ScheduleKind::Backup {
        return Err(refuse(format!("a restore test is of a whole service; write {name}")));
    }
    let found = sources::of_service(tx, service.id()).await?.into_iter().find(|s| s.name == source);
    found.map(|s| Target::Source(service, s)).ok_or_else(|| refuse(format!("service {name} has no source “{}”", short(source))))
}

/// Whether what a schedule says of instances fits what it is for. With `now`, the instance that it names must be listed.
pub(crate) async fn fits(mut tx: Tx<'_>, target: &Target, draft: &Draft, now: bool) -> Result<()> {
    let Some(asked) = &draft.snapshot else { return Ok(()) };
    let (sources, one) = match target {
        Target::Service(service) => (sources::of_service(tx.by_ref(), service.id()).await?, false),
        Target::Source(_, source) => (vec![source.clone()], true),
        Target::Repository(_) => (Vec::new(), false),
    };
    let Some(source) = sources.iter().find(|s| s.kind == instances::KIND) else {
        return Err(OpsError::invalid("snapshot", format!("is for sources of kind {}, and {} has none; leave it out", instances::KIND, draft.of)));
    };
    if asked.instance.is_empty() {
        return Ok(());
    }
    if !one {
        return Err(OpsError::invalid("instance", format!("is one of a source; write {}/{}, or leave it out for all", draft.of, source.name)));
    }
    if now {
        instances::fitting(&instances::named(tx, source, &asked.instance).await?, asked)?;
    }
    Ok(())
}

/// Whether the definition that a schedule names is there.
pub(crate) async fn defined(tx: Tx<'_>, target: &Target, draft: &Draft) -> Result<()> {
    let (Some(name), Target::Service(service)) = (&draft.definition, target) else { return Ok(()) };
    if test_definitions::find(tx, service.id(), name).await?.is_some() {
        return Ok(());
    }
    Err(OpsError::invalid("definition", format!("{} has no definition “{}”; make it on the service's Tests tab, or leave it out", service.name, short(name))))
}

/// What a schedule can be for, as a form suggests it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The value of [`Draft::of`].
    pub of: String,
    pub words: String,
}

/// Services with their sources, and repositories: the first two hundred of each.
pub async fn suggestions(ctx: &Ctx) -> Result<Vec<Suggestion>> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let mut out = Vec::new();
    for service in services::all(read.tx(), SUGGESTED as i64).await? {
        let sources = sources::of_service(read.tx(), service.id()).await?;
        out.push(Suggestion { of: service.name.clone(), words: format!("the service {}", service.title) });
        out.extend(sources.into_iter().map(|s| Suggestion { of: format!("{}/{}", service.name, s.name), words: format!("one source of {}", service.title) }));
    }
    let repositories = repositories::list(read.tx()).await?;
    out.extend(
        repositories
            .into_iter()
            .filter(|r| require_files(r, Need::Check).is_ok())
            .take(SUGGESTED)
            .map(|r| Suggestion { of: r.name, words: "a repository, for a check".to_owned() }),
    );
    Ok(out)
}

/// The next change of the zone's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockChange {
    pub at: Timestamp,
    /// What the clock shows up to then, and from then on.
    pub from: DateTime,
    pub to: DateTime,
    /// Whether a run falls into what is left out or comes twice.
    pub touches: bool,
}

/// What an expression means in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub words: String,
    pub runs_a_day: i64,
    pub next: Vec<Timestamp>,
    /// What was probably meant instead.
    pub likely: Option<String>,
}

/// What an expression means: in words, its next times, and how often.
pub fn meaning(ctx: &Ctx, cron: &str, zone: &str) -> Result<Meaning> {
    require_on(ctx, Action::Read, On::Any)?;
    let cron = Cron::parse(cron).map_err(|e| OpsError::invalid("cron", e))?;
    let zone = cron::zone(zone).ok_or_else(|| OpsError::invalid("zone", no_zone(zone)))?;
    let next = cron.after(ctx.now(), &zone).take(NEXT).collect();
    Ok(Meaning { words: cron.words(), runs_a_day: cron.runs_a_day(), next, likely: cron.likely_meaning() })
}

/// What a draft would do.
#[derive(Clone, Debug)]
pub struct Preview {
    pub words: String,
    pub runs_a_day: i64,
    /// Runs that begin in each hour of a day with runs.
    pub by_hour: [i64; 24],
    pub next: Vec<Timestamp>,
    /// What was probably meant, with its words and its next times.
    pub likely: Option<(String, String, Vec<Timestamp>)>,
    pub risk: Option<Risk>,
    pub clock: Option<ClockChange>,
    /// How long the last runs of this kind took on average, in seconds; `None` where none has succeeded.
    pub takes_s: Option<f64>,
    /// The shortest time between two runs, in seconds.
    pub gap_s: i64,
    /// Other schedules that begin within five minutes of the next run.
    pub same_window: usize,
    /// What it would leave of each item; `None` where nothing is backed up, or everything is kept.
    pub keeping: Option<Keeping>,
}

/// The policies of what a schedule backs up, the one that keeps the fewest snapshots first.
async fn policies_of(mut tx: Tx<'_>, target: &Target) -> Result<Vec<PolicyRow>> {
    let sources = match target {
        Target::Service(service) => sources::of_service(tx.by_ref(), service.id()).await?,
        Target::Source(_, source) => vec![source.clone()],
        Target::Repository(_) => return Ok(Vec::new()),
    };
    let mut found = Vec::new();
    for id in sources.iter().filter_map(|s| s.policy_id) {
        found.extend(policies::find(tx.by_ref(), PolicyId(id)).await?.filter(|p| p.removed_at.is_none()));
    }
    found.sort_by_key(|p| p.rules.0.most().unwrap_or(i64::MAX));
    Ok(found)
}

/// How many snapshots of each item the policies keep at most, however many runs there are; `None` where that is no limit.
pub(crate) async fn kept(tx: Tx<'_>, target: &Target) -> Result<Option<i64>> {
    Ok(policies_of(tx, target).await?.first().and_then(|p| p.rules.0.most()))
}

/// What a draft would do, and everything that is wrong with it.
pub async fn preview(ctx: &Ctx, draft: &Draft) -> Result<(Option<Preview>, Vec<FieldError>)> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let (target, mut wrong) = match resolve(read.tx(), draft.kind, &draft.of).await {
        Ok(target) => (Some(target), Vec::new()),
        Err(OpsError::Invalid(fields)) => (None, fields),
        Err(e) => return Err(e),
    };
    let policies = match &target {
        Some(target) => policies_of(read.tx(), target).await?,
        None => Vec::new(),
    };
    let policy = policies.first();
    let most = policy.and_then(|p| p.rules.0.most());
    let kept = [most, draft.kept()].into_iter().flatten().min();
    if let Err(OpsError::Invalid(fields)) = draft.check(kept) {
        wrong.extend(fields);
    }
    if let Some(target) = &target
        && let Err(OpsError::Invalid(fields)) = defined(read.tx(), target, draft).await
    {
        wrong.extend(fields);
    }
    if let Some(target) = &target
        && let Err(OpsError::Invalid(fields)) = fits(read.tx(), target, draft, true).await
    {
        wrong.extend(fields);
    }
    let (Ok(cron), Some(zone)) = (Cron::parse(&draft.cron), cron::zone(&draft.zone)) else { return Ok((None, wrong)) };
    let now = ctx.now();
    let next: Vec<_> = cron.after(now, &zone).take(NEXT).collect();
    let likely = cron.likely_meaning().and_then(|l| Cron::parse(&l).ok());
    let mut same_window = 0;
    if let Some(first) = next.first() {
        let near = |at: i64| (at - first.0).abs() <= WINDOW_S * 1_000_000;
        same_window = store::schedules::coming(read.tx(), crate::runs::PAGE).await?.iter().filter(|s| s.name != draft.name && near(s.next_at)).count();
    }
    let native = draft
        .snapshot
        .as_ref()
        .filter(|s| s.max_snapshots > 0)
        .map(|s| ("max_snapshots".to_owned(), Rules { max_snapshots: s.max_snapshots, ..Rules::default() }));
    let keeping = match native.or_else(|| policy.map(|p| (p.name.clone(), p.rules.0.clone()))).filter(|_| draft.kind == ScheduleKind::Backup) {
        Some((policy, rules)) => {
            let (days, rules) = (keeping::days(&cron), &rules);
            let likely = likely.as_ref().map(|l| imagine(l, &zone, rules, days, now)).transpose()?;
            Some(Keeping { days, policy, typed: imagine(&cron, &zone, rules, days, now)?, likely })
        }
        None => None,
    };
    let preview = Preview {
        words: cron.words(),
        runs_a_day: cron.runs_a_day(),
        by_hour: cron.by_hour(),
        likely: likely.map(|l| (l.as_str().to_owned(), l.words(), l.after(now, &zone).take(NEXT).collect())),
        risk: risk(cron.runs_a_day(), kept),
        clock: clock_change(&cron, now, &zone),
        takes_s: takes(read.tx(), draft.kind, target.as_ref()).await?,
        gap_s: shortest_gap(&cron),
        next,
        same_window,
        keeping,
    };
    Ok((Some(preview), wrong))
}

/// The mean of the last five runs that succeeded.
async fn takes(tx: Tx<'_>, kind: ScheduleKind, target: Option<&Target>) -> Result<Option<f64>> {
    let Some(target) = target else { return Ok(None) };
    let (service, source, repository) = target.ids();
    let native = matches!(target, Target::Source(_, source) if source.kind == instances::KIND);
    let kind = if native { RunKind::InstanceSnapshot } else { kind.run_kind() };
    let filter = Filter { service, kind: Some(kind), state: Some(RunState::Succeeded) };
    let found = runs::page(tx, filter, (Timestamp(i64::MAX), Uuid::max()), 50).await?;
    let same =
        found.iter().map(|r| &r.run).filter(|r| source.is_none_or(|s| r.source_id == Some(s.0)) && repository.is_none_or(|x| r.repository_id == Some(x.0)));
    let took: Vec<f64> = same.filter_map(|r| Some(Timestamp(r.finished_at?).secs_since(Timestamp(r.started_at?)))).take(5).collect();
    Ok((!took.is_empty()).then(|| took.iter().sum::<f64>() / took.len() as f64))
}

/// The next change of the clock within a year, and whether runs are named for the time that is left out or comes twice.
fn clock_change(cron: &Cron, now: Timestamp, zone: &TimeZone) -> Option<ClockChange> {
    let now = jiff::Timestamp::from_microsecond(now.0).ok()?;
    let mut offset = zone.to_offset(now);
    let year = jiff::SignedDuration::from_hours(366 * 24);
    for change in zone.following(now).take_while(|c| c.timestamp().duration_since(now) < year) {
        if change.offset() == offset {
            continue;
        }
        let (from, to) = (offset.to_datetime(change.timestamp()), change.offset().to_datetime(change.timestamp()));
        let (first, last) = (from.min(to), from.max(to));
        let touches = cron.names_between(first, last);
        offset = change.offset();
        if from != to {
            return Some(ClockChange { at: Timestamp(change.timestamp().as_microsecond()), from, to, touches });
        }
    }
    None
}
