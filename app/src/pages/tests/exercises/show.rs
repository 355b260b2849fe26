//! One exercise: its steps with what can be said of each, what was measured, its files, its end.

use domain::{
    exercise::{LARGEST_FILE, MOST_FILES, State, StepKind},
    id::ExerciseId,
    units::{Timestamp, count, size, span},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    exercises::{Exercise, step_state},
    permission::{Action, On, allowed},
};
use store::exercises::{FileRow, StepRow};

use super::{
    act::{CancelExercise, FinishExercise, StepExercise},
    imported, state_chip, step_sign,
};
use crate::{
    components::{
        dialog::dialog,
        gauge, icon, panel,
        status::chip,
        table::{table, th},
        test::verdict_chip,
        time::{full, relative},
    },
    context::{app, ctx},
    error::{form_error, refused},
    frame::{Nav, Page, page},
    islands::print::Print,
};

/// `/tests/exercises/:id`.
#[component]
pub fn ExercisePage() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let id = use_params_map().get_untracked().get("id").unwrap_or_default();
    page(async move {
        let id: ExerciseId = id.parse().map_err(|_| OpsError::not_found("exercise", &id))?;
        let e = ops::exercises::find(&ctx, id).await?;
        let may = e.state() == State::Open && allowed(&ctx.actor, Action::Plan, On::Service(e.service.id()));
        let (now, zone) = (ctx.now(), &shared.zone);
        let left = e.steps.iter().filter(|s| !step_state(s).settled()).count();
        let ends =
            may.then(|| view! { <a class="btn" href="#cancel-exercise">"Cancel it"</a><a class="btn btn--primary" href="#finish-exercise">"Finish"</a> });
        let note = (!e.row.note.is_empty())
            .then(|| view! { <section class="panel" aria-label="Note"><p class="panel__body brk pre-line">{e.row.note.clone()}</p></section> });
        let done = format!("{} of {} settled", e.steps.len() - left, e.steps.len());
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{e.row.title.clone()}</h1>
                <div class="page__meta">{state_chip(&e.row)}{imported(&e.row)}<a href=format!("/services/{}", e.service.name)>{e.service.title.clone()}</a>
                    <span>{started(&e, now, zone)}</span><span>"by "{e.row.created_by.clone()}</span></div></div>
                <div class="row no-print">{ends}<Print/></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {standing(&e)}
                {meters(&e, now, zone)}
                {note}
                {panel("steps", "Steps", Some(done), None, steps(&e, may, zone))}
                {panel("files", "Files", Some(format!("{} of {MOST_FILES}", e.files.len())), None, files(&e, may, zone))}
            </div>
            {may.then(|| view! { {finish_dialog(&e, left)}{cancel_dialog(&e)} })}
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Restore tests".to_owned(), "/tests".to_owned()),
            ("Exercises".to_owned(), "/tests/exercises".to_owned()),
        ];
        Ok(Page { title: e.row.title.clone(), nav: Nav::Tests, crumbs, body: body.into_any() })
    })
}

fn started(e: &Exercise, now: Timestamp, zone: &TimeZone) -> String {
    let at = Timestamp(e.row.started_at);
    let given = e.row.started_given.clone().unwrap_or_else(|| full(at, zone));
    format!("started {given}, {}", relative(at, now))
}

/// What the record is, and what it is not.
fn standing(e: &Exercise) -> AnyView {
    let (class, symbol, title, text) = match (e.row.is_imported(), e.state()) {
        (true, _) => (
            "callout callout--info",
            "i-info",
            "Imported",
            "This was done elsewhere and typed in from its record. Holdfast has measured none of it, and it never counts as a restore test.".to_owned(),
        ),
        (false, State::Cancelled) => (
            "callout callout--warn",
            "i-warn",
            "Cancelled",
            format!("{} gave it up: {}", e.row.ended_by.clone().unwrap_or_default(), e.row.end_note.clone().unwrap_or_default()),
        ),
        (false, _) => (
            "callout callout--info",
            "i-info",
            "Done by people",
            "Its times are when the steps were ticked. It never counts as a restore test that Holdfast measured.".to_owned(),
        ),
    };
    view! { <div class=class>{icon(symbol)}<b>{title}</b><div class="brk">{text}</div></div> }.into_any()
}

