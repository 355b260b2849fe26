//! The wizard of a clone: select, what it gets, preview with its cost, confirm.
//!
//! Lives here: `/restore/clone?…`. May not: making anything by being opened; judging what was typed.

use domain::{
    field::FieldError,
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    OpsError,
    clones::preview::{self, Preview},
};

use super::{
    act::CloneInstance as Order,
    checks::{checks, in_the_way},
    choose::{Choice, choice, chosen},
    differs,
    frame::Frame,
    state::Typed,
};
use crate::{
    components::{
        icon, panel,
        time::{full, short},
    },
    context::{app, ctx, query},
    error::{AppError, form_error, refused},
    frame::page,
    pages::instances::clones::tenths,
};

const PATH: &str = "/restore/clone";
const FRAME: Frame =
    Frame { title: "Clone", heading: "Make a clone", lede: "A new server of a snapshot, beside the instance, which stays as it is. It has an end." };

/// `/restore/clone?service=…&instance=…&date=…`, `/restore/clone?snapshot=…&asked=on&…`.
#[component]
pub fn CloneInstance() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    page(async move {
        let typed = Typed::read(&query);
        let (now, zone) = (ctx.now(), &shared.zone);
        let s = match choice(&ctx, PATH, &typed, zone).await? {
            Choice::Open(panel) => return Ok(FRAME.page(None, steps(None, false), error.as_ref().map(refused), panel)),
            Choice::Chosen(s) => *s,
        };
        let typed = Typed { snapshot: s.row.id.to_string(), service: s.service_name.clone().unwrap_or_default(), ..typed };
        let (order, unread) = typed.order();
        let looked = match (typed.asked.is_empty(), unread.is_empty()) {
            (true, _) => None,
            (false, false) => Some(Err(OpsError::Invalid(unread))),
            (false, true) => Some(preview::preview(&ctx, shared.vault.env(), &shared.tools, &typed.service, &order).await),
        };
        let (shown, wrong) = outcome(looked, &typed, error.as_ref(), now, zone)?;
        let field = |name: &str| wrong.iter().find(|f| f.field == name).map(|f| f.message.clone());
        let hooks: Vec<String> = shared.tools.hooks.iter().map(|h| h.name.clone()).collect();
        let form = s.row.native.as_deref().map(|n| differs::form(PATH, &typed, n, &hooks, now, &field));
        let steps = steps(Some(&typed), shown.is_some());
        let shown = view! { {chosen(PATH, &typed, &s, now, zone)}{form}{shown} };
        Ok(FRAME.page(Some(&s), steps, error.as_ref().map(refused), shown.into_any()))
    })
}

