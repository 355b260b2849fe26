//! The outward heartbeat: an address is called while the worker, the watchdogs and the database are well.
//!
//! Lives here: being well, and the calls. May not: raising an alarm; that is the business of whoever misses the call.
//! Invariant: of several processes one makes each call; what is not well stays silent.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::units::Timestamp;
use ops::{notifications::heartbeats, seal::Keys, secrets::Vault};
use store::channels::{self, HeartbeatRow};

use super::{Said, clean, http};
use crate::Deps;

/// How old a sign of life may be: the worker looks at its queue every few seconds, the watchdogs twice a minute.
const WORKER: Duration = Duration::from_mins(1);
const WATCHDOGS: Duration = Duration::from_mins(5);
const LOOK: Duration = Duration::from_secs(2);

/// Signs of life that loops of this process leave.
#[derive(Clone, Debug, Default)]
pub struct Signs(Arc<Mutex<(Option<Instant>, Option<Instant>)>>);

impl Signs {
    pub fn worker(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(Instant::now());
    }

    pub fn watchdogs(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(Instant::now());
    }

    /// Whether both have shown life lately.
    fn is_well(&self) -> bool {
        let (worker, watchdogs) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        worker.is_some_and(|at| at.elapsed() < WORKER) && watchdogs.is_some_and(|at| at.elapsed() < WATCHDOGS)
    }
}

/// Calls the addresses that are due.
#[derive(Clone)]
pub struct Heart {
    deps: Arc<Deps>,
    vault: Vault,
}

impl Heart {
    pub fn new(deps: Deps) -> Self {
        let vault = Vault::new(deps.env.clone(), Keys::of(&deps.data_dir));
        Self { deps: Arc::new(deps), vault }
    }

    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        tokio::pin!(shutdown);
        loop {
            if self.deps.signs.is_well()
                && let Err(e) = self.beat().await
            {
                tracing::warn!(error = %e, "no heartbeat: the database does not answer");
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Makes every call that is due; how many. Taking a call is a write, so a database that cannot write stays silent.
    pub async fn beat(&self) -> store::Result<usize> {
        let now = self.deps.clock.now();
        let all = channels::heartbeats(self.deps.db.read().await?.tx()).await?;
        let mut made = 0;
        for beat in all.into_iter().filter(|b| b.next_at <= now.0) {
            let mut t = self.deps.db.begin().await?;
            let mine = channels::take_heartbeat(t.tx(), beat.id, Timestamp(beat.next_at), now.plus_secs(beat.every_s)).await?;
            t.commit().await?;
            if mine {
                self.call(&beat).await?;
                made += 1;
            }
        }
        Ok(made)
    }

    async fn call(&self, beat: &HeartbeatRow) -> store::Result<()> {
        let (said, url) = match (heartbeats::reveal(&self.vault, beat).await, http::client(&self.deps.env)) {
            (Ok(url), Ok(client)) => (http::ping(&client, url.reveal()).await, Some(url)),
            (Err(e), _) => (Said::No(e.to_string()), None),
            (_, Err(e)) => (Said::No(e), None),
        };
        let (well, answer) = match said {
            Said::Yes(a) => (true, a),
            Said::Later(a, _) | Said::No(a) => (false, a),
        };
        let answer = clean(&answer, &url.map(|u| ("url".to_owned(), u)).into_iter().collect());
        if !well {
            tracing::warn!(heartbeat = beat.name, answer, "a heartbeat did not arrive");
        }
        let mut t = self.deps.db.begin().await?;
        channels::heartbeat_went(t.tx(), beat.id, well, &answer, self.deps.clock.now()).await?;
        t.commit().await
    }
}
