//! Use cases of clones on both databases: who may, what is chosen, what is refused and why, how one ends.

use std::collections::BTreeMap;

use domain::{
    id::{CloneId, RepositoryId, RunId, ServiceId, SnapshotId, SourceId},
    instance::{BootType, CloneParams, CloneVolume, Networks},
    run::RunKind,
    units::Timestamp,
};
use store::{
    clones as rows, items,
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    runs as run_rows,
    services::{self, NewService},
    snapshots::{self, NewSnapshot},
    sources::{self, NewSource},
    testing::{self, TestDb},
};

use crate::{
    Actor, Ctx, OpsError, Role,
    clones::{self, Order, State},
    config::{HookCall, HookTool, Tools},
    runs,
};

pub struct Place {
    pub ctx: Ctx,
    pub service: ServiceId,
    pub repository: RepositoryId,
    pub source: SourceId,
}

impl Place {
    pub async fn new(t: &TestDb) -> Self {
        let mut tx = t.db.begin().await.unwrap();
        let new = |name: &str| NewService { name: name.into(), title: "S".into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
        let service = services::upsert(tx.tx(), &new("notebooks"), Timestamp(1)).await.unwrap();
        services::upsert(tx.tx(), &new("other"), Timestamp(1)).await.unwrap();
        let new = NewRepository {
            name: "cloud".into(),
            location: "openstack+http://127.0.0.1:9/v3".into(),
            options: StorageOptions { plain: BTreeMap::from([("application_credential_id".into(), "a".into())]), ..StorageOptions::default() },
            password: SecretRef::Env("LAB".into()),
            max_parallel: None,
            read_all_within_s: None,
        };
        let repository = repositories::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap();
        let new = NewSource {
            service,
            repository,
            name: "instances".into(),
            kind: "openstack-instance".into(),
            config: serde_json::json!({"kind": "openstack-instance", "instances": []}),
            position: 0,
            policy: None,
        };
        let source = sources::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap();
        tx.commit().await.unwrap();
        Self { ctx: Ctx::new(t.db.clone(), Actor::shell(), "test"), service, repository, source }
    }

    pub fn by(&self, role: Role) -> Ctx {
        let services = if role == Role::Owner { vec![self.service] } else { Vec::new() };
        Ctx { actor: Actor { services, ..Actor::new("ada", role) }, ..self.ctx.clone() }
    }

    /// A snapshot of the instance `web` with that name.
    pub async fn snapshot(&self, label: &str, state: &'static str) -> SnapshotId {
        let native = testing::native(label, label, testing::server("11111111", "web", BootType::Image));
        let mut t = self.ctx.db.begin().await.unwrap();
        let item = items::listed(t.tx(), self.source, self.service, "web", &native.server, Timestamp(5)).await.unwrap();
        let new = NewSnapshot {
            service: Some(self.service),
            source: Some(self.source),
            item: Some(item),
            ..NewSnapshot::native(self.repository, &native, Timestamp(5), state)
        };
        let id = snapshots::insert(t.tx(), &new).await.unwrap();
        snapshots::set_native(t.tx(), id, &native).await.unwrap();
        t.commit().await.unwrap();
        id
    }

    async fn start(&self, order: &Order) -> Result<RunId, OpsError> {
        clones::start(&self.ctx, &tools(), "notebooks", order).await
    }
}

fn tools() -> Tools {
    Tools { hooks: vec![HookTool { name: "dns".into(), call: HookCall::Command(vec!["/bin/true".into()]), limit_s: 5 }], ..Tools::default() }
}

async fn params(ctx: &Ctx, run: RunId) -> CloneParams {
    run_rows::find(ctx.db.read().await.unwrap().tx(), run).await.unwrap().unwrap().params().unwrap()
}

#[tokio::test]
async fn wrong_roles_are_refused_everywhere() {
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        let snapshot = p.snapshot("web_snapshot_202601010000", "complete").await;
        let order = Order { snapshot: Some(snapshot), ..Order::default() };
        let id = made(&p, snapshot).await;
        let forbidden = |r: Result<(), OpsError>| assert!(matches!(r, Err(OpsError::Forbidden(_))), "{r:?}");
        for role in [Role::Auditor, Role::Member, Role::Anonymous] {
            let c = p.by(role);
            forbidden(clones::start(&c, &tools(), "notebooks", &order).await.map(drop));
            forbidden(clones::end(&c, "notebooks", id, "c", "x").await);
            forbidden(clones::lengthen(&c, "notebooks", id, 30).await.map(drop));
        }
        for role in [Role::Member, Role::Anonymous] {
            let c = p.by(role);
            forbidden(clones::list(&c, "notebooks", false, None, 9).await.map(drop));
            forbidden(clones::sums(&c, "notebooks").await.map(drop));
            forbidden(clones::find(&c, "notebooks", id).await.map(drop));
        }
        // Owners act on their services alone.
        let owner = p.by(Role::Owner);
        forbidden(clones::start(&owner, &tools(), "other", &order).await.map(drop));
        forbidden(clones::list(&owner, "other", false, None, 9).await.map(drop));
        assert!(clones::start(&owner, &tools(), "notebooks", &order).await.is_ok(), "{}", t.name);
        assert_eq!(clones::list(&owner, "notebooks", true, None, 9).await.unwrap().len(), 1);
        // A clone of another service is not found under this one.
        assert!(matches!(clones::find(&p.ctx, "other", id).await, Err(OpsError::NotFound { .. })));
        assert!(matches!(clones::end(&p.ctx, "other", id, "c", "x").await, Err(OpsError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_date_means_one_snapshot_or_names_those_that_it_could() {
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        let morning = p.snapshot("web_snapshot_202601010600", "complete").await;
        p.snapshot("web_snapshot_202601011800", "complete").await;
        p.snapshot("web_snapshot_202601021800", "pending").await;
        p.snapshot("web_safety_202601010700", "complete").await;
        let by = |date: &str| Order { instance: "web".into(), date: date.into(), ..Order::default() };
        let run = p.start(&by("202601010600")).await.unwrap();
        let (row, asked) = (runs::find(&p.ctx, run).await.unwrap(), params(&p.ctx, run).await);
        assert_eq!((row.kind().unwrap(), asked.snapshot, asked.instance.as_str()), (RunKind::InstanceClone, morning, "web"));
        assert!(asked.clone_name.starts_with("web_clone_2") && asked.wait && asked.days == 7, "{asked:?}");
        let said = async |order: Order| p.start(&order).await.unwrap_err().to_string();
        let several = said(by("20260101")).await;
        for want in ["date: 20260101 means 2 snapshots of web", "web_snapshot_202601010600", "web_snapshot_202601011800", "YYYYMMDDHHMM"] {
            assert!(several.contains(want) && !several.contains("safety"), "{want}: {several}");
        }
        let none = said(by("20250101")).await;
        assert!(none.contains("web has no snapshot of 20250101; the newest are web_snapshot_202601021800"), "{none}");
        assert!(said(by("20260102")).await.contains("has not finished web_snapshot_202601021800"));
        assert!(said(by("2026")).await.contains("date: “2026” is not a date"));
        assert!(said(Order { instance: "nobody".into(), ..by("20260101") }).await.contains("there is none of this instance by this pattern"));
        assert!(said(Order { pattern: "{0}".into(), ..by("20260101") }).await.contains("pattern: has no {1}"));
        assert!(said(Order::default()).await.contains("instance: is empty"));
        let other = Order { pattern: "{0}_safety_{1}".into(), clone_name: "by-safety".into(), ..by("20260101") };
        assert!(p.start(&other).await.is_ok(), "{}", t.name);
    }
}

#[tokio::test]
async fn what_cannot_be_ordered_is_refused_with_each_field() {
    let t = testing::sqlite().await;
    let p = Place::new(&t).await;
    let snapshot = p.snapshot("web_snapshot_202601010600", "complete").await;
    let order = Order { snapshot: Some(snapshot), clone_name: "c".into(), ..Order::default() };
    let bad = Order { hook: "dn".into(), days: 0, networks: Networks::These(vec![]), flavour: " x".into(), ..order.clone() };
    let said = p.start(&bad).await.unwrap_err().to_string();
    for want in ["hook: there is no hook “dn”; did you mean “dns”?", "days: must be", "networks: is empty", "flavour: begins"] {
        assert!(said.contains(want), "{want}: {said}");
    }
    assert!(p.start(&Order { snapshot: Some(SnapshotId(uuid::Uuid::nil())), ..order.clone() }).await.unwrap_err().to_string().contains("there is no snapshot"));
    // One of that name at a time.
    let run = p.start(&Order { hook: "dns".into(), ..order.clone() }).await.unwrap();
    assert!(matches!(p.start(&order).await, Err(OpsError::Underway { run: other, .. }) if other == run));
    // While it waits, nothing that it needs is forgotten.
    let judge = crate::retention::Judge::new(p.ctx.db.read().await.unwrap().tx(), domain::retention::Rules::default(), p.service).await.unwrap();
    let item = items::find_by_name(p.ctx.db.read().await.unwrap().tx(), p.source, "web").await.unwrap().unwrap();
    assert!(judge.protects(domain::id::ItemId(item.id), snapshot));
    // Again it takes the same snapshot.
    runs::cancel(&p.ctx, run, "").await.unwrap();
    let again = runs::retry(&p.ctx, run, runs::Retry::All).await.unwrap();
    assert_eq!(params(&p.ctx, again).await, params(&p.ctx, run).await);
}

/// A clone on record, made by a run that was cancelled.
async fn made(p: &Place, snapshot: SnapshotId) -> CloneId {
    let run = p.start(&Order { snapshot: Some(snapshot), clone_name: "c".into(), ..Order::default() }).await.unwrap();
    runs::cancel(&p.ctx, run, "").await.unwrap();
    let volumes = [CloneVolume { id: "v".into(), name: "c_0".into(), size_gb: 4, ..CloneVolume::default() }];
    let new = rows::NewClone {
        service: p.service,
        source: Some(p.source),
        repository: p.repository,
        snapshot,
        run,
        server: "s",
        name: "c",
        volumes: &volumes,
        vcpus: 2,
        ram_mb: 512,
        disk_gb: 5,
        ready_at: Some(p.ctx.now()),
        expires_at: p.ctx.now().plus_secs(2 * 86_400),
    };
    let mut t = p.ctx.db.begin().await.unwrap();
    assert!(rows::insert(t.tx(), &new, p.ctx.now()).await.unwrap());
    let id = rows::of_run(t.tx(), run).await.unwrap().unwrap().id();
    t.commit().await.unwrap();
    id
}

#[tokio::test]
async fn a_clone_is_given_time_and_ended_once() {
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        let id = made(&p, p.snapshot("web_snapshot_202601010600", "complete").await).await;
        let sums = clones::sums(&p.ctx, "notebooks").await.unwrap();
        assert_eq!((sums.clones, sums.vcpus, sums.ram_mb, sums.disk_gb), (1, 2, 512, 5));
        let said = |e: OpsError| e.to_string();
        assert!(said(clones::lengthen(&p.ctx, "notebooks", id, 1).await.unwrap_err()).contains("no later than it ends now"), "{}", t.name);
        assert!(said(clones::lengthen(&p.ctx, "notebooks", id, 366).await.unwrap_err()).contains("must be from 1 to 365"));
        let until = clones::lengthen(&p.ctx, "notebooks", id, 30).await.unwrap();
        let row = clones::find(&p.ctx, "notebooks", id).await.unwrap();
        assert_eq!((row.expires_at, State::of(&row, p.ctx.now())), (until.0, State::Stands));
        let dead = rows::CloneRow { trouble: Some("c did not start: no valid host".into()), ..row };
        assert_eq!(State::of(&dead, p.ctx.now()), State::Failed, "what never ran does not stand well");
        let wrong = said(clones::end(&p.ctx, "notebooks", id, "C", " ").await.unwrap_err());
        assert!(wrong.contains("confirm: deletes a server and its volumes; type the clone's name, c") && wrong.contains("reason: is empty"), "{wrong}");
        clones::end(&p.ctx, "notebooks", id, " c ", "the drill is over").await.unwrap();
        let row = clones::find(&p.ctx, "notebooks", id).await.unwrap();
        assert_eq!((State::of(&row, p.ctx.now()), row.ended_why.as_deref()), (State::Ending, Some("shell ended it: the drill is over")));
        for again in [clones::end(&p.ctx, "notebooks", id, "c", "again").await, clones::lengthen(&p.ctx, "notebooks", id, 60).await.map(drop)] {
            assert!(said(again.unwrap_err()).contains("c is being taken away: shell ended it"));
        }
        let trail = store::audit::page(p.ctx.db.read().await.unwrap().tx(), 0, 50).await.unwrap();
        for action in ["clone.lengthen", "clone.end"] {
            assert_eq!(trail.iter().filter(|e| e.action == action).count(), 1, "{action}");
        }
    }
}

#[tokio::test]
async fn a_preview_says_what_is_wrong_before_the_cloud_is_asked() {
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        let snapshot = p.snapshot("web_snapshot_202601010600", "complete").await;
        let env = std::sync::Arc::new(BTreeMap::from([("LAB".to_owned(), "secret".to_owned())]));
        let look = async |ctx: &Ctx, order: &Order| clones::preview::preview(ctx, &env, &tools(), "notebooks", order).await;
        let order = Order { snapshot: Some(snapshot), ..Order::default() };
        for role in [Role::Auditor, Role::Member, Role::Anonymous] {
            assert!(matches!(look(&p.by(role), &order).await, Err(OpsError::Forbidden(_))), "{} {role}", t.name);
        }
        let wrong = look(&p.ctx, &Order { days: 0, hook: "none".into(), ..order.clone() }).await.unwrap_err().to_string();
        assert!(wrong.contains("days") && wrong.contains("hook"), "{wrong}");
        // A cloud that does not answer is said, and nothing of the secret.
        let silent = look(&p.ctx, &order).await.unwrap_err();
        assert!(matches!(&silent, OpsError::Conflict(text) if text.contains("Keystone") && !text.contains("secret")), "{silent}");
    }
}

#[tokio::test]
async fn a_date_means_one_several_or_none_of_the_candidates() {
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        for label in ["web_snapshot_202601010600", "web_snapshot_202601011800", "web_snapshot_202601020600"] {
            p.snapshot(label, "complete").await;
        }
        let service = clones::of_name(&p.ctx, "notebooks").await.unwrap();
        let all = clones::candidates(&p.ctx, &service, "web", "{0}_snapshot_{1}").await.unwrap();
        let meant = |date: &str| clones::meant(&all, date).into_iter().map(|c| c.row.label.as_str()).collect::<Vec<_>>();
        assert_eq!(meant("20260101"), ["web_snapshot_202601011800", "web_snapshot_202601010600"], "{}", t.name);
        assert_eq!((meant("202601020600"), meant("20250101").len(), meant("yesterday").len()), (vec!["web_snapshot_202601020600"], 0, 0));
    }
}

#[tokio::test]
async fn a_service_of_instances_alone_has_no_files_to_restore() {
    use crate::ways::Way;
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        let snapshot = p.snapshot("web_snapshot_202601010600", "complete").await;
        let row = snapshots::find(p.ctx.db.read().await.unwrap().tx(), snapshot).await.unwrap().unwrap();
        assert_eq!(Way::of(&row), Way::Instance, "{}", t.name);
        let way = async |name: &str| Way::of_service(&crate::services::find(&p.ctx, name).await.unwrap());
        assert_eq!((way("notebooks").await, way("other").await), (Way::Instance, Way::Files), "{}", t.name);
        let mut tx = p.ctx.db.begin().await.unwrap();
        let new = NewSource {
            service: p.service,
            repository: p.repository,
            name: "conf".into(),
            kind: "directory".into(),
            config: serde_json::json!({"kind": "directory", "path": "/etc", "items": "self"}),
            position: 1,
            policy: None,
        };
        sources::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(way("notebooks").await, Way::Files, "{}: a source of files is restored as files", t.name);
        let listed = crate::services::list(&p.ctx, "", "", 9).await.unwrap();
        assert!(listed.iter().all(|s| Way::of_service(s).is_files()));
    }
}

