//! Sessions: kept in our own database, named by a cookie; signing in and out.
//!
//! Lives here: the session store and the three small forms. May not: making links (`ops::sign_in`).

use std::task::{self, Poll};

use app::context::{AppContext, Arrival, Theme, Visitor};
use async_trait::async_trait;
use axum::{
    Extension, Form,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use domain::units::Timestamp;
use ops::{Actor, Ctx, accounts};
use serde::Deserialize;
use store::{Clock, Db, sessions};
use tower::{Layer, Service};
use tower_sessions::{
    Expiry, Session, SessionManagerLayer, SessionStore,
    cookie::SameSite,
    session::{Id, Record},
    session_store,
};

use super::guard::{KEYS, THEME};
use crate::oidc::{Signed, enter};

/// A session that is not used for so long ends.
const IDLE: time::Duration = time::Duration::hours(8);

#[derive(Clone, Debug)]
pub struct Sessions {
    db: Db,
    clock: Clock,
}

fn backend(e: impl std::fmt::Display) -> session_store::Error {
    session_store::Error::Backend(e.to_string())
}

fn expiry(record: &Record) -> Timestamp {
    Timestamp::from_secs(record.expiry_date.unix_timestamp())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        loop {
            let data = serde_json::to_string(record).map_err(backend)?;
            let mut t = self.db.begin().await.map_err(backend)?;
            sessions::sweep(t.tx(), self.clock.now()).await.map_err(backend)?;
            let made = sessions::create(t.tx(), &record.id.to_string(), &data, expiry(record)).await.map_err(backend)?;
            t.commit().await.map_err(backend)?;
            if made {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let data = serde_json::to_string(record).map_err(backend)?;
        let mut t = self.db.begin().await.map_err(backend)?;
        sessions::save(t.tx(), &record.id.to_string(), &data, expiry(record)).await.map_err(backend)?;
        t.commit().await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let mut reader = self.db.read().await.map_err(backend)?;
        let data = sessions::load(reader.tx(), &id.to_string(), self.clock.now()).await.map_err(backend)?;
        data.map(|d| serde_json::from_str(&d).map_err(backend)).transpose()
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let mut t = self.db.begin().await.map_err(backend)?;
        sessions::delete(t.tx(), &id.to_string()).await.map_err(backend)?;
        t.commit().await.map_err(backend)
    }
}

/// The layer that finds the session of a request, by a cookie for TLS alone where people use TLS.
pub fn layer(app: &AppContext) -> SessionLayer {
    let store = Sessions { db: app.db.clone(), clock: app.clock.clone() };
    let with = |secure: bool| {
        SessionManagerLayer::new(store.clone())
            .with_name(Arrival { secure, ..Arrival::default() }.cookie("holdfast"))
            .with_secure(secure)
            .with_same_site(SameSite::Lax)
            .with_http_only(true)
            .with_expiry(Expiry::OnInactivity(IDLE))
    };
    SessionLayer { plain: with(false), secure: with(true) }
}

#[derive(Clone)]
pub struct SessionLayer {
    plain: SessionManagerLayer<Sessions>,
    secure: SessionManagerLayer<Sessions>,
}

impl<S: Clone> Layer<S> for SessionLayer {
    type Service = ByCookie<<SessionManagerLayer<Sessions> as Layer<S>>::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        ByCookie { plain: self.plain.layer(inner.clone()), secure: self.secure.layer(inner) }
    }
}

/// The same service behind either cookie.
#[derive(Clone)]
pub struct ByCookie<S> {
    plain: S,
    secure: S,
}

impl<S: Service<Request>> Service<Request> for ByCookie<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.plain.poll_ready(cx) {
            Poll::Ready(Ok(())) => self.secure.poll_ready(cx),
            other => other,
        }
    }

    fn call(&mut self, request: Request) -> S::Future {
        let secure = request.extensions().get::<Arrival>().is_some_and(|a| a.secure);
        if secure { self.secure.call(request) } else { self.plain.call(request) }
    }
}

