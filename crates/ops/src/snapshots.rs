//! Snapshots: listing them, and finding the one that a person means.
//!
//! Lives here: the use cases. May not: looking inside a snapshot, restoring it.

use domain::{
    id::{ItemId, PersonId, RepositoryId, ServiceId, SnapshotId},
    units::Timestamp,
};
use store::{
    native, people, services,
    snapshots::{self, ListedSnapshot, SnapshotRow, Which},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, merged, require_on, sight},
    runs::PAGE,
};

/// How many candidates an ambiguous id names.
const CANDIDATES: usize = 5;
/// The shortest prefix that is looked for.
const SHORTEST: usize = 4;

/// Snapshots, the newest first, before the key of the last one seen.
pub async fn list(ctx: &Ctx, which: Which<'_>, before: Option<(Timestamp, SnapshotId)>, limit: i64) -> Result<Vec<ListedSnapshot>> {
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, PAGE);
    let sight = sight(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let mut pages = Vec::new();
    for part in parts(&sight, which) {
        pages.push(snapshots::page(read.tx(), part, before, limit).await?);
    }
    if let [_] = pages[..]
        && sight == Sight::All
    {
        return Ok(pages.remove(0));
    }
    for page in &mut pages {
        page.retain(|s| sight.data(s.row.service_id, s.row.person_id) && named(s, which));
    }
    Ok(merged(pages, |s| (s.row.taken_at, s.row.id), limit))
}

/// The lists that together hold all that somebody sees of one.
fn parts<'a>(sight: &Sight, which: Which<'a>) -> Vec<Which<'a>> {
    let Sight::Part { services, person } = sight else { return vec![which] };
    let within = |of: ServiceId| services.contains(&of);
    let mut all: Vec<Which<'a>> = match which {
        Which::All => services.iter().map(|s| Which::Service(*s)).collect(),
        Which::Person(p) => services.iter().map(|s| Which::PersonService(p, *s)).collect(),
        Which::ItemLike(text, None) => services.iter().map(|s| Which::ItemLike(text, Some(*s))).collect(),
        Which::ItemName(name, None) => services.iter().map(|s| Which::ItemName(name, Some(*s))).collect(),
        Which::Service(s) | Which::PersonService(_, s) | Which::ItemLike(_, Some(s)) | Which::ItemName(_, Some(s)) if within(s) => vec![which],
        // What is of one item or of one id is all of one person and service: the rows tell.
        Which::Item(_) | Which::IdRange(..) | Which::ResticPrefix(_) => return vec![which],
        _ => Vec::new(),
    };
    if let Some(own) = *person {
        all.push(match which {
            Which::Service(s) | Which::PersonService(_, s) | Which::ItemLike(_, Some(s)) | Which::ItemName(_, Some(s)) => Which::PersonService(own, s),
            _ => Which::Person(own),
        });
    }
    all
}

/// Whether a snapshot of one's own belongs in a list that was asked for by a name or a person.
fn named(s: &ListedSnapshot, which: Which<'_>) -> bool {
    let name = s.item_name.as_deref().unwrap_or_default();
    match which {
        Which::ItemLike(text, _) => name.to_lowercase().contains(&text.to_lowercase()),
        Which::ItemName(wanted, _) => name == wanted,
        Which::Person(p) | Which::PersonService(p, _) => s.row.person_id == Some(p.0),
        _ => true,
    }
}

pub async fn find(ctx: &Ctx, id: SnapshotId) -> Result<SnapshotRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = snapshots::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("snapshot", id))?;
    require_on(ctx, Action::Read, &row)?;
    Ok(row)
}

/// The snapshots of a service or of the items of a name, or of both, by names.
pub async fn list_of(ctx: &Ctx, service: Option<&str>, item: Option<&str>, before: Option<(Timestamp, SnapshotId)>, limit: i64) -> Result<Vec<ListedSnapshot>> {
    require_on(ctx, Action::Read, On::Any)?;
    let service = match service {
        None => None,
        Some(name) => {
            let found = services::find_by_name(ctx.db.read().await?.tx(), name).await?;
            Some(found.ok_or_else(|| OpsError::not_found("service", name))?.id())
        }
    };
    list(ctx, which(service, item), before, limit).await
}

/// What a page of snapshots shows. Of `item`, `person` and `q` the first that is given counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A service by name.
    pub service: Option<String>,
    /// Items of exactly that name.
    pub item: Option<String>,
    /// A person by name.
    pub person: Option<String>,
    /// The beginning of an id (at least four digits), or a part of an item's name.
    pub q: Option<String>,
}

