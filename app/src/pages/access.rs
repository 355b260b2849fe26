//! Who may do what: the table of roles, the providers with the rules that give roles, and the accounts.
//!
//! Lives here: `/access` and its server function. May not: deciding (`ops::permission`), changing providers (the configuration).

use domain::{
    access::{Claims, Given},
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    Ctx, OpsError, Role,
    accounts::{Account, ProviderRow, Refusal},
    permission::{Action, On, Reach, allowed, reach},
};

use crate::{
    components::{
        address::{Query, encode},
        empty,
        field::{choose, lines},
        panel,
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx, query},
    error::{AppError, form_error, go, refuse, refused, upper},
    frame::{Nav, Page, page},
};

/// The roles in the columns of the table.
const ROLES: [Role; 5] = [Role::Admin, Role::Auditor, Role::Owner, Role::Member, Role::Guest];

/// Says whose data an account's is; nobody's where the name is empty.
#[server(prefix = "/act", endpoint = "link-account")]
pub async fn link_account(account: String, person: String) -> Result<(), AppError> {
    let person = Some(person.trim()).filter(|p| !p.is_empty());
    ops::accounts::link(&ctx(), &account, person).await.map_err(refuse)?;
    go("/access");
    Ok(())
}

/// Ends all sessions of an account.
#[server(prefix = "/act", endpoint = "end-sessions")]
pub async fn end_sessions(account: String) -> Result<(), AppError> {
    ops::accounts::end_sessions(&ctx(), &account).await.map_err(refuse)?;
    go("/access");
    Ok(())
}

