//! What is sent to Keystone for a token, and what it answers.
//!
//! Lives here: the bodies and the facts of a token. May not: when a token is asked for.
//! Invariant: a body that holds a secret, and a token, are wiped when the last user lets go of them.

use bytes::Bytes;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    catalog::{Catalog, Entry},
    config::{Auth, Named, User},
};
use crate::job::Secret;

#[derive(Serialize)]
struct Body<'a> {
    auth: Request<'a>,
}

#[derive(Serialize)]
struct Request<'a> {
    identity: Identity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
}

#[derive(Serialize)]
struct Identity<'a> {
    methods: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Password<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<ApplicationCredential<'a>>,
}

#[derive(Serialize)]
struct Password<'a> {
    user: Person<'a>,
}

#[derive(Serialize)]
struct ApplicationCredential<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Person<'a>>,
    secret: &'a str,
}

#[derive(Serialize)]
struct Person<'a> {
    name: &'a str,
    domain: Which<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Which<'a> {
    Id(&'a str),
    Name(&'a str),
}

#[derive(Serialize)]
enum Scope<'a> {
    #[serde(rename = "project")]
    Project(Project<'a>),
    #[serde(rename = "OS-TRUST:trust")]
    Trust { id: &'a str },
}

#[derive(Serialize)]
struct Project<'a> {
    #[serde(flatten)]
    which: Which<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Which<'a>>,
}

impl<'a> From<&'a Named> for Which<'a> {
    fn from(named: &'a Named) -> Self {
        match named {
            Named::Id(id) => Self::Id(id),
            Named::Name(name) => Self::Name(name),
        }
    }
}

fn person<'a>(user: &'a User, password: Option<&'a str>) -> Person<'a> {
    Person { name: &user.name, domain: (&user.domain).into(), password }
}

/// The body of a request for a token.
pub(super) fn body(auth: &Auth, secret: &Secret) -> serde_json::Result<Bytes> {
    let secret = secret.reveal();
    let credential = |id, name, user| Identity {
        methods: ["application_credential"],
        password: None,
        application_credential: Some(ApplicationCredential { id, name, user, secret }),
    };
    let password = |user| Identity { methods: ["password"], password: Some(Password { user: person(user, Some(secret)) }), application_credential: None };
    let request = match auth {
        Auth::CredentialId(id) => Request { identity: credential(Some(id.as_str()), None, None), scope: None },
        Auth::CredentialName { name, user } => Request { identity: credential(None, Some(name.as_str()), Some(person(user, None))), scope: None },
        Auth::Password { user, project, project_domain } => {
            // An id is one everywhere; a name is one in its domain.
            let domain = matches!(project, Named::Name(_)).then(|| project_domain.into());
            Request { identity: password(user), scope: Some(Scope::Project(Project { which: project.into(), domain })) }
        }
        Auth::Trust { user, trust } => Request { identity: password(user), scope: Some(Scope::Trust { id: trust }) },
    };
    // Room for all of it, so that no copy stays behind as it grows.
    let mut written = Zeroizing::new(Vec::with_capacity(4_096 + 6 * secret.len()));
    serde_json::to_writer(&mut *written, &Body { auth: request })?;
    Ok(Bytes::from_owner(written))
}

/// A token as a header, wiped when the last copy is dropped.
pub(super) fn token(header: &HeaderValue) -> Option<HeaderValue> {
    let own = Bytes::from_owner(Zeroizing::new(header.as_bytes().to_vec()));
    let mut token = HeaderValue::from_maybe_shared(own).ok()?;
    token.set_sensitive(true);
    Some(token)
}

#[derive(Deserialize)]
pub(super) struct Answered {
    pub token: Facts,
}

/// What Keystone says of a token.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Facts {
    pub expires_at: Option<String>,
    pub issued_at: Option<String>,
    pub user: Holder,
    pub project: Option<Scoped>,
    #[serde(default)]
    pub roles: Vec<Role>,
    #[serde(default)]
    catalog: Vec<Entry>,
    pub application_credential: Option<Id>,
    #[serde(rename = "OS-TRUST:trust")]
    pub trust: Option<Id>,
}

impl Facts {
    pub fn catalog(&mut self) -> Catalog {
        Catalog(std::mem::take(&mut self.catalog))
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Holder {
    pub id: String,
    pub name: String,
    pub password_expires_at: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Scoped {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Role {
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Id {
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_those_of_keystone() {
        let secret = Secret::new("s\"ecret");
        let user = |domain| User { name: "alice".into(), domain };
        let id = || Named::Id("default".into());
        for (auth, want) in [
            (
                Auth::CredentialId("ab".into()),
                r#"{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"ab","secret":"s\"ecret"}}}}"#,
            ),
            (
                Auth::CredentialName { name: "backup".into(), user: user(Named::Name("CERN".into())) },
                r#"{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"name":"backup","user":{"name":"alice","domain":{"name":"CERN"}},"secret":"s\"ecret"}}}}"#,
            ),
            (
                Auth::Password { user: user(id()), project: Named::Name("web".into()), project_domain: id() },
                r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"alice","domain":{"id":"default"},"password":"s\"ecret"}}},"scope":{"project":{"name":"web","domain":{"id":"default"}}}}}"#,
            ),
            (
                Auth::Password { user: user(id()), project: Named::Id("c1".into()), project_domain: id() },
                r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"alice","domain":{"id":"default"},"password":"s\"ecret"}}},"scope":{"project":{"id":"c1"}}}}"#,
            ),
            (
                Auth::Trust { user: user(id()), trust: "t1".into() },
                r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"alice","domain":{"id":"default"},"password":"s\"ecret"}}},"scope":{"OS-TRUST:trust":{"id":"t1"}}}}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(body(&auth, &secret).unwrap().to_vec()).unwrap(), want);
        }
    }

    #[test]
    fn a_token_does_not_show() {
        let token = token(&HeaderValue::from_static("gAAAAA-token")).unwrap();
        assert_eq!(token.as_bytes(), b"gAAAAA-token");
        assert!(!format!("{token:?}").contains("gAAAAA"));
    }
}
