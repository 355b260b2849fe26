//! A hundred instances: listed in pages, scheduled, each with a run of its own.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::run::RunState;
use engine::testing::openstack::{Api, Lab};
use ops::schedules::{self, Draft};
use runner::{Scheduler, clouds};
use serde_json::json;
use store::{
    items,
    runs::ListedRun,
    sources::{self, NewSource},
    testing,
};

use super::{
    common::field::{Boot, Field},
    why,
};

const MANY: usize = 100;
/// The cloud is asked for so many at once.
const PAGE: u32 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_instances_are_listed_in_pages_and_scheduled() {
    let Some(lab) = Lab::of_tests() else { return };
    let gate = lab.gate().unwrap();
    let mut f = Field::lettered("k", testing::postgres().await, lab, Boot::Image, |url| gate.through(url)).await;
    f.site.deps.limits.page = PAGE;
    let config = json!({"kind": "openstack-instance", "instances": [format!("{}*", f.name)]});
    let new = NewSource {
        service: f.site.service,
        repository: f.cloud,
        name: "instances".into(),
        kind: "openstack-instance".into(),
        config,
        position: 1,
        policy: None,
    };
    let mut t = f.site.db.db.begin().await.unwrap();
    sources::upsert(t.tx(), &new, f.site.deps.clock.now()).await.unwrap();
    t.commit().await.unwrap();
    let began = Instant::now();
    // A hundred guests that run would hold up all that is tried beside: these are in error.
    let ids = f.lab.make_many(&format!("{}-many", f.name), MANY).await;
    let made = began.elapsed();

    // Listed: every one of them once, in pages that follow on each other.
    let began = Instant::now();
    assert_eq!(clouds::look::due(&f.site.deps).await.unwrap(), 1);
    let listed = began.elapsed();
    let passed = gate.passed();
    let pages: Vec<&str> = passed.iter().filter(|p| p.method == "GET" && p.path.contains("/servers/detail")).map(|p| p.path.as_str()).collect();
    let marked: BTreeSet<&str> = pages.iter().filter_map(|p| p.split_once("marker=")).map(|(_, m)| m.split('&').next().unwrap()).collect();
    assert!(pages.iter().all(|p| p.contains(&format!("limit={PAGE}"))), "{pages:?}");
    assert!(marked.len() >= MANY / PAGE as usize, "each page begins where the last one ended: {pages:?}");
    assert!(passed.len() < pages.len() + 60, "nothing is asked for each of them: {} calls", passed.len());
    let present = items::present(f.site.db.db.read().await.unwrap().tx(), f.source, "", 500).await.unwrap();
    let known: BTreeSet<String> = present.iter().filter_map(|i| i.native.as_ref()).map(|n| n.id.clone()).collect();
    let wanted: BTreeSet<String> = ids.iter().cloned().chain([f.server.clone()]).collect();
    assert!(known == wanted && present.len() == MANY + 1, "{} of {} are listed", known.len(), wanted.len());

    // Scheduled: a tick is a run of each.
    let draft = Draft { name: "nightly".into(), of: "notebooks/instances".into(), cron: "0 3 * * *".into(), ..Draft::default() };
    schedules::save(&f.site.ctx, &draft, None).await.unwrap();
    f.site.deps.clock.advance_secs(86_400);
    let began = Instant::now();
    let looked = Scheduler::new(f.site.db.db.clone(), f.site.deps.clock.clone()).look().await.unwrap();
    let queued = began.elapsed();
    assert_eq!((looked.runs, looked.missed), (MANY + 1, 0));
    let live = ops::runs::live(&f.site.ctx, 500).await.unwrap();
    let keys: BTreeSet<&str> = live.iter().filter_map(|l| l.run.resource_key.as_deref()).collect();
    assert_eq!((live.len(), keys.len()), (MANY + 1, MANY + 1), "each has a run of its own");
    assert!(queued < Duration::from_mins(1), "{queued:?}");
    // One that cannot be snapshotted says so, and holds up nobody.
    let key = |l: &&ListedRun, name: &str| l.run.resource_key.as_deref().is_some_and(|k| k.ends_with(&format!(":{name}")));
    let broken = live.iter().find(|l| key(l, &format!("{}-many-7", f.name))).unwrap().run.id();
    let done = f.end(f.site.deps.clone(), broken).await;
    assert!(done.state == RunState::Failed && done.run.failure.clone().unwrap().message.contains("in the state ERROR"), "{}", why(&f, broken).await);
    let good = live.iter().find(|l| key(l, &f.name)).unwrap().run.id();
    let done = f.end(f.site.deps.clone(), good).await;
    assert_eq!((done.state, f.recorded().await.len()), (RunState::Succeeded, 1), "{}", why(&f, good).await);
    println!("{MANY} instances: made in {made:.1?}, listed in {listed:.1?} with {} calls, queued in {queued:.1?}", passed.len());
    for id in &ids {
        f.lab.call("lab", Api::Compute, "DELETE", &format!("/servers/{id}"), None).await;
    }
    for id in &ids {
        f.lab.delete_server(id).await;
    }
    f.clear().await;
}
