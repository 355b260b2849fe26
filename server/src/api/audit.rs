//! `/api/v1/audit`: who changed what, when and from where; the proof of the chain; the trail to take away.

use axum::{
    Json,
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::stream;
use jiff::Timestamp;
use ops::audit::{self, EventRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, List, Query, limit},
    problem::Problem,
    words::at,
};

/// One change, as it was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// Its place in the chain, from 1 without gaps.
    seq: i64,
    id: Uuid,
    at: Timestamp,
    /// Who: a person, a token, a schedule, `shell`, `holdfast`.
    actor: String,
    /// From where: an address, `shell`, `schedule`.
    origin: String,
    /// Such as `service.apply` or `run.start`.
    action: String,
    entity: String,
    entity_id: String,
    /// What it was, without secrets.
    #[schema(value_type = Value)]
    before: Option<Value>,
    /// What it has become, without secrets.
    #[schema(value_type = Value)]
    after: Option<Value>,
    /// The hash of the event before; empty for the first.
    prev_hash: String,
    hash: String,
}

impl From<EventRow> for Event {
    fn from(e: EventRow) -> Self {
        let (before, after) = (e.before.map(|v| v.0), e.after.map(|v| v.0));
        Self {
            seq: e.seq,
            id: e.id,
            at: at(e.at),
            actor: e.actor,
            origin: e.origin,
            action: e.action,
            entity: e.entity,
            entity_id: e.entity_id,
            before,
            after,
            prev_hash: e.prev_hash,
            hash: e.hash,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Exactly this name.
    actor: Option<String>,
    /// Such as `service.apply`.
    action: Option<String>,
    /// Such as `service` or `run`.
    entity: Option<String>,
    entity_id: Option<String>,
    /// From this moment on.
    since: Option<Timestamp>,
    /// Before this moment.
    until: Option<Timestamp>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 100 where it is left out, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// A page of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    events: Vec<Event>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List audit events, the newest first
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(ListQuery),
    responses((status = 200, body = Events)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListQuery>) -> Result<Json<Events>, Problem> {
    let before = List::Audit.read_number(q.cursor.as_deref())?;
    let moment = |t: Option<Timestamp>| t.map(|t| domain::units::Timestamp(t.as_microsecond()));
    let filter = audit::Filter {
        actor: q.actor.unwrap_or_default(),
        action: q.action.unwrap_or_default(),
        entity: q.entity.unwrap_or_default(),
        entity_id: q.entity_id.unwrap_or_default(),
        since: moment(q.since),
        until: moment(q.until),
    };
    let limit = limit(q.limit, audit::PAGE)?;
    let rows = audit::list(&ctx, &filter, before, limit).await?;
    let next = rows.last().filter(|_| rows.len() as i64 == limit).map(|e| List::Audit.numbered(e.seq));
    Ok(Json(Events { events: rows.into_iter().map(Event::from).collect(), next }))
}

/// Whether the chain is whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proof {
    intact: bool,
    /// How many events are intact, from the first on.
    events: i64,
    /// What is wrong with the first that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
}

/// Walk the whole chain
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit",
    responses((status = 200, body = Proof)))]
pub async fn verify(Asker(ctx): Asker) -> Result<Json<Proof>, Problem> {
    Ok(Json(match audit::verify(&ctx).await? {
        Ok(events) => Proof { intact: true, events, broken: None },
        Err(b) => Proof { intact: false, events: b.seq - 1, broken: Some(b.to_string()) },
    }))
}

/// How an export is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object a line, from which the chain can be proven.
    #[default]
    Json,
    Csv,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    #[serde(default)]
    #[param(inline, required = false)]
    format: Format,
}

/// Take the whole trail away, the oldest event first
///
/// The export itself is an event, the last one in it.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", params(ExportQuery), responses(
    (status = 200, description = "one event a line", content((String = "application/x-ndjson"), (String = "text/csv")))))]
pub async fn export(Asker(ctx): Asker, Query(q): Query<ExportQuery>) -> Result<Response, Problem> {
    let (name, kind) = match q.format {
        Format::Json => ("json", "application/x-ndjson"),
        Format::Csv => ("csv", "text/csv; charset=utf-8"),
    };
    let begun = audit::export(&ctx, name).await?;
    let head = match q.format {
        Format::Json => Bytes::new(),
        Format::Csv => Bytes::from(format!("{}\r\n", audit::CSV_HEAD)),
    };
    let rows = stream::try_unfold(begun, move |mut export| async move {
        let Some(rows) = export.next().await? else { return Ok::<_, ops::OpsError>(None) };
        let mut text = String::new();
        for row in &rows {
            match q.format {
                Format::Json => text.extend([&audit::json_line(row)?, "\n"]),
                Format::Csv => text.extend([&audit::csv_line(row), "\r\n"]),
            }
        }
        Ok(Some((Bytes::from(text), export)))
    });
    let body = Body::from_stream(futures::StreamExt::chain(stream::once(async { Ok(head) }), rows));
    let end = if name == "csv" { "csv" } else { "jsonl" };
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, format!("attachment; filename=\"holdfast-audit.{end}\""))];
    Ok((headers, body).into_response())
}
