//! Who is who: the names of a person, and items that are nobody's.
//!
//! Lives here: a panel of the person's page, the page `/unattributed`, and the server functions of both. May not:
//! deciding who is who (`ops::people::names`).

use domain::{
    id::ItemId,
    units::{Timestamp, count, size},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    OpsError,
    people::names::{self, Known},
    permission::{Action, On, allowed},
};
use store::people::PersonRow;

use crate::{
    components::{
        address::{encode, with_query},
        empty,
        pager::pager,
        panel,
        table::{table, th},
        time::{moment_with_age, relative},
    },
    context::{app, ctx, query},
    error::{AppError, form_error, go, refuse, refused},
    frame::{Nav, Page, page},
};

const PAGE: i64 = 50;

/// Gives a person a further name.
#[server(prefix = "/act", endpoint = "add-name")]
pub async fn add_name(person: String, name: String) -> Result<(), AppError> {
    names::add(&ctx(), &person, &name).await.map_err(refuse)?;
    go(&format!("/people/{}", encode(&person)));
    Ok(())
}

/// Takes a further name away.
#[server(prefix = "/act", endpoint = "remove-name")]
pub async fn remove_name(person: String, name: String) -> Result<(), AppError> {
    names::remove(&ctx(), &person, &name).await.map_err(refuse)?;
    go(&format!("/people/{}", encode(&person)));
    Ok(())
}

/// Says whose an item is.
#[server(prefix = "/act", endpoint = "give-item")]
pub async fn give_item(item: String, person: String) -> Result<(), AppError> {
    let id: ItemId = item.parse().map_err(|_| refuse(OpsError::not_found("item", &item)))?;
    names::give(&ctx(), id, Some(&person)).await.map_err(refuse)?;
    go("/unattributed");
    Ok(())
}

/// The names and accounts of a person.
pub fn names_panel(person: &PersonRow, known: &Known, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let accounts = known.accounts.iter().map(|a| {
        let shown = if a.name.is_empty() { a.label.clone() } else { a.name.clone() };
        let how = if a.person_id.is_some() { "account, linked by an admin" } else { "account, by its provider's claims" };
        let more = [&a.label, &a.email].into_iter().filter(|t| !t.is_empty() && **t != shown).cloned().collect::<Vec<_>>();
        let more = if a.label == a.email { more.into_iter().take(1).collect() } else { more };
        view! { <tr><th scope="row">{shown}<span class="sub">{more.join(", ")}</span></th><td>{how}</td><td class="col-md">{moment_with_age(Timestamp(a.seen_at), now, zone)}</td><td></td></tr> }
    });
    let form = |url: &'static str, name: &str, words: &'static str| {
        view! {
            <form method="post" action=url><input type="hidden" name="person" value=person.name.clone()/><input type="hidden" name="name" value=name.to_owned()/>
                <button class="btn btn--sm">{words}<span class="vh">{format!(" {name}")}</span></button></form>
        }
    };
    let further = known.names.iter().map(|n| {
        let act = may.then(|| form(RemoveName::url(), &n.name, "Take away"));
        view! {
            <tr><th scope="row"><span class="mono">{n.name.clone()}</span></th><td>"further name, by "{n.added_by.clone()}</td>
                <td class="col-md">{moment_with_age(Timestamp(n.created_at), now, zone)}</td><td><div class="row row--end">{act}</div></td></tr>
        }
    });
    let maybe = known.maybe.iter().map(|p| {
        let act = may.then(|| form(AddName::url(), &p.name, "Also theirs"));
        view! {
            <tr><th scope="row"><a class="mono" href=format!("/people/{}", encode(&p.name))>{p.name.clone()}</a></th><td>"perhaps the same human: an account of theirs says this name"</td>
                <td class="col-md">"first seen "{relative(Timestamp(p.created_at), now)}</td><td><div class="row row--end">{act}</div></td></tr>
        }
    });
    let own = view! {
        <tr><th scope="row"><span class="mono">{person.name.clone()}</span></th><td>"name of their items"</td><td class="col-md">{moment_with_age(Timestamp(person.created_at), now, zone)}</td><td></td></tr>
    };
    let head = view! { {th("Name", "")}{th("How it is known", "")}{th("Since, or last seen", "col-md")}<th scope="col" class="num"><span class="vh">"Action"</span></th> };
    let rows = view! { {own}{further.collect_view()}{accounts.collect_view()}{maybe.collect_view()} };
    let add = may.then(|| {
        view! {
            <form class="panel__foot row" method="post" action=AddName::url()><input type="hidden" name="person" value=person.name.clone()/>
                <label for="further">"Items are also theirs under the name"</label>
                <input class="input input--sm input--w input--mono" id="further" name="name" required autocomplete="off"/>
                <button class="btn btn--sm">"Add"</button></form>
        }
    });
    let body = view! { {table("Names and accounts", "table--tight", head.into_any(), rows.into_any())}{add} };
    panel("names", "Names and accounts", Some("whoever bears one of these is this person".to_owned()), None, body.into_any()).into_any()
}

