//! `/api/v1/repositories`: what they take, when they were read, who can open them, who works on them.

use app::context::AppContext;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use ops::repositories::{Clear, Lock as Found, Repository as Stands};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path, Query, Trial},
    instances::CloudCredential,
    problem::Problem,
    words::at,
};

/// Where backups live.
#[derive(Debug, Serialize, ToSchema)]
pub struct Repository {
    id: Uuid,
    name: String,
    location: String,
    /// files, in restic's format; or cloud, where native snapshots stay.
    keeps: &'static str,
    /// Of a cloud: what was last seen of its credential.
    credential: Option<CloudCredential>,
    /// restic's own id of it, or of a cloud its project's; absent until it was first opened.
    restic_id: Option<String>,
    size_bytes: Option<i64>,
    /// What its snapshots would take if each were restored, at the last measurement.
    snapshot_bytes: Option<i64>,
    snapshots: Option<i64>,
    /// `snapshot_bytes` by the size at the same time.
    dedup_ratio: Option<f64>,
    /// Sources that are backed up into it, as `service/source`.
    sources: Vec<String>,
    /// When its structure was last checked.
    checked_at: Option<Timestamp>,
    /// ok or damaged.
    check_state: Option<String>,
    /// When a check last read data, all or some.
    data_read_at: Option<Timestamp>,
    /// When a check last read all data at once.
    data_checked_at: Option<Timestamp>,
    /// Every pack is read within so many seconds; absent where nobody asked for it.
    read_all_within_s: Option<i64>,
    packs: Option<i64>,
    /// Packs that were never read, or were found damaged.
    packs_unread: Option<i64>,
    /// Since when the pack waits that has waited longest: its last reading, or when it was first seen.
    reading_waits_since: Option<Timestamp>,
    pruned_at: Option<Timestamp>,
    /// What the newest tamper test says: protected, unprotected or unknown; absent where none was made.
    protection: Option<String>,
    /// The same in a sentence.
    protection_words: Option<String>,
    tamper_tested_at: Option<Timestamp>,
}

