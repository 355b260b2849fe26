//! The recovery kit of a repository, to read and to print.
//!
//! Lives here: the page; the text of the same is `Kit::text`. May not: any secret.

use domain::units::{Timestamp, count};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::repositories::{Kit, Place};

use crate::{
    components::{
        address::encode,
        icon, panel,
        table::{table, th},
        time::{full, moment},
    },
    context::{AppContext, app, ctx},
    frame::{Nav, Page, page},
    islands::print::Print,
    pages::snapshots::parts::short_id,
};

/// Items that the page names; the text names all.
const SHOWN: usize = 200;

#[component]
pub fn KitPage() -> impl IntoView {
    let (ctx, shared, params) = (ctx(), app(), use_params_map().get_untracked());
    page(async move {
        let name = params.get("name").unwrap_or_default();
        let kit = ops::repositories::kit(&ctx, &shared.repositories, &name, SHOWN).await?;
        let now = ctx.now();
        let text = format!("/repositories/{}/kit.txt", encode(&name));
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{format!("Recovery kit of {name}")}</h1>
                <p class="page__lede">"The data can be brought back without Holdfast, with restic alone. This kit holds no password."</p>
                <div class="page__meta"><span>{format!("Made {}", full(kit.made_at, &shared.zone))}</span></div></div>
                <div class="row no-print"><a class="btn" href=text download>{icon("i-down")}"As text"</a><Print/></div></div>
            <div class="stack">{place(&kit)}{secrets(&kit)}{keys(&kit, &shared)}{commands(&kit)}{items(&kit, now, &shared)}</div>
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Repositories".to_owned(), "/repositories".to_owned()),
            (name.clone(), format!("/repositories/{}", encode(&name))),
        ];
        Ok(Page { title: "Recovery kit".to_owned(), nav: Nav::Repositories, crumbs, body: body.into_any() })
    })
}

fn place(kit: &Kit) -> AnyView {
    let id = kit.id.clone().map(|id| view! { <dt>"Its id"</dt><dd><span class="hash hash--wrap">{id}</span></dd> });
    let body =
        view! { <div class="panel__body"><dl class="kv"><dt>"Repository"</dt><dd><code class="path">{kit.repository.clone()}</code></dd>{id}</dl></div> };
    panel("place", "Where it is", None, None, body.into_any()).into_any()
}

fn secrets(kit: &Kit) -> AnyView {
    let rows = kit
        .variables
        .iter()
        .filter(|(_, p)| !matches!(p, Place::Value(_)))
        .map(|(name, p)| view! { <dt><code>{*name}</code></dt><dd>{p.words()}</dd> })
        .collect_view();
    let body = view! {
        <div class="panel__body stack stack--sm"><dl class="kv kv--wide">{rows}<dt>"Also kept at"</dt><dd class="fill-in">"fill in by hand"</dd></dl></div>
    };
    panel("secrets", "What opens it", None, None, body.into_any()).into_any()
}

fn keys(kit: &Kit, shared: &AppContext) -> AnyView {
    let Some(keys) = &kit.keys else {
        return panel("keys", "Keys", None, None, view! { <p class="panel__body soft">"They could not be read when this kit was made."</p> }.into_any())
            .into_any();
    };
    let rows = keys
        .iter()
        .map(|k| {
            let who = [k.user.as_str(), k.host.as_str()].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" on ");
            let when = k.created_at.map_or_else(|| "not said".to_owned(), |t| full(t, &shared.zone));
            view! { <tr><th scope="row"><span class="hash hash--wrap">{k.id.clone()}</span></th><td>{who}</td><td>{when}</td><td>{if k.own { "the password above" } else { "another password" }}</td></tr> }
        })
        .collect_view();
    let head = view! { {th("Key", "")}{th("Added by", "")}{th("Added", "")}{th("Opened by", "")} };
    panel("keys", "Keys", None, None, table("Keys of the repository", "table--tight table--top", head.into_any(), rows.into_any()).into_any()).into_any()
}

fn commands(kit: &Kit) -> AnyView {
    let exports = kit.exports().join("\n");
    let each = kit
        .commands()
        .into_iter()
        .map(|(what, command)| view! { <div><p class="sm soft">{what}</p><pre class="cmd" tabindex="0"><code>{command}</code></pre></div> })
        .collect_view();
    let body = view! {
        <div class="panel__body stack stack--sm">
            <div><p class="sm soft">"First tell the shell where it is"</p><pre class="cmd" tabindex="0"><code>{exports}</code></pre></div>{each}
        </div>
    };
    panel("commands", "Commands", Some("restic 0.14 or later, from restic.net".to_owned()), None, body.into_any()).into_any()
}

fn items(kit: &Kit, now: Timestamp, shared: &AppContext) -> AnyView {
    let sources = kit.uses.iter().map(|u| format!("{}, {}", u.service_title, u.source_name)).collect::<Vec<_>>().join("; ");
    let rows = kit
        .items
        .iter()
        .map(|i| {
            view! { <tr><th scope="row" class="item-name">{i.item_name.clone()}<span class="sub">{format!("{}, {}", i.service_title, i.source_name)}</span></th>
            <td><span class="hash">{short_id(&i.restic_id)}</span></td><td class="nowrap">{moment(Timestamp(i.taken_at), now, &shared.zone)}</td></tr> }
        })
        .collect_view();
    let head = view! { {th("Item", "")}{th("Newest snapshot", "")}{th("Taken", "")} };
    let cut = kit.is_cut.then(|| view! { <p class="panel__foot">{format!("The first {}. The text names all of them.", count(SHOWN as i64))}</p> });
    let body = if kit.items.is_empty() {
        view! { <p class="panel__body soft">"No snapshot is recorded in it yet."</p> }.into_any()
    } else {
        view! { {table("Items with their newest snapshots", "table--tight", head.into_any(), rows.into_any())}{cut} }.into_any()
    };
    panel("items", "What is in it", (!sources.is_empty()).then_some(sources), None, body).into_any()
}
