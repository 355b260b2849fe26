//! Guests over HTTP: a link opens a session that reads evidence, and its end is the session's end.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header, request::Builder},
};
use domain::id::LinkId;
use ops::{Actor, Ctx, Role, links};
use tower::ServiceExt as _;

use crate::api::tests::server;

struct Answer {
    status: StatusCode,
    location: String,
    cookie: String,
    text: String,
}

async fn ask(router: &Router, request: Builder, body: &str) -> Answer {
    let request = request.header(header::HOST, "holdfast").body(Body::from(body.to_owned())).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let text = |name| head.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let (location, cookie) = (text(header::LOCATION), text(header::SET_COOKIE).split(';').next().unwrap_or_default().to_owned());
    let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    Answer { status: head.status, location, cookie, text: String::from_utf8_lossy(&bytes).into_owned() }
}

fn open(router: &Router, secret: &str) -> impl Future<Output = Answer> {
    let (router, body) = (router.clone(), format!("link={secret}"));
    async move { ask(&router, Request::post("/login").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"), &body).await }
}

#[tokio::test]
async fn a_link_opens_a_session_that_ends_with_it() {
    let (db, router) = server().await;
    let ada = Ctx::new(db.db.clone(), Actor::new("ada", Role::Admin), "test");
    let wanted =
        links::Wanted { label: "audit".into(), all: false, services: vec!["alpha".into()], from: "2020-01-01".into(), to: "2030-12-31".into(), days: 30 };
    let (row, secret) = links::make(&ada, &wanted).await.unwrap();

    // A preview of the link opens nothing; its button does.
    let shown = ask(&router, Request::get(links::path(&secret)), "").await;
    assert!(shown.status == StatusCode::OK && shown.text.contains("Read the evidence") && shown.cookie.is_empty());
    assert_eq!(links::list(&ada).await.unwrap()[0].uses, 0);
    let entered = open(&router, &secret).await;
    assert_eq!((entered.status, entered.location.as_str()), (StatusCode::SEE_OTHER, "/evidence"));
    let get = async |path: &str| ask(&router, Request::get(path).header(header::COOKIE, &entered.cookie), "").await;
    assert_eq!(get("/").await.location, "/evidence");
    for path in ["/services", "/services/alpha", "/runs", "/people", "/account", "/links", "/audit", "/api/v1/services", "/api/v1/me", "/api/v1/links"] {
        assert_eq!(get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let forbidden = get("/services").await.text;
    assert!(!forbidden.contains("href=\"/services\"") && !forbidden.contains("/account") && forbidden.contains("Sign out"), "{forbidden}");
    let act = Request::post("/act/back-up").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").header(header::COOKIE, &entered.cookie);
    let refused = ask(&router, act, "service=alpha").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);

    // It opens again, and ends at once when it is revoked.
    assert_eq!(open(&router, &secret).await.location, "/evidence");
    assert_eq!(links::list(&ada).await.unwrap()[0].uses, 2);
    links::revoke(&ada, LinkId(row.issued.id)).await.unwrap();
    let over = get("/services").await;
    assert_eq!((over.status, over.location.as_str()), (StatusCode::SEE_OTHER, "/login?next=/services"));
    for bad in [&secret, "hfg_0", ""] {
        let refused = open(&router, bad).await;
        assert!(refused.location.starts_with("/login?") && refused.cookie.is_empty(), "{bad}: {}", refused.location);
    }
}
