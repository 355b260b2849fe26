//! What holds for every answer and every request, whatever it is about. Calls come from the document, server functions from
//! their register: a new one is tried without anybody thinking of it.

use std::{net::SocketAddr, num::NonZeroU32};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header, request::Builder},
    response::Response,
};
use leptos::server_fn::axum::server_fn_paths;
use ops::{Actor, Ctx};
use store::{Clock, sessions, testing::TestDb};
use tower::ServiceExt as _;

use super::{Edge, Limits, Trusted, arrival::network, bodies, headers};
use crate::api::{
    calls_tests::operations,
    tests::{server, server_with, sign_in, state},
};

const FORM: &str = "application/x-www-form-urlencoded";
/// Forms that are no server functions.
const FORMS: [&str; 4] = ["/login", "/logout", "/preferences", "/admin/configuration"];

/// What comes back, with its text.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }

    fn is_problem(&self) -> bool {
        self.header(header::CONTENT_TYPE) == "application/problem+json" && self.text.contains("\"detail\"")
    }
}

fn to(method: &str, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "holdfast")
}

async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let (head, body) = Response::into_parts(router.clone().oneshot(request).await.unwrap());
    let stream = head.headers.get(header::CONTENT_TYPE).is_some_and(|v| v == "text/event-stream");
    let bytes = if stream { axum::body::Bytes::new() } else { axum::body::to_bytes(body, 1 << 24).await.unwrap() };
    Answer { status: head.status, headers: head.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// A form that spends a one-time link, not sent yet.
async fn link(db: &TestDb, next: &str) -> Body {
    let token = ops::sign_in::make_link(&Ctx::new(db.db.clone(), Actor::shell(), "shell")).await.unwrap();
    Body::from(format!("token={token}&next={}", app::components::address::encode(next)))
}

/// Everything that changes something: calls, server functions, forms.
fn unsafe_paths() -> Vec<(String, String)> {
    let calls = operations().into_iter().filter(|(method, ..)| method != "GET").map(|(method, path, _)| (method, path));
    let acts: Vec<_> = server_fn_paths().map(|(path, method)| (method.to_string(), path.to_owned())).collect();
    assert!(acts.len() > 30 && acts.iter().all(|(method, path)| method == Method::POST.as_str() && path.starts_with("/act/")), "{acts:?}");
    calls.chain(acts).chain(FORMS.map(|path| ("POST".to_owned(), path.to_owned()))).collect()
}

/// A server whose limits do not stand in the way.
async fn open_server() -> (TestDb, Router) {
    server_with(|state| state.edge = Edge::new(Trusted::default(), Limits::new(NonZeroU32::new(10_000).unwrap()))).await
}

#[tokio::test]
async fn every_kind_of_answer_carries_the_headers() {
    let (db, router) = server().await;
    let cookie = sign_in(&db, &router).await;
    let page = "no-store";
    for (path, signed_in, status, cache) in [
        ("/login", false, 200, page),
        ("/", false, 303, page),
        ("/", true, 200, page),
        ("/account", true, 200, page),
        ("/nothing-here", true, 404, page),
        ("/services/none", true, 404, page),
        ("/palette?q=a", true, 200, page),
        ("/preferences", true, 405, page),
        ("/repositories/main/kit.txt", true, 200, "private, no-store"),
        ("/snapshots/01a1f8df-12b6-706e-b053-6ef67d1f8fb0/file?path=a", true, 404, page),
        ("/api/docs", true, 200, page),
        ("/api/docs/swagger-ui.css", true, 200, "private, max-age=3600"),
        ("/api/openapi.json", true, 200, page),
        ("/api/v1/services", false, 401, page),
        ("/api/v1/services", true, 200, page),
        ("/api/v1/services/none", true, 404, page),
        ("/api/v1/repositories/main/kit", true, 200, page),
        ("/api/v1/audit/export", true, 200, page),
        ("/api/v1/runs/events", true, 200, page),
    ] {
        let mut request = to("GET", path);
        if signed_in {
            request = request.header(header::COOKIE, &cookie);
        }
        let answer = ask(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.header(header::CACHE_CONTROL)), (status, cache), "{path}");
        for (name, value) in headers::ALWAYS {
            assert_eq!(answer.header(&name), value, "{path}: {name}");
        }
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        for part in ["default-src '", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action '"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{path}: {policy}");
        assert!(!answer.headers.contains_key(header::STRICT_TRANSPORT_SECURITY), "{path}: nothing is said of TLS without it");
        assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) && !answer.headers.contains_key(header::SERVER), "{path}");
    }
}

