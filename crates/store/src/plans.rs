//! Rows of continuity plans: versions, their signatures, and what happened to each (R38, R42).
//!
//! Lives here: their SQL. May not: who may sign, what may follow what (`domain::plan` says).
//! Invariants: a service has one open and one approved version at most, by unique indexes; content changes only while
//! the version is a draft and has the revision that was seen; a version is never deleted, an event never changed.

use domain::{
    id::{PlanEventId, PlanSignatureId, PlanVersionId, ServiceId},
    plan::{Annex, Event, PlanContent, Role, State},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

/// Services with how their plans stand.
macro_rules! listed {
    ($where:literal) => {
        concat!(
            "SELECT s.id AS service_id, s.name AS service, s.title AS title, s.owner AS owner, a.number AS approved, a.approved_at AS approved_at, \
            o.id AS open_id, o.number AS open, o.state AS open_state, o.updated_at AS open_at, o.updated_by AS open_by FROM service s \
            LEFT JOIN plan_version a ON a.service_id = s.id AND a.state = 'approved' \
            LEFT JOIN plan_version o ON o.service_id = s.id AND o.state IN ('draft', 'in_review') WHERE ",
            $where
        )
    };
}

statements! {
    FIND = "SELECT * FROM plan_version WHERE id = $1";
    BY_NUMBER = "SELECT * FROM plan_version WHERE service_id = $1 AND number = $2";
    APPROVED = "SELECT * FROM plan_version WHERE service_id = $1 AND state = 'approved'";
    OPEN = "SELECT * FROM plan_version WHERE service_id = $1 AND state IN ('draft', 'in_review')";
    NEWEST = "SELECT * FROM plan_version WHERE service_id = $1 ORDER BY number DESC LIMIT 1";
    OF_SERVICE = "SELECT * FROM plan_version WHERE service_id = $1 ORDER BY number DESC LIMIT $2";
    /// The next number is taken in the same statement; of two who begin at once one meets the index.
    START = "INSERT INTO plan_version (id, service_id, number, state, revision, content, roles, based_on, created_by, created_at, updated_by, updated_at) \
        SELECT $1, $2, COALESCE(MAX(number), 0) + 1, 'draft', 1, $3, $4, $5, $6, $7, $6, $7 FROM plan_version WHERE service_id = $2";
    SAVE = "UPDATE plan_version SET content = $3, revision = revision + 1, updated_by = $4, updated_at = $5 WHERE id = $1 AND state = 'draft' AND revision = $2";
    SUBMIT = "UPDATE plan_version SET state = 'in_review', content_sha256 = $3, annex = $4, roles = $5, submitted_at = $6 \
        WHERE id = $1 AND state = 'draft' AND revision = $2";
    RETURN = "UPDATE plan_version SET state = 'draft', content_sha256 = NULL, annex = NULL, submitted_at = NULL, revision = revision + 1 WHERE id = $1 AND state = 'in_review'";
    DISCARD = "UPDATE plan_version SET state = 'discarded', ended_at = $3 WHERE id = $1 AND state = 'draft' AND revision = $2";
    SUPERSEDE = "UPDATE plan_version SET state = 'superseded', ended_at = $2 WHERE id = $1 AND state = 'approved'";
    APPROVE = "UPDATE plan_version SET state = 'approved', approved_at = $3 WHERE id = $1 AND state = 'in_review' AND content_sha256 = $2";
    SIGN = "INSERT INTO plan_signature (id, version_id, role, signer, content_sha256, signed_at) \
        SELECT $1, $2, $3, $4, $5, $6 FROM plan_version WHERE id = $2 AND state = 'in_review' AND content_sha256 = $5";
    FALL = "UPDATE plan_signature SET fallen_at = $2 WHERE version_id = $1 AND fallen_at IS NULL";
    SIGNATURES = "SELECT * FROM plan_signature WHERE version_id = $1 ORDER BY signed_at, id";
    NOTE = "INSERT INTO plan_event (id, version_id, at, actor, kind, note) VALUES ($1, $2, $3, $4, $5, $6)";
    EVENTS = "SELECT e.*, v.number AS number FROM plan_event e JOIN plan_version v ON v.id = e.version_id WHERE v.service_id = $1 ORDER BY e.at, e.id LIMIT $2";
    LIST = listed!("s.removed_at IS NULL AND s.name > $1 AND ($3 = '' OR lower(s.title) LIKE $3 OR lower(s.name) LIKE $3) ORDER BY s.name LIMIT $2");
    LISTED = listed!("s.id = $1");
    COUNT_WAITING = "SELECT count(*) FROM plan_version v JOIN service s ON s.id = v.service_id WHERE v.state = 'in_review' AND s.removed_at IS NULL";
}

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct VersionRow {
    pub id: Uuid,
    pub service_id: Uuid,
    pub number: i64,
    /// A [`State`] as text.
    pub state: String,
    /// Goes up with each change of the content.
    pub revision: i64,
    pub content: Json<PlanContent>,
    pub content_sha256: Option<String>,
    pub annex: Option<Json<Annex>>,
    pub roles: Json<Vec<Role>>,
    pub based_on: Option<i64>,
    pub created_by: String,
    pub created_at: i64,
    pub updated_by: String,
    pub updated_at: i64,
    pub submitted_at: Option<i64>,
    pub approved_at: Option<i64>,
    pub ended_at: Option<i64>,
}

impl VersionRow {
    pub const fn id(&self) -> PlanVersionId {
        PlanVersionId(self.id)
    }

    /// Where it stands; one that this program does not know counts as locked.
    pub fn state(&self) -> State {
        State::parse(&self.state).unwrap_or(State::Discarded)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SignatureRow {
    pub id: Uuid,
    pub version_id: Uuid,
    pub role: String,
    pub signer: String,
    pub content_sha256: String,
    pub signed_at: i64,
    pub fallen_at: Option<i64>,
}

/// A step of a version's life, with the version's number.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EventRow {
    pub id: Uuid,
    pub version_id: Uuid,
    pub at: i64,
    pub actor: String,
    /// An [`Event`] as text.
    pub kind: String,
    pub note: String,
    pub number: i64,
}

/// A service with how its plan stands.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ListedPlan {
    pub service_id: Uuid,
    pub service: String,
    pub title: String,
    pub owner: String,
    /// The number of the approved version.
    pub approved: Option<i64>,
    pub approved_at: Option<i64>,
    /// The version that is open.
    pub open_id: Option<Uuid>,
    pub open: Option<i64>,
    pub open_state: Option<String>,
    pub open_at: Option<i64>,
    pub open_by: Option<String>,
}

/// A version that is begun.
#[derive(Clone, Debug)]
pub struct NewVersion<'a> {
    pub service: ServiceId,
    pub content: &'a PlanContent,
    pub roles: &'a [Role],
    pub based_on: Option<i64>,
    pub by: &'a str,
}

