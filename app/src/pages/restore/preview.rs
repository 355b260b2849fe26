//! Steps 4 and 5: what would happen, and the consent.

use domain::{
    evidence::Verdict,
    restore::ConflictMode,
    units::{Timestamp, count, size},
    work::{RestoreResult, RestoreTarget},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    previews::{Check, Preview},
    restores::Request,
};
use store::snapshots::ListedSnapshot;

use super::{
    act::{PreviewRestore, StartRestore},
    state::State,
};
use crate::{
    components::{
        icon, icon_sm, panel,
        status::{Tone, chip},
        table::{table, th},
        time,
    },
    error::{AppError, upper},
    pages::snapshots::show::readable,
};

fn state_input(state: &State) -> AnyView {
    let json = serde_json::to_string(state).unwrap_or_default();
    view! { <input type="hidden" name="state" value=json/> }.into_any()
}

fn start_button(state: &State, words: &'static str, primary: bool) -> AnyView {
    let state = State { run: None, ..state.clone() };
    let class = if primary { "btn btn--primary" } else { "btn" };
    view! { <form method="post" action=PreviewRestore::url()>{state_input(&state)}<button class=class>{words}</button></form> }.into_any()
}

/// Nothing was counted yet.
pub fn ask(state: &State) -> AnyView {
    let body = view! {
        <div class="panel__body"><p class="soft">"Holdfast counts, file by file, what would be created, replaced and left. Nothing is written."</p>
            {start_button(state, "Make the preview", true)}</div>
    };
    panel("preview", "4. Preview", None, None, body.into_any()).into_any()
}

/// A preview that is not ready, with what can be done about it.
pub fn not_ready(state: &State, preview: &Preview, now: Timestamp) -> AnyView {
    let body = match preview {
        Preview::Waiting(run) => {
            let seen = run.progress.as_ref().map_or_else(String::new, |p| format!("{} files looked at so far.", count(p.files_done)));
            let since = time::relative(Timestamp(run.queued_at), now);
            view! {
                // With an address of its own: one that ends in a fragment would be scrolled to and not loaded again.
                <meta http-equiv="refresh" content=format!("2;url={}", state.href())/>
                <div class="panel__body" role="status"><p>{icon("i-run")}" Counting since "{since}". "{seen}</p>
                    <p class="sm muted">"This page looks again by itself. "<a href=format!("/runs/{}", run.id)>"The run of the preview"</a></p></div>
            }
            .into_any()
        }
        Preview::Failed(f) => view! {
            <div class="panel__body"><div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>"The preview failed"</b><div>{f.message.clone()}</div></div></div>
                {start_button(state, "Make a new preview", true)}</div>
        }
        .into_any(),
        _ => view! {
            <div class="panel__body"><div class="callout callout--warn">{icon("i-warn")}<b>"This preview no longer holds"</b>
                <div>"It is older than 15 minutes, or the choices changed since."</div></div>{start_button(state, "Make a new preview", true)}</div>
        }
        .into_any(),
    };
    panel("preview", "4. Preview", Some("nothing has been written yet".to_owned()), None, body).into_any()
}

/// What a ready preview is shown with.
pub struct Ready<'a> {
    pub state: &'a State,
    pub request: &'a Request,
    pub snapshots: &'a [ListedSnapshot],
    pub result: &'a RestoreResult,
    pub checks: &'a [Check],
    pub until: Timestamp,
    pub now: Timestamp,
    pub zone: &'a TimeZone,
    pub error: Option<AppError>,
}

impl Ready<'_> {
    fn blocked(&self) -> bool {
        self.request.conflict == ConflictMode::Fail && self.result.counts.skip > 0
    }
}

