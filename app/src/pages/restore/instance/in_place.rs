//! The wizard of an instance in its place: select, preview with every precondition, the typed name and the reason.
//!
//! Lives here: `/restore/in-place?…`. May not: changing anything by being opened; rules.

use domain::{instance::inplace::Method, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    OpsError,
    inplace::{self, Preview},
};

use super::{
    act::RestoreInstance as Order,
    checks::{checks, in_the_way},
    choose::{Choice, choice, chosen},
    frame::Frame,
    state::Typed,
};
use crate::{
    components::{
        icon, panel,
        time::{full, relative, short},
    },
    context::{app, ctx, query},
    error::{AppError, form_error, refused, upper},
    frame::page,
    pages::{instances::fields::problem, restore::way},
};

const PATH: &str = "/restore/in-place";
const FRAME: Frame = Frame {
    title: "Restore in place",
    heading: "Restore in place",
    lede: "The instance gets the root disk of a snapshot back. It keeps its id, its addresses and its other volumes.",
};

/// `/restore/in-place?service=…&instance=…&date=…`, `/restore/in-place?snapshot=…`.
#[component]
pub fn RestoreInstance() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    page(async move {
        let typed = Typed::read(&query);
        let (now, zone) = (ctx.now(), &shared.zone);
        let s = match choice(&ctx, PATH, &typed, zone).await? {
            Choice::Open(panel) => return Ok(FRAME.page(None, steps(false), error.as_ref().map(refused), panel)),
            Choice::Chosen(s) => *s,
        };
        let service = s.service_name.clone().unwrap_or_default();
        let again = way::in_place_of(&[("snapshot", &s.row.id.to_string())]);
        let kept = [query.get("reason"), query.get("to_addr_success"), query.get("to_addr_error")].map(Option::unwrap_or_default);
        let (shown, can) = match inplace::preview(&ctx, shared.vault.env(), &service, domain::id::SnapshotId(s.row.id)).await {
            Ok(p) => (preview(&p, &again, &kept, error.as_ref(), now, zone), p.look.found.method.is_some()),
            Err(e @ (OpsError::Conflict(_) | OpsError::Invalid(_))) => {
                (in_the_way("The instance cannot be looked at", &AppError::from(e).message, again.clone()), false)
            }
            Err(e) => return Err(e),
        };
        let other = error.as_ref().filter(|e| ["confirm", "reason", "to_addr_success", "to_addr_error"].iter().all(|f| e.field(f).is_none()));
        let shown = view! { {chosen(PATH, &typed, &s, now, zone)}{shown} };
        Ok(FRAME.page(Some(&s), steps(can), other.map(refused), shown.into_any()))
    })
}

fn steps(looked: bool) -> Vec<(&'static str, Option<String>)> {
    vec![("Preview", looked.then(|| "all is met".to_owned())), ("Confirm", None)]
}

fn preview(p: &Preview, again: &str, kept: &[String; 3], error: Option<&AppError>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let method = p.look.found.method;
    let looked = format!("looked at {}", short(p.looked_at, now, zone));
    view! {
        <section class="stack" aria-labelledby="pvh" id="preview"><h2 class="vh" id="pvh">"2. Preview"</h2>
            <div class="grid grid--aside-w">{checks(&p.look.found.preconditions, method, &looked)}{changes(p, now, zone)}</div>
        </section>
        {match method {
            Some(method) => consent(p, method, kept, error, now, zone),
            None => cannot(p, again),
        }}
    }
    .into_any()
}

const fn way_words(method: Method) -> &'static str {
    match method {
        Method::Rebuild => "Nova rebuilds the instance from the image of the snapshot.",
        Method::Revert => "Cinder reverts the root volume to its snapshot.",
        Method::ReplaceRoot => "An image is made of the volume snapshot, and Nova writes the root volume anew from it.",
    }
}

