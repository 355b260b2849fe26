//! From the library's errors to the engine's.
//!
//! Lives here: the map. May not: anything that depends on who called.

use rustic_core::RusticError;

use super::backend::chain;
use crate::{EngineError, ErrorKind};

/// Sorts an error of the library into a kind. The engine's own storage errors inside it keep theirs.
pub fn from_rustic(error: Box<RusticError>) -> EngineError {
    if error.is_incorrect_password() {
        return EngineError::new(ErrorKind::WrongPassword, "the repository's password is not the right one");
    }
    let mut cause = std::error::Error::source(&*error);
    while let Some(e) = cause {
        if let Some(own) = e.downcast_ref::<EngineError>() {
            return EngineError { kind: own.kind, message: own.message.clone(), source: Some(error) };
        }
        cause = e.source();
    }
    let words = words(&error);
    let kind = if error.is_code("C001") || words.contains("hash mismatch") || words.contains("decrypt") || words.contains("not found in index") {
        ErrorKind::Damaged
    } else {
        ErrorKind::Internal
    };
    EngineError { kind, message: words, source: Some(error) }
}

/// The library's message in one line, without its preamble and its requests to report.
fn words(error: &RusticError) -> String {
    let log = error.display_log();
    let text = log.strip_prefix("Error: ").unwrap_or(&log);
    let text = text.split(" (kind: related to ").next().unwrap_or(text);
    let mut out = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(source) = std::error::Error::source(error) {
        out.push_str(": ");
        out.push_str(&chain(source));
    }
    out
}
