//! Evidence: what can be proven of restore tests, by whom it was signed, and taking it away (R37).
//!
//! Lives here: the use cases. Beside it: `record` writes records, `pack` makes packs, `verify` proves them without a database,
//! `chain` proves the records of this one, `dsse` signs. May not: judging tests (`domain::evidence` does).
//! Invariants: an absence of evidence is shown and never filled in; a countersignature adds and changes nothing.

mod chain;
pub mod dsse;
pub mod pack;
pub mod record;
mod summary;
pub mod verify;
pub mod zip;

use domain::{
    evidence::{EvidenceLevel, Verdict},
    id::{RestoreTestId, ServiceId},
    review::start_of,
    statement::{Countersignature, EVIDENCE_TYPE, Statement, What},
    units::Timestamp,
};
use jiff::{civil::Date, tz::TimeZone};
use serde_json::json;
pub use store::evidence::{EvidenceRow, ListedTest, Period};
use store::{
    audit::NewEvent,
    evidence::{self as rows, COUNTERSIGNATURE, KeyRow, RESTORE_TEST},
    restore_tests,
    services::{self, ServiceRow},
};
use uuid::Uuid;

pub use self::{
    chain::{Chain, chain},
    record::tend,
};
use self::{
    dsse::{Envelope, pae, sha256},
    record::{change_key, closed, ensure, signer},
};
use crate::{
    Ctx, OpsError, Result, Role,
    permission::{self, Action, On, Sight, allowed, merged, require, require_on, sight},
    runs::PAGE,
    secrets::Vault,
};

/// The longest note of a countersignature, and the longest word on a lost key.
const LONGEST: usize = 500;
/// Services that are looked at together.
const SERVICES: i64 = 10_000;

/// The period of whole days of a zone, the last one included; `None` where a day is out of range.
pub fn days(from: Date, to: Date, zone: &TimeZone, service: &str) -> Option<Period> {
    let start = |day: Date| day.to_zoned(zone.clone()).ok().map(|z| Timestamp(z.timestamp().as_microsecond()));
    Some(Period { since: start(from)?, until: start(to.tomorrow().ok()?)?, service: service.to_owned() })
}

/// How the signature of a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The record is as it was signed.
    Valid,
    /// The server has not signed it yet.
    Waiting,
    /// It is not as it was signed.
    Broken,
    /// It was recorded before signing began.
    Never,
}

impl Signed {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Waiting => "waits for the server's signature",
            Self::Broken => "does not fit",
            Self::Never => "recorded before signing began",
        }
    }
}

/// A test as evidence.
#[derive(Clone, Debug)]
pub struct Entry {
    pub test: ListedTest,
    pub signed: Signed,
}

/// What of a period the actor sees: of a guest, the days of their link.
fn seen_of(ctx: &Ctx, asked: &Period) -> Period {
    let Some((from, to)) = permission::period(ctx) else { return asked.clone() };
    let end = to.tomorrow().map_or(Timestamp(i64::MAX), start_of);
    Period { since: asked.since.max(start_of(from)), until: asked.until.min(end), service: asked.service.clone() }
}

/// Tests of a period that the actor sees, the newest first, before the key of the last one seen.
pub async fn list(ctx: &Ctx, period: &Period, before: Option<(Timestamp, RestoreTestId)>, limit: i64) -> Result<Vec<Entry>> {
    let sight = sight(ctx, Action::Evidence)?;
    let period = &seen_of(ctx, period);
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, PAGE);
    let tests = if sight == Sight::All {
        rows::tests(ctx.db.read().await?.tx(), period, before, limit).await?
    } else {
        let mut pages = Vec::new();
        for of in visible(ctx, &period.service).await? {
            pages.push(rows::tests(ctx.db.read().await?.tx(), &Period { service: of.name, ..period.clone() }, before, limit).await?);
        }
        merged(pages, |t| (t.started_at, t.id), limit)
    };
    let mut read = ctx.db.read().await?;
    let keys = rows::keys(read.tx()).await?;
    let mut all = Vec::with_capacity(tests.len());
    for test in tests {
        let signed = match test.seq {
            None => Signed::Never,
            Some(seq) => rows::find(read.tx(), seq).await?.map_or(Signed::Broken, |row| stands(&row, &keys)),
        };
        all.push(Entry { test, signed });
    }
    Ok(all)
}

/// How a record stands by itself, apart from the chain.
fn stands(row: &EvidenceRow, keys: &[KeyRow]) -> Signed {
    let message = pae(EVIDENCE_TYPE, row.payload.as_bytes());
    if sha256(&message) != row.hash {
        return Signed::Broken;
    }
    let (Some(id), Some(signature)) = (&row.key_id, &row.signature) else { return Signed::Waiting };
    let key = keys.iter().find(|k| k.id == *id).and_then(|k| record::public(k).ok()).filter(|k| k.id() == *id);
    let fits = key.zip(dsse::decoded(signature)).is_some_and(|(key, signature)| key.verifies(&message, &signature));
    if fits { Signed::Valid } else { Signed::Broken }
}

