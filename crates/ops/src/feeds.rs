//! Calendar feeds: secret addresses at which a calendar program reads which reviews are due (R44).
//!
//! Lives here: making, listing, revoking, what an address shows. May not: addresses of this site as a whole (adapters
//! know those), the form of the file (`domain::review::ical` has it).
//! Invariants: it shows what its maker sees now, never more than they saw when they made it; it opens nothing else.

use domain::{
    field::FieldError,
    id::FeedId,
    review::{
        Standing,
        ical::{self, Event},
        reminders,
    },
};
use serde_json::json;
pub use store::feeds::FeedRow;
use store::{Clock, Db, feeds, ids::NewId as _};

use crate::{
    Actor, Ctx, OpsError, Result, accounts,
    issued::{self, Kind},
    permission::Action,
    reviews::{self, Filter, Review},
};

/// What every secret of an address begins with.
pub const PREFIX: &str = "hfc_";
/// How long one lives where nothing is said, in days.
pub const DEFAULT_DAYS: i64 = 366;

static KIND: Kind = Kind {
    words: "calendar address",
    prefix: PREFIX,
    needs: Action::Read,
    refused: "manage calendar addresses by a token; sign in",
    name: "name",
    says: "say which program reads it",
    days: 1..=366,
    entity: "calendar_feed",
    made: "calendar.make",
    revoked: "calendar.revoke",
};

/// The path of the address that holds this secret.
pub fn path(secret: &str) -> String {
    format!("/calendar/{secret}.ics")
}

/// Makes an address for whoever asks. Its secret is returned this once and kept nowhere.
///
/// # Errors
/// `Invalid` with the fields `name`, `days`; `Forbidden` for a program.
pub async fn make(ctx: &Ctx, name: &str, days: i64) -> Result<(FeedRow, String)> {
    KIND.in_person(ctx)?;
    let name = name.trim();
    let wrong: Vec<FieldError> = KIND.name_error(name).into_iter().chain(KIND.days_error(days)).collect();
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let (secret, new) = KIND.issue(ctx, FeedId::new().0, name, days);
    let mut t = ctx.db.begin_audited().await?;
    feeds::insert(t.tx(), &new).await?;
    let after = json!({"name": name, "expires_at": new.expires_at.0});
    Ok((KIND.made(ctx, t, new.id, after).await?, secret))
}

/// One's own addresses, the newest first; those of everybody for whoever admits people.
pub async fn list(ctx: &Ctx) -> Result<Vec<FeedRow>> {
    KIND.list(ctx).await
}

/// Ends an address: one's own, or anybody's for whoever admits people. To revoke it again changes nothing.
pub async fn revoke(ctx: &Ctx, id: FeedId) -> Result<()> {
    KIND.revoke::<FeedRow>(ctx, id.0).await
}

/// The calendar behind an address; `None` where it is none that is valid. Open to everybody: the address is the permission.
pub async fn read(db: &Db, clock: &Clock, secret: &str, from: &str) -> Result<Option<String>> {
    let well_formed = secret.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 64 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if !well_formed {
        return Ok(None);
    }
    let now = clock.now();
    let Some(row) = issued::known::<FeedRow>(db, secret, now).await? else { return Ok(None) };
    let Some(maker) = accounts::behind(db, &row.issued.actor, &row.issued.role).await? else { return Ok(None) };
    let actor = Actor { scopes: Some(vec![Action::Read]), ..maker };
    issued::used(db, &row, now, from).await?;
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
