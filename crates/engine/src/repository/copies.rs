//! Copies of Holdfast itself: snapshots of its own records in a repository (R62).
//!
//! Lives here: finding them. May not: writing or forgetting them, for they are backed up and forgotten like any other.

use domain::{installation::INSTALLATION, units::Timestamp};
use rustic_core::repofile::SnapshotFile;

use super::{Repository, backup::ROOT_TAG, snapshots::record};
use crate::{
    Ctx, Result, clock,
    job::{CopiesJob, CopiesOutcome},
};

/// There is a copy every day, so the newest is among the snapshots of the last days; reading all of a large repository takes long.
const LOOK_BACK_SECS: i64 = 3 * 86_400;

/// Lists the copies in the repository.
pub fn list(job: &CopiesJob, ctx: &Ctx) -> Result<CopiesOutcome> {
    let repository = Repository::open(&job.access, &ctx.rt)?;
    let newest = |all: &[SnapshotFile]| all.iter().filter(|f| job.newest_before.is_none_or(|at| taken_at(f) <= at)).max_by_key(|f| taken_at(f)).cloned();
    let mut found = Vec::new();
    if let Some(before) = job.newest_before {
        // The age of a file is when it was written, so a copy that was taken before cannot be among older files alone.
        let since = before.min(clock::now()).plus_secs(-LOOK_BACK_SECS);
        found = copies(&repository, since)?;
        if let Some(one) = newest(&found) {
            return Ok(outcome(&repository, &[one]));
        }
        ctx.check()?;
    }
    found.extend(copies(&repository, Timestamp(i64::MIN / 2))?);
    if job.newest_before.is_some() {
        found = newest(&found).into_iter().collect();
    }
    found.sort_by_key(taken_at);
    Ok(outcome(&repository, &found))
}

fn outcome(repository: &Repository, found: &[SnapshotFile]) -> CopiesOutcome {
    CopiesOutcome { repository: repository.id().to_owned(), copies: found.iter().map(record).collect() }
}

fn copies(repository: &Repository, since: Timestamp) -> Result<Vec<SnapshotFile>> {
    let ids = repository.backend.list_since("snapshots", since)?;
    let files = repository.read_snapshots(ids.into_iter().map(Into::into).collect())?;
    Ok(files.into_iter().filter(is_copy).collect())
}

fn is_copy(file: &SnapshotFile) -> bool {
    file.tags.contains(INSTALLATION) && !file.tags.contains(ROOT_TAG)
}

fn taken_at(file: &SnapshotFile) -> Timestamp {
    Timestamp(file.time.timestamp().as_microsecond())
}
