//! The configuration as one file: what is configured now, and a file that is pasted, tried and applied.
//!
//! Lives here: `/admin/configuration`. Beside it: `outcome`, what a file would change or did. May not: reading or judging a
//! file (that is `ops::config`). A text that is pasted comes by POST and is answered with this page, so that it stands in
//! no address; one that holds a secret is not shown again.

mod outcome;

use leptos::prelude::*;
use ops::{
    Ctx,
    config::{self, Applied, Mistake},
};
use serde::Deserialize;

use crate::{
    components::{
        field::{Line, line},
        icon, panel,
    },
    context::ctx,
    error::{AppError, refused},
    frame::{Nav, Page, page},
    islands::copy::CopyText,
};

const PATH: &str = "/admin/configuration";
/// The id of the text that is configured now.
const TEXT: &str = "configuration";

/// What somebody has pasted; the server puts it into the request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Pasted {
    pub text: String,
    /// How people know the file.
    #[serde(default)]
    pub file: String,
    /// `apply`; anything else shows what would change.
    #[serde(default)]
    pub what: String,
}

/// What came of it.
enum Came {
    Mistakes(Vec<Mistake>),
    Refused(AppError),
    Tried(Applied),
    Done(Applied),
}

/// `/admin/configuration`.
#[component]
pub fn Configuration() -> impl IntoView {
    let ctx = ctx();
    let pasted = use_context::<http::request::Parts>().and_then(|p| p.extensions.get::<Pasted>().cloned());
    page(async move {
        let came = match &pasted {
            Some(pasted) => Some(carry_out(&ctx, pasted).await),
            None => None,
        };
        let now = config::export(&ctx).await?;
        let said = came.as_ref().zip(pasted.as_ref()).map(|(came, pasted)| match came {
            Came::Mistakes(all) => outcome::mistakes(all),
            Came::Refused(e) => refused(e),
            Came::Tried(applied) => outcome::tried(applied, pasted),
            Came::Done(applied) => outcome::done(applied),
        });
        let kept = match &came {
            Some(Came::Mistakes(all)) if all.iter().any(|m| m.is_secret) => Pasted { text: String::new(), ..pasted.unwrap_or_default() },
            Some(Came::Done(_)) => Pasted::default(),
            _ => pasted.unwrap_or_default(),
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Configuration"</h1>
                <p class="page__lede">"All that is configured, as one file. Secrets stand in it as references; what was typed in pages and is sealed stands in comments."</p></div>
                <div class="row"><a class="btn" href="/api/v1/configuration" download="holdfast.yaml">{icon("i-down")}"Download"</a><CopyText of=TEXT.to_owned()/></div></div>
            <div class="stack">
                {said}
                {panel("file", "Apply a file", Some("all of it, or nothing".to_owned()), None, form(&kept))}
                {panel("now", "What is configured now", None, None, view! { <div class="panel__body"><pre class="cmd cmd--file" id=TEXT tabindex="0">{now}</pre></div> }.into_any())}
            </div>
        };
        Ok(Page { title: "Configuration".to_owned(), nav: Nav::Configuration, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

async fn carry_out(ctx: &Ctx, pasted: &Pasted) -> Came {
    // A browser ends lines in its own way.
    let wanted = match config::parse(&pasted.text.replace("\r\n", "\n")) {
        Ok(wanted) => wanted,
        Err(mistakes) => return Came::Mistakes(mistakes),
    };
    let file = Some(pasted.file.trim()).filter(|f| !f.is_empty());
    if pasted.what == "apply" {
        config::apply(ctx, &wanted, file).await.map_or_else(|e| Came::Refused(e.into()), Came::Done)
    } else {
        config::preview(ctx, &wanted, file).await.map_or_else(|e| Came::Refused(e.into()), Came::Tried)
    }
}

fn form(kept: &Pasted) -> AnyView {
    let file = Line {
        name: "file",
        field: "file",
        label: "Name of the file",
        hint: "Shown beside what it configures, so that people know where to change it. Empty: it counts as made here",
        value: kept.file.clone(),
        placeholder: "holdfast.yaml",
        ..Line::default()
    };
    view! {
        <form class="panel__body form" method="post" action=PATH>
            <div class="field"><label for="f-text">"The file"</label>
                <textarea class="textarea textarea--file" id="f-text" name="text" rows="14" required spellcheck="false" autocomplete="off" aria-describedby="f-text-hint">{kept.text.clone()}</textarea>
                <p class="field__hint" id="f-text-hint">"As "<code>"holdfast apply"</code>" takes it. What it does not name is left alone; a list of providers is all of them."</p></div>
            <div class="measure">{line(&file, None)}</div>
            <p class="row"><button class="btn btn--primary">"Show what would change"</button></p>
        </form>
    }
    .into_any()
}
