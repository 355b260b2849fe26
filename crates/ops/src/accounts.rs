//! Accounts: letting somebody in whom a provider knows, asking again what they may.
//!
//! Lives here: what a provider's word gives. Beside it: `sessions`. May not: talking to a provider, cookies.
//! Invariants: a role comes from the rules of the provider that vouches, never from a former sign-in; whoever is let in or
//! refused stands in the audit trail; tokens are stored sealed.

mod sessions;

use domain::{
    access::{Claims, Given, Grant, MapRule, given},
    id::{AccountId, PersonId, ProviderId},
};
use serde_json::json;
use store::{
    Tx,
    accounts::{self, Facts},
    audit::NewEvent,
    ids::NewId as _,
    people, providers, services,
};
pub use store::{
    accounts::{AccountRow, LiveSession},
    providers::ProviderRow,
};

pub use self::sessions::{Due, Opened, changed, end_by_provider, end_session, end_sessions, handle, opened, refreshed, sessions, take_refresh, tokens};
use crate::{
    Actor, Ctx, OpsError, Result, Role,
    permission::{Action, require},
};

/// A session ends so long after it was opened, whatever is done in it: twelve hours.
pub const LONGEST_S: i64 = 12 * 3_600;
/// What the tokens of a session are sealed for.
pub const TOKENS: &str = "sign_in.tokens";
/// The claim that says how well somebody was looked at before they got the account.
const ASSURANCE: &str = "eduperson_assurance";
/// Characters of names that are kept.
const LONGEST: usize = 200;
/// Accounts that are listed.
const MOST: i64 = 1_000;

/// A provider as the sign-in page offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub name: String,
    pub title: String,
}

/// The providers that anybody may try. Open to everybody.
pub async fn offered(ctx: &Ctx) -> Result<Vec<Offered>> {
    let all = providers::list(ctx.db.read().await?.tx()).await?;
    Ok(all.into_iter().map(|p| Offered { title: p.config.0.title, name: p.name }).collect())
}

/// A provider that is configured, by its name. Open to everybody: what it holds is not shown.
pub async fn provider(ctx: &Ctx, name: &str) -> Result<ProviderRow> {
    let found = providers::find_by_name(ctx.db.read().await?.tx(), name).await?;
    found.filter(|p| p.removed_at.is_none()).ok_or_else(|| OpsError::not_found("provider", name))
}

/// The address at which people open Holdfast, if it is configured. Open to everybody: a browser knows it.
pub async fn address(ctx: &Ctx) -> Result<Option<String>> {
    Ok(store::settings::get::<Option<String>>(ctx.db.read().await?.tx(), crate::notifications::ADDRESS).await?.flatten())
}

/// Somebody as a provider has just described them.
#[derive(Clone, Debug)]
pub struct Described {
    /// The person key, from the first of the claims that name it.
    pub subject: String,
    pub name: String,
    pub email: String,
    pub claims: Claims,
}

/// Why somebody whom the provider knows is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No rule gives them a role.
    NoRole,
    /// The provider does not say that they were looked at well enough.
    Assurance,
    /// The provider does not say who they are.
    NoKey,
}

impl Refusal {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRole => "no_role",
            Self::Assurance => "assurance",
            Self::NoKey => "no_key",
        }
    }
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub account: AccountId,
    pub actor: Actor,
    /// What gave the role.
    pub given: Vec<Given>,
}

