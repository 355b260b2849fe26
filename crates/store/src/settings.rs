//! Single values of the installation, by name.
//!
//! Lives here: their SQL. May not: what a value means; whoever asks for one knows its type.

use domain::units::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::types::Json;

use crate::{Result, Tx, on};

statements! {
    GET = "SELECT value FROM setting WHERE name = $1";
    SET = "INSERT INTO setting (name, value, changed_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at";
}

/// The value of that name; one of another type than is asked for counts as none.
pub async fn get<T: DeserializeOwned>(tx: Tx<'_>, name: &str) -> Result<Option<T>> {
    let found = on!(tx, c => sqlx::query_scalar::<_, Json<Value>>(GET).bind(name).fetch_optional(c).await)?;
    Ok(found.and_then(|v| serde_json::from_value(v.0).ok()))
}

pub async fn set<T: Serialize + Sync>(tx: Tx<'_>, name: &str, value: &T, now: Timestamp) -> Result<()> {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    on!(tx, c => sqlx::query(SET).bind(name).bind(Json(value)).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}