fn meters(e: &Exercise, now: Timestamp, zone: &TimeZone) -> AnyView {
    let open = e.state() == State::Open;
    let (verdict, so_far) = e.so_far();
    let measured = if open { so_far } else { e.row.rto_s };
    let target = if open { e.service.rto_s } else { e.row.rto_target_s }.map(|s| s as f64);
    let between = if e.row.is_imported() {
        "from its start to its finish".to_owned()
    } else if e.row.from_step == e.row.to_step {
        format!("of step {}", e.row.from_step + 1)
    } else {
        format!("from the start of step {} to the end of step {}", e.row.from_step + 1, e.row.to_step + 1)
    };
    let verdict = match e.state() {
        State::Finished => verdict_chip(e.verdict()),
        State::Cancelled => view! { <span class="soft">"none: it was cancelled"</span> }.into_any(),
        State::Open => view! { {verdict_chip(Some(verdict))}<span class="soft">" if it ended now"</span> }.into_any(),
    };
    let finished = match (&e.row.finished_given, e.row.finished_at) {
        (Some(given), _) => given.clone(),
        (None, Some(at)) => full(Timestamp(at), zone),
        _ => format!("runs for {}", span(now.secs_since(Timestamp(e.row.started_at)).max(0.0).round())),
    };
    let ended = e.row.ended_by.clone().filter(|_| !e.row.is_imported()).map(|by| view! { <dd class="sm soft">"by "{by}</dd> });
    let end_note = e.row.end_note.clone().filter(|_| e.state() == State::Finished).map(|n| view! { <dd class="sm brk">{n}</dd> });
    view! {
        <dl class="meters">
            <div><dt>"Time to recover"<span class="muted">{target.map_or_else(|| "no target".to_owned(), |t| format!("target {}", span(t)))}</span></dt>
                <dd class="readout readout--md">{measured.map_or_else(|| "–".to_owned(), span)}</dd>
                <dd>{gauge::gauge(measured, target)}</dd><dd>{chip(gauge::tone(measured, target), gauge::words(measured, target))}</dd>
                <dd class="sm soft">{between}</dd></div>
            <div><dt>"Users"</dt><dd class="readout readout--md">{e.row.users.map_or_else(|| "–".to_owned(), count)}</dd><dd class="sm soft">"whose data was brought back"</dd></div>
            <div><dt>"Verdict"</dt><dd>{verdict}</dd><dd class="sm soft">"What was skipped neither passes nor fails."</dd></div>
            <div><dt>"Ended"</dt><dd>{finished}</dd>{ended}{end_note}</div>
        </dl>
    }
    .into_any()
}

fn steps(e: &Exercise, may: bool, zone: &TimeZone) -> AnyView {
    let next = e.steps.iter().find(|s| !step_state(s).settled()).map(|s| s.position);
    let items = e.steps.iter().map(|s| step(e, s, may, next == Some(s.position), zone)).collect_view();
    view! { <ol class="steps">{items}</ol> }.into_any()
}

