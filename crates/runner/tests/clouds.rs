//! What a look at a cloud records where the cloud cannot be used, and the alerts that come of it; on both databases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Site;
use domain::{
    alert::{AlertKind, Condition},
    id::{RepositoryId, RunId, SourceId},
    instance::{BootType, Credential, Server},
    run::{RunEvent, RunKind},
    units::Timestamp,
    work::StepFailure,
};
use runner::{Deps, Watchdogs, clouds::look};
use serde_json::json;
use store::{
    Clock, clones, items, queue,
    repositories::{self, NewRepository, RepositoryRow, SecretRef, StorageOptions},
    snapshots::{self, NewSnapshot},
    sources::{self, NewSource},
    testing,
};
use uuid::Uuid;

const DAY: i64 = 86_400;

struct Sky {
    site: Site,
    deps: Deps,
    dogs: Watchdogs,
    source: SourceId,
}

impl Sky {
    async fn new(db: testing::TestDb) -> Self {
        let mut site = Site::new(db).await;
        let deps = Deps { clock: Clock::fixed(Clock::System.now()), ..site.deps.clone() };
        site.ctx.clock = deps.clock.clone();
        let mut t = site.db.db.begin().await.unwrap();
        let plain = [("application_credential_id".to_owned(), "ab".to_owned())];
        let new = NewRepository {
            name: "geneva".into(),
            location: "openstack+http://127.0.0.1:9/v3".into(),
            options: StorageOptions { plain: plain.into(), ..StorageOptions::default() },
            password: SecretRef::Env("NOBODY_SET_THIS".into()),
            max_parallel: None,
            read_all_within_s: None,
        };
        let cloud = repositories::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        let new = NewSource {
            service: site.service,
            repository: cloud,
            name: "vms".into(),
            kind: "openstack-instance".into(),
            config: json!({"kind": "openstack-instance", "instances": []}),
            position: 1,
            policy: None,
        };
        let source = sources::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        items::listed(t.tx(), source, site.service, "web", &server(), Timestamp(1)).await.unwrap();
        t.commit().await.unwrap();
        Self { dogs: Watchdogs::new(deps.clone()), site, deps, source }
    }

    async fn row(&self) -> RepositoryRow {
        repositories::find_by_name(self.site.db.db.read().await.unwrap().tx(), "geneva").await.unwrap().unwrap()
    }

    async fn found(&self, credential: &Credential) {
        let row = self.row().await;
        let mut t = self.site.db.db.begin().await.unwrap();
        assert!(repositories::set_credential(t.tx(), &row, credential, Some("p")).await.unwrap());
        t.commit().await.unwrap();
    }

    /// The alerts of the cloud and of its instances, after a look of the watchdogs.
    async fn alerts(&mut self) -> Vec<(AlertKind, String)> {
        self.dogs.look().await.unwrap();
        let open = ops::alerts::open(&self.site.ctx).await.unwrap();
        let mine = open.into_iter().filter(|a| a.title.contains("geneva") || a.title.contains("vms"));
        mine.map(|a| (a.facts.0.kind(), format!("{} {}", a.title, a.facts.0.clause(self.deps.clock.now())))).collect()
    }

    /// A run of the instance that ends so.
    async fn run(&self, event: RunEvent) {
        let now = self.deps.clock.now();
        let new = queue::NewRun {
            id: RunId(Uuid::now_v7()),
            kind: RunKind::InstanceSnapshot,
            service: Some(self.site.service),
            source: Some(self.source),
            repository: Some(self.row().await.id()),
            title: "Snapshot of notebooks/vms: web".into(),
            params: json!({}),
            actor: "test".into(),
            retry_of: None,
            queued_at: now,
            run_at: now,
            priority: 100,
            max_attempts: 3,
            resource_key: Some(format!("instance:{}:web", self.source)),
            unique_key: None,
            schedule: None,
            max_duration_s: None,
        };
        let mut t = self.site.db.db.begin().await.unwrap();
        assert!(queue::enqueue(t.tx(), &new).await.unwrap());
        let token = Uuid::now_v7();
        let lease = queue::Lease { owner: "w", token, until: Timestamp(i64::MAX) };
        assert_eq!(queue::claim(t.tx(), &lease, now).await.unwrap().unwrap().id(), new.id);
        let failure = (event == RunEvent::Fail).then(|| StepFailure::new("full", "the quota is used up", true));
        let failure = failure.map(|f| serde_json::to_value(f).unwrap());
        let end = queue::End { event, result: None, failure };
        queue::finish(t.tx(), new.id, token, &end, now).await.unwrap().unwrap();
        t.commit().await.unwrap();
        self.deps.clock.advance_secs(60);
    }
}

fn taken(sky: &Sky, repository: RepositoryId) -> NewSnapshot {
    let native = testing::native("unit", "web_snapshot", server());
    NewSnapshot { service: Some(sky.site.service), source: Some(sky.source), ..NewSnapshot::native(repository, &native, Timestamp(5), "complete") }
}

