//! Answers that are no success, as problem+json (RFC 9457), from `OpsError` in one map.
//!
//! Lives here: the map. May not: the text of an internal error, which stays in the log under the id that is given.

use axum::{
    Json,
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use domain::field::FieldError;
use jiff::Timestamp;
use ops::OpsError;
use serde::Serialize;
use utoipa::ToSchema;

use super::words::at;

/// A body of another kind than the API takes.
pub const NO_JSON: &str = "the body must be JSON; send it with `Content-Type: application/json`";

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status tells the kind.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do about it.
    detail: String,
    /// Each refused field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Field>,
    /// The last change of what another one was to start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Box<Changed>>,
    /// The id of an internal error in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<String>,
}

/// A refused field with its remedy.
#[derive(Debug, Serialize, ToSchema)]
struct Field {
    field: String,
    message: String,
}

/// Who changed something, and when.
#[derive(Debug, Serialize, ToSchema)]
struct Changed {
    by: String,
    at: Timestamp,
}

impl From<FieldError> for Field {
    fn from(e: FieldError) -> Self {
        Self { field: e.field, message: e.message }
    }
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), errors: Vec::new(), changed: None, error_id: None }
    }

    pub fn invalid(field: &str, message: &str) -> Self {
        OpsError::invalid(field, message).into()
    }

    /// A header that is not understood.
    pub fn bad_header(name: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{name}: {message}"))
    }

    /// A parameter of the query or the path that cannot be.
    pub fn bad_parameter(name: &str, message: &str) -> Self {
        let errors = vec![Field { field: name.to_owned(), message: message.to_owned() }];
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, format!("{name}: {message}")) }
    }

    pub fn bad_request(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn unusable(detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub fn too_long() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 1 MiB; send less at once")
    }

    /// The same call is being carried out.
    pub fn under_way() -> Self {
        Self::new(StatusCode::CONFLICT, "this call is being carried out for the same Idempotency-Key; send it again a little later for its answer")
    }

    /// Nothing has this path.
    pub fn nothing_under(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {path}; /api/openapi.json lists all paths"))
    }

    /// A token that nobody made, or that is over.
    pub fn bad_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "this token is not valid: it is unknown, expired or revoked; make another one under /account")
    }

    /// The path is there, and not for this method.
    fn not_for(method: &Method, path: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes no {method}; /api/openapi.json lists what it takes"))
    }

    /// Nobody has signed in.
    pub fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "sign in first")
    }
}

impl From<OpsError> for Problem {
    fn from(e: OpsError) -> Self {
        let detail = e.to_string();
        if e.is_database_away() {
            tracing::warn!(error = ?e, "the database does not answer");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database is busy or away; nothing was changed, try again in a moment");
        }
        match e {
            OpsError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, detail),
            OpsError::Gone(_) => Self::new(StatusCode::GONE, detail),
            OpsError::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, detail),
            OpsError::Conflict(_) | OpsError::Underway { .. } => Self::new(StatusCode::CONFLICT, detail),
            OpsError::Stale(stale) => {
                let changed = stale.last.map(|(by, when)| Box::new(Changed { by, at: at(when.0) }));
                Self { changed, ..Self::new(StatusCode::PRECONDITION_FAILED, detail) }
            }
            OpsError::Invalid(fields) => {
                let errors = fields.into_iter().map(Field::from).collect();
                Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
            }
            OpsError::Internal(inner) => {
                let id = uuid::Uuid::new_v4().simple().to_string();
                tracing::error!(error_id = %id, error = %inner, "internal error in the API");
                let detail = "something went wrong in Holdfast itself; its log has the reason under the error id";
                Self { error_id: Some(id), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
            }
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(e: JsonRejection) -> Self {
        match e {
            JsonRejection::MissingJsonContentType(_) => Self::new(e.status(), NO_JSON),
            other => Self::new(other.status(), other.body_text()),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(e: BytesRejection) -> Self {
        if e.status() == StatusCode::PAYLOAD_TOO_LARGE { Self::too_long() } else { Self::new(e.status(), e.body_text()) }
    }
}

impl From<QueryRejection> for Problem {
    fn from(e: QueryRejection) -> Self {
        Self::new(e.status(), e.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(e: PathRejection) -> Self {
        Self::new(e.status(), e.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response()
    }
}

/// What is not there. The fallback of everything below `/api`.
pub async fn no_such_path(uri: Uri) -> Problem {
    Problem::nothing_under(uri.path())
}

/// What is asked for in a way that is not there. The fallback of every path of the API.
pub async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::not_for(&method, uri.path())
}
