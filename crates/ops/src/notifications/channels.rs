//! Channels: where messages go.

use std::collections::BTreeMap;

use domain::{
    alert::message::Message,
    channel::{ChannelKind, Options},
    field::FieldError,
    id::{ChannelId, DeliveryId},
    naming::slug_problem,
    units::Timestamp,
};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    channels::{self, ChannelRow, Secrets},
    deliveries::{self, NewDelivery, NewestRow},
    wake,
};

use super::{Given, read_url, source_words, stored};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    secrets::Vault,
    version::{self, Seen, Subject},
};

/// The most channels.
const MOST: usize = 200;

/// What the secret of a channel is sealed for.
pub fn purpose(channel: &str, secret: &str) -> String {
    format!("channel/{channel}/{secret}")
}

/// A channel with the state of its receivers.
#[derive(Clone, Debug)]
pub struct ChannelView {
    pub row: ChannelRow,
    pub kind: ChannelKind,
    /// The newest end of each receiver that still belongs to it, the newest first.
    pub newest: Vec<NewestRow>,
    pub waiting: i64,
    /// Names of the rules that use it.
    pub rules: Vec<String>,
}

impl ChannelView {
    /// The newest end that went wrong, where none went well since.
    pub fn failing(&self) -> Option<&NewestRow> {
        self.newest.iter().find(|n| n.state == "failed" && n.finished_at > self.row.updated_at)
    }

    /// What is shown of where it leads: no secret.
    pub fn shown(&self) -> String {
        shown(self.kind, &self.row)
    }
}

/// What is shown of where a channel leads.
fn shown(kind: ChannelKind, row: &ChannelRow) -> String {
    let o = &row.options.0;
    match kind {
        ChannelKind::Mail => format!("{} by {}:{}", o.to.join(", "), o.host, o.port()),
        ChannelKind::PagerDuty => {
            if o.endpoint.is_empty() {
                "events.pagerduty.com".to_owned()
            } else {
                domain::channel::shown_url(&o.endpoint)
            }
        }
        _ if !o.host.is_empty() => o.host.clone(),
        _ => row.secrets.0.get("url").map_or_else(String::new, source_words),
    }
}

/// A channel as it is given.
#[derive(Clone, Debug)]
pub struct NewChannel {
    pub name: String,
    pub kind: ChannelKind,
    pub options: Options,
    /// By the names of `ChannelKind::secrets`; what is missing counts as [`Given::Keep`].
    pub secrets: BTreeMap<String, Given>,
}

pub async fn list(ctx: &Ctx) -> Result<Vec<ChannelView>> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let rows = channels::list(read.tx()).await?;
    let newest = deliveries::newest(read.tx(), Timestamp(0)).await?;
    let waiting = deliveries::waiting(read.tx()).await?;
    let rules = channels::rules(read.tx()).await?;
    rows.into_iter()
        .map(|row| {
            let kind = row.kind()?;
            let receivers = row.options.0.recipients(kind);
            Ok(ChannelView {
                kind,
                newest: newest.iter().filter(|n| n.channel_id == row.id && receivers.contains(&n.recipient)).cloned().collect(),
                waiting: waiting.iter().find(|(id, _)| *id == row.id).map_or(0, |(_, n)| *n),
                rules: rules.iter().filter(|r| r.channels.0.contains(&row.name)).map(|r| r.name.clone()).collect(),
                row,
            })
        })
        .collect()
}

pub async fn find(ctx: &Ctx, name: &str) -> Result<ChannelView> {
    list(ctx).await?.into_iter().find(|c| c.row.name == name).ok_or_else(|| OpsError::not_found("channel", name))
}

/// The version of a channel that is there: of its kind, its options, and where its secrets come from.
pub fn version(row: &ChannelRow) -> String {
    version::of(&json!([row.id, row.kind, row.options.0, row.secrets.0]))
}

