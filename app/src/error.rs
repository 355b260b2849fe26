//! One map from the errors of use cases to what a browser gets.
//!
//! Lives here: the error of server functions, status codes, the texts of error pages.
//! May not: internal texts; they go to the log under an id and the browser gets the id.

use domain::{field::FieldError, id::RunId, units::Timestamp};
use leptos::prelude::*;
use leptos::server_fn::{
    codec::JsonEncoding,
    error::{ServerFnErrorErr, ServerFnUrlError},
};
use ops::{OpsError, version::Stale};
use serde::{Deserialize, Serialize};

use crate::components::icon;

/// What a page or form shows when something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppError {
    /// HTTP status.
    pub status: u16,
    pub title: String,
    pub message: String,
    pub fields: Vec<FieldError>,
    /// What to quote when asking for help; only for faults of Holdfast itself.
    pub reference: Option<String>,
}

impl AppError {
    pub fn new(status: u16, title: &str, message: impl Into<String>) -> Self {
        Self { status, title: title.to_owned(), message: message.into(), fields: Vec::new(), reference: None }
    }

    /// The message for one field of a form.
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields.iter().find(|f| f.field == name).map(|f| f.message.clone())
    }
}

impl From<OpsError> for AppError {
    fn from(e: OpsError) -> Self {
        let text = e.to_string();
        if e.is_database_away() {
            tracing::warn!(error = ?e, "the database does not answer");
            let message = "It is busy, or it is being restarted. Nothing was changed. Load the page again in a moment; runs go on by themselves.";
            return Self::new(503, "The database does not answer", message);
        }
        match e {
            OpsError::NotFound { .. } => Self::new(404, "Not found", format!("{}. It may have been renamed or removed.", upper(&text))),
            OpsError::Gone(_) => Self::new(410, "No longer there", format!("{}.", upper(&text))),
            OpsError::Forbidden(_) => Self::new(403, "Not allowed", format!("{}.", upper(&text))),
            OpsError::Stale(s) => stale(s),
            OpsError::Conflict(_) | OpsError::Underway { .. } => Self::new(409, "Something else came first", format!("{}.", upper(&text))),
            OpsError::Invalid(fields) => Self { fields, ..Self::new(422, "Please correct this", upper(&text)) },
            OpsError::Internal(source) => {
                let reference = uuid::Uuid::now_v7().simple().to_string()[20..].to_owned();
                tracing::error!(reference, error = %source, causes = ?source, "a request failed");
                Self {
                    reference: Some(reference),
                    ..Self::new(
                        500,
                        "Something went wrong",
                        "Holdfast could not do this. Nothing was changed. The server's log has the details under the reference below.",
                    )
                }
            }
        }
    }
}

/// Who was first, and what that means for a form.
fn stale(s: Stale) -> AppError {
    let at = |at: Timestamp| jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().strftime("%-d %b %Y %H:%M:%S UTC").to_string();
    let (who, when) = s.last.map_or_else(|| ("somebody".to_owned(), String::new()), |(who, when)| (who, format!(" on {}", at(when))));
    let (kind, name) = (s.kind, s.name);
    if s.there && !s.expected {
        let fields = vec![FieldError::new("name", format!("is taken: there is a {kind} “{name}” already; choose another name, or change that one"))];
        return AppError { fields, ..AppError::new(412, "Nothing was saved", format!("There is a {kind} “{name}” already; {who} changed it last{when}.")) };
    }
    let did = if s.there { "changed" } else { "removed" };
    AppError::new(412, "Somebody else was first", format!("Nothing was saved: {who} {did} the {kind} “{name}”{when}, after you opened this page."))
}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(e: ServerFnErrorErr) -> Self {
        match e {
            ServerFnErrorErr::Args(m) | ServerFnErrorErr::MissingArg(m) | ServerFnErrorErr::Deserialization(m) => {
                Self::new(422, "Please correct this", format!("The form was not understood: {m}. Load the page again."))
            }
            other => OpsError::internal(other.to_string()).into(),
        }
    }
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.message)
    }
}

impl std::error::Error for AppError {}

/// Refuses in a server function: sets the status of the answer and gives the error on.
///
/// A plain form is sent back to its page with the error in the address, so its status must stay a redirect.
pub fn refuse(e: OpsError) -> AppError {
    let error = AppError::from(e);
    let form = use_context::<http::request::Parts>()
        .is_some_and(|p| p.headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/html")));
    if !form {
        set_status(error.status);
    }
    error
}

/// Sends the browser on to `path` of this site, after a form was carried out. Signs that an address may not hold are encoded.
pub fn go(path: &str) {
    use std::fmt::Write;
    let mut safe = String::with_capacity(path.len());
    for b in path.bytes() {
        if b.is_ascii_graphic() {
            safe.push(char::from(b));
        } else {
            let _ = write!(safe, "%{b:02X}");
        }
    }
    leptos_axum::redirect(&safe);
}

/// The longest address that every browser and proxy takes, less what the error adds.
const LONGEST: usize = 6_000;

/// Sends a refused form back to its page, whose address `href` holds what was typed, with the reason.
///
/// # Errors
/// The reason, where the address would be too long: then the browser goes back to where it came from.
pub fn back(href: &str, e: OpsError) -> Result<(), AppError> {
    if href.len() > LONGEST {
        return Err(refuse(e));
    }
    let error = AppError::from(e);
    go(&with_error(href, &error).ok_or(error)?);
    Ok(())
}

/// The address of a page of this site that shows why its form was refused.
pub fn with_error(href: &str, error: &AppError) -> Option<String> {
    const SITE: &str = "http://holdfast";
    let url = ServerFnUrlError::new("", error.clone()).to_url(&format!("{SITE}{href}")).ok()?;
    url.as_str().strip_prefix(SITE).map(str::to_owned)
}

/// Sends the browser on to the run that was started.
///
/// # Errors
/// Why none was.
pub fn go_to_run(started: ops::Result<RunId>) -> Result<(), AppError> {
    go(&format!("/runs/{}", started.map_err(refuse)?));
    Ok(())
}

/// Sets the status of this answer.
pub fn set_status(status: u16) {
    if let (Some(options), Ok(code)) = (use_context::<leptos_axum::ResponseOptions>(), http::StatusCode::from_u16(status)) {
        options.set_status(code);
    }
}

/// The error that a form without JavaScript brought back in the address, if it came from `path`.
pub fn form_error() -> Option<AppError> {
    provide_context(Shown);
    brought_back()
}

/// The same for the frame: nothing where the page asked for it and so shows it itself.
pub fn unshown_error() -> Option<AppError> {
    if use_context::<Shown>().is_some() { None } else { brought_back() }
}

/// The page shows by itself why its form was refused.
#[derive(Clone, Copy)]
struct Shown;

fn brought_back() -> Option<AppError> {
    let query = use_context::<http::request::Parts>()?.uri.query()?.to_owned();
    let encoded = query.split('&').rev().find_map(|pair| pair.strip_prefix("__err="))?;
    let encoded = encoded.replace("%3D", "=").replace("%3d", "=");
    Some(ServerFnUrlError::<AppError>::decode_err(&encoded))
}

/// Why an act was refused, beside what was asked for.
pub fn refused(e: &AppError) -> AnyView {
    view! {
        <div role="alert" class="mb-4"><div class="callout callout--fail">{icon("i-fail")}<b>{e.title.clone()}</b>
            <div>{e.message.clone()}{e.reference.clone().map(|r| view! { <span class="sub">"Reference "{r}</span> })}</div></div></div>
    }
    .into_any()
}

/// “There is” from “there is”.
pub fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
