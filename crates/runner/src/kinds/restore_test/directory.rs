//! Folders in a restore test: restored by the engine into the scratch folder, read anew and compared.
//!
//! Lives here: the driver, and what removes a scratch folder. May not: how the engine restores.

use std::path::{Path, PathBuf};

use domain::{
    evidence::{CheckOutcome, Verdict},
    id::{RepositoryId, ServiceId},
    naming,
    restore::ConflictMode,
    units::count,
    work::{StepFailure, Teardown},
};
use engine::job::{CompareJob, DirectoryItems, Job, Outcome, RestoreItem, RestoreJob, SourceConfig};
use store::{repositories, services::Canary, sources};

use super::driver::{Driver, Gone, Part, Restored};
use crate::{
    child::{self, Items, Nothing},
    exec::Cx,
    files,
    kinds::{blocking, repository, restore, restore_choice::Choice},
    step::{Break, Done, Result, Step as _, permanent},
};

pub struct Directory {
    pub service: ServiceId,
    pub scratch: PathBuf,
    pub part: Part,
    pub chosen: Choice,
}

#[async_trait::async_trait]
impl Driver for Directory {
    async fn provision(&self, cx: &Cx) -> Result<()> {
        if !self.scratch.is_absolute() {
            return Err(permanent(
                "invalid",
                format!("the scratch folder {} is not absolute; start Holdfast with an absolute data folder", self.scratch.display()),
            ));
        }
        for row in sources::of_service(cx.deps.db.read().await?.tx(), self.service).await? {
            if let Ok(SourceConfig::Directory(d)) = serde_json::from_value::<SourceConfig>(row.config.0.clone())
                && (self.scratch.starts_with(&d.path) || (d.items == DirectoryItems::Itself && d.path.starts_with(&self.scratch)))
            {
                let message = format!("the scratch folder {} is inside the source {}; move Holdfast's data folder out of it", self.scratch.display(), row.name);
                return Err(permanent("unsafe", message));
            }
        }
        for row in repositories::list(cx.deps.db.read().await?.tx()).await? {
            if row.location.strip_prefix("file://").is_some_and(|p| self.scratch.starts_with(p)) {
                let message =
                    format!("the scratch folder {} is inside the repository {}; move Holdfast's data folder out of it", self.scratch.display(), row.name);
                return Err(permanent("unsafe", message));
            }
        }
        anew(self.scratch.clone()).await
    }

