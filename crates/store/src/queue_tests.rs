//! The queue on both databases: no run twice, one of a resource at a time, no write without the lease.

use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};

use domain::{
    id::{RepositoryId, RunId, ServiceId},
    run::{RunEvent, RunKind, RunState},
    units::Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Db,
    ids::NewId,
    queue::{self, Cancelled, End, Lease, NewRun},
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    run_events::{self, NewRunEvent},
    runs,
    services::{self, NewService},
    sources::{self, NewSource},
    testing, wake, workers,
};

pub(crate) fn new_run(resource: Option<String>, unique: Option<String>) -> NewRun {
    NewRun {
        id: RunId::new(),
        kind: RunKind::Check,
        service: None,
        source: None,
        repository: None,
        title: "Check of main".to_owned(),
        params: json!({"read_data": false}),
        actor: "test".to_owned(),
        retry_of: None,
        queued_at: Timestamp(1),
        run_at: Timestamp(1),
        priority: 0,
        max_attempts: 3,
        resource_key: resource,
        unique_key: unique,
        schedule: None,
        max_duration_s: None,
    }
}

pub(crate) async fn enqueue(db: &Db, new: &NewRun) -> bool {
    let mut t = db.begin().await.unwrap();
    let done = queue::enqueue(t.tx(), new).await.unwrap();
    t.commit().await.unwrap();
    done
}

async fn claim(db: &Db, owner: &str, now: i64) -> Option<(RunId, Uuid)> {
    let token = Uuid::now_v7();
    let mut t = db.begin().await.unwrap();
    let run = queue::claim(t.tx(), &Lease { owner, token, until: Timestamp(now + 100) }, Timestamp(now)).await.unwrap();
    t.commit().await.unwrap();
    run.map(|r| (r.id(), token))
}

async fn finish(db: &Db, id: RunId, token: Uuid, event: RunEvent) -> Option<RunState> {
    let mut t = db.begin().await.unwrap();
    let end = End { event, result: Some(json!({"n": 1})), failure: None };
    let state = queue::finish(t.tx(), id, token, &end, Timestamp(50)).await.unwrap();
    t.commit().await.unwrap();
    state
}

#[test]
fn what_is_claimed_is_every_kind_that_is_known_and_no_other() {
    let kinds: Vec<String> = RunKind::ALL.iter().map(|k| format!("'{k}'")).collect();
    let wanted = format!("kind IN ({})", kinds.join(", "));
    for sql in [queue::CLAIM, queue::CLAIM_ONE, queue::TAKE_OVER] {
        assert!(sql.contains(&wanted), "{sql} lacks {wanted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_claimers_take_two_hundred_runs_once_each() {
    for t in testing::databases().await {
        let mut wanted = BTreeSet::new();
        for n in 0..200 {
            // Every other run shares one of five resources.
            let new = new_run((n % 2 == 0).then(|| format!("source:{}", n % 5)), None);
            wanted.insert(new.id);
            assert!(enqueue(&t.db, &new).await);
        }
        let running: std::sync::Arc<std::sync::Mutex<BTreeSet<String>>> = std::sync::Arc::default();
        let claimers: Vec<_> = (0..8)
            .map(|n| {
                let (db, running) = (t.db.clone(), running.clone());
                tokio::spawn(async move {
                    let (mut mine, mut empty) = (Vec::new(), 0);
                    while empty < 20 {
                        let Some((id, token)) = claim(&db, &format!("w{n}"), 10).await else {
                            empty += 1;
                            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                            continue;
                        };
                        empty = 0;
                        let row = runs::find(db.read().await.unwrap().tx(), id).await.unwrap().unwrap();
                        if let Some(key) = &row.resource_key {
                            assert!(running.lock().unwrap().insert(key.clone()), "two runs of {key} at once");
                        }
                        tokio::task::yield_now().await;
                        if let Some(key) = &row.resource_key {
                            running.lock().unwrap().remove(key);
                        }
                        assert_eq!(finish(&db, id, token, RunEvent::Succeed).await, Some(RunState::Succeeded));
                        mine.push(id);
                    }
                    mine
                })
            })
            .collect();
        let mut taken = Vec::new();
        for c in claimers {
            taken.extend(c.await.unwrap());
        }
        assert_eq!(taken.len(), 200, "{}: a run was taken twice or never", t.name);
        assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), wanted, "{}", t.name);
    }
}