/// Makes a channel, or changes the one of that name; a secret that is typed is sealed first.
pub async fn save(ctx: &Ctx, vault: &Vault, new: &NewChannel) -> Result<ChannelId> {
    save_if(ctx, vault, new, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn save_if(ctx: &Ctx, vault: &Vault, new: &NewChannel, seen: &Seen) -> Result<ChannelId> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let old = channels::find_by_name(t.tx(), &new.name).await?;
    check(t.tx(), &new.name, old.as_ref(), seen).await?;
    let id = put(ctx, t.tx(), Some(vault), new).await?.0;
    t.commit().await?;
    Ok(id)
}

/// Whether what is there is what was seen. A channel that was removed is not there.
async fn check(tx: Tx<'_>, name: &str, row: Option<&ChannelRow>, seen: &Seen) -> Result<()> {
    let there = row.filter(|c| c.removed_at.is_none()).map(version);
    let id = row.map_or_else(String::new, |c| c.id.to_string());
    seen.check(tx, Subject { words: "channel", name, entity: "channel", id }, there.as_deref()).await
}

/// What saving changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    Created,
    Changed,
    Unchanged,
}

/// The same inside the caller's transaction, who has asked for permission. Without a vault nothing can be sealed.
pub(crate) async fn put(ctx: &Ctx, mut tx: Tx<'_>, vault: Option<&Vault>, new: &NewChannel) -> Result<(ChannelId, Saved)> {
    let old = channels::find_by_name(tx.by_ref(), &new.name).await?.filter(|c| c.removed_at.is_none());
    if old.is_none() && channels::list(tx.by_ref()).await?.len() >= MOST {
        return Err(OpsError::Conflict(format!("there are {MOST} channels already; remove one that is no longer used")));
    }
    let (options, secrets) = checked(vault, new, old.as_ref())?;
    if old.as_ref().is_some_and(|o| o.kind == new.kind.as_str() && o.options.0 == options && o.secrets.0 == secrets) {
        return Ok((old.map_or(ChannelId(uuid::Uuid::nil()), |o| o.id()), Saved::Unchanged));
    }
    let id = channels::upsert(tx.by_ref(), &new.name, new.kind, &options, &secrets, ctx.now()).await?;
    let before = old.as_ref().map(|o| audited(&o.name, &o.kind, &o.options.0, &o.secrets.0));
    let saved = if before.is_some() { Saved::Changed } else { Saved::Created };
    let mut after = audited(&new.name, new.kind.as_str(), &options, &secrets);
    // A secret that was replaced looks the same before and after.
    let replaced: Vec<&String> = secrets.iter().filter(|(n, s)| old.as_ref().is_some_and(|o| o.secrets.0.get(*n) != Some(s))).map(|(n, _)| n).collect();
    if !replaced.is_empty() {
        after["replaced"] = json!(replaced);
    }
    ctx.audit(tx, NewEvent { action: "channel.save", entity: "channel", entity_id: id.to_string(), before, after: Some(after) }).await?;
    Ok((id, saved))
}

/// The options and secrets to store.
///
/// # Errors
/// `Invalid` with every field that cannot be used.
fn checked(vault: Option<&Vault>, new: &NewChannel, old: Option<&ChannelRow>) -> Result<(Options, Secrets)> {
    let mut wrong = Vec::new();
    if let Some(problem) = slug_problem(&new.name) {
        wrong.push(FieldError::new("name", problem));
    }
    let same_kind = old.filter(|o| o.kind == new.kind.as_str());
    let mut options = new.options.clone();
    let mut secrets = Secrets::new();
    for needed in new.kind.secrets() {
        let given = new.secrets.get(needed.name).unwrap_or(&Given::Keep);
        let before = same_kind.and_then(|o| o.secrets.0.get(needed.name));
        if needed.is_url {
            match read_url(given, needed.name) {
                Ok(Some(host)) => options.host = host,
                Ok(None) if *given == Given::Keep => options.host = same_kind.map(|o| o.options.0.host.clone()).unwrap_or_default(),
                Ok(None) => options.host.clear(),
                Err(OpsError::Invalid(e)) => wrong.extend(e),
                Err(e) => return Err(e),
            }
        }
        if let Given::Typed(text) = given
            && text.reveal().chars().any(char::is_control)
        {
            wrong.push(FieldError::new(needed.name, "holds a line break or another control character; give it on one line"));
            continue;
        }
        let secret = match (given, vault) {
            (Given::Typed(_), None) => return Err(OpsError::Conflict("the server's key is not at hand; give the secret as a file or a variable".to_owned())),
            (_, Some(vault)) => stored(vault, given, before, &purpose(&new.name, needed.name))?,
            (Given::Keep, None) => before.cloned(),
            (Given::Reference(r), None) => Some(r.clone()),
            (Given::Nothing, None) => None,
        };
        match secret {
            Some(secret) => drop(secrets.insert(needed.name.to_owned(), secret)),
            None if needed.required => wrong.push(FieldError::new(needed.name, "is missing; give it")),
            None => {}
        }
    }
    for name in new.secrets.keys().filter(|n| !new.kind.secrets().iter().any(|s| s.name == n.as_str())) {
        wrong.push(FieldError::new(name, format!("is no secret of a channel of kind {}; leave it out", new.kind)));
    }
    wrong.extend(options.problems(new.kind, secrets.contains_key("password")));
    if wrong.is_empty() { Ok((options, secrets)) } else { Err(OpsError::Invalid(wrong)) }
}

