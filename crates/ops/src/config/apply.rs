//! Making the database agree with a configuration.
//!
//! Lives here: what is new, what differs, and the one transaction that changes it. May not: reading YAML.
//! Invariant: all or nothing, with one audit event for each thing that really changed and none for the rest.

use std::collections::HashMap;

use domain::id::{PolicyId, RepositoryId};
use serde_json::{Map, Value, json};
use store::{
    Tx,
    audit::NewEvent,
    db::Transaction,
    origins::{self, Thing},
    policies::{self, PolicyRow},
    repositories::{self, NewRepository, RepositoryRow},
    schedules,
    services::{self, NewService, ServiceRow},
    sources::{self, NewSource, SourceRow},
};
use uuid::Uuid;

use super::{
    Config, NamedSource,
    current::current,
    difference::{Applied, Subject},
    fields::things,
};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
};

/// Creates what is new and changes what differs, in one transaction.
///
/// What the database has and the file does not is left alone: a file may describe a part of an installation. The list of
/// providers alone is all of them, where there is one. `file` is how people know the file; it stays with all that the file
/// names until a page changes it.
pub async fn apply(ctx: &Ctx, config: &Config, file: Option<&str>) -> Result<Applied> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let applied = carry_out(ctx, &mut t, config, file).await?;
    t.commit().await?;
    store::wake::queue();
    Ok(applied)
}

/// What [`apply`] would do: all of it is done, and then taken back.
pub async fn preview(ctx: &Ctx, config: &Config, file: Option<&str>) -> Result<Applied> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let applied = carry_out(ctx, &mut t, config, file).await?;
    t.rollback().await?;
    Ok(applied)
}

async fn carry_out(ctx: &Ctx, t: &mut Transaction, config: &Config, file: Option<&str>) -> Result<Applied> {
    let mut applied = Applied::default();
    let file = file.map(short);
    let by = By { ctx, file: file.as_deref() };
    let before = things(&current(t.tx()).await?);
    let mut ids: HashMap<&str, RepositoryId> = HashMap::new();
    for new in &config.repositories {
        let old = repositories::find_by_name(t.tx(), &new.name).await?;
        let change = Change::between("repository", &new.name, old.as_ref().map(|r| (r.removed_at, repository_row(r))), repository(new));
        let id = match (&old, &change.state) {
            (Some(row), State::Unchanged) => row.id(),
            _ => repositories::upsert(t.tx(), new, ctx.now()).await?,
        };
        ids.insert(&new.name, id);
        change.record(by, t.tx(), id.0, &mut applied).await?;
    }
    let mut policy_ids: HashMap<&str, PolicyId> = HashMap::new();
    for new in &config.policies {
        let old = policies::find_by_name(t.tx(), &new.name).await?;
        let change = Change::between("policy", &new.name, old.as_ref().map(|r| (r.removed_at, policy_row(r))), rules(&new.rules));
        let id = match (&old, &change.state) {
            (Some(row), State::Unchanged) => row.id(),
            _ => policies::upsert(t.tx(), new, ctx.now()).await?,
        };
        policy_ids.insert(&new.name, id);
        change.record(by, t.tx(), id.0, &mut applied).await?;
    }
    for wanted in &config.services {
        let new = wanted.row();
        let old = services::find_by_name(t.tx(), &new.name).await?;
        let change = Change::between("service", &new.name, old.as_ref().map(|r| (r.removed_at, service_row(r))), service(&new));
        let id = match (&old, &change.state) {
            (Some(row), State::Unchanged) => row.id(),
            _ => services::upsert(t.tx(), &new, ctx.now()).await?,
        };
        change.record(by, t.tx(), id.0, &mut applied).await?;
        let there = sources::of_service(t.tx(), id).await?;
        for (position, wanted) in (0..).zip(&wanted.sources) {
            let repository = *ids.get(wanted.repository.as_str()).ok_or_else(|| OpsError::not_found("repository", &wanted.repository))?;
            let config = serde_json::to_value(&wanted.config).map_err(OpsError::internal)?;
            let kind = config.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            let old = there.iter().find(|s| s.name == wanted.name);
            let policy = wanted.policy.as_deref().and_then(|name| policy_ids.get(name)).copied();
            let before = old.map(|r| (r.removed_at, source_row(r, &ids, &policy_ids)));
            let change = Change::between("source", &format!("{}/{}", new.name, wanted.name), before, source(wanted, &config, position));
            let source = if let (Some(row), State::Unchanged) = (old, &change.state) {
                row.id()
            } else {
                let new = NewSource { service: id, repository, name: wanted.name.clone(), kind, config, position, policy };
                // Which instances are items is another thing now.
                if new.kind == crate::instances::KIND {
                    repositories::look_again(t.tx(), repository).await?;
                }
                sources::upsert(t.tx(), &new, ctx.now()).await?
            };
            change.record(by, t.tx(), source.0, &mut applied).await?;
        }
        super::restore_tests::apply(by, t.tx(), (id, &new.name), &wanted.tests, &mut applied).await?;
    }
    super::notifications::apply(by, t.tx(), &config.notifications, &mut applied).await?;
    if let Some(providers) = &config.providers {
        super::providers::apply(by, t.tx(), providers, &mut applied).await?;
    }
    for draft in &config.schedules {
        let old = schedules::find_by_name(t.tx(), &draft.name).await?;
        let before = old.as_ref().map(|r| (r.removed_at, crate::schedules::values(r)));
        let change = Change::between("schedule", &draft.name, before, draft.values());
        let id = match (&old, &change.state) {
            (Some(row), State::Unchanged) => row.id(),
            _ => crate::schedules::save_in(ctx, t, draft, old.as_ref()).await?,
        };
        change.record(by, t.tx(), id.0, &mut applied).await?;
    }
    let after = things(&current(t.tx()).await?);
    applied.compare(&before, &after, &things(config));
    Ok(applied)
}

