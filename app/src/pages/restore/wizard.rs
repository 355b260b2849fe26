//! The page: which steps are done, which one is next.

use domain::{
    id::{ItemId, SnapshotId},
    restore::ConflictMode,
    units::Timestamp,
};
use leptos::prelude::*;
use ops::{
    Actor, OpsError,
    permission::{Action, On, allowed, require_on},
    previews::{self, Preview},
    snapshots::Filter,
    ways::Way,
};
use store::snapshots::{Doubt, ListedSnapshot};

use super::{
    choose,
    preview::{Ready, ask, done_sign, not_ready, ready},
    state::State,
};
use crate::{
    components::{empty, icon, panel, time},
    context::{app, ctx, query},
    error::{AppError, form_error, upper},
    frame::{Nav, Page, page},
    pages::snapshots::parts::subject,
};

/// `/restore`, `/restore?service=…`, `/restore?item=…`, `/restore?snapshot=…&p=…&to=…&conflict=…&run=…`.
#[component]
pub fn Restore() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    page(async move {
        require_on(&ctx, Action::Restore, On::Any)?;
        let state = State::read(&query)?;
        let now = ctx.now();
        let mut crumbs = vec![("Home".to_owned(), "/".to_owned())];
        if state.snapshots.is_empty() {
            let given = |name: &str| query.get(name).filter(|v| !v.is_empty());
            let filter = Filter { service: given("service"), item: given("item"), person: None, q: given("q") };
            let offer = choose::offer(&ctx, &filter, &shared).await?;
            let body = view! { {head(&[], now, &shared.zone)}{steps(&state, None)}<div class="stack">{offer}</div> };
            return Ok(Page { title: "Restore".to_owned(), nav: Nav::Restore, crumbs, body: body.into_any() });
        }
        let mut all = Vec::with_capacity(state.snapshots.len());
        for id in &state.snapshots {
            all.push(ops::snapshots::listed(&ctx, *id).await?);
        }
        if let [one] = &all[..] {
            crumbs.push(("Snapshots".to_owned(), "/snapshots".to_owned()));
            crumbs.push((one.row.restic_id.chars().take(8).collect(), format!("/snapshots/{}", one.row.id)));
        }
        if let Some(native) = all.iter().find(|s| !Way::of(&s.row).is_files()) {
            let body = view! { {head(&all, now, &shared.zone)}<div class="stack">{elsewhere(native)}</div> };
            return Ok(Page { title: "Restore".to_owned(), nav: Nav::Restore, crumbs, body: body.into_any() });
        }
        let better = better(&ctx, &state, &all).await?;
        let request = state.request(None);
        let refused = match &request {
            Some(request) => previews::check(&ctx, request).await.err(),
            None => None,
        };
        let found = match (&request, &refused, state.run) {
            (Some(request), None, Some(run)) => Some(previews::find(&ctx, request, run).await?),
            _ => None,
        };
        let rest = match (&request, &refused, &found) {
            (None, ..) | (_, Some(_), _) => ().into_any(),
            (Some(_), None, None) => view! { {posted(error.as_ref())}{ask(&state)} }.into_any(),
            (Some(request), None, Some(Preview::Ready { result, until, .. })) => {
                let checks = previews::checks(&ctx, request, result).await?;
                ready(&Ready { state: &state, request, snapshots: &all, result, checks: &checks, until: *until, now, zone: &shared.zone, error })
            }
            (Some(_), None, Some(other)) => view! { {posted(error.as_ref())}{not_ready(&state, other, now)} }.into_any(),
        };
        let body = view! {
            {head(&all, now, &shared.zone)}
            {steps(&state, found.as_ref())}
            <div class="stack">{better}{choose::chosen(&state, &all, now, &shared)}{choices(&state, &all, refused, &ctx.actor)}{rest}</div>
        };
        Ok(Page { title: "Restore".to_owned(), nav: Nav::Restore, crumbs, body: body.into_any() })
    })
}

