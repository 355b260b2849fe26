//! One item of a restore: what is known of it, what came of it.
//!
//! Lives here: counts, problems, the result that is told. May not: doing anything.

use domain::{restore::RestoreCounts, run::ItemState};
use rustic_core::{TreeId, repofile::Metadata};

use super::{
    batch::Done,
    meta::Missed,
    names::Selection,
    place::{Place, Stage},
    plan::Act,
    stage::Link,
};
use crate::{
    EngineError, ErrorKind, Result,
    job::{ItemResult, Problem, RestoreItem},
};

/// At most so many problems and sample paths are told by name.
pub const SHOWN: usize = 1_000;

/// One item on its way.
pub struct Item<'a> {
    pub job: &'a RestoreItem,
    pub place: &'a Place,
    pub selection: Selection,
    /// The snapshot's tree; `None` after a failure.
    pub tree: Option<TreeId>,
    /// Metadata of the item's own folder, where the snapshot has notes of it.
    pub folder: Option<Metadata>,
    pub stage: Option<Stage>,
    pub links: Vec<Link>,
    pub counts: RestoreCounts,
    pub files: i64,
    pub dirs: i64,
    pub nodes: i64,
    problems: Vec<Problem>,
    problems_total: i64,
    pub unowned: i64,
    pub blocked: Vec<String>,
    pub blocked_total: i64,
    pub failed: Option<EngineError>,
}

impl<'a> Item<'a> {
    /// # Errors
    /// `Invalid` where a chosen path is not in the text form.
    pub fn new(job: &'a RestoreItem, place: &'a Place) -> Result<Self> {
        Ok(Self {
            job,
            place,
            selection: Selection::read(&job.paths)?,
            tree: None,
            folder: None,
            stage: None,
            links: Vec::new(),
            counts: RestoreCounts::default(),
            files: 0,
            dirs: 0,
            nodes: 0,
            problems: Vec::new(),
            problems_total: 0,
            unowned: 0,
            blocked: Vec::new(),
            blocked_total: 0,
            failed: None,
        })
    }

    /// Forgets what was counted: what counts in the end is what was staged, not what was planned.
    pub fn count_anew(&mut self) {
        (self.counts, self.files, self.dirs) = (RestoreCounts::default(), 0, 0);
        (self.problems, self.problems_total) = (Vec::new(), 0);
    }

    /// # Errors
    /// `Internal` before it was staged.
    pub fn stage(&self) -> Result<&Stage> {
        self.stage.as_ref().ok_or_else(|| EngineError::new(ErrorKind::Internal, format!("{}: it was not staged", self.job.name)))
    }

    pub fn problem(&mut self, path: String, message: String) {
        self.problems_total += 1;
        if self.problems.len() < SHOWN {
            self.problems.push(Problem { path, message });
        }
    }

    pub fn missed(&mut self, shown: impl FnOnce() -> String, missed: Missed) {
        self.unowned += i64::from(missed.owner);
        if let Some(e) = missed.xattrs {
            let message = format!("restored without some of its extended attributes ({})", std::io::Error::from(e));
            self.problem(shown(), message);
        }
    }

    pub fn count(&mut self, act: Act, bytes: i64) {
        match act {
            Act::Create => self.counts.create += 1,
            Act::Replace => self.counts.replace += 1,
            Act::Same => self.counts.same += 1,
            Act::Skip | Act::Blocked => self.counts.skip += 1,
            Act::MakeDir => self.dirs += 1,
            Act::MergeDir { .. } => {}
        }
        if matches!(act, Act::Create | Act::Replace) {
            self.files += 1;
            self.counts.bytes = self.counts.bytes.saturating_add(bytes);
        }
    }

    pub fn done(&mut self, done: Done) {
        if let Some(message) = done.problem {
            self.problem(done.shown, message);
        } else {
            self.count(done.act, i64::try_from(done.size).unwrap_or(i64::MAX));
            self.missed(|| done.shown, done.missed);
        }
    }

    pub fn result(&self) -> ItemResult {
        let mut problems = self.problems.clone();
        let mut total = self.problems_total;
        if let Some(e) = &self.failed {
            problems.insert(0, Problem { path: self.place.shown(), message: e.message.clone() });
            problems.truncate(SHOWN);
            total += 1;
        }
        let state = if self.failed.is_some() {
            ItemState::Failed
        } else if total > 0 {
            ItemState::Partial
        } else {
            ItemState::Ok
        };
        let (files, bytes) = if self.failed.is_some() { (0, 0) } else { (self.files, self.counts.bytes) };
        ItemResult { name: self.job.name.clone(), state, snapshot: None, files, bytes, bytes_added: 0, problems, problems_total: total }
    }
}
