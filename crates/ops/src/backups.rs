//! Starting backups of a service or of one of its sources.
//!
//! Lives here: the use case. May not: reading a source.

use domain::{
    id::{RepositoryId, RunId, ServiceId, SourceId},
    run::RunKind,
    work::BackupParams,
};
use sha2::{Digest, Sha256};
use store::{services, sources, sources::SourceRow, wake};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    runs::{self, Start},
};

/// More items than this are asked for as a whole source.
const MOST_ITEMS: usize = 10_000;

/// Starts one run for each source of the service, or for the one that is named; of all items where none is named.
///
/// # Errors
/// `Underway` where the same backup of the only source waits or runs already; of several, that run stands in the answer.
pub async fn start(ctx: &Ctx, service: &str, source: Option<&str>, items: Option<Vec<String>>) -> Result<Vec<RunId>> {
    require_on(ctx, Action::Operate, On::Any)?;
    let mut read = ctx.db.read().await?;
    let found = services::find_by_name(read.tx(), service).await?.filter(|s| s.removed_at.is_none());
    let row = found.ok_or_else(|| OpsError::not_found("service", service))?;
    require_on(ctx, Action::Operate, On::Service(row.id()))?;
    let all = sources::of_service(read.tx(), row.id()).await?;
    drop(read);
    let chosen: Vec<_> = all.into_iter().filter(|s| source.is_none_or(|name| s.name == name)).collect();
    if chosen.is_empty() {
        return Err(match source {
            Some(name) => OpsError::not_found("source", format!("{service}/{name}")),
            None => OpsError::Conflict(format!("service {service} has no source; add one to its configuration")),
        });
    }
    if items.is_some() && chosen.len() > 1 {
        return Err(OpsError::invalid(
            "source",
            format!("service {service} has {} sources; name the one that has these items, as {service}/SOURCE", chosen.len()),
        ));
    }
    // All or none: a call that is repeated finds either.
    let (mut started, mut t) = (Vec::new(), ctx.db.begin_audited().await?);
    for one in &chosen {
        match runs::enqueue_in(ctx, &mut t, order(&row.name, one, items.clone(), None)?, None).await {
            Ok(run) => started.push(run),
            // Of several sources, one that is being backed up already is as good as started.
            Err(OpsError::Underway { run, .. }) if chosen.len() > 1 => started.push(run),
            Err(e) => return Err(e),
        }
    }
    t.commit().await?;
    wake::queue();
    Ok(started)
}

/// Starts a run of one source.
pub async fn start_source(ctx: &Ctx, source: SourceId, items: Option<Vec<String>>, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let mut read = ctx.db.read().await?;
    let row = sources::find(read.tx(), source).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("source", source))?;
    require_on(ctx, Action::Operate, On::Service(ServiceId(row.service_id)))?;
    let service = services::find(read.tx(), ServiceId(row.service_id)).await?.ok_or_else(|| OpsError::not_found("service", row.service_id))?;
    drop(read);
    enqueue(ctx, &service.name, &row, items, retry_of).await
}

async fn enqueue(ctx: &Ctx, service: &str, source: &SourceRow, items: Option<Vec<String>>, retry_of: Option<RunId>) -> Result<RunId> {
    runs::enqueue(ctx, order(service, source, items, retry_of)?).await
}

/// The run that backs a source up.
pub(crate) fn order(service: &str, source: &SourceRow, items: Option<Vec<String>>, retry_of: Option<RunId>) -> Result<Start<BackupParams>> {
    let items = items.map(|mut names| {
        names.sort();
        names.dedup();
        names
    });
    let (what, which) = match &items {
        None => (format!("Backup of {service}/{}", source.name), "all".to_owned()),
        Some(names) if names.is_empty() => return Err(OpsError::invalid("items", "is empty; name an item or leave it out for all")),
        Some(names) if names.len() > MOST_ITEMS => {
            return Err(OpsError::invalid("items", format!("holds more than {MOST_ITEMS} names; back up the whole source")));
        }
        Some(names) => {
            let title = match names.as_slice() {
                [one] => format!("Backup of {service}/{}: {one}", source.name),
                _ => format!("Backup of {service}/{}: {} items", source.name, names.len()),
            };
            (title, hex::encode(Sha256::digest(names.join("\n").as_bytes())))
        }
    };
    Ok(Start {
        kind: RunKind::Backup,
        service: Some(ServiceId(source.service_id)),
        source: Some(source.id()),
        repository: Some(RepositoryId(source.repository_id)),
        title: what,
        params: BackupParams { items },
        retry_of,
        priority: 0,
        resource_key: Some(format!("source:{}", source.id)),
        unique_key: Some(format!("backup:{}:{which}", source.id)),
    })
}
