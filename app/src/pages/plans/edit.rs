//! The draft of a plan as a form. It saves by its button, and while one types where scripts run (`islands::autosave`).
//!
//! Lives here: the page and what its button does. A refused form is answered with this page, what was typed in it, and what
//! somebody else saved beside it. May not: merging (`ops::plans` does).

use domain::{
    field::FieldError,
    plan::{PlanContent, State},
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    Ctx, OpsError,
    plans::{self, Plan},
    version::Seen,
};

use super::{
    act::AutosavePlan,
    form::{Form, label},
    signs::{below, href, state_chip},
};
use crate::{
    components::{
        icon,
        stale::{differences, is_stale},
    },
    context::{app, ctx},
    error::{AppError, refused},
    frame::{Page, page},
    islands::autosave::Autosave,
};

/// What was sent and not saved; the server puts it into the request.
#[derive(Clone, Debug)]
pub struct Typed {
    pub entries: Vec<(String, String)>,
    pub error: AppError,
}

/// Saves what the form was sent with: its entries, and under `version` what it started from.
///
/// # Errors
/// What was typed, with the reason, for the page to show.
pub async fn carry_out(ctx: &Ctx, service: &str, sent: Vec<(String, String)>) -> Result<(), Box<Typed>> {
    let version = sent.iter().find(|(name, _)| name == "version").map(|(_, value)| value.clone()).unwrap_or_default();
    let entries: Vec<(String, String)> = sent.into_iter().filter(|(name, _)| name != "version" && name != "service").collect();
    let read = PlanContent::default().with_entries(entries.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let saved = match read {
        Ok(content) => plans::save(ctx, service, content, &Seen::Versions(vec![version])).await.map(|_| ()),
        Err(wrong) => refused_first(ctx, service, wrong).await,
    };
    saved.map_err(|e| Box::new(Typed { entries, error: AppError::from(e) }))
}

/// Whoever may not is refused whatever the form holds.
async fn refused_first(ctx: &Ctx, service: &str, wrong: Vec<FieldError>) -> ops::Result<()> {
    if plans::find(ctx, service).await?.may {
        return Err(OpsError::Invalid(wrong));
    }
    plans::save(ctx, service, PlanContent::default(), &Seen::Versions(Vec::new())).await.map(|_| ())
}

/// `/services/:name/plan/edit`.
#[component]
pub fn EditPlan() -> impl IntoView {
    let (ctx, shared) = (ctx(), app());
    let typed = use_context::<http::request::Parts>().and_then(|p| p.extensions.get::<Typed>().cloned());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let name = params.get("name").unwrap_or_default();
        let plan = plans::find(&ctx, &name).await?;
        if !plan.may {
            return Err(OpsError::Forbidden(ops::permission::Action::Plan.words()));
        }
        let open = match (&plan.open, &typed) {
            (Some(open), _) if open.row.state() == State::Draft => open,
            (_, Some(typed)) => return Ok(kept(&plan, typed)),
            (Some(open), None) => {
                let words = open.row.state().words();
                return Err(OpsError::Conflict(format!("version {} of this plan {words}; return it to draft first", open.row.number)));
            }
            (None, None) => return Err(OpsError::Conflict(format!("there is no draft of the plan of {name}; begin one on its page"))),
        };
        let error = typed.as_ref().map(|t| &t.error);
        let saved = open.row.content.0.entries();
        let stale = typed.as_ref().filter(|t| is_stale(Some(&t.error))).map(|t| beside(&saved, &t.entries, &href(&name, "/edit")));
        let note = match (error, query.get("saved")) {
            (None, Some(at)) => format!("Saved {at}"),
            _ => String::new(),
        };
        let entries = typed.as_ref().map_or_else(|| saved.clone(), |t| t.entries.clone());
        let form = Form { entries: entries.into_iter().collect(), error };
        let row = &open.row;
        let changed = crate::components::time::short(domain::units::Timestamp(row.updated_at), ctx.now(), &shared.zone);
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{format!("Edit the plan of {}", plan.service.title)}</h1>
                <div class="page__meta">{state_chip(row.state())}<span>{format!("Version {}, changed {changed} by {}", row.number, row.updated_by)}</span></div></div>
                <div class="row"><a class="btn" href=href(&name, "")>"Show the plan"</a><a class="btn" href=href(&name, "/import")>"Import"</a></div></div>
            {error.map(refused)}{stale}
            <form id="plan-form" method="post" action=href(&name, "/edit") class="stack" data-refused=typed.is_some().then_some("")>
                <input type="hidden" name="service" value=name.clone()/><input type="hidden" name="version" value=plans::tag(row)/>
                {form.panels()}
                <div id="plan-both" role="alert"></div>
                <div class="save-bar row"><button class="btn btn--primary">"Save the draft"</button><span class="sm soft" id="plan-says" role="status" aria-live="polite">{note}</span>
                    <span class="sm muted">{icon("i-info")}"With scripts each change saves itself. Nobody else's text is ever replaced unseen."</span></div>
            </form>
            <Autosave form="plan-form".to_owned() url=AutosavePlan::url().to_owned() says="plan-says".to_owned() both="plan-both".to_owned()
                lost="Not saved: the server does not answer. It is tried again; keep this page open".to_owned()/>
        };
        Ok(below(&plan.service, "Edit", body.into_any()))
    })
}

/// What was typed into a draft that is none any more, beside what the plan says.
fn kept(plan: &Plan, typed: &Typed) -> Page {
    let name = &plan.service.name;
    let saved = plan.shown().map(|v| v.row.content.0.entries()).unwrap_or_default();
    let body = view! {
        <div class="page__head"><div><h1 class="page__title">{format!("The plan of {} is no draft any more", plan.service.title)}</h1></div></div>
        {refused(&typed.error)}{beside(&saved, &typed.entries, &href(name, ""))}
    };
    below(&plan.service, "Edit", body.into_any())
}

/// Where what is saved now and what was typed differ, field by field.
fn beside(saved: &[(String, String)], typed: &[(String, String)], here: &str) -> AnyView {
    let text = |all: &[(String, String)], name: &str| {
        all.iter().find(|(n, _)| n == name).map(|(_, v)| v.replace("\r\n", "\n").trim_end().to_owned()).unwrap_or_default()
    };
    let mut names: Vec<&String> = saved.iter().map(|(n, _)| n).collect();
    names.extend(typed.iter().map(|(n, _)| n).filter(|n| !saved.iter().any(|(s, _)| s == *n)));
    let rows: Vec<(String, String, String)> = names.into_iter().map(|n| (label(n), text(saved, n), text(typed, n))).filter(|(_, a, b)| a != b).collect();
    differences(rows.iter().map(|(n, a, _)| (n.clone(), a.clone())).collect(), rows.iter().map(|(n, _, b)| (n.clone(), b.clone())).collect(), here)
}

/// Where a saved form leads.
pub fn after(service: &str, at: &str) -> String {
    href(service, &format!("/edit?saved={}", crate::components::address::encode(at)))
}