/// What stays, what is lost, and what is kept of it.
fn changes(p: &Preview, now: Timestamp, zone: &TimeZone) -> AnyView {
    let taken = Timestamp(p.snapshot.taken_at);
    let addresses: Vec<String> = p.look.server.iter().flat_map(|s| s.networks.iter().flat_map(|n| n.addresses.clone())).collect();
    let found = &p.look.found;
    let way = found.method.map_or_else(
        || "none: not everything that one needs is met".into_any(),
        |m| view! { {upper(m.words())}<span class="sub">{way_words(m)}</span> }.into_any(),
    );
    let (kept, undone) = if found.method == Some(Method::Revert) {
        (
            "a copy of the volume as it is now, made first; delete it yourself when it is no longer needed",
            "a revert that was ordered is not undone: the copy has the disk of before",
        )
    } else {
        (
            "the safety snapshot of what is on the disk, taken when the instance is down",
            "a failure, a cancel or a crash brings back the disk of before and starts it",
        )
    };
    let untouched = if found.untouched.is_empty() { "it has no other volume".to_owned() } else { found.untouched.join(", ") };
    let body = view! {
        <div class="panel__body"><dl class="kv">
            <dt>"Way"</dt><dd>{way}</dd>
            <dt>"Lost"</dt><dd>{format!("all that was written to its root disk since {}", full(taken, zone))}<span class="sub">{format!("that is {}", relative(taken, now))}</span></dd>
            <dt>"Kept of it"</dt><dd><span class="mono brk">{p.safety.clone()}</span><span class="sub">{kept}</span></dd>
            <dt>"Other volumes"</dt><dd class="brk">{untouched}<span class="sub">"they stay as they are now, also where the snapshot has them"</span></dd>
            <dt>"Addresses"</dt><dd class="mono brk">{if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") }}</dd>
            <dt>"Meanwhile"</dt><dd>"the instance is down"<span class="sub">{undone}</span></dd>
        </dl></div>
    };
    panel("changes", "What would happen", Some("nothing has been changed".to_owned()), None, body.into_any()).into_any()
}

fn cannot(p: &Preview, again: &str) -> AnyView {
    let clone = way::clone_of(&[("snapshot", &p.snapshot.id.to_string())]);
    let body = view! {
        <div class="panel__body"><div class="callout callout--fail">{icon("i-fail")}<b>"This instance cannot be restored in place now"</b>
            <div>"What is not met says what to do. A clone of the snapshot does not depend on the instance."</div></div>
            <div class="row"><a class="btn" href=again.to_owned()>"Look again"</a><a class="btn" href=clone>"Make a clone instead"</a></div></div>
    };
    panel("confirm", "3. Confirm", None, None, body.into_any()).into_any()
}

fn consent(p: &Preview, method: Method, kept: &[String; 3], error: Option<&AppError>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let wrong = |field: &str| error.and_then(|e| e.field(field));
    let invalid = |field: &str| wrong(field).is_some().then_some("true");
    let [reason, success, failed] = kept.clone();
    let mail = |name: &'static str, value: String, hint: &'static str| {
        let (hint_id, described) = (format!("{name}-h"), format!("{name}-h {name}-e"));
        view! {
            <div class="field"><label for=name>{name}</label>
                <input class="input" id=name name=name type="email" multiple value=value autocomplete="off" aria-invalid=invalid(name) aria-describedby=described/>
                <span class="field__hint" id=hint_id>{hint}</span>{problem(name, wrong(name))}</div>
        }
    };
    let taken = Timestamp(p.snapshot.taken_at);
    let body = view! {
        <div class="panel__body"><form class="form" action=Order::url() method="post">
            <input type="hidden" name="service" value=p.service.name.clone()/><input type="hidden" name="snapshot" value=p.snapshot.id.to_string()/>
            <div class="callout callout--warn">{icon("i-warn")}<b>{format!("In place, on {} itself: {}", p.native.server.name, method.words())}</b>
                <div>{format!("It goes down, and its root disk becomes that of {}. What was written since is in {} alone.", short(taken, now, zone), if method == Method::Revert { "a copy of the volume" } else { "the safety snapshot" })}</div></div>
            <div class="field"><label for="confirm">"Type the service's name to confirm"</label>
                <input class="input input--w" id="confirm" name="confirm" autocomplete="off" spellcheck="false" required aria-invalid=invalid("confirm") aria-describedby="confirm-h confirm-e"/>
                <span class="field__hint" id="confirm-h">"Its name is "<code>{p.service.name.clone()}</code></span>{problem("confirm", wrong("confirm"))}</div>
            <div class="field"><label for="reason">"Reason"</label>
                <input class="input" id="reason" name="reason" value=reason maxlength="500" required autocomplete="off" aria-invalid=invalid("reason") aria-describedby="reason-h reason-e"/>
                <span class="field__hint" id="reason-h">"For whoever reads this in a year. It stands with the run."</span>{problem("reason", wrong("reason"))}</div>
            <div class="form__row">{mail("to_addr_success", success, "Mailed when it is done")}{mail("to_addr_error", failed, "Mailed when something went wrong")}</div>
            <div class="row"><button class="btn btn--danger">"Restore in place"</button><a class="btn btn--quiet" href=format!("/snapshots/{}", p.snapshot.id)>"Leave without restoring"</a></div>
            <p class="sm muted">"The work runs on the server: this page can be closed. The cloud is asked anew before anything is touched."</p>
        </form></div>
    };
    panel("confirm", "3. Confirm", None, None, body.into_any()).into_any()
}
