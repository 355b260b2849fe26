//! The forms: to begin an exercise, and to type in a past one.

use domain::exercise::TEMPLATES;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use ops::{
    Ctx, OpsError,
    permission::{Action, On, allowed, require_on},
};
use store::services::ServiceRow;

use super::act::{ImportExercise, StartExercise};
use crate::{
    components::{
        address::with_query,
        field::{Line, choose, line, lines},
        panel,
    },
    context::ctx,
    error::{AppError, form_error, refused},
    frame::{Nav, Page, page},
};

/// What was typed to begin one.
#[derive(Clone, Debug, Default)]
pub struct StartFields {
    pub service: String,
    pub template: String,
    pub title: String,
    pub steps: String,
    pub note: String,
}

impl StartFields {
    fn of(query: &ParamsMap) -> Self {
        let text = |name: &str| query.get(name).unwrap_or_default();
        Self { service: text("service"), template: text("template"), title: text("title"), steps: text("steps"), note: text("note") }
    }

    pub fn href(&self) -> String {
        let pairs = [("service", &self.service), ("template", &self.template), ("title", &self.title), ("steps", &self.steps), ("note", &self.note)];
        with_query("/tests/exercises/new", &pairs.map(|(n, v)| (n, v.as_str())))
    }
}

/// What was typed of a past one.
#[derive(Clone, Debug, Default)]
pub struct ImportFields {
    pub service: String,
    pub title: String,
    pub started: String,
    pub finished: String,
    pub users: String,
    pub steps: String,
    pub note: String,
}

impl ImportFields {
    fn of(query: &ParamsMap) -> Self {
        let text = |name: &str| query.get(name).unwrap_or_default();
        Self {
            service: text("service"),
            title: text("title"),
            started: text("started"),
            finished: text("finished"),
            users: text("users"),
            steps: text("steps"),
            note: text("note"),
        }
    }

    pub fn href(&self) -> String {
        let pairs = [
            ("service", &self.service),
            ("title", &self.title),
            ("started", &self.started),
            ("finished", &self.finished),
            ("users", &self.users),
            ("steps", &self.steps),
            ("note", &self.note),
        ];
        with_query("/tests/exercises/import", &pairs.map(|(n, v)| (n, v.as_str())))
    }
}

fn crumbs() -> Vec<(String, String)> {
    vec![("Home".to_owned(), "/".to_owned()), ("Restore tests".to_owned(), "/tests".to_owned()), ("Exercises".to_owned(), "/tests/exercises".to_owned())]
}

/// The services that this person may have exercises of.
async fn services(ctx: &Ctx) -> Result<Vec<ServiceRow>, OpsError> {
    require_on(ctx, Action::Plan, On::Any)?;
    let all = ops::services::list(ctx, "", "", 500).await?;
    Ok(all.into_iter().filter(|s| allowed(&ctx.actor, Action::Plan, On::Service(s.id()))).collect())
}

fn service_choice(services: &[ServiceRow], chosen: &str) -> AnyView {
    let options: Vec<(&str, &str)> = services.iter().map(|s| (s.name.as_str(), s.title.as_str())).collect();
    choose("service", "Service", "What is recovered.", &options, chosen)
}

/// `/tests/exercises/new`.
#[component]
pub fn NewExercise() -> impl IntoView {
    let (ctx, query, error) = (ctx(), use_query_map().get_untracked(), form_error());
    page(async move {
        let services = services(&ctx).await?;
        let typed = StartFields::of(&query);
        let body = start_form(&services, &typed, error.as_ref());
        Ok(Page { title: "Begin an exercise".to_owned(), nav: Nav::Tests, crumbs: crumbs(), body })
    })
}