/// A warning where a chosen snapshot is in question or bad, with the way to the last good ones.
async fn better(ctx: &ops::Ctx, state: &State, all: &[ListedSnapshot]) -> Result<AnyView, OpsError> {
    let mut good = State { run: None, ..state.clone() };
    let doubted: Vec<_> = all.iter().filter(|s| !s.is_good()).collect();
    if doubted.is_empty() {
        return Ok(().into_any());
    }
    for s in &doubted {
        let Some(item) = s.row.item_id else { continue };
        if let (Some(found), Some(slot)) = (ops::holds::last_good(ctx, ItemId(item)).await?, good.snapshots.iter_mut().find(|id| id.0 == s.row.id)) {
            *slot = SnapshotId(found.id);
        }
    }
    let bad = doubted.iter().any(|s| s.doubt() == Some(Doubt::Bad));
    let (class, symbol, words) = if bad { ("callout callout--fail", "i-fail", "bad") } else { ("callout callout--hold", "i-hold", "in question") };
    let title = match doubted.as_slice() {
        [one] => format!("The chosen snapshot of {} is {words}", subject(one)),
        many => format!("{} of the chosen snapshots are {words}", many.len()),
    };
    let hold = doubted.iter().find_map(|s| s.row.doubt_hold_id).map(|h| view! { <a href=format!("/holds/{h}")>"The hold says why."</a>" " });
    let way = (good.snapshots != state.snapshots).then(|| view! { <a href=good.href()>"Use the last good snapshot instead"</a>"." });
    Ok(view! { <div class=class>{icon(symbol)}<b>{title}</b><div>{hold}{way}</div></div> }.into_any())
}

/// A snapshot of an instance was named: there are no files in it to choose.
fn elsewhere(s: &ListedSnapshot) -> AnyView {
    let ways = view! { <div class="row">{super::way::buttons(&s.row)}</div> }.into_any();
    let why = "It is brought back as a whole: as a clone beside the instance, or in its place.";
    view! { <section class="panel">{empty("This snapshot is of an instance", why.into_any(), Some(ways))}</section> }.into_any()
}

fn posted(error: Option<&AppError>) -> AnyView {
    error
        .map(|e| {
            let (title, message) = (e.title.clone(), e.message.clone());
            view! { <div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>{title}</b><div>{message}</div></div></div> }
        })
        .into_any()
}

fn head(all: &[ListedSnapshot], now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let meta = match all {
        [] => "Select what to bring back, say where, look at the preview, confirm. Nothing is written before the last step.".to_owned().into_any(),
        [one] => {
            let at = Timestamp(one.row.taken_at);
            view! { <span>"From "<a class="hash" href=format!("/snapshots/{}", one.row.id)>{one.row.restic_id.chars().take(8).collect::<String>()}</a></span>
            {one.service_title.clone().map(|t| view! { <span>{t}</span> })}
            <span>{time::full(at, zone)}", "{time::relative(at, now)}</span> }
            .into_any()
        }
        many => view! { <span>{format!("{} snapshots", many.len())}</span>{many[0].service_title.clone().map(|t| view! { <span>{t}</span> })} }.into_any(),
    };
    view! { <div class="page__head"><div><h1 class="page__title">"Restore"</h1><div class="page__meta">{meta}</div></div></div> }.into_any()
}

/// The five steps, each with what was chosen.
fn steps(state: &State, preview: Option<&Preview>) -> AnyView {
    let selected = match (state.snapshots.len(), state.paths.len()) {
        (0, _) => None,
        (1, 0) => Some("1 snapshot".to_owned()),
        (n, 0) => Some(format!("{n} snapshots")),
        (_, n) => Some(format!("{n} {}", if n == 1 { "path" } else { "paths" })),
    };
    let target = match state.to.as_str() {
        "inplace" => Some("in place".to_owned()),
        "beside" => Some("beside".to_owned()),
        "folder" if !state.folder.is_empty() => Some("a folder".to_owned()),
        _ => None,
    };
    let conflict = state.conflict.map(|c| words(c).0.to_lowercase());
    let counted = matches!(preview, Some(Preview::Ready { .. })).then(|| "made".to_owned());
    strip(vec![("Select", selected), ("Target", target), ("Conflict mode", conflict), ("Preview", counted), ("Confirm", None)])
}

