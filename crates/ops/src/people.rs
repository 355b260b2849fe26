//! People: everything that is kept for one human across services.
//!
//! Lives here: the use cases. May not: SQL, words for people.

pub mod names;

use std::collections::{BTreeMap, HashSet};

use domain::{
    id::{ItemId, PersonId, ServiceId},
    units::Timestamp,
};
use store::{
    items,
    people::{self, Mark, PersonItem, PersonRow},
    snapshots::SnapshotRow,
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, require_on, sight},
};

/// The longest page of people, the most items that are shown of one of them, the most marks of a timeline.
const PAGE: i64 = 200;
const MOST_ITEMS: i64 = 200;
const MOST_MARKS: i64 = 20_000;

/// How what is kept for a person stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Every item that is there has a copy within its service's RPO.
    Covered,
    /// Some item has none that is young enough.
    Overdue,
    /// Nothing was ever backed up.
    Never,
    /// Nothing is at the source any more; copies are kept.
    Left,
}

/// A person with what is kept for them.
#[derive(Clone, Debug)]
pub struct Person {
    pub row: PersonRow,
    pub items: Vec<PersonItem>,
}

impl Person {
    pub fn newest(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(|i| i.last_snapshot_at).max().map(Timestamp)
    }

    pub fn size_bytes(&self) -> i64 {
        self.items.iter().map(|i| i.size_bytes).sum()
    }

    /// The services by name with their titles, each once.
    pub fn services(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self.items.iter().map(|i| (i.service.as_str(), i.service_title.as_str())).collect();
        all.dedup();
        all
    }

    pub fn cover(&self, now: Timestamp) -> Cover {
        let there: Vec<_> = self.items.iter().filter(|i| i.gone_at.is_none()).collect();
        if self.items.iter().all(|i| i.last_snapshot_at.is_none()) {
            Cover::Never
        } else if there.is_empty() {
            Cover::Left
        } else if there.iter().all(|i| is_covered(i, now)) {
            Cover::Covered
        } else {
            Cover::Overdue
        }
    }
}

/// Whether the item has a copy that is within the RPO of its service.
pub fn is_covered(item: &PersonItem, now: Timestamp) -> bool {
    item.last_snapshot_at.is_some_and(|at| item.rpo_s.is_none_or(|rpo| now.secs_since(Timestamp(at)) <= rpo as f64))
}

/// People after the name `after` whose name holds `search`, at most `limit` (up to 200); and how many match in all.
pub async fn list(ctx: &Ctx, after: &str, search: &str, limit: i64) -> Result<(Vec<Person>, i64)> {
    let limit = limit.clamp(1, PAGE);
    if let Sight::Part { services, person } = sight(ctx, Action::Read)? {
        return part(ctx, &services, person, after, search, limit).await;
    }
    let mut read = ctx.db.read().await?;
    let rows = people::page(read.tx(), after, search, limit).await?;
    let mut items = BTreeMap::<String, Vec<PersonItem>>::new();
    for item in people::items_of_page(read.tx(), after, search, limit, limit * MOST_ITEMS).await? {
        items.entry(item.person.clone()).or_default().push(item);
    }
    let total = people::count(read.tx(), search).await?;
    Ok((rows.into_iter().map(|row| Person { items: items.remove(&row.name).unwrap_or_default(), row }).collect(), total))
}

/// The same of the people of some services, and of one's own.
async fn part(ctx: &Ctx, services: &[ServiceId], own: Option<PersonId>, after: &str, search: &str, limit: i64) -> Result<(Vec<Person>, i64)> {
    let mut read = ctx.db.read().await?;
    let mut all = BTreeMap::<String, PersonRow>::new();
    for service in services {
        all.extend(people::of_service(read.tx(), *service, search).await?.into_iter().map(|p| (p.name.clone(), p)));
    }
    if let Some(id) = own {
        let found = people::find(read.tx(), id).await?.filter(|p| p.name.to_lowercase().contains(&search.to_lowercase()));
        all.extend(found.map(|p| (p.name.clone(), p)));
    }
    drop(read);
    let total = all.len() as i64;
    let mut page = Vec::new();
    for row in all.into_values().filter(|p| p.name.as_str() > after).take(usize::try_from(limit).unwrap_or(0)) {
        page.push(load(ctx, row).await?);
    }
    Ok((page, total))
}

/// The person of that name with what is kept for them; for whoever sees some services, what is kept of those.
pub async fn find(ctx: &Ctx, name: &str) -> Result<Person> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = people::find_by_name(ctx.db.read().await?.tx(), name).await?.ok_or_else(|| OpsError::not_found("person", name))?;
    let id = PersonId(row.id);
    let person = load(ctx, row).await?;
    if person.items.is_empty() {
        require_on(ctx, Action::Read, On::Data { service: None, person: Some(id) })?;
    }
    Ok(person)
}

async fn load(ctx: &Ctx, row: PersonRow) -> Result<Person> {
    let sight = sight(ctx, Action::Read)?;
    let mut items = people::items(ctx.db.read().await?.tx(), PersonId(row.id), MOST_ITEMS).await?;
    items.retain(|i| sight.data(Some(i.service_id), Some(row.id)));
    Ok(Person { row, items })
}

/// The snapshots of a person since then, the newest first; at most 20 000.
pub async fn timeline(ctx: &Ctx, person: PersonId, since: Timestamp) -> Result<Vec<Mark>> {
    let sight = sight(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let mut marks = people::marks(read.tx(), person, since, MOST_MARKS).await?;
    if !sight.data(None, Some(person.0)) {
        let items = people::items(read.tx(), person, MOST_ITEMS).await?;
        let seen: HashSet<_> = items.into_iter().filter(|i| sight.of(Some(i.service_id))).map(|i| i.id).collect();
        marks.retain(|m| m.item_id.is_some_and(|i| seen.contains(&i)));
    }
    Ok(marks)
}

/// What was kept at a moment: of each item the newest snapshot that is not younger.
pub async fn kept_at(ctx: &Ctx, of: &[PersonItem], at: Timestamp) -> Result<Vec<Option<SnapshotRow>>> {
    require_on(ctx, Action::Read, On::Any)?;
    let mut read = ctx.db.read().await?;
    let mut kept = Vec::with_capacity(of.len());
    for item in of {
        let row = items::find(read.tx(), ItemId(item.id)).await?.ok_or_else(|| OpsError::not_found("item", &item.name))?;
        require_on(ctx, Action::Read, &row)?;
        kept.push(people::newest_at(read.tx(), ItemId(item.id), at).await?);
    }
    Ok(kept)
}
