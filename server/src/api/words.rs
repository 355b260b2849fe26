//! The words of `domain` as the document shows them, and times.
//!
//! Lives here: schemas of enumerations whose types are pure and know no OpenAPI. May not: other words than `domain`'s.

use domain::{
    alert::{AlertKind, Entity, Severity, message::Event},
    availability::{
        Origin,
        source::{Format, Version},
    },
    channel::{ChannelKind, Encryption},
    definition::Compare,
    plan::State as PlanState,
    review::ReviewKind,
    risk::{ReviewState, Treatment, proof},
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

pub fn compare() -> ObjectBuilder {
    one_of(Compare::ALL.iter().map(|c| c.as_str()).collect(), "How the value is compared with what is expected")
}

pub fn schedule_kind() -> ObjectBuilder {
    one_of(ScheduleKind::ALL.iter().map(|k| k.as_str()).collect(), "What a schedule starts")
}

pub fn misfire() -> ObjectBuilder {
    one_of(Misfire::ALL.iter().map(|m| m.as_str()).collect(), "What becomes of ticks that came while Holdfast was down; once where it is left out")
}

pub fn plan_state() -> ObjectBuilder {
    one_of(PlanState::ALL.iter().map(|s| s.as_str()).collect(), "Where a version of a plan stands; what is approved, superseded or discarded never changes")
}

pub fn tick_state() -> ObjectBuilder {
    one_of(TickState::ALL.iter().map(|s| s.as_str()).collect(), "Where a tick stands; open: its run is live; missed: it has none")
}

pub fn missed() -> ObjectBuilder {
    one_of(Missed::ALL.iter().map(|m| m.as_str()).collect(), "Why a tick has no run")
}

pub fn treatment() -> ObjectBuilder {
    one_of(Treatment::ALL.iter().map(|t| t.as_str()).collect(), "What is done about a risk")
}

pub fn review_state() -> ObjectBuilder {
    one_of(ReviewState::ALL.iter().map(|r| r.as_str()).collect(), "How far people have looked at a risk")
}

pub fn proof_state() -> ObjectBuilder {
    one_of(proof::State::ALL.iter().map(|s| s.as_str()).collect(), "green: proven; red: broken; grey: nothing here can tell")
}

pub fn figure_origin() -> ObjectBuilder {
    one_of(Origin::ALL.iter().map(|o| o.as_str()).collect(), "Who says so: a person, or ARGO's API")
}

pub fn argo_version() -> ObjectBuilder {
    one_of(Version::ALL.iter().map(|v| v.as_str()).collect(), "The version of ARGO's API")
}

pub fn argo_format() -> ObjectBuilder {
    one_of(Format::ALL.iter().map(|f| f.as_str()).collect(), "The form in which answers are asked for; json where it is left out")
}

pub fn review_kind() -> ObjectBuilder {
    one_of(ReviewKind::ALL.iter().map(|k| k.as_str()).collect(), "What is reviewed")
}

/// A stored moment.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
