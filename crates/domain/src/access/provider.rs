//! What the configuration says of an OpenID provider.
//!
//! Lives here: its shape and what is wrong with one. May not: talking to it, its secret.

use serde::{Deserialize, Serialize};

use super::{BadPattern, Grant, MapRule, Pattern};

/// How often a session asks the provider again, in seconds.
pub const REFRESH_S: i64 = 300;

/// All but the secret. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// What the button says: “Continue with …”.
    pub title: String,
    /// Where `/.well-known/openid-configuration` is.
    pub issuer: String,
    pub client_id: String,
    /// `openid` is asked for in any case.
    pub scopes: Vec<String>,
    /// The claims that may name the person; the first one that is there does.
    pub person: Vec<String>,
    /// The claims of which a value is the name under which a member's data is kept.
    #[serde(default)]
    pub data: Vec<String>,
    /// Of these values of `eduperson_assurance` one must be there; none asked for where it is empty.
    pub assurance: Vec<String>,
    pub roles: Vec<RoleRule>,
    pub refresh_s: i64,
}

/// Who gets a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRule {
    pub claim: String,
    pub pattern: String,
    #[serde(flatten)]
    pub grant: Grant,
}

impl RoleRule {
    /// # Errors
    /// What is wrong with the pattern.
    pub fn read(&self) -> Result<MapRule, BadPattern> {
        Ok(MapRule { claim: self.claim.clone(), pattern: Pattern::parse(&self.pattern)?, grant: self.grant.clone() })
    }
}

/// Why an issuer is refused. Tokens must not travel in clear, but for a provider on this very machine.
pub fn issuer_problem(text: &str) -> Option<&'static str> {
    let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let near = loopback.iter().any(|l| text.strip_prefix(l).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
    if crate::channel::url_problem(text).is_some() || text.contains(['?', '#']) {
        return Some("is not an issuer; write it as the provider's documentation does, such as https://aai.egi.eu/auth/realms/egi");
    }
    (!near && !text.starts_with("https://")).then_some("must begin with https://, so that nobody can read along")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_encrypted_or_near() {
        for good in ["https://aai.egi.eu/auth/realms/egi", "http://127.0.0.1:9100/auth", "http://localhost:1", "http://[::1]:80/x"] {
            assert_eq!(issuer_problem(good), None, "{good}");
        }
        for bad in ["http://aai.egi.eu", "http://127.0.0.1.evil.org", "http://localhost.evil.org/", "aai.egi.eu", "https://a?b", ""] {
            assert!(issuer_problem(bad).is_some(), "{bad}");
        }
    }
}
