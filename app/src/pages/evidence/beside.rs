//! What stands beside the list: the pack, the chain, the keys, what the reader may.

use domain::units::{Timestamp, count, size};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    Ctx, OpsError, Role,
    evidence::{Chain, Key, pack::Pack},
};

use super::{act::RotateEvidenceKey, list::Asked};
use crate::{
    components::{dialog::dialog, icon, panel, time::full},
    error::upper,
};

/// What the pack of the period holds, and the link to it.
pub fn pack(asked: &Asked, made: Option<Result<Pack, OpsError>>) -> AnyView {
    let known = match made {
        Some(Ok(p)) => {
            let h = p.holds;
            let tests =
                format!("{} tests, {} of them signed, {} countersignatures", count(h.tests as i64), count(h.signed as i64), count(h.countersignatures as i64));
            view! {
                <dl class="kv"><dt>"Holds"</dt><dd>{tests}</dd><dt>"Gaps"</dt><dd>{format!("{}, on page one, none left out", h.gaps)}</dd>
                    <dt>"Size"</dt><dd>{size(p.bytes as i64)}</dd><dt>"sha256"</dt><dd><span class="hash hash--wrap">{p.sha256}</span></dd></dl>
            }
            .into_any()
        }
        Some(Err(e)) => {
            view! { <div class="callout callout--warn" role="alert">{icon("i-warn")}<b>"The pack cannot be made"</b><div>{upper(&shown(e))}</div></div> }
                .into_any()
        }
        None => {
            let more = asked.address("/evidence", &[("pack", "1")]);
            view! {
                <dl class="kv"><dt>"Holds"</dt><dd>"every test of the period, with its log"</dd><dt>"Gaps"</dt><dd>"on page one, none left out"</dd></dl>
                <p class="sm"><a href=more>"Tell its size and sha256"</a></p>
            }
            .into_any()
        }
    };
    let href = asked.address("/api/v1/evidence/pack", &[]);
    let body = view! {
        <div class="panel__body stack stack--sm">
            <p class="sm soft">"One archive for the period and the service chosen. It can be checked without Holdfast: by openssl alone, as its README says."</p>
            {known}
            <p class="sm soft">"PDF, HTML, CSV, JSON, envelopes, logs, public keys. That you took it is written to the audit trail."</p>
            <p><a class="btn btn--primary btn--block" href=href download>{icon("i-down")}"Download the evidence pack"</a></p>
        </div>
    };
    panel("pack", "Evidence pack", None, None, body.into_any()).into_any()
}

/// The words of an error for people.
fn shown(e: OpsError) -> String {
    crate::error::AppError::from(e).message
}

/// How the chain stands, walked just now where it is short enough or was asked for.
pub fn chain(asked: &Asked, head: i64, walked: Option<&Chain>) -> AnyView {
    let state = match walked {
        None => {
            let verify = asked.address("/evidence", &[("verify", "1")]);
            view! { <p class="sm">{format!("{} records. ", count(head))}<a href=verify>"Verify them all now"</a></p> }.into_any()
        }
        Some(Chain { fault: Some(fault), records, .. }) => view! {
            <div class="callout callout--fail" role="alert">{icon("i-fail")}<b>"The chain is broken"</b>
                <div>{upper(&format!("{fault}. The {} records before it are in order. Somebody has changed the database by hand: compare it with an older pack, or with a copy of Holdfast.", count(*records)))}</div></div>
        }
        .into_any(),
        Some(Chain { records: 0, .. }) => view! { <p class="sm soft">"Empty. The next restore test makes the first record."</p> }.into_any(),
        Some(c) => {
            let waiting = (c.waiting > 0).then(|| format!(" {} of them wait for the server's signature.", count(c.waiting)));
            view! {
                <div class="callout callout--ok" role="status">{icon("i-ok")}<b>"The chain is intact"</b>
                    <div>{format!("{} records, each bound to the one before, verified now.", count(c.records))}{waiting}</div></div>
                <dl class="kv"><dt>"Head"</dt><dd><span class="hash hash--wrap">{c.head.clone()}</span></dd></dl>
            }
            .into_any()
        }
    };
    panel("chain", "Chain of evidence", None, None, view! { <div class="panel__body stack stack--sm">{state}</div> }.into_any()).into_any()
}

pub fn keys(all: &[Key], may: bool, zone: &TimeZone) -> AnyView {
    let rows = all
        .iter()
        .map(|k| {
            let state = k.retired_at.map_or_else(|| "signs now".to_owned(), |at| format!("retired {}", full(at, zone)));
            let made = full(Timestamp(k.made_at.0), zone);
            view! { <li><span class="hash hash--wrap">{k.id.clone()}</span><span class="sub">{format!("made {made}, {state}")}</span><details class="more"><summary>"Public key"</summary><pre class="log"><code>{k.pem.clone()}</code></pre></details></li> }
        })
        .collect_view();
    let list = if all.is_empty() {
        view! { <p class="sm soft">"None yet: the first restore test makes it."</p> }.into_any()
    } else {
        view! { <ul class="stack stack--sm sm">{rows}</ul><p class="sm soft">"Compare a key's id on another way, such as by phone: a pack cannot prove its own maker. What a retired key signed stays valid."</p> }.into_any()
    };
    let rotate = may.then(|| {
        let body = view! {
            <p>"The key that signs announces the new one and is retired. Whoever checks packs should be told the new id."</p>
            <form id="rotate-form" method="post" action=RotateEvidenceKey::url()><div class="field"><label for="rotate-lost">"Only where the old key is lost: how"</label>
                <input class="input" id="rotate-lost" name="lost" maxlength="500" autocomplete="off" aria-describedby="rotate-lost-h"/><p class="field__hint" id="rotate-lost-h">"Leave it empty: then the old key signs for the new one."</p></div></form>
        };
        let button = view! { <button class="btn btn--primary" form="rotate-form">"Make a new key"</button> };
        view! {
            <p><a class="btn btn--sm" href="#rotate-key">"Make a new key"</a></p>
            {dialog("rotate-key", "Make a new signing key?", "Keep the key", body.into_any(), button.into_any())}
        }
    });
    panel("keys", "Keys", None, None, view! { <div class="panel__body stack stack--sm">{list}{rotate}</div> }.into_any()).into_any()
}

/// In which role the reader looks, and what that role changes.
pub fn view_of(ctx: &Ctx) -> AnyView {
    let role = ctx.actor.role.as_str();
    let text = match ctx.actor.role {
        Role::Auditor => {
            "You can see every test and its signature, and you can change nothing. You can countersign a test on its page: that adds your word with a date of its own."
        }
        Role::Guest => "You see the evidence of the services and days that were chosen for you, until your link ends. You can change nothing.",
        Role::Admin => "You can see every test, countersign it on its page, and make a new key. No one can change a record.",
        _ if !ctx.actor.services.is_empty() || ctx.actor.role == Role::Owner => {
            "You see the tests of your services, and can countersign them on their pages. No one can change a record."
        }
        _ => "You see no service's tests here.",
    };
    panel(
        "your-view",
        "Your view",
        None,
        None,
        view! { <div class="panel__body"><p class="sm soft">"You read as "<b>{role}</b>". "{text}</p></div> }.into_any(),
    )
    .into_any()
}
