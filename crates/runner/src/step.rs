//! What a step of a run is, and the ways it can end badly.
//!
//! Lives here: the trait and the errors. May not: recording (that is the executor's).

use domain::work::StepFailure;
use engine::ErrorKind;
use serde::{Serialize, de::DeserializeOwned};
use store::StoreError;

use crate::{exec::Cx, lease::Stop};

/// Why a run does not go on.
#[derive(Debug)]
pub enum Break {
    /// A step failed; it is recorded as data.
    Failed(StepFailure),
    Stopped(Stop),
    /// The database did not answer. The run is left; it is taken over when its lease has run out.
    Store(StoreError),
    /// While unwinding: no step beyond this one was ever begun.
    EndOfRecord,
    /// A test makes the worker vanish.
    Crash,
}

pub type Result<T, E = Break> = std::result::Result<T, E>;

impl From<StoreError> for Break {
    fn from(e: StoreError) -> Self {
        match e {
            // Waiting does not make it readable.
            StoreError::Unreadable { .. } => Self::Failed(StepFailure::new("unreadable", format!("{e}; a newer version may have written it"), true)),
            other => Self::Store(other),
        }
    }
}

impl From<StepFailure> for Break {
    fn from(f: StepFailure) -> Self {
        Self::Failed(f)
    }
}

impl From<ops::OpsError> for Break {
    fn from(e: ops::OpsError) -> Self {
        match e {
            ops::OpsError::Internal(inner) => Self::Failed(StepFailure::new("internal", format!("internal error: {inner}"), true)),
            other => Self::Failed(StepFailure::new("invalid", other.to_string(), true)),
        }
    }
}

/// A failure that the same again would repeat.
pub fn permanent(code: &str, message: impl Into<String>) -> Break {
    Break::Failed(StepFailure::new(code, message, true))
}

/// The stable word of an engine's error.
pub fn code_of(kind: ErrorKind) -> String {
    serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_else(|| "internal".to_owned())
}

/// A step's result, and whether it failed in a way that the run tolerates.
pub struct Done<T> {
    pub out: T,
    pub tolerated: Option<StepFailure>,
}

impl<T> Done<T> {
    pub const fn ok(out: T) -> Self {
        Self { out, tolerated: None }
    }
}

/// One recorded unit of a run. `apply` and `undo` are idempotent: each may be called again after a crash in its middle.
#[async_trait::async_trait]
pub trait Step: Send + Sync + 'static {
    const NAME: &'static str;
    type Out: Serialize + DeserializeOwned + Send + Sync;

    /// What the record shows that the step was given; never a secret.
    fn input(&self) -> serde_json::Value;

    async fn apply(&self, cx: &Cx) -> Result<Done<Self::Out>>;

    /// Takes back what `apply` did, or did in part.
    async fn undo(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }
}

/// A step whose result no longer matters.
#[async_trait::async_trait]
pub trait Undo: Send + Sync {
    fn name(&self) -> &'static str;
    async fn undo_it(&self, cx: &Cx) -> Result<()>;
}

#[async_trait::async_trait]
impl<S: Step> Undo for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    async fn undo_it(&self, cx: &Cx) -> Result<()> {
        self.undo(cx).await
    }
}
