//! What runs teach of a repository, on both databases: how it grows, when its data was read, what protects it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;

use common::Site;
use domain::{
    reading::Slice,
    run::RunState,
    schedule::ScheduleKind,
    tamper::{Answer, Findings, Protection},
    units::Timestamp,
    work::{CheckParams, CheckResult, PruneParams},
};
use runner::Scheduler;
use store::{
    Clock, readings, repositories,
    repositories::{NewRepository, RepositoryRow},
    runs::RunRow,
    snapshots::{self, SnapshotRow},
    testing,
};

const DAY: i64 = 86_400;
/// Monday 4 January 2021, 00:00 UTC.
const MONDAY: Timestamp = Timestamp::from_secs(1_609_718_400);

fn day(n: i64) -> Timestamp {
    MONDAY.plus_secs(n * DAY)
}

/// A site whose clock the test moves and whose repository is to be read within a week.
async fn site(db: testing::TestDb) -> (Site, Clock) {
    let mut site = Site::new(db).await;
    let clock = Clock::fixed(MONDAY);
    site.deps.clock = clock.clone();
    site.ctx.clock = clock.clone();
    // Events are written late: all that a check tells comes in one batch.
    site.deps.limits.flush = std::time::Duration::from_secs(20);
    let row = repository(&site).await;
    let new = NewRepository {
        name: row.name,
        location: row.location,
        options: row.options.0,
        password: row.password.0,
        max_parallel: row.max_parallel,
        read_all_within_s: Some(7 * DAY),
    };
    let mut t = site.db.db.begin().await.unwrap();
    repositories::upsert(t.tx(), &new, MONDAY).await.unwrap();
    t.commit().await.unwrap();
    (site, clock)
}

