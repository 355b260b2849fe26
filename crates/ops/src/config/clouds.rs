//! A cloud as a repository, and the files that OpenStack's own tools keep their clouds in.
//!
//! Lives here: the keys that say how a cloud is reached and which of them go together; reading `clouds.yaml`.
//! May not: calling a cloud, secrets in errors.

use std::collections::BTreeMap;

use domain::instance::Keeping;
use engine::job::Secret;
use store::repositories::{SecretRef, StorageOptions};

use super::{
    keys::{AUTHS, INTERFACES, or, shown},
    walk::{Fields, Text, Walk},
    yaml::{self, Node, Value},
};

/// Keys that only a cloud has. `region` it shares with S3.
const KEYS: [&str; 12] = [
    "interface",
    "auth",
    "application_credential_id",
    "application_credential_name",
    "username",
    "user_domain",
    "project",
    "project_domain",
    "trust_id",
    "ca",
    "clouds_file",
    "cloud",
];
/// Keys that S3 alone has.
const OF_S3: [&str; 4] = ["endpoint", "access_key_id", "secret_access_key", "session_token"];
/// What an application credential is by itself: it names its user and its project.
const OF_A_USER: [&str; 4] = ["username", "user_domain", "project", "project_domain"];

/// Whether the entry means a cloud.
pub fn is_cloud(fields: &Fields<'_>) -> bool {
    let location = fields.get("location").map(|e| &e.value.value);
    fields.get("clouds_file").is_some() || matches!(location, Some(Value::Text(text)) if text.starts_with("openstack+"))
}

/// Tells of keys of a cloud beside a location that is none.
pub fn refuse(walk: &mut Walk, fields: &Fields<'_>) {
    for key in KEYS {
        if let Some(entry) = fields.get(key) {
            let what = if key == "cloud" { "goes with “clouds_file”" } else { "is for openstack+https:// locations" };
            walk.say(entry.at, format!("“{key}” {what}; remove it"));
        }
    }
}

/// A cloud: its location, how it is reached, and where its secret stands.
pub fn cloud(walk: &mut Walk, fields: &Fields<'_>) -> Option<(String, StorageOptions, SecretRef)> {
    for key in OF_S3 {
        if let Some(entry) = fields.get(key) {
            walk.say(entry.at, format!("“{key}” is for s3:// locations; remove it"));
        }
    }
    if let Some(entry) = fields.get("read_all_within") {
        walk.say(entry.at, "“read_all_within” is about packs, which a cloud does not have; remove it");
    }
    let mut plain = BTreeMap::new();
    if let Some(Text { text, .. }) = walk.optional_text(fields, "region") {
        plain.insert("region".to_owned(), text.to_owned());
    }
    word(walk, fields, "interface", &INTERFACES, &mut plain);
    if fields.get("clouds_file").is_some() { from_file(walk, fields, plain) } else { by_fields(walk, fields, plain) }
}

fn from_file(walk: &mut Walk, fields: &Fields<'_>, mut plain: BTreeMap<String, String>) -> Option<(String, StorageOptions, SecretRef)> {
    for key in ["location", "password"].into_iter().chain(KEYS).filter(|k| !["interface", "clouds_file", "cloud"].contains(k)) {
        if let Some(entry) = fields.get(key) {
            walk.say(entry.at, format!("“{key}” is what the clouds_file says; remove it, or remove “clouds_file” and “cloud”"));
        }
    }
    let path = walk.required_text(fields, "clouds_file").and_then(|p| walk.absolute(p.at, p.text, "“clouds_file”"));
    let cloud = walk.required_text(fields, "cloud").map(|t| t.text.to_owned());
    let (path, cloud) = (path?, cloud?);
    let location = format!("openstack+file://{path}#{cloud}");
    let reference = SecretRef::File(path.clone());
    plain.extend([("clouds_file".to_owned(), path), ("cloud".to_owned(), cloud)]);
    Some((location, StorageOptions { plain, secret: BTreeMap::new() }, reference))
}

