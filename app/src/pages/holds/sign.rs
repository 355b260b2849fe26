//! How a hold and a doubt look on the pages of what they are about.
//!
//! Lives here: chips and callouts. May not: deciding.

use leptos::prelude::*;
use ops::holds::{State, state};
use store::{
    holds::HoldRow,
    snapshots::{Doubt, ListedSnapshot},
};

use crate::components::{
    icon,
    status::{Tone, chip},
};

/// A chip that says how a hold stands.
pub fn state_chip(state: State) -> AnyView {
    match state {
        State::Undecided => chip(Tone::Hold, "waits for a decision"),
        State::Kept => chip(Tone::Fail, "kept: bad since"),
        State::Standing => chip(Tone::Hold, "on hold"),
        State::Ended => chip(Tone::None, "ended"),
    }
}

/// A chip on a snapshot that is in question or bad; nothing on the others.
pub fn doubt_chip(s: &ListedSnapshot) -> AnyView {
    match s.doubt() {
        Some(Doubt::InQuestion) => chip(Tone::Hold, "in question"),
        Some(Doubt::Bad) => chip(Tone::Fail, "bad"),
        Some(Doubt::Accepted) | None => ().into_any(),
    }
}

/// A callout for each of the holds that stand over what a page shows, at most three; nothing where there is none.
pub fn callouts(holds: &[HoldRow]) -> AnyView {
    const SHOWN: usize = 3;
    let rows = holds.iter().take(SHOWN).map(|h| {
        let (class, symbol, title) = match state(h) {
            State::Undecided => ("callout callout--hold", "i-hold", "On hold by the guard: a person has to decide"),
            State::Kept => ("callout callout--fail", "i-fail", "An attack or an accident: restore from before it"),
            _ => ("callout callout--hold", "i-hold", "On hold: nothing of it is forgotten"),
        };
        view! { <div class=class>{icon(symbol)}<b>{title}</b><div>{crate::error::upper(&h.reason)}". "<a href=format!("/holds/{}", h.id)>"Open the hold"</a></div></div> }
    });
    let more = holds.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| view! { <p class="sm"><a href="/holds">{format!("{more} more holds stand")}</a></p> });
    if holds.is_empty() {
        return ().into_any();
    }
    view! { <div class="stack stack--sm mb-4">{rows.collect_view()}{rest}</div> }.into_any()
}
