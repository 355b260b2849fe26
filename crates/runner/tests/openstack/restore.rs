//! Instances of a real OpenStack brought back in place: both boot types byte for byte, with their addresses, a safety
//! snapshot and the way back; what is refused; faults and crashes at every step.

use std::{fs, io::Read as _, os::unix::fs::FileExt as _, path::PathBuf, sync::Arc};

use domain::{
    id::{RunId, SnapshotId},
    instance::{InPlaceResult, inplace::Method},
    run::RunState,
};
use engine::testing::{
    Gate,
    openstack::{Api, Lab},
};
use ops::inplace::{self, Order};
use runner::{Deps, Fault, Moment};
use serde_json::{Value, json};
use store::testing;

use super::{
    away::hasty,
    common::field::{Boot, Field},
};

/// So much of a disk is compared, in bytes.
const HEAD: u64 = 8 << 20;
const BEFORE: &str = "what the guest had when the snapshot was taken";
const AFTER: &str = "what the guest has written since, which is more";

/// An instance with one snapshot, whose disk has changed since.
struct Bench {
    f: Field,
    boot: Boot,
    disk: PathBuf,
    snapshot: SnapshotId,
    then: Vec<u8>,
    now: Vec<u8>,
    addresses: Value,
}

impl Bench {
    async fn new(boot: Boot, db: testing::TestDb) -> Option<Self> {
        Self::through(boot, db, str::to_owned).await
    }

    async fn behind_a_gate(boot: Boot) -> Option<(Self, Arc<Gate>)> {
        let gate = Arc::new(Lab::of_tests()?.gate().unwrap());
        Some((Self::through(boot, testing::sqlite().await, |url| gate.through(url)).await?, gate))
    }

    async fn through(boot: Boot, db: testing::TestDb, through: impl Fn(&str) -> String) -> Option<Self> {
        let lab = Lab::of_tests()?;
        let f = Field::lettered("c", db, lab, boot, through).await;
        let disk = match boot {
            Boot::Image => f.lab.disk(&f.server),
            Boot::Volume => f.lab.volume(&f.lab.volumes_of(&f.server).await[0]),
        };
        f.lab.call("lab", Api::Compute, "POST", &format!("/servers/{}/metadata", f.server), Some(json!({"metadata": {"role": "web"}}))).await.ok();
        let mut bench = Self { boot, disk, snapshot: SnapshotId(uuid::Uuid::nil()), then: Vec::new(), now: Vec::new(), addresses: Value::Null, f };
        bench.write(BEFORE);
        bench.then = bench.head();
        let taken = bench.f.snapshot(bench.f.params()).await.1;
        bench.snapshot = taken.snapshot.unwrap().parse().unwrap();
        bench.write(AFTER);
        bench.now = bench.head();
        bench.addresses = bench.f.lab.server(&bench.f.server).await["addresses"].clone();
        assert!(bench.then != bench.now);
        Some(bench)
    }

    fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        fs::File::open(&self.disk).unwrap().take(HEAD).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn write(&self, text: &str) {
        fs::OpenOptions::new().write(true).open(&self.disk).unwrap().write_all_at(text.as_bytes(), 2 << 20).unwrap();
    }

    async fn start(&self) -> RunId {
        self.f.site.deps.clock.advance_secs(60);
        inplace::start(&self.f.site.ctx, "notebooks", self.snapshot, &Order { confirm: "notebooks".into(), reason: "a trial".into(), ..Order::default() })
            .await
            .unwrap()
    }

    async fn why(&self, run: RunId) -> String {
        let row = ops::runs::find(&self.f.site.ctx, run).await.unwrap();
        format!("{}: {:?}\n{}", row.state, row.failure, self.f.log(run).await)
    }

    /// What a restore in place leaves as it was, whatever became of it.
    async fn assert_the_same(&self, what: &str, run: RunId) {
        let server = self.f.lab.server(&self.f.server).await;
        assert_eq!(server["addresses"], self.addresses, "{what}: {}", self.why(run).await);
        assert_eq!(server["metadata"], json!({"role": "web"}), "{what}: {}", self.why(run).await);
        assert_eq!(self.made().await, Vec::<String>::new(), "{what}: {}", self.why(run).await);
    }

