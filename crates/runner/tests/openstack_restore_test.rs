//! Restore tests of instances of a real OpenStack: both boot types, selections, folders beside instances, what was
//! deleted or damaged behind our back, commands, faults and crashes at every step, an API that is away.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::field::{Boot, Field};
use domain::{
    definition::{Check, Probe, Terms},
    evidence::{EvidenceLevel, Verdict},
    id::RunId,
    run::RunState,
    units::Timestamp,
    work::Selection,
};
use engine::testing::openstack::{Api, Lab};
use ops::{
    config::{CommandTool, Tools},
    restore_tests, test_definitions,
    version::Seen,
};
use runner::{Deps, Fault, Finished, Moment, clouds};
use serde_json::Value;
use store::{
    repositories,
    restore_tests::RestoreTestRow,
    services::{self, NewService},
    snapshots, testing,
};

async fn field(boot: Boot) -> Option<Field> {
    let lab = Lab::of_tests()?;
    Some(prepared(Field::lettered("t", testing::sqlite().await, lab, boot, str::to_owned).await).await)
}

/// The service without the canary of its folders.
async fn prepared(f: Field) -> Field {
    let new = NewService {
        name: "notebooks".into(),
        title: "Notebooks".into(),
        owner: "ops".into(),
        rpo_s: Some(86_400),
        rto_s: Some(3_600),
        mtpod_s: None,
        canary: None,
    };
    let mut t = f.site.db.db.begin().await.unwrap();
    services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
    f
}

async fn define(f: &Field, terms: &Terms) {
    test_definitions::save(&f.site.ctx, &f.site.deps.tools, "notebooks", "drill", terms, &Seen::Any).await.unwrap();
}

async fn ordered(f: &Field) -> RunId {
    f.site.deps.clock.advance_secs(60);
    restore_tests::start_by(&f.site.ctx, "notebooks", "drill").await.unwrap()
}

async fn through(f: &Field, deps: Deps, run: RunId) -> (Finished, RestoreTestRow) {
    let done = f.end(deps, run).await;
    let row = restore_tests::of_run(&f.site.ctx, run).await.unwrap();
    let Some(row) = row else { panic!("no test was recorded: {}", why(f, run).await) };
    nothing_left(f, run).await;
    (done, row)
}

async fn tested(f: &Field) -> (RunId, Finished, RestoreTestRow) {
    let run = ordered(f).await;
    let (done, row) = through(f, f.site.deps.clone(), run).await;
    (run, done, row)
}

async fn why(f: &Field, run: RunId) -> String {
    let row = ops::runs::find(&f.site.ctx, run).await.unwrap();
    format!("{}: {:?}\n{}", row.state, row.failure, f.log(run).await)
}

fn check<'a>(row: &'a RestoreTestRow, name: &str) -> (Verdict, &'a str) {
    let found = row.checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no check {name}: {:?}", row.checks));
    (found.verdict, &found.detail)
}

/// Servers, volumes and networks of a test, whatever state they are in, and what is beside the instance itself.
async fn left(f: &Field, run: RunId) -> Vec<String> {
    let mut left = Vec::new();
    for (api, path, list) in
        [(Api::Compute, "/servers?limit=1000", "servers"), (Api::Volume, "/volumes/detail", "volumes"), (Api::Network, "/networks", "networks")]
    {
        let all = f.lab.call("lab", api, "GET", path, None).await.ok();
        let names = all[list].as_array().into_iter().flatten().filter_map(|s| s["name"].as_str());
        left.extend(names.filter(|n| n.contains(&run.to_string()) || n.starts_with(&format!("{}_", f.name))).map(|n| format!("{list} {n}")));
    }
    left
}

/// The instance's own ports.
async fn ports(f: &Field) -> Vec<String> {
    let all = f.lab.call("lab", Api::Network, "GET", "/ports", None).await.ok();
    let mine = |p: &&Value| p["device_id"] == f.server.as_str();
    all["ports"].as_array().into_iter().flatten().filter(mine).map(|p| p["id"].to_string()).collect()
}

