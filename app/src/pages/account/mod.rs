//! One's own account: who one is here, and the tokens by which programs speak for one.
//!
//! Lives here: `/account` and its two server functions. May not: keeping a token's text longer than until it is shown.

use domain::{id::TokenId, units::Timestamp};
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
        address::Query,
        field::any_of,
        issued::{self, Made, Words},
        panel,
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx},
    error::{AppError, form_error, go, refuse, refused, upper},
    frame::{Nav, Page, page},
    once::Once,
};

/// How a new token comes to this page.
const MADE: Once = Once { cookie: "made_token", page: "/account", prefix: tokens::PREFIX };

const WORDS: Words = Words {
    id: "tokens",
    title: "Tokens",
    caption: "Tokens",
    none: ("No tokens", "A program signs in with a token: it may do what you name, until a day that you choose."),
    name: "Token",
    own: Some(("May", "col-md")),
    used: "Last used",
    whose: "of",
    revoke: RevokeToken::PATH,
};

/// Makes a token and shows it once.
#[server(prefix = "/act", endpoint = "make-token")]
pub async fn make_token(name: String, days: String, #[server(default)] scopes: Vec<String>) -> Result<(), AppError> {
    let days = days.trim().parse().map_err(|_| refuse(OpsError::invalid("days", "is no number of days")))?;
    let scopes =
        scopes.iter().map(|s| Action::parse(s).ok_or_else(|| refuse(OpsError::invalid("scopes", format!("“{s}” is none"))))).collect::<Result<Vec<_>, _>>()?;
    let (_, text) = tokens::make(&ctx(), &Wanted { name, scopes, days }).await.map_err(refuse)?;
    MADE.show(&text);
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

/// `/account`.
#[component]
pub fn Account() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let made = MADE.take();
    page(async move {
        let all = tokens::list(&ctx).await?;
        let open = ops::accounts::sessions(&ctx).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let all = all.iter().map(|t: &TokenRow| Made { row: &t.issued, own: t.scopes.0.join(", ").into_any(), used: issued::from(&t.issued) }).collect();
        let advice = view! { "A program sends it as "<code>"Authorization: Bearer …"</code>"." };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Your account"</h1>
                <div class="page__meta"><b>{ctx.actor.shown().to_owned()}</b><span>{ctx.actor.name.clone()}</span><span>{format!("role {}", ctx.actor.role)}</span></div></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {made.map(|text| issued::shown("The token, this once", advice.into_any(), text))}
                {issued::list(&WORDS, &ctx.actor.name, all, now, zone)}
                {sessions(&open, now, zone)}
                {panel("new", "New token", None, None, form(&ctx, error.as_ref()))}
            </div>
        };
        Ok(Page { title: "Your account".to_owned(), nav: Nav::Account, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
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
    let name = ("name", "Name", "What it is for, such as “nightly job of the cluster”");
    let days = (tokens::DEFAULT_DAYS, "It ends after so many, at most 366");
    view! {
        <form class="panel__body stack" method="post" action=MakeToken::url()>
            {issued::name_and_days(name, days, &Query::default(), error)}
            {any_of("scopes[]", "scopes", "It may", "No token may more than you may, and none makes another one.", &options, &["read".to_owned()], error)}
            <p><button class="btn btn--primary">"Make the token"</button></p>
        </form>
    }
    .into_any()
}
