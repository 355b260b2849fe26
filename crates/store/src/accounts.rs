//! Rows of accounts, and of the sessions that they opened.
//!
//! Lives here: their SQL. May not: cookies, tokens in clear, deciding roles.

use domain::{
    access::Claims,
    id::{AccountId, PersonId, ProviderId},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on, repositories::SecretRef};

statements! {
    FIND = "SELECT * FROM account WHERE id = $1";
    OF_SUBJECT = "SELECT * FROM account WHERE provider_id = $1 AND subject = $2";
    OF_LABEL = "SELECT * FROM account WHERE label = $1";
    LABEL_TAKEN = "SELECT count(*) FROM account WHERE label = $1";
    INSERT = "INSERT INTO account (id, provider_id, subject, label, name, email, claims, role, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
    SEEN = "UPDATE account SET name = $2, email = $3, claims = $4, role = $5, seen_at = $6 WHERE id = $1";
    LINK = "UPDATE account SET person_id = $2 WHERE id = $1";
    CLAIMED = "UPDATE account SET claimed_person_id = $2 WHERE id = $1";
    OF_PERSON = "SELECT * FROM account WHERE person_id = $1 OR (person_id IS NULL AND claimed_person_id = $1) ORDER BY label";
    LIST = "SELECT * FROM account ORDER BY label LIMIT $1";
    SIGN_IN = "INSERT INTO sign_in (session_id, actor, account_id, sid, tokens, origin, agent, created_at, refresh_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (session_id) DO UPDATE SET actor = excluded.actor, account_id = excluded.account_id, sid = excluded.sid, tokens = excluded.tokens, \
        origin = excluded.origin, agent = excluded.agent, created_at = excluded.created_at, refresh_at = excluded.refresh_at";
    SIGNED_IN = "SELECT * FROM sign_in WHERE session_id = $1";
    /// Compare and swap: of several requests one refreshes.
    TAKE_REFRESH = "UPDATE sign_in SET refresh_at = $3 WHERE session_id = $1 AND refresh_at <= $2";
    REFRESHED = "UPDATE sign_in SET tokens = $2, refresh_at = $3 WHERE session_id = $1";
    LIVE = "SELECT w.*, s.expires_at FROM sign_in w JOIN session s ON s.id = w.session_id WHERE w.actor = $1 AND s.expires_at > $2 ORDER BY w.created_at DESC LIMIT 200";
    END = "DELETE FROM session WHERE id = $1";
    END_OF_SID = "DELETE FROM session WHERE id IN (SELECT w.session_id FROM sign_in w JOIN account a ON a.id = w.account_id WHERE a.provider_id = $1 AND w.sid = $2)";
    END_OF_SUBJECT = "DELETE FROM session WHERE id IN (SELECT w.session_id FROM sign_in w JOIN account a ON a.id = w.account_id WHERE a.provider_id = $1 AND a.subject = $2)";
    SWEEP = "DELETE FROM sign_in WHERE created_at < $1 AND NOT EXISTS (SELECT 1 FROM session WHERE session.id = sign_in.session_id)";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AccountRow {
    pub id: Uuid,
    pub provider_id: Uuid,
    pub subject: String,
    pub label: String,
    pub name: String,
    pub email: String,
    pub claims: Json<Claims>,
    pub role: String,
    pub created_at: i64,
    pub seen_at: i64,
    /// Whose data is theirs, where an admin said so.
    pub person_id: Option<Uuid>,
    /// Whose data is theirs by what the provider said last; what an admin said goes before it.
    pub claimed_person_id: Option<Uuid>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SignInRow {
    pub session_id: String,
    pub actor: String,
    pub account_id: Option<Uuid>,
    pub sid: Option<String>,
    pub tokens: Option<Json<SecretRef>>,
    pub origin: String,
    pub agent: String,
    pub created_at: i64,
    pub refresh_at: i64,
}

/// A session that is open, with when it ends unless it is used.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LiveSession {
    #[sqlx(flatten)]
    pub row: SignInRow,
    pub expires_at: i64,
}

/// What is known of an account when it signs in.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub name: &'a str,
    pub email: &'a str,
    pub claims: &'a Claims,
    pub role: &'a str,
}