fn step(e: &Exercise, s: &StepRow, may: bool, next: bool, zone: &TimeZone) -> AnyView {
    let state = step_state(s);
    let (symbol, class) = step_sign(state);
    let moment = |at: Option<i64>| at.map(|at| full(Timestamp(at), zone));
    let took = s.began_at.zip(s.ended_at).map(|(from, to)| span(Timestamp(to).secs_since(Timestamp(from))));
    let by = s.actor.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let said = match (moment(s.ended_at), moment(s.began_at)) {
        (Some(at), _) => format!("{}{by}, {at}", state.words()),
        (None, Some(at)) if !state.settled() => format!("under way{by} since {at}"),
        _ => format!("{}{by}", state.words()),
    };
    let title = format!("{}. {}", s.position + 1, s.title);
    let run = s.run_id.map(|id| view! { <a href=format!("/runs/{id}")>"Run"</a>" " });
    let test = s.test_id.map(|id| view! { <a href=format!("/tests/{id}")>"Restore test"</a> });
    let kind = (s.kind == StepKind::RestoreTest.as_str()).then(|| view! { " "<span class="tag">"restore test"</span> });
    let form = (may && !state.settled()).then(|| if s.kind == StepKind::RestoreTest.as_str() { automatic(e, s) } else { manual(e, s, next) });
    view! {
        <li aria-current=(next && may).then_some("step")>
            <svg class=format!("i {class}") aria-hidden="true"><use href=format!("/icons.svg#{symbol}")></use></svg>
            <div><b>{title}</b>{kind}
                {(!s.details.is_empty()).then(|| view! { <p>{s.details.clone()}</p> })}
                <p class="sm soft">{said}</p>
                {s.note.clone().map(|n| view! { <p class="brk pre-line">{n}</p> })}
                {run}{test}{form}</div>
            <span class="dur">{took.unwrap_or_default()}</span>
        </li>
    }
    .into_any()
}

fn hidden(e: &Exercise, s: &StepRow) -> AnyView {
    view! { <input type="hidden" name="exercise" value=e.row.id.to_string()/><input type="hidden" name="step" value=(s.position + 1).to_string()/> }.into_any()
}

/// The words after a button for whoever hears it alone.
fn of(s: &StepRow) -> AnyView {
    view! { <span class="vh">{format!(" step {}", s.position + 1)}</span> }.into_any()
}

fn manual(e: &Exercise, s: &StepRow, open: bool) -> AnyView {
    let id = format!("note-{}", s.position + 1);
    let begin = s.began_at.is_none().then(|| view! { <button class="btn btn--sm" name="act" value="begin">"Begin"{of(s)}</button> });
    view! {
        <details class="more no-print" open=open><summary>"Say how it goes"{of(s)}</summary>
            <form class="form" method="post" action=StepExercise::url()>{hidden(e, s)}
                <div class="field"><label for=id.clone()>"Note"<span class="vh">{format!(" on step {}", s.position + 1)}</span></label>
                    <textarea class="textarea" id=id name="note" rows="2" maxlength="4000"></textarea>
                    <p class="field__hint">"Needed where the step fails or is skipped."</p></div>
                <p class="row"><button class="btn btn--sm btn--primary" name="act" value="done">"Done"{of(s)}</button>{begin}
                    <button class="btn btn--sm" name="act" value="skipped">"Skip"{of(s)}</button><button class="btn btn--sm" name="act" value="failed">"Failed"{of(s)}</button></p>
            </form></details>
    }
    .into_any()
}

fn automatic(e: &Exercise, s: &StepRow) -> AnyView {
    if s.run_id.is_some() {
        return view! { <form class="no-print" method="post" action=StepExercise::url()>{hidden(e, s)}<button class="btn btn--sm btn--primary" name="act" value="take">"Take the test's verdict"{of(s)}</button></form> }
            .into_any();
    }
    let id = format!("test-{}", s.position + 1);
    let note = format!("note-{}", s.position + 1);
    view! {
        <form class="no-print" method="post" action=StepExercise::url()>{hidden(e, s)}<button class="btn btn--sm btn--primary" name="act" value="test">"Start the restore test"{of(s)}</button></form>
        <details class="more no-print"><summary>"Name a test, or skip"{of(s)}</summary>
            <form class="form" method="post" action=StepExercise::url()>{hidden(e, s)}
                <div class="field"><label for=id.clone()>"Restore test"</label><input class="input" id=id name="test" autocomplete="off"/><p class="field__hint">"The address of its report; it must have begun after this exercise did."</p></div>
                <button class="btn btn--sm" name="act" value="link">"Take this test"{of(s)}</button></form>
            <form class="form" method="post" action=StepExercise::url()>{hidden(e, s)}
                <div class="field"><label for=note.clone()>"Reason"</label><input class="input" id=note name="note" maxlength="4000" autocomplete="off"/></div>
                <button class="btn btn--sm" name="act" value="skipped">"Skip"{of(s)}</button></form></details>
    }
    .into_any()
}

