//! What every adapter has to map, and nothing more.
//!
//! Lives here: the ways a use case ends badly. May not: HTTP codes, internal texts for clients.

use domain::{field::FieldError, id::RunId};

/// Why a use case was not carried out. The text of `Internal` never leaves the server.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The kind of thing and the name that was asked for.
    #[error("there is no {entity} “{name}”")]
    NotFound { entity: &'static str, name: String },
    /// It was there once; the text says since when it is gone, and why.
    #[error("{0}")]
    Gone(String),
    #[error("you may not {0}")]
    Forbidden(&'static str),
    /// Something else happened first; the text says what.
    #[error("{0}")]
    Conflict(String),
    /// What is there is not what the edit started from.
    #[error("{0}")]
    Stale(crate::version::Stale),
    /// A run that waits or runs stands in the way of this one.
    #[error("{title}: run {run} does the same already; wait for it or cancel it")]
    Underway { title: String, run: RunId },
    #[error("{}", fields(.0))]
    Invalid(Vec<FieldError>),
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub type Result<T, E = OpsError> = std::result::Result<T, E>;

fn fields(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl OpsError {
    pub fn not_found(entity: &'static str, name: impl std::fmt::Display) -> Self {
        Self::NotFound { entity, name: name.to_string() }
    }

    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// Whether the database does not answer now, so that the same again may succeed in a moment.
    pub fn is_database_away(&self) -> bool {
        matches!(self, Self::Internal(e) if e.downcast_ref::<store::StoreError>().is_some_and(store::StoreError::is_away))
    }

    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }
}

impl From<store::StoreError> for OpsError {
    fn from(e: store::StoreError) -> Self {
        match e {
            store::StoreError::Conflict(what) => Self::Conflict(format!("another change came first ({what}); load the page again and repeat it")),
            other => Self::internal(other),
        }
    }
}

impl From<engine::EngineError> for OpsError {
    fn from(e: engine::EngineError) -> Self {
        use engine::ErrorKind::{Conflict, Invalid, Locked, NotFound, Unsafe};
        match e.kind {
            NotFound => Self::NotFound { entity: "entry", name: e.message },
            Conflict | Locked => Self::Conflict(e.message),
            Invalid | Unsafe => Self::invalid("request", e.message),
            _ => Self::internal(e),
        }
    }
}
