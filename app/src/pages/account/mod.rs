//! One's own account: who one is here, and the tokens by which programs speak for one.
//!
//! Lives here: `/account` and its two server functions. May not: keeping a token's text longer than until it is shown.

use domain::{
    id::TokenId,
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    Ctx, OpsError,
    accounts::LiveSession,
    permission::Action,
    tokens::{self, TokenRow, Wanted},
};

use crate::{
    components::{
        empty,
        field::{Line, any_of, line},
        icon, panel,
        status::{Tone, chip},
        table::{table, th},
        time::{date, moment_with_age, relative},
    },
    context::{app, arrival, cookie, ctx},
    error::{AppError, form_error, go, refuse, refused, upper},
    frame::{Nav, Page, page},
};

/// The cookie that carries a new token to the page that shows it, and is taken away there.
const MADE: &str = "made_token";

/// Makes a token and shows it once.
#[server(prefix = "/act", endpoint = "make-token")]
pub async fn make_token(name: String, days: String, #[server(default)] scopes: Vec<String>) -> Result<(), AppError> {
    let days = days.trim().parse().map_err(|_| refuse(OpsError::invalid("days", "is no number of days")))?;
    let scopes =
        scopes.iter().map(|s| Action::parse(s).ok_or_else(|| refuse(OpsError::invalid("scopes", format!("“{s}” is none"))))).collect::<Result<Vec<_>, _>>()?;
    let (_, text) = tokens::make(&ctx(), &Wanted { name, scopes, days }).await.map_err(refuse)?;
    carry(&text, 60);
    go("/account");
    Ok(())
}

/// Revokes a token.
#[server(prefix = "/act", endpoint = "revoke-token")]
pub async fn revoke_token(id: String) -> Result<(), AppError> {
    let id = id.parse::<TokenId>().map_err(|_| refuse(OpsError::not_found("token", &id)))?;
    tokens::revoke(&ctx(), id).await.map_err(refuse)?;
    go("/account");
    Ok(())
}

/// Ends one of one's own sessions.
#[server(prefix = "/act", endpoint = "end-session")]
pub async fn end_session(session: String) -> Result<(), AppError> {
    ops::accounts::end_session(&ctx(), &session).await.map_err(refuse)?;
    go("/account");
    Ok(())
}

/// Its name, and what marks it as one for TLS alone.
fn made() -> (String, &'static str) {
    if arrival().secure { (format!("__Secure-{MADE}"), "; Secure") } else { (MADE.to_owned(), "") }
}

/// Gives the browser the text for so many seconds; none takes it away.
fn carry(text: &str, seconds: u32) {
    let Some(response) = use_context::<leptos_axum::ResponseOptions>() else { return };
    let (name, secure) = made();
    if let Ok(value) = http::HeaderValue::from_str(&format!("{name}={text}; Path=/account; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")) {
        response.append_header(http::header::SET_COOKIE, value);
    }
}