fn files(e: &Exercise, may: bool, zone: &TimeZone) -> AnyView {
    let row = |f: &FileRow| {
        let step = f.position.map_or_else(|| "all of it".to_owned(), |p| format!("step {}", p + 1));
        view! {
            <tr><th scope="row"><a class="brk" href=format!("/tests/exercises/{}/files/{}", e.row.id, f.id) download>{f.name.clone()}</a><span class="sub mono">{f.sha256.get(..16).unwrap_or_default().to_owned()}</span></th>
                <td>{step}</td><td class="num nowrap">{size(f.size)}</td><td class="col-md">{f.actor.clone()}</td><td class="nowrap col-md">{full(Timestamp(f.created_at), zone)}</td></tr>
        }
    };
    let list = if e.files.is_empty() {
        view! { <p class="panel__body soft">"None."</p> }.into_any()
    } else {
        let head = view! { {th("File", "")}{th("Of", "")}{th("Size", "num")}{th("Added by", "col-md")}{th("Added", "col-md")} };
        table("Files", "table--tight", head.into_any(), e.files.iter().map(row).collect_view().into_any()).into_any()
    };
    let room = may && (e.files.len() as i64) < MOST_FILES;
    let steps =
        e.steps.iter().map(|s| view! { <option value=(s.position + 1).to_string()>{format!("{}. {}", s.position + 1, s.title)}</option> }).collect_view();
    let hint = format!("A PNG, JPEG or PDF, or a text in UTF-8; {} MiB at most.", LARGEST_FILE >> 20);
    let form = room.then(|| {
        view! {
            <form class="panel__body form no-print" method="post" enctype="multipart/form-data" action=format!("/tests/exercises/{}/files", e.row.id)>
                <div class="field"><label for="f-of">"Of"</label><select class="select" id="f-of" name="step"><option value="">"All of it"</option>{steps}</select></div>
                <div class="field"><label for="f-file">"File"</label><input class="input" id="f-file" name="file" type="file" required aria-describedby="f-file-hint"
                        accept=".png,.jpg,.jpeg,.pdf,.txt,.log,.md,.csv,.json,.yaml,.yml"/><p class="field__hint" id="f-file-hint">{hint}</p></div>
                <p class="row"><button class="btn btn--sm">"Add the file"</button></p>
            </form>
        }
    });
    view! { {list}{form} }.into_any()
}

fn finish_dialog(e: &Exercise, left: usize) -> AnyView {
    let open = (left > 0).then(|| {
        let words = if left == 1 { "One step is not settled yet".to_owned() } else { format!("{left} steps are not settled yet") };
        view! { <p class="s-warn">{format!("{words}: tick them or skip them with a reason first.")}</p> }
    });
    let body = view! {
        {open}<p>"The verdict and the time are worked out, and the record is closed: nothing of it can be changed afterwards."</p>
        <form action=FinishExercise::url() method="post" id="finish-exercise-form">
            <input type="hidden" name="exercise" value=e.row.id.to_string()/>
            <div class="field"><label for="finish-note">"Note (optional)"</label><textarea class="textarea" id="finish-note" name="note" rows="3" maxlength="4000"></textarea></div>
        </form>
    };
    let button = view! { <button class="btn btn--primary" form="finish-exercise-form">"Finish the exercise"</button> };
    dialog("finish-exercise", "Finish this exercise", "Not yet", body.into_any(), button.into_any())
}

fn cancel_dialog(e: &Exercise) -> AnyView {
    let body = view! {
        <p>"What was done stays on record. A cancelled exercise proves nothing."</p>
        <form action=CancelExercise::url() method="post" id="cancel-exercise-form">
            <input type="hidden" name="exercise" value=e.row.id.to_string()/>
            <div class="field"><label for="cancel-reason">"Reason"</label><input class="input" id="cancel-reason" name="reason" maxlength="4000" required autocomplete="off"/></div>
        </form>
    };
    let button = view! { <button class="btn btn--danger" form="cancel-exercise-form">"Cancel the exercise"</button> };
    dialog("cancel-exercise", "Cancel this exercise", "Go on with it", body.into_any(), button.into_any())
}