fn server() -> Server {
    testing::server("id-web", "web", BootType::Image)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_cannot_be_used_loses_nothing_and_is_an_alert() {
    for db in testing::databases().await {
        let what = db.name;
        let mut sky = Sky::new(db).await;
        assert_eq!(look::due(&sky.deps).await.unwrap(), 1, "{what}");
        let seen = sky.row().await.credential.unwrap().0;
        assert!(seen.refused && seen.trouble.as_ref().is_some_and(|t| t.contains("NOBODY_SET_THIS is not set")), "{what}: {seen:?}");
        let item = items::find_by_name(sky.site.db.db.read().await.unwrap().tx(), sky.source, "web").await.unwrap().unwrap();
        assert!(item.gone_at.is_none() && item.native.is_some(), "{what}");
        assert_eq!(look::due(&sky.deps).await.unwrap(), 0, "{what}: it waits a quarter of an hour");
        assert_eq!(sky.alerts().await, [(AlertKind::CredentialRefused, "Repository geneva does not let Holdfast in".to_owned())], "{what}");
        sky.deps.clock.advance_secs(ops::clouds::AGAIN_S);
        assert_eq!(look::due(&sky.deps).await.unwrap(), 1, "{what}");

        // It works again, and its end is told of twice.
        let now = sky.deps.clock.now();
        let well = Credential { project_id: "p".into(), looked_at: now, expires_at: Some(now.plus_secs(31 * DAY)), ..Credential::default() };
        sky.found(&well).await;
        assert_eq!(sky.alerts().await, [], "{what}");
        sky.deps.clock.advance_secs(2 * DAY);
        assert_eq!(sky.alerts().await, [(AlertKind::CredentialExpiring, "Repository geneva has a credential that expires in 29 d".to_owned())], "{what}");
        sky.deps.clock.advance_secs(23 * DAY);
        assert!(sky.alerts().await[0].1.ends_with("expires in 6 d"), "{what}");
        let open = ops::alerts::open(&sky.site.ctx).await.unwrap();
        assert!(open.iter().any(|a| matches!(a.facts.0, Condition::CredentialExpiring { within: 7, .. })), "{what}");
        let lacking = Credential { trouble: Some("it has the role reader alone".into()), expires_at: None, ..well.clone() };
        sky.found(&lacking).await;
        assert_eq!(sky.alerts().await.iter().map(|a| a.0).collect::<Vec<_>>(), [AlertKind::CredentialLacking], "{what}");
        sky.found(&Credential { expires_at: None, ..well }).await;
        assert_eq!(sky.alerts().await, [], "{what}: nor is it a repository that was never checked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_instance_whose_newest_run_failed_is_an_alert_of_its_own() {
    for db in testing::databases().await {
        let what = db.name;
        let mut sky = Sky::new(db).await;
        sky.run(RunEvent::Fail).await;
        let said = sky.alerts().await;
        assert_eq!(said.len(), 1, "{what}: {said:?}");
        assert!(said[0].0 == AlertKind::RunFailed && said[0].1.contains("vms: web had a failed run"), "{what}: {said:?}");
        sky.run(RunEvent::Succeed).await;
        assert_eq!(sky.alerts().await, [], "{what}");
        // One that is gone from the cloud is nobody's trouble any more.
        sky.run(RunEvent::Fail).await;
        assert_eq!(sky.alerts().await.len(), 1, "{what}");
        let mut t = sky.site.db.db.begin().await.unwrap();
        items::mark_gone(t.tx(), sky.source, sky.deps.clock.now()).await.unwrap();
        t.commit().await.unwrap();
        assert_eq!(sky.alerts().await, [], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_cannot_be_taken_away_is_an_alert_until_it_is() {
    for db in testing::databases().await {
        let what = db.name;
        let mut sky = Sky::new(db).await;
        sky.run(RunEvent::Succeed).await;
        let now = sky.deps.clock.now();
        let mut t = sky.site.db.db.begin().await.unwrap();
        let newest = (Timestamp(i64::MAX), Uuid::max());
        let run = store::runs::page(t.tx(), store::runs::Filter::default(), newest, 9).await.unwrap().remove(0).run;
        let repository = repositories::find_by_name(t.tx(), "geneva").await.unwrap().unwrap().id();
        let snapshot = snapshots::insert(t.tx(), &taken(&sky, repository)).await.unwrap();
        let new = clones::NewClone {
            service: sky.site.service,
            source: Some(sky.source),
            repository,
            snapshot,
            run: RunId(run.id),
            server: "s",
            name: "web_clone",
            volumes: &[],
            vcpus: 1,
            ram_mb: 512,
            disk_gb: 1,
            ready_at: Some(now),
            expires_at: now.plus_secs(600),
        };
        assert!(clones::insert(t.tx(), &new, now).await.unwrap());
        let clone = clones::of_run(t.tx(), RunId(run.id)).await.unwrap().unwrap().id();
        t.commit().await.unwrap();
        let standing = async |sky: &mut Sky| {
            sky.dogs.look().await.unwrap();
            let open = ops::alerts::open(&sky.site.ctx).await.unwrap();
            open.into_iter().filter(|a| a.facts.0.kind() == AlertKind::ClonesStand).map(|a| a.facts.0.explain(sky.deps.clock.now())).collect::<Vec<_>>()
        };
        sky.deps.clock.advance_secs(660);
        assert!(standing(&mut sky).await.is_empty(), "{what}: it is being taken away");
        let mut t = sky.site.db.db.begin().await.unwrap();
        let row = clones::find(t.tx(), clone).await.unwrap().unwrap();
        assert!(clones::take(t.tx(), &row, sky.deps.clock.now()).await.unwrap());
        clones::set_trouble(t.tx(), clone, Some("Nova answered 409; unlock the server")).await.unwrap();
        t.commit().await.unwrap();
        let said = standing(&mut sky).await;
        assert!(said.len() == 1 && said[0].contains("web_clone should have been deleted 1 m ago") && said[0].contains("unlock the server"), "{what}: {said:?}");
        let mut t = sky.site.db.db.begin().await.unwrap();
        assert!(clones::ended(t.tx(), clone, "its time was over", sky.deps.clock.now()).await.unwrap());
        t.commit().await.unwrap();
        assert!(standing(&mut sky).await.is_empty(), "{what}");
    }
}