#[derive(Deserialize)]
pub struct SignIn {
    #[serde(default)]
    token: String,
    /// Of a guest.
    #[serde(default)]
    link: String,
    #[serde(default)]
    next: String,
}

/// Where guests land.
const EVIDENCE: &str = "/evidence";

/// Opens a read-only link. It may be opened again and again, as long as it lasts.
async fn enter_as_guest(ctx: &Ctx, session: &Session, link: &str) -> Response {
    let Ok(actor) = ops::links::open(ctx, link.trim()).await else {
        tracing::warn!(from = %ctx.origin, "a read-only link was refused: it is unknown, over or revoked");
        return Redirect::to("/login?over=1").into_response();
    };
    let ends_at = ctx.now().plus_secs(accounts::LONGEST_S);
    let signed = Signed { provider: None, refresh_s: 0, refresh_at: ends_at.0, ends_at: ends_at.0 };
    match enter(session, &actor, &signed).await {
        Ok(_) => Redirect::to(EVIDENCE).into_response(),
        Err(e) => {
            tracing::warn!(error = %e, "a session could not be opened");
            Redirect::to("/login?over=1").into_response()
        }
    }
}

/// Spends a one-time link. The session gets a new id, so that nobody can have planted it.
pub async fn sign_in(
    State(app): State<AppContext>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Response {
    let ctx = Ctx { actor: Actor::anonymous(), origin: visitor.origin.into(), clock: app.clock, db: app.db, claim: None };
    if !form.link.is_empty() {
        return enter_as_guest(&ctx, &session, &form.link).await;
    }
    let Ok(actor) = ops::sign_in::spend(&ctx, form.token.trim()).await else {
        tracing::warn!(from = %ctx.origin, "a one-time link was refused: it is unknown, used or over");
        return Redirect::to("/login?refused=1").into_response();
    };
    let ends_at = ctx.now().plus_secs(accounts::LONGEST_S);
    let signed = Signed { provider: None, refresh_s: 0, refresh_at: ends_at.0, ends_at: ends_at.0 };
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let entered = async {
        let id = enter(&session, &actor, &signed).await?;
        let opened = accounts::Opened { session: &id, account: None, sid: None, tokens: None, agent, refresh_at: ends_at, given: &[] };
        accounts::opened(&Ctx { actor: actor.clone(), ..ctx.clone() }, &opened).await
    };
    if let Err(e) = entered.await {
        tracing::warn!(error = %e, "a session could not be opened");
        return Redirect::to("/login?refused=1").into_response();
    }
    Redirect::to(&inside(&form.next)).into_response()
}

/// A path of this site to go on to; the home page where it is none. Browsers read a backslash as a slash and leave tabs and
/// line ends out, so that a text with one of these may name another site.
pub fn inside(next: &str) -> String {
    let inside = next.starts_with('/') && !next.starts_with("//") && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (if inside { next } else { "/" }).to_owned()
}

#[derive(Deserialize)]
pub struct Preferences {
    theme: String,
    keys: String,
}

/// Keeps the colour scheme and the choice of keys in cookies and goes back to the page.
pub async fn set_preferences(Extension(arrival): Extension<Arrival>, headers: HeaderMap, Form(form): Form<Preferences>) -> Response {
    let secure = if arrival.secure { "; Secure" } else { "" };
    let cookie =
        |name: &str, value: &str| (header::SET_COOKIE, format!("{}={value}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}", arrival.cookie(name)));
    let keys = if form.keys == "off" { "off" } else { "on" };
    let cookies = AppendHeaders([cookie(THEME, Theme::parse(&form.theme).as_str()), cookie(KEYS, keys)]);
    let back = headers
        .get(header::REFERER)
        .and_then(|v| v.to_str().ok())
        .and_then(|r| r.split_once("://"))
        .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()))
        .unwrap_or_default();
    (cookies, Redirect::to(&inside(&back))).into_response()
}
