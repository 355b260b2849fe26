//! Clones of instances of a real OpenStack: both boot types byte for byte, overrides, a source that is gone, their end,
//! faults and crashes at every step.

use std::{collections::BTreeMap, fs, io::Read as _, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use domain::{
    channel::{ChannelKind, Encryption, Options},
    id::{RunId, SnapshotId},
    instance::{BootType, CloneResult, Networks},
    run::RunState,
};
use engine::{
    job::Secret,
    sources::openstack::{Cloud, CloudConfig},
    testing::{
        Strike,
        openstack::{Api, Lab},
    },
};
use ops::{
    clones::{self, Order, State},
    config::{HookCall, HookTool, Tools},
    notifications::channels::{self, NewChannel},
    seal::Keys,
    secrets::Vault,
};
use runner::{Deps, Fault, Moment, clones as ends, clouds::look};
use serde_json::{Value, json};
use store::{clones::CloneRow, items, testing};

use super::{
    away::hasty,
    common::field::{Boot, Field},
};

const STEPS: [&str; 6] = ["choose", "volumes", "create", "wait", "hook", "record"];
/// So much of a disk is compared, in bytes.
const HEAD: usize = 8 << 20;

async fn field(boot: Boot) -> Option<Field> {
    let lab = Lab::of_tests()?;
    Some(Field::lettered("c", testing::sqlite().await, lab, boot, str::to_owned).await)
}

fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    fs::File::open(path).unwrap().take(HEAD as u64).read_to_end(&mut bytes).unwrap();
    bytes
}

fn write(path: &Path, text: &str) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(text.as_bytes(), 2 << 20).unwrap();
}

/// The disk that the guest boots from.
async fn root(f: &Field, boot: Boot, server: &str) -> std::path::PathBuf {
    match boot {
        Boot::Image => f.lab.disk(server),
        Boot::Volume => f.lab.volume(&f.lab.volumes_of(server).await[0]),
    }
}

async fn why(f: &Field, run: RunId) -> String {
    let row = ops::runs::find(&f.site.ctx, run).await.unwrap();
    format!("{}: {:?}\n{}", row.state, row.failure, f.log(run).await)
}

async fn made(f: &Field, order: &Order) -> (RunId, CloneResult) {
    let run = clones::start(&f.site.ctx, &f.site.deps.tools, "notebooks", order).await.unwrap();
    let done = f.end(f.site.deps.clone(), run).await;
    assert_eq!(done.state, RunState::Succeeded, "{}", why(f, run).await);
    (run, serde_json::from_value(done.run.result.unwrap().0).unwrap())
}

/// One look at what is to end.
async fn looked(f: &Field) -> ends::Looked {
    Box::pin(ends::look(&f.site.deps)).await.unwrap()
}

fn of(snapshot: &str) -> Order {
    Order { snapshot: Some(snapshot.parse().unwrap()), networks: Networks::None, ..Order::default() }
}

/// Servers and volumes of the cloud whose names begin with the instance's, but for its own.
async fn beside(f: &Field) -> Vec<String> {
    let servers = f.lab.call("lab", Api::Compute, "GET", "/servers", None).await.ok();
    let volumes = f.lab.call("lab", Api::Volume, "GET", "/volumes/detail", None).await.ok();
    let prefix = format!("{}_", f.name);
    let mine = |list: &Value| -> Vec<String> {
        let names = list.as_array().into_iter().flatten().filter_map(|s| s["name"].as_str());
        names.filter(|n| n.starts_with(&prefix)).map(str::to_owned).collect()
    };
    [mine(&servers["servers"]), mine(&volumes["volumes"])].concat()
}

