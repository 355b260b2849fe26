//! What must be so before a cloud is touched, each with how it is and what to do about it.
//!
//! Lives here: markup from values. May not: asking a cloud.

use domain::instance::inplace::{Method, Precondition};
use leptos::prelude::*;

use crate::components::{icon, panel};

/// How one condition stands for the method that was found; another method's is no obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Met,
    Unmet,
    /// It is needed by a method alone that is not taken.
    Elsewhere,
}

fn stands(c: &Precondition, method: Option<Method>) -> Stands {
    match (c.ok, c.only_for) {
        (true, _) => Stands::Met,
        (false, Some(only)) if method.is_some_and(|m| m != only) => Stands::Elsewhere,
        (false, _) => Stands::Unmet,
    }
}

/// The panel of all conditions.
pub fn checks(all: &[Precondition], method: Option<Method>, looked: &str) -> AnyView {
    let unmet = all.iter().filter(|c| stands(c, method) == Stands::Unmet).count();
    let note = match unmet {
        0 => format!("all met, {looked}"),
        1 => format!("1 not met, {looked}"),
        n => format!("{n} not met, {looked}"),
    };
    let items = all
        .iter()
        .map(|c| {
            let (symbol, class, words) = match stands(c, method) {
                Stands::Met => ("i-ok", "s-ok", "Met"),
                Stands::Unmet => ("i-fail", "s-fail", "Not met"),
                Stands::Elsewhere => ("i-none", "s-none", "Not met, not needed"),
            };
            let only = c.only_for.map(|m| view! { <p class="sm muted">{format!("Needed to {} only.", m.words())}</p> });
            let remedy = (!c.remedy.is_empty()).then(|| view! { <p>{c.remedy.clone()}</p> });
            view! { <li>{sign(symbol, class)}<div><b>{name(c.id)}<span class="soft">{format!(" {}", words.to_lowercase())}</span></b><p>{c.text.clone()}</p>{remedy}{only}</div></li> }
        })
        .collect_view();
    panel("checks", "What must be so", Some(note), None, view! { <ul class="steps steps--plain">{items}</ul> }.into_any()).into_any()
}

/// What a condition is about, as people call it.
fn name(id: &str) -> &'static str {
    match id {
        "instance" => "Instance",
        "same_instance" => "Same instance",
        "boot_type" => "Boot type",
        "state" => "State",
        "idle" => "Idle",
        "unlocked" => "Lock",
        "hypervisor" => "Hypervisor",
        "snapshot_whole" => "What it is made of",
        "snapshot_there" => "In the cloud",
        "size" => "Size",
        "same_size" => "Same size",
        "safety" => "Safety snapshot",
        "root_volume" => "Root volume",
        "same_volume" => "Same volume",
        "latest" => "Latest",
        "detached" => "Detached",
        "microversion" => "Version of the API",
        "attachments" => "Volumes",
        "flavour" => "Flavour",
        "networks" => "Networks",
        "room" => "Room",
        "name" => "Name",
        _ => "Condition",
    }
}

fn sign(symbol: &str, class: &str) -> AnyView {
    view! { <svg class=format!("i {class}") aria-hidden="true"><use href=format!("/icons.svg#{symbol}")></use></svg> }.into_any()
}

/// A cloud that does not answer, or another thing in the way, with a way to look again.
pub fn in_the_way(title: &str, message: &str, again: String) -> AnyView {
    let (title, message) = (title.to_owned(), message.to_owned());
    let body = view! {
        <div class="panel__body"><div role="alert"><div class="callout callout--fail">{icon("i-fail")}<b>{title}</b><div>{message}</div></div></div>
            <div class="row"><a class="btn" href=again>"Look again"</a></div></div>
    };
    panel("preview", "Preview", Some("nothing has been changed".to_owned()), None, body.into_any()).into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_method_needs_is_no_obstacle() {
        let c = |ok, only_for| Precondition { id: "latest", ok, text: String::new(), remedy: String::new(), only_for };
        let revert = Some(Method::Revert);
        assert_eq!(stands(&c(false, revert), Some(Method::ReplaceRoot)), Stands::Elsewhere);
        assert_eq!(stands(&c(false, revert), revert), Stands::Unmet);
        assert_eq!(stands(&c(false, revert), None), Stands::Unmet);
        assert_eq!((stands(&c(true, None), None), stands(&c(false, None), revert)), (Stands::Met, Stands::Unmet));
    }
}
