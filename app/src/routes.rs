//! The document and its routes.
//!
//! Lives here: which address shows which page. May not: content.

use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    path,
};

use crate::{
    context::{Theme, visitor},
    frame::not_found,
    pages,
};

/// The HTML document around a page.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = match visitor().theme {
        Theme::System => None,
        chosen => Some(chosen.as_str()),
    };
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href="/pkg/holdfast.css"/>
                <HydrationScripts options islands=true/>
                <MetaTags/>
            </head>
            <body><App/></body>
        </html>
    }
}

/// All pages. Each is rendered whole on the server (`SsrMode::Async`), so that it works without JavaScript.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Router>
            <Routes fallback=not_found>
                <Route path=path!("/login") view=pages::login::Login ssr=SsrMode::Async/>
                <Route path=path!("/") view=pages::home::Home ssr=SsrMode::Async/>
                <Route path=path!("/restore") view=pages::restore::Restore ssr=SsrMode::Async/>
                <Route path=path!("/restore/clone") view=pages::restore::instance::CloneInstance ssr=SsrMode::Async/>
                <Route path=path!("/restore/in-place") view=pages::restore::instance::RestoreInstance ssr=SsrMode::Async/>
                <Route path=path!("/snapshots") view=pages::snapshots::list::Snapshots ssr=SsrMode::Async/>
                <Route path=path!("/snapshots/compare") view=pages::snapshots::compare::Compare ssr=SsrMode::Async/>
                <Route path=path!("/snapshots/:id") view=pages::snapshots::show::Snapshot ssr=SsrMode::Async/>
                <Route path=path!("/snapshots/:id/compare/:other") view=pages::snapshots::compare::Compare ssr=SsrMode::Async/>
                <Route path=path!("/search") view=pages::search::Search ssr=SsrMode::Async/>
                <Route path=path!("/runs") view=pages::runs::list::Runs ssr=SsrMode::Async/>
                <Route path=path!("/runs/:id") view=pages::runs::show::Run ssr=SsrMode::Async/>
                <Route path=path!("/holds") view=pages::holds::list::Holds ssr=SsrMode::Async/>
                <Route path=path!("/holds/:id") view=pages::holds::show::HoldPage ssr=SsrMode::Async/>
                <Route path=path!("/workers") view=pages::runs::workers::Workers ssr=SsrMode::Async/>
                <Route path=path!("/services") view=pages::services::list::Services ssr=SsrMode::Async/>
                <Route path=path!("/services/:name") view=pages::services::service::Service ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/findings") view=pages::findings::show::Findings ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/snapshots") view=pages::services::snapshots::ServiceSnapshots ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/adopt") view=pages::instances::adopt::Adopt ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/clones") view=pages::instances::clones::Clones ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/instances") view=pages::instances::list::Instances ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/instances/:source/:instance") view=pages::instances::show::InstancePage ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/instances/:source/:instance/snapshot") view=pages::instances::take::TakeSnapshot ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/tests") view=pages::services::tests::ServiceTests ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/availability") view=pages::availability::page::Availability ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/plan") view=pages::plans::show::ServicePlan ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/plan/edit") view=pages::plans::edit::EditPlan ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/plan/import") view=pages::plans::import::ImportPlan ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/plan/versions") view=pages::plans::versions::PlanVersions ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/plan/differences") view=pages::plans::differences::PlanDifferences ssr=SsrMode::Async/>
                <Route path=path!("/plans") view=pages::plans::list::Plans ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/risks") view=pages::risks::list::ServiceRisks ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/risks/edit") view=pages::risks::bulk::EditRisks ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/risks/new") view=pages::risks::show::NewRisk ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/risks/:number") view=pages::risks::show::RiskPage ssr=SsrMode::Async/>
                <Route path=path!("/scales") view=pages::risks::scales::Scales ssr=SsrMode::Async/>
                <Route path=path!("/scales/:name") view=pages::risks::scales::ScalePage ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/reviews") view=pages::reviews::service::ServiceReviews ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/reviews/:review") view=pages::reviews::review::ReviewPage ssr=SsrMode::Async/>
                <Route path=path!("/services/:name/definitions/:definition") view=pages::services::definitions::form::Definition ssr=SsrMode::Async/>
                <Route path=path!("/people") view=pages::people::list::People ssr=SsrMode::Async/>
                <Route path=path!("/people/:name") view=pages::people::person::PersonPage ssr=SsrMode::Async/>
                <Route path=path!("/unattributed") view=pages::people::names::Unattributed ssr=SsrMode::Async/>
                <Route path=path!("/policies") view=pages::policies::list::Policies ssr=SsrMode::Async/>
                <Route path=path!("/policies/:name") view=pages::policies::show::PolicyPage ssr=SsrMode::Async/>
                <Route path=path!("/repositories") view=pages::repositories::list::Repositories ssr=SsrMode::Async/>
                <Route path=path!("/repositories/:name") view=pages::repositories::show::RepositoryPage ssr=SsrMode::Async/>
                <Route path=path!("/repositories/:name/kit") view=pages::repositories::kit::KitPage ssr=SsrMode::Async/>
                <Route path=path!("/schedules") view=pages::schedules::list::Schedules ssr=SsrMode::Async/>
                <Route path=path!("/schedules/new") view=pages::schedules::form::NewSchedule ssr=SsrMode::Async/>
                <Route path=path!("/schedules/:name") view=pages::schedules::show::Schedule ssr=SsrMode::Async/>
                <Route path=path!("/schedules/:name/edit") view=pages::schedules::form::EditSchedule ssr=SsrMode::Async/>
                <Route path=path!("/ledger") view=pages::schedules::ticks::Ledger ssr=SsrMode::Async/>
                <Route path=path!("/tests") view=pages::tests::list::Tests ssr=SsrMode::Async/>
                <Route path=path!("/tests/exercises") view=pages::tests::exercises::list::Exercises ssr=SsrMode::Async/>
                <Route path=path!("/tests/exercises/new") view=pages::tests::exercises::form::NewExercise ssr=SsrMode::Async/>
                <Route path=path!("/tests/exercises/import") view=pages::tests::exercises::form::ImportPage ssr=SsrMode::Async/>
                <Route path=path!("/tests/exercises/:id") view=pages::tests::exercises::show::ExercisePage ssr=SsrMode::Async/>
                <Route path=path!("/tests/:id") view=pages::tests::report::Report ssr=SsrMode::Async/>
                <Route path=path!("/reviews") view=pages::reviews::list::Reviews ssr=SsrMode::Async/>
                <Route path=path!("/reviews/calendar") view=pages::reviews::feed::Calendars ssr=SsrMode::Async/>
                <Route path=path!("/evidence") view=pages::evidence::list::Evidence ssr=SsrMode::Async/>
                <Route path=path!("/access") view=pages::access::Access ssr=SsrMode::Async/>
                <Route path=path!("/links") view=pages::links::Links ssr=SsrMode::Async/>
                <Route path=path!("/account") view=pages::account::Account ssr=SsrMode::Async/>
                <Route path=path!("/admin/configuration") view=pages::configuration::Configuration ssr=SsrMode::Async/>
                <Route path=path!("/audit") view=pages::audit::Audit ssr=SsrMode::Async/>
                <Route path=path!("/notifications") view=pages::notifications::overview::Notifications ssr=SsrMode::Async/>
                <Route path=path!("/notifications/alerts") view=pages::notifications::alerts::Alerts ssr=SsrMode::Async/>
                <Route path=path!("/notifications/alerts/:id") view=pages::notifications::alert::Alert ssr=SsrMode::Async/>
                <Route path=path!("/notifications/deliveries") view=pages::notifications::deliveries::Deliveries ssr=SsrMode::Async/>
                <Route path=path!("/notifications/deliveries/:id") view=pages::notifications::delivery::Delivery ssr=SsrMode::Async/>
                <Route path=path!("/notifications/channels/:name") view=pages::notifications::channel::Channel ssr=SsrMode::Async/>
                <Route path=path!("/notifications/rules/:name") view=pages::notifications::rule::RulePage ssr=SsrMode::Async/>
                <Route path=path!("/notifications/heartbeats/:name") view=pages::notifications::heartbeat::Heartbeat ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
}
