//! Rating scales: all versions, and the form that makes one or its next version.
//!
//! Lives here: `/scales` and `/scales/NAME`, or `new`. May not: judging a scale.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    permission::{Action, On, allowed, require},
    risks::{self, ScaleVersion},
};

use super::{act::SaveScale, fields::ScaleFields};
use crate::{
    components::{
        address::encode,
        field::{Line, line, lines},
        panel,
        stale::{differences, is_stale},
        table::{table, th},
        time::moment,
    },
    context::{app, ctx, query, visitor},
    error::{AppError, form_error, refused},
    frame::{Nav, Page, page},
};

/// `/scales`.
#[component]
pub fn Scales() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    page(async move {
        let all = risks::scales(&ctx).await?;
        let may = allowed(&who.actor, Action::Configure, On::All);
        let now = ctx.now();
        let rows = all.iter().map(|s| {
            let name = s.name.to_string();
            let name = if may && s.newest {
                view! { <a class="rowlink" href=format!("/scales/{}", encode(&s.name.name))>{name}</a> }.into_any()
            } else {
                name.into_any()
            };
            let made = match &s.made {
                Some((by, at)) => view! { {by.clone()}<span class="sub">{moment(*at, now, &shared.zone)}</span> }.into_any(),
                None => "built in".into_any(),
            };
            view! {
                <tr><th scope="row">{name}</th><td>{named(&s.scale.likelihood)}</td><td>{named(&s.scale.impact)}</td><td>{s.scale.words().to_lowercase()}</td>
                    <td class="col-md">{s.scale.threshold.to_lowercase()}</td><td class="col-md">{made}</td></tr>
            }
        });
        let head = view! { {th("Scale", "")}{th("Likelihood", "")}{th("Impact", "")}{th("Levels by product", "")}{th("Asks for more from", "col-md")}{th("Made by", "col-md")} };
        let table = table("Versions of scales, the newest of each first", "table--top", head.into_any(), rows.collect_view().into_any());
        let add = may.then(|| view! { <a class="btn btn--primary" href="/scales/new">"New scale"</a> });
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Rating scales"</h1>
                <p class="page__lede">"By these risks are rated. A version is never changed: to save a scale is to make its next version, and each risk keeps the one that it was rated by."</p></div>
                <div class="row">{add}</div></div>
            {error.as_ref().map(refused)}
            <div class="stack"><section class="panel" aria-label="Rating scales">{table}</section></div>
        };
        Ok(Page { title: "Rating scales".to_owned(), nav: Nav::Services, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn named(names: &[String]) -> String {
    names.iter().enumerate().map(|(at, n)| format!("{} {n}", at + 1)).collect::<Vec<_>>().join(", ")
}

/// `/scales/:name`, or `new`.
#[component]
pub fn ScalePage() -> impl IntoView {
    let (ctx, query, error) = (ctx(), query(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        require(&ctx, Action::Configure)?;
        let typed = ScaleFields::read(&query);
        let (title, differ, fields) = if name == "new" {
            // A new one begins as the one that is built in.
            let built_in =
                ScaleVersion { name: domain::risk::scale::ScaleRef::default(), scale: domain::risk::scale::Scale::built_in(), made: None, newest: true };
            let fresh = ScaleFields { name: String::new(), version: String::new(), ..ScaleFields::of(&built_in) };
            ("New scale".to_owned(), None, ScaleFields { version: String::new(), ..typed.unwrap_or(fresh) })
        } else {
            let saved = ScaleFields::of(&risks::scale_version(&ctx, &name, None).await?);
            let differ =
                typed.as_ref().filter(|_| is_stale(error.as_ref())).map(|t| differences(saved.shown(), t.shown(), &format!("/scales/{}", encode(&name))));
            // Whoever saves again has seen what is there now.
            let version = saved.version.clone();
            let name = saved.name.clone();
            (format!("Next version of scale {name}"), differ, ScaleFields { name, version, ..typed.unwrap_or(saved) })
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{title.clone()}</h1></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">{differ}{form(&fields, error.as_ref())}</div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Rating scales".to_owned(), "/scales".to_owned())];
        Ok(Page { title, nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

fn form(fields: &ScaleFields, error: Option<&AppError>) -> AnyView {
    let name = if fields.version.is_empty() {
        let (value, hint) = (fields.name.clone(), "Short: a–z, 0–9, “-”, “_”, “.”");
        line(&Line { name: "name", field: "name", label: "Name", hint, value, required: true, ..Line::default() }, error)
    } else {
        view! { <input type="hidden" name="name" value=fields.name.clone()/> }.into_any()
    };
    let threshold = Line {
        name: "threshold",
        field: "threshold",
        label: "Asks for more from",
        hint: "The lowest level at which a risk needs a treatment, an owner and a due date",
        value: fields.threshold.clone(),
        required: true,
        ..Line::default()
    };
    let body = view! {
        <form class="panel__body form measure" method="post" action=SaveScale::url()>
            <input type="hidden" name="version" value=fields.version.clone()/>
            {name}
            {lines("likelihood", "Likelihood", "Names of the steps from 1 up, one a line", fields.likelihood.clone(), error)}
            {lines("impact", "Impact", "The same", fields.impact.clone(), error)}
            {lines("bands", "Levels", "From low to high, one a line: the name and the products that it holds, such as High 6-9. Each product of the two axes needs one level", fields.bands.clone(), error)}
            {line(&threshold, error)}
            <p class="row"><button class="btn btn--primary">"Save as a new version"</button><a class="btn" href="/scales">"Back"</a></p>
        </form>
    };
    panel("scale", "Steps and levels", None, None, body.into_any()).into_any()
}