fn start_form(services: &[ServiceRow], typed: &StartFields, error: Option<&AppError>) -> AnyView {
    let mut templates: Vec<(&str, &str)> = TEMPLATES.iter().map(|t| (t.name, t.title)).collect();
    templates.push(("", "None: I write the steps"));
    let template: &str = if typed.template.is_empty() && typed.steps.is_empty() { TEMPLATES.first().map_or("", |t| t.name) } else { &typed.template };
    let about = TEMPLATES
        .iter()
        .map(|t| {
            let steps = t.steps.iter().map(|(title, details, _)| view! { <li><b>{*title}</b><span class="sub">{*details}</span></li> }).collect_view();
            view! { <details class="more"><summary>{format!("{}: {} steps", t.title, t.steps.len())}</summary><p class="soft">{t.about}</p><ol class="plain-steps">{steps}</ol></details> }
        })
        .collect_view();
    let title =
        Line { name: "title", field: "title", label: "Title", hint: "The template's where it is empty.", value: typed.title.clone(), ..Line::default() };
    let form = view! {
        <form class="panel__body form" method="post" action=StartExercise::url()>
            {service_choice(services, &typed.service)}
            {choose("template", "Template", "Its steps are taken where you write none.", &templates, template)}
            {line(&title, error)}
            {lines("steps", "Steps", "One on each line, details behind a bar: Register a name | points to the ingress. A line that begins with “test:” is done by a restore test.", typed.steps.clone(), error)}
            {lines("note", "Note", "What is tried, and who takes part.", typed.note.clone(), error)}
            <p class="row"><button class="btn btn--primary">"Begin: the clock runs"</button><a class="btn btn--quiet" href="/tests/exercises">"Not now"</a></p>
        </form>
    };
    view! {
        <div class="page__head"><div><h1 class="page__title">"Begin an exercise"</h1>
            <p class="page__lede">"Each step is ticked by whoever does it, with the time, their name and a note. The time is measured from the first step to the last, or as the template says."</p></div></div>
        {error.map(refused)}
        <div class="grid grid--aside">
            {panel("form", "What is tried", None, None, form.into_any())}
            {panel("templates", "Templates", None, None, view! { <div class="panel__body stack">{about}</div> }.into_any())}
        </div>
    }
    .into_any()
}

/// `/tests/exercises/import`.
#[component]
pub fn ImportPage() -> impl IntoView {
    let (ctx, query, error) = (ctx(), use_query_map().get_untracked(), form_error());
    page(async move {
        let services = services(&ctx).await?;
        let body = import_form(&services, &ImportFields::of(&query), error.as_ref());
        Ok(Page { title: "Import a past exercise".to_owned(), nav: Nav::Tests, crumbs: crumbs(), body })
    })
}

fn import_form(services: &[ServiceRow], typed: &ImportFields, error: Option<&AppError>) -> AnyView {
    const WHEN: &str = "With its offset from UTC, which is kept: 2019-06-06 16:37:15+02:00.";
    let field = |name: &'static str, label: &'static str, hint: &'static str, value: &str, required: bool| {
        line(&Line { name, field: name, label, hint, value: value.to_owned(), required, ..Line::default() }, error)
    };
    let form = view! {
        <form class="panel__body form" method="post" action=ImportExercise::url()>
            {service_choice(services, &typed.service)}
            {field("title", "Title", "What was tried.", &typed.title, true)}
            {field("started", "Started", WHEN, &typed.started, true)}
            {field("finished", "Finished", WHEN, &typed.finished, true)}
            {field("users", "Users", "People whose data was brought back; empty where nobody counted.", &typed.users, false)}
            {lines("steps", "Steps", "One on each line, details behind a bar. All count as done; the API takes other ends.", typed.steps.clone(), error)}
            {lines("note", "Note", "Who did it, and where the record is.", typed.note.clone(), error)}
            <p class="row"><button class="btn btn--primary">"Import it"</button><a class="btn btn--quiet" href="/tests/exercises">"Not now"</a></p>
        </form>
    };
    view! {
        <div class="page__head"><div><h1 class="page__title">"Import a past exercise"</h1>
            <p class="page__lede">"It stays marked as imported everywhere, cannot be changed afterwards, and never counts as a restore test that Holdfast measured."</p></div></div>
        {error.map(refused)}
        {panel("form", "From its record", None, None, form.into_any())}
    }
    .into_any()
}
