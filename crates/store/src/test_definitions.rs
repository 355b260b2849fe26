//! Rows of the definitions of restore tests.
//!
//! Lives here: their SQL. May not: what terms mean (`domain::definition`), who may change them.

use domain::{
    definition::Terms,
    id::{ServiceId, TestDefinitionId},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

statements! {
    OF_SERVICE = "SELECT * FROM test_definition WHERE service_id = $1 ORDER BY name LIMIT $2";
    FIND = "SELECT * FROM test_definition WHERE service_id = $1 AND name = $2";
    UPSERT = "INSERT INTO test_definition (id, service_id, name, terms, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5) \
        ON CONFLICT (service_id, name) DO UPDATE SET terms = excluded.terms, updated_at = excluded.updated_at RETURNING id";
    REMOVE = "DELETE FROM test_definition WHERE id = $1";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TestDefinitionRow {
    pub id: Uuid,
    pub service_id: Uuid,
    pub name: String,
    pub terms: Json<Terms>,
    pub created_at: i64,
    pub updated_at: i64,
}

impl TestDefinitionRow {
    pub const fn id(&self) -> TestDefinitionId {
        TestDefinitionId(self.id)
    }
}

/// At most `limit` definitions of a service by name.
pub async fn of_service(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<TestDefinitionRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SERVICE).bind(service.0).bind(limit).fetch_all(c).await)?)
}

pub async fn find(tx: Tx<'_>, service: ServiceId, name: &str) -> Result<Option<TestDefinitionRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(service.0).bind(name).fetch_optional(c).await)?)
}

/// Makes or changes the definition of that name.
pub async fn upsert(tx: Tx<'_>, service: ServiceId, name: &str, terms: &Terms, now: Timestamp) -> Result<TestDefinitionId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(TestDefinitionId::new().0).bind(service.0).bind(name).bind(Json(terms)).bind(now.0)
        .fetch_one(c).await)?;
    Ok(TestDefinitionId(id))
}

/// Removes a definition; `false` where it is gone already.
pub async fn remove(tx: Tx<'_>, id: TestDefinitionId) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(REMOVE).bind(id.0).execute(c).await.map(|r| r.rows_affected()))? == 1)
}
