//! The frame around every page: rail, top bar, crumbs, foot; and [`page`], which loads a page and shows its error.
//!
//! Lives here: what all pages share. May not: anything of one area.

use std::future::Future;

use domain::units::Timestamp;
use leptos::prelude::*;
use leptos_meta::Title;
use ops::{
    Actor, OpsError, Role,
    permission::{Action, On, allowed},
};

use crate::{
    components::{brand, icon, time::now_line},
    context::{Theme, Visitor, app, ctx, visitor},
    error::{AppError, refused, set_status, unshown_error},
};

/// The entries of the rail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nav {
    Home,
    Runs,
    Services,
    People,
    Snapshots,
    Restore,
    Repositories,
    Holds,
    Schedules,
    Policies,
    Tests,
    Plans,
    Reviews,
    Evidence,
    Notifications,
    Access,
    Links,
    Audit,
    Configuration,
    /// No entry of the rail: it is reached by the menu of the account.
    Account,
}

type Entry = (Nav, &'static str, &'static str, &'static str);

/// The areas and what stands in each, for the rail and the palette.
pub const RAIL: [(&str, &[Entry]); 4] = [
    ("Watch", &[(Nav::Home, "/", "i-home", "Home"), (Nav::Runs, "/runs", "i-runs", "Runs"), (Nav::Notifications, "/notifications", "i-bell", "Notifications")]),
    (
        "Data",
        &[
            (Nav::Services, "/services", "i-service", "Services"),
            (Nav::People, "/people", "i-person", "People"),
            (Nav::Snapshots, "/snapshots", "i-snapshot", "Snapshots"),
            (Nav::Restore, "/restore", "i-restore", "Restore"),
            (Nav::Holds, "/holds", "i-hold", "Holds"),
            (Nav::Repositories, "/repositories", "i-bucket", "Repositories"),
        ],
    ),
    (
        "Continuity",
        &[
            (Nav::Schedules, "/schedules", "i-schedule", "Schedules"),
            (Nav::Policies, "/policies", "i-box", "Policies"),
            (Nav::Tests, "/tests", "i-test", "Restore tests"),
            (Nav::Plans, "/plans", "i-plan", "Plans and risks"),
            (Nav::Reviews, "/reviews", "i-clock", "Reviews"),
            (Nav::Evidence, "/evidence", "i-evidence", "Evidence"),
        ],
    ),
    (
        "Administration",
        &[
            (Nav::Access, "/access", "i-key", "Access"),
            (Nav::Links, "/links", "i-link", "Read-only links"),
            (Nav::Configuration, "/admin/configuration", "i-file", "Configuration"),
            (Nav::Audit, "/audit", "i-lock", "Audit"),
        ],
    ),
];

impl Nav {
    /// Whether it holds anything for somebody; an entry that leads to a refusal is not shown.
    pub fn is_for(self, actor: &Actor) -> bool {
        let whole = allowed(actor, Action::Read, On::All);
        match self {
            Self::Home | Self::Runs | Self::People | Self::Snapshots | Self::Account => allowed(actor, Action::Read, On::Any),
            Self::Services | Self::Holds | Self::Schedules | Self::Tests | Self::Plans | Self::Reviews => {
                whole || actor.role == Role::Owner || !actor.services.is_empty()
            }
            Self::Evidence => allowed(actor, Action::Evidence, On::Any),
            Self::Links => allowed(actor, Action::Plan, On::Any),
            Self::Restore => allowed(actor, Action::Restore, On::Any),
            Self::Notifications | Self::Repositories | Self::Policies | Self::Access => whole,
            Self::Configuration => allowed(actor, Action::Configure, On::All),
            Self::Audit => allowed(actor, Action::Audit, On::All),
        }
    }
}

/// A loaded page.
pub struct Page {
    pub title: String,
    pub nav: Nav,
    /// What stands above this page, with addresses; the page itself is added as the last crumb.
    pub crumbs: Vec<(String, String)>,
    pub body: AnyView,
}

/// Loads a page and shows it in the frame; an error gets a page of its own and the right status.
///
/// Take contexts (`ctx()`, queries) before the first `await` of `load`.
pub fn page<F>(load: F) -> impl IntoView
where
    F: Future<Output = Result<Page, OpsError>> + Send + 'static,
{
    let (ctx, who, shared, response, refusal) = (ctx(), visitor(), app(), use_context::<leptos_axum::ResponseOptions>(), unshown_error());
    view! {
        <Suspense>
            {Suspend::new(async move {
                let loaded = load.await;
                let known = loaded.as_ref().map(name_alone).unwrap_or_default();
                let page = loaded.unwrap_or_else(|e| {
                    let error = AppError::from(e);
                    if let (Some(response), Ok(code)) = (response, http::StatusCode::from_u16(error.status)) {
                        response.set_status(code);
                    }
                    error_page(&error)
                });
                let counts = shared.overview.get(&ctx, &shared.zone).await.ok().map(|o| Counts::of(&o)).unwrap_or_default();
                let counts = Counts { plans: ops::plans::waiting(&ctx).await.map_or(0, |n| usize::try_from(n).unwrap_or(0)), ..counts };
                framed(page, &known, refusal.as_ref(), &who, &shared, counts)
            })}
        </Suspense>
    }
}

/// A name that says which page it is without what stands above: “Tests” of a service takes its name along.
fn name_alone(page: &Page) -> String {
    match &page.crumbs[..] {
        [_, _, .., (above, _)] => format!("{above}: {}", page.title),
        _ => page.title.clone(),
    }
}

/// The page for an address that leads nowhere.
pub fn not_found() -> impl IntoView {
    set_status(404);
    framed(
        error_page(&AppError::new(404, "Not found", "This address leads nowhere. Go back, or start from the home page.")),
        "",
        None,
        &visitor(),
        &app(),
        Counts::default(),
    )
}

fn error_page(error: &AppError) -> Page {
    let body = view! {
        <div class="page__head"><div><h1 class="page__title">{error.title.clone()}</h1></div></div>
        <div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>{error.title.clone()}</b>
            <div>{error.message.clone()}{error.reference.clone().map(|r| view! { <span class="sub">"Reference "{r}</span> })}</div>
        </div></div>
        <p class="mt-4"><a class="btn" href="/">"Home"</a></p>
    };
    Page { title: error.title.clone(), nav: Nav::Home, crumbs: vec![], body: body.into_any() }
}

/// What needs attention, beside the entries of the rail: the same alerts that the home page lists.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: usize,
    runs: usize,
    schedules: usize,
    tests: usize,
    holds: usize,
    channels: usize,
    /// Plans that wait for signatures or their approval.
    plans: usize,
    /// When the audit trail's last event was written.
    audited_at: Option<Timestamp>,
}

