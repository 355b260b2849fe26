//! A plan as JSON: pasted, tried, and saved as the draft.
//!
//! Lives here: the page. A text that is pasted comes by POST and is answered with this page. May not: reading a plan
//! (`domain::plan` does).

use domain::plan::{difference, read};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::{Ctx, OpsError, plans, version::Seen};
use serde::Deserialize;
use store::plans::VersionRow;

use super::signs::{below, href, marked};
use crate::{
    components::{icon, panel},
    context::ctx,
    error::{AppError, refused, upper},
    frame::page,
};

/// What somebody has pasted; the server puts it into the request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PastedPlan {
    pub text: String,
    /// The version of the draft that the page showed; empty where there was none.
    #[serde(default)]
    pub version: String,
    /// `save`; anything else shows what would change.
    #[serde(default)]
    pub what: String,
}

/// What came of it.
enum Came {
    Refused(AppError),
    Tried(VersionRow),
    Done(VersionRow),
}

async fn carry_out(ctx: &Ctx, service: &str, pasted: &PastedPlan) -> Came {
    let seen = Seen::in_form(&pasted.version);
    let content = match read(&pasted.text) {
        Ok(content) => content,
        Err(wrong) => return Came::Refused(OpsError::Invalid(wrong).into()),
    };
    if pasted.what == "save" {
        plans::save(ctx, service, content, &seen).await.map_or_else(|e| Came::Refused(e.into()), Came::Done)
    } else {
        plans::would_save(ctx, service, content, &seen).await.map_or_else(|e| Came::Refused(e.into()), Came::Tried)
    }
}

/// `/services/:name/plan/import`.
#[component]
pub fn ImportPlan() -> impl IntoView {
    let ctx = ctx();
    let pasted = use_context::<http::request::Parts>().and_then(|p| p.extensions.get::<PastedPlan>().cloned());
    let params = use_params_map().get_untracked();
    page(async move {
        let name = params.get("name").unwrap_or_default();
        let before = plans::find(&ctx, &name).await?;
        if !before.may {
            return Err(OpsError::Forbidden(ops::permission::Action::Plan.words()));
        }
        let came = match &pasted {
            Some(pasted) => Some(carry_out(&ctx, &name, pasted).await),
            None => None,
        };
        let old = before.shown().map(|v| v.row.content.0.clone()).unwrap_or_default();
        let version = match &came {
            Some(Came::Done(row)) => plans::tag(row),
            _ => before.open.as_ref().map(|o| plans::tag(&o.row)).unwrap_or_default(),
        };
        let text = match &came {
            Some(Came::Done(_)) | None => String::new(),
            _ => pasted.map(|p| p.text).unwrap_or_default(),
        };
        let tried = matches!(came, Some(Came::Tried(_)));
        let said = came.as_ref().map(|came| match came {
            Came::Refused(e) => mistakes(e),
            Came::Tried(row) => {
                let fields = difference(&old, &row.content.0);
                let rows = fields.iter().map(|f| view! { <section><h3 class="h3">{f.title}</h3>{marked(&f.parts)}</section> }).collect_view();
                let none = fields.is_empty().then(|| view! { <p>"Nothing: the plan says this already."</p> });
                panel("tried", "What would change", Some("nothing is saved yet".to_owned()), None, view! { <div class="panel__body stack stack--sm">{none}{rows}</div> }.into_any()).into_any()
            }
            Came::Done(row) => view! {
                <div role="status"><div class="callout callout--ok">{icon("i-ok")}<b>"The plan was imported"</b><div>{format!("It is the draft, version {}. ", row.number)}<a href=href(&name, "/edit")>"Edit it"</a>" or "<a href=href(&name, "")>"show it"</a>"."</div></div></div>
            }
            .into_any(),
        });
        let save = tried.then(|| view! { <button class="btn btn--primary" name="what" value="save">"Save it as the draft"</button> });
        let try_class = if tried { "btn" } else { "btn btn--primary" };
        let form = view! {
            <form class="panel__body form" method="post" action=href(&name, "/import")><input type="hidden" name="version" value=version/>
                <div class="field"><label for="f-text">"The plan"</label>
                    <textarea class="textarea textarea--file" id="f-text" name="text" rows="14" required spellcheck="false" autocomplete="off" aria-describedby="f-text-hint">{text}</textarea>
                    <p class="field__hint" id="f-text-hint">"As the JSON export writes it: "<code>"{\"format\": 1, …}"</code>". It takes the place of all that the draft says."</p></div>
                <p class="row"><button class=try_class>"Show what would change"</button>{save}</p></form>
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{format!("Import the plan of {}", before.service.title)}</h1></div></div>
            <div class="stack">{said}{panel("paste", "Paste a plan", None, None, form.into_any())}</div>
        };
        Ok(below(&before.service, "Import", body.into_any()))
    })
}

/// Each wrong field with its remedy.
fn mistakes(e: &AppError) -> AnyView {
    if e.fields.is_empty() {
        return refused(e);
    }
    let rows = e.fields.iter().map(|f| view! { <li><code>{f.field.clone()}</code>" "{upper(&f.message)}</li> }).collect_view();
    view! { <div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>"This plan cannot be imported"</b><div><ul>{rows}</ul></div></div></div> }
        .into_any()
}
