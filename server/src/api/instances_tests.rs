//! Instances over HTTP, on both databases: listed page by page, shown with their snapshots, snapshotted, scheduled; and
//! looking at a cloud.

use axum::http::StatusCode;
use domain::{
    id::ServiceId,
    instance::{BootType, Credential},
    units::Timestamp,
};
use ops::{Actor, Ctx, Role, config};
use serde_json::json;
use store::{
    items, repositories, services,
    snapshots::{self, NewSnapshot},
    sources,
    testing::{self, TestDb},
};

use super::{once::KEY, tests::api_of, version_tests::ask};

const CONFIG: &str = r"version: 1
repositories:
  - name: geneva
    location: openstack+https://keystone.example.org:5000/v3
    application_credential_id: 21dced0f
    password: { env: GENEVA }
services:
  - name: web
    owner: ops
    sources:
      - { name: vms, kind: openstack-instance, repository: geneva }
";

const LIST: &str = "/api/v1/services/web/sources/vms/instances";

/// Three instances, the first with a snapshot.
pub(super) async fn fill(db: &TestDb) {
    let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
    config::apply(&shell, &config::parse(CONFIG).unwrap(), None).await.unwrap();
    let mut t = db.db.begin().await.unwrap();
    let service = services::find_by_name(t.tx(), "web").await.unwrap().unwrap();
    let source = sources::of_service(t.tx(), service.id()).await.unwrap().remove(0);
    let cloud = repositories::find_by_name(t.tx(), "geneva").await.unwrap().unwrap();
    let seen = Credential { project_id: "p".into(), project_name: "IT".into(), roles: vec!["member".into()], looked_at: Timestamp(7), ..Credential::default() };
    assert!(repositories::set_credential(t.tx(), &cloud, &seen, Some("p")).await.unwrap());
    for name in ["a", "b", "c"] {
        let server = testing::server(&format!("id-{name}"), name, BootType::Image);
        let item = items::listed(t.tx(), source.id(), ServiceId(source.service_id), name, &server, Timestamp(9)).await.unwrap();
        if name == "a" {
            let native = testing::native("image-1", "a_snapshot_202602010500", server);
            let new = NewSnapshot {
                service: Some(service.id()),
                source: Some(source.id()),
                item: Some(item),
                ..NewSnapshot::native(cloud.id(), &native, Timestamp(8), "pending")
            };
            let id = snapshots::insert(t.tx(), &new).await.unwrap();
            assert!(snapshots::complete(t.tx(), id, &native, native.bytes()).await.unwrap());
            assert!(!snapshots::complete(t.tx(), id, &native, 1).await.unwrap(), "it is there already");
            items::set_snapshot(t.tx(), item, id, Timestamp(8), native.bytes()).await.unwrap();
        }
    }
    t.commit().await.unwrap();
}

#[tokio::test]
async fn instances_are_listed_and_snapshotted() {
    for db in testing::databases().await {
        fill(&db).await;
        let (ada, aud) = (api_of(&db, "ada", Role::Admin), api_of(&db, "aud", Role::Auditor));
        let first = ask(&aud, "GET", &format!("{LIST}?limit=2"), &[], None).await;
        assert_eq!(first.status, StatusCode::OK, "{}: {}", db.name, first.body);
        assert_eq!((first.body["instances"].as_array().map(Vec::len), &first.body["next"]), (Some(2), &json!("b")), "{}", db.name);
        let a = &first.body["instances"][0];
        assert_eq!((&a["name"], &a["snapshots"], &a["server"]["vcpus"], &a["server"]["boot"]), (&json!("a"), &json!(1), &json!(1), &json!("image")));
        assert_eq!(first.body["cloud"]["credential"]["roles"], json!(["member"]));
        let rest = ask(&aud, "GET", &format!("{LIST}?limit=2&after=b"), &[], None).await;
        assert_eq!((rest.body["instances"][0]["name"].as_str(), rest.body.get("next")), (Some("c"), None));
        let one = ask(&aud, "GET", &format!("{LIST}/a"), &[], None).await.body;
        let snapshot = &one["list"][0];
        assert_eq!(
            (&snapshot["state"], &snapshot["bytes"], &snapshot["image"], &snapshot["server"]["id"]),
            (&json!("complete"), &json!(9), &json!("image-1"), &json!("id-a")),
            "{one}"
        );
        assert_eq!(ask(&aud, "GET", &format!("{LIST}/z"), &[], None).await.status, StatusCode::NOT_FOUND);

        let take = format!("{LIST}/b/snapshots");
        assert_eq!(ask(&aud, "POST", &take, &[], Some(&json!({}))).await.status, StatusCode::FORBIDDEN);
        let wrong = ask(&ada, "POST", &take, &[], Some(&json!({"pattern": "x"}))).await;
        assert_eq!((wrong.status, &wrong.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("pattern")), "{}", wrong.body);
        let started = ask(&ada, "POST", &take, &[(KEY, "k")], Some(&json!({"max_snapshots": 5}))).await;
        assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.body);
        let again = ask(&ada, "POST", &take, &[(KEY, "k")], Some(&json!({"max_snapshots": 5}))).await;
        assert_eq!((again.status, &again.body), (started.status, &started.body), "{}: a repeat starts nothing", db.name);
        assert_eq!(ask(&ada, "POST", &take, &[], Some(&json!({}))).await.status, StatusCode::CONFLICT);
        let run = ask(&ada, "GET", &format!("/api/v1/runs/{}", started.body["runs"][0].as_str().unwrap()), &[], None).await.body;
        assert_eq!(run["kind"], json!("instance_snapshot"), "{run}");
    }
}

#[tokio::test]
async fn a_schedule_keeps_its_parameters_and_a_cloud_is_looked_at() {
    for db in testing::databases().await {
        fill(&db).await;
        let ada = api_of(&db, "ada", Role::Admin);
        let rule = |cron: &str| json!({"kind": "backup", "of": "web/vms", "cron": cron, "zone": "UTC", "snapshot": {"instance": "a", "max_snapshots": 5, "wait": false}});
        let burnt = ask(&ada, "POST", "/api/v1/schedules", &[], Some(&json!({"name": "n", "rule": rule("* 5 * * *")}))).await;
        assert_eq!((burnt.status, &burnt.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("runs_a_day")), "{}", burnt.body);
        let made = ask(&ada, "POST", "/api/v1/schedules", &[], Some(&json!({"name": "n", "rule": rule("0 5 * * *")}))).await;
        let kept = &made.body["rule"]["snapshot"];
        assert_eq!(
            (&kept["instance"], &kept["max_snapshots"], &kept["wait"], &kept["pattern"]),
            (&json!("a"), &json!(5), &json!(false), &json!("{0}_snapshot_{1}"))
        );
        let wrong = json!({"name": "m", "rule": {"kind": "backup", "of": "web/vms", "cron": "0 5 * * *", "zone": "UTC", "snapshot": {"keep": 5}}});
        assert_eq!(ask(&ada, "POST", "/api/v1/schedules", &[], Some(&wrong)).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", db.name);
        let look = ask(&ada, "POST", "/api/v1/repositories/geneva/look", &[], None).await;
        assert_eq!(look.status, StatusCode::NO_CONTENT, "{}", look.body);
        let check = ask(&ada, "POST", "/api/v1/runs", &[], Some(&json!({"kind": "check", "repository": "geneva"}))).await;
        assert!(check.status == StatusCode::CONFLICT && check.body["detail"].as_str().unwrap().starts_with("geneva is a cloud: "), "{}", check.body);
    }
}
