//! Tokens, versions and refusals against a scripted Keystone and Nova.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use domain::units::Timestamp;

use super::{
    Cloud, Limits,
    config::CloudConfig,
    testing::{Reply, Scripted, say},
};
use crate::{ErrorKind, Result, job::Secret};

const QUICK: Limits = Limits { call: Duration::from_secs(5), tries: 2, pause: Duration::from_millis(2) };
const SECRET: &str = "hunter2-and-more";

/// An answer that bears a request's id, as those of the services do.
fn served(status: u16, body: &str) -> Reply {
    Reply::Say(status, "X-Openstack-Request-Id: req-1\r\n".into(), body.into())
}

fn token(number: usize, address: &str, expires: &str, project: &str) -> Reply {
    let endpoint = |kind: &str, path: &str| {
        format!(r#"{{"type": "{kind}", "endpoints": [{{"interface": "public", "region": "R", "region_id": "R", "url": "{address}{path}"}}]}}"#)
    };
    let body = format!(
        r#"{{"token": {{"issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "{expires}", "user": {{"id": "u1", "name": "alice", "password_expires_at": null}},
        "project": {{"id": "{project}", "name": "web"}}, "roles": [{{"name": "member"}}], "application_credential": {{"id": "a1", "name": "backup"}},
        "catalog": [{}, {}, {}]}}}}"#,
        endpoint("compute", "/compute/v2.1"),
        endpoint("image", "/image"),
        endpoint("volumev3", "/volume/v3/p1")
    );
    Reply::Say(201, format!("X-Subject-Token: token-{number}\r\n"), body)
}

const VERSIONS: &str = r#"{"version": {"id": "v2.1", "version": "2.90", "min_version": "2.1"}}"#;
/// What Cinder says of its own.
const CINDER: &str = r#"{"versions": [{"id": "v3.0", "version": "3.68", "min_version": "3.0"}]}"#;
const HOUR: &str = "2026-01-01T01:00:00.000000Z";

/// A cloud where `rest` answers what is neither Keystone's tokens nor versions.
async fn cloud(
    tokens: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
    rest: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
) -> (Scripted, Result<Cloud>) {
    let given = AtomicUsize::new(0);
    let address: Arc<std::sync::OnceLock<String>> = Arc::default();
    let own = Arc::clone(&address);
    let server = Scripted::start(move |n, line| match line {
        "POST /v3/auth/tokens" => tokens(given.fetch_add(1, Relaxed) + 1, own.get().unwrap()),
        "GET /compute/v2.1/" => say(200, VERSIONS),
        other => rest(n, other),
    })
    .await;
    address.set(server.address.clone()).unwrap();
    let plain = [("application_credential_id".to_owned(), "a1".to_owned())].into();
    let config = CloudConfig::of(&format!("openstack+{}/v3", server.address), &plain).unwrap();
    let cloud = Cloud::connect(&config, &Secret::new(SECRET), QUICK, None).await;
    (server, cloud)
}

