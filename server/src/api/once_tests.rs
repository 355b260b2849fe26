//! `Idempotency-Key` over HTTP, on both databases.

use axum::http::StatusCode;
use ops::{Actor, Ctx, Role};
use serde_json::{Value, json};

use super::{
    once,
    tests::{api_of, databases, rule},
    version_tests::ask,
};

fn key(key: &str) -> [(&str, &str); 1] {
    [(once::KEY, key)]
}

fn waiver(reason: &str) -> Value {
    let until = domain::review::date_of(store::Clock::System.now()).tomorrow().unwrap();
    json!({"finding": "never-tested", "reason": reason, "until": until.to_string()})
}

/// Every call that takes a key and can be made here, with a body and another one.
fn calls() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("/api/v1/runs", json!({"kind": "backup", "service": "alpha"}), json!({"kind": "backup", "service": "beta"})),
        ("/api/v1/schedules", json!({"name": "nightly", "rule": rule("0 5 * * *")}), json!({"name": "other", "rule": rule("0 5 * * *")})),
        ("/api/v1/exercises", json!({"service": "alpha", "template": "table-top"}), json!({"service": "beta", "template": "table-top"})),
        ("/api/v1/holds", json!({"service": "alpha", "reason": "a lawsuit"}), json!({"service": "beta", "reason": "a lawsuit"})),
        ("/api/v1/services/alpha/waivers", waiver("the first exercise is planned"), waiver("another reason")),
        ("/api/v1/services/alpha/risks", json!({"risk": super::calls_tests::risk()}), json!({"number": 9, "risk": super::calls_tests::risk()})),
        (
            "/api/v1/services/alpha/reviews/risk_assessment/done",
            json!({"on": "2019-05-28", "by": "Olga", "outcome": "in order"}),
            json!({"on": "2019-05-29", "by": "Olga", "outcome": "in order"}),
        ),
    ]
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        for (path, body, other) in calls() {
            let what = format!("{} {path}", db.name);
            let first = ask(&ada, "POST", path, &key("k-1"), Some(&body)).await;
            assert!(first.status.is_success() && first.header(once::REPLAYED).is_empty(), "{what}: {} {}", first.status, first.body);
            // One key is for one call.
            let used = ask(&ada, "POST", path, &key("k-1"), Some(&other)).await;
            assert_eq!((used.status, &used.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(once::KEY)), "{what}: {}", used.body);
            let again = ask(&ada, "POST", path, &key("k-1"), Some(&body)).await;
            assert_eq!((again.status, &again.body, again.header(once::REPLAYED)), (first.status, &first.body, "true"), "{what}");
            assert_eq!(again.header("content-type"), "application/json", "{what}");
            // Without the key, or with another, it is another call.
            let second = ask(&ada, "POST", path, &key("k-2"), Some(&body)).await;
            assert_ne!((second.status, &second.body), (first.status, &first.body), "{what}");
            let replayed = ask(&ada, "POST", &format!("{path}?x=1"), &key("k-1"), Some(&body)).await;
            assert_eq!(replayed.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: another query is another call");
            let mut t = db.db.begin().await.unwrap();
            store::testing::execute(t.tx(), "DELETE FROM idempotency").await;
            t.commit().await.unwrap();
        }
        let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        let holds = ops::holds::standing(&shell, 10).await.unwrap();
        assert_eq!((ops::runs::live(&shell, 10).await.unwrap().len(), holds.len()), (1, 2), "{}", db.name);
    }
}

#[tokio::test]
async fn of_two_at_once_one_is_carried_out() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let body = json!({"service": "alpha", "reason": "a lawsuit"});
        for n in 0..5 {
            let name = format!("k-{n}");
            let given = key(&name);
            let (one, other) = tokio::join!(ask(&ada, "POST", "/api/v1/holds", &given, Some(&body)), ask(&ada, "POST", "/api/v1/holds", &given, Some(&body)));
            for answer in [&one, &other] {
                match answer.status {
                    StatusCode::CREATED => {}
                    StatusCode::CONFLICT => assert!(answer.header("retry-after").parse::<i64>().is_ok_and(|s| (1..=60).contains(&s)), "{}", db.name),
                    status => panic!("{}: {status} {}", db.name, answer.body),
                }
            }
            let last = ask(&ada, "POST", "/api/v1/holds", &given, Some(&body)).await;
            assert_eq!((last.status, last.header(once::REPLAYED)), (StatusCode::CREATED, "true"), "{}", db.name);
        }
        let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        assert_eq!(ops::holds::standing(&shell, 100).await.unwrap().len(), 5, "{}: one for each key", db.name);
    }
}

/// The server dies after the run was queued and before its answer was kept.
#[tokio::test]
async fn an_answer_that_was_lost_is_made_anew() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        for (path, body, _) in calls() {
            let first = ask(&ada, "POST", path, &key("k"), Some(&body)).await;
            let mut t = db.db.begin().await.unwrap();
            store::testing::execute(t.tx(), "UPDATE idempotency SET status = NULL, answer = NULL").await;
            t.commit().await.unwrap();
            let again = ask(&ada, "POST", path, &key("k"), Some(&body)).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{} {path}", db.name);
            let mut t = db.db.begin().await.unwrap();
            store::testing::execute(t.tx(), "DELETE FROM idempotency").await;
            t.commit().await.unwrap();
        }
        let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        assert_eq!((ops::runs::live(&shell, 10).await.unwrap().len(), ops::holds::standing(&shell, 10).await.unwrap().len()), (1, 1), "{}", db.name);
    }
}

#[tokio::test]
async fn keys_that_are_none_are_refused_and_secrets_are_not_kept() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let body = json!({"service": "alpha", "reason": "a lawsuit"});
        for bad in ["", "two words", &"x".repeat(256)] {
            let refused = ask(&ada, "POST", "/api/v1/holds", &key(bad), Some(&body)).await;
            assert_eq!((refused.status, refused.header("content-type")), (StatusCode::BAD_REQUEST, "application/problem+json"), "{bad}: {}", refused.body);
        }
        let twice = [(once::KEY, "a"), (once::KEY, "b")];
        assert_eq!(ask(&ada, "POST", "/api/v1/holds", &twice, Some(&body)).await.status, StatusCode::BAD_REQUEST);
        let token = json!({"name": "ci", "scopes": ["read"]});
        let refused = ask(&ada, "POST", "/api/v1/tokens", &key("k"), Some(&token)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
        assert!(refused.body["detail"].as_str().unwrap().contains("shows a secret once"), "{}", refused.body);
        // What is only looked at, and what does the same however often, takes none and minds none.
        assert_eq!(ask(&ada, "GET", "/api/v1/holds", &key("k"), None).await.body, json!({"holds": []}), "{}", db.name);
        let wrong = ask(&ada, "POST", "/api/v1/holds", &key("k"), Some(&json!({"service": "none", "reason": "x"}))).await;
        assert_eq!(wrong.status, StatusCode::NOT_FOUND);
        assert_eq!(ask(&ada, "POST", "/api/v1/holds", &key("k"), Some(&body)).await.status, StatusCode::CREATED, "{}: a refusal frees the key", db.name);
    }
}
