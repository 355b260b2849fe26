//! What stands before every page and call: who asks, whether they signed in, whether the request is ours.
//!
//! Lives here: middleware. May not: deciding what an actor may do (`ops::permission`).

use app::context::{Arrival, Theme, Visitor, cookie};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use ops::{Actor, Role};
use tower_sessions::Session;

use super::{limits::Try, notice};
use crate::{oidc, state::AppState};

/// The key of the actor in a session.
pub const ACTOR: &str = "actor";
/// The cookie that keeps the colour scheme.
pub const THEME: &str = "theme";
/// The cookie that says `off` where single keys are switched off.
pub const KEYS: &str = "keys";

/// Puts the visitor into the request: whoever shows a token to the API, or else whose session it is. A token that is not
/// valid is refused, whatever session there is beside it.
pub async fn visitor(State(state): State<AppState>, session: Session, mut request: Request, next: Next) -> Response {
    let arrival = request.extensions().get::<Arrival>().cloned().unwrap_or_default();
    let origin = arrival.client.map_or_else(|| "unknown".to_owned(), |c| c.to_string());
    let actor = match bearer(&request) {
        Some(token) => match ops::tokens::recognise(&state.app.db, &state.app.clock, &token, &origin).await {
            Ok(Some(actor)) => actor,
            Ok(None) => {
                if let Err(refused) = state.edge.limits.check(Try::Token, arrival.client) {
                    return refused.answer(request.uri().path());
                }
                tracing::warn!(from = origin, "a token was refused: it is unknown, expired or revoked");
                return crate::api::no_such_token();
            }
            Err(e) => return crate::api::failed(e),
        },
        None => match session.get::<Actor>(ACTOR).await.ok().flatten() {
            Some(actor) => match still_guest(&state, &session, actor).await {
                Some(actor) => oidc::still_in(&state, &session, actor, &origin).await,
                None => Actor::anonymous(),
            },
            None => Actor::anonymous(),
        },
    };
    let theme = cookie(request.headers(), &arrival.cookie(THEME)).map_or(Theme::System, |t| Theme::parse(&t));
    let single_keys = cookie(request.headers(), &arrival.cookie(KEYS)).as_deref() != Some("off");
    request.extensions_mut().insert(Visitor { actor, origin, theme, single_keys });
    next.run(request).await
}

/// A guest as their link says now; everybody else as they are. `None` where the link has ended or cannot be asked.
async fn still_guest(state: &AppState, session: &Session, actor: Actor) -> Option<Actor> {
    let Some(guest) = &actor.guest else { return Some(actor) };
    match ops::links::still_in(&state.app.db, &state.app.clock, guest).await {
        Ok(Some(now)) => Some(now),
        Ok(None) => {
            session.flush().await.ok();
            None
        }
        Err(e) => {
            tracing::warn!(error = %e, "whether a guest's link still holds could not be asked; nothing is shown");
            None
        }
    }
}

/// What a program shows in `Authorization` to the API.
fn bearer(request: &Request) -> Option<String> {
    let shown = request.headers().get(header::AUTHORIZATION).filter(|_| request.uri().path().starts_with("/api/"))?.to_str().unwrap_or_default();
    // Another scheme is no token either.
    Some(shown.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim().to_owned()).unwrap_or_default())
}

/// Sends whoever has not signed in to the sign-in page; a program gets 401.
pub async fn signed_in(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == "/" && request.extensions().get::<Visitor>().is_some_and(|v| v.actor.role == Role::Guest) {
        return Redirect::to("/evidence").into_response();
    }
    let anonymous = request.extensions().get::<Visitor>().is_none_or(|v| v.actor.role == Role::Anonymous);
    if !anonymous || path == "/login" || path == "/preferences" || path.starts_with("/auth/") {
        return next.run(request).await;
    }
    // A location is its own permission, and so is the address of a calendar.
    if (path.starts_with(crate::api::ARCHIVES) || path.starts_with(super::calendar::CALENDARS)) && matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    if path.starts_with("/api/") && path != crate::api::DOCS {
        return crate::api::signed_out();
    }
    if path.starts_with("/act/") {
        return (StatusCode::UNAUTHORIZED, "sign in first\n").into_response();
    }
    let target = if request.method() == Method::GET && path != "/" { format!("/login?next={}", encode(path)) } else { "/login".to_owned() };
    Redirect::to(&target).into_response()
}

/// Refuses a request that changes something and was not made by our own pages.
///
/// Browsers send `Sec-Fetch-Site`; older ones send `Origin`. A program that sends neither has no cookie to abuse.
pub async fn same_origin(request: Request, next: Next) -> Response {
    // A provider that ends a session shows a token that it has signed; there is no cookie to abuse.
    let told = request.uri().path().starts_with("/auth/") && request.uri().path().ends_with("/backchannel");
    let host = request.extensions().get::<Arrival>().and_then(|a| a.host.clone());
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) || told || ours(request.headers(), host.as_deref()) {
        return next.run(request).await;
    }
    notice::refusal(request.uri().path(), StatusCode::FORBIDDEN, "This request came from another site", "open Holdfast itself and repeat it there.")
}

fn ours(headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match (text("origin"), host) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, o)| o == host),
        (Some(_), None) => false,
    }
}

/// A path as a value of a query.
fn encode(path: &str) -> String {
    path.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.') {
            out.push(char::from(b));
        } else {
            out.extend(["%", &hex::encode_upper([b])]);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (header::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_pages_change_things() {
        for (sent, host, allowed) in [
            (&[("sec-fetch-site", "same-origin")][..], Some("h"), true),
            (&[], Some("h"), true),
            (&[("origin", "https://h:1")], Some("h:1"), true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://h")], Some("h"), false),
            (&[("sec-fetch-site", "same-site")], Some("h"), false),
            (&[("origin", "https://evil")], Some("h"), false),
            (&[("origin", "https://h")], None, false),
            (&[("origin", "null")], Some("h"), false),
        ] {
            assert_eq!(ours(&headers(sent), host), allowed, "{sent:?}");
        }
    }

    #[test]
    fn cookies_and_paths() {
        assert_eq!(cookie(&headers(&[("cookie", "a=1; theme=dark")]), "theme").as_deref(), Some("dark"));
        assert_eq!(encode("/people/a b&c"), "/people/a%20b%26c");
    }
}