#[tokio::test]
async fn a_token_is_used_until_it_is_refused_and_then_renewed_once() {
    let images = AtomicUsize::new(0);
    let (server, cloud) = cloud(
        |n, at| token(n, at, HOUR, "p1"),
        move |_, _| if images.fetch_add(1, Relaxed) == 1 { say(401, r#"{"error": {"message": "no"}}"#) } else { served(200, r#"{"images": []}"#) },
    )
    .await;
    let cloud = cloud.unwrap();
    assert_eq!((cloud.project_id(), cloud.nova_version().await.unwrap().to_string()), ("p1", "2.90".to_owned()));
    for _ in 0..3 {
        cloud.images(None, 5).await.unwrap();
    }
    let used: Vec<String> = {
        let requests = server.requests.lock().unwrap();
        let of = |text: &str| text.lines().find_map(|l| l.strip_prefix("x-auth-token: ")).unwrap_or("-").to_owned();
        requests.iter().filter(|(l, _)| l.starts_with("GET /image")).map(|(_, r)| of(r)).collect()
    };
    assert_eq!(used, ["token-1", "token-1", "token-2", "token-2"]);
    assert_eq!(server.lines().iter().filter(|l| l.starts_with("POST")).count(), 2);
    assert!(!format!("{cloud:?}").contains(SECRET) && !format!("{cloud:?}").contains("token-"));
}

#[tokio::test]
async fn a_token_that_is_refused_where_versions_are_told_is_renewed_too() {
    let asked = AtomicUsize::new(0);
    let (server, cloud) = cloud(
        |n, at| token(n, at, HOUR, "p1"),
        move |_, _| if asked.fetch_add(1, Relaxed) == 0 { say(401, r#"{"error": {"message": "no"}}"#) } else { say(200, CINDER) },
    )
    .await;
    assert_eq!(cloud.unwrap().cinder_version().await.unwrap().to_string(), "3.68");
    assert_eq!(server.lines().iter().filter(|l| l.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn servers_that_are_told_of_twice_are_listed_once_and_a_lost_marker_begins_anew() {
    let asked = AtomicUsize::new(0);
    let page = |ids: &[&str]| {
        let one = |id: &&str| format!(r#"{{"id": "{id}", "name": "web", "status": "ACTIVE", "created": "2026-01-01T00:00:00Z", "image": {{"id": "i"}}}}"#);
        served(200, &format!(r#"{{"servers": [{}]}}"#, ids.iter().map(one).collect::<Vec<_>>().join(", ")))
    };
    let (_server, cloud) = cloud(
        |n, at| token(n, at, HOUR, "p1"),
        move |_, line| match (line, asked.load(Relaxed)) {
            (l, _) if !l.contains("/servers/detail") => served(404, "{}"),
            (l, 0) if l.contains("marker=b") => {
                asked.store(1, Relaxed);
                served(400, r#"{"badRequest": {"code": 400, "message": "marker [b] not found"}}"#)
            }
            (l, 0) if !l.contains("marker=") => page(&["a", "b"]),
            (l, _) if l.contains("marker=c") => page(&["c", "d"]),
            (l, _) if l.contains("marker=d") => page(&[]),
            _ => page(&["a", "c"]),
        },
    )
    .await;
    let cloud = cloud.unwrap();
    let all: Vec<String> = cloud.all_servers(2, 100).await.unwrap().into_iter().map(|s| s.id).collect();
    assert_eq!(all, ["a", "c", "d"]);
}

#[tokio::test]
async fn volumes_are_listed_anew_where_the_last_of_a_page_was_deleted() {
    let asked = AtomicUsize::new(0);
    let (server, cloud) = cloud(
        |n, at| token(n, at, HOUR, "p1"),
        move |_, line| match (line, asked.load(Relaxed)) {
            (l, _) if !l.contains("/volumes/detail") => served(200, CINDER),
            (l, 0) if l.contains("marker=v1") => {
                asked.store(1, Relaxed);
                served(404, r#"{"itemNotFound": {"code": 404, "message": "Volume v1 could not be found."}}"#)
            }
            (l, 0) if !l.contains("marker=") => served(200, r#"{"volumes": [{"id": "v1", "snapshot_id": "s"}], "volumes_links": [{"rel": "next"}]}"#),
            (l, _) if !l.contains("marker=") => served(200, r#"{"volumes": [{"id": "v2", "snapshot_id": "s"}, {"id": "v3"}]}"#),
            _ => served(200, r#"{"volumes": []}"#),
        },
    )
    .await;
    let cloud = cloud.unwrap();
    assert_eq!(cloud.volumes_of_snapshot("s").await.unwrap(), ["v2"]);
    assert_eq!(server.lines().iter().filter(|l| l.contains("/volumes/detail")).count(), 3, "a page without a link to the next one is the last");
    // Whoever asks for a single page is told to begin anew, and that it is worth it.
    let gone = r#"{"itemNotFound": {"message": "Snapshot x could not be found."}}"#;
    let (_server, cloud) =
        self::cloud(|n, at| token(n, at, HOUR, "p1"), |_, line| if line.contains("/snapshots/detail") { served(404, gone) } else { served(200, CINDER) }).await;
    let error = cloud.unwrap().volume_snapshots(Some("x"), 5).await.unwrap_err();
    assert!(error.kind == ErrorKind::Unavailable && error.message.contains("the list changed while it was read"), "{error:?}");
}

#[tokio::test]
async fn a_call_that_stays_refused_is_an_error_and_no_loop() {
    let (server, cloud) = cloud(|n, at| token(n, at, HOUR, "p1"), |_, _| served(401, r#"{"error": {"message": "Unauthorized"}}"#)).await;
    let error = cloud.unwrap().images(None, 5).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("access rules"), "{}", error.message);
    assert_eq!(server.lines().iter().filter(|l| l.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn an_old_token_is_renewed_before_the_call() {
    // A life of one second: over by the second call.
    let (server, cloud) = cloud(|n, at| token(n, at, "2026-01-01T00:00:01.000000Z", "p1"), |_, _| served(200, r#"{"images": []}"#)).await;
    let cloud = cloud.unwrap();
    tokio::time::sleep(Duration::from_millis(950)).await;
    cloud.images(None, 5).await.unwrap();
    assert_eq!(server.lines().iter().filter(|l| l.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn many_calls_that_are_refused_at_once_authenticate_once() {
    let (server, cloud) = cloud(|n, at| token(n, at, HOUR, "p1"), |n, _| if n < 8 { say(401, "") } else { served(200, r#"{"images": []}"#) }).await;
    let cloud = cloud.unwrap();
    let all = futures::future::join_all((0..6).map(|_| cloud.images(None, 5))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(server.lines().iter().filter(|l| l.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn a_credential_that_was_deleted_in_between_is_not_taken_for_a_missing_image() {
    let gone = r#"{"error": {"code": 404, "message": "Could not find Application Credential: a1.", "title": "Not Found"}}"#;
    let (_server, cloud) = cloud(move |n, at| if n == 1 { token(n, at, HOUR, "p1") } else { served(404, gone) }, |_, _| say(401, "")).await;
    let error = cloud.unwrap().image("i1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.starts_with("Keystone could not authenticate with the application credential: HTTP 404, Could not find Application Credential: a1 (request req-1); the application credential does not exist, or was deleted"), "{}", error.message);
}

#[tokio::test]
async fn what_is_gone_is_none_and_what_a_proxy_says_is_an_error() {
    let (_server, cloud) = cloud(
        |n, at| token(n, at, HOUR, "p1"),
        |_, line| {
            if line.ends_with("/gone") { served(404, "404 Not Found\n\nNo image found with ID gone\n\n") } else { say(404, "<html><body>nginx</body></html>") }
        },
    )
    .await;
    let cloud = cloud.unwrap();
    assert_eq!(cloud.image("gone").await.unwrap(), None);
    cloud.delete_image("gone").await.unwrap();
    assert_eq!(cloud.image("lost").await.unwrap_err().kind, ErrorKind::NotFound);
    assert!(cloud.delete_image("lost").await.is_err());
    assert_eq!(cloud.image("").await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(cloud.image("..").await.unwrap_err().kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn refusals_of_keystone_are_explained_and_hold_no_secret() {
    for (status, body, says) in [
        (
            401,
            r#"{"error": {"message": "The request you have made requires authentication."}}"#.to_owned(),
            "the secret is wrong, or the application credential has expired",
        ),
        (404, r#"{"error": {"message": "Could not find Application Credential: a1."}}"#.to_owned(), "does not exist, or was deleted"),
        (400, format!(r#"{{"error": {{"message": "what is {SECRET}?"}}}}"#), "what is [secret]?"),
    ] {
        let (_server, cloud) = cloud(move |_, _| served(status, &body), |_, _| say(500, "")).await;
        let error = cloud.unwrap_err();
        assert!(error.message.contains(says) && !error.message.contains(SECRET), "{}", error.message);
        assert_eq!(error.kind, if status == 400 { ErrorKind::Invalid } else { ErrorKind::Denied });
    }
}

#[tokio::test]
async fn a_credential_that_leads_elsewhere_is_refused() {
    let (_server, cloud) = cloud(|n, at| token(n, at, HOUR, if n == 1 { "p1" } else { "p2" }), |_, _| say(401, "")).await;
    let error = cloud.unwrap().images(None, 1).await.unwrap_err();
    assert!(error.message.contains("leads to another project than before (p2)"), "{}", error.message);
}

#[tokio::test]
async fn the_credential_tells_its_end_and_what_it_lacks() {
    let thing = r#"{"application_credential": {"id": "a1", "expires_at": "2026-03-01T00:00:00.000000", "access_rules": [{"service": "compute", "method": "GET", "path": "/v2.1/**"}]}}"#;
    let (_server, cloud) = cloud(|n, at| token(n, at, HOUR, "p1"), move |_, _| served(200, thing)).await;
    let now = Timestamp::from_secs(1_767_225_600);
    let told = cloud.unwrap().credential(now).await.unwrap();
    assert_eq!((told.user.as_str(), told.project_name.as_str(), &told.roles[..]), ("alice", "web", &["member".to_owned()][..]));
    assert_eq!(told.expires_at, Some(Timestamp::from_secs(1_772_323_200)));
    assert!(told.trouble.unwrap().contains("POST compute"));
}

/// Runs go on in tasks: every call must be one that can move between threads.
#[tokio::test]
async fn calls_move_between_threads() {
    fn moves<T: Send>(_: T) {}
    let (_server, cloud) = cloud(|n, at| token(n, at, HOUR, "p1"), |_, _| served(200, "{}")).await;
    let (cloud, none) = (cloud.unwrap(), std::collections::BTreeMap::new());
    moves(cloud.clone());
    moves(cloud.credential(Timestamp(0)));
    moves(cloud.servers(None, 1));
    moves(cloud.server("a"));
    moves(cloud.servers_named("a"));
    moves(cloud.stop("a"));
    moves(cloud.start("a"));
    moves(cloud.create_image("a", "b", &none));
    moves(cloud.image("a"));
    moves(cloud.images(None, 1));
    moves(cloud.images_named("a"));
    moves(cloud.delete_image("a"));
    moves(cloud.create_volume_snapshot("a", "b", &none));
    moves(cloud.volume_snapshot("a"));
    moves(cloud.volume_snapshots(None, 1));
    moves(cloud.delete_volume_snapshot("a"));
    moves(cloud.volumes_of_snapshot("a"));
    moves(cloud.quota_left());
}