/// What is missing of a service in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub service: String,
    pub title: String,
    pub what: String,
    /// Since when; none for what never was.
    pub since: Option<Timestamp>,
}

/// What of the services is proven in a period: copies apart from restores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub services: usize,
    /// Services of which a copy exists. That proves no restore.
    pub with_copy: usize,
    /// Services whose newest test in the period passed and restored.
    pub proven: usize,
    pub gaps: Vec<Gap>,
}

/// The gaps of a period: services whose newest test in it does not prove a restore, or that had none.
pub async fn standing(ctx: &Ctx, period: &Period) -> Result<Standing> {
    let all = in_sight(ctx, &period.service).await?;
    let (period, guest) = (&seen_of(ctx, period), ctx.actor.guest.is_some());
    let newest = rows::newest(ctx.db.read().await?.tx(), period.since, period.until).await?;
    let mut out = Standing { services: all.len(), with_copy: all.iter().filter(|s| s.last_snapshot_at.is_some()).count(), ..Standing::default() };
    for s in &all {
        let gap = |what: String, since| Gap { service: s.name.clone(), title: s.title.clone(), what, since };
        let found = if let Some(test) = newest.iter().find(|t| t.service_id == s.id) {
            missing(test).map(|what| gap(what, Some(Timestamp(test.started_at))))
        } else {
            let (what, since) = match s.last_test_at {
                // When a test was that lies outside of a guest's days is not theirs to know.
                Some(at) => ("no restore test in the period", Some(Timestamp(at)).filter(|_| !guest)),
                None if s.last_snapshot_at.is_some() => ("never restored: copies exist, and none was ever tested", None),
                None => ("no copy and no restore test", None),
            };
            Some(gap(what.to_owned(), since))
        };
        match found {
            Some(gap) => out.gaps.push(gap),
            None => out.proven += 1,
        }
    }
    Ok(out)
}

/// What a test leaves unproven.
fn missing(t: &ListedTest) -> Option<String> {
    let breached = t.rto_s.zip(t.rto_target_s).is_some_and(|(s, target)| s > target as f64);
    let level = EvidenceLevel::parse(&t.level).unwrap_or_default();
    let what = match Verdict::parse(&t.verdict) {
        _ if breached => "the RTO was breached in the newest test".to_owned(),
        Some(Verdict::Failed) => "the newest test failed".to_owned(),
        Some(Verdict::Passed) if level < EvidenceLevel::Restored => format!("evidence stops at {}", level.words()),
        Some(Verdict::Passed) => return None,
        Some(Verdict::Unknown) | None => "the newest test could not check everything".to_owned(),
    };
    Some(what)
}

/// The services that the actor sees, or the one that is named.
async fn in_sight(ctx: &Ctx, name: &str) -> Result<Vec<ServiceRow>> {
    let all = visible(ctx, name).await?;
    if all.is_empty() && !name.is_empty() {
        return Err(OpsError::not_found("service", name));
    }
    Ok(all)
}

/// The services whose evidence the actor sees, by name.
pub async fn visible(ctx: &Ctx, name: &str) -> Result<Vec<ServiceRow>> {
    let sight = sight(ctx, Action::Evidence)?;
    let mut all = services::all(ctx.db.read().await?.tx(), SERVICES).await?;
    all.retain(|s| s.removed_at.is_none() && sight.service(s.id()) && (name.is_empty() || s.name == name));
    Ok(all)
}

/// The record of a test with its countersignatures.
#[derive(Clone, Debug)]
pub struct Record {
    /// None where it was recorded before signing began.
    pub row: Option<EvidenceRow>,
    pub signed: Signed,
    pub countersignatures: Vec<Said>,
    /// Whether this actor may add one, and has not.
    pub open: bool,
}

/// A countersignature as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub seq: i64,
    pub name: String,
    pub role: String,
    pub note: String,
    pub at: Timestamp,
    pub signed: bool,
}

