//! Starting restores and previews of restores (R26, R27).
//!
//! Lives here: the use cases and every refusal that needs no look at a disk. May not: writing anywhere.
//! Invariant: what is queued names pinned snapshots; “latest” was resolved before.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use domain::{
    id::{RepositoryId, RunId, ServiceId, SnapshotId, SourceId},
    naming,
    restore::ConflictMode,
    run::RunKind,
    work::{RestoreParams, RestoreSelection, RestoreTarget},
};
use engine::job::{DirectoryItems, SourceConfig};
use sha2::{Digest as _, Sha256};
use store::{items, repositories, services, services::ServiceRow, snapshots, snapshots::SnapshotRow, sources, sources::SourceRow};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, allowed, require_on},
    repositories::{Need, require_files},
    runs::{self, Start},
};

const MOST_CHOICES: usize = 10_000;
const MOST_PATHS: usize = 1_000;

/// One snapshot to restore from; all of it where `paths` is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub snapshot: SnapshotId,
    pub paths: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub choices: Vec<Choice>,
    pub target: RestoreTarget,
    pub conflict: ConflictMode,
    /// Only count what would happen.
    pub preview: bool,
    /// The service's name, typed: needed for a restore in place.
    pub confirm: Option<String>,
}

/// Starts a restore, or with `preview` a run that only counts.
pub async fn start(ctx: &Ctx, request: Request) -> Result<RunId> {
    start_again(ctx, request, None).await
}

pub(crate) async fn start_again(ctx: &Ctx, request: Request, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Restore, On::Any)?;
    let start = prepare(ctx, request).await?;
    runs::enqueue(ctx, Start { retry_of, ..start }).await
}

/// Checks the request and turns it into what the queue takes.
pub(crate) async fn prepare(ctx: &Ctx, request: Request) -> Result<Start<RestoreParams>> {
    if request.choices.is_empty() || request.choices.len() > MOST_CHOICES {
        return Err(OpsError::invalid("items", format!("choose from 1 to {MOST_CHOICES} snapshots")));
    }
    let chosen = load(ctx, request.choices).await?;
    let first = &chosen[0].0;
    let repository = RepositoryId(first.repository_id);
    if chosen.iter().any(|(s, _)| s.repository_id != first.repository_id) {
        return Err(OpsError::invalid("items", "the snapshots are in several repositories; restore from one at a time"));
    }
    let mut names = BTreeSet::new();
    for (_, selection) in &chosen {
        if !names.insert(selection.item.as_str()) {
            return Err(OpsError::invalid("items", format!("{} was chosen twice; one snapshot of an item can be restored at a time", selection.item)));
        }
    }
    let service = one_of(chosen.iter().map(|(s, _)| s.service_id)).map(ServiceId);
    let source = one_of(chosen.iter().map(|(s, _)| s.source_id)).map(SourceId);
    for (snapshot, _) in &chosen {
        require_on(ctx, Action::Restore, snapshot)?;
    }
    if let Some(row) = repositories::find(ctx.db.read().await?.tx(), repository).await? {
        require_files(&row, Need::Restore)?;
    }
    let (resource_key, unique, target) = match &request.target {
        RestoreTarget::InPlace => {
            let (service, row) = origin(ctx, service, source).await?;
            if !allowed(&ctx.actor, Action::Restore, On::Service(service.id())) {
                return Err(OpsError::Forbidden("restore in place; restore beside the original, or ask an admin"));
            }
            confirmed(&service, request.preview, request.confirm.as_deref())?;
            (of_source(&row), of_source(&row), RestoreTarget::InPlace)
        }
        RestoreTarget::Beside => {
            let (_, row) = origin(ctx, service, source).await?;
            let ids: Vec<String> = chosen.iter().map(|(s, _)| s.id.to_string()).collect();
            (of_source(&row), format!("beside:{}", hex::encode(&Sha256::digest(ids.join(" ").as_bytes())[..16])), RestoreTarget::Beside)
        }
        RestoreTarget::Folder { path } => {
            if !allowed(&ctx.actor, Action::Restore, On::All) {
                return Err(OpsError::Forbidden("restore to a folder of the server; restore beside the original, or ask an admin"));
            }
            let path = folder(ctx, path).await?;
            (format!("target:{path}"), format!("target:{path}"), RestoreTarget::Folder { path })
        }
    };
    let what = match names.first() {
        Some(one) if names.len() == 1 => (*one).to_owned(),
        _ => format!("{} items", names.len()),
    };
    let place = match &target {
        RestoreTarget::InPlace => "in place".to_owned(),
        RestoreTarget::Beside => "beside the original".to_owned(),
        RestoreTarget::Folder { path } => format!("to {path}"),
    };
    let items = chosen.iter().map(|(_, s)| s.clone()).collect();
    Ok(Start {
        kind: RunKind::Restore,
        service,
        source,
        repository: Some(repository),
        title: format!("{} of {what} {place}", if request.preview { "Preview of a restore" } else { "Restore" }),
        params: RestoreParams { items, target, conflict: request.conflict, preview: request.preview },
        retry_of: None,
        // Somebody waits in front of a preview, and somebody needs the data of a restore.
        priority: if request.preview { 20 } else { 10 },
        resource_key: (!request.preview).then_some(resource_key),
        unique_key: (!request.preview).then(|| format!("restore:{unique}")),
    })
}

