//! Addresses at which calendar programs read what is due.
//!
//! Lives here: `/reviews/calendar`. May not: keeping an address longer than until it is shown.

use domain::units::{Timestamp, count};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    Ctx,
    feeds::{self, FeedRow},
};

use super::act::{MakeCalendar, RevokeCalendar};
use crate::{
    components::{
        address::Query,
        empty,
        field::{Line, line},
        icon, panel,
        status::{Tone, chip},
        table::{table, th},
        time::{date, moment_with_age, relative},
    },
    context::{app, arrival, cookie, ctx, query},
    error::{AppError, form_error, refused},
    frame::{Nav, Page, page},
};

/// Where this page is.
pub const HERE: &str = "/reviews/calendar";
/// The cookie that carries a new secret to this page, and is taken away here.
const MADE: &str = "made_calendar";

/// Its name, and what marks it as one for TLS alone.
fn made() -> (String, &'static str) {
    if arrival().secure { (format!("__Secure-{MADE}"), "; Secure") } else { (MADE.to_owned(), "") }
}

/// Gives the browser the secret for so many seconds; none takes it away.
pub fn carry(secret: &str, seconds: u32) {
    let Some(response) = use_context::<leptos_axum::ResponseOptions>() else { return };
    let (name, secure) = made();
    if let Ok(value) = http::HeaderValue::from_str(&format!("{name}={secret}; Path={HERE}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")) {
        response.append_header(http::header::SET_COOKIE, value);
    }
}

/// The secret that was made just now.
fn carried() -> Option<String> {
    let found = cookie(&use_context::<http::request::Parts>()?.headers, &made().0);
    found.filter(|v| v.starts_with(feeds::PREFIX) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// Where the browser found this site, where nobody has configured its address.
fn site() -> String {
    let arrived = arrival();
    let scheme = if arrived.secure { "https" } else { "http" };
    arrived.host.map(|h| format!("{scheme}://{h}")).unwrap_or_default()
}

/// `/reviews/calendar`.
#[component]
pub fn Calendars() -> impl IntoView {
    let (ctx, shared, error, typed) = (ctx(), app(), form_error(), query());
    let (made, here) = (carried(), site());
    if made.is_some() {
        carry("", 0);
    }
    page(async move {
        let all = feeds::list(&ctx).await?;
        let site = ops::accounts::address(&ctx).await?.unwrap_or(here);
        let (now, zone) = (ctx.now(), &shared.zone);
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Reviews in your calendar"</h1>
                <p class="page__lede">"A calendar program reads at a secret address which reviews are due, and reminds 30 and 7 days before. It sees the services that you see, and nothing else."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {made.map(|secret| shown(&format!("{}{}", site.trim_end_matches('/'), feeds::path(&secret))))}
                {list(&ctx, &all, now, zone)}
                {panel("new", "New address", None, None, form(&typed, error.as_ref()))}
            </div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Reviews".to_owned(), "/reviews".to_owned())];
        Ok(Page { title: "Reviews in your calendar".to_owned(), nav: Nav::Reviews, crumbs, body: body.into_any() })
    })
}

fn shown(address: &str) -> AnyView {
    view! {
        <div class="callout callout--ok" role="status">{icon("i-key")}<b>"The address, this once"</b>
            <div><p>"Copy it now: only its hash is kept. Subscribe to it in your calendar program. Whoever has it sees what you see of reviews."</p>
                <p class="mt-2"><code class="token">{address.to_owned()}</code></p></div></div>
    }
    .into_any()
}

fn list(ctx: &Ctx, all: &[FeedRow], now: Timestamp, zone: &TimeZone) -> AnyView {
    if all.is_empty() {
        return panel("feeds", "Addresses", None, None, empty("No addresses", "No calendar program reads your reviews.".into_any(), None).into_any())
            .into_any();
    }
    let rows = all.iter().map(|f| row(ctx, f, now, zone)).collect_view();
    let head = view! { {th("Read by", "")}{th("State", "")}{th("Last read", "col-md")}{th("Ends", "")}<th scope="col"><span class="vh">"Revoke"</span></th> };
    let valid = all.iter().filter(|f| feeds::state(f, now) == "valid").count();
    panel("feeds", "Addresses", Some(format!("{} valid", count(valid as i64))), None, table("Addresses", "", head.into_any(), rows.into_any()).into_any())
        .into_any()
}

fn row(ctx: &Ctx, f: &FeedRow, now: Timestamp, zone: &TimeZone) -> AnyView {
    let state = feeds::state(f, now);
    let sign = if state == "valid" { chip(Tone::Ok, "valid") } else { chip(Tone::None, state) };
    let whose = (f.actor != ctx.actor.name).then(|| view! { <span class="sub">{format!("of {}", f.actor)}</span> });
    let used = match (f.last_used_at, &f.last_used_from) {
        (Some(at), from) => {
            view! { {moment_with_age(Timestamp(at), now, zone)}<span class="sub">{from.as_ref().map(|f| format!("from {f}"))}</span> }.into_any()
        }
        _ => "never".into_any(),
    };
    let revoke = (state == "valid").then(|| {
        view! { <form method="post" action=RevokeCalendar::url()><input type="hidden" name="id" value=f.id.to_string()/>
        <button class="btn btn--sm">"Revoke"<span class="vh">{format!(" {}", f.name)}</span></button></form> }
    });
    let ends = Timestamp(f.expires_at);
    view! {
        <tr><th scope="row">{f.name.clone()}{whose}</th><td>{sign}</td><td class="col-md">{used}</td>
            <td class="nowrap">{date(ends, zone)}<span class="sub">{relative(ends, now)}</span></td><td class="ta-r">{revoke}</td></tr>
    }
    .into_any()
}

fn form(typed: &Query, error: Option<&AppError>) -> AnyView {
    let name = Line {
        name: "name",
        field: "name",
        label: "Name",
        hint: "Which program reads it, such as “calendar of my phone”",
        value: typed.get("name").unwrap_or_default(),
        required: true,
        ..Line::default()
    };
    let days = Line {
        name: "days",
        field: "days",
        label: "Days",
        hint: "It ends after so many, at most 366",
        value: typed.get("days").unwrap_or_else(|| feeds::DEFAULT_DAYS.to_string()),
        kind: "number",
        required: true,
        ..Line::default()
    };
    view! {
        <form class="panel__body form" method="post" action=MakeCalendar::url()>
            <div class="form__row">{line(&name, error)}{line(&days, error)}</div>
            <p><button class="btn btn--primary">"Make the address"</button></p>
        </form>
    }
    .into_any()
}
