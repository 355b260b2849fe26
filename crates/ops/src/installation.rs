//! Copies of Holdfast itself: starting them, proving them, the recovery key (R62).
//!
//! Lives here: the use cases, and in `missing` what a rebuilt installation needs on its machine. May not: writing or
//! reading a copy (that is `runner`), the secret part of a key beyond the one time that it is shown.

mod missing;

use domain::{
    id::{RepositoryId, RunId},
    installation::{Facts, InstallationBackupParams, RecoveryKey, Why, copy_due, test_due},
    run::RunKind,
    units::Timestamp,
};
use serde_json::json;
use store::{
    audit::NewEvent,
    installation::{self, CopyRow},
    repositories::{self, RepositoryRow},
    settings,
};

pub use self::missing::{Missing, missing, start_checks, younger};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    repositories::{Need, require_files},
    runs::{self, Start},
    sealing,
};

/// The setting that holds the public part of the recovery key in hexadecimal.
pub const RECOVERY_KEY: &str = "recovery_key";
/// Backups go first: a copy of the records is small and can wait.
const PRIORITY: i64 = -10;
/// How far back a failed try is looked for.
const TRIES_S: i64 = 7_200;
/// Copies of a repository that are listed.
const LISTED: i64 = 200;

/// Starts a copy of Holdfast itself into a repository.
pub async fn backup(ctx: &Ctx, repository: &str) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let row = by_name(ctx, repository).await?;
    start_backup(ctx, &row, Why::Asked, None).await
}

/// Starts a restore test of Holdfast itself: from the newest copy in a repository.
pub async fn test(ctx: &Ctx, repository: &str) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let row = by_name(ctx, repository).await?;
    start_test(ctx, &row, None).await
}

/// Starts again what an ended run of these kinds did.
pub(crate) async fn again(ctx: &Ctx, kind: RunKind, repository: RepositoryId, retry_of: RunId) -> Result<RunId> {
    let row = repositories::find(ctx.db.read().await?.tx(), repository).await?;
    let row = row.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?;
    match kind {
        RunKind::InstallationTest => start_test(ctx, &row, Some(retry_of)).await,
        _ => start_backup(ctx, &row, Why::Asked, Some(retry_of)).await,
    }
}

/// The copies that a repository holds, the newest first.
pub async fn copies(ctx: &Ctx, repository: RepositoryId) -> Result<Vec<CopyRow>> {
    require(ctx, Action::Read)?;
    Ok(installation::copies(ctx.db.read().await?.tx(), repository, LISTED).await?)
}

/// Starts the copies and restore tests that are due. The watchdog calls it again and again, and any number of
/// processes may: what is under way already is left to itself.
pub async fn tend(ctx: &Ctx) -> Result<Vec<RunId>> {
    require(ctx, Action::Operate)?;
    let rows = repositories::list(ctx.db.read().await?.tx()).await?;
    let mut started = Vec::new();
    // A repository gets its first copy after its first backup, which says that it is there and its password fits.
    for row in rows.iter().filter(|r| r.restic_id.is_some() && require_files(r, Need::Copy).is_ok()) {
        let started_now = match due(ctx, row).await? {
            Due::Copy(why) => start_backup(ctx, row, why, None).await,
            Due::Test => start_test(ctx, row, None).await,
            Due::Nothing => continue,
        };
        match started_now {
            Ok(run) => started.push(run),
            Err(OpsError::Underway { .. } | OpsError::Conflict(_)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(started)
}

enum Due {
    Copy(Why),
    Test,
    Nothing,
}

async fn due(ctx: &Ctx, row: &RepositoryRow) -> Result<Due> {
    let (now, id) = (ctx.now(), row.id());
    let mut read = ctx.db.read().await?;
    let newest = installation::copies(read.tx(), id, 1).await?.pop();
    let since = now.plus_secs(-TRIES_S);
    let facts = Facts {
        newest: newest.as_ref().map(|c| Timestamp(c.taken_at)),
        changed: match &newest {
            Some(copy) => installation::changed_since(read.tx(), copy.audit_seq).await?,
            None => None,
        },
        tried: installation::tried_at(read.tx(), RunKind::InstallationBackup, id, since).await?,
    };
    if let Some(why) = copy_due(&facts, now) {
        return Ok(Due::Copy(why));
    }
    let tested = installation::tested_at(read.tx(), id).await?;
    let tried = installation::tried_at(read.tx(), RunKind::InstallationTest, id, since).await?;
    Ok(if test_due(facts.newest, tested, tried, now) { Due::Test } else { Due::Nothing })
}

async fn by_name(ctx: &Ctx, name: &str) -> Result<RepositoryRow> {
    let found = repositories::find_by_name(ctx.db.read().await?.tx(), name).await?;
    found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", name))
}

async fn start_backup(ctx: &Ctx, row: &RepositoryRow, why: Why, retry_of: Option<RunId>) -> Result<RunId> {
    require_files(row, Need::Copy)?;
    let key = format!("installation_backup:{}", row.id);
    let start = Start {
        kind: RunKind::InstallationBackup,
        service: None,
        source: None,
        repository: Some(row.id()),
        title: format!("Copy of Holdfast itself to {}", row.name),
        params: InstallationBackupParams { why },
        retry_of,
        priority: PRIORITY,
        resource_key: Some(key.clone()),
        unique_key: Some(key),
    };
    runs::enqueue(ctx, start).await
}

async fn start_test(ctx: &Ctx, row: &RepositoryRow, retry_of: Option<RunId>) -> Result<RunId> {
    require_files(row, Need::Copy)?;
    let key = format!("installation_test:{}", row.id);
    let start = Start {
        kind: RunKind::InstallationTest,
        service: None,
        source: None,
        repository: Some(row.id()),
        title: format!("Restore test of Holdfast itself from {}", row.name),
        params: json!({}),
        retry_of,
        priority: PRIORITY,
        resource_key: Some(key.clone()),
        unique_key: Some(key),
    };
    runs::enqueue(ctx, start).await
}

/// The public part of the recovery key, if one was made.
pub async fn recovery_key(ctx: &Ctx) -> Result<Option<String>> {
    require(ctx, Action::Read)?;
    Ok(settings::get(ctx.db.read().await?.tx(), RECOVERY_KEY).await?)
}

/// Makes the recovery key, which is returned this once and kept nowhere.
///
/// Copies from now on are sealed for it. With `replace` a former key may be there already: it still opens the copies
/// that were made until now, and no later ones.
pub async fn make_recovery_key(ctx: &Ctx, replace: bool) -> Result<RecoveryKey> {
    require(ctx, Action::Configure)?;
    let (key, public) = sealing::new_key().map_err(OpsError::internal)?;
    let mut t = ctx.db.begin_audited().await?;
    let old: Option<String> = settings::get(t.tx(), RECOVERY_KEY).await?;
    if old.is_some() && !replace {
        return Err(OpsError::Conflict("there is a recovery key already; replace it with --replace if its paper is lost or was seen by others".to_owned()));
    }
    settings::set(t.tx(), RECOVERY_KEY, &public, ctx.now()).await?;
    let told = |public: &str| json!({"fingerprint": sealing::fingerprint(public)});
    let event = NewEvent {
        action: "recovery_key.make",
        entity: "recovery_key",
        entity_id: sealing::fingerprint(&public).to_owned(),
        before: old.as_deref().map(told),
        after: Some(told(&public)),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(key)
}

#[cfg(test)]
mod tests;