/// The chosen snapshots with the names of their items.
async fn load(ctx: &Ctx, choices: Vec<Choice>) -> Result<Vec<(SnapshotRow, RestoreSelection)>> {
    let mut read = ctx.db.read().await?;
    let mut chosen = Vec::with_capacity(choices.len());
    for choice in choices {
        let row = snapshots::find(read.tx(), choice.snapshot).await?.filter(|s| s.gone_at.is_none());
        let row = row.ok_or_else(|| OpsError::not_found("snapshot", choice.snapshot))?;
        let item = match row.item_id {
            Some(id) => items::find(read.tx(), domain::id::ItemId(id)).await?.map(|i| i.name),
            None => None,
        };
        let item = item.unwrap_or_else(|| if row.label.is_empty() { row.restic_id.chars().take(8).collect() } else { row.label.clone() });
        if choice.paths.len() > MOST_PATHS {
            return Err(OpsError::invalid("paths", format!("choose at most {MOST_PATHS} paths, or the folder that holds them")));
        }
        let paths = choice.paths.iter().map(|p| inner_path(p)).collect::<Result<Vec<_>>>()?;
        // A path that is the root means everything.
        let paths = if paths.iter().any(String::is_empty) { Vec::new() } else { paths };
        chosen.push((row, RestoreSelection { item, snapshot: choice.snapshot, paths }));
    }
    Ok(chosen)
}

/// A path inside a snapshot, without slashes at its ends.
fn inner_path(path: &str) -> Result<String> {
    let bytes =
        naming::unescape(path).ok_or_else(|| OpsError::invalid("paths", format!("“{path}” holds a backslash that starts nothing known; write it as \\\\")))?;
    if bytes.split(|b| *b == b'/').any(|part| part == b"..") || bytes.contains(&0) {
        return Err(OpsError::invalid("paths", format!("“{path}” leads out of the snapshot; name a path inside it")));
    }
    Ok(path.trim_matches('/').to_owned())
}

fn one_of(mut ids: impl Iterator<Item = Option<uuid::Uuid>>) -> Option<uuid::Uuid> {
    let first = ids.next()??;
    ids.all(|id| id == Some(first)).then_some(first)
}

/// The source that the chosen snapshots came from, with its service.
async fn origin(ctx: &Ctx, service: Option<ServiceId>, source: Option<SourceId>) -> Result<(ServiceRow, SourceRow)> {
    let mut read = ctx.db.read().await?;
    let (Some(service), Some(source)) = (service, source) else {
        return Err(OpsError::invalid("target", "these snapshots do not all come from one source of Holdfast; choose a folder as the target"));
    };
    let row = sources::find(read.tx(), source).await?.filter(|s| s.removed_at.is_none());
    let row = row.ok_or_else(|| OpsError::invalid("target", "the source of these snapshots is no longer configured; choose a folder as the target"))?;
    let service = services::find(read.tx(), service).await?.ok_or_else(|| OpsError::not_found("service", service))?;
    Ok((service, row))
}

