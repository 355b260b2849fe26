//! The way in: an identity provider, or a one-time link that is spent by a button, so that a preview of it does not.
//!
//! Lives here: the page and what it says of a sign-in that did not succeed. May not: signing anybody in.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use ops::accounts::Offered;

use crate::{
    components::{address::with_query, brand, icon},
    context::ctx,
};

/// `/login?token=…`; `/login?link=…` for guests; `/login?error=…&provider=…&reference=…` after a refusal.
#[component]
pub fn Login() -> impl IntoView {
    let (ctx, query) = (ctx(), use_query_map().get_untracked());
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty());
    let (token, next, link_refused) = (text("token"), text("next").unwrap_or_default(), query.get("refused").is_some());
    let (guest, guest_refused) = (text("link"), query.get("over").is_some());
    let (error, provider, reference) = (text("error"), text("provider").unwrap_or_default(), text("reference").unwrap_or_default());
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
                {link_refused.then(|| alert("This link did not let you in", view! {
                    "It was used before, or it is older than 10 minutes. Print a new one on the server with "<code>"holdfast login-link"</code>", then open it."
                }.into_any(), ""))}
                {guest_refused.then(|| alert("This link opens nothing", view! {
                    "It is unknown, its time is over, or it was revoked. Ask whoever gave it to you for a new one."
                }.into_any(), ""))}
                <Suspense>{Suspend::new(async move {
                    let offered = ops::accounts::offered(&ctx).await.unwrap_or_default();
                    let title = offered.iter().find(|o| o.name == provider).map_or("The provider", |o| o.title.as_str());
                    view! {
                        {error.map(|code| { let (head, what) = said(&code, title); alert(&head, what.into_any(), &reference) })}
                        {match (guest, token) {
                            (Some(link), _) => as_guest(link).into_any(),
                            (None, Some(token)) => spend(token, next).into_any(),
                            _ if offered.is_empty() => by_link_alone().into_any(),
                            _ => by_provider(&offered, &next).into_any(),
                        }}
                    }
                })}</Suspense>
            </div></main>
        </div>
    }
}

/// What a sign-in that did not succeed means, and what to do.
fn said(code: &str, title: &str) -> (String, String) {
    let (head, what) = match code {
        "no_role" => (
            format!("{title} knows you, and you have no role here"),
            "None of your groups gives you a role in Holdfast. Ask an admin for one, then sign in again.",
        ),
        "assurance" => (
            format!("{title} did not verify you well enough"),
            "Holdfast asks for a better proof of who you are. Sign in with another identity, or ask your organisation to verify yours.",
        ),
        "no_key" => (
            format!("{title} does not say who you are"),
            "The claim that names people is missing. An admin finds it in the configuration of the provider, under “person”.",
        ),
        "denied" => (format!("{title} did not let you in"), "You refused, or the provider did. Try again, with another account if you have one."),
        "away" => (
            format!("{title} does not answer"),
            "Sessions that are open go on. Try again in a moment; where it is urgent, an admin can print a one-time link on the server.",
        ),
        "stale" => ("This sign-in is over".to_owned(), "It took longer than 15 minutes, or it was begun in another window. Begin again."),
        _ => (
            format!("The answer of {title} was not valid"),
            "Nobody was let in. Try again; if it stays so, an admin finds the reason in the server's log under the reference.",
        ),
    };
    (head, what.to_owned())
}

fn alert(head: &str, what: AnyView, reference: &str) -> AnyView {
    let reference = (!reference.is_empty()).then(|| view! { <span class="sub">{format!("Reference {reference}")}</span> });
    view! { <div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>{head.to_owned()}</b><div>{what}{reference}</div></div></div> }.into_any()
}

fn spend(token: String, next: String) -> impl IntoView {
    view! {
        <form action="/login" method="post" class="form">
            <input type="hidden" name="token" value=token/>
            <input type="hidden" name="next" value=next/>
            <button class="btn btn--primary input--lg btn--block">{icon("i-link")}"Sign in once with this link"</button>
            <p class="field__hint">"The link works once and for 10 minutes. Signing in is written to the audit trail."</p>
        </form>
    }
}

fn as_guest(link: String) -> impl IntoView {
    view! {
        <form action="/login" method="post" class="form">
            <input type="hidden" name="link" value=link/>
            <button class="btn btn--primary input--lg btn--block">{icon("i-link")}"Read the evidence"</button>
            <p class="field__hint">"You see what was chosen for you, until the link ends, and can change nothing. Opening it is written to the audit trail."</p>
        </form>
    }
}

fn by_provider(offered: &[Offered], next: &str) -> impl IntoView + use<> {
    let buttons = offered
        .iter()
        .map(|o| {
            let href = with_query(&format!("/auth/{}/start", o.name), &[("next", next)]);
            view! { <a class="btn btn--primary input--lg btn--block" href=href rel="nofollow">{icon("i-link")}{format!("Continue with {}", o.title)}</a> }
        })
        .collect_view();
    view! {
        <div class="form">{buttons}<p class="field__hint">"OpenID Connect. Holdfast reads your identifier, your name and your groups, nothing else."</p></div>
        <p class="or">"or"</p>
        <details class="more"><summary>"Use a one-time link"</summary>
            <p class="sm soft mt-2">"For the case that the provider itself is down. An admin prints one on the server; it works once and for 10 minutes, and it is written to the audit trail."</p>
            <pre class="cmd" tabindex="0"><code>"holdfast --data DIR login-link"</code></pre></details>
        <p class="sm muted">"Auditors sign in the same way and can read everything, change nothing."</p>
    }
}

fn by_link_alone() -> impl IntoView {
    view! {
        <p>"No identity provider is configured, so the way in is a one-time link. The server prints one when it starts for the first time; print another on the server:"</p>
        <pre class="cmd" tabindex="0"><code>"holdfast --data DIR login-link"</code></pre>
        <p class="sm muted">"Whoever can read the data folder can make a link. It works once and for 10 minutes."</p>
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