pub async fn find(tx: Tx<'_>, id: AccountId) -> Result<Option<AccountRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn of_subject(tx: Tx<'_>, provider: ProviderId, subject: &str) -> Result<Option<AccountRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SUBJECT).bind(provider.0).bind(subject).fetch_optional(c).await)?)
}

pub async fn of_label(tx: Tx<'_>, label: &str) -> Result<Option<AccountRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_LABEL).bind(label).fetch_optional(c).await)?)
}

pub async fn label_is_taken(tx: Tx<'_>, label: &str) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, i64>(LABEL_TAKEN).bind(label).fetch_one(c).await)? > 0)
}

pub async fn insert(tx: Tx<'_>, id: AccountId, provider: ProviderId, subject: &str, label: &str, facts: &Facts<'_>, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(id.0).bind(provider.0).bind(subject).bind(label).bind(facts.name).bind(facts.email).bind(Json(facts.claims))
        .bind(facts.role).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn seen(tx: Tx<'_>, id: AccountId, facts: &Facts<'_>, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SEEN).bind(id.0).bind(facts.name).bind(facts.email).bind(Json(facts.claims)).bind(facts.role).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn link(tx: Tx<'_>, id: AccountId, person: Option<PersonId>) -> Result<()> {
    on!(tx, c => sqlx::query(LINK).bind(id.0).bind(person.map(|p| p.0)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records whose data it is by what the provider has just said.
pub async fn claimed(tx: Tx<'_>, id: AccountId, person: Option<PersonId>) -> Result<()> {
    on!(tx, c => sqlx::query(CLAIMED).bind(id.0).bind(person.map(|p| p.0)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The accounts whose data is a person's.
pub async fn of_person(tx: Tx<'_>, person: PersonId) -> Result<Vec<AccountRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_PERSON).bind(person.0).fetch_all(c).await)?)
}

/// At most `limit` accounts by label.
pub async fn list(tx: Tx<'_>, limit: i64) -> Result<Vec<AccountRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(limit).fetch_all(c).await)?)
}

pub async fn sign_in(tx: Tx<'_>, row: &SignInRow) -> Result<()> {
    on!(tx, c => sqlx::query(SIGN_IN).bind(&row.session_id).bind(&row.actor).bind(row.account_id).bind(&row.sid).bind(&row.tokens).bind(&row.origin).bind(&row.agent)
        .bind(row.created_at).bind(row.refresh_at).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn signed_in(tx: Tx<'_>, session: &str) -> Result<Option<SignInRow>> {
    Ok(on!(tx, c => sqlx::query_as(SIGNED_IN).bind(session).fetch_optional(c).await)?)
}

/// Takes it on to refresh a session that is due; nobody else does until `next`. `false` where somebody else does.
pub async fn take_refresh(tx: Tx<'_>, session: &str, now: Timestamp, next: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(TAKE_REFRESH).bind(session).bind(now.0).bind(next.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn refreshed(tx: Tx<'_>, session: &str, tokens: Option<&SecretRef>, next: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(REFRESHED).bind(session).bind(tokens.map(Json)).bind(next.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The open sessions of an actor, the newest first.
pub async fn live(tx: Tx<'_>, actor: &str, now: Timestamp) -> Result<Vec<LiveSession>> {
    Ok(on!(tx, c => sqlx::query_as(LIVE).bind(actor).bind(now.0).fetch_all(c).await)?)
}

pub async fn end(tx: Tx<'_>, session: &str) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(END).bind(session).execute(c).await.map(|r| r.rows_affected()))?)
}

/// Ends what was opened within the provider's session of that name.
pub async fn end_of_sid(tx: Tx<'_>, provider: ProviderId, sid: &str) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(END_OF_SID).bind(provider.0).bind(sid).execute(c).await.map(|r| r.rows_affected()))?)
}

/// Ends all sessions of somebody.
pub async fn end_of_subject(tx: Tx<'_>, provider: ProviderId, subject: &str) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(END_OF_SUBJECT).bind(provider.0).bind(subject).execute(c).await.map(|r| r.rows_affected()))?)
}

/// Removes rows of sessions that are over and began before then.
pub async fn sweep(tx: Tx<'_>, before: Timestamp) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(SWEEP).bind(before.0).execute(c).await.map(|r| r.rows_affected()))?)
}
