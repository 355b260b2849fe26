//! How a cloud is reached, read from a repository's location and its plain options.
//!
//! Lives here: names of options, what belongs together, what is missing and how it is mended. May not: secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use reqwest::Url;

use crate::{EngineError, ErrorKind, Result};

/// Which of a service's addresses in the catalogue is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    #[default]
    Public,
    Internal,
    Admin,
}

impl Interface {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// A user by name, in a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub domain: Named,
}

/// What Keystone takes by id or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Id(String),
    Name(String),
}

impl Named {
    /// The domain `default` is one by its id; of others that is told by the form.
    fn domain(text: Option<&str>) -> Self {
        match text {
            None | Some("default") => Self::Id("default".to_owned()),
            Some(text) => Self::told(text),
        }
    }

    /// Ids of Keystone are 32 hexadecimal digits.
    fn told(text: &str) -> Self {
        let is_id = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id { Self::Id(text.to_owned()) } else { Self::Name(text.to_owned()) }
    }
}

/// How Holdfast proves who it is. The secret comes beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    CredentialId(String),
    CredentialName { name: String, user: User },
    Password { user: User, project: Named, project_domain: Named },
    Trust { user: User, trust: String },
}

impl Auth {
    /// How people call it.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::CredentialId(_) | Self::CredentialName { .. } => "application credential",
            Self::Password { .. } => "user and password",
            Self::Trust { .. } => "trust",
        }
    }
}

/// One cloud, one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudConfig {
    pub auth_url: Url,
    pub region: Option<String>,
    pub interface: Interface,
    pub auth: Auth,
    /// A file of certificates that are trusted beside the system's.
    pub ca: Option<PathBuf>,
}

impl CloudConfig {
    /// Reads a location such as `openstack+https://keystone.example.org:5000/v3` and the options beside it.
    pub fn of(location: &str, plain: &BTreeMap<String, String>) -> Result<Self> {
        let option = |name: &str| plain.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
        let needed = |name: &str, why: &str| option(name).map(str::to_owned).ok_or_else(|| invalid(format!("`{name}` is missing: {why}")));
        let user = |why: &str| needed("username", why).map(|name| User { name, domain: Named::domain(option("user_domain")) });
        let auth = match option("auth").unwrap_or("application_credential") {
            "application_credential" => match (option("application_credential_id"), option("application_credential_name")) {
                (Some(id), _) => Auth::CredentialId(id.to_owned()),
                (None, Some(name)) => Auth::CredentialName {
                    name: name.to_owned(),
                    user: user("an application credential is named together with its user; give the user, or `application_credential_id`")?,
                },
                (None, None) => {
                    return Err(invalid("`application_credential_id` is missing: give the application credential's id, or its name and its user"));
                }
            },
            "password" => Auth::Password {
                user: user("give the user whose password this is")?,
                project: Named::told(&needed("project", "give the project whose instances are backed up, by name or id")?),
                project_domain: Named::domain(option("project_domain")),
            },
            "trust" => Auth::Trust { user: user("give the trustee, the user to whom the trust was given")?, trust: needed("trust_id", "give the trust's id")? },
            other => return Err(invalid(format!("`auth` is “{other}”; write application_credential, password or trust"))),
        };
        let interface = match option("interface").unwrap_or("public") {
            "public" => Interface::Public,
            "internal" => Interface::Internal,
            "admin" => Interface::Admin,
            other => return Err(invalid(format!("`interface` is “{other}”; write public, internal or admin"))),
        };
        Ok(Self { auth_url: auth_url(location)?, region: option("region").map(str::to_owned), interface, auth, ca: option("ca").map(PathBuf::from) })
    }

    /// The options that `of` reads.
    pub fn options() -> BTreeSet<&'static str> {
        BTreeSet::from([
            "application_credential_id",
            "application_credential_name",
            "auth",
            "ca",
            "interface",
            "project",
            "project_domain",
            "region",
            "trust_id",
            "user_domain",
            "username",
        ])
    }
}

fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::Invalid, message)
}