/// A page of snapshots, the newest first.
///
/// # Errors
/// `NotFound` where the service or the person is not known.
pub async fn page(ctx: &Ctx, filter: &Filter, before: Option<(Timestamp, SnapshotId)>, limit: i64) -> Result<Vec<ListedSnapshot>> {
    require_on(ctx, Action::Read, On::Any)?;
    let service = match &filter.service {
        None => None,
        Some(name) => {
            let found = services::find_by_name(ctx.db.read().await?.tx(), name).await?;
            Some(found.ok_or_else(|| OpsError::not_found("service", name))?.id())
        }
    };
    if let Some(item) = &filter.item {
        return list(ctx, which(service, Some(item)), before, limit).await;
    }
    if let Some(name) = &filter.person {
        let found = people::find_by_name(ctx.db.read().await?.tx(), name).await?;
        let person = PersonId(found.ok_or_else(|| OpsError::not_found("person", name))?.id);
        return list(ctx, service.map_or(Which::Person(person), |s| Which::PersonService(person, s)), before, limit).await;
    }
    let Some(q) = filter.q.as_deref().map(str::trim).filter(|q| !q.is_empty()) else {
        return list(ctx, which(service, None), before, limit).await;
    };
    let hex = q.to_ascii_lowercase();
    if (SHORTEST..=64).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        let found = list(ctx, Which::ResticPrefix(&hex), before, limit).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let text: String = q.chars().take(200).collect();
    list(ctx, Which::ItemLike(&text, service), before, limit).await
}

/// One snapshot with the names of what it is a copy of.
///
/// # Errors
/// `NotFound`; `Gone` for one that the repository no longer holds, with the reason.
pub async fn listed(ctx: &Ctx, id: SnapshotId) -> Result<ListedSnapshot> {
    require_on(ctx, Action::Read, On::Any)?;
    if let Some(found) = list(ctx, Which::IdRange(id.0, id.0), None, 1).await?.pop() {
        return Ok(found);
    }
    let row = find(ctx, id).await?;
    let since = row.gone_at.map(|at| format!(" since {}", utc(at))).unwrap_or_default();
    let why = row.gone_why.unwrap_or_else(|| "the repository no longer holds it".to_owned());
    let short = row.restic_id.get(..8).unwrap_or(&row.restic_id);
    Err(OpsError::Gone(format!("snapshot {short} of {}, taken {}, is gone{since}: {why}", row.label, utc(row.taken_at))))
}

fn utc(at: i64) -> String {
    jiff::Timestamp::from_microsecond(at).map(|t| t.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default()
}

/// The snapshot of the same item before this one, that it can be compared with: of an offsite copy, the copy before.
pub async fn before(ctx: &Ctx, snapshot: &SnapshotRow) -> Result<Option<SnapshotRow>> {
    require_on(ctx, Action::Read, snapshot)?;
    let Some(item) = snapshot.item_id else { return Ok(None) };
    if snapshot.offsite().is_some() {
        let copies = native::of_item(ctx.db.read().await?.tx(), ItemId(item), RepositoryId(snapshot.repository_id)).await?;
        return Ok(copies.into_iter().find(|c| (c.taken_at, c.id) < (snapshot.taken_at, snapshot.id)));
    }
    let key = (Timestamp(snapshot.taken_at), snapshot.id);
    Ok(snapshots::of_item(ctx.db.read().await?.tx(), ItemId(item), key, 1).await?.pop())
}

fn which(service: Option<ServiceId>, item: Option<&str>) -> Which<'_> {
    match (service, item) {
        (service, Some(item)) => Which::ItemName(item, service),
        (Some(service), None) => Which::Service(service),
        (None, None) => Which::All,
    }
}

/// The snapshot whose id begins so: restic's id or Holdfast's own, at least four digits.
///
/// # Errors
/// `NotFound`; `Invalid` with the candidates where several begin so.
pub async fn resolve(ctx: &Ctx, text: &str) -> Result<ListedSnapshot> {
    require_on(ctx, Action::Read, On::Any)?;
    let prefix = text.trim().replace('-', "").to_ascii_lowercase();
    if prefix.len() < SHORTEST || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(OpsError::invalid(
            "snapshot",
            format!("“{text}” is not the id of a snapshot; give at least its first {SHORTEST} digits, as `holdfast snapshots` lists them"),
        ));
    }
    let mut found = beginning_with(ctx, &prefix, CANDIDATES as i64 + 1).await?;
    match found.len() {
        0 => Err(OpsError::not_found("snapshot", text)),
        1 => Ok(found.remove(0)),
        _ => {
            let named: Vec<_> = found.iter().take(CANDIDATES).map(candidate).collect();
            let more = if found.len() > CANDIDATES { " and others" } else { "" };
            Err(OpsError::invalid("snapshot", format!("several ids begin with “{text}”: {}{more}; give more digits", named.join(", "))))
        }
    }
}

/// The snapshots whose id, restic's or Holdfast's own, begins with these hexadecimal digits; none where there are fewer
/// than four, or other signs among them.
pub async fn with_id(ctx: &Ctx, text: &str, limit: i64) -> Result<Vec<ListedSnapshot>> {
    require_on(ctx, Action::Read, On::Any)?;
    let prefix = text.trim().replace('-', "").to_ascii_lowercase();
    if !(SHORTEST..=64).contains(&prefix.len()) || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let mut found = beginning_with(ctx, &prefix, limit).await?;
    found.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(found)
}

