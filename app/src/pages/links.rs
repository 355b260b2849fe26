//! Read-only links to evidence, for whoever may show it.
//!
//! Lives here: `/links` and its two server functions. May not: keeping a link longer than until it is shown.

use domain::{
    id::LinkId,
    review::after,
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    Ctx, OpsError,
    links::{self, LinkRow, Wanted},
    permission::{Action, On, allowed},
};

use crate::{
    components::{
        address::{Query, with_query},
        empty,
        field::{Line, any_of, line},
        icon, panel,
        status::{Tone, chip},
        table::{table, th},
        time::{date, moment_with_age, relative},
    },
    context::{app, arrival, cookie, ctx, query},
    error::{AppError, back, form_error, go, refuse, refused},
    frame::{Nav, Page, page},
};

const HERE: &str = "/links";
/// The cookie that carries a new secret to this page, and is taken away here.
const MADE: &str = "made_link";
/// What stands for all services in the form.
const ALL: &str = "*";
/// Services that the form offers.
const OFFERED: i64 = 300;

/// Makes a read-only link and shows it once.
#[server(prefix = "/act", endpoint = "make-link")]
pub async fn make_link(label: String, from: String, to: String, days: String, #[server(default)] services: Vec<String>) -> Result<(), AppError> {
    let ctx = ctx();
    let all = services.iter().any(|s| s == ALL);
    // What is no number is outside of what can be said.
    let wanted = Wanted { label: label.clone(), all, services: services.clone(), from: from.clone(), to: to.clone(), days: days.trim().parse().unwrap_or(0) };
    match links::make(&ctx, &wanted).await {
        Ok((_, secret)) => {
            carry(&secret, 60);
            go(HERE);
            Ok(())
        }
        Err(e @ OpsError::Invalid(_)) => {
            let mut typed = vec![("label", label.as_str()), ("from", &from), ("to", &to), ("days", &days)];
            typed.extend(services.iter().map(|s| ("services", s.as_str())));
            back(&with_query(HERE, &typed), e)
        }
        Err(e) => Err(refuse(e)),
    }
}

/// Revokes a read-only link: whatever it opened is over at once.
#[server(prefix = "/act", endpoint = "revoke-link")]
pub async fn revoke_link(id: String) -> Result<(), AppError> {
    let ctx = ctx();
    let id = id.parse::<LinkId>().map_err(|_| refuse(OpsError::not_found("read-only link", &id)))?;
    links::revoke(&ctx, id).await.map_err(refuse)?;
    go(HERE);
    Ok(())
}

/// Its name, and what marks it as one for TLS alone.
fn made() -> (String, &'static str) {
    if arrival().secure { (format!("__Secure-{MADE}"), "; Secure") } else { (MADE.to_owned(), "") }
}

/// Gives the browser the secret for so many seconds; none takes it away.
fn carry(secret: &str, seconds: u32) {
    let Some(response) = use_context::<leptos_axum::ResponseOptions>() else { return };
    let (name, secure) = made();
    if let Ok(value) = http::HeaderValue::from_str(&format!("{name}={secret}; Path={HERE}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")) {
        response.append_header(http::header::SET_COOKIE, value);
    }
}

