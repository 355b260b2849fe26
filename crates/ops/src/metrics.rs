//! How the installation stands, as figures for a monitoring system (R56).
//!
//! Lives here: who may read them, and gathering them. May not: their names and their text (the server's business).
//! Invariant: figures name services, repositories and kinds of runs, never a person, an item or a path; so their number
//! is bounded, and whoever watches the machines learns nothing about people.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use store::{
    Clock, Db,
    metrics::{self, Queue, RunCount, ServiceFigures},
    repositories::{self, RepositoryRow},
};

use crate::{
    Actor, Ctx, OpsError, Result, Role,
    permission::{Action, require},
    secrets::Environment,
    workers::{self, Worker},
};

/// The variables that hold the token, or the path of the file that does.
const TOKEN: &str = "HOLDFAST_METRICS_TOKEN";
const TOKEN_FILE: &str = "HOLDFAST_METRICS_TOKEN_FILE";
/// A shorter one can be guessed.
const SHORTEST_TOKEN: usize = 16;
/// Services beyond these are left out, in the order of their names.
const MOST_SERVICES: i64 = 10_000;

/// Who may read the metrics.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// Who asks from this machine itself, and not through a proxy.
    Loopback,
    /// Who has the token; its SHA-256.
    Token([u8; 32]),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loopback => "Loopback",
            Self::Token(_) => "Token",
        })
    }
}

impl Access {
    /// What the environment of the process says: a token, the file of one, or this machine alone.
    ///
    /// # Errors
    /// Where the file cannot be read or the token is too short.
    pub fn from_env(env: &Environment) -> Result<Self> {
        let set = |name: &str| env.get(name).map(String::as_str).filter(|v| !v.is_empty());
        let (name, text) = match (set(TOKEN), set(TOKEN_FILE)) {
            (Some(_), Some(_)) => return Err(OpsError::invalid(TOKEN, format!("is set, and so is {TOKEN_FILE}; set one of them"))),
            (Some(token), None) => (TOKEN, token.to_owned()),
            (None, Some(path)) => {
                let read = std::fs::read_to_string(path).map_err(|e| OpsError::invalid(TOKEN_FILE, format!("{path} cannot be read: {}", e.kind())))?;
                (TOKEN_FILE, read.lines().next().unwrap_or_default().to_owned())
            }
            (None, None) => return Ok(Self::Loopback),
        };
        let token = text.trim();
        if token.len() < SHORTEST_TOKEN {
            return Err(OpsError::invalid(name, format!("holds a token of fewer than {SHORTEST_TOKEN} characters; make one with `openssl rand -hex 24`")));
        }
        Ok(Self::Token(Sha256::digest(token).into()))
    }

    pub const fn wants_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }
}

/// Who asks, as far as the request tells.
#[derive(Clone, Copy, Debug)]
pub struct Scraper<'a> {
    pub bearer: Option<&'a str>,
    pub peer: Option<IpAddr>,
    /// A proxy handed the request on, so that the peer is not who asks.
    pub forwarded: bool,
}

/// The context of one who may read the metrics.
///
/// # Errors
/// `Forbidden` with what to do about it.
pub fn admit(access: &Access, scraper: &Scraper<'_>, db: Db, clock: Clock) -> Result<Ctx> {
    let (admitted, remedy) = match access {
        // Hashes are compared, so that the time it takes tells nothing about the token.
        Access::Token(hash) => (
            scraper.bearer.is_some_and(|b| <[u8; 32]>::from(Sha256::digest(b)) == *hash),
            "read the metrics; send the token of HOLDFAST_METRICS_TOKEN as “Authorization: Bearer …”",
        ),
        Access::Loopback => (
            !scraper.forwarded && scraper.peer.is_some_and(|p| p.to_canonical().is_loopback()),
            "read the metrics from another machine; set HOLDFAST_METRICS_TOKEN_FILE for the server and send that token",
        ),
    };
    if !admitted {
        return Err(OpsError::Forbidden(remedy));
    }
    let origin = scraper.peer.map_or_else(|| "unknown".to_owned(), |p| p.to_string());
    Ok(Ctx { actor: Actor::new("metrics", Role::Auditor), origin: origin.into(), clock, db, claim: None })
}

