//! What an API said when it did not do what was asked, in one sentence.
//!
//! Lives here: the message out of bodies of every shape, the kind of error, the remedy.
//! May not: requests. Invariant: a text is one line of bounded length without control characters.

use std::fmt::Write as _;

use serde_json::Value;

use super::catalog::Service;
use crate::{EngineError, ErrorKind};

/// The longest message that is taken over, in characters.
const LONGEST: usize = 400;

/// A call that failed, as far as callers decide by it.
#[derive(Debug)]
pub(super) struct Failed {
    /// `None` where no answer came, and where Keystone refused the credential.
    pub status: Option<u16>,
    /// Whether the answer bears a request's id: a proxy's own does not.
    pub of_service: bool,
    pub kind: ErrorKind,
    /// The whole sentence.
    pub message: String,
}

/// What is said of a list that changed under its reader.
pub const MOVED: &str = "the list changed while it was read";

impl Failed {
    /// An answer with a status that is not a success.
    pub fn answered(service: Service, what: &str, status: u16, body: &[u8], request_id: Option<&str>, tries: u32) -> Self {
        let said = words(body);
        let kind = kind(status, &said);
        let mut message = format!("{service} could not {what}: HTTP {status}");
        if !said.is_empty() {
            message.push_str(", ");
            message.push_str(said.trim_end_matches('.'));
        }
        if let Some(id) = request_id {
            let _ = write!(message, " (request {id})");
        }
        if tries > 1 {
            let _ = write!(message, ", {tries} times");
        }
        let advice = match remedy(kind, status, &said) {
            // Without a request's id it was a proxy, or nobody, that answered.
            _ if kind == ErrorKind::Unavailable && request_id.is_none() && status != 429 => "look whether the service runs and can be reached from here",
            advice => advice,
        };
        let message = join(message, advice);
        Self { status: Some(status), of_service: request_id.is_some(), kind, message }
    }

    /// No answer, or one that broke off.
    pub fn silent(service: Service, what: &str, why: &str, tries: u32, done_perhaps: bool) -> Self {
        let times = if tries > 1 { format!(" after {tries} tries") } else { String::new() };
        let message = format!("{service} could not {what}{times}: {why}");
        let advice = if done_perhaps {
            "it may have been carried out all the same; look for it by its name before asking again"
        } else {
            "look whether the service runs and can be reached from here"
        };
        Self { status: None, of_service: false, kind: ErrorKind::Unavailable, message: join(message, advice) }
    }

    /// An answer that is not understood.
    pub fn odd(service: Service, what: &str, why: &str) -> Self {
        let message = format!("{service} was asked to {what} and answered what is not understood: {why}");
        Self { status: None, of_service: false, kind: ErrorKind::Internal, message }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: None, of_service: false, kind: ErrorKind::Invalid, message: message.into() }
    }

    pub fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// Whether the service itself says that the thing is not there. A proxy that leads nowhere says 404 too.
    pub fn is_gone(&self) -> bool {
        matches!(self.status, Some(404 | 410)) && self.of_service
    }

    /// The same of a page that begins after something. Cinder says 404 where that is gone, Nova and Glance 400.
    pub fn of_page(self) -> Self {
        if self.is_gone() || (self.is(400) && self.message.contains("marker")) {
            return Self { status: None, kind: ErrorKind::Unavailable, message: join(self.message, MOVED), ..self };
        }
        self
    }

    /// Whether a list has to be read from its beginning.
    pub fn has_moved(&self) -> bool {
        self.message.contains(MOVED)
    }

    /// Whether the credential holds and this call is not for it.
    pub fn may_not(&self) -> bool {
        matches!(self.status, Some(401 | 403)) && self.kind == ErrorKind::Denied
    }

    /// Takes a secret out that an API repeats.
    pub fn without(mut self, secret: &str) -> Self {
        if !secret.is_empty() {
            self.message = self.message.replace(secret, "[secret]");
        }
        self
    }
}

impl From<Failed> for EngineError {
    fn from(failed: Failed) -> Self {
        Self::new(failed.kind, failed.message)
    }
}

fn join(message: String, advice: &str) -> String {
    if advice.is_empty() { message } else { format!("{}; {advice}", message.trim_end_matches('.')) }
}