/// Keystone's address, with `/v3` at its end.
fn auth_url(location: &str) -> Result<Url> {
    const EXAMPLE: &str = "write it as openstack+https://keystone.example.org:5000/v3";
    let address = domain::instance::Keeping::auth_url(location).ok_or_else(|| invalid(format!("the location is not a cloud's; {EXAMPLE}")))?;
    let mut url = Url::parse(address).map_err(|e| invalid(format!("the location is not an address ({e}); {EXAMPLE}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(format!("the location holds a user or a password; they belong into the options and the secret, {EXAMPLE}")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(format!("the location has a ? or a #; {EXAMPLE}")));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with("/v2.0") {
        return Err(invalid(format!("the location ends in /v2.0, an API that Keystone no longer has; {EXAMPLE}")));
    }
    url.set_path(&if path.ends_with("/v3") { path } else { format!("{path}/v3") });
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[(&str, &str)]) -> Result<CloudConfig> {
        let plain = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        CloudConfig::of("openstack+https://keystone.example.org:5000/v3", &plain)
    }

    #[test]
    fn each_way_to_prove_oneself_is_read() {
        let user = |name: &str, domain: Named| User { name: name.into(), domain };
        for (options, auth) in [
            (&[("application_credential_id", "ab12")][..], Auth::CredentialId("ab12".into())),
            (
                &[("application_credential_name", "backup"), ("username", "alice")],
                Auth::CredentialName { name: "backup".into(), user: user("alice", Named::Id("default".into())) },
            ),
            (
                &[("auth", "password"), ("username", "alice"), ("user_domain", "CERN"), ("project", "IT web")],
                Auth::Password {
                    user: user("alice", Named::Name("CERN".into())),
                    project: Named::Name("IT web".into()),
                    project_domain: Named::Id("default".into()),
                },
            ),
            (
                &[("auth", "trust"), ("username", "holdfast"), ("trust_id", "cd34")],
                Auth::Trust { user: user("holdfast", Named::Id("default".into())), trust: "cd34".into() },
            ),
        ] {
            assert_eq!(of(options).unwrap().auth, auth);
        }
        let id = "c12a1807a5724801b87bc53e8b886a2a";
        let by_id = of(&[("auth", "password"), ("username", "alice"), ("project", id)]).unwrap().auth;
        assert!(matches!(by_id, Auth::Password { project: Named::Id(p), .. } if p == id));
    }

    #[test]
    fn what_is_missing_is_named_with_the_remedy() {
        for (options, says) in [
            (&[][..], "`application_credential_id` is missing"),
            (&[("application_credential_id", "  ")], "`application_credential_id` is missing"),
            (&[("application_credential_name", "backup")], "`username` is missing"),
            (&[("auth", "password"), ("username", "alice")], "`project` is missing"),
            (&[("auth", "trust"), ("username", "alice")], "`trust_id` is missing"),
            (&[("auth", "token")], "write application_credential, password or trust"),
            (&[("application_credential_id", "a"), ("interface", "private")], "write public, internal or admin"),
        ] {
            let error = of(options).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(error.message.contains(says), "{}", error.message);
        }
    }

    #[test]
    fn locations_lead_to_version_3() {
        let plain = BTreeMap::from([("application_credential_id".to_owned(), "a".to_owned())]);
        let url = |location: &str| CloudConfig::of(location, &plain).map(|c| c.auth_url.to_string());
        for (location, want) in [
            ("openstack+https://k.example.org:5000/v3", "https://k.example.org:5000/v3"),
            ("openstack+https://k.example.org:5000", "https://k.example.org:5000/v3"),
            ("openstack+http://k.example.org/identity/v3/", "http://k.example.org/identity/v3"),
            ("openstack+https://k.example.org/identity", "https://k.example.org/identity/v3"),
        ] {
            assert_eq!(url(location).unwrap(), want);
        }
        for (location, says) in [
            ("/srv/backups", "not a cloud's"),
            ("openstack+https://alice:pw@k.example.org/v3", "a user or a password"),
            ("openstack+https://k.example.org/v2.0", "no longer has"),
            ("openstack+https://k.example.org/v3?x=1", "a ? or a #"),
            ("openstack+https://", "not an address"),
        ] {
            let error = url(location).unwrap_err();
            assert!(error.message.contains(says), "{}", error.message);
            assert!(!error.message.contains("pw"));
        }
    }
}