/// The figures at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    pub runs: Vec<RunCount>,
    pub queue: Queue,
    /// Alerts that stand, by kind; a kind without one is left out.
    pub alerts: Vec<(String, i64)>,
    pub services: Vec<ServiceFigures>,
    pub repositories: Vec<RepositoryRow>,
    pub workers: Vec<Worker>,
}

pub async fn gather(ctx: &Ctx) -> Result<Figures> {
    require(ctx, Action::Read)?;
    let workers = workers::list(ctx).await?;
    let now = ctx.now();
    let mut read = ctx.db.read().await?;
    Ok(Figures {
        runs: metrics::runs(read.tx()).await?,
        queue: metrics::queue(read.tx(), now).await?,
        alerts: metrics::alerts(read.tx()).await?,
        services: metrics::services(read.tx(), now, MOST_SERVICES).await?,
        repositories: repositories::list(read.tx()).await?,
        workers,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use store::testing;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Arc::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>())
    }

    #[tokio::test]
    async fn this_machine_alone_or_who_has_the_token() {
        let t = testing::sqlite().await;
        let may = |access: &Access, bearer, peer: &str, forwarded| {
            let scraper = Scraper { bearer, peer: peer.parse().ok(), forwarded };
            admit(access, &scraper, t.db.clone(), Clock::System).map_err(|e| e.to_string())
        };
        let open = Access::from_env(&env(&[])).unwrap();
        for (peer, forwarded, allowed) in [
            ("127.0.0.1", false, true),
            ("::1", false, true),
            ("::ffff:127.0.0.1", false, true),
            ("127.0.0.1", true, false),
            ("192.0.2.7", false, false),
            ("nobody", false, false),
        ] {
            assert_eq!(may(&open, None, peer, forwarded).is_ok(), allowed, "{peer} {forwarded}");
        }
        assert!(may(&open, Some("x"), "192.0.2.7", false).unwrap_err().contains("set HOLDFAST_METRICS_TOKEN_FILE"));
        let guarded = Access::from_env(&env(&[(TOKEN, "0123456789abcdef")])).unwrap();
        assert!(may(&guarded, Some("0123456789abcdef"), "192.0.2.7", true).is_ok());
        for wrong in [None, Some(""), Some("0123456789abcdeF")] {
            assert!(may(&guarded, wrong, "127.0.0.1", false).unwrap_err().contains("Authorization: Bearer"), "{wrong:?}");
        }
        let ctx = may(&guarded, Some("0123456789abcdef"), "192.0.2.7", false).unwrap();
        assert!(gather(&ctx).await.is_ok());
        assert!(matches!(require(&ctx, Action::Operate), Err(OpsError::Forbidden(_))), "it may read and no more");
        let nobody = Ctx { actor: Actor::anonymous(), ..ctx };
        assert!(matches!(gather(&nobody).await, Err(OpsError::Forbidden(_))));
    }

    #[test]
    fn a_token_is_read_from_the_environment_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef\nmore\n").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(Access::from_env(&env(&[(TOKEN_FILE, path)])).unwrap(), Access::from_env(&env(&[(TOKEN, "0123456789abcdef")])).unwrap());
        for (wrong, word) in [
            (env(&[(TOKEN, "short")]), "fewer than 16"),
            (env(&[(TOKEN_FILE, "/nowhere")]), "/nowhere cannot be read"),
            (env(&[(TOKEN, "0123456789abcdef"), (TOKEN_FILE, path)]), "set one of them"),
        ] {
            let said = Access::from_env(&wrong).unwrap_err().to_string();
            assert!(said.contains(word) && !said.contains("short)"), "{said}");
        }
    }
}
