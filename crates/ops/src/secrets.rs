//! Turning references to secrets into secrets, at the last moment (R15).
//!
//! Lives here: reading a file or an environment variable, and the access of a repository with its secrets filled in.
//! May not: storing, logging or showing a secret. Invariant: errors name the reference, never the value.

use std::{collections::BTreeMap, sync::Arc};

use engine::job::{Access, Secret};
use store::repositories::{RepositoryRow, SecretRef};

use crate::{OpsError, Result};

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
    };
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(OpsError::invalid(field, "the secret is empty; put it on the first line"));
    }
    Ok(Secret::new(line))
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
    })
}
