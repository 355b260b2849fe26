//! Rows of channels, rules and heartbeats: who is told of what, and where.
//!
//! Lives here: their SQL. May not: secrets in clear (only references and sealed texts are stored), sending.

use std::collections::BTreeMap;

use domain::{
    alert::rule::Rule,
    channel::{ChannelKind, Options},
    id::ChannelId,
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on, origins::Origin, repositories::SecretRef};

statements! {
    LIST = "SELECT * FROM channel WHERE removed_at IS NULL ORDER BY name LIMIT 1000";
    FIND = "SELECT * FROM channel WHERE id = $1";
    FIND_BY_NAME = "SELECT * FROM channel WHERE name = $1";
    UPSERT = "INSERT INTO channel (id, name, kind, options, secrets, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) \
        ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, options = excluded.options, secrets = excluded.secrets, updated_at = excluded.updated_at, removed_at = NULL, origin = NULL, applied_at = NULL RETURNING id";
    SET_SECRETS = "UPDATE channel SET secrets = $2 WHERE id = $1";
    REMOVE = "UPDATE channel SET removed_at = $2, secrets = $3 WHERE id = $1 AND removed_at IS NULL";
    RULES = "SELECT * FROM notification_rule ORDER BY name LIMIT 1000";
    RULE = "SELECT * FROM notification_rule WHERE name = $1";
    UPSERT_RULE = "INSERT INTO notification_rule (id, name, channels, what, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5) \
        ON CONFLICT (name) DO UPDATE SET channels = excluded.channels, what = excluded.what, updated_at = excluded.updated_at, origin = NULL, applied_at = NULL";
    REMOVE_RULE = "DELETE FROM notification_rule WHERE name = $1";
    HEARTBEATS = "SELECT * FROM heartbeat ORDER BY name LIMIT 100";
    HEARTBEAT = "SELECT * FROM heartbeat WHERE name = $1";
    UPSERT_HEARTBEAT = "INSERT INTO heartbeat (id, name, url, shown, every_s, next_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6, $6) \
        ON CONFLICT (name) DO UPDATE SET url = excluded.url, shown = excluded.shown, every_s = excluded.every_s, next_at = excluded.next_at, updated_at = excluded.updated_at, origin = NULL, applied_at = NULL";
    SET_HEARTBEAT_URL = "UPDATE heartbeat SET url = $2 WHERE id = $1";
    REMOVE_HEARTBEAT = "DELETE FROM heartbeat WHERE name = $1";
    /// Compare and swap: of several processes one makes the call.
    TAKE_HEARTBEAT = "UPDATE heartbeat SET next_at = $3 WHERE id = $1 AND next_at = $2";
    HEARTBEAT_SENT = "UPDATE heartbeat SET sent_at = $2, answer = $3 WHERE id = $1";
    HEARTBEAT_FAILED = "UPDATE heartbeat SET failed_at = $2, answer = $3 WHERE id = $1";
}

/// Secrets by the names of `ChannelKind::secrets`.
pub type Secrets = BTreeMap<String, SecretRef>;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ChannelRow {
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    pub options: Json<Options>,
    pub secrets: Json<Secrets>,
    pub created_at: i64,
    pub updated_at: i64,
    pub removed_at: Option<i64>,
    #[sqlx(flatten)]
    pub origin: Origin,
}

impl ChannelRow {
    pub const fn id(&self) -> ChannelId {
        ChannelId(self.id)
    }

    pub fn kind(&self) -> Result<ChannelKind> {
        ChannelKind::parse(&self.kind).ok_or_else(|| StoreError::Unreadable { column: "channel.kind", value: self.kind.clone() })
    }
}

/// All that are configured. There are few of them: they come in one piece.
pub async fn list(tx: Tx<'_>) -> Result<Vec<ChannelRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).fetch_all(c).await)?)
}

pub async fn find(tx: Tx<'_>, id: ChannelId) -> Result<Option<ChannelRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// Also finds one that was removed.
pub async fn find_by_name(tx: Tx<'_>, name: &str) -> Result<Option<ChannelRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(c).await)?)
}

pub async fn upsert(tx: Tx<'_>, name: &str, kind: ChannelKind, options: &Options, secrets: &Secrets, now: Timestamp) -> Result<ChannelId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(ChannelId::new().0).bind(name).bind(kind.as_str()).bind(Json(options)).bind(Json(secrets))
        .bind(now.0).fetch_one(c).await)?;
    Ok(ChannelId(id))
}

