//! Read-only links to evidence, for whoever may show it.
//!
//! Lives here: `/links` and its two server functions. May not: keeping a link longer than until it is shown.

use domain::{id::LinkId, review::after, units::count};
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    OpsError,
    links::{self, LinkRow, Wanted},
    permission::{Action, On, allowed},
};

use crate::{
    components::{
        address::{Query, with_query},
        field::{Line, any_of, line},
        issued::{self, Made, Words},
        panel,
    },
    context::{app, ctx, query},
    error::{AppError, back, form_error, go, refuse, refused},
    frame::{Nav, Page, page},
    once::{Once, site},
};

const HERE: &str = "/links";
/// How a new secret comes to this page.
const MADE: Once = Once { cookie: "made_link", page: HERE, prefix: links::PREFIX };

const WORDS: Words = Words {
    id: "links",
    title: "Links",
    caption: "Read-only links",
    none: ("No links", "Nobody from outside reads evidence here."),
    name: "For",
    own: Some(("Shows", "")),
    used: "Used",
    whose: "by",
    revoke: RevokeLink::PATH,
};

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
            MADE.show(&secret);
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

/// `/links`.
#[component]
pub fn Links() -> impl IntoView {
    let (ctx, shared, error, typed) = (ctx(), app(), form_error(), query());
    let (made, here) = (MADE.take(), site());
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
        let all = all.iter().map(|(row, names)| as_made(row, names.as_deref())).collect();
        let advice = "Whoever has it reads what you chose, until it ends or you revoke it.";
        let today = ops::reviews::today(&ctx);
        let period = (after(today, -12).to_string(), today.to_string());
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Read-only links"</h1>
                <p class="page__lede">"An auditor from outside reads the evidence of the services and days that you choose, without an account, for at most 90 days. A link opens nothing else, and changes nothing."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {made.map(|secret| issued::shown("The link, this once", advice.into_any(), format!("{}{}", site.trim_end_matches('/'), links::path(&secret))))}
                {issued::list(&WORDS, &ctx.actor.name, all, ctx.now(), &shared.zone)}
                {panel("new", "New link", None, None, form(&options, &period, &typed, error.as_ref()))}
            </div>
        };
        Ok(Page { title: "Read-only links".to_owned(), nav: Nav::Links, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn as_made<'a>(l: &'a LinkRow, names: Option<&[String]>) -> Made<'a> {
    let which = names.map_or_else(|| "all services".to_owned(), |n| n.join(", "));
    let own = view! { <span class="clip">{which}</span><span class="sub">{format!("{} to {}", l.from_on, l.to_on)}</span> };
    let times = if l.uses == 1 { "once".to_owned() } else { format!("{} times", count(l.uses)) };
    let used = issued::from(&l.issued).map_or_else(|| times.clone(), |from| format!("{times}, {from}"));
    Made { row: &l.issued, own: own.into_any(), used: Some(used) }
}

fn form(options: &[(String, String)], period: &(String, String), typed: &Query, error: Option<&AppError>) -> AnyView {
    let day = |name: &'static str, label: &'static str, hint: &'static str, value: &str| {
        let value = typed.get(name).unwrap_or_else(|| value.to_owned());
        line(&Line { name, field: name, label, hint, value, kind: "date", required: true, ..Line::default() }, error)
    };
    let name = ("label", "For", "Whom or what it is for, such as “external audit 2027”");
    let days = (links::DEFAULT_DAYS, "It ends after so many, at most 90");
    view! {
        <form class="panel__body form" method="post" action=MakeLink::url()>
            {issued::name_and_days(name, days, typed, error)}
            <div class="form__row">
                {day("from", "Evidence from", "The first day, in UTC", &period.0)}
                {day("to", "Evidence to", "The last day", &period.1)}
            </div>
            {any_of("services[]", "services", "Services", "Their evidence is shown, and nothing else of them.", options, &typed.all("services"), error)}
            <p><button class="btn btn--primary">"Make the link"</button></p>
        </form>
    }
    .into_any()
}
