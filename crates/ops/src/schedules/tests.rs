//! Use cases of schedules on both databases: who may, what is refused, what the scheduler writes, two schedulers at once.

use std::sync::Arc;

use domain::{
    run::{RunEvent, RunState},
    schedule::{Counts, MOST_CAUGHT_UP},
};
use store::{
    Clock,
    testing::{self, TestDb},
};

use super::*;
use crate::{Actor, Role, backups, ledger, runs_tests::fill};

/// Thursday 25 February 2021, 08:42 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_614_242_520);
const H: i64 = 3_600;
const D: i64 = 86_400;

/// A service with one source on a database whose clock stands still.
struct Stage {
    db: TestDb,
    ctx: Ctx,
}

impl Stage {
    async fn on(db: TestDb) -> Self {
        fill(&db).await;
        let ctx = Ctx { clock: Clock::fixed(NOW), ..Ctx::new(db.db.clone(), Actor::shell(), "test") };
        Self { db, ctx }
    }

    fn at(&self, role: Role) -> Ctx {
        Ctx { actor: Actor::new("somebody", role), ..self.ctx.clone() }
    }

    async fn save(&self, draft: &Draft) -> ScheduleRow {
        save(&self.ctx, draft, None).await.unwrap();
        find(&self.ctx, &draft.name).await.unwrap()
    }

    async fn tick(&self, row: &ScheduleRow) -> Ticked {
        tick(&self.ctx, row.id()).await.unwrap()
    }

    /// Ends the oldest queued run.
    async fn end(&self, event: RunEvent) {
        let token = uuid::Uuid::now_v7();
        let mut t = self.ctx.db.begin().await.unwrap();
        let lease = store::queue::Lease { owner: "w", token, until: Timestamp(i64::MAX) };
        let run = store::queue::claim(t.tx(), &lease, self.ctx.now()).await.unwrap().unwrap();
        let end = store::queue::End { event, result: None, failure: None };
        store::queue::finish(t.tx(), run.id(), token, &end, self.ctx.now()).await.unwrap().unwrap();
        t.commit().await.unwrap();
    }

    async fn rows(&self) -> Vec<store::ticks::TickRow> {
        ledger::list(&self.ctx, store::ticks::Filter::default(), None, 500).await.unwrap()
    }

    /// States with reasons, the oldest first.
    async fn said(&self) -> Vec<String> {
        let rows = self.rows().await.into_iter().rev();
        rows.map(|r| r.reason.map_or(r.state.clone(), |reason| format!("{} {reason}", r.state))).collect()
    }
}

fn hourly() -> Draft {
    Draft { name: "hourly".into(), of: "notebooks".into(), cron: "0 * * * *".into(), zone: "Europe/Prague".into(), ..Draft::default() }
}

#[tokio::test]
async fn a_tick_becomes_a_run_and_stands_as_it_ends() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&Draft { max_duration_s: Some(H), ..hourly() }).await;
        assert_eq!((row.next_at, row.next_run_at), (NOW.plus_secs(18 * 60).0, NOW.plus_secs(18 * 60).0), "{}", s.db.name);
        assert_eq!(s.tick(&row).await, Ticked::default(), "nothing is due");

        s.ctx.clock.advance_secs(18 * 60);
        assert_eq!(due(&s.ctx).await.unwrap(), [row.id()]);
        let ticked = s.tick(&row).await;
        assert_eq!((ticked.runs.len(), ticked.missed), (1, 0));
        let run = runs::find(&s.ctx, ticked.runs[0]).await.unwrap();
        assert_eq!((run.actor.as_str(), run.schedule_id, run.max_duration_s, run.deadline_at), ("schedule hourly", Some(row.id), Some(H), None));
        assert_eq!(s.said().await, ["open"]);
        assert_eq!(s.tick(&row).await, Ticked::default(), "a tick comes once");

        s.end(RunEvent::FinishPartly).await;
        assert_eq!(s.said().await, ["partial"]);
        let counts = ledger::counts(&s.ctx, store::ticks::Filter::default(), NOW).await.unwrap();
        assert_eq!((counts, counts.rate()), (Counts { partial: 1, ..Counts::default() }, Some(0.0)));
        assert_eq!(s.rows().await[0].target, "notebooks/homes");
    }
}