#[tokio::test]
async fn people_who_use_tls_get_cookies_for_tls_alone() {
    let proxy = || Edge::new(Trusted::new(&[network("10.0.0.0/8").unwrap()]), Limits::default());
    for (what, secure) in [("nothing", false), ("said at the start", true), ("the address", true), ("a trusted proxy", true), ("somebody", false)] {
        let (db, router) = server_with(|state| {
            state.edge = proxy();
            state.app.secure_cookies = what == "said at the start";
        })
        .await;
        if what == "the address" {
            ops::notifications::set_address(&Ctx::new(db.db.clone(), Actor::shell(), "shell"), "https://holdfast.example.org").await.unwrap();
        }
        let peer = SocketAddr::from(if what == "a trusted proxy" { ([10, 0, 0, 1], 1) } else { ([192, 0, 2, 1], 1) });
        let from = |request: Builder| {
            let request = request.extension(ConnectInfo(peer));
            if what == "nothing" { request } else { request.header("x-forwarded-proto", "https") }
        };
        let form = from(to("POST", "/login").header(header::CONTENT_TYPE, FORM)).body(link(&db, "/").await).unwrap();
        let entered = ask(&router, form).await;
        let cookie = entered.header(header::SET_COOKIE).to_owned();
        let name = if secure { "__Host-holdfast=" } else { "holdfast=" };
        let parts: Vec<_> = cookie.split(';').map(str::trim).collect();
        assert!(parts[0].starts_with(name), "{what}: {cookie}");
        assert_eq!(parts.contains(&"Secure"), secure, "{what}: {cookie}");
        assert!(parts.contains(&"HttpOnly") && parts.contains(&"SameSite=Lax") && parts.contains(&"Path=/"), "{what}: {cookie}");
        assert!(!cookie.contains("Domain"), "{what}: {cookie}");
        let sts = entered.header(headers::TLS_ONLY.0);
        assert_eq!(sts, if secure { headers::TLS_ONLY.1 } else { "" }, "{what}");
        let home = ask(&router, from(to("GET", "/").header(header::COOKIE, parts[0])).body(Body::empty()).unwrap()).await;
        assert_eq!(home.status, StatusCode::OK, "{what}: the session is found again");
        // The small ones are no worse.
        let form = from(to("POST", "/preferences").header(header::CONTENT_TYPE, FORM)).body(Body::from("theme=dark&keys=off")).unwrap();
        let kept: Vec<_> = ask(&router, form).await.headers.get_all(header::SET_COOKIE).iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        assert_eq!(kept.len(), 2);
        for cookie in &kept {
            assert_eq!((cookie.starts_with("__Host-"), cookie.ends_with("; Secure")), (secure, secure), "{what}: {cookie}");
        }
        let names = kept.iter().map(|c| c.split(';').next().unwrap()).collect::<Vec<_>>().join("; ");
        let login = ask(&router, from(to("GET", "/login").header(header::COOKIE, names)).body(Body::empty()).unwrap()).await;
        assert!(login.text.contains("data-theme=\"dark\""), "{what}: {}", login.text);
        // A token that was made is carried to its page.
        let form = from(to("POST", "/act/make-token").header(header::CONTENT_TYPE, FORM).header(header::COOKIE, parts[0]));
        let made = ask(&router, form.body(Body::from("name=ci&days=1&scopes[]=read")).unwrap()).await;
        let cookie = made.header(header::SET_COOKIE);
        assert!(cookie.starts_with(if secure { "__Secure-made_token=hft_" } else { "made_token=hft_" }) && cookie.contains("HttpOnly"), "{what}: {cookie}");
        assert_eq!(cookie.ends_with("; Secure"), secure, "{what}: {cookie}");
    }
}

