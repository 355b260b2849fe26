//! What stands between the network and the pages, over real sockets: trusted proxies, TLS of the server itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use common::{
    Place,
    http::{Process, Server},
};
use serde_json::{Value, json};

/// Makes a token and gives the origin under which the audit trail has it.
fn origin(server: &Server, headers: &[(&str, &str)], name: &str) -> Value {
    let body = json!({"name": name, "scopes": ["read"]}).to_string();
    let made = server.ask("POST", "/api/v1/tokens", headers, Some(("application/json", &body)));
    assert_eq!(made.status, 201, "{made:?}");
    let trail = server.get("/api/v1/audit").json();
    let event =
        trail["events"].as_array().unwrap().iter().find(|e| e["action"] == "token.make" && e["after"]["name"] == name).unwrap_or_else(|| panic!("{trail}"));
    event["origin"].clone()
}

#[test]
fn the_audit_trail_names_the_client_where_the_proxy_is_trusted() {
    let place = Place::new();
    let far = [("X-Forwarded-For", "198.51.100.7, 203.0.113.9, 10.0.0.2")];
    let server = Server::start(&place, &[], &["--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8"]);
    assert_eq!(origin(&server, &far, "a"), "203.0.113.9");
    assert_eq!(origin(&server, &[("Forwarded", "for=\"[2001:db8::9]:4711\";proto=http")], "b"), "2001:db8::9");
    assert_eq!(origin(&server, &[], "c"), "127.0.0.1");
    // The proxy says that people use TLS, and how they call this host.
    let form = Some(("application/x-www-form-urlencoded", "theme=dark&keys=on"));
    let proxied = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "holdfast.example.org"), ("Origin", "https://holdfast.example.org")];
    let answer = server.ask("POST", "/preferences", &proxied, form);
    assert_eq!(answer.status, 303, "{answer:?}");
    assert!(answer.header("set-cookie").unwrap().starts_with("__Host-theme=dark;"), "{answer:?}");
    assert!(answer.header("strict-transport-security").is_some());
    assert_eq!(server.process.stop(), 0);

    // The environment says the same; without either nobody is believed.
    let (second, third) = (Place::new(), Place::new());
    let server = Server::start(&second, &[("HOLDFAST_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")], &[]);
    assert_eq!(origin(&server, &far, "a"), "203.0.113.9");
    assert_eq!(server.process.stop(), 0);
    let server = Server::start(&third, &[], &[]);
    assert_eq!(origin(&server, &far, "a"), "127.0.0.1");
    let answer = server.ask("POST", "/preferences", &proxied, form);
    assert_eq!((answer.status, answer.header("strict-transport-security")), (403, None), "a stranger's word on the host counts for nothing");
    server.process.wait_for("a request came through a proxy that is not trusted");
    assert_eq!(server.process.stop(), 0);

    let said = place.run(&["serve", "--trusted-proxy", "0.0.0.0/0"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("would believe everybody"), "{}", said.err);
    let wrong = Process::start(&place, &[("HOLDFAST_TRUSTED_PROXIES", "proxy.example.org")], &["serve", "--listen", "127.0.0.1:0"]);
    wrong.wait_for("HOLDFAST_TRUSTED_PROXIES: “proxy.example.org” is neither an address nor a network");
}

#[test]
fn who_does_not_get_in_is_logged() {
    let place = Place::new();
    let server = Server::start(&place, &[], &["--trusted-proxy", "127.0.0.1"]);
    let far = ("X-Forwarded-For", "203.0.113.9");
    let form = Some(("application/x-www-form-urlencoded", "token=0123456789abcdef"));
    assert_eq!(server.ask("POST", "/login", &[far], form).header("location"), Some("/login?refused=1"));
    assert_eq!(server.ask("GET", "/api/v1/me", &[far, ("Authorization", "Bearer hft_0123456789abcdef")], None).status, 401);
    for what in ["a one-time link was refused", "a token was refused"] {
        server.process.wait_for(what);
    }
    let said = server.process.said();
    let lines: Vec<_> = said.lines().filter(|l| l.contains(" was refused: ")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|l| l.contains("203.0.113.9")), "{said}");
    assert!(!said.contains("0123456789abcdef"), "what was tried is not logged");
    assert_eq!(server.process.stop(), 0);
}

/// Puts a new certificate and its key where the server reads them; the certificate.
fn certificate(place: &Place) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    place.write("tls/cert.pem", &made.cert.pem());
    place.write("tls/key.pem", &made.signing_key.serialize_pem());
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

