//! From the text to the typed configuration.
//!
//! Lives here: what repositories, services and sources are (clouds and policies stand beside), and how they refer to each other.
//! May not: the database, the disk. Invariant: [`parse`] never panics and never stops at the first mistake of meaning.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use domain::{instance::Keeping, naming::nearest};
use engine::{
    job::{DirectoryConfig, DirectoryItems, InstanceConfig, SourceConfig},
    repository::storage::Location,
};
use store::{
    repositories::{NewRepository, StorageOptions},
    services::Canary,
};

use super::{
    Config, Mistake, NamedSource, ServiceConfig, clouds,
    keys::{CANARY, MOST_PARALLEL, POLICY, REPOSITORY, SERVICE, SOURCE, SOURCES, TOP, or, shown},
    notifications, policies, providers, restore_tests, schedule,
    walk::{Fields, Text, Walk},
    yaml::{self, At, Node, Value},
};

const MOST_REPOSITORIES: usize = 1_000;
const MOST_POLICIES: usize = 1_000;
const MOST_SERVICES: usize = 10_000;
const MOST_SCHEDULES: usize = 10_000;
const MOST_SOURCES: usize = 100;
const MOST_EXCLUDES: usize = 1_000;
const SHORTEST_READING_S: i64 = 86_400;

/// A repository as far as it could be read, for references and comparisons.
pub(super) struct Seen {
    at: At,
    location: Option<Location>,
    pub(super) keeping: Keeping,
}

/// What a source may refer to.
struct Known<'k, 'a> {
    repositories: &'k HashMap<&'a str, Seen>,
    policies: &'k Names<'a>,
}

/// Names of the same kind with the place of the first of each.
pub(super) type Names<'a> = HashMap<&'a str, At>;

/// Reads the configuration.
///
/// # Errors
/// Every mistake in the order of the text, at most some fifty. Where the text is no YAML at all, the first one.
pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    let root = yaml::read(text).map_err(|m| vec![m])?;
    let mut walk = Walk::default();
    let config = top(&mut walk, &root);
    walk.finish()?;
    Ok(config)
}

fn top(walk: &mut Walk, root: &Node) -> Config {
    let mut config = Config::default();
    let Some(fields) = walk.fields(root, &TOP) else { return config };
    if let Some(version) = walk.required_text(&fields, "version")
        && version.text != "1"
    {
        walk.say(version.at, format!("version {} is not known; this Holdfast reads version: 1", shown(version.text)));
    }
    let mut repositories = HashMap::new();
    let mut names = Names::new();
    for node in entries(walk, &fields, "repositories", MOST_REPOSITORIES) {
        repository(walk, node, &mut names, &mut repositories, &mut config);
    }
    let mut seen = Names::new();
    for node in entries(walk, &fields, "policies", MOST_POLICIES) {
        let Some(fields) = walk.fields(node, &POLICY) else { continue };
        if let Some(name) = unique_name(walk, &fields, &mut seen, "policy") {
            config.policies.push(policies::policy(walk, &fields, name));
        }
    }
    let known = Known { repositories: &repositories, policies: &seen };
    let mut names = Names::new();
    for node in entries(walk, &fields, "services", MOST_SERVICES) {
        config.services.extend(service(walk, node, &mut names, &known));
    }
    if let Some(entry) = fields.get("notifications") {
        config.notifications = notifications::read(walk, &entry.value);
    }
    if fields.get("providers").is_some() {
        let mut names = Names::new();
        let mut all = Vec::new();
        for node in entries(walk, &fields, "providers", providers::MOST) {
            all.extend(providers::provider(walk, node, &mut names));
        }
        config.providers = Some(all);
    }
    let known = schedule::Known { services: &config.services, names: &names, repositories: &repositories };
    let mut names = Names::new();
    for node in entries(walk, &fields, "schedules", MOST_SCHEDULES) {
        let read = schedule::schedule(walk, node, &mut names, &known);
        config.schedules.extend(read);
    }
    config
}

