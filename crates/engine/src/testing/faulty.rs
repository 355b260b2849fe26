//! A store that fails as told.
//!
//! Lives here: the wrapper, itself a store. May not: chance; every fault is placed.

use std::{
    fmt,
    io::{Error as IoError, ErrorKind as Io},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, path::Path,
};

/// What is done to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Put,
    Get,
    List,
    Delete,
}

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It fails before anything happens.
    Error,
    /// There is no answer in time. What was asked may have been done: it was.
    Timeout,
    /// A read breaks off after so many bytes.
    BreaksOffAt(usize),
    /// A write says that all is well but keeps the first half; a read delivers the first half as if it were all.
    Truncated,
    /// The disk is full.
    Full,
    /// This and every later operation fails.
    Lost,
}

/// One fault: the `nth` matching operation, counted from zero, goes wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// `None` for any.
    pub on: Option<Operation>,
    /// The first part of the path, such as `data`; empty for any.
    pub folder: &'static str,
    pub nth: usize,
    pub kind: FaultKind,
}

/// The wrapper.
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    state: Arc<State>,
}

struct State {
    fault: Mutex<Option<Fault>>,
    seen: AtomicUsize,
    matched: AtomicUsize,
    struck: AtomicUsize,
}

impl Faulty {
    pub fn new(inner: Arc<dyn ObjectStore>, fault: Option<Fault>) -> Self {
        Self {
            inner,
            state: Arc::new(State { fault: Mutex::new(fault), seen: AtomicUsize::new(0), matched: AtomicUsize::new(0), struck: AtomicUsize::new(0) }),
        }
    }

    /// All operations so far.
    pub fn operations(&self) -> usize {
        self.state.seen.load(SeqCst)
    }

    /// How often a fault struck.
    pub fn struck(&self) -> usize {
        self.state.struck.load(SeqCst)
    }

    /// From now on everything works.
    pub fn mend(&self) {
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl State {
    fn strikes(&self, on: Operation, path: Option<&Path>) -> Option<FaultKind> {
        self.seen.fetch_add(1, SeqCst);
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let folder = path.and_then(|p| p.parts().next()).map(|p| p.as_ref().to_owned()).unwrap_or_default();
        if fault.on.is_some_and(|o| o != on) || !(fault.folder.is_empty() || fault.folder == folder) {
            return None;
        }
        let nth = self.matched.fetch_add(1, SeqCst);
        let hit = nth == fault.nth || (fault.kind == FaultKind::Lost && nth > fault.nth);
        if hit {
            self.struck.fetch_add(1, SeqCst);
        }
        hit.then_some(fault.kind)
    }
}

fn error(kind: FaultKind) -> Error {
    let source = match kind {
        FaultKind::Timeout => IoError::new(Io::TimedOut, "no answer in time (injected)"),
        FaultKind::Full => IoError::new(Io::StorageFull, "no space left on device (injected)"),
        FaultKind::Lost => IoError::new(Io::ConnectionReset, "connection lost (injected)"),
        FaultKind::BreaksOffAt(_) => IoError::new(Io::ConnectionAborted, "the answer broke off (injected)"),
        FaultKind::Error | FaultKind::Truncated => IoError::other("input/output error (injected)"),
    };
    Error::Generic { store: "faulty", source: Box::new(source) }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.state.strikes(Operation::Put, Some(path)) {
            None => self.inner.put_opts(path, payload, options).await,
            Some(FaultKind::Timeout) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(error(FaultKind::Timeout))
            }
            Some(FaultKind::Truncated) => {
                let all: Vec<u8> = payload.iter().flatten().copied().collect();
                self.inner.put_opts(path, Bytes::copy_from_slice(&all[..all.len() / 2]).into(), options).await
            }
            Some(kind) => Err(error(kind)),
        }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        match self.state.strikes(Operation::Put, Some(path)) {
            None => self.inner.put_multipart_opts(path, options).await,
            Some(kind) => Err(error(kind)),
        }
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let kind = self.state.strikes(Operation::Get, Some(path));
        let cut = match kind {
            None => return self.inner.get_opts(path, options).await,
            Some(FaultKind::BreaksOffAt(n)) => Some(n),
            Some(FaultKind::Truncated) => None,
            Some(kind) => return Err(error(kind)),
        };
        let whole = self.inner.get_opts(path, options).await?;
        let (meta, range, attributes, extensions) = (whole.meta.clone(), whole.range.clone(), whole.attributes.clone(), whole.extensions.clone());
        let bytes = whole.bytes().await?;
        let kept = bytes.slice(..cut.unwrap_or(bytes.len() / 2).min(bytes.len()));
        let end = cut.map(|n| Err(error(FaultKind::BreaksOffAt(n))));
        let payload = GetResultPayload::Stream(futures::stream::iter([Ok(kept)].into_iter().chain(end)).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let state = self.state.clone();
        let checked =
            paths.and_then(move |path| futures::future::ready(state.strikes(Operation::Delete, Some(&path)).map_or(Ok(path), |kind| Err(error(kind)))));
        self.inner.delete_stream(checked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.state.strikes(Operation::List, prefix) {
            None => self.inner.list(prefix),
            Some(kind) => futures::stream::once(futures::future::ready(Err(error(kind)))).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match self.state.strikes(Operation::List, prefix) {
            None => self.inner.list_with_delimiter(prefix).await,
            Some(kind) => Err(error(kind)),
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        match self.state.strikes(Operation::Put, Some(to)) {
            None => self.inner.copy_opts(from, to, options).await,
            Some(kind) => Err(error(kind)),
        }
    }
}