    /// What runs have made beside snapshots.
    async fn made(&self) -> Vec<String> {
        let images = self.f.lab.call("lab", Api::Image, "GET", "/images?limit=1000", None).await.ok();
        let volumes = self.f.lab.call("lab", Api::Volume, "GET", "/volumes/detail", None).await.ok();
        let all = images["images"].as_array().into_iter().chain(volumes["volumes"].as_array()).flatten();
        let runs: Vec<String> =
            store::runs::page(self.f.site.db.db.read().await.unwrap().tx(), store::runs::Filter::default(), (self.f.site.ctx.now(), uuid::Uuid::max()), 500)
                .await
                .unwrap()
                .into_iter()
                .map(|r| r.run.id.to_string())
                .collect();
        let of_ours = |n: &str| n.starts_with("holdfast-") && runs.iter().any(|r| n.ends_with(r));
        all.filter_map(|t| t["name"].as_str()).filter(|n| of_ours(n)).map(str::to_owned).collect()
    }
}

async fn brought_back(boot: Boot, db: testing::TestDb) {
    let Some(b) = Bench::new(boot, db).await else { return };
    let data = b.f.lab.attach_volume(&b.f.server, &format!("{}-data", b.f.name)).await;
    let seen = inplace::preview(&b.f.site.ctx, &b.f.site.deps.env, "notebooks", b.snapshot).await.unwrap();
    let method = if boot == Boot::Image { Method::Rebuild } else { Method::ReplaceRoot };
    assert_eq!(seen.look.found.method, Some(method), "{:?}", seen.look.found);
    assert_eq!(seen.look.found.untouched, [format!("{}-data", b.f.name)]);
    let unmet: Vec<_> = seen.look.found.preconditions.iter().filter(|p| !p.ok && p.only_for.is_none_or(|m| m == method)).collect();
    assert!(unmet.is_empty(), "{unmet:?}");
    let run = b.start().await;
    // The guest writes nothing after its safety snapshot: it is down before.
    let (lab, server, asleep) = (b.f.lab.clone(), b.f.server.clone(), Arc::new(std::sync::Mutex::new(String::new())));
    let seen = asleep.clone();
    let deps = b.f.when("snapshot", Moment::Begun, move || {
        let (lab, server, seen) = (lab.clone(), server.clone(), seen.clone());
        async move {
            let status = lab.server(&server).await["status"].as_str().unwrap().to_owned();
            *seen.lock().unwrap() = status;
        }
    });
    let done = b.f.end(deps, run).await;
    let asleep = asleep.lock().unwrap().clone();
    assert_eq!((done.state, asleep.as_str()), (RunState::Succeeded, "SHUTOFF"), "{}", b.why(run).await);
    let result: InPlaceResult = serde_json::from_value(done.run.result.unwrap().0).unwrap();
    assert!(b.head() == b.then, "the disk is that of the snapshot: {}", b.why(run).await);
    b.f.is("ACTIVE").await;
    b.assert_the_same("after a restore", run).await;
    assert_eq!((result.method, result.status.as_str(), result.left.as_slice(), result.untouched.len()), (method, "ACTIVE", &[][..], 1), "{result:?}");
    assert!(b.f.lab.volumes_of(&b.f.server).await.contains(&data), "its other volume is attached");
    // What it held before stands on record, and is what it was.
    let rows = b.f.recorded().await;
    let safety = rows.iter().find(|r| Some(SnapshotId(r.id)) == result.safety).unwrap();
    assert!(safety.label == result.safety_name && safety.label.starts_with(&format!("{}_safety_2", b.f.name)), "{safety:?}");
    let native = safety.native.clone().unwrap().0;
    if boot == Boot::Volume {
        let mut held = Vec::new();
        let root = native.volumes.iter().find(|v| v.root).unwrap();
        fs::File::open(b.f.lab.volume_snapshot(&root.id)).unwrap().take(HEAD).read_to_end(&mut held).unwrap();
        assert!(held == b.now, "the safety snapshot holds what was there");
    }
    // And leads back.
    let again = Bench { snapshot: SnapshotId(safety.id), ..b };
    let run = again.start().await;
    let done = again.f.end(again.f.site.deps.clone(), run).await;
    assert_eq!(done.state, RunState::Succeeded, "{}", again.why(run).await);
    assert!(again.head() == again.now, "{}", again.why(run).await);
    again.f.assert_agrees("after two restores").await;
    let log = again.f.log(run).await;
    assert!(log.contains("rebuild") || log.contains("/action"), "{log}");
    assert!(log.contains("req-") && !log.contains(again.f.lab.password()), "{log}");
    again.f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_booted_instance_is_rebuilt_with_its_addresses() {
    brought_back(Boot::Image, testing::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_volume_booted_instance_has_its_root_volume_written_anew() {
    brought_back(Boot::Volume, testing::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stopped_instance_stays_stopped_and_what_cannot_be_done_is_explained() {
    let Some(b) = Bench::new(Boot::Image, testing::sqlite().await).await else { return };
    b.f.lab.act(&b.f.server, json!({"os-stop": null})).await;
    b.f.is("SHUTOFF").await;
    let run = b.start().await;
    let done = b.f.end(b.f.site.deps.clone(), run).await;
    assert_eq!(done.state, RunState::Succeeded, "{}", b.why(run).await);
    b.f.is("SHUTOFF").await;
    assert!(b.head() == b.then, "{}", b.why(run).await);
    b.write(AFTER);
    let refused = async |what: &str, id: &str| {
        let seen = inplace::preview(&b.f.site.ctx, &b.f.site.deps.env, "notebooks", b.snapshot).await.unwrap().look.found;
        let bad = seen.preconditions.iter().find(|p| p.id == id).unwrap_or_else(|| panic!("{what}: {seen:?}"));
        assert!(seen.method.is_none() && !bad.ok && !bad.remedy.is_empty(), "{what}: {seen:?}");
        let count = b.f.recorded().await.len();
        let run = b.start().await;
        let done = b.f.end(b.f.site.deps.clone(), run).await;
        let failure = done.run.failure.unwrap();
        assert_eq!((done.state, failure.code.as_str()), (RunState::Failed, "precondition"), "{what}: {}", b.why(run).await);
        assert!(failure.message.contains(&bad.text) && failure.message.contains(&bad.remedy), "{what}: {failure:?}");
        assert!(b.head() == b.now && b.f.recorded().await.len() == count, "{what}: nothing was touched: {}", b.why(run).await);
    };
    b.f.lab.act(&b.f.server, json!({"lock": null})).await;
    refused("locked", "unlocked").await;
    b.f.lab.act(&b.f.server, json!({"unlock": null})).await;
    b.f.lab.call("lab-admin", Api::Compute, "POST", &format!("/servers/{}/action", b.f.server), Some(json!({"os-resetState": {"state": "error"}}))).await;
    refused("in error", "safety").await;
    b.f.lab.call("lab-admin", Api::Compute, "POST", &format!("/servers/{}/action", b.f.server), Some(json!({"os-resetState": {"state": "active"}}))).await;
    let native = b.f.recorded().await.into_iter().find(|r| r.id == b.snapshot.0).unwrap().native.unwrap().0;
    b.f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{}", native.image.unwrap().id), None).await;
    refused("the image is gone", "snapshot_there").await;
    b.f.lab.delete_server(&b.f.server).await;
    let seen = inplace::preview(&b.f.site.ctx, &b.f.site.deps.env, "notebooks", b.snapshot).await.unwrap().look;
    assert!(seen.server.is_none() && seen.found.method.is_none() && seen.found.preconditions[0].id == "instance", "{seen:?}");
    b.f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_root_volume_that_is_detached_is_reverted_and_copied_first() {
    let Some(b) = Bench::new(Boot::Volume, testing::sqlite().await).await else { return };
    b.f.lab.act(&b.f.server, json!({"os-stop": null})).await;
    b.f.is("SHUTOFF").await;
    // Nova never detaches it; an operator may have.
    let root = b.f.lab.volumes_of(&b.f.server).await.remove(0);
    let path = format!("/volumes/{root}/action");
    b.f.lab.call("lab-admin", Api::Volume, "POST", &path, Some(json!({"os-reset_status": {"status": "available", "attach_status": "detached"}}))).await;
    b.f.lab.volume_is(&root, "available").await;
    let run = b.start().await;
    let done = b.f.end(b.f.site.deps.clone(), run).await;
    assert_eq!(done.state, RunState::Succeeded, "{}", b.why(run).await);
    let result: InPlaceResult = serde_json::from_value(done.run.result.unwrap().0).unwrap();
    assert_eq!((result.method, result.safety), (Method::Revert, None), "{result:?}");
    assert!(b.head() == b.then, "{}", b.why(run).await);
    let volumes = b.f.lab.call("lab", Api::Volume, "GET", &format!("/volumes/detail?name={}", result.safety_name), None).await.ok();
    let copy = volumes["volumes"][0]["id"].as_str().unwrap().to_owned();
    let mut held = Vec::new();
    fs::File::open(b.f.lab.volume(&copy)).unwrap().take(HEAD).read_to_end(&mut held).unwrap();
    assert!(held == b.now, "the copy holds what was there");
    b.f.lab.call("lab-admin", Api::Volume, "POST", &path, Some(json!({"os-reset_status": {"status": "in-use", "attach_status": "attached"}}))).await;
    b.f.clear().await;
}

/// After a fault the disk is that of before, or that of the snapshot where the restore stands.
async fn crashes(boot: Boot, moments: &[(&'static str, Moment, RunState)]) {
    let Some(b) = Bench::new(boot, testing::sqlite().await).await else { return };
    for (step, moment, state) in moments.iter().copied() {
        let what = format!("{boot:?} {step} {moment:?}");
        b.write(AFTER);
        let run = b.start().await;
        let done = b.f.end(b.f.once(step, moment, Fault::Crash), run).await;
        assert_eq!(done.state, state, "{what}: {}", b.why(run).await);
        let wanted = if state == RunState::Succeeded { &b.then } else { &b.now };
        assert!(b.head() == *wanted, "{what}: {}", b.why(run).await);
        assert_eq!(b.f.status().await, "ACTIVE", "{what}: {}", b.why(run).await);
        b.assert_the_same(&what, run).await;
        b.f.assert_agrees(&what).await;
    }
    b.f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_leaves_an_image_booted_instance_as_it_was_or_restored() {
    use RunState::{Interrupted, Succeeded};
    crashes(
        Boot::Image,
        &[
            ("check", Moment::Done, Interrupted),
            ("snapshot", Moment::Halfway, Interrupted),
            ("snapshot", Moment::Done, Interrupted),
            ("poll", Moment::Done, Interrupted),
            ("record", Moment::Done, Interrupted),
            ("stop", Moment::Done, Interrupted),
            ("write", Moment::Begun, Interrupted),
            ("write", Moment::Halfway, Interrupted),
            ("write", Moment::Done, Interrupted),
            ("write", Moment::Recorded, Succeeded),
            ("verify", Moment::Done, Succeeded),
            ("start", Moment::Done, Succeeded),
            ("unstage", Moment::Done, Succeeded),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_leaves_a_volume_booted_instance_as_it_was_or_restored() {
    use RunState::{Interrupted, Succeeded};
    crashes(
        Boot::Volume,
        &[
            ("snapshot", Moment::Done, Interrupted),
            ("stage", Moment::Done, Interrupted),
            ("write", Moment::Halfway, Interrupted),
            ("write", Moment::Done, Interrupted),
            ("write", Moment::Recorded, Succeeded),
            ("unstage", Moment::Done, Succeeded),
        ],
    )
    .await;
}

async fn faults(boot: Boot, steps: &[&'static str]) {
    let Some(b) = Bench::new(boot, testing::sqlite().await).await else { return };
    for step in steps.iter().copied() {
        for moment in [Moment::Begun, Moment::Done] {
            let what = format!("{boot:?} {step} {moment:?}");
            let run = b.start().await;
            let deps: Deps = b.f.site.with_faults(move |s, m| (s == step && m == moment).then_some(Fault::Fail { permanent: true }));
            let done = b.f.end(deps, run).await;
            assert_eq!((done.state, done.run.failure.as_ref().unwrap().code.as_str()), (RunState::Failed, "injected"), "{what}: {}", b.why(run).await);
            assert!(b.head() == b.now, "{what}: its disk is as it was: {}", b.why(run).await);
            assert_eq!(b.f.status().await, "ACTIVE", "{what}: {}", b.why(run).await);
            b.assert_the_same(&what, run).await;
            b.f.assert_agrees(&what).await;
        }
    }
    // Nor does one that is cancelled while the disk is written.
    let run = b.start().await;
    let ctx = b.f.site.ctx.clone();
    let deps = b.f.when("write", Moment::Halfway, move || {
        let ctx = ctx.clone();
        async move {
            ops::runs::cancel(&ctx, run, "changed my mind").await.unwrap();
        }
    });
    let done = b.f.end(deps, run).await;
    assert_eq!(done.state, RunState::Cancelled, "{}", b.why(run).await);
    assert!(b.head() == b.now, "{}", b.why(run).await);
    b.assert_the_same("cancelled", run).await;
    // Where even the way back fails, it is said where what was there is.
    let run = b.start().await;
    let deps: Deps = b.f.site.with_faults(move |s, m| {
        let strikes = s == "write" && matches!(m, Moment::Done | Moment::Undoing);
        strikes.then_some(Fault::Fail { permanent: true })
    });
    let failure = b.f.end(deps, run).await.run.failure.unwrap();
    assert!(failure.message.contains("write could not be undone"), "{failure:?}");
    b.f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_at_any_step_leaves_an_image_booted_instance_as_it_was() {
    faults(Boot::Image, &["check", "stop", "snapshot", "poll", "record", "write", "verify", "start"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_at_any_step_leaves_a_volume_booted_instance_as_it_was() {
    faults(Boot::Volume, &["stage", "write", "verify"]).await;
}

#[tokio::test]
async fn the_typed_name_is_asked_for_before_anything() {
    let Some(b) = Bench::new(Boot::Image, testing::sqlite().await).await else { return };
    for confirm in ["", "Notebooks", "web"] {
        let order = Order { confirm: confirm.into(), reason: "a trial".into(), ..Order::default() };
        let error = inplace::start(&b.f.site.ctx, "notebooks", b.snapshot, &order).await.unwrap_err().to_string();
        assert!(error.contains("confirm") && error.contains("notebooks") && error.contains(&b.f.name), "{error}");
    }
    assert_eq!(b.boot, Boot::Image);
    b.f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_api_that_is_away_in_the_middle_of_a_restore_is_waited_for() {
    let Some((b, gate)) = Bench::behind_a_gate(Boot::Volume).await else { return };
    for step in ["check", "snapshot", "stage", "write", "verify", "unstage"] {
        b.write(AFTER);
        let run = b.start().await;
        let gate = gate.clone();
        let deps = b.f.when(step, Moment::Begun, move || {
            gate.refuse_for(std::time::Duration::from_secs(4));
            async {}
        });
        // Longer than the client's own patience in one, so that the step's is tried.
        let done = b.f.end(if step == "write" { hasty(deps) } else { deps }, run).await;
        assert_eq!(done.state, RunState::Succeeded, "{step}: {}", b.why(run).await);
        assert!(b.head() == b.then, "{step}: {}", b.why(run).await);
        b.assert_the_same(step, run).await;
    }
    b.f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_is_revoked_while_the_disk_is_written_is_asked_for_anew() {
    let Some((b, gate)) = Bench::behind_a_gate(Boot::Image).await else { return };
    for step in ["stop", "write", "verify", "start"] {
        b.write(AFTER);
        let run = b.start().await;
        let done = b.f.end(b.f.revoking(step, &gate), run).await;
        assert_eq!(done.state, RunState::Succeeded, "{step}: {}", b.why(run).await);
        assert!(b.head() == b.then && b.f.log(run).await.contains(": 401 after"), "{step}: {}", b.why(run).await);
        assert_eq!(b.f.status().await, "ACTIVE", "{step}: {}", b.why(run).await);
        b.assert_the_same(step, run).await;
    }
    b.f.clear().await;
}

/// The guest is up on the disk of the snapshot, and nobody can look at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disk_that_was_written_and_cannot_be_looked_at_stays_written() {
    let Some(b) = Bench::new(Boot::Image, testing::sqlite().await).await else { return };
    b.f.lab.act(&b.f.server, json!({"os-stop": null})).await;
    b.f.is("SHUTOFF").await;
    let run = b.start().await;
    let (lab, server) = (b.f.lab.clone(), b.f.server.clone());
    // Somebody starts it, so that it never is as it was before.
    let mut deps = b.f.when("verify", Moment::Begun, move || {
        let (lab, server) = (lab.clone(), server.clone());
        async move {
            lab.act(&server, json!({"os-start": null})).await;
            lab.server_is(&server, "ACTIVE").await;
        }
    });
    deps.limits.settle = std::time::Duration::from_secs(3);
    let done = b.f.end(deps, run).await;
    assert_eq!(done.state, RunState::Succeeded, "{}", b.why(run).await);
    assert!(b.head() == b.then && b.f.log(run).await.contains("how it came up could not be seen"), "{}", b.why(run).await);
    b.f.clear().await;
}