fn by_fields(walk: &mut Walk, fields: &Fields<'_>, mut plain: BTreeMap<String, String>) -> Option<(String, StorageOptions, SecretRef)> {
    if let Some(entry) = fields.get("cloud") {
        walk.say(entry.at, "“cloud” goes with “clouds_file”; add clouds_file: /etc/openstack/clouds.yaml, or remove it");
    }
    let location = location(walk, fields);
    let password = walk.required(fields, "password").and_then(|entry| walk.secret(entry));
    if let Some(path) = walk.optional_text(fields, "ca").and_then(|p| walk.absolute(p.at, p.text, "“ca”")) {
        plain.insert("ca".to_owned(), path);
    }
    word(walk, fields, "auth", &AUTHS, &mut plain);
    let auth = plain.get("auth").map_or(AUTHS[0], String::as_str).to_owned();
    let given = |key: &str| fields.get(key).is_some();
    // What this kind of credential does not take, with the reason; and what it needs.
    let by_name = given("application_credential_name") && !given("application_credential_id");
    let (foreign, why): (Vec<&str>, &str) = match auth.as_str() {
        "password" => (vec!["application_credential_id", "application_credential_name", "trust_id"], "remove it, or write the “auth” that it belongs to"),
        "trust" => {
            (vec!["application_credential_id", "application_credential_name", "project", "project_domain"], "remove it; a trust is of one project by itself")
        }
        _ => {
            let mut foreign = vec!["trust_id"];
            foreign.extend(OF_A_USER.iter().filter(|k| !(by_name && k.starts_with("user"))));
            (foreign, "remove it; an application credential names its user and its project by itself, or write auth: password")
        }
    };
    for key in &foreign {
        if let Some(entry) = fields.get(key) {
            walk.say(entry.at, format!("“{key}” does not go with auth: {auth}; {why}"));
        }
    }
    let needs: &[&str] = match auth.as_str() {
        "password" => &["username", "project"],
        "trust" => &["username", "trust_id"],
        _ if by_name => &["username"],
        _ => &["application_credential_id"],
    };
    for key in needs.iter().filter(|k| !given(k)) {
        walk.say(fields.at, format!("auth: {auth} needs “{key}”; add {}", fields.level.example(key)));
    }
    if let (Some(entry), true) = (fields.get("application_credential_name"), given("application_credential_id")) {
        walk.say(entry.at, "“application_credential_name” and “application_credential_id” name the same; keep the id");
    }
    for key in KEYS.into_iter().filter(|k| !["interface", "auth", "ca", "clouds_file", "cloud"].contains(k) && !foreign.contains(k)) {
        if let Some(Text { text, .. }) = walk.optional_text(fields, key) {
            plain.insert(key.to_owned(), text.to_owned());
        }
    }
    Some((location?, StorageOptions { plain, secret: BTreeMap::new() }, password?))
}

/// The address of Keystone with its kind in front.
fn location(walk: &mut Walk, fields: &Fields<'_>) -> Option<String> {
    let Text { at, text } = walk.required_text(fields, "location")?;
    let text = text.trim().trim_end_matches('/');
    let Some((_, rest)) = text.split_once("://") else {
        walk.say(at, format!("the location {} is no address; write openstack+https://keystone.example.org:5000/v3", shown(text)));
        return None;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        walk.say_secret(at, "the location must not hold credentials (the part before “@”); give them as username and password");
        return None;
    }
    if !Keeping::of(text).is_cloud() || text.starts_with("openstack+file:") || host.is_empty() || text.contains(['?', '#', ' ']) {
        walk.say(at, format!("the location {} is not the address of a Keystone; write openstack+https://keystone.example.org:5000/v3", shown(text)));
        return None;
    }
    if path.rsplit('/').next() != Some("v3") {
        walk.say(at, format!("the location {} does not end in /v3, the only version of Keystone's API; write {text}/v3", shown(text)));
        return None;
    }
    Some(text.to_owned())
}

fn word(walk: &mut Walk, fields: &Fields<'_>, key: &str, all: &[&str], plain: &mut BTreeMap<String, String>) {
    let Some(Text { at, text }) = walk.optional_text(fields, key) else { return };
    if all.contains(&text) {
        plain.insert(key.to_owned(), text.to_owned());
    } else {
        walk.say(at, format!("“{key}”: {} is not known; write {}", shown(text), or(all)));
    }
}

