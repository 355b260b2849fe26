//! Versions in headers: `ETag`, `If-Match`, `If-None-Match` (RFC 9110).
//!
//! Lives here: reading and writing those headers. May not: comparing versions for a change (`ops::version` does, in the
//! transaction of the change).
//!
//! A tag is `"VERSION.SUM"`: the version of what is saved, and a sum of the whole answer, of which parts move with time
//! (the next times of a schedule, how a channel goes). `If-None-Match` compares all of it, so that 304 never hides news;
//! `If-Match` compares the version, so that a change is refused only where another one came between. A proxy that packs
//! answers marks tags as weak; the version in them is ours all the same.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use ops::{OpsError, version::Seen};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Digits of the sum.
const SUM: usize = 16;

/// What a change starts from.
pub struct Basis(pub Seen);

impl<S: Send + Sync> FromRequestParts<S> for Basis {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let (given, not) = (tags(&parts.headers, &header::IF_MATCH)?, tags(&parts.headers, &header::IF_NONE_MATCH)?);
        Ok(Self(match (given, not) {
            (None, None) => Seen::Any,
            (Some(Tags::Any), None) => Seen::Present,
            (Some(Tags::These(tags)), None) => {
                Seen::Versions(tags.into_iter().map(|t| t.split_once('.').map_or_else(|| t.clone(), |(version, _)| version.to_owned())).collect())
            }
            (None, Some(Tags::Any)) => Seen::Absent,
            (None, Some(Tags::These(_))) => return Err(Problem::bad_header("If-None-Match", "can only be * for a change: there must be none yet")),
            (Some(_), Some(_)) => return Err(Problem::bad_header("If-Match", "and If-None-Match ask for opposite things; leave one out")),
        }))
    }
}

/// What the asker has already.
pub struct Known(Option<Tags>);

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(tags(&parts.headers, &header::IF_NONE_MATCH)?))
    }
}

/// What a header names.
enum Tags {
    Any,
    /// Without their quotes.
    These(Vec<String>),
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let refuse = || {
        let shown = if *name == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
        Problem::bad_header(shown, "is not understood; send the ETag of an answer as it came, in its quotes, or *")
    };
    let mut all = Vec::new();
    let mut any = false;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| refuse())?;
        if text.trim() == "*" {
            any = true;
        } else {
            all.extend(listed(text).ok_or_else(refuse)?);
        }
    }
    match (any, all.is_empty()) {
        (false, true) if headers.contains_key(name) => Err(refuse()),
        (false, true) => Ok(None),
        (true, true) => Ok(Some(Tags::Any)),
        (false, false) => Ok(Some(Tags::These(all))),
        (true, false) => Err(refuse()),
    }
}

/// The tags of a list; `None` where it is none.
fn listed(text: &str) -> Option<Vec<String>> {
    let (mut rest, mut found) = (text.trim(), Vec::new());
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (tag, after) = quoted.split_once('"')?;
        found.push(tag.to_owned());
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(found)
}

/// An answer with its tag.
pub struct Tagged {
    status: StatusCode,
    tag: String,
    body: Vec<u8>,
}

impl Tagged {
    pub fn new(version: &str, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(OpsError::internal)?;
        let sum = hex::encode(Sha256::digest(&body));
        Ok(Self { status: StatusCode::OK, tag: format!("{version}.{}", &sum[..SUM]), body })
    }

    /// Nothing but the tag where the asker has this answer.
    #[must_use]
    pub fn unless(self, known: &Known) -> Self {
        let same = match &known.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.contains(&self.tag),
        };
        if same { Self { status: StatusCode::NOT_MODIFIED, body: Vec::new(), ..self } } else { self }
    }

    /// The tag alone, after a change.
    #[must_use]
    pub fn without_content(self) -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Vec::new(), ..self }
    }
}

impl IntoResponse for Tagged {
    fn into_response(self) -> Response {
        let mut answer = (self.status, self.body).into_response();
        let headers = answer.headers_mut();
        if self.status == StatusCode::OK {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        } else {
            headers.remove(header::CONTENT_TYPE);
        }
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.tag)) {
            headers.insert(header::ETAG, tag);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags() {
        for (text, want) in [
            ("\"a.b\"", Some(vec!["a.b"])),
            ("W/\"a.b\" , \"c,d\"", Some(vec!["a.b", "c,d"])),
            ("\"a\",", Some(vec!["a"])),
            ("a.b", None),
            ("\"a", None),
            ("\"a\" \"b\"", None),
            ("*, \"a\"", None),
        ] {
            assert_eq!(listed(text), want.map(|w| w.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }
}
