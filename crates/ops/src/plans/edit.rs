//! Drafts: beginning, changing, importing and discarding them.
//!
//! Lives here: the use cases that change content. May not: what content may be (`domain::plan` says).
//! Invariant: a change goes through only on what its author saw. An autosave is refused field by field: a field that
//! somebody else has changed meanwhile keeps their text.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    field::FieldError,
    id::{PlanVersionId, ServiceId},
    plan::{Event, PlanContent, State, difference, list_of},
};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    db::Transaction,
    plans::{self, NewVersion, VersionRow},
    services::ServiceRow,
};

use super::{flow, tag, writable};
use crate::{
    Ctx, OpsError, Result,
    version::{Seen, Subject},
};

/// The longest text of a change that the audit trail repeats.
const SHOWN: usize = 300;

/// What a draft begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The empty form, with what is promised of the service.
    Empty,
    /// A copy of the approved version.
    Approved,
}

/// Begins a draft; its number.
///
/// # Errors
/// `Conflict` where there is an open version; `Invalid` with the field `from` where nothing is approved.
pub async fn start(ctx: &Ctx, service: &str, from: Begin) -> Result<i64> {
    let service = writable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    if let Some(open) = plans::open(t.tx(), service.id()).await? {
        let words = if open.state() == State::Draft { "go on with it, or discard it" } else { "return it to draft, or approve it" };
        return Err(OpsError::Conflict(format!("version {} of this plan {} already; {words}", open.number, open.state().words())));
    }
    let (content, based_on, note) = match from {
        Begin::Empty => {
            let promised = PlanContent { rto_s: service.rto_s, rpo_s: service.rpo_s, mtpod_s: service.mtpod_s, ..PlanContent::default() };
            (promised, None, "from the empty form".to_owned())
        }
        Begin::Approved => {
            let approved = plans::approved(t.tx(), service.id()).await?;
            let approved = approved.ok_or_else(|| OpsError::invalid("from", "there is no approved version to begin from; begin with the empty form"))?;
            (approved.content.0, Some(approved.number), format!("as a copy of v{}", approved.number))
        }
    };
    let id = begin(ctx, &mut t, service.id(), &content, based_on, &note).await?;
    let number = row(t.tx(), id).await?.number;
    t.commit().await?;
    Ok(number)
}

async fn begin(ctx: &Ctx, t: &mut Transaction, service: ServiceId, content: &PlanContent, based_on: Option<i64>, note: &str) -> Result<PlanVersionId> {
    let (roles, by) = (flow::signing(t.tx()).await?, ctx.actor.name.as_str());
    let id = plans::start(t.tx(), &NewVersion { service, content, roles: &roles, based_on, by }, ctx.now()).await?;
    plans::note(t.tx(), id, Event::Started, by, note, ctx.now()).await?;
    let after = json!({"version": row(t.tx(), id).await?.number, "begun": note});
    ctx.audit(t.tx(), NewEvent { action: "plan.start", entity: "plan", entity_id: service.to_string(), before: None, after: Some(after) }).await?;
    Ok(id)
}

async fn row(tx: Tx<'_>, id: PlanVersionId) -> Result<VersionRow> {
    plans::find(tx, id).await?.ok_or_else(|| OpsError::not_found("version of the plan", id))
}

/// Saves the draft of a service as a whole, where what is there is what was seen; begins one where there is none.
///
/// # Errors
/// `Stale` where somebody else was first; `Conflict` where the open version is in review; `Invalid` with each field.
pub async fn save(ctx: &Ctx, service: &str, content: PlanContent, seen: &Seen) -> Result<VersionRow> {
    let service = writable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let saved = save_within(ctx, &mut t, &service, content, seen).await?;
    t.commit().await?;
    Ok(saved)
}

/// The draft as it would stand after [`save`], which refuses the same. Nothing is written.
pub async fn would_save(ctx: &Ctx, service: &str, content: PlanContent, seen: &Seen) -> Result<VersionRow> {
    let service = writable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    // Without a commit the transaction leaves nothing behind.
    save_within(ctx, &mut t, &service, content, seen).await
}

async fn save_within(ctx: &Ctx, t: &mut Transaction, service: &ServiceRow, content: PlanContent, seen: &Seen) -> Result<VersionRow> {
    let content = content.tidy();
    let wrong = content.problems();
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let open = plans::open(t.tx(), service.id()).await?;
    let subject = Subject { words: "plan of", name: &service.name, entity: "plan", id: service.id.to_string() };
    seen.check(t.tx(), subject, open.as_ref().map(tag).as_deref()).await?;
    let Some(open) = open else {
        let id = begin(ctx, t, service.id(), &content, None, "from a plan as JSON").await?;
        return row(t.tx(), id).await;
    };
    open.state().after(Event::Saved).map_err(|e| OpsError::Conflict(e.to_string()))?;
    if open.content.0 == content {
        return Ok(open);
    }
    put(ctx, t, &open, &content).await
}

/// Writes new content over a draft that was read in this transaction.
async fn put(ctx: &Ctx, t: &mut Transaction, open: &VersionRow, content: &PlanContent) -> Result<VersionRow> {
    if !plans::save(t.tx(), open.id(), open.revision, content, &ctx.actor.name, ctx.now()).await? {
        return Err(OpsError::Conflict("another change of this plan came first; load the page again and repeat yours".to_owned()));
    }
    let (before, after) = changes(open, content);
    let entity_id = ServiceId(open.service_id).to_string();
    ctx.audit(t.tx(), NewEvent { action: "plan.save", entity: "plan", entity_id, before: Some(before), after: Some(after) }).await?;
    row(t.tx(), open.id()).await
}

