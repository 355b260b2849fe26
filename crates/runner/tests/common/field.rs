//! A service whose source is the instances of the tests' OpenStack, and what lies in that cloud.

use std::{sync::Arc, time::Duration};

use domain::{
    id::{ItemId, RepositoryId, RunId, SourceId},
    instance::SnapshotParams,
    run::{RunKind, RunState},
    units::Timestamp,
    work::{InstanceSnapshotParams, InstanceSnapshotResult},
};
use engine::testing::{
    Gate,
    openstack::{Api, Lab},
};
use runner::{Deps, Fault, Finished, Moment};
use serde_json::{Value, json};
use store::{
    Clock, items, native, queue,
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    snapshots::{self, SnapshotRow},
    sources::{self, NewSource},
    testing::TestDb,
};
use uuid::Uuid;

use super::Site;

/// The site with a cloud beside, and one instance in it.
pub struct Field {
    pub site: Site,
    pub lab: Lab,
    pub cloud: RepositoryId,
    pub source: SourceId,
    /// The instance's id and name.
    pub server: String,
    pub name: String,
}

/// What an instance boots from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    Image,
    Volume,
}

impl Field {
    /// `through` leads the address of Keystone through a gate.
    pub async fn new(db: TestDb, lab: Lab, boot: Boot, through: impl Fn(&str) -> String) -> Self {
        Self::lettered("r", db, lab, boot, through).await
    }

    /// The same with an instance whose name begins with that letter.
    pub async fn lettered(letter: &str, db: TestDb, lab: Lab, boot: Boot, through: impl Fn(&str) -> String) -> Self {
        let mut site = Site::new(db).await;
        // A clock that tests move: two snapshots of one minute have one name.
        site.deps.clock = Clock::fixed(Clock::System.now());
        site.ctx.clock = site.deps.clock.clone();
        site.deps.limits.lease = Duration::from_secs(30);
        site.deps.limits.heartbeat = Duration::from_millis(200);
        let env = [("PASSWORD".to_owned(), "correct horse".to_owned()), ("LAB".to_owned(), lab.password().to_owned())];
        site.deps.env = Arc::new(env.into());
        let mut t = site.db.db.begin().await.unwrap();
        let new = NewRepository {
            name: "cloud".into(),
            location: through(&lab.location()),
            options: StorageOptions { plain: lab.options("lab"), ..StorageOptions::default() },
            password: SecretRef::Env("LAB".into()),
            max_parallel: None,
            read_all_within_s: None,
        };
        let cloud = repositories::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        let config = json!({"kind": "openstack-instance", "instances": []});
        let new = NewSource {
            service: site.service,
            repository: cloud,
            name: "instances".into(),
            kind: "openstack-instance".into(),
            config,
            position: 1,
            policy: None,
        };
        let source = sources::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
        t.commit().await.unwrap();
        let name = format!("{letter}-{}", &Uuid::now_v7().simple().to_string()[22..]);
        let server = match boot {
            Boot::Image => lab.boot(&name).await,
            Boot::Volume => lab.boot_from_volume(&name).await,
        };
        Self { site, lab, cloud, source, server, name }
    }

    pub fn params(&self) -> SnapshotParams {
        SnapshotParams { instance: self.name.clone(), ..SnapshotParams::default() }
    }

    /// Queues a run a minute after the one before.
    pub async fn order(&self, parameters: SnapshotParams) -> RunId {
        self.site.deps.clock.advance_secs(60);
        let now = self.site.deps.clock.now();
        let params = InstanceSnapshotParams { item: None, server: None, parameters };
        let new = queue::NewRun {
            id: RunId(Uuid::now_v7()),
            kind: RunKind::InstanceSnapshot,
            service: Some(self.site.service),
            source: Some(self.source),
            repository: Some(self.cloud),
            title: format!("Snapshot of {}", self.name),
            params: serde_json::to_value(params).unwrap(),
            actor: "test".into(),
            retry_of: None,
            queued_at: now,
            run_at: now,
            priority: 0,
            max_attempts: 3,
            resource_key: Some(format!("instance:{}:{}", self.source, self.name)),
            unique_key: None,
            schedule: None,
            max_duration_s: None,
        };
        let mut t = self.site.db.db.begin().await.unwrap();
        assert!(queue::enqueue(t.tx(), &new).await.unwrap());
        t.commit().await.unwrap();
        new.id
    }