/// `/access?provider=&claims=`.
#[component]
pub fn Access() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    page(async move {
        let providers = ops::accounts::configured(&ctx).await?;
        let accounts = ops::accounts::all(&ctx).await?;
        let tried = tried(&ctx, &query).await?;
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Access"</h1>
                <p class="page__lede">"What each role may do, who gets which, and whose data is whose. Everything here is decided in one place, for pages, programs and the command line alike."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {panel("roles", "Roles", Some("somebody may have several at once".to_owned()), None, roles())}
                {panel("providers", "Providers", Some("from the configuration".to_owned()), None, provider_list(&providers))}
                {(!providers.is_empty()).then(|| panel("try", "What would this person get?", None, None, try_form(&providers, &query, tried)))}
                {panel("accounts", "Accounts", Some(format!("{} known", count(accounts.len() as i64))), None, account_list(&ctx, &accounts, &shared.zone))}
            </div>
        };
        Ok(Page { title: "Access".to_owned(), nav: Nav::Access, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

const fn reach_words(reach: Reach) -> &'static str {
    match reach {
        Reach::Nowhere => "–",
        Reach::Own => "own data",
        Reach::Linked => "the link's services",
        Reach::Owned => "own services",
        Reach::Everywhere => "everywhere",
    }
}

const fn action_words(action: Action) -> &'static str {
    match action {
        Action::Read => "See services, runs, snapshots, tests and people",
        Action::Browse => "Look inside snapshots and download files",
        Action::Configure => "Change the configuration and schedules",
        Action::Operate => "Start and stop backups, checks and restore tests",
        Action::Restore => "Restore: a member beside the original, an owner also in place, an admin also to a folder of the server",
        Action::Hold => "Place and end holds",
        Action::Plan => "Change continuity plans, risks and reviews",
        Action::Unlock => "Clear locks of a repository",
        Action::AdmitPeople => "Make sign-in links, say who is who and whose data is whose, end the sessions and tokens of others",
        Action::Audit => "Read and prove the audit trail",
        Action::Evidence => "Read what was proven, when, and the signed records of it",
    }
}

fn roles() -> AnyView {
    let rows = Action::ALL
        .iter()
        .map(|action| {
            let cells = ROLES.map(|role| {
                let reach = reach(role, *action);
                view! { <td class=if reach == Reach::Nowhere { "muted" } else { "nowrap" }>{reach_words(reach)}</td> }
            });
            view! { <tr><th scope="row">{upper(&action.to_string().replace('_', " "))}<span class="sub">{action_words(*action)}</span></th>{cells.collect_view()}</tr> }
        })
        .collect_view();
    let head = view! { {th("Action", "")}{th("Admin", "")}{th("Auditor", "")}{th("Owner", "")}{th("Member", "")}{th("Guest", "")} };
    table("What each role may do", "", head.into_any(), rows.into_any()).into_any()
}

fn provider_list(all: &[ProviderRow]) -> AnyView {
    if all.is_empty() {
        let why = view! { "Without one, admins come in by one-time links. A provider is a part of the configuration: issuer, client, and the rules that give roles." };
        return empty("No identity provider", why.into_any(), None).into_any();
    }
    let rows = all
        .iter()
        .flat_map(|p| {
            let (name, config) = (p.name.clone(), &p.config.0);
            config.roles.iter().enumerate().map(move |(n, rule)| {
                let who = (n == 0).then(|| view! { {config.title.clone()}<span class="sub"><code class="path">{config.issuer.clone()}</code></span> });
                let first = who.map_or_else(|| view! { <span class="vh">{name.clone()}</span> }.into_any(), IntoAny::into_any);
                view! { <tr><th scope="row">{first}</th><td class="col-md">{rule.claim.clone()}</td><td><code class="path">{rule.pattern.clone()}</code></td><td>{rule.grant.to_string()}</td></tr> }
            })
        })
        .collect_view();
    let head = view! { {th("Provider", "")}{th("Claim", "col-md")}{th("Looks like", "")}{th("Gives", "")} };
    table("Rules that give roles", "table--tight", head.into_any(), rows.into_any()).into_any()
}

/// What the rules give for the claims of the address; `None` where none were given.
async fn tried(ctx: &Ctx, query: &Query) -> Result<Option<Result<Vec<Given>, Refusal>>, OpsError> {
    let (provider, text) = (query.get("provider").unwrap_or_default(), query.get("claims").unwrap_or_default());
    if provider.is_empty() || text.trim().is_empty() {
        return Ok(None);
    }
    let mut claims = Claims::new();
    for (name, value) in text.lines().filter_map(|l| l.split_once('=')) {
        claims.entry(name.trim().to_owned()).or_default().push(value.trim().to_owned());
    }
    ops::accounts::preview(ctx, &provider, &claims).await.map(Some)
}

fn try_form(all: &[ProviderRow], query: &Query, given: Option<Result<Vec<Given>, Refusal>>) -> AnyView {
    let options: Vec<(&str, &str)> = all.iter().map(|p| (p.name.as_str(), p.config.0.title.as_str())).collect();
    let found = given.map(|found| {
        let all = match found {
            Ok(all) => all,
            Err(why) => {
                let words = match why {
                    Refusal::Assurance => "The provider's assurance is asked for, and none of the values of eduperson_assurance is there.",
                    Refusal::NoRole | Refusal::NoKey => "No rule fits any of these claims.",
                };
                return view! { <div class="callout callout--warn" role="status"><b>"Nothing: they would not be let in"</b><div>{words}</div></div> }
                    .into_any();
            }
        };
        let list = all
            .into_iter()
            .map(|g| view! { <li><b>{upper(&g.grant.to_string())}</b>", by rule "{g.rule + 1}": "<code class="path">{g.value}</code></li> })
            .collect_view();
        view! { <div class="callout callout--ok" role="status"><b>"They would be"</b><div><ul>{list}</ul></div></div> }.into_any()
    });
    view! {
        <form class="panel__body stack" method="get" action="/access#try">
            {choose("provider", "Provider", "Whose rules are tried", &options, &query.get("provider").unwrap_or_default())}
            {lines("claims", "Claims", "One a line, such as email=ada@example.org; the same claim may come several times", query.get("claims").unwrap_or_default(), None)}
            <p><button class="btn">"Try"</button></p>
            {found}
        </form>
    }
    .into_any()
}

fn account_list(ctx: &Ctx, all: &[Account], zone: &TimeZone) -> AnyView {
    if all.is_empty() {
        return empty("No accounts", "Whoever signs in through a provider is listed here from then on.".into_any(), None).into_any();
    }
    let may = allowed(&ctx.actor, Action::AdmitPeople, On::All);
    let rows = all
        .iter()
        .map(|a| {
            let shown = if a.row.name.is_empty() { a.row.label.clone() } else { a.row.name.clone() };
            let data = if may {
                let id = format!("p-{}", a.row.id.simple());
                view! {
                    <form class="row" method="post" action=LinkAccount::url()><input type="hidden" name="account" value=a.row.label.clone()/>
                        <label class="vh" for=id.clone()>{format!("Whose data is that of {shown}")}</label>
                        <input class="input input--sm input--w input--mono" id=id name="person" value=a.person.clone().unwrap_or_default() placeholder="nobody" autocomplete="off"/>
                        <button class="btn btn--sm">"Link"<span class="vh">{format!(" {shown}")}</span></button></form>
                }
                .into_any()
            } else {
                match &a.person {
                    Some(name) => view! { <a href=format!("/people/{}", encode(name))>{name.clone()}</a> }.into_any(),
                    None => "nobody".into_any(),
                }
            };
            let end = may.then(|| {
                view! {
                    <td><form class="row row--end" method="post" action=EndSessions::url()><input type="hidden" name="account" value=a.row.label.clone()/>
                        <button class="btn btn--sm">"End sessions"<span class="vh">{format!(" of {shown}")}</span></button></form></td>
                }
            });
            view! {
                <tr><th scope="row">{shown.clone()}<span class="sub">{a.row.label.clone()}</span></th><td>{a.row.role.clone()}</td><td class="col-md">{a.provider.clone()}</td>
                    <td class="col-md">{moment_with_age(Timestamp(a.row.seen_at), ctx.now(), zone)}</td><td>{data}</td>{end}</tr>
            }
        })
        .collect_view();
    let head = view! { {th("Account", "")}{th("Role", "")}{th("Provider", "col-md")}{th("Last asked", "col-md")}{th("Data of", "")}{may.then(|| view! { <th scope="col" class="num"><span class="vh">"Action"</span></th> })} };
    table("Accounts", "", head.into_any(), rows.into_any()).into_any()
}
