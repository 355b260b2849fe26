//! How all services stand now, for home, the list of services and the counts beside the navigation.
//!
//! Lives here: loading the facts, judging them (`domain::standing` does), keeping the result for a moment.
//! May not: words for people. Invariant: permission is asked for before the kept result is given.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use domain::{
    alert::AlertKind,
    evidence::{EvidenceLevel, Verdict},
    run::RunState,
    schedule::Counts,
    standing::{self, Day, Facts, Finding, Gravity, Tested},
    units::Timestamp,
};
use jiff::{Span, tz::TimeZone};
use store::{
    alerts::AlertRow,
    guard, runs,
    services::{self, ServiceRow},
    ticks::{self, NeverRan},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    Ctx, Result, alerts,
    permission::{Action, On, Sight, allowed, sight},
};

/// The most services that are looked at together.
pub const MOST: i64 = 10_000;
/// The most schedules that never ran that are looked at together.
const MOST_NEVER_RAN: i64 = 500;
/// Days that a strip shows, today included.
pub const DAYS: usize = 30;
/// How old the kept result may be: two seconds.
const KEPT_S: f64 = 2.0;

/// One service, judged.
#[derive(Clone, Debug)]
pub struct Standing {
    pub row: ServiceRow,
    pub facts: Facts,
    /// The gravest first; none means in order.
    pub findings: Vec<Finding>,
    pub evidence: EvidenceLevel,
    pub covered: i64,
    pub recoverable: bool,
    /// The last 30 days, the newest at the end.
    pub days: [Day; DAYS],
}

impl Standing {
    pub fn worst(&self) -> Option<Finding> {
        self.findings.first().copied()
    }

    pub fn gravity(&self) -> Option<Gravity> {
        self.worst().map(Finding::gravity)
    }

    /// A service that has nothing to say for itself yet is not counted among those that need attention.
    pub fn needs_attention(&self) -> bool {
        self.gravity().is_some_and(|g| g != Gravity::Unknown)
    }

    pub fn last_run_failed(&self) -> bool {
        self.findings.iter().any(|f| matches!(f, Finding::RunFailed { .. } | Finding::RunPartial { .. } | Finding::NoCopy))
    }
}

/// All services, the worst first.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    pub at: Timestamp,
    pub services: Vec<Standing>,
    /// Items of all services, and those with a copy within the RPO.
    pub items: i64,
    pub covered: i64,
    pub recoverable: usize,
    /// Runs of the last 24 hours that have ended, and those of them that succeeded.
    pub ended_24h: i64,
    pub succeeded_24h: i64,
    /// What schedules expected of the last 24 hours, and what came of it.
    pub expected_24h: Counts,
    /// Schedules that were due and never had a run, by name.
    pub never_ran: Vec<NeverRan>,
    /// The first moment of the first day of the strips.
    pub since: Timestamp,
    /// What the open alerts are about, the worst first: one line for each service, repository or channel.
    pub attention: Vec<Attention>,
    pub alerts: AlertCounts,
    /// When the audit trail's last event was written.
    pub audited_at: Option<Timestamp>,
}

/// Everything that is wrong with one service, repository or channel.
#[derive(Clone, Debug)]
pub struct Attention {
    pub worst: AlertRow,
    /// What else is wrong with it, the gravest first.
    pub others: Vec<AlertKind>,
    /// The newest run of it that went wrong, if one did.
    pub failed_run: Option<Uuid>,
}

/// How many things need attention by what the pages of the navigation are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    pub runs: usize,
    pub tests: usize,
    pub channels: usize,
}

impl Overview {
    pub fn count(&self, gravity: Option<Gravity>) -> usize {
        self.services.iter().filter(|s| s.gravity() == gravity).count()
    }

    /// How many services do not keep their promise or are at risk.
    pub fn services_needing_attention(&self) -> usize {
        self.services.iter().filter(|s| s.needs_attention()).count()
    }

    /// Holds of the guard that wait for a decision.
    pub fn undecided_holds(&self) -> usize {
        self.services.iter().filter_map(|s| s.facts.on_hold).map(|(n, _)| usize::try_from(n).unwrap_or(0)).sum()
    }

    /// How many lines of the list need attention; what is merely unknown does not.
    pub fn needing_attention(&self) -> usize {
        self.attention.iter().filter(|a| alerts::needs_attention(&a.worst)).count()
    }
}