#[tokio::test]
async fn a_unique_key_holds_while_its_run_lives() {
    for t in testing::databases().await {
        let first = new_run(None, Some("backup:a".into()));
        assert!(enqueue(&t.db, &first).await);
        assert!(!enqueue(&t.db, &new_run(None, Some("backup:a".into()))).await);
        let found = queue::live_of_key(t.db.read().await.unwrap().tx(), "backup:a").await.unwrap();
        assert_eq!(found, Some(first.id));
        let (id, token) = claim(&t.db, "w", 10).await.unwrap();
        assert!(!enqueue(&t.db, &new_run(None, Some("backup:a".into()))).await);
        finish(&t.db, id, token, RunEvent::Fail).await.unwrap();
        assert!(enqueue(&t.db, &new_run(None, Some("backup:a".into()))).await);
    }
}

#[tokio::test]
async fn order_is_priority_then_time_and_nothing_comes_before_its_moment() {
    for t in testing::databases().await {
        let late = NewRun { run_at: Timestamp(1_000), priority: 9, ..new_run(None, None) };
        let second = NewRun { run_at: Timestamp(2), ..new_run(None, None) };
        let first = NewRun { run_at: Timestamp(5), priority: 1, ..new_run(None, None) };
        for new in [&late, &second, &first] {
            enqueue(&t.db, new).await;
        }
        assert_eq!(claim(&t.db, "w", 10).await.unwrap().0, first.id);
        assert_eq!(claim(&t.db, "w", 10).await.unwrap().0, second.id);
        assert_eq!(claim(&t.db, "w", 10).await, None);
        assert_eq!(queue::next_run_at(t.db.read().await.unwrap().tx(), Timestamp(10)).await.unwrap(), Some(Timestamp(1_000)));
        assert_eq!(claim(&t.db, "w", 1_000).await.unwrap().0, late.id);
    }
}