impl Counts {
    fn of(o: &ops::overview::Overview) -> Self {
        Self {
            all: o.needing_attention(),
            runs: o.alerts.runs,
            schedules: o.never_ran.len(),
            tests: o.alerts.tests,
            channels: o.alerts.channels,
            holds: o.undecided_holds(),
            plans: 0,
            audited_at: o.audited_at,
        }
    }

    fn beside(self, nav: Nav) -> Option<AnyView> {
        let n = match nav {
            Nav::Home => self.all,
            Nav::Runs => self.runs,
            Nav::Schedules => self.schedules,
            Nav::Tests => self.tests,
            Nav::Plans => self.plans,
            Nav::Holds => self.holds,
            Nav::Notifications => self.channels,
            _ => 0,
        };
        (n > 0).then(|| view! { <span class="nav__count">{n}<span class="vh">" need attention"</span></span> }.into_any())
    }
}

/// `known` is the title under which the palette remembers the page, empty where it is none to come back to; `refusal` is
/// why a form was refused that the page itself does not show.
fn framed(page: Page, known: &str, refusal: Option<&AppError>, who: &Visitor, shared: &crate::context::AppContext, counts: Counts) -> AnyView {
    let Page { title, nav, crumbs, body } = page;
    // A guest reads evidence alone: nothing is searched for, and there is no account.
    let reads = allowed(&who.actor, Action::Read, On::Any);
    let now = shared.clock.now();
    let audited = counts.audited_at.map(|at| crate::components::time::short(at, now, &shared.zone));
    let last = title.clone();
    let rail = RAIL.into_iter().filter(|(_, entries)| entries.iter().any(|(this, ..)| this.is_for(&who.actor))).map(|(label, entries)| {
        let id = format!("g-{}", label.to_lowercase());
        view! {
            <div class="rail__group">
                <p class="rail__label" id=id.clone()>{label}</p>
                <ul aria-labelledby=id>
                    {entries.iter().filter(|(this, ..)| this.is_for(&who.actor)).map(|(this, href, symbol, name)| {
                        let current = (*this == nav).then_some("page");
                        view! { <li><a class="nav" href=*href aria-current=current>{icon(symbol)}{*name}{counts.beside(*this)}</a></li> }
                    }).collect_view()}
                </ul>
            </div>
        }
    });
    view! {
        <Title text=format!("{title} · Holdfast")/>
        <a class="skip" href="#main">"Skip to the content"</a>
        <div class="shell">
            <nav class="rail" id="rail" popover="auto" aria-label="Main">
                {brand("brand")}
                {rail.collect_view()}
                <p class="rail__foot">{audited.map(|at| view! { <a href="/audit?verify=1">"Verify the audit chain"</a><br/>{format!("last link {at}")}<br/> })}"Holdfast "{shared.version}</p>
            </nav>
            <div class="main">
                <header class="topbar">
                    <button class="topbar__menu" type="button" popovertarget="rail">{icon("i-menu")}"Menu"</button>
                    {brand("topbar__brand")}
                    <nav class="crumbs" aria-label="Breadcrumb"><ol>
                        {crumbs.into_iter().map(|(name, href)| view! { <li><a href=href>{name}</a></li> }).collect_view()}
                        <li><span aria-current="page">{last}</span></li>
                    </ol></nav>
                    {reads.then(|| view! { <form class="find" role="search" aria-label="Everything" action="/search" method="get">
                        <label class="vh" for="q">"Search services, people, items, snapshots and runs"</label>
                        <input class="input" id="q" name="q" type="search" placeholder="Search"/>
                        <button class="find__go" aria-label="Search">{icon("i-search")}</button>
                        <span class="kbd" aria-hidden="true">"Ctrl K"</span>
                    </form> })}
                    <p class="clock">{now_line(now, &shared.zone)}</p>
                    {account(who)}
                </header>
                <main class="page" id="main" tabindex="-1">{refusal.map(refused)}{body}</main>
                <footer class="foot"><span>"Holdfast"</span><span>"All times "{crate::components::time::zone_name(now, &shared.zone)}" unless marked"</span>
                    <a href="#help">"Keyboard help"</a><a href="/api/docs">"API"</a></footer>
            </div>
        </div>
        {crate::palette::dialogs(who.single_keys)}
        <crate::islands::dialogs::Dialogs/>
        <crate::islands::keys::Keys single=who.single_keys/>
        {reads.then(|| view! { <crate::islands::palette::Palette who=who.actor.name.clone() title=known.to_owned()/> })}
    }
    .into_any()
}

