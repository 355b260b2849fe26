//! Clouds: how one is reached, when it is looked at, and looking at it now (R25).
//!
//! Lives here: from a repository to the options and the secret that a client takes. May not: calling a cloud (that is
//! `runner::clouds`), storing or showing a secret. Invariant: errors name the reference, never the value.

use std::collections::BTreeMap;

use domain::{instance::Keeping, units::Timestamp};
use engine::job::Secret;
use serde_json::json;
use store::{
    audit::NewEvent,
    repositories::{self, RepositoryRow},
    wake,
};

use crate::{
    Ctx, OpsError, Result,
    config::{CloudEntry, named_cloud},
    permission::{Action, require},
    secrets::{self, Environment},
};

/// How often a cloud is looked at, and how soon again where something was wrong.
pub const EVERY_S: i64 = 6 * 3_600;
pub const AGAIN_S: i64 = 15 * 60;

/// All that a client needs.
#[derive(Debug)]
pub struct Reach {
    /// `openstack+https://keystone.example.org:5000/v3`.
    pub location: String,
    /// As the configuration names them: `region`, `interface`, `auth` and what it takes.
    pub plain: BTreeMap<String, String>,
    pub secret: Secret,
}

/// Reads how a cloud is reached, with its secret; from its `clouds.yaml` where it names one.
///
/// # Errors
/// `Invalid`, naming what cannot be read; `Conflict` where the repository is no cloud.
pub async fn reach(row: &RepositoryRow, env: &Environment) -> Result<Reach> {
    if !Keeping::of(&row.location).is_cloud() {
        return Err(OpsError::Conflict(format!("the repository {} is no cloud", row.name)));
    }
    let plain = &row.options.plain;
    let (Some(path), Some(cloud)) = (plain.get("clouds_file"), plain.get("cloud")) else {
        let secret = secrets::resolve(&row.password, &format!("repositories.{}.password", row.name), env).await?;
        return Ok(Reach { location: row.location.clone(), plain: plain.clone(), secret });
    };
    let field = format!("repositories.{}.clouds_file", row.name);
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|e| OpsError::invalid(&field, format!("the file {path} cannot be read ({}); make it readable for the server", e.kind())))?;
    let CloudEntry { location, plain: mut found, secret } =
        named_cloud(&text, cloud).map_err(|problem| OpsError::invalid(&field, format!("the file {path} {problem}")))?;
    for key in ["region", "interface"] {
        found.extend(plain.get(key).map(|v| (key.to_owned(), v.clone())));
    }
    Ok(Reach { location, plain: found, secret })
}

/// Whether a cloud is to be looked at: nobody has since its settings changed, or not for long enough.
pub fn is_due(row: &RepositoryRow, now: Timestamp) -> bool {
    let Some(at) = row.looked_at.map(Timestamp) else { return true };
    let well = row.credential.as_ref().is_some_and(|c| c.trouble.is_none());
    let age = now.secs_since(at);
    // A clock that was ahead must not make anybody wait for it.
    age < 0.0 || age >= (if well { EVERY_S } else { AGAIN_S }) as f64
}

/// Lets the server look at a cloud now: at its credential and at its instances.
///
/// # Errors
/// `NotFound`; `Conflict` for a repository that is no cloud.
pub async fn look(ctx: &Ctx, name: &str) -> Result<()> {
    require(ctx, Action::Operate)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = repositories::find_by_name(t.tx(), name).await?.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", name))?;
    if !Keeping::of(&row.location).is_cloud() {
        return Err(OpsError::Conflict(format!("{name} is no cloud; its structure and data are looked at by checks")));
    }
    repositories::look_again(t.tx(), row.id()).await?;
    let after = Some(json!({"name": name}));
    ctx.audit(t.tx(), NewEvent { action: "cloud.look", entity: "repository", entity_id: row.id.to_string(), before: None, after }).await?;
    t.commit().await?;
    wake::queue();
    Ok(())
}