async fn beginning_with(ctx: &Ctx, prefix: &str, limit: i64) -> Result<Vec<ListedSnapshot>> {
    let mut found = list(ctx, Which::ResticPrefix(prefix), None, limit).await?;
    if let Some((from, to)) = range(prefix) {
        let own = list(ctx, Which::IdRange(from, to), None, limit).await?;
        found.extend(own.into_iter().filter(|s| !s.row.restic_id.starts_with(prefix)));
    }
    Ok(found)
}

fn candidate(s: &ListedSnapshot) -> String {
    let what = s.item_name.as_deref().unwrap_or(&s.row.label);
    format!("{} ({what}, {})", &s.row.restic_id.get(..12).unwrap_or(&s.row.restic_id), utc(s.row.taken_at))
}

/// The ids of ours that begin so.
fn range(prefix: &str) -> Option<(Uuid, Uuid)> {
    if prefix.len() > 32 {
        return None;
    }
    let fill = |c: &str| Uuid::try_parse(&format!("{prefix}{}", c.repeat(32 - prefix.len()))).ok();
    Some((fill("0")?, fill("f")?))
}

#[cfg(test)]
mod tests {
    use domain::id::RepositoryId;
    use store::{
        repositories::{self, NewRepository, SecretRef, StorageOptions},
        snapshots::NewSnapshot,
        testing,
    };

    use super::*;
    use crate::Actor;

    async fn add(ctx: &Ctx, repository: RepositoryId, restic_id: &str, at: i64) -> SnapshotId {
        let new = NewSnapshot {
            repository,
            service: None,
            source: None,
            item: None,
            person: None,
            run: None,
            restic_id: restic_id.to_owned(),
            tree: "t".to_owned(),
            parent_restic_id: None,
            taken_at: Timestamp::from_secs(at),
            host: "h".to_owned(),
            label: "alice".to_owned(),
            paths: vec!["/".to_owned()],
            tags: Vec::new(),
            state: "adopted",
            files: 1,
            dirs: 0,
            bytes: 1,
            bytes_added: 1,
            files_added: 1,
            files_changed: 0,
            files_removed: 0,
            errors: 0,
            measure: None,
        };
        let mut t = ctx.db.begin().await.unwrap();
        let id = snapshots::insert(t.tx(), &new).await.unwrap();
        t.commit().await.unwrap();
        id
    }

    #[tokio::test]
    async fn a_prefix_finds_one_or_names_the_candidates() {
        for t in testing::databases().await {
            let ctx = Ctx::new(t.db.clone(), Actor::shell(), "shell");
            let new = NewRepository {
                name: "main".into(),
                location: "file:///r".into(),
                options: StorageOptions::default(),
                password: SecretRef::Env("P".into()),
                max_parallel: None,
                read_all_within_s: None,
            };
            let mut tx = t.db.begin().await.unwrap();
            let repository = repositories::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap();
            tx.commit().await.unwrap();
            let (one, two) = (format!("abcd11{}", "0".repeat(58)), format!("abcd22{}", "0".repeat(58)));
            let first = add(&ctx, repository, &one, 86_400).await;
            let second = add(&ctx, repository, &two, 86_460).await;

            assert_eq!(resolve(&ctx, "abcd1").await.unwrap().row.id, first.0);
            assert_eq!(resolve(&ctx, &two).await.unwrap().row.id, second.0);
            assert_eq!(resolve(&ctx, &first.to_string()).await.unwrap().row.id, first.0, "{}", t.name);
            let said = resolve(&ctx, "ABCD").await.unwrap_err().to_string();
            assert_eq!(
                said,
                "snapshot: several ids begin with “ABCD”: abcd22000000 (alice, 1970-01-02 00:01 UTC), abcd11000000 (alice, 1970-01-02 00:00 UTC); give more digits"
            );
            assert!(matches!(resolve(&ctx, "ffff").await, Err(OpsError::NotFound { .. })));
            for bad in ["", "abc", "latest", "ab%d", &"a".repeat(65)] {
                assert!(matches!(resolve(&ctx, bad).await, Err(OpsError::Invalid(_))), "{bad}");
            }

            let all = list_of(&ctx, None, None, None, 1).await.unwrap();
            assert_eq!(all[0].row.id, second.0);
            let rest = list_of(&ctx, None, None, Some((Timestamp(all[0].row.taken_at), SnapshotId(all[0].row.id))), 10).await.unwrap();
            assert_eq!(rest.iter().map(|s| s.row.id).collect::<Vec<_>>(), [first.0], "{}", t.name);
            assert!(list_of(&ctx, None, Some("alice"), None, 10).await.unwrap().is_empty(), "no item of that name was backed up");
            assert!(matches!(list_of(&ctx, Some("none"), None, None, 10).await, Err(OpsError::NotFound { .. })));
        }
    }
}
