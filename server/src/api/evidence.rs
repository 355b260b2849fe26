//! `/api/v1/evidence`: what was proven by restore tests, signed; keys, countersignatures, packs to take away.

use app::context::AppContext;
use axum::{
    Json,
    body::Body as HttpBody,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use domain::id::RestoreTestId;
use jiff::{Timestamp, ToSpan as _, civil::Date};
use ops::{
    Ctx,
    evidence::{self, Entry, Gap, Key, Period, pack},
};
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, limit},
    problem::Problem,
    words::at,
};

/// Days before today where nothing else is asked for.
const DAYS: i64 = 180;

/// Which tests are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// The first day, in the zone of the pages; 180 days before the last one where it is left out.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// The last day, today where it is left out.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
    /// Only those of the service of this name.
    service: Option<String>,
}

fn period(ctx: &Ctx, app: &AppContext, from: Option<Date>, to: Option<Date>, service: Option<&str>) -> Result<Period, Problem> {
    let today = at(ctx.now().0).to_zoned(app.zone.clone()).date();
    let to = to.unwrap_or(today);
    let from = from.unwrap_or_else(|| to.saturating_sub(DAYS.days()));
    if from > to {
        return Err(Problem::bad_parameter("from", "is later than the last day; give an earlier one"));
    }
    evidence::days(from, to, &app.zone, service.unwrap_or_default()).ok_or_else(|| Problem::bad_parameter("to", "is out of range; give such as 2021-02-25"))
}

/// A restore test as evidence.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evidence {
    /// The record's id; absent for what was recorded before signing began.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    /// Its place in the chain, from 1 without gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<i64>,
    /// SHA-256 of what is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_at: Option<Timestamp>,
    /// `valid`, `waits for the server's signature`, `does not fit` or `recorded before signing began`.
    signature: &'static str,
    countersignatures: i64,
    test: Uuid,
    run: Uuid,
    service: String,
    started_at: Timestamp,
    finished_at: Timestamp,
    /// `passed`, `failed` or `unknown` (could not be checked).
    verdict: String,
    /// How far it has proven the data: none, exists, readable, restored, asserted, started.
    level: String,
    rto_s: Option<f64>,
    rto_target_s: Option<i64>,
    rpo_s: Option<i64>,
    rpo_target_s: Option<i64>,
}