/// The secret that was made just now.
fn carried() -> Option<String> {
    let found = cookie(&use_context::<http::request::Parts>()?.headers, &made().0);
    found.filter(|v| v.starts_with(links::PREFIX) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// Where the browser found this site, where nobody has configured its address.
fn site() -> String {
    let arrived = arrival();
    let scheme = if arrived.secure { "https" } else { "http" };
    arrived.host.map(|h| format!("{scheme}://{h}")).unwrap_or_default()
}

/// `/links`.
#[component]
pub fn Links() -> impl IntoView {
    let (ctx, shared, error, typed) = (ctx(), app(), form_error(), query());
    let (made, here) = (carried(), site());
    if made.is_some() {
        carry("", 0);
    }
    page(async move {
        let mut all = Vec::new();
        for row in links::list(&ctx).await? {
            let names = links::service_names(&ctx, &row).await?;
            all.push((row, names));
        }
        let services = ops::services::list(&ctx, "", "", OFFERED).await?;
        let mut options: Vec<(String, String)> = Vec::new();
        if allowed(&ctx.actor, Action::Plan, On::All) {
            options.push((ALL.to_owned(), "All services, also those that come later".to_owned()));
        }
        let theirs = services.into_iter().filter(|s| allowed(&ctx.actor, Action::Plan, On::Service(s.id())));
        options.extend(theirs.map(|s| (s.name, s.title)));
        let site = ops::accounts::address(&ctx).await?.unwrap_or(here);
        let (now, zone) = (ctx.now(), &shared.zone);
        let today = ops::reviews::today(&ctx);
        let period = (after(today, -12).to_string(), today.to_string());
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Read-only links"</h1>
                <p class="page__lede">"An auditor from outside reads the evidence of the services and days that you choose, without an account, for at most 90 days. A link opens nothing else, and changes nothing."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {made.map(|secret| shown(&format!("{}{}", site.trim_end_matches('/'), links::path(&secret))))}
                {list(&ctx, &all, now, zone)}
                {panel("new", "New link", None, None, form(&options, &period, &typed, error.as_ref()))}
            </div>
        };
        Ok(Page { title: "Read-only links".to_owned(), nav: Nav::Links, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn shown(address: &str) -> AnyView {
    view! {
        <div class="callout callout--ok" role="status">{icon("i-key")}<b>"The link, this once"</b>
            <div><p>"Copy it now: only its hash is kept. Whoever has it reads what you chose, until it ends or you revoke it."</p>
                <p class="mt-2"><code class="token">{address.to_owned()}</code></p></div></div>
    }
    .into_any()
}

fn list(ctx: &Ctx, all: &[(LinkRow, Option<Vec<String>>)], now: Timestamp, zone: &TimeZone) -> AnyView {
    if all.is_empty() {
        return panel("links", "Links", None, None, empty("No links", "Nobody from outside reads evidence here.".into_any(), None).into_any()).into_any();
    }
    let rows = all.iter().map(|(l, names)| row(ctx, l, names.as_deref(), now, zone)).collect_view();
    let head =
        view! { {th("For", "")}{th("State", "")}{th("Shows", "")}{th("Used", "col-md")}{th("Ends", "")}<th scope="col"><span class="vh">"Revoke"</span></th> };
    let valid = all.iter().filter(|(l, _)| links::state(l, now) == "valid").count();
    panel("links", "Links", Some(format!("{} valid", count(valid as i64))), None, table("Read-only links", "", head.into_any(), rows.into_any()).into_any())
        .into_any()
}

fn row(ctx: &Ctx, l: &LinkRow, names: Option<&[String]>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let state = links::state(l, now);
    let sign = if state == "valid" { chip(Tone::Ok, "valid") } else { chip(Tone::None, state) };
    let whose = (l.actor != ctx.actor.name).then(|| view! { <span class="sub">{format!("by {}", l.actor)}</span> });
    let which = names.map_or_else(|| "all services".to_owned(), |n| n.join(", "));
    let used = match l.last_used_at {
        Some(at) => {
            let from = l.last_used_from.as_ref().map(|f| format!(", from {f}")).unwrap_or_default();
            view! { {moment_with_age(Timestamp(at), now, zone)}<span class="sub">{format!("{}{from}", if l.uses == 1 { "once".to_owned() } else { format!("{} times", count(l.uses)) })}</span> }.into_any()
        }
        None => "never".into_any(),
    };
    let revoke = (state == "valid").then(|| {
        view! { <form method="post" action=RevokeLink::url()><input type="hidden" name="id" value=l.id.to_string()/>
        <button class="btn btn--sm">"Revoke"<span class="vh">{format!(" {}", l.label)}</span></button></form> }
    });
    let ends = Timestamp(l.expires_at);
    view! {
        <tr><th scope="row">{l.label.clone()}{whose}</th><td>{sign}</td><td><span class="clip">{which}</span><span class="sub">{format!("{} to {}", l.from_on, l.to_on)}</span></td>
            <td class="col-md">{used}</td><td class="nowrap">{date(ends, zone)}<span class="sub">{relative(ends, now)}</span></td><td class="ta-r">{revoke}</td></tr>
    }
    .into_any()
}

fn form(options: &[(String, String)], period: &(String, String), typed: &Query, error: Option<&AppError>) -> AnyView {
    let input = |name: &'static str, label: &'static str, hint: &'static str, kind: &'static str, value: String| {
        let value = typed.get(name).unwrap_or(value);
        line(&Line { name, field: name, label, hint, value, kind, required: true, ..Line::default() }, error)
    };
    view! {
        <form class="panel__body form" method="post" action=MakeLink::url()>
            <div class="form__row">
                {input("label", "For", "Whom or what it is for, such as “external audit 2027”", "text", String::new())}
                {input("days", "Days", "It ends after so many, at most 90", "number", links::DEFAULT_DAYS.to_string())}
            </div>
            <div class="form__row">
                {input("from", "Evidence from", "The first day, in UTC", "date", period.0.clone())}
                {input("to", "Evidence to", "The last day", "date", period.1.clone())}
            </div>
            {any_of("services[]", "services", "Services", "Their evidence is shown, and nothing else of them.", options, &typed.all("services"), error)}
            <p><button class="btn btn--primary">"Make the link"</button></p>
        </form>
    }
    .into_any()
}