/// A check reads as much as the longest pause between two of its ticks demands.
#[tokio::test]
async fn a_check_of_a_repository_that_is_to_be_read_reads_its_part() {
    use domain::{reading::Slice, work::CheckParams};
    let stage = Stage::on(testing::sqlite().await).await;
    let row = store::repositories::find_by_name(stage.ctx.db.read().await.unwrap().tx(), "main").await.unwrap().unwrap();
    let new = store::repositories::NewRepository {
        name: row.name,
        location: row.location,
        options: row.options.0,
        password: row.password.0,
        max_parallel: None,
        read_all_within_s: Some(30 * D),
    };
    let mut t = stage.ctx.db.begin().await.unwrap();
    store::repositories::upsert(t.tx(), &new, NOW).await.unwrap();
    t.commit().await.unwrap();
    let draft = |name: &str, read_data| Draft {
        name: name.into(),
        kind: ScheduleKind::Check,
        of: "main".into(),
        cron: "0 3 * * 1,4".into(),
        zone: "UTC".into(),
        read_data,
        jitter_s: 600,
        ..Draft::default()
    };
    let Clock::Fixed(clock) = &stage.ctx.clock else { panic!("the clock stands still") };
    for (name, read_data, slice) in [("parts", false, Some(Slice { within_s: 30 * D, every_s: 4 * D + 600 })), ("all", true, None)] {
        let row = stage.save(&draft(name, read_data)).await;
        clock.fetch_add(5 * D * 1_000_000, std::sync::atomic::Ordering::SeqCst);
        let ticked = stage.tick(&row).await;
        let run = crate::runs::find(&stage.ctx, *ticked.runs.last().unwrap()).await.unwrap();
        assert_eq!(run.params::<CheckParams>().unwrap(), CheckParams { read_data, slice }, "{name}");
    }
}

#[tokio::test]
async fn a_run_that_still_lives_makes_the_next_tick_a_missed_one() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&hourly()).await;
        s.ctx.clock.advance_secs(18 * 60);
        let first = s.tick(&row).await.runs[0];
        s.ctx.clock.advance_secs(H);
        assert_eq!(s.tick(&row).await, Ticked { runs: vec![], missed: 1 });
        assert_eq!(s.said().await, ["open", "missed overlap"]);
        assert_eq!(s.rows().await[0].detail, Some(first.to_string()), "it names the run in the way");
        s.end(RunEvent::Succeed).await;

        // What a person has started stands in the way just as well.
        let own = backups::start(&s.ctx, "notebooks", None, None).await.unwrap()[0];
        s.ctx.clock.advance_secs(H);
        s.tick(&row).await;
        assert_eq!(s.said().await, ["succeeded", "missed overlap", "missed underway"]);
        assert_eq!(s.rows().await[0].detail, Some(own.to_string()));
        runs::cancel(&s.ctx, own, "").await.unwrap();
        s.ctx.clock.advance_secs(H);
        let run = s.tick(&row).await.runs[0];
        runs::cancel(&s.ctx, run, "not today").await.unwrap();
        assert_eq!(s.said().await.last().map(String::as_str), Some("cancelled"));
    }
}

