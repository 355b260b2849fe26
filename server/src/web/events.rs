//! Streams of what happens in runs, as server-sent events.
//!
//! Lives here: `GET /api/v1/runs/{id}/events` (one run, resumed after `Last-Event-ID`) and `GET /api/v1/runs/events`
//! (the live ones). May not: SQL, permission (`ops` decides it at every look), drawing (`app::live`).
//! A program gets JSON; a page asks with `?view=page` and gets finished parts instead.
//! Invariants: nothing is kept for a reader who is away: a stream reads the tables after what it has sent, woken by
//! `store::wake` and at the latest every second. Streams are bounded in number and in time, and end with the server.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use app::{
    context::{AppContext, Visitor},
    live::{self, Parts},
};
use axum::{
    Extension, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::get,
};
use domain::id::RunId;
use futures::stream::{self, Stream};
use leptos::prelude::RenderHtml;
use ops::{Ctx, OpsError, runs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{run_events::RunEventRow, runs::RunRow, wake};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::state::AppState;

/// Streams that are open at a time. A page that gets no place refreshes itself when it is loaded again.
const PLACES: usize = 500;
/// A stream ends after so long; the browser comes back by itself, and who may read is asked anew.
const LONGEST: Duration = Duration::from_mins(30);
/// The longest wait for a wake-up.
const TICK: Duration = Duration::from_secs(1);
/// The shortest time between two looks, so that a busy run does not flood its readers.
const PAUSE: Duration = Duration::from_millis(200);
/// Events in one look.
const BATCH: i64 = 200;
/// Parts are drawn anew after so long even if nothing was recorded, for the times in them go on.
const REDRAW: Duration = Duration::from_secs(5);

/// The places for streams, and the word to end them.
#[derive(Clone, Debug)]
pub struct Streams {
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Default for Streams {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), stop: CancellationToken::new() }
    }
}

impl Streams {
    /// Ends all streams, so that the server can stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

pub fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/runs/events", get(live_runs)).route("/api/v1/runs/{id}/events", get(one_run))
}

#[derive(Debug, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    view: String,
    /// The event after which to begin, where the header `Last-Event-ID` does not say it.
    after: Option<i64>,
}

/// Follow a run
///
/// Events `log` carry what happened and an id, `run` the run's state and progress, `end` the last state. A stream that
/// is opened again with `Last-Event-ID` goes on after that event. Streams end after half an hour; open them again.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", tag = "runs",
    params(("id" = uuid::Uuid, Path, description = "The run's id"), ("Last-Event-ID" = Option<i64>, Header, description = "The last event that was seen"),
        ("after" = Option<i64>, Query, description = "The same for those who cannot set headers")),
    responses((status = 200, description = "server-sent events", content_type = "text/event-stream", body = String)))]
pub async fn one_run(
    State(app): State<AppContext>,
    State(streams): State<Streams>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<RunId>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let of = Of::Run { id, seq: last.or(wanted.after).unwrap_or(0) };
    open(app, streams, visitor, of, wanted.view == "page").await
}

/// Follow the runs that run or wait
#[utoipa::path(get, path = "/api/v1/runs/events", tag = "runs",
    responses((status = 200, description = "server-sent events `runs` with all of them at each change", content_type = "text/event-stream", body = String)))]
pub async fn live_runs(
    State(app): State<AppContext>,
    State(streams): State<Streams>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<Wanted>,
) -> Response {
    open(app, streams, visitor, Of::Live, wanted.view == "page").await
}

