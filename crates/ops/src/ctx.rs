//! Who asks, from where, when, and of which database.
//!
//! Lives here: the context every use case takes. May not: how an actor was recognised (adapters do that).

use std::sync::Arc;

use store::{Clock, Db};

/// What an actor may do in general; [`crate::permission`] decides the particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Auditor,
    /// Nobody who has signed in.
    Anonymous,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Actor {
    pub name: String,
    pub role: Role,
}

impl Actor {
    pub fn anonymous() -> Self {
        Self { name: "anonymous".to_owned(), role: Role::Anonymous }
    }

    /// Holdfast itself: schedules, recovery, the example.
    pub fn system() -> Self {
        Self { name: "holdfast".to_owned(), role: Role::Admin }
    }

    /// Holdfast itself, asked by the schedule of that name.
    pub fn schedule(name: &str) -> Self {
        Self { name: format!("schedule {name}"), role: Role::Admin }
    }

    /// A person with a shell on the server: whoever can read the data folder may do everything.
    pub fn shell() -> Self {
        Self { name: "shell".to_owned(), role: Role::Admin }
    }
}

/// The context of one request or command.
#[derive(Clone, Debug)]
pub struct Ctx {
    pub actor: Actor,
    /// Where the request came from: an address, `shell`, `schedule`.
    pub origin: Arc<str>,
    pub clock: Clock,
    pub db: Db,
}

impl Ctx {
    pub fn new(db: Db, actor: Actor, origin: &str) -> Self {
        Self { actor, origin: origin.into(), clock: Clock::System, db }
    }

    pub fn now(&self) -> domain::units::Timestamp {
        self.clock.now()
    }

    /// Records an audit event inside the caller's transaction.
    pub async fn audit(&self, tx: store::Tx<'_>, event: store::audit::NewEvent<'_>) -> crate::Result<()> {
        Ok(store::audit::record(tx, self.now(), &self.actor.name, &self.origin, event).await?)
    }
}