/// The signature of a test.
pub async fn of_test(ctx: &Ctx, id: RestoreTestId) -> Result<Record> {
    let test = crate::restore_tests::find(ctx, id).await?;
    let mut read = ctx.db.read().await?;
    let Some(row) = rows::of_test(read.tx(), id).await? else {
        return Ok(Record { row: None, signed: Signed::Never, countersignatures: Vec::new(), open: false });
    };
    let keys = rows::keys(read.tx()).await?;
    let given = rows::about(read.tx(), row.seq).await?;
    let signed = stands(&row, &keys);
    let mine = given.iter().any(|g| g.person.as_deref() == Some(ctx.actor.name.as_str()));
    let open = !mine && signed == Signed::Valid && reviewer(ctx, ServiceId(test.service_id)).is_ok();
    let countersignatures = given.iter().filter_map(|g| Some(said(g, stated(g)?, stands(g, &keys) == Signed::Valid))).collect();
    Ok(Record { row: Some(row), signed, countersignatures, open })
}

fn stated(row: &EvidenceRow) -> Option<Countersignature> {
    match serde_json::from_str::<Statement>(&row.payload).ok()?.what {
        What::Countersignature(c) => Some(c),
        _ => None,
    }
}

fn said(row: &EvidenceRow, c: Countersignature, signed: bool) -> Said {
    Said { seq: row.seq, name: c.name, role: c.role, note: c.note, at: Timestamp(row.effective_at), signed }
}

/// Refuses whoever is no reviewer of a service: admins, auditors and the owners of it, as people and not by a token.
fn reviewer(ctx: &Ctx, service: ServiceId) -> Result<()> {
    require_on(ctx, Action::Read, On::Service(service))?;
    if ctx.actor.scopes.is_some() {
        return Err(OpsError::Forbidden("countersign by a token: a countersignature is a person's word; sign in"));
    }
    if ctx.actor.roles().any(|r| matches!(r, Role::Admin | Role::Auditor | Role::Owner)) { Ok(()) } else { Err(OpsError::Forbidden(Action::Read.words())) }
}

/// The place in the chain of a record by its id.
pub async fn place(ctx: &Ctx, id: Uuid) -> Result<i64> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = rows::by_id(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("evidence", id))?;
    require_on(ctx, Action::Read, row.service_id.map_or(On::Any, |id| On::Service(ServiceId(id))))?;
    Ok(row.seq)
}

/// The test that a record is about.
pub async fn test_of(ctx: &Ctx, seq: i64) -> Result<RestoreTestId> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = rows::find(ctx.db.read().await?.tx(), seq).await?.ok_or_else(|| OpsError::not_found("evidence", seq))?;
    require_on(ctx, Action::Read, row.service_id.map_or(On::Any, |id| On::Service(ServiceId(id))))?;
    row.test_id.map(RestoreTestId).ok_or_else(|| OpsError::invalid("record", format!("{seq} is no restore test's; countersign the record of a test")))
}

/// The number of the last record.
pub async fn head(ctx: &Ctx) -> Result<i64> {
    require_on(ctx, Action::Evidence, On::Any)?;
    Ok(rows::head(ctx.db.read().await?.tx()).await?.0)
}

/// The envelope of a record, as DSSE writes it: of a test, a new key, or a countersignature.
///
/// # Errors
/// `NotFound`; `Conflict` while it waits for its signature.
pub async fn envelope(ctx: &Ctx, seq: i64) -> Result<Envelope> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = rows::find(ctx.db.read().await?.tx(), seq).await?.ok_or_else(|| OpsError::not_found("evidence", seq))?;
    // A key is everybody's business.
    require_on(ctx, Action::Read, row.service_id.map_or(On::Any, |id| On::Service(ServiceId(id))))?;
    enveloped(&row)
}

fn enveloped(row: &EvidenceRow) -> Result<Envelope> {
    let (Some(key), Some(signature)) = (&row.key_id, &row.signature) else {
        return Err(OpsError::Conflict(format!("record {} waits for the server's signature; ask again in a minute", row.seq)));
    };
    Ok(Envelope::new(EVIDENCE_TYPE, row.payload.as_bytes(), key, signature))
}

