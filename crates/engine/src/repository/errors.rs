//! From the library's errors to the engine's.
//!
//! Lives here: the map, and the library's words in one line. May not: anything that depends on who called.

use rustic_core::RusticError;

use crate::{EngineError, ErrorKind};

/// What the library says when content is not what was written. It has no kind of its own for that.
const DAMAGE: [&str; 7] = ["deserializ", "decrypt", "mac check", "hash mismatch", "not found in index", "decompress", "pack header"];

/// Sorts an error of the library into a kind. The engine's own storage errors inside it keep theirs.
pub fn from_rustic(error: Box<RusticError>) -> EngineError {
    if error.is_incorrect_password() {
        return EngineError::new(ErrorKind::WrongPassword, "the repository's password is not the right one");
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(e) = cause {
        if let Some(own) = e.downcast_ref::<EngineError>() {
            return EngineError { kind: own.kind, message: own.message.clone(), source: Some(error) };
        }
        cause = e.source();
    }
    let message = chain(&*error);
    let lower = message.to_lowercase();
    let kind = if DAMAGE.iter().any(|d| lower.contains(d)) { ErrorKind::Damaged } else { ErrorKind::Internal };
    EngineError { kind, message, source: Some(error) }
}

/// The error and its causes in one line of at most 500 characters, without saying anything twice.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = plain(&error.to_string());
    let mut cause = error.source();
    while let Some(e) = cause {
        let more = plain(&e.to_string());
        if !more.is_empty() && !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = e.source();
    }
    if let Some((end, _)) = text.char_indices().nth(500) {
        text.truncate(end);
    }
    text
}

/// One line of a text in which the library may have framed a message with advice, context and a backtrace.
pub(crate) fn plain(text: &str) -> String {
    let (before, framed) = text.split_once("`rustic_core` experienced").map_or((text, None), |(before, framed)| (before, Some(framed)));
    let mut out = before.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(framed) = framed {
        let message = framed.lines().map(str::trim).skip_while(|l| *l != "Message:").skip(1).find(|l| !l.is_empty());
        out.push_str(if out.is_empty() || out.ends_with(':') { "" } else { ":" });
        out.push_str(if out.is_empty() { "" } else { " " });
        out.push_str(message.unwrap_or("an error of the library"));
    }
    out.replace(" To repair: 'rustic repair index'.", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_frame_is_taken_off() {
        let inner = RusticError::new(rustic_core::ErrorKind::Cryptography, "Data decryption failed, MAC check failed.").attach_error_code("C001");
        let finding = format!("error reading pack 12ab : {inner}");
        assert_eq!(plain(&finding), "error reading pack 12ab : Data decryption failed, MAC check failed.");
        let outer = RusticError::with_source(rustic_core::ErrorKind::Internal, "index `{id}` is broken", inner).attach_context("id", "34cd");
        let error = from_rustic(outer);
        assert_eq!(error.kind, ErrorKind::Damaged);
        assert_eq!(error.message, "index `34cd` is broken: Data decryption failed, MAC check failed.");
    }

    #[test]
    fn storage_errors_keep_their_kind_through_the_library() {
        let own = EngineError::new(ErrorKind::Full, "write data/x: no space left");
        let error = from_rustic(RusticError::with_source(rustic_core::ErrorKind::Backend, "the storage failed", own));
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Full, "write data/x: no space left"));
    }
}
