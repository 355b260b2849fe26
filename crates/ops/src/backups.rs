//! Starting backups of a service or of one of its sources.
//!
//! Lives here: the use case, and which runs back a source up by its kind. May not: reading a source.

use domain::{
    id::{RepositoryId, RunId, ServiceId, SourceId},
    instance::SnapshotParams,
    run::RunKind,
    work::BackupParams,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{Tx, items, services, sources, sources::SourceRow, wake};

use crate::{
    Ctx, OpsError, Result, instances,
    permission::{Action, On, require_on},
    runs::{self, Start},
};

/// More items than this are asked for as a whole source.
const MOST_ITEMS: usize = 10_000;

/// Starts the runs that back up each source of the service, or the one that is named; of all items where none is named.
/// An instance of a cloud has a run of its own, any other source one.
///
/// # Errors
/// `Underway` where the only run that this would start waits or runs already; of several, that run stands in the answer.
pub async fn start(ctx: &Ctx, service: &str, source: Option<&str>, items: Option<Vec<String>>) -> Result<Vec<RunId>> {
    require_on(ctx, Action::Operate, On::Any)?;
    let mut read = ctx.db.read().await?;
    let found = services::find_by_name(read.tx(), service).await?.filter(|s| s.removed_at.is_none());
    let row = found.ok_or_else(|| OpsError::not_found("service", service))?;
    require_on(ctx, Action::Operate, On::Service(row.id()))?;
    let all = sources::of_service(read.tx(), row.id()).await?;
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
    let mut wanted = Vec::new();
    for one in &chosen {
        wanted.extend(orders(read.tx(), &row.name, one, items.clone(), None).await?);
    }
    drop(read);
    start_all(ctx, wanted).await
}

/// All or none: a call that is repeated finds either.
async fn start_all(ctx: &Ctx, wanted: Vec<Start<Value>>) -> Result<Vec<RunId>> {
    let several = wanted.len() > 1;
    let (mut started, mut t) = (Vec::new(), ctx.db.begin_audited().await?);
    for one in wanted {
        match runs::enqueue_in(ctx, &mut t, one, None).await {
            Ok(run) => started.push(run),
            // Of several, one that is being backed up already is as good as started.
            Err(OpsError::Underway { run, .. }) if several => started.push(run),
            Err(e) => return Err(e),
        }
    }
    t.commit().await?;
    wake::queue();
    Ok(started)
}

/// Starts what backs one source up; the first run where there are several.
pub async fn start_source(ctx: &Ctx, source: SourceId, items: Option<Vec<String>>, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let mut read = ctx.db.read().await?;
    let row = sources::find(read.tx(), source).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("source", source))?;
    require_on(ctx, Action::Operate, On::Service(ServiceId(row.service_id)))?;
    let service = services::find(read.tx(), ServiceId(row.service_id)).await?.ok_or_else(|| OpsError::not_found("service", row.service_id))?;
    let wanted = orders(read.tx(), &service.name, &row, items, retry_of).await?;
    drop(read);
    start_all(ctx, wanted).await?.first().copied().ok_or_else(|| OpsError::not_found("source", source))
}

/// The runs that back a source up: its kind says which, and how many.
async fn orders(mut tx: Tx<'_>, service: &str, source: &SourceRow, names: Option<Vec<String>>, retry_of: Option<RunId>) -> Result<Vec<Start<Value>>> {
    if source.kind != instances::KIND {
        return Ok(vec![order(service, source, names, retry_of)?.untyped()?]);
    }
    let chosen = match listed(names)? {
        None => items::present(tx, source.id(), "", MOST_ITEMS as i64).await?,
        Some(names) => {
            let mut found = Vec::with_capacity(names.len());
            for name in names {
                found.push(instances::named(tx.by_ref(), source, &name).await?);
            }
            found
        }
    };
    if chosen.is_empty() {
        let message = format!("the cloud of {service}/{} has listed no instance yet; see on its repository's page whether it can be reached", source.name);
        return Err(OpsError::Conflict(message));
    }
    chosen.iter().map(|item| instances::order(service, source, item, SnapshotParams::default(), retry_of).untyped()).collect()
}

/// Names of items, each once.
fn listed(names: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    let Some(mut names) = names else { return Ok(None) };
    names.sort();
    names.dedup();
    match names.len() {
        0 => Err(OpsError::invalid("items", "is empty; name an item or leave it out for all")),
        n if n > MOST_ITEMS => Err(OpsError::invalid("items", format!("holds more than {MOST_ITEMS} names; back up the whole source"))),
        _ => Ok(Some(names)),
    }
}

/// The run that backs up a source whose items are read in one pass.
pub(crate) fn order(service: &str, source: &SourceRow, items: Option<Vec<String>>, retry_of: Option<RunId>) -> Result<Start<BackupParams>> {
    let items = listed(items)?;
    let (what, which) = match items.as_deref() {
        None => (format!("Backup of {service}/{}", source.name), "all".to_owned()),
        Some(names) => {
            let title = match names {
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