    async fn restore(&self, cx: &Cx, out: &mut Restored) -> Result<()> {
        anew(self.scratch.clone()).await?;
        for (id, items) in self.groups() {
            let row = repository(cx, id).await?;
            let staging = restore::staging(cx);
            let make = |access| Job::Restore(RestoreJob { access, items, conflict: ConflictMode::Fail, preview: false, staging, verify: true });
            match child::job(cx, super::Restore::NAME, &row, make, &Items).await {
                Ok(Outcome::Restore(r)) => {
                    out.files += r.files;
                    out.dirs += r.dirs;
                    out.bytes += r.bytes;
                }
                Ok(other) => return Err(child::unexpected(&other)),
                Err(Break::Failed(f)) if f.permanent || cx.run.attempts >= cx.run.max_attempts => {
                    out.failure = Some(f);
                    return Ok(());
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    async fn check(&self, cx: &Cx, step: &'static str, restored: &Restored) -> Result<Vec<CheckOutcome>> {
        let mut checks = Vec::new();
        if restored.failure.is_none() && !self.part.is_empty() {
            checks.push(self.recapture(cx, step).await?);
        }
        if let Some(c) = &self.chosen.canary {
            checks.push(self.canary(cx, c, restored).await?);
        }
        Ok(checks)
    }

    async fn tear_down(&self, _: &Cx, _: Option<&Restored>) -> Result<Gone> {
        let place = self.scratch.clone();
        let gone = blocking(move || files::remove(&place).and_then(|()| files::is_absent(&place))).await?;
        let why = match gone {
            Ok(true) => return Ok(Gone { absent: Vec::new(), left: None }),
            Ok(false) => "it is still there".to_owned(),
            Err(e) => e.to_string(),
        };
        Ok(Gone { absent: Vec::new(), left: Some(StepFailure::new("denied", format!("could not be removed: {why}; remove it by hand"), false)) })
    }
}

/// An empty scratch folder, also where an earlier attempt has left one.
async fn anew(scratch: PathBuf) -> Result<()> {
    let place = scratch.clone();
    let made = blocking(move || files::remove(&scratch).and_then(|()| files::make(&scratch))).await?;
    made.map_err(|e| {
        permanent(
            if e.kind() == std::io::ErrorKind::StorageFull { "full" } else { "denied" },
            format!("the scratch folder {} cannot be made: {e}", place.display()),
        )
    })
}

/// Removes a scratch folder and looks whether it is gone.
pub async fn tear_down(cx: &Cx, scratch: &Path) -> Result<Done<Teardown>> {
    let nothing = Choice::nothing(cx.now());
    let alone = Directory { service: ServiceId(uuid::Uuid::nil()), scratch: scratch.to_owned(), part: Part::new(), chosen: nothing.clone() };
    super::Ground { chosen: nothing, scratch: scratch.to_owned(), drivers: vec![Box::new(alone)] }.tear_down(cx, None).await
}

fn outcome(name: &str, verdict: Verdict, detail: impl Into<String>) -> CheckOutcome {
    CheckOutcome::new(name, verdict, detail)
}

impl Directory {
    /// The scratch folder of each chosen snapshot, by its place in the choice, with its repository.
    fn groups(&self) -> Vec<(RepositoryId, Vec<RestoreItem>)> {
        let mut groups: Vec<(RepositoryId, Vec<RestoreItem>)> = Vec::new();
        for (n, c) in &self.part {
            let item = RestoreItem { name: c.name.clone(), snapshot: c.restic_id.clone(), paths: Vec::new(), target: self.scratch.join(n.to_string()) };
            match groups.iter_mut().find(|(id, _)| *id == c.repository) {
                Some((_, items)) => items.push(item),
                None => groups.push((c.repository, vec![item])),
            }
        }
        groups
    }

    /// Reads what was restored anew and compares it with the snapshots.
    async fn recapture(&self, cx: &Cx, step: &'static str) -> Result<CheckOutcome> {
        let (mut files, mut differences, mut first) = (0, 0, None);
        for (id, items) in self.groups() {
            let row = repository(cx, id).await?;
            match child::job(cx, step, &row, |access| Job::Compare(CompareJob { access, items }), &Nothing).await {
                Ok(Outcome::Compared(c)) => {
                    files += c.files;
                    differences += c.differences_total;
                    first = first.or_else(|| c.differences.first().map(|d| format!("{}: {}", d.path, d.message)));
                }
                Ok(other) => return Err(child::unexpected(&other)),
                Err(Break::Failed(f)) if f.permanent || cx.run.attempts >= cx.run.max_attempts => {
                    return Ok(outcome("recapture", Verdict::Unknown, format!("the comparison did not come to its end: {}", f.message)));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(match first {
            None if differences == 0 => outcome("recapture", Verdict::Passed, format!("{} files read anew, all identical with the snapshots", count(files)))
                .compared("0 differences", "0 differences"),
            first => outcome("recapture", Verdict::Failed, format!("{} differences; first {}", count(differences), first.unwrap_or_default()))
                .compared("0 differences", format!("{} differences", count(differences))),
        })
    }

    async fn canary(&self, cx: &Cx, canary: &Canary, restored: &Restored) -> Result<CheckOutcome> {
        let place = format!("{}/{}", canary.item, canary.path);
        let Some(n) = self.part.iter().find(|(_, c)| c.item == canary.item).map(|(n, _)| *n) else {
            if self.chosen.items.iter().any(|c| c.item == canary.item) {
                return Ok(outcome(
                    "canary",
                    Verdict::Unknown,
                    format!("{place}: the item is an instance, and nobody reads its disk from here; look by a command or an address"),
                ));
            }
            return Ok(outcome("canary", Verdict::Failed, format!("{place}: the item has no snapshot")));
        };
        if let Some(f) = &restored.failure {
            return Ok(outcome("canary", Verdict::Unknown, format!("{place}: not looked at, because the restore did not come to its end: {}", f.message)));
        }
        let Some(inner) = naming::unescape(canary.path.trim_start_matches('/')) else {
            return Ok(outcome("canary", Verdict::Unknown, format!("{place}: the path cannot be read; mend it in the service's configuration")));
        };
        let inner = PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(inner));
        let root = self.scratch.join(n.to_string());
        cx.check()?;
        let found = blocking(move || files::hash(&root, &inner)).await?;
        Ok(match found {
            Ok((hash, size)) if hash.eq_ignore_ascii_case(&canary.sha256) => {
                outcome("canary", Verdict::Passed, format!("{place}: {} bytes with the known hash {hash}", count(size as i64)))
                    .compared(canary.sha256.clone(), hash)
            }
            Ok((hash, _)) => {
                outcome("canary", Verdict::Failed, format!("{place}: hash {hash}, expected {}", canary.sha256)).compared(canary.sha256.clone(), hash)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => outcome("canary", Verdict::Failed, format!("{place}: it is not there")),
            Err(e) => outcome("canary", Verdict::Unknown, format!("{place}: it cannot be read: {e}")),
        })
    }
}