/// Whether a text is about a quota. Nova says it with 403, Cinder with 413.
fn is_quota(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["quota", "limitexceeded", "limit exceeded", "exceeds allowed", "maximum number of"].iter().any(|w| said.contains(w))
}

/// Whether another piece of work holds the thing, so that waiting helps.
fn is_busy(said: &str) -> bool {
    const PASSING: [&str; 9] = ["attaching", "backing-up", "creating", "deleting", "detaching", "downloading", "extending", "restoring", "uploading"];
    let said = said.to_ascii_lowercase();
    if let Some((_, task)) = said.split_once("task_state ") {
        return !task.starts_with("none");
    }
    // Cinder: “status must be available, but current status is: creating”.
    let state = said.rsplit_once("status is").map(|(_, s)| s.trim_start_matches([':', ' ', '\'']));
    state.is_some_and(|s| PASSING.iter().any(|w| s.starts_with(w))) || said.contains("while it is in vm_state building")
}

fn kind(status: u16, said: &str) -> ErrorKind {
    match status {
        400 | 409 if is_busy(said) => ErrorKind::Locked,
        // Nova says 403 and Cinder 413; of a 400 the word itself is asked for.
        403 | 409 if is_quota(said) => ErrorKind::Full,
        _ if status == 413 || (status == 400 && said.to_ascii_lowercase().contains("quota")) => ErrorKind::Full,
        401 | 403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        409 | 423 => ErrorKind::Conflict,
        408 | 425 | 429 | 500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Invalid,
    }
}

fn remedy(kind: ErrorKind, status: u16, said: &str) -> &'static str {
    match kind {
        ErrorKind::Denied if status == 401 => "look whether the credential is still valid, and whether its access rules allow the call",
        ErrorKind::Denied => "give the credential's user a role that may do this, usually `member`",
        ErrorKind::Full => "raise the project's quota, or remove what is no longer needed",
        ErrorKind::Locked => "wait until that has ended",
        ErrorKind::Conflict if said.contains("is locked") => "unlock it, or let the person who locked it do so",
        ErrorKind::Conflict => "look at its state in the cloud",
        ErrorKind::Unavailable if status == 429 => "ask less often, or let the cloud's operators raise the limit",
        ErrorKind::Unavailable => "look whether the service runs, or tell the cloud's operators the request's id",
        _ => "",
    }
}

/// The message of a body: JSON of any of the APIs' shapes, HTML, or plain text.
pub(super) fn words(body: &[u8]) -> String {
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(tree) => of_json(&tree),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    // Glance puts HTML into JSON and JSON is not always said to be such.
    let said = if said.contains('<') && said.contains('>') { without_tags(&said) } else { said };
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = without_status(&said);
    let mut short: String = said.chars().take(LONGEST).collect();
    if short.len() < said.len() {
        short.push('…');
    }
    short
}

/// Nova and Cinder wrap it in a word of their own, Keystone in `error`, Neutron in `NeutronError`, others in `errors`.
fn of_json(tree: &Value) -> String {
    const NAMES: [&str; 6] = ["message", "detail", "explanation", "description", "title", "reason"];
    match tree {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let told = NAMES.iter().find_map(|n| fields.get(*n).and_then(Value::as_str).filter(|t| !t.trim().is_empty()));
            if let Some(text) = told {
                return text.to_owned();
            }
            fields.values().map(of_json).find(|t| !t.is_empty()).unwrap_or_default()
        }
        Value::Array(all) => all.iter().map(of_json).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        out.push(' ');
        let tag = &rest[open + 1..];
        let name: String = tag.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        // What stands in these is not for people; the title repeats the heading.
        let end = match name.as_str() {
            "style" | "script" | "title" => rest.find(&format!("</{name}")).map_or(rest.len(), |e| e + 1),
            _ => open + 1,
        };
        let Some(close) = rest.get(end..).and_then(|r| r.find('>')) else { return out };
        rest = &rest[end + close + 1..];
    }
    out.push_str(rest);
    for (entity, sign) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&nbsp;", " "), ("&amp;", "&")] {
        out = out.replace(entity, sign);
    }
    out
}