/// The fields that change, their texts cut: the versions themselves hold them whole.
fn changes(open: &VersionRow, content: &PlanContent) -> (Value, Value) {
    let (mut before, mut after) = (serde_json::Map::new(), serde_json::Map::new());
    let of = |c: &PlanContent| c.fields().into_iter().map(|f| (f.key, f.text)).collect::<BTreeMap<_, _>>();
    let (old, new) = (of(&open.content.0), of(content));
    let cut = |text: Option<&String>| Value::String(text.map(|t| t.chars().take(SHOWN).collect()).unwrap_or_default());
    for changed in difference(&open.content.0, content) {
        before.insert(changed.key.to_owned(), cut(old.get(changed.key)));
        after.insert(changed.key.to_owned(), cut(new.get(changed.key)));
    }
    (json!({"version": open.number, "fields": before}), json!({"version": open.number, "fields": after}))
}

/// A field of a form, as its author found it and as they left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Edit {
    /// As [`PlanContent::entries`] name it.
    pub name: String,
    pub found: String,
    pub typed: String,
}

/// A field that somebody else has changed meanwhile; theirs stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub name: String,
    pub theirs: String,
    pub typed: String,
    /// A row of a list that the form does not show.
    pub unseen: bool,
}

/// What came of an autosave.
#[derive(Clone, Debug)]
pub struct Autosaved {
    pub row: VersionRow,
    pub conflicts: Vec<Conflict>,
}

/// Saves the fields that were changed in a form, and leaves alone those that somebody else has changed meanwhile. Where
/// what is there is what was seen (`seen`, the version of the form), there is no such field.
///
/// # Errors
/// `Stale` where the draft is gone; `Conflict` where it is in review; `Invalid` with each field.
pub async fn autosave(ctx: &Ctx, service: &str, edits: &[Edit], seen: &str) -> Result<Autosaved> {
    let service = writable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let open = plans::open(t.tx(), service.id()).await?;
    // The draft that was seen, whichever revision it has now.
    let same = open.as_ref().filter(|o| seen.split_once('-').is_some_and(|(number, _)| number == o.number.to_string()));
    let Some(open) = same else {
        let subject = Subject { words: "plan of", name: &service.name, entity: "plan", id: service.id.to_string() };
        Seen::Versions(vec![seen.to_owned()]).check(t.tx(), subject, open.as_ref().map(tag).as_deref()).await?;
        return Err(OpsError::not_found("draft of the plan of", &service.name));
    };
    open.state().after(Event::Saved).map_err(|e| OpsError::Conflict(e.to_string()))?;
    let conflicts = conflicts(&open.content.0, edits, tag(open) == seen);
    let refused: BTreeSet<&str> = conflicts.iter().map(|c| list_of(&c.name).unwrap_or(&c.name)).collect();
    let taken = edits.iter().filter(|e| !refused.contains(list_of(&e.name).unwrap_or(&e.name)));
    let content = open.content.0.clone().with_entries(taken.map(|e| (e.name.as_str(), e.typed.as_str()))).map_err(OpsError::Invalid)?;
    let wrong: Vec<FieldError> = content.problems();
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    if content == open.content.0 {
        return Ok(Autosaved { row: open.clone(), conflicts });
    }
    let row = put(ctx, &mut t, open, &content).await?;
    t.commit().await?;
    Ok(Autosaved { row, conflicts })
}

/// The fields that are no longer as they were found. A list is one field; rows of it that its author has not seen are, too.
fn conflicts(content: &PlanContent, edits: &[Edit], unchanged: bool) -> Vec<Conflict> {
    let there: BTreeMap<String, String> = content.entries().into_iter().collect();
    let same = |a: &str, b: &str| a.replace("\r\n", "\n").trim_end() == b.replace("\r\n", "\n").trim_end();
    let mut found: Vec<Conflict> = Vec::new();
    for e in edits.iter().filter(|_| !unchanged) {
        let theirs = there.get(&e.name).cloned().unwrap_or_default();
        if !same(&theirs, &e.found) && !same(&theirs, &e.typed) {
            found.push(Conflict { name: e.name.clone(), theirs, typed: e.typed.clone(), unseen: false });
        }
    }
    let lists: BTreeSet<&str> = edits.iter().filter_map(|e| list_of(&e.name)).collect();
    for (name, theirs) in there {
        let unseen = list_of(&name).is_some_and(|l| lists.contains(l)) && !theirs.is_empty() && !edits.iter().any(|e| e.name == name);
        if unseen {
            found.push(Conflict { name, theirs, typed: String::new(), unseen: true });
        }
    }
    found
}

/// Ends a draft without approving it.
///
/// # Errors
/// `Conflict` where it is no draft (any more) or has another revision; `Invalid` for an empty or overlong reason.
pub async fn discard(ctx: &Ctx, service: &str, number: i64, revision: i64, reason: &str) -> Result<()> {
    let service = writable(ctx, service).await?;
    let reason = flow::reason(reason)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = flow::at(t.tx(), &service, number, Event::Discarded).await?;
    if !plans::discard(t.tx(), row.id(), revision, ctx.now()).await? {
        return Err(flow::moved(&row));
    }
    let after = json!({"version": number, "reason": reason});
    flow::record(ctx, &mut t, &row, Event::Discarded, reason, Some(after)).await?;
    t.commit().await?;
    Ok(())
}
