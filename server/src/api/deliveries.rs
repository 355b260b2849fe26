//! `/api/v1/notifications/deliveries`: what was sent to whom, and how it went.

use axum::Json;
use domain::id::DeliveryId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::deliveries::{AttemptRow, ListedDelivery};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, List, Path, Query, limit},
    problem::Problem,
    words::{self, at},
};

/// One message to one receiver.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// It travels with the message: a second arrival with this id is the same message.
    id: Uuid,
    channel: String,
    #[schema(schema_with = words::channel_kind)]
    channel_kind: String,
    /// The address of a mail; empty where the channel has one receiver.
    recipient: String,
    #[schema(schema_with = words::event)]
    event: String,
    /// `queued`, `sending`, `sent` or `failed`.
    state: String,
    headline: String,
    text: String,
    alert: Option<Uuid>,
    run: Option<Uuid>,
    attempts: i64,
    /// What the other side said last, without secrets.
    answer: Option<String>,
    created_at: Timestamp,
    /// When the next attempt is due, while it waits.
    next_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl From<ListedDelivery> for Delivery {
    fn from(d: ListedDelivery) -> Self {
        let waits = d.row.state == "queued";
        Self {
            id: d.row.id,
            channel: d.channel,
            channel_kind: d.channel_kind,
            recipient: d.row.recipient,
            event: d.row.event,
            state: d.row.state,
            headline: d.row.message.0.headline,
            text: d.row.message.0.text,
            alert: d.row.alert_id,
            run: d.row.run_id,
            attempts: d.row.attempts,
            answer: d.row.answer,
            created_at: at(d.row.created_at),
            next_at: waits.then(|| at(d.row.next_at)),
            finished_at: d.row.finished_at.map(at),
        }
    }
}

/// One attempt to deliver a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attempt {
    #[allow(clippy::struct_field_names, reason = "the name in the answer")]
    attempt: i64,
    started_at: Timestamp,
    /// Absent while it goes on, and for ever where it was cut short.
    finished_at: Option<Timestamp>,
    /// `sent`, `deferred` or `refused`.
    outcome: Option<String>,
    answer: Option<String>,
}

impl From<AttemptRow> for Attempt {
    fn from(a: AttemptRow) -> Self {
        Self { attempt: a.attempt, started_at: at(a.started_at), finished_at: a.finished_at.map(at), outcome: a.outcome, answer: a.answer }
    }
}

/// How a message stands.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Queued,
    Sending,
    Sent,
    Failed,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(inline)]
    state: Option<State>,
    /// The name of a channel.
    channel: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 100 where it is left out, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deliveries {
    deliveries: Vec<Delivery>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List messages, the newest first
#[utoipa::path(get, path = "/api/v1/notifications/deliveries", tag = "notifications", params(ListQuery),
    responses((status = 200, body = Deliveries)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListQuery>) -> Result<Json<Deliveries>, Problem> {
    let before = List::Deliveries.read(q.cursor.as_deref())?.map(|(at, id)| (at, DeliveryId(id)));
    let state = match q.state {
        None => "",
        Some(State::Queued) => "queued",
        Some(State::Sending) => "sending",
        Some(State::Sent) => "sent",
        Some(State::Failed) => "failed",
    };
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let rows = ops::notifications::deliveries::list(&ctx, state, q.channel.as_deref().unwrap_or_default(), before, limit).await?;
    let next = rows.last().filter(|_| rows.len() as i64 == limit).map(|d| List::Deliveries.key(d.row.created_at, d.row.id));
    Ok(Json(Deliveries { deliveries: rows.into_iter().map(Delivery::from).collect(), next }))
}

/// A message with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: Delivery,
    /// The newest first.
    tries: Vec<Attempt>,
}

/// Find a message with its attempts
#[utoipa::path(get, path = "/api/v1/notifications/deliveries/{id}", tag = "notifications", params(("id" = Uuid, Path)),
    responses((status = 200, body = DeliveryWithAttempts)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<DeliveryWithAttempts>, Problem> {
    let (delivery, tries) = ops::notifications::deliveries::find(&ctx, DeliveryId(id)).await?;
    Ok(Json(DeliveryWithAttempts { delivery: delivery.into(), tries: tries.into_iter().map(Attempt::from).collect() }))
}

/// Send a message again that was given up
#[utoipa::path(post, path = "/api/v1/notifications/deliveries/{id}/retry", tag = "notifications", params(("id" = Uuid, Path)),
    responses((status = 200, body = DeliveryWithAttempts)))]
pub async fn retry(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<DeliveryWithAttempts>, Problem> {
    if ctx.done("delivery").is_none() {
        ops::notifications::deliveries::retry(&ctx, DeliveryId(id)).await?;
    }
    find(Asker(ctx), Path(id)).await
}
