//! Repositories that are open for looking into.
//!
//! Lives here: [`Registry`], one for a server. May not: what is looked for (see [`crate::browse`]), writing.
//! Invariants: at most [`MOST_OPEN`] indexes are in memory; a repository is opened once, whoever waits for it;
//! work on one never runs on the asynchronous threads, and every wait ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use domain::{id::RepositoryId, units::Timestamp};
use engine::{
    EngineError, ErrorKind,
    browse::Browser,
    job::{Access, UnlockJob},
    repository::tend::{self, Inspection},
};
use store::{
    repositories::{self, RepositoryRow},
    snapshots::SnapshotRow,
};
use tokio::sync::{Mutex as Gate, OwnedSemaphorePermit, Semaphore};

use super::{Need, require_files};
use crate::{Ctx, OpsError, Result, secrets, secrets::Environment};

/// Open repositories at a time. An index takes 48 bytes a blob.
const MOST_OPEN: usize = 4;
/// Threads that look into repositories at a time.
const MOST_AT_WORK: usize = 16;
/// How long opening may take, and how long anybody waits for it.
const OPENING: Duration = Duration::from_mins(1);
/// How long a look may take, and how long it waits for its turn.
const LOOKING: Duration = Duration::from_secs(30);
/// How long a page waits for a repository.
const SHORT: Duration = Duration::from_secs(8);
/// An index that is younger than this is not read again because something is missing in it.
const YOUNG: Duration = Duration::from_secs(2);

/// The open repositories of this server.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    env: Environment,
    slots: Mutex<HashMap<RepositoryId, Slot>>,
    turns: Arc<Semaphore>,
}

struct Slot {
    gate: Arc<Gate<Option<Opened>>>,
    used: Instant,
}

#[derive(Clone)]
struct Opened {
    browser: Arc<Browser>,
    /// The configuration it was opened with.
    updated_at: i64,
    at: Instant,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// `env` holds the secrets that repositories take from the environment.
    pub fn new(env: Environment) -> Self {
        Self(Arc::new(Inner { env, slots: Mutex::default(), turns: Arc::new(Semaphore::new(MOST_AT_WORK)) }))
    }

