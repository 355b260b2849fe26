//! Who is who: further names of a person, items that are nobody's, and what accounts suggest (R30).
//!
//! Lives here: the use cases. May not: SQL, reading providers.
//! Whose data something is decides who may read it: only whoever admits people changes it.

use domain::id::{ItemId, PersonId, ServiceId};
use serde_json::json;
use store::{
    accounts,
    audit::NewEvent,
    items,
    people::{self, PersonRow},
    person_names::{self, NameRow, NobodysItem},
    providers::{self, ProviderRow},
};

use crate::{
    Ctx, OpsError, Result,
    accounts::AccountRow,
    permission::{Action, Sight, require, sight},
};

/// The longest page of items that are nobody's, and the longest name.
pub const PAGE: i64 = 200;
const LONGEST: usize = 255;

/// How a person is known.
#[derive(Clone, Debug)]
pub struct Known {
    /// Further names beside their own.
    pub names: Vec<NameRow>,
    /// The accounts whose data is theirs.
    pub accounts: Vec<AccountRow>,
    /// Other people whose name is an address or a claim of one of the accounts: probably the same human.
    pub maybe: Vec<PersonRow>,
}

/// How a person is known, for whoever sees everybody.
pub async fn known(ctx: &Ctx, person: PersonId) -> Result<Known> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let names = person_names::of_person(read.tx(), person).await?;
    let accounts = accounts::of_person(read.tx(), person).await?;
    let mut maybe: Vec<PersonRow> = Vec::new();
    for account in &accounts {
        let provider = providers::find(read.tx(), domain::id::ProviderId(account.provider_id)).await?;
        for name in said(account, provider.as_ref()) {
            let other = people::find_by_name(read.tx(), &name).await?.filter(|o| o.id != person.0);
            maybe.extend(other.filter(|o| maybe.iter().all(|m| m.id != o.id)));
        }
    }
    Ok(Known { names, accounts, maybe })
}

/// The names that an account bears: its address, and the claims in which its provider says whose data is theirs.
fn said(account: &AccountRow, provider: Option<&ProviderRow>) -> Vec<String> {
    let claims = provider.iter().flat_map(|p| &p.config.0.data).filter_map(|c| account.claims.0.get(c)).flatten();
    claims.chain([&account.email]).filter(|n| !n.is_empty()).cloned().collect()
}

/// Says that what is kept under `name` is a person's, too. If somebody bears that name already, all of theirs becomes the
/// person's: both are one human.
///
/// # Errors
/// `NotFound` for the person; `Invalid` for no name, for their own one, and for a further name of somebody else.
pub async fn add(ctx: &Ctx, person: &str, name: &str) -> Result<()> {
    require(ctx, Action::AdmitPeople)?;
    let name = name.trim();
    if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
        return Err(OpsError::invalid("name", format!("must be a name of 1 to {LONGEST} bytes, as items bear it")));
    }
    let mut t = ctx.db.begin_audited().await?;
    let whose = people::find_by_name(t.tx(), person).await?.ok_or_else(|| OpsError::not_found("person", person))?;
    if let Some(there) = person_names::find(t.tx(), name).await? {
        let why = if there.person_id == whose.id {
            "is theirs already".to_owned()
        } else {
            "is a further name of somebody else; take it away there first".to_owned()
        };
        return Err(OpsError::invalid("name", why));
    }
    let other = people::find_by_name(t.tx(), name).await?;
    if other.as_ref().is_some_and(|o| o.id == whose.id) {
        return Err(OpsError::invalid("name", "is their own name"));
    }
    person_names::add(t.tx(), PersonId(whose.id), name, other.as_ref().map(|o| PersonId(o.id)), &ctx.actor.name, ctx.now()).await?;
    let after = json!({"person": whose.name, "name": name, "joined": other.map(|o| o.id)});
    let event = NewEvent { action: "person.join", entity: "person", entity_id: whose.id.to_string(), before: None, after: Some(after) };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// Takes a further name away: items that bear it are those of a person of their own again.