/// One line for each thing, in the order of its worst alert. `rows` are in the order of gravity.
fn by_subject(rows: Vec<AlertRow>) -> (Vec<Attention>, AlertCounts) {
    let mut lines: Vec<Attention> = Vec::new();
    let mut places = HashMap::<Uuid, usize>::new();
    let (mut runs, mut tests, mut channels) = (HashSet::new(), HashSet::new(), HashSet::new());
    for row in rows {
        let (subject, kind) = (row.service_id.unwrap_or(row.entity_id), row.facts.0.kind());
        let (of_runs, of_tests) = alerts::is_about(kind);
        if alerts::needs_attention(&row) {
            for (counted, set) in [(of_runs, &mut runs), (of_tests, &mut tests), (kind == AlertKind::ChannelFailing, &mut channels)] {
                if counted {
                    set.insert(subject);
                }
            }
        }
        let failed_run = row.run_id.filter(|_| matches!(kind, AlertKind::RunFailed | AlertKind::RunPartial));
        if let Some(line) = places.get(&subject).and_then(|i| lines.get_mut(*i)) {
            line.others.push(kind);
            line.failed_run = line.failed_run.or(failed_run);
        } else {
            places.insert(subject, lines.len());
            lines.push(Attention { worst: row, others: Vec::new(), failed_run });
        }
    }
    (lines, AlertCounts { runs: runs.len(), tests: tests.len(), channels: channels.len() })
}

/// The overview as it was at most two seconds ago; shared by all requests of those who see everything. Whoever comes while
/// it is made waits for it. Whoever sees a part has theirs made for them.
#[derive(Clone, Debug, Default)]
pub struct Cache(Arc<Mutex<Option<Arc<Overview>>>>);

impl Cache {
    /// The days of the strips are those of `zone`.
    pub async fn get(&self, ctx: &Ctx, zone: &TimeZone) -> Result<Arc<Overview>> {
        if sight(ctx, Action::Read)? != Sight::All {
            return Ok(Arc::new(load(ctx, zone).await?));
        }
        let mut kept = self.0.lock().await;
        let now = ctx.now();
        if let Some(overview) = kept.as_ref().filter(|o| (0.0..KEPT_S).contains(&now.secs_since(o.at))) {
            return Ok(overview.clone());
        }
        let overview = Arc::new(load(ctx, zone).await?);
        *kept = Some(overview.clone());
        Ok(overview)
    }
}

/// The services that the actor sees, judged now.
pub async fn load(ctx: &Ctx, zone: &TimeZone) -> Result<Overview> {
    let sight = sight(ctx, Action::Read)?;
    let now = ctx.now();
    let window = Window::before(now, zone);
    let expected_24h = crate::ledger::counts(ctx, ticks::Filter::default(), now.plus_secs(-86_400)).await?;
    let by_state = crate::runs::count_by_state(ctx, now.plus_secs(-86_400)).await?;
    let mut read = ctx.db.read().await?;
    let mut rows = services::all(read.tx(), MOST).await?;
    rows.retain(|s| sight.service(s.id()));
    let mut never_ran = ticks::never_ran(read.tx(), "", MOST_NEVER_RAN).await?;
    never_ran.retain(|s| sight.of(s.service_id));
    let mut strips = HashMap::<Uuid, [Day; DAYS]>::new();
    for row in runs::backups_by_day(read.tx(), window.since, window.change, window.by_s).await? {
        if let (Some(state), Ok(day)) = (RunState::parse(&row.state), usize::try_from(row.day))
            && let Some(slot) = strips.entry(row.service_id).or_default().get_mut(day)
        {
            *slot = slot.with(state);
        }
    }
    for (service, day) in ticks::missed_backups_by_day(read.tx(), window.since, window.change, window.by_s).await? {
        if let Ok(day) = usize::try_from(day)
            && let Some(slot) = strips.entry(service).or_default().get_mut(day)
        {
            *slot = slot.with_missed();
        }
    }
    let mut overview = Overview {
        at: now,
        since: window.since,
        expected_24h,
        never_ran,
        audited_at: if allowed(&ctx.actor, Action::Audit, On::All) { store::audit::head_at(read.tx()).await? } else { None },
        ..Overview::default()
    };
    for (state, n) in by_state {
        match RunState::parse(&state) {
            Some(RunState::Queued | RunState::Running | RunState::Cancelled) | None => {}
            Some(RunState::Succeeded) => {
                overview.succeeded_24h += n;
                overview.ended_24h += n;
            }
            Some(_) => overview.ended_24h += n,
        }
    }
    let on_hold: HashMap<Uuid, (i64, Timestamp)> =
        guard::undecided(read.tx()).await?.into_iter().map(|u| (u.service_id, (u.holds, Timestamp(u.since)))).collect();
    let mut open = store::alerts::open(read.tx(), alerts::MOST).await?;
    drop(read);
    open.retain(|a| sight.of(a.service_id));
    alerts::rank(&mut open, now);
    (overview.attention, overview.alerts) = by_subject(open);
    overview.services = rows
        .into_iter()
        .map(|row| {
            let days = strips.remove(&row.id).unwrap_or_default();
            let held = on_hold.get(&row.id).copied();
            judged(row, days, held, now)
        })
        .collect();
    overview.services.sort_by(|a, b| {
        let key = |s: &Standing| s.worst().map_or((u8::MAX, 0.0), |f| (f.rank(), f.excess()));
        let ((rank_a, excess_a), (rank_b, excess_b)) = (key(a), key(b));
        rank_a.cmp(&rank_b).then(excess_b.total_cmp(&excess_a)).then_with(|| a.row.name.cmp(&b.row.name))
    });
    for s in &overview.services {
        overview.items += s.facts.items;
        overview.covered += s.covered;
        overview.recoverable += usize::from(s.recoverable);
    }
    Ok(overview)
}

