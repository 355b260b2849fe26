//! Calendar feeds: secret addresses at which a calendar program reads which reviews are due (R44).
//!
//! Lives here: making, listing, revoking, what an address shows. May not: addresses of this site as a whole (adapters
//! know those), the form of the file (`domain::review::ical` has it).
//! Invariants: only the hash of an address is stored, so that it is shown once; it shows what its maker sees now, never
//! more than they saw when they made it; it opens nothing else.

use domain::{
    id::FeedId,
    review::{
        Standing,
        ical::{self, Event},
        reminders,
    },
    units::Timestamp,
};
use rand::Rng as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
pub use store::feeds::FeedRow;
use store::{
    Clock, Db,
    audit::NewEvent,
    feeds::{self, NewFeed},
    ids::NewId as _,
};

use crate::{
    Actor, Ctx, OpsError, Result, accounts,
    permission::{Action, On, allowed, require, require_on},
    reviews::{self, Filter, Review},
};

/// What every secret of an address begins with, so that one in a wrong place is seen for what it is.
pub const PREFIX: &str = "hfc_";
/// How long an address may live, in days.
pub const DAYS: std::ops::RangeInclusive<i64> = 1..=366;
/// How long one lives where nothing is said, in days.
pub const DEFAULT_DAYS: i64 = 366;
/// The longest name, in characters.
const LONGEST_NAME: usize = 80;
/// How often the last use is written, in seconds.
const USE_S: f64 = 60.0;
/// Addresses that are listed.
const LISTED: i64 = 1_000;

/// The path of the address that holds this secret.
pub fn path(secret: &str) -> String {
    format!("/calendar/{secret}.ics")
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Refuses a program: a token that leaked must not outlive itself.
fn in_person(ctx: &Ctx) -> Result<()> {
    require_on(ctx, Action::Read, On::Any)?;
    if ctx.actor.scopes.is_some() { Err(OpsError::Forbidden("manage calendar addresses by a token; sign in")) } else { Ok(()) }
}

/// Makes an address for whoever asks. Its secret is returned this once and kept nowhere.
///
/// # Errors
/// `Invalid` with the fields `name`, `days`; `Forbidden` for a program.
pub async fn make(ctx: &Ctx, name: &str, days: i64) -> Result<(FeedRow, String)> {
    in_person(ctx)?;
    let name = name.trim();
    let mut wrong = Vec::new();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let message = format!("must be 1 to {LONGEST_NAME} characters; say which program reads it");
        wrong.push(domain::field::FieldError::new("name", message));
    }
    if !DAYS.contains(&days) {
        wrong.push(domain::field::FieldError::new("days", format!("must be from {} to {}", DAYS.start(), DAYS.end())));
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let secret = format!("{PREFIX}{}", hex::encode(bytes));
    let (id, now) = (FeedId::new(), ctx.now());
    let new = NewFeed {
        id,
        name,
        actor: &ctx.actor.name,
        role: ctx.actor.role.as_str(),
        hash: &hash(&secret),
        created_at: now,
        expires_at: now.plus_secs(days * 86_400),
    };
    let mut t = ctx.db.begin_audited().await?;
    feeds::insert(t.tx(), &new).await?;
    let after = json!({"name": name, "expires_at": new.expires_at.0});
    ctx.audit(t.tx(), NewEvent { action: "calendar.make", entity: "calendar_feed", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    let row = feeds::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("calendar address", id))?;
    t.commit().await?;
    Ok((row, secret))
}

/// One's own addresses, the newest first; those of everybody for whoever admits people.
pub async fn list(ctx: &Ctx) -> Result<Vec<FeedRow>> {
    require_on(ctx, Action::Read, On::Any)?;
    let everybody = allowed(&ctx.actor, Action::AdmitPeople, On::All);
    let whose = if everybody { "" } else { &ctx.actor.name };
    Ok(feeds::list(ctx.db.read().await?.tx(), whose, LISTED).await?)
}

/// Ends an address: one's own, or anybody's for whoever admits people. To revoke it again changes nothing.
pub async fn revoke(ctx: &Ctx, id: FeedId) -> Result<()> {
    in_person(ctx)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = feeds::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("calendar address", id))?;
    if row.actor != ctx.actor.name {
        require(ctx, Action::AdmitPeople)?;
    }
    if feeds::revoke(t.tx(), id, ctx.now(), &ctx.actor.name).await? {
        let before = json!({"name": row.name, "actor": row.actor});
        ctx.audit(t.tx(), NewEvent { action: "calendar.revoke", entity: "calendar_feed", entity_id: id.to_string(), before: Some(before), after: None })
            .await?;
    }
    t.commit().await?;
    Ok(())
}

/// How an address stands.
pub fn state(row: &FeedRow, now: Timestamp) -> &'static str {
    match row.revoked_at {
        Some(_) => "revoked",
        None if row.expires_at <= now.0 => "expired",
        None => "valid",
    }
}

/// The calendar behind an address; `None` where it is none that is valid. Open to everybody: the address is the permission.
pub async fn read(db: &Db, clock: &Clock, secret: &str, from: &str) -> Result<Option<String>> {
    let well_formed = secret.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 64 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if !well_formed {
        return Ok(None);
    }
    let now = clock.now();
    let Some(row) = feeds::of_hash(db.read().await?.tx(), &hash(secret)).await?.filter(|r| state(r, now) == "valid") else { return Ok(None) };
    let Some(maker) = accounts::behind(db, &row.actor, &row.role).await? else { return Ok(None) };
    let actor = Actor { scopes: Some(vec![Action::Read]), ..maker };
    if row.last_used_at.is_none_or(|at| now.secs_since(Timestamp(at)).abs() > USE_S) {
        let mut t = db.begin().await?;
        feeds::used(t.tx(), row.id, now, from).await?;
        t.commit().await?;
    }
    let ctx = Ctx { actor, origin: from.into(), clock: clock.clone(), db: db.clone(), claim: None };
    let address = accounts::address(&ctx).await?;
    let all = reviews::calendar(&ctx, &Filter::default()).await?;
    let events: Vec<Event> = all.iter().map(|r| event(r, address.as_deref())).collect();
    Ok(Some(ical::calendar("Reviews of Holdfast", &events)))
}

fn event(r: &Review, address: Option<&str>) -> Event {
    let (f, what) = (&r.facts, r.facts.kind.words());
    let last = f.last_on.map_or_else(|| "It was never done.".to_owned(), |on| format!("It was done last on {on}."));
    let mut description = format!("The {what} of {} is due on {}, every {} months. {last}", r.service.title, f.due, f.months);
    let mut summary = format!("{}: {what}", r.service.title);
    let exempt = matches!(r.standing, Standing::Exempt { .. });
    if let (true, Some(e)) = (exempt, &f.exemption) {
        summary.push_str(" (exempt)");
        description = format!("{description}\n{} exempted it until {}: {}", e.actor, e.until_on, e.reason);
    }
    Event {
        uid: format!("review-{}-{}@holdfast", f.kind, r.service.id),
        changed_at: f.changed_at,
        on: f.due,
        summary,
        description,
        url: address.map(|a| format!("{}/services/{}/reviews", a.trim_end_matches('/'), r.service.name)),
        alarms: if exempt { Vec::new() } else { reminders(f.months).to_vec() },
    }
}
