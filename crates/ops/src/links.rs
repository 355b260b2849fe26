//! Read-only links: how somebody from outside, such as an auditor, reads evidence for a while.
//!
//! Lives here: making, listing, revoking, opening, asking again whether one still holds. May not: cookies, evidence.
//! Invariants: a guest sees the evidence of the services and days that the link names, as long as its maker may show it,
//! and nothing else; each opening is counted and audited; a link that ends or is revoked ends what it opened at the next
//! request.

use domain::{
    field::FieldError,
    id::{LinkId, ServiceId},
    review::read_date,
    units::Timestamp,
};
use jiff::civil::Date;
use serde_json::json;
pub use store::links::LinkRow;
use store::{Clock, Db, audit::NewEvent, ids::NewId as _, links, services};

use crate::{
    Actor, Ctx, Guest, OpsError, Result, Role, accounts,
    issued::{self, Kind},
    permission::{Action, On, allowed, require, require_on},
};

/// What the secret of every link begins with.
pub const PREFIX: &str = "hfg_";
/// How long one lives where nothing is said, in days.
pub const DEFAULT_DAYS: i64 = 30;
/// Services that a link names at most.
const MOST_SERVICES: usize = 500;

static KIND: Kind = Kind {
    words: "read-only link",
    prefix: PREFIX,
    needs: Action::Plan,
    refused: "manage read-only links by a token; sign in",
    name: "label",
    says: "say for whom the link is",
    days: 1..=90,
    entity: "guest_link",
    made: "link.make",
    revoked: "link.revoke",
};

/// A link as it is asked for; days as people write them.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// For whom, or for what.
    pub label: String,
    /// All services; `services` is not looked at then.
    pub all: bool,
    /// Services by name.
    pub services: Vec<String>,
    pub from: String,
    pub to: String,
    /// How many days it lives.
    pub days: i64,
}

/// The path of the page that opens a link.
pub fn path(secret: &str) -> String {
    format!("/login?link={secret}")
}

/// Makes a link. Its secret is returned this once and kept nowhere.
///
/// # Errors
/// `Invalid` with the fields `label`, `services`, `from`, `to`, `days`; `Forbidden` for a program, and for services of others.
pub async fn make(ctx: &Ctx, wanted: &Wanted) -> Result<(LinkRow, String)> {
    KIND.in_person(ctx)?;
    let (label, from, to) = checked(wanted)?;
    let named = named(ctx, wanted).await?;
    let (secret, new) = KIND.issue(ctx, LinkId::new().0, label, wanted.days);
    let mut t = ctx.db.begin_audited().await?;
    links::insert(t.tx(), &new, named.as_deref(), (from, to)).await?;
    let which = if wanted.all { json!("all") } else { json!(wanted.services) };
    let after = json!({"label": label, "services": which, "from": from, "to": to, "expires_at": new.expires_at.0});
    Ok((KIND.made(ctx, t, new.id, after).await?, secret))
}

fn checked(wanted: &Wanted) -> Result<(&str, Date, Date)> {
    let label = wanted.label.trim();
    let mut wrong = Vec::from_iter(KIND.name_error(label));
    if !wanted.all && (wanted.services.is_empty() || wanted.services.len() > MOST_SERVICES) {
        wrong.push(FieldError::new("services", format!("must name 1 to {MOST_SERVICES} services whose evidence is shown")));
    }
    let mut day = |field: &str, text: &str| read_date(field, text).map_err(|e| wrong.push(e)).ok();
    let (from, to) = (day("from", &wanted.from), day("to", &wanted.to));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        wrong.push(FieldError::new("to", format!("{to} is before {from}; the period ends on the day on which it begins, or later")));
    }
    wrong.extend(KIND.days_error(wanted.days));
    match (from, to) {
        (Some(from), Some(to)) if wrong.is_empty() => Ok((label, from, to)),
        _ => Err(OpsError::Invalid(wrong)),
    }
}

