//! Forgetting as a step of a backup, prunes as runs, and snapshots that vanish, on real data and both databases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use common::{Site, restic};
use domain::{
    evidence::EvidenceLevel,
    id::{ItemId, SnapshotId},
    restore::ConflictMode,
    retention::Rules,
    run::{RunState, StepState},
    units::Timestamp,
    work::{BackupResult, CheckResult, PruneParams, PruneResult, RestoreTarget},
};
use ops::{OpsError, policies::Tried, restores};
use runner::{Fault, Moment};
use store::{
    file_versions,
    holds::{self, HoldKind, NewHold},
    items, repositories,
    runs::RunRow,
    snapshots::{self, SnapshotRow},
    testing,
};

fn last(n: u32) -> Rules {
    Rules { keep_last: n, ..Rules::default() }
}

fn result<T: serde::de::DeserializeOwned>(run: &RunRow) -> T {
    serde_json::from_value(run.result.clone().unwrap().0).unwrap()
}

/// All snapshots of an item, those that are gone as well, the newest first.
async fn all_of(site: &Site, item: &str) -> Vec<SnapshotRow> {
    let mut read = site.db.db.read().await.unwrap();
    let row = items::find_by_name(read.tx(), site.source, item).await.unwrap().unwrap();
    let ids = snapshots::of_item(read.tx(), ItemId(row.id), (Timestamp(i64::MAX), uuid::Uuid::max()), 100).await.unwrap();
    ids.into_iter().collect()
}

async fn item(site: &Site, name: &str) -> items::ItemRow {
    items::find_by_name(site.db.db.read().await.unwrap().tx(), site.source, name).await.unwrap().unwrap()
}

/// restic ids of the item snapshots that the repository holds.
fn in_repository(site: &Site) -> Vec<String> {
    let listed: serde_json::Value = serde_json::from_str(&restic(site, &["snapshots", "--json"])).unwrap();
    let of_item = |s: &&serde_json::Value| s["tags"].as_array().is_some_and(|t| t.iter().any(|t| t.as_str().unwrap().starts_with("item:")));
    listed.as_array().unwrap().iter().filter(of_item).map(|s| s["id"].as_str().unwrap().to_owned()).collect()
}

