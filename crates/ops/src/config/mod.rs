//! The configuration in YAML: what `holdfast apply` reads (R54).
//!
//! Lives here: the typed configuration, reading it from text ([`parse`]), carrying it out ([`apply()`]) or showing what that
//! would change ([`preview`]), writing it back ([`export`]), and its JSON Schema ([`schema()`]).
//! May not: reading files, secrets themselves (the file only says where each one is).
//! Invariant: a text with a mistake changes nothing, and every mistake is told with its place and its remedy.

mod apply;
mod clouds;
#[cfg(test)]
mod clouds_tests;
mod current;
mod difference;
mod fields;
mod keys;
mod notifications;
#[cfg(test)]
mod origin_tests;
mod policies;
mod providers;
mod read;
mod restore_tests;
mod schedule;
#[cfg(test)]
mod schedule_tests;
mod schema;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
mod tools;
mod walk;
mod write;
#[cfg(test)]
mod write_tests;
mod yaml;

pub use apply::{apply, preview};
pub(crate) use clouds::{Entry as CloudEntry, named as named_cloud};
pub use current::{current, export};
pub use difference::{Applied, Difference, Subject};
use engine::job::SourceConfig;
pub use notifications::{ChannelConfig, HeartbeatConfig, NotificationsConfig};
pub use providers::ProviderConfig;
pub use read::parse;
pub use restore_tests::DefinedTest;
pub use schema::{published, schema};
use store::{
    policies::NewPolicy,
    repositories::NewRepository,
    services::{Canary, NewService},
};
pub use tools::{CommandTool, ConnectionTool, HookCall, HookTool, Tools};
pub use write::write;

use crate::schedules::Draft;

/// One thing that is wrong in the text. Lines and columns are counted from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    pub line: usize,
    pub col: usize,
    /// What is wrong and what to do about it. Never holds a secret.
    pub message: String,
    /// A secret stands in the text at this place: nobody shows the text again.
    #[serde(skip)]
    pub is_secret: bool,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.col, self.message)
    }
}

/// A text without mistakes. Names are unique and every reference leads to something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub repositories: Vec<NewRepository>,
    pub policies: Vec<NewPolicy>,
    pub services: Vec<ServiceConfig>,
    pub schedules: Vec<Draft>,
    pub notifications: NotificationsConfig,
    /// `None` where the file says nothing of them. A list is all of them: others are removed.
    pub providers: Option<Vec<ProviderConfig>>,
}

/// A service with its sources in the order of restoring. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    pub name: String,
    pub title: String,
    pub owner: String,
    pub rpo_s: Option<i64>,
    pub rto_s: Option<i64>,
    pub mtpod_s: Option<i64>,
    pub canary: Option<Canary>,
    pub sources: Vec<NamedSource>,
    /// Definitions of its restore tests.
    pub tests: Vec<DefinedTest>,
}

/// A source of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSource {
    pub name: String,
    /// The name of one of [`Config::repositories`].
    pub repository: String,
    /// The name of one of [`Config::policies`]. Without one nothing is forgotten.
    pub policy: Option<String>,
    pub config: SourceConfig,
}

impl ServiceConfig {
    fn row(&self) -> NewService {
        NewService {
            name: self.name.clone(),
            title: self.title.clone(),
            owner: self.owner.clone(),
            rpo_s: self.rpo_s,
            rto_s: self.rto_s,
            mtpod_s: self.mtpod_s,
            canary: self.canary.clone(),
        }
    }
}