/// Replaces the stored form of the secrets, such as after a change of the server's key.
pub async fn set_secrets(tx: Tx<'_>, id: ChannelId, secrets: &Secrets) -> Result<()> {
    on!(tx, c => sqlx::query(SET_SECRETS).bind(id.0).bind(Json(secrets)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Removes a channel and forgets its secrets; its deliveries stay. `false` when it is removed already.
pub async fn remove(tx: Tx<'_>, id: ChannelId, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REMOVE).bind(id.0).bind(now.0).bind(Json(Secrets::new())).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RuleRow {
    pub id: Uuid,
    pub name: String,
    /// Names of channels.
    pub channels: Json<Vec<String>>,
    pub what: Json<Rule>,
    pub created_at: i64,
    pub updated_at: i64,
    #[sqlx(flatten)]
    pub origin: Origin,
}

pub async fn rules(tx: Tx<'_>) -> Result<Vec<RuleRow>> {
    Ok(on!(tx, c => sqlx::query_as(RULES).fetch_all(c).await)?)
}

pub async fn rule(tx: Tx<'_>, name: &str) -> Result<Option<RuleRow>> {
    Ok(on!(tx, c => sqlx::query_as(RULE).bind(name).fetch_optional(c).await)?)
}

pub async fn upsert_rule(tx: Tx<'_>, name: &str, channels: &[String], what: &Rule, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(UPSERT_RULE).bind(Uuid::now_v7()).bind(name).bind(Json(channels)).bind(Json(what)).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// `false` when there is none of that name.
pub async fn remove_rule(tx: Tx<'_>, name: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REMOVE_RULE).bind(name).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct HeartbeatRow {
    pub id: Uuid,
    pub name: String,
    pub url: Json<SecretRef>,
    /// The part of the address that may be shown.
    pub shown: String,
    pub every_s: i64,
    pub next_at: i64,
    pub sent_at: Option<i64>,
    pub failed_at: Option<i64>,
    pub answer: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    #[sqlx(flatten)]
    pub origin: Origin,
}

pub async fn heartbeats(tx: Tx<'_>) -> Result<Vec<HeartbeatRow>> {
    Ok(on!(tx, c => sqlx::query_as(HEARTBEATS).fetch_all(c).await)?)
}

pub async fn heartbeat(tx: Tx<'_>, name: &str) -> Result<Option<HeartbeatRow>> {
    Ok(on!(tx, c => sqlx::query_as(HEARTBEAT).bind(name).fetch_optional(c).await)?)
}

/// Makes or changes a heartbeat; its next call is due at once.
pub async fn upsert_heartbeat(tx: Tx<'_>, name: &str, url: &SecretRef, shown: &str, every_s: i64, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(UPSERT_HEARTBEAT).bind(Uuid::now_v7()).bind(name).bind(Json(url)).bind(shown).bind(every_s).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Replaces the stored form of the address, such as after a change of the server's key.
pub async fn set_heartbeat_url(tx: Tx<'_>, id: Uuid, url: &SecretRef) -> Result<()> {
    on!(tx, c => sqlx::query(SET_HEARTBEAT_URL).bind(id).bind(Json(url)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// `false` when there is none of that name.
pub async fn remove_heartbeat(tx: Tx<'_>, name: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REMOVE_HEARTBEAT).bind(name).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Takes the call that is due at `due` and says when the next one is; `false` when another process has it.
pub async fn take_heartbeat(tx: Tx<'_>, id: Uuid, due: Timestamp, next: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(TAKE_HEARTBEAT).bind(id).bind(due.0).bind(next.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Records how a call went.
pub async fn heartbeat_went(tx: Tx<'_>, id: Uuid, well: bool, answer: &str, now: Timestamp) -> Result<()> {
    let sql = if well { HEARTBEAT_SENT } else { HEARTBEAT_FAILED };
    on!(tx, c => sqlx::query(sql).bind(id).bind(now.0).bind(answer).execute(c).await.map(|_| ()))?;
    Ok(())
}
