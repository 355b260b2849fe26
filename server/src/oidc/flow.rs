//! From the button to a session: the way to the provider and back.
//!
//! Lives here: `/auth/{provider}/start` and `/auth/callback`. May not: believing tokens (`client`), roles (`ops`).

use app::context::{AppContext, Visitor};
use axum::{
    Extension,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Redirect, Response},
};
use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge, RedirectUrl, Scope, core::CoreAuthenticationFlow};
use ops::{Actor, Ctx, accounts};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::{
    Kept, SIGNED, Signed,
    client::{Redemption, Said, Trouble},
};
use crate::{state::AppState, web::ACTOR};

/// Sign-ins that a browser has begun and not ended; the oldest go.
const BEGUN: &str = "begun";
const MOST_BEGUN: usize = 5;
/// How long somebody may take at the provider, in seconds.
const PATIENCE_S: i64 = 900;

/// A sign-in on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    at: i64,
}

#[derive(Debug, Deserialize)]
pub struct StartQuery {
    #[serde(default)]
    next: String,
}

/// `GET /auth/{provider}/start?next=`: on to the provider.
pub async fn start(
    State(state): State<AppState>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Query(q): Query<StartQuery>,
) -> Response {
    let ctx = anybody(&state.app, &visitor);
    let begun = async {
        let row = accounts::provider(&ctx, &name).await?;
        let provider = state.providers.get(&state.app, &row).await?;
        let redirect = RedirectUrl::new(redirect_to(&state.app, &ctx).await?).map_err(|e| Trouble::Away(e.to_string()))?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = provider
            .oidc
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge)
            .set_redirect_uri(std::borrow::Cow::Owned(redirect));
        for scope in row.config.0.scopes.iter().filter(|s| *s != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, csrf, nonce) = request.url();
        let begun = Begun {
            provider: name.clone(),
            state: csrf.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            next: crate::web::inside(&q.next),
            at: ctx.now().0,
        };
        Ok::<_, Trouble>((url, begun))
    };
    match begun.await {
        Ok((url, begun)) => {
            let mut all: Vec<Begun> = session.get(BEGUN).await.ok().flatten().unwrap_or_default();
            all.push(begun);
            let from = all.len().saturating_sub(MOST_BEGUN);
            if session.insert(BEGUN, all.split_off(from)).await.is_err() {
                return refused(&name, "away", &Trouble::Away("the session cannot be kept".to_owned()));
            }
            Redirect::to(url.as_str()).into_response()
        }
        Err(trouble) => refused(&name, why(&trouble), &trouble),
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct CallbackQuery {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    /// Who answers, where the provider says so (RFC 9207).
    iss: Option<String>,
}

/// `GET /auth/callback?state=&code=`: back from the provider.
pub async fn callback(
    State(state): State<AppState>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Query(q): Query<CallbackQuery>,
) -> Response {
    let ctx = anybody(&state.app, &visitor);
    let mut all: Vec<Begun> = session.get(BEGUN).await.ok().flatten().unwrap_or_default();
    // It is spent, whatever becomes of it.
    let place = all.iter().position(|b| !q.state.is_empty() && b.state == q.state);
    let Some(begun) = place.map(|i| all.remove(i)) else {
        return refused("", "stale", &Trouble::Invalid("this browser has begun no such sign-in".to_owned()));
    };
    let kept = session.insert(BEGUN, all).await;
    if kept.is_err() || ctx.now().secs_since(domain::units::Timestamp(begun.at)) > PATIENCE_S as f64 {
        return refused(&begun.provider, "stale", &Trouble::Invalid("the sign-in took too long".to_owned()));
    }
    let code = match (q.code, q.error) {
        (Some(code), None) => code,
        (_, error) => return refused(&begun.provider, "denied", &Trouble::Refused(error.unwrap_or_default())),
    };
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match finish(&state, &ctx, &session, &begun, (code, q.iss), agent).await {
        Ok(None) => Redirect::to(if begun.next.is_empty() { "/" } else { &begun.next }).into_response(),
        Ok(Some(refusal)) => {
            session.flush().await.ok();
            refused(&begun.provider, refusal.as_str(), &Trouble::Refused(refusal.as_str().to_owned()))
        }
        Err(trouble) => refused(&begun.provider, why(&trouble), &trouble),
    }
}

async fn finish(
    state: &AppState,
    ctx: &Ctx,
    session: &Session,
    begun: &Begun,
    (code, iss): (String, Option<String>),
    agent: &str,
) -> Result<Option<accounts::Refusal>, Trouble> {
    let row = accounts::provider(ctx, &begun.provider).await?;
    if let Some(other) = iss.filter(|i| i.trim_end_matches('/') != row.config.0.issuer.trim_end_matches('/')) {
        return Err(Trouble::Invalid(format!("the answer is that of {other}, and {} was asked", row.config.0.issuer)));
    }
    let redemption =
        Redemption { code, verifier: begun.verifier.clone(), nonce: Nonce::new(begun.nonce.clone()), redirect: redirect_to(&state.app, ctx).await? };
    let (Said { claims, sid }, kept) = state.providers.redeem(&state.app, &row, redemption).await?;
    let who = match accounts::describe(&row, &claims) {
        Ok(who) => who,
        Err(refusal) => {
            accounts::nobody(ctx, &row).await?;
            return Ok(Some(refusal));
        }
    };
    let admitted = match accounts::admit(ctx, &row, &who).await? {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(Some(refusal)),
    };
    let tokens = seal(&state.app, &kept)?;
    let refresh_s = row.config.0.refresh_s;
    let next = ctx.now().plus_secs(refresh_s);
    let signed = Signed { provider: Some(row.name.clone()), refresh_s, refresh_at: next.0, ends_at: ctx.now().plus_secs(accounts::LONGEST_S).0 };
    let id = enter(session, &admitted.actor, &signed).await?;
    let opened = accounts::Opened { session: &id, account: Some(admitted.account), sid, tokens: Some(tokens), agent, refresh_at: next, given: &admitted.given };
    accounts::opened(&Ctx { actor: admitted.actor.clone(), ..ctx.clone() }, &opened).await?;
    Ok(None)
}

/// Makes the session that of an actor, under a new id, so that nobody can have planted it. The id.
pub async fn enter(session: &Session, actor: &Actor, signed: &Signed) -> Result<String, ops::OpsError> {
    let put = async {
        session.clear().await;
        session.cycle_id().await?;
        session.insert(ACTOR, actor).await?;
        session.insert(SIGNED, signed).await?;
        session.save().await
    };
    put.await.map_err(ops::OpsError::internal)?;
    Ok(session.id().map(|id| id.to_string()).unwrap_or_default())
}

pub fn seal(app: &AppContext, kept: &Kept) -> Result<store::repositories::SecretRef, ops::OpsError> {
    let text = serde_json::to_string(kept).map_err(ops::OpsError::internal)?;
    app.vault.seal(&text, accounts::TOKENS)
}

pub async fn unseal(app: &AppContext, sealed: &store::repositories::SecretRef) -> Option<Kept> {
    let text = app.vault.resolve(sealed, accounts::TOKENS).await.ok()?;
    serde_json::from_str(text.reveal()).ok()
}

/// Where the provider sends people back: at the address at which people open Holdfast.
async fn redirect_to(app: &AppContext, ctx: &Ctx) -> Result<String, ops::OpsError> {
    let address = ops::accounts::address(ctx).await?.unwrap_or_else(|| app.local_address.clone());
    Ok(format!("{}/auth/callback", address.trim_end_matches('/')))
}

pub fn anybody(app: &AppContext, visitor: &Visitor) -> Ctx {
    Ctx { actor: Actor::anonymous(), origin: visitor.origin.clone().into(), clock: app.clock.clone(), db: app.db.clone(), claim: None }
}

const fn why(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Away(_) | Trouble::Ops(_) => "away",
        Trouble::Refused(_) => "denied",
        Trouble::Invalid(_) => "invalid",
    }
}

/// Back to the sign-in page, which says what is wrong; the reason is in the log, under the reference.
fn refused(provider: &str, code: &str, trouble: &Trouble) -> Response {
    let reference = &uuid::Uuid::new_v4().simple().to_string()[..8];
    tracing::warn!(provider, code, reference, error = %trouble, "a sign-in did not succeed");
    Redirect::to(&format!("/login?error={code}&provider={}&reference={reference}", app::components::address::encode(provider))).into_response()
}
