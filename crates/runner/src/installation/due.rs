//! Looks again and again whether a copy of Holdfast itself, or a restore test of one, is due (R62).
//!
//! Lives here: the loop. May not: deciding what is due (`ops::installation::tend` does), carrying it out.

use std::{future::Future, time::Duration};

use ops::{Actor, Ctx};

use super::secrets::own;
use crate::Deps;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(30);

/// Looks until `shutdown` is ready. Any number of processes may do so on one database.
pub async fn watch(deps: Deps, shutdown: impl Future<Output = ()> + Send) {
    let ctx = Ctx { clock: deps.clock, ..Ctx::new(deps.db, Actor::system(), "watchdog") };
    let data = deps.data_dir;
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        // A worker without the server's key may carry out what is started now.
        if let Err(e) = own(&ctx.db, &data, ctx.now()).await {
            tracing::warn!(error = ?e, "the installation's own secrets cannot be sealed for its copies");
        }
        match ops::installation::tend(&ctx).await {
            Ok(started) => {
                for run in started {
                    tracing::info!(%run, "a copy of Holdfast itself, or a test of one, was due");
                }
            }
            Err(e) => tracing::warn!(error = %e, "what is due of Holdfast's own copies cannot be told; looking again"),
        }
    }
}
