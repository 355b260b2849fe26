//! One call against a server that misbehaves.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::{Method, header::HeaderMap};

use super::{
    Call, Limits,
    catalog::Service,
    config::CloudConfig,
    refusal::Failed,
    testing::{Reply, Scripted, say},
    transport::{Answer, Ask, Transport},
};
use crate::ErrorKind;

const QUICK: Limits = Limits { call: Duration::from_secs(5), tries: 4, pause: Duration::from_millis(2) };

struct Tried {
    result: Result<Answer, Failed>,
    calls: Vec<Call>,
    requests: usize,
    took: Duration,
}

async fn tried(method: Method, limits: Limits, script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Tried {
    let server = Scripted::start(move |n, _| script(n)).await;
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let told = Arc::clone(&calls);
    let config = CloudConfig::of("openstack+http://127.0.0.1/v3", &[("application_credential_id".to_owned(), "a".to_owned())].into()).unwrap();
    let transport = Transport::new(&config, limits, Some(Arc::new(move |call| told.lock().unwrap().push(call.clone())))).unwrap();
    let ask = Ask {
        service: Service::Compute,
        what: "do it".into(),
        repeatable: method != Method::POST,
        method,
        url: format!("{}/servers/1?name=secretive", server.address).parse().unwrap(),
        body: Some("{}".into()),
        headers: HeaderMap::new(),
    };
    let began = Instant::now();
    let result = transport.send(&ask).await;
    let calls = calls.lock().unwrap().clone();
    Tried { result, calls, requests: server.lines().len(), took: began.elapsed() }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for status in [500, 502, 503, 504, 429, 408] {
        let t = tried(Method::GET, QUICK, move |n| if n < 2 { say(status, "later") } else { say(200, "{}") }).await;
        assert_eq!((t.result.unwrap().body, t.requests), (b"{}".to_vec(), 3), "{status}");
        assert_eq!(t.calls.iter().map(|c| (c.attempt, c.status)).collect::<Vec<_>>(), [(1, Some(status)), (2, Some(status)), (3, Some(200))]);
    }
    for cut in [Reply::Cut, Reply::CutInBody] {
        let t = tried(Method::DELETE, QUICK, move |n| if n == 0 { cut.clone() } else { say(204, "") }).await;
        assert!(t.result.is_ok() && t.requests == 2);
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again() {
    for status in [400, 401, 403, 404, 409, 413] {
        let t = tried(Method::GET, QUICK, move |_| say(status, r#"{"x": {"message": "no"}}"#)).await;
        let failed = t.result.unwrap_err();
        assert_eq!((failed.status, t.requests), (Some(status), 1));
        assert!(failed.message.starts_with(&format!("Nova could not do it: HTTP {status}, no")), "{}", failed.message);
    }
    // A redirect leads nowhere: the token would go with it.
    let t = tried(Method::GET, QUICK, |_| Reply::Say(302, "Location: http://127.0.0.1:1/\r\n".into(), String::new())).await;
    assert_eq!((t.result.unwrap_err().status, t.requests), (Some(302), 1));
}

#[tokio::test]
async fn tries_end() {
    let t = tried(Method::GET, QUICK, |_| say(503, "<html><body><h1>503 Service Unavailable</h1>No server is available.</body></html>")).await;
    let failed = t.result.unwrap_err();
    assert_eq!((failed.kind, t.requests, t.calls.len()), (ErrorKind::Unavailable, 4, 4));
    assert!(
        failed.message.starts_with("Nova could not do it: HTTP 503, No server is available, 4 times; look whether the service runs and can"),
        "{}",
        failed.message
    );
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept() {
    let t = tried(Method::GET, QUICK, |n| if n == 0 { Reply::Say(429, "Retry-After: 1\r\n".into(), String::new()) } else { say(200, "{}") }).await;
    assert!(t.result.is_ok() && t.took >= Duration::from_secs(1));
    // One that is too long is an error at once.
    let t = tried(Method::GET, QUICK, |_| Reply::Say(429, "Retry-After: 3600\r\n".into(), String::new())).await;
    assert_eq!((t.result.unwrap_err().kind, t.requests), (ErrorKind::Unavailable, 1));
}

#[tokio::test]
async fn a_post_is_not_sent_twice_where_it_may_have_been_carried_out() {
    for reply in [Reply::Cut, Reply::CutInBody, say(500, ""), say(502, ""), say(504, "")] {
        let t = tried(Method::POST, QUICK, move |_| reply.clone()).await;
        let failed = t.result.unwrap_err();
        assert_eq!((failed.kind, t.requests), (ErrorKind::Unavailable, 1));
        if failed.status.is_none() {
            assert!(failed.message.contains("look for it by its name before asking again"), "{}", failed.message);
        }
    }
    for status in [429, 503] {
        let t = tried(Method::POST, QUICK, move |n| if n == 0 { say(status, "") } else { say(202, "{}") }).await;
        assert!(t.result.is_ok() && t.requests == 2, "{status}");
    }
    let short = Limits { call: Duration::from_millis(300), ..QUICK };
    let t = tried(Method::POST, short, |_| Reply::Hang).await;
    let failed = t.result.unwrap_err();
    assert_eq!(t.requests, 1);
    assert!(failed.message.contains("no whole answer within 300 ms; it may have been carried out"), "{}", failed.message);
}

#[tokio::test]
async fn a_connection_that_is_not_made_is_tried_again_whatever_is_asked() {
    let config = CloudConfig::of("openstack+http://127.0.0.1/v3", &[("application_credential_id".to_owned(), "a".to_owned())].into()).unwrap();
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let told = Arc::clone(&calls);
    let transport = Transport::new(&config, QUICK, Some(Arc::new(move |call| told.lock().unwrap().push(call.clone())))).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ask = Ask {
        service: Service::Volume,
        what: "make it".into(),
        method: Method::POST,
        url: format!("http://{nobody}/v3").parse().unwrap(),
        body: None,
        headers: HeaderMap::new(),
        repeatable: false,
    };
    let failed = transport.send(&ask).await.unwrap_err();
    assert_eq!((failed.kind, calls.lock().unwrap().len()), (ErrorKind::Unavailable, 4));
    assert!(failed.message.contains("Cinder could not make it after 4 tries") && failed.message.contains("refused"), "{}", failed.message);
    assert!(!failed.message.contains("by its name"), "{}", failed.message);
}

#[tokio::test]
async fn a_call_ends_with_its_time() {
    let short = Limits { call: Duration::from_millis(200), tries: 2, pause: Duration::from_millis(1) };
    let t = tried(Method::GET, short, |_| Reply::Hang).await;
    assert_eq!((t.result.unwrap_err().kind, t.requests), (ErrorKind::Unavailable, 2));
    assert!(t.took >= Duration::from_millis(400) && t.took < Duration::from_secs(5), "{:?}", t.took);
    assert_eq!(t.calls[0].status, None);
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let long = Limits { call: Duration::from_mins(1), ..QUICK };
    let t = tried(Method::GET, long, |_| Reply::Flood).await;
    let failed = t.result.unwrap_err();
    assert_eq!((failed.kind, t.requests), (ErrorKind::Internal, 1));
    assert!(failed.message.contains("longer than 32 MiB"), "{}", failed.message);
}

#[tokio::test]
async fn the_witness_is_told_paths_and_requests_and_no_query() {
    let t = tried(Method::GET, QUICK, |_| Reply::Say(200, "X-Openstack-Request-Id: req-7\r\n".into(), "{}".into())).await;
    let call = &t.calls[0];
    assert_eq!((call.service, call.method.as_str(), call.path.as_str()), ("Nova", "GET", "/servers/1"));
    assert_eq!((call.status, call.request_id.as_deref(), call.attempt), (Some(200), Some("req-7"), 1));
}
