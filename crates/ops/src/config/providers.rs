//! OpenID providers in the configuration, with who gets which role.
//!
//! Lives here: reading them and carrying them out. May not: secrets themselves; the file only says where each one is.
//! Invariant: a list of providers is all of them: one that is no longer in it lets nobody in.

use domain::access::{Grant, Pattern, Provider, REFRESH_S, RoleRule, issuer_problem};
use serde_json::{Value as Json, json};
use store::{Tx, audit::NewEvent, providers, repositories::SecretRef};

use super::{
    apply::{By, Change, State},
    difference::{Applied, Subject},
    keys::{PROVIDER, ROLE, shown},
    read::{Names, entries, unique_name},
    walk::{Fields, Text, Walk},
    yaml::{Node, Value},
};
use crate::Result;

pub(super) const MOST: usize = 20;
const MOST_ROLES: usize = 1_000;
const MOST_WORDS: usize = 50;
/// The shortest and the longest time between two questions to the provider, in seconds.
const REFRESH: std::ops::RangeInclusive<i64> = 30..=86_400;

/// A provider as the file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    pub name: String,
    pub config: Provider,
    /// `None` for a public client.
    pub client_secret: Option<SecretRef>,
}

pub(super) fn provider<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>) -> Option<ProviderConfig> {
    let fields = walk.fields(node, &PROVIDER)?;
    let name = unique_name(walk, &fields, names, "provider");
    let title = walk.optional_text(&fields, "title");
    let title = walk.line(title, "title");
    let issuer = walk.required_text(&fields, "issuer");
    if let Some(Text { at, text }) = issuer
        && let Some(problem) = issuer_problem(text)
    {
        walk.say(at, format!("“issuer” {problem}"));
    }
    let client_id = walk.required_text(&fields, "client_id");
    let client_id = walk.line(client_id, "client_id");
    let client_secret = fields.get("client_secret").and_then(|entry| walk.secret(entry));
    let scopes = words(walk, &fields, "scopes", &["openid", "profile", "email"]);
    let person = words(walk, &fields, "person", &["sub"]);
    let data = words(walk, &fields, "data", &[]);
    let assurance = words(walk, &fields, "assurance", &[]);
    let refresh_s = walk.span(&fields, "refresh").unwrap_or(REFRESH_S);
    if !REFRESH.contains(&refresh_s) {
        let at = fields.get("refresh").map_or(fields.at, |e| e.value.at);
        walk.say(at, "“refresh” must be from 30s to 24h: after so long a role that was taken away is gone");
    }
    let mut roles = Vec::new();
    for node in entries(walk, &fields, "roles", MOST_ROLES) {
        roles.extend(role(walk, node));
    }
    if roles.is_empty() && fields.get("roles").is_none() {
        walk.required(&fields, "roles");
    }
    let name = name?.text.to_owned();
    let config = Provider {
        title: title.unwrap_or_else(|| name.clone()),
        issuer: issuer?.text.to_owned(),
        client_id: client_id?,
        scopes,
        person,
        data,
        assurance,
        roles,
        refresh_s,
    };
    Some(ProviderConfig { name, config, client_secret })
}

/// A list of words without spaces.
fn words(walk: &mut Walk, fields: &Fields<'_>, key: &str, otherwise: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for node in entries(walk, fields, key, MOST_WORDS) {
        match &node.value {
            Value::Text(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) => found.push(text.clone()),
            _ => walk.say(node.at, format!("each entry of “{key}” must be a word; write {}", fields.level.example(key))),
        }
    }
    if found.is_empty() { otherwise.iter().map(|w| (*w).to_owned()).collect() } else { found }
}

fn role(walk: &mut Walk, node: &Node) -> Option<RoleRule> {
    let fields = walk.fields(node, &ROLE)?;
    let claim = walk.required_text(&fields, "claim");
    let claim = walk.line(claim, "claim");
    let pattern = walk.required_text(&fields, "pattern");
    if let Some(Text { at, text }) = pattern
        && let Err(bad) = Pattern::parse(text)
    {
        walk.say(at, format!("“pattern” {bad}"));
    }
    let service = walk.optional_text(&fields, "service");
    let grant = walk.required_text(&fields, "role").and_then(|Text { at, text }| match (text, service) {
        ("admin", None) => Some(Grant::Admin),
        ("auditor", None) => Some(Grant::Auditor),
        ("member", None) => Some(Grant::Member),
        ("owner", Some(of)) => Some(Grant::Owner { service: of.text.to_owned() }),
        ("owner", None) => {
            walk.say(at, format!("an owner owns a service; write {} beside it", fields.level.example("service")));
            None
        }
        ("admin" | "auditor" | "member", Some(of)) => {
            walk.say(of.at, "“service” belongs to an owner; leave it out, or write role: owner");
            None
        }
        (other, _) => {
            walk.say(at, format!("“role”: {} is not known; use admin, auditor, owner or member", shown(other)));
            None
        }
    });
    Some(RoleRule { claim: claim?, pattern: pattern?.text.trim().to_owned(), grant: grant? })
}

