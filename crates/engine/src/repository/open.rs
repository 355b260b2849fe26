//! Opening and making repositories.
//!
//! Lives here: `Repository`. May not: what is done with an open repository.
//! Invariants: a repository is never made over the remains of another one, nor in the place of one that is known.

use std::{sync::Arc, time::Duration};

use object_store::{ObjectStore, path::Path};
use rustic_core::{
    ConfigOptions, Credentials, Id, KeyOptions, OpenStatus, ProgressBars, ReadBackend as _, RepositoryBackends, RepositoryOptions, WriteBackend,
    repofile::MasterKey,
};
use tokio::runtime::Handle;

use super::{
    Backend, Indexed, from_rustic,
    keys::{self, Known},
    storage,
};
use crate::{
    EngineError, ErrorKind, Result,
    job::{Access, Secret},
};

/// How often, and after which pause, a repository is opened again that has a key too many.
const STRAY_TRIES: u32 = 20;
const STRAY_PAUSE: Duration = Duration::from_millis(500);

/// An open repository: reachable, its password checked, its master key in memory.
pub struct Repository {
    pub(super) backend: Arc<Backend>,
    key: MasterKey,
    id: String,
    location: String,
}

impl Repository {
    /// Opens the repository of `access`. `rt` drives the storage; see [`crate::Ctx`] for what it must be.
    ///
    /// # Errors
    /// `NoRepository`, also where another one lies there than the one that is expected; `WrongPassword`, `Damaged`,
    /// `Denied`, `Unavailable`, `Invalid` for a location that cannot be read.
    pub fn open(access: &Access, rt: &Handle) -> Result<Self> {
        let opened = match storage::connect(access, false) {
            Err(e) if e.kind == ErrorKind::NotFound => Err(no_repository(&access.location)),
            Err(e) => Err(e),
            Ok(store) => {
                keys::learn(access);
                Self::open_on(store, &access.location, &access.password, rt)
            }
        };
        let Some(expected) = &access.expect else { return opened };
        match opened {
            Ok(repository) if repository.id == *expected => Ok(repository),
            Ok(other) => Err(not_the_one(&access.location, &format!("it holds the repository {}", short(&other.id)), expected)),
            Err(e) if e.kind == ErrorKind::NoRepository => Err(not_the_one(&access.location, "it holds no repository", expected)),
            // Another repository most often has another password.
            Err(e) if e.kind == ErrorKind::WrongPassword => {
                Err(EngineError::new(e.kind, format!("{}; or another repository lies at {}", e.message, access.location)))
            }
            Err(e) => Err(e),
        }
    }

    /// Opens the repository of `access`, or makes it where the location holds none and none is expected.
    ///
    /// # Errors
    /// As [`Self::open`]; `Damaged` where the location holds parts of a repository that has lost its config.
    pub fn open_or_create(access: &Access, rt: &Handle) -> Result<Self> {
        if access.expect.is_some() {
            return Self::open(access, rt);
        }
        let store = storage::connect(access, true)?;
        keys::learn(access);
        match Self::open_on(store.clone(), &access.location, &access.password, rt) {
            Err(e) if e.kind == ErrorKind::NoRepository => Self::create_on(store, &access.location, &access.password, rt),
            other => other,
        }
    }

    /// As [`Self::open`], on a store that is there already.
    pub fn open_on(store: Arc<dyn ObjectStore>, location: &str, password: &Secret, rt: &Handle) -> Result<Self> {
        let backend = Arc::new(Backend::new(store, rt.clone(), location.to_owned()));
        if !backend.exists(&Path::from("config"))? {
            return Err(no_repository(location));
        }
        let slot = keys::slot(location, password);
        let known = slot.known();
        if let Some(repository) = Self::with_known(&backend, known.as_ref(), location)? {
            return Ok(repository);
        }
        let mut turn = slot.hold();
        let newer = turn.as_ref().filter(|now| known.is_none_or(|before| before.id != now.id));
        if let Some(repository) = Self::with_known(&backend, newer, location)? {
            return Ok(repository);
        }
        *turn = None;
        if backend.list_ids("keys")?.is_empty() {
            return Err(no_repository(location));
        }
        let open = Self::with_password(&backend, password)?;
        *turn = open.key_id().map(|id| Known { id, master: open.key() });
        let (key, id) = (open.key(), open.config().id.to_hex().to_string());
        Ok(Self { backend, key, id, location: location.to_owned() })
    }