/// A cloud of a `clouds.yaml`, in the words of a repository.
#[derive(Debug)]
pub struct Entry {
    pub location: String,
    pub plain: BTreeMap<String, String>,
    pub secret: Secret,
}

/// Finds a cloud in the text of a `clouds.yaml`.
///
/// # Errors
/// What is wrong with it, with the remedy and without any of its values.
pub fn named(text: &str, name: &str) -> Result<Entry, String> {
    let root = yaml::read(text).map_err(|m| format!("is no YAML that can be read: line {}", m.line))?;
    let clouds = child(&root, "clouds").ok_or_else(|| "has no list “clouds” at its top; give the clouds.yaml of OpenStack's tools".to_owned())?;
    let cloud = child(clouds, name).ok_or_else(|| {
        let known: Vec<String> = entries(clouds).iter().map(|e| shown(&e.key)).collect();
        format!("has no cloud {}; it has {}", shown(name), if known.is_empty() { "none".to_owned() } else { known.join(", ") })
    })?;
    if text_of(cloud, "verify").as_deref() == Some("false") {
        return Err(format!("switches the proof of certificates off for {}; remove “verify”, and name the file of its CA as “cacert”", shown(name)));
    }
    let auth = child(cloud, "auth").ok_or_else(|| format!("has no “auth” in {}; add it", shown(name)))?;
    let first = |keys: &[&str]| keys.iter().find_map(|k| text_of(auth, k));
    let url = first(&["auth_url"]).ok_or_else(|| format!("has no “auth_url” in {}; add it", shown(name)))?;
    let url = url.trim_end_matches('/');
    let location = if url.ends_with("/v3") { format!("openstack+{url}") } else { format!("openstack+{url}/v3") };
    if !Keeping::of(&location).is_cloud() {
        return Err(format!("has an “auth_url” in {} that is no address; write https://keystone.example.org:5000/v3", shown(name)));
    }
    let kind = match text_of(cloud, "auth_type").as_deref() {
        Some("v3applicationcredential") => "application_credential",
        None | Some("password" | "v3password") if first(&["application_credential_id", "application_credential_name"]).is_some() => "application_credential",
        None | Some("password" | "v3password") if first(&["trust_id"]).is_some() => "trust",
        None | Some("password" | "v3password") => "password",
        Some(other) => return Err(format!("has the auth_type {} in {}; use v3applicationcredential or v3password", shown(other), shown(name))),
    };
    let key = if kind == "application_credential" { "application_credential_secret" } else { "password" };
    let secret = first(&[key]).ok_or_else(|| format!("has no “{key}” in {}; add it there, a secure.yaml beside it is not read", shown(name)))?;
    let mut plain = BTreeMap::from([("auth".to_owned(), kind.to_owned())]);
    let mut put = |key: &str, value: Option<String>| drop(value.map(|v| plain.insert(key.to_owned(), v)));
    put("application_credential_id", first(&["application_credential_id"]));
    if first(&["application_credential_id"]).is_none() {
        put("application_credential_name", first(&["application_credential_name"]));
    }
    let by_user = kind != "application_credential" || first(&["application_credential_id"]).is_none();
    if by_user {
        put("username", first(&["username"]));
        put("user_domain", first(&["user_domain_name", "user_domain_id", "domain_name", "domain_id"]));
    }
    match kind {
        "password" => {
            put("project", first(&["project_name", "project_id", "tenant_name", "tenant_id"]));
            put("project_domain", first(&["project_domain_name", "project_domain_id", "domain_name", "domain_id"]));
        }
        "trust" => put("trust_id", first(&["trust_id"])),
        _ => {}
    }
    put("region", text_of(cloud, "region_name"));
    put("ca", text_of(cloud, "cacert"));
    put("interface", text_of(cloud, "interface").map(|i| i.trim_end_matches("URL").to_owned()));
    Ok(Entry { location, plain, secret: Secret::new(secret) })
}

fn entries(node: &Node) -> &[yaml::Entry] {
    if let Value::Map(entries) = &node.value { entries } else { &[] }
}

fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    entries(node).iter().find(|e| e.key == key).map(|e| &e.value)
}

fn text_of(node: &Node, key: &str) -> Option<String> {
    match &child(node, key)?.value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        _ => None,
    }
}
