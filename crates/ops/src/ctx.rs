//! Who asks, from where, when, and of which database.
//!
//! Lives here: the context every use case takes. May not: how an actor was recognised (adapters do that).

use std::sync::Arc;

use domain::{
    id::{LinkId, PersonId, ServiceId},
    text_enum,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use store::{Clock, Db};

use crate::{once::Claim, permission::Action};

text_enum! {
    /// What an actor may do in general; [`crate::permission`] decides the particulars.
    Role {
        Admin => "admin", Auditor => "auditor",
        /// Of services, which [`Actor::services`] names.
        Owner => "owner",
        /// Of nothing but their own data: [`Actor::person`].
        Member => "member",
        /// Of nothing but evidence, by a link: [`Actor::guest`].
        Guest => "guest",
        /// Nobody who has signed in.
        Anonymous => "anonymous",
    }
}

impl Role {
    /// The less it may, the greater.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Admin => 0,
            Self::Auditor => 1,
            Self::Owner => 2,
            Self::Member => 3,
            Self::Guest => 4,
            Self::Anonymous => 5,
        }
    }
}

/// What a read-only link shows to whoever came by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    pub link: LinkId,
    /// `None`: all services.
    pub services: Option<Vec<ServiceId>>,
    /// Evidence from this day up to and including that one.
    pub from: Date,
    pub to: Date,
}

impl Guest {
    pub fn sees(&self, service: ServiceId) -> bool {
        self.services.as_ref().is_none_or(|all| all.contains(&service))
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub name: String,
    /// The one that allows most.
    pub role: Role,
    /// The services that they own, beside what their role allows.
    #[serde(default)]
    pub services: Vec<ServiceId>,
    /// Whose data is theirs.
    #[serde(default)]
    pub person: Option<PersonId>,
    /// How pages name a person; `name` where there is nothing better.
    #[serde(default)]
    pub shown: Option<String>,
    /// What a program may do at most; `None` for people, who may all that their role may.
    #[serde(default)]
    pub scopes: Option<Vec<Action>>,
    /// What a guest sees; `None` for everybody else.
    #[serde(default)]
    pub guest: Option<Guest>,
}

impl Actor {
    /// A person, or Holdfast itself.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, services: Vec::new(), person: None, shown: None, scopes: None, guest: None }
    }

    /// The name for people.
    pub fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.name)
    }

    /// All roles that they have at once.
    pub fn roles(&self) -> impl Iterator<Item = Role> + use<> {
        let more = [(!self.services.is_empty()).then_some(Role::Owner), self.person.map(|_| Role::Member)];
        std::iter::once(self.role).chain(more.into_iter().flatten())
    }

    pub fn anonymous() -> Self {
        Self::new("anonymous", Role::Anonymous)
    }

    /// Holdfast itself: schedules, recovery, the example.
    pub fn system() -> Self {
        Self::new("holdfast", Role::Admin)
    }

    /// Holdfast itself, asked by the schedule of that name.
    pub fn schedule(name: &str) -> Self {
        Self::new(format!("schedule {name}"), Role::Admin)
    }

    /// A person with a shell on the server: whoever can read the data folder may do everything.
    pub fn shell() -> Self {
        Self::new("shell", Role::Admin)
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
    /// What a call that carries a key may do once.
    pub claim: Option<Arc<Claim>>,
}

impl Ctx {
    pub fn new(db: Db, actor: Actor, origin: &str) -> Self {
        Self { actor, origin: origin.into(), clock: Clock::System, db, claim: None }
    }

    pub fn now(&self) -> domain::units::Timestamp {
        self.clock.now()
    }

    /// Records an audit event inside the caller's transaction, and under the key of the call what it is about.
    pub async fn audit(&self, mut tx: store::Tx<'_>, event: store::audit::NewEvent<'_>) -> crate::Result<()> {
        if let Some(claim) = &self.claim {
            claim.note(tx.by_ref(), event.entity, &event.entity_id).await?;
        }
        Ok(store::audit::record(tx, self.now(), &self.actor.name, &self.origin, event).await?)
    }
}
