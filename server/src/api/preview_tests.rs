//! `?preview=true`: the answer of the real thing with what it would do, and not a row is written.

use axum::http::StatusCode;
use ops::Role;
use serde_json::{Value, json};
use store::{portable, testing::TestDb};

use super::{
    tests::{api_of, databases, rule},
    version_tests::ask,
};

/// All records, as the sums of their tables.
pub(super) async fn everything(db: &TestDb) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let mut t = db.db.begin_read().await.unwrap();
    let exported = portable::export(t.tx(), folder.path()).await.unwrap();
    exported.tables.into_iter().map(|t| (t.name, t.sha256)).collect()
}

#[tokio::test]
async fn a_schedule_is_tried_and_not_saved() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let before = everything(&db).await;
        let new = json!({"name": "nightly", "rule": rule("0 5 * * *")});
        let tried = ask(&ada, "POST", "/api/v1/schedules?preview=true", &[], Some(&new)).await;
        assert_eq!((tried.status, &tried.body["words"], &tried.body["revision"]), (StatusCode::OK, &json!("at 05:00, every day"), &json!(1)), "{}", tried.body);
        assert_eq!((&tried.body["would"]["runs_a_day"], &tried.body["would"]["shortest_gap_s"]), (&json!(1), &json!(86_400)), "{}", tried.body);
        // What would be refused is refused.
        let often = json!({"name": "nightly", "rule": rule("* 5 * * *")});
        let refused = ask(&ada, "POST", "/api/v1/schedules?preview=true", &[], Some(&often)).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("runs_a_day")), "{}", db.name);
        assert_eq!(everything(&db).await, before, "{}: nothing was written", db.name);
        assert_eq!(ask(&ada, "GET", "/api/v1/schedules/nightly", &[], None).await.status, StatusCode::NOT_FOUND);
        let auditor = api_of(&db, "aud", Role::Auditor);
        assert_eq!(ask(&auditor, "POST", "/api/v1/schedules?preview=true", &[], Some(&new)).await.status, StatusCode::FORBIDDEN);

        let made = ask(&ada, "POST", "/api/v1/schedules?preview=false", &[], Some(&new)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let (mut expected, mut real) = (tried.body.clone(), made.body.clone());
        for body in [&mut expected, &mut real] {
            let body = body.as_object_mut().unwrap();
            body.remove("id");
            body.remove("would");
        }
        assert_eq!(expected, real, "{}: the same but for the id", db.name);

        let before = everything(&db).await;
        let tag = ask(&ada, "GET", "/api/v1/schedules/nightly", &[], None).await;
        let changed = json!({"revision": 1, "rule": rule("0 6 * * *")});
        let path = "/api/v1/schedules/nightly?preview=true";
        let tried = ask(&ada, "PUT", path, &[("if-match", tag.header("etag"))], Some(&changed)).await;
        assert_eq!((tried.status, &tried.body["revision"], &tried.body["id"]), (StatusCode::OK, &json!(2), &made.body["id"]), "{}", tried.body);
        assert_eq!(ask(&ada, "PUT", path, &[("if-match", "\"7\"")], Some(&changed)).await.status, StatusCode::PRECONDITION_FAILED, "{}", db.name);
        assert_eq!(everything(&db).await, before, "{}: nothing was written", db.name);
        assert_eq!(ask(&ada, "GET", "/api/v1/schedules/nightly", &[], None).await.body["revision"], Value::from(1));
        // A word that is not known is no preview by accident.
        let wrong = ask(&ada, "POST", "/api/v1/schedules?prewiev=true", &[], Some(&new)).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.body);
    }
}