#[tokio::test]
async fn what_was_missed_while_down_follows_the_policy() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let mut rows = Vec::new();
        for misfire in Misfire::ALL {
            rows.push(s.save(&Draft { name: misfire.as_str().into(), misfire: *misfire, ..hourly() }).await);
        }
        // Down for a week and half an hour.
        s.ctx.clock.advance_secs(7 * D + 48 * 60);
        let all = 7 * 24 + 1;
        for (row, runs) in rows.iter().zip([0, 1, 0]) {
            // The third finds the source busy with the run of the second, but for those that wait for it.
            let ticked = s.tick(row).await;
            let want = if row.name == "all" { MOST_CAUGHT_UP } else { runs };
            assert_eq!((ticked.runs.len(), ticked.missed), (want, all - want), "{} {}", s.db.name, row.name);
        }
        let counts = ledger::counts(&s.ctx, store::ticks::Filter { schedule: Some(rows[2].id()), ..Default::default() }, NOW).await.unwrap();
        assert_eq!((counts.open, counts.missed), (10, all as i64 - 10));
        // Those that catch up do not run at once: each waits for the source.
        let mut open = 0;
        for _ in 0..20 {
            let mut t = s.ctx.db.begin().await.unwrap();
            let lease = store::queue::Lease { owner: "w", token: uuid::Uuid::now_v7(), until: Timestamp(i64::MAX) };
            let claimed = store::queue::claim(t.tx(), &lease, s.ctx.now()).await.unwrap();
            t.commit().await.unwrap();
            open += usize::from(claimed.is_some());
        }
        assert_eq!(open, 1, "one source is backed up once at a time");
    }
}

#[tokio::test]
async fn a_year_of_being_down_is_in_the_ledger() {
    let s = Stage::on(testing::sqlite().await).await;
    let row = s.save(&hourly()).await;
    s.ctx.clock.advance_secs(365 * D);
    let ticked = s.tick(&row).await;
    assert_eq!((ticked.runs.len(), ticked.missed), (1, 365 * 24 - 1));
    let row = find(&s.ctx, "hourly").await.unwrap();
    assert!(row.next_at > s.ctx.now().0);
    let counts = ledger::counts(&s.ctx, store::ticks::Filter::default(), NOW).await.unwrap();
    assert_eq!((counts.open, counts.missed), (1, 365 * 24 - 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_schedulers_at_once_never_make_two_runs() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&hourly()).await;
        let s = Arc::new(s);
        for round in 0..25 {
            s.ctx.clock.advance_secs(H);
            let lookers: Vec<_> = (0..4)
                .map(|_| {
                    let (s, id) = (s.clone(), row.id());
                    tokio::spawn(async move { tick(&s.ctx, id).await })
                })
                .collect();
            let mut runs = Vec::new();
            for one in lookers {
                runs.extend(one.await.unwrap().unwrap().runs);
            }
            assert_eq!(runs.len(), 1, "{} round {round}", s.db.name);
            s.end(RunEvent::Succeed).await;
        }
        assert_eq!(s.rows().await.len(), 25);
        assert!(s.said().await.iter().all(|state| state == "succeeded"));
    }
}

#[tokio::test]
async fn a_pause_is_in_the_ledger_with_its_reason_and_ends_by_itself() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&hourly()).await;
        pause(&s.ctx, "hourly", Some(NOW.plus_secs(2 * H)), "  moving the disks ").await.unwrap();
        assert_eq!(coming(&s.ctx, 10).await.unwrap().len(), 0, "it runs no more until then");
        s.ctx.clock.advance_secs(3 * H);
        let ticked = s.tick(&row).await;
        assert_eq!((ticked.runs.len(), ticked.missed), (1, 2), "{}", s.db.name);
        assert_eq!(s.said().await, ["missed paused", "missed paused", "open"]);
        assert_eq!(s.rows().await[1].detail.as_deref(), Some("moving the disks"));
        s.end(RunEvent::Succeed).await;
        let counts = ledger::counts(&s.ctx, store::ticks::Filter::default(), NOW).await.unwrap();
        assert_eq!((counts.expected(), counts.paused, counts.rate()), (1, 2, Some(1.0)), "a pause was not expected to run");

        pause(&s.ctx, "hourly", None, "until somebody says so").await.unwrap();
        s.ctx.clock.advance_secs(H);
        resume(&s.ctx, "hourly").await.unwrap();
        assert_eq!(s.said().await.last().map(String::as_str), Some("missed paused"), "what fell into it is settled before it ends");
        s.ctx.clock.advance_secs(H);
        assert_eq!(s.tick(&row).await.runs.len(), 1);
    }
}

