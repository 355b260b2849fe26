//! The mails that a snapshot's own parameters ask for: `to_addr_success`, `to_addr_error`.
//!
//! Lives here: queueing them and their words. May not: sending (`notify` does), rules (`watchdogs::tell`).
//! They leave by the first mail channel, with its server and sender; a key lets each be queued once.

use domain::{
    alert::{
        Severity,
        message::{Event, Message},
    },
    channel::ChannelKind,
    id::RunId,
    units::Timestamp,
};
use store::{
    Tx, channels,
    deliveries::{self, NewDelivery},
    runs::RunRow,
    services,
};

/// Why no mail can leave.
pub const NO_CHANNEL: &str = "there is no mail channel, so no mail was sent; add one under Notifications";

/// How a snapshot went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    Well,
    Wrong,
}

/// Queues the mails; how many, or `None` where there is no channel for mail.
pub async fn queue(mut tx: Tx<'_>, run: &RunRow, went: Went, to: &[String], text: String, now: Timestamp) -> store::Result<Option<usize>> {
    if to.is_empty() {
        return Ok(Some(0));
    }
    let mail = |c: &channels::ChannelRow| c.kind().is_ok_and(|k| k == ChannelKind::Mail);
    let Some(channel) = channels::list(tx.by_ref()).await?.into_iter().find(mail) else { return Ok(None) };
    let service = match run.service_id {
        Some(id) => services::find(tx.by_ref(), domain::id::ServiceId(id)).await?.map(|s| (s.name, s.title)),
        None => None,
    };
    let names = service.as_ref().map(|(name, title)| (name.as_str(), title.as_str()));
    let begun = Timestamp(run.started_at.unwrap_or(run.queued_at));
    let message = match went {
        Went::Well => Message::success(run.id(), &run.title, text, names, begun, now),
        Went::Wrong => wrong(run.id(), &run.title, text, names, begun, now),
    };
    let word = if went == Went::Well { "success" } else { "error" };
    let mut queued = 0;
    for recipient in to {
        let new = NewDelivery { channel: channel.id(), recipient, dedup_key: format!("run:{}:snapshot:{word}:{recipient}", run.id), message: &message };
        queued += usize::from(deliveries::enqueue(tx.by_ref(), &new, now).await?.is_some());
    }
    Ok(Some(queued))
}

fn wrong(run: RunId, title: &str, text: String, service: Option<(&str, &str)>, begun: Timestamp, now: Timestamp) -> Message {
    let message = Message::success(run, title, text, service, begun, now);
    Message { event: Event::Opened, severity: Severity::Critical, headline: format!("{title} did not succeed"), ..message }
}
