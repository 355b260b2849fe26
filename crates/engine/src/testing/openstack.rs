//! The real OpenStack that `end2end/openstack/up` starts: where it is, and what an operator or the guest does to it.
//!
//! Lives here: reading its folder, and calls by hand. May not: use the client that is tested.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Gate;

/// How long something may take: compilers may be running beside.
const PATIENCE: Duration = Duration::from_mins(4);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Clone, Debug)]
pub struct Lab {
    state: PathBuf,
    facts: Facts,
    client: Client,
    /// One for each account: whoever waits asks often, and Keystone has more to do.
    tokens: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Facts {
    auth_url: String,
    password: String,
    clouds: BTreeMap<String, Account>,
    projects: BTreeMap<String, String>,
    ports: BTreeMap<String, u16>,
    image: String,
    /// Empty where servers have none.
    network: String,
    flavours: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Account {
    user: String,
    project: String,
}

/// A service, with the address of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Identity,
    Compute,
    Image,
    Volume,
    Network,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Null where it is no JSON.
    pub body: Value,
    pub token: Option<String>,
}

impl Answer {
    /// The body of a call that went well.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }
}

impl Lab {
    /// The one that `HOLDFAST_TEST_OPENSTACK` names. None where it is `no`: then the test is skipped.
    #[allow(clippy::disallowed_methods, reason = "tests read their environment themselves")]
    pub fn of_tests() -> Option<Self> {
        let said = std::env::var("HOLDFAST_TEST_OPENSTACK")
            .expect("HOLDFAST_TEST_OPENSTACK must name the folder of an OpenStack; `make test-openstack` starts one, `no` skips these tests");
        (said != "no").then(|| Self::at(Path::new(&said)).expect("the folder of HOLDFAST_TEST_OPENSTACK has a lab.json"))
    }

    pub fn at(state: &Path) -> io::Result<Self> {
        let facts = serde_json::from_slice(&std::fs::read(state.join("lab.json"))?)?;
        let client = Client::builder().no_proxy().timeout(Duration::from_mins(2)).build().map_err(io::Error::other)?;
        Ok(Self { state: state.to_owned(), facts, client, tokens: Arc::default() })
    }

    /// Keystone's address, such as `http://127.0.0.1:21000/v3`.
    pub fn auth_url(&self) -> &str {
        &self.facts.auth_url
    }

    /// What a repository says where the cloud is.
    pub fn location(&self) -> String {
        format!("openstack+{}", self.facts.auth_url)
    }

    /// The password of all its accounts.
    pub fn password(&self) -> &str {
        &self.facts.password
    }

    /// The id of a project: `lab`, `other`.
    pub fn project(&self, name: &str) -> &str {
        &self.facts.projects[name]
    }

