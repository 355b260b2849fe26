//! Turning references to secrets into secrets, at the last moment (R15).
//!
//! Lives here: reading a file, an environment variable or a sealed text, and the access of a repository with its secrets
//! filled in.
//! May not: storing, logging or showing a secret. Invariant: errors name the reference, never the value.

use std::{collections::BTreeMap, sync::Arc};

use engine::job::Access;
pub use engine::job::Secret;
use store::repositories::{RepositoryRow, SecretRef};

use crate::{
    OpsError, Result,
    seal::{Keys, Purpose},
};

/// The server's environment, read once at the start and handed in (see `server::config`).
pub type Environment = Arc<BTreeMap<String, String>>;

/// Reads the secret behind a reference; `field` names it in errors, such as `repositories.main.password`.
pub async fn resolve(reference: &SecretRef, field: &str, env: &Environment) -> Result<Secret> {
    let text = match reference {
        SecretRef::File(path) => tokio::fs::read_to_string(path)
            .await
            .map_err(|e| OpsError::invalid(field, format!("the file {path} cannot be read ({}); make it readable for the server", e.kind())))?,
        SecretRef::Env(name) => env
            .get(name)
            .cloned()
            .ok_or_else(|| OpsError::invalid(field, format!("the environment variable {name} is not set; set it before the server starts")))?,
        SecretRef::Sealed(_) => return Err(OpsError::invalid(field, "is sealed with the server's key, which is not at hand here; give a file or a variable")),
    };
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(OpsError::invalid(field, "the secret is empty; put it on the first line"));
    }
    Ok(Secret::new(line))
}

/// The environment and the server's key: whatever form a secret was given in, it can be read.
#[derive(Clone)]
pub struct Vault {
    env: Environment,
    keys: Keys,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    pub fn new(env: Environment, keys: Keys) -> Self {
        Self { env, keys }
    }

    /// The environment that references name.
    pub const fn env(&self) -> &Environment {
        &self.env
    }

    /// Reads a secret; `purpose` is what it was sealed for and names it in errors.
    pub async fn resolve(&self, reference: &SecretRef, purpose: Purpose<'_>) -> Result<Secret> {
        match reference {
            SecretRef::Sealed(text) => self.keys.open(text, purpose).map_err(|e| OpsError::invalid(purpose, e.to_string())),
            other => resolve(other, purpose, &self.env).await,
        }
    }

    /// Encrypts what a person typed, so that it can be stored.
    pub fn seal(&self, text: &str, purpose: Purpose<'_>) -> Result<SecretRef> {
        self.sealed(text, purpose).map(SecretRef::Sealed)
    }

    /// The same as a text.
    pub(crate) fn sealed(&self, text: &str, purpose: Purpose<'_>) -> Result<String> {
        self.keys.seal(text, purpose).map_err(|e| OpsError::Conflict(e.to_string()))
    }

    /// Opens what [`Vault::sealed`] gave; `None` for everything else.
    pub(crate) fn unsealed(&self, sealed: &str, purpose: Purpose<'_>) -> Option<Secret> {
        self.keys.open(sealed, purpose).ok()
    }
}

/// All that the engine needs to open a repository.
pub async fn access(repository: &RepositoryRow, env: &Environment) -> Result<Access> {
    let field = |part: &str| format!("repositories.{}.{part}", repository.name);
    let mut credentials = BTreeMap::new();
    for (name, reference) in &repository.options.secret {
        credentials.insert(name.clone(), resolve(reference, &field(name), env).await?);
    }
    Ok(Access {
        location: repository.location.clone(),
        options: repository.options.plain.clone(),
        credentials,
        password: resolve(&repository.password, &field("password"), env).await?,
        key: None,
        expect: repository.restic_id.clone(),
    })
}
