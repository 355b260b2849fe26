//! Definitions of restore tests: what a test of a service takes, checks, and must keep to (R32).
//!
//! Lives here: the use cases. May not: what may be wrong with terms (`domain::definition`), carrying a test out.
//! Invariants: who names a command, a database or an address, or changes what does, configures Holdfast; a run keeps the
//! terms of the moment it was queued, so that changing or removing a definition touches no run.

use domain::{definition::Terms, field::FieldError, id::TestDefinitionId, naming::slug_problem, schedule::ScheduleKind};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    schedules::{self, Filter},
    services::ServiceRow,
    test_definitions::{self, TestDefinitionRow},
};

use crate::{
    Ctx, OpsError, Result,
    config::Tools,
    permission::{Action, On, allowed, require, require_on},
    runs, services,
    version::{self, Seen, Subject},
};

/// The most definitions of one service.
const MOST: i64 = 50;

/// The definitions of a service by name.
pub async fn list(ctx: &Ctx, service: &str) -> Result<Vec<TestDefinitionRow>> {
    require_on(ctx, Action::Read, On::Any)?;
    let service = services::find(ctx, service).await?;
    Ok(test_definitions::of_service(ctx.db.read().await?.tx(), service.id(), MOST).await?)
}

pub async fn find(ctx: &Ctx, service: &str, name: &str) -> Result<TestDefinitionRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let service = services::find(ctx, service).await?;
    let found = test_definitions::find(ctx.db.read().await?.tx(), service.id(), name).await?;
    found.ok_or_else(|| OpsError::not_found("test definition", name))
}

/// The version of a definition that is there.
pub fn version(row: &TestDefinitionRow) -> String {
    version::of(&json!([row.id, row.terms.0]))
}

/// Whether somebody may change what these terms say.
pub fn may_change(ctx: &Ctx, service: &ServiceRow, terms: &Terms) -> bool {
    if terms.is_an_admins() { allowed(&ctx.actor, Action::Configure, On::All) } else { allowed(&ctx.actor, Action::Operate, On::Service(service.id())) }
}

/// Refuses whoever may not save such terms of a service, whatever else may be wrong with them.
pub async fn may_save(ctx: &Ctx, service: &str, terms: &Terms) -> Result<()> {
    require_on(ctx, Action::Operate, On::Any)?;
    may(ctx, service, terms).await.map(|_| ())
}

/// Makes or changes a definition of a service, where what is there is what was seen. `tools` is what may be named.
///
/// # Errors
/// `Invalid` names each field; `Forbidden` where it names what only an admin may name, or did so before.
pub async fn save(ctx: &Ctx, tools: &Tools, service: &str, name: &str, terms: &Terms, seen: &Seen) -> Result<TestDefinitionId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let service = may(ctx, service, terms).await?;
    let mut wrong = Vec::new();
    if let Some(problem) = slug_problem(name) {
        wrong.push(FieldError::new("name", problem));
    }
    // As part of an address it is the page that makes one.
    if name == "new" {
        wrong.push(FieldError::new("name", "is a word of its own here; choose another"));
    }
    wrong.extend(terms.problems());
    wrong.extend(unknown(tools, terms));
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let mut t = ctx.db.begin_audited().await?;
    let old = test_definitions::find(t.tx(), service.id(), name).await?;
    if let Some(old) = &old {
        guard(ctx, &old.terms.0)?;
    } else if test_definitions::of_service(t.tx(), service.id(), MOST).await?.len() as i64 >= MOST {
        return Err(OpsError::Conflict(format!("there are {MOST} definitions of this service already; remove one first")));
    }
    check(t.tx(), name, old.as_ref(), seen).await?;
    let id = test_definitions::upsert(t.tx(), service.id(), name, terms, ctx.now()).await?;
    let before = old.as_ref().map(|o| audited(&service, name, &o.terms.0));
    let action = if old.is_some() { "test_definition.change" } else { "test_definition.create" };
    let after = Some(audited(&service, name, terms));
    ctx.audit(t.tx(), NewEvent { action, entity: "test_definition", entity_id: id.to_string(), before, after }).await?;
    t.commit().await?;
    Ok(id)
}