/// The four counts, the landing places, the checks, and the consent.
pub fn ready(r: &Ready<'_>) -> AnyView {
    let c = &r.result.counts;
    let one = |words: &'static str, n: i64, class: &str, sub: String| {
        view! { <div><dt>{words}</dt><dd class=format!("readout readout--md {class}")>{count(n)}</dd><dd class="sm soft">{sub}</dd></div> }
    };
    let skip = if r.blocked() { ("In the way", "d-del", "the restore would refuse") } else { ("Skip", "", "stays as it is at the target") };
    view! {
        <section class="stack" aria-labelledby="pvh" id="preview"><h2 class="vh" id="pvh">"4. Preview"</h2>
            <dl class="meters">
                {one("Create", c.create, "d-add", format!("not there now; {} are written in all", size(c.bytes)))}
                {one("Replace", c.replace, if c.replace > 0 { "d-mod" } else { "" }, "takes the place of another file".to_owned())}
                {one("The same", c.same, "", "already there with the same content".to_owned())}
                {one(skip.0, c.skip, skip.1, skip.2.to_owned())}
            </dl>
            <div class="grid grid--aside-w">{landing(r)}{checks(r.checks)}</div>
        </section>
        {consent(r)}
    }
    .into_any()
}

fn landing(r: &Ready<'_>) -> AnyView {
    const SHOWN: usize = 25;
    let places = r.result.landings.iter().take(5).map(|l| view! { <li><span class="path">{l.path.clone()}</span></li> }).collect_view();
    let more = r.result.landings.len().saturating_sub(5);
    let rows = r
        .result
        .sample
        .iter()
        .take(SHOWN)
        .map(|p| {
            let (tone, words) = match p.action.as_str() {
                "create" => (Tone::Ok, "create"),
                "replace" => (Tone::Warn, "replace"),
                "same" => (Tone::None, "the same"),
                _ if r.blocked() => (Tone::Fail, "in the way"),
                _ => (Tone::None, "skip"),
            };
            view! { <tr><th scope="row"><span class="path">{readable(&p.path)}</span></th><td class="num col-md">{size(p.bytes)}</td><td>{chip(tone, words)}</td></tr> }
        })
        .collect_view();
    let head = view! { {th("Lands at", "")}{th("Size", "num col-md")}{th("What happens", "")} };
    let total = r.result.counts.create + r.result.counts.replace + r.result.counts.same + r.result.counts.skip;
    let shown = r.result.sample.len().min(SHOWN) as i64;
    let rest = (total > shown).then(|| view! { <span>{format!("The first {} of {} files are listed. ", count(shown), count(total))}</span> });
    let holds = format!("The preview holds until {}.", time::short(r.until, r.now, r.zone));
    let body = view! {
        <div class="panel__body"><p class="sm soft">"Everything lands below"</p><ul class="stack stack--sm">{places}
            {(more > 0).then(|| view! { <li class="muted">{format!("and {more} more folders beside it")}</li> })}</ul></div>
        {(shown > 0).then(|| table("Preview, file by file", "table--top table--tight", head.into_any(), rows.into_any()))}
        <div class="panel__foot row row--between"><span>{rest}{holds}</span>{start_button(r.state, "Count again", false)}</div>
    };
    panel("lands", "Where each file lands", Some("nothing has been written yet".to_owned()), None, body.into_any()).into_any()
}

fn checks(all: &[Check]) -> AnyView {
    let unknown = all.iter().filter(|c| c.verdict == Verdict::Unknown).count();
    let note = format!("{} done, {unknown} could not check", all.len() - unknown);
    let items = all
        .iter()
        .map(|c| {
            let (symbol, class) = match c.verdict {
                Verdict::Passed => ("i-ok", "s-ok"),
                Verdict::Failed => ("i-warn", "s-warn"),
                Verdict::Unknown => ("i-unknown", "s-none"),
            };
            view! { <li>{icon_class(symbol, class)}<div><b>{c.name}</b><p>{c.detail.clone()}</p></div></li> }
        })
        .collect_view();
    panel("checks", "Checks before the start", Some(note), None, view! { <ul class="steps steps--plain">{items}</ul> }.into_any()).into_any()
}

fn icon_class(symbol: &str, class: &str) -> AnyView {
    view! { <svg class=format!("i {class}") aria-hidden="true"><use href=format!("/icons.svg#{symbol}")></use></svg> }.into_any()
}

