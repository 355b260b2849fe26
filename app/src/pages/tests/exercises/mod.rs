//! Exercises: recovery done by people in ordered steps, and past ones that were typed in. Shown apart from restore tests.

pub mod act;
pub mod form;
pub mod list;
pub mod show;

use domain::{
    evidence::Verdict,
    exercise::{State, StepState},
};
use leptos::prelude::*;
use store::exercises::ExerciseRow;

use crate::components::{
    status::{Tone, chip_with},
    test::verdict_chip,
};

/// How an exercise stands.
fn state_chip(row: &ExerciseRow) -> AnyView {
    match State::parse(&row.state) {
        Some(State::Finished) => verdict_chip(row.verdict.as_deref().and_then(Verdict::parse)),
        Some(State::Cancelled) => chip_with(Tone::None, "i-skip", "cancelled"),
        _ => chip_with(Tone::Run, "i-run", "under way"),
    }
}

/// The mark of one that was done elsewhere; nothing for the others.
fn imported(row: &ExerciseRow) -> AnyView {
    if row.is_imported() { view! { <span class="tag">"imported"</span> }.into_any() } else { ().into_any() }
}

/// Shape and tone of a step.
const fn step_sign(state: StepState) -> (&'static str, &'static str) {
    match state {
        StepState::Open => ("i-none", "s-none"),
        StepState::Running => ("i-run", "s-run"),
        StepState::Done => ("i-ok", "s-ok"),
        StepState::Failed => ("i-fail", "s-fail"),
        StepState::Skipped => ("i-skip", "s-none"),
        StepState::Unknown => ("i-unknown", "s-none"),
    }
}
