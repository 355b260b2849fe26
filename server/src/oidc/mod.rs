//! Signing in at OpenID providers (R49): discovery, authorization code with PKCE, UserInfo, refresh, logout both ways.
//!
//! Lives here: the protocol, by `openidconnect`, and its routes. May not: who gets which role (`ops::accounts`).
//! Invariants: a token is believed only after its signature, issuer, audience, time and nonce were looked at; tokens stay on
//! the server, sealed; what a provider says in an error is logged and not shown.

mod client;
mod flow;
mod logout;
mod refresh;

pub use client::Providers;
pub use flow::{callback, enter, start};
pub use logout::{backchannel, end, sign_out};
pub use refresh::still_in;
use serde::{Deserialize, Serialize};

/// The key of [`Signed`] in a session.
pub const SIGNED: &str = "signed";

/// What a session keeps of its sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Signed {
    /// The provider's name; `None` for a one-time link.
    pub provider: Option<String>,
    /// Seconds between two questions to the provider.
    pub refresh_s: i64,
    /// Microseconds since 1970.
    pub refresh_at: i64,
    pub ends_at: i64,
}

/// The tokens of a session, sealed as one text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    access: String,
    refresh: Option<String>,
    id: Option<String>,
    /// The provider's own name of the person.
    sub: String,
    /// What the newest ID token says: all that is known where the provider answers no questions about people.
    #[serde(default)]
    claims: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod forged_tests;