#[tokio::test]
async fn a_change_settles_the_old_rule_and_starts_the_new_one() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        s.save(&hourly()).await;
        // Down for three hours, and changed before the scheduler looked.
        s.ctx.clock.advance_secs(3 * H);
        let daily = Draft { cron: "15 1 * * *".into(), jitter_s: 600, ..hourly() };
        save(&s.ctx, &daily, Some(1)).await.unwrap();
        assert_eq!(s.said().await, ["missed down"; 3], "{}", s.db.name);
        let row = find(&s.ctx, "hourly").await.unwrap();
        let want = Timestamp::from_secs(1_614_298_500);
        assert_eq!((row.next_at, row.revision), (want.0, 2));
        assert!((0..=600_000_000).contains(&(row.next_run_at - row.next_at)) && row.next_run_at != row.next_at, "{}", row.next_run_at - row.next_at);
        assert!(matches!(save(&s.ctx, &daily, Some(1)).await, Err(OpsError::Conflict(_))), "somebody else was first");

        remove(&s.ctx, "hourly").await.unwrap();
        assert!(matches!(find(&s.ctx, "hourly").await, Err(OpsError::NotFound { .. })));
        s.ctx.clock.advance_secs(5 * D);
        assert_eq!(s.tick(&row).await, Ticked::default());
        assert_eq!(s.rows().await.len(), 3, "its ledger stays");
        let again = s.save(&hourly()).await;
        assert_eq!((again.id, again.removed_at), (row.id, None), "under its name it comes back with its history");
    }
}

#[tokio::test]
async fn what_takes_too_long_is_stopped() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&Draft { max_duration_s: Some(600), ..hourly() }).await;
        s.ctx.clock.advance_secs(18 * 60);
        let run = s.tick(&row).await.runs[0];
        // Waiting is not taking: the time counts from the start.
        s.ctx.clock.advance_secs(700);
        assert_eq!(stop_overlong(&s.ctx).await.unwrap(), 0);
        let mut t = s.ctx.db.begin().await.unwrap();
        let lease = store::queue::Lease { owner: "w", token: uuid::Uuid::now_v7(), until: Timestamp(i64::MAX) };
        store::queue::claim(t.tx(), &lease, s.ctx.now()).await.unwrap().unwrap();
        t.commit().await.unwrap();
        s.ctx.clock.advance_secs(599);
        assert_eq!(stop_overlong(&s.ctx).await.unwrap(), 0, "{}", s.db.name);
        s.ctx.clock.advance_secs(1);
        assert_eq!(stop_overlong(&s.ctx).await.unwrap(), 1);
        assert_eq!(stop_overlong(&s.ctx).await.unwrap(), 0, "it is asked once");
        let row = runs::find(&s.ctx, run).await.unwrap();
        assert_eq!(row.cancel_reason.as_deref(), Some("it takes longer than its maximum duration of 10 m"));
        assert_eq!(row.state().unwrap(), RunState::Running, "its worker puts things in order first");
    }
}

#[tokio::test]
async fn a_clock_that_was_ahead_leaves_no_gap_behind() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&Draft { misfire: Misfire::Skip, ..hourly() }).await;
        s.ctx.clock.advance_secs(400 * D);
        s.tick(&row).await;
        assert!(s.rows().await.len() >= 500);
        s.ctx.clock.advance_secs(-400 * D);
        assert_eq!(clock_went_back(&s.ctx).await.unwrap(), 1, "{}", s.db.name);
        assert_eq!(s.rows().await.len(), 0, "a time that has not come is no record");
        assert_eq!(clock_went_back(&s.ctx).await.unwrap(), 0);
        s.ctx.clock.advance_secs(18 * 60);
        assert_eq!(s.tick(&row).await.runs.len(), 1);
    }
}