pub async fn find(tx: Tx<'_>, id: PlanVersionId) -> Result<Option<VersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn by_number(tx: Tx<'_>, service: ServiceId, number: i64) -> Result<Option<VersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(BY_NUMBER).bind(service.0).bind(number).fetch_optional(c).await)?)
}

/// The approved version of a service.
pub async fn approved(tx: Tx<'_>, service: ServiceId) -> Result<Option<VersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(APPROVED).bind(service.0).fetch_optional(c).await)?)
}

/// The version that is a draft or in review.
pub async fn open(tx: Tx<'_>, service: ServiceId) -> Result<Option<VersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(OPEN).bind(service.0).fetch_optional(c).await)?)
}

/// The version with the highest number, whatever its state.
pub async fn newest(tx: Tx<'_>, service: ServiceId) -> Result<Option<VersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(NEWEST).bind(service.0).fetch_optional(c).await)?)
}

/// At most `limit` versions of a service, the newest first.
pub async fn of_service(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<VersionRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SERVICE).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// Begins a draft. A conflict where the service has an open version.
pub async fn start(tx: Tx<'_>, new: &NewVersion<'_>, now: Timestamp) -> Result<PlanVersionId> {
    let id = PlanVersionId::new();
    on!(tx, c => sqlx::query(START).bind(id.0).bind(new.service.0).bind(Json(new.content)).bind(Json(new.roles)).bind(new.based_on).bind(new.by).bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(id)
}

/// Changes a draft that has this revision; `false` where it has another one or is no draft.
pub async fn save(tx: Tx<'_>, id: PlanVersionId, revision: i64, content: &PlanContent, by: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(SAVE).bind(id.0).bind(revision).bind(Json(content)).bind(by).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// What is frozen when a version is submitted.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    pub sha256: &'a str,
    pub annex: &'a Annex,
    pub roles: &'a [Role],
}

/// Puts a draft that has this revision into review.
pub async fn submit(tx: Tx<'_>, id: PlanVersionId, revision: i64, with: &Submission<'_>, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(SUBMIT).bind(id.0).bind(revision).bind(with.sha256).bind(Json(with.annex)).bind(Json(with.roles)).bind(now.0)
        .execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Makes a version in review a draft again; its signatures fall.
pub async fn give_back(mut tx: Tx<'_>, id: PlanVersionId, now: Timestamp) -> Result<bool> {
    let rows = on!(tx.by_ref(), c => sqlx::query(RETURN).bind(id.0).execute(c).await.map(|r| r.rows_affected()))?;
    if rows == 1 {
        on!(tx, c => sqlx::query(FALL).bind(id.0).bind(now.0).execute(c).await.map(|_| ()))?;
    }
    Ok(rows == 1)
}

/// Ends a draft that has this revision.
pub async fn discard(tx: Tx<'_>, id: PlanVersionId, revision: i64, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(DISCARD).bind(id.0).bind(revision).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Ends an approved version, because another one takes its place.
pub async fn supersede(tx: Tx<'_>, id: PlanVersionId, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(SUPERSEDE).bind(id.0).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Approves a version in review whose content has this hash. The former one is superseded before.
pub async fn approve(tx: Tx<'_>, id: PlanVersionId, sha256: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(APPROVE).bind(id.0).bind(sha256).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Signs a version in review; `false` where it is not in review or its content has another hash. A conflict where the
/// role has signed, or the signer in another role.
pub async fn sign(tx: Tx<'_>, id: PlanVersionId, role: &str, signer: &str, sha256: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(SIGN).bind(PlanSignatureId::new().0).bind(id.0).bind(role).bind(signer).bind(sha256).bind(now.0)
        .execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// All signatures of a version, also those that fell.
pub async fn signatures(tx: Tx<'_>, id: PlanVersionId) -> Result<Vec<SignatureRow>> {
    Ok(on!(tx, c => sqlx::query_as(SIGNATURES).bind(id.0).fetch_all(c).await)?)
}

/// Records a step of a version's life.
pub async fn note(tx: Tx<'_>, id: PlanVersionId, kind: Event, actor: &str, note: &str, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(NOTE).bind(PlanEventId::new().0).bind(id.0).bind(now.0).bind(actor).bind(kind.as_str()).bind(note).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// At most `limit` steps of all versions of a service, the oldest first.
pub async fn events(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<EventRow>> {
    Ok(on!(tx, c => sqlx::query_as(EVENTS).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// At most `limit` services after the name `after`, whose name or title holds `search`, with their plans.
pub async fn list(tx: Tx<'_>, after: &str, search: &str, limit: i64) -> Result<Vec<ListedPlan>> {
    let like = if search.is_empty() { String::new() } else { format!("%{}%", search.to_lowercase()) };
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(after).bind(limit).bind(&like).fetch_all(c).await)?)
}

/// The same of one service.
pub async fn of(tx: Tx<'_>, service: ServiceId) -> Result<Option<ListedPlan>> {
    Ok(on!(tx, c => sqlx::query_as(LISTED).bind(service.0).fetch_optional(c).await)?)
}

/// Versions that wait for signatures or for the approval.
pub async fn count_waiting(tx: Tx<'_>) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_WAITING).fetch_one(c).await)?)
}
