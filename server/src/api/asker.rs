//! What every handler takes: who asks, and the parts of the request read with our own words for what is wrong.
//!
//! Lives here: extractors, keys of pages. May not: recognising a session (middleware does).

use std::sync::Arc;

use app::context::{AppContext, Visitor};
use axum::{
    body::Bytes,
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    http::{request::Parts, uri::PathAndQuery},
};
use domain::units::Timestamp;
use ops::{Actor, Ctx, once::Claim};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use uuid::Uuid;

use super::problem::Problem;

/// The context of a use case for this request.
pub struct Asker(pub Ctx);

impl<S: Send + Sync> FromRequestParts<S> for Asker
where
    AppContext: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = AppContext::from_ref(state);
        let (actor, origin) = match parts.extensions.get::<Visitor>() {
            Some(v) => (v.actor.clone(), v.origin.clone()),
            None => (Actor::anonymous(), "unknown".to_owned()),
        };
        let claim = parts.extensions.get::<Arc<Claim>>().cloned();
        Ok(Self(Ctx { actor, origin: origin.into(), clock: app.clock, db: app.db, claim }))
    }
}

/// A part of the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        without_nul(parts)?;
        Ok(Self(axum::extract::Path::from_request_parts(parts, state).await?.0))
    }
}

/// The query.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        without_nul(parts)?;
        Ok(Self(axum::extract::Query::from_request_parts(parts, state).await?.0))
    }
}

/// The body.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await?;
        // The only way in which JSON holds one; looking closer costs, so it is done where there may be one.
        let suspect = bytes.windows(6).any(|w| w == b"\\u0000");
        if suspect && serde_json::from_slice(&bytes).is_ok_and(|v| holds_nul(&v)) {
            return Err(Problem::unusable("the body holds a NUL character, which no name and no text has"));
        }
        let request = Request::from_parts(parts, axum::body::Body::from(bytes));
        Ok(Self(axum::Json::from_request(request, state).await?.0))
    }
}

/// Whether something is only to be tried.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Say what would be done; nothing is written, and what would be refused is refused.
    #[serde(default)]
    #[param(required = false)]
    pub preview: bool,
}

/// How many entries a page has when nothing else is asked for.
pub const PAGE: i64 = 100;
/// The longest name that a page can begin after, in bytes.
const LONGEST_NAME: usize = 4_096;
/// Digits of the sum in a key.
const SUM: usize = 8;

/// How many entries a page has at most.
pub fn limit(given: Option<i64>, most: i64) -> Result<i64, Problem> {
    match given {
        None => Ok(PAGE.min(most)),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(_) => Err(Problem::bad_parameter("limit", &format!("must be from 1 to {most}; leave it out for {}", PAGE.min(most)))),
    }
}

/// The name that a page begins after.
pub fn after(given: Option<String>) -> Result<String, Problem> {
    let name = given.unwrap_or_default();
    if name.len() > LONGEST_NAME {
        return Err(Problem::bad_parameter("after", "is longer than any name; give the one that a page has named as `next`"));
    }
    Ok(name)
}

/// The lists whose pages follow a key that is no name. A key of one is none of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    Runs,
    Snapshots,
    Holds,
    Alerts,
    Deliveries,
    Ticks,
    Ledger,
    Audit,
    Tests,
    Evidence,
    Exercises,
    Versions,
    Clones,
    Orphans,
}

impl List {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Snapshots => "snapshots",
            Self::Holds => "holds",
            Self::Alerts => "alerts",
            Self::Deliveries => "deliveries",
            Self::Ticks => "ticks",
            Self::Ledger => "ledger",
            Self::Audit => "audit",
            Self::Tests => "tests",
            Self::Evidence => "evidence",
            Self::Exercises => "exercises",
            Self::Versions => "versions",
            Self::Clones => "clones",
            Self::Orphans => "orphans",
        }
    }

    /// Tells a key that was cut off, altered, or made for another list. It guards nothing: keys give access to nothing.
    fn sum(self, key: &str) -> String {
        let mut sum = hex::encode(Sha256::digest(format!("{}/{key}", self.as_str())));
        sum.truncate(SUM);
        sum
    }

    fn sealed(self, key: &str) -> String {
        format!("{key}.{}", self.sum(key))
    }

    fn opened(self, text: &str) -> Option<&str> {
        text.rsplit_once('.').filter(|(key, sum)| *sum == self.sum(key)).map(|(key, _)| key)
    }

    /// The key of the last entry that was seen, as an opaque text.
    pub fn key(self, at: i64, id: Uuid) -> String {
        self.sealed(&format!("{at:x}.{}", id.simple()))
    }

    /// The same for a list by number.
    pub fn numbered(self, n: i64) -> String {
        self.sealed(&n.to_string())
    }

    /// The entry behind a key.
    pub fn read(self, text: Option<&str>) -> Result<Option<(Timestamp, Uuid)>, Problem> {
        let Some(text) = text else { return Ok(None) };
        let parts = self.opened(text).and_then(|key| key.split_once('.'));
        let read = parts.and_then(|(at, id)| Some((Timestamp(i64::from_str_radix(at, 16).ok()?), Uuid::try_parse(id).ok()?)));
        read.map(Some).ok_or_else(no_key)
    }

    /// The same for a list by path.
    pub fn pathed(self, at: i64, path: &str) -> String {
        self.sealed(&format!("{at:x}.{path}"))
    }

    pub fn read_path(self, text: Option<&str>) -> Result<Option<(String, Timestamp)>, Problem> {
        let Some(text) = text else { return Ok(None) };
        let parts = self.opened(text).and_then(|key| key.split_once('.'));
        let read = parts.and_then(|(at, path)| Some((path.to_owned(), Timestamp(i64::from_str_radix(at, 16).ok()?))));
        read.map(Some).ok_or_else(no_key)
    }

    pub fn read_number(self, text: Option<&str>) -> Result<Option<i64>, Problem> {
        let Some(text) = text else { return Ok(None) };
        self.opened(text).and_then(|key| key.parse().ok()).map(Some).ok_or_else(no_key)
    }
}

fn no_key() -> Problem {
    Problem::bad_parameter("cursor", "is not one that a page of this list has given; leave it out for the first page")
}

/// Refuses what no database can hold in a text.
fn without_nul(parts: &Parts) -> Result<(), Problem> {
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.contains("%00") { Err(Problem::bad_request("the address holds a NUL character, which no name and no text has")) } else { Ok(()) }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(all) => all.iter().any(holds_nul),
        Value::Object(all) => all.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}
