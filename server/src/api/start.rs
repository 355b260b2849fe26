//! `POST /api/v1/runs`: starting work; `POST /api/v1/runs/{id}/retry`: starting it again.

use axum::{Json, http::StatusCode};
use domain::{id::RunId, work};
use ops::{Ctx, runs::Retry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    restores,
};

/// What is to be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"kind": "backup", "service": "notebooks"}))]
pub enum StartRun {
    /// Back up a service: one run for each of its sources.
    Backup {
        service: String,
        /// Only this source.
        source: Option<String>,
        /// Only these items of the source.
        items: Option<Vec<String>>,
    },
    /// Check a repository.
    Check {
        repository: String,
        /// Read and verify every byte, not the structure alone.
        #[serde(default)]
        read_data: bool,
    },
    /// Give back the space of what no snapshot needs.
    Prune {
        repository: String,
        /// Seconds between the mark on a pack and its deletion; a day where it is left out.
        safe_age_s: Option<u32>,
    },
    /// Try whether the credentials that write a repository can destroy it.
    TamperTest { repository: String },
    /// Copy Holdfast itself into a repository.
    InstallationBackup { repository: String },
    /// Bring the newest such copy back beside, to prove that it works.
    InstallationTest { repository: String },
    /// Restore to a scratch folder, check, measure, tear down: by a definition of the service, or the built-in one with a
    /// selection.
    RestoreTest { service: String, selection: Option<Selection>, definition: Option<String> },
    /// Restore snapshots.
    Restore {
        snapshots: Vec<Chosen>,
        target: Target,
        #[serde(default)]
        conflict: Conflict,
        /// Only count what would happen; nothing is written.
        #[serde(default)]
        preview: bool,
        /// The service's name, typed: needed for a restore in place.
        confirm: Option<String>,
    },
}

/// Which snapshots a restore test takes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// The newest snapshot of the service.
    Latest,
    /// One snapshot at random among those of the last so many days.
    Random { days: i64 },
    /// The newest snapshots of so many items, chosen at random.
    Sample { count: i64 },
    /// The newest snapshot of every item.
    All,
}

impl From<Selection> for work::Selection {
    fn from(s: Selection) -> Self {
        match s {
            Selection::Latest => Self::Latest,
            Selection::Random { days } => Self::Random { days },
            Selection::Sample { count } => Self::Sample { count },
            Selection::All => Self::All,
        }
    }
}

impl From<work::Selection> for Selection {
    fn from(s: work::Selection) -> Self {
        match s {
            work::Selection::Latest => Self::Latest,
            work::Selection::Random { days } => Self::Random { days },
            work::Selection::Sample { count } => Self::Sample { count },
            work::Selection::All => Self::All,
        }
    }
}

/// One snapshot to restore from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    pub snapshot: Uuid,
    /// Paths inside the snapshot; everything where it is left out.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// Where a restore writes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// To where the items came from; a safety snapshot is taken first.
    InPlace,
    /// Into a folder inside each item's own one, named after the snapshot.
    Beside,
    /// Below an absolute folder.
    Folder { path: String },
}

/// What happens where the target already holds a file of that name.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    #[default]
    Fail,
    Skip,
    Overwrite,
    KeepNewer,
}

/// The runs that were started.
#[derive(Debug, Serialize, ToSchema)]
pub struct Started {
    runs: Vec<Uuid>,
}

impl Started {
    pub fn one(run: Uuid) -> Self {
        Self { runs: vec![run] }
    }
}

/// Start a backup, a check, a prune, a tamper test, a restore test or a restore
#[utoipa::path(post, path = "/api/v1/runs", tag = "runs", request_body = StartRun,
    responses((status = 202, body = Started)))]
pub async fn start(Asker(ctx): Asker, Body(what): Body<StartRun>) -> Result<(StatusCode, Json<Started>), Problem> {
    let runs = match ctx.done("run") {
        Some(runs) => runs,
        None => begin(&ctx, what).await?.into_iter().map(|r| r.0).collect(),
    };
    Ok((StatusCode::ACCEPTED, Json(Started { runs })))
}

async fn begin(ctx: &Ctx, what: StartRun) -> Result<Vec<RunId>, Problem> {
    Ok(match what {
        StartRun::Backup { service, source, items } => ops::backups::start(ctx, &service, source.as_deref(), items).await?,
        StartRun::Check { repository, read_data } => vec![ops::checks::start(ctx, &repository, read_data).await?],
        StartRun::Prune { repository, safe_age_s } => {
            let params = safe_age_s.map_or_else(work::PruneParams::default, |safe_age_s| work::PruneParams { safe_age_s });
            vec![ops::prunes::start(ctx, &repository, params).await?]
        }
        StartRun::TamperTest { repository } => vec![ops::tamper_tests::start(ctx, &repository).await?],
        StartRun::InstallationBackup { repository } => vec![ops::installation::backup(ctx, &repository).await?],
        StartRun::InstallationTest { repository } => vec![ops::installation::test(ctx, &repository).await?],
        StartRun::RestoreTest { service, selection, definition } => match (selection, definition) {
            (Some(selection), None) => vec![ops::restore_tests::start(ctx, &service, selection.into()).await?],
            (None, Some(definition)) => vec![ops::restore_tests::start_by(ctx, &service, &definition).await?],
            (Some(_), Some(_)) => return Err(Problem::invalid("selection", "is what the definition says; give one of the two")),
            (None, None) => return Err(Problem::invalid("selection", "is missing; give it, or a definition")),
        },
        StartRun::Restore { snapshots, target, conflict, preview, confirm } => {
            vec![ops::restores::start(ctx, restores::request(snapshots, target, conflict, confirm, preview)).await?]
        }
    })
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"what": "failed"}))]
pub struct Again {
    #[serde(default)]
    what: AgainWhat,
}

/// What of a run is tried again.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgainWhat {
    #[default]
    All,
    /// Only the items that failed or are partial.
    Failed,
}

/// Try a run again that has ended
///
/// A new run is started with what the old one was asked for. A restore in place is refused: it needs the service's name
/// typed again, so start it anew.
#[utoipa::path(post, path = "/api/v1/runs/{id}/retry", tag = "runs", params(("id" = Uuid, Path, description = "The run's id")), request_body = Again,
    responses((status = 202, body = Started)))]
pub async fn retry(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(body): Body<Again>) -> Result<(StatusCode, Json<Started>), Problem> {
    if let Some(runs) = ctx.done("run") {
        return Ok((StatusCode::ACCEPTED, Json(Started { runs })));
    }
    let what = match body.what {
        AgainWhat::All => Retry::All,
        AgainWhat::Failed => Retry::FailedItems,
    };
    let run = ops::runs::retry(&ctx, RunId(id), what).await?;
    Ok((StatusCode::ACCEPTED, Json(Started { runs: vec![run.0] })))
}
