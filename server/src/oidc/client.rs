//! One provider as this server talks to it.
//!
//! Lives here: discovery with its cache, HTTP, the client's type, reading tokens and claims. May not: sessions, roles.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use app::context::AppContext;
use chrono::{TimeDelta, Utc};
use openidconnect::{
    AccessToken, AdditionalClaims, AsyncHttpClient, AuthorizationCode, Client, ClientId, ClientSecret, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IdToken, IdTokenFields, IdTokenVerifier, IssuerUrl, JsonWebTokenType, Nonce, OAuth2TokenResponse as _,
    PkceCodeVerifier, ProviderMetadataWithLogout, RedirectUrl, RefreshToken, RequestTokenError, StandardErrorResponse, StandardTokenResponse,
    SubjectIdentifier, TokenResponse as _, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use ops::accounts::ProviderRow;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Kept;

/// How long what a provider says of itself is believed.
const FRESH: Duration = Duration::from_hours(1);
/// How soon it is asked again because of a key that is not known: nobody can make us ask all the time.
const KEYS_AGAIN: Duration = Duration::from_secs(10);
/// How long a provider may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 1 << 20;
/// How far the clocks of two machines may differ.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// Claims of any name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Extra {
    #[serde(flatten)]
    pub all: BTreeMap<String, Value>,
}

impl AdditionalClaims for Extra {}

type Fields = IdTokenFields<Extra, EmptyExtraTokenFields, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
pub type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
pub type AnyIdToken = IdToken<Extra, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Oidc = Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why a provider's word is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It does not answer, or not as a provider does.
    #[error("the provider cannot be asked: {0}")]
    Away(String),
    /// It answers and says no.
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// What it says is not to be believed.
    #[error("the provider's token is not valid: {0}")]
    Invalid(String),
    #[error("{0}")]
    Ops(#[from] ops::OpsError),
}

/// A provider with its keys and addresses.
pub struct Provider {
    pub oidc: Oidc,
    pub end_session: Option<String>,
    made: Instant,
    /// The configuration that it was made by.
    version: i64,
}

/// The providers that were asked about themselves.
#[derive(Clone)]
pub struct Providers {
    http: Http,
    known: Arc<Mutex<HashMap<uuid::Uuid, Arc<Provider>>>>,
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Providers")
    }
}

impl Providers {
    /// # Errors
    /// Where this machine cannot make TLS connections at all.
    pub fn new() -> Result<Self, reqwest::Error> {
        // A redirect could lead a request with a secret elsewhere.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER).build()?;
        Ok(Self { http: Http(http), known: Arc::default() })
    }

    /// The provider, as it said of itself not long ago.
    pub async fn get(&self, app: &AppContext, row: &ProviderRow) -> Result<Arc<Provider>, Trouble> {
        let kept = self.kept(row.id).filter(|p| p.version == row.updated_at && p.made.elapsed() < FRESH);
        match kept {
            Some(provider) => Ok(provider),
            None => self.ask(app, row).await,
        }
    }

    /// The provider with the keys that it has now, unless they were asked for a moment ago.
    async fn again(&self, app: &AppContext, row: &ProviderRow) -> Result<Arc<Provider>, Trouble> {
        match self.kept(row.id).filter(|p| p.made.elapsed() < KEYS_AGAIN) {
            Some(provider) => Ok(provider),
            None => self.ask(app, row).await,
        }
    }