/// Who plants a session before somebody signs in has nothing of it afterwards.
#[tokio::test]
async fn a_session_that_was_there_before_is_not_the_one_after() {
    let (db, router) = server().await;
    let opens =
        async |cookie: &str| ask(&router, to("GET", "/account").header(header::COOKIE, cookie).body(Body::empty()).unwrap()).await.status == StatusCode::OK;
    let mut before = "holdfast=AAAAAAAAAAAAAAAAAAAAAQ".to_owned();
    for _ in 0..2 {
        let form = to("POST", "/login").header(header::CONTENT_TYPE, FORM).header(header::COOKIE, &before).body(link(&db, "/").await).unwrap();
        let answer = ask(&router, form).await;
        let after = answer.header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
        assert!(after.starts_with("holdfast=") && after != before, "{after}");
        assert!(opens(&after).await);
        assert!(!opens(&before).await, "the one before is over");
        before = after;
    }
    let out = ask(&router, to("POST", "/logout").header(header::COOKIE, &before).body(Body::empty()).unwrap()).await;
    assert_eq!((out.status, out.header("clear-site-data")), (StatusCode::SEE_OTHER, "\"storage\""));
    assert!(!opens(&before).await, "signed out is signed out, also for a copy of the cookie");
}

#[tokio::test]
async fn a_session_ends_without_use_and_ends_at_last() {
    let (db, router) = server().await;
    let cookie = sign_in(&db, &router).await;
    let now = Clock::System.now();
    let opens = async |minutes: i64| {
        let mut later = state(&db);
        later.app.clock = Clock::fixed(now.plus_secs(minutes * 60));
        let router = super::router(later, Router::new());
        ask(&router, to("GET", "/account").header(header::COOKIE, &cookie).body(Body::empty()).unwrap()).await.status == StatusCode::OK
    };
    assert_eq!((opens(8 * 60 - 1).await, opens(8 * 60 + 1).await), (true, false), "without use for eight hours");
    // As if it had been used all the time.
    let id = cookie.split_once('=').unwrap().1;
    let mut t = db.db.begin().await.unwrap();
    let data = sessions::load(t.tx(), id, now).await.unwrap().unwrap();
    sessions::save(t.tx(), id, &data, now.plus_secs(86_400)).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!((opens(12 * 60 - 1).await, opens(12 * 60 + 1).await), (true, false), "twelve hours after it was opened");
}

