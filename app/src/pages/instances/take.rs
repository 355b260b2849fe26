//! The form that takes a snapshot of an instance now.
//!
//! Lives here: `/services/NAME/instances/SOURCE/INSTANCE/snapshot`. May not: judging values.

use domain::units::Timestamp;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    instances::Shown,
    permission::{Action, On, require_on},
};

use super::{
    act::SnapshotInstance,
    fields::{Native, fields, makes},
    list::trouble,
    parts,
    show::{crumbs, here, load},
};
use crate::{
    components::{address::with_query, panel},
    context::{ctx, query},
    error::{AppError, form_error},
    frame::{Nav, Page, page},
    pages::services::act::refused,
};

/// The address of the form.
pub fn place(i: &Shown) -> String {
    format!("{}/snapshot", here(i))
}

/// The same with what was typed.
pub fn href(service: &str, source: &str, typed: &Native) -> String {
    with_query(&format!("{}/snapshot", parts::place(service, source, &typed.instance)), &typed.pairs())
}

/// `/services/:name/instances/:source/:instance/snapshot?…`.
#[component]
pub fn TakeSnapshot() -> impl IntoView {
    let (ctx, query, error) = (ctx(), query(), form_error());
    let params = use_params_map().get_untracked();
    page(async move {
        let i = load(&ctx, &params).await?;
        require_on(&ctx, Action::Operate, On::Service(i.place.service.id()))?;
        let typed = Native { instance: i.item.name.clone(), ..Native::read(&query) };
        let body = body(&i, &typed, error.as_ref(), ctx.now());
        let mut crumbs = crumbs(&i.place);
        crumbs.push((i.item.name.clone(), here(&i)));
        Ok(Page { title: "Snapshot now".to_owned(), nav: Nav::Services, crumbs, body })
    })
}

fn body(i: &Shown, typed: &Native, error: Option<&AppError>, now: Timestamp) -> AnyView {
    let wrong = |field: &str| error.and_then(|e| e.field(field));
    let (asked, _) = typed.params();
    let back = here(i);
    let form = view! {
        <div class="panel__body"><form class="form" method="post" action=SnapshotInstance::url()>
            <input type="hidden" name="service" value=i.place.service.name.clone()/><input type="hidden" name="source" value=i.place.source.name.clone()/>
            <div class="field"><label for="instance">"instance"</label>
                <input class="input input--mono" id="instance" name="instance" value=typed.instance.clone() readonly aria-describedby="instance-e"/>
                {super::fields::problem("instance", wrong("instance"))}</div>
            {fields(typed, makes(&asked, now), &wrong)}
            <p class="row"><button class="btn btn--primary">"Take the snapshot"</button><a class="btn" href=back>"Back"</a></p>
            <p class="sm muted">"It runs on the server: closing the page is safe. Older snapshots beyond max_snapshots go only when the new one is there."</p>
        </form></div>
    };
    view! {
        <div class="page__head"><div><h1 class="page__title">"Snapshot now "<span class="soft">{i.item.name.clone()}</span></h1>
            <p class="page__lede">"The image or the volume snapshots stay in the cloud, with all that a clone needs to know of the instance."</p></div></div>
        {error.map(refused)}
        <div class="stack">{trouble(&i.place)}{panel("take", "Instance snapshot", None, None, form.into_any())}</div>
    }
    .into_any()
}
