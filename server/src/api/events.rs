//! `/api/v1/runs/{id}/events`: what happens in a run, as server-sent events.
//!
//! Invariant: a stream that is taken up with `Last-Event-ID` misses nothing and repeats nothing; it ends with the run.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use domain::{id::RunId, run::RunState};
use futures::{Stream, stream};
use ops::Ctx;
use serde::Serialize;
use serde_json::Value;
use store::{run_events::RunEventRow, wake};
use tokio::sync::broadcast::Receiver;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Path},
    problem::Problem,
    runs::Progress,
    words::at,
};

/// Events read at a time.
const BATCH: i64 = 200;
/// How long a stream waits for a wake-up before it looks by itself.
const LOOK: Duration = Duration::from_secs(2);

/// The data of an event `log`, `step`, `item` or `state`; its id is `seq`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunEvent {
    seq: i64,
    at: jiff::Timestamp,
    /// debug, info, warn or error.
    level: String,
    message: String,
    #[schema(value_type = Option<Object>)]
    detail: Option<Value>,
}

/// Follow a run
///
/// Events `log`, `step`, `item` and `state` carry a `RunEvent` and an id; `progress` carries a `Progress` and none;
/// `end` closes the stream and carries the final state as text.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", tag = "runs",
    params(("id" = Uuid, Path, description = "The run's id"), ("Last-Event-ID" = Option<i64>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "a stream of events", body = RunEvent, content_type = "text/event-stream"),
        (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn events(Asker(ctx): Asker, Path(id): Path<Uuid>, headers: HeaderMap) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last = match headers.get("last-event-id").map(|v| v.to_str().unwrap_or_default().trim()) {
        None | Some("") => 0,
        Some(text) => text.parse::<i64>().map_err(|_| Problem::invalid("Last-Event-ID", "must be the number of an event; leave it out for all"))?,
    };
    ops::runs::find(&ctx, RunId(id)).await?;
    let follow = Follow { ctx, id: RunId(id), last, news: wake::subscribe(), first: true, drawn: 0, ended: false };
    let events = stream::unfold(follow, |mut f| async move { f.next().await.map(|batch| (stream::iter(batch.into_iter().map(Ok)), f)) });
    Ok(Sse::new(futures::StreamExt::flatten(events)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// One stream.
struct Follow {
    ctx: Ctx,
    id: RunId,
    last: i64,
    news: Receiver<RunId>,
    first: bool,
    /// When the progress was made that was sent last.
    drawn: i64,
    ended: bool,
}

impl Follow {
    /// The next events; `None` when the run has ended and all is told.
    async fn next(&mut self) -> Option<Vec<Event>> {
        while !self.ended {
            if !std::mem::take(&mut self.first) {
                wake::news(&mut self.news, self.id, LOOK).await;
            }
            match self.look().await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => return Some(events),
                Err(e) => {
                    // The client takes the stream up again where it broke off.
                    tracing::warn!(run = %self.id, error = %e, "a stream of events broke off");
                    return None;
                }
            }
        }
        None
    }

    async fn look(&mut self) -> ops::Result<Vec<Event>> {
        // First the run, then its events: whatever was recorded before it ended is then seen.
        let run = ops::runs::find(&self.ctx, self.id).await?;
        let rows = ops::runs::events_after(&self.ctx, self.id, self.last, BATCH).await?;
        let full = rows.len() as i64 == BATCH;
        let mut events = Vec::with_capacity(rows.len() + 2);
        for row in rows {
            self.last = row.seq;
            events.extend(event(row));
        }
        if let Some(progress) = run.progress
            && progress.0.at.0 != self.drawn
        {
            self.drawn = progress.0.at.0;
            events.extend(Event::default().event("progress").json_data(Progress::from(progress.0)).ok());
        }
        // A full page has another one behind it.
        self.first = full;
        if !full && !RunState::parse(&run.state).is_some_and(RunState::is_live) {
            self.ended = true;
            events.push(Event::default().event("end").data(run.state));
        }
        Ok(events)
    }
}

fn event(row: RunEventRow) -> Option<Event> {
    let data = RunEvent { seq: row.seq, at: at(row.at), level: row.level, message: row.message, detail: row.detail.map(|d| d.0) };
    Event::default().id(row.seq.to_string()).event(row.kind).json_data(data).ok()
}