/// The entries of a list that may be left out or be empty.
pub(super) fn entries<'a>(walk: &mut Walk, fields: &Fields<'a>, key: &str, most: usize) -> &'a [Node] {
    fields.get(key).map_or(&[], |entry| walk.list(fields, entry, most))
}

/// The name of an entry; it must be the first of its kind.
pub(super) fn unique_name<'a>(walk: &mut Walk, fields: &Fields<'a>, names: &mut Names<'a>, what: &str) -> Option<Text<'a>> {
    let name = walk.slug(fields)?;
    if let Some(first) = names.get(name.text) {
        walk.say(name.at, format!("a second {what} is called {}; the first is on line {}; rename one", shown(name.text), first.line));
        return None;
    }
    names.insert(name.text, name.at);
    Some(name)
}

fn repository<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>, seen: &mut HashMap<&'a str, Seen>, config: &mut Config) {
    let Some(fields) = walk.fields(node, &REPOSITORY) else { return };
    let name = unique_name(walk, &fields, names, "repository");
    let max_parallel = walk.whole(&fields, "max_parallel", 1..=MOST_PARALLEL);
    if clouds::is_cloud(&fields) {
        let cloud = clouds::cloud(walk, &fields);
        if let Some(name) = name {
            seen.insert(name.text, Seen { at: name.at, location: None, keeping: Keeping::Cloud });
            if let Some((location, options, password)) = cloud {
                let name = name.text.to_owned();
                config.repositories.push(NewRepository { name, location, options, password, max_parallel, read_all_within_s: None });
            }
        }
        return;
    }
    clouds::refuse(walk, &fields);
    let location = location(walk, &fields);
    if let Some((at, here, _)) = &location
        && let Some((other, there)) = seen.iter().find(|(_, s)| s.location.as_ref() == Some(here))
    {
        walk.say(*at, format!("this is the location of “{other}” on line {} already; use that repository, or another place", there.at.line));
    }
    let password = walk.required(&fields, "password").and_then(|entry| walk.secret(entry));
    let options = storage(walk, &fields, location.as_ref().map(|(_, l, _)| l));
    let read_all_within_s = reading(walk, &fields);
    if let Some(name) = name {
        seen.insert(name.text, Seen { at: name.at, location: location.as_ref().map(|(_, l, _)| l.clone()), keeping: Keeping::Files });
        if let (Some((_, _, location)), Some(password)) = (location, password) {
            config.repositories.push(NewRepository { name: name.text.to_owned(), location, options, password, max_parallel, read_all_within_s });
        }
    }
}

/// Within how many seconds every pack is read.
fn reading(walk: &mut Walk, fields: &Fields<'_>) -> Option<i64> {
    let within = walk.span(fields, "read_all_within")?;
    if within < SHORTEST_READING_S {
        let at = fields.get("read_all_within").map(|entry| entry.value.at)?;
        walk.say(at, "“read_all_within” is shorter than a day; write at least 1d, or a schedule of checks with read_data: true");
        return None;
    }
    Some(within)
}

/// Where the repository lies: its place in the file, its meaning, and the text that is kept.
fn location(walk: &mut Walk, fields: &Fields<'_>) -> Option<(At, Location, String)> {
    let Text { at, text } = walk.required_text(fields, "location")?;
    if text.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@'))) {
        walk.say_secret(at, "the location must not hold credentials (the part before “@”); give them as access_key_id and secret_access_key");
        return None;
    }
    match Location::parse(text) {
        Ok(Location::Folder(path)) => {
            let path = walk.absolute(at, &path.to_string_lossy(), "the location")?;
            Some((at, Location::Folder(PathBuf::from(&path)), format!("file://{path}")))
        }
        Ok(Location::S3 { bucket, prefix }) => {
            let short = if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") };
            Some((at, Location::S3 { bucket, prefix }, short))
        }
        Ok(Location::Memory(_)) => {
            walk.say(at, "memory:// lasts no longer than a process; use file:///absolute/path or s3://bucket/prefix");
            None
        }
        Err(_) if text.starts_with("file:") => {
            walk.say(at, format!("the location {} must be absolute: file:///absolute/path, with three slashes", shown(text)));
            None
        }
        Err(_) if text.starts_with("s3://") => {
            walk.say(at, format!("the location {} names no bucket; write s3://bucket/prefix", shown(text)));
            None
        }
        Err(_) if text.starts_with('/') => {
            walk.say(at, format!("the location needs its kind in front; write file://{}", text.trim_end()));
            None
        }
        Err(_) => {
            walk.say(at, format!("the location {} is of a kind that is not supported; use file:///absolute/path, s3://bucket/prefix or openstack+https://keystone.example.org/v3", shown(text)));
            None
        }
    }
}

