//! Which file brought a thing of the configuration (R54).
//!
//! Lives here: one statement a kind of thing. May not: deciding what came from a file (`ops::config` does).
//! Invariant: whatever else changes a thing empties its origin, in the statement that changes it.

use domain::units::Timestamp;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    REPOSITORY = "UPDATE repository SET origin = $2, applied_at = $3 WHERE id = $1";
    POLICY = "UPDATE policy SET origin = $2, applied_at = $3 WHERE id = $1";
    SERVICE = "UPDATE service SET origin = $2, applied_at = $3 WHERE id = $1";
    SOURCE = "UPDATE source SET origin = $2, applied_at = $3 WHERE id = $1";
    SCHEDULE = "UPDATE schedule SET origin = $2, applied_at = $3 WHERE id = $1";
    PROVIDER = "UPDATE provider SET origin = $2, applied_at = $3 WHERE id = $1";
    CHANNEL = "UPDATE channel SET origin = $2, applied_at = $3 WHERE id = $1";
    RULE = "UPDATE notification_rule SET origin = $2, applied_at = $3 WHERE id = $1";
    HEARTBEAT = "UPDATE heartbeat SET origin = $2, applied_at = $3 WHERE id = $1";
}

/// A kind of thing that a file can bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    Repository,
    Policy,
    Service,
    Source,
    Schedule,
    Provider,
    Channel,
    Rule,
    Heartbeat,
}

/// The file that brought a thing, and when it was last applied with it in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Origin {
    #[sqlx(rename = "origin")]
    pub file: Option<String>,
    pub applied_at: Option<i64>,
}

/// Marks a thing as brought by this file now, or by none.
pub async fn mark(tx: Tx<'_>, thing: Thing, id: Uuid, file: Option<&str>, now: Timestamp) -> Result<()> {
    let sql = match thing {
        Thing::Repository => REPOSITORY,
        Thing::Policy => POLICY,
        Thing::Service => SERVICE,
        Thing::Source => SOURCE,
        Thing::Schedule => SCHEDULE,
        Thing::Provider => PROVIDER,
        Thing::Channel => CHANNEL,
        Thing::Rule => RULE,
        Thing::Heartbeat => HEARTBEAT,
    };
    on!(tx, c => sqlx::query(sql).bind(id).bind(file).bind(file.map(|_| now.0)).execute(c).await.map(|_| ()))?;
    Ok(())
}