fn repository(new: &NewRepository) -> Value {
    json!({ "location": new.location, "options": new.options, "password": new.password, "max_parallel": new.max_parallel, "read_all_within_s": new.read_all_within_s })
}

fn repository_row(row: &RepositoryRow) -> Value {
    json!({ "location": row.location, "options": row.options.0, "password": row.password.0, "max_parallel": row.max_parallel, "read_all_within_s": row.read_all_within_s })
}

fn rules(rules: &domain::retention::Rules) -> Value {
    serde_json::to_value(rules).unwrap_or_default()
}

fn policy_row(row: &PolicyRow) -> Value {
    rules(&row.rules.0)
}

fn service(new: &NewService) -> Value {
    json!({ "title": new.title, "owner": new.owner, "rpo_s": new.rpo_s, "rto_s": new.rto_s, "mtpod_s": new.mtpod_s, "canary": new.canary })
}

fn service_row(row: &ServiceRow) -> Value {
    let canary = row.canary.as_ref().map(|c| &c.0);
    json!({ "title": row.title, "owner": row.owner, "rpo_s": row.rpo_s, "rto_s": row.rto_s, "mtpod_s": row.mtpod_s, "canary": canary })
}

fn source(new: &NamedSource, config: &Value, position: i64) -> Value {
    json!({ "repository": new.repository, "policy": new.policy, "config": config, "position": position })
}

/// A source that the file moves to another repository or policy may come from one the file does not name; its id stands
/// then.
fn source_row(row: &SourceRow, ids: &HashMap<&str, RepositoryId>, policies: &HashMap<&str, PolicyId>) -> Value {
    let repository = ids.iter().find(|(_, id)| id.0 == row.repository_id).map_or_else(|| row.repository_id.to_string(), |(name, _)| (*name).to_owned());
    let policy = row.policy_id.map(|of| policies.iter().find(|(_, id)| id.0 == of).map_or_else(|| of.to_string(), |(name, _)| (*name).to_owned()));
    json!({ "repository": repository, "policy": policy, "config": row.config.0, "position": row.position })
}

/// The longest name of a file that is kept.
const LONGEST: usize = 200;

/// A name on one line.
fn short(file: &str) -> String {
    file.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

/// Who applies, and which file.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub ctx: &'a Ctx,
    pub file: Option<&'a str>,
}

impl By<'_> {
    /// Remembers which file brought a thing.
    pub async fn mark(self, tx: Tx<'_>, entity: &str, id: Uuid) -> Result<()> {
        let thing = match entity {
            "repository" => Thing::Repository,
            "policy" => Thing::Policy,
            "service" => Thing::Service,
            "source" => Thing::Source,
            "schedule" => Thing::Schedule,
            "provider" => Thing::Provider,
            "channel" => Thing::Channel,
            "rule" => Thing::Rule,
            "heartbeat" => Thing::Heartbeat,
            _ => return Ok(()),
        };
        Ok(origins::mark(tx, thing, id, self.file, self.ctx.now()).await?)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Created,
    Changed,
    Unchanged,
}

/// The difference between what is there and what the file wants.
pub(super) struct Change {
    subject: Subject,
    pub(super) state: State,
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl Change {
    /// `old` is what is there and when it was removed from the configuration, if it was.
    pub(super) fn between(entity: &'static str, name: &str, old: Option<(Option<i64>, Value)>, new: Value) -> Self {
        let fields = |value: Value| if let Value::Object(map) = value { map } else { Map::new() };
        let (mut before, mut after) = (Map::new(), fields(new));
        let state = match old {
            None => State::Created,
            Some((removed_at, old)) => {
                before = fields(old);
                let same: Vec<String> = after.iter().filter(|(k, v)| before.get(*k) == Some(v)).map(|(k, _)| k.clone()).collect();
                for key in same {
                    before.remove(&key);
                    after.remove(&key);
                }
                if removed_at.is_some() {
                    before.insert("removed".to_owned(), true.into());
                    after.insert("removed".to_owned(), false.into());
                }
                if after.is_empty() { State::Unchanged } else { State::Changed }
            }
        };
        Self { subject: Subject::new(entity, name), state, before, after }
    }

    /// Writes the audit event, marks where the subject came from and adds it to its list.
    pub(super) async fn record(mut self, by: By<'_>, mut tx: Tx<'_>, id: Uuid, applied: &mut Applied) -> Result<()> {
        by.mark(tx.by_ref(), self.subject.entity, id).await?;
        if self.state != State::Unchanged {
            let (entity, name) = (self.subject.entity, Value::from(self.subject.name.clone()));
            self.after.insert("name".to_owned(), name.clone());
            let before = (self.state == State::Changed).then(|| {
                self.before.insert("name".to_owned(), name);
                Value::Object(self.before)
            });
            let action = format!("{entity}.apply");
            by.ctx.audit(tx, NewEvent { action: &action, entity, entity_id: id.to_string(), before, after: Some(Value::Object(self.after)) }).await?;
        }
        match self.state {
            State::Created => applied.created.push(self.subject),
            State::Changed => applied.changed.push(self.subject),
            State::Unchanged => applied.unchanged.push(self.subject),
        }
        Ok(())
    }
}