/// The token that was made just now.
fn carried() -> Option<String> {
    let found = cookie(&use_context::<http::request::Parts>()?.headers, &made().0);
    found.filter(|v| v.starts_with(tokens::PREFIX) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// `/account`.
#[component]
pub fn Account() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let made = carried();
    if made.is_some() {
        carry("", 0);
    }
    page(async move {
        let all = tokens::list(&ctx).await?;
        let open = ops::accounts::sessions(&ctx).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Your account"</h1>
                <div class="page__meta"><b>{ctx.actor.shown().to_owned()}</b><span>{ctx.actor.name.clone()}</span><span>{format!("role {}", ctx.actor.role)}</span></div></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {made.map(|text| shown(&text))}
                {list(&ctx, &all, now, zone)}
                {sessions(&open, now, zone)}
                {panel("new", "New token", None, None, form(&ctx, error.as_ref()))}
            </div>
        };
        Ok(Page { title: "Your account".to_owned(), nav: Nav::Account, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn shown(text: &str) -> AnyView {
    view! {
        <div class="callout callout--ok" role="status">{icon("i-key")}<b>"The token, this once"</b>
            <div><p>"Copy it now: only its hash is kept. A program sends it as "<code>"Authorization: Bearer …"</code>"."</p>
                <p class="mt-2"><code class="token">{text.to_owned()}</code></p></div></div>
    }
    .into_any()
}

fn list(ctx: &Ctx, all: &[TokenRow], now: Timestamp, zone: &TimeZone) -> AnyView {
    if all.is_empty() {
        let why = "A program signs in with a token: it may do what you name, until a day that you choose.";
        return panel("tokens", "Tokens", None, None, empty("No tokens", why.into_any(), None).into_any()).into_any();
    }
    let rows = all.iter().map(|t| row(ctx, t, now, zone)).collect_view();
    let head = view! { {th("Token", "")}{th("State", "")}{th("May", "col-md")}{th("Last used", "col-md")}{th("Ends", "")}<th scope="col"><span class="vh">"Revoke"</span></th> };
    let valid = all.iter().filter(|t| tokens::state(t, now) == "valid").count();
    panel("tokens", "Tokens", Some(format!("{} valid", count(valid as i64))), None, table("Tokens", "", head.into_any(), rows.into_any()).into_any()).into_any()
}

fn row(ctx: &Ctx, t: &TokenRow, now: Timestamp, zone: &TimeZone) -> AnyView {
    let state = tokens::state(t, now);
    let sign = match state {
        "valid" => chip(Tone::Ok, "valid").into_any(),
        "expired" => chip(Tone::None, "expired").into_any(),
        _ => chip(Tone::None, "revoked").into_any(),
    };
    let whose = (t.actor != ctx.actor.name).then(|| view! { <span class="sub">{format!("of {}", t.actor)}</span> });
    let used = match (t.last_used_at, &t.last_used_from) {
        (Some(at), from) => {
            view! { {moment_with_age(Timestamp(at), now, zone)}<span class="sub">{from.as_ref().map(|f| format!("from {f}"))}</span> }.into_any()
        }
        _ => "never".into_any(),
    };
    let revoke = (state == "valid").then(|| {
        view! { <form method="post" action=RevokeToken::url()><input type="hidden" name="id" value=t.id.to_string()/>
        <button class="btn btn--sm">"Revoke"<span class="vh">{format!(" {}", t.name)}</span></button></form> }
    });
    let ends = Timestamp(t.expires_at);
    view! {
        <tr><th scope="row">{t.name.clone()}{whose}</th><td>{sign}</td><td class="col-md">{t.scopes.0.join(", ")}</td><td class="col-md">{used}</td>
            <td class="nowrap">{date(ends, zone)}<span class="sub">{relative(ends, now)}</span></td><td class="ta-r">{revoke}</td></tr>
    }
    .into_any()
}

fn sessions(all: &[LiveSession], now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = all
        .iter()
        .map(|s| {
            let how = if s.row.account_id.is_some() { "by the provider" } else { "by a one-time link" };
            let from = format!("from {}", s.row.origin);
            view! {
                <tr><th scope="row">{moment_with_age(Timestamp(s.row.created_at), now, zone)}</th><td>{how}<span class="sub">{from.clone()}</span></td>
                    <td class="col-md"><span class="clamp">{s.row.agent.clone()}</span></td>
                    <td class="ta-r"><form method="post" action=EndSession::url()><input type="hidden" name="session" value=ops::accounts::handle(&s.row.session_id)/>
                        <button class="btn btn--sm">"End"<span class="vh">{format!(" the session {from}")}</span></button></form></td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("Opened", "")}{th("How", "")}{th("Browser", "col-md")}<th scope="col"><span class="vh">"End"</span></th> };
    let body = table("Open sessions", "table--tight", head.into_any(), rows.into_any());
    panel("sessions", "Open sessions", Some("they end after 8 hours without use, and 12 hours after they were opened".to_owned()), None, body.into_any())
        .into_any()
}

/// What each scope lets a program do.
const fn scope_words(action: Action) -> &'static str {
    match action {
        Action::Read => "See services, runs, snapshots, tests and people",
        Action::Browse => "Look inside snapshots and download files",
        Action::Configure => "Change the configuration and schedules",
        Action::Operate => "Start and stop backups, checks and restore tests",
        Action::Restore => "Restore",
        Action::Hold => "Place and end holds",
        Action::Plan => "Change continuity plans, risks and reviews",
        Action::Unlock => "Clear locks",
        Action::AdmitPeople => "Let people in",
        Action::Audit => "Read the audit trail",
        Action::Evidence => "Read evidence",
    }
}

fn form(ctx: &Ctx, error: Option<&AppError>) -> AnyView {
    let options: Vec<_> = tokens::grantable(&ctx.actor).into_iter().map(|a| (a.as_str().to_owned(), upper(scope_words(a)))).collect();
    let name =
        Line {
            name: "name", field: "name", label: "Name", hint: "What it is for, such as “nightly job of the cluster”", required: true, ..Line::default()
        };
    let days = Line {
        name: "days",
        field: "days",
        label: "Days",
        hint: "It ends after so many, at most 366",
        value: tokens::DEFAULT_DAYS.to_string(),
        kind: "number",
        required: true,
        ..Line::default()
    };
    view! {
        <form class="panel__body stack" method="post" action=MakeToken::url()>
            <div class="form__row">{line(&name, error)}{line(&days, error)}</div>
            {any_of("scopes[]", "scopes", "It may", "No token may more than you may, and none makes another one.", &options, &["read".to_owned()], error)}
            <p><button class="btn btn--primary">"Make the token"</button></p>
        </form>
    }
    .into_any()
}