impl From<Stands> for Repository {
    fn from(r: Stands) -> Self {
        let (ratio, protection) = (r.dedup_ratio(), r.protection());
        let sources = r.uses.into_iter().map(|u| format!("{}/{}", u.service_name, u.source_name)).collect();
        let row = r.row;
        Self {
            id: row.id,
            keeps: if ops::repositories::keeping(&row).is_cloud() { "cloud" } else { "files" },
            credential: row.credential.as_ref().map(|c| CloudCredential::from(&c.0)),
            name: row.name,
            location: row.location,
            restic_id: row.restic_id,
            size_bytes: row.size_bytes,
            snapshot_bytes: r.newest.map(|n| n.snapshot_bytes),
            snapshots: r.newest.map(|n| n.snapshots),
            dedup_ratio: ratio,
            sources,
            checked_at: row.checked_at.map(at),
            check_state: row.check_state,
            data_read_at: row.data_read_at.map(at),
            data_checked_at: row.data_checked_at.map(at),
            read_all_within_s: row.read_all_within_s,
            packs: row.packs,
            packs_unread: row.packs_unread,
            reading_waits_since: row.reading_waits_since.map(at),
            pruned_at: row.pruned_at.map(at),
            protection: protection.map(|p| p.as_str().to_owned()),
            protection_words: row.tamper_test.map(|f| f.words()),
            tamper_tested_at: row.tamper_tested_at.map(at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Repositories {
    repositories: Vec<Repository>,
}

/// Repositories by name
#[utoipa::path(get, path = "/api/v1/repositories", tag = "repositories",
    responses((status = 200, body = Repositories)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<Repositories>, Problem> {
    Ok(Json(Repositories { repositories: ops::repositories::list(&ctx).await?.into_iter().map(Repository::from).collect() }))
}

/// One repository
#[utoipa::path(get, path = "/api/v1/repositories/{name}", tag = "repositories", params(("name" = String, Path, description = "The repository's name")),
    responses((status = 200, body = Repository)))]
pub async fn find(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Repository>, Problem> {
    Ok(Json(ops::repositories::find(&ctx, &name).await?.into()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SizesOf {
    /// 1 to 366 days back, 90 where it is left out.
    days: Option<i64>,
}

/// One measurement, after a backup, a prune or a check.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the names are those of the API, where “size” alone would have no unit")]
pub struct Size {
    measured_at: Timestamp,
    size_bytes: i64,
    snapshot_bytes: i64,
    snapshots: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Sizes {
    /// The last measurement of each day, the oldest first.
    sizes: Vec<Size>,
}

/// How a repository grew
#[utoipa::path(get, path = "/api/v1/repositories/{name}/sizes", tag = "repositories", params(("name" = String, Path, description = "The repository's name"), SizesOf),
    responses((status = 200, body = Sizes)))]
pub async fn sizes(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<SizesOf>) -> Result<Json<Sizes>, Problem> {
    let rows = ops::repositories::history(&ctx, &name, q.days.unwrap_or(90)).await?;
    let size = |s: store::repositories::SizeRow| Size {
        measured_at: at(s.measured_at),
        size_bytes: s.size_bytes,
        snapshot_bytes: s.snapshot_bytes,
        snapshots: s.snapshots,
    };
    Ok(Json(Sizes { sizes: rows.into_iter().map(size).collect() }))
}

/// Somebody who works on a repository, or has.
#[derive(Debug, Serialize, ToSchema)]
pub struct Lock {
    id: String,
    host: String,
    user: String,
    pid: u32,
    since: Timestamp,
    exclusive: bool,
    /// Why it belongs to nobody any more: old (not refreshed for 30 minutes) or process_gone; absent while it may be held.
    stale: Option<&'static str>,
    /// The run of this Holdfast that holds it; such a lock cannot be cleared.
    run: Option<Uuid>,
}

impl From<Found> for Lock {
    fn from(l: Found) -> Self {
        let stale = l.record.stale.map(|s| match s {
            ops::repositories::StaleReason::Old => "old",
            ops::repositories::StaleReason::ProcessGone => "process_gone",
        });
        let (r, run) = (l.record, l.run.map(|(id, _)| id.0));
        Self { id: r.id, host: r.host, user: r.user, pid: r.pid, since: at(r.since.0), exclusive: r.exclusive, stale, run }
    }
}

/// A key that opens a repository, as its file says in clear.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    id: String,
    user: String,
    host: String,
    created_at: Option<Timestamp>,
    /// Whether the password that Holdfast has opens it.
    own: bool,
}

/// Who can open a repository and who works on it, read from the repository now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Inside {
    restic_id: String,
    keys: Vec<Key>,
    /// The oldest first.
    locks: Vec<Lock>,
}

/// Keys and locks of a repository
#[utoipa::path(get, path = "/api/v1/repositories/{name}/locks", tag = "repositories", params(("name" = String, Path, description = "The repository's name")),
    responses((status = 200, body = Inside),
        (status = 409, description = "the repository is busy, so it cannot be read now", body = Problem, content_type = "application/problem+json")))]
pub async fn locks(State(app): State<AppContext>, Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Inside>, Problem> {
    let found = ops::repositories::inside(&ctx, &app.repositories, &name).await?;
    let key = |k: ops::repositories::KeyRecord| Key { id: k.id, user: k.user, host: k.host, created_at: k.created_at.map(|t| at(t.0)), own: k.own };
    Ok(Json(Inside { restic_id: found.id, keys: found.keys.into_iter().map(key).collect(), locks: found.locks.into_iter().map(Lock::from).collect() }))
}

/// Why a lock is cleared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the machine is gone", "confirmed": true}))]
pub struct ClearLock {
    reason: String,
    /// Somebody has made sure that its owner no longer works; needed while the lock is not stale.
    #[serde(default)]
    confirmed: bool,
}

/// Clear a lock that belongs to nobody any more
///
/// Refused while a run of this Holdfast holds it. What is cleared stands in the audit trail, with owner and reason.
#[utoipa::path(post, path = "/api/v1/repositories/{name}/locks/{id}/clear", tag = "repositories",
    params(("name" = String, Path, description = "The repository's name"), ("id" = String, Path, description = "The lock's id"), Trial), request_body = ClearLock,
    responses((status = 204, description = "cleared"), (status = 200, description = "with `preview`: the lock that would be cleared", body = Lock)))]
pub async fn clear(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path((name, lock)): Path<(String, String)>,
    Query(trial): Query<Trial>,
    Body(body): Body<ClearLock>,
) -> Result<Response, Problem> {
    let what = Clear { lock, reason: body.reason, confirmed: body.confirmed };
    if trial.preview {
        return Ok(Json(Lock::from(ops::repositories::would_clear(&ctx, &app.repositories, &name, &what).await?)).into_response());
    }
    ops::repositories::clear_lock(&ctx, &app.repositories, &name, &what).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// How to get the data back with restic alone, as a text; it holds no password
#[utoipa::path(get, path = "/api/v1/repositories/{name}/kit", tag = "repositories", params(("name" = String, Path, description = "The repository's name")),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn kit(State(app): State<AppContext>, Asker(ctx): Asker, Path(name): Path<String>) -> Result<Response, Problem> {
    let kit = ops::repositories::kit(&ctx, &app.repositories, &name, usize::MAX).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], kit.text(&app.zone)).into_response())
}
