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
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_614_242_520);
pub(super) const H: i64 = 3_600;
pub(super) const D: i64 = 86_400;

/// A service with one source on a database whose clock stands still.
pub(super) struct Stage {
    db: TestDb,
    pub(super) ctx: Ctx,
}

impl Stage {
    pub(super) async fn on(db: TestDb) -> Self {
        fill(&db).await;
        let ctx = Ctx { clock: Clock::fixed(NOW), ..Ctx::new(db.db.clone(), Actor::shell(), "test") };
        Self { db, ctx }
    }

    fn at(&self, role: Role) -> Ctx {
        Ctx { actor: Actor::new("somebody", role), ..self.ctx.clone() }
    }

    pub(super) async fn save(&self, draft: &Draft) -> ScheduleRow {
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

pub(super) fn hourly() -> Draft {
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
        assert_eq!(schedules::coming(s.ctx.db.read().await.unwrap().tx(), 10).await.unwrap().len(), 0, "it runs no more until then");
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
