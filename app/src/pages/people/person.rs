//! One person: everything kept for them on one timeline, and what was kept at a moment.
//!
//! Lives here: the page. May not: restoring; it leads to the pages that do.

use domain::{
    evidence::EvidenceLevel,
    id::{ItemId, PersonId, ServiceId},
    units::{Timestamp, count, size, span},
};
use jiff::{ToSpan, Zoned, civil, tz::TimeZone};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    accounts::AccountRow,
    people::Person,
    permission::{Action, On, allowed},
};
use store::{people::Mark, snapshots::SnapshotRow};

use super::{
    list::cover_chip,
    names::names_panel,
    timeline::{Axis, timeline},
};
use crate::{
    components::{
        address::{encode, with_query},
        empty,
        evidence::ladder,
        panel,
        table::{table, th},
        time::{date, full, moment, relative, short},
        way,
    },
    context::{Visitor, app, ctx, visitor},
    error::{form_error, refused},
    frame::{Nav, Page, page},
    pages::{holds::sign::callouts, restore::way},
};

/// The spans that the timeline offers: name in the address, words, days (none: everything).
const SPANS: [(&str, &str, Option<i64>); 3] = [("30d", "30 days", Some(30)), ("12m", "12 months", Some(365)), ("all", "all", None)];

#[component]
pub fn PersonPage() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let person = ops::people::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let asked = query.get("span").unwrap_or_default();
        let (span_name, _, days) = SPANS.into_iter().find(|(name, ..)| *name == asked).unwrap_or(SPANS[0]);
        let asked_at = query.get("at").filter(|t| !t.is_empty());
        let chosen = match &asked_at {
            Some(text) => {
                read_moment(text, zone).ok_or_else(|| ops::OpsError::invalid("at", format!("“{text}” is not a moment; write it as 2021-02-21T23:25")))?
            }
            None => now,
        };
        let since = days.map_or(Timestamp(0), |d| now.plus_secs(-d * 86_400));
        let marks = ops::people::timeline(&ctx, PersonId(person.row.id), since).await?;
        let kept = ops::people::kept_at(&ctx, &person.items, chosen).await?;
        let mut holds = Vec::new();
        for item in &person.items {
            holds.extend(ops::holds::over_item(&ctx, ItemId(item.id)).await?);
        }
        holds.sort_by_key(|h| (h.created_at, h.id));
        holds.dedup_by_key(|h| h.id);
        let whole = allowed(&ctx.actor, Action::Read, On::All);
        let known = if whole { Some(ops::people::names::known(&ctx, PersonId(person.row.id)).await?) } else { None };
        let accounts: &[AccountRow] = known.as_ref().map_or(&[], |k| &k.accounts);
        let admits = allowed(&ctx.actor, Action::AdmitPeople, On::All);
        let body = view! {
            {head(&person, now, zone, &who, accounts)}
            {error.as_ref().map(refused)}
            {callouts(&holds)}
            <div class="stack">
                {time_panel(&person, &marks, since, days.is_none(), span_name, chosen, asked_at.is_some(), now, zone)}
                {kept_panel(&person, &kept, chosen, asked_at.is_some(), now, zone, &who)}
                {known.as_ref().map(|k| names_panel(&person.row, k, admits, now, zone))}
            </div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("People".to_owned(), "/people".to_owned())];
        Ok(Page { title: person.row.shown().to_owned(), nav: Nav::People, crumbs, body: body.into_any() })
    })
}

fn head(p: &Person, now: Timestamp, zone: &TimeZone, who: &Visitor, accounts: &[AccountRow]) -> AnyView {
    let known = (!accounts.is_empty()).then(|| {
        let names: Vec<&str> = accounts.iter().map(|a| if a.name.is_empty() { a.label.as_str() } else { a.name.as_str() }).collect();
        view! { <span>"Data of "<b>{names.join(", ")}</b></span> }
    });
    let services = p.services().len();
    let restore = (allowed(&who.actor, Action::Restore, On::Any) && p.newest().is_some())
        .then(|| view! { <div class="row"><a class="btn" href=format!("/restore?item={}", encode(&p.row.name))>"Restore"</a></div> });
    let name = view! { <span class="mono">{p.row.name.clone()}</span> };
    let (title, own) = match &p.row.shown {
        Some(shown) => (shown.clone().into_any(), Some(name)),
        None => (name.into_any(), None),
    };
    view! {
        <div class="page__head"><div><h1 class="page__title"><span class="vh">"Person "</span>{title}</h1>
            <div class="page__meta">{cover_chip(p.cover(now))}{known}{own}
                <span>{format!("{} {} in {services} {}", count(p.items.len() as i64), plural(p.items.len(), "item"), plural(services, "service"))}</span>
                <span>{size(p.size_bytes())}</span><span>"first seen "{date(Timestamp(p.row.created_at), zone)}", "{relative(Timestamp(p.row.created_at), now)}</span></div></div>{restore}</div>
    }
    .into_any()
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}