/// What the audit trail keeps: where each secret comes from, never what it is.
fn audited(name: &str, kind: &str, options: &Options, secrets: &Secrets) -> Value {
    let secrets: BTreeMap<&str, String> = secrets.iter().map(|(n, s)| (n.as_str(), source_words(s))).collect();
    json!({ "name": name, "kind": kind, "options": options, "secrets": secrets })
}

/// Removes a channel: its secrets are forgotten, what waits for it is given up, what was delivered stays on record.
pub async fn remove(ctx: &Ctx, name: &str) -> Result<()> {
    remove_if(ctx, name, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn remove_if(ctx: &Ctx, name: &str, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = channels::find_by_name(t.tx(), name).await?.filter(|c| c.removed_at.is_none()).ok_or_else(|| OpsError::not_found("channel", name))?;
    check(t.tx(), name, Some(&row), seen).await?;
    channels::remove(t.tx(), row.id(), ctx.now()).await?;
    let dropped = deliveries::give_up(t.tx(), row.id(), "the channel was removed", ctx.now()).await?;
    let before = Some(audited(&row.name, &row.kind, &row.options.0, &row.secrets.0));
    let after = Some(json!({ "removed": true, "messages_given_up": dropped }));
    ctx.audit(t.tx(), NewEvent { action: "channel.remove", entity: "channel", entity_id: row.id.to_string(), before, after }).await?;
    t.commit().await?;
    Ok(())
}

/// Queues a test message to every receiver of a channel.
pub async fn test(ctx: &Ctx, name: &str) -> Result<Vec<DeliveryId>> {
    require(ctx, Action::Operate)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = channels::find_by_name(t.tx(), name).await?.filter(|c| c.removed_at.is_none()).ok_or_else(|| OpsError::not_found("channel", name))?;
    let message = Message::test(name, &ctx.actor.name, ctx.now());
    let once = uuid::Uuid::now_v7();
    let mut queued = Vec::new();
    for recipient in row.options.0.recipients(row.kind()?) {
        let new = NewDelivery { channel: row.id(), recipient: &recipient, dedup_key: format!("test:{once}:{recipient}"), message: &message };
        queued.extend(deliveries::enqueue(t.tx(), &new, ctx.now()).await?);
    }
    let after = Some(json!({ "name": name, "messages": queued.len() }));
    ctx.audit(t.tx(), NewEvent { action: "channel.test", entity: "channel", entity_id: row.id.to_string(), before: None, after }).await?;
    t.commit().await?;
    wake::queue();
    Ok(queued)
}

/// The secrets of a channel, read for sending.
pub async fn reveal(vault: &Vault, row: &ChannelRow) -> Result<BTreeMap<String, engine::job::Secret>> {
    let mut found = BTreeMap::new();
    for (name, reference) in &row.secrets.0 {
        found.insert(name.clone(), vault.resolve(reference, &purpose(&row.name, name)).await?);
    }
    Ok(found)
}