#[tokio::test]
async fn schedules_that_never_ran_and_items_that_are_overdue_are_found() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&Draft { misfire: Misfire::Skip, ..hourly() }).await;
        assert!(ledger::never_ran(&s.ctx, "", 10).await.unwrap().is_empty(), "it was not due yet");
        s.ctx.clock.advance_secs(5 * H + 48 * 60);
        s.tick(&row).await;
        let never = ledger::never_ran(&s.ctx, "", 10).await.unwrap();
        assert_eq!((never.len(), never[0].name.as_str(), never[0].ticks), (1, "hourly", 6), "{}", s.db.name);
        assert!(ledger::never_ran(&s.ctx, "hourly", 10).await.unwrap().is_empty());
        s.ctx.clock.advance_secs(30 * 60);
        assert_eq!(s.tick(&row).await.runs.len(), 1);
        assert!(ledger::never_ran(&s.ctx, "", 10).await.unwrap().is_empty());

        // The service promises nothing yet; then a day, and its only item has no snapshot at all.
        assert!(ledger::overdue(&s.ctx, "", 10).await.unwrap().is_empty());
        let mut t = s.ctx.db.begin().await.unwrap();
        let new = store::services::NewService {
            name: "notebooks".into(),
            title: "N".into(),
            owner: "o".into(),
            rpo_s: Some(D),
            rto_s: None,
            mtpod_s: None,
            canary: None,
        };
        store::services::upsert(t.tx(), &new, s.ctx.now()).await.unwrap();
        t.commit().await.unwrap();
        let overdue = ledger::overdue(&s.ctx, "", 10).await.unwrap();
        assert_eq!((overdue.len(), overdue[0].items, overdue[0].rpo_s), (1, 1, D));
        assert_eq!(ledger::overdue_items(&s.ctx, &overdue[0], 10).await.unwrap(), ["ada"]);
    }
}

