//! Backup: one pass over all items, then one snapshot an item (engine.md 1).
//!
//! All items are read into one tree whose root holds a folder for each of them, so that they share one stream of
//! packs and one index. The root is saved as a snapshot of its own, tagged [`ROOT_TAG`]: it is the parent of the next
//! pass, and keeps what was read if the pass is killed before the items have theirs. Then each item gets a snapshot
//! whose tree is its folder. The former root is removed after that.
//!
//! A pass that is repeated with the same run id keeps the item snapshots that are there and makes the missing ones.
//!
//! Lives here: the order of these steps. Beside it: `pass`, `diff`, `notes`, `save`. May not: retention.
//! Invariant: an item's snapshot is saved only when all that it refers to is in the repository, and says how many
//! problems its reading met.

mod archive;
mod chunker;
mod diff;
mod head;
mod image;
mod measure;
mod notes;
mod packer;
mod pass;
mod save;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use domain::{run::ItemState, units::Timestamp};
use rustic_core::{TreeId, repofile::SnapshotFile};

use self::{
    diff::NewBlobs,
    pass::{Pass, Passed},
    save::{Captured, Saver},
};
pub use self::{image::run_keep_image, notes::Notes};
use super::{Held, Indexed, LockKind, Repository, from_rustic, snapshots::snapshot_id, storage::Location};
use crate::{
    Ctx, EngineError, ErrorKind, Result, clock,
    job::{BackupJob, BackupOutcome, Event, ItemResult, Level, Problem, Progress, SourceConfig},
    sources::{Tally, directory::Directory},
};

/// The tag of root snapshots. They belong to a source, not to an item, and are never shown or restored.
pub const ROOT_TAG: &str = "holdfast:root";

/// How far the storage's clock may be behind ours.
const SKEW_SECS: i64 = 3_600;

/// Carries out a backup job.
///
/// # Errors
/// Those of the repository and the storage, and `NotFound` or `Denied` for the source as a whole. A problem with an
/// item or a file is in the item's result instead.
pub fn run_backup(job: &BackupJob, ctx: &Ctx) -> Result<BackupOutcome> {
    let SourceConfig::Directory(config) = &job.source else {
        return Err(EngineError::new(ErrorKind::Invalid, "instances of a cloud have no files to read; their snapshots stay in the cloud"));
    };
    let source = Directory::new(config.clone())?;
    // Look at the source first: a wrong path must not leave an empty repository.
    let listing = source.list()?;
    if !listing.loose.is_empty() {
        let names = listing.loose.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("{} entries beside the item folders belong to no item and are not backed up: {names}", listing.loose.len());
        ctx.log(Level::Warn, message);
    }
    if let Ok(Location::Folder(folder)) = Location::parse(&job.access.location)
        && source.reads(&folder)
    {
        let message = format!("{} lies inside the source {}: it would back itself up; move it, or exclude it", folder.display(), config.path.display());
        return Err(EngineError::new(ErrorKind::Invalid, message));
    }
    let repository = if job.create { Repository::open_or_create(&job.access, &ctx.rt)? } else { Repository::open(&job.access, &ctx.rt)? };
    repository.with_lock(LockKind::Shared, ctx, |held| Backup { job, ctx, source: &source, repository: &repository, held }.run(listing.items))
}

struct Backup<'a> {
    job: &'a BackupJob,
    ctx: &'a Ctx<'a>,
    source: &'a Directory,
    repository: &'a Repository,
    held: &'a Held,
}

/// What earlier passes of this run or of this source left.
#[derive(Default)]
struct Earlier {
    /// Item snapshots of this very run.
    saved: HashMap<String, SnapshotFile>,
    /// Root snapshots of this source, also of passes that were killed.
    roots: Vec<SnapshotFile>,
}

