//! Step 1: which snapshot. It was named, or an instance and a date mean one, or several of which one is chosen.
//!
//! Lives here: both panels. May not: what a date means (`ops::clones`).

use domain::{
    id::SnapshotId,
    instance::Pattern,
    units::{Timestamp, size},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{
    Ctx, OpsError,
    clones::{self, Candidate},
    permission::{Action, On, require_on},
    ways::Way,
};
use store::snapshots::ListedSnapshot;

use super::state::Typed;
use crate::{
    components::{
        address::with_query,
        empty, panel,
        table::{table, th},
        time::{full, moment_with_age, relative},
    },
    error::AppError,
    pages::{
        instances::{fields::problem, parts::place, unit},
        snapshots::parts::{state_sign, subject},
    },
};

/// Snapshots that are offered at once.
const OFFERED: usize = 50;

/// What step 1 came to.
pub enum Choice {
    Chosen(Box<ListedSnapshot>),
    /// The panel in which one is chosen.
    Open(AnyView),
}

/// Finds the snapshot that the address means, or offers those that it can mean, to whoever may restore. `path` is the wizard's.
pub async fn choice(ctx: &Ctx, path: &'static str, typed: &Typed, zone: &TimeZone) -> Result<Choice, OpsError> {
    require_on(ctx, Action::Restore, On::Any)?;
    if !typed.snapshot.is_empty() {
        let id: SnapshotId = typed.snapshot.parse().map_err(|_| OpsError::not_found("snapshot", &typed.snapshot))?;
        return chosen_one(ctx, id).await;
    }
    if typed.service.is_empty() || typed.instance.is_empty() {
        let ways = view! { <a class="btn" href="/services">"Choose a service"</a> }.into_any();
        let why = "An instance is brought back from its own page, or from that of one of its snapshots.";
        return Ok(Choice::Open(panel("select", "1. Select", None, None, empty("No instance is named", why.into_any(), Some(ways)).into_any()).into_any()));
    }
    let service = clones::of_name(ctx, &typed.service).await?;
    let mut wrong = None;
    if !typed.date.is_empty() {
        let (order, _) = typed.order();
        match clones::choose(ctx, &service, &order).await {
            Ok(found) => return chosen_one(ctx, found.id()).await,
            Err(e @ (OpsError::Invalid(_) | OpsError::Conflict(_))) => wrong = Some(AppError::from(e)),
            Err(e) => return Err(e),
        }
    }
    let all = match clones::candidates(ctx, &service, &typed.instance, typed.pattern()).await {
        Ok(all) => all,
        Err(e @ OpsError::Invalid(_)) => {
            wrong = Some(e.into());
            Vec::new()
        }
        Err(e) => return Err(e),
    };
    Ok(Choice::Open(offer(path, typed, &all, wrong.as_ref(), ctx.now(), zone)))
}

async fn chosen_one(ctx: &Ctx, id: SnapshotId) -> Result<Choice, OpsError> {
    let found = ops::snapshots::listed(ctx, id).await?;
    require_on(ctx, Action::Restore, On::from(&found.row))?;
    if Way::of(&found.row).is_files() {
        return Err(OpsError::invalid("snapshot", "holds files and no instance; restore it on its own page"));
    }
    Ok(Choice::Chosen(Box::new(found)))
}

fn offer(path: &'static str, typed: &Typed, all: &[Candidate], wrong: Option<&AppError>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let several = clones::meant(all, &typed.date);
    let (caption, shown): (&str, Vec<&Candidate>) = if several.len() > 1 {
        ("Snapshots that this date means, the newest first", several)
    } else {
        ("Snapshots of this instance, the newest first", all.iter().collect())
    };
    let rows = shown.iter().take(OFFERED).map(|c| row(path, typed, c, now, zone)).collect_view();
    let head = view! { {th("Snapshot", "")}{th("Taken", "")}{th("Size", "num col-md")}<th scope="col"><span class="vh">"Choose"</span></th> };
    let more = (shown.len() > OFFERED)
        .then(|| view! { <p class="panel__body sm soft">{format!("The newest {OFFERED} of {}. Give a date to find an older one.", shown.len())}</p> });
    let list = if shown.is_empty() {
        let why = "None of this instance is recorded by this pattern. One that another tool has taken can be adopted on the page of the instances.";
        empty("No snapshots", why.into_any(), None).into_any()
    } else {
        view! { {table(caption, "table--tight table--top", head.into_any(), rows.into_any())}{more} }.into_any()
    };
    let field = |name: &str| wrong.and_then(|e| e.field(name));
    let other = wrong.filter(|e| ["date", "pattern", "instance"].iter().all(|f| e.field(f).is_none())).map(crate::error::refused);
    let invalid = |name: &str| field(name).is_some().then_some("true");
    let pattern = if typed.pattern.is_empty() { Pattern::DEFAULT } else { &typed.pattern };
    // What differs, typed before another snapshot is chosen, stays.
    let which = ["service", "snapshot", "instance", "date", "pattern"];
    let kept = typed.pairs().into_iter().filter(|(n, v)| !which.contains(n) && !v.is_empty() && !typed.asked.is_empty());
    let kept = kept.map(|(n, v)| view! { <input type="hidden" name=n value=v.to_owned()/> }).collect_view();
    let body = view! {
        <div class="panel__body">{other}<form class="form" method="get" action=path>
            <input type="hidden" name="service" value=typed.service.clone()/>{kept}
            <div class="form__row">
                <div class="field"><label for="instance">"instance"</label>
                    <input class="input input--mono" id="instance" name="instance" value=typed.instance.clone() required autocomplete="off" spellcheck="false" aria-invalid=invalid("instance") aria-describedby="instance-e"/>
                    {problem("instance", field("instance"))}</div>
                <div class="field"><label for="date">"date"</label>
                    <input class="input input--mono" id="date" name="date" value=typed.date.clone() inputmode="numeric" placeholder="YYYYMMDD" autocomplete="off" aria-invalid=invalid("date") aria-describedby="date-h date-e"/>
                    <span class="field__hint" id="date-h">"YYYYMMDD or YYYYMMDDHHMM, in UTC"</span>{problem("date", field("date"))}</div>
                <div class="field"><label for="pattern">"pattern"</label>
                    <input class="input input--mono" id="pattern" name="pattern" value=pattern.to_owned() autocomplete="off" spellcheck="false" aria-invalid=invalid("pattern") aria-describedby="pattern-h pattern-e"/>
                    <span class="field__hint" id="pattern-h">"How its snapshots are named"</span>{problem("pattern", field("pattern"))}</div>
            </div>
            <p class="row"><button class="btn btn--primary">"Find the snapshot"</button></p>
        </form></div>
        {list}
    };
    panel("select", "1. Select", Some(typed.instance.clone()), None, body.into_any()).into_any()
}

fn row(path: &str, typed: &Typed, c: &Candidate, now: Timestamp, zone: &TimeZone) -> AnyView {
    let with = Typed { snapshot: c.row.id.to_string(), ..typed.clone() };
    let choose = if c.row.state == "pending" {
        view! { <span class="muted">"not finished"</span> }.into_any()
    } else {
        view! { <a class="btn btn--sm" href=with.href(path)>"Choose"<span class="vh">{format!(" {}", c.row.label)}</span></a> }.into_any()
    };
    view! {
        <tr><th scope="row"><a class="mono brk" href=format!("/snapshots/{}", c.row.id)>{c.row.label.clone()}</a><span class="sub">{unit::words(&c.native)}</span></th>
            <td class="nowrap">{moment_with_age(c.at, now, zone)}</td><td class="num col-md">{size(c.row.bytes)}</td><td class="num">{choose}</td></tr>
    }
    .into_any()
}

/// What is chosen.
pub fn chosen(path: &'static str, typed: &Typed, s: &ListedSnapshot, now: Timestamp, zone: &TimeZone) -> AnyView {
    let at = Timestamp(s.row.taken_at);
    let name = if s.row.label.is_empty() { s.row.restic_id.clone() } else { s.row.label.clone() };
    let what = s.row.native.as_deref().map(unit::words);
    let instance = match (&s.service_name, &s.source_name, &s.item_name) {
        (Some(service), Some(source), Some(item)) => view! { <a href=place(service, source, item)>{item.clone()}</a> }.into_any(),
        _ => subject(s).into_any(),
    };
    let body = view! {
        <div class="panel__body"><dl class="kv">
            <dt>"Snapshot"</dt><dd><a class="mono brk" href=format!("/snapshots/{}", s.row.id)>{name}</a>{state_sign(s)}{what.map(|w| view! { <span class="sub">{format!("{w}, {}", size(s.row.bytes))}</span> })}</dd>
            <dt>"Instance"</dt><dd>{instance}</dd>
            <dt>"Taken"</dt><dd>{full(at, zone)}<span class="sub">{relative(at, now)}</span></dd>
        </dl></div>
    };
    let item = s.item_name.clone().unwrap_or_else(|| typed.instance.clone());
    let other = Typed { service: s.service_name.clone().unwrap_or_default(), instance: item, snapshot: String::new(), date: String::new(), ..typed.clone() };
    let href = if typed.asked.is_empty() { with_query(path, &[("service", &other.service), ("instance", &other.instance)]) } else { other.href(path) };
    let change = view! { <a class="btn btn--sm" href=href>"Choose another"</a> }.into_any();
    panel("select", "1. Select", None, Some(change), body.into_any()).into_any()
}
