//! Clouds: places that keep native snapshots. There are no packs in them; what matters is whether Holdfast is let in.
//!
//! Lives here: their part of the list, and the page of one. May not: rules.

use domain::{
    instance::{Credential, Keeping},
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::repositories::Repository;

use crate::{
    components::{
        address::encode,
        icon,
        origin::from_file,
        panel,
        status::{Tone, chip},
        table::{table, th},
        time::{full, relative},
    },
    error::upper,
    pages::instances::parts::list_place,
};

/// Whether a repository is a cloud. Pages ask here, and nowhere else, which of both they show.
pub(super) fn is_cloud(r: &Repository) -> bool {
    ops::repositories::keeping(&r.row).is_cloud()
}

fn credential(r: &Repository) -> Option<&Credential> {
    r.row.credential.as_deref()
}

/// How the credential stood when it was last looked at, and how it stands by the clock.
fn state_chip(c: Option<&Credential>, now: Timestamp) -> AnyView {
    let Some(c) = c else { return chip(Tone::None, "not looked at yet") };
    match c.expires_within(now) {
        _ if c.expires_at.is_some_and(|at| at <= now) => chip(Tone::Fail, "expired"),
        _ if c.refused => chip(Tone::Fail, "cannot be used"),
        _ if c.trouble.is_some() => chip(Tone::Warn, "lacks something"),
        Some(days) => chip(Tone::Warn, format!("expires within {days} d")),
        None => chip(Tone::Ok, "works"),
    }
}

/// All clouds in a table of their own.
pub(super) fn listed(all: &[Repository], now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = all.iter().map(|r| row(r, now, zone)).collect_view();
    let head = view! {
        {th("Cloud", "")}{th("Credential", "")}{th("Project", "col-md")}{th("User and roles", "col-lo")}{th("Expires", "col-md")}{th("Used by", "num col-lo")}
    };
    panel(
        "clouds",
        "Clouds",
        Some("their snapshots never leave them".to_owned()),
        None,
        table("Clouds by name", "", head.into_any(), rows.into_any()).into_any(),
    )
    .into_any()
}

fn row(r: &Repository, now: Timestamp, zone: &TimeZone) -> AnyView {
    let c = credential(r);
    let looked = c.map(|c| view! { <span class="sub" title=full(c.looked_at, zone)>{format!("looked at {}", relative(c.looked_at, now))}</span> });
    let trouble = c.and_then(|c| c.trouble.clone()).map(|t| view! { <span class="sub brk">{upper(&t)}</span> });
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("/repositories/{}", encode(&r.row.name))>{r.row.name.clone()}</a><span class="sub path">{r.row.location.clone()}</span></th>
            <td>{state_chip(c, now)}{looked}{trouble}</td><td class="col-md">{told(r).map(|c| project(c).to_owned())}</td>
            <td class="col-lo">{told(r).map(|c| c.user.clone())}{told(r).map(|c| view! { <span class="sub">{c.roles.join(", ")}</span> })}</td>
            <td class="col-md">{told(r).map(|c| expires(c, now, zone))}</td><td class="num col-lo">{count(r.uses.len() as i64)}</td></tr>
    }
    .into_any()
}

/// What the cloud has told of it, if it ever has.
fn told(r: &Repository) -> Option<&Credential> {
    credential(r).filter(|c| !c.project_id.is_empty())
}

fn project(c: &Credential) -> &str {
    if c.project_name.is_empty() { &c.project_id } else { &c.project_name }
}

fn expires(c: &Credential, now: Timestamp, zone: &TimeZone) -> AnyView {
    match c.expires_at {
        Some(at) => view! { <span title=full(at, zone)>{relative(at, now)}</span> }.into_any(),
        None => "no end is known".into_any(),
    }
}