#[tokio::test]
async fn methods_that_nobody_needs_are_refused() {
    let (db, router) = server().await;
    let cookie = sign_in(&db, &router).await;
    for (method, path) in [("TRACE", "/services"), ("TRACE", "/api/v1/services"), ("CONNECT", "/services"), ("BREW", "/services"), ("PUT", "/services")] {
        let answer = ask(&router, to(method, path).header(header::COOKIE, &cookie).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert!(!answer.text.contains("holdfast="), "{method} {path} gives the cookie back");
    }
}

#[tokio::test]
async fn nobody_is_sent_to_another_site() {
    let (db, router) = server_with(|state| state.edge = Edge::new(Trusted::default(), Limits::new(NonZeroU32::new(1000).unwrap()))).await;
    for (next, to_path) in [
        ("/services", "/services"),
        ("/runs?state=failed#top", "/runs?state=failed#top"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("\t//evil.example", "/"),
        ("/ /evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("services", "/"),
    ] {
        let form = to("POST", "/login").header(header::CONTENT_TYPE, FORM).body(link(&db, next).await).unwrap();
        let answer = ask(&router, form).await;
        assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, to_path), "{next:?}");
    }
    for (referer, back) in [
        ("http://holdfast/runs?page=2", "/runs?page=2"),
        ("http://evil.example//evil.example", "/"),
        ("http://evil.example/\\evil.example", "/"),
        ("http://evil.example/\t/evil.example", "/"),
        ("nonsense", "/"),
    ] {
        let form = to("POST", "/preferences").header(header::CONTENT_TYPE, FORM).header(header::REFERER, referer);
        let answer = ask(&router, form.body(Body::from("theme=dark&keys=on")).unwrap()).await;
        assert_eq!(answer.header(header::LOCATION), back, "{referer}");
    }
}

#[tokio::test]
async fn whatever_changes_something_refuses_a_request_of_another_site() {
    let (db, router) = open_server().await;
    let cookie = sign_in(&db, &router).await;
    let events = async || store::audit::page(db.db.read().await.unwrap().tx(), 0, 1000).await.unwrap().len();
    let before = events().await;
    for (method, path) in unsafe_paths() {
        for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example"), ("origin", "null")] {
            let program = path.starts_with("/api/");
            let kind = if program { "application/json" } else { FORM };
            let request = to(&method, &path).header(header::COOKIE, &cookie).header(header::CONTENT_TYPE, kind).header(name, value);
            let answer = ask(&router, request.body(Body::from(if program { "{}" } else { "a=b" })).unwrap()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} {name}: {value}");
            assert!(answer.text.contains("his request came from another site"), "{method} {path}: {}", answer.text);
            assert_eq!(answer.is_problem(), program, "{method} {path}");
        }
    }
    assert_eq!(events().await, before, "something was done for another site");
    // It is still the same session: nobody was signed out by another site.
    let home = ask(&router, to("GET", "/account").header(header::COOKIE, &cookie).body(Body::empty()).unwrap()).await;
    assert_eq!(home.status, StatusCode::OK);
    for (method, path) in unsafe_paths() {
        let request = to(&method, &path).header(header::COOKIE, &cookie).header("sec-fetch-site", "same-origin").header("origin", "http://holdfast");
        let answer = ask(&router, request.body(Body::empty()).unwrap()).await;
        assert!(!answer.text.contains("another site"), "{method} {path} refuses our own pages");
    }
}