/// Steps 3 and 4, and what is wrong with the fields above.
fn outcome(
    looked: Option<Result<Preview, OpsError>>,
    typed: &Typed,
    error: Option<&AppError>,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(Option<AnyView>, Vec<FieldError>), OpsError> {
    let posted = error.map(|e| e.fields.clone()).unwrap_or_default();
    match looked {
        None => Ok((None, posted)),
        Some(Ok(p)) => Ok((Some(ready(&p, typed, now, zone)), posted)),
        Some(Err(OpsError::Invalid(fields))) => Ok((None, fields)),
        Some(Err(e @ OpsError::Conflict(_))) => {
            let e = AppError::from(e);
            Ok((Some(in_the_way("The clone cannot be looked at", &e.message, typed.href(PATH))), posted))
        }
        Some(Err(e)) => Err(e),
    }
}

fn steps(typed: Option<&Typed>, looked: bool) -> Vec<(&'static str, Option<String>)> {
    let asked = typed.filter(|t| !t.asked.is_empty()).map(|_| "chosen".to_owned());
    let made = looked.then(|| "made".to_owned());
    vec![("What it gets", asked), ("Preview", made), ("Confirm", None)]
}

/// What it would be, what it takes, and the consent.
fn ready(p: &Preview, typed: &Typed, now: Timestamp, zone: &TimeZone) -> AnyView {
    let one = |words: &'static str, value: String, sub: String| {
        view! { <div><dt>{words}</dt><dd class="readout readout--md">{value}</dd><dd class="sm soft">{sub}</dd></div> }
    };
    let unknown = || "unknown".to_owned();
    let flavour = p.flavour.as_ref().map_or_else(|| "no such flavour".to_owned(), |f| format!("flavour {}", f.name));
    let volumes = match p.native.volumes.len() {
        0 => "no volumes of its own".to_owned(),
        1 => "1 new volume".to_owned(),
        n => format!("{n} new volumes"),
    };
    let meters = view! {
        <dl class="meters">
            {one("vCPUs", p.flavour.as_ref().map_or_else(unknown, |f| count(f.vcpus)), flavour)}
            {one("RAM", p.flavour.as_ref().map_or_else(unknown, |f| format!("{} GiB", tenths(f.ram_mb))), "while it stands".to_owned())}
            {one("Disk", format!("{} GiB", count(p.disk_gb)), volumes)}
            {one("Ends", short(p.expires_at, now, zone), format!("after {} days, with all of it", p.params.days))}
        </dl>
    };
    let metadata = p.params.metadata_over(&p.native.server.metadata);
    let metadata = if metadata.is_empty() { "none".to_owned() } else { metadata.iter().map(|(k, v)| format!("{k} = {v}")).collect::<Vec<_>>().join(", ") };
    let facts = view! {
        <div class="panel__body"><dl class="kv">
            <dt>"Name"</dt><dd class="mono brk">{p.params.clone_name.clone()}</dd>
            <dt>"Networks"</dt><dd>{if p.networks.is_empty() { "none".to_owned() } else { p.networks.join(", ") }}</dd>
            <dt>"Zone"</dt><dd>{p.zone.clone().unwrap_or_else(|| "the cloud chooses".to_owned())}</dd>
            <dt>"Metadata"</dt><dd class="mono brk">{metadata}</dd>
            <dt>"Hook"</dt><dd>{p.params.hook.clone().unwrap_or_else(|| "none".to_owned())}</dd>
            <dt>"Ends"</dt><dd>{full(p.expires_at, zone)}</dd>
        </dl></div>
    };
    view! {
        <section class="stack" aria-labelledby="pvh" id="preview"><h2 class="vh" id="pvh">"3. Preview"</h2>
            {meters}
            <div class="grid grid--aside-w">{checks(&p.conditions, None, &format!("looked at {}", short(p.looked_at, now, zone)))}
                {panel("made", "What would be made", Some("nothing has been made yet".to_owned()), None, facts.into_any())}</div>
        </section>
        {consent(p, typed)}
    }
    .into_any()
}

fn consent(p: &Preview, typed: &Typed) -> AnyView {
    if !p.can_be() {
        let body = view! {
            <div class="panel__body"><div class="callout callout--fail">{icon("i-fail")}<b>"This clone cannot be made so"</b>
                <div>"Not everything that it needs is there. What is not met says what to do; change the choices above, or look again."</div></div>
                <div class="row"><a class="btn" href=typed.href(PATH)>"Look again"</a></div></div>
        };
        return panel("confirm", "4. Confirm", None, None, body.into_any()).into_any();
    }
    // The name that was shown is the one that it gets.
    let typed = Typed { clone_name: p.params.clone_name.clone(), ..typed.clone() };
    let hidden = typed.pairs().into_iter().filter(|(_, v)| !v.is_empty());
    let hidden = hidden.map(|(n, v)| view! { <input type="hidden" name=n value=v.to_owned()/> }).collect_view();
    let out = format!("/snapshots/{}", p.snapshot.id);
    let body = view! {
        <div class="panel__body"><form class="form" action=Order::url() method="post">{hidden}
            <div class="row"><button class="btn btn--primary">"Make the clone"</button><a class="btn btn--quiet" href=out>"Leave without a clone"</a></div>
            <p class="sm muted">"The work runs on the server: this page can be closed. The cloud is asked anew before anything is made."</p>
        </form></div>
    };
    panel("confirm", "4. Confirm", None, None, body.into_any()).into_any()
}