    fn kept(&self, id: uuid::Uuid) -> Option<Arc<Provider>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    async fn ask(&self, app: &AppContext, row: &ProviderRow) -> Result<Arc<Provider>, Trouble> {
        let config = &row.config.0;
        let away = |e: &dyn std::fmt::Display| Trouble::Away(e.to_string());
        let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|e| away(&e))?;
        let metadata = ProviderMetadataWithLogout::discover_async(issuer, &self.http).await.map_err(|e| Trouble::Away(chain(&e)))?;
        let secret = match &row.client_secret {
            Some(reference) => Some(ClientSecret::new(app.vault.resolve(&reference.0, "client_secret").await?.reveal().to_owned())),
            None => None,
        };
        let end_session = metadata.additional_metadata().end_session_endpoint.as_ref().map(|u| u.url().to_string());
        let oidc = Oidc::from_provider_metadata(metadata, ClientId::new(config.client_id.clone()), secret);
        let provider = Arc::new(Provider { oidc, end_session, made: Instant::now(), version: row.updated_at });
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(row.id, provider.clone());
        Ok(provider)
    }

    /// Exchanges a code for tokens, believes them, and asks for all claims.
    pub async fn redeem(&self, app: &AppContext, row: &ProviderRow, redemption: Redemption) -> Result<(Said, Kept), Trouble> {
        let Redemption { code, verifier, nonce, redirect } = redemption;
        let provider = self.get(app, row).await?;
        let redirect = RedirectUrl::new(redirect).map_err(|e| Trouble::Away(e.to_string()))?;
        let request = provider.oidc.exchange_code(AuthorizationCode::new(code)).map_err(|e| Trouble::Away(e.to_string()))?;
        let answer =
            request.set_pkce_verifier(PkceCodeVerifier::new(verifier)).set_redirect_uri(std::borrow::Cow::Owned(redirect)).request_async(&self.http).await;
        let tokens = answer.map_err(|e| token_trouble(&e))?;
        let id = tokens.id_token().ok_or_else(|| Trouble::Invalid("there is no ID token".to_owned()))?;
        let claims = self.believe(app, row, id, About::SignIn, |said: Option<&Nonce>| match said {
            Some(n) if n.secret() == nonce.secret() => Ok(()),
            _ => Err("the nonce is another one".to_owned()),
        });
        let claims = claims.await?;
        let mut said = claims.claims.clone();
        said.extend(self.user_info(app, row, tokens.access_token(), &claims.sub).await?.unwrap_or_default());
        let kept = Kept {
            access: tokens.access_token().secret().clone(),
            refresh: tokens.refresh_token().map(|t| t.secret().clone()),
            id: Some(id.to_string()),
            sub: claims.sub,
            claims: claims.claims,
        };
        Ok((Said { claims: said, sid: claims.sid }, kept))
    }

    /// Asks again what is known of somebody, with fresh tokens where there is a refresh token.
    ///
    /// A new ID token counts as at the sign-in, and UserInfo has the last word. An old one counts no more where there is
    /// UserInfo: what it says may have been taken away since.
    pub async fn renew(&self, app: &AppContext, row: &ProviderRow, kept: Kept) -> Result<(Map<String, Value>, Kept), Trouble> {
        let provider = self.get(app, row).await?;
        let (mut kept, mut is_new) = (kept, false);
        if let Some(refresh) = kept.refresh.clone() {
            let refresh = RefreshToken::new(refresh);
            let request = provider.oidc.exchange_refresh_token(&refresh).map_err(|e| Trouble::Away(e.to_string()))?;
            let tokens = request.request_async(&self.http).await.map_err(|e| token_trouble(&e))?;
            tokens.access_token().secret().clone_into(&mut kept.access);
            if let Some(newer) = tokens.refresh_token() {
                kept.refresh = Some(newer.secret().clone());
            }
            if let Some(id) = tokens.id_token() {
                // It need not repeat the nonce, and must be about the same person.
                let claims = self.believe(app, row, id, About::SignIn, |_: Option<&Nonce>| Ok(())).await?;
                if claims.sub != kept.sub {
                    return Err(Trouble::Invalid("the new ID token is about somebody else".to_owned()));
                }
                kept.id = Some(id.to_string());
                (kept.claims, is_new) = (claims.claims, true);
            }
        }
        let info = self.user_info(app, row, &AccessToken::new(kept.access.clone()), &kept.sub).await?;
        let mut said = if is_new || info.is_none() { kept.claims.clone() } else { Map::new() };
        said.extend(info.unwrap_or_default());
        said.insert("sub".to_owned(), kept.sub.clone().into());
        Ok((said, kept))
    }

    /// Believes an ID token, or a logout token, which is made alike. A key that is not known may be a new one.
    pub async fn believe<N>(&self, app: &AppContext, row: &ProviderRow, token: &AnyIdToken, about: About, nonce: N) -> Result<Believed, Trouble>
    where
        N: Fn(Option<&Nonce>) -> Result<(), String> + Copy,
    {
        let provider = self.get(app, row).await?;
        let first = token.claims(&verifier(&provider, about), nonce);
        let claims = match first {
            Err(openidconnect::ClaimsVerificationError::SignatureVerification(_)) => {
                let provider = self.again(app, row).await?;
                token.claims(&verifier(&provider, about), nonce).cloned()
            }
            other => other.cloned(),
        };
        let claims = claims.map_err(|e| Trouble::Invalid(chain(&e)))?;
        let Value::Object(map) = serde_json::to_value(&claims).map_err(ops::OpsError::internal)? else {
            return Err(Trouble::Invalid("it holds no claims".to_owned()));
        };
        let sid = map.get("sid").and_then(Value::as_str).map(str::to_owned);
        Ok(Believed { sub: claims.subject().as_str().to_owned(), sid, claims: map })
    }

    /// `None` where the provider has no such endpoint.
    async fn user_info(&self, app: &AppContext, row: &ProviderRow, access: &AccessToken, sub: &str) -> Result<Option<Map<String, Value>>, Trouble> {
        let provider = self.get(app, row).await?;
        let Ok(request) = provider.oidc.user_info(access.clone(), Some(SubjectIdentifier::new(sub.to_owned()))) else {
            return Ok(None);
        };
        let info: UserInfoClaims<Extra, CoreGenderClaim> = request.request_async(&self.http).await.map_err(|e| match e {
            openidconnect::UserInfoError::Response(status, ..) if status.is_client_error() => Trouble::Refused(format!("UserInfo answers {status}")),
            openidconnect::UserInfoError::ClaimsVerification(e) => Trouble::Invalid(chain(&e)),
            other => Trouble::Away(chain(&other)),
        })?;
        match serde_json::to_value(&info).map_err(ops::OpsError::internal)? {
            Value::Object(map) => Ok(Some(map)),
            _ => Ok(Some(Map::new())),
        }
    }
}

