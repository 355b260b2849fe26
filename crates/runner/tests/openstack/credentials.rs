//! A token or a credential that goes in the middle of a snapshot.

use std::{sync::Arc, time::Duration};

use domain::{
    instance::SnapshotParams,
    run::{RunState, StepState},
};
use engine::testing::{Gate, openstack::Lab};
use runner::{Moment, Watchdogs, clouds};
use store::{
    repositories,
    run_events::{self, NewRunEvent},
    testing,
};

use super::{
    common::field::{Boot, Field},
    states, why,
};

async fn behind_a_gate(boot: Boot) -> Option<(Field, Arc<Gate>)> {
    let lab = Lab::of_tests()?;
    let gate = Arc::new(lab.gate().unwrap());
    let f = Field::new(testing::sqlite().await, lab, boot, |url| gate.through(url)).await;
    Some((f, gate))
}

async fn revoked(boot: Boot, all: &[&'static str]) {
    let Some((f, gate)) = behind_a_gate(boot).await else { return };
    for step in all.iter().copied() {
        let what = format!("{boot:?} {step}");
        let run = f.order(SnapshotParams { instance_stop: true, max_snapshots: 1, ..f.params() }).await;
        let before = gate.tokens().len();
        let done = f.end(f.revoking(step, &gate), run).await;
        assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 1), "{what}: {}", why(&f, run).await);
        assert_eq!((f.status().await.as_str(), f.recorded().await.len()), ("ACTIVE", 1), "{what}: {}", why(&f, run).await);
        assert_eq!(gate.tokens().len(), before + 2, "{what}: one token of its own, and one in place of it: {}", why(&f, run).await);
        assert!(f.log(run).await.contains(": 401 after"), "{what}: the refusal is in the log: {}", why(&f, run).await);
        f.assert_agrees(&what).await;
    }
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_is_revoked_while_an_image_is_made_is_asked_for_anew() {
    revoked(Boot::Image, &["stop", "snapshot", "poll", "start"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_is_revoked_while_volumes_are_snapshotted_is_asked_for_anew() {
    revoked(Boot::Volume, &["detect", "snapshot", "poll", "clean_up"]).await;
}

/// Gives the cloud an application credential of its own. Its id.
async fn with_credential(f: &mut Field, location: String) -> String {
    let (id, secret) = f.lab.application_credential(&format!("{}-{}", f.name, uuid::Uuid::now_v7()), None, &[]).await;
    f.site.deps.env = Arc::new([("LAB".to_owned(), secret)].into());
    let mut t = f.site.db.db.begin().await.unwrap();
    let plain = [("application_credential_id".to_owned(), id.clone()), ("region".to_owned(), "RegionOne".to_owned())].into();
    let new = repositories::NewRepository {
        name: "cloud".into(),
        location,
        options: repositories::StorageOptions { plain, ..repositories::StorageOptions::default() },
        password: repositories::SecretRef::Env("LAB".into()),
        max_parallel: None,
        read_all_within_s: None,
    };
    repositories::upsert(t.tx(), &new, f.site.deps.clock.now()).await.unwrap();
    t.commit().await.unwrap();
    id
}

/// Alerts that are open: what each says.
async fn alerts(f: &Field) -> Vec<String> {
    Watchdogs::new(f.site.deps.clone()).look().await.unwrap();
    let open = store::alerts::open(f.site.db.db.read().await.unwrap().tx(), 100).await.unwrap();
    open.iter().map(|a| serde_json::to_string(&a.facts.0).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_credential_that_is_gone_for_good_is_said_and_alarmed_with_what_is_left_to_do() {
    let Some((mut f, gate)) = behind_a_gate(Boot::Image).await else { return };
    let location = gate.through(&f.lab.location());
    let id = with_credential(&mut f, location.clone()).await;
    // The instance is listed, as a server does it.
    assert_eq!(clouds::look::due(&f.site.deps).await.unwrap(), 1);
    let ordered = |f: &Field| SnapshotParams { instance_stop: true, ..f.params() };
    let run = f.order(ordered(&f)).await;
    let (lab, door) = (f.lab.clone(), gate.clone());
    let deps = f.when("snapshot", Moment::Begun, move || {
        let (lab, gone, token) = (lab.clone(), id.clone(), door.tokens().pop().unwrap());
        async move {
            lab.delete_application_credential(&gone).await;
            lab.is_refused(&token).await;
        }
    });
    let done = f.end(deps, run).await;
    let failure = done.run.failure.clone().unwrap().0;
    assert_eq!((done.state, failure.code.as_str(), failure.permanent), (RunState::Failed, "denied", true), "{}", why(&f, run).await);
    let to_do = format!("start it: openstack server start {}", f.server);
    for words in ["the application credential does not exist, or was deleted; make a new one", "was stopped by this run", &to_do] {
        assert!(failure.message.contains(words), "“{words}” is not in: {}", why(&f, run).await);
    }
    assert_eq!(f.status().await, "SHUTOFF", "nobody is left to start it");
    assert_eq!(f.pieces().await.0.len() + f.recorded().await.len(), 0, "nothing was made");
    let open = alerts(&f).await;
    assert!(open.iter().any(|a| a.contains(&to_do)), "an alert says what is to be done: {open:?}");
    // Nothing is touched while it is gone.
    let run = f.order(ordered(&f)).await;
    let done = f.end(f.site.deps.clone(), run).await;
    assert_eq!((done.state, states(&f, run).await[1].1), (RunState::Failed, StepState::Skipped), "{}", why(&f, run).await);
    // With another credential the next run starts what the first could not, but not what somebody has locked.
    let id = with_credential(&mut f, location).await;
    f.site.deps.clock.advance_secs(3_600);
    assert_eq!(clouds::look::due(&f.site.deps).await.unwrap(), 1);
    f.lab.act(&f.server, serde_json::json!({"lock": null})).await;
    let (run, _) = f.snapshot(f.params()).await;
    let log = f.log(run).await;
    assert!(f.status().await == "SHUTOFF" && log.contains("it is locked, so it stays stopped"), "{log}");
    f.lab.act(&f.server, serde_json::json!({"unlock": null})).await;
    let (run, result) = f.snapshot(f.params()).await;
    let log = f.log(run).await;
    assert_eq!(f.status().await, "ACTIVE", "{log}");
    assert!(log.contains("which could not start it again") && result.stopped_s.is_some_and(|s| s >= 3_600.0), "{result:?} {log}");
    // What is paid is owed no more: somebody stops it, and it stays so.
    f.lab.act(&f.server, serde_json::json!({"os-stop": null})).await;
    f.is("SHUTOFF").await;
    let (run, result) = f.snapshot(ordered(&f)).await;
    assert_eq!((f.status().await.as_str(), result.stopped_s), ("SHUTOFF", None), "{}", f.log(run).await);
    // Nor is one that somebody has stopped after a run that never said more.
    let owes = NewRunEvent {
        at: f.site.deps.clock.now(),
        kind: run_events::POWER,
        level: "info",
        message: "stops it".into(),
        detail: Some(serde_json::json!({"does": "stop", "server": f.server, "at": f.site.deps.clock.now().0})),
    };
    let mut t = f.site.db.db.begin().await.unwrap();
    run_events::add_unleased(t.tx(), run, &owes).await.unwrap();
    t.commit().await.unwrap();
    let (run, _) = f.snapshot(ordered(&f)).await;
    let log = f.log(run).await;
    assert!(f.status().await == "SHUTOFF" && log.contains("somebody has stopped"), "{log}");
    let open = alerts(&f).await;
    assert!(!open.iter().any(|a| a.contains(&f.server) || a.contains("denied")), "{open:?}");
    f.assert_agrees("another credential").await;
    f.lab.delete_application_credential(&id).await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_credential_that_is_deleted_while_its_token_is_taken_leaves_the_instance_running_or_says_so() {
    let Some((mut f, gate)) = behind_a_gate(Boot::Image).await else { return };
    let location = gate.through(&f.lab.location());
    let id = with_credential(&mut f, location).await;
    let run = f.order(SnapshotParams { instance_stop: true, ..f.params() }).await;
    let (lab, gone) = (f.lab.clone(), id.clone());
    let deps = f.when("poll", Moment::Begun, move || {
        let (lab, gone) = (lab.clone(), gone.clone());
        async move { lab.delete_application_credential(&gone).await }
    });
    let done = f.end(deps, run).await;
    // Services take a token for good a while after its credential is gone; then the run comes to its end.
    if done.state == RunState::Succeeded {
        assert_eq!(f.status().await, "ACTIVE", "{}", why(&f, run).await);
    } else {
        let said = done.run.failure.clone().unwrap().0.message;
        let named = said.contains(&format!("start it: openstack server start {}", f.server));
        assert!(named || f.status().await == "ACTIVE", "{}", why(&f, run).await);
        // What it had ordered of the cloud comes to its end without it.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    f.clear().await;
}