async fn repository(site: &Site) -> RepositoryRow {
    repositories::find(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap().unwrap()
}

/// The snapshots of a user, the newest first.
async fn of(site: &Site, user: &str) -> Vec<SnapshotRow> {
    let mut read = site.db.db.read().await.unwrap();
    let item = store::items::find_by_name(read.tx(), site.source, user).await.unwrap().unwrap();
    snapshots::of_item(read.tx(), domain::id::ItemId(item.id), (Timestamp(i64::MAX), uuid::Uuid::max()), 100).await.unwrap()
}

async fn known(site: &Site) -> usize {
    readings::of(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap().iter().map(|r| r.packs.len() / 32).sum()
}

fn grow(site: &Site, n: i64) {
    let noise: Vec<u8> = (0..120_000_u32).map(|i| (i.wrapping_mul(2_654_435_761).rotate_left(n as u32 % 31) >> 9) as u8 ^ n as u8).collect();
    fs::write(site.home("ada").join(format!("day{n}")), noise).unwrap();
}

fn result(run: &RunRow) -> CheckResult {
    serde_json::from_value(run.result.clone().unwrap().0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduled_checks_read_all_within_the_time_and_snapshots_say_since_when() {
    for db in testing::databases().await {
        let (site, clock) = site(db).await;
        let draft = ops::schedules::Draft {
            name: "check".into(),
            kind: ScheduleKind::Check,
            of: "main".into(),
            cron: "0 4 * * *".into(),
            zone: "UTC".into(),
            ..Default::default()
        };
        ops::schedules::save(&site.ctx, &draft, None).await.unwrap();
        let mut scheduler = Scheduler::new(site.db.db.clone(), clock.clone());
        let mut total = 0;
        for today in 0..8 {
            grow(&site, today);
            if today < 5 {
                site.backup().await;
            }
            clock.advance_secs(DAY);
            scheduler.look().await.unwrap();
            let run = ops::runs::live(&site.ctx, 10).await.unwrap()[0].run.clone();
            assert_eq!(run.params::<CheckParams>().unwrap().slice, Some(Slice { within_s: 7 * DAY, every_s: DAY }), "{}", site.db.name);
            let done = site.end(run.id()).await;
            assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
            let found = result(&done.run);
            assert!(found.packs_read > 0 && found.errors.is_empty(), "{found:?}");
            total += found.packs_read;
            let row = repository(&site).await;
            assert_eq!((row.packs, row.packs_unread, row.data_checked_at), (Some(found.packs), Some(found.packs_unread), None), "{}", site.db.name);
            assert_eq!((row.data_read_at, row.checked_at), (Some(clock.now().0), Some(clock.now().0)));
            assert_eq!(known(&site).await as i64, found.packs);
            assert!(clock.now().secs_since(Timestamp(row.reading_waits_since.unwrap())) <= 7.0 * DAY as f64);
        }
        let row = repository(&site).await;
        assert_eq!(row.packs_unread, Some(0));
        assert!(total > row.packs.unwrap(), "after a week they are read again");
        let of_ada = of(&site, "ada").await;
        assert_eq!(of_ada.len(), 5);
        let since: Vec<i64> = of_ada.iter().map(|s| s.data_verified_at.unwrap()).collect();
        assert!(since.iter().all(|s| *s >= row.reading_waits_since.unwrap()), "{since:?}");

        // What a new snapshot needs was not read yet: it is not verified, and the page of the snapshot says so.
        grow(&site, 99);
        site.backup().await;
        let newest = of(&site, "ada").await.remove(0);
        assert_eq!((newest.data_verified_at, of(&site, "ada").await[1].data_verified_at), (None, Some(since[0])));
        let run = ops::checks::start(&site.ctx, "main", true).await.unwrap();
        clock.advance_secs(60);
        site.end(run).await;
        let all: Vec<_> = of(&site, "ada").await.iter().map(|s| s.data_verified_at).collect();
        assert_eq!(all, vec![Some(clock.now().0); 6], "{}", site.db.name);
        assert_eq!(repository(&site).await.data_checked_at, Some(clock.now().0));
        assert_eq!(readings::of(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap().len(), 1, "one row a time");
        site.assert_clean("slices").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_does_not_come_to_its_end_has_still_read() {
    let (site, clock) = site(testing::sqlite().await).await;
    site.backup().await;
    // The snapshots cannot be looked at: their trees are gone, which is found after the packs were read.
    let deps = site.with_faults(|step, moment| (step == "check" && moment == runner::Moment::Done).then_some(runner::Fault::Fail { permanent: true }));
    clock.advance_secs(DAY);
    let run = ops::checks::start(&site.ctx, "main", true).await.unwrap();
    let done = site.end_with(runner::Deps { clock: clock.clone(), ..deps }, run).await;
    assert_eq!(done.state, RunState::Failed);
    let all = readings::of(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap();
    assert!(all.iter().any(|r| r.mark.read && r.mark.at == day(1)) && known(&site).await > 0, "{all:?}");
    assert_eq!(repository(&site).await.checked_at, None, "the check itself counts as not done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_is_measured_after_backups_and_prunes_and_what_is_pruned_is_forgotten() {
    for db in testing::databases().await {
        let (site, clock) = site(db).await;
        grow(&site, 1);
        site.backup().await;
        let first = ops::repositories::find(&site.ctx, "main").await.unwrap();
        let newest = first.newest.unwrap();
        assert_eq!((Some(newest.size_bytes), newest.snapshots, newest.measured_at), (first.row.size_bytes, 3, MONDAY.0), "{}", site.db.name);
        assert!(newest.snapshot_bytes > 200_000 && first.dedup_ratio().unwrap() > 0.5 && first.growth.is_none());
        let check = ops::checks::start(&site.ctx, "main", true).await.unwrap();
        site.end(check).await;
        let before = known(&site).await;

        // All snapshots but the newest go; the big file went before.
        fs::remove_file(site.home("ada").join("day1")).unwrap();
        site.policy(domain::retention::Rules { keep_last: 1, ..Default::default() }).await;
        for _ in 0..2 {
            clock.advance_secs(DAY);
            site.backup().await;
            let run = ops::prunes::start(&site.ctx, "main", PruneParams { safe_age_s: 0 }).await.unwrap();
            assert_eq!(site.end(run).await.state, RunState::Succeeded);
        }
        let sizes = ops::repositories::history(&site.ctx, "main", 30).await.unwrap();
        assert_eq!(sizes.iter().map(|s| s.measured_at).collect::<Vec<_>>(), [day(0).0, day(1).0, day(2).0]);
        assert!(sizes[2].size_bytes < sizes[0].size_bytes, "{}: {sizes:?}", site.db.name);
        let now = ops::repositories::find(&site.ctx, "main").await.unwrap();
        assert!(matches!(now.growth, Some((bytes, 2)) if bytes < 0), "{:?}", now.growth);
        let check = ops::checks::start(&site.ctx, "main", false).await.unwrap();
        site.end(check).await;
        let row = repository(&site).await;
        assert_eq!(known(&site).await as i64, row.packs.unwrap());
        assert!(row.packs_unread.unwrap() > 0 && before > 0, "what was packed anew was not read yet");
        site.assert_clean("growth").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tamper_test_of_a_folder_finds_that_nothing_protects_it() {
    for db in testing::databases().await {
        let (site, clock) = site(db).await;
        site.backup().await;
        clock.advance_secs(DAY);
        let run = ops::tamper_tests::start(&site.ctx, "main").await.unwrap();
        let done = site.end(run).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
        let found: Findings = serde_json::from_value(done.run.result.unwrap().0).unwrap();
        assert_eq!((found.judge(), &found.overwrite, &found.delete, found.cleaned), (Protection::Unprotected, &Answer::Done, &Answer::Done, true));
        let row = repository(&site).await;
        assert_eq!((row.tamper_test.as_deref(), row.tamper_tested_at), (Some(&found), Some(day(1).0)), "{}", site.db.name);
        assert!(site.log(run).await.contains("Nothing protects it"), "{}", site.log(run).await);
        let check = ops::checks::start(&site.ctx, "main", true).await.unwrap();
        let done = site.end(check).await;
        let checked = result(&done.run);
        assert!(checked.errors.is_empty() && checked.warnings.is_empty(), "the probe left nothing: {checked:?}");
        site.assert_clean("tamper").await;
    }
}