/// Makes the providers those of the file, in the transaction of the whole.
pub(super) async fn apply(by: By<'_>, mut tx: Tx<'_>, wanted: &[ProviderConfig], applied: &mut Applied) -> Result<()> {
    let ctx = by.ctx;
    for p in wanted {
        let old = providers::find_by_name(tx.by_ref(), &p.name).await?;
        let before = old.as_ref().map(|r| (r.removed_at, values(&r.config.0, r.client_secret.as_ref().map(|s| &s.0))));
        let change = Change::between("provider", &p.name, before, values(&p.config, p.client_secret.as_ref()));
        let id = match (&old, &change.state) {
            (Some(row), State::Unchanged) => row.id(),
            _ => providers::upsert(tx.by_ref(), &p.name, &p.config, p.client_secret.as_ref(), ctx.now()).await?,
        };
        change.record(by, tx.by_ref(), id.0, applied).await?;
    }
    for row in providers::list(tx.by_ref()).await? {
        if wanted.iter().any(|p| p.name == row.name) {
            continue;
        }
        providers::remove(tx.by_ref(), row.id(), ctx.now()).await?;
        let event =
            NewEvent { action: "provider.remove", entity: "provider", entity_id: row.id.to_string(), before: Some(json!({"name": row.name})), after: None };
        ctx.audit(tx.by_ref(), event).await?;
        applied.removed.push(Subject::new("provider", row.name));
    }
    Ok(())
}

fn values(config: &Provider, secret: Option<&SecretRef>) -> Json {
    let mut all = serde_json::to_value(config).unwrap_or_default();
    if let Json::Object(map) = &mut all {
        map.insert("client_secret".to_owned(), json!(secret));
    }
    all
}

#[cfg(test)]
mod tests {
    use domain::access::Grant;
    use store::{Clock, testing};

    use crate::{
        Actor, Ctx,
        config::{self, parse},
    };

    const FILE: &str = r#"version: 1
providers:
  - name: checkin
    title: EGI Check-in
    issuer: https://aai.egi.eu/auth/realms/egi
    client_id: holdfast
    client_secret: { env: CHECKIN }
    scopes: [openid, profile, email, voperson_id, entitlements]
    person: [voperson_id, sub]
    assurance: [https://refeds.org/assurance/IAP/low]
    refresh: 10m
    roles:
      - { claim: entitlements, pattern: "urn:mace:egi.eu:group:vo.example.org:admins#aai.egi.eu", role: admin }
      - { claim: email, pattern: "*@audit.example.org", role: auditor }
      - { claim: email, pattern: "nb@example.org", role: owner, service: notebooks }
      - { claim: email, pattern: "*@example.org", role: member }
    data: [preferred_username]
"#;

    #[test]
    fn a_provider_is_read_and_written_back() {
        let config = parse(FILE).unwrap();
        let all = config.providers.as_ref().unwrap();
        let p = &all[0].config;
        assert_eq!((p.title.as_str(), p.refresh_s, p.roles.len(), &p.roles[1].grant), ("EGI Check-in", 600, 4, &Grant::Auditor));
        assert_eq!(p.person, ["voperson_id", "sub"]);
        assert_eq!(parse(&config::write(&config)).unwrap(), config);
        assert_eq!(parse("version: 1\n").unwrap().providers, None);
        assert_eq!(parse("version: 1\nproviders: []\n").unwrap().providers, Some(Vec::new()));
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        for (from, to, said) in [
            ("https://aai.egi.eu/auth/realms/egi", "http://aai.egi.eu", "5:13: “issuer” must begin with https://"),
            ("role: admin }", "role: root }", "“role”: “root” is not known; use admin, auditor, owner or member"),
            ("#aai.egi.eu\"", "\"", "does not say whose word counts"),
            ("role: auditor }", "role: owner }", "an owner owns a service; write service: notebooks beside it"),
            ("role: auditor }", "role: auditor, service: notebooks }", "“service” belongs to an owner"),
            ("\"*@audit.example.org\"", "\"*\"", "fits everybody"),
            ("refresh: 10m", "refresh: 1s", "“refresh” must be from 30s to 24h"),
            ("{ env: CHECKIN }", "hunter2", "client_secret"),
            ("    client_id: holdfast\n", "", "client_id"),
            ("    title: EGI Check-in\n", "    tittle: EGI Check-in\n", "did you mean “title”?"),
        ] {
            let mistakes = parse(&FILE.replace(from, to)).unwrap_err();
            let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            assert!(all.iter().any(|m| m.contains(said)), "{from} → {to}: {all:?}");
            assert!(!all.iter().any(|m| m.contains("hunter2")), "a secret is told: {all:?}");
        }
    }

    #[tokio::test]
    async fn a_list_of_providers_is_all_of_them() {
        for t in testing::databases().await {
            let ctx = Ctx { clock: Clock::System, ..Ctx::new(t.db.clone(), Actor::shell(), "shell") };
            let first = config::apply(&ctx, &parse(FILE).unwrap(), Some("holdfast.yaml")).await.unwrap();
            assert_eq!((first.created.len(), first.created[0].entity), (1, "provider"));
            assert_eq!(config::apply(&ctx, &parse(FILE).unwrap(), Some("holdfast.yaml")).await.unwrap().unchanged.len(), 1);
            config::apply(&ctx, &parse("version: 1\n").unwrap(), Some("holdfast.yaml")).await.unwrap();
            let list = async || store::providers::list(t.db.read().await.unwrap().tx()).await.unwrap();
            assert_eq!(list().await.len(), 1, "{}: a file that says nothing of them changes none", t.name);
            config::apply(&ctx, &parse("version: 1\nproviders: []\n").unwrap(), Some("holdfast.yaml")).await.unwrap();
            assert!(list().await.is_empty());
            assert_eq!(config::apply(&ctx, &parse(FILE).unwrap(), Some("holdfast.yaml")).await.unwrap().changed.len(), 1, "{}: it is there again", t.name);
        }
    }
}