/// The services that are named, each of which has to be the actor's to show; `None` for all.
async fn named(ctx: &Ctx, wanted: &Wanted) -> Result<Option<Vec<ServiceId>>> {
    if wanted.all {
        require(ctx, Action::Plan)?;
        return Ok(None);
    }
    let mut found = Vec::new();
    for name in &wanted.services {
        let row = services::find_by_name(ctx.db.read().await?.tx(), name).await?.filter(|s| s.removed_at.is_none());
        let row = row.ok_or_else(|| OpsError::invalid("services", format!("there is no service “{name}”; choose among those that you see")))?;
        require_on(ctx, Action::Plan, On::Service(row.id()))?;
        found.push(row.id());
    }
    found.sort();
    found.dedup();
    Ok(Some(found))
}

/// One's own links, the newest first; those of everybody for whoever admits people.
pub async fn list(ctx: &Ctx) -> Result<Vec<LinkRow>> {
    KIND.list(ctx).await
}

/// The names of the services that a link shows, in their order; `None` for all. What was removed since is left out.
pub async fn service_names(ctx: &Ctx, row: &LinkRow) -> Result<Option<Vec<String>>> {
    require_on(ctx, Action::Plan, On::Any)?;
    let Some(ids) = &row.services else { return Ok(None) };
    let mut read = ctx.db.read().await?;
    let mut names = Vec::new();
    for id in &ids.0 {
        names.extend(services::find(read.tx(), *id).await?.filter(|s| s.removed_at.is_none()).map(|s| s.name));
    }
    names.sort();
    Ok(Some(names))
}

/// Ends a link, and with it whatever it opened: one's own, or anybody's for whoever admits people. Twice changes nothing.
pub async fn revoke(ctx: &Ctx, id: LinkId) -> Result<()> {
    KIND.revoke::<LinkRow>(ctx, id.0).await
}

/// Opens a link: the guest who is then signed in. Open to everybody: the link is the permission.
///
/// # Errors
/// `Invalid` with the field `link`, whatever is wrong with it.
pub async fn open(ctx: &Ctx, secret: &str) -> Result<Actor> {
    let refused = || OpsError::invalid("link", "this link is unknown, over or revoked; ask whoever gave it to you for a new one");
    let row: LinkRow = issued::known(&ctx.db, secret, ctx.now()).await?.ok_or_else(refused)?;
    let actor = current(&ctx.db, &row, ctx.now()).await?.ok_or_else(refused)?;
    let mut t = ctx.db.begin_audited().await?;
    if !store::issued::used::<LinkRow>(t.tx(), row.issued.id, ctx.now(), &ctx.origin).await? {
        return Err(refused());
    }
    let guest = Ctx { actor: actor.clone(), ..ctx.clone() };
    let after = json!({"label": row.issued.name, "use": row.uses + 1});
    guest.audit(t.tx(), NewEvent { action: "link.open", entity: "guest_link", entity_id: row.issued.id.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(actor)
}

/// A guest as of now; `None` where the link has ended. Open to everybody: the session is the permission.
pub async fn still_in(db: &Db, clock: &Clock, guest: &Guest) -> Result<Option<Actor>> {
    let row: Option<LinkRow> = store::issued::find(db.read().await?.tx(), guest.link.0).await?;
    match row {
        Some(row) => current(db, &row, clock.now()).await,
        None => Ok(None),
    }
}

/// What a link shows now: the services that it names and that its maker may still show.
async fn current(db: &Db, row: &LinkRow, now: Timestamp) -> Result<Option<Actor>> {
    if row.issued.state(now) != "valid" {
        return Ok(None);
    }
    let Some(maker) = accounts::behind(db, &row.issued.actor, &row.issued.role).await? else { return Ok(None) };
    let services = match &row.services {
        None if allowed(&maker, Action::Plan, On::All) => None,
        None => return Ok(None),
        Some(named) => {
            let left: Vec<ServiceId> = named.0.iter().copied().filter(|s| allowed(&maker, Action::Plan, On::Service(*s))).collect();
            if left.is_empty() {
                return Ok(None);
            }
            Some(left)
        }
    };
    let guest = Guest { link: row.id(), services, from: row.from_on()?, to: row.to_on()? };
    Ok(Some(Actor { guest: Some(guest), shown: Some(row.issued.name.clone()), ..Actor::new(format!("guest by link {}", row.issued.name), Role::Guest) }))
}
