//! One error type for the engine: what went wrong, where, and whether trying again can help.
//!
//! Lives here: the type and its kinds. May not: help texts for pages.

use serde::{Deserialize, Serialize};

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The storage did not answer in time or broke off. Trying again can help.
    Unavailable,
    /// The storage or the system refused.
    Denied,
    /// What was asked for is not there.
    NotFound,
    /// The repository's password is not the right one.
    WrongPassword,
    /// The location holds no repository.
    NoRepository,
    /// What was read is not what was written.
    Damaged,
    /// Somebody else holds an exclusive lock. Trying again later can help.
    Locked,
    /// No space left, or a quota was reached.
    Full,
    /// Something is in the way at the target.
    Conflict,
    /// A path leads out of its target, or a name cannot be written safely.
    Unsafe,
    /// The caller asked to stop.
    Cancelled,
    /// The request itself is wrong.
    Invalid,
    /// A fault in Holdfast or in a library.
    Internal,
}

/// An error of the engine. Its text names paths and systems, never a secret.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    pub kind: ErrorKind,
    pub message: String,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T, E = EngineError> = std::result::Result<T, E>;

impl EngineError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub fn with_source(kind: ErrorKind, message: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()) }
    }

    /// An I/O error at `path`, sorted into a kind by its code.
    pub fn io(what: &str, path: &std::path::Path, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::Full,
            Io::AlreadyExists | Io::DirectoryNotEmpty => ErrorKind::Conflict,
            Io::TimedOut | Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::NetworkDown | Io::HostUnreachable => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        Self { kind, message: format!("{what} {}: {error}", path.display()), source: Some(Box::new(error)) }
    }

    /// Whether trying the same again is pointless. Retries are decided once, by the executor.
    pub const fn is_permanent(&self) -> bool {
        !matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Locked)
    }
}
