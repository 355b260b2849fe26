//! Waking those who wait: workers for the queue, pages for a run's news.
//!
//! Lives here: the channel within this process, and the task that hears PostgreSQL's notifications for it.
//! May not: news themselves; whoever wakes up reads the tables. A wake-up may come for nothing and may be lost,
//! so everybody who waits also looks again after a while.

use std::{str::FromStr, sync::LazyLock, time::Duration};

use domain::id::RunId;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, broadcast, futures::Notified};
use uuid::Uuid;

use crate::{Db, queue};

/// One a process: runs are unique across databases, and a wake-up for nothing does no harm.
static RUNS: LazyLock<broadcast::Sender<RunId>> = LazyLock::new(|| broadcast::channel(1024).0);
static QUEUE: Notify = Notify::const_new();

/// Says that a run was queued or that a resource came free.
pub fn queue() {
    QUEUE.notify_waiters();
}

/// Says that a run has news.
pub fn run(id: RunId) {
    // Nobody listens: nobody is to be woken.
    RUNS.send(id).ok();
}

/// A wait for the queue that misses nothing from now on: make it, then look into the queue, then await it.
pub fn queued() -> Notified<'static> {
    QUEUE.notified()
}

/// Waits until the run may have news, at most `limit`. Subscribe first, then read, then wait.
pub async fn news(of: &mut broadcast::Receiver<RunId>, id: RunId, limit: Duration) {
    let wait = async {
        loop {
            match of.recv().await {
                Ok(one) if one != id => {}
                // Its own news, or so much news that some was lost.
                _ => return,
            }
        }
    };
    tokio::time::timeout(limit, wait).await.ok();
}

pub fn subscribe() -> broadcast::Receiver<RunId> {
    RUNS.subscribe()
}

/// Passes on what PostgreSQL notifies, for ever; returns at once on SQLite. A lost connection is opened again.
pub async fn listen(db: Db) {
    let Db::Pg(pool) = db else { return };
    loop {
        if let Err(e) = hear(&pool).await {
            tracing::warn!(error = %e, "lost the notifications of PostgreSQL; polling goes on, trying again in 5 s");
        }
        if pool.is_closed() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn hear(pool: &sqlx::PgPool) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([queue::QUEUE_CHANNEL, queue::RUN_CHANNEL]).await?;
    // What was said before is heard by looking.
    queue();
    while let Some(n) = listener.try_recv().await? {
        if n.channel() == queue::QUEUE_CHANNEL {
            queue();
        } else if let Ok(id) = Uuid::from_str(n.payload()) {
            run(RunId(id));
        }
    }
    Ok(())
}