fn change(site: &Site, user: &str, round: usize) {
    fs::write(site.home(user).join("round"), round.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_success_the_policy_decides_item_by_item() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        let first = site.backup().await;
        assert_eq!(result::<BackupResult>(&first).forgotten, 0, "without a policy nothing is forgotten");
        site.policy(last(2)).await;
        change(&site, "ada", 1);
        site.backup().await;
        let old = all_of(&site, "ada").await;
        // Bob's folder cannot be opened this time: his snapshots stay as they are.
        let bob = site.home("bob");
        fs::rename(&bob, site.folder.path().join("bob-away")).unwrap();
        std::os::unix::fs::symlink("nowhere", &bob).unwrap();
        change(&site, "ada", 2);
        let third = site.backup().await;
        let forgot = result::<BackupResult>(&third);
        assert_eq!((forgot.items_ok, forgot.forgotten), (2, 2), "{}: ada and cy: {}", site.db.name, site.log(third.id()).await);
        let gone = snapshots::find(site.db.db.read().await.unwrap().tx(), old[1].id()).await.unwrap().unwrap();
        assert!(gone.gone_at.is_some() && gone.gone_run_id == Some(third.id), "{gone:?}");
        assert_eq!(gone.gone_why.as_deref(), Some("no rule keeps it any more"));
        let said = ops::snapshots::listed(&site.ctx, old[1].id()).await.unwrap_err();
        assert!(matches!(&said, OpsError::Gone(m) if m.contains(" of ada, taken ") && m.ends_with(": no rule keeps it any more")), "{said}");
        assert_eq!((all_of(&site, "ada").await.len(), all_of(&site, "bob").await.len(), item(&site, "ada").await.snapshots), (2, 2, 2));
        let there = in_repository(&site);
        assert_eq!(there.len(), 2 + 2 + 2, "{}: {there:?}", site.db.name);
        assert!(!there.contains(&old[1].restic_id));
        // The run says of each item what went and why.
        let told = site.log(third.id()).await;
        assert!(told.contains("ada: forgets 1 snapshot (no rule keeps it any more), keeps 2"), "{told}");
        let step = site.steps(third.id()).await.into_iter().find(|s| s.name == "forget").unwrap();
        assert_eq!(step.output.unwrap().0, serde_json::json!({"policy": "test", "items": 2, "kept": 4, "forgotten": 2}));
        site.assert_clean("forget").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_verified_on_hold_or_in_use_stays() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        for round in 1..=4 {
            change(&site, "ada", round);
            site.backup().await;
        }
        let ada = all_of(&site, "ada").await;
        assert_eq!(ada.len(), 5);
        let (verified, held, pinned) = (&ada[4], &ada[3], &ada[2]);
        let mut t = site.db.db.begin().await.unwrap();
        snapshots::set_level(t.tx(), verified.id(), EvidenceLevel::Restored, Timestamp(5)).await.unwrap();
        let hold = NewHold {
            service: site.service,
            item: Some(ItemId(held.item_id.unwrap())),
            snapshot: Some(held.id()),
            kind: HoldKind::Person,
            reason: "evidence".into(),
            facts: None,
            run: None,
            actor: "ops".into(),
        };
        let hold = holds::place(t.tx(), &hold, Timestamp(6)).await.unwrap();
        t.commit().await.unwrap();
        // A restore waits in the queue with a snapshot pinned.
        let choices = vec![restores::Choice { snapshot: pinned.id(), paths: vec![] }];
        let target = RestoreTarget::Folder { path: site.folder.path().join("out").to_string_lossy().into_owned() };
        let request = restores::Request { choices, target, conflict: ConflictMode::Fail, preview: false, confirm: None };
        let restore = restores::start(&site.ctx, request).await.unwrap();

        site.policy(last(1)).await;
        change(&site, "ada", 9);
        let run = site.backup().await;
        let left: Vec<_> = all_of(&site, "ada").await.into_iter().map(|s| s.id()).collect();
        assert_eq!(left.len(), 4, "{}: {}", site.db.name, site.log(run.id()).await);
        for s in [verified, held, pinned] {
            assert!(left.contains(&s.id()));
        }
        let preview = ops::policies::preview(&site.ctx, "notebooks", None, "ada", Tried::Own).await.unwrap();
        let why: Vec<String> = preview.snapshots.iter().map(|j| j.decision.words()).collect();
        let wanted = ["newest, 1 of 1; the newest complete one", "a restore that is under way needs it", "on hold", "the last one that was verified"];
        assert_eq!(why, wanted, "{}", site.db.name);

        let done = site.end(restore).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
        let mut t = site.db.db.begin().await.unwrap();
        holds::release(t.tx(), hold, "ops", "over", Timestamp(9)).await.unwrap();
        t.commit().await.unwrap();
        change(&site, "ada", 10);
        site.backup().await;
        let left: Vec<_> = all_of(&site, "ada").await.into_iter().map(|s| s.id()).collect();
        assert!(left.len() == 2 && left.contains(&verified.id()), "{}: the hold is over, the proof stays", site.db.name);
        site.assert_clean("holds").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_files_are_listed_while_a_snapshot_holds_them() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.policy(last(2)).await;
        let write = |text: &str| fs::write(site.home("ada").join("work/notes.md"), text).unwrap();
        fs::write(site.home("ada").join("brief"), "x").unwrap();
        site.backup().await;
        write("two");
        fs::remove_file(site.home("ada").join("brief")).unwrap();
        site.backup().await;
        write("three");
        site.backup().await;
        write("four");
        site.backup().await;
        let id = ItemId(item(&site, "ada").await.id);
        let versions = async |path: &str| ops::browse::versions(&site.ctx, id, path, 10).await.unwrap();
        let notes = versions("work/notes.md").await;
        assert_eq!(notes.len(), 2, "{}: the first two versions went with their snapshots: {notes:?}", site.db.name);
        assert!(versions("brief").await.is_empty(), "no snapshot holds it any more");
        let canary = versions("canary.txt").await;
        assert_eq!(canary.len(), 1);
        let oldest = all_of(&site, "ada").await.last().unwrap().id;
        assert_eq!(canary[0].snapshot.as_ref().map(|s| s.id), Some(oldest), "{}: the oldest snapshot that still has it", site.db.name);
        let rows = file_versions::of_path(site.db.db.read().await.unwrap().tx(), id, "canary.txt", 10).await.unwrap();
        assert_eq!((rows.len(), rows[0].until_at), (1, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forget_that_fails_is_tolerated_and_the_records_stay_true() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.policy(last(1)).await;
        site.backup().await;
        // The keys are out of reach while the step runs, so that the repository cannot be opened.
        let (keys, away) = (site.folder.path().join("repo/keys"), site.folder.path().join("keys-away"));
        change(&site, "ada", 1);
        let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        let (from, to) = (keys.clone(), away.clone());
        let deps = site.with_faults(move |step, moment| {
            if step == "forget" && moment == Moment::Begun {
                fs::rename(&from, &to).unwrap();
            }
            None
        });
        let done = site.end_with(deps, run).await;
        fs::rename(&away, &keys).unwrap();
        let step = site.steps(run).await.into_iter().find(|s| s.name == "forget").unwrap();
        assert_eq!((done.state, step.state().unwrap()), (RunState::Succeeded, StepState::Tolerated), "{:?}", done.run.failure);
        let said = step.failure.unwrap().0.message.clone();
        assert!(said.starts_with("not everything was forgotten, the next backup tries again: ") && said.contains("holds no repository"), "{said}");
        assert_eq!((all_of(&site, "ada").await.len(), in_repository(&site).len()), (2, 6), "{}", site.db.name);
        assert!(all_of(&site, "ada").await.iter().all(|s| s.gone_at.is_none()), "nobody could look, so nothing is called gone");
        site.policy(Rules::default()).await;
        site.backup().await;
        assert!(all_of(&site, "ada").await.iter().all(|s| s.gone_why.is_none()), "what was meant to go is there and says so");
        site.policy(last(1)).await;
        site.backup().await;
        assert_eq!((all_of(&site, "ada").await.len(), in_repository(&site).len()), (1, 3), "{}", site.db.name);
        site.assert_clean("tolerated").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_forgetting_leaves_true_records() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.policy(last(1)).await;
        site.backup().await;
        change(&site, "ada", 1);
        let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        // The work is done and not recorded as done; then somebody cancels the run.
        let cancelled = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (handle, ctx) = (tokio::runtime::Handle::current(), site.ctx.clone());
        let deps = site.with_faults(move |step, moment| {
            if step == "forget" && moment == Moment::Done && !cancelled.swap(true, std::sync::atomic::Ordering::SeqCst) {
                tokio::task::block_in_place(|| handle.block_on(ops::runs::cancel(&ctx, run, "enough"))).unwrap();
                return Some(Fault::Fail { permanent: false });
            }
            None
        });
        let done = site.end_with(deps, run).await;
        assert_eq!(done.state, RunState::Cancelled, "{:?}", done.run.failure);
        let mut left: Vec<_> = Vec::new();
        for name in ["ada", "bob", "cy"] {
            left.extend(all_of(&site, name).await.into_iter().map(|s| s.restic_id));
        }
        left.sort();
        let mut there = in_repository(&site);
        there.sort();
        assert_eq!(left, there, "{}: what is recorded as there is there", site.db.name);
        site.assert_clean("cancelled while forgetting").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_gives_the_space_back_and_pauses_while_a_guard_holds() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.policy(last(1)).await;
        for round in 0..3 {
            fs::write(site.home("ada").join("large"), noise(round)).unwrap();
            site.backup().await;
        }
        let now = PruneParams { safe_age_s: 0 };
        let mut t = site.db.db.begin().await.unwrap();
        let hold = NewHold {
            service: site.service,
            item: None,
            snapshot: None,
            kind: HoldKind::Guard,
            reason: "most files changed".into(),
            facts: None,
            run: None,
            actor: "guard".into(),
        };
        let hold = holds::place(t.tx(), &hold, Timestamp(6)).await.unwrap();
        t.commit().await.unwrap();
        let refused = ops::prunes::start(&site.ctx, "main", now).await.unwrap_err();
        assert!(
            matches!(&refused, OpsError::Conflict(m) if m == "prunes of main pause: Notebooks (most files changed) on hold; release or keep each first"),
            "{refused}"
        );
        let mut t = site.db.db.begin().await.unwrap();
        holds::release(t.tx(), hold, "ops", "a busy week", Timestamp(7)).await.unwrap();
        t.commit().await.unwrap();

        let end = async || {
            let run = ops::prunes::start(&site.ctx, "main", now).await.unwrap();
            let done = site.end(run).await;
            assert_eq!(done.state, RunState::Succeeded, "{}: {:?}", site.db.name, done.run.failure);
            result::<PruneResult>(&done.run)
        };
        let marked = end().await;
        assert!(marked.packs_marked > 0 && marked.bytes_waiting > 1_000_000, "{marked:?}");
        let row = repositories::find(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap().unwrap();
        assert_eq!((row.marked_bytes, row.size_bytes, row.pruned_at.is_some()), (Some(marked.bytes_waiting), Some(marked.size_bytes), true));
        let deleted = end().await;
        assert!(deleted.bytes_deleted > 1_000_000 && deleted.size_bytes < marked.size_bytes - 1_000_000, "{deleted:?}");
        restic(&site, &["check", "--read-data"]);
        site.backup().await;
        restic(&site, &["check", "--read-data"]);
        site.assert_clean("prune").await;
    }
}

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..600_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_while_a_prune_waits_stops_it() {
    let site = Site::new(testing::sqlite().await).await;
    site.backup().await;
    let run = ops::prunes::start(&site.ctx, "main", PruneParams::default()).await.unwrap();
    let mut t = site.db.db.begin().await.unwrap();
    let hold = NewHold {
        service: site.service,
        item: None,
        snapshot: None,
        kind: HoldKind::Guard,
        reason: "encrypted".into(),
        facts: None,
        run: None,
        actor: "guard".into(),
    };
    holds::place(t.tx(), &hold, Timestamp(6)).await.unwrap();
    t.commit().await.unwrap();
    let done = site.end(run).await;
    assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Failed, "held"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_records_what_vanished_and_what_is_back() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        change(&site, "ada", 1);
        site.backup().await;
        let ada = all_of(&site, "ada").await;
        let file = site.folder.path().join("repo/snapshots").join(&ada[0].restic_id);
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let check = async || {
            let run = ops::checks::start(&site.ctx, "main", false).await.unwrap();
            let done = site.end(run).await;
            (done.state, result::<CheckResult>(&done.run))
        };
        let (state, found) = check().await;
        assert_eq!((state, found.vanished, found.errors.len()), (RunState::Succeeded, 1, 0), "{}", site.db.name);
        assert!(found.warnings.iter().any(|w| w.contains("1 snapshots that were recorded")), "{:?}", found.warnings);
        let gone = snapshots::find(site.db.db.read().await.unwrap().tx(), ada[0].id()).await.unwrap().unwrap();
        assert_eq!((gone.gone_at.is_some(), gone.gone_why.as_deref()), (true, Some("a check no longer found it in the repository")));
        let row = item(&site, "ada").await;
        assert_eq!((row.snapshots, row.last_snapshot_id.map(SnapshotId)), (1, Some(ada[1].id())), "{}: the item's newest is the one before", site.db.name);
        assert_eq!(check().await.1.vanished, 0, "it is told once");

        fs::write(&file, bytes).unwrap();
        check().await;
        let back = snapshots::find(site.db.db.read().await.unwrap().tx(), ada[0].id()).await.unwrap().unwrap();
        assert_eq!((back.gone_at, back.gone_why), (None, None), "{}", site.db.name);
        assert_eq!(item(&site, "ada").await.last_snapshot_id.map(SnapshotId), Some(ada[0].id()));
        // One that is there and cannot be read is damage, and not gone.
        fs::write(&file, "rubbish").unwrap();
        let run = ops::checks::start(&site.ctx, "main", false).await.unwrap();
        assert_eq!(site.end(run).await.state, RunState::Failed);
        let damaged = snapshots::find(site.db.db.read().await.unwrap().tx(), ada[0].id()).await.unwrap().unwrap();
        assert_eq!(damaged.gone_at, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_prune_runs_backups_wait_and_restores_do_not() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let ada = all_of(&site, "ada").await;
        let prune = ops::prunes::start(&site.ctx, "main", PruneParams::default()).await.unwrap();
        let lease = store::queue::Lease { owner: "w", token: uuid::Uuid::now_v7(), until: Timestamp(i64::MAX) };
        let now = site.ctx.now().plus_secs(1);
        let claim = async |at: Timestamp| {
            let mut t = site.db.db.begin().await.unwrap();
            let lease = store::queue::Lease { token: uuid::Uuid::now_v7(), ..lease.clone() };
            let got = store::queue::claim(t.tx(), &lease, at).await.unwrap();
            t.commit().await.unwrap();
            got.map(|r| r.id())
        };
        assert_eq!(claim(now).await, Some(prune), "{}", site.db.name);
        let backup = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        assert_eq!(claim(now.plus_secs(1)).await, None, "{}: the prune has its turn first", site.db.name);
        let choices = vec![restores::Choice { snapshot: ada[0].id(), paths: vec![] }];
        let target = RestoreTarget::Folder { path: site.folder.path().join("out").to_string_lossy().into_owned() };
        let request = restores::Request { choices, target, conflict: ConflictMode::Fail, preview: false, confirm: None };
        let restore = restores::start(&site.ctx, request).await.unwrap();
        assert_eq!(claim(now.plus_secs(2)).await, Some(restore), "{}: a restore never waits in the queue for a prune", site.db.name);
        assert!(ops::runs::find(&site.ctx, backup).await.unwrap().state().unwrap().is_live());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_safety_snapshot_of_a_restore_is_not_forgotten_by_the_next_backup() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        site.policy(last(1)).await;
        let first = all_of(&site, "ada").await.remove(0);
        change(&site, "ada", 1);
        let choices = vec![restores::Choice { snapshot: first.id(), paths: vec![] }];
        let confirm = Some("notebooks".to_owned());
        let request = restores::Request { choices, target: RestoreTarget::InPlace, conflict: ConflictMode::Overwrite, preview: false, confirm };
        let restore = restores::start(&site.ctx, request).await.unwrap();
        assert_eq!(site.end(restore).await.state, RunState::Succeeded, "{}", site.log(restore).await);
        change(&site, "ada", 2);
        site.backup().await;
        let left = all_of(&site, "ada").await;
        assert_eq!(left.len(), 2, "{}: the newest and the safety snapshot", site.db.name);
        assert_eq!(left[1].run_id, Some(restore.0));
        let preview = ops::policies::preview(&site.ctx, "notebooks", None, "ada", Tried::Own).await.unwrap();
        let why: Vec<String> = preview.snapshots.iter().map(|j| j.decision.words()).collect();
        assert_eq!(why, ["newest, 1 of 1; the newest complete one", "taken before a restore in place, kept for 30 days"]);
    }
}

/// Two snapshots of everybody, and a policy that keeps one.
async fn about_to_forget(db: testing::TestDb) -> Site {
    let site = Site::new(db).await;
    site.backup().await;
    change(&site, "ada", 1);
    site.policy(last(1)).await;
    site
}

async fn hold(site: &Site, snapshot: &SnapshotRow) {
    let hold = NewHold {
        service: site.service,
        item: snapshot.item_id.map(ItemId),
        snapshot: Some(snapshot.id()),
        kind: HoldKind::Person,
        reason: "evidence".into(),
        facts: None,
        run: None,
        actor: "ops".into(),
    };
    let mut t = site.db.db.begin().await.unwrap();
    holds::place(t.tx(), &hold, Timestamp(6)).await.unwrap();
    t.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_that_is_placed_while_the_run_chooses_counts() {
    for db in testing::databases().await {
        let site = Arc::new(about_to_forget(db).await);
        let old = all_of(&site, "ada").await.remove(0);
        let (held, handle, there) = (site.clone(), tokio::runtime::Handle::current(), old.clone());
        let deps = site.with_faults(move |step, moment| {
            if (step, moment) == ("forget", Moment::Halfway) {
                tokio::task::block_in_place(|| handle.block_on(hold(&held, &there)));
            }
            None
        });
        let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        let done = site.end_with(deps, run).await;
        assert_eq!(result::<BackupResult>(&done.run).forgotten, 2, "bob and cy: {}", site.log(run).await);
        let row = snapshots::find(site.db.db.read().await.unwrap().tx(), old.id()).await.unwrap().unwrap();
        assert_eq!((row.gone_at, row.gone_run_id), (None, None));
        assert!(in_repository(&site).contains(&old.restic_id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_an_earlier_attempt_was_about_to_forget_is_settled_first() {
    for db in testing::databases().await {
        let site = Arc::new(about_to_forget(db).await);
        let old = all_of(&site, "ada").await.remove(0);
        let (changed, handle, struck) = (site.clone(), tokio::runtime::Handle::current(), AtomicBool::new(false));
        let deps = site.with_faults(move |step, moment| {
            let now = (step, moment) == ("forget", Moment::Halfway) && !struck.swap(true, Ordering::SeqCst);
            now.then(|| {
                // Meanwhile somebody takes the rules away.
                tokio::task::block_in_place(|| handle.block_on(changed.policy(Rules::default())));
                Fault::Crash
            })
        });
        let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        let done = site.end_with(deps, run).await;
        assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 2), "{}", site.log(run).await);
        let row = snapshots::find(site.db.db.read().await.unwrap().tx(), old.id()).await.unwrap().unwrap();
        assert_eq!((row.gone_at, row.gone_why, row.gone_run_id), (None, None, None), "nobody is about to forget it any more");
    }
}
