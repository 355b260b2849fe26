//! Errors of input: which field, what is wrong, what to do.
//!
//! Lives here: the type every layer uses to refuse input. May not: words about storage or HTTP.

use serde::{Deserialize, Serialize};

/// One refused field with its remedy, shown beside the field and listed in API answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The name of the field as the caller wrote it, such as `target.path`.
    pub field: String,
    /// What is wrong and what to do about it, as one or two sentences.
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