/// Reads what a provider said, a JSON object of claims.
///
/// # Errors
/// `Refusal::NoKey` where none of the claims that may name the person is there.
pub fn describe(provider: &ProviderRow, said: &serde_json::Map<String, serde_json::Value>) -> std::result::Result<Described, Refusal> {
    let text = |v: &serde_json::Value| match v {
        serde_json::Value::String(s) => Some(s.clone()),
        serde_json::Value::Number(n) => Some(n.to_string()),
        serde_json::Value::Bool(b) => Some(b.to_string()),
        _ => None,
    };
    let claims: Claims = said
        .iter()
        .map(|(name, value)| {
            let values = match value {
                serde_json::Value::Array(all) => all.iter().filter_map(text).collect(),
                one => text(one).into_iter().collect(),
            };
            (name.clone(), values)
        })
        .filter(|(_, values): &(String, Vec<String>)| !values.is_empty())
        .collect();
    let first = |name: &str| claims.get(name).and_then(|v| v.first()).filter(|v| !v.trim().is_empty()).map(|v| short(v));
    let subject = provider.config.0.person.iter().find_map(|name| first(name)).ok_or(Refusal::NoKey)?;
    // An address that nobody has verified names nobody.
    let verified = claims.get("email_verified").is_none_or(|v| v.iter().any(|t| t == "true"));
    let email = if verified { first("email").unwrap_or_default() } else { String::new() };
    let name = first("name").or_else(|| first("preferred_username")).unwrap_or_default();
    let mut claims = claims;
    if !verified {
        claims.remove("email");
    }
    Ok(Described { subject, name, email, claims })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

fn rules(provider: &ProviderRow) -> Vec<MapRule> {
    // A pattern that is not understood any more gives nothing.
    provider.config.0.roles.iter().filter_map(|r| r.read().ok()).collect()
}

/// The role that allows most.
fn role(given: &[Given]) -> Option<Role> {
    let of = |g: &Given| match g.grant {
        Grant::Admin => Role::Admin,
        Grant::Auditor => Role::Auditor,
        Grant::Owner { .. } => Role::Owner,
        Grant::Member => Role::Member,
    };
    given.iter().map(of).min_by_key(|r| r.rank())
}

/// The role that the rules give somebody with these claims, and what gave it: the one answer for whoever signs in, whose
/// session is refreshed, who shows a token, and who tries the rules.
fn judge(provider: &ProviderRow, claims: &Claims) -> std::result::Result<(Role, Vec<Given>), Refusal> {
    let wanted = &provider.config.0.assurance;
    if !wanted.is_empty() && !claims.get(ASSURANCE).is_some_and(|have| have.iter().any(|a| wanted.contains(a))) {
        return Err(Refusal::Assurance);
    }
    let given = given(&rules(provider), claims);
    role(&given).map(|role| (role, given)).ok_or(Refusal::NoRole)
}

/// Gives an actor the services that they own and the data that is theirs, as far as both are known here.
async fn scoped(mut tx: Tx<'_>, actor: Actor, provider: &ProviderRow, given: &[Given], claims: &Claims, linked: Option<PersonId>) -> Result<Actor> {
    let mut owned = Vec::new();
    let member = given.iter().any(|g| g.grant == Grant::Member);
    for g in given {
        match &g.grant {
            Grant::Owner { service } => {
                let row = services::find_by_name(tx.by_ref(), service).await?;
                owned.extend(row.filter(|s| s.removed_at.is_none()).map(|s| s.id()));
            }
            Grant::Member | Grant::Admin | Grant::Auditor => {}
        }
    }
    let person = match linked {
        _ if !member => None,
        Some(person) => Some(person),
        None => claimed(tx, provider, claims).await?,
    };
    Ok(Actor { services: owned, person, ..actor })
}

/// Whose data it is by the claims that the provider's `data` names: the first of them that is the name of somebody.
async fn claimed(mut tx: Tx<'_>, provider: &ProviderRow, claims: &Claims) -> Result<Option<PersonId>> {
    let names: Vec<&String> = provider.config.0.data.iter().filter_map(|claim| claims.get(claim)).flatten().collect();
    for name in names {
        if let Some(found) = people::find_by_name(tx.by_ref(), name).await? {
            return Ok(Some(PersonId(found.id)));
        }
    }
    Ok(None)
}

/// Whom the rules make of an account by what its provider said last; `None` where nobody vouches for it any more.
pub(crate) async fn actor_of(mut tx: Tx<'_>, account: &AccountRow) -> Result<Option<Actor>> {
    let Some(provider) = providers::find(tx.by_ref(), ProviderId(account.provider_id)).await?.filter(|p| p.removed_at.is_none()) else { return Ok(None) };
    let Ok((now, given)) = judge(&provider, &account.claims.0) else { return Ok(None) };
    let Some(role) = Role::parse(&account.role).map(|then| if then.rank() > now.rank() { then } else { now }) else { return Ok(None) };
    let actor = Actor::new(account.label.clone(), role);
    scoped(tx, actor, &provider, &given, &account.claims.0, account.person_id.map(PersonId)).await.map(Some)
}

/// Whoever made a secret that speaks for them, such as a calendar address, with what they may now, if that is less than it was.
/// `None` where nobody vouches for them any more.
pub(crate) async fn behind(db: &store::Db, label: &str, role_then: &str) -> Result<Option<Actor>> {
    let mut read = db.read().await?;
    let account = accounts::of_label(read.tx(), label).await?;
    let maker = match &account {
        Some(account) => actor_of(read.tx(), account).await?,
        None => Role::parse(role_then).map(|role| Actor::new(label, role)),
    };
    let (Some(maker), Some(then)) = (maker, Role::parse(role_then)) else { return Ok(None) };
    let role = if then.rank() > maker.role.rank() { then } else { maker.role };
    let services = if then.rank() <= Role::Owner.rank() { maker.services } else { Vec::new() };
    Ok(Some(Actor { role, services, ..maker }))
}

/// Says whose data an account's is: the person of that name, or nobody. It counts from the account's next refresh on.
///
/// # Errors
/// `NotFound` for the account or the person.
pub async fn link(ctx: &Ctx, label: &str, person: Option<&str>) -> Result<()> {
    require(ctx, Action::AdmitPeople)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = accounts::of_label(t.tx(), label.trim()).await?.ok_or_else(|| OpsError::not_found("account", label))?;
    let found = match person {
        Some(name) => Some(people::find_by_name(t.tx(), name).await?.ok_or_else(|| OpsError::not_found("person", name))?),
        None => None,
    };
    accounts::link(t.tx(), AccountId(row.id), found.as_ref().map(|p| PersonId(p.id))).await?;
    let event = NewEvent {
        action: "account.link",
        entity: "account",
        entity_id: row.id.to_string(),
        before: Some(json!({"account": row.label, "person_id": row.person_id})),
        after: Some(json!({"account": row.label, "person_id": found.as_ref().map(|p| p.id), "person": found.as_ref().map(|p| &p.name)})),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// An account with the name of the person whose data is theirs.
#[derive(Clone, Debug)]
pub struct Account {
    pub row: AccountRow,
    pub provider: String,
    pub person: Option<String>,
}

/// The accounts that are known, by label; at most a thousand.
pub async fn all(ctx: &Ctx) -> Result<Vec<Account>> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let rows = accounts::list(read.tx(), MOST).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let provider = providers::find(read.tx(), ProviderId(row.provider_id)).await?.map(|p| p.name).unwrap_or_default();
        let person = match row.person_id {
            Some(id) => people::find(read.tx(), PersonId(id)).await?.map(|p| p.name),
            None => None,
        };
        all.push(Account { row, provider, person });
    }
    Ok(all)
}

/// The providers that are configured, with who gets which role.
pub async fn configured(ctx: &Ctx) -> Result<Vec<ProviderRow>> {
    require(ctx, Action::Read)?;
    Ok(providers::list(ctx.db.read().await?.tx()).await?)
}

/// What the rules would give somebody with these claims: a preview for whoever writes them.
pub async fn preview(ctx: &Ctx, provider: &str, claims: &Claims) -> Result<std::result::Result<Vec<Given>, Refusal>> {
    require(ctx, Action::Read)?;
    let row = self::provider(ctx, provider).await?;
    Ok(judge(&row, claims).map(|(_, given)| given))
}

/// Records that a provider does not say who somebody is. Open to everybody, as [`admit`] is.
pub async fn nobody(ctx: &Ctx, provider: &ProviderRow) -> Result<()> {
    let mut t = ctx.db.begin_audited().await?;
    refuse(ctx, t.tx(), provider, "somebody", Refusal::NoKey).await?;
    t.commit().await?;
    Ok(())
}

async fn refuse(ctx: &Ctx, tx: Tx<'_>, provider: &ProviderRow, label: &str, why: Refusal) -> Result<()> {
    let refused = Ctx { actor: Actor::new(label, Role::Anonymous), ..ctx.clone() };
    let after = json!({"provider": provider.name, "why": why.as_str()});
    refused.audit(tx, NewEvent { action: "session.refuse", entity: "provider", entity_id: provider.id.to_string(), before: None, after: Some(after) }).await
}

/// Lets somebody in whom the provider has just described, or refuses. Open to everybody: the provider's word is the
/// permission.
pub async fn admit(ctx: &Ctx, provider: &ProviderRow, who: &Described) -> Result<std::result::Result<Admitted, Refusal>> {
    let found = judge(provider, &who.claims);
    let now = ctx.now();
    let mut t = ctx.db.begin_audited().await?;
    let known = accounts::of_subject(t.tx(), provider.id(), &who.subject).await?;
    let (role, given) = match found {
        Ok(found) => found,
        Err(refusal) => {
            let label = known.as_ref().map_or_else(|| label(who), |a| a.label.clone());
            // What it says now counts from now on: tokens of theirs open nothing either.
            if let Some(row) = &known {
                let facts = Facts { name: &who.name, email: &who.email, claims: &who.claims, role: &row.role };
                accounts::seen(t.tx(), AccountId(row.id), &facts, now).await?;
            }
            refuse(ctx, t.tx(), provider, &label, refusal).await?;
            t.commit().await?;
            return Ok(Err(refusal));
        }
    };
    let facts = Facts { name: &who.name, email: &who.email, claims: &who.claims, role: role.as_str() };
    let (account, label, linked) = if let Some(row) = known {
        accounts::seen(t.tx(), AccountId(row.id), &facts, now).await?;
        (AccountId(row.id), row.label, row.person_id.map(PersonId))
    } else {
        let (id, mut label) = (AccountId::new(), label(who));
        if accounts::label_is_taken(t.tx(), &label).await? || is_ours(&label) {
            label = format!("{label} ({} {})", provider.name, &id.0.simple().to_string()[20..]);
        }
        accounts::insert(t.tx(), id, provider.id(), &who.subject, &label, &facts, now).await?;
        (id, label, None)
    };
    let shown = if who.name.is_empty() { label.clone() } else { who.name.clone() };
    let actor = Actor { shown: Some(shown), ..Actor::new(label, role) };
    let actor = scoped(t.tx(), actor, provider, &given, &who.claims, linked).await?;
    let whose = claimed(t.tx(), provider, &who.claims).await?;
    accounts::claimed(t.tx(), account, whose).await?;
    t.commit().await?;
    Ok(Ok(Admitted { account, actor, given }))
}

/// How the audit trail names somebody: by the address, or by the person key.
fn label(who: &Described) -> String {
    if who.email.is_empty() { who.subject.clone() } else { who.email.clone() }
}

/// Names that only Holdfast itself and its shell have.
fn is_ours(label: &str) -> bool {
    ["admin", "anonymous", "holdfast", "metrics", "shell"].contains(&label)
        || label.starts_with("schedule ")
        || label.starts_with("guest ")
        || label.contains(" by token ")
}

#[cfg(test)]
mod tests;
