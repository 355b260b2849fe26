//! What each kind of channel expects in a request's body.
//!
//! Lives here: our own webhook's JSON, Slack's and Mattermost's attachments, Teams' adaptive card, PagerDuty's events.
//! May not: sending. Every text is bounded by what the other side takes.

use domain::{
    alert::{
        Severity,
        message::{Event, Message},
    },
    id::DeliveryId,
    units::Timestamp,
};
use serde_json::{Value, json};

/// Limits of the other sides, in characters.
const SUMMARY: usize = 1_024; // PagerDuty, Events API v2: payload.summary
const TEXT: usize = 3_000; // Slack: a text in an attachment

/// RFC 3339 in UTC.
fn at(t: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(t.0).unwrap_or_default().to_string()
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most - 1) {
        Some((end, _)) if text.chars().nth(most).is_some() => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

/// “critical”, “resolved”, “succeeded”: what stands first.
pub fn lead(m: &Message) -> &'static str {
    match m.event {
        Event::Resolved | Event::Success | Event::Test => m.event.words(),
        Event::Reminder => "still",
        Event::Opened | Event::Worsened => m.severity.as_str(),
    }
}

/// What a person reads in one line, such as “Critical: Hub has no copy at all”.
pub fn title(m: &Message) -> String {
    let lead = lead(m);
    let mut chars = lead.chars();
    let lead: String = chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default();
    format!("{lead}: {}", m.headline)
}

/// Names and values below the text.
pub fn facts(m: &Message) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(kind) = m.kind {
        facts.push(("What", format!("{}, {}", kind.words(), m.severity)));
    }
    if let Some(entity) = m.entity {
        let name = if m.title == m.name { m.name.clone() } else { format!("{} ({})", m.title, m.name) };
        let word = entity.as_str();
        facts.push((
            match word {
                "service" => "Service",
                "source" => "Source",
                "repository" => "Repository",
                "schedule" => "Schedule",
                "hold" => "Hold",
                _ => "Channel",
            },
            name,
        ));
    }
    if m.event != Event::Test {
        facts.push(("Since", at(m.since)));
    }
    facts
}

/// The generic webhook, version 1. It is described in the API's document.
pub fn webhook(id: DeliveryId, m: &Message, link: Option<&str>) -> Value {
    json!({
        "version": 1,
        "id": id,
        "event": m.event,
        "severity": m.severity,
        "kind": m.kind,
        "headline": m.headline,
        "text": m.text,
        "subject": m.entity.map(|e| json!({ "kind": e, "name": m.name, "title": m.title })),
        "service": m.service,
        "alert": m.alert,
        "run": m.run,
        "since": at(m.since),
        "at": at(m.at),
        "link": link,
    })
}

/// Slack's message with an attachment, which Mattermost takes as well.
/// Source: Slack, “Reference: secondary message attachments”; Mattermost, “Message attachments”.
pub fn slack(id: DeliveryId, m: &Message, link: Option<&str>) -> Value {
    // Slack gives these three signs a meaning; Mattermost shows the entities as what they stand for.
    let safe = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let color = match (m.event, m.severity) {
        (Event::Resolved | Event::Success, _) => "#2e7d4f",
        (Event::Test, _) | (_, Severity::Info) => "#5b6b7b",
        (_, Severity::Warning) => "#b7791f",
        (_, Severity::Critical) => "#b3261e",
    };
    let fields: Vec<Value> = facts(m).into_iter().map(|(name, value)| json!({ "title": name, "value": safe(&value), "short": true })).collect();
    let mut attachment = json!({
        "fallback": cut(&safe(&title(m)), TEXT),
        "color": color,
        "title": cut(&safe(&m.headline), TEXT),
        "text": cut(&safe(&m.text), TEXT),
        "fields": fields,
        "footer": format!("Holdfast, message {id}"),
    });
    if let Some(link) = link {
        attachment["title_link"] = json!(link);
    }
    json!({ "text": cut(&safe(&title(m)), TEXT), "attachments": [attachment] })
}

/// A Teams workflow's message with one adaptive card.
/// Source: Microsoft Teams, “Create incoming webhooks with Workflows”; Adaptive Cards schema 1.4.
pub fn teams(id: DeliveryId, m: &Message, link: Option<&str>) -> Value {
    let color = match (m.event, m.severity) {
        (Event::Resolved | Event::Success, _) => "Good",
        (Event::Test, _) | (_, Severity::Info) => "Default",
        (_, Severity::Warning) => "Warning",
        (_, Severity::Critical) => "Attention",
    };
    let rows: Vec<Value> = facts(m).into_iter().map(|(name, value)| json!({ "title": name, "value": value })).collect();
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": title(m),
        "msteams": { "width": "Full" },
        "body": [
            { "type": "TextBlock", "text": title(m), "weight": "Bolder", "size": "Medium", "color": color, "wrap": true },
            { "type": "TextBlock", "text": m.text, "wrap": true },
            { "type": "FactSet", "facts": rows },
            { "type": "TextBlock", "text": format!("Holdfast, message {id}"), "isSubtle": true, "size": "Small", "wrap": true },
        ],
    });
    if let Some(link) = link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open in Holdfast", "url": link }]);
    }
    json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card }] })
}

/// An event of PagerDuty's Events API v2. The alert's id is the key that joins its events to one incident.
/// Source: PagerDuty, “Events API v2: send an alert event”.
pub fn pagerduty(action: &str, routing_key: &str, id: DeliveryId, m: &Message, link: Option<&str>) -> Value {
    let dedup_key = m.alert.map_or_else(|| id.to_string(), |a| a.to_string());
    if action == "resolve" {
        return json!({ "routing_key": routing_key, "event_action": action, "dedup_key": dedup_key });
    }
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": dedup_key,
        "client": "Holdfast",
        "payload": {
            "summary": cut(&m.headline, SUMMARY),
            "source": m.service.as_deref().unwrap_or(&m.name),
            "severity": m.severity,
            "timestamp": at(m.since),
            "component": m.name,
            "class": m.kind.map_or("test", |k| k.as_str()),
            "custom_details": { "text": m.text, "event": m.event, "message": id },
        },
    });
    if let Some(link) = link {
        event["client_url"] = json!(link);
        event["links"] = json!([{ "href": link, "text": "Open in Holdfast" }]);
    }
    event
}

/// A change event, which informs and wakes nobody.
/// Source: PagerDuty, “Events API v2: send a change event”.
pub fn pagerduty_change(routing_key: &str, m: &Message, link: Option<&str>) -> Value {
    let mut event = json!({
        "routing_key": routing_key,
        "payload": {
            "summary": cut(&m.headline, SUMMARY),
            "source": m.service.as_deref().unwrap_or(&m.name),
            "timestamp": at(m.at),
            "custom_details": { "text": m.text },
        },
    });
    if let Some(link) = link {
        event["links"] = json!([{ "href": link, "text": "Open in Holdfast" }]);
    }
    event
}