/// `/unattributed?after=`.
#[component]
pub fn Unattributed() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    page(async move {
        let after = match query.get("after").filter(|t| !t.is_empty()) {
            Some(text) => text.parse().map_err(|_| OpsError::not_found("item", text))?,
            None => ItemId(uuid::Uuid::nil()),
        };
        let mut items = names::nobodys(&ctx, after, PAGE + 1).await?;
        let more = items.len() > PAGE as usize;
        items.truncate(PAGE as usize);
        let may = allowed(&ctx.actor, Action::AdmitPeople, On::All);
        let (now, zone) = (ctx.now(), &shared.zone);
        let next = items.last().filter(|_| more).map(|i| with_query("/unattributed", &[("after", &i.id.to_string())]));
        let first = (after.0 != uuid::Uuid::nil()).then(|| "/unattributed".to_owned());
        let content = if items.is_empty() {
            empty("Everything is somebody's", "Every item that is backed up belongs to a person.".into_any(), None).into_any()
        } else {
            let rows = items.iter().map(|i| row(i, may, now, zone)).collect_view();
            let head = view! { {th("Item", "")}{th("Where", "")}{th("Newest snapshot", "col-md")}{th("Snapshots", "num col-md")}{th("Size", "num col-md")}{may.then(|| th("Whose is it?", ""))} };
            view! { {table("Items that are nobody's", "", head.into_any(), rows.into_any())}{pager(first.map(|href| ("First page", href)), next.map(|href| ("Next page", href)))} }
                .into_any()
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Nobody's items"</h1>
                <p class="page__lede">"What is backed up and belongs to no person: one folder as a whole, or an item whose name says nothing of whose it is. Once it is said whose an item is, its snapshots are theirs, and later backups keep to it."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack"><section class="panel" aria-label="Nobody's items">{content}</section></div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("People".to_owned(), "/people".to_owned())];
        Ok(Page { title: "Nobody's items".to_owned(), nav: Nav::People, crumbs, body: body.into_any() })
    })
}

fn row(i: &store::person_names::NobodysItem, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let newest = i.last_snapshot_at.map_or_else(|| "no data".into_any(), |at| moment_with_age(Timestamp(at), now, zone).into_any());
    let give = may.then(|| {
        let id = format!("w-{}", i.id.simple());
        view! {
            <td><form class="row" method="post" action=GiveItem::url()><input type="hidden" name="item" value=i.id.to_string()/>
                <label class="vh" for=id.clone()>{format!("Whose {} is", i.name)}</label>
                <input class="input input--sm input--w input--mono" id=id name="person" required autocomplete="off"/>
                <button class="btn btn--sm">"Give"<span class="vh">{format!(" {} to them", i.name)}</span></button></form></td>
        }
    });
    view! {
        <tr><th scope="row"><span class="mono">{i.name.clone()}</span></th><td><a href=format!("/services/{}", encode(&i.service))>{i.service_title.clone()}</a><span class="sub">{i.source.clone()}</span></td>
            <td class="col-md">{newest}</td><td class="num col-md">{count(i.snapshots)}</td><td class="num col-md">{size(i.size_bytes)}</td>{give}</tr>
    }
    .into_any()
}