#[tokio::test]
async fn drafts_are_refused_field_by_field() {
    let s = Stage::on(testing::sqlite().await).await;
    let cases: Vec<(Draft, &str, &str)> = vec![
        (Draft { name: "No Good".into(), ..hourly() }, "name", "must start with a lower-case letter"),
        (Draft { of: String::new(), ..hourly() }, "of", "is empty"),
        (Draft { of: "nobody".into(), ..hourly() }, "of", "there is no service “nobody”"),
        (Draft { of: "notebooks/none".into(), ..hourly() }, "of", "has no source “none”"),
        (Draft { kind: ScheduleKind::Check, ..hourly() }, "of", "there is no repository “notebooks”"),
        (Draft { kind: ScheduleKind::RestoreTest, of: "notebooks/homes".into(), ..hourly() }, "of", "is of a whole service"),
        (Draft { cron: "0 25 * * *".into(), ..hourly() }, "cron", "has an hour that is not understood"),
        (Draft { zone: "Europe/Atlantis".into(), ..hourly() }, "zone", "is no time zone"),
        (Draft { jitter_s: H, ..hourly() }, "jitter", "must be shorter than the time between two runs, which is 1 h"),
        (Draft { jitter_s: D, ..hourly() }, "jitter", "must be at most 6 h"),
        (Draft { max_duration_s: Some(5), ..hourly() }, "max_duration", "must be from 1 m to 30 d"),
        (Draft { cron: "* 5 * * *".into(), ..hourly() }, "runs_a_day", "60 runs a day; if at 05:00, every day is meant, write 0 5 * * *"),
        (Draft { cron: "* 5 * * *".into(), runs_a_day: Some(59), ..hourly() }, "runs_a_day", "confirm it"),
        (Draft { cron: "*/5 * * * *".into(), ..hourly() }, "runs_a_day", "288 runs a day; if that is meant, confirm it"),
    ];
    for (draft, field, words) in cases {
        match save(&s.ctx, &draft, None).await {
            Err(OpsError::Invalid(fields)) => {
                let found = fields.iter().find(|f| f.field == field).unwrap_or_else(|| panic!("{field}: {fields:?}"));
                assert!(found.message.contains(words), "{field}: {}", found.message);
            }
            other => panic!("{draft:?}: {other:?}"),
        }
    }
    s.save(&Draft { cron: "* 5 * * *".into(), runs_a_day: Some(60), ..hourly() }).await;
    assert!(matches!(save(&s.ctx, &hourly(), None).await, Err(OpsError::Invalid(f)) if f[0].field == "name"), "the name is taken");
    // Too few kept: the same text with the history that would be left.
    let burns = Draft { cron: "0 */4 * * *".into(), ..hourly() }.check(Some(5));
    assert!(matches!(burns, Err(OpsError::Invalid(f)) if f[0].message.contains("with 5 snapshots kept, only the last 5 of them would be left")));
    // What the policy of the source keeps is asked of it.
    let mut t = s.ctx.db.begin().await.unwrap();
    let rules = domain::retention::Rules { keep_last: 9, max_snapshots: 4, ..Default::default() };
    let policy = store::policies::upsert(t.tx(), &store::policies::NewPolicy { name: "few".into(), rules }, Timestamp(1)).await.unwrap();
    store::testing::execute(t.tx(), "UPDATE source SET policy_id = (SELECT id FROM policy)").await;
    t.commit().await.unwrap();
    assert_ne!(policy.0, uuid::Uuid::nil());
    match save(&s.ctx, &Draft { name: "often".into(), cron: "0 */4 * * *".into(), ..hourly() }, None).await {
        Err(OpsError::Invalid(f)) => assert!(f[0].message.contains("with 4 snapshots kept"), "{f:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_preview_shows_what_a_draft_would_do() {
    let s = Stage::on(testing::sqlite().await).await;
    s.save(&Draft { name: "other".into(), cron: "2 5 * * *".into(), ..hourly() }).await;
    let draft = Draft { cron: "* 5 * * *".into(), zone: "Europe/Zurich".into(), ..hourly() };
    let (shown, wrong) = preview(&s.ctx, &draft).await.unwrap();
    let shown = shown.unwrap();
    assert_eq!((shown.words.as_str(), shown.runs_a_day, shown.next.len()), ("every minute from 05:00 to 05:59, every day", 60, 10));
    assert_eq!((wrong.len(), wrong[0].field.as_str()), (1, "runs_a_day"));
    let (text, words, next) = shown.likely.unwrap();
    assert_eq!((text.as_str(), words.as_str(), next[1].0 - next[0].0), ("0 5 * * *", "at 05:00, every day", D * 1_000_000));
    assert_eq!((shown.by_hour[5], shown.by_hour[4], shown.gap_s, shown.same_window), (60, 0, 60, 1));
    let clock = shown.clock.unwrap();
    assert_eq!((clock.from.to_string().as_str(), clock.to.to_string().as_str(), clock.touches), ("2021-03-28T02:00:00", "2021-03-28T03:00:00", false));
    let night = Draft { cron: "30 2 * * *".into(), zone: "Europe/Zurich".into(), ..hourly() };
    assert!(preview(&s.ctx, &night).await.unwrap().0.unwrap().clock.unwrap().touches);
    assert_eq!(preview(&s.ctx, &Draft { zone: "UTC".into(), ..night.clone() }).await.unwrap().0.unwrap().clock, None);
    let (nothing, wrong) = preview(&s.ctx, &Draft { cron: "x".into(), of: "none".into(), ..night }).await.unwrap();
    assert!(nothing.is_none());
    assert_eq!(wrong.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["of", "cron"]);
}

/// What a month of runs would leave, by the policy of the source.
#[tokio::test]
async fn a_preview_shows_what_would_be_kept() {
    let s = Stage::on(testing::sqlite().await).await;
    let keeping = async |draft: &Draft| preview(&s.ctx, draft).await.unwrap().0.unwrap().keeping;
    assert!(keeping(&hourly()).await.is_none(), "without a policy everything is kept");
    let rules = domain::retention::Rules { keep_last: 5, ..Default::default() };
    let mut t = s.ctx.db.begin().await.unwrap();
    let policy = store::policies::upsert(t.tx(), &store::policies::NewPolicy { name: "five".into(), rules }, NOW).await.unwrap();
    let service = store::services::find_by_name(t.tx(), "notebooks").await.unwrap().unwrap();
    let source = store::sources::of_service(t.tx(), service.id()).await.unwrap().remove(0);
    let new = store::sources::NewSource {
        service: service.id(),
        repository: domain::id::RepositoryId(source.repository_id),
        name: source.name,
        kind: source.kind,
        config: source.config.0,
        position: source.position,
        policy: Some(policy),
    };
    store::sources::upsert(t.tx(), &new, NOW).await.unwrap();
    t.commit().await.unwrap();

    let draft = Draft { cron: "* 5 * * *".into(), zone: "Europe/Zurich".into(), ..hourly() };
    let found = keeping(&draft).await.unwrap();
    let likely = found.likely.unwrap();
    assert_eq!((found.policy.as_str(), found.typed.len(), likely.len()), ("five", 30 * 60, 30));
    let kept = |all: &[Imagined]| all.iter().filter(|i| i.decision.is_kept()).map(|i| i.at).collect::<Vec<_>>();
    // As typed five minutes of this morning are left, as suggested five days.
    let (typed, likely) = (kept(&found.typed), kept(&likely));
    assert_eq!((typed.len(), typed[0].0 - typed[4].0), (5, 4 * 60 * 1_000_000));
    assert_eq!((likely.len(), likely[0].0 - likely[4].0), (5, 4 * D * 1_000_000));
    assert!(typed[0] <= NOW && typed[0] > NOW.plus_secs(-D));
    let check = Draft { kind: ScheduleKind::RestoreTest, ..draft };
    assert!(keeping(&check).await.is_none(), "a restore test makes no snapshots");
}

#[tokio::test]
async fn wrong_roles_are_refused_everywhere() {
    for db in testing::databases().await {
        let s = Stage::on(db).await;
        let row = s.save(&hourly()).await;
        for role in [Role::Auditor, Role::Anonymous] {
            let c = s.at(role);
            macro_rules! refused {
                ($($call:expr),+ $(,)?) => {$( assert!(matches!($call.await, Err(OpsError::Forbidden(_))), "{role:?}: {}", stringify!($call)); )+};
            }
            refused!(
                save(&c, &hourly(), None),
                pause(&c, "hourly", None, "x"),
                resume(&c, "hourly"),
                remove(&c, "hourly"),
                tick(&c, row.id()),
                due(&c),
                next_run_at(&c),
                stop_overlong(&c),
                clock_went_back(&c),
            );
            if role == Role::Anonymous {
                refused!(
                    list(&c, &Filter::default(), "", 10),
                    find(&c, "hourly"),
                    find_by_id(&c, row.id()),
                    coming(&c, 10),
                    last_ticks(&c, &[]),
                    preview(&c, &hourly()),
                    suggestions(&c),
                    ledger::list(&c, store::ticks::Filter::default(), None, 10),
                    ledger::counts(&c, store::ticks::Filter::default(), NOW),
                    ledger::never_ran(&c, "", 10),
                    ledger::overdue(&c, "", 10),
                );
                assert!(matches!(meaning(&c, "0 5 * * *", "UTC"), Err(OpsError::Forbidden(_))));
            }
        }
        let audit = store::audit::page(s.ctx.db.read().await.unwrap().tx(), 0, 100).await.unwrap();
        assert_eq!(audit.last().map(|e| e.action.as_str()), Some("schedule.create"), "nothing was changed");
    }
}

#[tokio::test]
async fn every_change_is_audited() {
    let s = Stage::on(testing::sqlite().await).await;
    s.save(&hourly()).await;
    save(&s.ctx, &Draft { cron: "30 * * * *".into(), ..hourly() }, Some(1)).await.unwrap();
    assert!(matches!(pause(&s.ctx, "hourly", None, "  ").await, Err(OpsError::Invalid(_))), "a pause needs a reason");
    pause(&s.ctx, "hourly", None, "moving").await.unwrap();
    resume(&s.ctx, "hourly").await.unwrap();
    remove(&s.ctx, "hourly").await.unwrap();
    let audit = store::audit::page(s.ctx.db.read().await.unwrap().tx(), 0, 100).await.unwrap();
    let actions: Vec<_> = audit.iter().map(|e| e.action.as_str()).collect();
    assert_eq!(actions, ["schedule.create", "schedule.change", "schedule.pause", "schedule.resume", "schedule.remove"]);
    let (before, after) = (audit[1].before.as_ref().unwrap(), audit[1].after.as_ref().unwrap());
    assert_eq!((&before.0["cron"], &after.0["cron"]), (&json!("0 * * * *"), &json!("30 * * * *")));
}
