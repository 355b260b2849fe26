//! One snapshot that stays in its cloud: what it is made of, and the instance as it was. It has no files to look into.
//!
//! Lives here: the page. May not: loading anything.

use domain::{
    instance::NativeSnapshot,
    units::{Timestamp, size},
};
use leptos::prelude::*;
use ops::{
    Ctx,
    permission::{Action, On, allowed},
};
use store::{holds::HoldRow, snapshots::ListedSnapshot};

use super::parts::{level, short_id, state_chip, subject};
use crate::{
    components::{evidence::ladder, icon, panel, time, way},
    context::AppContext,
    error::AppError,
    frame::{Nav, Page},
    pages::{
        holds::{
            list::snapshot_dialog,
            sign::{callouts, doubt_chip},
        },
        instances::{facts, parts::place as instance_place, unit},
        restore::way,
        services::act::refused,
    },
};

pub fn page_of(ctx: &Ctx, s: &ListedSnapshot, n: &NativeSnapshot, holds: &[HoldRow], error: Option<&AppError>, shared: &AppContext, offsite: AnyView) -> Page {
    let (now, zone) = (ctx.now(), &shared.zone);
    let may_hold = allowed(&ctx.actor, Action::Hold, On::from(&s.row)) && s.row.service_id.is_some();
    // What the cloud has not finished is no copy yet.
    let may_restore = allowed(&ctx.actor, Action::Restore, On::from(&s.row)) && s.row.service_id.is_some() && s.row.state != "pending";
    let opens = allowed(&ctx.actor, Action::Read, On::service(s.row.service_id));
    let at = Timestamp(s.row.taken_at);
    let body = view! {
        {head(s, n, opens, (may_hold, may_restore), now, shared)}
        {error.map(refused)}
        {callouts(holds)}
        {(s.row.state == "pending").then(|| view! {
            <div class="callout mb-4">{icon("i-run")}<b>"The cloud has not finished it"</b>
                <div>"It was accepted, and the run did not wait for its end. It counts as a copy only when it is really there; Holdfast looks for it by itself."</div></div>
        })}
        <div class="grid grid--aside-w">
            <div class="stack">{unit::parts(n)}{offsite}{facts::rest(&n.server)}</div>
            <div class="stack">{row_facts(s, n)}{facts::itself(&n.server, &facts::as_of("as it was", at, zone), zone)}</div>
        </div>
        {may_hold.then(|| snapshot_dialog(s.row.id))}
    };
    let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Snapshots".to_owned(), "/snapshots".to_owned())];
    Page { title: short_id(&s.row.restic_id), nav: Nav::Snapshots, crumbs, body: body.into_any() }
}

fn head(s: &ListedSnapshot, n: &NativeSnapshot, opens: bool, (may_hold, may_restore): (bool, bool), now: Timestamp, shared: &AppContext) -> AnyView {
    let at = Timestamp(s.row.taken_at);
    let service = s.service_name.clone().zip(s.service_title.clone());
    let instance = s.service_name.as_deref().zip(s.source_name.as_deref()).zip(s.item_name.as_deref()).filter(|_| opens);
    view! {
        <div class="page__head"><div>
            <h1 class="page__title"><span class="vh">"Snapshot "</span><span class="mono brk">{n.name.clone()}</span>" "<span class="soft">{subject(s)}</span></h1>
            <div class="page__meta">
                {service.map(|(name, title)| way(opens, format!("/services/{name}"), title))}
                <span><time class="t">{time::full(at, &shared.zone)}" "<span>{time::relative(at, now)}</span></time></span>
                <span>{format!("{}, {}", unit::words(n), size(s.row.bytes))}</span>
                {ladder(level(s))}{state_chip(&s.row.state)}{doubt_chip(s)}
                {instance.map(|((service, source), item)| view! { <a href=instance_place(service, source, item)>"The instance, with all its snapshots"</a> })}
            </div></div>
            <div class="row">{may_hold.then(|| view! { <a class="btn" href="#hold-snapshot">"Hold"</a> })}{may_restore.then(|| way::buttons(&s.row))}</div>
        </div>
    }
    .into_any()
}

fn row_facts(s: &ListedSnapshot, n: &NativeSnapshot) -> AnyView {
    let row = |name: &'static str, value: AnyView| view! { <dt>{name}</dt><dd>{value}</dd> };
    let proven = if s.row.level == "exists" { "not yet: no restore test has brought it back".to_owned() } else { s.row.level.clone() };
    let body = view! {
        <div class="panel__body"><dl class="kv">
            {row("Name", view! { <span class="mono brk">{n.name.clone()}</span> }.into_any())}
            {row("Id", view! { <span class="hash hash--wrap">{n.unit_id().to_owned()}</span><span class="sub">"of the whole, by its first part"</span> }.into_any())}
            {s.source_name.clone().map(|n| row("Source", n.into_any()))}
            {row("Size", view! { {size(s.row.bytes)}<span class="sub">"as far as the cloud tells"</span> }.into_any())}
            {s.row.run_id.map(|r| row("Run", view! { <a href=format!("/runs/{r}")>"the run that took it"</a> }.into_any()))}
            {row("Proven", proven.into_any())}
        </dl></div>
    };
    panel("facts", "Facts", None, None, body.into_any()).into_any()
}
