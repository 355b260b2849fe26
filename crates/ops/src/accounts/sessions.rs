//! Sessions that a provider's word has opened: their beginning, their refreshes, their ends.
//!
//! Lives here: whose session is whose. May not: what a provider's word gives (`accounts`), cookies.
//! Invariant: whoever opens or ends a session stands in the audit trail.

use domain::{
    access::Given,
    id::{AccountId, ProviderId},
    units::Timestamp,
};
use serde_json::json;
use store::{
    accounts::{self, LiveSession, SignInRow},
    audit::NewEvent,
    providers::{self, ProviderRow},
    repositories::SecretRef,
};

use super::{LONGEST_S, short};
use crate::{
    Actor, Ctx, OpsError, Result, Role,
    permission::{Action, On, require, require_on},
};

/// The sealed tokens of a session. Open to everybody: whoever has the session's id has the session.
pub async fn tokens(ctx: &Ctx, session: &str) -> Result<Option<SecretRef>> {
    Ok(accounts::signed_in(ctx.db.read().await?.tx(), session).await?.and_then(|s| s.tokens).map(|t| t.0))
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct Opened<'a> {
    pub session: &'a str,
    /// `None` for a one-time link.
    pub account: Option<AccountId>,
    pub sid: Option<String>,
    /// Sealed.
    pub tokens: Option<SecretRef>,
    pub agent: &'a str,
    pub refresh_at: Timestamp,
    /// What gave the role, for the audit trail.
    pub given: &'a [Given],
}

/// Records that `ctx.actor` has opened a session.
pub async fn opened(ctx: &Ctx, o: &Opened<'_>) -> Result<()> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = SignInRow {
        session_id: o.session.to_owned(),
        actor: ctx.actor.name.clone(),
        account_id: o.account.map(|a| a.0),
        sid: o.sid.clone(),
        tokens: o.tokens.clone().map(Into::into),
        origin: ctx.origin.to_string(),
        agent: short(o.agent),
        created_at: ctx.now().0,
        refresh_at: o.refresh_at.0,
    };
    let mut t = ctx.db.begin_audited().await?;
    accounts::sweep(t.tx(), ctx.now().plus_secs(-LONGEST_S)).await?;
    accounts::sign_in(t.tx(), &row).await?;
    if let Some(account) = o.account {
        let by: Vec<_> = o.given.iter().map(|g| json!({"grant": g.grant.to_string(), "by": g.value})).collect();
        let after = json!({"role": ctx.actor.role, "given": by});
        ctx.audit(t.tx(), NewEvent { action: "session.open", entity: "account", entity_id: account.to_string(), before: None, after: Some(after) }).await?;
    }
    t.commit().await?;
    Ok(())
}

/// A session that is due to ask its provider again, when nobody else does so.
#[derive(Clone, Debug)]
pub struct Due {
    pub provider: ProviderRow,
    pub account: AccountId,
    /// Sealed.
    pub tokens: SecretRef,
    pub role: String,
}

/// Takes it on to refresh a session. `None` where somebody else does, or nothing can be asked. Open to everybody: the
/// session is the permission.
pub async fn take_refresh(ctx: &Ctx, session: &str, again: Timestamp) -> Result<Option<Due>> {
    let mut t = ctx.db.begin().await?;
    if !accounts::take_refresh(t.tx(), session, ctx.now(), again).await? {
        return Ok(None);
    }
    let row = accounts::signed_in(t.tx(), session).await?;
    let due = match row.and_then(|r| r.account_id.zip(r.tokens)) {
        None => None,
        Some((account, tokens)) => match accounts::find(t.tx(), AccountId(account)).await? {
            None => None,
            Some(a) => providers::find(t.tx(), ProviderId(a.provider_id)).await?.map(|provider| Due {
                provider,
                account: AccountId(a.id),
                tokens: tokens.0,
                role: a.role,
            }),
        },
    };
    t.commit().await?;
    Ok(due)
}