    /// Opens with the password. While many make one repository at once, keys of those who came second lie beside the one
    /// that opens it, and go away in a moment.
    fn with_password(backend: &Arc<Backend>, password: &Secret) -> Result<rustic_core::Repository<OpenStatus>> {
        let mut tries = 0;
        let mut alone = 0;
        loop {
            let before = backend.list_ids("keys")?;
            let opened = handle(backend)?.open(&Credentials::password(password.reveal())).map_err(from_rustic);
            match opened {
                Err(e) if e.kind == ErrorKind::Damaged && tries < STRAY_TRIES => {
                    let now = backend.list_ids("keys")?;
                    // The key that was tried may have come and gone between the two lists: once is no proof.
                    if now.len() < 2 && now == before {
                        alone += 1;
                        if alone == 2 {
                            return Err(e);
                        }
                    }
                    tries += 1;
                    std::thread::sleep(STRAY_PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Opens with a key that opened it before; `None` where that key is good no more.
    fn with_known(backend: &Arc<Backend>, known: Option<&Known>, location: &str) -> Result<Option<Self>> {
        let Some(known) = known else { return Ok(None) };
        // A password that was taken away must stop working: its key file has to be there still.
        let there = backend.exists(&Path::from(format!("keys/{}", known.id.to_hex().as_str())))?;
        Ok(if there { Self::with_key(backend.clone(), known.master.clone(), location).ok() } else { None })
    }

    fn with_key(backend: Arc<Backend>, key: MasterKey, location: &str) -> Result<Self> {
        let open = handle(&backend)?.open(&Credentials::Masterkey(key.clone())).map_err(from_rustic)?;
        let id = open.config().id.to_hex().to_string();
        Ok(Self { backend, key, id, location: location.to_owned() })
    }

    /// Makes a repository of format version 2 on an empty store, or opens the one that somebody else made meanwhile.
    ///
    /// The config is written last, and only where there is none: whoever writes it has made the repository. Keys that an
    /// interrupted attempt left open nothing and are removed afterwards. Where the storage minds no condition, two at the
    /// same moment can still lose; the queue lets one installation make a repository once.
    ///
    /// # Errors
    /// `Damaged` where the location holds parts of a repository that has lost its config or its keys.
    pub fn create_on(store: Arc<dyn ObjectStore>, location: &str, password: &Secret, rt: &Handle) -> Result<Self> {
        let backend = Arc::new(Backend::new(store.clone(), rt.clone(), location.to_owned()));
        let mut remains = Vec::new();
        for folder in ["snapshots", "index", "data"] {
            if !backend.list_ids(folder)?.is_empty() {
                remains.push(format!("there are files in {folder}"));
            }
        }
        if backend.exists(&Path::from("config"))? {
            // Made by somebody else in this moment, or without the key to it.
            if !backend.list_ids("keys")?.is_empty() {
                return Self::open_on(store, location, password, rt);
            }
            remains.push("there is a config".to_owned());
        }
        if let Some(what) = remains.first() {
            let message = format!("{location}: {what} but the config or the keys are gone; bring them back from a copy, or choose an empty place");
            return Err(EngineError::new(ErrorKind::Damaged, message));
        }
        let left = backend.list_ids("keys")?;
        let made = handle(&backend)?
            .init(
                &Credentials::password(password.reveal()),
                &KeyOptions::default().hostname("holdfast".to_owned()).with_created(true),
                &ConfigOptions::default(),
            )
            .map_err(from_rustic);
        let remove = |id: &Id| backend.delete(&Path::from(format!("keys/{}", id.to_hex().as_str())));
        let second = match (&made, backend.take_error()) {
            (Err(_), Some(e)) => e.kind == ErrorKind::Conflict,
            // A storage that minds no condition lets the second one write over the first: whose config lies there now?
            (Ok(made), _) => Self::with_key(backend.clone(), made.key(), location).is_err_and(|e| e.kind == ErrorKind::Damaged),
            (Err(_), None) => false,
        };
        if second {
            backend.take_key_written().iter().try_for_each(remove)?;
            return Self::open_on(store, location, password, rt);
        }
        let made = made?;
        left.iter().try_for_each(|(id, _)| remove(id))?;
        Self::with_key(backend, made.key(), location)
    }

    /// The repository's own id, as in its config.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn location(&self) -> &str {
        &self.location
    }

    pub(super) fn master_key(&self) -> &MasterKey {
        &self.key
    }

    /// A fresh handle of the library, without index.
    pub fn handle(&self) -> Result<rustic_core::Repository<OpenStatus>> {
        handle(&self.backend)?.open(&Credentials::Masterkey(self.key.clone())).map_err(from_rustic)
    }

    /// A handle without index on `backend`, whose work `bars` follow.
    pub(super) fn handle_with(&self, backend: Arc<dyn WriteBackend>, bars: impl ProgressBars) -> Result<rustic_core::Repository<OpenStatus>> {
        let fresh = rustic_core::Repository::new_with_progress(&options(), &RepositoryBackends::new(backend, None), bars);
        fresh.and_then(|r| r.open(&Credentials::Masterkey(self.key.clone()))).map_err(from_rustic)
    }

    /// A handle with the full index as it is now. To see what others wrote since, ask for another one.
    pub fn to_indexed(&self) -> Result<Indexed> {
        self.handle()?.to_indexed().map_err(from_rustic)
    }

    /// The bytes that the repository takes at its place.
    pub fn size(&self) -> Result<u64> {
        let mut sum = 0;
        for folder in ["keys", "snapshots", "index", "data"] {
            sum += self.backend.list_ids(folder)?.iter().map(|(_, size)| size).sum::<u64>();
        }
        Ok(sum)
    }
}

fn handle(backend: &Arc<Backend>) -> Result<rustic_core::Repository<()>> {
    tracing::debug!(location = backend.location(), "opening the repository");
    rustic_core::Repository::new(&options(), &RepositoryBackends::new(backend.clone(), None)).map_err(from_rustic)
}

fn options() -> RepositoryOptions {
    let mut options = RepositoryOptions::default();
    options.no_cache = true;
    options
}

/// What lies at a location is not what is known to be there.
fn not_the_one(location: &str, found: &str, expected: &str) -> EngineError {
    let message = format!(
        "{location}: {found}, but {} is known to be there; the storage is not mounted, or another repository lies there. \
         Mount it or bring the repository back; to begin a new one, give it another location in the configuration",
        short(expected)
    );
    EngineError::new(ErrorKind::NoRepository, message)
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn no_repository(location: &str) -> EngineError {
    EngineError::new(ErrorKind::NoRepository, format!("{location} holds no repository"))
}