    /// The options of a repository whose credential is the password of `lab`, `lab-reader`, `lab-trustee` or `lab-admin`.
    pub fn options(&self, cloud: &str) -> BTreeMap<String, String> {
        let account = &self.facts.clouds[cloud];
        [
            ("auth", "password"),
            ("username", account.user.as_str()),
            ("user_domain", "Default"),
            ("project", account.project.as_str()),
            ("project_domain", "Default"),
            ("region", "RegionOne"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
    }

    /// The image that servers are made from.
    pub fn image(&self) -> &str {
        &self.facts.image
    }

    pub fn network(&self) -> &str {
        &self.facts.network
    }

    /// The id of a flavour: `lab.tiny`, `lab.small`, `lab.volume`.
    pub fn flavour(&self, name: &str) -> &str {
        &self.facts.flavours[name]
    }

    /// The root disk of an instance that was booted from an image. To play the guest, write into it.
    pub fn disk(&self, instance: &str) -> PathBuf {
        self.state.join("nova/instances").join(instance).join("disk")
    }

    /// What a volume holds.
    pub fn volume(&self, volume: &str) -> PathBuf {
        self.state.join("cinder/volumes").join(format!("volume-{volume}"))
    }

    /// What a snapshot of a volume holds.
    pub fn volume_snapshot(&self, snapshot: &str) -> PathBuf {
        self.state.join("cinder/volumes").join(format!("snapshot-{snapshot}"))
    }

    /// What an image holds.
    pub fn image_file(&self, image: &str) -> PathBuf {
        self.state.join("glance/images").join(image)
    }

    /// The same, reached through a gate.
    #[must_use]
    pub fn through(&self, gate: &Gate) -> Self {
        let mut lab = self.clone();
        lab.facts.auth_url = gate.through(&lab.facts.auth_url);
        for port in lab.facts.ports.values_mut() {
            *port = gate.port(*port).unwrap_or(*port);
        }
        lab
    }

    /// The same with the project `other` in place of `lab`, for who changes what a whole project has: its quota.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        let mut lab = self.clone();
        lab.tokens = Arc::default();
        let account = lab.facts.clouds["lab-trustee"].clone();
        let project = lab.facts.projects[&account.project].clone();
        lab.facts.clouds.insert("lab".to_owned(), account);
        lab.facts.projects.insert("lab".to_owned(), project);
        // The network belongs to the other one.
        lab.facts.network.clear();
        lab
    }

    /// A gate before all its services. `gate.through(&lab.location())` leads a client through it.
    pub fn gate(&self) -> io::Result<Gate> {
        Gate::before(&self.facts.ports.values().copied().collect::<Vec<_>>())
    }

    /// The port of a service, to tell whose requests passed a gate.
    pub fn port(&self, api: Api) -> u16 {
        self.facts.ports[match api {
            Api::Identity => "keystone",
            Api::Compute => "nova",
            Api::Image => "glance",
            Api::Volume => "cinder",
            Api::Network => "neutron",
        }]
    }

    /// The address that the paths of a service are relative to.
    pub fn base(&self, api: Api, cloud: &str) -> String {
        let rest = match api {
            Api::Identity => "/v3".to_owned(),
            Api::Compute => "/v2.1".to_owned(),
            Api::Image => "/v2".to_owned(),
            Api::Network => "/v2.0".to_owned(),
            Api::Volume => format!("/v3/{}", self.facts.projects.get(&self.facts.clouds[cloud].project).map_or("", String::as_str)),
        };
        format!("http://127.0.0.1:{}{rest}", self.port(api))
    }

    /// A new token of an account.
    pub async fn token(&self, cloud: &str) -> String {
        self.sign_in(cloud).await.token.expect("Keystone gives a token")
    }

    /// What Keystone says to an account: a token, the project, the roles and the catalogue.
    pub async fn sign_in(&self, cloud: &str) -> Answer {
        let account = &self.facts.clouds[cloud];
        let default = json!({"id": "default"});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": account.user, "domain": default, "password": self.facts.password}}},
            "scope": {"project": {"name": account.project, "domain": default}},
        }});
        let answer = self.send(Method::POST, &format!("{}/auth/tokens", self.facts.auth_url), None, Some(&body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer
    }

    /// One call as one of the accounts, with the newest microversions that Debian 12's services know.
    pub async fn call(&self, cloud: &str, api: Api, method: &str, path: &str, body: Option<Value>) -> Answer {
        let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(cloud).cloned();
        if let Some(token) = known {
            let answer = self.call_with(&token, cloud, api, method, path, body.clone()).await;
            if answer.status != 401 {
                return answer;
            }
        }
        let token = self.token(cloud).await;
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(cloud.to_owned(), token.clone());
        self.call_with(&token, cloud, api, method, path, body).await
    }

    /// The same with a token that was given before.
    pub async fn call_with(&self, token: &str, cloud: &str, api: Api, method: &str, path: &str, body: Option<Value>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method of HTTP");
        self.send(method, &format!("{}{path}", self.base(api, cloud)), Some(token), body.as_ref()).await
    }

    async fn send(&self, method: Method, url: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.client.request(method, url).header("OpenStack-API-Version", "compute 2.93, volume 3.68");
        if let Some(token) = token {
            request = request.header("X-Auth-Token", token);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("the OpenStack answers");
        let token = answer.headers().get("X-Subject-Token").and_then(|t| t.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        let body = serde_json::from_slice(&answer.bytes().await.expect("a whole answer")).unwrap_or(Value::Null);
        Answer { status, body, token }
    }

    /// Revokes a token. The services notice within some seconds.
    pub async fn revoke(&self, token: &str) {
        let url = format!("{}/auth/tokens", self.facts.auth_url);
        let request = self.client.delete(url).header("X-Auth-Token", token).header("X-Subject-Token", token);
        assert_eq!(request.send().await.expect("the OpenStack answers").status().as_u16(), 204);
    }

    /// Waits until Nova, Glance and Cinder refuse a token.
    pub async fn is_refused(&self, token: &str) {
        let until = tokio::time::Instant::now() + PATIENCE;
        for (api, path) in [(Api::Compute, "/servers?limit=1"), (Api::Image, "/images?limit=1"), (Api::Volume, "/volumes?limit=1")] {
            while self.call_with(token, "lab", api, "GET", path, None).await.status != 401 {
                assert!(tokio::time::Instant::now() < until, "{api:?} goes on taking the token");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Starts a server from the image and waits until it runs. Its id.
    pub async fn boot(&self, name: &str) -> String {
        self.create(json!({"name": name, "imageRef": self.image(), "flavorRef": self.flavour("lab.tiny"), "networks": self.networks()})).await
    }

    /// Starts a server from a volume of one GiB, made from the image, and waits until it runs. Its id.
    pub async fn boot_from_volume(&self, name: &str) -> String {
        let volume = json!({"boot_index": 0, "uuid": self.image(), "source_type": "image", "destination_type": "volume", "volume_size": 1, "delete_on_termination": true});
        self.create(json!({
            "name": name, "flavorRef": self.flavour("lab.volume"), "networks": self.networks(), "block_device_mapping_v2": [volume],
        }))
        .await
    }

    fn networks(&self) -> Value {
        if self.network().is_empty() { json!("none") } else { json!([{"uuid": self.network()}]) }
    }

    /// Starts many servers without a network, `NAME-1` and so on, and waits until all run. Their ids.
    pub async fn boot_many(&self, name: &str, count: usize) -> Vec<String> {
        let ids = self.many(name, count, self.flavour("lab.tiny")).await;
        for id in &ids {
            self.server_is(id, "ACTIVE").await;
        }
        ids
    }

    /// Makes many servers, `NAME-1` and so on, that no host has room for: they are in error, and their cost is small. Their ids.
    pub async fn make_many(&self, name: &str, count: usize) -> Vec<String> {
        let flavour = json!({"flavor": {"name": name, "ram": 1_000_000_000, "vcpus": 1, "disk": 1}});
        let made = self.call("lab-admin", Api::Compute, "POST", "/flavors", Some(flavour)).await.ok();
        let flavour = text(&made["flavor"]["id"]);
        let ids = self.many(name, count, &flavour).await;
        for id in &ids {
            self.server_is(id, "ERROR").await;
        }
        self.call("lab-admin", Api::Compute, "DELETE", &format!("/flavors/{flavour}"), None).await;
        ids
    }

    async fn many(&self, name: &str, count: usize, flavour: &str) -> Vec<String> {
        let wanted = json!({
            "name": name, "imageRef": self.image(), "flavorRef": flavour, "networks": "none", "min_count": count, "max_count": count,
            "return_reservation_id": true,
        });
        let made = self.call("lab", Api::Compute, "POST", "/servers", Some(json!({"server": wanted}))).await.ok();
        let path = format!("/servers?reservation_id={}&limit=1000", text(&made["reservation_id"]));
        let found = self.call("lab", Api::Compute, "GET", &path, None).await.ok();
        let ids: Vec<String> = found["servers"].as_array().into_iter().flatten().map(|s| text(&s["id"])).collect();
        assert_eq!(ids.len(), count);
        ids
    }

    /// Starts a server of the project `lab` as said and waits until it runs. Its id.
    pub async fn create(&self, server: Value) -> String {
        let made = self.call("lab", Api::Compute, "POST", "/servers", Some(json!({"server": server}))).await.ok();
        let id = text(&made["server"]["id"]);
        self.server_is(&id, "ACTIVE").await;
        id
    }

    /// A server as Nova shows it.
    pub async fn server(&self, id: &str) -> Value {
        self.call("lab-admin", Api::Compute, "GET", &format!("/servers/{id}"), None).await.ok()["server"].take()
    }

    /// Waits until a server has this status and nothing is under way with it.
    pub async fn server_is(&self, id: &str, status: &str) {
        let mut last = Value::Null;
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            last = self.server(id).await;
            if last["status"] == status && last["OS-EXT-STS:task_state"].is_null() {
                return;
            }
            assert!(status == "ERROR" || last["status"] != "ERROR", "the server is in error: {}", last["fault"]);
            tokio::time::sleep(LOOK).await;
        }
        panic!("the server does not get {status}: {last}");
    }

    /// An action on a server, such as `{"os-stop": null}`.
    pub async fn act(&self, id: &str, action: Value) -> Answer {
        self.call("lab", Api::Compute, "POST", &format!("/servers/{id}/action"), Some(action)).await
    }

    /// The volumes of a server, the root's first.
    pub async fn volumes_of(&self, id: &str) -> Vec<String> {
        let attached = self.call("lab-admin", Api::Compute, "GET", &format!("/servers/{id}/os-volume_attachments"), None).await.ok();
        let mut found: Vec<_> = attached["volumeAttachments"].as_array().into_iter().flatten().map(|a| (text(&a["device"]), text(&a["volumeId"]))).collect();
        found.sort();
        found.into_iter().map(|(_, volume)| volume).collect()
    }

    /// Makes an empty volume of one GiB and attaches it to a server. Its id.
    pub async fn attach_volume(&self, server: &str, name: &str) -> String {
        let made = self.call("lab", Api::Volume, "POST", "/volumes", Some(json!({"volume": {"size": 1, "name": name}}))).await.ok();
        let id = text(&made["volume"]["id"]);
        self.volume_is(&id, "available").await;
        let attachment = json!({"volumeAttachment": {"volumeId": id}});
        self.call("lab", Api::Compute, "POST", &format!("/servers/{server}/os-volume_attachments"), Some(attachment)).await.ok();
        self.volume_is(&id, "in-use").await;
        id
    }

    /// Waits until a volume has this status.
    pub async fn volume_is(&self, id: &str, status: &str) {
        let mut last = Value::Null;
        let until = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < until {
            last = self.call("lab", Api::Volume, "GET", &format!("/volumes/{id}"), None).await.body["volume"].take();
            if last["status"] == status {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("the volume does not get {status}: {last}");
    }

    /// Deletes a server and waits until it is gone.
    pub async fn delete_server(&self, id: &str) {
        let path = format!("/servers/{id}");
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.call("lab-admin", Api::Compute, "DELETE", &path, None).await;
            if answer.status == 404 {
                return;
            }
            assert!(tokio::time::Instant::now() < until, "the server stays: {} {}", answer.status, answer.body);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A new application credential of the account `lab`: id and secret. `expires_at` such as `2030-01-31T12:00:00Z`; no roles for all.
    pub async fn application_credential(&self, name: &str, expires_at: Option<&str>, roles: &[&str]) -> (String, String) {
        let mut wanted = json!({"name": name});
        if let Some(at) = expires_at {
            wanted["expires_at"] = json!(at);
        }
        if !roles.is_empty() {
            wanted["roles"] = roles.iter().map(|name| json!({"name": name})).collect();
        }
        let path = format!("/users/{}/application_credentials", self.user().await);
        let made = self.call("lab", Api::Identity, "POST", &path, Some(json!({"application_credential": wanted}))).await.ok();
        (text(&made["application_credential"]["id"]), text(&made["application_credential"]["secret"]))
    }

    /// Deletes an application credential of the account `lab`.
    pub async fn delete_application_credential(&self, id: &str) {
        let path = format!("/users/{}/application_credentials/{id}", self.user().await);
        self.call("lab", Api::Identity, "DELETE", &path, None).await.ok();
    }

    async fn user(&self) -> String {
        let found = self.call("lab-admin", Api::Identity, "GET", "/users?name=lab", None).await.ok();
        text(&found["users"][0]["id"])
    }

    /// Limits what the project `lab` may have, such as `snapshots` to 1. `-1` is without limit.
    pub async fn limit_volumes(&self, what: &str, to: i64) {
        let path = format!("/os-quota-sets/{}", self.project("lab"));
        self.call("lab-admin", Api::Volume, "PUT", &path, Some(json!({"quota_set": {what: to}}))).await.ok();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
