//! The restic layout on an object store, as `rustic_core` wants to read and write it.
//!
//! Lives here: the bridge between the synchronous library and the asynchronous store, the kinds of storage errors.
//! May not: keys, snapshots, trees. Retries are the store's own business.
//! Invariant: no call waits longer than [`WAIT`]; the first failed write is remembered, since the library reports
//! some of them only as a broken channel.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use domain::units::Timestamp;
use futures::TryStreamExt as _;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path};
use rustic_core::{BytesList, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use tokio::runtime::Handle;

use super::errors::chain;
use crate::{EngineError, ErrorKind, Result};

/// The longest wait for one answer of the storage, its own retries included.
pub const WAIT: Duration = Duration::from_mins(10);

/// Trees are small and lie side by side: they are read in windows of this size, of which some are kept.
const WINDOW: u32 = 256 * 1024;
const WINDOWS: usize = 128;

/// A repository's files on an object store.
pub struct Backend {
    store: Arc<dyn ObjectStore>,
    rt: Handle,
    location: String,
    failed_write: Mutex<Option<(ErrorKind, String)>>,
    /// The key that the library wrote last.
    key_written: Mutex<Option<Id>>,
    unavailable: Mutex<Option<String>>,
    windows: Mutex<VecDeque<(Id, u32, Bytes)>>,
}

impl Backend {
    pub fn new(store: Arc<dyn ObjectStore>, rt: Handle, location: String) -> Self {
        Self { store, rt, location, failed_write: Mutex::default(), key_written: Mutex::default(), unavailable: Mutex::default(), windows: Mutex::default() }
    }

    /// The library's first failed write since the last call.
    pub fn take_error(&self) -> Option<EngineError> {
        let error = self.failed_write.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map(|(kind, message)| EngineError::new(kind, message))
    }

    /// The first time since the last call that the storage did not answer or broke off.
    pub fn take_unavailable(&self) -> Option<EngineError> {
        let message = self.unavailable.lock().unwrap_or_else(PoisonError::into_inner).take();
        message.map(|message| EngineError::new(ErrorKind::Unavailable, message))
    }

    /// The key that the library wrote last through this backend.
    pub fn take_key_written(&self) -> Option<Id> {
        self.key_written.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn read(&self, path: &Path) -> Result<Bytes> {
        self.wait("read", path, async { self.store.get(path).await?.bytes().await })
    }

    pub fn write(&self, path: &Path, content: PutPayload) -> Result<()> {
        self.wait("write", path, async { self.store.put(path, content).await }).map(drop)
    }

    /// Writes a file that must not be there yet. `Conflict` where somebody else was first.
    ///
    /// A storage that knows no condition is looked at before; two at the same moment are then not told apart.
    fn write_new(&self, path: &Path, content: PutPayload) -> Result<()> {
        let put = |mode| async { self.store.put_opts(path, content.clone(), PutOptions::from(mode)).await };
        let written = self.wait("write", path, async {
            match put(PutMode::Create).await {
                Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => match self.store.head(path).await {
                    Err(StoreError::NotFound { .. }) => put(PutMode::Overwrite).await,
                    Ok(_) => Err(StoreError::AlreadyExists { path: path.to_string(), source: "it is there".into() }),
                    Err(e) => Err(e),
                },
                other => other,
            }
        });
        match written {
            // An answer was lost and the library of the storage asked again: what is there may be ours.
            Err(e) if e.kind == ErrorKind::Conflict && self.read(path).is_ok_and(|there| there == Bytes::from(content)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes a file. A file that is not there is as good as removed.
    pub fn delete(&self, path: &Path) -> Result<()> {
        match self.wait("remove", path, async { self.store.delete(path).await }) {
            Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub fn exists(&self, path: &Path) -> Result<bool> {
        match self.wait("look for", path, async { self.store.head(path).await }) {
            Ok(_) => Ok(true),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Names and sizes of the files in a folder of the repository. Files that are not named by an id are left out.
    pub fn list_ids(&self, folder: &str) -> Result<Vec<(Id, u64)>> {
        let path = Path::from(folder);
        let all: Vec<_> = self.wait("list", &path, async { self.store.list(Some(&path)).try_collect().await })?;
        Ok(all.into_iter().filter_map(|meta| Some((meta.location.filename()?.parse().ok()?, meta.size))).collect())
    }

    /// Ids of the files in a folder that were written at or after `since` by the storage's clock.
    pub fn list_since(&self, folder: &str, since: Timestamp) -> Result<Vec<Id>> {
        let path = Path::from(folder);
        let all: Vec<_> = self.wait("list", &path, async { self.store.list(Some(&path)).try_collect().await })?;
        let young = all.into_iter().filter(|meta| meta.last_modified.timestamp_micros() >= since.0);
        Ok(young.filter_map(|meta| meta.location.filename()?.parse().ok()).collect())
    }

    fn range(&self, path: &Path, offset: u32, length: u32) -> Result<Bytes> {
        let range = u64::from(offset)..u64::from(offset) + u64::from(length);
        self.wait("read", path, async { self.store.get_range(path, range).await })
    }

    /// One window of a pack, shorter at the pack's end.
    fn window(&self, pack: &Id, number: u32) -> Result<Bytes> {
        let kept = || self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, bytes)) = kept().iter().find(|(p, n, _)| (p, *n) == (pack, number)) {
            return Ok(bytes.clone());
        }
        let bytes = self.range(&Self::path(FileType::Pack, pack), number.saturating_mul(WINDOW), WINDOW)?;
        let mut kept = kept();
        if kept.len() == WINDOWS {
            kept.pop_front();
        }
        kept.push_back((*pack, number, bytes.clone()));
        Ok(bytes)
    }

    fn wait<T>(&self, what: &str, path: &Path, work: impl Future<Output = Result<T, StoreError>>) -> Result<T> {
        let done = self.rt.block_on(async { tokio::time::timeout(WAIT, work).await });
        let error = match done {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(e)) => {
                let message = format!("{what} {path} in {}: {}", self.location, chain(&e));
                EngineError { kind: kind_of(&e), message, source: Some(Box::new(e)) }
            }
            Err(_) => EngineError::new(ErrorKind::Unavailable, format!("{what} {path} in {}: no answer within {} s", self.location, WAIT.as_secs())),
        };
        if error.kind == ErrorKind::Unavailable {
            self.unavailable.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.message.clone());
        }
        Err(error)
    }

    fn path(tpe: FileType, id: &Id) -> Path {
        let hex = id.to_hex();
        let hex = hex.as_str();
        match tpe {
            FileType::Config => Path::from("config"),
            FileType::Pack => Path::from(format!("data/{}/{hex}", &hex[..2])),
            _ => Path::from(format!("{}/{hex}", tpe.dirname())),
        }
    }
}

/// What a caller can do about an error of the store.
pub(super) fn kind_of(error: &StoreError) -> ErrorKind {
    match error {
        StoreError::NotFound { .. } => ErrorKind::NotFound,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => ErrorKind::Denied,
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => ErrorKind::Conflict,
        StoreError::InvalidPath { .. } => ErrorKind::Invalid,
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } | StoreError::UnknownConfigurationKey { .. } => ErrorKind::Internal,
        _ => {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
            while let Some(e) = cause {
                if let Some(io) = e.downcast_ref::<std::io::Error>() {
                    match io.kind() {
                        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge => return ErrorKind::Full,
                        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => return ErrorKind::Denied,
                        std::io::ErrorKind::NotFound => return ErrorKind::NotFound,
                        _ => {}
                    }
                }
                cause = e.source();
            }
            // Lists have no kinds of their own in the store: S3 says it in its answer.
            let said = error.to_string();
            let says = |codes: &[&str]| codes.iter().any(|c| said.contains(c));
            if says(&["NoSuchBucket"]) {
                ErrorKind::NotFound
            } else if says(&["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"]) {
                ErrorKind::Denied
            } else if says(&["Requested range was invalid", "InvalidRange"]) {
                // The object is shorter than the index says.
                ErrorKind::Damaged
            } else {
                ErrorKind::Unavailable
            }
        }
    }
}

pub(super) fn for_library(error: EngineError) -> Box<RusticError> {
    RusticError::with_source(rustic_core::ErrorKind::Backend, "the storage failed", error)
}

impl ReadBackend for Backend {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if tpe == FileType::Config {
            let there = self.exists(&Path::from("config")).map_err(for_library)?;
            return Ok(if there { vec![(Id::default(), 0)] } else { Vec::new() });
        }
        let all = self.list_ids(tpe.dirname()).map_err(for_library)?;
        Ok(all.into_iter().map(|(id, size)| (id, u32::try_from(size).unwrap_or(u32::MAX))).collect())
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        self.read(&Self::path(tpe, id)).map_err(for_library)
    }

    fn read_partial(&self, tpe: FileType, id: &Id, cacheable: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        // The library calls trees cacheable, and packs never change.
        let (from, to) = (offset / WINDOW, offset.saturating_add(length.saturating_sub(1)) / WINDOW);
        let bytes = if cacheable && tpe == FileType::Pack && from == to {
            let window = self.window(id, from).map_err(for_library)?;
            let start = (offset % WINDOW) as usize;
            window.slice(start.min(window.len())..(start + length as usize).min(window.len()))
        } else {
            self.range(&Self::path(tpe, id), offset, length).map_err(for_library)?
        };
        if bytes.len() == length as usize {
            return Ok(bytes);
        }
        // It may be the answer that was cut short, not the file: ask anew next time.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).retain(|(pack, _, _)| pack != id);
        let (path, got) = (Self::path(tpe, id), bytes.len());
        let message = format!("read {path} in {}: {got} bytes instead of {length} at offset {offset}; the file was cut short", self.location);
        Err(for_library(EngineError::new(ErrorKind::Damaged, message)))
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        Self::path(tpe, id).to_string()
    }
}

impl WriteBackend for Backend {
    fn write_bytes(&self, tpe: FileType, id: &Id, _cacheable: bool, content: BytesList) -> RusticResult<()> {
        let payload: PutPayload = content.into_vec().into_iter().collect();
        let path = Self::path(tpe, id);
        if tpe == FileType::Key {
            *self.key_written.lock().unwrap_or_else(PoisonError::into_inner) = Some(*id);
        }
        let written = if tpe == FileType::Config { self.write_new(&path, payload) } else { self.write(&path, payload) };
        if let Err(e) = &written {
            self.failed_write.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| (e.kind, e.message.clone()));
        }
        written.map_err(for_library)
    }

    fn remove(&self, tpe: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        self.delete(&Self::path(tpe, id)).map_err(for_library)
    }
}
