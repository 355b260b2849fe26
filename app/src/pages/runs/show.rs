//! One run: where it stands while it is live, and what came of it.

use domain::{
    id::RunId,
    run::{ItemState, RunKind},
    units::Timestamp,
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::{
    hooks::{use_params_map, use_query_map},
    params::ParamsMap,
};
use ops::{
    Ctx, OpsError,
    permission::{Action, On, allowed},
    runs::{About, LogFilter},
};
use store::{restore_tests::RestoreTestRow, run_events::RunEventRow, run_items::RunItemRow, runs::RunRow, steps::StepRow};

use super::{
    act::{CancelRun, RetryRun},
    inputs, parts,
};
use crate::{
    components::{
        dialog::dialog,
        icon, panel,
        run::state_sign,
        status::Tone,
        time::{full, moment, relative},
        way,
    },
    context::{AppContext, app, ctx},
    error::{AppError, form_error, upper},
    frame::{Nav, Page, page},
    islands::live::Live,
    live,
};

/// All that the page shows, read once.
pub(super) struct Loaded {
    pub row: RunRow,
    pub about: About,
    pub steps: Vec<StepRow>,
    /// State, how many, bytes, bytes added.
    pub counts: Vec<(String, i64, i64, i64)>,
    pub items: Items,
    pub log: Log,
    pub earlier: Vec<RunRow>,
    pub test: Option<RestoreTestRow>,
    pub now: Timestamp,
    pub shared: AppContext,
    /// Whether the service's page and the repository's can be opened.
    pub opens: (bool, bool),
}

/// The results of items that are shown: those of one state, after a name.
pub(super) struct Items {
    pub state: Option<ItemState>,
    pub after: String,
    pub rows: Vec<RunItemRow>,
    pub more: bool,
}

/// The lines of the log that are shown.
pub(super) struct Log {
    pub filter: LogFilter,
    pub before: Option<i64>,
    pub rows: Vec<RunEventRow>,
    pub more: bool,
}

impl Log {
    /// Whether new lines belong to its end.
    pub const fn follows(&self) -> bool {
        self.before.is_none() && self.filter.search.is_empty() && matches!(self.filter.least, store::run_events::Least::All)
    }
}

/// `/runs/:id?items=&after=&log=&level=&log_before=`.
#[component]
pub fn Run() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    let id = use_params_map().get_untracked().get("id").unwrap_or_default();
    let error = form_error();
    page(async move {
        let id: RunId = id.parse().map_err(|_| OpsError::not_found("run", &id))?;
        let loaded = load(&ctx, shared, id, &query).await?;
        let own = loaded.row.kind()? == RunKind::Restore && loaded.row.actor == ctx.actor.name;
        let may = if own { allowed(&ctx.actor, Action::Restore, On::Any) } else { allowed(&ctx.actor, Action::Operate, On::service(loaded.row.service_id)) };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Runs".to_owned(), "/runs".to_owned())];
        let title = loaded.row.title.clone();
        let body = body(&loaded, may, error)?;
        Ok(Page { title, nav: Nav::Runs, crumbs, body })
    })
}

async fn load(ctx: &Ctx, shared: AppContext, id: RunId, query: &ParamsMap) -> Result<Loaded, OpsError> {
    let row = ops::runs::find(ctx, id).await?;
    let counts = ops::runs::item_counts(ctx, id).await?;
    let test = if row.kind()? == RunKind::RestoreTest { ops::restore_tests::of_run(ctx, id).await? } else { None };
    Ok(Loaded {
        about: ops::runs::about(ctx, &row).await?,
        steps: ops::runs::steps(ctx, id).await?,
        items: items(ctx, id, &counts, query).await?,
        log: log(ctx, id, query).await?,
        earlier: ops::runs::earlier(ctx, &row, 6).await?,
        counts,
        test,
        now: ctx.now(),
        shared,
        opens: (allowed(&ctx.actor, Action::Read, On::service(row.service_id)), allowed(&ctx.actor, Action::Read, On::All)),
        row,
    })
}

/// What went wrong stands first, unless another state was asked for.
async fn items(ctx: &Ctx, id: RunId, counts: &[(String, i64, i64, i64)], query: &ParamsMap) -> Result<Items, OpsError> {
    const ON_A_PAGE: i64 = 50;
    const ORDER: [ItemState; 4] = [ItemState::Failed, ItemState::Partial, ItemState::Ok, ItemState::Skipped];
    let has = |s: &ItemState| counts.iter().any(|c| c.0 == s.as_str());
    let state = query.get("items").and_then(|s| ItemState::parse(&s)).or_else(|| ORDER.into_iter().find(has));
    let after = query.get("after").unwrap_or_default();
    let mut rows = match state {
        Some(_) => ops::runs::items(ctx, id, state, &after, ON_A_PAGE + 1).await?,
        None => Vec::new(),
    };
    let more = rows.len() as i64 > ON_A_PAGE;
    rows.truncate(ON_A_PAGE as usize);
    Ok(Items { state, after, rows, more })
}