impl From<Entry> for Evidence {
    fn from(e: Entry) -> Self {
        let t = e.test;
        Self {
            id: t.record,
            sequence: t.seq,
            sha256: t.hash,
            key: t.key_id,
            signed_at: t.signed_at.map(at),
            signature: e.signed.words(),
            countersignatures: t.countersigned,
            test: t.id,
            run: t.run_id,
            service: t.service,
            started_at: at(t.started_at),
            finished_at: at(t.finished_at),
            verdict: t.verdict,
            level: t.level,
            rto_s: t.rto_s,
            rto_target_s: t.rto_target_s,
            rpo_s: t.rpo_s,
            rpo_target_s: t.rpo_target_s,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListEvidence {
    /// The first day, in the zone of the pages; 180 days before the last one where it is left out.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// The last day, today where it is left out.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
    /// Only those of the service of this name.
    service: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EvidencePage {
    evidence: Vec<Evidence>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Restore tests of a period with their signatures, the newest first
#[utoipa::path(get, path = "/api/v1/evidence", tag = "evidence", params(ListEvidence), responses((status = 200, body = EvidencePage)))]
pub async fn list(State(app): State<AppContext>, Asker(ctx): Asker, Query(q): Query<ListEvidence>) -> Result<Json<EvidencePage>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let before = List::Evidence.read(q.cursor.as_deref())?.map(|(at, id)| (at, RestoreTestId(id)));
    let period = period(&ctx, &app, q.from, q.to, q.service.as_deref())?;
    let all = evidence::list(&ctx, &period, before, limit).await?;
    let next = all.last().filter(|_| all.len() as i64 == limit).map(|e| List::Evidence.key(e.test.started_at, e.test.id));
    Ok(Json(EvidencePage { evidence: all.into_iter().map(Evidence::from).collect(), next }))
}

/// What is missing of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Missing {
    service: String,
    what: String,
    /// When its last test began; absent where it never had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_test_at: Option<Timestamp>,
}

impl From<Gap> for Missing {
    fn from(g: Gap) -> Self {
        Self { service: g.service, what: g.what, last_test_at: g.since.map(|t| at(t.0)) }
    }
}

/// What of the services is proven: copies apart from restores.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proofs {
    services: usize,
    /// Services of which a copy exists, which proves no restore.
    with_copy: usize,
    /// Services whose newest test in the period passed and restored.
    proven: usize,
    gaps: Vec<Missing>,
}

/// What of the services is not proven in a period
#[utoipa::path(get, path = "/api/v1/evidence/gaps", tag = "evidence", params(Which), responses((status = 200, body = Proofs)))]
pub async fn gaps(State(app): State<AppContext>, Asker(ctx): Asker, Query(q): Query<Which>) -> Result<Json<Proofs>, Problem> {
    let s = evidence::standing(&ctx, &period(&ctx, &app, q.from, q.to, q.service.as_deref())?).await?;
    Ok(Json(Proofs { services: s.services, with_copy: s.with_copy, proven: s.proven, gaps: s.gaps.into_iter().map(Missing::from).collect() }))
}

/// Whether every record is as it was signed and bound to the one before.
#[derive(Debug, Serialize, ToSchema)]
pub struct Chain {
    intact: bool,
    /// Records that are in order, from the first on.
    records: i64,
    /// Those of them that wait for the server's signature.
    waiting: i64,
    /// SHA-256 of the last of them; empty where there is none.
    head: String,
    /// What is wrong with the first that is not in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

/// Walk the whole chain of evidence
#[utoipa::path(get, path = "/api/v1/evidence/chain", tag = "evidence", responses((status = 200, body = Chain)))]
pub async fn chain(Asker(ctx): Asker) -> Result<Json<Chain>, Problem> {
    let c = evidence::chain(&ctx).await?;
    Ok(Json(Chain { intact: c.fault.is_none(), records: c.records, waiting: c.waiting, head: c.head, fault: c.fault }))
}

/// A public key.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvidenceKey {
    /// SHA-256 of its DER form.
    id: String,
    /// SubjectPublicKeyInfo of Ed25519.
    pem: String,
    made_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<Timestamp>,
    /// It signs what is recorded now.
    signs: bool,
}

impl From<Key> for EvidenceKey {
    fn from(k: Key) -> Self {
        Self { id: k.id, pem: k.pem, made_at: at(k.made_at.0), retired_at: k.retired_at.map(|t| at(t.0)), signs: k.signs }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EvidenceKeys {
    keys: Vec<EvidenceKey>,
}

/// All public keys, the newest first
#[utoipa::path(get, path = "/api/v1/evidence/keys", tag = "evidence", responses((status = 200, body = EvidenceKeys)))]
pub async fn keys(Asker(ctx): Asker) -> Result<Json<EvidenceKeys>, Problem> {
    Ok(Json(EvidenceKeys { keys: evidence::keys(&ctx).await?.into_iter().map(EvidenceKey::from).collect() }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct Rotate {
    /// How the old key was lost. Without it the old key must open, and announces the new one.
    #[schema(max_length = 500)]
    lost: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Rotated {
    /// The id of the key that signs from now on.
    key: String,
}

/// Put a new key in the place of the one that signs
///
/// The old one announces it and is retired; what it signed stays valid.
#[utoipa::path(post, path = "/api/v1/evidence/keys", tag = "evidence", request_body = Rotate, responses((status = 201, body = Rotated)))]
pub async fn rotate(State(app): State<AppContext>, Asker(ctx): Asker, Body(b): Body<Rotate>) -> Result<(StatusCode, Json<Rotated>), Problem> {
    let key = evidence::rotate_key(&ctx, &app.vault, b.lost.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(Rotated { key })))
}

/// Take the evidence of a period away
///
/// One archive that proves itself; its README says how, with openssl alone. Who took which stands in the audit trail.
#[utoipa::path(get, path = "/api/v1/evidence/pack", tag = "evidence", params(Which),
    responses((status = 200, description = "a ZIP archive", content((String = "application/zip")))))]
pub async fn pack(State(app): State<AppContext>, Asker(ctx): Asker, Query(q): Query<Which>) -> Result<Response, Problem> {
    let period = period(&ctx, &app, q.from, q.to, q.service.as_deref())?;
    let made = pack::take(&ctx, &app.vault, &period, &app.zone).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_LENGTH, made.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", made.name)),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
        (header::HeaderName::from_static("x-content-sha256"), made.sha256),
    ];
    Ok((headers, HttpBody::from_stream(ReaderStream::new(tokio::fs::File::from_std(made.file)))).into_response())
}

/// The signed record of a test, a new key or a countersignature
///
/// A DSSE envelope, byte by byte as packs hold it.
#[utoipa::path(get, path = "/api/v1/evidence/{id}/envelope", tag = "evidence", params(("id" = Uuid, Path, description = "The record's id")),
    responses((status = 200, description = "a DSSE envelope", content((String = "application/json")))))]
pub async fn envelope(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let seq = evidence::place(&ctx, id).await?;
    let text = evidence::envelope(&ctx, seq).await?.text();
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{seq:06}.json\""))];
    Ok((headers, text).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": "Compared with the ticket of the exercise."}))]
pub struct Countersign {
    /// What you say of it; may be left out.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Countersigned {
    /// The id of the record that holds the countersignature, and its place in the chain.
    id: Uuid,
    sequence: i64,
    sha256: String,
}

/// Sign that you have looked at a test's record
///
/// Once a person; admins, auditors and the service's owners. It adds a record of its own and changes none. A token
/// cannot: this call needs a session.
#[utoipa::path(post, path = "/api/v1/evidence/{id}/countersign", tag = "evidence", params(("id" = Uuid, Path, description = "The record's id")),
    request_body = Countersign, responses((status = 201, body = Countersigned)))]
pub async fn countersign(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path(id): Path<Uuid>,
    Body(b): Body<Countersign>,
) -> Result<(StatusCode, Json<Countersigned>), Problem> {
    let seq = evidence::place(&ctx, id).await?;
    let row = evidence::countersign(&ctx, &app.vault, seq, &b.note).await?;
    Ok((StatusCode::CREATED, Json(Countersigned { id: row.id, sequence: row.seq, sha256: row.hash })))
}