///
/// # Errors
/// `NotFound` for the person, and for what is no further name of theirs.
pub async fn remove(ctx: &Ctx, person: &str, name: &str) -> Result<()> {
    require(ctx, Action::AdmitPeople)?;
    let mut t = ctx.db.begin_audited().await?;
    let whose = people::find_by_name(t.tx(), person).await?.ok_or_else(|| OpsError::not_found("person", person))?;
    person_names::find(t.tx(), name).await?.filter(|n| n.person_id == whose.id).ok_or_else(|| OpsError::not_found("further name", name))?;
    let new = person_names::remove(t.tx(), PersonId(whose.id), name, ctx.now()).await?;
    let before = json!({"person": whose.name, "name": name});
    let event =
        NewEvent { action: "person.part", entity: "person", entity_id: whose.id.to_string(), before: Some(before), after: Some(json!({"parted": new.0})) };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// Says whose an item is: the person of that name, or nobody. Its snapshots are theirs with it.
///
/// # Errors
/// `NotFound` for the item or the person.
pub async fn give(ctx: &Ctx, item: ItemId, person: Option<&str>) -> Result<()> {
    require(ctx, Action::AdmitPeople)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = items::find(t.tx(), item).await?.ok_or_else(|| OpsError::not_found("item", item))?;
    let found = match person.map(str::trim).filter(|p| !p.is_empty()) {
        Some(name) => Some(people::find_by_name(t.tx(), name).await?.ok_or_else(|| OpsError::not_found("person", name))?),
        None => None,
    };
    person_names::give(t.tx(), item, found.as_ref().map(|p| PersonId(p.id))).await?;
    let event = NewEvent {
        action: "item.give",
        entity: "item",
        entity_id: item.to_string(),
        before: Some(json!({"item": row.name, "person_id": row.person_id})),
        after: Some(json!({"item": row.name, "person_id": found.as_ref().map(|p| p.id), "person": found.as_ref().map(|p| &p.name)})),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// Items that are nobody's, of the services that one sees, after the item `after`, at most `limit` (up to 200).
pub async fn nobodys(ctx: &Ctx, after: ItemId, limit: i64) -> Result<Vec<NobodysItem>> {
    let sight = sight(ctx, Action::Read)?;
    let limit = limit.clamp(1, PAGE);
    if matches!(&sight, Sight::Part { services, .. } if services.is_empty()) {
        return Ok(Vec::new());
    }
    // Whoever sees a part reads on until a page is full.
    let step = if sight == Sight::All { limit } else { PAGE };
    let mut read = ctx.db.read().await?;
    let (mut all, mut after) = (Vec::new(), after);
    loop {
        let page = person_names::nobodys(read.tx(), after, step).await?;
        let Some(last) = page.last().map(|i| ItemId(i.id)).filter(|_| page.len() as i64 == step) else {
            all.extend(page.into_iter().filter(|i| sight.service(ServiceId(i.service_id))));
            break;
        };
        all.extend(page.into_iter().filter(|i| sight.service(ServiceId(i.service_id))));
        if sight == Sight::All || all.len() as i64 >= limit {
            break;
        }
        after = last;
    }
    all.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(all)
}

/// How many items are nobody's; zero for whoever does not see everything.
pub async fn count_nobodys(ctx: &Ctx) -> Result<i64> {
    match sight(ctx, Action::Read)? {
        Sight::All => Ok(person_names::count_nobodys(ctx.db.read().await?.tx()).await?),
        Sight::Part { .. } => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use domain::units::Timestamp;
    use store::testing;

    use super::*;
    use crate::{Actor, Role, config, people as all};

    const CONFIG: &str = r"version: 1
repositories:
  - { name: main, location: 'file:///srv/backup/main', password: { env: PASSWORD } }
services:
  - name: hub
    owner: ops
    sources:
      - { name: homes, kind: directory, path: /srv/homes, items: children, repository: main }
  - name: wiki
    owner: ops
    sources:
      - { name: pages, kind: directory, path: /srv/pages, items: children, repository: main }
      - { name: base, kind: directory, path: /srv/base, items: self, repository: main }
";

    /// ada in the hub, ada@example.org in the wiki, and a folder that is nobody's.
    async fn stage(db: &store::Db) -> (Ctx, ItemId) {
        let ctx = Ctx::new(db.clone(), Actor::new("root", Role::Admin), "test");
        config::apply(&ctx, &config::parse(CONFIG).unwrap(), None).await.unwrap();
        let mut t = db.begin().await.unwrap();
        let mut last = None;
        for (service, source, name, own) in [("hub", "homes", "ada", true), ("wiki", "pages", "ada@example.org", true), ("wiki", "base", "base", false)] {
            let service = store::services::find_by_name(t.tx(), service).await.unwrap().unwrap();
            let found = store::sources::of_service(t.tx(), service.id()).await.unwrap().into_iter().find(|s| s.name == source).unwrap();
            let person = if own { Some(items::person(t.tx(), name, Timestamp(1)).await.unwrap()) } else { None };
            last = Some(items::seen(t.tx(), found.id(), service.id(), person, name, Timestamp(1)).await.unwrap());
        }
        t.commit().await.unwrap();
        (ctx, last.unwrap())
    }

    #[tokio::test]
    async fn two_names_become_one_person_and_two_again() {
        for db in testing::databases().await {
            let (ctx, base) = stage(&db.db).await;
            assert!(matches!(add(&ctx, "ada", "ada").await, Err(OpsError::Invalid(_))), "one's own name");
            add(&ctx, "ada", "ada@example.org").await.unwrap();
            assert!(matches!(add(&ctx, "ada", "ada@example.org").await, Err(OpsError::Invalid(_))), "twice");
            let ada = all::find(&ctx, "ada").await.unwrap();
            assert_eq!(ada.services().iter().map(|(s, _)| *s).collect::<Vec<_>>(), ["hub", "wiki"]);
            assert_eq!(all::find(&ctx, "ada@example.org").await.unwrap().row.id, ada.row.id, "found by either name");
            assert_eq!(all::list(&ctx, "", "", 10).await.unwrap().1, 1);
            // The next pass finds the same person under that name.
            let mut t = db.db.begin().await.unwrap();
            assert_eq!(items::person(t.tx(), "ada@example.org", Timestamp(2)).await.unwrap().0, ada.row.id);
            t.commit().await.unwrap();
            remove(&ctx, "ada", "ada@example.org").await.unwrap();
            let other = all::find(&ctx, "ada@example.org").await.unwrap();
            assert_ne!(other.row.id, ada.row.id);
            assert_eq!((other.items.len(), all::find(&ctx, "ada").await.unwrap().items.len()), (1, 1));
            assert!(matches!(remove(&ctx, "ada", "nobody").await, Err(OpsError::NotFound { .. })));

            // What is nobody's is listed, and given to somebody.
            let listed = nobodys(&ctx, ItemId(uuid::Uuid::nil()), 10).await.unwrap();
            assert_eq!((listed.len(), listed[0].name.as_str(), count_nobodys(&ctx).await.unwrap()), (1, "base", 1));
            give(&ctx, base, Some("ada")).await.unwrap();
            assert_eq!((all::find(&ctx, "ada").await.unwrap().items.len(), count_nobodys(&ctx).await.unwrap()), (2, 0));
            // The next pass leaves it with her.
            let mut t = db.db.begin().await.unwrap();
            let row = items::find(t.tx(), base).await.unwrap().unwrap();
            let found = items::found(t.tx(), domain::id::SourceId(row.source_id), ServiceId(row.service_id), None, "base", Timestamp(3)).await.unwrap();
            assert_eq!(found, (base, Some(PersonId(ada.row.id))));
            t.commit().await.unwrap();
            give(&ctx, base, None).await.unwrap();
            assert_eq!(count_nobodys(&ctx).await.unwrap(), 1);
            let changes = crate::audit::list(&ctx, &store::audit::Filter::default(), None, 20).await.unwrap();
            let actions: Vec<&str> = changes.iter().map(|e| e.action.as_str()).take(4).collect();
            assert_eq!(actions, ["item.give", "item.give", "person.part", "person.join"]);
        }
    }

    #[tokio::test]
    async fn only_whoever_admits_people_says_who_is_who() {
        let db = testing::sqlite().await;
        let (ctx, base) = stage(&db.db).await;
        let hub = store::services::find_by_name(db.db.read().await.unwrap().tx(), "hub").await.unwrap().unwrap().id();
        for actor in [Actor::new("aud", Role::Auditor), Actor { services: vec![hub], ..Actor::new("olga", Role::Owner) }] {
            let ctx = Ctx { actor, ..ctx.clone() };
            assert!(matches!(add(&ctx, "ada", "x").await, Err(OpsError::Forbidden(_))));
            assert!(matches!(remove(&ctx, "ada", "x").await, Err(OpsError::Forbidden(_))));
            assert!(matches!(give(&ctx, base, None).await, Err(OpsError::Forbidden(_))));
            let listed = nobodys(&ctx, ItemId(uuid::Uuid::nil()), 10).await.unwrap();
            assert_eq!(listed.len(), usize::from(ctx.actor.role == Role::Auditor), "the owner of the hub sees nothing of the wiki");
        }
    }
}