/// `404 Not Found No image found` without the status that is said beside it.
fn without_status(said: &str) -> &str {
    let Some((code, rest)) = said.split_once(' ') else { return said };
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return said;
    }
    let reason = code.parse().ok().and_then(|c| http::StatusCode::from_u16(c).ok()).and_then(|s| s.canonical_reason()).unwrap_or_default();
    match rest.strip_prefix(reason) {
        Some(more) if !more.trim().is_empty() => more.trim_start_matches([':', ' ']),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_body_gives_its_message() {
        for (body, want) in [
            (r#"{"conflictingRequest": {"code": 409, "message": "Instance x is locked"}}"#, "Instance x is locked"),
            (
                r#"{"error":{"code":404,"message":"Could not find Application Credential: 00.","title":"Not Found"}}"#,
                "Could not find Application Credential: 00.",
            ),
            (r#"{"NeutronError": {"type": "NetworkNotFound", "message": "Network x could not be found.", "detail": ""}}"#, "Network x could not be found."),
            (r#"{"NeutronError": "it broke"}"#, "it broke"),
            (r#"{"errors": [{"status": 400, "title": "Bad Request", "detail": "one"}, {"title": "two"}]}"#, "one, two"),
            (r#"{"message": "<html><body>API <b>limit</b></body></html>", "code": "429"}"#, "API limit"),
            ("404 Not Found\n\nNo image found with ID nope\n\n   ", "No image found with ID nope"),
            (
                "<html>\n <head>\n  <title>409 Conflict</title>\n  <style>b { x }</style></head>\n <body>\n  <h1>409 Conflict</h1>\n  Image &#x27;a&#x27; is in use.<br /><br />\n </body>\n</html>",
                "Image 'a' is in use.",
            ),
            ("<html><body><h1>503 Service Unavailable</h1></body></html>", "503 Service Unavailable"),
            ("<html", "<html"),
            ("", ""),
            ("{}", ""),
        ] {
            assert_eq!(words(body.as_bytes()), want, "{body}");
        }
        assert_eq!(words(&[0xff, 0x00, b'a', b'\n', b'b']), "\u{fffd} a b");
        assert!(words("x".repeat(100_000).as_bytes()).chars().count() <= LONGEST + 1);
    }

    #[test]
    fn statuses_and_texts_give_the_kind() {
        for (status, said, want) in [
            (409, "Cannot 'createImage' instance x while it is in task_state image_snapshot", ErrorKind::Locked),
            (409, "Cannot 'stop' instance x while it is in vm_state stopped", ErrorKind::Conflict),
            (409, "Instance x is locked", ErrorKind::Conflict),
            (403, "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances", ErrorKind::Full),
            (413, "SnapshotLimitExceeded: Maximum number of snapshots allowed (10) exceeded", ErrorKind::Full),
            (403, "Policy doesn't allow os_compute_api:os-lock-server:lock to be performed.", ErrorKind::Denied),
            (401, "The request you have made requires authentication.", ErrorKind::Denied),
            (404, "Instance x could not be found.", ErrorKind::NotFound),
            (400, "Invalid volume: Volume x status must be available or in-use, but current status is: creating.", ErrorKind::Locked),
            (400, "Invalid volume: Volume x status must be available or in-use, but current status is: error.", ErrorKind::Invalid),
            (409, "Cannot 'start' instance x while it is in task_state None", ErrorKind::Conflict),
            (500, "The server has either erred", ErrorKind::Unavailable),
            (429, "", ErrorKind::Unavailable),
        ] {
            assert_eq!(kind(status, said), want, "{status} {said}");
        }
    }

    #[test]
    fn the_sentence_names_service_call_status_request_and_remedy() {
        let body = br#"{"conflictingRequest": {"code": 409, "message": "Instance x is locked"}}"#;
        let failed = Failed::answered(Service::Compute, "stop the instance x", 409, body, Some("req-1"), 1);
        assert_eq!(
            failed.message,
            "Nova could not stop the instance x: HTTP 409, Instance x is locked (request req-1); unlock it, or let the person who locked it do so"
        );
        assert_eq!(
            Failed::silent(Service::Image, "read the image a", "no answer within 60 s", 6, false).message,
            "Glance could not read the image a after 6 tries: no answer within 60 s; look whether the service runs and can be reached from here"
        );
        let told = Failed::answered(Service::Identity, "authenticate", 400, b"{\"error\":{\"message\":\"bad hunter2\"}}", None, 1).without("hunter2");
        assert_eq!(told.message, "Keystone could not authenticate: HTTP 400, bad [secret]");
    }
}
