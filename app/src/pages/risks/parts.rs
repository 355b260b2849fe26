//! Parts that the pages of risks share: chips of levels and proofs, lists of measures.
//!
//! Lives here: markup from values. May not: deriving states.

use domain::risk::{proof::State, scale::Tone as Grade};
use leptos::prelude::*;
use ops::risks::{Judged, Measured};

use crate::{
    components::{
        icon,
        status::{Tone, chip, chip_with},
    },
    error::upper,
};

/// The level with its product.
pub fn level_chip(j: &Judged) -> AnyView {
    let words = format!("{} {}", j.level.to_lowercase(), j.risk().score());
    match j.tone {
        Grade::Low => chip_with(Tone::None, "i-info", words),
        Grade::Medium => chip(Tone::Warn, words),
        Grade::High | Grade::Extreme => chip(Tone::Fail, words),
    }
}

/// The class of a cell of the matrix.
pub const fn grade_class(grade: Grade) -> &'static str {
    match grade {
        Grade::Low => "m-low",
        Grade::Medium => "m-med",
        Grade::High => "m-high",
        Grade::Extreme => "m-ext",
    }
}

pub fn state_chip(state: State) -> AnyView {
    match state {
        State::Green => chip(Tone::Ok, state.words()),
        State::Red => chip(Tone::Fail, state.words()),
        State::Grey => chip(Tone::None, state.words()),
    }
}

/// The measures of a risk, each with how its proof stands and why.
pub fn measures(all: &[Measured]) -> AnyView {
    if all.is_empty() {
        return view! { <b>"None"</b> }.into_any();
    }
    let rows = all.iter().map(|m| view! { <li>{m.measure.text.clone()}" "<span class="nowrap">{state_chip(m.standing.state)}</span><span class="sub">{upper(&m.standing.words())}</span></li> });
    view! { <ul class="measures">{rows.collect_view()}</ul> }.into_any()
}

/// What is wrong with a risk, gravest first: a broken proof, a conflict, what is missing.
pub fn findings(j: &Judged) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = j.reasons.iter().map(|r| ("A measure is broken", r.clone())).collect();
    all.extend(j.conflict.iter().map(|c| ("The stated level contradicts the rating", upper(c))));
    if !j.incomplete.is_empty() {
        let names: Vec<_> = j.incomplete.iter().map(|m| m.words()).collect();
        all.push(("It is incomplete", format!("It is {} and lacks: {}.", j.level.to_lowercase(), names.join(", "))));
    }
    all
}

pub fn callout(title: &str, text: &str) -> AnyView {
    view! { <div class="callout callout--fail">{icon("i-fail")}<b>{title.to_owned()}</b><div>{text.to_owned()}</div></div> }.into_any()
}