#[allow(clippy::too_many_arguments, reason = "a view of values that the page has loaded; a type for them would have one user")]
fn time_panel(
    p: &Person,
    marks: &[Mark],
    since: Timestamp,
    all: bool,
    span_name: &str,
    chosen: Timestamp,
    is_past: bool,
    now: Timestamp,
    zone: &TimeZone,
) -> AnyView {
    let address = format!("/people/{}", encode(&p.row.name));
    let at = write_moment(chosen, zone);
    let kept_at = if is_past { at.as_str() } else { "" };
    let spans = SPANS
        .iter()
        .map(|(name, words, _)| view! { <a href=with_query(&address, &[("span", name), ("at", kept_at)]) aria-current=(*name == span_name).then_some("true")>{*words}</a> })
        .collect_view();
    let end = view! { <nav class="seg" aria-label="Span of the timeline">{spans}</nav> }.into_any();
    let first = marks.last().map_or(now.plus_secs(-86_400), |m| Timestamp(m.taken_at));
    let from = if all { first.plus_secs(-3_600) } else { since }.min(chosen);
    let day = |days: i64| zoned(chosen, zone).checked_add(days.days()).ok().map(|z| Timestamp(z.timestamp().as_microsecond()));
    let step = |words: &'static str, to: Option<Timestamp>| {
        to.filter(|t| *t <= now)
            .map(|t| view! { <a class="btn btn--sm" href=with_query(&address, &[("span", span_name), ("at", &write_moment(t, zone))])>{words}</a> })
    };
    let rows = p
        .items
        .iter()
        .map(|i| {
            let own: Vec<&Mark> = marks.iter().filter(|m| m.item_id == Some(i.id)).collect();
            let partial = own.iter().filter(|m| m.state == store::people::MarkState::Partial).count();
            let end = |m: Option<&&Mark>| m.map_or_else(|| "–".into_any(), |m| moment(Timestamp(m.taken_at), now, zone).into_any());
            view! {
                <tr><th scope="row">{i.service_title.clone()}<span class="sub">{format!("{}: {}", i.source, i.name)}</span></th><td class="num">{count(own.len() as i64)}</td>
                    <td class="num">{count(partial as i64)}</td><td>{end(own.last())}</td><td>{end(own.first())}</td></tr>
            }
        })
        .collect_view();
    let twin = view! { {th("Item", "")}{th("Snapshots", "num")}{th("Partial", "num")}{th("First in this span", "")}{th("Last", "")} };
    let words = if is_past { full(chosen, zone) } else { "now".to_owned() };
    let body = view! {
        <div class="table-wrap minw-lg" tabindex="0" role="region" aria-label="Timeline of everything kept for this person">
            {timeline(&p.row.name, &p.items, marks, &Axis { from, to: now, chosen }, zone, &if is_past { short(chosen, now, zone) } else { "now".to_owned() })}
        </div>
        <details class="more"><summary>"The timeline as a table"</summary>{table("Snapshots by item in this span", "table--tight", twin.into_any(), rows.into_any())}</details>
        <div class="panel__foot stack stack--sm">
            <p>"Chosen moment "<b>{words}</b>". For each item the newest snapshot that is not younger is taken."</p>
            <form class="row" method="get" action=address.clone()>
                <input type="hidden" name="span" value=span_name.to_owned()/>
                <label class="vh" for="at">"Moment"</label><input class="input input--sm input--moment" id="at" name="at" type="datetime-local" value=at/>
                <button class="btn btn--sm">"Show this moment"</button>
                {step("Day before", day(-1))}{step("Day after", day(1).filter(|_| is_past))}
                {is_past.then(|| view! { <a class="btn btn--quiet btn--sm" href=with_query(&address, &[("span", span_name)])>"Now"</a> })}
            </form>
        </div>
    };
    panel("timeline", "Timeline", Some("one mark a snapshot, newest on the right".to_owned()), Some(end), body.into_any()).into_any()
}