/// Removes a definition. Runs and results keep what it said; a schedule that names it stands against that.
pub async fn remove(ctx: &Ctx, service: &str, name: &str, seen: &Seen) -> Result<()> {
    require_on(ctx, Action::Operate, On::Any)?;
    let service = may(ctx, service, &Terms::default()).await?;
    let mut t = ctx.db.begin_audited().await?;
    let row = test_definitions::find(t.tx(), service.id(), name).await?.ok_or_else(|| OpsError::not_found("test definition", name))?;
    guard(ctx, &row.terms.0)?;
    check(t.tx(), name, Some(&row), seen).await?;
    let users = named_by(t.tx(), &service, name).await?;
    if !users.is_empty() {
        return Err(OpsError::Conflict(format!("the schedule {} tests by it; change that one first", users.join(", "))));
    }
    if !test_definitions::remove(t.tx(), row.id()).await? {
        return Err(OpsError::not_found("test definition", name));
    }
    let before = Some(audited(&service, name, &row.terms.0));
    ctx.audit(t.tx(), NewEvent { action: "test_definition.remove", entity: "test_definition", entity_id: row.id.to_string(), before, after: None }).await?;
    t.commit().await?;
    Ok(())
}

/// The service, where the actor may give it such terms.
async fn may(ctx: &Ctx, service: &str, terms: &Terms) -> Result<ServiceRow> {
    guard(ctx, terms)?;
    let row = store::services::find_by_name(ctx.db.read().await?.tx(), service).await?;
    let row = row.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", service))?;
    require_on(ctx, Action::Operate, On::Service(row.id()))?;
    Ok(row)
}

/// Refuses whoever may not name what these terms name.
fn guard(ctx: &Ctx, terms: &Terms) -> Result<()> {
    if terms.is_an_admins() { require(ctx, Action::Configure) } else { Ok(()) }
}

/// Names that the file of the tools does not have.
fn unknown(tools: &Tools, terms: &Terms) -> Vec<FieldError> {
    use domain::definition::Probe;
    let commands: Vec<&str> = tools.commands.iter().map(|c| c.name.as_str()).collect();
    let connections: Vec<&str> = tools.connections.iter().map(|c| c.name.as_str()).collect();
    let mut wrong = Vec::new();
    let mut named = |field: String, kind: &str, name: &str, known: &[&str]| {
        if slug_problem(name).is_none() && !known.contains(&name) {
            wrong.push(FieldError::new(field, Tools::missing(kind, name, known)));
        }
    };
    for (n, check) in terms.checks.iter().enumerate() {
        match &check.probe {
            Probe::Command { command } => named(format!("checks[{n}].command"), "command", command, &commands),
            Probe::Postgresql { connection, .. } => named(format!("checks[{n}].connection"), "connection", connection, &connections),
            Probe::Sqlite { .. } | Probe::Http { .. } | Probe::Tcp { .. } => {}
        }
    }
    if let Some(start) = &terms.start {
        named("start".to_owned(), "command", start, &commands);
    }
    wrong
}

/// The schedules that test by a definition.
pub async fn schedules_of(ctx: &Ctx, service: &ServiceRow, name: &str) -> Result<Vec<String>> {
    require_on(ctx, Action::Read, On::Service(service.id()))?;
    named_by(ctx.db.read().await?.tx(), service, name).await
}

async fn named_by(tx: Tx<'_>, service: &ServiceRow, name: &str) -> Result<Vec<String>> {
    let filter = Filter { kind: Some(ScheduleKind::RestoreTest), service: service.name.clone() };
    let all = schedules::page(tx, &filter, "", runs::PAGE).await?;
    Ok(all.into_iter().filter(|s| s.params.0.get("definition").and_then(Value::as_str) == Some(name)).map(|s| s.name).collect())
}

/// Whether what is there is what was seen.
async fn check(tx: Tx<'_>, name: &str, row: Option<&TestDefinitionRow>, seen: &Seen) -> Result<()> {
    let id = row.map_or_else(String::new, |r| r.id.to_string());
    seen.check(tx, Subject { words: "test definition", name, entity: "test_definition", id }, row.map(version).as_deref()).await
}

fn audited(service: &ServiceRow, name: &str, terms: &Terms) -> Value {
    json!({"service": service.name, "name": name, "terms": terms})
}

#[cfg(test)]
mod tests;