/// How S3 is reached. A folder has no such keys.
fn storage(walk: &mut Walk, fields: &Fields<'_>, location: Option<&Location>) -> StorageOptions {
    const PLAIN: [&str; 2] = ["endpoint", "region"];
    const SECRET: [&str; 2] = ["secret_access_key", "session_token"];
    const ID: &str = "access_key_id";
    let mut options = StorageOptions::default();
    if matches!(location, Some(Location::Folder(_))) {
        for key in PLAIN.into_iter().chain(SECRET).chain([ID]) {
            if let Some(entry) = fields.get(key) {
                walk.say(entry.at, format!("“{key}” is for s3:// locations; remove it, a folder needs none"));
            }
        }
        return options;
    }
    for key in PLAIN {
        let Some(Text { at, text }) = walk.optional_text(fields, key) else { continue };
        if key == "endpoint" && !endpoint(walk, at, text) {
            continue;
        }
        options.plain.insert(key.to_owned(), text.to_owned());
    }
    // Who writes http:// has decided; backups are encrypted before they travel.
    if options.plain.get("endpoint").is_some_and(|e| e.starts_with("http://")) {
        options.plain.insert("allow_http".to_owned(), "true".to_owned());
    }
    for key in SECRET {
        if let Some(reference) = fields.get(key).and_then(|entry| walk.secret(entry)) {
            options.secret.insert(key.to_owned(), reference);
        }
    }
    if let Some(entry) = fields.get(ID) {
        // The id is no secret: it may stand in clear.
        if matches!(entry.value.value, Value::Text(_)) {
            if let Some(id) = walk.text(fields, entry) {
                options.plain.insert(ID.to_owned(), id.text.to_owned());
            }
        } else if let Some(reference) = walk.secret(entry) {
            options.secret.insert(ID.to_owned(), reference);
        }
    }
    for (one, other) in [(ID, SECRET[0]), (SECRET[0], ID), (SECRET[1], ID)] {
        if let (Some(entry), None) = (fields.get(one), fields.get(other)) {
            walk.say(entry.at, format!("“{one}” needs “{other}” beside it; add {}", fields.level.example(other)));
        }
    }
    options
}

fn endpoint(walk: &mut Walk, at: At, text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if host.contains('@') => {
            walk.say(at, "“endpoint” must not hold credentials (the part before “@”); give them as access_key_id and secret_access_key");
        }
        Some(host) if !host.is_empty() && !host.starts_with('/') => return true,
        _ => walk.say(at, format!("“endpoint”: {} is not an address; write it as https://s3.example.org", shown(text))),
    }
    false
}