/// A repository and services, for runs that belong to them.
async fn house(db: &Db, services: &[&str], max_parallel: Option<i64>) -> (RepositoryId, Vec<ServiceId>) {
    let mut t = db.begin().await.unwrap();
    let (location, password) = ("file:///srv/backup".to_owned(), SecretRef::Env("P".to_owned()));
    let new = NewRepository { name: "main".to_owned(), location, options: StorageOptions::default(), password, max_parallel, read_all_within_s: None };
    let repository = repositories::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    let mut ids = Vec::new();
    for name in services {
        let (name, owner) = ((*name).to_owned(), "ops".to_owned());
        let new = NewService { title: name.clone(), name, owner, rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
        ids.push(services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap());
    }
    t.commit().await.unwrap();
    (repository, ids)
}

#[tokio::test]
async fn a_service_with_many_runs_does_not_starve_another() {
    for t in testing::databases().await {
        let (_, services) = house(&t.db, &["busy", "calm", "late"], None).await;
        for n in 0..500 {
            enqueue(&t.db, &NewRun { service: Some(services[0]), run_at: Timestamp(n / 100), ..new_run(None, None) }).await;
        }
        for (service, at) in [(services[1], 7), (services[1], 8), (services[2], 9)] {
            enqueue(&t.db, &NewRun { service: Some(service), run_at: Timestamp(at), ..new_run(None, None) }).await;
        }
        let whose = |id: RunId| {
            let db = t.db.clone();
            async move {
                let row = runs::find(db.read().await.unwrap().tx(), id).await.unwrap().unwrap();
                services.iter().position(|s| Some(s.0) == row.service_id).unwrap()
            }
        };
        // Side by side: who has fewer running runs comes first.
        let mut order = Vec::new();
        for n in 0..5 {
            let (id, _) = claim(&t.db, "w", 10 + n).await.unwrap();
            order.push(whose.clone()(id).await);
        }
        assert_eq!(order, [0, 1, 2, 0, 1], "{}: of those with as many, the one that waited longest for its turn", t.name);
    }
}

#[tokio::test]
async fn one_place_is_given_in_turns() {
    for t in testing::databases().await {
        let (_, services) = house(&t.db, &["busy", "calm"], None).await;
        for n in 0..50 {
            enqueue(&t.db, &NewRun { service: Some(services[0]), run_at: Timestamp(n / 10), ..new_run(None, None) }).await;
        }
        for at in [7, 8, 9] {
            enqueue(&t.db, &NewRun { service: Some(services[1]), run_at: Timestamp(at), ..new_run(None, None) }).await;
        }
        let mut order = Vec::new();
        for n in 0..8 {
            let (id, token) = claim(&t.db, "w", 10 + n).await.unwrap();
            let row = runs::find(t.db.read().await.unwrap().tx(), id).await.unwrap().unwrap();
            order.push(services.iter().position(|s| Some(s.0) == row.service_id).unwrap());
            finish(&t.db, id, token, RunEvent::Succeed).await.unwrap();
        }
        assert_eq!(order, [0, 1, 0, 1, 0, 1, 0, 0], "{}", t.name);
    }
}

/// A restore test names no repository: it reads all those of its service.
#[tokio::test]
async fn a_restore_test_counts_in_the_repositories_of_its_service() {
    for t in testing::databases().await {
        let (repository, services) = house(&t.db, &["a", "b"], Some(1)).await;
        let mut w = t.db.begin().await.unwrap();
        let (name, kind, config) = ("homes".to_owned(), "directory".to_owned(), json!({"path": "/srv/a"}));
        let new = NewSource { service: services[0], repository, name, kind, config, position: 0, policy: None };
        sources::upsert(w.tx(), &new, Timestamp(1)).await.unwrap();
        w.commit().await.unwrap();
        let test = |n: usize| NewRun { kind: RunKind::RestoreTest, service: Some(services[n]), ..new_run(None, None) };
        let check = || NewRun { kind: RunKind::Check, repository: Some(repository), ..new_run(None, None) };

        enqueue(&t.db, &test(0)).await;
        let (first, token) = claim(&t.db, "w", 10).await.unwrap();
        let waits = check();
        enqueue(&t.db, &waits).await;
        assert_eq!(claim(&t.db, "w", 11).await, None, "{}: the test has the only place", t.name);
        let other = test(1);
        enqueue(&t.db, &other).await;
        let (id, of_other) = claim(&t.db, "w", 12).await.unwrap();
        assert_eq!(id, other.id, "{}: a service whose data are elsewhere does not wait", t.name);
        finish(&t.db, id, of_other, RunEvent::Succeed).await.unwrap();
        finish(&t.db, first, token, RunEvent::Succeed).await.unwrap();
        assert_eq!(claim(&t.db, "w", 13).await.unwrap().0, waits.id);
        enqueue(&t.db, &test(0)).await;
        assert_eq!(claim(&t.db, "w", 14).await, None, "{}: nor does a test begin beside a run that has it", t.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repository_has_no_more_runs_than_it_allows() {
    for t in testing::databases().await {
        let (repository, services) = house(&t.db, &["a"], Some(3)).await;
        for _ in 0..60 {
            enqueue(&t.db, &NewRun { repository: Some(repository), service: Some(services[0]), ..new_run(None, None) }).await;
        }
        let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let now = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let claimers: Vec<_> = (0..8)
            .map(|_| {
                let (db, most, now) = (t.db.clone(), most.clone(), now.clone());
                tokio::spawn(async move {
                    let (mut done, mut empty) = (0, 0);
                    while empty < 50 {
                        let Some((id, token)) = claim(&db, "w", 10).await else {
                            empty += 1;
                            tokio::time::sleep(std::time::Duration::from_millis(4)).await;
                            continue;
                        };
                        empty = 0;
                        most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                        now.fetch_sub(1, Relaxed);
                        finish(&db, id, token, RunEvent::Succeed).await.unwrap();
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for c in claimers {
            done += c.await.unwrap();
        }
        // How many coincide is the machine's to say; that three may is proven below.
        let most = most.load(Relaxed);
        assert!(done == 60 && most <= 3, "{}: {done} are done, {most} at a time", t.name);
        // Who names a run has to wait as well.
        let held = [(); 3].map(|()| NewRun { repository: Some(repository), ..new_run(None, None) });
        for new in &held {
            enqueue(&t.db, new).await;
            claim(&t.db, "w", 10).await.unwrap();
        }
        let one = NewRun { repository: Some(repository), ..new_run(None, None) };
        enqueue(&t.db, &one).await;
        let mut tx = t.db.begin().await.unwrap();
        let lease = Lease { owner: "w", token: Uuid::now_v7(), until: Timestamp(99) };
        assert!(queue::claim_one(tx.tx(), one.id, &lease, Timestamp(10)).await.unwrap().is_none(), "{}", t.name);
        tx.commit().await.unwrap();
        assert_eq!(claim(&t.db, "w", 10).await, None, "{}", t.name);
    }
}

#[tokio::test]
async fn what_another_process_writes_wakes_those_who_wait() {
    let t = testing::postgres().await;
    // Another process has a pool of its own, and only PostgreSQL tells it anything.
    let other = Db::open(&t.url).await.unwrap();
    let listener = tokio::spawn(wake::listen(other.clone()));
    let id = new_run(None, None);
    enqueue(&t.db, &id).await;
    let (run, token) = claim(&t.db, "w", 10).await.unwrap();
    let (mut news, begun) = (wake::subscribe(), std::time::Instant::now());
    let mut heard = None;
    // The listener needs a moment to begin; what it misses until then, it is told again.
    while heard.is_none() && begun.elapsed() < std::time::Duration::from_secs(20) {
        let mut tx = t.db.begin().await.unwrap();
        queue::number_events(tx.tx(), run, token, 1).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        heard = tokio::time::timeout(std::time::Duration::from_millis(200), news.recv()).await.ok();
    }
    assert_eq!(heard.unwrap().unwrap(), run);
    let woken = wake::queued();
    enqueue(&t.db, &new_run(None, None)).await;
    tokio::time::timeout(std::time::Duration::from_secs(20), woken).await.expect("a queued run wakes the workers of other processes");
    listener.abort();
}

#[tokio::test]
async fn workers_are_listed_while_they_are_there() {
    for t in testing::databases().await {
        let row = |owner: &str, seen: i64| workers::WorkerRow {
            owner: owner.to_owned(),
            name: "night".to_owned(),
            host: "alpha@1".to_owned(),
            version: "0.1.0".to_owned(),
            slots: 2,
            started_at: 5,
            seen_at: seen,
        };
        let mut tx = t.db.begin().await.unwrap();
        for (owner, seen) in [("w1", 10), ("w2", 20), ("w1", 30)] {
            workers::join(tx.tx(), &row(owner, seen)).await.unwrap();
        }
        tx.commit().await.unwrap();
        enqueue(&t.db, &new_run(None, None)).await;
        claim(&t.db, "w2", 40).await.unwrap();
        let list = workers::list(t.db.read().await.unwrap().tx(), 10).await.unwrap();
        let seen: Vec<_> = list.iter().map(|w| (w.worker.owner.as_str(), w.worker.started_at, w.worker.seen_at, w.running)).collect();
        assert_eq!(seen, [("w1", 5, 30, 0), ("w2", 5, 20, 1)], "{}", t.name);
        let mut tx = t.db.begin().await.unwrap();
        workers::sweep(tx.tx(), Timestamp(21)).await.unwrap();
        assert_eq!(workers::of_host(tx.tx(), "alpha@1").await.unwrap(), [row("w1", 30)], "{}", t.name);
        workers::leave(tx.tx(), "w1").await.unwrap();
        assert!(workers::list(tx.tx(), 10).await.unwrap().is_empty(), "{}", t.name);
    }
}

#[tokio::test]
async fn who_lost_the_lease_changes_nothing() {
    for t in testing::databases().await {
        enqueue(&t.db, &new_run(None, None)).await;
        let (id, old) = claim(&t.db, "dead", 10).await.unwrap();
        let new = Uuid::now_v7();
        let mut tx = t.db.begin().await.unwrap();
        let lease = Lease { owner: "alive", token: new, until: Timestamp(900) };
        let row = queue::take_over(tx.tx(), id, old, &lease).await.unwrap().unwrap();
        assert_eq!((row.attempts, row.lease_owner.as_deref()), (2, Some("alive")), "{}", t.name);
        assert!(queue::take_over(tx.tx(), id, old, &lease).await.unwrap().is_none(), "somebody else was first");
        assert_eq!(queue::heartbeat(tx.tx(), id, old, Timestamp(999)).await.unwrap(), None);
        assert_eq!(queue::heartbeat(tx.tx(), id, new, Timestamp(999)).await.unwrap(), Some(false));
        assert_eq!(queue::number_events(tx.tx(), id, old, 5).await.unwrap(), None);
        assert_eq!(queue::number_events(tx.tx(), id, new, 5).await.unwrap(), Some(1));
        assert_eq!(queue::number_events(tx.tx(), id, new, 2).await.unwrap(), Some(6));
        assert!(!queue::requeue(tx.tx(), id, old, Timestamp(1)).await.unwrap());
        assert!(!queue::progress(tx.tx(), id, old, &domain::work::RunProgress::default()).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(finish(&t.db, id, old, RunEvent::Succeed).await, None);
        assert_eq!(finish(&t.db, id, new, RunEvent::Interrupt).await, Some(RunState::Interrupted));
        assert_eq!(finish(&t.db, id, new, RunEvent::Succeed).await, None, "an ended run never changes");
    }
}

#[tokio::test]
async fn cancelling_ends_what_has_not_begun_and_asks_what_has() {
    for t in testing::databases().await {
        let (waiting, begun) = (new_run(None, None), NewRun { priority: 5, ..new_run(None, None) });
        enqueue(&t.db, &waiting).await;
        enqueue(&t.db, &begun).await;
        let (id, token) = claim(&t.db, "w", 10).await.unwrap();
        assert_eq!(id, begun.id);
        let mut tx = t.db.begin().await.unwrap();
        assert_eq!(queue::cancel(tx.tx(), waiting.id, "not now", Timestamp(20)).await.unwrap(), Cancelled::AtOnce);
        assert_eq!(queue::cancel(tx.tx(), waiting.id, "not now", Timestamp(20)).await.unwrap(), Cancelled::NotLive);
        assert_eq!(queue::cancel(tx.tx(), begun.id, "not now", Timestamp(20)).await.unwrap(), Cancelled::Asked);
        assert_eq!(queue::heartbeat(tx.tx(), id, token, Timestamp(99)).await.unwrap(), Some(true));
        // Put back, it is still to be cleaned up by a worker, at once.
        assert!(queue::requeue(tx.tx(), id, token, Timestamp(10_000)).await.unwrap());
        assert_eq!(queue::cancel(tx.tx(), begun.id, "again", Timestamp(30)).await.unwrap(), Cancelled::Asked);
        tx.commit().await.unwrap();
        let (again, _) = claim(&t.db, "w", 30).await.unwrap();
        let row = runs::find(t.db.read().await.unwrap().tx(), again).await.unwrap().unwrap();
        assert_eq!((row.cancel_requested_at, row.cancel_reason.as_deref(), row.attempts), (Some(20), Some("not now"), 2), "{}", t.name);
        assert_eq!(runs::find(t.db.read().await.unwrap().tx(), waiting.id).await.unwrap().unwrap().state, "cancelled");
    }
}

#[tokio::test]
async fn events_are_numbered_without_gaps_from_worker_and_others() {
    for t in testing::databases().await {
        enqueue(&t.db, &new_run(None, None)).await;
        let (id, token) = claim(&t.db, "w", 10).await.unwrap();
        let event = |m: &str| NewRunEvent { at: Timestamp(3), kind: "log", level: "info", message: m.to_owned(), detail: Some(json!({"a": 1})) };
        let mut tx = t.db.begin().await.unwrap();
        run_events::add_unleased(tx.tx(), id, &event("queued")).await.unwrap();
        let first = queue::number_events(tx.tx(), id, token, 3).await.unwrap().unwrap();
        run_events::add(tx.tx(), id, first, &[event("One"), event("two"), event("three")]).await.unwrap();
        run_events::add_unleased(tx.tx(), id, &event("cancel asked")).await.unwrap();
        tx.commit().await.unwrap();
        let mut r = t.db.read().await.unwrap();
        let seqs: Vec<i64> = run_events::after(r.tx(), id, 0, 100).await.unwrap().iter().map(|e| e.seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5], "{}", t.name);
        assert_eq!(run_events::after(r.tx(), id, 3, 1).await.unwrap()[0].message, "three");
        assert_eq!(run_events::log(r.tx(), id, run_events::Least::All, "", 3, 100).await.unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(run_events::log(r.tx(), id, run_events::Least::All, "oNe", 100, 100).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_last_that_was_done_with_a_server_is_found_in_whichever_run() {
    for t in testing::databases().await {
        let (first, second) = (new_run(None, None), new_run(None, None));
        let said = async |run: RunId, at: i64, kind: &'static str, server: &str, does: &str| {
            let detail = Some(json!({"server": server, "does": does}));
            let mut tx = t.db.begin().await.unwrap();
            let event = NewRunEvent { at: Timestamp(at), kind, level: "info", message: String::new(), detail };
            run_events::add_unleased(tx.tx(), run, &event).await.unwrap();
            tx.commit().await.unwrap();
        };
        let last = async || run_events::last_power(t.db.read().await.unwrap().tx(), "web").await.unwrap();
        enqueue(&t.db, &first).await;
        let (id, token) = claim(&t.db, "w", 10).await.unwrap();
        assert_eq!((id, last().await.is_none()), (first.id, true), "{}", t.name);
        said(id, 20, run_events::POWER, "web", "stop").await;
        said(id, 40, run_events::POWER, "db", "start").await;
        said(id, 50, "log", "web", "nothing").await;
        let row = last().await.unwrap();
        assert_eq!((row.run_id, row.live, &row.detail.0["does"]), (id.0, true, &json!("stop")), "{}", t.name);
        assert_eq!(finish(&t.db, id, token, RunEvent::Fail).await, Some(RunState::Failed));
        assert!(!last().await.unwrap().live, "{}", t.name);
        enqueue(&t.db, &second).await;
        said(second.id, 30, run_events::POWER, "web", "start").await;
        let row = last().await.unwrap();
        assert_eq!((row.run_id, row.live, &row.detail.0["does"]), (second.id.0, true, &json!("start")), "{}", t.name);
    }
}