/// Ends whatever clones stand, and all else.
async fn clear(f: &Field) {
    for row in clones::list(&f.site.ctx, "notebooks", true, None, 500).await.unwrap() {
        f.lab.delete_server(&row.server_id).await;
        for v in &row.volumes.0 {
            f.lab.call("lab", Api::Volume, "DELETE", &format!("/volumes/{}", v.id), None).await;
        }
    }
    for _ in 0..60 {
        if beside(f).await.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    f.clear().await;
}

async fn only(f: &Field) -> CloneRow {
    clones::list(&f.site.ctx, "notebooks", false, None, 500).await.unwrap().remove(0)
}

/// Receivers of mails that wait.
async fn mailed(f: &Field) -> Vec<String> {
    let all = ops::notifications::deliveries::list(&f.site.ctx, "", "", None, 100).await.unwrap();
    let mut to: Vec<String> = all.into_iter().map(|d| d.row.recipient).collect();
    to.sort();
    to
}

async fn byte_for_byte(boot: Boot, db: testing::TestDb) {
    let Some(lab) = Lab::of_tests() else { return };
    let f = Field::lettered("c", db, lab, boot, str::to_owned).await;
    let data = f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    let disk = root(&f, boot, &f.server).await;
    write(&disk, "what the guest has written");
    write(&f.lab.volume(&data), "and its data");
    let wanted = (head(&disk), head(&f.lab.volume(&data)));
    let (_, taken) = f.snapshot(f.params()).await;
    write(&disk, "what came after it, longer");
    // The instance is gone: all that is needed stands with the snapshot.
    let addresses = f.lab.server(&f.server).await["addresses"].to_string();
    f.lab.delete_server(&f.server).await;
    let (run, result) = made(&f, &Order { networks: Networks::Same, ..of(&taken.snapshot.clone().unwrap()) }).await;
    let log = f.log(run).await;
    assert_eq!((result.status.as_str(), result.left_out.as_slice()), ("ACTIVE", &[][..]), "{log}");
    assert!(result.name.starts_with(&format!("{}_clone_2", f.name)) && result.ready_s.is_some(), "{result:?}");
    assert!(!result.addresses.is_empty() && !addresses.is_empty(), "{result:?}");
    let volumes = f.lab.volumes_of(&result.server).await;
    assert_eq!(volumes.len(), result.volumes.len(), "{result:?}");
    assert!(head(&root(&f, boot, &result.server).await) == wanted.0, "the root disk is that of the snapshot\n{log}");
    assert!(head(&f.lab.volume(volumes.last().unwrap())) == wanted.1, "the data volume is that of the snapshot\n{log}");
    let server = f.lab.server(&result.server).await;
    assert_eq!((server["metadata"]["holdfast_clone"].as_str(), server["name"].as_str()), (Some(run.to_string().as_str()), Some(result.name.as_str())));
    assert!(log.contains("req-") && !log.contains(f.lab.password()), "{log}");
    // It is on record with what it takes.
    let row = only(&f).await;
    assert_eq!((row.run_id, row.server_id.as_str(), row.vcpus, row.ram_mb), (run.0, result.server.as_str(), 1, 64));
    assert_eq!(row.disk_gb, 2, "{row:?}");
    assert_eq!((State::of(&row, f.site.ctx.now()), clones::sums(&f.site.ctx, "notebooks").await.unwrap().clones), (State::Stands, 1));
    // Nothing happens before its end; then it goes, and its absence is proven.
    assert_eq!(looked(&f).await, ends::Looked::default());
    f.site.deps.clock.advance_secs(7 * 86_400 + 1);
    let seen = looked(&f).await;
    assert_eq!((seen.ended, seen.failed), (1, 0), "{}", f.log(run).await);
    let row = only(&f).await;
    assert_eq!((State::of(&row, f.site.ctx.now()), row.ended_why.as_deref()), (State::Ended, Some("its time was over")));
    assert_eq!(f.lab.call("lab", Api::Compute, "GET", &format!("/servers/{}", result.server), None).await.status, 404);
    for v in &result.volumes {
        assert_eq!(f.lab.call("lab", Api::Volume, "GET", &format!("/volumes/{}", v.id), None).await.status, 404, "{v:?}");
    }
    let ports = f.lab.call("lab", Api::Network, "GET", &format!("/ports?device_id={}", result.server), None).await.ok();
    assert_eq!(ports["ports"], serde_json::json!([]));
    assert!(f.log(run).await.contains("deleted, looked for and not found: server"), "{}", f.log(run).await);
    assert_eq!(looked(&f).await, ends::Looked::default(), "once");
    assert!(clones::end(&f.site.ctx, "notebooks", row.id(), &row.name, "again").await.is_err());
    clear(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_booted_clone_is_the_snapshot_and_comes_to_its_end() {
    byte_for_byte(Boot::Image, testing::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_volume_booted_clone_is_the_snapshot_and_comes_to_its_end() {
    byte_for_byte(Boot::Volume, testing::sqlite().await).await;
}

/// With two hooks and a channel for mail; where the good hook writes what it was told.
async fn with_hooks() -> Option<(Field, std::path::PathBuf)> {
    let mut f = field(Boot::Image).await?;
    let told = f.site.folder.path().join("told");
    let script = f.site.folder.path().join("hook.sh");
    fs::write(&script, format!("env | grep HOLDFAST_ | sort > {}; echo done; exit ${{1:-0}}", told.display())).unwrap();
    let hook = |name: &str, more: &[&str]| HookTool {
        name: name.into(),
        call: HookCall::Command([&["/bin/sh", script.to_str().unwrap()], more].concat().iter().map(|s| (*s).to_owned()).collect()),
        limit_s: 30,
    };
    f.site.deps.tools = Arc::new(Tools { hooks: vec![hook("alias", &[]), hook("fails", &["3"])], ..Tools::default() });
    let options = Options {
        host: "127.0.0.1".into(),
        port: Some(9),
        from: "holdfast@example.org".into(),
        encryption: Some(Encryption::None),
        to: vec!["ops@example.org".into()],
        ..Options::default()
    };
    let new = NewChannel { name: "mail".into(), kind: ChannelKind::Mail, options, secrets: BTreeMap::new() };
    let keys = Keys::of(&f.site.deps.data_dir);
    keys.make().unwrap();
    let vault = Vault::new(f.site.deps.env.clone(), keys);
    channels::save(&f.site.ctx, &vault, &new).await.unwrap();
    Some((f, told))
}

fn to(who: &str) -> Vec<String> {
    vec![format!("{who}@example.org")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_differs_from_the_instance_a_hook_and_an_end_at_once() {
    let Some((f, told)) = with_hooks().await else { return };
    let taken = f.snapshot(f.params()).await.1.snapshot.unwrap();
    let name = format!("{}_other", f.name);
    let order = Order {
        clone_name: name.clone(),
        flavour: "lab.small".into(),
        availability_zone: "nova".into(),
        metadata: BTreeMap::from([("stage".to_owned(), Some("drill".to_owned()))]),
        networks: Networks::These(vec!["lab-net".into()]),
        hook: "alias".into(),
        days: 2,
        to_addr_success: to("good"),
        to_addr_error: to("bad"),
        ..of(&taken)
    };
    let (run, result) = made(&f, &order).await;
    assert_eq!((result.name.as_str(), result.flavour.name.as_str(), result.addresses.len()), (name.as_str(), "lab.small", 1), "{}", f.log(run).await);
    let server = f.lab.server(&result.server).await;
    assert_eq!((server["metadata"]["stage"].as_str(), server["OS-EXT-AZ:availability_zone"].as_str()), (Some("drill"), Some("nova")));
    assert_eq!(result.expires_at.0 - only(&f).await.created_at, 2 * 86_400 * 1_000_000);
    let said = fs::read_to_string(&told).unwrap();
    for want in [format!("HOLDFAST_CLONE={name}"), format!("HOLDFAST_SERVER={}", result.server), format!("HOLDFAST_ADDRESSES={}", result.addresses[0])] {
        assert!(said.contains(&want), "{want}: {said}");
    }
    assert_eq!(mailed(&f).await, ["good@example.org"]);
    // More time, and an end at once.
    let id = only(&f).await.id();
    assert!(clones::lengthen(&f.site.ctx, "notebooks", id, 1).await.is_err(), "no later than its end");
    clones::lengthen(&f.site.ctx, "notebooks", id, 9).await.unwrap();
    f.site.deps.clock.advance_secs(3 * 86_400);
    assert_eq!(looked(&f).await.ended, 0);
    assert!(clones::end(&f.site.ctx, "notebooks", id, "other", "over").await.unwrap_err().to_string().contains(&name));
    clones::end(&f.site.ctx, "notebooks", id, &name, "over").await.unwrap();
    assert_eq!(State::of(&only(&f).await, f.site.ctx.now()), State::Ending);
    assert_eq!(looked(&f).await.ended, 1);
    assert!(only(&f).await.ended_why.unwrap().ends_with("ended it: over"));
    clear(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hook_that_fails_leaves_the_clone_and_one_that_nobody_waits_for_is_seen_later() {
    let Some((f, _)) = with_hooks().await else { return };
    let taken = f.snapshot(f.params()).await.1.snapshot.unwrap();
    let run =
        clones::start(&f.site.ctx, &f.site.deps.tools, "notebooks", &Order { hook: "fails".into(), to_addr_error: to("bad"), ..of(&taken) }).await.unwrap();
    let done = f.end(f.site.deps.clone(), run).await;
    assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Partial, "hook_failed"), "{}", f.log(run).await);
    assert_eq!(State::of(&only(&f).await, f.site.ctx.now()), State::Stands);
    assert_eq!(mailed(&f).await, ["bad@example.org"]);
    let id = only(&f).await.id();
    clones::end(&f.site.ctx, "notebooks", id, &only(&f).await.name, "over").await.unwrap();
    // One that nobody waits for is seen to run later.
    let (run, result) = made(&f, &Order { wait: false, clone_name: format!("{}_later", f.name), to_addr_success: to("later"), ..of(&taken) }).await;
    assert!(result.ready_s.is_none() && State::of(&only(&f).await, f.site.ctx.now()) == State::Building, "{}", f.log(run).await);
    f.lab.server_is(&result.server, "ACTIVE").await;
    assert_eq!(mailed(&f).await.len(), 1, "the mail leaves when it is seen to run");
    f.site.deps.clock.advance_secs(60);
    let seen = looked(&f).await;
    assert_eq!((seen.ready, seen.ended), (1, 1), "{seen:?} {}", f.log(run).await);
    assert_eq!(mailed(&f).await, ["bad@example.org", "later@example.org"]);
    assert_eq!(State::of(&only(&f).await, f.site.ctx.now()), State::Stands);
    let later = result.server;
    // One that vanishes before it was seen to run is told of, and ends.
    let (run, result) = made(&f, &Order { wait: false, clone_name: format!("{}_lost", f.name), to_addr_error: to("lost"), ..of(&taken) }).await;
    f.lab.server_is(&result.server, "ACTIVE").await;
    let config = CloudConfig::of(&f.lab.location(), &f.lab.options("lab")).unwrap();
    let cloud = Cloud::connect(&config, &Secret::new(f.lab.password()), f.site.deps.limits.call, None).await.unwrap();
    cloud.force_delete(&result.server).await.unwrap();
    f.lab.delete_server(&result.server).await;
    f.site.deps.clock.advance_secs(60);
    assert_eq!(looked(&f).await.ready, 1, "{}", f.log(run).await);
    assert!(mailed(&f).await.contains(&to("lost")[0]));
    assert_eq!(looked(&f).await.ended, 1, "{}", f.log(run).await);
    assert_eq!(only(&f).await.ended_why.as_deref(), Some("it was no longer in the cloud"));
    // So does one that vanishes after it ran.
    f.lab.delete_server(&later).await;
    f.site.deps.clock.advance_secs(7 * 3_600);
    looked(&f).await;
    assert_eq!(looked(&f).await.ended, 1);
    assert!(clones::list(&f.site.ctx, "notebooks", true, None, 9).await.unwrap().is_empty());
    clear(&f).await;
}

/// Waits until a snapshot of a volume has this status; `None` means that it is gone.
async fn snapshot_is(f: &Field, id: &str, status: Option<&str>) {
    for _ in 0..120 {
        if f.lab.call("lab", Api::Volume, "GET", &format!("/snapshots/{id}"), None).await.body["snapshot"]["status"].as_str() == status {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    panic!("the snapshot {id} does not get {status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clone_is_no_item_and_what_keeps_its_volume_is_named() {
    let Some(f) = field(Boot::Image).await else { return };
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    let taken = f.snapshot(f.params()).await.1.snapshot.unwrap();
    let (run, result) = made(&f, &of(&taken)).await;
    assert_eq!(Box::pin(look::due(&f.site.deps)).await.unwrap(), 1);
    let item = items::find_by_name(f.site.db.db.read().await.unwrap().tx(), f.source, &result.name).await.unwrap();
    assert!(f.item().await.is_some() && item.is_none(), "the instance is an item, its clone is none");
    let by_hand = async |word: &str, wanted: Value| {
        let made = f.lab.call("lab", Api::Volume, "POST", &format!("/{word}s"), Some(json!({word: wanted}))).await.ok();
        made[word]["id"].as_str().unwrap().to_owned()
    };
    let volume = result.volumes[0].id.clone();
    let snapshot = by_hand("snapshot", json!({"volume_id": volume, "name": format!("{}-by-hand", f.name)})).await;
    snapshot_is(&f, &snapshot, Some("available")).await;
    clones::end(&f.site.ctx, "notebooks", only(&f).await.id(), &result.name, "over").await.unwrap();
    assert_eq!(looked(&f).await.failed, 1, "{}", f.log(run).await);
    let said = only(&f).await.trouble.unwrap();
    assert!(said.contains(&format!("the volume {volume} stays while it has snapshots: {snapshot}; delete them")), "{said}");
    // A volume that somebody else's server counts on is not taken from it.
    f.lab.call("lab", Api::Volume, "DELETE", &format!("/snapshots/{snapshot}"), None).await;
    snapshot_is(&f, &snapshot, None).await;
    let attachment = by_hand("attachment", json!({"volume_uuid": volume, "instance_uuid": f.server})).await;
    f.lab.volume_is(&volume, "reserved").await;
    f.site.deps.clock.advance_secs(901);
    assert_eq!(looked(&f).await.failed, 1, "{}", f.log(run).await);
    let said = only(&f).await.trouble.unwrap();
    assert!(said.contains(&format!("the volume {volume} is reserved for the server {}", f.server)), "{said}");
    f.lab.call("lab", Api::Volume, "DELETE", &format!("/attachments/{attachment}"), None).await;
    f.site.deps.clock.advance_secs(901);
    assert_eq!(looked(&f).await.ended, 1, "{}", f.log(run).await);
    clear(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_run_could_not_take_back_is_listed_and_ends_later() {
    let Some(lab) = Lab::of_tests() else { return };
    let gate = Arc::new(lab.gate().unwrap());
    let f = Field::lettered("c", testing::sqlite().await, lab, Boot::Image, |url| gate.through(url)).await;
    let taken = f.snapshot(f.params()).await.1.snapshot.unwrap();
    let run = clones::start(&f.site.ctx, &f.site.deps.tools, "notebooks", &of(&taken)).await.unwrap();
    let door = gate.clone();
    let deps = f.site.with_faults(move |step, moment| {
        (step == "wait" && moment == Moment::Done).then(|| {
            door.at("DELETE", "/servers/", Strike::Answer(403));
            Fault::Fail { permanent: true }
        })
    });
    assert_eq!((f.end(deps, run).await.state, gate.struck()), (RunState::Failed, true), "{}", why(&f, run).await);
    let row = only(&f).await;
    assert_eq!((row.run_id, State::of(&row, f.site.ctx.now())), (run.0, State::Ending), "{row:?}");
    assert!(row.trouble.as_ref().is_some_and(|t| t.contains("HTTP 403")), "{row:?}");
    assert_eq!(beside(&f).await, std::slice::from_ref(&row.name), "it is still there");
    assert_eq!(looked(&f).await, ends::Looked::default(), "a failure is followed by a pause");
    f.site.deps.clock.advance_secs(901);
    assert_eq!(looked(&f).await.ended, 1, "{}", f.log(run).await);
    clear(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_day_with_several_snapshots_is_refused_with_their_names() {
    let Some(f) = field(Boot::Image).await else { return };
    let first = f.snapshot(f.params()).await.1;
    let second = f.snapshot(f.params()).await.1;
    let minute = |name: &str| name.rsplit('_').next().unwrap().to_owned();
    let by = |date: String| Order { instance: f.name.clone(), date, networks: Networks::None, ..Order::default() };
    let error = clones::start(&f.site.ctx, &Tools::default(), "notebooks", &by(minute(&first.name)[..8].to_owned())).await.unwrap_err().to_string();
    for want in ["date: ", "means 2 snapshots", &first.name, &second.name, "YYYYMMDDHHMM"] {
        assert!(error.contains(want), "{want}: {error}");
    }
    let (run, result) = made(&f, &by(minute(&first.name))).await;
    let row = only(&f).await;
    assert_eq!(row.snapshot_id.map(|s| s.to_string()), first.snapshot, "{result:?} {}", f.log(run).await);
    // The cloud has lost it: nothing is made.
    let native =
        store::snapshots::find(f.site.db.db.read().await.unwrap().tx(), SnapshotId(row.snapshot_id.unwrap())).await.unwrap().unwrap().native.unwrap().0;
    assert_eq!(native.server.boot, BootType::Image);
    f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{}", native.image.unwrap().id), None).await;
    clear_clones(&f).await;
    let run = clones::start(&f.site.ctx, &Tools::default(), "notebooks", &by(minute(&first.name))).await.unwrap();
    let done = f.end(f.site.deps.clone(), run).await;
    assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Failed, "gone"), "{}", f.log(run).await);
    assert_eq!(beside(&f).await, Vec::<String>::new());
    clear(&f).await;
}

/// Ends the clones that stand.
async fn clear_clones(f: &Field) {
    for row in clones::list(&f.site.ctx, "notebooks", true, None, 500).await.unwrap() {
        clones::end(&f.site.ctx, "notebooks", row.id(), &row.name, "the test is over").await.unwrap();
    }
    let seen = looked(f).await;
    assert_eq!(seen.failed, 0, "{seen:?}");
    assert_eq!(beside(f).await, Vec::<String>::new());
}

async fn crashes(boot: Boot, moments: &[(&'static str, Moment)]) {
    let Some(f) = field(boot).await else { return };
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    let taken = f.snapshot(f.params()).await.1.snapshot.unwrap();
    for (step, moment) in moments.iter().copied() {
        let what = format!("{boot:?} {step} {moment:?}");
        f.site.deps.clock.advance_secs(60);
        let run = clones::start(&f.site.ctx, &f.site.deps.tools, "notebooks", &of(&taken)).await.unwrap();
        let done = f.end(f.once(step, moment, Fault::Crash), run).await;
        assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 2), "{what}: {}", why(&f, run).await);
        let volumes = if boot == Boot::Image { 1 } else { 2 };
        assert_eq!(beside(&f).await.len(), 1 + volumes, "{what}: one server with its volumes: {:?} {}", beside(&f).await, why(&f, run).await);
        clear_clones(&f).await;
    }
    clear(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_leaves_one_image_booted_clone() {
    let mut moments: Vec<_> = STEPS.into_iter().filter(|s| *s != "hook").map(|s| (s, Moment::Done)).collect();
    moments.extend([("volumes", Moment::Halfway), ("create", Moment::Halfway), ("record", Moment::Recorded)]);
    crashes(Boot::Image, &moments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_leaves_one_volume_booted_clone() {
    crashes(
        Boot::Volume,
        &[("volumes", Moment::Halfway), ("volumes", Moment::Done), ("create", Moment::Halfway), ("create", Moment::Done), ("wait", Moment::Done)],
    )
    .await;
}

async fn faults(boot: Boot, all: &[&'static str]) {
    let Some(f) = field(boot).await else { return };
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    let taken = f.snapshot(f.params()).await.1.snapshot.unwrap();
    for step in all.iter().copied() {
        for moment in [Moment::Begun, Moment::Done] {
            let what = format!("{boot:?} {step} {moment:?}");
            f.site.deps.clock.advance_secs(60);
            let run = clones::start(&f.site.ctx, &f.site.deps.tools, "notebooks", &of(&taken)).await.unwrap();
            let deps: Deps = f.site.with_faults(move |s, m| (s == step && m == moment).then_some(Fault::Fail { permanent: true }));
            let done = f.end(deps, run).await;
            assert_eq!((done.state, done.run.failure.as_ref().unwrap().code.as_str()), (RunState::Failed, "injected"), "{what}: {}", why(&f, run).await);
            assert_eq!(beside(&f).await, Vec::<String>::new(), "{what}: {}", why(&f, run).await);
            assert_eq!(clones::sums(&f.site.ctx, "notebooks").await.unwrap().clones, 0, "{what}");
            assert_eq!(f.status().await, "ACTIVE", "{what}: the instance itself is as it was");
        }
    }
    // Nor does one that is cancelled.
    let run = clones::start(&f.site.ctx, &f.site.deps.tools, "notebooks", &of(&taken)).await.unwrap();
    let ctx = f.site.ctx.clone();
    let deps = f.when("create", Moment::Done, move || {
        let ctx = ctx.clone();
        async move {
            ops::runs::cancel(&ctx, run, "changed my mind").await.unwrap();
        }
    });
    assert_eq!(f.end(deps, run).await.state, RunState::Cancelled, "{}", why(&f, run).await);
    assert_eq!(beside(&f).await, Vec::<String>::new(), "{}", why(&f, run).await);
    clear(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_at_any_step_leaves_nothing_of_an_image_booted_clone() {
    faults(Boot::Image, &["choose", "volumes", "create", "wait", "record"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_at_any_step_leaves_nothing_of_a_volume_booted_clone() {
    // Those whose work differs by what the clone boots from.
    faults(Boot::Volume, &["volumes", "create", "wait"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_api_that_is_away_in_the_middle_of_a_clone_is_waited_for() {
    let Some(lab) = Lab::of_tests() else { return };
    let gate = Arc::new(lab.gate().unwrap());
    let f = Field::lettered("c", testing::sqlite().await, lab, Boot::Image, |url| gate.through(url)).await;
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    let taken = f.snapshot(f.params()).await.1.snapshot.unwrap();
    for step in STEPS.into_iter().filter(|s| *s != "hook") {
        f.site.deps.clock.advance_secs(60);
        let run = clones::start(&f.site.ctx, &f.site.deps.tools, "notebooks", &of(&taken)).await.unwrap();
        let door = gate.clone();
        let deps = f.when(step, Moment::Begun, move || {
            door.refuse_for(std::time::Duration::from_secs(4));
            async {}
        });
        // Longer than the client's own patience in one, so that the step's is tried.
        let done = f.end(if step == "create" { hasty(deps) } else { deps }, run).await;
        assert_eq!(done.state, RunState::Succeeded, "{step}: {}", why(&f, run).await);
        assert_eq!(beside(&f).await.len(), 2, "{step}: one server with its volume: {}", why(&f, run).await);
        gate.heal();
        clear_clones(&f).await;
    }
    clear(&f).await;
}