/// Clocks may differ a little; a token that is long over, or is not made yet, is refused.
fn verifier(provider: &Provider, about: About) -> IdTokenVerifier<'_, CoreJsonWebKey> {
    let verifier = provider.oidc.id_token_verifier().set_time_fn(|| Utc::now() - SKEW).set_issue_time_verifier_fn(|at| {
        if at > Utc::now() + SKEW { Err("it is from the future: compare the clocks of both machines".to_owned()) } else { Ok(()) }
    });
    match about {
        // The library takes the types that ID tokens have, and so no logout token.
        About::SignIn => verifier,
        About::SignOut => {
            let types = ["logout+jwt", "JWT"].into_iter().filter_map(|t| JsonWebTokenType::new(t.to_owned()).normalize().ok());
            verifier.set_allowed_jose_types(types)
        }
    }
}

/// What a signed token is for: one must not pass for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    SignIn,
    SignOut,
}

/// What is needed to redeem a code.
pub struct Redemption {
    pub code: String,
    pub verifier: String,
    pub nonce: Nonce,
    pub redirect: String,
}

/// What a provider said of somebody who has just signed in.
pub struct Said {
    pub claims: Map<String, Value>,
    pub sid: Option<String>,
}

/// What a token says that was believed.
pub struct Believed {
    pub sub: String,
    pub sid: Option<String>,
    pub claims: Map<String, Value>,
}

fn token_trouble(e: &RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>) -> Trouble {
    match e {
        RequestTokenError::ServerResponse(said) => Trouble::Refused(said.error().to_string()),
        other => Trouble::Away(chain(other)),
    }
}

/// An error with its causes.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// `openidconnect` over our own HTTP client.
#[derive(Clone)]
struct Http(reqwest::Client);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HttpError(String);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + Sync + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        // The library wants its futures to be shared between threads, which those of HTTP are not: the answer comes by a channel.
        let (tell, answer) = tokio::sync::oneshot::channel();
        let http = self.0.clone();
        tokio::spawn(async move {
            tell.send(send(&http, request).await).ok();
        });
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(HttpError("the request was dropped".to_owned()))) })
    }
}

async fn send(http: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let failed = |e: reqwest::Error| HttpError(chain(&e.without_url()));
    let mut answer = http.execute(request.try_into().map_err(failed)?).await.map_err(failed)?;
    let mut out = axum::http::Response::builder().status(answer.status());
    if let Some(headers) = out.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&piece);
        if body.len() > LARGEST {
            return Err(HttpError("the answer is larger than 1 MiB".to_owned()));
        }
    }
    out.body(body).map_err(|e| HttpError(e.to_string()))
}
