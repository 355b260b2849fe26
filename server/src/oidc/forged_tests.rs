//! What is not to be believed is not believed: tokens that a provider, or somebody in its place, should never have made.
//!
//! The provider that behaves stands in the browser journeys; this one signs whatever it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use axum::{
    Json, Router,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use openidconnect::Nonce;
use ops::{Actor, Ctx, accounts, config};
use serde_json::{Value, json};
use store::testing::TestDb;

use super::client::{About, AnyIdToken, Providers, Redemption, Trouble};
use crate::api::tests::state;

const NONCE: &str = "the-nonce";
const SECRET: &str = "a-secret-that-both-sides-know-of-and-nobody-else";

struct Signer(RsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn jwks(&self) -> Value {
        let public = self.0.public_key();
        let part = |bytes: &[u8]| B64.encode(bytes);
        json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one",
            "n": part(public.modulus().big_endian_without_leading_zero()), "e": part(public.exponent().big_endian_without_leading_zero())}]})
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        signature
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let text = signed_part(header, claims);
        let signature = B64.encode(self.sign(&text));
        format!("{text}.{signature}")
    }
}

fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()))
}

/// A provider that gives whatever token stands in the slot.
async fn provider(jwks: Value) -> (SocketAddr, Arc<Mutex<String>>) {
    let slot: Arc<Mutex<String>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let issuer = format!("http://{at}");
    let about = json!({"issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"]});
    let given = slot.clone();
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async move || Json(about.clone())))
        .route("/jwks", get(async move || Json(jwks.clone())))
        .route("/token", post(async move || Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": given.lock().unwrap().clone()}))));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (at, slot)
}

async fn configured(db: &TestDb, at: SocketAddr, folder: &std::path::Path) -> accounts::ProviderRow {
    let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let text = format!(
        "version: 1\nproviders:\n  - name: op\n    title: OP\n    issuer: http://{at}\n    client_id: holdfast\n    client_secret: {{ file: {} }}\n    roles:\n      - {{ claim: sub, pattern: ada, role: admin }}\n",
        secret.display()
    );
    config::apply(&shell, &config::parse(&text).unwrap(), None).await.unwrap();
    accounts::provider(&shell, "op").await.unwrap()
}

#[tokio::test]
async fn tokens_that_should_not_be_are_refused() {
    let (db, signer, stranger) = (store::testing::sqlite().await, Signer::new(), Signer::new());
    let (at, slot) = provider(signer.jwks()).await;
    let folder = tempfile::tempdir().unwrap();
    let row = configured(&db, at, folder.path()).await;
    let (app, providers) = (state(&db).app, Providers::new().unwrap());
    let now = chrono::Utc::now().timestamp();
    let head = json!({"alg": "RS256", "kid": "one"});
    let good = json!({"iss": format!("http://{at}"), "aud": "holdfast", "sub": "ada", "iat": now, "exp": now + 300, "nonce": NONCE});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        claims
    };
    let redeem = async |token: String| {
        *slot.lock().unwrap() = token;
        let wanted =
            Redemption { code: "c".into(), verifier: "v".repeat(43), nonce: Nonce::new(NONCE.into()), redirect: "http://localhost/auth/callback".into() };
        providers.redeem(&app, &row, wanted).await
    };
    // This provider answers no questions about people: what its ID token says holds at a refresh, too.
    let (said, kept) = redeem(signer.token(&head, &with("groups", json!(["admins"])))).await.unwrap();
    let (again, _) = providers.renew(&app, &row, kept).await.unwrap();
    assert_eq!((&said.claims["groups"], &again["groups"], &again["sub"]), (&json!(["admins"]), &json!(["admins"]), &json!("ada")));
    // Clocks may differ by less than a minute.
    assert!(redeem(signer.token(&head, &with("exp", json!(now - 30)))).await.is_ok());

    let none = json!({"alg": "none"});
    let symmetric = json!({"alg": "HS256"});
    let mac = |claims: &Value| {
        let text = signed_part(&symmetric, claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes());
        format!("{text}.{}", B64.encode(tag))
    };
    let altered = {
        let token = signer.token(&head, &good);
        let parts: Vec<&str> = token.split('.').collect();
        format!("{}.{}.{}", parts[0], B64.encode(with("sub", json!("eve")).to_string()), parts[2])
    };
    let bad = [
        ("it is over", signer.token(&head, &with("exp", json!(now - 3_600)))),
        ("it is from the future", signer.token(&head, &with("iat", json!(now + 3_600)))),
        ("it does not say until when", signer.token(&head, &with("exp", Value::Null))),
        ("it is for another program", signer.token(&head, &with("aud", json!("other")))),
        ("another issuer made it", signer.token(&head, &with("iss", json!("https://evil.example.org")))),
        ("it answers another sign-in", signer.token(&head, &with("nonce", json!("other")))),
        ("it answers none", signer.token(&head, &with("nonce", Value::Null))),
        ("a stranger signed it", stranger.token(&head, &good)),
        ("nobody signed it", format!("{}.", signed_part(&none, &good))),
        ("it is signed with what is no key of the provider", mac(&good)),
        ("it was altered", altered),
        ("it is of another kind", signer.token(&json!({"alg": "RS256", "kid": "one", "typ": "logout+jwt"}), &good)),
    ];
    for (why, token) in bad {
        let refused = redeem(token).await.err().unwrap_or_else(|| panic!("{why}, and it was believed"));
        assert!(matches!(refused, Trouble::Invalid(_) | Trouble::Away(_)), "{why}: {refused:?}");
        assert!(!refused.to_string().contains(SECRET));
    }

    // A logout token is of its own kind, and for us.
    let out = json!({"iss": format!("http://{at}"), "aud": "holdfast", "sub": "ada", "iat": now, "exp": now + 300, "jti": "1", "sid": "s"});
    let told = async |header: Value, claims: Value| {
        let token: AnyIdToken = signer.token(&header, &claims).parse().unwrap();
        providers.believe(&app, &row, &token, About::SignOut, |_: Option<&Nonce>| Ok(())).await
    };
    let kind = json!({"alg": "RS256", "kid": "one", "typ": "logout+jwt"});
    assert_eq!(told(kind.clone(), out.clone()).await.unwrap().sid.as_deref(), Some("s"));
    let mut other = out.clone();
    other["aud"] = json!("other");
    assert!(told(kind, other).await.is_err());
    assert!(told(json!({"alg": "RS256", "kid": "one", "typ": "at+jwt"}), out).await.is_err(), "an access token ends nothing");
}

#[tokio::test]
async fn a_provider_that_says_it_is_another_is_not_asked() {
    let db = store::testing::sqlite().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let about = json!({"issuer": "https://evil.example.org", "authorization_endpoint": format!("http://{at}/auth"), "jwks_uri": format!("http://{at}/jwks"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]});
    let router = Router::new().route("/.well-known/openid-configuration", get(async move || Json(about.clone())));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let row = configured(&db, at, folder.path()).await;
    let refused = Providers::new().unwrap().get(&state(&db).app, &row).await.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(refused.contains("issuer"), "{refused}");
}
