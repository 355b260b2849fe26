//! Who is let in, on both databases: by the rules of the provider that vouches, and by nothing else.

use store::{
    items,
    repositories::SecretRef,
    testing::{self, TestDb},
};

use super::*;
use crate::config;

const FILE: &str = r#"version: 1
providers:
  - name: checkin
    issuer: https://aai.example.org
    client_id: holdfast
    person: [voperson_id, sub]
    assurance: [https://refeds.org/assurance/IAP/low]
    roles:
      - { claim: entitlements, pattern: "urn:mace:egi.eu:group:vo:admins#aai.egi.eu", role: admin }
      - { claim: entitlements, pattern: "urn:mace:egi.eu:group:vo:auditors#aai.egi.eu", role: auditor }
      - { claim: entitlements, pattern: "urn:mace:egi.eu:group:vo:owners#aai.egi.eu", role: owner, service: notebooks }
      - { claim: entitlements, pattern: "urn:mace:egi.eu:group:vo:members#aai.egi.eu", role: member }
    data: [preferred_username]
repositories:
  - { name: main, location: file:///r, password: { env: P } }
services:
  - name: notebooks
    owner: ops
    sources:
      - { name: homes, kind: directory, path: /srv/exports, items: children, repository: main }
"#;

async fn stage(t: &TestDb) -> (Ctx, ProviderRow) {
    let shell = Ctx::new(t.db.clone(), Actor::shell(), "shell");
    config::apply(&shell, &config::parse(FILE).unwrap(), Some("holdfast.yaml")).await.unwrap();
    let anybody = Ctx::new(t.db.clone(), Actor::anonymous(), "10.0.0.1");
    let row = provider(&anybody, "checkin").await.unwrap();
    (anybody, row)
}

fn said(groups: &[&str]) -> serde_json::Map<String, serde_json::Value> {
    let groups: Vec<_> = groups.iter().map(|g| format!("urn:mace:egi.eu:group:vo:{g}:role=member#aai.egi.eu")).collect();
    let all = json!({"sub": "s1", "voperson_id": "ada@checkin", "name": "Ada Admin", "email": "ada@example.org", "email_verified": true,
        "entitlements": groups, "eduperson_assurance": ["https://refeds.org/assurance/IAP/low"]});
    let serde_json::Value::Object(map) = all else { panic!("an object") };
    map
}

#[tokio::test]
async fn a_role_comes_with_the_groups_and_goes_with_them() {
    for t in testing::databases().await {
        let (ctx, p) = stage(&t).await;
        let admit = async |groups: &[&str]| admit(&ctx, &p, &describe(&p, &said(groups)).unwrap()).await.unwrap();
        let ada = admit(&["admins", "auditors"]).await.unwrap();
        assert_eq!((ada.actor.name.as_str(), ada.actor.role, ada.actor.shown.as_deref()), ("ada@example.org", Role::Admin, Some("Ada Admin")), "{}", t.name);
        let again = admit(&["auditors"]).await.unwrap();
        assert_eq!((again.account, again.actor.role), (ada.account, Role::Auditor), "{}: the same account, another role", t.name);
        assert_eq!(admit(&["others"]).await.unwrap_err(), Refusal::NoRole);
        assert_eq!(admit(&[]).await.unwrap_err(), Refusal::NoRole);
        let trail = store::audit::page(t.db.read().await.unwrap().tx(), 0, 99).await.unwrap();
        let refused: Vec<_> = trail.iter().filter(|e| e.action == "session.refuse").collect();
        assert_eq!((refused.len(), refused[0].actor.as_str(), refused[0].origin.as_str()), (2, "ada@example.org", "10.0.0.1"));
    }
}

#[tokio::test]
async fn owners_get_their_services_and_members_their_data() {
    for t in testing::databases().await {
        let (ctx, p) = stage(&t).await;
        let mut w = t.db.begin().await.unwrap();
        let person = items::person(w.tx(), "ada", ctx.now()).await.unwrap();
        let other = items::person(w.tx(), "other", ctx.now()).await.unwrap();
        w.commit().await.unwrap();
        let service = services::find_by_name(t.db.read().await.unwrap().tx(), "notebooks").await.unwrap().unwrap().id();
        let admit = async |groups: &[&str], name: &str| {
            let mut all = said(groups);
            all.insert("preferred_username".into(), json!(name));
            admit(&ctx, &p, &describe(&p, &all).unwrap()).await.unwrap().unwrap().actor
        };
        let owner = admit(&["owners"], "ada").await;
        assert_eq!((owner.role, &owner.services[..], owner.person), (Role::Owner, &[service][..], None), "{}", t.name);
        let both = admit(&["owners", "auditors", "members"], "ada").await;
        assert_eq!((both.role, &both.services[..], both.person), (Role::Auditor, &[service][..], Some(person)));
        let member = admit(&["members"], "ada").await;
        assert_eq!((member.role, member.services.len(), member.person), (Role::Member, 0, Some(person)));
        assert_eq!(admit(&["members"], "nobody").await.person, None, "{}: no data of that name", t.name);

        // A token speaks with what the last word of the provider gives, and no more.
        let as_member = Ctx { actor: admit(&["members"], "ada").await, ..ctx.clone() };
        let wanted = crate::tokens::Wanted { name: "ci".into(), scopes: vec![Action::Read], days: 1 };
        assert!(matches!(
            crate::tokens::make(&as_member, &crate::tokens::Wanted { scopes: vec![Action::Operate], ..wanted.clone() }).await,
            Err(OpsError::Invalid(_))
        ));
        let (_, text) = crate::tokens::make(&as_member, &wanted).await.unwrap();
        let speaks = async || crate::tokens::recognise(&t.db, &ctx.clock, &text, "x").await.unwrap();
        assert_eq!(speaks().await.map(|a| (a.role, a.person)), Some((Role::Member, Some(person))), "{}", t.name);
        admit(&["owners"], "ada").await;
        assert_eq!(speaks().await.map(|a| (a.role, a.person)), Some((Role::Member, None)), "{}: a member's token is no owner's", t.name);

        // Whoever is refused at the door has no tokens that open anything either.
        admit(&["members"], "ada").await;
        assert!(speaks().await.is_some());
        let mut gone = said(&["strangers"]);
        gone.insert("preferred_username".into(), json!("ada"));
        assert_eq!(super::admit(&ctx, &p, &describe(&p, &gone).unwrap()).await.unwrap().unwrap_err(), Refusal::NoRole);
        assert_eq!(speaks().await, None, "{}: the role is gone, and its tokens with it", t.name);
        admit(&["members"], "ada").await;

        // An admin says whose data it is; that counts before the claim does.
        let shell = Ctx::new(t.db.clone(), Actor::shell(), "shell");
        link(&shell, "ada@example.org", Some("other")).await.unwrap();
        assert_eq!(admit(&["members"], "ada").await.person, Some(other));
        assert_eq!(crate::people::names::known(&shell, other).await.unwrap().accounts.len(), 1);
        let named = crate::people::list(&shell, "", "ada adm", 9).await.unwrap();
        assert_eq!((named.1, named.0[0].row.name.as_str(), named.0[0].row.shown()), (1, "other", "Ada Admin"), "{}: found by the account's name", t.name);
        assert!(matches!(link(&shell, "ada@example.org", Some("none")).await, Err(OpsError::NotFound { .. })));
        assert!(matches!(link(&as_member, "ada@example.org", None).await, Err(OpsError::Forbidden(_))));
        link(&shell, "ada@example.org", None).await.unwrap();
        assert_eq!(admit(&["members"], "nobody").await.person, None, "{}", t.name);
        let trail = store::audit::page(t.db.read().await.unwrap().tx(), 0, 999).await.unwrap();
        assert_eq!(trail.iter().filter(|e| e.action == "account.link").count(), 2);
    }
}

#[tokio::test]
async fn an_admin_ends_the_sessions_of_others() {
    for t in testing::databases().await {
        let (ctx, p) = stage(&t).await;
        let ada = admit(&ctx, &p, &describe(&p, &said(&["auditors"])).unwrap()).await.unwrap().unwrap();
        let of = Ctx { actor: ada.actor.clone(), ..ctx.clone() };
        let mut w = t.db.begin().await.unwrap();
        store::sessions::save(w.tx(), "s1", "{}", ctx.now().plus_secs(600)).await.unwrap();
        w.commit().await.unwrap();
        let one = Opened { session: "s1", account: Some(ada.account), sid: None, tokens: None, agent: "", refresh_at: ctx.now(), given: &[] };
        opened(&of, &one).await.unwrap();
        assert_eq!(sessions(&of).await.unwrap().len(), 1, "{}", t.name);
        assert!(matches!(end_sessions(&of, "ada@example.org").await, Err(OpsError::Forbidden(_))));
        let shell = Ctx::new(t.db.clone(), Actor::shell(), "shell");
        assert!(matches!(end_sessions(&shell, "nobody").await, Err(OpsError::NotFound { .. })));
        assert_eq!(end_sessions(&shell, "ada@example.org").await.unwrap(), 1);
        assert!(sessions(&of).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_join_that_was_a_mistake_leaves_no_account_behind() {
    for t in testing::databases().await {
        let (ctx, p) = stage(&t).await;
        let mut w = t.db.begin().await.unwrap();
        let ada = items::person(w.tx(), "ada", ctx.now()).await.unwrap();
        items::person(w.tx(), "bob", ctx.now()).await.unwrap();
        w.commit().await.unwrap();
        let admit = async || admit(&ctx, &p, &describe(&p, &said(&["members"])).unwrap()).await.unwrap().unwrap().actor;
        admit().await;
        let shell = Ctx::new(t.db.clone(), Actor::shell(), "shell");
        link(&shell, "ada@example.org", Some("bob")).await.unwrap();
        crate::people::names::add(&shell, "ada", "bob").await.unwrap();
        crate::people::names::remove(&shell, "ada", "bob").await.unwrap();
        let person = admit().await.person;
        assert_eq!(person, None, "{}: it sees nobody's data until somebody says so", t.name);
        assert_ne!(person, Some(ada));
    }
}

#[tokio::test]
async fn what_a_provider_must_say_is_asked_for() {
    let t = testing::sqlite().await;
    let (ctx, p) = stage(&t).await;
    let with = |f: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut all = said(&["admins"]);
        f(&mut all);
        all
    };
    let admit = async |all| admit(&ctx, &p, &describe(&p, &all).unwrap()).await.unwrap();
    assert_eq!(admit(with(&|m| drop(m.remove("eduperson_assurance")))).await.unwrap_err(), Refusal::Assurance);
    assert_eq!(
        admit(with(&|m| drop(m.insert("eduperson_assurance".into(), json!("https://refeds.org/assurance/IAP/local"))))).await.unwrap_err(),
        Refusal::Assurance
    );
    assert_eq!(
        describe(
            &p,
            &with(&|m| {
                m.remove("sub");
                m.remove("voperson_id");
            })
        )
        .unwrap_err(),
        Refusal::NoKey
    );
    assert_eq!(describe(&p, &with(&|m| drop(m.remove("voperson_id")))).unwrap().subject, "s1", "the next claim of the list");
    // An address that nobody verified is none: neither a name nor what a rule may look at.
    let unverified = describe(&p, &with(&|m| drop(m.insert("email_verified".into(), json!(false))))).unwrap();
    assert_eq!((unverified.email.as_str(), unverified.claims.get("email")), ("", None));
    // Nobody takes a name that is ours, or another's.
    let shell = admit(with(&|m| {
        m.insert("email".into(), json!("shell"));
        m.insert("voperson_id".into(), json!("x"));
    }))
    .await
    .unwrap();
    assert!(shell.actor.name.starts_with("shell (checkin "), "{}", shell.actor.name);
    let first = admit(said(&["admins"])).await.unwrap();
    let second = admit(with(&|m| drop(m.insert("voperson_id".into(), json!("other"))))).await.unwrap();
    assert_ne!(first.actor.name, second.actor.name);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_and_by_the_provider() {
    for t in testing::databases().await {
        let (ctx, p) = stage(&t).await;
        let ada = admit(&ctx, &p, &describe(&p, &said(&["admins"])).unwrap()).await.unwrap().unwrap();
        let as_ada = Ctx { actor: ada.actor.clone(), ..ctx.clone() };
        let open = async |id: &str, sid: &str| {
            let mut w = t.db.begin().await.unwrap();
            store::sessions::create(w.tx(), id, "{}", ctx.now().plus_secs(600)).await.unwrap();
            w.commit().await.unwrap();
            let tokens = Some(SecretRef::Sealed("x".into()));
            let o = Opened { session: id, account: Some(ada.account), sid: Some(sid.into()), tokens, agent: "curl", refresh_at: ctx.now(), given: &ada.given };
            opened(&as_ada, &o).await.unwrap();
        };
        for (id, sid) in [("a", "1"), ("b", "1"), ("c", "2")] {
            open(id, sid).await;
        }
        let live = async || sessions(&as_ada).await.unwrap().into_iter().map(|s| s.row.session_id).collect::<Vec<_>>();
        assert_eq!(live().await.len(), 3, "{}", t.name);
        let other = Ctx { actor: Actor::new("bob", Role::Admin), ..ctx.clone() };
        assert!(matches!(end_session(&other, &handle("a")).await, Err(OpsError::NotFound { .. })), "nobody ends another's");
        end_session(&as_ada, &handle("a")).await.unwrap();
        assert_eq!(end_by_provider(&ctx, &p, Some("2"), None).await.unwrap(), 1);
        assert_eq!(live().await, ["b"], "{}", t.name);
        // One of two at once takes it on.
        let later = ctx.now().plus_secs(60);
        assert!(take_refresh(&ctx, "b", later).await.unwrap().is_some());
        assert!(take_refresh(&ctx, "b", later).await.unwrap().is_none(), "{}: until it is due again", t.name);
        assert_eq!(end_by_provider(&ctx, &p, None, Some("ada@checkin")).await.unwrap(), 1);
        assert!(live().await.is_empty());
    }
}
