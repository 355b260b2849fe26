//! The way in: a one-time link, spent by a button, so that a preview of the link does not spend it.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::components::{brand, icon};

/// `/login?token=…`; `/login?error=…` after a refusal.
#[component]
pub fn Login() -> impl IntoView {
    let query = use_query_map().get_untracked();
    let token = query.get("token").filter(|t| !t.is_empty());
    let refused = query.get("refused").is_some();
    let next = query.get("next").unwrap_or_default();
    view! {
        <Title text="Sign in · Holdfast"/>
        <a class="skip" href="#signin">"Skip to the sign-in form"</a>
        <div class="login">
            <header class="login__art">
                {brand("brand")}
                <h1>"Backups you have restored, plans you have tested."</h1>
                <p>"Backup, snapshots and continuity plans for the services your organisation relies on."</p>
                <svg class="tide" viewBox="0 0 560 140" role="img" aria-label="A scale from exists to service started: the five levels of evidence" inner_html=tide()></svg>
            </header>
            <main class="login__form" id="signin" tabindex="-1"><div>
                <h2 class="page__title">"Sign in"</h2>
                {refused.then(|| view! {
                    <div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>"This link did not let you in"</b>
                        <div>"It was used before, or it is older than 15 minutes. Print a new one on the server with "<code>"holdfast login-link"</code>", then open it."</div>
                    </div></div>
                })}
                {if let Some(token) = token {
                    view! {
                        <form action="/login" method="post" class="form">
                            <input type="hidden" name="token" value=token/>
                            <input type="hidden" name="next" value=next/>
                            <button class="btn btn--primary input--lg btn--block">{icon("i-link")}"Sign in once with this link"</button>
                            <p class="field__hint">"The link works once and for 15 minutes. Signing in is written to the audit trail."</p>
                        </form>
                    }.into_any()
                } else {
                    view! {
                        <p>"No identity provider is configured, so the way in is a one-time link. The server prints one when it starts for the first time; print another on the server:"</p>
                        <pre class="cmd" tabindex="0"><code>"holdfast --data DIR login-link"</code></pre>
                        <p class="sm muted">"Whoever can read the data folder can make a link. It works once and for 15 minutes."</p>
                    }.into_any()
                }}
            </div></main>
        </div>
    }
}

/// The scale of the sign-in page: a ruler with the five steps of evidence on it.
fn tide() -> String {
    use std::fmt::Write;
    let mut svg = String::new();
    for x in (0..=560).step_by(10) {
        let _ = write!(svg, r#"<path class="k" d="M{x} 96v{}"/>"#, if x % 50 == 0 { 18 } else { 9 });
    }
    svg.push_str(r#"<path class="k" d="M0 96h560"/><path class="a" d="M0 96h346" stroke-width="3"/>"#);
    for (i, (h, name)) in [(16, "exists"), (30, "readable"), (46, "restored"), (64, "asserted"), (82, "service started")].into_iter().enumerate() {
        let (x, y) = (20 + 112 * i, 96 - h);
        let class = if i < 3 { r#"class="m""# } else { r#"fill="none" class="a" stroke-width="1.2""# };
        let _ = write!(svg, r#"<rect {class} x="{x}" y="{y}" width="22" height="{h}"/><text x="{x}" y="132">{name}</text>"#);
    }
    svg
}