#[tokio::test]
async fn a_schedule_knows_what_the_quota_of_its_cloud_leaves() {
    use domain::instance::{Credential, Quota};

    use crate::schedules::beside;
    for t in testing::databases().await {
        let p = Place::new(&t).await;
        assert_eq!(beside::find(&p.ctx, "notebooks").await.unwrap(), beside::Beside::default(), "{}: nobody has looked", t.name);
        let quota = Quota { snapshots: Some(3), gigabytes: None };
        let mut tx = p.ctx.db.begin().await.unwrap();
        let row = repositories::find(tx.tx(), p.repository).await.unwrap().unwrap();
        let seen = Credential { project_id: "p".into(), looked_at: Timestamp(7), quota: Some(quota), ..Credential::default() };
        assert!(repositories::set_credential(tx.tx(), &row, &seen, Some("p")).await.unwrap());
        assert_eq!(items::listed_in(tx.tx(), p.repository).await.unwrap(), 0);
        tx.commit().await.unwrap();
        p.snapshot("web_snapshot_202601010600", "complete").await;
        assert_eq!(items::listed_in(p.ctx.db.read().await.unwrap().tx(), p.repository).await.unwrap(), 1, "{}", t.name);
        for of in ["notebooks", "notebooks/instances"] {
            let found = beside::find(&p.ctx, of).await.unwrap();
            assert_eq!(found.left, [beside::Left { cloud: "cloud".into(), quota, looked_at: Timestamp(7) }], "{of}");
            assert_eq!(found.planned, None);
        }
        for of in ["notebooks/none", "other", "nobody", ""] {
            assert_eq!(beside::find(&p.ctx, of).await.unwrap().left, [], "{of}");
        }
        assert!(matches!(beside::find(&p.by(Role::Anonymous), "notebooks").await, Err(OpsError::Forbidden(_))));
    }
}
