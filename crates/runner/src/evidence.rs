//! Signs again and again what workers without the server's key have recorded (R37).
//!
//! Lives here: the loop. May not: what a record states, keys (`ops::evidence` knows both).

use std::{future::Future, time::Duration};

use ops::{Actor, Ctx, evidence, seal::Keys, secrets::Vault};
use store::wake;

use crate::Deps;

/// How often it looks when nothing wakes it, and how soon after a wake-up.
const EVERY: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(1);

/// Looks until `shutdown` is ready. Any number of processes may do so on one database.
pub async fn watch(deps: Deps, shutdown: impl Future<Output = ()> + Send) {
    let vault = Vault::new(deps.env, Keys::of(&deps.data_dir));
    let ctx = Ctx { clock: deps.clock, ..Ctx::new(deps.db, Actor::system(), "watchdog") };
    tokio::pin!(shutdown);
    // Said once, and again when something else is wrong.
    let mut said = String::new();
    loop {
        let woken = wake::queued();
        match evidence::tend(&ctx, &vault).await {
            Ok(0) => said.clear(),
            Ok(signed) => tracing::info!(signed, "evidence was signed"),
            Err(e) => {
                let why = e.to_string();
                if why != said {
                    tracing::warn!(error = %why, "evidence waits for its signature");
                    said = why;
                }
            }
        }
        let wait = async {
            tokio::time::sleep(SOON).await;
            tokio::time::timeout(EVERY, woken).await.ok();
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = wait => {}
        }
    }
}