async fn open(app: AppContext, streams: Streams, visitor: Visitor, of: Of, page: bool) -> Response {
    let Ok(place) = streams.places.clone().try_acquire_owned() else {
        let mut full = super::notice::refusal("/api/", StatusCode::SERVICE_UNAVAILABLE, "Too many streams are open", "try again in half a minute.");
        full.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        return full;
    };
    // Subscribed before the first look: no news falls between the two.
    let news = wake::subscribe();
    let ctx = Ctx { actor: visitor.actor, origin: visitor.origin.into(), clock: app.clock.clone(), db: app.db.clone(), claim: None };
    let mut follow = Follow {
        ctx,
        app,
        of,
        page,
        news,
        ready: VecDeque::from([Event::default().retry(Duration::from_secs(2)).comment("holdfast")]),
        sent: Value::Null,
        drawn: None,
        until: Instant::now() + LONGEST,
        more: false,
        over: false,
        _place: place,
    };
    // The first look is taken here, so that a refusal has a status.
    if let Err(e) = follow.look().await {
        return refused(e);
    }
    let end = streams.stop.clone();
    let mut response = Sse::new(follow.stream(end)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers must not gather this one.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn refused(e: OpsError) -> Response {
    crate::api::Problem::from(e).into_response()
}

/// What a stream follows.
enum Of {
    /// One run; `seq` is the last event that was sent.
    Run { id: RunId, seq: i64 },
    /// All live runs.
    Live,
}

struct Follow {
    ctx: Ctx,
    app: AppContext,
    of: Of,
    page: bool,
    news: broadcast::Receiver<RunId>,
    /// What waits to be read. It is filled only when it is empty.
    ready: VecDeque<Event>,
    /// The state that was sent last.
    sent: Value,
    /// What the parts were drawn from, and when.
    drawn: Option<(Value, Instant)>,
    until: Instant,
    more: bool,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Follow {
    fn stream(self, end: CancellationToken) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold((self, end), |(mut follow, end)| async move {
            let next = tokio::select! {
                next = follow.next() => next,
                () = end.cancelled() => None,
            }?;
            Some((Ok(next), (follow, end)))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over || Instant::now() >= self.until {
                return None;
            }
            if !self.more {
                self.wait().await;
            }
            if let Err(e) = self.look().await {
                tracing::warn!(error = %e, "a stream of events ends early; the browser opens it again");
                return None;
            }
        }
    }

    async fn wait(&mut self) {
        let begun = Instant::now();
        match self.of {
            Of::Run { id, .. } => wake::news(&mut self.news, id, TICK).await,
            Of::Live => {
                tokio::time::timeout(TICK, self.news.recv()).await.ok();
            }
        }
        tokio::time::sleep_until((begun + PAUSE).min(self.until)).await;
        // What came meanwhile is seen by the look that follows.
        self.news = self.news.resubscribe();
    }

    async fn look(&mut self) -> Result<(), OpsError> {
        match self.of {
            Of::Run { id, seq } => self.look_at_run(id, seq).await,
            Of::Live => self.look_at_live().await,
        }
    }

    async fn look_at_run(&mut self, id: RunId, seq: i64) -> Result<(), OpsError> {
        let row = runs::find(&self.ctx, id).await?;
        let events = runs::events_after(&self.ctx, id, seq, BATCH).await?;
        self.more = i64::try_from(events.len()).unwrap_or(BATCH) == BATCH;
        for e in &events {
            let data = if self.page { json!({"html": live::log_line(e, "", &self.app.zone).to_html()}) } else { json!(LogEvent::from(e)) };
            self.ready.push_back(Event::default().event("log").id(e.seq.to_string()).data(data.to_string()));
        }
        if let Some(last) = events.last() {
            self.of = Of::Run { id, seq: last.seq };
        }
        let state = state_of(&row);
        if self.page {
            if self.is_due(&state) {
                let parts = live::run_parts(&self.ctx, &row, &self.app.zone).await?;
                self.send_parts(&parts);
            }
        } else if self.sent != state {
            self.ready.push_back(Event::default().event("run").data(state.to_string()));
            self.sent = state;
        }
        if !self.more && !row.state()?.is_live() {
            self.ready.push_back(Event::default().event("end").data(json!({"state": row.state}).to_string()));
            self.over = true;
        }
        Ok(())
    }

    async fn look_at_live(&mut self) -> Result<(), OpsError> {
        if self.page {
            let parts = live::home_parts(&self.ctx).await?;
            self.send_parts(&parts);
            return Ok(());
        }
        let list = runs::live(&self.ctx, live::LIVE_LIMIT).await?;
        let state = Value::Array(list.iter().map(|l| state_of(&l.run)).collect());
        if self.sent != state {
            self.ready.push_back(Event::default().event("runs").data(state.to_string()));
            self.sent = state;
        }
        Ok(())
    }

    /// Whether the parts may look different from the last ones.
    fn is_due(&mut self, from: &Value) -> bool {
        let due = self.drawn.as_ref().is_none_or(|(was, at)| was != from || at.elapsed() >= REDRAW);
        if due {
            self.drawn = Some((from.clone(), Instant::now()));
        }
        due
    }

    fn send_parts(&mut self, parts: &Parts) {
        let value = json!(parts);
        if self.sent != value {
            self.ready.push_back(Event::default().event("parts").data(value.to_string()));
            self.sent = value;
        }
    }
}

/// Where a run stands, for programs. Times are microseconds since 1970 UTC.
fn state_of(row: &RunRow) -> Value {
    json!({
        "id": row.id, "kind": row.kind, "state": row.state, "title": row.title, "events": row.event_seq,
        "queued_at": row.queued_at, "started_at": row.started_at, "finished_at": row.finished_at,
        "cancel_requested_at": row.cancel_requested_at, "progress": row.progress.as_ref().map(|p| &p.0),
    })
}

/// One event of a run, for programs.
#[derive(Serialize)]
struct LogEvent<'a> {
    seq: i64,
    at: i64,
    kind: &'a str,
    level: &'a str,
    message: &'a str,
    detail: Option<&'a Value>,
}

impl<'a> From<&'a RunEventRow> for LogEvent<'a> {
    fn from(e: &'a RunEventRow) -> Self {
        Self { seq: e.seq, at: e.at, kind: &e.kind, level: &e.level, message: &e.message, detail: e.detail.as_ref().map(|d| &d.0) }
    }
}

#[cfg(test)]
mod tests;
