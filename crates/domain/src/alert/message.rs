//! What a message says, before any channel gives it a form.
//!
//! Lives here: the events and the message. May not: mail, JSON of a vendor, addresses.

use serde::{Deserialize, Serialize};

use super::{AlertKind, Entity, Severity, Subject, Wanted};
use crate::{
    id::{AlertId, RunId},
    run::text_enum,
    units::{Timestamp, span},
};

text_enum! {
    /// Why a message is sent.
    Event { Opened => "opened", Worsened => "worsened", Reminder => "reminder", Resolved => "resolved", Success => "success", Test => "test" }
}

impl Event {
    /// The word in front of a headline.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Opened => "new",
            Self::Worsened => "worse",
            Self::Reminder => "still",
            Self::Resolved => "resolved",
            Self::Success => "succeeded",
            Self::Test => "test",
        }
    }
}

/// One message, stored with its delivery so that every attempt says the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub event: Event,
    pub severity: Severity,
    #[serde(default)]
    pub kind: Option<AlertKind>,
    /// One line, such as “Accounting Portal is 27 h past its RPO”.
    pub headline: String,
    pub text: String,
    pub entity: Option<Entity>,
    pub name: String,
    pub title: String,
    /// The short name of the service, where it is about one.
    pub service: Option<String>,
    pub alert: Option<AlertId>,
    pub run: Option<RunId>,
    /// When it began.
    pub since: Timestamp,
    /// When the message was made.
    pub at: Timestamp,
    /// The path of the page that shows it, from `/`.
    pub path: String,
}

impl Message {
    /// A message about an alert that is open.
    pub fn of_alert(event: Event, id: AlertId, w: &Wanted, service: Option<&str>, opened_at: Timestamp, now: Timestamp) -> Self {
        let Subject { entity, name, title, .. } = &w.subject;
        Self {
            event,
            severity: w.severity(),
            kind: Some(w.condition.kind()),
            headline: format!("{title} {}", w.condition.clause(now)),
            text: w.condition.explain(now),
            entity: Some(*entity),
            name: name.clone(),
            title: title.clone(),
            service: service.map(str::to_owned),
            alert: Some(id),
            run: w.run,
            since: opened_at,
            at: now,
            path: w.path(service),
        }
    }

    /// The end of an alert. `was` is what was wrong, as it was told last.
    pub fn resolved(id: AlertId, w: &Wanted, service: Option<&str>, was: &str, opened_at: Timestamp, now: Timestamp) -> Self {
        let lasted = span(now.secs_since(opened_at).max(0.0).round());
        Self {
            headline: format!("{}: {} is over", w.subject.title, w.condition.kind().words()),
            text: format!("It lasted {lasted}. What was wrong: {was}"),
            ..Self::of_alert(Event::Resolved, id, w, service, opened_at, now)
        }
    }

    /// The success of a run. `text` has its figures.
    pub fn success(run: RunId, run_title: &str, text: String, service: Option<(&str, &str)>, started_at: Timestamp, now: Timestamp) -> Self {
        let (name, title) = service.unwrap_or((run_title, run_title));
        Self {
            event: Event::Success,
            severity: Severity::Info,
            kind: None,
            headline: format!("{run_title} succeeded"),
            text,
            entity: service.map(|_| Entity::Service),
            name: name.to_owned(),
            title: title.to_owned(),
            service: service.map(|(name, _)| name.to_owned()),
            alert: None,
            run: Some(run),
            since: started_at,
            at: now,
            path: format!("/runs/{run}"),
        }
    }

    /// What an admin sends to see whether a channel works.
    pub fn test(channel: &str, by: &str, now: Timestamp) -> Self {
        Self {
            event: Event::Test,
            severity: Severity::Info,
            kind: None,
            headline: format!("A test of the channel {channel}"),
            text: format!("{by} asked for this message. If you read it, the channel works; nothing is wrong."),
            entity: None,
            name: channel.to_owned(),
            title: channel.to_owned(),
            service: None,
            alert: None,
            run: None,
            since: now,
            at: now,
            path: "/notifications".to_owned(),
        }
    }
}

impl Wanted {
    /// The path of the page that shows it best.
    pub fn path(&self, service: Option<&str>) -> String {
        if matches!(self.condition.kind(), AlertKind::ReviewOverdue | AlertKind::ReviewDue) {
            return format!("/services/{}/reviews", self.subject.name);
        }
        match (self.test, self.run, self.subject.entity) {
            (Some(test), ..) => format!("/tests/{test}"),
            (None, Some(run), _) => format!("/runs/{run}"),
            (_, _, Entity::Channel) => "/notifications".to_owned(),
            (_, _, Entity::Service) => format!("/services/{}", self.subject.name),
            _ => service.map_or_else(|| "/".to_owned(), |s| format!("/services/{s}")),
        }
    }
}