/// The steps of a wizard, each with what was chosen; the first that nothing was chosen for is the next one.
pub(super) fn strip(all: Vec<(&'static str, Option<String>)>) -> AnyView {
    let current = all.iter().position(|(_, done)| done.is_none()).unwrap_or(all.len() - 1);
    let items = all.into_iter().enumerate().map(|(n, (name, done))| {
        let here = (n == current).then_some("step");
        let class = (n < current).then_some("is-done");
        let sign = (n < current).then(done_sign);
        view! { <li class=class aria-current=here><b>{name}</b><small>{done}{sign}</small></li> }
    });
    view! { <ol class="wizard" aria-label="Steps of the restore">{items.collect_view()}</ol> }.into_any()
}

const fn words(mode: ConflictMode) -> (&'static str, &'static str) {
    match mode {
        ConflictMode::Fail => ("Fail", "Refuse the whole restore if a file is in the way"),
        ConflictMode::Skip => ("Skip", "What exists stays as it is"),
        ConflictMode::Overwrite => ("Overwrite", "What exists is replaced"),
        ConflictMode::KeepNewer => ("Keep newer", "Replaced, unless it was modified later than the snapshot's file"),
    }
}

/// Steps 2 and 3 in one form, which changes nothing but the address.
fn choices(state: &State, all: &[ListedSnapshot], refused: Option<OpsError>, actor: &Actor) -> AnyView {
    let refused = refused.map(AppError::from);
    let field = |name: &str| refused.as_ref().and_then(|e| e.field(name));
    let wrong_path = field("target.path");
    let other = refused.as_ref().filter(|_| wrong_path.is_none()).map(|e| e.message.clone());
    let kept = state.snapshots.iter().map(|s| view! { <input type="hidden" name="snapshot" value=s.to_string()/> }).collect_view();
    let kept_paths = state.paths.iter().map(|p| view! { <input type="hidden" name="p" value=p.clone()/> }).collect_view();
    let known = all.iter().all(|s| s.row.source_id.is_some());
    let anywhere = allowed(actor, Action::Restore, On::All);
    let in_place = known && all.iter().all(|s| allowed(actor, Action::Restore, On::service(s.row.service_id)));
    // Nothing is chosen for anybody in place.
    let to = match state.to.as_str() {
        "inplace" | "beside" | "folder" => state.to.as_str(),
        _ if anywhere => "folder",
        _ => "beside",
    };
    let origin = match all {
        [one] => one.source_name.clone().map_or_else(|| "where it came from".to_owned(), |s| format!("into the source {s}, where it came from")),
        _ => "where they came from".to_owned(),
    };
    let mode = state.conflict.unwrap_or_default();
    let modes = ConflictMode::ALL
        .into_iter()
        .map(|m| {
            let (name, what) = words(m);
            view! { <label class="choice"><input type="radio" name="conflict" value=m.as_str() checked=m == mode/><b>{name}</b><span>{what}</span></label> }
        })
        .collect_view();
    let target = view! {
        <div class="panel__body">
            {other.map(|m| view! { <div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>"This cannot be restored so"</b><div>{m}</div></div></div> })}
            <fieldset class="choices choices--2"><legend class="vh">"Target"</legend>
                {known.then(|| view! { <label class="choice"><input type="radio" name="to" value="beside" checked=to == "beside"/><b>"Beside the original"</b><span>"Into a new folder inside the item's own one, named after the snapshot"</span></label> })}
                {anywhere.then(|| view! { <label class="choice"><input type="radio" name="to" value="folder" checked=to == "folder"/><b>"To a folder"</b><span>"Anywhere on the server but where data or backups are"</span></label> })}
                {in_place.then(|| view! { <label class="choice"><input type="radio" name="to" value="inplace" checked=to == "inplace"/><b>"In place"</b><span>{origin}</span></label> })}
            </fieldset>
            {anywhere.then(|| view! { <div class="field"><label for="folder">"Folder"</label>
                <input class="input input--mono" id="folder" name="folder" value=state.folder.clone() placeholder="/srv/restore/alice" aria-describedby="folder-h folder-e" aria-invalid=wrong_path.is_some().then_some("true")/>
                <span class="field__hint" id="folder-h">"Absolute path on the server. It is made if it is missing; several items get a folder each. Used for this target alone."</span>
                {wrong_path.map(|m| view! { <span class="field__error" id="folder-e" role="alert">{upper(&m)}</span> })}</div> })}
        </div>
    };
    let conflict = view! { <div class="panel__body"><fieldset class="choices choices--2"><legend class="vh">"Conflict mode"</legend>{modes}</fieldset>
    <p class="field__hint">"What happens where the target already holds a file of that name."</p></div> };
    let again = state.request(None).is_some();
    let (class, button) = if again { ("btn", "Use these choices") } else { ("btn btn--primary", "Continue to the preview") };
    view! {
        <form class="stack" method="get" action="/restore">
            {kept}{kept_paths}
            <div class="grid grid--2 grid--stretch">
                {panel("target", "2. Target", None, None, target.into_any())}
                {panel("conflict", "3. Conflict mode", None, None, conflict.into_any())}
            </div>
            <div class="row"><button class=class>{button}</button></div>
        </form>
    }
    .into_any()
}