    pub async fn end(&self, deps: Deps, run: RunId) -> Finished {
        let work = Box::pin(runner::execute_until_done(deps, run, std::future::pending()));
        // A fixed clock would hold up what is queued again for later.
        let clock = self.site.deps.clock.clone();
        let ticking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                clock.advance_secs(1);
            }
        });
        let done = tokio::time::timeout(Duration::from_mins(8), work).await;
        ticking.abort();
        let Ok(done) = done else { panic!("the run never ends: {}", self.log(run).await) };
        done.unwrap().unwrap()
    }

    /// Takes a snapshot that must succeed.
    pub async fn snapshot(&self, parameters: SnapshotParams) -> (RunId, InstanceSnapshotResult) {
        let run = self.order(parameters).await;
        let done = self.end(self.site.deps.clone(), run).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}\n{}", done.run.failure, self.log(run).await);
        (run, serde_json::from_value(done.run.result.unwrap().0).unwrap())
    }

    /// A fault that strikes once; a crash gives the lease back at once.
    pub fn once(&self, step: &'static str, at: Moment, fault: Fault) -> Deps {
        let struck = std::sync::atomic::AtomicBool::new(false);
        let (db, handle) = (self.site.db.db.clone(), tokio::runtime::Handle::current());
        self.site.with_faults(move |s, m| {
            if s != step || m != at || struck.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return None;
            }
            if fault == Fault::Crash {
                let expire = async {
                    for lease in queue::leases(db.read().await.unwrap().tx()).await.unwrap() {
                        let mut t = db.begin().await.unwrap();
                        queue::release(t.tx(), RunId(lease.id), lease.lease_token, false).await.unwrap();
                        t.commit().await.unwrap();
                    }
                };
                tokio::task::block_in_place(|| handle.block_on(expire));
            }
            Some(fault)
        })
    }

    /// Does something when a step has come to a moment, once.
    pub fn when<F: Future<Output = ()> + Send + 'static>(&self, step: &'static str, at: Moment, act: impl Fn() -> F + Send + Sync + 'static) -> Deps {
        let struck = std::sync::atomic::AtomicBool::new(false);
        let handle = tokio::runtime::Handle::current();
        self.site.with_faults(move |s, m| {
            if s == step && m == at && !struck.swap(true, std::sync::atomic::Ordering::SeqCst) {
                tokio::task::block_in_place(|| handle.block_on(act()));
            }
            None
        })
    }

    /// Revokes the token that is used last when a step has begun, once.
    pub fn revoking(&self, step: &'static str, gate: &Arc<Gate>) -> Deps {
        let (lab, gate) = (self.lab.clone(), gate.clone());
        self.when(step, Moment::Begun, move || {
            let (lab, token) = (lab.clone(), gate.tokens().pop().unwrap());
            async move {
                lab.revoke(&token).await;
                lab.is_refused(&token).await;
            }
        })
    }

    pub async fn log(&self, run: RunId) -> String {
        self.site.log(run).await
    }

    pub async fn status(&self) -> String {
        self.lab.server(&self.server).await["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until nothing is under way with the instance.
    pub async fn is(&self, status: &str) {
        self.lab.server_is(&self.server, status).await;
    }

    pub async fn item(&self) -> Option<items::ItemRow> {
        items::find_by_name(self.site.db.db.read().await.unwrap().tx(), self.source, &self.name).await.unwrap()
    }

    /// The recorded snapshots of the instance that are there, the newest first.
    pub async fn recorded(&self) -> Vec<SnapshotRow> {
        let Some(item) = self.item().await else { return Vec::new() };
        native::of_item(self.site.db.db.read().await.unwrap().tx(), ItemId(item.id), self.cloud).await.unwrap()
    }

    pub async fn pending(&self) -> Vec<SnapshotRow> {
        snapshots::pending(self.site.db.db.read().await.unwrap().tx(), 100).await.unwrap()
    }

    /// Images and volume snapshots in the cloud whose names begin with the instance's: id and name.
    pub async fn pieces(&self) -> (Vec<(String, String)>, Vec<(String, String)>) {
        let mine = |list: &Value| -> Vec<(String, String)> {
            let all = list.as_array().into_iter().flatten();
            let named = all.filter(|p| p["name"].as_str().is_some_and(|n| n.starts_with(&self.name)));
            named.map(|p| (p["id"].as_str().unwrap().to_owned(), p["name"].as_str().unwrap().to_owned())).collect()
        };
        let images = self.lab.call("lab", Api::Image, "GET", "/images?limit=1000", None).await.ok();
        let snapshots = self.lab.call("lab", Api::Volume, "GET", "/snapshots/detail", None).await.ok();
        (mine(&images["images"]), mine(&snapshots["snapshots"]))
    }

    /// That the records and the cloud agree: each piece is named by a row, and each row's pieces are there.
    pub async fn assert_agrees(&self, what: &str) {
        let mut named: Vec<String> = Vec::new();
        for row in self.recorded().await {
            let n = row.native.unwrap().0;
            named.extend(n.image.into_iter().map(|i| i.id));
            named.extend(n.volumes.into_iter().map(|v| v.id));
        }
        let (images, snapshots) = self.pieces().await;
        let mut there: Vec<String> = images.into_iter().chain(snapshots).map(|(id, _)| id).collect();
        named.sort();
        there.sort();
        assert_eq!(named, there, "{what}: the records and the cloud disagree");
    }

    /// Removes the instance and all that was made of it.
    pub async fn clear(&self) {
        let (images, snapshots) = self.pieces().await;
        for (id, _) in snapshots {
            self.lab.call("lab", Api::Volume, "DELETE", &format!("/snapshots/{id}"), None).await;
        }
        for (id, _) in images {
            self.lab.call("lab", Api::Image, "DELETE", &format!("/images/{id}"), None).await;
        }
        self.lab.act(&self.server, json!({"unlock": null})).await;
        self.lab.delete_server(&self.server).await;
        for _ in 0..60 {
            let volumes = self.lab.call("lab", Api::Volume, "GET", "/volumes/detail", None).await.ok();
            let mine = |v: &&Value| v["name"].as_str().is_some_and(|n| n.starts_with(&self.name));
            let left: Vec<String> = volumes["volumes"].as_array().unwrap().iter().filter(mine).map(|v| v["id"].as_str().unwrap().to_owned()).collect();
            if left.is_empty() {
                return;
            }
            for id in left {
                self.lab.call("lab", Api::Volume, "DELETE", &format!("/volumes/{id}"), None).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