    /// Looks into the repository of a snapshot. A look that found the index too old is repeated once on a new one.
    ///
    /// # Errors
    /// What `look` says; `Conflict` in words where the repository cannot be read now.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        ctx: &Ctx,
        snapshot: &SnapshotRow,
        look: impl Fn(&Browser) -> engine::Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let look = Arc::new(look);
        let (row, first) = self.open(ctx, snapshot).await?;
        let (browser, again) = (first.browser, look.clone());
        let done = self.work(move || again(&browser)).await?;
        match done {
            // A prune may have moved what the old index names.
            Err(e) if matches!(e.kind, ErrorKind::Damaged | ErrorKind::NotFound) && first.at.elapsed() > YOUNG => {
                let browser = self.opened(&row, |o| o.at > first.at).await?.browser;
                self.work(move || look(&browser)).await?.map_err(|e| told(&row, e))
            }
            other => other.map_err(|e| told(&row, e)),
        }
    }

    /// The repository of a snapshot with an index that names it, and a turn to work on it for long.
    pub(crate) async fn turn(&self, ctx: &Ctx, snapshot: &SnapshotRow) -> Result<(Arc<Browser>, OwnedSemaphorePermit)> {
        let (_, opened) = self.open(ctx, snapshot).await?;
        Ok((opened.browser, self.permit().await?))
    }

    /// Keys and locks of a repository as they are now; it waits no longer than a page may.
    ///
    /// # Errors
    /// `Conflict` in words where they cannot be read now.
    pub(super) async fn inspect(&self, row: &RepositoryRow) -> Result<Inspection> {
        let access = self.access(row).await?;
        let rt = tokio::runtime::Handle::current();
        self.short(row, move || tend::inspect(&access, &rt)).await
    }

    /// Removes a lock, whoever holds it.
    pub(super) async fn unlock(&self, row: &RepositoryRow, lock: String) -> Result<()> {
        let access = self.access(row).await?;
        let rt = tokio::runtime::Handle::current();
        self.short(row, move || {
            let (sink, cancel) = (|_| {}, AtomicBool::new(false));
            let ctx = engine::Ctx { sink: &sink, cancel: &cancel, rt, patience: Duration::ZERO };
            tend::unlock(&UnlockJob { access, locks: vec![lock] }, &ctx).map(|_| ())
        })
        .await
    }

    async fn access(&self, row: &RepositoryRow) -> Result<Access> {
        require_files(row, Need::Look)?;
        secrets::access(row, &self.0.env).await
    }

    async fn short<T: Send + 'static>(&self, row: &RepositoryRow, work: impl FnOnce() -> engine::Result<T> + Send + 'static) -> Result<T> {
        let away = || OpsError::Conflict(format!("the repository {} did not answer within {} seconds", row.name, SHORT.as_secs()));
        match tokio::time::timeout(SHORT, self.work(work)).await {
            Ok(done) => done?.map_err(|e| told(row, e)),
            Err(_) => Err(away()),
        }
    }

    async fn open(&self, ctx: &Ctx, snapshot: &SnapshotRow) -> Result<(RepositoryRow, Opened)> {
        let id = RepositoryId(snapshot.repository_id);
        let row = repositories::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("repository", id))?;
        let knows = |o: &Opened| o.browser.knows(&snapshot.tree).unwrap_or(false);
        // What was recorded since the index was read is not in it, however young it is.
        let recorded = snapshot.id.get_timestamp().map_or(Timestamp(snapshot.taken_at), |t| Timestamp::from_secs(t.to_unix().0.cast_signed()));
        let is_newer = |o: &Opened| ctx.now().secs_since(recorded) <= o.at.elapsed().as_secs_f64() + 1.0;
        let opened = self.opened(&row, |o| knows(o) || (o.at.elapsed() < YOUNG && !is_newer(o))).await?;
        if knows(&opened) {
            return Ok((row, opened));
        }
        let message = format!("the repository {} no longer holds the snapshot {}; run a check of the repository", row.name, snapshot.restic_id);
        Err(OpsError::Conflict(message))
    }

    /// The open repository where it is as it should be, otherwise a freshly opened one.
    async fn opened(&self, row: &RepositoryRow, good: impl Fn(&Opened) -> bool) -> Result<Opened> {
        let gate = self.slot(row.id());
        let busy = || OpsError::Conflict(format!("the repository {} is being opened; try again in a minute", row.name));
        let mut slot = tokio::time::timeout(OPENING, gate.lock()).await.map_err(|_| busy())?;
        if let Some(opened) = slot.as_ref().filter(|o| o.updated_at == row.updated_at && good(o)) {
            return Ok(opened.clone());
        }
        let access = self.access(row).await?;
        let rt = tokio::runtime::Handle::current();
        let opening = tokio::task::spawn_blocking(move || Browser::open(&access, &rt));
        let browser = match tokio::time::timeout(OPENING, opening).await {
            Ok(Ok(opened)) => opened.map_err(|e| told(row, e))?,
            Ok(Err(e)) => return Err(OpsError::internal(e)),
            Err(_) => return Err(OpsError::Conflict(format!("the repository {} did not open within a minute; try again", row.name))),
        };
        let opened = Opened { browser: Arc::new(browser), updated_at: row.updated_at, at: Instant::now() };
        *slot = Some(opened.clone());
        Ok(opened)
    }

    fn slot(&self, id: RepositoryId) -> Arc<Gate<Option<Opened>>> {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(&id) && slots.len() >= MOST_OPEN {
            let oldest = slots.iter().min_by_key(|(_, s)| s.used).map(|(id, _)| *id);
            oldest.map(|id| slots.remove(&id));
        }
        let slot = slots.entry(id).or_insert_with(|| Slot { gate: Arc::default(), used: Instant::now() });
        slot.used = Instant::now();
        slot.gate.clone()
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        match tokio::time::timeout(LOOKING, self.0.turns.clone().acquire_owned()).await {
            Ok(permit) => permit.map_err(OpsError::internal),
            Err(_) => Err(OpsError::Conflict("too many people look into snapshots at this moment; try again in a minute".to_owned())),
        }
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> engine::Result<T> + Send + 'static) -> Result<engine::Result<T>> {
        let permit = self.permit().await?;
        let running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match tokio::time::timeout(LOOKING, running).await {
            Ok(done) => done.map_err(OpsError::internal),
            Err(_) => Err(OpsError::Conflict("the repository did not answer within 30 seconds; try again, or look at its storage".to_owned())),
        }
    }
}

/// Says in words why a repository cannot be read; what is missing inside a snapshot stays what it is.
fn told(row: &RepositoryRow, e: EngineError) -> OpsError {
    use ErrorKind::{Damaged, Denied, NoRepository, Unavailable, WrongPassword};
    match e.kind {
        Unavailable | Denied | WrongPassword | NoRepository | Damaged => {
            OpsError::Conflict(format!("the repository {} cannot be read: {}", row.name, e.message))
        }
        _ => e.into(),
    }
}