fn consent(r: &Ready<'_>) -> AnyView {
    let in_place = r.request.target == RestoreTarget::InPlace;
    if r.blocked() {
        let body = view! {
            <div class="panel__body"><div class="callout callout--fail">{icon("i-fail")}<b>"This restore would refuse to start"</b>
                <div>"Files are in the way and the conflict mode is “Fail”. Choose another conflict mode or another folder above."</div></div></div>
        };
        return panel("confirm", "5. Confirm", None, None, body.into_any()).into_any();
    }
    let service = r.snapshots.first().and_then(|s| s.service_name.clone().zip(s.service_title.clone()));
    let wrong = r.error.as_ref().and_then(|e| e.field("confirm"));
    let error = r.error.as_ref().filter(|_| wrong.is_none()).map(|e| {
        let message = e.message.clone();
        view! { <div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>{e.title.clone()}</b><div>{message}</div></div></div> }
    });
    let warning = in_place.then(|| {
        let title = service.as_ref().map_or_else(String::new, |s| s.1.clone());
        view! { <div class="callout callout--warn">{icon("i-warn")}<b>{format!("In place, on {title} itself")}</b>
            <div>"A safety snapshot of what is there is taken first. New files are staged and compared with their hashes before anything is replaced; a restore that fails leaves everything as it was."</div></div> }
    });
    let typed = in_place.then(|| {
        let name = service.as_ref().map_or_else(String::new, |s| s.0.clone());
        let marked = wrong.is_some().then_some("true");
        view! {
            <div class="field"><label for="cf">"Type the service's name to confirm"</label>
                <input class="input input--w" id="cf" name="confirm" autocomplete="off" spellcheck="false" aria-describedby="cfh cfe" aria-invalid=marked required=true/>
                <span class="field__hint" id="cfh">"Its name is "<code>{name}</code></span>
                {wrong.map(|m| view! { <span class="field__error" id="cfe" role="alert">{upper(&m)}</span> })}</div>
        }
    });
    let n = r.state.snapshots.len();
    let words = match (in_place, n) {
        (true, 1) => "Restore in place".to_owned(),
        (true, n) => format!("Restore {n} items in place"),
        (false, 1) => "Start the restore".to_owned(),
        (false, n) => format!("Start the restore of {n} items"),
    };
    let class = if in_place { "btn btn--danger" } else { "btn btn--primary" };
    let out = r.snapshots.first().map_or_else(|| "/snapshots".to_owned(), |s| format!("/snapshots/{}", s.row.id));
    let form = view! {
        <div class="panel__body"><form class="form" action=StartRestore::url() method="post">
            {error}{warning}{state_input(r.state)}{typed}
            <div class="row"><button class=class>{words}</button><a class="btn btn--quiet" href=out>"Leave without restoring"</a></div>
            <p class="sm muted">"The work runs on the server: this page can be closed."</p>
        </form></div>
    };
    let same = view! { <div class="panel__body"><dl class="kv">
        <dt>"Undo"</dt><dd>{if in_place { "restore the safety snapshot, which the run names" } else { "delete what was created; replaced files are not kept" }}</dd>
        <dt>"Same as"</dt><dd><code>{command(r)}</code></dd>
    </dl></div> };
    view! {
        <div class="grid grid--aside-w">{panel("confirm", "5. Confirm", None, None, form.into_any())}{panel("expected", "Good to know", None, None, same.into_any())}</div>
    }
    .into_any()
}

/// The command that does the same, for one snapshot that is not restored in place.
fn command(r: &Ready<'_>) -> String {
    match (&r.request.target, r.snapshots) {
        (RestoreTarget::Folder { path }, [one]) => {
            let inside = if let [only] = &r.state.paths[..] { format!(":{only}") } else { String::new() };
            format!("holdfast restore {}{inside} --to {path} --conflict {}", one.row.restic_id.chars().take(8).collect::<String>(), r.request.conflict.as_str())
        }
        (RestoreTarget::Beside, [one]) => {
            let inside = if let [only] = &r.state.paths[..] { format!(":{only}") } else { String::new() };
            format!("holdfast restore {}{inside} --beside --conflict {}", one.row.restic_id.chars().take(8).collect::<String>(), r.request.conflict.as_str())
        }
        _ => "only here: several items, or in place".to_owned(),
    }
}

/// A small sign beside a step that is done.
pub fn done_sign() -> AnyView {
    view! { {icon_sm("i-ok", "s-ok")}<span class="vh">"done"</span> }.into_any()
}
