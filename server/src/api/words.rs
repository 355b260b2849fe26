//! The words of `domain` as the document shows them, and times.
//!
//! Lives here: schemas of enumerations whose types are pure and know no OpenAPI. May not: other words than `domain`'s.

use domain::{
    alert::{AlertKind, Entity, Severity, message::Event},
    channel::{ChannelKind, Encryption},
    run::{ItemState, RunKind, RunState, StepState},
    schedule::{Misfire, Missed, ScheduleKind, TickState},
};
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

pub fn alert_kind() -> ObjectBuilder {
    one_of(AlertKind::ALL.iter().map(|k| k.as_str()).collect(), "What is wrong, the gravest first")
}

pub fn severity() -> ObjectBuilder {
    one_of(Severity::ALL.iter().map(|s| s.as_str()).collect(), "How grave it is")
}

pub fn entity() -> ObjectBuilder {
    one_of(Entity::ALL.iter().map(|e| e.as_str()).collect(), "What an alert is about")
}

pub fn event() -> ObjectBuilder {
    one_of(Event::ALL.iter().map(|e| e.as_str()).collect(), "Why a message is sent")
}

pub fn channel_kind() -> ObjectBuilder {
    one_of(ChannelKind::ALL.iter().map(|k| k.as_str()).collect(), "How messages travel; slack stands for Mattermost as well")
}

pub fn encryption() -> ObjectBuilder {
    one_of(Encryption::ALL.iter().map(|e| e.as_str()).collect(), "How a connection to a mail server is protected")
}

pub fn schedule_kind() -> ObjectBuilder {
    one_of(ScheduleKind::ALL.iter().map(|k| k.as_str()).collect(), "What a schedule starts")
}

pub fn misfire() -> ObjectBuilder {
    one_of(Misfire::ALL.iter().map(|m| m.as_str()).collect(), "What becomes of ticks that came while Holdfast was down; once where it is left out")
}

pub fn tick_state() -> ObjectBuilder {
    one_of(TickState::ALL.iter().map(|s| s.as_str()).collect(), "Where a tick stands; open: its run is live; missed: it has none")
}

pub fn missed() -> ObjectBuilder {
    one_of(Missed::ALL.iter().map(|m| m.as_str()).collect(), "Why a tick has no run")
}

/// A stored moment.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
