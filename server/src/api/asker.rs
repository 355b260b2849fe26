//! What every handler takes: who asks, and the parts of the request read with our own words for what is wrong.
//!
//! Lives here: extractors, cursors. May not: recognising a session (middleware does).

use app::context::{AppContext, Visitor};
use axum::{
    extract::{FromRef, FromRequest, FromRequestParts},
    http::request::Parts,
};
use domain::units::Timestamp;
use ops::{Actor, Ctx};
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
        Ok(Self(Ctx { actor, origin: origin.into(), clock: app.clock, db: app.db }))
    }
}

/// A part of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

/// The query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// The body.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub struct Body<T>(pub T);

/// How many entries a page has when nothing else is asked for.
pub const PAGE: i64 = 100;

/// The key of the last entry that was seen, as an opaque text.
pub fn cursor(at: i64, id: Uuid) -> String {
    format!("{at:x}.{}", id.simple())
}

/// The key behind a cursor.
pub fn read_cursor(text: Option<&str>) -> Result<Option<(Timestamp, Uuid)>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let parts = text.split_once('.').and_then(|(at, id)| Some((i64::from_str_radix(at, 16).ok()?, Uuid::try_parse(id).ok()?)));
    match parts {
        Some((at, id)) => Ok(Some((Timestamp(at), id))),
        None => Err(Problem::invalid("cursor", "is not one that a page has given; leave it out for the first page")),
    }
}
