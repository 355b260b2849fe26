//! The words of `domain` as the document shows them, and times.
//!
//! Lives here: schemas of enumerations whose types are pure and know no OpenAPI. May not: other words than `domain`'s.

use domain::run::{ItemState, RunKind, RunState, StepState};
use jiff::Timestamp;
use utoipa::openapi::{ObjectBuilder, Type};

fn one_of(words: Vec<&'static str>, what: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what))
}

pub fn run_kind() -> ObjectBuilder {
    one_of(RunKind::ALL.iter().map(|k| k.as_str()).collect(), "What a run does")
}

pub fn run_state() -> ObjectBuilder {
    one_of(RunState::ALL.iter().map(|s| s.as_str()).collect(), "Where a run stands")
}

pub fn step_state() -> ObjectBuilder {
    one_of(StepState::ALL.iter().map(|s| s.as_str()).collect(), "Where a step stands; tolerated: it failed without failing the run")
}

pub fn item_state() -> ObjectBuilder {
    one_of(ItemState::ALL.iter().map(|s| s.as_str()).collect(), "How one item went; partial: files are missing, each of them named")
}

/// A stored moment.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