async fn log(ctx: &Ctx, id: RunId, query: &ParamsMap) -> Result<Log, OpsError> {
    const ON_A_PAGE: i64 = 200;
    let least = parts::least(&query.get("level").unwrap_or_default());
    let filter = LogFilter { least, search: query.get("log").unwrap_or_default().trim().to_owned() };
    let before = query.get("log_before").and_then(|s| s.parse().ok());
    let mut rows = ops::runs::log(ctx, id, &filter, before, ON_A_PAGE + 1).await?;
    let more = rows.len() as i64 > ON_A_PAGE;
    if more {
        rows.remove(0);
    }
    Ok(Log { filter, before, rows, more })
}

fn body(l: &Loaded, may: bool, error: Option<AppError>) -> Result<AnyView, OpsError> {
    let (row, is_live) = (&l.row, l.row.state()?.is_live());
    // A log that is searched is not added to, so its events are not asked for.
    let after = if l.log.follows() { l.log.rows.last().map_or(0, |e| e.seq) } else { row.event_seq };
    let note = is_live.then(|| "closing this tab is safe".to_owned());
    let stream = is_live.then(|| view! { <Live url=format!("/api/v1/runs/{}/events?view=page&after={after}", row.id)/> }.into_any());
    let right = if is_live {
        let inner = view! { <div class="panel__body" id="run-progress">{live::progress(row, &l.counts, l.now, &l.shared.zone)}</div> };
        panel("progress", "Progress", note, stream, inner.into_any()).into_any()
    } else {
        parts::result(l)?
    };
    let tolerated = l.steps.iter().filter(|s| s.state == "tolerated").count();
    let steps_note = match (tolerated, l.steps.iter().filter(|s| s.state == "succeeded" || s.state == "tolerated").count()) {
        (0, done) if !l.steps.is_empty() => Some(format!("{done} of {} done", l.steps.len())),
        (0, _) => None,
        (1, _) => Some("1 tolerated error".to_owned()),
        (n, _) => Some(format!("{n} tolerated errors")),
    };
    let foot = (tolerated > 0).then(|| {
        view! { <div class="panel__foot">"A tolerated error is allowed for and named in the result; it never turns a run green by itself."</div> }
    });
    let steps = view! { <div id="run-steps">{live::step_list(row, &l.steps, l.now, !is_live)}</div>{foot} };
    Ok(view! {
        {is_live.then(|| view! { <noscript><meta http-equiv="refresh" content="10"/></noscript> })}
        {head(l, may)?}
        {is_live.then(|| view! { <p class="vh" id="live-say" role="status" aria-live="polite"></p> })}
        {error.map(|e| parts::refusal(&e))}
        {failure(l)?}
        <div class="grid grid--aside-w run-grid">
            <div class="stack">
                {panel("steps", "Steps", steps_note, None, steps.into_any())}
                {parts::items(l, may)?}
                {parts::log(l)}
            </div>
            <div class="stack">
                <div class="run-first">{right}</div>
                {inputs::inputs(l)?}
                {parts::earlier(l)}
            </div>
        </div>
        {(may && is_live).then(|| cancel_dialog(l))}
    }
    .into_any())
}

fn head(l: &Loaded, may: bool) -> Result<AnyView, OpsError> {
    let (row, now) = (&l.row, l.now);
    let begun = Timestamp(row.started_at.unwrap_or(row.queued_at));
    let service = l.about.service.as_ref().map(|s| way(l.opens.0, format!("/services/{}", s.name), s.title.clone()));
    let again = row.retry_of.map(|old| view! { <span>"tries "<a href=format!("/runs/{old}")>"an earlier run"</a>" again"</span> });
    let attempts = (row.attempts > 1).then(|| view! { <span>{format!("begun {} times", row.attempts)}</span> });
    let word = if row.started_at.is_some() { "" } else { "queued " };
    Ok(view! {
        <div class="page__head"><div><h1 class="page__title">{row.title.clone()}</h1>
            <div class="page__meta"><span id="run-status">{live::status(row, &l.steps)}</span>{service}
                <span>"run "<span class="mono">{short_id(row)}</span></span>
                <span>{word}<span title=full(begun, &l.shared.zone)>{moment(begun, now, &l.shared.zone)}</span>" "<span class="muted">{relative(begun, now)}</span></span>
                <span>"by "{by(row)}</span>{again}{attempts}</div></div>
            {may.then(|| actions(l)).transpose()?}
        </div>
    }
    .into_any())
}

/// Who started it; a schedule's name leads to it.
fn by(row: &RunRow) -> AnyView {
    match row.actor.strip_prefix("schedule ").filter(|_| row.schedule_id.is_some()) {
        Some(name) => view! { "schedule "<a href=format!("/schedules/{name}")>{name.to_owned()}</a> }.into_any(),
        None => row.actor.clone().into_any(),
    }
}

/// The end of an id tells runs apart that began together.
fn short_id(row: &RunRow) -> String {
    row.id.simple().to_string()[20..].to_owned()
}

