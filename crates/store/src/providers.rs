//! Rows of OpenID providers.
//!
//! Lives here: their SQL. May not: secrets in clear (only references), talking to a provider.

use domain::{access::Provider, id::ProviderId, units::Timestamp};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on, origins::Origin, repositories::SecretRef};

statements! {
    LIST = "SELECT * FROM provider WHERE removed_at IS NULL ORDER BY name LIMIT 100";
    FIND = "SELECT * FROM provider WHERE id = $1";
    FIND_BY_NAME = "SELECT * FROM provider WHERE name = $1";
    UPSERT = "INSERT INTO provider (id, name, config, client_secret, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5) \
        ON CONFLICT (name) DO UPDATE SET config = excluded.config, client_secret = excluded.client_secret, updated_at = excluded.updated_at, removed_at = NULL RETURNING id";
    REMOVE = "UPDATE provider SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ProviderRow {
    pub id: Uuid,
    pub name: String,
    pub config: Json<Provider>,
    pub client_secret: Option<Json<SecretRef>>,
    pub created_at: i64,
    pub updated_at: i64,
    pub removed_at: Option<i64>,
    #[sqlx(flatten)]
    pub origin: Origin,
}

impl ProviderRow {
    pub const fn id(&self) -> ProviderId {
        ProviderId(self.id)
    }
}

/// Those that are configured, by name.
pub async fn list(tx: Tx<'_>) -> Result<Vec<ProviderRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).fetch_all(c).await)?)
}

pub async fn find(tx: Tx<'_>, id: ProviderId) -> Result<Option<ProviderRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// Also one that was removed.
pub async fn find_by_name(tx: Tx<'_>, name: &str) -> Result<Option<ProviderRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(c).await)?)
}

pub async fn upsert(tx: Tx<'_>, name: &str, config: &Provider, secret: Option<&SecretRef>, now: Timestamp) -> Result<ProviderId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(ProviderId::new().0).bind(name).bind(Json(config)).bind(secret.map(Json)).bind(now.0).fetch_one(c).await)?;
    Ok(ProviderId(id))
}

pub async fn remove(tx: Tx<'_>, id: ProviderId, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(REMOVE).bind(id.0).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}