fn client(root: &reqwest::Certificate) -> reqwest::Client {
    let client = reqwest::Client::builder().tls_certs_only([root.clone()]).redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(20)).build().unwrap()
}

#[test]
fn tls_is_spoken_and_the_certificate_changes_while_connections_stay() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = Place::new();
    let first = certificate(&place);
    let args = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", "tls/cert.pem", "--tls-key", "tls/key.pem"];
    let process = Process::start(&place, &[], &args);
    let address = process.wait_for("listens on https://");
    let link = process.wait_for("within 10 minutes: ");
    let token = link.strip_prefix(&format!("https://{address}/login?token=")).unwrap_or_else(|| panic!("{link}")).to_owned();
    let url = |path: &str| format!("https://{address}{path}");
    let hangup = || {
        let pid = rustix::process::Pid::from_raw(i32::try_from(process.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    // Somebody who never says a word holds nobody up.
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(&address).unwrap()).collect();

    let kept = client(&first);
    let cookie = runtime.block_on(async {
        let form = kept.post(url("/login")).header("content-type", "application/x-www-form-urlencoded").body(format!("token={token}"));
        let entered = form.send().await.unwrap();
        assert_eq!(entered.status(), 303);
        assert!(entered.headers()["strict-transport-security"].to_str().unwrap().starts_with("max-age=31536000"));
        let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.starts_with("__Host-holdfast=") && cookie.contains("; Secure") && cookie.contains("; HttpOnly"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let made = kept.post(url("/api/v1/tokens")).header("cookie", &cookie).header("content-type", "application/json");
        assert_eq!(made.body(json!({"name": "ci", "scopes": ["read"]}).to_string()).send().await.unwrap().status(), 201);
        let trail = kept.get(url("/api/v1/audit")).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
        let trail: Value = serde_json::from_str(&trail).unwrap();
        let event = trail["events"].as_array().unwrap().iter().find(|e| e["action"] == "token.make").unwrap_or_else(|| panic!("{trail}"));
        assert_eq!(event["origin"], "127.0.0.1", "the address of a connection comes through TLS");
        cookie
    });

    // A new certificate: new connections see it, the one that is open goes on.
    let second = certificate(&place);
    let sees = |root: &reqwest::Certificate| runtime.block_on(async { client(root).get(url("/healthz")).send().await.is_ok_and(|a| a.status() == 200) });
    assert!(sees(&first) && !sees(&second), "it is not read before it is told to, or a minute is over");
    hangup();
    let begun = Instant::now();
    while !sees(&second) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", process.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!sees(&first));
    process.wait_for("the certificate was read anew");
    runtime.block_on(async {
        let page = kept.get(url("/account")).header("cookie", &cookie).send().await.expect("the connection is still open");
        assert_eq!(page.status(), 200);
    });

    // One that cannot be used takes nobody's place.
    let third = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    place.write("tls/key.pem", &third.signing_key.serialize_pem());
    hangup();
    process.wait_for("the certificate was not read anew; the one before stays in use");
    assert!(sees(&second));
    drop(silent);
    assert_eq!(process.stop(), 0);
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_at_the_start() {
    let place = Place::new();
    certificate(&place);
    std::fs::rename(place.path("tls/key.pem"), place.path("tls/other.pem")).unwrap();
    certificate(&place);
    place.write("tls/text.pem", "nothing\n");
    for (cert, key, word) in [
        ("tls/none.pem", "tls/key.pem", "tls/none.pem cannot be read (entity not found); --tls-cert names a PEM file"),
        ("tls/cert.pem", "tls/none.pem", "tls/none.pem cannot be read (entity not found); --tls-key names a PEM file"),
        ("tls/text.pem", "tls/key.pem", "tls/text.pem holds no certificate"),
        ("tls/cert.pem", "tls/text.pem", "tls/text.pem holds no private key"),
        ("tls/cert.pem", "tls/cert.pem", "tls/cert.pem holds no private key"),
        ("tls/cert.pem", "tls/other.pem", "does not belong to the certificate"),
    ] {
        let said = place.run(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains(word), "{cert} {key}: {}", said.err);
    }
    let said = place.run(&["serve", "--tls-cert", "tls/cert.pem"]);
    assert!(said.code == 2 && said.err.contains("--tls-key"), "{}", said.err);
    assert!(!place.path("data/holdfast.db").exists(), "nothing was begun");
}
