//! Orphans over HTTP, on both databases: listed page by page, deleted by their name, adopted one by one and by a pattern.

use axum::http::StatusCode;
use domain::{
    instance::{BootType, OrphanWhy, Server},
    units::Timestamp,
};
use ops::Role;
use serde_json::json;
use store::{
    orphans::{self, NewOrphan},
    repositories,
    testing::{self, TestDb},
};

use super::{instances_tests::fill, tests::api_of, version_tests::ask};

const LIST: &str = "/api/v1/repositories/geneva/orphans";
const ADOPT: &str = "/api/v1/services/web/sources/vms/adoptions";

async fn orphan(db: &TestDb, name: &str, made_at: i64, why: OrphanWhy) {
    let mut t = db.db.begin().await.unwrap();
    let cloud = repositories::find_by_name(t.tx(), "geneva").await.unwrap().unwrap();
    let native = testing::native(&format!("image of {name}"), name, Server::unknown(String::new(), BootType::Image));
    let new = NewOrphan { native, made_at: Timestamp(made_at), ready: true, why, detail: "x".into(), snapshot: None };
    orphans::see(t.tx(), cloud.id(), &new, Timestamp(9)).await.unwrap();
    t.commit().await.unwrap();
}

#[tokio::test]
async fn orphans_are_listed_deleted_and_adopted() {
    for db in testing::databases().await {
        fill(&db).await;
        for (name, at, why) in [
            ("b_snapshot_202102250800", 1, OrphanWhy::FitsPattern),
            ("half", 2, OrphanWhy::PartsMissing),
            ("c_snapshot_202102250800", 3, OrphanWhy::FitsPattern),
            ("mine b at 202102250800", 4, OrphanWhy::Foreign),
        ] {
            orphan(&db, name, at, why).await;
        }
        let (ada, aud) = (api_of(&db, "ada", Role::Admin), api_of(&db, "aud", Role::Auditor));
        let first = ask(&aud, "GET", &format!("{LIST}?limit=2"), &[], None).await;
        assert_eq!(first.status, StatusCode::OK, "{}: {}", db.name, first.body);
        let (c, half) = (&first.body["orphans"][0], &first.body["orphans"][1]);
        assert_eq!((&c["name"], &c["why"], &c["place"]["instance"]), (&json!("c_snapshot_202102250800"), &json!("fits_pattern"), &json!("c")), "{}", db.name);
        assert_eq!((&half["name"], &half["place"], &first.body["count"]), (&json!("half"), &json!(null), &json!(3)), "{}", db.name);
        assert!(half["cannot"].as_str().unwrap().contains("no whole copy"));
        let rest = ask(&aud, "GET", &format!("{LIST}?cursor={}", first.body["next"].as_str().unwrap()), &[], None).await.body;
        assert_eq!((rest["orphans"][0]["name"].as_str(), rest.get("next")), (Some("b_snapshot_202102250800"), None), "{}", db.name);

        let at = |o: &serde_json::Value| format!("{LIST}/{}", o["id"].as_str().unwrap());
        let good = json!({"name": "half", "reason": "left by a trial"});
        assert_eq!(ask(&aud, "DELETE", &at(half), &[], Some(&good)).await.status, StatusCode::FORBIDDEN);
        let wrong = ask(&ada, "DELETE", &at(half), &[], Some(&json!({"name": "hal", "reason": " "}))).await;
        assert_eq!((wrong.status, wrong.body["errors"].as_array().map(Vec::len)), (StatusCode::UNPROCESSABLE_ENTITY, Some(2)), "{}", wrong.body);
        assert_eq!(ask(&ada, "DELETE", &at(half), &[], Some(&good)).await.status, StatusCode::ACCEPTED);
        assert_eq!(ask(&ada, "DELETE", &at(half), &[], Some(&good)).await.status, StatusCode::CONFLICT, "{}: once", db.name);

        assert_eq!(ask(&aud, "POST", &format!("{}/adopt", at(c)), &[], None).await.status, StatusCode::FORBIDDEN);
        let adopted = ask(&ada, "POST", &format!("{}/adopt", at(c)), &[], None).await;
        assert_eq!(adopted.status, StatusCode::OK, "{}", adopted.body);
        let one = ask(&aud, "GET", "/api/v1/services/web/sources/vms/instances/c", &[], None).await.body;
        assert_eq!((&one["list"][0]["id"], &one["list"][0]["state"]), (&adopted.body["snapshot"], &json!("adopted")), "{}", db.name);

        let pattern = json!({"pattern": "mine {0} at {1}"});
        let tried = ask(&ada, "POST", &format!("{ADOPT}?preview=true"), &[], Some(&pattern)).await;
        assert_eq!((tried.status, &tried.body["adopted"], &tried.body["snapshots"][0]["instance"]), (StatusCode::OK, &json!(0), &json!("b")), "{}", tried.body);
        let done = ask(&ada, "POST", ADOPT, &[], Some(&pattern)).await;
        assert_eq!((done.status, &done.body["adopted"]), (StatusCode::OK, &json!(1)), "{}", done.body);
        assert_eq!(ask(&ada, "POST", ADOPT, &[], Some(&pattern)).await.status, StatusCode::CONFLICT);
        let wrong = ask(&ada, "POST", ADOPT, &[], Some(&json!({"pattern": "{1}"}))).await;
        assert_eq!((wrong.status, &wrong.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("pattern")), "{}", db.name);
    }
}