/// One service judged now, without its strip. `on_hold`: undecided holds of the guard over it, and since when there is one.
pub fn judge(row: ServiceRow, on_hold: Option<(i64, Timestamp)>, now: Timestamp) -> Standing {
    judged(row, [Day::NoData; DAYS], on_hold, now)
}

fn judged(row: ServiceRow, days: [Day; DAYS], on_hold: Option<(i64, Timestamp)>, now: Timestamp) -> Standing {
    let facts = Facts { on_hold, ..facts(&row) };
    Standing {
        findings: standing::judge(&facts, now),
        evidence: standing::evidence(&facts),
        covered: standing::covered(&facts, now),
        recoverable: standing::recoverable(&facts, now),
        row,
        facts,
        days,
    }
}

fn facts(row: &ServiceRow) -> Facts {
    Facts {
        rpo_s: row.rpo_s,
        rto_s: row.rto_s,
        items: row.items,
        items_fresh: row.items_fresh,
        last_snapshot_at: row.last_snapshot_at.map(Timestamp),
        last_run: row.last_run_state.as_deref().and_then(RunState::parse).zip(row.last_run_at.map(Timestamp)),
        last_test: row.last_test_at.map(|at| Tested {
            at: Timestamp(at),
            verdict: row.last_test_verdict.as_deref().and_then(Verdict::parse).unwrap_or(Verdict::Unknown),
            level: EvidenceLevel::parse(&row.best_level).unwrap_or_default(),
            rto_s: row.last_test_rto_s,
        }),
        on_hold: None,
    }
}

/// The days of the strips, and the change of the zone's clock among them.
struct Window {
    since: Timestamp,
    change: Timestamp,
    by_s: i64,
}

impl Window {
    fn before(now: Timestamp, zone: &TimeZone) -> Self {
        let today = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default().to_zoned(zone.clone());
        let days = Span::new().days(DAYS as i64 - 1);
        let Some(first) = today.start_of_day().ok().and_then(|d| d.checked_sub(days).ok()) else {
            return Self { since: now.plus_secs(-(DAYS as i64) * 86_400), change: Timestamp(i64::MAX), by_s: 0 };
        };
        let since = Timestamp(first.timestamp().as_microsecond());
        let changed = zone.following(first.timestamp()).next().filter(|t| t.timestamp() <= today.timestamp());
        let (change, by_s) = changed.map_or((Timestamp(i64::MAX), 0), |t| {
            (Timestamp(t.timestamp().as_microsecond()), i64::from(t.offset().seconds()) - i64::from(first.offset().seconds()))
        });
        Self { since, change, by_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_the_clock_of_the_zone() {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let at = |m: i8, d: i8, h: i8| Timestamp(jiff::civil::date(2021, m, d).at(h, 0, 0, 0).to_zoned(zone.clone()).unwrap().timestamp().as_microsecond());
        // The clock went forward on 28 March.
        let w = Window::before(at(4, 10, 15), &zone);
        assert_eq!(w.since, at(3, 12, 0));
        let day = |t: Timestamp| (t.0 - w.since.0 + if t >= w.change { w.by_s * 1_000_000 } else { 0 }) / 86_400_000_000;
        assert_eq!(
            [day(at(3, 12, 0)), day(at(3, 27, 23)), day(at(3, 28, 0)), day(at(3, 29, 0)), day(at(4, 9, 23)), day(at(4, 10, 0))],
            [0, 15, 16, 17, 28, 29]
        );
        let w = Window::before(at(7, 1, 0), &zone);
        assert_eq!((w.by_s, w.since), (0, at(6, 2, 0)));
    }
}
