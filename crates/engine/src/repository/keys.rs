//! Master keys in memory, because deriving one from its password costs 0.3 CPU seconds and 128 MB.
//!
//! Lives here: the process's keys, and a key's way into a child process. May not: saying whether a key is still good,
//! which [`Repository::open`] finds out by the key's file in the repository.
//! Invariant: a key is found only under the location and the password that it was derived from.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use rustic_core::repofile::{KeyId, MasterKey};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::Repository;
use crate::{
    EngineError, ErrorKind, Result,
    job::{Access, OpenedKey, Secret},
};

/// A key that opened the repository, with the id of its file there.
#[derive(Clone)]
pub(super) struct Known {
    pub id: KeyId,
    pub master: MasterKey,
}

/// One location with one password. Whoever derives its key holds it, so that nobody else derives it meanwhile.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Known>>>);

impl Slot {
    /// Waits for a derivation that is under way.
    pub fn known(&self) -> Option<Known> {
        self.hold().clone()
    }

    pub fn hold(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static SLOTS: LazyLock<Mutex<HashMap<[u8; 32], Slot>>> = LazyLock::new(Mutex::default);

/// The slot of a location and a password.
pub(super) fn slot(location: &str, password: &Secret) -> Slot {
    let mut hash = Sha256::new();
    hash.update((location.len() as u64).to_le_bytes());
    hash.update(location);
    hash.update(password.reveal());
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner).entry(hash.finalize().into()).or_default().clone()
}

/// Takes the key that `access` brings along, where this process has none yet. One that cannot be read is left out:
/// the password is there still.
pub(super) fn learn(access: &Access) {
    let Some(key) = &access.key else { return };
    let slot = slot(&access.location, &access.password);
    let mut known = slot.hold();
    if known.is_none()
        && let (Ok(id), Ok(master)) = (key.id.parse(), serde_json::from_str(key.master.reveal()))
    {
        *known = Some(Known { id, master });
    }
}

/// The key of `access`, to be handed to a child process as [`Access::key`]. The repository is opened for it only when
/// this process does not know it; whether it is still good is found out by whoever opens the repository with it.
///
/// # Errors
/// As [`Repository::open`].
pub fn key_of(access: &Access, rt: &Handle) -> Result<OpenedKey> {
    let slot = slot(&access.location, &access.password);
    let mut known = slot.known();
    if known.is_none() {
        Repository::open(access, rt)?;
        known = slot.known();
    }
    let lost = || EngineError::new(ErrorKind::Internal, "an open repository has no key");
    let known = known.ok_or_else(lost)?;
    let master = serde_json::to_string(&known.master).map_err(|e| EngineError::with_source(ErrorKind::Internal, "a key cannot be written as JSON", e))?;
    Ok(OpenedKey { id: known.id.to_hex().to_string(), master: Secret::new(master) })
}