/// The content of a cloud's page.
pub(super) fn content(r: &Repository, now: Timestamp, zone: &TimeZone) -> AnyView {
    let c = credential(r);
    let trouble = c.and_then(|c| c.trouble.clone()).map(|t| {
        let (class, symbol, title) = if c.is_some_and(|c| c.refused) {
            ("callout callout--fail", "i-fail", "The credential cannot be used")
        } else {
            ("callout callout--warn", "i-warn", "The credential lacks something")
        };
        view! { <div class=class>{icon(symbol)}<b>{title}</b><div>{upper(&t)}</div></div> }
    });
    let known = told(r).map(|c| {
        let roles = if c.roles.is_empty() { "none".to_owned() } else { c.roles.join(", ") };
        view! {
            <dt>"Project"</dt><dd>{project(c).to_owned()}<span class="sub hash hash--wrap">{c.project_id.clone()}</span></dd>
            <dt>"User"</dt><dd>{c.user.clone()}</dd><dt>"Roles"</dt><dd>{roles}</dd>
            <dt>"Expires"</dt><dd>{expires(c, now, zone)}{c.expires_at.map(|at| view! { <span class="sub">{full(at, zone)}</span> })}</dd>
        }
    });
    let quota = c.and_then(|c| c.quota).map(|q| {
        let full = q.is_used_up().then(|| view! { " "{chip(Tone::Warn, "used up")} });
        view! { <dt>"Quota left"</dt><dd>{q.words()}{full}<span class="sub">"as of the last look; a run asks anew before it touches anything"</span></dd> }
    });
    let looked = c.map(|c| {
        let old = (c.refused && told(r).is_some()).then(|| view! { <span class="sub">"the rest is of the last time that it could be used"</span> });
        view! { <dt>"Last looked at"</dt><dd>{relative(c.looked_at, now)}<span class="sub">{full(c.looked_at, zone)}</span>{old}</dd> }
    });
    let never = c.is_none().then(|| view! { <p class="sm soft">"Nobody has looked at it yet. Holdfast does so by itself, soon after it was configured."</p> });
    let body = view! { <div class="panel__body stack stack--sm">{trouble}{never}<dl class="kv">{known}{quota}{looked}</dl></div> };
    let options = r.row.options.0.plain.iter().map(|(k, v)| view! { <dt>{k.clone()}</dt><dd class="brk">{v.clone()}</dd> }).collect_view();
    let keystone = Keeping::auth_url(&r.row.location).map(|url| view! { <dt>"Keystone"</dt><dd class="path">{url.to_owned()}</dd> });
    let reached = view! { <div class="panel__body"><dl class="kv">{keystone}{options}</dl></div> };
    view! {
        <div class="stack"><div class="grid grid--aside-w"><div class="stack">
            {panel("credential", "Credential", Some("what Holdfast is let in with".to_owned()), Some(state_chip(c, now)), body.into_any())}
            {keeps()}
        </div><div class="stack">
            {panel("reached", "Reached by", Some("from the configuration".to_owned()), None, reached.into_any())}
            {uses(r)}
        </div></div></div>
    }
    .into_any()
}

fn keeps() -> AnyView {
    let body = view! {
        <div class="panel__body"><p>"Images and volume snapshots, which stay in the cloud: whoever loses the cloud loses them, too. There are no packs to check or to prune, and no recovery kit: the cloud's own tools bring them back, by the ids on the page of each snapshot."</p></div>
    };
    panel("keeps", "What it keeps", None, None, body.into_any()).into_any()
}

pub(super) fn head(r: &Repository, act: Option<AnyView>, now: Timestamp, zone: &TimeZone) -> AnyView {
    view! {
        <div class="page__head"><div><h1 class="page__title">{r.row.name.clone()}</h1>
            <div class="page__meta">{state_chip(credential(r), now)}<span>"Cloud"</span><span class="path">{r.row.location.clone()}</span>{from_file(&r.row.origin, now, zone)}</div></div><div class="row">{act}</div></div>
    }
    .into_any()
}

fn uses(r: &Repository) -> AnyView {
    const SHOWN: usize = 20;
    let body = if r.uses.is_empty() {
        let example = format!("kind: openstack-instance, repository: {}", r.row.name);
        view! { <p class="panel__body sm soft">"No source names it. In the configuration, write "<code>{example}</code>" at a source."</p> }.into_any()
    } else {
        let all = r.uses.iter().take(SHOWN).map(|u| {
            view! { <li><a href=format!("/services/{}", u.service_name)>{u.service_title.clone()}</a>", "<a href=list_place(&u.service_name, &u.source_name, "")>{format!("instances of the source {}", u.source_name)}</a></li> }
        });
        let more = (r.uses.len() > SHOWN).then(|| view! { <li>{format!("and {} more", r.uses.len() - SHOWN)}</li> });
        view! { <div class="panel__body"><ul class="stack stack--sm">{all.collect_view()}{more}</ul></div> }.into_any()
    };
    panel("uses", "Used by", None, None, body).into_any()
}