fn service<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>, known: &Known<'_, 'a>) -> Option<ServiceConfig> {
    let fields = walk.fields(node, &SERVICE)?;
    let name = unique_name(walk, &fields, names, "service");
    let name = name.filter(|n| {
        let taken = n.text == domain::installation::INSTALLATION;
        if taken {
            walk.say(n.at, "this name is the one of Holdfast's own snapshots; choose another");
        }
        !taken
    });
    let title = walk.optional_text(&fields, "title");
    let title = walk.line(title, "title");
    let owner = walk.required_text(&fields, "owner");
    let owner = walk.line(owner, "owner");
    let rpo_s = walk.span(&fields, "rpo");
    let rto_s = walk.span(&fields, "rto");
    let mtpod_s = walk.span(&fields, "mtpod");
    let canary = fields.get("canary").and_then(|entry| canary(walk, &entry.value));
    let mut sources = Vec::new();
    if let Some(entry) = walk.required(&fields, "sources") {
        let nodes = walk.list(&fields, entry, MOST_SOURCES);
        if nodes.is_empty() && matches!(entry.value.value, Value::List(_)) {
            walk.say(entry.value.at, "“sources” is empty; a service needs at least one source to be backed up");
        }
        let mut names = Names::new();
        for node in nodes {
            sources.extend(source(walk, node, &mut names, known));
        }
    }
    let mut tests = Vec::new();
    let mut names = Names::new();
    for node in entries(walk, &fields, "restore_tests", restore_tests::MOST) {
        tests.extend(restore_tests::restore_test(walk, node, &mut names));
    }
    let name = name?.text.to_owned();
    Some(ServiceConfig { title: title.unwrap_or_else(|| name.clone()), name, owner: owner?, rpo_s, rto_s, mtpod_s, canary, sources, tests })
}

fn canary(walk: &mut Walk, node: &Node) -> Option<Canary> {
    let fields = walk.fields(node, &CANARY)?;
    let item = walk.required_text(&fields, "item");
    let path = walk.required_text(&fields, "path");
    let sha256 = walk.required_text(&fields, "sha256");
    let path = path.and_then(|Text { at, text }| {
        if text.starts_with('/') || Path::new(text).components().any(|c| c == std::path::Component::ParentDir) {
            walk.say(at, format!("“path”: {} must lie inside the item; write it without a leading / and without “..”", shown(text)));
            return None;
        }
        Some(text.to_owned())
    });
    let sha256 = sha256.and_then(|Text { at, text }| {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            walk.say(at, "“sha256” must be 64 hexadecimal digits; take what sha256sum prints for the file");
            return None;
        }
        Some(text.to_ascii_lowercase())
    });
    Some(Canary { item: item?.text.to_owned(), path: path?, sha256: sha256? })
}

fn source<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>, known: &Known<'_, 'a>) -> Option<NamedSource> {
    let fields = walk.fields(node, &SOURCE)?;
    let name = unique_name(walk, &fields, names, "source of this service");
    let kind = walk.required_text(&fields, "kind");
    let repository = walk.required_text(&fields, "repository").and_then(|r| reference(walk, r, known.repositories));
    let config = match kind {
        Some(Text { text: "openstack-instance", .. }) => instances(walk, &fields, known).map(SourceConfig::OpenstackInstance),
        other => {
            if let Some(Text { at, text }) = other.filter(|k| k.text != "directory") {
                walk.say(at, format!("the kind {} is not known; use {}", shown(text), or(&SOURCES)));
            }
            directory(walk, &fields, repository.and_then(|(_, seen)| seen.location.as_ref())).map(SourceConfig::Directory)
        }
    };
    let policy = walk.optional_text(&fields, "policy").and_then(|p| {
        let mut names: Vec<&str> = known.policies.keys().copied().collect();
        names.sort_unstable();
        policies::reference(walk, p, &names)
    });
    if let (Some(entry), Some(SourceConfig::OpenstackInstance(InstanceConfig { offsite: None, .. }))) = (fields.get("policy"), &config) {
        walk.say(
            entry.at,
            "“policy” of an openstack-instance is for its offsite copies; name a repository by “offsite”, or remove it and write max_snapshots in the schedule",
        );
    }
    if let (Some(config), Some((name, seen)), Some(entry)) = (&config, repository, fields.get("repository"))
        && let Some(problem) = crate::repositories::misplaced(config, name, seen.keeping)
    {
        walk.say(entry.value.at, problem);
    }
    Some(NamedSource { name: name?.text.to_owned(), repository: repository?.0.to_owned(), policy, config: config? })
}