/// Keeps the tokens that a refresh brought.
pub async fn refreshed(ctx: &Ctx, session: &str, tokens: &SecretRef, next: Timestamp) -> Result<()> {
    require_on(ctx, Action::Read, On::Any)?;
    let mut t = ctx.db.begin().await?;
    accounts::refreshed(t.tx(), session, Some(tokens), next).await?;
    t.commit().await?;
    Ok(())
}

/// Records that a provider's word has ended or changed a session of `ctx.actor`: `what` says which and why.
pub async fn changed(ctx: &Ctx, account: AccountId, action: &'static str, what: serde_json::Value) -> Result<()> {
    let mut t = ctx.db.begin_audited().await?;
    ctx.audit(t.tx(), NewEvent { action, entity: "account", entity_id: account.to_string(), before: None, after: Some(what) }).await?;
    t.commit().await?;
    Ok(())
}

/// The sessions that `ctx.actor` has open, the newest first.
pub async fn sessions(ctx: &Ctx) -> Result<Vec<LiveSession>> {
    require_on(ctx, Action::Read, On::Any)?;
    Ok(accounts::live(ctx.db.read().await?.tx(), &ctx.actor.name, ctx.now()).await?)
}

/// Ends one of one's own sessions, by the beginning of its hash that [`handle`] gives.
pub async fn end_session(ctx: &Ctx, handle: &str) -> Result<()> {
    if ctx.actor.scopes.is_some() {
        return Err(OpsError::Forbidden("end sessions by a token; sign in"));
    }
    let found = sessions(ctx).await?.into_iter().find(|s| self::handle(&s.row.session_id) == handle);
    let found = found.ok_or_else(|| OpsError::not_found("session", handle))?;
    let mut t = ctx.db.begin_audited().await?;
    accounts::end(t.tx(), &found.row.session_id).await?;
    ctx.audit(t.tx(), NewEvent { action: "session.end", entity: "session", entity_id: handle.to_owned(), ..NewEvent::default() }).await?;
    t.commit().await?;
    Ok(())
}

/// What names a session to its owner without opening it.
pub fn handle(session: &str) -> String {
    use sha2::Digest as _;
    hex::encode(&sha2::Sha256::digest(session.as_bytes())[..8])
}

/// Ends all sessions of an account, whoever has it; signing in again is the provider's to allow. How many.
///
/// # Errors
/// `NotFound` for the account.
pub async fn end_sessions(ctx: &Ctx, label: &str) -> Result<u64> {
    require(ctx, Action::AdmitPeople)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = accounts::of_label(t.tx(), label.trim()).await?.ok_or_else(|| OpsError::not_found("account", label))?;
    let ended = accounts::end_of_subject(t.tx(), ProviderId(row.provider_id), &row.subject).await?;
    let after = Some(json!({"account": row.label, "sessions": ended}));
    ctx.audit(t.tx(), NewEvent { action: "session.end", entity: "account", entity_id: row.id.to_string(), before: None, after }).await?;
    t.commit().await?;
    Ok(ended)
}

/// Ends sessions because the provider says so: those of its session `sid`, or all of `subject`. Open to everybody: the
/// provider's signed word is the permission. How many.
pub async fn end_by_provider(ctx: &Ctx, provider: &ProviderRow, sid: Option<&str>, subject: Option<&str>) -> Result<u64> {
    let mut t = ctx.db.begin_audited().await?;
    let ended = match (sid, subject) {
        (Some(sid), _) => accounts::end_of_sid(t.tx(), provider.id(), sid).await?,
        (None, Some(subject)) => accounts::end_of_subject(t.tx(), provider.id(), subject).await?,
        (None, None) => 0,
    };
    if ended > 0 {
        let by = Ctx { actor: Actor::new(format!("provider {}", provider.name), Role::Anonymous), ..ctx.clone() };
        let after = json!({"sid": sid, "subject": subject, "sessions": ended});
        let event = NewEvent { action: "session.end", entity: "provider", entity_id: provider.id.to_string(), before: None, after: Some(after) };
        by.audit(t.tx(), event).await?;
    }
    t.commit().await?;
    Ok(ended)
}