fn account(who: &Visitor) -> impl IntoView {
    let chosen = who.theme;
    let role = if who.actor.role == Role::Anonymous { "not signed in" } else { who.actor.role.as_str() };
    view! {
        <details class="menu"><summary>{icon("i-person")}{who.actor.shown().to_owned()}<span class="role muted">{role}</span></summary>
            <div class="menu__pop">
                <form action="/preferences" method="post" class="field">
                    <fieldset><legend class="field__label">"Theme"</legend><div class="seg">
                        {Theme::ALL.map(|t| view! {
                            <label><input class="vh" type="radio" name="theme" value=t.as_str() checked=t == chosen/>{crate::error::upper(t.as_str())}</label>
                        }).collect_view()}
                    </div></fieldset>
                    <fieldset><legend class="field__label">"Single keys, such as j, k and /"</legend><div class="seg">
                        {[("on", "On"), ("off", "Off")].map(|(value, name)| view! {
                            <label><input class="vh" type="radio" name="keys" value=value checked=(value == "on") == who.single_keys/>{name}</label>
                        }).collect_view()}
                    </div></fieldset>
                    <p class="row mt-2"><button class="btn btn--sm">"Save"</button><a class="btn btn--quiet btn--sm" href="#help">"Keyboard help"</a></p>
                </form>
                {allowed(&who.actor, Action::Read, On::Any).then(|| view! { <p><a href="/account">"Your account and tokens"</a></p> })}
                <form action="/logout" method="post"><button class="btn btn--sm">"Sign out"</button></form>
            </div>
        </details>
    }
}
