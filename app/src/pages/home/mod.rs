//! What to do first.

use leptos::prelude::*;

use crate::{
    context::ctx,
    frame::{Nav, Page, page},
};

#[component]
pub fn Home() -> impl IntoView {
    let ctx = ctx();
    page(async move {
        let services = ops::services::list(&ctx, "", "", 500).await?;
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Home"</h1></div></div>
            <p>{services.len()}" services. "<a href="/services">"See them"</a></p>
        };
        Ok(Page { title: "Home".to_owned(), nav: Nav::Home, crumbs: vec![], body: body.into_any() })
    })
}
