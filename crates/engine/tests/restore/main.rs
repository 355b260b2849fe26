//! Restores: against stock restic, of hostile snapshots, with every conflict mode, through crashes and full disks.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;

mod browse;
mod conflicts;
mod crash;
mod disk;
mod forge;
mod full;
mod hostile;
mod random;
mod stock;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, atomic::AtomicBool},
};

use domain::restore::ConflictMode;
use engine::{
    Ctx, EngineError,
    job::{Event, ItemResult, RestoreItem, RestoreJob, RestoreOutcome, UnwindJob, UnwindOutcome},
    restore::{Ending, run_restore_at, run_unwind},
};

pub const STAGING: &str = ".holdfast-test";

/// A restore of one snapshot into one folder.
pub fn job(repository: &Path, snapshot: &str, target: &Path, conflict: ConflictMode) -> RestoreJob {
    RestoreJob {
        access: common::folder_access(repository),
        items: vec![RestoreItem { name: "alice".to_owned(), snapshot: snapshot.to_owned(), paths: Vec::new(), target: target.to_owned() }],
        conflict,
        preview: false,
        staging: STAGING.to_owned(),
        verify: true,
    }
}

pub struct Ran {
    pub result: Result<RestoreOutcome, EngineError>,
    pub events: Vec<Event>,
}

impl Ran {
    pub fn ok(&self) -> &RestoreOutcome {
        self.result.as_ref().unwrap()
    }

    pub fn item(&self) -> &ItemResult {
        self.events.iter().rev().find_map(|e| if let Event::Item(item) = e { Some(item) } else { None }).expect("a result of the item")
    }

    /// The problem told for a path.
    pub fn problem(&self, path: &str) -> &str {
        let item = self.item();
        let found = item.problems.iter().find(|p| p.path == path);
        &found.unwrap_or_else(|| panic!("no problem is told for {path}: {:#?}", item.problems)).message
    }
}

pub fn restore(job: &RestoreJob) -> Ran {
    restore_until(job, &|_| Ok(()), Ending::Unwind)
}

pub fn restore_until(job: &RestoreJob, hook: engine::restore::Hook, ending: Ending) -> Ran {
    let (events, cancel) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let sink = |e| events.lock().unwrap().push(e);
    let result = run_restore_at(job, &Ctx { sink: &sink, cancel: &cancel, rt: common::rt(), patience: std::time::Duration::ZERO }, hook, ending);
    Ran { result, events: events.into_inner().unwrap() }
}

pub fn unwind(targets: &[&Path]) -> Result<UnwindOutcome, EngineError> {
    let job = UnwindJob { targets: targets.iter().map(|t| PathBuf::from(*t)).collect(), staging: STAGING.to_owned() };
    let cancel = AtomicBool::new(false);
    run_unwind(&job, &Ctx { sink: &|_| (), cancel: &cancel, rt: common::rt(), patience: std::time::Duration::ZERO })
}

/// A folder that goes away, on a memory file system where there is one: restores synchronise the disk they write to.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