fn actions(l: &Loaded) -> Result<AnyView, OpsError> {
    let row = &l.row;
    if row.state()?.is_live() {
        if row.cancel_requested_at.is_some() {
            return Ok(().into_any());
        }
        return Ok(view! { <div class="row"><a class="btn btn--danger" href="#cancel-run">"Cancel the run"</a></div> }.into_any());
    }
    let in_place = row.kind()? == RunKind::Restore
        && row.params::<domain::work::RestoreParams>().is_ok_and(|p| p.target == domain::work::RestoreTarget::InPlace && !p.preview);
    if in_place {
        return Ok(view! { <div class="row"><a class="btn" href="/restore">"Restore again"</a></div> }.into_any());
    }
    Ok(view! {
        <div class="row"><form action=RetryRun::url() method="post">
            <input type="hidden" name="run" value=row.id.to_string()/><input type="hidden" name="what" value="all"/>
            <button class="btn">{icon("i-restore")}"Run all of it again"</button>
        </form></div>
    }
    .into_any())
}

/// Why the run did not end well, in its own words.
fn failure(l: &Loaded) -> Result<AnyView, OpsError> {
    let row = &l.row;
    let (tone, symbol, word) = state_sign(row.state()?);
    let class = match tone {
        Tone::Fail => "callout callout--fail",
        Tone::Warn => "callout callout--warn",
        _ => "callout",
    };
    let reason = row.cancel_reason.clone().filter(|r| !r.is_empty());
    let (title, text, code) = match (&row.failure, row.state.as_str()) {
        (Some(f), "cancelled") if reason.is_some() => {
            let why = reason.clone().unwrap_or_default();
            ("The run was cancelled".to_owned(), format!("{}. {}.", upper(&why), upper(&f.0.message)), None)
        }
        (Some(f), _) => (format!("The run ended as {word}"), upper(&f.0.message), Some(f.0.code.clone())),
        (None, "cancelled") => ("The run was cancelled".to_owned(), reason.clone().unwrap_or_else(|| "No reason was given.".to_owned()), None),
        (None, "queued" | "running") if row.cancel_requested_at.is_some() => {
            ("The run is being cancelled".to_owned(), "Its worker stops it and cleans up; this takes a moment.".to_owned(), None)
        }
        _ => return Ok(().into_any()),
    };
    let code = code.map(|c| view! { <span class="sub">"Code "<span class="mono">{c}</span></span> });
    Ok(view! { <div class="mb-4"><div class=class>{icon(symbol)}<b>{title}</b><div>{text}{code}</div></div></div> }.into_any())
}

fn cancel_dialog(l: &Loaded) -> AnyView {
    let row = &l.row;
    let stays = match row.kind() {
        _ if row.state == "queued" => "It has not begun, so nothing has to be undone.",
        Ok(RunKind::Backup) => "The snapshots that are complete stay in the repository. Items that were not reached keep the snapshot they had.",
        Ok(RunKind::Restore) => "The target is brought back to what it was before; nothing half restored stays.",
        Ok(RunKind::RestoreTest) => "All that was made for it is taken away. No evidence is recorded.",
        Ok(RunKind::Check) => "Nothing was changed. The check counts as not done.",
        Ok(RunKind::Prune) => "Nothing that a snapshot needs is touched. What was marked stays marked, and the next prune goes on.",
        Ok(RunKind::InstallationBackup) => "Earlier copies of Holdfast itself stay. The next one is made when it is due.",
        Ok(RunKind::InstallationTest) => "The scratch folder is torn down. Nothing is recorded of the copy.",
        Ok(RunKind::OffsiteCopy) => "The snapshot in the cloud stays. What was copied of it is removed by the next prune.",
        Ok(RunKind::OffsiteReturn) => "The image that was begun in the cloud is deleted. The copy in the repository stays.",
        Ok(RunKind::InstanceSnapshot) => "The instance is started again if this run has stopped it. Earlier snapshots stay.",
        Ok(RunKind::InstanceClone) => "What was made of the clone is deleted. The instance and the snapshot are not touched.",
        Ok(RunKind::InstanceRestore) => "The disk of before is brought back from the safety snapshot, which stays.",
        Ok(RunKind::TamperTest) => "Nothing but its probe was touched. The test counts as not done.",
        Err(_) => "What is done stays.",
    };
    let form = format!("cancel-form-{}", row.id);
    let body = view! {
        <p>{stays}</p>
        <form action=CancelRun::url() method="post" id=form.clone()>
            <input type="hidden" name="run" value=row.id.to_string()/>
            <div class="field"><label for="cancel-reason">"Reason (optional)"</label>
                <input class="input" id="cancel-reason" name="reason" maxlength="500" autocomplete="off"/>
                <p class="field__hint">"It is kept with the run and in the audit trail."</p></div>
        </form>
        <p class="soft">"The run stays in the list as cancelled."</p>
    };
    let button = view! { <button class="btn btn--danger" form=form>"Cancel the run"</button> };
    dialog("cancel-run", "Cancel this run?", "Let it run", body.into_any(), button.into_any())
}
