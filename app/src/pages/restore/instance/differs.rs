//! Step 2 of a clone: what it gets that the instance had not.
//!
//! Lives here: the form, which changes nothing but the address. May not: judging what was typed.

use domain::instance::{MOST_CLONE_DAYS, NativeSnapshot, clone_name};
use domain::units::Timestamp;
use leptos::prelude::*;

use super::state::{ON, Typed};
use crate::{
    components::panel,
    pages::instances::{fields::problem, parts::flavour_words},
};

/// The form. `hooks` are those of the file of `--test-tools`.
pub fn form(path: &'static str, typed: &Typed, n: &NativeSnapshot, hooks: &[String], now: Timestamp, wrong: &impl Fn(&str) -> Option<String>) -> AnyView {
    let had = &n.server;
    let invalid = |field: &str| wrong(field).is_some().then_some("true");
    let text = |name: &'static str, value: &str, placeholder: String, hint: String| {
        let (hint_id, described) = (format!("{name}-h"), format!("{name}-h {name}-e"));
        view! {
            <div class="field"><label for=name>{name}</label>
                <input class="input input--mono" id=name name=name value=value.to_owned() placeholder=placeholder autocomplete="off" spellcheck="false" aria-invalid=invalid(name) aria-describedby=described/>
                <span class="field__hint" id=hint_id>{hint}</span>{problem(name, wrong(name))}</div>
        }
    };
    let mail = |name: &'static str, value: &str, hint: &'static str| {
        let (hint_id, described) = (format!("{name}-h"), format!("{name}-h {name}-e"));
        view! {
            <div class="field"><label for=name>{name}</label>
                <input class="input" id=name name=name type="email" multiple value=value.to_owned() autocomplete="off" aria-invalid=invalid(name) aria-describedby=described/>
                <span class="field__hint" id=hint_id>{hint}</span>{problem(name, wrong(name))}</div>
        }
    };
    let known = if had.flavour.name.is_empty() {
        "Nobody knows what the instance had: name one".to_owned()
    } else {
        format!("Empty: {}, {}", had.flavour.name, flavour_words(&had.flavour))
    };
    let zone = had.zone.clone().filter(|z| !z.is_empty());
    let names: Vec<String> = had.networks.iter().map(|n| if n.network_name.is_empty() { n.network.clone() } else { n.network_name.clone() }).collect();
    let same = if names.is_empty() { "The instance had none".to_owned() } else { format!("{}, with new addresses", names.join(", ")) };
    let network = |value: &'static str, title: &'static str, what: String| {
        let on = typed.networks == value || (value == "same" && !["none", "these"].contains(&typed.networks.as_str()));
        view! { <label class="choice"><input type="radio" name="networks" value=value checked=on/><b>{title}</b><span>{what}</span></label> }
    };
    let had_metadata = had.metadata.keys().take(8).cloned().collect::<Vec<_>>().join(", ");
    let metadata_hint = if had_metadata.is_empty() { "The instance had none.".to_owned() } else { format!("All of the instance's is copied: {had_metadata}.") };
    let hook = (!hooks.is_empty()).then(|| {
        let options = hooks.iter().map(|h| view! { <option value=h.clone() selected=*h == typed.hook>{h.clone()}</option> }).collect_view();
        view! {
            <div class="field"><label for="hook">"Hook"</label>
                <select class="select" id="hook" name="hook" aria-invalid=invalid("hook") aria-describedby="hook-h hook-e"><option value="">"None"</option>{options}</select>
                <span class="field__hint" id="hook-h">"Called when the clone runs, for a DNS alias for example"</span>{problem("hook", wrong("hook"))}</div>
        }
    });
    let again = !typed.asked.is_empty();
    let (class, button) = if again { ("btn", "Use these choices") } else { ("btn btn--primary", "Continue to the preview") };
    let body = view! {
        <div class="panel__body"><form class="form" method="get" action=path>
            <input type="hidden" name="asked" value=ON/><input type="hidden" name="service" value=typed.service.clone()/>
            <input type="hidden" name="snapshot" value=typed.snapshot.clone()/>
            <div class="form__row">
                {text("clone_name", &typed.clone_name, clone_name(&had.name, now), "Empty: the instance and the minute".to_owned())}
                {text("flavour", &typed.flavour, had.flavour.name.clone(), known)}
                {text("availability_zone", &typed.availability_zone, zone.clone().unwrap_or_default(), zone.map_or_else(|| "Empty: the cloud chooses".to_owned(), |z| format!("Empty: {z}, as the instance")))}
                <div class="field"><label for="days">"days"</label>
                    <input class="input" id="days" name="days" type="number" min="1" max=MOST_CLONE_DAYS.to_string() value=typed.days.clone() autocomplete="off" aria-invalid=invalid("days") aria-describedby="days-h days-e"/>
                    <span class="field__hint" id="days-h">"Then it is deleted with its volumes. It can be given more time."</span>{problem("days", wrong("days"))}</div>
            </div>
            <fieldset class="choices choices--2"><legend class="field__label">"Networks"</legend>
                {network("same", "Those of the instance", same)}{network("none", "None", "The clone cannot be reached, and disturbs nobody".to_owned())}{network("these", "These", "Named below, by id or name".to_owned())}</fieldset>
            <div class="form__row">
                <div class="field"><label for="network_names">"Networks by name"</label>
                    <input class="input input--mono" id="network_names" name="network_names" value=typed.network_names.clone() autocomplete="off" spellcheck="false" aria-invalid=invalid("networks") aria-describedby="network_names-h networks-e"/>
                    <span class="field__hint" id="network_names-h">"With commas between them. Used for “These” alone."</span>{problem("networks", wrong("networks"))}</div>
                <div class="field"><label for="metadata">"metadata"</label>
                    <textarea class="textarea" id="metadata" name="metadata" rows="3" spellcheck="false" aria-invalid=invalid("metadata") aria-describedby="metadata-h metadata-e">{typed.metadata.clone()}</textarea>
                    <span class="field__hint" id="metadata-h">{format!("What differs, one a line: key = value, or - key to leave one out. {metadata_hint}")}</span>{problem("metadata", wrong("metadata"))}</div>
            </div>
            <div class="form__row">{mail("to_addr_success", &typed.to_addr_success, "Mailed when it runs")}{mail("to_addr_error", &typed.to_addr_error, "Mailed when something went wrong")}{hook}</div>
            <label class="check"><input type="checkbox" name="wait" checked=!typed.wait.is_empty()/><span><b>"wait"</b><span class="sub">"The run ends when the clone runs. Otherwise it ends when the cloud has accepted it."</span></span></label>
            <p class="row"><button class=class>{button}</button></p>
        </form></div>
    };
    panel("differs", "2. What it gets", None, None, body.into_any()).into_any()
}
