//! The client against a real OpenStack, and that OpenStack itself.
//!
//! `HOLDFAST_TEST_OPENSTACK` names the folder of one that runs, with its `clouds.yaml`; `make test-openstack` starts one,
//! `no` skips these tests. What they make is called `e-…` and is removed again.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and is told by the environment where the cloud is")]

mod credentials;
mod lab_itself;
mod servers;
mod snapshots;
mod volumes;

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use domain::instance::Server;
use engine::{
    EngineError, ErrorKind, Result,
    job::Secret,
    sources::openstack::{Cloud, CloudConfig, Limits},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const LIMITS: Limits = Limits { call: Duration::from_mins(1), tries: 3, pause: Duration::from_millis(200) };

/// One entry of `clouds.yaml`.
#[derive(Clone)]
struct Entry {
    auth_url: String,
    username: String,
    password: String,
    project: String,
}

fn state() -> String {
    std::env::var("HOLDFAST_TEST_OPENSTACK")
        .expect("HOLDFAST_TEST_OPENSTACK must name the folder of an OpenStack; `make test-openstack` starts one, `no` skips these tests")
}

/// Whether these tests are skipped.
fn skipped() -> bool {
    state() == "no"
}

/// The lab writes a plain list of names and values; nothing else of YAML is in it.
fn entry(cloud: &str) -> Entry {
    let text = std::fs::read_to_string(std::path::Path::new(&state()).join("clouds.yaml")).expect("clouds.yaml is in the folder");
    let head = format!("  {cloud}:");
    let own: BTreeMap<String, String> = text
        .lines()
        .skip_while(|l| *l != head)
        .skip(1)
        .take_while(|l| l.starts_with("    "))
        .filter_map(|l| l.trim().split_once(": ").map(|(k, v)| (k.to_owned(), v.trim_matches(['\'', '"']).to_owned())))
        .collect();
    let get = |name: &str| own.get(name).unwrap_or_else(|| panic!("{cloud} has {name}")).clone();
    Entry { auth_url: get("auth_url"), username: get("username"), password: get("password"), project: get("project_name") }
}

fn config(options: &[(&str, &str)]) -> CloudConfig {
    let plain = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    CloudConfig::of(&format!("openstack+{}", entry("lab").auth_url), &plain).unwrap()
}

fn by_password(cloud: &str) -> (CloudConfig, Secret) {
    let e = entry(cloud);
    (config(&[("auth", "password"), ("username", &e.username), ("project", &e.project), ("region", "RegionOne")]), Secret::new(e.password))
}

async fn lab() -> Cloud {
    let (config, secret) = by_password("lab");
    Cloud::connect(&config, &secret, LIMITS, None).await.unwrap()
}

/// What the tests do beside the client: things to test with are made and removed.
struct Hand {
    client: reqwest::Client,
    token: String,
    user: String,
    project: String,
    identity: String,
    catalog: Value,
}

impl Hand {
    async fn new(cloud: &str) -> Self {
        let e = entry(cloud);
        let client = reqwest::Client::new();
        let user = json!({"name": e.username, "domain": {"id": "default"}, "password": e.password});
        let scope = json!({"project": {"name": e.project, "domain": {"id": "default"}}});
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}});
        let url = format!("{}/auth/tokens", e.auth_url);
        let answer = client.post(url).header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
        let facts: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let word = |path: &str| facts.pointer(path).and_then(Value::as_str).unwrap().to_owned();
        Self {
            client,
            token,
            user: word("/token/user/id"),
            project: word("/token/project/id"),
            identity: e.auth_url,
            catalog: facts["token"]["catalog"].clone(),
        }
    }

    fn base(&self, service: &str) -> String {
        if service == "identity" {
            return self.identity.clone();
        }
        let entry = self.catalog.as_array().unwrap().iter().find(|e| e["type"] == service).unwrap();
        let endpoint = entry["endpoints"].as_array().unwrap().iter().find(|e| e["interface"] == "public").unwrap();
        endpoint["url"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, method: Method, service: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.base(service))).header("x-auth-token", &self.token);
        request = request.header("openstack-api-version", if service == "compute" { "compute 2.93" } else { "volume 3.68" });
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn good(&self, method: Method, service: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, service, path, body).await;
        assert!((200..300).contains(&status), "{service} {path}: {status} {answer}");
        answer
    }

    async fn flavour(&self, name: &str) -> String {
        let all = self.good(Method::GET, "compute", "/flavors", None).await;
        all["flavors"].as_array().unwrap().iter().find(|f| f["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn image(&self) -> String {
        let all = self.good(Method::GET, "image", "/v2/images?name=lab-image", None).await;
        all["images"][0]["id"].as_str().unwrap().to_owned()
    }

    /// A server that boots from the image or, with `volume`, from a volume made of it.
    async fn boot(&self, name: &str, volume: bool) -> String {
        let image = self.image().await;
        let networks = self.good(Method::GET, "network", "/v2.0/networks?name=lab-net", None).await;
        let network = json!([{"uuid": networks["networks"][0]["id"]}]);
        let mut server = json!({"name": name, "networks": network, "flavorRef": self.flavour("lab.tiny").await, "metadata": {"owner": "e"}});
        if volume {
            server["block_device_mapping_v2"] = json!([{"boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume",
                "volume_size": 1, "delete_on_termination": true}]);
        } else {
            server["imageRef"] = image.into();
        }
        let made = self.good(Method::POST, "compute", "/servers", Some(json!({"server": server}))).await;
        made["server"]["id"].as_str().unwrap().to_owned()
    }

    /// An application credential with the rest of its body. Gives id and secret.
    async fn credential(&self, name: &str, more: Value) -> (String, String) {
        let mut wanted = json!({"name": name, "roles": [{"name": "member"}]});
        for (k, v) in more.as_object().unwrap() {
            wanted[k] = v.clone();
        }
        let path = format!("/users/{}/application_credentials", self.user);
        let made = self.good(Method::POST, "identity", &path, Some(json!({"application_credential": wanted}))).await;
        let word = |name: &str| made["application_credential"][name].as_str().unwrap().to_owned();
        (word("id"), word("secret"))
    }

    async fn drop_credential(&self, id: &str) {
        self.good(Method::DELETE, "identity", &format!("/users/{}/application_credentials/{id}", self.user), None).await;
    }
}

/// Asks until it is so.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_mins(3), "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

async fn settled(cloud: &Cloud, id: &str, status: &str) -> Server {
    until(&format!("{id} to be {status}"), async || {
        let server = cloud.server(id).await.unwrap().unwrap();
        assert!(server.status != "ERROR", "{:?}", server.fault);
        (server.status == status && server.task.is_none()).then_some(server)
    })
    .await
}

async fn remove_server(hand: &Hand, cloud: &Cloud, id: &str) {
    hand.ask(Method::DELETE, "compute", &format!("/servers/{id}"), None).await;
    until("the server to go", async || cloud.server(id).await.unwrap().is_none().then_some(())).await;
}

async fn active(cloud: &Cloud, image: &str) -> engine::sources::openstack::Image {
    until("the image to be active", async || {
        let image = cloud.image(image).await.unwrap().expect("the image is there");
        assert!(image.status != "killed", "{image:?}");
        (image.status == "active").then_some(image)
    })
    .await
}

async fn drop_snapshot(cloud: &Cloud, id: &str) {
    cloud.delete_volume_snapshot(id).await.unwrap();
    until("the snapshot to go", async || cloud.volume_snapshot(id).await.unwrap().is_none().then_some(())).await;
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> (ErrorKind, String) {
    let EngineError { kind, message, .. } = result.unwrap_err();
    (kind, message)
}

/// Snapshots of volumes share one quota; the tests that make some take turns.
static TURN: OnceCell<tokio::sync::Mutex<()>> = OnceCell::const_new();

async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    TURN.get_or_init(async || tokio::sync::Mutex::new(())).await.lock().await
}
