//! Collecting what is configured now.
//!
//! Lives here: from the records to the typed configuration. May not: secrets; the records hold references, and sealed
//! texts that stay as they are.

use std::collections::{BTreeSet, HashMap};

use domain::id::{PolicyId, RepositoryId};
use store::{
    Tx, channels,
    policies::{self, NewPolicy},
    providers,
    repositories::{self, NewRepository},
    schedules, services, settings,
    sources::{self, SourceRow},
    test_definitions,
};
use uuid::Uuid;

use super::{ChannelConfig, Config, DefinedTest, HeartbeatConfig, NamedSource, NotificationsConfig, ProviderConfig, ServiceConfig, write::write};
use crate::{
    Ctx, OpsError, Result,
    notifications::{ADDRESS, rules::NewRule},
    permission::{Action, require},
    runs,
    schedules::{Draft, draft_of},
};

/// What is configured now, as a file; what cannot stand in one is told in comments.
pub async fn export(ctx: &Ctx) -> Result<String> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_read().await?;
    Ok(write(&current(t.tx()).await?))
}

/// Of each kind of thing at most, as `parse` has it.
const MOST: i64 = 10_000;

/// What is configured now. What was removed is left out, unless a source still lies in it.
pub async fn current(mut tx: Tx<'_>) -> Result<Config> {
    let mut rows = repositories::list(tx.by_ref()).await?;
    let policies = policies::list(tx.by_ref(), MOST).await?;
    let mut config = Config::default();
    let mut of_service: HashMap<Uuid, Vec<SourceRow>> = HashMap::new();
    for source in sources::configured(tx.by_ref()).await? {
        of_service.entry(source.service_id).or_default().push(source);
    }
    for service in services::all(tx.by_ref(), MOST).await? {
        let mut named = Vec::new();
        for source in of_service.remove(&service.id).unwrap_or_default() {
            if !rows.iter().any(|r| r.id == source.repository_id)
                && let Some(row) = repositories::find(tx.by_ref(), RepositoryId(source.repository_id)).await?
            {
                rows.push(row);
            }
            let repository = rows.iter().find(|r| r.id == source.repository_id).map(|r| r.name.clone());
            let repository = repository.ok_or_else(|| OpsError::not_found("repository", source.repository_id))?;
            let policy = policies.iter().find(|p| Some(p.id()) == source.policy_id.map(PolicyId)).map(|p| p.name.clone());
            let config = serde_json::from_value(source.config.0).map_err(OpsError::internal)?;
            named.push(NamedSource { name: source.name, repository, policy, config });
        }
        let tests = test_definitions::of_service(tx.by_ref(), service.id(), MOST).await?;
        config.services.push(ServiceConfig {
            tests: tests.into_iter().map(|t| DefinedTest { name: t.name, terms: t.terms.0 }).collect(),
            name: service.name,
            title: service.title,
            owner: service.owner,
            rpo_s: service.rpo_s,
            rto_s: service.rto_s,
            mtpod_s: service.mtpod_s,
            canary: service.canary.map(|c| c.0),
            sources: named,
        });
    }
    config.policies = policies.into_iter().map(|p| NewPolicy { name: p.name, rules: p.rules.0 }).collect();
    config.repositories = rows
        .into_iter()
        .map(|r| NewRepository {
            name: r.name,
            location: r.location,
            options: r.options.0,
            password: r.password.0,
            max_parallel: r.max_parallel,
            read_all_within_s: r.read_all_within_s,
        })
        .collect();
    config.schedules = drafts(tx.by_ref(), &config).await?;
    config.notifications = notifications(tx.by_ref()).await?;
    let known =
        providers::list(tx).await?.into_iter().map(|p| ProviderConfig { name: p.name, config: p.config.0, client_secret: p.client_secret.map(|s| s.0) });
    config.providers = Some(known.collect()).filter(|all: &Vec<_>| !all.is_empty());
    Ok(config)
}

/// The schedules whose service, source or repository is still configured.
async fn drafts(mut tx: Tx<'_>, config: &Config) -> Result<Vec<Draft>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    let known: BTreeSet<String> = config
        .services
        .iter()
        .flat_map(|s| s.sources.iter().map(|o| format!("{}/{}", s.name, o.name)).chain([s.name.clone()]))
        .chain(config.repositories.iter().map(|r| r.name.clone()))
        .collect();
    loop {
        let page = schedules::page(tx.by_ref(), &schedules::Filter::default(), &after, runs::PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.name);
        for row in &page {
            found.extend(Some(draft_of(row)?).filter(|d| known.contains(&d.of)));
        }
    }
}

async fn notifications(mut tx: Tx<'_>) -> Result<NotificationsConfig> {
    let mut config = NotificationsConfig { address: settings::get::<Option<String>>(tx.by_ref(), ADDRESS).await?.flatten(), ..NotificationsConfig::default() };
    for row in channels::list(tx.by_ref()).await? {
        config.channels.push(ChannelConfig { kind: row.kind()?, name: row.name, options: row.options.0, secrets: row.secrets.0 });
    }
    for row in channels::rules(tx.by_ref()).await? {
        config.rules.push(NewRule { name: row.name, channels: row.channels.0, what: row.what.0 });
    }
    for row in channels::heartbeats(tx).await? {
        config.heartbeats.push(HeartbeatConfig { name: row.name, url: row.url.0, every_s: row.every_s });
    }
    Ok(config)
}