fn confirmed(service: &ServiceRow, preview: bool, confirm: Option<&str>) -> Result<()> {
    if preview || confirm.map(str::trim) == Some(service.name.as_str()) {
        return Ok(());
    }
    Err(OpsError::invalid("confirm", format!("a restore in place changes the service's own files; type the service's name, {}", service.name)))
}

/// The same key as a backup of the source: never both at once.
fn of_source(source: &SourceRow) -> String {
    format!("source:{}", source.id)
}

/// Checks a folder as the target; its path without redundant parts.
async fn folder(ctx: &Ctx, path: &str) -> Result<String> {
    let given = Path::new(path);
    if !given.is_absolute() {
        return Err(OpsError::invalid("target.path", format!("“{path}” is not absolute; begin with /")));
    }
    if given.components().any(|c| c == Component::ParentDir) || path.contains('\0') {
        return Err(OpsError::invalid("target.path", format!("“{path}” holds “..”; write the path without it")));
    }
    let clean: PathBuf = given.components().collect();
    if clean.parent().is_none() {
        return Err(OpsError::invalid("target.path", "the root folder cannot be a target; choose a folder below it"));
    }
    let mut read = ctx.db.read().await?;
    for repository in repositories::list(read.tx()).await? {
        if let Some(place) = repository.location.strip_prefix("file://").map(Path::new)
            && (clean.starts_with(place) || place.starts_with(&clean))
        {
            return Err(OpsError::invalid("target.path", format!("{} overlaps the repository {}; choose another folder", clean.display(), repository.name)));
        }
    }
    for row in sources::configured(read.tx()).await? {
        let SourceConfig::Directory(config) = serde_json::from_value(row.config.0.clone()).map_err(OpsError::internal)? else { continue };
        if clean.starts_with(&config.path) || config.path.starts_with(&clean) {
            let service = services::find(read.tx(), ServiceId(row.service_id)).await?.map_or_else(String::new, |s| s.name);
            let message = format!(
                "{} overlaps {}, which {service} backs up as {}; choose “in place”, which takes a safety snapshot first, or another folder",
                clean.display(),
                config.path.display(),
                row.name
            );
            return Err(OpsError::invalid("target.path", message));
        }
    }
    Ok(clean.to_string_lossy().into_owned())
}

/// The folder that an item of a source lives in; `None` where its name or the source's configuration cannot be one.
pub fn home_of(source: &SourceRow, item: &str) -> Result<Option<PathBuf>> {
    let config: SourceConfig = serde_json::from_value(source.config.0.clone()).map_err(OpsError::internal)?;
    Ok(match config {
        SourceConfig::Directory(d) => match d.items {
            DirectoryItems::Itself => Some(d.path),
            DirectoryItems::Children => child_folder(&d.path, item),
        },
        SourceConfig::OpenstackInstance(_) => None,
    })
}

/// The folder inside an item's own one that receives a snapshot of it; `None` as [`home_of`] says.
pub fn beside_of(source: &SourceRow, item: &str, snapshot: &SnapshotRow) -> Result<Option<PathBuf>> {
    let day = jiff::Timestamp::from_microsecond(snapshot.taken_at).map(|t| t.strftime("%Y-%m-%d").to_string()).map_err(OpsError::internal)?;
    let short: String = snapshot.restic_id.chars().take(8).collect();
    Ok(home_of(source, item)?.map(|home| home.join(format!("restored-{day}-{short}"))))
}

/// The folder of an item's name below `parent`; `None` where the name is not one plain component.
pub fn child_folder(parent: &Path, item: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let name = naming::unescape(item)?;
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        return None;
    }
    Some(parent.join(std::ffi::OsString::from_vec(name)))
}
