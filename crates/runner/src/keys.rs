//! A repository's master key, derived here once and handed to every child process.
//!
//! Lives here: asking the engine for it without waiting for ever. May not: keeping it (`engine` does), opening
//! repositories for anything else.
//! Invariant: at most one thread a location waits for a storage that does not answer; a job never fails for want of a
//! key, since its child finds out itself what is wrong and says it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use engine::{job::Access, repository::key_of};
use tokio::{runtime::Handle, sync::oneshot};

/// The longest wait for the storage.
const PATIENCE: Duration = Duration::from_secs(20);

/// Locations that are being asked now.
static ASKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Fills in the key where it is known or can be derived.
pub async fn fill_in(access: &mut Access) {
    let location = access.location.clone();
    if !ASKED.lock().unwrap_or_else(PoisonError::into_inner).insert(location.clone()) {
        return;
    }
    let (asked, rt, (sender, answer)) = (access.clone(), Handle::current(), oneshot::channel());
    // A thread of its own and not one of the runtime's, which would wait for it at its end.
    let thread = std::thread::Builder::new().name("key".to_owned()).spawn(move || {
        let key = key_of(&asked, &rt);
        ASKED.lock().unwrap_or_else(PoisonError::into_inner).remove(&asked.location);
        // Whoever asked may have stopped waiting.
        sender.send(key).unwrap_or_default();
    });
    if let Err(e) = thread {
        tracing::warn!("a thread cannot start: {e}");
        ASKED.lock().unwrap_or_else(PoisonError::into_inner).remove(&location);
    }
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(key))) => access.key = Some(key),
        Ok(Ok(Err(e))) => tracing::debug!(location, "the child has to open the repository without a key: {e}"),
        Ok(Err(_)) | Err(_) => tracing::debug!(location, "the storage gave no answer; the child will say what is wrong"),
    }
}
