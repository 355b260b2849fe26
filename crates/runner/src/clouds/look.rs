//! Looks at clouds again and again: how their credentials stand, and which instances they list (R8, R25).
//!
//! Lives here: whose turn it is, the look, recording what it found. May not: when that is an alarm (`watchdogs`), snapshots.
//! Invariants: of several processes one looks; what was found with former settings is not recorded for those of now; a
//! cloud that does not answer loses no item, nor does one that suddenly lists nothing at all.

use std::{collections::HashSet, future::Future, time::Duration};

use domain::{
    id::{ServiceId, SourceId},
    instance::{CLONED, Credential, Server, TESTED, item_names},
    units::Timestamp,
};
use engine::job::{InstanceConfig, SourceConfig};
use futures::StreamExt as _;
use store::{
    items,
    repositories::{self, RepositoryRow},
    services,
    sources::{self, SourceRow},
    wake,
};

use super::link;
use crate::{
    Deps,
    step::{Break, Result},
};

/// How often it is asked whether a look is due.
const EVERY: Duration = Duration::from_secs(5);
/// Clouds at a time.
const SLOTS: usize = 4;
/// Instances of one transaction.
const BATCH: usize = 200;
/// Instances of a project that are listed at most.
const MOST: usize = 20_000;

/// Looks until `shutdown` is ready.
pub async fn watch(deps: Deps, shutdown: impl Future<Output = ()> + Send) {
    tokio::pin!(shutdown);
    loop {
        let look = async {
            if let Err(e) = due(&deps).await {
                tracing::warn!(error = ?e, "clouds could not be looked at");
            }
            tokio::time::sleep(EVERY).await;
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = look => {}
        }
    }
}

/// Looks at each cloud that is due; how many.
pub async fn due(deps: &Deps) -> store::Result<usize> {
    let now = deps.clock.now();
    let rows = repositories::clouds(deps.db.read().await?.tx()).await?;
    let due: Vec<RepositoryRow> = rows.into_iter().filter(|r| ops::clouds::is_due(r, now)).collect();
    let count = due.len();
    futures::stream::iter(due)
        .for_each_concurrent(SLOTS, |row| async move {
            if let Err(e) = turn(deps, &row).await {
                tracing::warn!(cloud = row.name, error = ?e, "what a look at the cloud found could not be recorded");
            }
        })
        .await;
    Ok(count)
}

async fn turn(deps: &Deps, row: &RepositoryRow) -> Result<()> {
    let mut t = deps.db.begin().await?;
    let mine = repositories::take(t.tx(), row, deps.clock.now()).await?;
    t.commit().await?;
    if !mine {
        return Ok(());
    }
    let (mut credential, found) = match ask(deps, row).await {
        Ok((credential, servers)) => (credential, Some(servers)),
        Err(e) => {
            let why = words(e)?;
            tracing::warn!(cloud = row.name, "the cloud could not be used: {why}");
            (Credential::after_failure(row.credential.as_ref().map(|c| &c.0), why, deps.clock.now()), None)
        }
    };
    let project = found.as_ref().map(|_| credential.project_id.clone());
    let found = match found {
        Some(none) if none.is_empty() => {
            let known = items::listed_in(deps.db.read().await?.tx(), row.id()).await?;
            let doubted = credential.doubts_empty(row.credential.as_ref().map(|c| &c.0), known, deps.clock.now());
            if doubted {
                tracing::warn!(cloud = row.name, known, "the cloud lists no instance though some were known; none is marked as gone");
            }
            (!doubted).then_some(none)
        }
        found => found,
    };
    let mut t = deps.db.begin().await?;
    let holds = repositories::set_credential(t.tx(), row, &credential, project.as_deref()).await?;
    t.commit().await?;
    if let (true, Some(servers)) = (holds, found) {
        list(deps, row, servers).await?;
    }
    wake::queue();
    Ok(())
}

/// Why a look failed. A fault of our own database is none of the cloud's.
fn words(e: Break) -> Result<String> {
    match e {
        Break::Failed(failure) => Ok(failure.message),
        other => Err(other),
    }
}

async fn ask(deps: &Deps, row: &RepositoryRow) -> Result<(Credential, Vec<Server>)> {
    let cloud = link::open(deps, row, None).await?;
    let mut credential = cloud.credential(deps.clock.now()).await.map_err(link::failed)?;
    // A cloud without Cinder has no quota of volumes; that is no trouble.
    credential.quota = cloud.quota_left().await.ok();
    let servers = Box::pin(cloud.all_servers(deps.limits.page, MOST)).await.map_err(link::failed)?;
    Ok((credential, servers))
}

/// Makes the items of each source of the cloud agree with what it lists.
async fn list(deps: &Deps, row: &RepositoryRow, servers: Vec<Server>) -> Result<()> {
    let mut of_services: HashSet<ServiceId> = HashSet::new();
    let now = deps.clock.now();
    for source in sources::configured(deps.db.read().await?.tx()).await?.into_iter().filter(|s| s.repository_id == row.id) {
        let Ok(SourceConfig::OpenstackInstance(config)) = serde_json::from_value(source.config.0.clone()) else { continue };
        list_source(deps, &source, &config, &servers, now).await?;
        of_services.insert(ServiceId(source.service_id));
    }
    for service in of_services {
        let mut t = deps.db.begin().await?;
        let rpo = services::find(t.tx(), service).await?.and_then(|s| s.rpo_s);
        services::count_items(t.tx(), service, rpo.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
        t.commit().await?;
    }
    Ok(())
}

async fn list_source(deps: &Deps, source: &SourceRow, config: &InstanceConfig, servers: &[Server], now: Timestamp) -> Result<()> {
    let made = |s: &Server| [TESTED, CLONED].iter().any(|mark| s.metadata.contains_key(*mark));
    let mine: Vec<&Server> = servers.iter().filter(|s| config.takes(&s.name) && !made(s)).collect();
    let names = item_names(&mine.iter().map(|s| (s.id.as_str(), s.name.as_str())).collect::<Vec<_>>());
    let (id, service) = (SourceId(source.id), ServiceId(source.service_id));
    let both: Vec<(&String, &Server)> = names.iter().zip(mine).collect();
    for page in both.chunks(BATCH) {
        let mut t = deps.db.begin().await?;
        for (name, server) in page {
            items::listed(t.tx(), id, service, name, server, now).await?;
        }
        t.commit().await?;
    }
    let mut t = deps.db.begin().await?;
    let gone = items::mark_gone(t.tx(), id, now).await?;
    t.commit().await?;
    if gone > 0 {
        tracing::info!(source = source.name, gone, "instances are no longer in the cloud; their snapshots stay");
    }
    Ok(())
}