/// Signs that somebody has looked at a test's record, with their name and a date of its own. Once a person.
///
/// # Errors
/// `NotFound`; `Forbidden` for programs; `Conflict` where they have done so, or the record is not signed;
/// `Invalid` for an overlong note or a record that is no test's.
pub async fn countersign(ctx: &Ctx, vault: &Vault, seq: i64, note: &str) -> Result<EvidenceRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let note = short("note", note)?;
    let row = rows::find(ctx.db.read().await?.tx(), seq).await?.ok_or_else(|| OpsError::not_found("evidence", seq))?;
    require_on(ctx, Action::Read, row.service_id.map_or(On::Any, |id| On::Service(ServiceId(id))))?;
    let Some(service) = row.service_id.filter(|_| row.kind == RESTORE_TEST) else {
        return Err(OpsError::invalid("record", format!("{seq} is no restore test's; countersign the record of a test")));
    };
    reviewer(ctx, ServiceId(service))?;
    let signer = ensure(ctx, vault).await?;
    let mut t = ctx.db.begin_audited().await?;
    rows::take_head(t.tx()).await?;
    let row = rows::find(t.tx(), seq).await?.ok_or_else(|| OpsError::not_found("evidence", seq))?;
    match stands(&row, &rows::keys(t.tx()).await?) {
        Signed::Valid => {}
        Signed::Waiting => return Err(OpsError::Conflict(format!("record {seq} waits for the server's signature; countersign it in a minute"))),
        Signed::Broken | Signed::Never => return Err(OpsError::Conflict(format!("record {seq} is not as it was signed; nobody can vouch for it"))),
    }
    if rows::about(t.tx(), seq).await?.iter().any(|g| g.person.as_deref() == Some(ctx.actor.name.as_str())) {
        return Err(OpsError::Conflict(format!("you have countersigned record {seq} already; a countersignature stands once a person")));
    }
    let given = record::countersignature(t.tx(), &signer, &row, &ctx.actor, note, ctx.now()).await?;
    let after = json!({"record": seq, "sha256": row.hash, "countersignature": given.seq, "note": note});
    ctx.audit(t.tx(), NewEvent { action: "evidence.countersign", entity: "evidence", entity_id: seq.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(given)
}

fn short<'a>(field: &str, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    if text.chars().count() > LONGEST {
        return Err(OpsError::invalid(field, format!("is longer than {LONGEST} characters; shorten it")));
    }
    Ok(text)
}

/// A key as people and programs read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub id: String,
    pub pem: String,
    pub made_at: Timestamp,
    pub made_by: String,
    pub retired_at: Option<Timestamp>,
    /// It signs what is recorded now.
    pub signs: bool,
}

/// All keys, the newest first. Whoever sees anything may see them: they are public.
pub async fn keys(ctx: &Ctx) -> Result<Vec<Key>> {
    require_on(ctx, Action::Evidence, On::Any)?;
    let all = rows::keys(ctx.db.read().await?.tx()).await?;
    all.iter()
        .map(|k| {
            Ok(Key {
                id: k.id.clone(),
                pem: record::public(k)?.pem(),
                made_at: Timestamp(k.made_at),
                made_by: k.made_by.clone(),
                retired_at: k.retired_at.map(Timestamp),
                signs: k.signs.is_some(),
            })
        })
        .collect()
}

/// Puts a new key in the place of the one that signs. The old one announces it and is retired; its private part goes.
/// Where it does not open any more, `lost` must say why, and the new key announces itself.
///
/// # Errors
/// `Conflict` where the old key does not open and nothing is said about it; `Invalid` where it opens and is called lost.
pub async fn rotate_key(ctx: &Ctx, vault: &Vault, lost: Option<&str>) -> Result<String> {
    require(ctx, Action::Configure)?;
    let lost = lost.map(|l| short("lost", l)).transpose()?;
    if lost.is_some_and(str::is_empty) {
        return Err(OpsError::invalid("lost", "is empty; say how the key was lost, for whoever reads this in a year"));
    }
    let old = signer(&ctx.db, vault).await?;
    let mut t = ctx.db.begin_audited().await?;
    let row = rows::signing_key(t.tx()).await?;
    match (&old, &row, lost) {
        (None, Some(row), None) => return Err(closed(row)),
        (Some(_), _, Some(_)) => return Err(OpsError::invalid("lost", "is said of a key that opens; leave it out, so that the old key announces the new one")),
        (Some(old), row, _) if row.as_ref().is_none_or(|r| r.id != old.id()) => {
            return Err(OpsError::Conflict("somebody else has changed the key just now; look at the keys, and repeat it if another one is needed".to_owned()));
        }
        _ => {}
    }
    let new = change_key(ctx, t.tx(), vault, old.as_ref(), lost.filter(|_| row.is_some())).await?;
    t.commit().await?;
    Ok(new.id().to_owned())
}

/// Whether this actor may make a new key.
pub fn may_rotate(ctx: &Ctx) -> bool {
    allowed(&ctx.actor, Action::Configure, On::All)
}

/// The record of a kind that few have: new keys.
async fn announcements(ctx: &Ctx) -> Result<Vec<EvidenceRow>> {
    Ok(rows::of_kind(ctx.db.read().await?.tx(), rows::KEY_RECORD).await?)
}

/// Whether a row is a countersignature, for whoever sorts them.
fn is_countersignature(row: &EvidenceRow) -> bool {
    row.kind == COUNTERSIGNATURE
}

/// The row of a test with all that its report holds.
async fn whole(ctx: &Ctx, id: Uuid) -> Result<restore_tests::RestoreTestRow> {
    crate::restore_tests::find(ctx, RestoreTestId(id)).await
}

#[cfg(test)]
mod pack_tests;
#[cfg(test)]
mod tests;