async fn nothing_left(f: &Field, run: RunId) {
    assert_eq!(left(f, run).await, Vec::<String>::new(), "{}", why(f, run).await);
    let scratch = f.site.scratch();
    assert!(!scratch.exists() || fs::read_dir(scratch).unwrap().count() == 0, "scratch is left");
    assert_eq!(f.status().await, "ACTIVE", "the instance itself is as it was");
}

/// The disks of a server, its root's first.
async fn disks(f: &Field, boot: Boot, server: &str) -> Vec<PathBuf> {
    disks_of(&f.lab, boot, server).await
}

async fn disks_of(lab: &Lab, boot: Boot, server: &str) -> Vec<PathBuf> {
    let volumes: Vec<_> = lab.volumes_of(server).await.iter().map(|v| lab.volume(v)).collect();
    if boot == Boot::Image { std::iter::once(lab.disk(server)).chain(volumes).collect() } else { volumes }
}

/// What a disk begins with: all that tests write into it.
fn head(path: &std::path::Path) -> Vec<u8> {
    let mut bytes = vec![0; 8 << 20];
    let file = fs::File::open(path).unwrap();
    let n = file.read_at(&mut bytes, 0).unwrap();
    bytes.truncate(n);
    bytes
}

async fn passes(boot: Boot, db: testing::TestDb) {
    let Some(lab) = Lab::of_tests() else { return };
    let f = prepared(Field::lettered("t", db, lab, boot, str::to_owned).await).await;
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    for disk in disks(&f, boot, &f.server).await {
        fs::OpenOptions::new().write(true).open(disk).unwrap().write_all_at(b"what the guest has written", 2 << 20).unwrap();
    }
    let wanted: Vec<Vec<u8>> = disks(&f, boot, &f.server).await.iter().map(|d| head(d)).collect();
    let (_, taken) = f.snapshot(f.params()).await;
    for disk in disks(&f, boot, &f.server).await {
        fs::OpenOptions::new().write(true).open(disk).unwrap().write_all_at(b"what came after the snapshot", 2 << 20).unwrap();
    }
    let before = ports(&f).await;
    for network in [None, Some("isolated")] {
        define(&f, &Terms { selection: Selection::Latest, network: network.map(str::to_owned), ..Terms::default() }).await;
        let run = ordered(&f).await;
        // While the clone stands, it is seen by its side.
        let seen = Arc::new(Mutex::new(None));
        let (lab, name, put) = (f.lab.clone(), format!("{}_test_{run}_0", f.name), seen.clone());
        let deps = f.when("check", Moment::Begun, move || {
            let (lab, name, put) = (lab.clone(), name.clone(), put.clone());
            async move {
                let found = lab.call("lab", Api::Compute, "GET", &format!("/servers/detail?name={name}"), None).await.ok();
                let clone = found["servers"][0].clone();
                let disks = disks_of(&lab, boot, clone["id"].as_str().unwrap()).await;
                *put.lock().unwrap() = Some((disks.iter().map(|d| head(d)).collect::<Vec<_>>(), clone));
            }
        });
        let (done, row) = through(&f, deps, run).await;
        let log = f.log(run).await;
        assert_eq!((done.state, row.verdict.as_str()), (RunState::Succeeded, "passed"), "{:?}\n{log}", row.checks);
        let (clones, server) = seen.lock().unwrap().take().unwrap();
        assert!(clones == wanted, "each disk of the clone is as the snapshot took it\n{log}");
        assert_eq!(server["metadata"]["holdfast_test"], run.to_string(), "{server}");
        assert_eq!((row.items_restored, row.items_failed, row.files), (1, 0, 0), "{:?}", row.checks);
        assert_eq!(check(&row, "counts"), (Verdict::Passed, "1 of 1 items, 2 of 2 disks"));
        let attached = if network.is_some() { "is ACTIVE (198.18." } else { "is ACTIVE (without an address)" };
        assert!(check(&row, "active").1.contains(attached), "{:?}", row.checks);
        assert_eq!((check(&row, "rto").0, check(&row, "rpo").0, check(&row, "teardown").0), (Verdict::Passed, Verdict::Passed, Verdict::Passed));
        assert!(row.rto_s.is_some_and(|s| s > 0.0) && row.rpo_s.is_some_and(|s| s > 0), "{row:?}");
        let volumes = check(&row, "volumes");
        assert!(volumes.0 == Verdict::Passed && volumes.1.contains("were not compared"), "{volumes:?}");
        // Only bytes that were read assert anything.
        match boot {
            Boot::Image => {
                let images = check(&row, "images");
                assert!(images.0 == Verdict::Passed && images.1.contains("1 of 1 images read whole"), "{images:?}");
                assert_eq!(row.level, "asserted");
            }
            Boot::Volume => {
                assert!(row.checks.iter().all(|c| c.name != "images"), "{:?}", row.checks);
                assert_eq!(row.level, "restored");
            }
        }
        // The absence is proven of each piece.
        let said = &row.teardown.detail;
        assert!(row.teardown.gone_at.is_some(), "{said}");
        for what in ["server ", "volume ", "ports of "] {
            assert!(said.contains(what), "{what}: {said}");
        }
        assert_eq!(said.contains("network "), network.is_some(), "{said}");
        let server = said.split("server ").nth(1).unwrap().split(',').next().unwrap();
        assert_eq!(f.lab.call("lab", Api::Compute, "GET", &format!("/servers/{server}"), None).await.status, 404);
        let of_it = f.lab.call("lab", Api::Network, "GET", &format!("/ports?device_id={server}"), None).await.ok();
        assert_eq!((of_it["ports"].as_array().unwrap().len(), ports(&f).await), (0, before.clone()));
        assert_eq!(log.contains("has no router"), network.is_some(), "{log}");
        assert!(log.contains("req-") && !log.contains(f.lab.password()), "{log}");
        // It is evidence like any other: signed, in the chain, and the level of the snapshot.
        let id = taken.snapshot.clone().unwrap().parse().unwrap();
        let known = snapshots::find(f.site.db.db.read().await.unwrap().tx(), id).await.unwrap().unwrap();
        assert_eq!(known.level, row.level);
        let service = ops::services::find(&f.site.ctx, "notebooks").await.unwrap();
        assert_eq!((service.last_test_verdict.as_deref(), service.best_level.as_str()), (Some("passed"), row.level.as_str()));
    }
    f.assert_agrees("after a restore test").await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_booted_instance_passes_and_leaves_nothing() {
    passes(Boot::Image, testing::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_volume_booted_instance_passes_and_leaves_nothing() {
    passes(Boot::Volume, testing::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_selection_works_and_folders_are_tested_beside() {
    let Some(lab) = Lab::of_tests() else { return };
    // With the canary of its folders.
    let f = Field::lettered("t", testing::sqlite().await, lab, Boot::Image, str::to_owned).await;
    f.snapshot(f.params()).await;
    f.site.deps.clock.advance_secs(3_600);
    f.snapshot(f.params()).await;
    f.site.backup().await;
    define(&f, &Terms { selection: Selection::All, ..Terms::default() }).await;
    let (run, done, row) = tested(&f).await;
    assert_eq!((done.state, row.verdict.as_str(), row.level.as_str()), (RunState::Succeeded, "passed", "asserted"), "{}", why(&f, run).await);
    assert_eq!((row.items_restored, row.snapshots.len(), row.files > 0), (4, 4, true), "{:?}", row.checks);
    for name in ["counts", "recapture", "canary", "active", "images"] {
        assert_eq!(check(&row, name).0, Verdict::Passed, "{name}: {:?}", row.checks);
    }
    assert!(check(&row, "counts").1.starts_with("4 of 4 items, ") && check(&row, "counts").1.ends_with("1 of 1 disks"), "{:?}", row.checks);
    assert!(check(&row, "active").1.contains("without an address"), "{:?}", row.checks);
    let f = prepared(f).await;
    for selection in [Selection::Latest, Selection::Random { days: 7 }, Selection::Sample { count: 4 }] {
        define(&f, &Terms { selection, ..Terms::default() }).await;
        let (run, done, row) = tested(&f).await;
        assert_eq!((done.state, row.verdict.as_str()), (RunState::Succeeded, "passed"), "{selection:?}: {}", why(&f, run).await);
        assert_eq!(row.items_restored, if matches!(selection, Selection::Sample { .. }) { 4 } else { 1 }, "{selection:?}");
    }
    // The very same ones again.
    let last = restore_tests::list(&f.site.ctx, None, None, 1).await.unwrap().remove(0);
    let run = restore_tests::rerun(&f.site.ctx, domain::id::RestoreTestId(last.id), restore_tests::Again::Same).await.unwrap();
    let (done, row) = through(&f, f.site.deps.clone(), run).await;
    assert_eq!((done.state, row.snapshots.len()), (RunState::Succeeded, 4), "{}", why(&f, run).await);
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_deleted_or_damaged_behind_our_back_is_found() {
    let Some(f) = field(Boot::Image).await else { return };
    f.snapshot(f.params()).await;
    define(&f, &Terms { selection: Selection::Latest, ..Terms::default() }).await;
    let native = f.recorded().await[0].native.clone().unwrap().0;
    let image = native.image.clone().unwrap();
    assert!(image.sha512.as_ref().is_some_and(|h| h.len() == 128), "{image:?}");
    // One byte in the cloud's store is another.
    let file = f.lab.image_file(&image.id);
    let one = fs::OpenOptions::new().read(true).write(true).open(&file).unwrap();
    let mut byte = [0];
    one.read_at(&mut byte, 4_096).unwrap();
    one.write_all_at(&[byte[0] ^ 1], 4_096).unwrap();
    let (run, done, row) = tested(&f).await;
    let images = check(&row, "images");
    assert!(images.0 == Verdict::Failed && images.1.contains("recorded is"), "{images:?} {}", why(&f, run).await);
    // Nova compares what it fetches as well, and starts nothing of it.
    let reached = if row.items_restored == 0 { "exists" } else { "readable" };
    assert_eq!((done.state, row.verdict.as_str(), row.level.as_str()), (RunState::Failed, "failed", reached), "{}", why(&f, run).await);
    one.write_all_at(&byte, 4_096).unwrap();
    assert_eq!(tested(&f).await.2.verdict, "passed", "a passing rerun clears the red");
    // It is gone, and nobody has noticed yet.
    assert_eq!(f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{}", image.id), None).await.status, 204);
    let (run, done, row) = tested(&f).await;
    assert_eq!((done.state, row.verdict.as_str(), row.level.as_str()), (RunState::Failed, "failed", "exists"), "{}", why(&f, run).await);
    let counts = check(&row, "counts");
    assert!(counts.0 == Verdict::Failed && counts.1.contains(&format!("its image {} is not in the cloud", image.id)), "{counts:?}");
    assert_eq!((row.items_restored, row.items_failed), (0, 1));
    // Now it is known.
    let cloud = repositories::find(f.site.db.db.read().await.unwrap().tx(), f.cloud).await.unwrap().unwrap();
    clouds::reconcile::reconcile(&f.site.deps, &cloud).await.unwrap();
    let (run, _, row) = tested(&f).await;
    assert_eq!((row.verdict.as_str(), row.level.as_str()), ("failed", "none"), "{}", why(&f, run).await);
    assert!(check(&row, "counts").1.contains("no snapshot to restore"), "{:?}", row.checks);
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_volume_snapshot_that_is_gone_is_said() {
    let Some(f) = field(Boot::Volume).await else { return };
    f.snapshot(f.params()).await;
    define(&f, &Terms { selection: Selection::Latest, ..Terms::default() }).await;
    let unit = f.recorded().await[0].restic_id.clone();
    while f.lab.call("lab", Api::Volume, "DELETE", &format!("/snapshots/{unit}"), None).await.status != 404 {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let (run, done, row) = tested(&f).await;
    assert_eq!((done.state, row.verdict.as_str()), (RunState::Failed, "failed"), "{}", why(&f, run).await);
    assert!(check(&row, "counts").1.contains(&format!("its volume snapshot {unit} is not in the cloud")), "{:?}", row.checks);
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_are_told_of_the_clone_and_its_console() {
    let Some(mut f) = field(Boot::Image).await else { return };
    let told = f.site.folder.path().join("told");
    let script = f.site.folder.path().join("look.sh");
    fs::write(&script, format!("cp $HOLDFAST_ITEMS {}; test -s 0/console.log", told.display())).unwrap();
    let tool = CommandTool { name: "looks".into(), argv: vec!["/bin/sh".into(), script.display().to_string()], limit_s: 30 };
    f.site.deps.tools = Arc::new(Tools { commands: vec![tool], ..Tools::default() });
    f.snapshot(f.params()).await;
    let command = Check { name: "guest".into(), probe: Probe::Command { command: "looks".into() } };
    let http = |url: &str| Check { name: "hub".into(), probe: Probe::Http { url: url.into(), status: 200, text: String::new() } };
    // On a network of the project, by its name.
    let terms =
        Terms { selection: Selection::Latest, checks: vec![command.clone()], start: Some("looks".into()), network: Some("lab-net".into()), ..Terms::default() };
    define(&f, &terms).await;
    let (run, done, row) = tested(&f).await;
    assert_eq!((done.state, row.verdict.as_str()), (RunState::Succeeded, "passed"), "{}", why(&f, run).await);
    assert_eq!(EvidenceLevel::parse(&row.level), Some(EvidenceLevel::Started));
    let items: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
    assert!(items[0]["server"].is_string() && items[0]["addresses"].as_array().is_some_and(|a| a.len() == 1), "{items}");
    // Without a network there is no address to call: that could not be checked.
    let tcp = |name: &str, host: String, port| Check { name: name.into(), probe: Probe::Tcp { host, port } };
    let checks =
        vec![http("http://{address}:8080/"), tcp("ssh", format!("{{address:{}}}", f.name), 22), tcp("keystone", "127.0.0.1".into(), f.lab.port(Api::Identity))];
    define(&f, &Terms { selection: Selection::Latest, checks, ..Terms::default() }).await;
    let (run, done, row) = tested(&f).await;
    for name in ["http:hub", "tcp:ssh"] {
        let guest = check(&row, name);
        assert!(guest.0 == Verdict::Unknown && guest.1.contains("has no address"), "{guest:?}");
    }
    assert_eq!(check(&row, "tcp:keystone").0, Verdict::Passed, "{:?}", row.checks);
    assert_eq!((done.state, row.verdict.as_str()), (RunState::Partial, "unknown"), "{}", why(&f, run).await);
    // A network that is not there is said, and nothing is made.
    define(&f, &Terms { selection: Selection::Latest, network: Some("t-nowhere".into()), ..Terms::default() }).await;
    let (run, done, row) = tested(&f).await;
    assert!(check(&row, "counts").1.contains("no network “t-nowhere”"), "{:?}", row.checks);
    assert_eq!((done.state, row.verdict.as_str()), (RunState::Partial, "unknown"), "{}", why(&f, run).await);
    f.clear().await;
}

const MOMENTS: [(&str, Moment); 9] = [
    ("provision", Moment::Halfway),
    ("provision", Moment::Done),
    ("volumes", Moment::Halfway),
    ("create", Moment::Halfway),
    ("restore", Moment::Done),
    ("check", Moment::Done),
    ("tear_down", Moment::Begun),
    ("tear_down", Moment::Done),
    ("record", Moment::Recorded),
];

/// With all that a test can make.
async fn isolated(f: &Field) {
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    f.snapshot(f.params()).await;
    define(f, &Terms { selection: Selection::Latest, network: Some("isolated".into()), ..Terms::default() }).await;
}

async fn crashes(boot: Boot) {
    let Some(f) = field(boot).await else { return };
    isolated(&f).await;
    for (step, moment) in MOMENTS {
        let what = format!("{boot:?} {step} {moment:?}");
        let run = ordered(&f).await;
        let (done, row) = through(&f, f.once(step, moment, Fault::Crash), run).await;
        assert_eq!((done.state, done.run.attempts, row.verdict.as_str()), (RunState::Succeeded, 2, "passed"), "{what}: {}", why(&f, run).await);
        let all = restore_tests::list(&f.site.ctx, None, None, 500).await.unwrap();
        assert_eq!(all.iter().filter(|t| t.run_id == run.0).count(), 1, "{what}: recorded once");
    }
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_is_recovered_of_an_image_booted_instance() {
    crashes(Boot::Image).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_is_recovered_of_a_volume_booted_instance() {
    crashes(Boot::Volume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_or_a_cancel_at_any_step_takes_all_away() {
    let Some(f) = field(Boot::Volume).await else { return };
    isolated(&f).await;
    for (step, moment) in [("provision", Moment::Done), ("restore", Moment::Done), ("check", Moment::Begun), ("tear_down", Moment::Begun)] {
        let what = format!("{step} {moment:?}");
        let run = ordered(&f).await;
        let deps: Deps = f.site.with_faults(move |s, m| (s == step && m == moment).then_some(Fault::Fail { permanent: true }));
        let done = f.end(deps, run).await;
        assert_eq!((done.state, done.run.failure.as_ref().unwrap().code.as_str()), (RunState::Failed, "injected"), "{what}: {}", why(&f, run).await);
        nothing_left(&f, run).await;
        assert!(restore_tests::of_run(&f.site.ctx, run).await.unwrap().is_none(), "{what}");
    }
    for (step, moment) in [("volumes", Moment::Halfway), ("create", Moment::Halfway), ("check", Moment::Begun)] {
        let run = ordered(&f).await;
        let ctx = f.site.ctx.clone();
        let deps = f.when(step, moment, move || {
            let ctx = ctx.clone();
            async move {
                ops::runs::cancel(&ctx, run, "not today").await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        let done = f.end(deps, run).await;
        assert_eq!(done.state, RunState::Cancelled, "{step}: {}", why(&f, run).await);
        nothing_left(&f, run).await;
    }
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_api_that_is_away_is_waited_for() {
    let Some(lab) = Lab::of_tests() else { return };
    let gate = Arc::new(lab.gate().unwrap());
    let f = prepared(Field::lettered("t", testing::sqlite().await, lab, Boot::Image, |url| gate.through(url)).await).await;
    isolated(&f).await;
    for (step, away) in [("provision", 6), ("restore", 45), ("check", 6), ("tear_down", 45)] {
        let run = ordered(&f).await;
        let gate = gate.clone();
        let deps = f.when(step, Moment::Begun, move || {
            gate.refuse_for(Duration::from_secs(away));
            async {}
        });
        let (done, row) = through(&f, deps, run).await;
        assert_eq!((done.state, row.verdict.as_str()), (RunState::Succeeded, "passed"), "{step}: {}", why(&f, run).await);
    }
    f.clear().await;
}