/// A folder or a tree of them; `place` is where its repository lies.
fn directory(walk: &mut Walk, fields: &Fields<'_>, place: Option<&Location>) -> Option<DirectoryConfig> {
    if let Some(entry) = fields.get("instances") {
        walk.say(entry.at, "“instances” is for openstack-instance; remove it, or write kind: openstack-instance");
    }
    if let Some(entry) = fields.get("offsite") {
        walk.say(entry.at, "“offsite” is for openstack-instance; remove it, files are kept in the repository that is named");
    }
    let path = walk.required_text(fields, "path");
    let path = path.and_then(|p| walk.absolute(p.at, p.text, "“path”").map(|short| (p.at, PathBuf::from(short))));
    let items = walk.required_text(fields, "items").and_then(|Text { at, text }| match text {
        "children" => Some(DirectoryItems::Children),
        "self" => Some(DirectoryItems::Itself),
        other => {
            walk.say(at, format!("“items”: {} is not known; write children (each folder below is an item) or self (the folder is the item)", shown(other)));
            None
        }
    });
    if let (Some((at, path)), Some(Location::Folder(folder))) = (&path, place)
        && folder.starts_with(path)
    {
        walk.say(*at, format!("the repository lies inside this path ({}) and would back itself up; keep the two apart", folder.display()));
    }
    let exclude = fields.get("exclude").map(|entry| excludes(walk, fields, entry)).unwrap_or_default();
    Some(DirectoryConfig { path: path?.1, items: items?, exclude })
}

/// The instances of a cloud's project.
fn instances(walk: &mut Walk, fields: &Fields<'_>, known: &Known<'_, '_>) -> Option<InstanceConfig> {
    for key in ["path", "items", "exclude"] {
        if let Some(entry) = fields.get(key) {
            walk.say(entry.at, format!("“{key}” is for kind: directory; remove it, instances are named by “instances”"));
        }
    }
    let offsite = walk.optional_text(fields, "offsite").and_then(|text| {
        let (name, seen) = reference(walk, text, known.repositories)?;
        if seen.keeping.is_cloud() {
            walk.say(text.at, format!("“offsite”: the repository {} is a cloud; a copy is made of files, so name one at file:// or s3://", shown(name)));
            return None;
        }
        Some(name.to_owned())
    });
    let Some(entry) = fields.get("instances") else { return Some(InstanceConfig { offsite, ..InstanceConfig::default() }) };
    let config = InstanceConfig { instances: walk.texts(fields, entry, MOST_EXCLUDES), offsite };
    if let Some(pattern) = config.unreadable() {
        walk.say(
            entry.value.at,
            format!("“instances”: the pattern {} cannot be read; close its bracket, and write nothing after its last backslash", shown(pattern)),
        );
        return None;
    }
    Some(config)
}

pub(super) fn reference<'a, 'b>(walk: &mut Walk, Text { at, text }: Text<'a>, repositories: &'b HashMap<&'a str, Seen>) -> Option<(&'a str, &'b Seen)> {
    if let Some(seen) = repositories.get(text) {
        return Some((text, seen));
    }
    let known: BTreeMap<_, _> = repositories.iter().collect();
    let names: Vec<&str> = known.keys().map(|k| **k).collect();
    let remedy = match nearest(text, names.iter().copied()) {
        Some(meant) => format!("did you mean “{meant}”?"),
        None if names.is_empty() => "add it to the list of repositories".to_owned(),
        None if names.len() <= 5 => format!("use {}, or add it to the list of repositories", or(&names)),
        None => "add it to the list of repositories".to_owned(),
    };
    walk.say(at, format!("there is no repository {}; {remedy}", shown(text)));
    None
}

fn excludes(walk: &mut Walk, fields: &Fields<'_>, entry: &yaml::Entry) -> Vec<String> {
    let mut out = Vec::new();
    for node in walk.list(fields, entry, MOST_EXCLUDES) {
        match &node.value {
            Value::Text(pattern) if !pattern.trim().is_empty() && !pattern.contains(char::is_control) => out.push(pattern.clone()),
            _ => walk.say(node.at, "each entry of “exclude” must be a pattern in quotes, such as \"*.tmp\""),
        }
    }
    out
}