impl Backup<'_> {
    fn run(&self, present: Vec<String>) -> Result<BackupOutcome> {
        let now = clock::now();
        let mut outcome = BackupOutcome { repository: self.repository.id().to_owned(), items_present: present.clone(), ..BackupOutcome::default() };
        let root_parent = self.root_parent();
        let earlier = self.earlier(root_parent.as_ref())?;
        let whole = self.job.items.is_none();
        let wanted = self.wanted(present, &earlier);
        outcome.items = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
        // A whole pass reads all items again, also those that are saved: the next pass needs a complete root as its
        // parent. It costs little, since the killed pass's root is a parent too.
        let to_read: Vec<String> = wanted.iter().filter(|name| whole || !earlier.saved.contains_key(*name)).cloned().collect();
        self.tell_saved(&wanted.iter().filter_map(|name| Some((name, earlier.saved.get(name)?))).collect::<Vec<_>>())?;
        if to_read.is_empty() {
            outcome.size_bytes = self.size();
            return Ok(outcome);
        }

        let mut parents: Vec<TreeId> = root_parent.iter().chain(&earlier.roots).map(|s| s.tree).collect();
        parents.sort();
        parents.dedup();
        let total = root_parent.as_ref().filter(|_| whole).and_then(|r| r.summary.as_ref()).map_or(0, |s| s.total_bytes_processed);
        let mut progress = Progress { items_total: outcome.items, bytes_total: i64::try_from(total).unwrap_or(0), ..Progress::default() };

        let (Passed { root, mut added, index }, tally) = self.pass(now, to_read, parents.clone(), &progress)?;
        outcome.bytes_read = tally.bytes_read.load(Relaxed);

        // Files that changed while they were read get a second chance: most of them are whole by now.
        let again: Vec<String> =
            tally.items.iter().filter(|i| i.passing.load(Relaxed) > 0 && !earlier.saved.contains_key(&i.name)).map(|i| i.name.clone()).collect();
        let second = if again.is_empty() {
            None
        } else {
            self.ctx.log(Level::Info, format!("{} items changed while they were read and are read once more", again.len()));
            progress.bytes_total = 0;
            parents.push(root.tree);
            let (passed, tally) = self.pass(now, again, parents, &progress)?;
            outcome.bytes_read += tally.bytes_read.load(Relaxed);
            added.extend(passed.added);
            Some((passed.root, tally))
        };

        outcome.bytes_added = added.values().map(|n| i64::from(*n)).sum();
        // What was added is not in an index that was read before.
        let index = if added.is_empty() {
            index
        } else {
            drop(index);
            self.repository.to_indexed()?
        };
        self.save_items(now, &root, &tally, second.as_ref(), (&index, &NewBlobs::new(added)), &earlier)?;

        // A pass over some items leaves the source's root alone and takes its own away.
        let run = format!("run:{}", self.job.run);
        let mut old: Vec<_> = earlier.roots.iter().filter(|s| whole || s.tags.contains(&run)).map(|s| s.id).collect();
        old.extend(second.map(|(root, _)| root.id));
        if whole {
            old.extend(root_parent.map(|s| s.id));
            outcome.root_snapshot = Some(root.id.to_hex().to_string());
        } else {
            old.push(root.id);
        }
        for id in old {
            if let Err(e) = self.repository.remove_snapshot(id) {
                self.ctx.log(Level::Warn, format!("a former root snapshot could not be removed and takes space: {e}"));
            }
        }
        outcome.size_bytes = self.size();
        Ok(outcome)
    }

    /// Tells the items again that an earlier attempt has saved: it may have been killed before it told all of them.
    fn tell_saved(&self, saved: &[(&String, &SnapshotFile)]) -> Result<()> {
        if saved.is_empty() {
            return Ok(());
        }
        let index = self.repository.to_indexed()?;
        // Their own parents, not the job's: by now those may be these very snapshots.
        let parents = self.repository.read_snapshots(saved.iter().filter_map(|(_, file)| file.parent).collect())?;
        for (name, file) in saved {
            self.ctx.check()?;
            self.ctx.emit(Event::Item(save::result_of(name, file)));
            let parent = parents.iter().find(|p| Some(p.id) == file.parent);
            if file.parent.is_some() && parent.is_none() {
                self.ctx.log(Level::Warn, format!("item {name}: what changed in it cannot be searched by name, for its parent is gone"));
                continue;
            }
            save::tell_changes(&index, self.ctx, name, &file.id.to_hex(), (parent.map(|p| p.tree), file.tree))?;
        }
        Ok(())
    }

    /// The items of this run in the source's order. Those asked for that are not there fail at once.
    fn wanted(&self, present: Vec<String>, earlier: &Earlier) -> Vec<String> {
        let Some(asked) = &self.job.items else { return present };
        let asked: HashSet<&str> = asked.iter().map(String::as_str).collect();
        let there: HashSet<&str> = present.iter().map(String::as_str).collect();
        for name in &asked {
            if !there.contains(name) && !earlier.saved.contains_key(*name) {
                let problem = Problem { path: String::new(), message: "the source has no item of this name".to_owned() };
                self.ctx.emit(Event::Item(ItemResult {
                    name: (*name).to_owned(),
                    state: ItemState::Failed,
                    snapshot: None,
                    files: 0,
                    bytes: 0,
                    bytes_added: 0,
                    problems: vec![problem],
                    problems_total: 1,
                }));
            }
        }
        present.into_iter().filter(|p| asked.contains(p.as_str())).collect()
    }

    fn pass(&self, now: Timestamp, items: Vec<String>, parents: Vec<TreeId>, done_before: &Progress) -> Result<(Passed, Arc<Tally>)> {
        let tally = Arc::new(Tally::new(items));
        let mut root = self.snapshot(now);
        root.tags.add(ROOT_TAG.to_owned());
        let pass = Pass { repository: self.repository, source: self.source, held: self.held, parents, root, done_before: done_before.clone() };
        let passed = pass.run(&tally, self.ctx)?;
        Ok((passed, tally))
    }

    fn save_items(
        &self,
        now: Timestamp,
        root: &SnapshotFile,
        tally: &Tally,
        second: Option<&(SnapshotFile, Arc<Tally>)>,
        (index, blobs): (&Indexed, &NewBlobs),
        earlier: &Earlier,
    ) -> Result<()> {
        let folders = |root: &SnapshotFile| -> Result<HashMap<Vec<u8>, TreeId>> {
            let nodes = index.get_tree(&root.tree).map_err(from_rustic)?.nodes;
            Ok(nodes
                .iter()
                .filter_map(|n| Some((domain::naming::escape(std::os::unix::ffi::OsStrExt::as_bytes(&*n.name())).into_bytes(), n.subtree?)))
                .collect())
        };
        let (first, again) = (folders(root)?, second.map(|(root, _)| folders(root)).transpose()?.unwrap_or_default());
        let mut captured = Vec::with_capacity(tally.items.len());
        for item in tally.items.iter().filter(|i| !earlier.saved.contains_key(&i.name)) {
            // An item that could not be opened the second time has what the first reading saw.
            let later = second.and_then(|(_, t)| t.items.iter().find(|i| i.name == item.name && !i.failed.load(Relaxed)));
            let tree = if later.is_some() { again.get(item.name.as_bytes()) } else { first.get(item.name.as_bytes()) };
            captured.push(Captured { tally: later.unwrap_or(item), tree: tree.copied() });
        }
        let parents = self.parents(&captured)?;
        let saver = Saver {
            repository: self.repository,
            index,
            blobs,
            held: self.held,
            ctx: self.ctx,
            parents: &parents,
            template: &self.snapshot(now),
            source: self.source,
        };
        saver.save_all(&captured)
    }

    /// The fields that all snapshots of this run share.
    fn snapshot(&self, now: Timestamp) -> SnapshotFile {
        let mut file = SnapshotFile {
            time: clock::zoned(now),
            program_version: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
            hostname: self.job.host.clone(),
            username: "holdfast".to_owned(),
            ..SnapshotFile::default()
        };
        for tag in [format!("service:{}", self.job.service), format!("source:{}", self.job.source_name), format!("run:{}", self.job.run)] {
            file.tags.add(tag);
        }
        for tag in &self.job.tags {
            file.tags.add(tag.clone());
        }
        file
    }

    /// The root snapshot that the job names, unless it is gone.
    fn root_parent(&self) -> Option<SnapshotFile> {
        let id = self.job.root_parent.as_deref()?;
        let read = self.repository.snapshot(id);
        read.inspect_err(|e| self.ctx.log(Level::Warn, format!("the parent cannot be read, so all files are read anew: {e}"))).ok()
    }

    /// The items' own parents, for the comparison.
    fn parents(&self, captured: &[Captured]) -> Result<HashMap<String, SnapshotFile>> {
        let mut names = HashMap::new();
        for item in captured {
            if let Some(id) = self.job.parents.get(&item.tally.name) {
                names.insert(snapshot_id(id)?, item.tally.name.clone());
            }
        }
        let files = self.repository.read_snapshots(names.keys().copied().collect())?;
        Ok(files.into_iter().filter_map(|f| Some((names.remove(&f.id)?, f))).collect())
    }

    /// Looks for what earlier passes left. Only snapshots are read that are younger than the run and than the newest
    /// root that the caller knows: reading all of them at each backup would be quadratic.
    fn earlier(&self, root_parent: Option<&SnapshotFile>) -> Result<Earlier> {
        let born = uuid_time(&self.job.run);
        let known = root_parent.map(|r| Timestamp(r.time.timestamp().as_microsecond()));
        let since = match (born, known) {
            (Some(born), Some(known)) => born.min(known),
            // Without a known root a whole pass looks for the remains of a first one that was killed.
            (Some(born), None) if self.job.items.is_some() => born,
            _ => Timestamp(i64::MIN / 2),
        };
        let since = Timestamp(since.0.saturating_sub(SKEW_SECS * 1_000_000));
        let ids = self.repository.backend.list_since("snapshots", since)?;
        let (service, source) = (format!("service:{}", self.job.service), format!("source:{}", self.job.source_name));
        let run = format!("run:{}", self.job.run);
        let mut earlier = Earlier::default();
        for file in self.repository.read_snapshots(ids.into_iter().map(Into::into).collect())? {
            if !file.tags.contains(&service) || !file.tags.contains(&source) {
                continue;
            }
            if file.tags.contains(ROOT_TAG) {
                if root_parent.is_none_or(|r| r.id != file.id) {
                    earlier.roots.push(file);
                }
            } else if file.tags.contains(&run) {
                earlier.saved.insert(file.label.clone(), file);
            }
        }
        Ok(earlier)
    }

    fn size(&self) -> Option<i64> {
        self.repository.size().ok().and_then(|n| i64::try_from(n).ok())
    }
}

/// When a UUID of version 7 was made.
fn uuid_time(text: &str) -> Option<Timestamp> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    if hex.len() != 32 || hex.as_bytes()[12] != b'7' {
        return None;
    }
    i64::from_str_radix(&hex[..12], 16).ok().map(|ms| Timestamp(ms * 1_000))
}

/// A fault that would otherwise be silent.
fn lost(item: &str) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("item {item} was read but is not in the tree that was saved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_tells_when_the_run_was_made() {
        assert_eq!(uuid_time("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), Some(Timestamp(1_645_557_742_000_000)));
        assert_eq!(uuid_time("017f22e2-79b0-4cc3-98c4-dc0c0c07398f"), None);
        assert_eq!(uuid_time("r1"), None);
        assert_eq!(uuid_time("ööööööööööööööööööööööööööö"), None);
    }
}
