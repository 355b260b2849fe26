//! The tamper test (R14): what whoever holds the writer's credentials can destroy.
//!
//! Lives here: writing a probe as packs are written, and trying to overwrite and delete it. May not: what the findings
//! mean (`domain::tamper` says), touching anything but the probe.
//! The probe lies where packs lie and is named by its content, as a pack is. What cannot be cleaned away looks to restic
//! like a pack that no index names, which is harmless, and a prune removes it.

use std::sync::Arc;

use domain::{
    tamper::{Answer, Findings},
    units::Timestamp,
};
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, path::Path};
use sha2::{Digest as _, Sha256};

use super::{
    Backend, s3_versions,
    storage::{self, Location},
};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{Access, TamperJob},
};

/// Carries out a tamper test.
///
/// # Errors
/// `NoRepository`; what the storage says where not even the probe can be written.
pub fn run_tamper_test(job: &TamperJob, ctx: &Ctx) -> Result<Findings> {
    let store = storage::connect(&job.access, false)?;
    let backend = Backend::new(store.clone(), ctx.rt.clone(), job.access.location.clone());
    if !backend.exists(&Path::from("config"))? {
        return Err(EngineError::new(ErrorKind::NoRepository, format!("{}: there is no repository", job.access.location)));
    }
    ctx.rt.block_on(async {
        let work = Test { access: &job.access, store, first: format!("Holdfast tamper test, run {}: this may be deleted.\n", job.run).into_bytes() };
        tokio::time::timeout(super::backend::WAIT, work.run()).await.unwrap_or_else(|_| {
            Err(EngineError::new(
                ErrorKind::Unavailable,
                format!("{}: the tamper test had no answer within {} s", job.access.location, super::backend::WAIT.as_secs()),
            ))
        })
    })
}

struct Test<'a> {
    access: &'a Access,
    store: Arc<dyn ObjectStore>,
    /// What is written first.
    first: Vec<u8>,
}

impl Test<'_> {
    async fn run(&self) -> Result<Findings> {
        let name = hex::encode(Sha256::digest(&self.first));
        let path = Path::from(format!("data/{}/{name}", &name[..2]));
        let failed = |e: object_store::Error| {
            let kind = super::backend::kind_of(&e);
            EngineError::with_source(kind, format!("the probe {path} cannot be written in {}: {}", self.access.location, super::errors::chain(&e)), e)
        };
        let first = self.store.put(&path, self.first.clone().into()).await.map_err(failed)?;
        let overwritten = self.store.put(&path, b"overwritten by the tamper test\n".to_vec().into()).await;
        let s3 = match Location::parse(&self.access.location)? {
            Location::S3 { bucket, prefix } => Some(s3_versions::Object::of(self.access, &bucket, &prefix, &path)?),
            Location::Folder(_) | Location::Memory(_) => None,
        };
        // Without a version there is nothing older to be kept. `null` is what a bucket says whose versions are paused.
        let version = first.version.clone().filter(|v| v != "null");
        let mut found = Findings {
            probe: path.to_string(),
            versioned: version.is_some(),
            overwrite: answer(&overwritten),
            delete: Answer::NotTried,
            delete_version: Answer::NotTried,
            bypass: Answer::NotTried,
            intact: false,
            locked_until: None,
            cleaned: false,
        };
        let mut versions: Vec<String> = Vec::new();
        if let (Some(object), Some(version)) = (&s3, &version) {
            found.locked_until = object.locked_until(version).await?;
            let (delete, marker) = object.delete(None, false).await?;
            found.delete = delete;
            found.delete_version = object.delete(Some(version), false).await?.0;
            if found.delete_version == Answer::Refused {
                found.bypass = object.delete(Some(version), true).await?.0;
            }
            found.intact = self.holds(&path, Some(version.clone())).await;
            versions.extend([Some(version.clone()), overwritten.ok().and_then(|p| p.version), marker].into_iter().flatten());
        } else {
            found.intact = self.holds(&path, None).await;
            found.delete = answer(&self.store.delete(&path).await);
            found.intact = found.intact && self.holds(&path, None).await;
        }
        found.cleaned = match &s3 {
            Some(object) if !versions.is_empty() => {
                let mut all = true;
                for version in versions.iter().rev() {
                    all &= object.delete(Some(version), false).await?.0 == Answer::Done;
                }
                all || (found.bypass == Answer::Done && self.gone(&path).await)
            }
            _ => self.gone(&path).await,
        };
        Ok(found)
    }

    /// Whether what was written first can be read, by its version where it has one.
    async fn holds(&self, path: &Path, version: Option<String>) -> bool {
        let options = GetOptions { version, ..GetOptions::default() };
        let Ok(read) = self.store.get_opts(path, options).await else { return false };
        read.bytes().await.is_ok_and(|bytes| bytes == self.first)
    }

    async fn gone(&self, path: &Path) -> bool {
        matches!(self.store.head(path).await, Err(object_store::Error::NotFound { .. }))
    }
}

fn answer<T>(done: &Result<T, object_store::Error>) -> Answer {
    match done {
        Ok(_) => Answer::Done,
        Err(e) if super::backend::kind_of(e) == ErrorKind::Denied => Answer::Refused,
        Err(e) => {
            let words = super::errors::chain(e);
            if s3_versions::says_locked(&words) { Answer::Refused } else { Answer::Other(words.chars().take(300).collect()) }
        }
    }
}

/// Microseconds of a date as HTTP headers of S3 give it (RFC 3339).
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond()))
}
