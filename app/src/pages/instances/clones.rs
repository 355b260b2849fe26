//! The clones of a service: what they take, when they end, ending one, giving one more time.
//!
//! Lives here: `/services/NAME/clones`. May not: making one (`restore::instance`), rules.

use domain::{
    id::CloneId,
    instance::{CLONE_DAYS, Flavour, MOST_CLONE_DAYS},
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    clones::{self, State},
    permission::{Action, On, allowed},
};
use store::{
    clones::{CloneRow, Sums},
    services::ServiceRow,
};

use super::{
    clone_acts::{EndClone, LengthenClone},
    parts::{clones_place, flavour_words, list_place},
};
use crate::{
    components::{
        address::with_query,
        dialog::dialog,
        empty, icon,
        pager::{key, pager, parse_key},
        panel,
        status::{Tone, chip},
        table::{table, th},
        time::{full, relative},
    },
    context::{app, ctx},
    error::{form_error, refused, upper},
    frame::{Nav, Page, page},
};

const ROWS: usize = 50;

/// `/services/:name/clones?all=&before=`.
#[component]
pub fn Clones() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let service = ops::services::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let all = query.get("all").is_some_and(|v| !v.is_empty());
        let before = query.get("before").as_deref().and_then(parse_key).map(|(at, id)| (at, CloneId(id)));
        let mut rows = clones::list(&ctx, &service.name, !all, before, ROWS as i64 + 1).await?;
        let more = rows.len() > ROWS;
        rows.truncate(ROWS);
        let sums = clones::sums(&ctx, &service.name).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let may = allowed(&ctx.actor, Action::Restore, On::Service(service.id()));
        let here = with_query(&clones_place(&service.name), &[("all", if all { "1" } else { "" })]);
        let next = rows.last().filter(|_| more).map(|c| {
            let before = key(c.created_at, c.id);
            ("Older", with_query(&clones_place(&service.name), &[("all", if all { "1" } else { "" }), ("before", &before)]))
        });
        let pages = pager(before.map(|_| ("Newest", here.clone())), next);
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Clones "<span class="soft">{service.title.clone()}</span></h1>
                <p class="page__lede">"Servers that Holdfast has made of snapshots. Each has an end, when it is deleted with its volumes and looked for until it is absent."</p></div>
                <div class="row"><a class="btn" href=list_place(&service.name, "", "")>"Instances"</a></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">{taken(sums)}{listed(&service, &rows, all, may, pages, now, zone)}</div>
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Services".to_owned(), "/services".to_owned()),
            (service.title.clone(), format!("/services/{}", service.name)),
            ("Instances".to_owned(), list_place(&service.name, "", "")),
        ];
        Ok(Page { title: "Clones".to_owned(), nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

/// What those that stand take together.
fn taken(s: Sums) -> AnyView {
    let one = |words: &'static str, value: String, sub: &'static str| {
        view! { <div><dt>{words}</dt><dd class="readout readout--md">{value}</dd><dd class="sm soft">{sub}</dd></div> }
    };
    view! {
        <dl class="meters">
            {one("Stand", count(s.clones), "not ended yet")}{one("vCPUs", count(s.vcpus), "of them together")}
            {one("RAM", format!("{} GiB", tenths(s.ram_mb)), "of them together")}{one("Disk", format!("{} GiB", count(s.disk_gb)), "of flavours and volumes")}
        </dl>
    }
    .into_any()
}

/// MiB as GiB, with one digit where it is not whole.
pub fn tenths(mib: i64) -> String {
    if mib % 1_024 == 0 { count(mib / 1_024) } else { format!("{:.1}", mib as f64 / 1_024.0) }
}

fn listed(service: &ServiceRow, rows: &[CloneRow], all: bool, may: bool, pages: AnyView, now: Timestamp, zone: &TimeZone) -> AnyView {
    let place = clones_place(&service.name);
    let ways = view! {
        <nav class="seg" aria-label="Which clones"><a href=place.clone() aria-current=(!all).then_some("true")>"That stand"</a>
            <a href=with_query(&place, &[("all", "1")]) aria-current=all.then_some("true")>"All"</a></nav>
    }
    .into_any();
    if rows.is_empty() {
        let title = if all { "No clone was made" } else { "No clone stands" };
        let why = "A clone is made from the page of an instance or of one of its snapshots.";
        return panel("clones", "Clones", None, Some(ways), empty(title, why.into_any(), None).into_any()).into_any();
    }
    let head = view! {
        {th("Clone", "")}{th("State", "")}{th("Takes", "col-md")}{th("Made", "col-md")}{th("Ends", "")}
        {may.then(|| view! { <th scope="col"><span class="vh">"Act"</span></th> })}
    };
    let dialogs = may.then(|| rows.iter().filter(|c| can_change(c, now)).map(|c| view! { {longer(service, c)}{ending(service, c)} }).collect_view());
    let rows = rows.iter().map(|c| row(c, may, now, zone)).collect_view();
    let body = view! { {table("Clones of this service, the newest first", "table--top", head.into_any(), rows.into_any())}{pages}{dialogs} };
    panel("clones", "Clones", None, Some(ways), body.into_any()).into_any()
}

/// Its time is not over, and nobody has ended it.
fn can_change(c: &CloneRow, now: Timestamp) -> bool {
    matches!(State::of(c, now), State::Building | State::Stands | State::Failed)
}

fn row(c: &CloneRow, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let state = match State::of(c, now) {
        State::Building => chip(Tone::Run, "building"),
        State::Stands => chip(Tone::Ok, "stands"),
        State::Failed => chip(Tone::Fail, "does not run"),
        State::Ending if c.trouble.is_some() => chip(Tone::Fail, "cannot be deleted"),
        State::Ending => chip(Tone::Run, "being deleted"),
        State::Ended => chip(Tone::None, "ended"),
    };
    let trouble = c.trouble.clone().map(|t| view! { <span class="sub brk">{icon("i-warn")}{upper(&t)}</span> });
    let why = c.ended_why.clone().map(|w| view! { <span class="sub brk">{upper(&w)}</span> });
    let takes = flavour_words(&Flavour { vcpus: c.vcpus, ram_mb: c.ram_mb, disk_gb: c.disk_gb, ..Flavour::default() });
    let ends = Timestamp(c.ended_at.unwrap_or(c.expires_at));
    let of = c.snapshot_id.map(|id| view! { <span class="sub"><a href=format!("/snapshots/{id}")>"the snapshot it is of"</a></span> });
    let acts = may.then(|| {
        let both = can_change(c, now).then(|| {
            view! {
                <div class="row"><a class="btn btn--sm" href=format!("#longer-{}", c.id)>"More time"<span class="vh">{format!(" for {}", c.name)}</span></a>
                    <a class="btn btn--sm" href=format!("#end-{}", c.id)>"Delete"<span class="vh">{format!(" {}", c.name)}</span></a></div>
            }
        });
        view! { <td>{both}</td> }
    });
    view! {
        <tr><th scope="row"><span class="mono brk">{c.name.clone()}</span><span class="sub hash hash--wrap">{c.server_id.clone()}</span></th>
            <td>{state}{why}{trouble}</td><td class="col-md">{takes}{of}</td>
            <td class="col-md"><a href=format!("/runs/{}", c.run_id)>{relative(Timestamp(c.created_at), now)}</a></td>
            <td><span title=full(ends, zone)>{relative(ends, now)}</span><span class="sub">{full(ends, zone)}</span></td>{acts}</tr>
    }
    .into_any()
}

fn longer(service: &ServiceRow, c: &CloneRow) -> AnyView {
    let id = c.id;
    let (form, days, hint) = (format!("longer-form-{id}"), format!("days-{id}"), format!("days-{id}-h"));
    let body = view! {
        <form action=LengthenClone::url() method="post" id=form.clone() class="form">
            <input type="hidden" name="service" value=service.name.clone()/><input type="hidden" name="clone" value=id.to_string()/>
            <div class="field"><label for=days.clone()>"Days from now"</label>
                <input class="input" id=days name="days" type="number" min="1" max=MOST_CLONE_DAYS.to_string() value=(2 * CLONE_DAYS).to_string() required autocomplete="off" aria-describedby=hint.clone()/>
                <span class="field__hint" id=hint>{format!("It must end later than now. At most {MOST_CLONE_DAYS}; more can be given again.")}</span></div>
        </form>
    };
    let button = view! { <button class="btn btn--primary" form=form>"Give it more time"</button> };
    dialog(&format!("longer-{id}"), &format!("More time for {}?", c.name), "Leave it", body.into_any(), button.into_any())
}

fn ending(service: &ServiceRow, c: &CloneRow) -> AnyView {
    let id = c.id;
    let (form, name, why) = (format!("end-form-{id}"), format!("end-name-{id}"), format!("end-why-{id}"));
    let (name_hint, why_hint) = (format!("{name}-h"), format!("{why}-h"));
    let volumes = match c.volumes.len() {
        0 => "It has no volumes.".to_owned(),
        1 => "Its volume is deleted with it.".to_owned(),
        n => format!("Its {n} volumes are deleted with it."),
    };
    let body = view! {
        <p>{format!("The server is deleted in the cloud, with all that was changed in it. {volumes} The snapshot stays.")}</p>
        <form action=EndClone::url() method="post" id=form.clone() class="form">
            <input type="hidden" name="service" value=service.name.clone()/><input type="hidden" name="clone" value=id.to_string()/>
            <div class="field"><label for=name.clone()>"Its name"</label>
                <input class="input input--mono" id=name name="confirm" required autocomplete="off" spellcheck="false" aria-describedby=name_hint.clone()/>
                <p class="field__hint" id=name_hint>"Type "<span class="mono brk">{c.name.clone()}</span></p></div>
            <div class="field"><label for=why.clone()>"Reason"</label>
                <input class="input" id=why name="reason" maxlength="500" required autocomplete="off" aria-describedby=why_hint.clone()/>
                <p class="field__hint" id=why_hint>"It is kept in the audit trail."</p></div>
        </form>
    };
    let button = view! { <button class="btn btn--danger" form=form>"Delete the clone"</button> };
    dialog(&format!("end-{id}"), "Delete this clone?", "Leave it", body.into_any(), button.into_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mebibytes_read_as_gibibytes() {
        assert_eq!([0, 512, 1_024, 1_536, 4_096].map(tenths), ["0", "0.5", "1", "1.5", "4"]);
    }
}
