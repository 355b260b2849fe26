//! Step 1: what is restored. Newest snapshots of a service or of an item, or the chosen ones.

use std::collections::HashSet;

use domain::units::{Timestamp, count, size};
use leptos::prelude::*;
use ops::{Ctx, OpsError, snapshots::Filter, ways::Way};
use store::snapshots::ListedSnapshot;

use super::state::State;
use crate::{
    components::{
        empty,
        evidence::ladder,
        panel,
        service_field::service_field,
        status::{Tone, chip},
        table::{table, th},
        time,
    },
    context::AppContext,
    pages::{
        holds::sign::doubt_chip,
        snapshots::parts::{level, place, short_id, state_sign, subject},
    },
};

/// Snapshots offered at once.
const OFFERED: i64 = 100;

/// Nothing is chosen yet: the newest snapshot of each item that fits, to be ticked.
pub async fn offer(ctx: &Ctx, filter: &Filter, shared: &AppContext) -> Result<AnyView, OpsError> {
    let overview = shared.overview.get(ctx, &shared.zone).await?;
    let narrowed = filter.service.is_some() || filter.q.is_some() || filter.item.is_some();
    let mut found = if narrowed { ops::snapshots::page(ctx, filter, None, OFFERED).await? } else { Vec::new() };
    // This wizard brings files back.
    found.retain(|s| Way::of(&s.row).is_files());
    let now = ctx.now();
    let content = if found.is_empty() {
        let (title, why) = if narrowed {
            ("Nothing matches", "No snapshot fits. Choose another service or another name.")
        } else {
            ("Choose what to restore", "Choose a service, or give a part of an item's name. A single file is best chosen from its snapshot.")
        };
        let browse = view! { <a class="btn" href="/snapshots">"Browse the snapshots"</a> }.into_any();
        empty(title, why.into_any(), Some(browse)).into_any()
    } else {
        let proposed = proposed(&found);
        let rows = found.iter().map(|s| row(s, proposed.contains(&s.row.id), now, shared)).collect_view();
        let head = view! { <th scope="col"><span class="vh">"Choose"</span></th>{th("Item", "")}{th("Taken", "")}{th("Size", "num col-md")}{th("Verified", "col-md")} };
        view! {
            <form method="get" action="/restore">
                {table("Snapshots to restore from, newest first", "table--tight", head.into_any(), rows.into_any())}
                <div class="panel__foot row row--between"><span>"One snapshot of an item at a time; all of one repository."</span>
                    <button class="btn btn--primary btn--sm">"Continue with what is ticked"</button></div>
            </form>
        }
        .into_any()
    };
    let text = filter.item.clone().or_else(|| filter.q.clone());
    let body = view! {
        <form class="filters" method="get" action="/restore" aria-label="Find what to restore">
            {service_field(&overview, filter.service.as_deref())}
            <div class="field"><label for="f-q">"Item or id of a snapshot"</label><input class="input input--sm" id="f-q" name="q" type="search" value=text/></div>
            <button class="btn btn--sm">"Find"</button>
        </form>
        {content}
    };
    Ok(panel("select", "1. Select", None, None, body.into_any()).into_any())
}

/// Of items whose newest snapshots are in question or bad, the newest one against which nothing speaks.
fn proposed(found: &[ListedSnapshot]) -> HashSet<uuid::Uuid> {
    let (mut doubted, mut settled, mut proposed) = (HashSet::new(), HashSet::new(), HashSet::new());
    for s in found {
        let Some(item) = s.row.item_id.filter(|i| !settled.contains(i)) else { continue };
        if !s.is_good() {
            doubted.insert(item);
            continue;
        }
        settled.insert(item);
        if doubted.contains(&item) {
            proposed.insert(s.row.id);
        }
    }
    proposed
}

fn row(s: &ListedSnapshot, is_proposed: bool, now: Timestamp, shared: &AppContext) -> AnyView {
    let label = format!("Restore {} of {}", subject(s), time::short(Timestamp(s.row.taken_at), now, &shared.zone));
    let proposed = is_proposed.then(|| chip(Tone::Ok, "last good"));
    view! {
        <tr>
            <td class="tick-cell"><label><input class="tick" type="checkbox" name="snapshot" value=s.row.id.to_string() checked=is_proposed/><span class="vh">{label}</span></label></td>
            <th scope="row">{subject(s)}<span class="sub"><a class="hash" href=place(s.row.id, &[])>{short_id(&s.row.restic_id)}</a>" "{s.service_title.clone()}</span></th>
            <td>{time::moment_with_age(Timestamp(s.row.taken_at), now, &shared.zone)}{state_sign(s)}{doubt_chip(s)}{proposed}</td>
            <td class="num col-md">{size(s.row.bytes)}</td>
            <td class="col-md">{ladder(level(s))}</td>
        </tr>
    }
    .into_any()
}

/// What is chosen, in one panel.
pub fn chosen(state: &State, all: &[ListedSnapshot], now: Timestamp, shared: &AppContext) -> AnyView {
    const SHOWN: usize = 12;
    let rows = all.iter().take(SHOWN).map(|s| {
        let facts = format!("{} files, {}", count(s.row.files), size(s.row.bytes));
        view! { <li class="row"><a class="hash" href=place(s.row.id, &[])>{short_id(&s.row.restic_id)}</a><b>{subject(s)}</b>
        <span class="soft">{time::full(Timestamp(s.row.taken_at), &shared.zone)}", "{time::relative(Timestamp(s.row.taken_at), now)}</span>
        <span class="soft">{facts}</span>{state_sign(s)}{doubt_chip(s)}</li> }
    });
    let more = (all.len() > SHOWN).then(|| view! { <li class="muted">{format!("and {} more", all.len() - SHOWN)}</li> });
    let paths = (!state.paths.is_empty()).then(|| {
        let shown = state.paths.iter().take(SHOWN).map(|p| view! { <li class="path">{crate::pages::snapshots::show::readable(p)}</li> }).collect_view();
        let rest = (state.paths.len() > SHOWN).then(|| view! { <li class="muted">{format!("and {} more", state.paths.len() - SHOWN)}</li> });
        view! { <ul class="stack stack--sm">{shown}{rest}</ul> }
    });
    let body = view! { <div class="panel__body"><ul class="stack stack--sm">{rows.collect_view()}{more}</ul>{paths}</div> };
    let note = match state.paths.len() {
        0 => "everything in it".to_owned(),
        1 => "1 path".to_owned(),
        n => format!("{n} paths"),
    };
    let change = view! { <a class="btn btn--sm" href=back(all)>"Choose something else"</a> }.into_any();
    panel("select", "1. Select", Some(note), Some(change), body.into_any()).into_any()
}

fn back(all: &[ListedSnapshot]) -> String {
    match all {
        [one] => place(one.row.id, &[]),
        _ => crate::components::address::with_query("/restore", &[("service", all.first().and_then(|s| s.service_name.as_deref()).unwrap_or_default())]),
    }
}