#[tokio::test]
async fn a_body_is_bounded_and_of_the_kind_that_is_understood() {
    let (db, router) = open_server().await;
    let cookie = sign_in(&db, &router).await;
    for (method, path) in unsafe_paths() {
        let limit = bodies::limit(&path);
        let large = || vec![b' '; limit + 1];
        let program = path.starts_with("/api/");
        let kind = if program { "application/json" } else { FORM };
        let start = |kind: &str| to(&method, &path).header(header::COOKIE, &cookie).header(header::CONTENT_TYPE, kind);
        let told = start(kind).header(header::CONTENT_LENGTH, limit + 1).body(Body::from(large())).unwrap();
        // In pieces, so that nobody knows beforehand.
        let pieces = futures::stream::iter(large().chunks(1 << 16).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>());
        let untold = start(kind).body(Body::from_stream(pieces)).unwrap();
        for request in [told, untold] {
            let answer = ask(&router, request).await;
            assert_eq!((answer.status, answer.is_problem()), (StatusCode::PAYLOAD_TOO_LARGE, program), "{method} {path}: {}", answer.text);
            let said = if limit > 1 << 20 { "hat was sent is larger than 5 MiB" } else { "hat was sent is larger than 1 MiB" };
            assert!(answer.text.contains(said), "{method} {path}: {}", answer.text);
        }
        for other in ["text/plain", "multipart/form-data; boundary=x", if program { FORM } else { "application/json" }] {
            let answer = ask(&router, start(other).body(Body::from("{}")).unwrap()).await;
            assert_eq!((answer.status, answer.is_problem()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, program), "{method} {path} {other}: {}", answer.text);
            assert!(answer.text.contains(&format!("Content-Type: {kind}")), "{method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn who_tries_too_often_is_told_when_to_come_again() {
    let (db, router) = server_with(|state| state.edge = Edge::new(Trusted::default(), Limits::new(NonZeroU32::new(2).unwrap()))).await;
    let from = |last: u8, request: Builder| request.extension(ConnectInfo(SocketAddr::from(([192, 0, 2, last], 1))));
    let wrong = |last| from(last, to("POST", "/login").header(header::CONTENT_TYPE, FORM)).body(Body::from("token=nonsense")).unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&router, wrong(1)).await.header(header::LOCATION), "/login?refused=1");
    }
    let refused = ask(&router, wrong(1)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.header(header::RETRY_AFTER).parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
    assert!(refused.header(header::CONTENT_TYPE).starts_with("text/html"));
    assert!(refused.text.contains("There were too many tries from here") && refused.text.contains(&format!("Wait {wait} second")), "{}", refused.text);
    assert_eq!(ask(&router, wrong(2)).await.status, StatusCode::SEE_OTHER, "another address has its own tries");

    for path in ["/auth/none/start", "/auth/callback?state=x"] {
        let tries: Vec<_> = futures::future::join_all((0..3).map(|_| ask(&router, from(1, to("GET", path)).body(Body::empty()).unwrap()))).await;
        assert_eq!(tries.iter().filter(|a| a.status == StatusCode::TOO_MANY_REQUESTS).count(), 1, "{path}");
    }
    // A provider may end many sessions at once, and not without an end.
    let told = || from(1, to("POST", "/auth/none/backchannel").header(header::CONTENT_TYPE, FORM)).body(Body::from("logout_token=x")).unwrap();
    let mut seen = Vec::new();
    for _ in 0..121 {
        seen.push(ask(&router, told()).await.status);
    }
    assert!(seen[..120].iter().all(|s| *s == StatusCode::BAD_REQUEST) && seen[120] == StatusCode::TOO_MANY_REQUESTS, "{seen:?}");

    // Making tokens, by a call and by the page, out of one bucket.
    let cookie = {
        let form = from(3, to("POST", "/login").header(header::CONTENT_TYPE, FORM)).body(link(&db, "/").await).unwrap();
        ask(&router, form).await.header(header::SET_COOKIE).split(';').next().unwrap().to_owned()
    };
    let json = "application/json";
    let make = |path: &str, kind: &str, body: &'static str| {
        from(3, to("POST", path).header(header::COOKIE, &cookie).header(header::CONTENT_TYPE, kind)).body(Body::from(body)).unwrap()
    };
    let made = ask(&router, make("/api/v1/tokens", json, "{\"name\":\"ci\",\"scopes\":[\"read\"]}")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let token = serde_json::from_str::<serde_json::Value>(&made.text).unwrap()["token"].as_str().unwrap().to_owned();
    assert_ne!(ask(&router, make("/act/make-token", FORM, "name=x&days=1&scopes[]=read")).await.status, StatusCode::TOO_MANY_REQUESTS);
    let over = ask(&router, make("/api/v1/tokens", json, "{}")).await;
    assert_eq!((over.status, over.is_problem()), (StatusCode::TOO_MANY_REQUESTS, true), "{}", over.text);
    assert!(over.headers.contains_key(header::RETRY_AFTER) && over.text.contains("there were too many tries from here; wait "), "{}", over.text);

    // Tokens that are not valid are counted; one that is goes on from the same address.
    let show = |token: &str| from(3, to("GET", "/api/v1/me").header(header::AUTHORIZATION, format!("Bearer {token}"))).body(Body::empty()).unwrap();
    let mut seen = Vec::new();
    for _ in 0..13 {
        seen.push(ask(&router, show("hft_wrong")).await.status);
    }
    assert!(seen[..12].iter().all(|s| *s == StatusCode::UNAUTHORIZED) && seen[12] == StatusCode::TOO_MANY_REQUESTS, "{seen:?}");
    assert_eq!(ask(&router, show(&token)).await.status, StatusCode::OK);
}
