//! Signing out: here, at the provider, and because the provider says so.
//!
//! Lives here: `/logout`, `/auth/{provider}/end`, `/auth/{provider}/backchannel`. May not: the protocol's cryptography.

use app::context::Visitor;
use axum::{
    Extension, Form,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use openidconnect::{ClientId, EndSessionUrl, LogoutRequest, Nonce, PostLogoutRedirectUrl};
use ops::accounts;
use serde::Deserialize;
use serde_json::Value;
use tower_sessions::Session;

use super::{
    SIGNED, Signed,
    client::{About, AnyIdToken, Trouble},
    flow::{anybody, unseal},
};
use crate::state::AppState;

/// What a session keeps on its way to the provider's own sign-out.
const ENDING: &str = "ending";
/// The event that a logout token is about.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// `POST /logout`: the session ends here, and then at the provider that opened it.
pub async fn sign_out(State(state): State<AppState>, session: Session, Extension(visitor): Extension<Visitor>) -> Response {
    let ctx = anybody(&state.app, &visitor);
    let signed = session.get::<Signed>(SIGNED).await.ok().flatten();
    let id = session.id().map(|id| id.to_string()).unwrap_or_default();
    let hint = match accounts::tokens(&ctx, &id).await {
        Ok(Some(tokens)) => unseal(&state.app, &tokens).await.and_then(|k| k.id),
        _ => None,
    };
    if let Err(e) = session.flush().await {
        tracing::warn!(error = %e, "a session could not be removed");
    }
    // The palette remembers pages that were opened; whoever comes next must not see them.
    let clear = (HeaderName::from_static("clear-site-data"), "\"storage\"");
    let Some(provider) = signed.and_then(|s| s.provider) else { return ([clear], Redirect::to("/login")).into_response() };
    session.insert(ENDING, hint).await.ok();
    // A form may lead to pages of our own alone, so the way on is a page.
    let to = format!("/auth/{}/end", app::components::address::encode(&provider));
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Signing out · Holdfast</title><meta http-equiv=\"refresh\" content=\"0;url={to}\"></head>\
         <body><p>You are signed out of Holdfast. <a href=\"{to}\">Sign out at the provider, too</a>.</p></body></html>"
    );
    ([clear, (header::CACHE_CONTROL, "no-store")], Html(page)).into_response()
}

/// `GET /auth/{provider}/end`: on to the provider's own sign-out, where it has one.
pub async fn end(State(state): State<AppState>, session: Session, Extension(visitor): Extension<Visitor>, Path(name): Path<String>) -> Response {
    let ctx = anybody(&state.app, &visitor);
    let hint = session.remove::<Option<String>>(ENDING).await.ok().flatten().flatten();
    session.flush().await.ok();
    let to = async {
        let row = accounts::provider(&ctx, &name).await?;
        let provider = state.providers.get(&state.app, &row).await?;
        let Some(end) = &provider.end_session else { return Ok::<_, Trouble>(None) };
        let away = |e: openidconnect::url::ParseError| Trouble::Away(e.to_string());
        let address = accounts::address(&ctx).await?.unwrap_or_else(|| state.app.local_address.clone());
        let back = PostLogoutRedirectUrl::new(format!("{}/", address.trim_end_matches('/'))).map_err(away)?;
        let mut request = LogoutRequest::from(EndSessionUrl::new(end.clone()).map_err(away)?)
            .set_client_id(ClientId::new(row.config.0.client_id.clone()))
            .set_post_logout_redirect_uri(back);
        if let Some(token) = hint.and_then(|h| h.parse::<AnyIdToken>().ok()) {
            request = request.set_id_token_hint(&token);
        }
        Ok(Some(request.http_get_url()))
    };
    match to.await {
        Ok(Some(url)) => Redirect::to(url.as_str()).into_response(),
        Ok(None) => Redirect::to("/login").into_response(),
        Err(e) => {
            tracing::warn!(provider = name, error = %e, "nobody could be signed out at the provider");
            Redirect::to("/login").into_response()
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct Logout {
    #[serde(default)]
    logout_token: String,
}

/// `POST /auth/{provider}/backchannel`: the provider ends sessions (OpenID Connect Back-Channel Logout 1.0).
pub async fn backchannel(
    State(state): State<AppState>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Form(form): Form<Logout>,
) -> Response {
    let ctx = anybody(&state.app, &visitor);
    let ended = async {
        let row = accounts::provider(&ctx, &name).await?;
        let invalid = |why: &str| Trouble::Invalid(why.to_owned());
        let token: AnyIdToken = form.logout_token.parse().map_err(|_| invalid("it is no token"))?;
        let told = state.providers.believe(&state.app, &row, &token, About::SignOut, |nonce: Option<&Nonce>| {
            if nonce.is_some() { Err("a logout token has no nonce".to_owned()) } else { Ok(()) }
        });
        let told = told.await?;
        if !told.claims.get("events").and_then(Value::as_object).is_some_and(|e| e.contains_key(EVENT)) {
            return Err(invalid("it is not about a sign-out"));
        }
        // A person key of another claim is not in the token: then the provider's session has to name them.
        let by_sub = row.config.0.person.iter().any(|p| p == "sub");
        let subject = Some(told.sub.as_str()).filter(|_| by_sub);
        Ok::<_, Trouble>(accounts::end_by_provider(&ctx, &row, told.sid.as_deref(), subject).await?)
    };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    match ended.await {
        Ok(n) => {
            tracing::info!(provider = name, sessions = n, "the provider has ended sessions");
            (StatusCode::OK, no_store).into_response()
        }
        Err(e) => {
            tracing::warn!(provider = name, error = %e, "a logout token was refused");
            (StatusCode::BAD_REQUEST, no_store, "the logout token is not valid\n").into_response()
        }
    }
}
