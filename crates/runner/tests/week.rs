//! A week under the mock clock: real backups, checks and restore tests by schedule, with what a week brings.
//!
//! The week is the one in which the clock goes back in Prague. Holdfast is down for a day and a half, one backup takes
//! until the next one is due, one fails, one schedule is paused for a while.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the test prints its figures")]

mod common;

use common::Site;
use domain::{
    id::RunId,
    run::RunState,
    schedule::{Counts, Misfire, ScheduleKind},
    units::Timestamp,
    work::Selection,
};
use ops::{ledger, schedules};
use runner::Scheduler;
use store::{Clock, testing, ticks::Filter};

const H: i64 = 3_600;
/// Monday 25 October 2021, 00:00 in Prague. The clock goes back on Sunday, so the week has 169 hours.
const MONDAY: Timestamp = Timestamp::from_secs(1_635_112_800);
const WEEK_H: i64 = 7 * 24 + 1;

fn draft(name: &str, cron: &str) -> schedules::Draft {
    schedules::Draft { name: name.into(), of: "notebooks".into(), cron: cron.into(), zone: "Europe/Prague".into(), ..Default::default() }
}

fn hour(h: i64) -> Timestamp {
    MONDAY.plus_secs(h * H)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_week_has_a_run_or_a_reason_for_every_tick() {
    for db in testing::databases().await {
        let mut site = Site::new(db).await;
        let clock = Clock::fixed(MONDAY);
        site.deps.clock = clock.clone();
        site.ctx.clock = clock.clone();
        let ctx = &site.ctx;
        let six_hourly = schedules::Draft { misfire: Misfire::Once, ..draft("six-hourly", "0 */6 * * *") };
        let nightly = schedules::Draft { misfire: Misfire::Skip, ..draft("nightly", "30 2 * * *") };
        let test = schedules::Draft { kind: ScheduleKind::RestoreTest, selection: Selection::Sample { count: 2 }, ..draft("weekly-test", "0 5 * * SUN") };
        let check = schedules::Draft { kind: ScheduleKind::Check, of: "main".into(), ..draft("check", "0 4 * * *") };
        for one in [&six_hourly, &nightly, &test, &check] {
            schedules::save(ctx, one, None).await.unwrap();
        }

        let mut scheduler = Scheduler::new(site.db.db.clone(), clock.clone());
        let mut slow: Option<RunId> = None;
        for quarter in 1..=WEEK_H * 4 {
            clock.advance_secs(H / 4);
            let now = clock.now();
            // Down from Wednesday 10:00 to Thursday 22:00: nobody looks.
            if (hour(58)..hour(94)).contains(&now) {
                continue;
            }
            if now == hour(96) {
                schedules::pause(ctx, "check", Some(hour(96 + 48)), "the storage is being moved").await.unwrap();
            }
            scheduler.look().await.unwrap();
            for live in ops::runs::live(ctx, 100).await.unwrap() {
                let run = live.run.id();
                // The backup of Tuesday 06:00 takes until after 12:00.
                if now == hour(30) && live.run.kind == "backup" {
                    slow = Some(run);
                }
                if slow == Some(run) && now < hour(36).plus_secs(900) {
                    continue;
                }
                // The source of Friday's first backup is away.
                let away = now == hour(96) && live.run.kind == "backup";
                let (home, aside) = (site.folder.path().join("exports"), site.folder.path().join("exports.away"));
                if away {
                    std::fs::rename(&home, &aside).unwrap();
                }
                let done = site.end(run).await;
                if away {
                    std::fs::rename(&aside, &home).unwrap();
                }
                let want = if away { RunState::Failed } else { RunState::Succeeded };
                assert_eq!(done.state, want, "{} quarter {quarter}: {:?}", site.db.name, done.run.failure);
            }
        }

        println!("{}: one week, expected / run / missed / kept (paused apart)", site.db.name);
        let mut sum = Counts::default();
        for (draft, want) in [
            // 28 ticks: 1 overlap, 1 failed; of the 6 while down the last runs late.
            (&six_hourly, Counts { succeeded: 21, failed: 1, missed: 6, ..Counts::default() }),
            // One a day, also when 02:30 comes twice; the one while down is skipped.
            (&nightly, Counts { succeeded: 6, missed: 1, ..Counts::default() }),
            (&test, Counts { succeeded: 1, ..Counts::default() }),
            // Thursday 04:00 runs late; two fall into the pause.
            (&check, Counts { succeeded: 5, paused: 2, ..Counts::default() }),
        ] {
            let row = schedules::find(ctx, &draft.name).await.unwrap();
            let counts = ledger::counts(ctx, Filter { schedule: Some(row.id()), ..Filter::default() }, MONDAY).await.unwrap();
            println!(
                "  {:<12} {:>3} / {:>3} / {:>3} / {:>3} ({})",
                draft.name,
                counts.expected(),
                counts.ran(),
                counts.missed,
                counts.succeeded,
                counts.paused
            );
            assert_eq!(counts, want, "{} {}", site.db.name, draft.name);
            sum.succeeded += counts.succeeded;
            sum.failed += counts.failed;
            sum.missed += counts.missed;
            sum.paused += counts.paused;
        }
        let all = ledger::counts(ctx, Filter::default(), MONDAY).await.unwrap();
        assert_eq!(all, sum);
        println!(
            "  {:<12} {:>3} / {:>3} / {:>3} / {:>3} ({}), rate {:.3}",
            "all",
            all.expected(),
            all.ran(),
            all.missed,
            all.succeeded,
            all.paused,
            all.rate().unwrap()
        );

        // Every tick of every schedule is there once, in order, and the times are those of the expression.
        for draft in [&six_hourly, &nightly, &test, &check] {
            let row = schedules::find(ctx, &draft.name).await.unwrap();
            let ticks = ledger::list(ctx, Filter { schedule: Some(row.id()), ..Filter::default() }, None, 500).await.unwrap();
            let (cron, zone) = (ops::cron::Cron::parse(&draft.cron).unwrap(), ops::cron::zone(&draft.zone).unwrap());
            let want: Vec<i64> = cron.after(MONDAY, &zone).take_while(|t| *t <= clock.now()).map(|t| t.0).collect();
            let got: Vec<i64> = ticks.iter().rev().map(|t| t.due_at).collect();
            assert_eq!(got, want, "{} {}", site.db.name, draft.name);
            assert!(ticks.iter().all(|t| t.run_id.is_some() != t.reason.is_some()), "a run or a reason");
        }
        site.assert_clean("after a week").await;
    }
}