fn kept_panel(p: &Person, kept: &[Option<SnapshotRow>], chosen: Timestamp, is_past: bool, now: Timestamp, zone: &TimeZone, who: &Visitor) -> AnyView {
    let title = if is_past { "Kept at this moment" } else { "Kept now" };
    if p.items.is_empty() {
        return panel("kept", title, None, None, empty("Nothing is kept", view! { "No source lists an item of this person." }.into_any(), None).into_any())
            .into_any();
    }
    let found = kept.iter().flatten().count();
    let bytes: i64 = kept.iter().flatten().map(|s| s.bytes).sum();
    let rows = p
        .items
        .iter()
        .zip(kept)
        .map(|(i, s)| {
            let opens = allowed(&who.actor, Action::Read, On::Service(ServiceId(i.service_id)));
            let service = way(opens, format!("/services/{}", i.service), i.service_title.clone());
            let name = view! { {service}", "{i.source.clone()}<span class="sub">{i.name.clone()}</span> };
            match s {
                None => view! {
                    <tr><th scope="row">{name}</th><td colspan="4" class="muted">{if i.last_snapshot_at.is_some() { "no snapshot that old" } else { "never backed up" }}</td></tr>
                }
                .into_any(),
                Some(s) => {
                    let (browse, restore) = (allowed(&who.actor, Action::Browse, On::from(s)), allowed(&who.actor, Action::Restore, On::from(s)));
                    let earlier = chosen.secs_since(Timestamp(s.taken_at)).max(0.0);
                    let acts = view! {
                        {browse.then(|| view! { <a class="btn btn--sm" href=format!("/snapshots/{}", s.id)>"Browse"<span class="vh">{format!(" {} of {}", i.name, i.service_title)}</span></a> })}
                        {restore.then(|| view! { <a class="btn btn--sm" href=way::of_snapshot(s)>"Restore"<span class="vh">{format!(" {} of {}", i.name, i.service_title)}</span></a> })}
                    };
                    view! {
                        <tr><th scope="row">{name}</th><td class="nowrap">{short(Timestamp(s.taken_at), now, zone)}<span class="sub">{format!("{} earlier", span(earlier.round()))}</span></td>
                            <td class="num col-md">{size(s.bytes)}<span class="sub">{format!("{} {}", count(s.files), plural(s.files as usize, "file"))}</span></td>
                            <td class="col-md">{ladder(EvidenceLevel::parse(&s.level).unwrap_or_default())}</td><td><div class="row row--end">{acts}</div></td></tr>
                    }
                    .into_any()
                }
            }
        })
        .collect_view();
    let head = view! { {th("Service and item", "")}{th("Snapshot", "")}{th("Size", "num col-md")}{th("Evidence", "col-md")}<th scope="col" class="num"><span class="vh">"Actions"</span></th> };
    let note = format!("{found} of {} {}, {}", p.items.len(), plural(p.items.len(), "item"), size(bytes));
    panel("kept", title, Some(note), None, table("Items at the chosen moment", "", head.into_any(), rows.into_any()).into_any()).into_any()
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Zoned {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_zoned(zone.clone())
}

/// A moment as a field of type `datetime-local` writes it, in the zone of the pages.
fn write_moment(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%Y-%m-%dT%H:%M").to_string()
}

/// Reads it back as the end of that minute, so that a snapshot of this minute counts.
fn read_moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let local: civil::DateTime = text.parse().ok()?;
    let at = Timestamp(local.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond());
    Some(if local.second() == 0 { Timestamp(at.0 + 59_999_999) } else { at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_that_minute_in_the_zone_of_the_pages() {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let at = read_moment("2021-02-21T23:25", &zone).unwrap();
        assert_eq!(full(at, &zone), "21 Feb 2021 23:25:59 CET");
        assert_eq!(write_moment(at, &zone), "2021-02-21T23:25");
        for text in ["", "yesterday", "2021-13-01T00:00", "2021-02-21"] {
            let read = read_moment(text, &zone);
            assert!(read.is_none() || text == "2021-02-21", "{text}");
        }
    }
}
